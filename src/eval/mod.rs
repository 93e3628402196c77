//! Batch evaluation: [`run`](mod@run) solves a benchmark and records traces in a [`folder`] that says
//! of [which run](description) they are, [`merge`](mod@merge) puts the shards of a run together,
//! [`rescore`](mod@rescore) shows a run's candidates to another verifier, [`metrics`] turns traces into
//! numbers, [`report`] into pages.

pub mod description;
pub mod folder;
pub mod merge;
pub mod metrics;
pub mod report;
pub mod rescore;
pub mod run;
