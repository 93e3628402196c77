//! Stage 2: candidates -> programs. The coder writes each chain of thought as Python
//! (the `PoT` in CoTnPoT, arXiv 2410.05318, section 3).
//!
//! Thin for now: a coder is asked once per candidate, without examples.

use crate::{
    error::Result,
    model::{LanguageModel, Progress, Request, Sampling, Usage, seed_for},
    problem::Question,
    trace::{Candidate, Program},
};

/// Writes one program per candidate; `None` where the coder wrote none.
///
/// # Errors
/// What the model reports.
pub fn translate(
    question: &Question,
    candidates: &[Candidate],
    coder: &mut dyn LanguageModel,
    sampling: &Sampling,
    seed: u64,
    progress: Progress,
) -> Result<(Vec<Option<Program>>, Usage)> {
    let requests = candidates.iter().enumerate().map(|(index, candidate)| {
        Ok(Request {
            question,
            candidate: Some(index),
            messages: coder.prompts().translate(question, candidate)?,
            samples: 1,
            seed: seed_for(seed, &question.id, index + 1),
        })
    });
    let requests: Vec<Request> = requests.collect::<Result<_>>()?;
    let generated = coder.generate(&requests, sampling, progress)?;
    let programs = generated
        .generations
        .into_iter()
        .map(|drawn| drawn.first().map(|reply| Program::from_reply(&reply.text)))
        .collect();
    Ok((programs, generated.usage))
}
