//! Stage 5: candidates -> scores. The verifier's reward for each chain of thought.
//!
//! The reward is SimPO's: the mean log-probability per token of the solution after the question
//! (arXiv 2405.14734, section 2.2), which is also what the verifier was trained to raise.

use crate::{
    error::Result,
    model::{LanguageModel, Progress, Request, Usage},
    problem::Question,
    trace::{Candidate, Score},
};

/// One score per candidate; `None` where the verifier gives none that is a number: a recording
/// without it, a candidate longer than the context, a broken model.
///
/// # Errors
/// What the model reports.
pub fn score(
    question: &Question,
    candidates: &[Candidate],
    verifier: &mut dyn LanguageModel,
    progress: Progress,
) -> Result<(Vec<Option<Score>>, Usage)> {
    let request = Request {
        question,
        candidate: None,
        messages: verifier.prompts().solve(question)?,
        first: 0,
        samples: 0,
        seed: 0,
    };
    let texts: Vec<&str> = candidates
        .iter()
        .map(|candidate| candidate.text.as_str())
        .collect();
    let scored = verifier.score(&request, &texts, progress)?;
    let finite = scored
        .scores
        .into_iter()
        .map(|score| score.filter(|score| score.is_finite()).map(Score));
    Ok((finite.collect(), scored.usage))
}
