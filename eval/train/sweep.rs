//! What LoRA needs (rank, alpha, learning rate, targets), and how the objectives compare as scorers,
//! on real work: recorded solutions with labels. The problems are halved by turns; each half is
//! scored by what learned from the other, so that each problem is tested once. No checkpoint is
//! picked: the last weights count. Prints the rows of a Markdown table.
//!
//! `cargo run --release --example sweep -- lora|objectives BASE SAMPLES.jsonl`
//!
//! `BASE` is a GGUF file, or a llama2.c model (`.bin`) with its `tok512.bin` beside it.

#![expect(clippy::print_stdout, reason = "the table is what this is for")]

use std::{
    fmt::{self, Display, Formatter},
    ops::ControlFlow,
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use llama_cpp_2::{
    LogOptions,
    llama_backend::LlamaBackend,
    model::{LlamaModel, params::LlamaModelParams},
    send_logs_to_tracing,
};
use rerank::{
    answer::{self, Rule},
    eval::metrics::wilson,
    model::{gguf::Precision, llama2c},
    train::{
        self, Options, Tokenize,
        lora::{Lora, TARGETS},
        objective::Objective,
        pairs::{self, Labelled, Problem, Split},
    },
};

/// One line of the table.
struct Try {
    objective: &'static str,
    rank: usize,
    alpha: f32,
    rate: f64,
    targets: &'static [&'static str],
}

const CENTRE: Try = Try {
    objective: "simpo",
    rank: 16,
    alpha: 32.0,
    rate: 1e-3,
    targets: &TARGETS,
};
const ATTENTION: &[&str] = &["attn_q", "attn_k", "attn_v", "attn_output"];

/// One thing changed at a time.
fn lora() -> Vec<Try> {
    let mut all = Vec::new();
    all.extend([1e-4, 1e-3, 1e-2].map(|rate| Try { rate, ..CENTRE }));
    all.extend([(4, 8.0), (64, 128.0)].map(|(rank, alpha)| Try {
        rank,
        alpha,
        ..CENTRE
    }));
    all.extend([16.0, 64.0].map(|alpha| Try { alpha, ..CENTRE }));
    all.push(Try {
        targets: ATTENTION,
        ..CENTRE
    });
    all
}

