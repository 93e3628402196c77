//! `rerank`: see `rerank --help`.

use std::process::ExitCode;

use clap::Parser;

mod cli;

#[expect(clippy::print_stderr, reason = "the one place where errors are told")]
fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rerank: {error:#}");
            ExitCode::FAILURE
        }
    }
}
