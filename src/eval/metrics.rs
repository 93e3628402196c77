//! Traces -> accuracies with intervals. Pure.
//!
//! Thin for now: at the N that was sampled, not at every smaller one.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    answer::{self, Rule},
    select::{Evidence, Filter, Selector, classes, select},
    task::Benchmark,
    trace::{Outcome, Ranking, Score, Trace, TracedCandidate, Verdict},
};

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Problems evaluated.
    pub problems: usize,
    /// Mean number of candidates per problem.
    pub samples_mean: f64,
    /// Mean over problems of the share of right candidates: what one sample is worth.
    pub mean_sample: Estimate,
    /// Share of problems with a right candidate among them: what a perfect selector would reach.
    pub oracle: Estimate,
    /// What each selector reaches.
    pub selectors: Vec<Selected>,
    /// What the most frequent of the programs' values reaches, without the candidates' answers.
    pub programs: Option<Estimate>,
    /// What the most frequent of answers and programs' values together reaches: the vote that
    /// spends the same tokens as the filter.
    pub both: Option<Estimate>,
    /// What the filter did.
    pub filter: Filtered,
    /// Programs executed, by outcome.
    pub executions: Vec<(String, usize)>,
    /// Tokens evaluated and generated, by all models.
    pub tokens: u64,
    /// Wall-clock time of all solves, in seconds.
    pub seconds: f64,
}

/// A share with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The share.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// What a selector reaches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selected {
    /// How survivors were ordered.
    pub selector: Selector,
    /// Who survived.
    pub filter: Filter,
    /// Share of problems whose chosen answer is right.
    pub accuracy: Estimate,
}

/// What the CoTnPoT filter did to candidates, all problems together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filtered {
    /// Share of the candidates whose verdict is clear.
    pub clear: Option<f64>,
    /// Of the candidates kept, the share that is right.
    pub precision: Option<f64>,
    /// Of the right candidates, the share that is kept.
    pub recall: Option<f64>,
    /// Problems on which it dropped every candidate, so that all came back.
    pub all_dropped: usize,
}

/// What every selector, with and without the filter, makes of a trace.
pub fn rankings(trace: &Trace, rule: Rule) -> Vec<(Selector, Filter, Ranking)> {
    let candidates = &trace.candidates;
    let answers: Vec<Option<&str>> = candidates
        .iter()
        .map(|traced| traced.candidate.answer.as_deref())
        .collect();
    let verdicts: Vec<Verdict> = candidates.iter().map(|traced| traced.verdict).collect();
    let scores: Vec<Option<Score>> = candidates.iter().map(|traced| traced.score).collect();
    let classes = classes(trace.task, &answers, rule);
    let evidence = Evidence {
        classes: &classes,
        verdicts: &verdicts,
        scores: &scores,
    };
    let selectors = [Selector::Majority, Selector::Verifier, Selector::Weighted];
    let filters = [Filter::Off, Filter::Cotnpot];
    let pairs = selectors
        .into_iter()
        .flat_map(|selector| filters.map(|filter| (selector, filter)));
    pairs
        .map(|(selector, filter)| (selector, filter, select(evidence, selector, filter)))
        .collect()
}

/// Whether any candidate of a trace has a score, without which only majority means anything.
pub fn has_scores(trace: &Trace) -> bool {
    trace.candidates.iter().any(|traced| traced.score.is_some())
}

/// The most frequent answer among the programs' values, alone and together with the candidates'
/// answers: what the tokens spent on programs buy as votes.
fn program_votes(trace: &Trace, rule: Rule) -> (Option<String>, Option<String>) {
    let value = |traced: &TracedCandidate| {
        let execution = traced
            .execution
            .as_ref()
            .filter(|execution| execution.outcome == Outcome::Finished)?;
        Some(answer::extract(execution.value.as_deref()?, rule)?.text)
    };
    let programs: Vec<Option<String>> = trace.candidates.iter().map(value).collect();
    let answers = trace
        .candidates
        .iter()
        .map(|traced| traced.candidate.answer.clone());
    let both: Vec<Option<String>> = answers.chain(programs.iter().cloned()).collect();
    (majority(&programs, rule), majority(&both, rule))
}

fn majority(answers: &[Option<String>], rule: Rule) -> Option<String> {
    let borrowed: Vec<Option<&str>> = answers.iter().map(Option::as_deref).collect();
    let evidence = Evidence {
        classes: &answer::classes(&borrowed, rule),
        verdicts: &vec![Verdict::Agrees; answers.len()],
        scores: &vec![None; answers.len()],
    };
    answers[select(evidence, Selector::Majority, Filter::Off).chosen?].clone()
}