fn objectives() -> Vec<Try> {
    let each = ["simpo", "dpo", "orm", "ipo", "kto", "orpo", "sft"].into_iter();
    each.flat_map(|objective| {
        [1e-3, 1e-2].map(|rate| Try {
            objective,
            rate,
            ..CENTRE
        })
    })
    .collect()
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [which, base, samples] = &arguments[..] else {
        bail!("three arguments are needed: lora or objectives, BASE, SAMPLES.jsonl");
    };
    let tries = match which.as_str() {
        "lora" => lora(),
        "objectives" => objectives(),
        _ => bail!("{which} is neither lora nor objectives"),
    };
    let (mut base, samples) = (PathBuf::from(base), PathBuf::from(samples));
    let converted = tempfile::tempdir()?;
    if base.extension().is_some_and(|ending| ending == "bin") {
        let gguf = llama2c::read(&base, &base.with_file_name("tok512.bin"))?;
        base = converted.path().join("base.gguf");
        gguf.write(&base, Precision::F32)?;
    }
    send_logs_to_tracing(LogOptions::default().with_logs_enabled(false));
    let backend = LlamaBackend::init()?;
    let params = LlamaModelParams::default().with_vocab_only(true);
    let words = Words(LlamaModel::load_from_file(&backend, &base, &params)?);
    let text = std::fs::read_to_string(&samples)?;
    let right = |gold: &str, answer: &str| Some(answer::grade(gold, answer, Rule::Math).equal);
    let labelled = pairs::from_samples(text.as_bytes(), &samples, &right)?;
    let (train, test) = (made(&labelled, 0.0)?, made(&labelled, 1.0)?);

    println!(
        "| objective | rank | alpha | targets | rate | best of N | pairs in order | log-probability of correct | with length | with shared prefix |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let (mut untold, mut blind) = (true, String::new());
    for one in &tries {
        let (mut before, mut after) = (Tested::default(), Tested::default());
        for half in 0..2 {
            let all = train.iter().zip(&test).enumerate();
            let all: Vec<Problem> = all
                .map(|(i, (train, test))| {
                    assert_eq!(train.prompt, test.prompt);
                    if i % 2 == half { test } else { train }.clone()
                })
                .collect();
            let scratch = tempfile::tempdir()?;
            let options = Options {
                objective: Objective::from_name(one.objective)?,
                lora: Some(Lora {
                    rank: one.rank,
                    alpha: one.alpha,
                    targets: one.targets.iter().map(|&name| name.to_owned()).collect(),
                }),
                rate: one.rate,
                batch: match one.objective {
                    "orm" | "kto" => 64,
                    "sft" => 4096,
                    _ => 32,
                },
                // After the last step alone.
                evaluate_every: usize::MAX,
                collapse: train::Collapse::Ignore,
                end_token: false,
                ..Options::new(base.clone(), scratch.path().join("adapter.gguf"))
            };
            let summary = train::run(&options, &all, &words, &mut |_| ControlFlow::Continue(()))?;
            let (_, found) = summary.best.context("no problem is left to test")?;
            before.add(&summary.before, &summary.before);
            after.add(&found, &summary.before);
        }
        // Before training, DPO's ratios and the reward model's values are all alike.
        if untold && one.objective == "simpo" {
            untold = false;
            println!("| none | | | | | {before} |");
            blind = format!(
                "{} problems; blind choice {:.1}",
                before.problems,
                before.blind / before.problems as f64 * 100.0
            );
        }
        let targets = if one.targets.len() == TARGETS.len() {
            "all"
        } else {
            "attention"
        };
        println!(
            "| {} | {} | {} | {targets} | {:.0e} | {after} |",
            one.objective, one.rank, one.alpha, one.rate
        );
    }
    println!("\n{blind}");
    Ok(())
}

/// What testing both halves found.
#[derive(Default)]
struct Tested {
    right: usize,
    problems: usize,
    blind: f64,
    halves: f64,
    /// Sums over the halves: share of pairs in order, change of the correct solutions'
    /// log-probability, correlations with length and shared prefix.
    sums: [f64; 4],
}

impl Tested {
    fn add(&mut self, found: &train::Evaluation, before: &train::Evaluation) {
        let problems = found.problems as f64;
        self.right += (found.best_of_n * problems).round() as usize;
        self.problems += found.problems;
        self.blind += found.blind * problems;
        self.halves += 1.0;
        let logp = |of: &train::Evaluation| of.correct_logp.unwrap_or(f64::NAN);
        for (sum, number) in self.sums.iter_mut().zip([
            found.pair_accuracy,
            logp(found) - logp(before),
            found.length_correlation,
            found.prefix_correlation,
        ]) {
            *sum += number;
        }
    }
}

impl Display for Tested {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let best = wilson(self.right, self.problems);
        let [value, low, high] = [best.value, best.low, best.high].map(|x| x * 100.0);
        let [order, fall, length, prefix] = self.sums.map(|sum| sum / self.halves);
        let fall = if fall.is_nan() {
            "-".to_owned()
        } else {
            format!("{fall:+.2}")
        };
        let order = order * 100.0;
        write!(
            f,
            "{value:.1} [{low:.1}, {high:.1}] | {order:.1} | {fall} | {length:+.2} | {prefix:+.2}"
        )
    }
}

/// Problems to learn from (few pairs each) or to test on (all solutions), in the same order.
fn made(labelled: &[Labelled], dev_share: f64) -> Result<Vec<Problem>> {
    let options = pairs::Options {
        dev_share,
        pairs_per_problem: 4,
        ..pairs::Options::default()
    };
    let (rows, _) = pairs::build(labelled, &options);
    let lines = rows.iter().map(serde_json::to_string);
    let lines = lines.collect::<Result<Vec<_>, _>>()?.join("\n");
    let (mut problems, _) = pairs::parse(lines.as_bytes(), "rows".as_ref())?;
    let split = if dev_share > 0.0 {
        Split::Dev
    } else {
        Split::Train
    };
    problems
        .iter_mut()
        .for_each(|problem| problem.split = Some(split));
    Ok(problems)
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
