//! How a verifier is trained.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    lora::{self, Lora},
    objective::Objective,
};
use crate::{Error, Result, model::gguf::Precision};

/// How a verifier is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The model to start from: a GGUF file of any quantisation, or a Hugging Face folder.
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
    /// Allows a target margin that almost no pair can reach, and to begin anew where a state of this
    /// very run could be gone on with.
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
    /// Say so and stop; the best weights so far are the result.
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
            force: false,
        }
    }
}

impl Options {
    /// Looks for what contradicts itself.
    pub(crate) fn check(&self) -> Result<()> {
        if let Objective::Simpo { gamma_ratio, .. } = self.objective
            && gamma_ratio > 2.0
            && !self.force
        {
            return Err(Error::Options(format!(
                "gamma/beta {gamma_ratio} asks for a gap of {gamma_ratio} nats per token, which almost no pair can reach; SimPO's authors use 0.1 to 0.8 (--force to go on)"
            )));
        }
        let positive = [
            ("the learning rate", self.rate),
            ("the number of epochs", self.epochs as f64),
            ("the batch", self.batch as f64),
            ("the tokens in memory", self.tokens_max as f64),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, n)| !n.is_finite() || *n <= 0.0) {
            return Err(Error::Options(format!("{name} must be above 0")));
        }
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