/// Summarises the traces of one run.
pub fn summarise(traces: &[Trace], benchmark: &Benchmark) -> Summary {
    let graded: Vec<(Vec<bool>, Vec<_>)> = traces
        .par_iter()
        .map(|trace| (benchmark.grade(trace), rankings(trace, benchmark.rule)))
        .collect();
    let votes: Vec<(bool, bool)> = traces
        .par_iter()
        .map(|trace| {
            let (programs, both) = program_votes(trace, benchmark.rule);
            let is_right = |answer: Option<String>| {
                let reference = trace.reference.as_ref();
                reference
                    .is_some_and(|reference| benchmark.is_correct(answer.as_deref(), reference))
            };
            (is_right(programs), is_right(both))
        })
        .collect();
    let scored = traces.iter().any(has_scores);
    let executed = traces
        .iter()
        .flat_map(|trace| &trace.candidates)
        .any(|traced| traced.execution.is_some());
    let of_votes = |count: usize| executed.then(|| wilson(count, traces.len()));
    let shares: Vec<f64> = graded
        .iter()
        .map(|(grades, _)| share(grades.iter().copied()))
        .collect();
    let oracle = graded
        .iter()
        .filter(|(grades, _)| grades.contains(&true))
        .count();

    let mut right: Vec<(Selector, Filter, usize)> = Vec::new();
    let mut all_dropped = 0;
    for (grades, rankings) in &graded {
        for (selector, filter, ranking) in rankings {
            if !scored && *selector != Selector::Majority {
                continue;
            }
            let is_right = usize::from(ranking.chosen.is_some_and(|chosen| grades[chosen]));
            match right
                .iter_mut()
                .find(|(known, with, _)| (known, with) == (selector, filter))
            {
                Some((_, _, count)) => *count += is_right,
                None => right.push((*selector, *filter, is_right)),
            }
        }
        all_dropped += usize::from(
            rankings
                .iter()
                .any(|(.., ranking)| ranking.rule.ends_with(":all-dropped")),
        );
    }
    let selectors = right
        .into_iter()
        .map(|(selector, filter, count)| Selected {
            selector,
            filter,
            accuracy: wilson(count, traces.len()),
        })
        .collect();

    let all = || {
        let pairs = traces.iter().zip(&graded);
        pairs.flat_map(|(trace, (grades, _))| trace.candidates.iter().zip(grades))
    };
    let kept = |verdict: Verdict| verdict != Verdict::Disagrees;
    let mut executions: Vec<(String, usize)> = Vec::new();
    for (traced, _) in all() {
        let Some(execution) = &traced.execution else {
            continue;
        };
        match executions
            .iter_mut()
            .find(|(name, _)| name == execution.outcome.name())
        {
            Some((_, count)) => *count += 1,
            None => executions.push((execution.outcome.name().to_owned(), 1)),
        }
    }
    executions.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let tokens = |trace: &Trace| {
        let tokens = trace.tokens;
        tokens.prompt + tokens.sample + tokens.translate + tokens.score
    };
    Summary {
        problems: traces.len(),
        samples_mean: all().count() as f64 / traces.len().max(1) as f64,
        mean_sample: mean(&shares),
        oracle: wilson(oracle, traces.len()),
        selectors,
        programs: of_votes(votes.iter().filter(|(programs, _)| *programs).count()),
        both: of_votes(votes.iter().filter(|(_, both)| *both).count()),
        filter: Filtered {
            clear: some_share(
                all().map(|(traced, _)| !matches!(traced.verdict, Verdict::Unclear(_))),
            ),
            precision: some_share(
                all()
                    .filter(|(traced, _)| kept(traced.verdict))
                    .map(|(_, right)| *right),
            ),
            recall: some_share(
                all()
                    .filter(|(_, right)| **right)
                    .map(|(traced, _)| kept(traced.verdict)),
            ),
            all_dropped,
        },
        executions,
        tokens: traces.iter().map(tokens).sum(),
        seconds: traces
            .iter()
            .map(|trace| trace.timings_ms.total)
            .sum::<f64>()
            / 1e3,
    }
}

/// Wilson's score interval for `successes` of `trials`, at 95 %.
pub fn wilson(successes: usize, trials: usize) -> Estimate {
    let (k, n, z) = (successes as f64, trials as f64, 1.959_964);
    if trials == 0 {
        return Estimate {
            value: 0.0,
            low: 0.0,
            high: 1.0,
        };
    }
    let centre = (k + z * z / 2.0) / (n + z * z);
    let half = z / (n + z * z) * (k * (n - k) / n + z * z / 4.0).sqrt();
    Estimate {
        value: k / n,
        low: (centre - half).max(0.0),
        high: (centre + half).min(1.0),
    }
}

/// The mean of values in [0, 1] with the normal interval of its standard error, at 95 %.
fn mean(values: &[f64]) -> Estimate {
    let n = values.len().max(1) as f64;
    let value = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half = 1.959_964 * (variance / n).sqrt();
    Estimate {
        value,
        low: (value - half).max(0.0),
        high: (value + half).min(1.0),
    }
}

fn share(flags: impl Iterator<Item = bool>) -> f64 {
    some_share(flags).unwrap_or(0.0)
}

fn some_share(flags: impl Iterator<Item = bool>) -> Option<f64> {
    let (mut count, mut all) = (0_usize, 0_usize);
    for flag in flags {
        count += usize::from(flag);
        all += 1;
    }
    (all > 0).then(|| count as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_is_newcombes_example() {
        // Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
        let check = |successes, trials, low: f64, high: f64| {
            let estimate = wilson(successes, trials);
            assert!((estimate.low - low).abs() < 5e-5 && (estimate.high - high).abs() < 5e-5);
        };
        check(81, 263, 0.2553, 0.3662);
        check(15, 148, 0.0624, 0.1605);
        check(0, 20, 0.0, 0.1611);
        check(1, 29, 0.0061, 0.1718);
    }
}
