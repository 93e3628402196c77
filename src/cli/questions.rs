//! `rerank solve --questions`: many questions, a trace a line.

use std::{
    collections::{HashMap, HashSet},
    io::{Write, stdout},
    path::Path,
};

use anyhow::{Result, bail};
use rerank::{
    Error,
    answer::Rule,
    eval::{
        folder::{Record, put_in_order},
        run::Event,
    },
    jsonl,
    problem::{Question, Task},
    solve::{Stage, solve_all},
    trace::{Stopped, Trace, Why},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    bar, eval::tell, files::keep, open_sandbox, read_bytes, solve::interface, solving::Solving,
};

/// A line of the file.
#[derive(Deserialize)]
struct Row {
    question: String,
    #[serde(default)]
    id: Value,
    #[serde(default)]
    examples: Vec<String>,
}

/// Reads the questions; one without an id has its line's number for one.
pub(super) fn read(path: &Path, task: Task) -> Result<Vec<Question>> {
    let bytes = read_bytes(path)?;
    let mut questions: Vec<Question> = Vec::new();
    let mut ids = HashSet::new();
    for value in jsonl::values(&bytes, path) {
        let (line, value) = value?;
        let wrong = |reason: String| Error::Row {
            path: path.to_owned(),
            line,
            reason,
        };
        let row: Row = serde_json::from_value(value).map_err(|source| {
            wrong(format!(
                "a line must be {{\"question\": TEXT}}, with \"id\" and \"examples\" or without ({source})"
            ))
        })?;
        if row.question.trim().is_empty() {
            return Err(wrong("the question is empty".to_owned()).into());
        }
        if task == Task::Math && !row.examples.is_empty() {
            let reason = "\"examples\" are for questions that ask for a program: add --task code";
            return Err(wrong(reason.to_owned()).into());
        }
        let id = match row.id {
            Value::Null => line.to_string(),
            Value::String(id) => id,
            id => id.to_string(),
        };
        if !ids.insert(id.clone()) {
            return Err(wrong(format!(
                "a line before has the id {id} too; give each its own"
            ))
            .into());
        }
        questions.push(Question {
            id,
            text: row.question,
            task,
            interface: interface(row.examples).map_err(|error| wrong(error.to_string()))?,
        });
    }
    if questions.is_empty() {
        bail!("{} holds no questions", path.display());
    }
    Ok(questions)
}

/// Solves the questions that `out` does not hold yet. Each trace is written when it is finished; when
/// all are there, they are put in the questions' order.
pub(super) fn solve(
    from: &Path,
    questions: &[Question],
    solving: &Solving,
    out: &Path,
) -> Result<()> {
    keep(&[from], out)?;
    let bar = bar("solve", questions.len() as u64);
    let (mut record, mut traces, bytes) = Record::open(out)?;
    if bytes > 0 {
        tell(&bar, Event::Repaired { path: out, bytes });
    }
    let left = unanswered(questions, &traces, out)?;
    let task = questions[0].task;
    let mut loaded = solving.load(solving.roles.recording()?, task)?;
    let sandbox = open_sandbox()?;
    let options = solving.options(&loaded, task, Rule::Math)?;

    bar.set_position((questions.len() - left.len()) as u64);
    let quiet = |_: Stage, _: usize, _: usize| {};
    let mut write = |trace: Trace| {
        let interrupted = |stopped: Stopped| stopped.why == Why::Interrupted;
        // Such a question is solved as a whole when the same command goes on.
        if !trace.stopped.is_some_and(interrupted) {
            record.add(&trace)?;
            traces.push(trace);
            bar.inc(1);
        }
        Ok(())
    };
    solve_all(
        &mut left.into_iter(),
        &mut loaded.models(),
        &sandbox,
        &options,
        &quiet,
        &mut write,
    )?;
    bar.finish_and_clear();
    let ids = || questions.iter().map(|question| question.id.as_str());
    let known: HashSet<&str> = ids().collect();
    let asked = |trace: &&Trace| known.contains(trace.id.as_str());
    let done = traces.iter().filter(asked).count();
    if done < questions.len() {
        bail!(
            "stopped after {done} of {} questions; the same command goes on from there",
            questions.len()
        );
    }
    put_in_order(out, &mut traces, ids())?;
    let answers = traces.iter().filter(asked);
    let answers = answers.filter(|trace| trace.answer.is_some()).count();
    writeln!(
        stdout(),
        "{}: {} questions, {answers} of them with an answer",
        out.display(),
        questions.len()
    )?;
    Ok(())
}

/// The questions without a trace.
fn unanswered<'a>(
    questions: &'a [Question],
    traces: &[Trace],
    out: &Path,
) -> Result<Vec<&'a Question>> {
    let traces: HashMap<&str, &Trace> = traces
        .iter()
        .map(|trace| (trace.id.as_str(), trace))
        .collect();
    let mut left = Vec::new();
    for question in questions {
        match traces.get(question.id.as_str()) {
            None => left.push(question),
            Some(trace) if trace.question == question.text => {}
            Some(_) => bail!(
                "{} answers another question with the id {}: name another --out",
                out.display(),
                question.id
            ),
        }
    }
    Ok(left)
}
