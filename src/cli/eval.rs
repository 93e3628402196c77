//! `rerank eval`: a benchmark.

use std::{
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use indicatif::{HumanCount, ProgressBar};
use rerank::{
    Error,
    eval::{
        description::{Description, Shard, problems_sha256},
        merge::merge,
        report::{Run, wording::warnings},
        run::{self, Event},
    },
    model::{
        LanguageModel, Replay,
        cache::Cached,
        hub::{Freshness, Kind, RemoteFile},
    },
    problem::Task,
    settle::Until,
    task::{Benchmark, Problems},
};

use super::{bar, cache_folder, models, open_sandbox, report, solving::Solving, warn};

/// Solve a benchmark and report how each selector does
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  rerank eval --list
  rerank eval gsm8k --reasoner qwen2.5-math-1.5b -n 16 --out out/gsm8k
  rerank eval gsm8k --data test.jsonl --reasoner qwen2.5-math-1.5b --shard 1/4 --out out/1
  rerank eval merge out/1 out/2 out/3 out/4 --out out/gsm8k
  rerank eval gsm8k --replay samples.jsonl.gz

A run that was stopped goes on when it is started again with the same --out."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// A benchmark that comes with rerank (see --list), or the path of a manifest (.toml)
    #[arg(required_unless_present = "list")]
    benchmark: Option<String>,
    /// List the benchmarks that come with rerank
    #[arg(long, exclusive = true)]
    list: bool,
    /// The rows, as JSON Lines, a JSON array or Parquet; by default they come from where the
    /// manifest says, and with --replay from the recording itself where that holds the gold answers
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Evaluate rows that are not those the manifest was written for: another split, a part, a
    /// recording of another benchmark or of some of its problems
    #[arg(long)]
    force: bool,
    /// Only the first K problems
    #[arg(long, value_name = "K")]
    limit: Option<usize>,
    /// Only the problems of one machine of n; `rerank eval merge` puts the shards together
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Folder for traces.jsonl, run.json, summary.json, report.md and report.html
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    solving: Solving,
    /// Folder for samples and scores, so that none is computed twice: another --select or --filter
    /// draws nothing, a larger -n only what is new [default: the user's cache folder]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Keep no samples and scores, and use none that were kept
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Merge(MergeArguments),
}

/// Put the shards of a run together
#[derive(Args)]
#[command(after_help = "Example:
  rerank eval merge out/1 out/2 out/3 out/4 --out out/gsm8k")]
struct MergeArguments {
    /// The --out folders of all shards, in any order
    #[arg(required = true, value_name = "DIR")]
    shards: Vec<PathBuf>,
    /// Folder for the whole run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<()> {
    if let Some(Command::Merge(arguments)) = arguments.command {
        let run = merge(&arguments.shards, &arguments.out)?;
        return show(&run, arguments.json);
    }
    let Some(name) = &arguments.benchmark else {
        return list();
    };
    let benchmark = Benchmark::find(name)?;
    let recording = arguments.solving.roles.recording()?;
    let Problems {
        mut problems,
        unreadable,
    } = problems(&arguments, &benchmark, recording.as_ref())?;
    problems.truncate(arguments.limit.unwrap_or(usize::MAX));
    if let Some(replay) = &recording {
        let all = problems.len();
        problems.retain(|problem| replay.holds(&problem.question));
        if problems.len() < all && !arguments.force {
            bail!(
                "{} holds samples for {} of {all} problems; --force evaluates those alone",
                replay.name(),
                problems.len()
            );
        }
    }
    if arguments.solving.roles.replay.is_none() {
        for problem in &mut problems {
            problem.question.text = benchmark.asked(&problem.question.text);
        }
    }
    if problems.is_empty() {
        bail!("there are no problems to solve");
    }
    let mut loaded = arguments.solving.load(recording, benchmark.task)?;
    if arguments.solving.roles.replay.is_none() && !arguments.no_cache {
        let mut folder = match &arguments.cache {
            Some(folder) => folder.clone(),
            None => cache_folder()?.join("samples"),
        };
        if arguments.solving.drawing.deterministic {
            // What was drawn without it depends on what else ran then.
            folder.push("deterministic");
        }
        let models = loaded.models.into_iter();
        let cached = models.map(|model| -> rerank::Result<Box<dyn LanguageModel>> {
            Ok(Box::new(Cached::new(model, &folder)?))
        });
        loaded.models = cached.collect::<rerank::Result<_>>()?;
    }
    let sandbox = open_sandbox()?;
    let options = arguments
        .solving
        .options(&loaded, benchmark.task, benchmark.rule)?;

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
        problems_sha256: problems_sha256(&problems),
        unreadable,
        shard: arguments.shard,
        answers: benchmark.rule,
        models,
        parameters,
        samples: options.samples,
        sampling: format!("{:?}", options.sampling),
        deterministic: arguments.solving.drawing.deterministic,
        rule: {
            let mut rule = format!("{:?}, filter {:?}", options.selector, options.filter);
            if options.until != Until::All {
                rule += &format!(", {:?}", options.until);
            }
            if benchmark.task == Task::Code {
                rule += &format!(", code mode {:?}", options.code_mode);
            }
            rule
        },
        seed: options.seed,
    };

    // Without --out the record is still kept while the run lasts, so that both ways are one way.
    let temporary = tempfile::tempdir().context("no temporary folder can be made")?;
    let out = arguments.out.as_deref().unwrap_or(temporary.path());
    let bar = bar(&benchmark.name, problems.len() as u64);
    let run = run::run(
        &benchmark,
        &problems,
        &mut loaded.models(),
        &sandbox,
        &options,
        &description,
        out,
        &|event| tell(&bar, event),
    )?;
    bar.finish_and_clear();
    show(&run, arguments.json)
}

