//! `rerank generate`: word problems for training.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use clap::Args;
use rerank::task::generate::{Statistics, generate};
use serde_json::json;

/// Make grade-school word problems, each with a worked solution and its program, as JSON lines
#[derive(Args)]
#[command(after_help = "The same seed gives the same problems on every machine.

Examples:
  rerank generate -n 5
  rerank generate -n 100000 --seed 7 --flawed > train.jsonl
  rerank generate -n 100000 --seed 7 --statistics")]
pub struct Arguments {
    /// Problems to make
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    problems: u64,
    /// Which list of problems
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The first problem's place in the list
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    start: u64,
    /// Add a wrong solution of each problem and the program for what it says
    #[arg(long)]
    flawed: bool,
    /// Print how broad the problems are instead of the problems
    #[arg(long, conflicts_with = "flawed")]
    statistics: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let indexes = (arguments.start..).take(usize::try_from(arguments.problems)?);
    if arguments.statistics {
        let problems = indexes.map(|index| generate(arguments.seed, index));
        let statistics = serde_json::to_string_pretty(&Statistics::of(problems))?;
        return Ok(writeln!(out, "{statistics}")?);
    }
    for index in indexes {
        let problem = generate(arguments.seed, index);
        let mut row = json!({
            "question": problem.question,
            "solution": problem.solution,
            "program": problem.program,
            "answer": problem.answer,
            "steps": problem.steps,
            "kind": problem.kind,
        });
        if arguments.flawed {
            let flawed = problem.flawed(arguments.seed ^ index);
            row["flawed"] = json!({
                "solution": flawed.solution,
                "program": flawed.program,
                "answer": flawed.answer,
                "flaw": flawed.flaw,
            });
        }
        writeln!(out, "{row}")?;
    }
    Ok(out.flush()?)
}
