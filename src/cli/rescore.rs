//! `rerank rescore`: the candidates of an earlier run under another verifier.

use std::{
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::Result;
use clap::Args;
use rerank::eval::{
    report::wording,
    rescore::{Rescored, rescore},
};

use super::{
    bar, eval,
    loading::{Loading, warn_of_lacking_base},
    warn,
};

/// Score the candidates of an earlier run with another verifier, into a run of its own
#[derive(Args)]
#[command(after_help = "Example:
  rerank rescore out/gsm8k --verifier dpo.gguf --minus base.gguf --out out/gsm8k-dpo
  rerank report out/gsm8k-dpo

It goes on where it was stopped when it is started again with the same --out.")]
pub struct Arguments {
    /// Folder of a `rerank eval` run
    run: PathBuf,
    /// The verifier: a .gguf file, a name of `rerank models list`, hf:OWNER/NAME,
    /// BASE+ADAPTER.gguf, or builtin
    #[arg(long, value_name = "M")]
    verifier: String,
    /// Score by how much likelier a solution has become than under this model: in all, as DPO does, or
    /// per token, if the verifier was trained by that
    #[arg(long, value_name = "M")]
    minus: Option<String>,
    /// Folder of the new run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    loading: Loading,
}

pub fn run(arguments: Arguments) -> Result<()> {
    super::keep(&[&arguments.run], &arguments.out)?;
    let Arguments { loading, minus, .. } = &arguments;
    let (mut verifier, mut minus) = loading.load_verifier(&arguments.verifier, minus.as_deref())?;
    if minus.is_none() {
        warn_of_lacking_base(&verifier);
    }

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
        warn(&format!(
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
