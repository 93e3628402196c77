//! Traces -> numbers: what each way of choosing reaches at every N, how sure that is, and what it
//! costs. Pure: no file, no clock, and the two places that draw at random (bootstrap, subsets) do so
//! from [`SEED`], so that the same traces always give the same numbers.
//!
//! [`graded`] reduces a trace to who is right and who agrees; [`curve`] has accuracy against N, by the
//! closed forms of [`chance`] or the random subsets of [`subset`]; [`estimate`] has the intervals.

pub mod calibration;
pub mod chance;
pub mod comparison;
pub mod cost;
pub mod curve;
pub mod estimate;
pub mod graded;
pub mod subset;

use clap::ValueEnum;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    answer::Rule,
    problem::Task,
    select::{Filter, Selector},
    trace::{Reason, Trace, TracedCandidate, Verdict, Why},
};

pub use calibration::Calibration;
pub use comparison::{Comparison, mcnemar};
pub use cost::Parameters;
pub use curve::{Curve, Equal, Point};
pub use estimate::{Estimate, wilson};
pub use graded::{Graded, rankings};

/// Where the random choices of the bootstrap and of the subsets come from.
pub const SEED: u64 = 20_241_008;

/// A way to make one answer of N candidates, or a bound on all such ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// One sample, on average.
    Sample,
    /// A selector, with or without the filter.
    Select(Selector, Filter),
    /// The most frequent of the programs' values, without the candidates' answers.
    Programs,
    /// The most frequent of answers and programs' values together: the vote that spends the same
    /// tokens as the filter.
    Both,
    /// A right candidate if there is one: what a perfect selector would reach.
    Oracle,
}

impl Way {
    /// Every selector, without the filter and with it.
    pub fn selections() -> impl Iterator<Item = (Selector, Filter)> {
        let selectors = [Selector::Majority, Selector::Verifier, Selector::Weighted];
        let filters = [Filter::Off, Filter::Cotnpot, Filter::Soft];
        selectors
            .into_iter()
            .flat_map(move |selector| filters.map(|filter| (selector, filter)))
    }

    /// The ways that mean something where candidates have scores, where verdicts can be anything
    /// but unclear, and where programs give answers.
    fn all(scored: bool, judged: bool, voted: bool) -> Vec<Self> {
        let selections = Self::selections()
            .filter(|(selector, _)| scored || *selector == Selector::Majority)
            .filter(|(_, filter)| judged || *filter == Filter::Off)
            .map(|(selector, filter)| Self::Select(selector, filter));
        let votes = [Self::Programs, Self::Both];
        [Self::Sample]
            .into_iter()
            .chain(selections)
            .chain(votes.into_iter().filter(|_| voted))
            .chain([Self::Oracle])
            .collect()
    }

    /// What tables call it; a selection is called as a trace's rule is.
    pub fn name(self) -> String {
        match self {
            Self::Sample => "mean sample".to_owned(),
            Self::Select(selector, filter) => {
                let name = |value: Option<clap::builder::PossibleValue>| {
                    value.map_or(String::new(), |value| value.get_name().to_owned())
                };
                match filter {
                    Filter::Off => name(selector.to_possible_value()),
                    filter => {
                        name(selector.to_possible_value()) + "+" + &name(filter.to_possible_value())
                    }
                }
            }
            Self::Programs => "vote of programs".to_owned(),
            Self::Both => "vote of both".to_owned(),
            Self::Oracle => "oracle".to_owned(),
        }
    }

    /// Whether it looks at programs.
    pub fn needs_programs(self) -> bool {
        match self {
            Self::Sample | Self::Oracle => false,
            Self::Select(_, filter) => filter != Filter::Off,
            Self::Programs | Self::Both => true,
        }
    }

    /// Whether it looks at scores.
    pub fn needs_scores(self) -> bool {
        matches!(self, Self::Select(selector, _) if selector != Selector::Majority)
    }

    /// Whether it answers, rather than bound or average what answers would do.
    pub fn answers(self) -> bool {
        !matches!(self, Self::Sample | Self::Oracle)
    }
}

