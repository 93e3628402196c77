//! The candidates of an earlier run under another verifier, as a run of its own.
//!
//! In: a folder that `rerank eval` wrote. Out: another one, whose traces have new scores and are
//! otherwise the same. It is written problem by problem, and goes on where it was stopped.

use std::{collections::HashSet, path::Path};

use super::{
    description::Description,
    folder::{Record, claim, create_folder, read_description, read_traces},
    run::Event,
};
use crate::{
    error::{Error, Result},
    lock::lock,
    model::{LanguageModel, LlamaCpp, Request, Usage, llama::Logprob, to_the_end},
    problem::Question,
    score,
    trace::{Score, Trace},
    train::objective::Objective,
};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rescored {
    /// Problems in the new run.
    pub problems: usize,
    /// Those with a candidate that has no score, because it does not fit the verifier's context.
    pub partly: usize,
}

/// Scores what `out` does not hold yet of the run in `from`; by how much likelier a solution has
/// become than under `minus` where that is given: in all, as DPO does (arXiv 2305.18290, eq. 5), or
/// per token, where the verifier was trained by that.
///
/// # Errors
/// A folder that is no run; an `out` that holds another one; what the models report.
pub fn rescore(
    from: &Path,
    verifier: &mut LlamaCpp,
    mut minus: Option<&mut LlamaCpp>,
    out: &Path,
    tell: &dyn Fn(Event),
) -> Result<Rescored> {
    let description = description(from, verifier, minus.as_deref())?;
    let traces = read_traces(&from.join("traces.jsonl"))?;
    create_folder(out)?;
    let _lock = lock(out)?;
    let path = out.join("traces.jsonl");
    claim(out, &description, &path)?;
    let (mut record, mut done, bytes) = Record::open(&path)?;
    if bytes > 0 {
        let path = &path;
        tell(Event::Repaired { path, bytes });
    }
    let ids: HashSet<String> = done.iter().map(|trace| trace.id.clone()).collect();
    let all = traces.len();
    let told = |done| tell(Event::Solved { done, all });
    told(done.len());
    for trace in traces.into_iter().filter(|trace| !ids.contains(&trace.id)) {
        let trace = scored(trace, verifier, minus.as_deref_mut())?;
        record.add(&trace)?;
        done.push(trace);
        told(done.len());
    }
    let lacks = |trace: &&Trace| trace.candidates.iter().any(|one| one.score.is_none());
    Ok(Rescored {
        problems: done.len(),
        partly: done.iter().filter(lacks).count(),
    })
}

/// What the new run is: the earlier one with another verifier.
fn description(from: &Path, verifier: &LlamaCpp, minus: Option<&LlamaCpp>) -> Result<Description> {
    let mut description = read_description(from)?;
    let models = || [Some(verifier), minus].into_iter().flatten();
    let names: Vec<&str> = models().map(LanguageModel::name).collect();
    let hashes: Vec<String> = models().map(LanguageModel::sha256).collect::<Result<_>>()?;
    // Each token is evaluated by both.
    let parameters: Option<u64> = models().map(LanguageModel::parameters).sum();
    description.models.retain(|(role, ..)| role != "verifier");
    description.models.push((
        "verifier".to_owned(),
        names.join(" minus "),
        hashes.join(" minus "),
    ));
    description
        .parameters
        .retain(|(role, _)| role != "verifier");
    description
        .parameters
        .extend(parameters.map(|count| ("verifier".to_owned(), count)));
    Ok(description)
}

/// The trace with new scores; none where the question alone is longer than the context.
fn scored(
    mut trace: Trace,
    verifier: &mut LlamaCpp,
    minus: Option<&mut LlamaCpp>,
) -> Result<Trace> {
    let question = Question {
        id: trace.id.clone(),
        ..Question::new(&trace.question, trace.task)
    };
    let candidates = trace.candidates.iter();
    let texts: Vec<&str> = candidates
        .map(|traced| traced.candidate.text.as_str())
        .collect();
    let (scores, usage) = match minus {
        None => score::score(&question, &texts, verifier, &to_the_end)?,
        Some(base) => match gains(&question, &texts, verifier, base) {
            Err(Error::Context { .. }) => (vec![None; texts.len()], Usage::default()),
            gains => gains?,
        },
    };
    trace.tokens.score = usage.tokens_prompt + usage.tokens_continued;
    trace.timings_ms.score = usage.time.as_secs_f64() * 1000.0;
    for (traced, score) in trace.candidates.iter_mut().zip(scores) {
        traced.score = score;
    }
    Ok(trace)
}

/// The log-probability of each text under the verifier minus that under `base`, in nats: the sum over
/// tokens, or the mean of a verifier that was trained by a mean.
fn gains(
    question: &Question,
    texts: &[&str],
    verifier: &mut LlamaCpp,
    base: &mut LlamaCpp,
) -> Result<(Vec<Option<Score>>, Usage)> {
    let request = Request::scoring(question, verifier.prompts().solve(question)?);
    let (of_verifier, mut usage) = verifier.logprobs(&request, texts, true, &to_the_end)?;
    let (of_base, more) = base.logprobs(&request, texts, true, &to_the_end)?;
    usage += more;
    let sums = verifier.objective().is_none_or(Objective::sums);
    let number = |logprob: Option<Logprob>| {
        let number = |logprob: Logprob| if sums { logprob.sum } else { logprob.mean() };
        logprob.map(number)
    };
    let pairs = of_verifier.into_iter().zip(of_base);
    let gains = pairs.map(|(verifier, base)| Some(number(verifier)? - number(base)?));
    let gains: Vec<Option<f64>> = gains.collect();
    Ok((score::checked(&gains, verifier)?, usage))
}
