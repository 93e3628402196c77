//! How the built-in models are made: the numbers, as a file under `models/` has them.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    model::{Prompts, fixture::Geometry},
    train::{self, Optimiser, lora::Lora, objective::Objective},
};

/// A recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Where every random choice comes from: problems, weights, orders, samples.
    pub seed: u64,
    /// The tokenizer of all models.
    pub tokenizer: Vocabulary,
    /// What all models are asked.
    pub prompts: Prompts,
    /// The model that solves.
    pub reasoner: Model,
    /// The model that writes programs.
    pub coder: Model,
    /// What the reasoner draws for the verifiers to learn from.
    pub samples: Samples,
    /// The verifiers by their objectives, all from the same pairs.
    pub verifier: BTreeMap<String, Verifier>,
    /// The objective of the verifier that is shipped.
    pub ship: String,
}

/// A byte-level BPE with single digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// Problems whose texts the merges are learned from.
    pub problems: u64,
    /// Tokens: 256 bytes, two that begin and end a text, and merges.
    pub size: usize,
}

/// A network and how it is trained from random weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Numbers in the residual stream.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Numbers in the feed-forward layer.
    pub ffn: usize,
    /// Tokens of a text at most.
    pub context: usize,
    /// Tokens to learn from, each seen once.
    pub tokens: u64,
    /// Tokens of a step at least.
    pub batch: usize,
    /// What turns gradients into steps.
    pub optimiser: Optimiser,
    /// Highest learning rate.
    pub rate: f64,
    /// Share of the steps in which the rate rises.
    pub warmup: f64,
    /// Weight decay.
    pub decay: f64,
    /// Whether the model learns to write the prompt too, and with it what words mean.
    pub learn_prompt: bool,
    /// Share of the texts whose chain of thought is a wrong one, which the coder must translate as
    /// it stands. A reasoner learns from none.
    pub flawed: f64,
    /// Copies kept on the way, at equal distances: the learning curve.
    pub copies: usize,
}

/// Samples of fresh problems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// Problems.
    pub problems: u64,
    /// Samples of each.
    pub each: usize,
    /// Divides the logits.
    pub temperature: f32,
    /// Pairs of a problem at most.
    pub pairs: usize,
    /// Further problems, of which nothing is drawn: their right solution stands against wrong ones
    /// that the generator makes, such as a wrong operator.
    pub contrasts: u64,
    /// Wrong solutions of each of these.
    pub flaws: u64,
}

/// How a verifier is trained from the reasoner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verifier {
    /// Rank of the LoRA adapter; 0 trains all weights.
    pub rank: usize,
    /// Highest learning rate.
    pub rate: f64,
    /// Times each problem is seen.
    pub epochs: usize,
    /// Pairs of a step, or solutions for the outcome reward model.
    pub batch: usize,
    /// SimPO's and DPO's beta, where not the authors' own.
    pub beta: Option<f64>,
    /// SimPO's gamma / beta, where not the authors' own.
    pub gamma_ratio: Option<f64>,
    /// SimPO's weight of the chosen solution's likelihood.
    pub sft_weight: Option<f64>,
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::Row`] for a file that is not a recipe.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let row = |line: usize, reason: String| Error::Row {
            path: path.to_owned(),
            line,
            reason,
        };
        let recipe: Self = toml::from_str(&text).map_err(|source| {
            let start = source.span().map_or(0, |span| span.start);
            let line = 1 + text[..start].matches('\n').count();
            row(line, source.message().to_owned())
        })?;
        recipe.prompts.check()?;
        for (name, verifier) in &recipe.verifier {
            verifier.objective(name)?;
        }
        if !recipe.verifier.contains_key(&recipe.ship) {
            let known: Vec<&str> = recipe.verifier.keys().map(String::as_str).collect();
            let reason = format!(
                "ship = {:?} is none of the verifiers: {}",
                recipe.ship,
                known.join(", ")
            );
            return Err(row(1, reason));
        }
        Ok(recipe)
    }
}

impl Model {
    /// The network's shape.
    pub(super) fn geometry(&self, vocabulary: usize) -> Geometry {
        Geometry {
            architecture: "llama".to_owned(),
            vocabulary,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            kv_heads: self.heads,
            ffn: self.ffn,
            context: self.context,
            rope_base: 10_000.0,
            norm_epsilon: 1e-5,
            tied: true,
        }
    }
}

impl Verifier {
    /// The objective of that name with this verifier's numbers.
    pub(super) fn objective(&self, name: &str) -> Result<Objective> {
        let mut objective = Objective::from_name(name)?;
        let set = |place: &mut f64, value: Option<f64>| *place = value.unwrap_or(*place);
        match &mut objective {
            Objective::Simpo {
                beta,
                gamma_ratio,
                sft_weight,
                ..
            } => {
                set(beta, self.beta);
                set(gamma_ratio, self.gamma_ratio);
                set(sft_weight, self.sft_weight);
            }
            Objective::Dpo { beta, .. } => set(beta, self.beta),
            _ => {}
        }
        Ok(objective)
    }

    /// The adapter, if it is one.
    pub(super) fn lora(&self) -> Option<Lora> {
        (self.rank > 0).then(|| Lora {
            rank: self.rank,
            alpha: 2.0 * self.rank as f32,
            targets: train::lora::TARGETS.map(str::to_owned).to_vec(),
        })
    }
}
