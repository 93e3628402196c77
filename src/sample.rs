//! Stage 1: question -> candidates. The reasoner draws N chains of thought.
//!
//! Thin for now: a fixed N, no early stop.

use crate::{
    answer::{self, Rule},
    error::{Error, Result},
    model::{Generated, LanguageModel, Progress, Request, Sampling, Usage, seed_for},
    problem::{Question, Task},
    trace::{Candidate, Program},
};

/// Draws `samples` candidates and finds each one's final answer; a programming question's answer
/// is the program itself.
///
/// # Errors
/// An empty question; what the model reports.
pub fn sample(
    question: &Question,
    reasoner: &mut dyn LanguageModel,
    samples: usize,
    sampling: &Sampling,
    rule: Rule,
    seed: u64,
    progress: Progress,
) -> Result<(Vec<Candidate>, Usage)> {
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
        samples,
        seed: seed_for(seed, &question.id, 0),
    };
    let Generated {
        mut generations,
        usage,
    } = reasoner.generate(&[request], sampling, progress)?;
    let candidates = generations
        .swap_remove(0)
        .into_iter()
        .map(|generation| Candidate {
            answer: match question.task {
                Task::Math => answer::extract(&generation.text, rule).map(|found| found.text),
                Task::Code => Some(Program::from_reply(&generation.text).0),
            },
            text: generation.text,
            tokens: generation.tokens,
            stop: generation.stop,
            logprob_mean: generation.logprob_mean,
        });
    Ok((candidates.collect(), usage))
}
