//! Stage 1: question -> candidates. The reasoner draws chains of thought.

use crate::{
    answer::{self, Rule},
    error::{Error, Result},
    model::{Generation, LanguageModel, Request, Sampling, Ticket, seed_for},
    problem::{Question, Task},
    trace::{Candidate, Program},
};

/// Asks the reasoner for `samples` candidates, of which the first is the question's `first`-th.
///
/// # Errors
/// An empty question; what the model reports.
pub fn ask(
    question: &Question,
    reasoner: &mut dyn LanguageModel,
    first: usize,
    samples: usize,
    sampling: &Sampling,
    seed: u64,
) -> Result<Ticket> {
    if question.text.trim().is_empty() {
        return Err(Error::Question {
            id: question.id.clone(),
            reason: "it is empty".to_owned(),
        });
    }
    let request = Request {
        question,
        candidate: None,
        messages: reasoner.prompts().solve(question)?,
        first,
        samples,
        seed: seed_for(seed, &question.id, 0),
    };
    reasoner.submit(&request, sampling)
}

/// What was drawn, with its final answer; a programming question's answer is the program itself.
pub fn sampled(question: &Question, drawn: Generation, rule: Rule) -> Candidate {
    Candidate {
        answer: match question.task {
            Task::Math => answer::extract(&drawn.text, rule).map(|found| found.text),
            Task::Code => Some(Program::answering(question.interface.as_ref(), &drawn.text).0),
        },
        text: drawn.text,
        tokens: drawn.tokens,
        stop: drawn.stop,
        logprob_mean: drawn.logprob_mean,
    }
}
