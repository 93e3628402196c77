//! The one error type of the library.
//!
//! A message says what was wrong with which file, row or number, and where it helps, what to do.
//! What goes wrong with a *candidate* (its program raises, its answer cannot be read) is not an
//! error but a value: see [`crate::trace::Outcome`] and [`crate::trace::Verdict`].

use std::{io, path::PathBuf};

/// `std::result::Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can end a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One line of a data file does not say what it must.
    #[error("{}, line {line}: {reason}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A model file is missing, damaged or of a kind that cannot be used.
    #[error("model {model}: {reason}")]
    Model {
        /// The model as the user named it.
        model: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A file of a model hub that cannot be had.
    #[error("{file}: {reason}")]
    Hub {
        /// The file, as `hf:OWNER/NAME/FILE@REVISION`.
        file: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A prompt and its continuation do not fit the model's context.
    #[error("model {model}: {needed} tokens are needed, its context allows {allowed}")]
    Context {
        /// The model as the user named it.
        model: String,
        /// Tokens of the prompt and what must follow it.
        needed: usize,
        /// Tokens the context holds.
        allowed: usize,
    },
    /// A question that cannot be asked.
    #[error("question {id}: {reason}")]
    Question {
        /// The question's id.
        id: String,
        /// Why not.
        reason: String,
    },
    /// A name that is not known: a benchmark, a model, an option's value.
    #[error("unknown {what} {name:?}; known: {known}")]
    Unknown {
        /// What kind of thing was named.
        what: &'static str,
        /// The name given.
        name: String,
        /// The names that would have done.
        known: String,
    },
    /// Options that contradict each other or the files they meet.
    #[error("{0}")]
    Options(String),
    /// The sandbox itself is broken (a program that fails is an `Outcome`, not this).
    #[error("sandbox: {0}")]
    Sandbox(String),
}
