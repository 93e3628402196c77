//! A trace reduced to what the numbers need: who is right, who agrees with whom, what was chosen.

use std::collections::HashMap;

use crate::{
    answer::{self, Rule},
    problem::Task,
    select::{Evidence, Filter, Selector, classes, lots, select},
    trace::{Outcome, Ranking, Score, Trace, TracedCandidate, Verdict},
};

use super::{Way, subset};

/// What is known of one problem's candidates; lists have one entry per candidate.
#[derive(Clone, Debug)]
pub struct Graded {
    /// The problem's id.
    pub id: String,
    /// Whether each candidate is right.
    pub right: Vec<bool>,
    /// The class of equal answers each belongs to.
    pub classes: Vec<Option<usize>>,
    /// Each one's verdict.
    pub verdicts: Vec<Verdict>,
    /// Each one's score.
    pub scores: Vec<Option<Score>>,
    /// What the programs say for themselves.
    pub programs: Programs,
    /// The classes of all answers and then of all programs' values: the vote of both.
    pub both: Vec<Option<usize>>,
    /// What every selector chose, with and without the filter.
    pub rankings: Vec<(Selector, Filter, Ranking)>,
}

/// The programs' values as answers of their own; one entry per candidate.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The answer in each program's value.
    pub answers: Vec<Option<String>>,
    /// The class of equal values each belongs to.
    pub classes: Vec<Option<usize>>,
    /// Whether each value is right.
    pub right: Vec<bool>,
}

impl Graded {
    /// Grades a trace. A candidate whose correctness was recorded, as that of a program run
    /// against hidden tests, is taken at its word.
    pub fn of(trace: &Trace, rule: Rule) -> Self {
        let candidates = &trace.candidates;
        let mut known = HashMap::new();
        let mut equal = |answer: Option<&str>| {
            answer.is_some_and(|answer| is_right(answer, trace, rule, &mut known))
        };
        let right = candidates
            .iter()
            .map(|traced| {
                let recorded = traced.correct;
                recorded.unwrap_or_else(|| equal(traced.candidate.answer.as_deref()))
            })
            .collect();

        let answers = answers(candidates);
        let values = values(candidates, rule);
        let programs: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        let both: Vec<Option<&str>> = answers.iter().chain(&programs).copied().collect();
        let classes = classes_of(trace, rule);
        Self {
            id: trace.id.clone(),
            right,
            both: match trace.task {
                Task::Math => answer::classes(&both, rule),
                // A candidate's program is the candidate: it has no other value to vote with.
                Task::Code => classes
                    .iter()
                    .chain(&vec![None; classes.len()])
                    .copied()
                    .collect(),
            },
            classes,
            verdicts: candidates.iter().map(|traced| traced.verdict).collect(),
            scores: candidates.iter().map(|traced| traced.score).collect(),
            programs: Programs {
                classes: answer::classes(&programs, rule),
                right: programs.iter().map(|value| equal(*value)).collect(),
                answers: values,
            },
            rankings: rankings(trace, rule),
        }
    }

    /// Whether a way is right about all candidates; for a sample the share that is right.
    pub fn chance(&self, way: Way) -> f64 {
        let right = match way {
            Way::Sample => return share(&self.right),
            Way::Select(selector, filter) => {
                let chosen = self.chosen(selector, filter);
                chosen.is_some_and(|index| self.right[index])
            }
            Way::Programs | Way::Both | Way::Oracle => subset::is_right(self, way, &self.all()),
        };
        f64::from(u8::from(right))
    }

    /// What a selector chose.
    pub fn chosen(&self, selector: Selector, filter: Filter) -> Option<usize> {
        let found = self
            .rankings
            .iter()
            .find(|(by, with, _)| (*by, *with) == (selector, filter));
        found.and_then(|(.., ranking)| ranking.chosen)
    }

    /// The answer of the vote of programs.
    pub fn answer_of_programs(&self) -> Option<&str> {
        self.programs.answers[subset::programs(self, &self.all())?].as_deref()
    }

