//! Picks the right answer among many samples of a local language model.
//!
//! A *reasoner* samples N chain-of-thought candidates, a *coder* writes each as a Python program, a
//! sandbox runs the programs, the CoTnPoT filter drops the candidates whose program disagrees with
//! them or lets them count less, a *verifier* scores them, and the best one is the answer (Liang et
//! al. 2024, arXiv 2410.05318). [`solve`](mod@solve) is these six stages in order; read it first.
//!
//! ```text
//! Question -> [Candidate] -> [Program] -> [Execution] -> [Verdict] -> [Score] -> Ranking -> Trace
//!       sample      translate      execute        judge       score      select
//! ```
//!
//! # Invariants
//!
//! 1. `solve` takes a [`problem::Question`], which holds no reference answer: no stage can see the
//!    gold, by type. Only `task`, `eval` and `train::pairs` know references,
//!    and the recordings of `model::replay`, which hand them to `eval` alone.
//! 2. Only `model/llama.rs` and `model/gguf.rs` name llama.cpp's crates; only `train` names burn;
//!    only `execute` names wasmtime; only those may hold `unsafe`, each block with its reason.
//! 3. Engine and trainer meet in two files, the trace (JSON lines) and the GGUF, and share how a
//!    text becomes tokens ([`train::Tokenize`]).
//! 4. A program that fails is a value ([`trace::Outcome`]), never an `Err`. Whether it fails does
//!    not depend on the machine's speed: fuel decides, a wall-clock deadline is only the seat belt.
//! 5. `judge`, `select`, `answer`, `eval::metrics` and `train::pairs` are pure: no I/O, no clock; what
//!    they draw by lot, from a seed they are given or, for ties, from the question's id. Samples come
//!    from one seed that the trace records; the resampling in `eval::metrics` from one that the
//!    summary records.
//! 6. The library prints nothing; progress goes through callbacks that are passed in.

pub mod answer;
pub mod error;
pub mod file;
pub mod jsonl;
mod lock;
pub mod problem;
pub mod trace;

pub mod execute;
pub mod judge;
pub mod probe;
pub mod sample;
pub mod score;
pub mod select;
pub mod settle;
pub mod solve;
pub mod translate;

pub mod builtin;
pub mod eval;
pub mod model;
pub mod task;
pub mod train;

pub use error::{Error, Result};
pub use solve::solve;
