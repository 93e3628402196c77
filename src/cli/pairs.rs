//! `rerank pairs`: what a verifier learns from.

use std::{
    collections::{HashMap, HashSet},
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::{Result, bail};
use clap::Args;
use indicatif::HumanCount;
use rerank::{
    answer::{self, Rule},
    eval::folder::{read_description, read_traces},
    file::write_whole,
    jsonl,
    problem::Reference,
    trace::Candidate,
    train::pairs::{self, Labelled, Options, Statistics},
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
    /// Pair only solutions of different models (of runs: of different reasoners), where a problem
    /// has such
    #[arg(long)]
    cross_model: bool,
    /// Of the pairs to learn from keep those whose solutions' lengths are within a factor of two of
    /// each other, the most alike first, so that length tells little
    #[arg(long)]
    length_matched: bool,
    /// Only equal texts are duplicates; without it also those that differ in case or white space,
    /// unless they are programs
    #[arg(long)]
    exact: bool,
    /// Drop solutions with more characters; 0 for no limit
    #[arg(long, value_name = "CHARACTERS", default_value_t = 0)]
    max_length: usize,
    /// Share of the problems (not of the pairs) that is held out
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = super::share)]
    dev_share: f64,
    /// Chooses the held-out problems, and the pairs where there are more than wanted
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How the answers of recorded samples are compared; a run's are compared by its own rule
    #[arg(long, value_enum, default_value_t = super::RuleArgument::Math)]
    rule: super::RuleArgument,
    /// Print the statistics as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    for source in &arguments.sources {
        super::keep(&[source, &source.join("traces.jsonl")], &arguments.out)?;
    }
    let mut problems: Vec<(Labelled, Rule)> = Vec::new();
    // A source that is named twice, perhaps by another path, counts once.
    let mut known = HashSet::new();
    let sources = arguments.sources.iter();
    for source in sources.filter(|source| {
        known.insert(
            source
                .canonicalize()
                .ok()
                .unwrap_or_else(|| (*source).clone()),
        )
    }) {
        if source.is_dir() {
            let run = read_description(source)?;
            let is_right = |reference: &Reference, candidate: &Candidate| {
                let answer = candidate.answer.as_deref();
                answer.is_some_and(|answer| {
                    answer::equal(&reference.answer, answer, run.answers).equal
                })
            };
            // Two runs of one reasoner are one model's, whatever their folders are called.
            let reasoner = run.models.iter().find(|(role, ..)| role == "reasoner");
            let model = match reasoner {
                Some((_, name, sha256)) if sha256.is_empty() => name.clone(),
                Some((_, _, sha256)) => sha256.clone(),
                None => source.display().to_string(),
            };
            let traces = read_traces(&source.join("traces.jsonl"))?;
            let labelled = traces
                .iter()
                .filter_map(|trace| pairs::from_trace(trace, &model, &is_right));
            problems.extend(labelled.map(|problem| (problem, run.answers)));
        } else {
            let rows = jsonl::read(source)?;
            let rule: Rule = arguments.rule.into();
            let is_right = |gold: &str, answer: &str| Some(answer::grade(gold, answer, rule).equal);
            let labelled = pairs::from_samples(&rows, source, &is_right)?;
            problems.extend(labelled.into_iter().map(|problem| (problem, rule)));
        }
    }
    let (problems, conflicting) = merged(problems);
    let options = Options {
        pairs_per_problem: arguments.pairs_per_problem,
        cross_model: arguments.cross_model,
        length_matched: arguments.length_matched,
        characters_max: arguments.max_length,
        normalised: !arguments.exact,
        dev_share: arguments.dev_share,
        seed: arguments.seed,
    };
    let (rows, mut statistics) = pairs::build(&problems, &options);
    statistics.conflicting = conflicting;
    if rows.is_empty() {
        let why = match statistics.mixed {
            0 => format!(
                "none of {} problems has both a correct and an incorrect solution",
                statistics.problems
            ),
            mixed => format!(
                "none of {mixed} problems has a correct and an incorrect solution of such lengths as --length-matched wants"
            ),
        };
        bail!("no pairs: {why} (left out: {})", left_out(&statistics));
    }
    let lines: Vec<String> = rows
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()?;
    let text = lines.join("\n") + "\n";
    write_whole(&arguments.out, text)?;

    if arguments.json {
        writeln!(stdout(), "{}", serde_json::to_string(&statistics)?)?;
        return Ok(());
    }
    writeln!(
        stdout(),
        "{} pairs of {} problems ({} held out) in {}",
        HumanCount(statistics.pairs as u64),
        rows.iter()
            .map(|row| &row.prompt)
            .collect::<HashSet<_>>()
            .len(),
        statistics.dev,
        arguments.out.display()
    )?;
    writeln!(
        stdout(),
        "{} problems, {} solutions; {:.0} % survive deduplication; {:.2} correct and {:.2} incorrect each",
        statistics.problems,
        HumanCount(statistics.solutions as u64),
        statistics.surviving * 100.0,
        statistics.correct_mean,
        statistics.incorrect_mean
    )?;
    writeln!(stdout(), "left out: {}", left_out(&statistics))?;
    Ok(())
}

fn left_out(statistics: &Statistics) -> String {
    format!(
        "{} without a text or a label, {} empty, {} too long, {} labelled both ways, {} problems whose gold answers disagree",
        statistics.unlabelled,
        statistics.empty,
        statistics.too_long,
        statistics.contradictory,
        statistics.conflicting
    )
}

/// Several sources' solutions of one problem put together, so that pairs may cross runs and a
/// problem is never both learned from and held out. Problems whose gold answers disagree are left
/// out: each of their labels is by one of them. Gives how many these are, too.
fn merged(problems: Vec<(Labelled, Rule)>) -> (Vec<Labelled>, usize) {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut merged: Vec<Labelled> = Vec::new();
    let mut conflicting = HashSet::new();
    for (problem, rule) in problems {
        match places.get(&problem.prompt) {
            Some(place) => {
                let first = &mut merged[*place];
                if let (Some(gold), Some(other)) = (&first.gold, &problem.gold)
                    && gold.trim() != other.trim()
                    && !answer::grade(gold, other, rule).equal
                {
                    conflicting.insert(*place);
                }
                first.solutions.extend(problem.solutions);
                first.gold = first.gold.take().or(problem.gold);
                first.programs |= problem.programs;
                first.unlabelled += problem.unlabelled;
            }
            None => {
                places.insert(problem.prompt.clone(), merged.len());
                merged.push(problem);
            }
        }
    }
    let kept = merged.into_iter().enumerate();
    let kept = kept.filter(|(place, _)| !conflicting.contains(place));
    (
        kept.map(|(_, problem)| problem).collect(),
        conflicting.len(),
    )
}
