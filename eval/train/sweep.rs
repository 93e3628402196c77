//! Which learning rate and rank LoRA needs, and how the objectives compare as scorers, on real work:
//! recorded solutions of MBPP's training problems by Qwen2.5-1.5B with their test results, learned
//! by a small trained network. Prints the rows of a Markdown table.
//!
//! `cargo run --release --example sweep -- BASE.gguf SAMPLES.jsonl`

#![expect(clippy::print_stdout, reason = "the table is what this is for")]

use std::{ops::ControlFlow, path::PathBuf};

use anyhow::{Context, Result};
use llama_cpp_2::{
    LogOptions,
    llama_backend::LlamaBackend,
    model::{LlamaModel, params::LlamaModelParams},
    send_logs_to_tracing,
};
use rerank::train::{
    self, Options, Tokenize,
    lora::{Lora, TARGETS},
    objective::Objective,
    pairs,
};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let base = arguments.next().context("the base is missing")?;
    let samples = arguments.next().context("the samples are missing")?;
    send_logs_to_tracing(LogOptions::default().with_logs_enabled(false));
    let backend = LlamaBackend::init()?;
    let params = LlamaModelParams::default().with_vocab_only(true);
    let words = Words(LlamaModel::load_from_file(&backend, &base, &params)?);
    let text = std::fs::read_to_string(&samples)?;
    let labelled = pairs::from_samples(&text, &samples, &|_, _| None)?;

    println!(
        "| objective | rank | rate | best-of-N | pairs in order | log-prob of correct, nats/token | corr. length |"
    );
    println!("|---|---|---|---|---|---|---|");
    let ranks = [4, 16, 64];
    let rates = [3e-4, 1e-3, 3e-3];
    let grid = ranks
        .iter()
        .flat_map(|&rank| rates.map(|rate| ("simpo", rank, rate)));
    let others = ["dpo", "orm", "ipo", "kto", "orpo", "sft"].into_iter();
    let others = others.map(|name| (name, 16, 1e-3));
    let mut blind = (0.0, 0.0, 0.0);
    for (name, rank, rate) in grid.chain(others) {
        let mut sums = [0.0; 4];
        let seeds = 2;
        for seed in 0..seeds {
            // Another split and another start for each seed.
            let built = pairs::Options {
                seed,
                dev_share: 0.25,
                pairs_per_problem: 8,
                ..pairs::Options::default()
            };
            let (rows, _) = pairs::build(&labelled, &built);
            let lines = rows
                .iter()
                .map(serde_json::to_string)
                .collect::<Result<Vec<_>, _>>()?;
            let (problems, _) = pairs::parse(&lines.join("\n"), &samples)?;
            let scratch = tempfile::tempdir()?;
            let options = Options {
                objective: Objective::from_name(name)?,
                lora: Some(Lora {
                    rank,
                    alpha: 2.0 * rank as f32,
                    targets: TARGETS.map(str::to_owned).to_vec(),
                }),
                rate,
                epochs: 1,
                evaluate_every: 12,
                batch: if name == "sft" { 2000 } else { 32 },
                length_max: 1024,
                collapse: train::Collapse::Ignore,
                seed,
                ..Options::new(base.clone(), scratch.path().join("adapter.gguf"))
            };
            let summary = train::run(&options, &problems, &words, &mut |_| {
                ControlFlow::Continue(())
            })?;
            let (_, best) = summary.best.context("nothing was held out")?;
            let before = summary.before;
            sums[0] += best.best_of_n;
            sums[1] += best.pair_accuracy;
            sums[2] +=
                best.correct_logp.unwrap_or(f64::NAN) - before.correct_logp.unwrap_or(f64::NAN);
            sums[3] += best.length_correlation;
            blind = (before.blind, before.best_of_n, before.pair_accuracy);
        }
        let [best, order, fall, length] = sums.map(|sum| sum / seeds as f64);
        println!(
            "| {name} | {rank} | {rate:.0e} | {best:.3} | {order:.3} | {fall:+.3} | {length:+.2} |"
        );
    }
    println!(
        "\nLast split: blind choice {:.3}; untrained base, by SimPO's score of the last objective, {:.3} and {:.3}.",
        blind.0, blind.1, blind.2
    );
    Ok(())
}

/// The base's own tokenizer, in llama.cpp.
struct Words(LlamaModel);

impl Words {
    fn tokens(&self, text: &str, begin: bool) -> Vec<u32> {
        let tokens = self.0.vocab().tokenize(text.as_bytes(), begin, false);
        tokens.iter().map(|token| token.0 as u32).collect()
    }
}

impl Tokenize for Words {
    fn prompt(&self, prompt: &str) -> rerank::Result<Vec<u32>> {
        Ok(self.tokens(&format!("{prompt}\n"), true))
    }

    fn solution(&self, text: &str) -> rerank::Result<Vec<u32>> {
        Ok(self.tokens(text, false))
    }

    fn end(&self) -> Option<u32> {
        None
    }
}
