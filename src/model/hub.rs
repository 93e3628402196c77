//! Files of a model hub that speaks Hugging Face's protocol, into the cache that Python's
//! `huggingface_hub` uses too.
//!
//! In: a repository, a revision and a file. Out: a path in the cache. A file that is in the cache
//! is not asked for again. What is downloaded first goes to `blobs/HASH.incomplete`, where a broken
//! download goes on; it gets its name only when its SHA-256 is the one expected.
//!
//! The cache's layout and the hub's addresses are the `hf-hub` crate's. Its download is not used:
//! version 0.5 sends the token to the other host that the hub redirects to
//! (`Api::metadata` of `src/api/sync.rs`), checks no hash, and appends to a part whatever the
//! server answers.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::Progress;
use crate::error::{Error, Result};

mod address;
mod part;
mod record;
mod transfer;

pub use address::Address;
pub(in crate::model) use address::parts;
use address::pick;
use part::write_error;
use transfer::Transfer;

/// A hub, as one user sees it.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Such as `https://huggingface.co`; no slash at the end.
    pub endpoint: String,
    /// The folder of the cache, which holds `models--OWNER--NAME` folders.
    pub cache: PathBuf,
    /// What proves who the user is.
    pub token: Option<String>,
    /// Use only what is in the cache.
    pub offline: bool,
    /// Where the hash of each file is kept that was downloaded by the name of a branch: a later
    /// download by the same name must bring the same file.
    pub record: Option<PathBuf>,
}

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Weights.
    Model,
    /// Rows.
    Dataset,
}

/// One file of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// What its repository holds.
    pub kind: Kind,
    /// `OWNER/NAME`.
    pub repository: String,
    /// A branch, a tag or a commit.
    pub revision: String,
    /// Its path in the repository.
    pub file: String,
    /// The hash it must have, where it is known, in hexadecimal.
    pub sha256: Option<String>,
}

/// Whether what is in the cache will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A file in the cache is not asked for again.
    Cached,
    /// The hub is asked whether there is a newer one, and a new hash is accepted.
    Newest,
}

