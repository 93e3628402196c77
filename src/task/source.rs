//! Where a benchmark's rows come from, when the user names no file: a data set of the hub, or a
//! file beside the manifest.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Benchmark, Fields, Problems, rows};
use crate::error::{Error, Result};

/// The `[source]` of a manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A data set of the hub, `owner/name`.
    pub hub: Option<String>,
    /// Its revision: a commit, or a branch.
    pub revision: Option<String>,
    /// The files of it that make up the benchmark, in order.
    #[serde(default)]
    pub files: Vec<String>,
    /// A local file, from the manifest's folder; instead of a data set.
    pub path: Option<PathBuf>,
    /// The names of the fields there, where they differ from the manifest's.
    pub fields: Option<Fields>,
}

/// Fetches a file of a data set: repository, revision and file -> where it lies now.
pub type Fetch<'a> = &'a dyn Fn(&str, &str, &str) -> Result<PathBuf>;

impl Source {
    /// The source in a few words: `openai/gsm8k`, or a path.
    pub fn name(&self) -> String {
        match (&self.hub, &self.path) {
            (Some(hub), _) => hub.clone(),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => String::new(),
        }
    }
}

impl Benchmark {
    /// Reads the problems from where the manifest says. What a revision of the hub holds is known
    /// by that revision, so of its rows only the number is checked.
    ///
    /// # Errors
    /// A manifest without a source; what fetching and reading report; another number of rows.
    pub fn fetch(&self, fetch: Fetch, force: bool) -> Result<Problems> {
        let Some(source) = &self.source else {
            return Err(Error::Options(format!(
                "the manifest of {} does not say where its rows can be had: give --data FILE",
                self.name
            )));
        };
        let Some(hub) = &source.hub else {
            let path = source.path.as_ref().ok_or_else(|| {
                Error::Options(format!(
                    "the [source] of {} names neither a hub repository (hub, files) nor a path",
                    self.name
                ))
            })?;
            return self.problems(&self.folder.join(path), force);
        };
        let revision = source.revision.as_deref().unwrap_or("main");
        let files: Vec<(PathBuf, rows::Rows)> = source
            .files
            .iter()
            .map(|file| {
                let path = fetch(hub, revision, file)?;
                let rows = rows::read(&path)?;
                Ok((path, rows))
            })
            .collect::<Result<_>>()?;
        let count: usize = files.iter().map(|(_, rows)| rows.len()).sum();
        if let Some(expected) = self.rows.filter(|expected| *expected != count)
            && !force
        {
            return Err(Error::Options(format!(
                "{hub} at {revision} holds {count} rows of {}, not {expected}; evaluate them as they are with --force",
                self.name
            )));
        }
        self.gather(source.fields.as_ref().unwrap_or(&self.fields), files)
    }
}
