//! `rerank score`: a verifier's numbers for given candidates.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use rerank::{
    jsonl,
    model::{LanguageModel, LlamaCpp, Request, llama::Logprob, to_the_end},
    problem::Question,
    train::objective::Objective,
};
use serde_json::Value;

use super::{
    bar,
    files::object,
    loading::{Loading, warn_of_lacking_base},
    read_bytes,
};

/// Score candidates: JSON lines {"question","candidates":[...]} gain "scores"
#[derive(Args)]
#[command(after_help = "Example:
  echo '{\"question\": \"2+2?\", \"candidates\": [\"It is 4.\", \"It is 5.\"]}' \\
      | rerank score --verifier BASE.gguf+verifier.gguf -

A line that cannot be scored gains \"error\". A candidate that has no score, such as one that is too
long, has null in \"scores\", and the line gains \"score_reasons\", a list that says why.")]
pub struct Arguments {
    /// JSON Lines, or - for standard input
    file: PathBuf,
    /// The verifier: a .gguf file, a name of `rerank models list`, hf:OWNER/NAME,
    /// BASE+ADAPTER.gguf, or builtin
    #[arg(long, value_name = "M")]
    verifier: String,
    /// What the score is; by default what the verifier was trained for: the head (orm), the sum
    /// (dpo, kto) or the mean (ipo) minus the base's, or the mean (simpo and all others); where a base
    /// is subtracted by request, the sum or the mean likewise
    #[arg(long, value_enum)]
    reward: Option<Reward>,
    /// Subtract what the base gives without the adapter
    #[arg(long)]
    minus_base: bool,
    /// Subtract what this model gives: the base of a verifier that was trained as a whole
    #[arg(long, value_name = "M", conflicts_with = "minus_base")]
    minus: Option<String>,
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
    let Arguments { loading, minus, .. } = &arguments;
    let (mut verifier, mut base) = loading.load_verifier(&arguments.verifier, minus.as_deref())?;
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
    if base.is_some() && by_head {
        bail!(
            "--minus needs log-probabilities, and a reward head gives none: add --reward mean or sum"
        );
    }
    if base.is_none() && reward.is_none() {
        warn_of_lacking_base(&verifier);
    }
    let lines: Vec<Result<&str, String>> = jsonl::lines(&bytes).map(|(_, line)| line).collect();
    let bar = bar("score", lines.len() as u64);
    // Line by line: whoever ends it has what is finished.
    let mut out = io::stdout().lock();
    for line in &lines {
        writeln!(
            out,
            "{}",
            serde_json::to_string(&scored(line, &mut verifier, base.as_mut(), &arguments)?)?
        )?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(out.flush()?)
}

/// The line with `scores` added, and `score_reasons` where some are null; a line that cannot be
/// scored gains `error` instead.
fn scored(
    line: &Result<&str, String>,
    verifier: &mut LlamaCpp,
    base: Option<&mut LlamaCpp>,
    arguments: &Arguments,
) -> Result<Value> {
    let must = "an object with \"question\" and a list of texts \"candidates\"";
    let mut row = match object(line.as_deref(), must) {
        Ok(row) => row,
        Err(error) => return Ok(error),
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
    let question = Question::new(text, arguments.task.into());
    let messages = match verifier.prompts().solve(&question) {
        Ok(messages) => messages,
        Err(error) => {
            row.insert("error".to_owned(), error.to_string().into());
            return Ok(Value::Object(row));
        }
    };
    let request = Request::scoring(&question, messages);
    match scores(verifier, base, &request, &texts, arguments) {
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
            let reason = |score: &Option<f64>| match score {
                None => Some("with its question it is too long for the model's context"),
                Some(score) if !score.is_finite() => Some("its score is not a number"),
                Some(_) => None,
            };
            let reasons: Vec<_> = scores.iter().map(reason).collect();
            let finite = |score: Option<f64>| score.filter(|score| score.is_finite());
            let scores: Vec<_> = scores.into_iter().map(finite).collect();
            row.insert("scores".to_owned(), scores.into());
            if reasons.iter().any(Option::is_some) {
                row.insert("score_reasons".to_owned(), reasons.into());
            }
        }
        Err(error) => {
            row.insert("error".to_owned(), error.to_string().into());
        }
    }
    Ok(Value::Object(row))
}

fn scores(
    verifier: &mut LlamaCpp,
    base: Option<&mut LlamaCpp>,
    request: &Request,
    texts: &[&str],
    arguments: &Arguments,
) -> rerank::Result<Vec<Option<f64>>> {
    let (reward, minus_base) = (arguments.reward, arguments.minus_base);
    let minus = minus_base || base.is_some();
    if !minus && reward.is_none_or(|reward| reward == Reward::Head) {
        return Ok(verifier.score(request, texts, &to_the_end)?.scores);
    }
    let sums = match reward {
        Some(reward) => reward == Reward::Sum,
        None => verifier.objective().is_some_and(Objective::sums),
    };
    let number = |logprob: Option<Logprob>| {
        let number = |logprob: Logprob| if sums { logprob.sum } else { logprob.mean() };
        logprob.map(number)
    };
    let (own, _) = verifier.logprobs(request, texts, true, &to_the_end)?;
    let own = own.into_iter().map(number);
    let of_base = match base {
        Some(base) => base.logprobs(request, texts, true, &to_the_end)?.0,
        None if minus_base => verifier.logprobs(request, texts, false, &to_the_end)?.0,
        None => return Ok(own.collect()),
    };
    let pairs = own.zip(of_base.into_iter().map(number));
    Ok(pairs.map(|(own, base)| Some(own? - base?)).collect())
}