impl Hub {
    /// Reads what users of the hub set: `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_TOKEN`,
    /// `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`, `XDG_CACHE_HOME` and `HOME`, through `variable`; the token
    /// is else the one that `huggingface-cli login` left. `None` where no folder can be told.
    pub fn new(variable: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let home = path("HF_HOME").or_else(|| {
            let cache = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
            Some(cache?.join("huggingface"))
        })?;
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = set("HF_TOKEN").or_else(|| fs::read_to_string(token_file).ok());
        let token = token.map(|token| token.trim().to_owned());
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let offline = set("HF_HUB_OFFLINE").is_some_and(|value| {
            ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str())
        });
        Some(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: path("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub")),
            token: token.filter(|token| !token.is_empty()),
            offline,
            record: None,
        })
    }

    /// The path of a file, downloaded where it is not in the cache. `progress` hears of bytes.
    ///
    /// # Errors
    /// [`Error::Hub`] with what to do: no such file, no access, no network, another hash, a full
    /// disk.
    pub fn fetch(
        &self,
        file: &RemoteFile,
        freshness: Freshness,
        progress: Progress,
    ) -> Result<PathBuf> {
        Ok(self.fetch_at_commit(file, freshness, progress)?.0)
    }

    /// The path of a model, of all its parts where it is split, and of the first of them then:
    /// llama.cpp finds the others. `sha256` holds the hashes of the parts, as far as they are known.
    ///
    /// # Errors
    /// As [`Hub::fetch`]; a repository without a file that fits the address.
    pub fn model(
        &self,
        address: &Address,
        sha256: &[String],
        freshness: Freshness,
        progress: Progress,
    ) -> Result<PathBuf> {
        let name = match &address.file {
            Some(file) => file.clone(),
            None => self.pick(address, freshness)?,
        };
        let mut file = address.file(&name);
        let mut first = None;
        for (place, part) in parts(&name).into_iter().enumerate() {
            file.file = part;
            file.sha256 = sha256.get(place).cloned();
            let (path, commit) = self.fetch_at_commit(&file, freshness, progress)?;
            if first.is_none() {
                first = Some(path);
                // The others must be of the same commit, in the same folder.
                file.revision = commit;
            }
        }
        Ok(first.expect("a file has at least one part"))
    }

    /// Where a model is, if all of it is in the cache.
    pub fn cached_model(&self, address: &Address) -> Option<PathBuf> {
        let name = match &address.file {
            Some(file) => file.clone(),
            None => pick(&self.cached_files(address), address).ok()?,
        };
        let of = |file: String| Some(self.cached(&address.file(&file))?.0);
        let paths: Option<Vec<PathBuf>> = parts(&name).into_iter().map(of).collect();
        paths?.into_iter().next()
    }

    /// The path and the commit of a file.
    fn fetch_at_commit(
        &self,
        file: &RemoteFile,
        freshness: Freshness,
        progress: Progress,
    ) -> Result<(PathBuf, String)> {
        file.check()?;
        // 1. The cache.
        let cached = self.cached(file);
        if let Some(cached) = cached.filter(|_| freshness == Freshness::Cached || self.offline) {
            return Ok(cached);
        }
        if self.offline {
            return Err(file.error(format!(
                "it is not in {} and HF_HUB_OFFLINE is set: unset it, or pull the file where there is a network",
                self.cache.display()
            )));
        }

        // 2. What the hub has, and what it must be.
        let transfer = Transfer::new(&self.endpoint, self.token.as_deref(), file);
        let found = transfer.find()?;
        let recorded = match freshness {
            Freshness::Cached => self.recorded(file)?,
            Freshness::Newest => None,
        };
        let expected = file.sha256.as_ref().or(recorded.as_ref());
        if let Some((expected, got)) = expected.zip(found.sha256()).filter(|(a, b)| a != b) {
            return Err(other_hash(file, expected, got, recorded.is_some()));
        }

        // 3. The bytes, under their hash. Locks lie where Python's client has them.
        let repository = file.in_cache(&self.cache);
        let blob = repository.blob_path(&found.etag);
        let lock = self
            .cache
            .join(".locks")
            .join(file.repo().folder_name())
            .join(format!("{}.lock", found.etag));
        let write = |path: &Path, done: io::Result<()>| {
            done.map_err(|source| write_error(file, path, &source))
        };
        for path in [&lock, &blob] {
            let folder = path.parent().expect("the paths have folders");
            write(folder, fs::create_dir_all(folder))?;
        }
        let lock_file = File::create(&lock).and_then(|lock| lock.lock().map(|()| lock));
        let lock_file = lock_file.map_err(|source| write_error(file, &lock, &source))?;
        let sha256 = match (blob.exists(), found.sha256()) {
            (false, _) => {
                transfer.download(&found, expected, &blob, progress, &|expected, got| {
                    other_hash(file, expected, got, recorded.is_some())
                })?
            }
            (true, Some(sha256)) => sha256.clone(),
            (true, None) => {
                let bytes = fs::read(&blob).map_err(Error::read(&blob))?;
                let got = format!("{:x}", Sha256::digest(bytes));
                if let Some(expected) = expected.filter(|expected| **expected != got) {
                    return Err(other_hash(file, expected, &got, recorded.is_some()));
                }
                got
            }
        };
        if recorded.as_ref() != Some(&sha256) {
            self.add_to_record(file, &found, sha256)?;
        }
        drop(lock_file);

        // 4. Its name.
        let pointer = repository.pointer_path(&found.commit).join(&file.file);
        let folder = pointer.parent().expect("it is below the snapshot's folder");
        write(folder, fs::create_dir_all(folder))?;
        if pointer.symlink_metadata().is_err() {
            write(&pointer, link(&blob, &pointer, file))?;
        }
        if file.revision != found.commit {
            write(&pointer, repository.create_ref(&found.commit))?;
        }
        Ok((pointer, found.commit))
    }

    /// Where a file is in the cache, and of which commit it is.
    fn cached(&self, file: &RemoteFile) -> Option<(PathBuf, String)> {
        let commit = self.cached_commit(file);
        let path = file
            .in_cache(&self.cache)
            .pointer_path(&commit)
            .join(&file.file);
        path.is_file().then_some((path, commit))
    }

    /// The commit that a revision meant when it was last asked for; the revision itself else.
    fn cached_commit(&self, file: &RemoteFile) -> String {
        let reference = self
            .cache
            .join(file.repo().folder_name())
            .join("refs")
            .join(&file.revision);
        let commit = fs::read_to_string(reference);
        commit.map_or(file.revision.clone(), |commit| commit.trim().to_owned())
    }

    /// The file that an address means which names none.
    fn pick(&self, address: &Address, freshness: Freshness) -> Result<String> {
        let cached = pick(&self.cached_files(address), address);
        match cached {
            Ok(file) if freshness == Freshness::Cached || self.offline => Ok(file),
            _ if self.offline => Err(Error::Hub {
                file: address.to_string(),
                reason: "it is not in the cache and HF_HUB_OFFLINE is set: unset it, or pull the model where there is a network".to_owned(),
            }),
            _ => {
                let file = address.file("");
                let files = Transfer::new(&self.endpoint, self.token.as_deref(), &file).files()?;
                pick(&files, address)
            }
        }
    }

    /// The names of a model repository's files that are in the cache.
    fn cached_files(&self, address: &Address) -> Vec<String> {
        let file = address.file("");
        let root = file
            .in_cache(&self.cache)
            .pointer_path(&self.cached_commit(&file));
        let mut folders = vec![root.clone()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file()
                    && let Some(name) = path.strip_prefix(&root).ok().and_then(Path::to_str)
                {
                    files.push(name.to_owned());
                }
            }
        }
        files
    }
}