/// What the traces do not say of themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting {
    /// How answers are compared.
    pub rule: Rule,
    /// How large the models are.
    pub parameters: Parameters,
    /// Whether the reasoner took the most likely token each time.
    pub greedy: bool,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Problems evaluated.
    pub problems: usize,
    /// Mean number of candidates per problem.
    pub samples_mean: f64,
    /// Mean over problems of the share of right candidates: what one sample is worth.
    pub mean_sample: Estimate,
    /// What the first candidate reaches, where candidates were sampled greedily.
    pub greedy: Option<Estimate>,
    /// Share of problems with a right candidate among them: what a perfect selector would reach.
    pub oracle: Estimate,
    /// What each selector reaches.
    pub selectors: Vec<Selected>,
    /// What the most frequent of the programs' values reaches, without the candidates' answers.
    pub programs: Option<Estimate>,
    /// What the most frequent of answers and programs' values together reaches: the vote that
    /// spends the same tokens as the filter.
    pub both: Option<Estimate>,
    /// What the filter did, where there was anything to filter by.
    pub filter: Option<Filtered>,
    /// Problems of which fewer candidates were drawn because their votes were settled. Their shares
    /// over smaller N are biased: drawing ended when the leader was ahead.
    #[serde(default)]
    pub settled: usize,
    /// Problems that do not fit the reasoner's context, so that they have no candidates.
    #[serde(default)]
    pub too_long: usize,
    /// How well scores tell right from wrong.
    pub calibration: Option<Calibration>,
    /// Verdicts, by name and reason.
    pub verdicts: Vec<(String, usize)>,
    /// Programs executed, by outcome.
    pub executions: Vec<(String, usize)>,
    /// Tokens evaluated and generated, by all models; `None` of a recording, which tells no tokens.
    pub tokens: Option<u64>,
    /// Whether the costs below count 4 bytes of text as a token, for want of told ones.
    pub tokens_estimated: bool,
    /// Wall-clock time of all solves, in seconds.
    pub seconds: f64,
    /// Parameters of reasoner, coder and verifier, where known.
    pub parameters: (Option<u64>, Option<u64>, Option<u64>),
    /// Accuracy and cost of each way at every N.
    pub curves: Vec<Curve>,
    /// Each two ways that answer, at the N that was sampled.
    pub comparisons: Vec<Comparison>,
    /// Samples of the bootstrap, random orders of the subsets, and the seed of both.
    pub resamples_subsets_seed: (usize, usize, u64),
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
    /// Of all candidates, the share that is kept.
    pub kept: Option<f64>,
    /// Of the candidates kept, the share that is right.
    pub precision: Option<f64>,
    /// Of the right candidates, the share that is kept.
    pub recall: Option<f64>,
    /// Share of problems with a right candidate among those kept: the oracle after the filter.
    pub coverage: Estimate,
    /// Problems whose right candidates were all dropped while a wrong one stayed.
    pub lost: usize,
    /// Problems on which it dropped every candidate, so that all came back.
    pub all_dropped: usize,
}

/// Grades all traces.
pub fn grade(traces: &[Trace], rule: Rule) -> Vec<Graded> {
    traces
        .par_iter()
        .map(|trace| Graded::of(trace, rule))
        .collect()
}

/// Whether any candidate of a trace has a score, without which only majority means anything.
pub fn has_scores(trace: &Trace) -> bool {
    trace.candidates.iter().any(|traced| traced.score.is_some())
}

/// The ways that mean something for these traces; where the answer is a letter, programs compute none.
pub fn ways(traces: &[Trace], rule: Rule) -> Vec<Way> {
    let beside = |one: &TracedCandidate| one.verdict != Verdict::Unclear(Reason::Itself);
    let executed = |trace: &&Trace| {
        let mut candidates = trace.candidates.iter();
        candidates.any(|one| one.execution.is_some() && beside(one))
    };
    let mut executed = traces.iter().filter(executed);
    let judged = executed.clone().next().is_some();
    let voted = rule != Rule::Choice && executed.any(|trace| trace.task == Task::Math);
    Way::all(traces.iter().any(has_scores), judged, voted)
}

