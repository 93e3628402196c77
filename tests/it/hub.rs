//! Models of a hub, against a local server that speaks its protocol.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, Int32Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use sha2::{Digest, Sha256};
use tempfile::{TempDir, tempdir};

use crate::llama::write_tiny;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILE: &str = "hf:owner/tiny/tiny.gguf";

/// A request as it came: its first line's method and path, and its headers in lower case.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

/// What a server answers: a status, headers, a body, and how many of its bytes are sent before the
/// connection breaks.
#[derive(Default)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    cut_after: Option<usize>,
}

impl Answer {
    fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }
}

/// A server on a port of its own, for as long as the test runs.
struct Server {
    url: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn new(answer: impl Fn(&Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            url,
            log: Arc::clone(&log),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let asked = read_request(&stream);
                log.lock().unwrap().push(asked.clone());
                write_answer(stream, &asked, answer(&asked));
            }
        });
        server
    }

    fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Asked {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap().unwrap();
    let mut words = first.split(' ').map(str::to_owned);
    let headers = lines
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        })
        .collect();
    Asked {
        method: words.next().unwrap(),
        path: words.next().unwrap(),
        headers,
    }
}

fn write_answer(mut stream: TcpStream, asked: &Asked, answer: Answer) {
    let mut text = format!("HTTP/1.1 {} -\r\nConnection: close\r\n", answer.status);
    if !answer
        .headers
        .iter()
        .any(|(name, _)| *name == "Content-Length")
    {
        text += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    // The client may have left; that is its matter.
    let _ = stream.write_all(text.as_bytes());
    if asked.method != "HEAD" {
        let end = answer.cut_after.unwrap_or(answer.body.len());
        let _ = stream.write_all(&answer.body[..end]);
    }
}

/// Answers with the bytes that a range asks for.
fn bytes(asked: &Asked, content: &[u8]) -> Answer {
    let range = asked.headers.get("range");
    let from = range.and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    });
    match from {
        Some(from) if from >= content.len() => Answer::status(416),
        Some(from) => Answer::status(206)
            .header(
                "Content-Range",
                format!("bytes {from}-{}/{}", content.len() - 1, content.len()),
            )
            .body(&content[from..]),
        None => Answer::status(200).body(content),
    }
}

