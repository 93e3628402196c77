//! How a verifier is trained.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    device,
    lora::{self, Lora},
    objective::Objective,
};
use crate::{Error, Result, model::gguf::Precision};

/// How a verifier is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The model to start from: a GGUF file of any quantisation.
    pub base: PathBuf,
    /// Where the adapter or the model goes. Beside it, `OUT.train/` holds the state of the run, its
    /// best weights and `metrics.jsonl`; a reward model's head goes to `OUT.head.gguf`.
    pub out: PathBuf,
    /// What is minimised.
    pub objective: Objective,
    /// Low-rank training of a frozen base; `None` trains all weights.
    pub lora: Option<Lora>,
    /// Where it is computed; see [`super::device()`].
    pub device: String,
    /// How the result is stored.
    pub precision: Precision,
    /// What turns gradients into steps.
    pub optimiser: Optimiser,
    /// Highest learning rate.
    pub rate: f64,
    /// Times each problem is seen.
    pub epochs: usize,
    /// Terms of a step at least: pairs, or solutions (kto, orm), or tokens (sft). Problems stay
    /// whole, so a step may have more.
    pub batch: usize,
    /// Share of the steps in which the learning rate rises; then it falls as a cosine to 0.
    pub warmup: f64,
    /// Weight decay of matrices.
    pub decay: f64,
    /// The gradient's norm is cut to this; 0 for no limit.
    pub norm_max: f64,
    /// Rows in memory at a time: larger steps are accumulated, and larger problems computed in
    /// parts.
    pub tokens_max: usize,
    /// Keeps only the input of each block for the backward pass: less memory, a third more work.
    pub recompute: bool,
    /// Tokens of a prompt and a solution at most; pairs with longer ones are skipped and counted.
    pub length_max: usize,
    /// Whether the end token belongs to a solution, in training and in scoring.
    pub end_token: bool,
    /// Share of the problems held out, where the pairs do not say which are.
    pub dev_share: f64,
    /// Steps from one evaluation to the next; 0 for ten in the run. The last step is evaluated.
    pub evaluate_every: usize,
    /// Steps from one saved state to the next; 0 to save at evaluations only.
    pub save_every: usize,
    /// Copies of the model that are kept on the way, at equal distances, as
    /// `OUT.train/STEP.gguf`.
    pub copies: usize,
    /// What to do when correct solutions become unlikely.
    pub collapse: Collapse,
    /// Fall of the correct solutions' log-probability per token that counts as collapse, in nats.
    pub collapse_nats: f64,
    /// Chooses the order of the problems, the held-out ones and LoRA's first weights.
    pub seed: u64,
    /// Goes on where an earlier run with the same options stopped, if there was one.
    pub resume: bool,
    /// Begins anew where the state of a run that is not finished would be lost; `resume` goes first.
    pub restart: bool,
    /// Allows a target margin that almost no pair can reach.
    pub force: bool,
}

/// What turns gradients into steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// AdamW: for models that know something already.
    #[default]
    Adamw,
    /// Muon for the matrices of the blocks, AdamW for all else: for random weights.
    Muon,
}

/// What to do when margins grow because *all* solutions become unlikely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collapse {
    /// Nothing.
    Ignore,
    /// Say so.
    #[default]
    Warn,
    /// Say so and stop; the best weights so far are the result, or without held-out problems the
    /// last.
    Stop,
}

impl Options {
    /// LoRA with SimPO at its authors' numbers for reasoning.
    pub fn new(base: PathBuf, out: PathBuf) -> Self {
        Self {
            base,
            out,
            objective: Objective::Simpo {
                beta: 2.0,
                gamma_ratio: 0.5,
                hinge: false,
                label_smoothing: 0.0,
                sft_weight: 0.0,
            },
            lora: Some(Lora {
                rank: 16,
                alpha: 32.0,
                targets: lora::TARGETS.map(str::to_owned).to_vec(),
            }),
            device: "cpu".to_owned(),
            precision: Precision::F16,
            optimiser: Optimiser::Adamw,
            rate: 1e-4,
            epochs: 1,
            batch: 32,
            warmup: 0.1,
            decay: 0.0,
            norm_max: 1.0,
            tokens_max: 8192,
            recompute: false,
            length_max: 2048,
            end_token: true,
            dev_share: 0.1,
            evaluate_every: 0,
            save_every: 0,
            copies: 0,
            collapse: Collapse::Warn,
            collapse_nats: 1.0,
            seed: 0,
            resume: false,
            restart: false,
            force: false,
        }
    }
}

