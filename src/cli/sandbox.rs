//! `rerank sandbox`: run programs as the filter does.

use std::{
    io::{self, BufWriter, Write, stdout},
    path::PathBuf,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use rerank::{
    execute::{Limits, Sandbox, execute},
    jsonl,
    trace::{Execution, Outcome, Program},
};
use serde_json::Value;

use super::{bar, open_sandbox, read_bytes, read_text, with_sandbox_bar};

/// Run model-written Python in isolation: no files, no network, bounded time, memory and output
#[derive(Subcommand)]
#[command(after_help = "Examples:
  rerank sandbox run program.py
  rerank sandbox info")]
pub enum Command {
    Run(Run),
    /// Build the interpreter's snapshot anew (about a minute); it is otherwise built on first use
    Build,
    /// Tell which Python this is, with which packages, and where its snapshot is
    Info {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Run one program, or with --batch one per line of JSON {"program"}
#[derive(Args)]
#[command(after_help = "Example:
  echo 'from sympy import *; x = symbols(\"x\"); print(solve(x**2 - 7*x + 12))' | rerank sandbox run -")]
pub struct Run {
    /// The program, or - for standard input
    file: PathBuf,
    /// Read JSON lines {"program"} and write one execution per line, in order, on all cores
    #[arg(long)]
    batch: bool,
    /// Print the execution as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Run(arguments) if arguments.batch => run_batch(&arguments),
        Command::Run(arguments) => run_one(&arguments),
        Command::Build => {
            let sandbox = with_sandbox_bar(|cache, report| Sandbox::build(cache, report))?;
            describe(&sandbox, false)
        }
        Command::Info { json } => describe(&open_sandbox()?, json),
    }
}

fn run_one(arguments: &Run) -> Result<()> {
    let program = Program(read_text(&arguments.file)?);
    let execution = open_sandbox()?.run(&program, &Limits::default());
    if arguments.json {
        writeln!(stdout(), "{}", serde_json::to_string(&execution)?)?;
        return Ok(());
    }
    write!(stdout(), "{}", execution.stdout)?;
    match execution {
        Execution {
            outcome: Outcome::Finished,
            stdout: printed,
            value: Some(value),
            ..
        } if printed.trim().is_empty() => {
            writeln!(stdout(), "{value}")?;
            Ok(())
        }
        Execution {
            outcome: Outcome::Finished,
            ..
        } => Ok(()),
        Execution { outcome, .. } => bail!("{outcome}"),
    }
}

fn run_batch(arguments: &Run) -> Result<()> {
    let bytes = read_bytes(&arguments.file)?;
    let mut programs = Vec::new();
    for (number, line) in jsonl::lines(&bytes) {
        let place = || format!("{}, line {number}", arguments.file.display());
        let line = line.map_err(|reason| anyhow!("{}: {reason}", place()))?;
        let row: Value = serde_json::from_str(line).with_context(place)?;
        let Some(program) = row.get("program").and_then(Value::as_str) else {
            bail!("{}: there is no text \"program\"", place());
        };
        programs.push(Some(Program(program.to_owned())));
    }
    let sandbox = open_sandbox()?;
    let bar = bar("programs", programs.len() as u64);
    let executions = execute(&programs, &sandbox, &Limits::default(), &|| bar.inc(1));
    bar.finish_and_clear();
    let mut out = BufWriter::new(io::stdout().lock());
    for execution in executions {
        writeln!(out, "{}", serde_json::to_string(&execution)?)?;
    }
    Ok(out.flush()?)
}

fn describe(sandbox: &Sandbox, json: bool) -> Result<()> {
    let description = sandbox.description();
    if json {
        writeln!(stdout(), "{}", serde_json::to_string(&description)?)?;
        return Ok(());
    }
    let packages = match &description.packages_missing {
        None => description.packages.join(", "),
        Some(why) => format!("none ({why})"),
    };
    writeln!(stdout(), "python    {}", description.python)?;
    writeln!(stdout(), "packages  {packages}")?;
    writeln!(
        stdout(),
        "snapshot  {} ({} MB of code, {} MB of memory shared until written)",
        description.path.display(),
        description.code_bytes / 1_000_000,
        description.memory_bytes / 1_000_000
    )?;
    writeln!(stdout(), "blake3    {}", description.blake3)?;
    writeln!(stdout(), "built in  {:.1} s", description.build_seconds)?;
    Ok(())
}