/// Summarises the traces of one run; `graded` is what [`grade`] made of them.
pub fn summarise(traces: &[Trace], graded: &[Graded], setting: &Setting) -> Summary {
    let ways = ways(traces, setting.rule);
    let numbers = curve::numbers(traces, graded, &ways, setting);
    let last = |way: Way| {
        let place = ways.iter().position(|one| *one == way)?;
        numbers.curves[place].points.last()
    };
    let accuracy = |way: Way| last(way).map(|point| point.accuracy);
    let none = wilson(0, traces.len());
    let selectors = ways.iter().filter_map(|way| match way {
        Way::Select(selector, filter) => Some(Selected {
            selector: *selector,
            filter: *filter,
            accuracy: accuracy(*way)?,
        }),
        _ => None,
    });

    let lengths: Vec<Vec<f64>> = traces.iter().map(lengths).collect();
    let candidates: usize = traces.iter().map(|trace| trace.candidates.len()).sum();
    let first_right = graded.iter().filter(|one| one.right.first() == Some(&true));
    let outcomes = traces
        .iter()
        .flat_map(|trace| &trace.candidates)
        .filter_map(|traced| Some(traced.execution.as_ref()?.outcome.name().to_owned()));
    let verdicts = graded
        .iter()
        .flat_map(|graded| graded.verdicts.iter().copied().map(verdict_name));
    let stopped = |why: fn(Why) -> bool| {
        let stopped = traces.iter().filter_map(|trace| trace.stopped);
        stopped.filter(|stopped| why(stopped.why)).count()
    };
    let tokens = |trace: &Trace| {
        let tokens = trace.tokens;
        tokens.prompt + tokens.sample + tokens.translate + tokens.score
    };
    let untold = cost::is_untold(traces);
    let Parameters {
        reasoner,
        coder,
        verifier,
    } = setting.parameters;
    Summary {
        problems: traces.len(),
        samples_mean: candidates as f64 / traces.len().max(1) as f64,
        mean_sample: accuracy(Way::Sample).unwrap_or(none),
        greedy: setting
            .greedy
            .then(|| wilson(first_right.count(), traces.len())),
        oracle: accuracy(Way::Oracle).unwrap_or(none),
        selectors: selectors.collect(),
        programs: accuracy(Way::Programs),
        both: accuracy(Way::Both),
        filter: ways
            .iter()
            .any(|way| way.needs_programs())
            .then(|| filtered(graded)),
        settled: stopped(|why| why == Why::Settled),
        too_long: stopped(|why| matches!(why, Why::TooLong { .. })),
        calibration: calibration::calibration(graded, &lengths),
        verdicts: counted(verdicts),
        executions: counted(outcomes),
        tokens: (!untold).then(|| traces.iter().map(tokens).sum()),
        tokens_estimated: untold,
        seconds: traces
            .iter()
            .fold(0.0, |sum, trace| sum + trace.timings_ms.total)
            / 1e3,
        parameters: (reasoner, coder, verifier),
        curves: numbers.curves,
        comparisons: numbers.comparisons,
        resamples_subsets_seed: (estimate::RESAMPLES, subset::SUBSETS, SEED),
    }
}

/// Each candidate's length: its tokens, or its bytes where a recording does not tell them.
fn lengths(trace: &Trace) -> Vec<f64> {
    let candidates = trace.candidates.iter().map(|traced| &traced.candidate);
    candidates
        .map(|candidate| match candidate.tokens {
            0 => candidate.text.len() as f64,
            tokens => f64::from(tokens),
        })
        .collect()
}

fn filtered(graded: &[Graded]) -> Filtered {
    let all = || {
        graded
            .iter()
            .flat_map(|one| one.verdicts.iter().copied().zip(one.right.iter().copied()))
    };
    let kept = |verdict: Verdict| verdict != Verdict::Disagrees;
    let coverage = graded.iter().filter(|one| one.survives()).count();
    let lost = graded.iter().filter(|one| one.lost());
    Filtered {
        clear: share(all().map(|(verdict, _)| !matches!(verdict, Verdict::Unclear(_)))),
        kept: share(all().map(|(verdict, _)| kept(verdict))),
        precision: share(
            all()
                .filter(|(verdict, _)| kept(*verdict))
                .map(|(_, right)| right),
        ),
        recall: share(
            all()
                .filter(|(_, right)| *right)
                .map(|(verdict, _)| kept(verdict)),
        ),
        coverage: wilson(coverage, graded.len()),
        lost: lost.count(),
        all_dropped: graded.iter().filter(|one| one.all_dropped()).count(),
    }
}

/// A verdict as tables show it.
pub fn verdict_name(verdict: Verdict) -> String {
    match verdict {
        Verdict::Agrees => "agrees".to_owned(),
        Verdict::Disagrees => "disagrees".to_owned(),
        Verdict::Unclear(reason) => format!("unclear: {}", reason_name(reason)),
    }
}

fn reason_name(reason: Reason) -> String {
    let name = serde_json::to_value(reason);
    let name = name.ok().and_then(|name| name.as_str().map(str::to_owned));
    name.unwrap_or_default().replace('_', " ")
}

/// How often each name occurs, most frequent first.
fn counted(names: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for name in names {
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn share(flags: impl Iterator<Item = bool>) -> Option<f64> {
    let (mut count, mut all) = (0_usize, 0_usize);
    for flag in flags {
        count += usize::from(flag);
        all += 1;
    }
    (all > 0).then(|| count as f64 / all as f64)
}
