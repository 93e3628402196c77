//! `rerank contamination`: test questions that stand among training questions.

use std::{
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::Result;
use clap::Args;
use rerank::task::contamination::{Options, contamination, questions};
use serde_json::json;

use super::share;

/// Look for test questions among training questions, as Orca-Math does
#[derive(Args)]
#[command(after_help = "Example:
  rerank contamination --train generated.jsonl.gz --test gsm8k-test.jsonl

Files are JSON Lines (plain or gzip), a JSON array or Parquet. A question stands in the fields Body and Question, body and \
question, question, problem, text, input or prompt, or in those that are named.")]
pub struct Arguments {
    /// What is trained on
    #[arg(long, value_name = "FILE")]
    train: PathBuf,
    /// What is tested on
    #[arg(long, value_name = "FILE")]
    test: PathBuf,
    /// The training rows' fields that make the question
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    train_field: Vec<String>,
    /// The test rows' fields that make the question
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    test_field: Vec<String>,
    /// Words of an n-gram
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    ngram: u8,
    /// Share of n-grams in common from which a question counts as found
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    threshold: f64,
    /// Training questions compared with each test question
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    neighbours: u16,
    /// Most questions shown, the closest first
    #[arg(long, value_name = "K", default_value_t = 10)]
    show: usize,
    /// Print all that were found as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let train = questions(&arguments.train, &arguments.train_field)?;
    let test = questions(&arguments.test, &arguments.test_field)?;
    let texts = |rows: &[(usize, String)]| {
        rows.iter()
            .map(|(_, text)| text.clone())
            .collect::<Vec<_>>()
    };
    let options = Options {
        ngram: arguments.ngram.into(),
        threshold: arguments.threshold,
        neighbours: arguments.neighbours.into(),
    };
    let mut hits = contamination(&texts(&train), &texts(&test), &options);
    let mut out = stdout();
    if arguments.json {
        let rows: Vec<_> = hits
            .iter()
            .map(|hit| {
                let ((test_line, test), (train_line, train)) = (&test[hit.test], &train[hit.train]);
                json!({
                    "test_line": test_line, "train_line": train_line,
                    "overlap": hit.overlap, "cosine": hit.cosine,
                    "test": test, "train": train,
                })
            })
            .collect();
        let report = json!({
            "train": train.len(), "test": test.len(),
            "ngram": options.ngram, "threshold": options.threshold, "neighbours": options.neighbours,
            "found": rows.len(), "questions": rows,
        });
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?);
    }
    writeln!(
        out,
        "{} of {} test questions are found among {} training questions ({}-grams in common: {} or more, by Jaccard)",
        hits.len(),
        test.len(),
        train.len(),
        options.ngram,
        options.threshold
    )?;
    hits.sort_by(|a, b| b.overlap.total_cmp(&a.overlap).then(a.test.cmp(&b.test)));
    for hit in hits.iter().take(arguments.show) {
        let ((test_line, test), (train_line, train)) = (&test[hit.test], &train[hit.train]);
        writeln!(out, "\n{:.2}  test line {test_line}: {test}", hit.overlap)?;
        writeln!(out, "      train line {train_line}: {train}")?;
    }
    Ok(())
}
