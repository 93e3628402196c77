//! What is asked, and, apart from it, what the right answer is.
//!
//! [`Question`] is all that the stages of [`crate::solve`](mod@crate::solve) see. It holds no
//! reference answer, so no stage can look at one: the type forbids it.

use serde::{Deserialize, Serialize};

/// The kind of solution a question asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A chain of thought that ends in an answer.
    #[default]
    Math,
    /// A Python program.
    Code,
}

/// A question without its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Unique within a benchmark.
    pub id: String,
    /// The text a model is asked.
    pub text: String,
    /// What a solution is.
    pub task: Task,
}

/// What a right answer is; only `task`, `eval` and `train::pairs` may hold one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The gold answer.
    pub answer: String,
}

/// One row of a benchmark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is asked.
    pub question: Question,
    /// What a right answer is.
    pub reference: Reference,
}
