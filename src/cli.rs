//! The command line: arguments in, the one result on standard output, progress on standard error.
//!
//! A file per command, and beside them the groups of arguments that several commands take, so that
//! each takes those alone that it uses.

use anyhow::Result;
use clap::{Parser, Subcommand};

use self::{
    files::{cache_folder, keep, read_bytes, read_text},
    terminal::{bar, open_sandbox, warn, with_sandbox_bar},
    values::{RuleArgument, TaskArgument, share},
};

mod builtin;
mod contamination;
mod eval;
mod generate;
mod grade;
mod models;
mod pairs;
mod questions;
mod report;
mod rescore;
mod sandbox;
mod score;
mod solve;
mod train;

mod drawing;
mod files;
mod loading;
mod roles;
mod solving;
mod terminal;
mod values;

/// Picks the right answer among many samples of a local language model.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Examples:
  rerank solve \"Tom had 12 apples and gave away 5. How many are left?\"
  rerank eval gsm8k --data test.jsonl --reasoner MODEL.gguf --out out/run
  rerank models list"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Solve(solve::Arguments),
    Eval(eval::Arguments),
    Report(report::Arguments),
    Grade(grade::Arguments),
    Generate(generate::Arguments),
    Pairs(pairs::Arguments),
    Contamination(contamination::Arguments),
    TrainVerifier(train::Arguments),
    Score(score::Arguments),
    Rescore(rescore::Arguments),
    Builtin(builtin::Arguments),
    #[command(subcommand)]
    Models(models::Command),
    #[command(subcommand)]
    Sandbox(sandbox::Command),
}

impl Cli {
    /// Runs the command that was given.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Solve(arguments) => solve::run(arguments),
            Command::Eval(arguments) => eval::run(arguments),
            Command::Report(arguments) => report::run(arguments),
            Command::Grade(arguments) => grade::run(arguments),
            Command::Generate(arguments) => generate::run(arguments),
            Command::Pairs(arguments) => pairs::run(arguments),
            Command::Contamination(arguments) => contamination::run(arguments),
            Command::TrainVerifier(arguments) => train::run(arguments),
            Command::Score(arguments) => score::run(arguments),
            Command::Models(command) => models::run(command),
            Command::Rescore(arguments) => rescore::run(arguments),
            Command::Builtin(arguments) => builtin::run(arguments),
            Command::Sandbox(command) => sandbox::run(command),
        }
    }
}
