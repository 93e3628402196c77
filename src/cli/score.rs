//! `rerank score`: a verifier's numbers for given candidates.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use rerank::{
    jsonl,
    model::{LanguageModel, LlamaCpp, Request, manifest::Role, to_the_end},
    problem::Question,
};
use serde_json::{Map, Value, json};

use super::{bar, loading::Loading, read_bytes};

/// Score candidates: JSON lines {"question","candidates":[...]} gain "scores"
#[derive(Args)]
#[command(after_help = "Example:
  echo '{\"question\": \"2+2?\", \"candidates\": [\"It is 4.\", \"It is 5.\"]}' \\
      | rerank score --verifier BASE.gguf+verifier.gguf -")]
pub struct Arguments {
    /// JSON Lines, or - for standard input
    file: PathBuf,
    /// The verifier: a .gguf file, a name of `rerank models list`, hf:OWNER/NAME,
    /// BASE+ADAPTER.gguf, or builtin
    #[arg(long, value_name = "M")]
    verifier: String,
    /// What the score is; by default what the verifier was trained for: the head (orm), the sum
    /// (dpo, kto) or the mean (ipo) minus the base's, or the mean (simpo and all others)
    #[arg(long, value_enum)]
    reward: Option<Reward>,
    /// Subtract what the base gives without the adapter
    #[arg(long)]
    minus_base: bool,
    /// What the candidates answer
    #[arg(long, value_enum, default_value_t = super::TaskArgument::Math)]
    task: super::TaskArgument,
    #[command(flatten)]
    loading: Loading,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reward {
    /// Mean log-probability per token (SimPO)
    Mean,
    /// Sum of log-probabilities
    Sum,
    /// The reward model's head (ORM)
    Head,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let bytes = read_bytes(&arguments.file)?;
    let names = [(arguments.verifier.as_str(), Role::Verifier)];
    let mut verifier = arguments.loading.load(&names, 1, false)?.swap_remove(0);
    let reward = arguments.reward;
    if reward == Some(Reward::Head) && !verifier.has_head() {
        bail!(
            "model {}: it has no reward head beside it (.head.gguf)",
            verifier.name()
        );
    }
    let by_head = reward.map_or(verifier.has_head(), |reward| reward == Reward::Head);
    if arguments.minus_base && (by_head || !verifier.has_adapter()) {
        bail!(
            "--minus-base needs log-probabilities and an adapter: name the verifier as BASE.gguf+ADAPTER.gguf"
        );
    }
    let lines: Vec<Result<&str, String>> = jsonl::lines(&bytes).map(|(_, line)| line).collect();
    let bar = bar("score", lines.len() as u64);
    // Line by line: whoever ends it has what is finished.
    let mut out = io::stdout().lock();
    for line in &lines {
        writeln!(
            out,
            "{}",
            serde_json::to_string(&scored(line, &mut verifier, reward, &arguments)?)?
        )?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(out.flush()?)
}

/// The line with `scores` added; a line that cannot be scored gains `error` instead.
fn scored(
    line: &Result<&str, String>,
    verifier: &mut LlamaCpp,
    reward: Option<Reward>,
    arguments: &Arguments,
) -> Result<Value> {
    let line = match line {
        Ok(line) => line,
        Err(reason) => return Ok(json!({ "error": reason })),
    };
    let mut row: Map<String, Value> = match serde_json::from_str(line) {
        Ok(row) => row,
        Err(source) => {
            return Ok(json!({ "error": format!("not a JSON object: {source}"), "line": line }));
        }
    };
    let texts: Option<Vec<&str>> = row
        .get("candidates")
        .and_then(Value::as_array)
        .and_then(|list| list.iter().map(Value::as_str).collect());
    let (Some(text), Some(texts)) = (row.get("question").and_then(Value::as_str), texts) else {
        row.insert(
            "error".to_owned(),
            "\"question\" and a list of texts \"candidates\" are needed".into(),
        );
        return Ok(Value::Object(row));
    };
    let question = Question {
        id: String::new(),
        text: text.to_owned(),
        task: arguments.task.into(),
        interface: None,
    };
    let messages = match verifier.prompts().solve(&question) {
        Ok(messages) => messages,
        Err(error) => {
            row.insert("error".to_owned(), error.to_string().into());
            return Ok(Value::Object(row));
        }
    };
    let request = Request {
        question: &question,
        candidate: None,
        messages,
        first: 0,
        samples: 0,
        seed: 0,
    };
    let scores = scores(verifier, &request, &texts, reward, arguments.minus_base);
    match scores {
        Ok(scores) => {
            let broken = |score: &&Option<f64>| score.is_some_and(|score| !score.is_finite());
            let count = scores.iter().filter(broken).count();
            if count > 0 {
                let error = format!(
                    "{count} of {} scores are not numbers: the verifier's weights are damaged",
                    scores.len()
                );
                row.insert("error".to_owned(), error.into());
            }
            let finite = |score: Option<f64>| score.filter(|score| score.is_finite());
            let scores: Vec<_> = scores.into_iter().map(finite).collect();
            row.insert("scores".to_owned(), scores.into())
        }
        Err(error) => row.insert("error".to_owned(), error.to_string().into()),
    };
    Ok(Value::Object(row))
}

fn scores(
    verifier: &mut LlamaCpp,
    request: &Request,
    texts: &[&str],
    reward: Option<Reward>,
    minus_base: bool,
) -> rerank::Result<Vec<Option<f64>>> {
    if !minus_base && reward.is_none_or(|reward| reward == Reward::Head) {
        return Ok(verifier.score(request, texts, &to_the_end)?.scores);
    }
    let mut of = |with_adapter: bool| -> rerank::Result<Vec<Option<f64>>> {
        let (logprobs, _) = verifier.logprobs(request, texts, with_adapter, &to_the_end)?;
        let number = |logprob: &rerank::model::llama::Logprob| match reward {
            Some(Reward::Sum) => logprob.sum,
            _ => logprob.mean(),
        };
        Ok(logprobs
            .iter()
            .map(|logprob| logprob.as_ref().map(number))
            .collect())
    };
    let mut scores = of(true)?;
    if minus_base {
        let of_base = of(false)?;
        scores
            .iter_mut()
            .zip(of_base)
            .for_each(|(score, base)| *score = score.zip(base).map(|(score, base)| score - base));
    }
    Ok(scores)
}
