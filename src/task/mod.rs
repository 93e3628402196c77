//! Benchmarks: rows of a data set -> [`Problem`]s, and answer -> correct?
//!
//! A benchmark is a manifest under `eval/` (TOML) that names the fields of a row and the rule by
//! which its answers are found and compared. A user adds one by writing such a file.

pub mod contamination;
pub mod generate;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::{self, Rule},
    error::{Error, Result},
    model::replay::{plain, read},
    problem::{Problem, Question, Reference, Task},
    trace::Trace,
};

/// The benchmarks that come with this crate.
const MANIFESTS: &[(&str, &str)] = &[
    ("gsm8k", include_str!("../../eval/gsm8k.toml")),
    ("gsm-hard", include_str!("../../eval/gsm-hard.toml")),
    ("math", include_str!("../../eval/math.toml")),
    ("math500", include_str!("../../eval/math500.toml")),
    ("svamp", include_str!("../../eval/svamp.toml")),
    ("multiarith", include_str!("../../eval/multiarith.toml")),
    ("addsub", include_str!("../../eval/addsub.toml")),
    ("singleop", include_str!("../../eval/singleop.toml")),
    ("singleeq", include_str!("../../eval/singleeq.toml")),
    ("aqua", include_str!("../../eval/aqua.toml")),
];

/// What a manifest says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    /// What `rerank eval` calls it.
    pub name: String,
    /// One sentence: what the problems are, whose they are, and their licence.
    pub about: String,
    /// What a solution is.
    pub task: Task,
    /// How answers are found and compared.
    pub rule: Rule,
    /// The names of a row's fields.
    pub fields: Fields,
}

/// Where a row holds what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// The text of the question; of several fields, joined by a line end. A list is one item a line.
    pub question: Names,
    /// The gold answer, bare or as a worked solution that ends in it.
    pub answer: String,
    /// What tells rows apart; the row's number, from 0, where there is no such field.
    pub id: Option<String>,
}

/// One field or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a field's name or a list of names")]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Names {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

impl Benchmark {
    /// Finds a benchmark by its name, or by the path of its manifest.
    ///
    /// # Errors
    /// A name that is not known; a manifest that cannot be read.
    pub fn find(name: &str) -> Result<Self> {
        let (path, text) = match MANIFESTS.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => (PathBuf::from(name), (*text).to_owned()),
            None if name.ends_with(".toml") => {
                let path = PathBuf::from(name);
                let text = std::fs::read_to_string(&path).map_err(|source| Error::Read {
                    path: path.clone(),
                    source,
                })?;
                (path, text)
            }
            None => {
                let known: Vec<&str> = MANIFESTS.iter().map(|(name, _)| *name).collect();
                return Err(Error::Unknown {
                    what: "benchmark",
                    name: name.to_owned(),
                    known: known.join(", ") + ", or the path of a manifest (.toml)",
                });
            }
        };
        toml::from_str(&text).map_err(|source| Error::Row {
            line: source
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count()),
            path,
            reason: source.message().to_owned(),
        })
    }

    /// Reads the rows of a JSON Lines file, plain or gzip.
    ///
    /// # Errors
    /// A file that cannot be read; a row that is not JSON or lacks a field; a gold answer in which
    /// no answer can be found.
    pub fn problems(&self, path: &Path) -> Result<Vec<Problem>> {
        let bytes = read(path)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(index, line)| {
                self.problem(index, line).map_err(|reason| Error::Row {
                    path: path.to_owned(),
                    line: index + 1,
                    reason,
                })
            })
            .collect()
    }

    fn problem(&self, index: usize, line: &str) -> Result<Problem, String> {
        let row: Value = serde_json::from_str(line).map_err(|source| source.to_string())?;
        let field = |name: &str| {
            row.get(name).ok_or_else(|| {
                format!(
                    "there is no field {name:?}, which the manifest of {} names",
                    self.name
                )
            })
        };
        let id = match &self.fields.id {
            Some(name) => plain(field(name)?),
            None => index.to_string(),
        };
        let texts = self
            .fields
            .question
            .as_slice()
            .iter()
            .map(|name| Ok(plain(field(name)?)));
        let text = texts.collect::<Result<Vec<String>, String>>()?.join("\n");
        let gold = plain(field(&self.fields.answer)?);
        let answer = answer::extract(&gold, self.rule)
            .ok_or_else(|| format!("no answer can be found in the gold {gold:?}"))?;
        Ok(Problem {
            question: Question {
                id,
                text,
                task: self.task,
                interface: None,
            },
            reference: Reference {
                answer: answer.text,
                tests: None,
            },
        })
    }

    /// Whether a candidate's answer is right.
    pub fn is_correct(&self, answer: Option<&str>, reference: &Reference) -> bool {
        answer.is_some_and(|answer| answer::equal(&reference.answer, answer, self.rule).equal)
    }

    /// Whether each of a trace's candidates is right; all wrong where the trace has no reference.
    pub fn grade(&self, trace: &Trace) -> Vec<bool> {
        let answers = trace
            .candidates
            .iter()
            .map(|traced| traced.candidate.answer.as_deref());
        answers
            .map(|answer| {
                trace
                    .reference
                    .as_ref()
                    .is_some_and(|reference| self.is_correct(answer, reference))
            })
            .collect()
    }
}
