//! How the built-in models are made: the numbers, as a file under `models/` has them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    model::{Prompts, fixture::Geometry, gguf::Precision},
    train::{self, Collapse, Optimiser, objective::Objective},
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
    /// Share of the coder's texts whose chain of thought is a wrong one, which it must translate as
    /// it stands.
    pub coder_flawed: f64,
    /// What the reasoner draws for the verifiers to learn from.
    pub samples: Samples,
    /// The verifiers by their objectives, all from the same pairs.
    pub verifier: BTreeMap<String, Verifier>,
    /// The objective of the verifier that is shipped: one whose score is the model's likelihood.
    pub ship: String,
    /// What is measured at the end.
    pub measure: Measure,
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
}

/// Problems that no model saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Rows of `held-out.jsonl`, for `rerank eval`.
    pub held_out: u64,
    /// Problems whose chains of thought, as they are and with a flaw, the coder translates.
    pub faithful: u64,
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Row`] for a file that is not a recipe, or [`Error::Options`] for one
    /// that cannot be followed.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::read(path))?;
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
        let options = |reason| Error::Options(format!("{}: {reason}", path.display()));
        recipe.check().map_err(options)?;
        Ok(recipe)
    }

    /// What cannot be, in words.
    fn check(&self) -> Result<(), String> {
        const BYTES_BEGIN_END: usize = 256 + 2;
        if self.tokenizer.size < BYTES_BEGIN_END || self.tokenizer.problems == 0 {
            return Err(format!(
                "the tokenizer needs problems and a size of at least {BYTES_BEGIN_END}"
            ));
        }
        for (role, model) in [("reasoner", &self.reasoner), ("coder", &self.coder)] {
            let sizes = [model.width, model.layers, model.heads, model.ffn];
            if sizes.contains(&0) || !model.width.is_multiple_of(2 * model.heads) {
                return Err(format!(
                    "{role}: width, layers, heads and ffn are at least 1, and width is an even multiple of heads"
                ));
            }
            if model.tokens == 0 {
                return Err(format!("{role}: tokens are at least 1"));
            }
            let training = model.training(self.seed, PathBuf::new(), PathBuf::new());
            training
                .check()
                .map_err(|error| format!("{role}: {error}"))?;
        }
        if !(0.0..=1.0).contains(&self.coder_flawed) {
            return Err("coder_flawed is a share, from 0 to 1".to_owned());
        }
        let Samples {
            problems,
            each,
            temperature,
            ..
        } = self.samples;
        if problems == 0 || each < 2 || !(temperature > 0.0 && temperature.is_finite()) {
            return Err(
                "samples: there must be problems, at least 2 samples of each, and a temperature above 0"
                    .to_owned(),
            );
        }
        for (name, verifier) in &self.verifier {
            let training = verifier.training(name, self.seed, PathBuf::new(), PathBuf::new())?;
            training
                .check()
                .map_err(|error| format!("verifier.{name}: {error}"))?;
        }
        let known: Vec<&str> = self.verifier.keys().map(String::as_str).collect();
        let Some(verifier) = self.verifier.get(&self.ship) else {
            return Err(format!(
                "ship = {:?} is none of the verifiers: {}",
                self.ship,
                known.join(", ")
            ));
        };
        let objective = verifier.objective(&self.ship)?;
        if objective == Objective::Orm || objective.needs_reference() {
            return Err(format!(
                "ship = {:?} scores by more than one model's file holds: ship a verifier such as simpo",
                self.ship
            ));
        }
        Ok(())
    }
}

impl Model {
    /// How it is trained from the random weights of `start` into `out`.
    pub(super) fn training(&self, seed: u64, start: PathBuf, out: PathBuf) -> train::Options {
        train::Options {
            objective: Objective::Sft,
            lora: None,
            precision: Precision::F32,
            optimiser: self.optimiser,
            rate: self.rate,
            batch: self.batch,
            warmup: self.warmup,
            decay: self.decay,
            length_max: self.context,
            dev_share: 0.0,
            save_every: 100,
            copies: self.copies,
            seed,
            resume: true,
            ..train::Options::new(start, out)
        }
    }

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
    /// How it is trained from `base` into `out`, or why it cannot be.
    pub(super) fn training(
        &self,
        name: &str,
        seed: u64,
        base: PathBuf,
        out: PathBuf,
    ) -> Result<train::Options, String> {
        Ok(train::Options {
            objective: self.objective(name)?,
            lora: None,
            precision: Precision::F32,
            rate: self.rate,
            epochs: self.epochs,
            batch: self.batch,
            save_every: 50,
            collapse: Collapse::Ignore,
            seed,
            resume: true,
            ..train::Options::new(base, out)
        })
    }

    /// The objective of that name with this verifier's numbers, or why there is none.
    fn objective(&self, name: &str) -> Result<Objective, String> {
        let mut objective = Objective::from_name(name).map_err(|error| error.to_string())?;
        let (beta, gamma_ratio) = match &mut objective {
            Objective::Simpo {
                beta, gamma_ratio, ..
            } => (Some(beta), Some(gamma_ratio)),
            Objective::Dpo { beta, .. } => (Some(beta), None),
            _ => (None, None),
        };
        let given = [
            ("beta", self.beta, beta),
            ("gamma_ratio", self.gamma_ratio, gamma_ratio),
        ];
        for (key, value, place) in given {
            match (value, place) {
                (Some(value), Some(place)) => *place = value,
                (Some(_), None) => return Err(format!("verifier.{name} takes no {key} here")),
                _ => {}
            }
        }
        Ok(objective)
    }
}