    /// The answer of the vote of answers and programs together.
    pub fn answer_of_both<'a>(&'a self, trace: &'a Trace) -> Option<&'a str> {
        let (index, of_program) = subset::both(self, &self.all())?;
        if of_program {
            self.programs.answers[index].as_deref()
        } else {
            trace.candidates[index].candidate.answer.as_deref()
        }
    }

    /// Whether the filter dropped every candidate, so that all came back.
    pub fn all_dropped(&self) -> bool {
        let mut rules = self.rankings.iter().map(|(.., ranking)| &ranking.rule);
        rules.any(|rule| rule.ends_with(":all-dropped"))
    }

    /// Whether a right candidate is among those the filter kept.
    pub fn survives(&self) -> bool {
        let mut candidates = self.verdicts.iter().zip(&self.right);
        candidates.any(|(verdict, right)| *right && *verdict != Verdict::Disagrees)
    }

    /// Whether the filter dropped every right candidate, and not all.
    pub fn lost(&self) -> bool {
        self.right.contains(&true) && !self.survives() && !self.all_dropped()
    }

    /// All candidates, in the order of their lots.
    fn all(&self) -> Vec<usize> {
        let lots = lots(&self.id, self.right.len());
        let mut all: Vec<usize> = (0..lots.len()).collect();
        all.sort_by_key(|index| lots[*index]);
        all
    }
}

/// What every selector, with and without the filter, makes of a trace.
pub fn rankings(trace: &Trace, rule: Rule) -> Vec<(Selector, Filter, Ranking)> {
    let candidates = &trace.candidates;
    let verdicts: Vec<Verdict> = candidates.iter().map(|traced| traced.verdict).collect();
    let scores: Vec<Option<Score>> = candidates.iter().map(|traced| traced.score).collect();
    let classes = classes_of(trace, rule);
    let evidence = Evidence {
        classes: &classes,
        verdicts: &verdicts,
        scores: &scores,
        lots: &lots(&trace.id, candidates.len()),
    };
    Way::selections()
        .map(|(selector, filter)| (selector, filter, select(evidence, selector, filter)))
        .collect()
}

/// The class of equal answers that each of a trace's candidates belongs to.
fn classes_of(trace: &Trace, rule: Rule) -> Vec<Option<usize>> {
    let outputs = trace
        .candidates
        .iter()
        .map(|traced| traced.outputs.as_slice());
    let outputs: Vec<&[String]> = outputs.collect();
    classes(trace.task, &answers(&trace.candidates), &outputs, rule)
}

fn answers(candidates: &[TracedCandidate]) -> Vec<Option<&str>> {
    candidates
        .iter()
        .map(|traced| traced.candidate.answer.as_deref())
        .collect()
}

/// The answers in what the programs that ended computed.
fn values(candidates: &[TracedCandidate], rule: Rule) -> Vec<Option<String>> {
    let mut known: HashMap<&str, Option<String>> = HashMap::new();
    candidates
        .iter()
        .map(|traced| {
            let execution = traced.execution.as_ref()?;
            let value = execution.value.as_deref()?;
            if execution.outcome != Outcome::Finished {
                return None;
            }
            let read = || answer::extract(value, rule).map(|found| found.text);
            known.entry(value).or_insert_with(read).clone()
        })
        .collect()
}

/// Whether an answer is the reference's; the same answer is compared once.
fn is_right(answer: &str, trace: &Trace, rule: Rule, known: &mut HashMap<String, bool>) -> bool {
    if let Some(right) = known.get(answer) {
        return *right;
    }
    let reference = trace.reference.as_ref();
    let right = reference.is_some_and(|gold| answer::equal(&gold.answer, answer, rule).equal);
    known.insert(answer.to_owned(), right);
    right
}

fn share(flags: &[bool]) -> f64 {
    let right = flags.iter().filter(|flag| **flag).count();
    right as f64 / flags.len().max(1) as f64
}
