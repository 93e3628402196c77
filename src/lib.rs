//! Picks the right answer among many samples of a local language model.
pub mod error;
pub mod problem;
pub mod trace;
pub use error::{Error, Result};
