//! Solves a benchmark, problem by problem, and records every trace as it is finished.
//!
//! Out: a folder with `run.json` (what was run), `traces.jsonl` (one line per problem, flushed as
//! it is written) and `summary.json`. A run that was stopped goes on where it ended.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::metrics::{Summary, summarise};
use crate::{
    error::{Error, Result},
    execute::Sandbox,
    problem::Problem,
    solve::{self, Models, Options, solve},
    task::Benchmark,
    trace::Trace,
};

/// What makes two runs the same run; `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Version of this crate.
    pub version: String,
    /// The benchmark.
    pub benchmark: String,
    /// Problems asked for.
    pub problems: usize,
    /// Role, name and SHA-256 of each model.
    pub models: Vec<(String, String, String)>,
    /// Candidates per problem.
    pub samples: usize,
    /// How the reasoner draws.
    pub sampling: String,
    /// Selector and filter by which the traces' own answers were chosen.
    pub rule: String,
    /// Where every random choice came from.
    pub seed: u64,
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
    progress: &dyn Fn(usize, usize),
) -> Result<Summary> {
    fs::create_dir_all(out).map_err(|source| Error::Write {
        path: out.to_owned(),
        source,
    })?;
    claim(out, description)?;
    let path = out.join("traces.jsonl");
    let mut traces = finished(&path)?;
    let ids: HashSet<String> = traces.iter().map(|trace| trace.id.clone()).collect();
    let write_error = |source| Error::Write {
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .map_err(write_error)?;
    let mut file = BufWriter::new(file);

    progress(traces.len(), problems.len());
    let quiet = |_: solve::Stage, _: usize, _: usize| {};
    for problem in problems
        .iter()
        .filter(|problem| !ids.contains(&problem.question.id))
    {
        let id = &problem.question.id;
        let mut trace = solve(&problem.question, models, sandbox, options, &quiet)
            .map_err(|error| named(id, error))?;
        trace.correct = Some(benchmark.is_correct(trace.answer.as_deref(), &problem.reference));
        trace.reference = Some(problem.reference.clone());
        serde_json::to_writer(&mut file, &trace).map_err(|source| write_error(source.into()))?;
        file.write_all(b"\n")
            .and_then(|()| file.flush())
            .map_err(write_error)?;
        traces.push(trace);
        progress(traces.len(), problems.len());
    }
    let summary = summarise(&traces, benchmark);
    write_json(&out.join("summary.json"), &summary)?;
    Ok(summary)
}

/// Says which question does not fit the context.
fn named(id: &str, error: Error) -> Error {
    match error {
        Error::Context { .. } => Error::Question {
            id: id.to_owned(),
            reason: error.to_string(),
        },
        other => other,
    }
}

/// Writes `run.json`, or checks that the run found there is this one.
fn claim(out: &Path, description: &Description) -> Result<()> {
    let path = out.join("run.json");
    let Ok(text) = fs::read_to_string(&path) else {
        return write_json(&path, description);
    };
    let found: Description = serde_json::from_str(&text).map_err(|source| Error::Row {
        path: path.clone(),
        line: source.line(),
        reason: source.to_string(),
    })?;
    if found == *description {
        return Ok(());
    }
    let (found, asked) = (
        serde_json::to_value(&found),
        serde_json::to_value(description),
    );
    let (found, asked) = (found.unwrap_or_default(), asked.unwrap_or_default());
    let differs = asked
        .as_object()
        .into_iter()
        .flatten()
        .find(|(key, value)| found.get(key) != Some(*value));
    let (key, value) = differs.map_or((String::new(), String::new()), |(key, value)| {
        (key.clone(), value.to_string())
    });
    let before = found.get(&key).map(ToString::to_string).unwrap_or_default();
    Err(Error::Options(format!(
        "{} holds another run: its {key} is {before}, not {value}; use another --out, or remove it",
        out.display()
    )))
}

/// The traces a stopped run left; a last line that was cut off is removed from the file.
fn finished(path: &PathBuf) -> Result<Vec<Trace>> {
    let Ok(bytes) = fs::read(path) else {
        return Ok(Vec::new());
    };
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |place| place + 1);
    if whole < bytes.len() {
        let cut = OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(whole as u64));
        cut.map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
    }
    read_traces(path)
}

/// Reads a file of traces.
///
/// # Errors
/// A file that cannot be read; a line that is not a trace.
pub fn read_traces(path: &Path) -> Result<Vec<Trace>> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|source| Error::Row {
            path: path.to_owned(),
            line: index + 1,
            reason: source.to_string(),
        })
    };
    text.lines().enumerate().map(parse).collect()
}

/// Writes a JSON file under a temporary name and renames it.
fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let error = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let temporary = path.with_extension("json.part");
    let file = File::create(&temporary).map_err(error)?;
    serde_json::to_writer_pretty(&file, value).map_err(|source| error(source.into()))?;
    file.sync_all().map_err(error)?;
    fs::rename(&temporary, path).map_err(error)
}
