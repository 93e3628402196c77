//! Benchmarks: rows of a data set -> [`Problem`]s, and answer -> correct?
//!
//! A benchmark is a manifest under `eval/` (TOML) that says where its rows come from, what their
//! fields are called, and how answers are found and graded. A user adds one by writing such a file.

pub mod code;
pub mod contamination;
pub mod generate;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::{self, Rule},
    error::{Error, Result, in_words},
    execute::{Limits, Sandbox},
    model::{
        LanguageModel,
        replay::{Replay, plain},
    },
    problem::{Problem, Question, Reference, Task},
    trace::Trace,
};

pub mod rows;
pub mod source;

pub use code::Code;
pub use source::Source;

/// The benchmarks that come with this crate.
const MANIFESTS: &[(&str, &str)] = &[
    ("gsm8k", include_str!("../../eval/gsm8k.toml")),
    ("gsm8k-train", include_str!("../../eval/gsm8k-train.toml")),
    ("gsm-hard", include_str!("../../eval/gsm-hard.toml")),
    ("math", include_str!("../../eval/math.toml")),
    ("math-train", include_str!("../../eval/math-train.toml")),
    ("math500", include_str!("../../eval/math500.toml")),
    ("svamp", include_str!("../../eval/svamp.toml")),
    ("asdiv", include_str!("../../eval/asdiv.toml")),
    ("multiarith", include_str!("../../eval/multiarith.toml")),
    ("addsub", include_str!("../../eval/addsub.toml")),
    ("singleop", include_str!("../../eval/singleop.toml")),
    ("singleeq", include_str!("../../eval/singleeq.toml")),
    ("aqua", include_str!("../../eval/aqua.toml")),
    ("mbpp", include_str!("../../eval/mbpp.toml")),
    (
        "mbpp-sanitized",
        include_str!("../../eval/mbpp-sanitized.toml"),
    ),
    ("humaneval", include_str!("../../eval/humaneval.toml")),
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
    /// How answers are found and compared; for programs nothing to say.
    #[serde(default)]
    pub rule: Rule,
    /// How a solution is found right or wrong.
    #[serde(default)]
    pub grader: Grader,
    /// The data set that it is a part of, as recordings call it; by default its name.
    pub dataset: Option<String>,
    /// Which part of the data set it is: `test`, `train` ...
    pub split: Option<String>,
    /// What a model is asked, with `{question}` where the question goes; the question alone where
    /// there is none. A recording is asked by the question alone.
    pub prompt: Option<String>,
    /// How many rows a file of it has.
    pub rows: Option<usize>,
    /// What [`rows::sha256`] gives for its questions and golds, whatever file holds them.
    pub sha256: Option<String>,
    /// The names of a row's fields.
    pub fields: Fields,
    /// Where the tests of a programming benchmark are.
    pub code: Option<Code>,
    /// The parts of the data set by numeric id, first and last; `name:part` takes that part, and the
    /// name alone the part called test.
    #[serde(default)]
    pub splits: BTreeMap<String, [u64; 2]>,
    /// The ids of the part that was asked for.
    #[serde(skip)]
    pub ids: Option<[u64; 2]>,
    /// Where the rows come from.
    pub source: Option<Source>,
    /// The folder of the manifest, from which a source's path is read.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// How a solution is found right or wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grader {
    /// Its final answer is compared with the gold one.
    #[default]
    Answer,
}

/// Where a row holds what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// The text of the question; of several fields, joined by a line end. A list is one item a line.
    pub question: Names,
    /// The gold answer, bare or as a worked solution that ends in it.
    pub answer: String,
    /// A regular expression that matches the whole of that field; its first group is the gold
    /// answer, bare. Without one, the gold is found as in a solution.
    pub gold: Option<String>,
    /// What tells rows apart; the row's number, from 0, where rows have no such field.
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

/// What the rows of a benchmark came to.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    /// The problems, in the order of the rows.
    pub problems: Vec<Problem>,
    /// Rows whose gold answer cannot be read, so that no solution could be found right: id and gold.
    pub unreadable: Vec<(String, String)>,
}

