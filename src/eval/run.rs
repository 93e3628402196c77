//! Solves a benchmark, problem by problem, and records every trace as it is finished.
//!
//! Out: a folder with `run.json` (what was run), `traces.jsonl` (one line per problem, written as it
//! is finished, in the end in the problems' order) and `summary.json`. A run that was stopped, at
//! whatever moment, goes on where it ended and comes to the same traces.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    str::FromStr,
    sync::atomic::Ordering,
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{metrics::Summary, report};
use crate::{
    answer::Rule,
    error::{Error, Result, in_words},
    execute::Sandbox,
    jsonl,
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
    /// Problems asked for, those of other shards included.
    pub problems: usize,
    /// SHA-256 of their ids, texts and references, in hexadecimal.
    pub problems_sha256: String,
    /// Id and gold answer of the rows that were left out because that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<(String, String)>,
    /// Which of the problems this run solves, where it does not solve all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
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

/// Every n-th problem, so that n machines share a run; written `i/n`, i from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// Which one, from 1.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// Whether the problem at this place, from 0, is the shard's.
    pub fn holds(self, place: usize) -> bool {
        place % self.of == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let shard = parts.and_then(|(index, of)| {
            let (index, of) = (index.parse().ok()?, of.parse().ok()?);
            Some(Self { index, of })
        });
        shard
            .filter(|shard| (1..=shard.of).contains(&shard.index))
            .ok_or_else(|| "it must be i/n with i from 1 to n, as in 2/4".to_owned())
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        format!("{}/{}", shard.index, shard.of)
    }
}

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
    tell: &dyn Fn(Event),
) -> Result<Summary> {
    unique(problems)?;
    create_folder(out)?;
    let _lock = lock(out)?;
    let path = out.join("traces.jsonl");
    claim(out, description, &path)?;
    let mut traces = finished(&path, tell)?;
    let mut record = Record::open(&path, traces.len())?;
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
            "stopped after {} of {} problems; start it again with the same --out to go on",
            traces.len(),
            mine.len()
        )));
    }
    // Lines are in the order of finishing, which chance has a part in, until all are there.
    if put_in_order(&mut traces, &mine) {
        write_traces(&path, &traces)?;
    }
    let run = report::Run::of(report::name(out), description.clone(), traces);
    run.write(out)?;
    Ok(run.summary)
}

/// Makes a folder, unless it is there.
pub(super) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| write_error(path, source))
}

/// `traces.jsonl`, open for more.
struct Record {
    path: PathBuf,
    file: File,
    /// Bytes and traces that are safe in it.
    bytes: u64,
    traces: usize,
}

impl Record {
    fn open(path: &Path, traces: usize) -> Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let opened = file.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes, file) = opened.map_err(|source| write_error(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes,
            traces,
        })
    }

    /// Adds a line, in one call to the system: a process that is killed leaves it whole, or cut off
    /// at its end.
    fn add(&mut self, trace: &Trace) -> Result<()> {
        let mut line = serde_json::to_vec(trace).expect("a trace is JSON");
        line.push(b'\n');
        if let Err(source) = self.file.write_all(&line) {
            // What was written of the line; where even that fails, the next start removes it.
            let _ = self.file.set_len(self.bytes);
            let message = format!(
                "{source}; the {} problems that were finished are safe, and the same command goes on from there",
                self.traces
            );
            return Err(write_error(
                &self.path,
                io::Error::new(source.kind(), message),
            ));
        }
        self.bytes += line.len() as u64;
        self.traces += 1;
        Ok(())
    }
}

/// Sorts traces as the problems are; whether they were not.
fn put_in_order(traces: &mut [Trace], problems: &[&Problem]) -> bool {
    let ids = problems.iter().map(|problem| problem.question.id.as_str());
    let places: HashMap<&str, usize> = ids.zip(0..).collect();
    let place = |trace: &Trace| places.get(trace.id.as_str()).copied();
    if traces.is_sorted_by_key(place) {
        return false;
    }
    traces.sort_by_key(place);
    true
}

pub(super) fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source,
    }
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
pub(super) fn lock(out: &Path) -> Result<File> {
    let path = out.join("run.lock");
    let file = File::create(&path).map_err(|source| write_error(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Options(format!(
            "another rerank is writing into {}; wait for it, or use another --out",
            out.display()
        ))),
        Err(TryLockError::Error(source)) => Err(write_error(&path, source)),
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
    let (key, before, now) = difference(&found, description);
    Err(Error::Options(format!(
        "{} holds another run ({key} is {before} there and {now} here); use another --out, or remove it",
        out.display()
    )))
}

/// The first field in which two descriptions differ, and what it is in each.
pub(super) fn difference(left: &Description, right: &Description) -> (String, String, String) {
    let fields = |of| match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (left, right) = (fields(left), fields(right));
    let differs = |key: &&String| left.get(*key) != right.get(*key);
    let key = left.keys().chain(right.keys()).find(differs);
    let key = key.cloned().unwrap_or_default();
    let value =
        |of: &Map<String, Value>| of.get(&key).map_or("nothing".to_owned(), Value::to_string);
    (key.clone(), value(&left), value(&right))
}

/// The traces a stopped run left; a last line that was cut off is removed from the file.
fn finished(path: &Path, tell: &dyn Fn(Event)) -> Result<Vec<Trace>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(Error::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    let whole = end.map_or(0, |place| place + 1);
    if whole < bytes.len() {
        let file = OpenOptions::new().write(true).open(path);
        file.and_then(|file| file.set_len(whole as u64))
            .map_err(|source| write_error(path, source))?;
        let bytes = bytes.len() - whole;
        tell(Event::Repaired { path, bytes });
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
        reason: in_words(&source),
    })
}

/// Reads a file of traces. A last line without its end is one that is being written, or whose
/// writer was stopped: it is passed over.
///
/// # Errors
/// A file that cannot be read; a line that is not a trace.
pub fn read_traces(path: &Path) -> Result<Vec<Trace>> {
    let mut bytes = jsonl::read(path)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    let torn = bytes.split_off(end.map_or(0, |place| place + 1));
    if serde_json::from_slice::<Trace>(&torn).is_ok() {
        bytes.extend(torn);
    }
    let parse = |(line, text): (usize, Result<&str, String>)| {
        let trace = text.and_then(|text| serde_json::from_str(text).map_err(|e| in_words(&e)));
        trace.map_err(|reason| Error::Row {
            path: path.to_owned(),
            line,
            reason: format!("this is no trace ({reason}); without the line the rest can be used"),
        })
    };
    let lines: Vec<_> = jsonl::lines(&bytes).collect();
    lines.into_par_iter().map(parse).collect()
}

/// Writes a file of traces, whole or not at all.
pub(super) fn write_traces(path: &Path, traces: &[Trace]) -> Result<()> {
    write_whole(path, |file| {
        let mut file = BufWriter::new(file);
        for trace in traces {
            serde_json::to_writer(&mut file, trace)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    })
}

/// Writes a JSON file, whole or not at all.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_whole(path, |file| Ok(serde_json::to_writer_pretty(file, value)?))
}

/// Writes a file under a temporary name and renames it; where it cannot be written, the one that
/// was there stays.
fn write_whole(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let written = File::create(&temporary).and_then(|file| {
        write(&file)?;
        file.sync_all()
    });
    let written = written.and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        write_error(path, source)
    })
}
