//! Batch evaluation: [`run`](mod@run) solves a benchmark and records traces, [`metrics`] turns
//! traces into numbers.

pub mod metrics;
pub mod run;
