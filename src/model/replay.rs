//! A model that says what a real one said: samples recorded earlier, from JSON lines.
//!
//! In: a file of rows `{"question", "gold"?, "samples": [{"model", "kind", "text", "rm_score"?}]}`,
//! plain or gzip. Samples of kind `cot` are candidates; the i-th `pot` sample of a model is the program
//! of that model's i-th `cot` sample. `code` and `tool_integrated` samples are candidates that hold
//! their own program, and so are `pot` samples where a recording has none but them. A question is
//! found by its text, so that any benchmark file that asks it will do, and by its id where it is asked
//! more than once. A model that was asked for its reasoning and its answer apart has the latter in a
//! sample's `answer`; such a candidate says it last.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Finished, Generation, LanguageModel, Request, Sampling, Scored, Ticket, Usage, Watch};
use crate::{
    answer::{self, Rule},
    error::{Error, Result, in_words},
    jsonl::{self, read},
    problem::{Question, Reference, Task},
    trace::Stop,
};

/// Recorded samples, by question.
pub struct Replay {
    name: String,
    sha256: String,
    rows: Vec<Row>,
    row_by_question: HashMap<String, usize>,
    row_by_id: HashMap<String, usize>,
    datasets: BTreeSet<String>,
    damaged: Vec<Error>,
    /// What the next step hands back.
    waiting: Vec<Finished>,
    tickets: u64,
}

/// One question of a recording.
struct Row {
    question: Question,
    reference: Option<Reference>,
    candidates: Vec<Recorded>,
}

/// One recorded sample, with its program where the recording holds one.
struct Recorded {
    text: String,
    program: Option<String>,
    score: Option<f64>,
}

impl Replay {
    /// Reads a recording. Lines that cannot be read are left out and listed in
    /// [`Replay::damaged`]; the rest is kept.
    ///
    /// # Errors
    /// The file cannot be read, or not one of its lines can.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = read(path)?;
        let mut replay = Self {
            name: path.display().to_string(),
            sha256: format!("{:x}", Sha256::digest(&bytes)),
            rows: Vec::new(),
            row_by_question: HashMap::new(),
            row_by_id: HashMap::new(),
            datasets: BTreeSet::new(),
            damaged: Vec::new(),
            waiting: Vec::new(),
            tickets: 0,
        };
        let parse =
            |text: &str| serde_json::from_str::<RecordedRow>(text).map_err(|e| in_words(&e));
        let lines = jsonl::lines(&bytes).map(|(line, text)| (line, text.and_then(parse)));
        let lines: Vec<(usize, Result<RecordedRow, String>)> = lines.collect();
        let mut kinds = lines.iter().filter_map(|(_, row)| row.as_ref().ok());
        let programs_alone = kinds.all(RecordedRow::holds_programs_alone);
        for (line, row) in lines {
            match row.and_then(|mut row| {
                replay.datasets.extend(row.dataset.take());
                let row = row.into_row(line - 1, programs_alone);
                row.map_err(str::to_owned)
            }) {
                Ok(row) => {
                    let place = replay.rows.len();
                    let Question { id, text, .. } = &row.question;
                    replay.row_by_id.entry(id.clone()).or_insert(place);
                    replay.row_by_question.entry(key(text)).or_insert(place);
                    replay.rows.push(row);
                }
                Err(reason) => replay.damaged.push(Error::Row {
                    path: PathBuf::from(path),
                    line,
                    reason,
                }),
            }
        }
        match (replay.rows.is_empty(), replay.damaged.is_empty()) {
            (false, _) => Ok(replay),
            (true, false) => Err(replay.damaged.swap_remove(0)),
            (true, true) => Err(Error::Row {
                path: PathBuf::from(path),
                line: 1,
                reason: "the file holds no rows".to_owned(),
            }),
        }
    }

    /// The lines that could not be read.
    pub fn damaged(&self) -> &[Error] {
        &self.damaged
    }

    /// The recorded questions, in file order, with the gold answer where the row holds it.
    pub fn questions(&self) -> impl Iterator<Item = (&Question, Option<&Reference>)> {
        let rows = self.rows.iter();
        rows.map(|row| (&row.question, row.reference.as_ref()))
    }

    /// The benchmarks of which its rows say that they are, each once, as `NAME` or `NAME/SPLIT`.
    pub fn datasets(&self) -> impl Iterator<Item = &str> {
        self.datasets.iter().map(String::as_str)
    }

    /// Whether any sample carries a score, so that the recording can play the verifier.
    pub fn has_scores(&self) -> bool {
        self.rows
            .iter()
            .flat_map(|row| &row.candidates)
            .any(|sample| sample.score.is_some())
    }

    /// Whether there are samples of a question.
    pub fn holds(&self, question: &Question) -> bool {
        self.row(question).is_ok()
    }

    fn row(&self, question: &Question) -> Result<&Row> {
        let text = key(&question.text);
        let by_id = self.row_by_id.get(&question.id);
        // Benchmarks ask some questions twice, and word programming questions in their own ways.
        let index = by_id
            .filter(|row| key(&self.rows[**row].question.text) == text)
            .or_else(|| self.row_by_question.get(&text))
            .or_else(|| by_id.filter(|_| question.task == Task::Code))
            .ok_or_else(|| Error::Question {
                id: question.id.clone(),
                reason: format!("{} holds no samples for it", self.name),
            })?;
        Ok(&self.rows[*index])
    }
}

