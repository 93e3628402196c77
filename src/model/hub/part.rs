//! The file that a download goes to until it is whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::RemoteFile;
use crate::error::{Error, Result};

/// A file that is not whole yet, and the hash of what is there.
pub(super) struct Part<'a> {
    of: &'a RemoteFile,
    path: PathBuf,
    file: File,
    /// Of all bytes that are there.
    pub(super) hash: Sha256,
    pub(super) bytes: u64,
}

impl<'a> Part<'a> {
    /// Opens what an earlier download left, or a new file.
    pub(super) fn open(of: &'a RemoteFile, path: &Path) -> Result<Self> {
        let open = || {
            let mut file = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .open(path)?;
            let mut hash = Sha256::new();
            let bytes = io::copy(&mut file, &mut hash)?;
            Ok(Self {
                of,
                path: path.to_owned(),
                file,
                hash,
                bytes,
            })
        };
        open().map_err(|source| write_error(of, path, &source))
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|source| write_error(self.of, &self.path, &source))?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn clear(&mut self) -> Result<()> {
        self.file
            .set_len(0)
            .map_err(|source| write_error(self.of, &self.path, &source))?;
        self.hash = Sha256::new();
        self.bytes = 0;
        Ok(())
    }

    pub(super) fn discard(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|source| write_error(self.of, &self.path, &source))
    }

    /// On the disk first, so that a name never stands for bytes that are lost with the power.
    pub(super) fn finish(self, blob: &Path) -> Result<()> {
        let done = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, blob));
        done.map_err(|source| write_error(self.of, blob, &source))
    }
}

/// What to do about a file that cannot be written.
pub(super) fn write_error(of: &RemoteFile, path: &Path, source: &io::Error) -> Error {
    let path = path.display();
    of.error(match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
            "the disk is full at {path}: free some space, or set HF_HOME to a folder on another disk, and run it again to go on"
        ),
        _ => format!("cannot write {path}: {source}"),
    })
}