/// Shows how a run goes on.
pub fn tell(bar: &ProgressBar, event: Event) {
    match event {
        Event::Solved { done, all } => {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
        Event::Repaired { path, bytes } => bar.suspend(|| {
            warn(&format!(
                "the last line of {} was cut off ({bytes} bytes) and is removed; its problem is done again",
                path.display()
            ));
        }),
    }
}

/// The benchmarks that come with rerank, a line each.
fn list() -> Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for benchmark in Benchmark::all() {
        let rows = benchmark
            .rows
            .map_or(String::new(), |rows| HumanCount(rows as u64).to_string());
        let source = benchmark
            .source
            .as_ref()
            .map_or("--data".to_owned(), |source| source.name());
        table.add_row([
            Cell::new(&benchmark.name),
            Cell::new(rows).set_alignment(CellAlignment::Right),
            Cell::new(source),
            Cell::new(&benchmark.about),
        ]);
    }
    Ok(writeln!(stdout(), "{}", table.trim_fmt())?)
}

fn show(run: &Run, as_json: bool) -> Result<()> {
    if as_json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&run.summary)?)?;
    } else {
        writeln!(stdout(), "{}", report::table(&run.summary))?;
        writeln!(stdout(), "{}", report::footer(&run.summary))?;
    }
    warnings(run).iter().for_each(|warning| warn(warning));
    Ok(())
}

fn problems(
    arguments: &Arguments,
    benchmark: &Benchmark,
    recording: Option<&Replay>,
) -> Result<Problems> {
    if let Some(replay) = recording.filter(|_| !arguments.force) {
        benchmark.check_recording(replay)?;
    }
    if let Some(path) = &arguments.data {
        return Ok(benchmark.problems(path, arguments.force)?);
    }
    let Some(replay) = recording else {
        return fetched(benchmark, arguments.force);
    };
    let recorded = benchmark.recorded(replay);
    if !recorded.problems.is_empty() {
        return Ok(recorded);
    }
    let lacking = || {
        let (path, name) = (replay.name(), &benchmark.name);
        format!("{path} holds no gold answers: give --data FILE with the rows of {name}")
    };
    match &benchmark.source {
        Some(_) => fetched(benchmark, arguments.force).with_context(lacking),
        None => bail!(lacking()),
    }
}

/// The problems from where the manifest says.
fn fetched(benchmark: &Benchmark, force: bool) -> Result<Problems> {
    let hub = models::hub()?;
    let fetch = |repository: &str, revision: &str, file: &str| {
        let file = RemoteFile {
            kind: Kind::Dataset,
            repository: repository.to_owned(),
            revision: revision.to_owned(),
            file: file.to_owned(),
            sha256: None,
        };
        let fetched = models::with_bytes_bar(&benchmark.name, |progress| {
            hub.fetch(&file, Freshness::Cached, progress)
        });
        fetched.map_err(|error| match error {
            Error::Hub { file, reason } => {
                let reason = format!("{reason}; or give the rows with --data FILE");
                Error::Hub { file, reason }
            }
            other => other,
        })
    };
    Ok(benchmark.fetch(&fetch, force)?)
}
