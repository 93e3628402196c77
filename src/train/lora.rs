//! LoRA (arXiv 2106.09685), and what leaves the trainer: adapters, whole models and reward heads as
//! GGUF.

use std::path::Path;

use burn::tensor::{Tensor, TensorData};

use super::{
    gradient::{HEAD_BIAS, HEAD_WEIGHT},
    network::{Network, Weight, unload, values},
};
use crate::{
    Error, Result,
    model::{
        gguf::{Gguf, Precision, Tensor as Stored, Value},
        random::SplitMix,
    },
};

/// Matrices that LoRA can change, by their names within a block.
pub const TARGETS: [&str; 7] = [
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
];

/// Low-rank changes to a frozen network.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// Columns of A and rows of B.
    pub rank: usize,
    /// The product A B is multiplied with `alpha / rank`.
    pub alpha: f32,
    /// Some of [`TARGETS`].
    pub targets: Vec<String>,
}

impl Lora {
    /// Looks for what cannot be added to a network.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a target that is not one of [`TARGETS`], [`Error::Options`] for rank 0,
    /// no target, or an alpha that is not above 0.
    pub fn check(&self) -> Result<()> {
        let mut targets = self.targets.iter();
        if let Some(name) = targets.find(|target| !TARGETS.contains(&target.as_str())) {
            return Err(Error::Unknown {
                what: "LoRA target",
                name: name.clone(),
                known: TARGETS.join(", "),
            });
        }
        if self.rank == 0 || self.targets.is_empty() {
            return Err(Error::Options(
                "LoRA needs a rank of at least 1 and at least one target".to_owned(),
            ));
        }
        if !self.alpha.is_finite() || self.alpha <= 0.0 {
            return Err(Error::Options(format!(
                "LoRA's alpha must be above 0, not {}",
                self.alpha
            )));
        }
        Ok(())
    }
}

impl Network {
    /// Freezes the network and adds an A and a B to each target. A is uniform, as in PEFT; B is
    /// zero, so that nothing changes at first.
    ///
    /// # Errors
    /// As [`Lora::check`].
    pub fn add_lora(&mut self, lora: &Lora, seed: u64) -> Result<()> {
        lora.check()?;
        self.lora_scale = lora.alpha / lora.rank as f32;
        let mut random = SplitMix::new(seed);
        for weight in self.weights.values_mut() {
            weight.trained = false;
        }
        for layer in 0..self.config.layers {
            for target in &lora.targets {
                let name = format!("blk.{layer}.{target}.weight");
                let value = &self.weights[&name].value;
                let ([inputs, outputs], device) = (value.dims(), value.device());
                let bound = (inputs as f64).sqrt().recip();
                let a = (0..inputs * lora.rank)
                    .map(|_| ((2.0 * random.unit() - 1.0) * bound) as f32)
                    .collect::<Vec<_>>();
                let a = Tensor::from_data(TensorData::new(a, [inputs, lora.rank]), &device);
                let b = Tensor::zeros([lora.rank, outputs], &device);
                self.add(format!("{name}.lora_a"), a);
                self.add(format!("{name}.lora_b"), b);
            }
        }
        Ok(())
    }

    /// Adds an outcome reward model's head, at first 0 everywhere.
    pub(crate) fn add_head(&mut self) {
        let device = self.weights["output_norm.weight"].value.device();
        let width = self.config.width;
        self.add(HEAD_WEIGHT.to_owned(), Tensor::zeros([1, width], &device));
        self.add(HEAD_BIAS.to_owned(), Tensor::zeros([1, 1], &device));
    }

    fn add(&mut self, name: String, value: Tensor<2>) {
        let trained = true;
        self.weights.insert(name, Weight { value, trained });
    }

    /// The LoRA adapter, in the form that llama.cpp loads. `notes` are added to the metadata.
    pub fn adapter(&self, lora: &Lora, notes: &[(String, Value)]) -> Gguf {
        let text = |text: &str| Value::String(text.to_owned());
        let metadata = [
            ("general.type", text("adapter")),
            ("general.architecture", text(&self.config.architecture)),
            ("adapter.type", text("lora")),
            ("adapter.lora.alpha", Value::F32(lora.alpha)),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
        let weights = self
            .weights
            .iter()
            .filter(|(name, _)| name.contains(".lora_"));
        Gguf {
            metadata: metadata.into_iter().chain(notes.iter().cloned()).collect(),
            tensors: weights
                .map(|(name, weight)| unload(name, &weight.value))
                .collect(),
        }
    }

    /// The whole model, under the metadata of its base. `notes` are added to it.
    pub fn whole(
        &self,
        base: Vec<(String, Value)>,
        precision: Precision,
        notes: &[(String, Value)],
    ) -> Gguf {
        let mut metadata = base;
        // llama.cpp's number for "mostly" this type.
        let kind = match precision {
            Precision::F32 => 0,
            Precision::F16 => 1,
            Precision::Q8_0 => 7,
            Precision::Q4K => 15,
        };
        metadata.retain(|(key, _)| key != "general.file_type");
        metadata.push(("general.file_type".to_owned(), Value::U32(kind)));
        metadata.extend(notes.iter().cloned());
        let weights = self.weights.iter();
        let own = weights.filter(|(name, _)| !name.contains(".lora_") && !name.starts_with("orm_"));
        let own = own.map(|(name, weight)| unload(name, &weight.value));
        Gguf {
            metadata,
            tensors: own.chain(self.rope_factors.clone()).collect(),
        }
    }

    /// The reward model's head, if the network has one.
    pub fn head(&self) -> Option<Head> {
        Some(Head {
            weight: values(self.weights.get(HEAD_WEIGHT)?.value.clone()),
            bias: values(self.weights.get(HEAD_BIAS)?.value.clone())[0],
        })
    }
}

/// An outcome reward model's head: it turns the hidden state of a solution's last token, after the
/// last norm (llama.cpp's embedding without pooling), into a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// One number for each of the hidden state's.
    pub weight: Vec<f32>,
    /// Added to the product.
    pub bias: f32,
}

impl Head {
    /// The score: the log-odds that the solution is right.
    pub fn score(&self, hidden: &[f32]) -> f64 {
        let products = self.weight.iter().zip(hidden);
        let product: f64 = products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        product + f64::from(self.bias)
    }

    /// Writes a small GGUF file.
    ///
    /// # Errors
    /// As [`Gguf::write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let tensor = |name: &str, values: &[f32]| Stored {
            name: name.to_owned(),
            shape: vec![values.len()],
            values: values.to_vec(),
        };
        let kind = Value::String("reward head".to_owned());
        Gguf {
            metadata: vec![("general.type".to_owned(), kind)],
            tensors: vec![
                tensor(HEAD_WEIGHT, &self.weight),
                tensor(HEAD_BIAS, &[self.bias]),
            ],
        }
        .write(path, Precision::F32)
    }

    /// Reads what [`Head::write`] wrote.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Model`].
    pub fn read(path: &Path) -> Result<Self> {
        let gguf = Gguf::read(path)?;
        let find = |name: &str| {
            let tensor = gguf.tensor(name).filter(|tensor| !tensor.values.is_empty());
            tensor.ok_or_else(|| Error::Model {
                model: path.display().to_string(),
                reason: format!("not a reward head: {name} is missing"),
            })
        };
        Ok(Self {
            weight: find(HEAD_WEIGHT)?.values.clone(),
            bias: find(HEAD_BIAS)?.values[0],
        })
    }
}