impl Options {
    /// Looks for what contradicts itself or means nothing, before anything is loaded.
    ///
    /// # Errors
    /// [`Error::Options`] or [`Error::Unknown`], for the first that is found.
    pub fn check(&self) -> Result<()> {
        device(&self.device)?;
        if self.out.is_dir() {
            return Err(Error::Options(format!(
                "{} is a folder: name the file that is to be written",
                self.out.display()
            )));
        }
        self.lora.iter().try_for_each(Lora::check)?;
        check_objective(&self.objective)?;
        if let Objective::Simpo { gamma_ratio, .. } = self.objective
            && gamma_ratio > 2.0
            && !self.force
        {
            return Err(Error::Options(format!(
                "gamma/beta {gamma_ratio} asks for a gap of {gamma_ratio} nats per token, which almost no pair can reach; SimPO's authors use 0.1 to 0.8 (--force to go on)"
            )));
        }
        above_0("the learning rate", self.rate)?;
        above_0("the number of epochs", self.epochs as f64)?;
        above_0("the batch", self.batch as f64)?;
        above_0("the tokens in memory", self.tokens_max as f64)?;
        above_0("the most tokens of a solution", self.length_max as f64)?;
        at_least_0("the weight decay", self.decay)?;
        at_least_0("the largest norm", self.norm_max)?;
        at_least_0("the fall that is collapse", self.collapse_nats)?;
        for (name, share) in [("warm-up", self.warmup), ("held-out", self.dev_share)] {
            if !(0.0..1.0).contains(&share) {
                return Err(Error::Options(format!(
                    "the {name} share must be at least 0 and below 1"
                )));
            }
        }
        Ok(())
    }
}

fn check_objective(objective: &Objective) -> Result<()> {
    match *objective {
        Objective::Simpo {
            beta,
            gamma_ratio,
            label_smoothing,
            sft_weight,
            ..
        } => {
            above_0("beta", beta)?;
            at_least_0("gamma/beta", gamma_ratio)?;
            below_half("the label smoothing", label_smoothing)?;
            at_least_0("the weight of the likelihood", sft_weight)
        }
        Objective::Dpo {
            beta,
            label_smoothing,
        } => {
            above_0("beta", beta)?;
            below_half("the label smoothing", label_smoothing)
        }
        Objective::Ipo { beta } => above_0("beta", beta),
        Objective::Kto {
            beta,
            desirable,
            undesirable,
        } => {
            above_0("beta", beta)?;
            at_least_0("the weight of correct solutions", desirable)?;
            at_least_0("the weight of incorrect solutions", undesirable)
        }
        Objective::Orpo { lambda } => at_least_0("the weight of the odds ratio", lambda),
        Objective::Sft | Objective::Orm => Ok(()),
    }
}

fn above_0(name: &str, number: f64) -> Result<()> {
    must(number.is_finite() && number > 0.0, name, "above 0", number)
}

fn at_least_0(name: &str, number: f64) -> Result<()> {
    must(
        number.is_finite() && number >= 0.0,
        name,
        "at least 0",
        number,
    )
}

/// With half of the pairs the wrong way round, there is nothing to learn.
fn below_half(name: &str, share: f64) -> Result<()> {
    let fits = (0.0..0.5).contains(&share);
    must(fits, name, "at least 0 and below 0.5", share)
}

fn must(fits: bool, name: &str, be: &str, number: f64) -> Result<()> {
    match fits {
        true => Ok(()),
        false => Err(Error::Options(format!("{name} must be {be}, not {number}"))),
    }
}
