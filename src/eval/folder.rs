//! The folder of a run: `run.json` says what it is, `traces.jsonl` holds a line per problem that is
//! finished. What was written is safe at any moment: a line that was cut off is removed, and other
//! files are written whole or not at all.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::description::{Description, difference};
use crate::{
    error::{Error, Result, in_words},
    file::{stream_whole, write_json},
    jsonl,
    trace::Trace,
};

/// Makes a folder, unless it is there.
pub(super) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| write_error(path, source))
}

/// Writes `run.json`, or checks that the run found there is this one.
pub(super) fn claim(out: &Path, description: &Description, traces: &Path) -> Result<()> {
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
    if found.is_same(description) {
        return Ok(());
    }
    let (key, before, now) = difference(&found, description);
    Err(Error::Options(format!(
        "{} holds another run ({key} is {before} there and {now} here); use another --out, or remove it",
        out.display()
    )))
}

/// `traces.jsonl`, open for more.
pub(super) struct Record {
    path: PathBuf,
    file: File,
    /// Bytes and traces that are safe in it.
    bytes: u64,
    traces: usize,
}

impl Record {
    pub fn open(path: &Path, traces: usize) -> Result<Self> {
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
    pub fn add(&mut self, trace: &Trace) -> Result<()> {
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

/// The traces a stopped run left, and the bytes of a last line that was cut off, which is removed from
/// the file.
pub(super) fn finished(path: &Path) -> Result<(Vec<Trace>, usize)> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok((Vec::new(), 0)),
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
    }
    Ok((read_traces(path)?, bytes.len() - whole))
}

/// Reads what was run in a folder.
///
/// # Errors
/// A folder without a `run.json` that can be read.
pub fn read_description(out: &Path) -> Result<Description> {
    let path = out.join("run.json");
    let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::Options(format!(
            "{} is no run: name a folder that `rerank eval --out` wrote",
            out.display()
        )),
        _ => Error::Read {
            path: path.clone(),
            source,
        },
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
/// A file that cannot be read; a line that is not a trace, or one more of the same problem.
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
    let numbers: Vec<usize> = lines.iter().map(|(line, _)| *line).collect();
    let traces: Vec<Trace> = lines.into_par_iter().map(parse).collect::<Result<_>>()?;
    let mut line_of = HashMap::new();
    for (trace, line) in traces.iter().zip(numbers) {
        if let Some(first) = line_of.insert(&trace.id, line) {
            return Err(Error::Row {
                path: path.to_owned(),
                line,
                reason: format!(
                    "problem {} has a line already, line {first}; remove one of them",
                    trace.id
                ),
            });
        }
    }
    Ok(traces)
}

/// Writes a file of traces, whole or not at all.
pub(super) fn write_traces(path: &Path, traces: &[Trace]) -> Result<()> {
    stream_whole(path, |file| {
        let mut file = BufWriter::new(file);
        for trace in traces {
            serde_json::to_writer(&mut file, trace)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    })
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source,
    }
}