fn hash(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

/// A hub whose large files lie at another host, like Hugging Face's.
fn hub(files: &[(&'static str, &[u8])], store: &str) -> Server {
    let files: HashMap<&str, (String, usize)> = files
        .iter()
        .map(|(name, content)| (*name, (hash(content), content.len())))
        .collect();
    let store = store.to_owned();
    Server::new(move |asked| {
        if asked.path == "/api/models/owner/tiny/revision/main" {
            let siblings: Vec<_> = files
                .keys()
                .map(|name| serde_json::json!({"rfilename": name}))
                .collect();
            let listing = serde_json::json!({"sha": COMMIT, "siblings": siblings});
            return Answer::status(200).body(listing.to_string().as_bytes());
        }
        let file = ["main", COMMIT].iter().find_map(|revision| {
            asked
                .path
                .strip_prefix(&format!("/owner/tiny/resolve/{revision}/"))
        });
        match file.and_then(|file| files.get(file)) {
            Some((hash, length)) => Answer::status(302)
                .header("X-Repo-Commit", COMMIT)
                .header("X-Linked-ETag", format!("\"{hash}\""))
                .header("X-Linked-Size", length.to_string())
                .header("Location", format!("{store}/{hash}")),
            None => Answer::status(404).header("X-Error-Code", "EntryNotFound"),
        }
    })
}

/// A user's home, with nothing of this machine's.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Self {
        Self {
            home: tempdir().unwrap(),
        }
    }

    fn command(&self, endpoint: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rerank"));
        command.args(arguments).env_clear();
        command
            .env("HOME", self.home.path())
            .env("HF_ENDPOINT", endpoint)
            .env("NO_PROXY", "*");
        command
    }

    fn run(&self, endpoint: &str, arguments: &[&str]) -> Output {
        self.command(endpoint, arguments).output().unwrap()
    }

    fn repository(&self) -> PathBuf {
        self.home
            .path()
            .join(".cache/huggingface/hub/models--owner--tiny")
    }

    /// Names of files under `blobs`.
    fn blobs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.repository().join("blobs"))
            .into_iter()
            .flatten();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn stdout(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .trim_end()
        .to_owned()
}

#[track_caller]
fn refuses(output: &Output, expected: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(output.stdout.is_empty());
    assert!(error.contains(expected), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

/// Bytes that no two halves share.
fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn a_model_is_downloaded_once_and_the_token_stays_with_the_hub() {
    let folder = tempdir().unwrap();
    let model = write_tiny(folder.path(), &[]);
    let model = fs::read(model).unwrap();
    let served = model.clone();
    let store = Server::new(move |asked| bytes(asked, &served));
    let hub = hub(&[("tiny.gguf", &model)], &store.url);
    let user = User::new();
    let row = folder.path().join("row.jsonl");
    fs::write(
        &row,
        r#"{"question": "2+2?", "candidates": ["It is 4.", "It is 5."]}"#,
    )
    .unwrap();

    // Wherever a model is named, it may be one of a hub.
    let score = ["score", row.to_str().unwrap(), "--verifier", FILE];
    let scored = stdout(
        &user
            .command(&hub.url, &score)
            .env("HF_TOKEN", "secret")
            .output()
            .unwrap(),
    );
    assert!(scored.contains("\"scores\":["), "{scored}");
    assert!(!hub.asked().is_empty() && !store.asked().is_empty());
    for asked in hub.asked() {
        assert_eq!(asked.headers["authorization"], "Bearer secret", "{asked:?}");
    }
    for asked in store.asked() {
        assert!(!asked.headers.contains_key("authorization"), "{asked:?}");
    }

    // As Python's client leaves it.
    let snapshot = user
        .repository()
        .join("snapshots")
        .join(COMMIT)
        .join("tiny.gguf");
    assert_eq!(
        fs::read_to_string(user.repository().join("refs/main")).unwrap(),
        COMMIT
    );
    assert_eq!(
        fs::read_link(&snapshot).unwrap(),
        Path::new("../../blobs").join(hash(&model))
    );
    assert_eq!(fs::read(&snapshot).unwrap(), model);
    assert_eq!(user.blobs(), [hash(&model)]);

    // Not asked for again, with a network or without.
    let before = hub.asked().len();
    for name in [FILE, "hf:owner/tiny"] {
        assert_eq!(
            stdout(&user.run(&hub.url, &["models", "path", name])),
            snapshot.to_str().unwrap()
        );
        assert_eq!(
            stdout(&user.run(&hub.url, &["models", "pull", name])),
            snapshot.to_str().unwrap()
        );
    }
    assert_eq!(hub.asked().len(), before);
    let mut offline = user.command("http://127.0.0.1:9", &score);
    assert_eq!(
        stdout(&offline.env("HF_HUB_OFFLINE", "1").output().unwrap()),
        scored
    );
    for absent in ["hf:owner/tiny/other.gguf", "hf:owner/other"] {
        let mut offline = user.command(&hub.url, &["models", "pull", absent]);
        refuses(
            &offline.env("HF_HUB_OFFLINE", "1").output().unwrap(),
            "HF_HUB_OFFLINE is set: unset it",
        );
        refuses(
            &user.run(&hub.url, &["models", "path", absent]),
            "is not here yet: `rerank models pull hf:owner",
        );
    }
}

#[test]
fn a_download_that_breaks_goes_on_where_it_broke() {
    let whole = content();
    let half = whole.len() / 2;
    let served = whole.clone();
    let calls = Mutex::new(0);
    // The first connection breaks half-way and the next three bring nothing: that ends a run.
    let store = Server::new(move |asked| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        let answer = bytes(asked, &served);
        let cut_after = match *calls {
            1 => Some(half),
            2..=4 => Some(0),
            5 => Some(10),
            _ => None,
        };
        Answer {
            cut_after,
            ..answer
        }
    });
    let hub = hub(&[("tiny.gguf", &whole)], &store.url);
    let user = User::new();
    refuses(
        &user.run(&hub.url, &["models", "pull", FILE]),
        &format!("the connection broke after {half} bytes"),
    );
    assert_eq!(user.blobs(), [format!("{}.incomplete", hash(&whole))]);
    assert!(!user.repository().join("snapshots").exists());

    let path = stdout(&user.run(&hub.url, &["models", "pull", FILE]));
    assert_eq!(fs::read(path).unwrap(), whole);
    assert_eq!(user.blobs(), [hash(&whole)]);
    let ranges: Vec<Option<String>> = store
        .asked()
        .iter()
        .map(|asked| asked.headers.get("range").cloned())
        .collect();
    let from = |byte: usize| Some(format!("bytes={byte}-"));
    assert_eq!(
        ranges,
        [
            None,
            from(half),
            from(half),
            from(half),
            from(half),
            from(half + 10)
        ]
    );
}

#[test]
fn a_server_that_cannot_go_on_sends_everything_again() {
    let whole = content();
    let served = whole.clone();
    let store = Server::new(move |_| Answer::status(200).body(&served));
    let hub = hub(&[("tiny.gguf", &whole)], &store.url);
    let user = User::new();
    let blobs = user.repository().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(
        blobs.join(format!("{}.incomplete", hash(&whole))),
        &whole[..1000],
    )
    .unwrap();
    let path = stdout(&user.run(&hub.url, &["models", "pull", FILE]));
    assert_eq!(fs::read(path).unwrap(), whole);
    assert_eq!(store.asked()[0].headers["range"], "bytes=1000-");
}

#[test]
fn bytes_with_another_hash_are_refused_and_not_kept() {
    let announced = content();
    let mut sent = announced.clone();
    sent[12345] ^= 1;
    let store = Server::new(move |asked| bytes(asked, &sent));
    let hub = hub(&[("tiny.gguf", &announced)], &store.url);
    let user = User::new();
    refuses(
        &user.run(&hub.url, &["models", "pull", FILE]),
        &format!("but {} was expected; nothing was kept", hash(&announced)),
    );
    assert!(user.blobs().is_empty());
    assert!(!user.repository().join("snapshots").exists());
    refuses(
        &user.run(&hub.url, &["models", "path", FILE]),
        "is not here yet",
    );
}

#[test]
fn a_file_that_changes_under_a_branch_is_noticed() {
    let (old, new) = (b"GGUF old".to_vec(), b"GGUF new".to_vec());
    let store = |content: &[u8]| {
        let content = content.to_vec();
        Server::new(move |asked| bytes(asked, &content))
    };
    let (old_store, new_store) = (store(&old), store(&new));
    let user = User::new();
    let first = hub(&[("tiny.gguf", &old)], &old_store.url);
    // By its commit, where nothing can move, and then by the branch: nothing new is downloaded.
    let by_commit = format!("{FILE}@{COMMIT}");
    stdout(&user.run(&first.url, &["models", "pull", &by_commit]));
    stdout(&user.run(&first.url, &["models", "pull", FILE]));
    assert_eq!(old_store.asked().len(), 1);
    // The cache is cleared, as people do; the record of what was downloaded stays.
    fs::remove_dir_all(user.repository()).unwrap();
    let second = hub(&[("tiny.gguf", &new)], &new_store.url);
    refuses(
        &user.run(&second.url, &["models", "pull", FILE]),
        &format!("it was {} when it was first downloaded", hash(&old)),
    );
    assert!(new_store.asked().is_empty());
    let path = stdout(&user.run(&second.url, &["models", "pull", FILE, "--update"]));
    assert_eq!(fs::read(&path).unwrap(), new);
    // From now on the new one is the one expected.
    fs::remove_dir_all(user.repository()).unwrap();
    assert_eq!(
        stdout(&user.run(&second.url, &["models", "pull", FILE])),
        path
    );
}

#[test]
fn a_split_model_is_downloaded_whole() {
    let names = [
        "a/t-Q4_K_M-00001-of-00002.gguf",
        "a/t-Q4_K_M-00002-of-00002.gguf",
        "t-Q8_0.gguf",
        "README.md",
    ];
    let files: Vec<(&'static str, &[u8])> =
        names.iter().map(|name| (*name, name.as_bytes())).collect();
    let by_hash: HashMap<String, &'static str> = names
        .iter()
        .map(|name| (format!("/{}", hash(name.as_bytes())), *name))
        .collect();
    let store = Server::new(move |asked| bytes(asked, by_hash[&asked.path].as_bytes()));
    let hub = hub(&files, &store.url);
    let user = User::new();
    let path = stdout(&user.run(&hub.url, &["models", "pull", "hf:owner/tiny"]));
    let snapshot = user.repository().join("snapshots").join(COMMIT);
    assert_eq!(path, snapshot.join(names[0]).to_str().unwrap());
    for name in &names[..2] {
        assert_eq!(fs::read_to_string(snapshot.join(name)).unwrap(), *name);
    }
    assert_eq!(user.blobs().len(), 2);
    stdout(&user.run(&hub.url, &["models", "pull", "hf:owner/tiny:q8_0"]));
    assert_eq!(user.blobs().len(), 3);
    refuses(
        &user.run(&hub.url, &["models", "pull", "hf:owner/tiny:Q2_K"]),
        "no file is Q2_K: name one of t-Q8_0.gguf, a/t-Q4_K_M-00001-of-00002.gguf",
    );
}

#[test]
fn what_the_hub_refuses_is_said_with_what_to_do() {
    let cases = [
        (401, "GatedRepo", "set HF_TOKEN", "accept the terms on"),
        (
            401,
            "RepoNotFound",
            "set HF_TOKEN to a token of yours",
            "does not exist or is private",
        ),
        (
            404,
            "EntryNotFound",
            "owner/tiny has no file tiny.gguf at main",
            "",
        ),
        (
            404,
            "RevisionNotFound",
            "owner/tiny has no revision main",
            "",
        ),
        (404, "", "there is no such repository or file", ""),
        (429, "", "asks to wait", ""),
        (500, "", "answers with status 500", "try again later"),
        (
            200,
            "",
            "does not answer as a hub does, X-Repo-Commit is missing: check HF_ENDPOINT",
            "",
        ),
    ];
    let user = User::new();
    for (status, code, expected, more) in cases {
        let server = Server::new(move |_| Answer::status(status).header("X-Error-Code", code));
        let output = user.run(&server.url, &["models", "pull", FILE]);
        refuses(&output, expected);
        refuses(&output, more);
    }
    refuses(
        &user.run("http://127.0.0.1:9", &["models", "pull", FILE]),
        "check the network and HF_ENDPOINT",
    );
    refuses(
        &user.run("http://127.0.0.1:9", &["models", "pull", "hf:owner"]),
        "a model of a hub is named hf:OWNER/NAME",
    );
    refuses(
        &user.run(
            "http://127.0.0.1:9",
            &["models", "pull", "hf:owner/tiny/../x.gguf"],
        ),
        "a path inside the repository",
    );
    refuses(
        &user.run("http://127.0.0.1:9", &["models", "pull", "llama-99"]),
        "unknown model \"llama-99\"; known: qwen2.5-math-1.5b",
    );
}

#[test]
fn a_renamed_repository_is_followed_within_the_hub() {
    let server = Server::new(|asked| match asked.path.as_str() {
        "/owner/tiny/resolve/main/tiny.gguf" => {
            Answer::status(307).header("Location", "/owner/renamed/resolve/main/tiny.gguf")
        }
        // Small files are no links: their hash is git's, and their bytes come from the hub.
        "/owner/renamed/resolve/main/tiny.gguf" => bytes(asked, b"GGUF small")
            .header("X-Repo-Commit", COMMIT)
            .header("ETag", "W/\"0a4d55a8d778e5022fab701977c5d840bbc486d0\""),
        path => panic!("{path}"),
    });
    let user = User::new();
    let mut command = user.command(&server.url, &["models", "pull", FILE]);
    let path = stdout(&command.env("HF_TOKEN", "secret").output().unwrap());
    assert_eq!(fs::read(path).unwrap(), b"GGUF small");
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked.headers.contains_key("authorization"))
    );
}

#[test]
fn known_models_are_listed() {
    let user = User::new();
    let shown = stdout(&user.run("http://127.0.0.1:9", &["models", "list"]));
    for expected in [
        "qwen2.5-math-7b",
        "reasoner, coder, verifier",
        "Apache-2.0",
        "0.5 GB",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
    let printed = stdout(&user.run("http://127.0.0.1:9", &["models", "list", "--json"]));
    let rows: Vec<serde_json::Value> = serde_json::from_str(&printed).unwrap();
    let row = rows
        .iter()
        .find(|row| row["name"] == "qwen2.5-coder-0.5b")
        .unwrap();
    assert_eq!(
        row["source"],
        "hf:Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
    );
    assert_eq!(row["path"], serde_json::Value::Null);
}

#[test]
fn a_full_disk_is_said_and_what_is_there_stays() {
    let user = User::new();
    let cache = user.home.path().join("small");
    fs::create_dir(&cache).unwrap();
    let Some(_mounted) = Mounted::new(&cache, "512k") else {
        eprintln!("skipped: a file system of 512 KiB cannot be mounted here");
        return;
    };
    let whole = content();
    let served = whole.clone();
    let store = Server::new(move |asked| bytes(asked, &served));
    let hub = hub(&[("tiny.gguf", &whole)], &store.url);
    let mut command = user.command(&hub.url, &["models", "pull", FILE]);
    refuses(
        &command.env("HF_HOME", &cache).output().unwrap(),
        "the disk is full at",
    );
    let mut command = user.command(&hub.url, &["models", "path", FILE]);
    refuses(
        &command.env("HF_HOME", &cache).output().unwrap(),
        "is not here yet",
    );
}

/// A small file system, for as long as this lives.
pub struct Mounted(PathBuf);

impl Mounted {
    /// `None` where this user may not mount.
    pub fn new(folder: &Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder);
        let done = mount.output().is_ok_and(|output| output.status.success());
        done.then(|| Self(folder.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

/// Rows in the columns of MBPP's files at the hub: a number, two texts and a list of texts.
fn parquet_rows(rows: &[(i32, &str, &str, [&str; 2])]) -> Vec<u8> {
    let schema = "message rows {
        required int32 task_id; required binary text (UTF8); required binary code (UTF8);
        required group test_list (LIST) { repeated group list { required binary element (UTF8); } }
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let numbers: Vec<i32> = rows.iter().map(|row| row.0).collect();
    let mut column = group.next_column().unwrap().unwrap();
    let typed = column.typed::<Int32Type>();
    typed.write_batch(&numbers, None, None).unwrap();
    column.close().unwrap();
    let lists: Vec<&str> = rows.iter().flat_map(|row| row.3).collect();
    let texts: [Vec<&str>; 3] = [
        rows.iter().map(|row| row.1).collect(),
        rows.iter().map(|row| row.2).collect(),
        lists,
    ];
    for (texts, each) in texts.into_iter().zip([1, 1, 2]) {
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
        // A repetition of 0 begins a row; of a list that is never empty all values are defined.
        let repetitions: Vec<i16> = (0..values.len())
            .map(|place| i16::from(place % each != 0))
            .collect();
        let defined = vec![1; values.len()];
        let levels = (each > 1).then_some((&defined[..], &repetitions[..]));
        let (defined, repetitions) = levels.unzip();
        let typed = column.typed::<ByteArrayType>();
        typed.write_batch(&values, defined, repetitions).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_benchmarks_rows_come_from_the_hub_once() {
    const DOUBLE: &str = "def double(x): return 2 * x";
    let tests = ["assert double(2) == 4", "assert double(3) == 6"];
    let prompt = parquet_rows(&[(1, "Shown.", DOUBLE, tests)]);
    let test = parquet_rows(&[
        (2, "Double a number.", DOUBLE, tests),
        (3, "Double it again.", DOUBLE, tests),
    ]);
    let files = HashMap::from([("full/prompt.parquet", prompt), ("full/test.parquet", test)]);
    let hub = Server::new(move |asked| {
        let resolve = format!("/datasets/owner/rows/resolve/{COMMIT}/");
        let file = asked.path.strip_prefix(&resolve);
        match file.and_then(|file| files.get(file)) {
            Some(content) => bytes(asked, content)
                .header("X-Repo-Commit", COMMIT)
                .header("ETag", format!("\"{}\"", &hash(content)[..40])),
            None => Answer::status(404).header("X-Error-Code", "EntryNotFound"),
        }
    });
    let user = User::new();
    let folder = user.home.path();
    let manifest = |rows: usize| {
        let text = format!(
            r#"
name = "doubles"
about = "two rows"
task = "code"
rows = {rows}

[fields]
question = "text"
answer = "code"
id = "task_id"

[code]
tests = "test_list"
shown = 1

[splits]
test = [2, 9]

[source]
hub = "owner/rows"
revision = "{COMMIT}"
files = ["full/prompt.parquet", "full/test.parquet"]
"#
        );
        fs::write(folder.join("doubles.toml"), text).unwrap();
    };
    let model = write_tiny(folder, &[]);
    let evaluate = |endpoint: &str, out: &str| {
        let arguments = ["eval", "doubles.toml", "--out", out, "--no-cache"];
        let drawing = ["-n", "1", "--max-tokens", "2", "--reasoner"];
        user.command(endpoint, &[&arguments[..], &drawing].concat())
            .arg(&model)
            .current_dir(folder)
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .env("HF_HOME", folder.join("hub"))
            .output()
            .unwrap()
    };
    manifest(3);
    stdout(&evaluate(&hub.url, "first"));
    let traces = fs::read_to_string(folder.join("first/traces.jsonl")).unwrap();
    let traces: Vec<serde_json::Value> = traces
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: Vec<_> = traces.iter().map(|trace| trace["id"].clone()).collect();
    assert_eq!(ids, ["2", "3"]);
    assert_eq!(traces[1]["question"], "Double it again.");
    assert_eq!(traces[1]["reference"]["tests"], tests.join("\n"));

    // A commit's files do not change: the second run asks nobody.
    let asked = hub.asked().len();
    assert!(asked >= 2);
    stdout(&evaluate(&hub.url, "second"));
    assert_eq!(hub.asked().len(), asked);

    manifest(4);
    let refused = evaluate(&hub.url, "third");
    refuses(
        &refused,
        &format!("owner/rows at {COMMIT} holds 3 rows of doubles, not 4"),
    );
}
