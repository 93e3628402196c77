//! Solves a benchmark, problem by problem, and records every trace as it is finished.
//!
//! Out: a folder with `run.json` (what was run), `traces.jsonl` (one line per problem, written as it
//! is finished, in the end in the problems' order) and `summary.json`. A run that was stopped, at
//! whatever moment, goes on where it ended and comes to the same traces; with `--deterministic` models
//! bit by bit.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::atomic::Ordering,
};

use super::{
    description::Description,
    folder::{Record, claim, create_folder, put_in_order},
    report::{self, Run},
};
use crate::{
    error::{Error, Result},
    execute::Sandbox,
    lock::lock,
    problem::Problem,
    solve::{self, Models, Options, solve_all},
    task::Benchmark,
    trace::{Trace, Why},
};

/// What is told as a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The last line of a stopped run's traces was cut off, and was removed.
    Repaired {
        /// The file.
        path: &'a Path,
        /// Bytes removed.
        bytes: usize,
    },
    /// Problems are solved.
    Solved {
        /// So many, those of an earlier start included.
        done: usize,
        /// Of so many.
        all: usize,
    },
}

/// Solves what `out` does not hold yet, and summarises all of it.
///
/// # Errors
/// A folder that holds another run; a file that cannot be written; what `solve` reports.
#[expect(
    clippy::too_many_arguments,
    reason = "each is one thing the caller decides"
)]
pub fn run(
    benchmark: &Benchmark,
    problems: &[Problem],
    models: &mut Models,
    sandbox: &Sandbox,
    options: &Options,
    description: &Description,
    out: &Path,
    tell: &dyn Fn(Event),
) -> Result<Run> {
    unique(problems)?;
    create_folder(out)?;
    let _lock = lock(out)?;
    let path = out.join("traces.jsonl");
    claim(out, description, &path)?;
    let (mut record, mut traces, bytes) = Record::open(&path)?;
    if bytes > 0 {
        let path = &path;
        tell(Event::Repaired { path, bytes });
    }
    let ids: HashSet<String> = traces.iter().map(|trace| trace.id.clone()).collect();
    let mine: Vec<&Problem> = problems
        .iter()
        .enumerate()
        .filter(|(place, _)| description.shard.is_none_or(|shard| shard.holds(*place)))
        .map(|(_, problem)| problem)
        .collect();
    let told = |done| {
        let all = mine.len();
        tell(Event::Solved { done, all });
    };

    told(traces.len());
    let quiet = |_: solve::Stage, _: usize, _: usize| {};
    let by_id: HashMap<&str, &Problem> = mine
        .iter()
        .map(|problem| (problem.question.id.as_str(), *problem))
        .collect();
    let mut left = mine
        .iter()
        .map(|problem| &problem.question)
        .filter(|question| !ids.contains(&question.id));
    let mut keep = |mut trace: Trace| {
        if trace
            .stopped
            .is_some_and(|stopped| stopped.why == Why::Interrupted)
        {
            // It is solved as a whole when the run goes on.
            return Ok(());
        }
        let problem = by_id[trace.id.as_str()];
        benchmark.mark(&mut trace, problem, sandbox, &options.limits);
        record.add(&trace)?;
        traces.push(trace);
        told(traces.len());
        Ok(())
    };
    solve_all(&mut left, models, sandbox, options, &quiet, &mut keep)?;
    if options.interrupted.load(Ordering::Relaxed) {
        return Err(Error::Options(format!(
            "stopped after {} of {} problems; a run with --out goes on when it is started again",
            traces.len(),
            mine.len()
        )));
    }
    // Lines are in the order of finishing, which chance has a part in, until all are there.
    let ids = mine.iter().map(|problem| problem.question.id.as_str());
    put_in_order(&path, &mut traces, ids)?;
    let run = Run::of(report::name(out), description.clone(), traces);
    run.write(out)?;
    Ok(run)
}

/// Checks that ids tell problems apart: a run that was stopped goes on by them.
fn unique(problems: &[Problem]) -> Result<()> {
    let mut ids = HashSet::new();
    match problems
        .iter()
        .find(|problem| !ids.insert(&problem.question.id))
    {
        None => Ok(()),
        Some(twice) => Err(Error::Question {
            id: twice.question.id.clone(),
            reason: "two problems have this id; give each its own".to_owned(),
        }),
    }
}
