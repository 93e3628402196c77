//! The folder of a run: `run.json` says what it is, `traces.jsonl` holds a line per problem that is
//! finished. What was written is safe at any moment: a line that was cut off is removed, and other
//! files are written whole or not at all.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde::de::IgnoredAny;

use super::description::{Description, difference};
use crate::{
    error::{Error, Result, in_words},
    file::{stream_whole, write_json},
    jsonl::{self, row_error},
    lock::hold,
    trace::Trace,
};

/// Makes a folder, unless it is there.
pub(super) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::write(path))
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

/// A file of traces, open for more of them; no other process writes into it meanwhile.
pub struct Record {
    path: PathBuf,
    file: File,
    /// Bytes and traces that are safe in it.
    bytes: u64,
    traces: usize,
}

impl Record {
    /// Opens a file or begins it; with the traces that a stopped run left in it, and the bytes of a
    /// last line that was cut off, which is removed.
    ///
    /// # Errors
    /// Another process writes into the file; it cannot be read or written; a line that is no trace,
    /// and then nothing is removed.
    pub fn open(path: &Path) -> Result<(Self, Vec<Trace>, usize)> {
        let error = Error::write(path);
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path);
        let mut file = file.map_err(&error)?;
        hold(&file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::read(path))?;
        let last = &bytes[end_of_lines(&bytes)..];
        let lacks_end = serde_json::from_slice::<Trace>(last).is_ok();
        if lacks_end {
            bytes.push(b'\n');
        }
        let (whole, torn) = bytes.split_at(end_of_lines(&bytes));
        let traces = parse(whole, path)?;
        if lacks_end {
            file.write_all(b"\n").map_err(&error)?;
        }
        // A file that somebody else wrote is left as it is: no trace that was cut off is whole JSON.
        const BEGINNING: &[u8] = b"{\"id\":\"";
        let cut_off = torn.starts_with(BEGINNING) || BEGINNING.starts_with(torn);
        if !cut_off || serde_json::from_slice::<IgnoredAny>(torn).is_ok() {
            return Err(row_error(path, traces.len() + 1, "this is no trace"));
        }
        if !torn.is_empty() {
            file.set_len(whole.len() as u64).map_err(&error)?;
        }
        let record = Self {
            path: path.to_owned(),
            file,
            bytes: whole.len() as u64,
            traces: traces.len(),
        };
        Ok((record, traces, torn.len()))
    }

    /// Adds a line, in one call to the system: a process that is killed leaves it whole, or cut off
    /// at its end.
    ///
    /// # Errors
    /// [`Error::Write`] where the disk refuses; the lines before are safe.
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
            let source = io::Error::new(source.kind(), message);
            return Err(Error::write(&self.path)(source));
        }
        self.bytes += line.len() as u64;
        self.traces += 1;
        Ok(())
    }
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
    let bytes = jsonl::read(path)?;
    let (whole, torn) = bytes.split_at(end_of_lines(&bytes));
    match serde_json::from_slice::<Trace>(torn) {
        Ok(_) => parse(&bytes, path),
        Err(_) => parse(whole, path),
    }
}

/// Where the last line ends that has its end.
fn end_of_lines(bytes: &[u8]) -> usize {
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |place| place + 1)
}

/// Puts the traces of a file in the order of these ids, if they are not, and others behind them.
///
/// # Errors
/// [`Error::Write`] where the disk refuses.
pub fn put_in_order<'a>(
    path: &Path,
    traces: &mut [Trace],
    ids: impl Iterator<Item = &'a str>,
) -> Result<()> {
    let places: HashMap<&str, usize> = ids.zip(0..).collect();
    let place = |trace: &Trace| places.get(trace.id.as_str()).copied().unwrap_or(usize::MAX);
    if traces.is_sorted_by_key(place) {
        return Ok(());
    }
    traces.sort_by_key(place);
    write_traces(path, traces)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Vec<Trace>> {
    let parse = |(line, text): (usize, Result<&str, String>)| {
        let trace = text.and_then(|text| serde_json::from_str(text).map_err(|e| in_words(&e)));
        trace.map_err(|reason| Error::Row {
            path: path.to_owned(),
            line,
            reason: format!("this is no trace ({reason}); without the line the rest can be used"),
        })
    };
    let lines: Vec<_> = jsonl::lines(bytes).collect();
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