impl LanguageModel for Replay {
    fn name(&self) -> &str {
        &self.name
    }

    fn sha256(&self) -> Result<String> {
        Ok(self.sha256.clone())
    }

    fn submit(&mut self, request: &Request, _sampling: &Sampling) -> Result<Ticket> {
        let recorded = &self.row(request.question)?.candidates;
        let texts: Vec<String> = match request.candidate {
            None => recorded
                .iter()
                .skip(request.first)
                .take(request.samples)
                .map(|sample| sample.text.clone())
                .collect(),
            Some(index) => recorded
                .get(index)
                .and_then(|sample| sample.program.clone())
                .into_iter()
                .collect(),
        };
        self.tickets += 1;
        let ticket = Ticket {
            id: self.tickets,
            samples: texts.len(),
        };
        let drawn = texts.into_iter().zip(request.first..);
        self.waiting
            .extend(drawn.map(|(text, sample)| finished(ticket.id, sample, text)));
        Ok(ticket)
    }

    fn step(&mut self) -> Result<Vec<Finished>> {
        Ok(self.waiting.drain(..).collect())
    }

    fn cancel(&mut self, ticket: u64) -> Vec<Finished> {
        self.waiting.retain(|finished| finished.ticket != ticket);
        Vec::new()
    }

    fn pending(&self) -> usize {
        self.waiting.len()
    }

    fn score(
        &mut self,
        request: &Request,
        continuations: &[&str],
        _watch: Watch,
    ) -> Result<Scored> {
        let recorded = &self.row(request.question)?.candidates;
        let score = |text: &str| recorded.iter().find(|sample| sample.text == text)?.score;
        Ok(Scored {
            scores: continuations.iter().map(|text| score(text)).collect(),
            usage: Usage::default(),
        })
    }
}

fn finished(ticket: u64, sample: usize, text: String) -> Finished {
    let generation = Generation {
        text,
        tokens: 0,
        stop: Stop::Recorded,
        logprob_mean: None,
    };
    Finished {
        ticket,
        sample,
        generation,
        usage: Usage::default(),
    }
}

/// A question's text without regard to white space, which copies of a benchmark differ in.
fn key(question: &str) -> String {
    question.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[derive(Deserialize)]
struct RecordedRow {
    /// The benchmark, as `NAME` or `NAME/SPLIT`.
    dataset: Option<String>,
    index: Option<Value>,
    unique_id: Option<Value>,
    task_id: Option<Value>,
    id: Option<Value>,
    question: Option<String>,
    problem: Option<String>,
    text: Option<String>,
    prompt: Option<String>,
    gold: Option<Value>,
    /// The model and kind of samples that are bare strings.
    #[serde(default)]
    model: String,
    #[serde(default)]
    kind: String,
    /// Rows that hold tests or a function's name are programming questions, whose samples often do
    /// not say that they are programs.
    test_list: Option<Value>,
    entry_point: Option<Value>,
    samples: Vec<RecordedSample>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a sample must be a text, or an object with a \"text\""
)]
enum RecordedSample {
    Text(String),
    Labelled {
        #[serde(default)]
        model: String,
        #[serde(default)]
        kind: String,
        text: String,
        answer: Option<Value>,
        rm_score: Option<f64>,
    },
}

