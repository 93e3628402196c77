//! `rerank train-verifier`: pairs in, a verifier for llama.cpp out.

use std::{
    fs,
    io::{ErrorKind, Write, stdout},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use rerank::{
    Error, jsonl,
    model::{gguf::Precision, hugging_face, llama::Tokenizer},
    problem::Task,
    train::{
        self, Collapse, Evaluation, Event, Options, Summary, Tokenize, lora::Lora,
        objective::Objective, pairs,
    },
};

use super::{bar, models, warn};

/// Train a verifier from preference pairs, out to a GGUF that `--verifier BASE+FILE` takes
#[derive(Args)]
#[command(after_help = "Examples:
  rerank train-verifier --pairs pairs.jsonl --base qwen2.5-0.5b-f16.gguf --out verifier.gguf
  rerank solve \"...\" --reasoner BASE.gguf --verifier qwen2.5-0.5b-f16.gguf+verifier.gguf

Beside the result, OUT.train/ holds the state of the run (see --resume) and metrics.jsonl.")]
pub struct Arguments {
    /// Rows of prompt, chosen, rejected, as of `rerank pairs`: each a text or, as TRL writes it, a
    /// list of one message (before a solution the prompt may be repeated); prompts of several
    /// messages are refused
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// The model to start from (llama, mistral or qwen2): a .gguf of any quantisation, a name of
    /// `rerank models list`, hf:OWNER/NAME, or a Hugging Face folder, from which OUT.base.gguf is
    /// written
    #[arg(long, value_name = "M|DIR")]
    base: String,
    /// Where the adapter goes, or with --full the model
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// simpo, dpo, ipo, kto, orpo, sft or orm
    #[arg(long, default_value = "simpo")]
    objective: String,
    /// Scale of the margin (simpo 2, dpo 0.1, ipo 0.1, kto 0.1)
    #[arg(long, allow_negative_numbers = true)]
    beta: Option<f64>,
    /// simpo: target margin gamma as a share of beta
    #[arg(long, allow_negative_numbers = true)]
    gamma_ratio: Option<f64>,
    /// simpo: a hinge in place of the logistic loss
    #[arg(long)]
    hinge: bool,
    /// simpo, dpo: share of pairs taken to be labelled the wrong way round
    #[arg(long, allow_negative_numbers = true)]
    label_smoothing: Option<f64>,
    /// simpo: weight of the chosen solution's likelihood; orpo: weight of the odds ratio
    #[arg(long, allow_negative_numbers = true)]
    weight: Option<f64>,
    /// Train all weights instead of a LoRA adapter
    #[arg(long)]
    full: bool,
    /// LoRA: rank
    #[arg(long, default_value_t = 16, conflicts_with = "full")]
    rank: usize,
    /// LoRA: the change is scaled by alpha / rank
    #[arg(
        long,
        default_value_t = 32.0,
        conflicts_with = "full",
        allow_negative_numbers = true
    )]
    alpha: f32,
    /// LoRA: matrices to adapt; by default all of attention and feed-forward
    #[arg(long, value_delimiter = ',', conflicts_with = "full")]
    targets: Option<Vec<String>>,
    /// Where to train: cpu, or in a build with that feature cuda, vulkan or metal, with :INDEX or
    /// without
    #[arg(long, default_value = "cpu")]
    device: String,
    /// How the result is stored
    #[arg(long, value_enum, default_value_t = PrecisionArgument::F16)]
    precision: PrecisionArgument,
    /// Highest learning rate; by default 1e-4 for LoRA, 5e-7 for --full (SimPO's own for reasoning);
    /// models of a few million parameters may want more
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Times each problem is seen
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    /// Pairs of a step, at least (a problem's pairs stay together); for kto and orm solutions, for sft
    /// tokens. By default 32 pairs, 64 solutions, 4096 tokens
    #[arg(long)]
    batch: Option<usize>,
    /// Most tokens of a prompt and a solution; pairs with longer ones are left out and counted
    #[arg(long, value_name = "TOKENS", default_value_t = 2048)]
    max_length: usize,
    /// Tokens in memory at a time; larger steps are accumulated
    #[arg(long, value_name = "TOKENS", default_value_t = 8192)]
    tokens_in_memory: usize,
    /// Keep only each block's input for the backward pass: less memory, a third more work
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Steps from one evaluation on the held-out problems to the next; 0: ten in the run
    #[arg(long, default_value_t = 0)]
    evaluate_every: usize,
    /// Stop when correct solutions become unlikely, instead of only warning
    #[arg(long)]
    stop_on_collapse: bool,
    /// What a prompt asks for
    #[arg(long, value_enum, default_value_t = super::TaskArgument::Math)]
    task: super::TaskArgument,
    /// Chooses the order of the problems and the first weights
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on where an earlier run with the same options stopped
    #[arg(long)]
    resume: bool,
    /// Begin anew although OUT.train holds a run that is not finished
    #[arg(long, conflicts_with = "resume")]
    restart: bool,
    /// Allow gamma/beta above 2, which almost no pair can reach
    #[arg(long)]
    force: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionArgument {
    F32,
    F16,
    #[value(name = "q8_0")]
    Q8_0,
}

