//! One file over HTTP: what the hub says about it, and its bytes.
//!
//! `HEAD /OWNER/NAME/resolve/REVISION/FILE` answers with `X-Repo-Commit`, the file's hash in
//! `X-Linked-ETag` (SHA-256 of large files) or `ETag`, and `X-Linked-Size`; large files redirect to
//! another host, which must not see the token.

use std::{
    io::{self, Read},
    path::Path,
    thread,
    time::Duration,
};

use serde::Deserialize;
use sha2::Digest;
use ureq::{Agent, Body, http::Response};

use super::{Kind, RemoteFile, part::Part};
use crate::{
    error::{Error, Result},
    model::Progress,
};

const REDIRECTS_MAX: usize = 10;

/// Times a broken download is taken up again without a byte of progress.
const ATTEMPTS_MAX: u32 = 3;

/// Talks to the hub about one file.
pub(super) struct Transfer<'a> {
    agent: Agent,
    endpoint: &'a str,
    token: Option<&'a str>,
    file: &'a RemoteFile,
}

/// What the hub says about a file.
pub(super) struct Found {
    pub(super) commit: String,
    /// What the hub tells contents apart by; the cache names blobs by it.
    pub(super) etag: String,
    bytes: Option<u64>,
}

impl Found {
    /// The SHA-256, where the hub told it.
    pub(super) fn sha256(&self) -> Option<&String> {
        let is_sha256 =
            self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sha256.then_some(&self.etag)
    }
}

impl<'a> Transfer<'a> {
    pub(super) fn new(endpoint: &'a str, token: Option<&'a str>, file: &'a RemoteFile) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Followed here, so that the token stays at home.
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .accept_encoding("identity")
            .user_agent(concat!("rerank/", env!("CARGO_PKG_VERSION")));
        Self {
            agent: config.build().into(),
            endpoint,
            token,
            file,
        }
    }

    /// Asks what the file is.
    pub(super) fn find(&self) -> Result<Found> {
        let mut url = self.url();
        for _ in 0..REDIRECTS_MAX {
            let response = self.ask("HEAD", &url, None)?;
            let header = |name: &str| header(&response, name);
            // Repositories that were renamed redirect within the hub; those that hold the file say
            // so and redirect to where its bytes are.
            if let Some(location) = header("location").filter(|_| header("x-repo-commit").is_none())
            {
                url = join(&url, &location);
                continue;
            }
            self.check(&response)?;
            let missing = |what: &str| {
                let reason = format!(
                    "{} does not answer as a hub does, {what} is missing: check HF_ENDPOINT",
                    self.endpoint
                );
                self.file.error(reason)
            };
            let commit = header("x-repo-commit").filter(|commit| is_name(commit));
            let etag = header("x-linked-etag")
                .or_else(|| header("etag"))
                .map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
            let bytes = header("x-linked-size").or_else(|| {
                header("content-length").filter(|_| !response.status().is_redirection())
            });
            return Ok(Found {
                commit: commit.ok_or_else(|| missing("X-Repo-Commit"))?,
                etag: etag
                    .filter(|etag| is_name(etag))
                    .ok_or_else(|| missing("ETag"))?,
                bytes: bytes.and_then(|bytes| bytes.parse().ok()),
            });
        }
        Err(self
            .file
            .error(format!("{} redirects without end", self.endpoint)))
    }

