//! What the reasoner says to fresh problems, and which of it is right.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{Read, Write},
    path::Path,
};

use serde_json::{Value, json};

use super::{FRESH, recipe::Samples};
use crate::{
    Error, Result,
    answer::{self, Rule},
    file::beside,
    model::{LanguageModel, Request, Sampling, seed_for},
    problem::{Question, Task},
    task::generate::{Generated, generate},
    train::pairs::{self, Labelled, Split, Statistics},
};

/// Problems that are drawn for at a time.
const AT_ONCE: u64 = 100;

/// Draws samples into a file of recorded samples (`rerank solve --replay` reads it too). A file
/// that was begun is gone on with.
pub(super) fn draw(
    reasoner: &mut dyn LanguageModel,
    samples: &Samples,
    seed: u64,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let part = beside(path, ".part");
    let error = Error::write(&part);
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(&part)
        .map_err(&error)?;
    let mut begun = Vec::new();
    file.read_to_end(&mut begun).map_err(&error)?;
    let newlines = begun.iter().filter(|&&byte| byte == b'\n');
    let mut done = newlines.count() as u64;
    let whole = begun.iter().rposition(|&byte| byte == b'\n');
    file.set_len(whole.map_or(0, |end| end as u64 + 1))
        .map_err(&error)?;
    let sampling = Sampling {
        temperature: samples.temperature,
        top_p: 1.0,
        tokens_max: 200,
        ..Sampling::default()
    };
    while done < samples.problems {
        progress(done, samples.problems);
        let indexes = done..(done + AT_ONCE).min(samples.problems);
        let generated: Vec<Generated> = indexes.map(|index| generate(seed, index)).collect();
        let questions: Vec<Question> = generated
            .iter()
            .map(|generated| Question::new(generated.question.clone(), Task::Math))
            .collect();
        let requests = questions.iter().zip(done..).map(|(question, index)| {
            Ok(Request {
                question,
                candidate: None,
                messages: reasoner.prompts().solve(question)?,
                first: 0,
                samples: samples.each,
                seed: seed_for(seed, "samples", index as usize),
            })
        });
        let requests: Vec<Request> = requests.collect::<Result<_>>()?;
        let drawn = reasoner.generate(&requests, &sampling, &|_, _| {})?;
        let mut lines = String::new();
        for (problem, texts) in generated.iter().zip(drawn.generations) {
            let samples = texts.into_iter().map(|generation| {
                let answer = answer::extract(&generation.text, Rule::Number).map(|found| found.text);
                let correct = answer.as_deref().is_some_and(|answer| {
                    answer::equal(&problem.answer, answer, Rule::Number).equal
                });
                json!({"model": "reasoner", "kind": "cot", "text": generation.text, "answer": answer, "correct": correct})
            });
            let samples: Vec<Value> = samples.collect();
            let row =
                json!({"question": problem.question, "gold": problem.answer, "samples": samples});
            lines += &row.to_string();
            lines.push('\n');
        }
        file.write_all(lines.as_bytes()).map_err(&error)?;
        done += generated.len() as u64;
    }
    progress(done, samples.problems);
    file.sync_all().map_err(&error)?;
    fs::rename(&part, path).map_err(&error)
}

/// Pairs from recorded samples, and from wrong solutions that the generator makes: rows for TRL or
/// this crate, and the problems in them. Problems are held out of the sampled ones alone, so that a
/// checkpoint is chosen by what the reasoner says.
pub(super) fn pair(
    recorded: &str,
    path: &Path,
    samples: &Samples,
    seed: u64,
) -> Result<(Vec<pairs::Row>, Statistics)> {
    // Every sample says itself whether it is right.
    let labelled: Vec<Labelled> = pairs::from_samples(recorded.as_bytes(), path, &|_, _| None)?;
    let options = pairs::Options {
        pairs_per_problem: samples.pairs,
        dev_share: 0.1,
        seed,
        ..pairs::Options::default()
    };
    let (mut rows, mut statistics) = pairs::build(&labelled, &options);
    let fresh = seed.wrapping_add(FRESH);
    for index in samples.problems..samples.problems + samples.contrasts {
        let generated = generate(fresh, index);
        let mut flawed: Vec<String> = (0..samples.flaws)
            .map(|flaw| generated.flawed(seed_for(fresh, "flaw", index as usize) ^ flaw))
            // Of the same number of steps, so that length tells nothing.
            .filter(|flawed| !matches!(flawed.flaw, "omitted step" | "repeated step"))
            .map(|flawed| flawed.solution)
            .collect();
        flawed.sort_unstable();
        flawed.dedup();
        statistics.pairs += flawed.len();
        rows.extend(flawed.into_iter().map(|rejected| pairs::Row {
            prompt: generated.question.clone(),
            chosen: generated.solution.clone(),
            rejected,
            id: format!("generated-{index}"),
            split: Some(Split::Train),
            chosen_model: "generator".to_owned(),
            rejected_model: "generator".to_owned(),
        }));
    }
    // A question may be generated twice: where it comes first, it is said whether it is held out.
    let mut splits = HashMap::new();
    for row in &mut rows {
        row.split = *splits.entry(row.prompt.clone()).or_insert(row.split);
    }
    Ok((rows, statistics))
}
