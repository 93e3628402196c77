//! The files in which samples and scores are kept.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::add;
use crate::{
    error::{Error, Result},
    jsonl,
    model::Generation,
    problem::Question,
};

/// Questions whose files are held in memory: more than are ever solved side by side.
const QUESTIONS_MAX: usize = 256;

/// What is kept of one model.
pub(super) struct Store {
    folder: PathBuf,
    /// By question, what its file held when it was read, and what was added since.
    questions: HashMap<PathBuf, HashMap<String, Kept>>,
    /// The questions in memory, in the order in which they were read.
    order: VecDeque<PathBuf>,
}

/// One thing that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Kept {
    Sample {
        #[serde(flatten)]
        generation: Generation,
        /// Prompt tokens that were counted with it.
        tokens_prompt: u64,
    },
    Score {
        score: Option<f64>,
        tokens: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    #[serde(flatten)]
    kept: Kept,
}

impl Store {
    pub fn open(folder: &Path, model: &str) -> Result<Self> {
        let folder = folder.join(model);
        fs::create_dir_all(&folder).map_err(|source| write_error(&folder, source))?;
        Ok(Self {
            folder,
            questions: HashMap::new(),
            order: VecDeque::new(),
        })
    }

    /// What is kept about a question.
    pub fn of(&mut self, question: &Question) -> Result<&HashMap<String, Kept>> {
        let path = self.path(question);
        if !self.questions.contains_key(&path) {
            let kept = read(&path)?;
            self.questions.insert(path.clone(), kept);
            self.order.push_back(path.clone());
            if self.order.len() > QUESTIONS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.questions.remove(&oldest);
            }
        }
        Ok(&self.questions[&path])
    }

    pub fn keep(&mut self, question: &Question, key: &str, kept: Kept) -> Result<()> {
        self.of(question)?;
        let path = self.path(question);
        let key = key.to_owned();
        let line = Line {
            key: key.clone(),
            kept: kept.clone(),
        };
        let line = serde_json::to_string(&line).expect("it is JSON");
        // A line begins with a line end too: one that a killed process cut off spoils no other.
        let file = OpenOptions::new().append(true).create(true).open(&path);
        file.and_then(|mut file| file.write_all(format!("\n{line}\n").as_bytes()))
            .map_err(|source| write_error(&path, source))?;
        self.questions.entry(path).or_default().insert(key, kept);
        Ok(())
    }

    fn path(&self, question: &Question) -> PathBuf {
        let mut hash = Sha256::new();
        add(&mut hash, &question.id);
        add(&mut hash, &question.text);
        self.folder.join(format!("{:x}.jsonl", hash.finalize()))
    }
}

/// The lines of a file; one that a killed process cut off is drawn again.
fn read(path: &Path) -> Result<HashMap<String, Kept>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(source) => {
            return Err(Error::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    let lines = jsonl::lines(&bytes).filter_map(|(_, line)| line.ok());
    let lines = lines.filter_map(|line| serde_json::from_str::<Line>(line).ok());
    Ok(lines.map(|line| (line.key, line.kept)).collect())
}

fn write_error(path: &Path, source: std::io::Error) -> Error {
    let message = format!(
        "{source}; give another folder for samples with --cache DIR, or keep none with --no-cache"
    );
    Error::Write {
        path: path.to_owned(),
        source: std::io::Error::new(source.kind(), message),
    }
}