    /// The names of all files of the repository.
    pub(super) fn files(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Listing {
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let url = format!("{}/api/{}", self.endpoint, self.file.repo().api_url());
        let response = self.get(&url, None)?;
        self.check(&response)?;
        let listing: Result<Listing, _> =
            serde_json::from_reader(response.into_body().into_reader());
        let listing = listing.map_err(|source| {
            self.file.error(format!(
                "the list of its files cannot be read: {source}; check HF_ENDPOINT"
            ))
        })?;
        Ok(listing
            .siblings
            .into_iter()
            .map(|sibling| sibling.rfilename)
            .collect())
    }

    /// Brings the bytes to `blob` and returns their SHA-256.
    pub(super) fn download(
        &self,
        found: &Found,
        expected: Option<&String>,
        blob: &Path,
        progress: Progress,
        other_hash: &dyn Fn(&str, &str) -> Error,
    ) -> Result<String> {
        let incomplete = blob.with_file_name(format!("{}.incomplete", found.etag));
        let mut part = Part::open(self.file, &incomplete)?;
        let mut attempts = 0;
        loop {
            let before = part.bytes;
            let Err(cut) = self.go_on(found, &mut part, progress)? else {
                break;
            };
            attempts = if part.bytes > before { 0 } else { attempts + 1 };
            if attempts == ATTEMPTS_MAX {
                return Err(self.file.error(format!(
                    "the connection broke after {} bytes ({cut}): run it again to go on there",
                    part.bytes
                )));
            }
            if attempts > 0 {
                thread::sleep(Duration::from_millis(250 << attempts));
            }
        }
        let sha256 = format!("{:x}", part.hash.clone().finalize());
        let of_hub = found.sha256();
        if let Some(expected) = expected.or(of_hub).filter(|expected| **expected != sha256) {
            part.discard()?;
            return Err(other_hash(expected, &sha256));
        }
        part.finish(blob)?;
        Ok(sha256)
    }

    /// Adds bytes to a part until all are there; `Ok(Err(_))` where the connection breaks.
    fn go_on(
        &self,
        found: &Found,
        part: &mut Part,
        progress: Progress,
    ) -> Result<Result<(), io::Error>> {
        if found.bytes.is_some_and(|bytes| part.bytes > bytes) {
            part.clear()?;
        }
        if found.bytes == Some(part.bytes) && part.bytes > 0 {
            return Ok(Ok(()));
        }
        let mut response = match self.ask_for_bytes(part.bytes)? {
            Ok(response) => response,
            Err(cut) => return Ok(Err(cut)),
        };
        let goes_on = response.status() == 206
            && header(&response, "content-range")
                .is_some_and(|range| range.starts_with(&format!("bytes {}-", part.bytes)));
        if part.bytes > 0 && !goes_on {
            // From the beginning, because the server cannot go on where the part ends.
            part.clear()?;
            if response.status() != 200 {
                response = match self.ask_for_bytes(0)? {
                    Ok(response) => response,
                    Err(cut) => return Ok(Err(cut)),
                };
            }
        }
        if response.status().is_server_error() {
            return Ok(Err(io::Error::other(format!(
                "status {}",
                response.status()
            ))));
        }
        self.check(&response)?;
        let all = found.bytes.or_else(|| {
            let rest: u64 = header(&response, "content-length")?.parse().ok()?;
            Some(part.bytes + rest)
        });
        let total = all.unwrap_or(0) as usize;
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            progress(part.bytes as usize, total);
            match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => part.add(&buffer[..count])?,
                Err(cut) => return Ok(Err(cut)),
            }
        }
        Ok(match all {
            Some(all) if part.bytes < all => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(all) if part.bytes > all => {
                part.clear()?;
                Err(io::Error::other("more bytes came than were announced"))
            }
            _ => Ok(()),
        })
    }

    /// The file's bytes from one on; the inner error is the connection's.
    fn ask_for_bytes(&self, from: u64) -> Result<Result<Response<Body>, io::Error>> {
        match self.get(&self.url(), Some(from)) {
            Ok(response) => Ok(Ok(response)),
            // The hub has just answered, so this is worth another attempt.
            Err(Error::Hub { reason, .. }) => Ok(Err(io::Error::other(reason))),
            Err(error) => Err(error),
        }
    }

    /// GET, along redirects.
    fn get(&self, url: &str, from: Option<u64>) -> Result<Response<Body>> {
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS_MAX {
            let response = self.ask("GET", &url, from)?;
            match header(&response, "location").filter(|_| response.status().is_redirection()) {
                Some(location) => url = join(&url, &location),
                None => return Ok(response),
            }
        }
        Err(self
            .file
            .error(format!("{} redirects without end", self.endpoint)))
    }

    /// One request; the token goes to the hub alone.
    fn ask(&self, method: &str, url: &str, from: Option<u64>) -> Result<Response<Body>> {
        let mut request = match method {
            "HEAD" => self.agent.head(url),
            _ => self.agent.get(url),
        };
        if let Some(token) = self.token.filter(|_| origin(url) == origin(self.endpoint)) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(from) = from.filter(|from| *from > 0) {
            request = request.header("Range", format!("bytes={from}-"));
        }
        request.call().map_err(|source| {
            self.file.error(format!(
                "{} cannot be reached ({source}): check the network and HF_ENDPOINT; a file that is in the cache or on this machine needs neither",
                origin(url)
            ))
        })
    }

    /// Says what a status means to the user.
    fn check(&self, response: &Response<Body>) -> Result<()> {
        let status = response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        let RemoteFile {
            repository,
            revision,
            file,
            ..
        } = self.file;
        let code = header(response, "x-error-code").unwrap_or_default();
        let page = match self.file.kind {
            Kind::Model => format!("{}/{repository}", self.endpoint),
            Kind::Dataset => format!("{}/datasets/{repository}", self.endpoint),
        };
        let token = match self.token {
            Some(_) => "the token in HF_TOKEN does not allow it",
            None => "set HF_TOKEN to a token of yours",
        };
        let reason = match (status.as_u16(), code.as_str()) {
            (_, "GatedRepo") => format!(
                "access is granted by its owner: accept the terms on {page} and {}",
                match self.token {
                    Some(_) => "use a token of the account that did",
                    None => "set HF_TOKEN",
                }
            ),
            (_, "RevisionNotFound") => {
                format!("{repository} has no revision {revision}: look at {page}")
            }
            (_, "EntryNotFound") => {
                format!("{repository} has no file {file} at {revision}: look at {page}")
            }
            (404, _) => format!("there is no such repository or file: look at {page}"),
            (401 | 403, _) => format!(
                "{repository} does not exist or is private: check the name, and if it is private, {token}"
            ),
            (429, _) => {
                "the hub asks to wait (too many requests): try again later, or set HF_TOKEN"
                    .to_owned()
            }
            _ => format!(
                "{} answers with status {status}: try again later",
                self.endpoint
            ),
        };
        Err(self.file.error(reason))
    }

    fn url(&self) -> String {
        let repo = self.file.repo();
        let (repository, revision) = (repo.url(), escape(&self.file.revision, false));
        format!(
            "{}/{repository}/resolve/{revision}/{}",
            self.endpoint,
            escape(&self.file.file, true)
        )
    }
}

fn header(response: &Response<Body>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Whether a text from the network may be a file's name.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(plain)
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |place| place + 3);
    let end = url[host..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |end| host + end);
    &url[..end]
}

/// The address that a redirect from `url` leads to.
fn join(url: &str, location: &str) -> String {
    if location.contains("://") {
        location.to_owned()
    } else if let Some(host) = location.strip_prefix("//") {
        let scheme = url.split("://").next().unwrap_or("https");
        format!("{scheme}://{host}")
    } else if location.starts_with('/') {
        format!("{}{location}", origin(url))
    } else {
        let folder = url.rsplit_once('/').map_or(url, |(folder, _)| folder);
        format!("{folder}/{location}")
    }
}

/// Percent-encodes what may not stand in an address.
fn escape(text: &str, slashes: bool) -> String {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (slashes && byte == b'/')
    };
    let encode = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
