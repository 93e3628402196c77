//! `rerank eval`: a benchmark.

use std::{
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use rerank::{
    eval::run::{self, Description},
    problem::Problem,
    settle::Until,
    solve::Models,
    task::Benchmark,
};

use super::{ModelArguments, bar, open_replay, open_sandbox, report, solve};

/// Solve a benchmark and report how each selector does
#[derive(Args)]
#[command(after_help = "Examples:
  rerank eval gsm8k --data test.jsonl --reasoner qwen2.5-math-1.5b.gguf -n 16 --out out/gsm8k
  rerank eval gsm8k --replay samples.jsonl.gz

A run that was stopped goes on when it is started again with the same --out.")]
pub struct Arguments {
    /// A benchmark that comes with rerank (gsm8k, math, svamp, ...), or the path of a manifest (.toml)
    benchmark: String,
    /// The rows, as JSON Lines; with --replay the recording's own problems by default
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Only the first K problems
    #[arg(long, value_name = "K")]
    limit: Option<usize>,
    /// Folder for traces.jsonl, run.json, summary.json, report.md and report.html
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    models: ModelArguments,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let benchmark = Benchmark::find(&arguments.benchmark)?;
    let mut problems = problems(&arguments, &benchmark)?;
    problems.truncate(arguments.limit.unwrap_or(usize::MAX));
    let mut loaded = arguments.models.load(benchmark.task)?;
    if problems.is_empty() {
        bail!("there are no problems to solve");
    }
    let sandbox = open_sandbox()?;
    let options = solve::options(&arguments.models, &loaded, benchmark.rule);

    let roles = [
        ("reasoner", Some(loaded.reasoner)),
        ("coder", loaded.coder),
        ("verifier", loaded.verifier),
    ];
    let mut models = Vec::new();
    let mut parameters = Vec::new();
    for (role, index) in roles {
        let Some(index) = index else { continue };
        let model = &loaded.models[index];
        parameters.extend(model.parameters().map(|count| (role.to_owned(), count)));
        models.push((role.to_owned(), model.name().to_owned(), model.sha256()?));
    }
    let description = Description {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        benchmark: benchmark.name.clone(),
        problems: problems.len(),
        problems_sha256: run::problems_sha256(&problems),
        answers: benchmark.rule,
        models,
        parameters,
        samples: options.samples,
        sampling: format!("{:?}", options.sampling),
        rule: match options.until {
            Until::All => format!("{:?}, filter {:?}", options.selector, options.filter),
            until => format!(
                "{:?}, filter {:?}, {until:?}",
                options.selector, options.filter
            ),
        },
        seed: options.seed,
    };

    // Without --out the record is still kept while the run lasts, so that both ways are one way.
    let temporary = tempfile::tempdir().context("no temporary folder can be made")?;
    let out = arguments.out.as_deref().unwrap_or(temporary.path());
    let bar = bar(&benchmark.name, problems.len() as u64);
    let (reasoner, coder, verifier) = (loaded.reasoner, loaded.coder, loaded.verifier);
    let mut models = Models {
        loaded: &mut loaded.models,
        reasoner,
        coder,
        verifier,
    };
    let summary = run::run(
        &benchmark,
        &problems,
        &mut models,
        &sandbox,
        &options,
        &description,
        out,
        &|done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        },
    )?;
    bar.finish_and_clear();

    if arguments.json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&summary)?)?;
    } else {
        writeln!(stdout(), "{}", report::table(&summary))?;
        writeln!(stdout(), "{}", report::footer(&summary))?;
    }
    Ok(())
}

fn problems(arguments: &Arguments, benchmark: &Benchmark) -> Result<Vec<Problem>> {
    if let Some(path) = &arguments.data {
        return Ok(benchmark.problems(path)?);
    }
    let Some(path) = &arguments.models.replay else {
        bail!(
            "no problems were named: give --data FILE with the rows of {}",
            benchmark.name
        );
    };
    let replay = open_replay(path)?;
    let problems: Vec<Problem> = replay.problems().collect();
    if problems.is_empty() {
        bail!(
            "{} holds no gold answers: give --data FILE with the rows of {}",
            path.display(),
            benchmark.name
        );
    }
    Ok(problems)
}
