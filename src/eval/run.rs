//! Solves a benchmark, problem by problem, and records every trace as it is finished.
//!
//! Out: a folder with `run.json` (what was run), `traces.jsonl` (one line per problem, flushed as
//! it is written) and `summary.json`. A run that was stopped goes on where it ended.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions, TryLockError},
    io::{BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{metrics::Summary, report};
use crate::{
    answer::Rule,
    error::{Error, Result},
    execute::Sandbox,
    problem::Problem,
    solve::{self, Models, Options, solve_all},
    task::Benchmark,
    trace::{Trace, Why},
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
    /// SHA-256 of their ids, texts and references, in hexadecimal.
    pub problems_sha256: String,
    /// How answers are found and compared.
    pub answers: Rule,
    /// Role, name and SHA-256 of each model.
    pub models: Vec<(String, String, String)>,
    /// Role and number of parameters of each model, where known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<(String, u64)>,
    /// Candidates per problem.
    pub samples: usize,
    /// How the reasoner draws.
    pub sampling: String,
    /// Selector and filter by which the traces' own answers were chosen.
    pub rule: String,
    /// Where every random choice came from.
    pub seed: u64,
}

/// SHA-256 of the problems' ids, texts and references, in hexadecimal.
pub fn problems_sha256(problems: &[Problem]) -> String {
    let mut hash = Sha256::new();
    for Problem {
        question,
        reference,
    } in problems
    {
        let parts = [&question.id, &question.text, &reference.answer];
        for part in parts.into_iter().chain(&reference.tests) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    format!("{:x}", hash.finalize())
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
    create_folder(out)?;
    unique(problems)?;
    let _lock = lock(out)?;
    let path = out.join("traces.jsonl");
    claim(out, description, &path)?;
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
    let by_id: HashMap<&str, &Problem> = problems
        .iter()
        .map(|problem| (problem.question.id.as_str(), problem))
        .collect();
    let mut left = problems
        .iter()
        .map(|problem| &problem.question)
        .filter(|question| !ids.contains(&question.id));
    let mut record = |mut trace: Trace| {
        if trace
            .stopped
            .is_some_and(|stopped| stopped.why == Why::Interrupted)
        {
            // It is solved as a whole when the run goes on.
            return Ok(());
        }
        let problem = by_id[trace.id.as_str()];
        trace.correct = Some(benchmark.is_correct(trace.answer.as_deref(), &problem.reference));
        trace.reference = Some(problem.reference.clone());
        serde_json::to_writer(&mut file, &trace).map_err(|source| write_error(source.into()))?;
        file.write_all(b"\n")
            .and_then(|()| file.flush())
            .map_err(write_error)?;
        traces.push(trace);
        progress(traces.len(), problems.len());
        Ok(())
    };
    solve_all(&mut left, models, sandbox, options, &quiet, &mut record)?;
    if options.interrupted.load(Ordering::Relaxed) {
        return Err(Error::Options(format!(
            "stopped after {} of {} problems; start it again with the same --out to go on",
            traces.len(),
            problems.len()
        )));
    }
    let place: HashMap<&str, usize> = problems
        .iter()
        .zip(0..)
        .map(|(problem, place)| (problem.question.id.as_str(), place))
        .collect();
    // Lines are in the order of finishing, which chance has a part in, until all are there.
    let place_of = |trace: &Trace| place.get(trace.id.as_str()).copied();
    if !traces.is_sorted_by_key(place_of) {
        traces.sort_by_key(place_of);
        write_traces(&path, &traces)?;
    }
    let run = report::Run::of(report::name(out), description.clone(), traces);
    run.write(out)?;
    Ok(run.summary)
}

/// Makes a folder, unless it is there.
pub(super) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
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

/// Keeps other processes from writing into the folder while the returned file lives.
fn lock(out: &Path) -> Result<File> {
    let path = out.join("run.lock");
    let file = File::create(&path).map_err(|source| Error::Write {
        path: path.clone(),
        source,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Options(format!(
            "another rerank is writing into {}; wait for it, or use another --out",
            out.display()
        ))),
        Err(TryLockError::Error(source)) => Err(Error::Write { path, source }),
    }
}

/// Writes `run.json`, or checks that the run found there is this one.
fn claim(out: &Path, description: &Description, traces: &Path) -> Result<()> {
    let path = out.join("run.json");
    if fs::metadata(traces).map_or(0, |file| file.len()) == 0 {
        // Nothing to lose: a run that solved no problem.
        return write_json(&path, description);
    }
    if !path.exists() {
        return Err(Error::Options(format!(
            "{} holds traces but no run.json that says of what; use another --out",
            out.display()
        )));
    }
    let found = read_description(out)?;
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
        "{} holds another run ({key} is {before} there and {value} here); use another --out, or remove it",
        out.display()
    )))
}

/// The traces a stopped run left; a last line that was cut off is removed from the file.
fn finished(path: &PathBuf) -> Result<Vec<Trace>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(Error::Read {
                path: path.clone(),
                source,
            });
        }
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

/// Reads what was run in a folder.
///
/// # Errors
/// A folder without a `run.json` that can be read.
pub fn read_description(out: &Path) -> Result<Description> {
    let path = out.join("run.json");
    let text = fs::read_to_string(&path).map_err(|source| Error::Read {
        path: path.clone(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| Error::Row {
        path,
        line: source.line(),
        reason: source.to_string(),
    })
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
            reason: format!("this is no trace ({source}); without the line the rest can be used"),
        })
    };
    let lines: Vec<(usize, &str)> = text.lines().enumerate().collect();
    lines.into_par_iter().map(parse).collect()
}

/// Writes a file of traces under a temporary name and renames it.
fn write_traces(path: &Path, traces: &[Trace]) -> Result<()> {
    let error = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let temporary = path.with_extension("jsonl.part");
    let mut file = BufWriter::new(File::create(&temporary).map_err(error)?);
    for trace in traces {
        serde_json::to_writer(&mut file, trace).map_err(|source| error(source.into()))?;
        file.write_all(b"\n").map_err(error)?;
    }
    let file = file
        .into_inner()
        .map_err(|source| error(source.into_error()))?;
    file.sync_all().map_err(error)?;
    fs::rename(&temporary, path).map_err(error)
}

/// Writes a JSON file under a temporary name and renames it.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
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