/// What a model replied: its text, and after it the answer that was recorded apart, where the text
/// does not state one itself.
fn reply(text: String, answer: Option<&Value>) -> String {
    let answer = match answer {
        Some(Value::String(answer)) => answer.trim().to_owned(),
        Some(Value::Number(answer)) => answer.to_string(),
        _ => return text,
    };
    let found = answer::extract(&text, Rule::Math);
    let states = found.is_some_and(|found| !GUESSED.contains(&found.by));
    // "[invalid]" and "None" say that the source found no answer.
    if states || answer.is_empty() || answer == "None" || answer.starts_with('[') {
        return text;
    }
    format!("{}\nThe answer is {answer}.", text.trim_end())
}

/// The rules by which an answer is found that a text does not mark as one.
const GUESSED: [&str; 5] = ["whole", "bold", "last sentence", "last math", "last number"];

impl RecordedRow {
    /// Whether its samples are programs that nobody wrote a chain of thought for.
    fn holds_programs_alone(&self) -> bool {
        self.samples.iter().all(|sample| match sample {
            RecordedSample::Text(_) => self.kind == "pot",
            RecordedSample::Labelled { kind, .. } => kind == "pot",
        })
    }

    /// A row's question and candidates, or what it lacks.
    fn into_row(self, line: usize, programs_alone: bool) -> Result<Row, &'static str> {
        let id = [self.unique_id, self.task_id, self.index, self.id]
            .into_iter()
            .flatten()
            .next();
        let is_code = self.test_list.is_some() || self.entry_point.is_some();
        let kind_of = |kind: String| match kind.is_empty() && is_code {
            true => "code".to_owned(),
            false => kind,
        };
        let samples: Vec<(String, String, String, Option<f64>)> = self
            .samples
            .into_iter()
            .map(|sample| match sample {
                RecordedSample::Text(text) => {
                    (self.model.clone(), kind_of(self.kind.clone()), text, None)
                }
                RecordedSample::Labelled {
                    model,
                    kind,
                    text,
                    answer,
                    rm_score,
                } => {
                    let text = match kind.as_str() {
                        "cot" => reply(text, answer.as_ref()),
                        _ => text,
                    };
                    (model, kind_of(kind), text, rm_score)
                }
            })
            .collect();

        let mut programs: HashMap<&str, VecDeque<&str>> = HashMap::new();
        for (model, kind, text, _) in &samples {
            if kind == "pot" {
                programs.entry(model).or_default().push_back(text);
            }
        }
        let mut task = Task::Math;
        let mut candidates = Vec::new();
        for (model, kind, text, score) in &samples {
            let program = match kind.as_str() {
                "cot" => programs
                    .get_mut(model.as_str())
                    .and_then(VecDeque::pop_front),
                "code" => {
                    task = Task::Code;
                    Some(text.as_str())
                }
                "tool_integrated" => Some(text.as_str()),
                "pot" if programs_alone => Some(text.as_str()),
                _ => continue,
            };
            candidates.push(Recorded {
                text: text.clone(),
                program: program.map(str::to_owned),
                score: *score,
            });
        }
        if candidates.is_empty() {
            return Err("no sample is of kind \"cot\", \"pot\", \"tool_integrated\" or \"code\"");
        }
        let text = [self.question, self.problem, self.text, self.prompt];
        let text = text.into_iter().flatten().next();
        let text = text.or_else(|| (task == Task::Code && id.is_some()).then(String::new));
        let text = text.ok_or("there is no \"question\"")?;
        let id = id.as_ref().map_or_else(|| line.to_string(), plain);
        Ok(Row {
            candidates,
            question: Question {
                id,
                text,
                task,
                interface: None,
            },
            reference: self.gold.as_ref().map(|gold| Reference {
                answer: plain(gold),
                tests: None,
            }),
        })
    }
}

/// A JSON value as a person writes it: strings without quotes, a list one item a line.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}
