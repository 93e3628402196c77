//! `rerank rescore`: the candidates of an earlier run under another verifier.

use std::{
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::Result;
use clap::Args;
use rerank::{
    eval::{
        report::wording,
        rescore::{Rescored, rescore},
    },
    model::manifest::Role,
};

use super::{ModelFile, bar, eval};

/// Score the candidates of an earlier run with another verifier, into a run of its own
#[derive(Args)]
#[command(after_help = "Example:
  rerank rescore out/gsm8k --verifier dpo.gguf --minus base.gguf --out out/gsm8k-dpo
  rerank report out/gsm8k-dpo

It goes on where it was stopped when it is started again with the same --out.")]
pub struct Arguments {
    /// Folder of a `rerank eval` run
    run: PathBuf,
    /// The verifier: a .gguf file, BASE.gguf+ADAPTER.gguf, or builtin
    #[arg(long, value_name = "M")]
    verifier: String,
    /// Score by how much likelier a solution has become than under this model, as DPO does
    #[arg(long, value_name = "M")]
    minus: Option<String>,
    /// Folder of the new run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    file: ModelFile,
}

pub fn run(arguments: Arguments) -> Result<()> {
    super::keep(&[&arguments.run], &arguments.out)?;
    let mut verifier = arguments.file.load(&arguments.verifier, Role::Verifier)?;
    let minus = arguments.minus.as_ref();
    let mut minus = minus
        .map(|name| arguments.file.load(name, Role::Reasoner))
        .transpose()?;

    let bar = bar("rescore", 0);
    let Rescored { problems, partly } = rescore(
        &arguments.run,
        &mut verifier,
        minus.as_mut(),
        &arguments.out,
        &|event| eval::tell(&bar, event),
    )?;
    bar.finish_and_clear();
    if partly > 0 {
        eval::warn(&format!(
            "{partly} of {} have candidates without a score, too long for the verifier's context: \
             where scores choose, they come last",
            wording::plural(problems, "problem")
        ));
    }
    writeln!(
        stdout(),
        "{} in {}; `rerank report` says what they come to",
        wording::plural(problems, "problem"),
        arguments.out.display()
    )?;
    Ok(())
}
