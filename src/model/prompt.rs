//! What the models are asked, in one place.
//!
//! Thin for now: one wording for every model; manifests under `models/` will name their own.

use super::Message;
use crate::{
    problem::{Question, Task},
    trace::Candidate,
};

/// The conversation whose continuation is a solution: sampled by the reasoner, scored by the
/// verifier.
pub fn solve(question: &Question) -> Vec<Message> {
    let instruction = match question.task {
        Task::Math => {
            "Reason step by step, and end with a line \"The answer is\" followed by the final answer."
        }
        Task::Code => "Write the Python code that does this, in one ```python block.",
    };
    vec![Message::user(format!("{}\n\n{instruction}", question.text))]
}

/// The conversation whose continuation is a candidate's program.
pub fn translate(question: &Question, candidate: &Candidate) -> Vec<Message> {
    vec![Message::user(format!(
        "Question:\n{}\n\nSolution:\n{}\n\nTranslate this solution into a short Python program, \
        step by step, with the solution's own formulas. Do not correct it, and do not copy its \
        numbers beyond those of the question: compute them. Print the final answer, and nothing \
        else, on the last line.",
        question.text, candidate.text
    ))]
}
