//! What files were when they were first downloaded by the name of a branch, which may move.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
};

use serde::{Deserialize, Serialize};

use super::{Hub, RemoteFile, transfer::Found};
use crate::{
    error::{Error, Result},
    file::{beside, write_json},
};

/// One line of the record.
#[derive(Debug, Deserialize, Serialize)]
struct FirstDownload {
    sha256: String,
    commit: String,
}

impl Hub {
    /// The hash that this file had when it was first downloaded.
    pub(super) fn recorded(&self, file: &RemoteFile) -> Result<Option<String>> {
        Ok(self
            .read_record()?
            .remove(&file.to_string())
            .map(|first| first.sha256))
    }

    fn read_record(&self) -> Result<BTreeMap<String, FirstDownload>> {
        let Some(path) = &self.record else {
            return Ok(BTreeMap::new());
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(source) => return Err(Error::read(path)(source)),
        };
        serde_json::from_slice(&bytes).map_err(|source| Error::Row {
            path: path.clone(),
            line: source.line(),
            reason: "the record of downloads is damaged; delete it to begin a new one".to_owned(),
        })
    }

    pub(super) fn add_to_record(
        &self,
        file: &RemoteFile,
        found: &Found,
        sha256: String,
    ) -> Result<()> {
        let Some(path) = self
            .record
            .as_ref()
            .filter(|_| file.revision != found.commit)
        else {
            return Ok(());
        };
        let error = Error::write(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(&error)?;
        }
        let lock = File::create(beside(path, ".lock")).map_err(&error)?;
        lock.lock().map_err(&error)?;
        let mut record = self.read_record()?;
        let commit = found.commit.clone();
        record.insert(file.to_string(), FirstDownload { sha256, commit });
        write_json(path, &record)
    }
}
