//! Files that are there whole or not at all.

use std::{
    fs::{DirBuilder, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::error::{Error, Result};

/// Writes a file under a temporary name beside it, then renames: a full disk or a kill leaves the
/// one that was there as it was, and two writers do not mix.
///
/// # Errors
/// [`Error::Write`] where the disk refuses.
pub fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    stream_whole(path, |file| file.write_all(bytes.as_ref()))
}

/// As [`write_whole`], of what `write` puts into the file bit by bit.
///
/// # Errors
/// As [`write_whole`].
pub(crate) fn stream_whole(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).suffix(".part");
    // A file that is simply created is readable as its user wants, not by its owner alone.
    let part = builder.make_in(folder, |path| File::create_new(path));
    let written = part.and_then(|mut part| {
        write(part.as_file_mut())?;
        part.as_file().sync_all()?;
        Ok(part.persist(path)?)
    });
    written.map(drop).map_err(Error::write(path))
}

/// Writes a JSON file, whole or not at all.
///
/// # Errors
/// As [`write_whole`].
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("what is written is JSON");
    write_whole(path, text)
}

/// Makes a folder that its user alone can write, whatever the umask, unless it is there: what the
/// cache holds is run.
///
/// # Errors
/// [`Error::Write`] where it cannot be made.
pub fn create_private(folder: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(Error::write(folder))
}

/// `path` with an ending added to its whole name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