impl Benchmark {
    /// Finds a benchmark by its name, or by the path of its manifest; `name:part` for a part of it.
    ///
    /// # Errors
    /// A name that is not known; a manifest that cannot be read.
    pub fn find(name: &str) -> Result<Self> {
        let (name, part) = match name.rsplit_once(':') {
            Some((name, part)) if !part.contains(['/', '.']) => (name, Some(part)),
            _ => (name, None),
        };
        let (path, text) = match MANIFESTS.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => (PathBuf::from(name), (*text).to_owned()),
            None if name.ends_with(".toml") => {
                let path = PathBuf::from(name);
                let text = std::fs::read_to_string(&path).map_err(Error::read(&path))?;
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
        let mut benchmark = Self::parse(&text, &path)?;
        benchmark.take_part(part)?;
        Ok(benchmark)
    }

    /// Keeps to a part of the rows.
    fn take_part(&mut self, part: Option<&str>) -> Result<()> {
        self.ids = self.splits.get(part.unwrap_or("test")).copied();
        match part {
            Some(part) if self.ids.is_none() => {
                let known: Vec<&str> = self.splits.keys().map(String::as_str).collect();
                Err(Error::Unknown {
                    what: "part of a benchmark",
                    name: format!("{}:{part}", self.name),
                    known: match known.is_empty() {
                        true => format!("{} has none", self.name),
                        false => known.join(", "),
                    },
                })
            }
            _ => {
                if let Some(part) = part {
                    self.name = format!("{}:{part}", self.name);
                }
                Ok(())
            }
        }
    }

    /// The benchmarks that come with this crate.
    pub fn all() -> Vec<Self> {
        let parse = |(name, text): &(&str, &str)| {
            Self::parse(text, Path::new(name)).expect("the crate's own manifests are valid")
        };
        MANIFESTS.iter().map(parse).collect()
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let error = |line, reason| Error::Row {
            path: path.to_owned(),
            line,
            reason,
        };
        let mut benchmark: Self = toml::from_str(text).map_err(|source| {
            let line = source
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            error(line, in_words(&source.message()))
        })?;
        benchmark.folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let source = benchmark.source.iter();
        for fields in source
            .filter_map(|source| source.fields.as_ref())
            .chain([&benchmark.fields])
        {
            fields
                .gold_pattern()
                .map_err(|reason| error(1, format!("fields.gold: {reason}")))?;
        }
        if let Some(prompt) = &benchmark.prompt
            && !prompt.contains("{question}")
        {
            let reason = "prompt: it has no {question} where the question goes";
            return Err(error(1, reason.to_owned()));
        }
        Ok(benchmark)
    }

    /// Reads the problems of a file: JSON Lines, plain or gzip, a JSON array, or Parquet.
    ///
    /// # Errors
    /// A file that cannot be read; a row that is not JSON or lacks a field; unless `force`d, a file
    /// that is not the one the manifest was written for.
    pub fn problems(&self, path: &Path, force: bool) -> Result<Problems> {
        let rows = rows::read(path)?;
        if !force {
            self.check(path, &rows)?;
        }
        self.gather(&self.fields, vec![(path.to_owned(), rows)])
    }

    /// Checks that a recording whose rows say of which benchmark they are is one of this.
    ///
    /// # Errors
    /// Rows of another benchmark that comes with this crate, or of another part.
    pub fn check_recording(&self, replay: &Replay) -> Result<()> {
        let known = Self::all();
        let is_other = |dataset: &&str| {
            !self.is_of(dataset) && known.iter().any(|benchmark| benchmark.is_of(dataset))
        };
        match replay.datasets().find(is_other) {
            None => Ok(()),
            Some(other) => Err(Error::Options(format!(
                "{} is a recording of {other}, not of {}; --force evaluates it all the same",
                replay.name(),
                self.name
            ))),
        }
    }

    /// Whether rows of a data set, or of `DATASET/SPLIT`, may be this benchmark's.
    fn is_of(&self, dataset: &str) -> bool {
        let (dataset, split) = match dataset.split_once('/') {
            Some((dataset, split)) => (dataset, Some(split)),
            None => (dataset, None),
        };
        // A part was asked for by `name:part`.
        let name = self.name.split(':').next().unwrap_or_default();
        let own = self.dataset.as_deref().unwrap_or(name);
        let splits = split.zip(self.split.as_deref());
        dataset == own && splits.is_none_or(|(one, other)| one == other)
    }

    /// The problems of a recording, which brings its own gold answers.
    pub fn recorded(&self, replay: &Replay) -> Problems {
        let mut all = Problems::default();
        if replay.questions().all(|(_, reference)| reference.is_none()) {
            return all;
        }
        for (question, reference) in replay.questions() {
            match reference {
                Some(reference)
                    if self.task == Task::Code || self.can_be_found(&reference.answer) =>
                {
                    all.problems.push(Problem {
                        question: question.clone(),
                        reference: reference.clone(),
                    });
                }
                reference => {
                    let gold = reference.map_or("", |reference| &reference.answer);
                    all.unreadable.push((question.id.clone(), gold.to_owned()));
                }
            }
        }
        all
    }

    /// Problems from the rows of one file or several, numbered through.
    fn gather(&self, fields: &Fields, files: Vec<(PathBuf, rows::Rows)>) -> Result<Problems> {
        let gold = fields.gold_pattern().expect("checked when it was read");
        let mut all = Problems::default();
        let mut number = 0;
        for (path, rows) in files {
            for (line, row) in rows {
                let read = self.problem(fields, gold.as_ref(), number, &row);
                match read.map_err(|reason| Error::Row {
                    path: path.clone(),
                    line,
                    reason,
                })? {
                    Ok(problem) if self.is_asked(&problem.question.id) => {
                        all.problems.push(problem);
                    }
                    Err(unreadable) if self.is_asked(&unreadable.0) => {
                        all.unreadable.push(unreadable);
                    }
                    _ => {}
                }
                number += 1;
            }
        }
        Ok(all)
    }

    fn is_asked(&self, id: &str) -> bool {
        self.ids
            .is_none_or(|[from, to]| id.parse().is_ok_and(|id: u64| (from..=to).contains(&id)))
    }

    /// A row's problem; or, where its gold cannot be read, its id and gold.
    fn problem(
        &self,
        fields: &Fields,
        gold: Option<&Regex>,
        number: usize,
        row: &Value,
    ) -> Result<Result<Problem, (String, String)>, String> {
        let field = |name: &str| self.field(row, name);
        let id = match fields.id.as_ref().and_then(|name| row.get(name)) {
            Some(id) => plain(id),
            None => number.to_string(),
        };
        let text = fields.question_of(row).map_err(|name| self.lacks(&name))?;
        if text.trim().is_empty() {
            return Err("the question is empty".to_owned());
        }
        let worked = plain(field(&fields.answer)?);
        if let Some(code) = &self.code {
            return Ok(Ok(code.problem(row, id, text, worked)?));
        }
        let answer = match gold {
            Some(pattern) => pattern
                .captures(&worked)
                .and_then(|found| Some(found.get(1)?.as_str().to_owned())),
            None => answer::extract(&worked, self.rule).map(|found| found.text),
        };
        Ok(match answer.filter(|gold| self.can_be_found(gold)) {
            None => Err((id, worked)),
            Some(answer) => Ok(Problem {
                question: Question {
                    id,
                    text,
                    task: self.task,
                    interface: None,
                },
                reference: Reference {
                    answer,
                    tests: None,
                },
            }),
        })
    }

    fn field<'a>(&self, row: &'a Value, name: &str) -> Result<&'a Value, String> {
        let there = row.get(name).filter(|value| !value.is_null());
        there.ok_or_else(|| self.lacks(name))
    }

    fn lacks(&self, name: &str) -> String {
        format!(
            "there is no field {name:?}, which the manifest of {} names",
            self.name
        )
    }

    /// Whether a solution that says this gold answer would be found right: under `number` it must
    /// be an amount and not a name, under `choice` a letter.
    pub fn can_be_found(&self, gold: &str) -> bool {
        let found = match self.rule {
            Rule::Math => return !gold.trim().is_empty(),
            Rule::Number => answer::extract(&format!("The answer is {gold}."), self.rule),
            Rule::Choice => answer::extract(gold, self.rule),
        };
        found.is_some_and(|found| answer::equal(gold, &found.text, self.rule).equal)
    }

    /// The text by which a model is asked a question.
    pub fn asked(&self, question: &str) -> String {
        match &self.prompt {
            None => question.to_owned(),
            Some(prompt) => prompt.replace("{question}", question),
        }
    }

    /// Whether a candidate's answer is right.
    pub fn is_correct(&self, answer: Option<&str>, reference: &Reference) -> bool {
        answer.is_some_and(|answer| answer::equal(&reference.answer, answer, self.rule).equal)
    }

    /// Writes into a trace what is right: the reference, and for each candidate and the answer whether
    /// it is. Programs are run on the hidden tests.
    pub fn mark(&self, trace: &mut Trace, problem: &Problem, sandbox: &Sandbox, limits: &Limits) {
        trace.reference = Some(problem.reference.clone());
        let grades = match problem.question.task {
            Task::Math => self.grade(trace),
            Task::Code => code::grade(&trace.candidates, problem, sandbox, limits),
        };
        trace.correct = Some(trace.ranking.chosen.is_some_and(|chosen| grades[chosen]));
        for (traced, correct) in trace.candidates.iter_mut().zip(grades) {
            traced.correct = Some(correct);
        }
    }

    /// Whether each of a trace's candidates is right, as was written down, else by comparing answers;
    /// all wrong where the trace has no reference.
    pub fn grade(&self, trace: &Trace) -> Vec<bool> {
        let compare = |answer: Option<&str>| {
            let reference = trace.reference.as_ref();
            reference.is_some_and(|reference| self.is_correct(answer, reference))
        };
        let grades = trace.candidates.iter().map(|traced| {
            let answer = traced.candidate.answer.as_deref();
            traced.correct.unwrap_or_else(|| compare(answer))
        });
        grades.collect()
    }
}

impl Fields {
    fn gold_pattern(&self) -> Result<Option<Regex>, String> {
        let whole = |pattern: &String| Regex::new(&format!("^(?s:{pattern})$"));
        let pattern = self.gold.as_ref().map(whole);
        let pattern = pattern.transpose().map_err(|source| source.to_string())?;
        match &pattern {
            Some(pattern) if pattern.captures_len() < 2 => {
                Err("it has no group ( ) around the gold answer".to_owned())
            }
            _ => Ok(pattern),
        }
    }

    /// The text of a row's question.
    ///
    /// # Errors
    /// The name of a field that the row does not have.
    fn question_of(&self, row: &Value) -> Result<String, String> {
        let texts = self.question.as_slice().iter();
        let texts = texts.map(|name| row.get(name).map(plain).ok_or_else(|| name.clone()));
        Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
    }
}
