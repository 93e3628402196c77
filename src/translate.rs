//! Stage 2: candidates -> programs. The coder writes each chain of thought as Python
//! (the `PoT` in CoTnPoT, arXiv 2410.05318, section 3).
//!
//! Thin for now: a coder is asked once per candidate, without examples.

use crate::{
    error::Result,
    model::{Generation, LanguageModel, Request, Sampling, Ticket, seed_for},
    problem::Question,
    trace::{Candidate, Program},
};

/// Asks the coder for the program of the question's `index`-th candidate; there may come none.
///
/// # Errors
/// What the model reports.
pub fn ask(
    question: &Question,
    index: usize,
    candidate: &Candidate,
    coder: &mut dyn LanguageModel,
    sampling: &Sampling,
    seed: u64,
) -> Result<Ticket> {
    let request = Request {
        question,
        candidate: Some(index),
        messages: coder.prompts().translate(question, candidate)?,
        first: 0,
        samples: 1,
        seed: seed_for(seed, &question.id, index + 1),
    };
    coder.submit(&request, sampling)
}

/// The program in what the coder wrote.
pub fn translated(drawn: &Generation) -> Program {
    Program::from_reply(&drawn.text)
}

/// Asks the coder for calls of the function that a programming question asks for.
///
/// # Errors
/// What the model reports.
pub fn ask_inputs(
    question: &Question,
    coder: &mut dyn LanguageModel,
    sampling: &Sampling,
    seed: u64,
) -> Result<Ticket> {
    let request = Request {
        question,
        // About no candidate that there is: a prompt that does not fit has no continuation.
        candidate: Some(usize::MAX),
        messages: coder.prompts().inputs(question)?,
        first: 0,
        samples: 1,
        seed: seed_for(seed, &question.id, usize::MAX),
    };
    coder.submit(&request, sampling)
}
