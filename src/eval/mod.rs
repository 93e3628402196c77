//! Batch evaluation: [`run`](mod@run) solves a benchmark and records traces, [`metrics`] turns
//! traces into numbers, [`report`] into pages.

pub mod metrics;
pub mod report;
pub mod run;
