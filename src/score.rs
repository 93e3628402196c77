//! Stage 5: candidates -> scores. The verifier's reward for each chain of thought.
//!
//! The reward is SimPO's: the mean log-probability per token of the solution after the question
//! (arXiv 2405.14734, section 2.2), which is also what the verifier was trained to raise.

use crate::{
    error::Result,
    model::{LanguageModel, Progress, Request, Usage, prompt},
    problem::Question,
    trace::{Candidate, Score},
};

/// One score per candidate; `None` where the verifier is a recording that holds none.
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
        messages: prompt::solve(question),
        samples: 0,
        seed: 0,
    };
    let texts: Vec<&str> = candidates
        .iter()
        .map(|candidate| candidate.text.as_str())
        .collect();
    let scored = verifier.score(&request, &texts, progress)?;
    Ok((
        scored
            .scores
            .into_iter()
            .map(|score| score.map(Score))
            .collect(),
        scored.usage,
    ))
}
