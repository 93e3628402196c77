//! Files on the command line: read from and kept from harm.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rerank::{execute::Sandbox, file::create_private, jsonl, model::Replay};
use serde_json::{Map, Value, json};

use super::warn;

/// A file's bytes, or standard input's for `-`, unpacked and without a byte order mark.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return Ok(jsonl::read(path)?);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.and_then(|_| jsonl::unpacked(bytes))
        .context("cannot read standard input")
}

/// A file's text, or standard input's for `-`.
pub(super) fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_bytes(path)?).with_context(|| format!("cannot read {}", path.display()))
}

/// A line's JSON object, or what the line must be.
pub(super) fn object(line: Result<&str, &String>, must: &str) -> Result<Map<String, Value>, Value> {
    let line = line.map_err(|reason| json!({ "error": reason }))?;
    match serde_json::from_str(line) {
        Ok(Value::Object(row)) => Ok(row),
        Ok(_) => Err(json!({ "error": format!("a line must be {must}"), "line": line })),
        Err(source) => Err(json!({
            "error": format!("a line must be {must}, and this is no JSON ({source})"),
            "line": line,
        })),
    }
}

/// Refuses to write over what is read, by whatever path it is named, and to put a file in the place
/// of a device or a pipe.
pub(super) fn keep(inputs: &[&Path], out: &Path) -> Result<()> {
    if out.exists() && !out.is_file() && !out.is_dir() {
        bail!(
            "--out {} is a device or a pipe, which a file would replace: choose another name",
            out.display()
        );
    }
    let place = |path: &Path| path.canonicalize().ok();
    let same = |input: &&&Path| place(input).is_some() && place(input) == place(out);
    match inputs.iter().find(same) {
        Some(input) => bail!(
            "--out {} is {}, which is read: choose another name",
            out.display(),
            input.display()
        ),
        None => Ok(()),
    }
}

/// Opens a recording and says on standard error which of its lines were left out.
pub(super) fn open_replay(path: &Path) -> Result<Replay> {
    let replay = Replay::open(path)?;
    for damaged in replay.damaged() {
        warn(&format!("left out {damaged}"));
    }
    Ok(replay)
}

/// Where everything goes that can be made or had again.
pub(super) fn cache_folder() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let folder = Sandbox::cache_directory(variable("XDG_CACHE_HOME"), variable("HOME"))
        .context("there is no cache folder: set HOME or XDG_CACHE_HOME")?;
    create_private(&folder)
        .context("there is no cache folder: set XDG_CACHE_HOME to a folder that can be written")?;
    Ok(folder)
}