impl RemoteFile {
    /// Refuses names that would leave the repository or the cache.
    fn check(&self) -> Result<()> {
        let inside = |path: &str| path.split('/').all(|part| !["", ".", ".."].contains(&part));
        let fine = self.repository.split('/').count() == 2
            && [&self.repository, &self.revision, &self.file]
                .into_iter()
                .all(|part| inside(part) && !part.contains('\\'));
        match fine {
            true => Ok(()),
            false => Err(self.error(
                "a file is named by OWNER/NAME, a revision and a path inside the repository"
                    .to_owned(),
            )),
        }
    }

    fn repo(&self) -> hf_hub::Repo {
        let kind = match self.kind {
            Kind::Model => hf_hub::RepoType::Model,
            Kind::Dataset => hf_hub::RepoType::Dataset,
        };
        hf_hub::Repo::with_revision(self.repository.clone(), kind, self.revision.clone())
    }

    fn in_cache(&self, cache: &Path) -> hf_hub::CacheRepo {
        hf_hub::Cache::new(cache.to_owned()).repo(self.repo())
    }

    fn error(&self, reason: String) -> Error {
        Error::Hub {
            file: self.to_string(),
            reason,
        }
    }
}

impl std::fmt::Display for RemoteFile {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self {
            repository,
            revision,
            file,
            ..
        } = self;
        let kind = match self.kind {
            Kind::Model => "hf:",
            Kind::Dataset => "hf:datasets/",
        };
        write!(f, "{kind}{repository}/{file}@{revision}")
    }
}

/// The snapshot's name for a blob: a relative link, as Python's client makes it.
fn link(blob: &Path, pointer: &Path, file: &RemoteFile) -> io::Result<()> {
    // snapshots/COMMIT/FOLDERS/NAME -> ../../FOLDERS/../blobs/HASH
    let up = "../".repeat(2 + file.file.matches('/').count());
    let name = blob
        .file_name()
        .expect("a blob has a name")
        .to_string_lossy();
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(format!("{up}blobs/{name}"), pointer);
    #[cfg(not(unix))]
    let made = {
        let _ = (up, name);
        fs::hard_link(blob, pointer).or_else(|_| fs::copy(blob, pointer).map(drop))
    };
    made
}

fn other_hash(file: &RemoteFile, expected: &str, got: &str, recorded: bool) -> Error {
    let reason = if recorded {
        format!(
            "its SHA-256 is {got}, but it was {expected} when it was first downloaded: it was changed there; `rerank models pull --update` accepts the new one"
        )
    } else {
        format!(
            "its SHA-256 is {got}, but {expected} was expected; nothing was kept: try again, and if it stays so, do not trust the file"
        )
    };
    file.error(reason)
}
