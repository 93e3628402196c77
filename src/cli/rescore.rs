//! `rerank rescore`: the candidates of an earlier run under another verifier.

use std::{
    fs,
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use rerank::{
    eval::folder::{read_description, read_traces},
    model::{LanguageModel, LlamaCpp, Request, Usage, llama::Logprob, manifest::Role},
    problem::Question,
    trace::{Score, Trace},
};

use super::{ModelFile, bar};

/// Score the candidates of an earlier run with another verifier, into a run of its own
#[derive(Args)]
#[command(after_help = "Example:
  rerank rescore out/gsm8k --verifier dpo.gguf --minus base.gguf --out out/gsm8k-dpo
  rerank report out/gsm8k-dpo")]
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
    if arguments.out.join("run.json").exists() {
        bail!(
            "{} holds a run already: choose another folder",
            arguments.out.display()
        );
    }
    let mut description = read_description(&arguments.run)?;
    let mut traces = read_traces(&arguments.run.join("traces.jsonl"))?;
    let mut verifier = arguments.file.load(&arguments.verifier, Role::Verifier)?;
    let minus = arguments.minus.as_ref();
    let mut minus = minus
        .map(|name| arguments.file.load(name, Role::Reasoner))
        .transpose()?;

    let bar = bar("rescore", traces.len() as u64);
    for trace in &mut traces {
        let (scores, usage) = scores(trace, &mut verifier, minus.as_mut())?;
        trace.tokens.score = usage.tokens_prompt + usage.tokens_continued;
        trace.timings_ms.score = usage.time.as_secs_f64() * 1000.0;
        for (traced, score) in trace.candidates.iter_mut().zip(scores) {
            traced.score = score.map(Score);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();

    let names = [Some(&verifier), minus.as_ref()].into_iter().flatten();
    let names: Vec<&str> = names.map(LanguageModel::name).collect();
    // With another model to compare with, each token is evaluated by both.
    let parameters = [Some(&verifier), minus.as_ref()].into_iter().flatten();
    let parameters: Option<u64> = parameters.map(LanguageModel::parameters).sum();
    description.models.retain(|(role, ..)| role != "verifier");
    let verifier = (
        "verifier".to_owned(),
        names.join(" minus "),
        verifier.sha256()?,
    );
    description.models.push(verifier);
    description
        .parameters
        .retain(|(role, _)| role != "verifier");
    description
        .parameters
        .extend(parameters.map(|count| ("verifier".to_owned(), count)));
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(&arguments.out)?;
        let mut lines = String::new();
        for trace in &traces {
            lines += &serde_json::to_string(trace)?;
            lines.push('\n');
        }
        fs::write(arguments.out.join("traces.jsonl"), lines)?;
        let description = serde_json::to_string_pretty(&description)?;
        fs::write(arguments.out.join("run.json"), description)
    };
    written().with_context(|| format!("cannot write {}", arguments.out.display()))?;
    writeln!(
        stdout(),
        "{} problems in {}; `rerank report` says what they come to",
        traces.len(),
        arguments.out.display()
    )?;
    Ok(())
}

fn scores(
    trace: &Trace,
    verifier: &mut LlamaCpp,
    minus: Option<&mut LlamaCpp>,
) -> Result<(Vec<Option<f64>>, Usage)> {
    let question = Question {
        id: trace.id.clone(),
        text: trace.question.clone(),
        task: trace.task,
        interface: None,
    };
    let request = Request {
        question: &question,
        candidate: None,
        messages: verifier.prompts().solve(&question)?,
        first: 0,
        samples: 0,
        seed: 0,
    };
    let candidates = trace.candidates.iter();
    let texts: Vec<&str> = candidates
        .map(|traced| traced.candidate.text.as_str())
        .collect();
    let quiet = |_, _| {};
    let Some(base) = minus else {
        let scored = verifier.score(&request, &texts, &quiet)?;
        return Ok((scored.scores, scored.usage));
    };
    let (of_verifier, mut usage) = verifier.logprobs(&request, &texts, true, &quiet)?;
    let (of_base, more) = base.logprobs(&request, &texts, true, &quiet)?;
    let sum = |logprob: Option<Logprob>| logprob.map(|logprob| logprob.sum);
    usage += more;
    let pairs = of_verifier.into_iter().zip(of_base);
    let scores = pairs.map(|(verifier, base)| Some(sum(verifier)? - sum(base)?));
    Ok((scores.collect(), usage))
}