pub fn run(arguments: Arguments) -> Result<()> {
    let folder = Path::new(&arguments.base);
    super::keep(&[folder, &arguments.pairs], &arguments.out)?;
    let mut options = options(&arguments)?;
    options.check()?;
    let (problems, skipped) = pairs::parse(&jsonl::read(&arguments.pairs)?, &arguments.pairs)?;
    if problems.is_empty() {
        bail!(
            "{} holds no pair to learn from ({} with equal sides, {} with an empty one, {} with a text both chosen and rejected)",
            arguments.pairs.display(),
            skipped.equal,
            skipped.empty,
            skipped.contradictory
        );
    }

    let task: Task = arguments.task.into();
    let (mut tokenizer, lock);
    if folder.is_dir() {
        hugging_face::require(folder, "tokenizer.json")?;
        let base = hugging_face::read(folder)?;
        lock = train::lock(&arguments.out)?;
        // The verifier will be BASE.gguf+ADAPTER.gguf, so the base is needed as GGUF anyway. One that
        // is there belongs to an earlier adapter until this one is done.
        options.base = train::new_base_of(&arguments.out);
        base.write(&options.base, Precision::F16)?;
        tokenizer = Tokenizer::open(&options.base, task)?;
    } else {
        options.base = models::file(&arguments.base)?;
        tokenizer = Tokenizer::open(&options.base, task)?;
        lock = train::lock(&arguments.out)?;
    }
    if let Some(prompts) = models::prompts(&arguments.base) {
        tokenizer.set_prompts(prompts.clone());
    }
    if arguments.resume && !train::state_of(&arguments.out).exists() {
        warn("nothing was saved of an earlier run: this one begins at the first step");
    }
    let bar = bar("train", 0);
    bar.enable_steady_tick(Duration::from_millis(500));
    let mut tokens = 0;
    let started = Instant::now();
    let own = folder
        .is_dir()
        .then(|| hugging_face::Tokenizer::open(folder, task, &tokenizer))
        .transpose()?;
    let tokenize: &dyn Tokenize = match &own {
        Some(own) => own,
        None => &tokenizer,
    };
    let summary = train::run_locked(&lock, &options, &problems, tokenize, &mut |event| {
        match event {
            Event::Step(metrics) => {
                tokens += metrics.tokens;
                bar.set_length(metrics.steps as u64);
                bar.set_position(metrics.step as u64);
                bar.set_message(format!(
                    "loss {:.4} margin {:.3} accuracy {:.0} % {:.0} tokens/s",
                    metrics.loss,
                    metrics.margin,
                    metrics.accuracy * 100.0,
                    tokens as f64 / started.elapsed().as_secs_f64()
                ));
            }
            Event::Evaluation(step, found) => bar.println(format!(
                "step {step}: best of N right on {:.1} % of {} held-out problems, pairs right {:.1} %",
                found.best_of_n * 100.0,
                found.problems,
                found.pair_accuracy * 100.0
            )),
            // A hidden bar prints nothing.
            Event::Warning(text) => bar.suspend(|| warn(&text)),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    let summary = summary.map_err(|error| {
        let full = matches!(&error, Error::Write { source, .. } if source.kind() == ErrorKind::StorageFull);
        match full {
            true => anyhow::Error::new(error).context(
                "the disk is full, and what was saved before is intact: free some space and go on with --resume",
            ),
            false => error.into(),
        }
    })?;
    bar.finish_and_clear();
    if folder.is_dir() {
        let base = train::base_of(&arguments.out);
        fs::rename(&options.base, &base)
            .with_context(|| format!("cannot write {}", base.display()))?;
    }
    let differing = own.map_or(0, |own| own.differing());
    if differing > 0 {
        warn(&format!(
            "{differing} texts are read by llama.cpp, which will score, as other tokens than by {}; llama.cpp's were used",
            folder.join("tokenizer.json").display()
        ));
    }

    if arguments.json {
        writeln!(stdout(), "{}", serde_json::to_string(&summary)?)?;
        return Ok(());
    }
    writeln!(
        stdout(),
        "{} after {} steps over {} pairs of {} problems",
        arguments.out.display(),
        summary.steps,
        summary.pairs,
        summary.problems
    )?;
    writeln!(
        stdout(),
        "left out: {} with equal sides, {} with an empty one, {} with a text both chosen and rejected, {} longer than {} tokens{}",
        skipped.equal + summary.skipped.equal,
        skipped.empty + summary.skipped.empty,
        skipped.contradictory,
        summary.skipped.too_long,
        summary.length_max,
        match summary.length_max < options.length_max {
            true => " (the base's context)",
            false => "",
        }
    )?;
    writeln!(
        stdout(),
        "tokens of an epoch: {}; a pairwise trainer computes {}",
        summary.saved.tokens,
        summary.saved.pairwise
    )?;
    if let Some((step, best)) = &summary.best {
        writeln!(
            stdout(),
            "held out: best of N right on {:.1} % of {} problems after step {step}, {:.1} % before; blind choice {:.1} %",
            best.best_of_n * 100.0,
            best.problems,
            summary.before.best_of_n * 100.0,
            best.blind * 100.0
        )?;
        writeln!(
            stdout(),
            "score against length: correlation {:+.2}; against shared prefix: {:+.2}",
            best.length_correlation,
            best.prefix_correlation
        )?;
    }
    for line in caveats(&summary) {
        writeln!(stdout(), "{line}")?;
    }
    Ok(())
}

/// What went otherwise than hoped.
fn caveats(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    if summary.collapsed {
        lines.push("collapsed: correct solutions became unlikely".to_owned());
    }
    if !summary.finished {
        lines.push("stopped before the last step".to_owned());
    }
    let rank = |of: &Evaluation| (of.best_of_n, of.pair_accuracy);
    if let Some((_, best)) = &summary.best
        && rank(best) < rank(&summary.before)
    {
        lines.push(format!(
            "worse than the base: pairs of held-out problems right {:.1} %, {:.1} % before",
            best.pair_accuracy * 100.0,
            summary.before.pair_accuracy * 100.0
        ));
    }
    lines
}

/// All but the base.
fn options(arguments: &Arguments) -> Result<Options> {
    let mut objective = Objective::from_name(&arguments.objective)?;
    let given =
        |value: Option<f64>, name: &'static str, place: Option<&mut f64>| match (value, place) {
            (Some(value), Some(place)) => {
                *place = value;
                Ok(())
            }
            (Some(_), None) => bail!(
                "--{name} has no meaning for --objective {}",
                arguments.objective
            ),
            (None, _) => Ok(()),
        };
    let (beta, gamma, smoothing, weight) = match &mut objective {
        Objective::Simpo {
            beta,
            gamma_ratio,
            hinge,
            label_smoothing,
            sft_weight,
        } => {
            *hinge = arguments.hinge;
            (
                Some(beta),
                Some(gamma_ratio),
                Some(label_smoothing),
                Some(sft_weight),
            )
        }
        Objective::Dpo {
            beta,
            label_smoothing,
        } => (Some(beta), None, Some(label_smoothing), None),
        Objective::Ipo { beta } | Objective::Kto { beta, .. } => (Some(beta), None, None, None),
        Objective::Orpo { lambda } => (None, None, None, Some(lambda)),
        Objective::Sft | Objective::Orm => (None, None, None, None),
    };
    if arguments.hinge && !matches!(arguments.objective.as_str(), "simpo") {
        bail!(
            "--hinge has no meaning for --objective {}",
            arguments.objective
        );
    }
    given(arguments.beta, "beta", beta)?;
    given(arguments.gamma_ratio, "gamma-ratio", gamma)?;
    given(arguments.label_smoothing, "label-smoothing", smoothing)?;
    given(arguments.weight, "weight", weight)?;

    let defaults = Options::new(PathBuf::new(), arguments.out.clone());
    let lora = Lora {
        rank: arguments.rank,
        alpha: arguments.alpha,
        targets: arguments
            .targets
            .clone()
            .unwrap_or_else(|| train::lora::TARGETS.map(str::to_owned).to_vec()),
    };
    Ok(Options {
        objective,
        rate: arguments
            .lr
            .unwrap_or(if arguments.full { 5e-7 } else { defaults.rate }),
        lora: (!arguments.full).then_some(lora),
        device: arguments.device.clone(),
        precision: match arguments.precision {
            PrecisionArgument::F32 => Precision::F32,
            PrecisionArgument::F16 => Precision::F16,
            PrecisionArgument::Q8_0 => Precision::Q8_0,
        },
        epochs: arguments.epochs,
        batch: arguments.batch.unwrap_or(match objective {
            Objective::Kto { .. } | Objective::Orm => 64,
            Objective::Sft => 4096,
            _ => defaults.batch,
        }),
        length_max: arguments.max_length,
        tokens_max: arguments.tokens_in_memory,
        recompute: arguments.gradient_checkpointing,
        evaluate_every: arguments.evaluate_every,
        collapse: if arguments.stop_on_collapse {
            Collapse::Stop
        } else {
            Collapse::Warn
        },
        seed: arguments.seed,
        resume: arguments.resume,
        restart: arguments.restart,
        force: arguments.force,
        ..defaults
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_are_worse_than_the_base_are_called_so() {
        let of = |best_of_n, pair_accuracy| Evaluation {
            best_of_n,
            pair_accuracy,
            ..Evaluation::default()
        };
        let summary = |best| Summary {
            finished: true,
            before: of(0.5, 0.75),
            best: Some((1, best)),
            ..Summary::default()
        };
        assert_eq!(
            caveats(&summary(of(0.5, 0.25))),
            ["worse than the base: pairs of held-out problems right 25.0 %, 75.0 % before"]
        );
        for best in [of(0.5, 0.75), of(0.75, 0.25)] {
            assert_eq!(caveats(&summary(best)), [""; 0]);
        }
    }
}
