//! `rerank pairs`: what a verifier learns from.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::HumanCount;
use rerank::{
    answer::{self, Rule},
    eval::run::read_traces,
    model::replay,
    train::pairs::{self, Labelled, Options},
};

/// Make preference pairs: correct against incorrect solutions of the same problem
#[derive(Args)]
#[command(after_help = "Examples:
  rerank pairs out/train-a out/train-b --out pairs.jsonl
  rerank pairs samples.jsonl.gz --pairs-per-problem 8 --length-matched --out pairs.jsonl")]
pub struct Arguments {
    /// Folders of `rerank eval` runs, or files of recorded samples (.jsonl, .jsonl.gz)
    #[arg(required = true, value_name = "DIR|FILE")]
    sources: Vec<PathBuf>,
    /// Where the pairs go; rows of prompt, chosen, rejected, as TRL reads them
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Most pairs of a problem; 0 for every correct against every incorrect solution
    #[arg(long, value_name = "K", default_value_t = 16)]
    pairs_per_problem: usize,
    /// Pair only solutions of different models, where a problem has such
    #[arg(long)]
    cross_model: bool,
    /// Prefer pairs of nearly the same length, so that length tells nothing
    #[arg(long)]
    length_matched: bool,
    /// Drop solutions with more characters; 0 for no limit
    #[arg(long, value_name = "CHARACTERS", default_value_t = 0)]
    max_length: usize,
    /// Share of the problems (not of the pairs) that is held out
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    dev_share: f64,
    /// Chooses the held-out problems, and the pairs where there are more than wanted
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print the statistics as JSON
    #[arg(long)]
    json: bool,
}

#[expect(clippy::print_stdout, reason = "the command's one result")]
pub fn run(arguments: Arguments) -> Result<()> {
    let mut problems: Vec<Labelled> = Vec::new();
    for source in &arguments.sources {
        if source.is_dir() {
            let grade = |reference: &rerank::problem::Reference,
                         candidate: &rerank::trace::Candidate| {
                let answer = candidate.answer.as_deref();
                answer.is_some_and(|answer| {
                    answer::equal(&reference.answer, answer, Rule::Math).equal
                })
            };
            let model = source.display().to_string();
            let traces = read_traces(&source.join("traces.jsonl"))?;
            problems.extend(
                traces
                    .iter()
                    .filter_map(|trace| pairs::from_trace(trace, &model, &grade)),
            );
        } else {
            let rows = String::from_utf8_lossy(&replay::read(source)?).into_owned();
            let grade =
                |gold: &str, answer: &str| Some(answer::equal(gold, answer, Rule::Math).equal);
            problems.extend(pairs::from_samples(&rows, source, &grade)?);
        }
    }
    let options = Options {
        pairs_per_problem: arguments.pairs_per_problem,
        cross_model: arguments.cross_model,
        length_matched: arguments.length_matched,
        characters_max: arguments.max_length,
        dev_share: arguments.dev_share,
        seed: arguments.seed,
        ..Options::default()
    };
    let (rows, statistics) = pairs::build(&problems, &options);
    if rows.is_empty() {
        bail!(
            "no pairs: none of {} problems has both a correct and an incorrect solution",
            problems.len()
        );
    }
    let lines: Vec<String> = rows
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()?;
    let temporary = arguments.out.with_extension("part");
    fs::write(&temporary, lines.join("\n") + "\n")
        .and_then(|()| fs::rename(&temporary, &arguments.out))
        .with_context(|| format!("cannot write {}", arguments.out.display()))?;

    if arguments.json {
        println!("{}", serde_json::to_string(&statistics)?);
        return Ok(());
    }
    println!(
        "{} pairs of {} problems ({} held out) in {}",
        HumanCount(statistics.pairs as u64),
        statistics.mixed,
        statistics.dev,
        arguments.out.display()
    );
    println!(
        "{} problems, {} solutions; {:.0} % survive deduplication; {:.2} correct and {:.2} incorrect each",
        statistics.problems,
        HumanCount(statistics.solutions as u64),
        statistics.surviving * 100.0,
        statistics.correct_mean,
        statistics.incorrect_mean
    );
    println!(
        "left out: {} empty, {} too long, {} labelled both ways",
        statistics.empty, statistics.too_long, statistics.contradictory
    );
    Ok(())
}
