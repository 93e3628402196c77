//! Stage 5: candidates -> scores. The verifier's reward for each chain of thought.
//!
//! The reward is what the verifier was trained to raise: unless its file says otherwise SimPO's, the
//! mean log-probability per token of the solution after the question (arXiv 2405.14734, section 2.2).

use crate::{
    error::{Error, Result},
    model::{LanguageModel, Request, Scored, Usage, Watch},
    problem::Question,
    trace::{Candidate, Score},
};

/// One score per candidate's text; `None` where the verifier gives none: a recording without it, a
/// question or a candidate longer than the context.
///
/// # Errors
/// What the model reports; a `watch` that breaks; as [`checked`].
pub fn score(
    question: &Question,
    texts: &[&str],
    verifier: &mut dyn LanguageModel,
    watch: Watch,
) -> Result<(Vec<Option<Score>>, Usage)> {
    let request = Request::scoring(question, verifier.prompts().solve(question)?);
    let scored = fitting(verifier.score(&request, texts, watch), texts.len())?;
    Ok((checked(&scored.scores, verifier)?, scored.usage))
}

/// Scores as a trace has them.
///
/// # Errors
/// [`Error::Model`] where one is not a number: such a verifier is broken, whatever it gives the others.
pub fn checked(scores: &[Option<f64>], verifier: &dyn LanguageModel) -> Result<Vec<Option<Score>>> {
    let given = scores.iter().flatten();
    match given.filter(|score| !score.is_finite()).count() {
        0 => Ok(scores.iter().map(|score| score.map(Score)).collect()),
        broken => Err(Error::Model {
            model: verifier.name().to_owned(),
            reason: format!(
                "{broken} of {} scores are not numbers: the verifier's weights are damaged, name another",
                scores.len()
            ),
        }),
    }
}

/// No scores where not even the prompt fits the context.
fn fitting(scored: Result<Scored>, texts: usize) -> Result<Scored> {
    match scored {
        Err(Error::Context { .. }) => Ok(Scored {
            scores: vec![None; texts],
            usage: Usage::default(),
        }),
        scored => scored,
    }
}

/// One score per candidate that is a program: the mean log-probability per token of the question
/// after the program, and where it is known that of the program after the question
/// (Coder-Reviewer, arXiv 2211.16490, section 3: log p(x|y) + log p(y|x), each by its length).
///
/// # Errors
/// As [`score`].
pub fn score_backwards(
    question: &Question,
    candidates: &[Candidate],
    reviewer: &mut dyn LanguageModel,
    watch: Watch,
) -> Result<(Vec<Option<Score>>, Usage)> {
    let mut scores = Vec::with_capacity(candidates.len());
    let mut usage = Usage::default();
    for (index, candidate) in candidates.iter().enumerate() {
        let Some(program) = &candidate.answer else {
            scores.push(None);
            continue;
        };
        let request = Request {
            candidate: Some(index),
            ..Request::scoring(question, reviewer.prompts().recall(question, program)?)
        };
        let scored = fitting(reviewer.score(&request, &[&question.text], watch), 1)?;
        usage += scored.usage;
        let backwards = scored.scores.first().copied().flatten();
        scores.push(backwards.map(|score| score + candidate.logprob_mean.unwrap_or(0.0)));
    }
    Ok((checked(&scores, reviewer)?, usage))
}
