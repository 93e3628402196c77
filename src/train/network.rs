//! The llama family of networks: RMS norm, rotary positions, grouped-query attention, SwiGLU.
//!
//! Weights keep their GGUF names. Matrices are held as `(in, out)`, the transpose of the file, so
//! that a gradient comes out in the layout of its weight; embeddings stay `(vocabulary, width)`.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{
    fused::{self, Attention, Layout, Logps, Rotary},
    pack::{Solution, Unit, pack},
    plain,
};
use crate::{
    Error, Result,
    model::gguf::{self, Gguf, Value},
};

/// Architectures that can be trained, as GGUF names them. Mistral's files say `llama`.
pub const ARCHITECTURES: [&str; 2] = ["llama", "qwen2"];

/// Divides the rotary frequencies, as in Llama 3.1; llama.cpp applies it to llama alone.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The shape of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// One of [`ARCHITECTURES`].
    pub architecture: String,
    /// Blocks.
    pub layers: usize,
    /// Numbers in the residual stream.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Added to the mean square in each norm.
    pub norm_epsilon: f32,
    /// Tokens the model was made for.
    pub context: usize,
}

/// Weights, and whether each is trained.
#[derive(Clone, Debug)]
pub struct Network {
    /// The shape.
    pub config: Config,
    /// By GGUF name; LoRA matrices end in `.lora_a` and `.lora_b`.
    pub weights: BTreeMap<String, Weight>,
    /// What LoRA's product is multiplied with: alpha / rank.
    pub lora_scale: f32,
    rotary: Arc<Rotary>,
    /// [`ROPE_FACTORS`] of the file, which a whole model takes along.
    pub(crate) rope_factors: Option<gguf::Tensor>,
    /// Whether it lives where the hand-written operations run.
    pub(crate) fused: bool,
}

/// One matrix.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Vectors are `(1, n)`.
    pub value: Tensor<2>,
    /// Whether it has a gradient.
    pub trained: bool,
}

/// Texts in the rows of a batch, and which of their tokens are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    /// Token of each row.
    pub tokens: Vec<u32>,
    /// Which rows are prompts and solutions.
    pub layout: Arc<Layout>,
    /// A row and the token that follows it, for each token of each solution.
    pub targets: Arc<Vec<(usize, usize)>>,
}

impl Config {
    /// Reads a GGUF file's metadata.
    ///
    /// # Errors
    /// [`Error::Model`] for an architecture that is not one of [`ARCHITECTURES`], a key that is
    /// missing, or one that llama.cpp computes otherwise or refuses.
    pub fn new(gguf: &Gguf, model: &str) -> Result<Self> {
        let error = |reason: String| Error::Model {
            model: model.to_owned(),
            reason,
        };
        let architecture = gguf.get("general.architecture").and_then(Value::as_str);
        let architecture = architecture.unwrap_or("(none)");
        if !ARCHITECTURES.contains(&architecture) {
            return Err(error(format!(
                "architecture {architecture} cannot be trained; supported: {} (mistral files say llama)",
                ARCHITECTURES.join(", ")
            )));
        }
        let key = |name: &str| format!("{architecture}.{name}");
        let number = |name: &str| {
            let value = gguf.get(&key(name)).and_then(Value::as_usize);
            value.ok_or_else(|| error(format!("metadata {} is missing", key(name))))
        };
        let real = |name: &str| gguf.get(&key(name)).and_then(Value::as_f32);
        let refused = |name: &str, only: String| {
            let value = gguf.get(&key(name)).map_or_else(String::new, shown);
            error(format!(
                "metadata {} is {value}, and only {only} can be trained",
                key(name)
            ))
        };
        let scaling = gguf.get(&key("rope.scaling.type"));
        if scaling.is_some_and(|kind| kind.as_str() != Some("none")) {
            return Err(refused("rope.scaling.type", "none".to_owned()));
        }
        // llama.cpp scales by each of them without a type as well.
        for name in [
            "rope.scaling.factor",
            "rope.scale_linear",
            "rope.scaling.attn_factor",
        ] {
            let value = gguf.get(&key(name));
            if value.is_some_and(|value| value.as_f32() != Some(1.0)) {
                return Err(refused(name, "1".to_owned()));
            }
        }
        let layers = number("block_count")?;
        if layers == 0 {
            return Err(refused("block_count", "1 or more".to_owned()));
        }
        let width = number("embedding_length")?;
        let heads = number("attention.head_count")?;
        let kv_heads = number("attention.head_count_kv").unwrap_or(heads);
        if heads == 0 || !width.is_multiple_of(heads) {
            let only = format!("a divisor of the {width} numbers of embedding_length");
            return Err(refused("attention.head_count", only));
        }
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            let only = format!("a divisor of the {heads} heads of attention.head_count");
            return Err(refused("attention.head_count_kv", only));
        }
        let head = width / heads;
        if head == 0 || !head.is_multiple_of(2) {
            let only = format!("an even number for each of the {heads} heads");
            return Err(refused("embedding_length", only));
        }
        // llama.cpp rotates the whole of a head in these architectures, or ends.
        for name in [
            "rope.dimension_count",
            "attention.key_length",
            "attention.value_length",
        ] {
            let value = gguf.get(&key(name));
            if value.is_some_and(|value| value.as_usize() != Some(head)) {
                return Err(refused(name, format!("{head}, the size of a head,")));
            }
        }
        Ok(Self {
            architecture: architecture.to_owned(),
            layers,
            width,
            heads,
            kv_heads,
            rope_base: real("rope.freq_base").unwrap_or(10_000.0),
            norm_epsilon: real("attention.layer_norm_rms_epsilon").unwrap_or(1e-5),
            context: number("context_length")?,
        })
    }
}

impl Network {
    /// The network in a GGUF file, all of it trained.
    ///
    /// # Errors
    /// [`Error::Model`] for an architecture or a shape that is not supported, or a missing tensor.
    pub fn new(gguf: Gguf, model: &str, device: &Device) -> Result<Self> {
        let config = Config::new(&gguf, model)?;
        let error = |reason: String| Error::Model {
            model: model.to_owned(),
            reason,
        };
        let expected = expected(&config);
        let mut weights = BTreeMap::new();
        let mut rope_factors: Option<gguf::Tensor> = None;
        for tensor in gguf.tensors {
            let shape = expected.get(&tensor.name).ok_or_else(|| {
                error(format!(
                    "tensor {} has no place in the network",
                    tensor.name
                ))
            })?;
            if shape
                .iter()
                .zip(&tensor.shape)
                .any(|(a, b)| *a != 0 && a != b)
                || shape.len() != tensor.shape.len()
            {
                return Err(error(format!(
                    "tensor {} has shape {:?}",
                    tensor.name, tensor.shape
                )));
            }
            if tensor.name == ROPE_FACTORS {
                rope_factors = Some(tensor);
                continue;
            }
            let value = load(&tensor, device);
            let weight = Weight {
                value,
                trained: true,
            };
            weights.insert(tensor.name, weight);
        }
        let missing = expected.keys().find(|name| {
            let optional = [ROPE_FACTORS, "output.weight"].contains(&name.as_str());
            !optional && !name.ends_with(".bias") && !weights.contains_key(*name)
        });
        if let Some(name) = missing {
            return Err(error(format!("tensor {name} is missing")));
        }
        let factors = rope_factors.as_ref();
        let rotary = Rotary::new(
            config.width / config.heads,
            config.architecture == "qwen2",
            config.rope_base,
            factors.map(|factors| factors.values.as_slice()),
            config.context,
        );
        Ok(Self {
            config,
            weights,
            lora_scale: 0.0,
            rotary: Arc::new(rotary),
            rope_factors,
            fused: *device == Device::flex(),
        })
    }

    /// The same weights on the autodiff device, those that are trained ready for a gradient.
    pub(crate) fn tracked(&self) -> Self {
        let mut tracked = self.clone();
        for weight in tracked.weights.values_mut() {
            let value = Tensor::from_inner(weight.value.clone());
            weight.value = if weight.trained {
                value.require_grad()
            } else {
                value
            };
        }
        tracked
    }

    /// Log-probability of each target, `(targets, 1)`.
    pub(crate) fn logps(&self, rows: &Rows) -> Tensor<2> {
        self.logps_of(self.hidden(rows), rows)
    }

    /// As [`Network::logps`], from hidden states already computed.
    pub(crate) fn logps_of(&self, hidden: Tensor<2>, rows: &Rows) -> Tensor<2> {
        let targets = Arc::clone(&rows.targets);
        match self.fused {
            true => fused::apply(Logps { targets }, [hidden, self.output()]),
            false => plain::logps(&targets, hidden, self.output()),
        } // (targets, 1)
    }

    /// Log-probability of every token of every solution, without recording gradients: for each
    /// unit, for each solution.
    pub fn token_logps(&self, units: &[&Unit]) -> Vec<Vec<Vec<f32>>> {
        let mut rest = values(self.logps(&pack(units, false))).into_iter();
        let mut of = |solution: &Solution| rest.by_ref().take(solution.tokens.len()).collect();
        let each = units.iter();
        each.map(|unit| unit.solutions.iter().map(&mut of).collect())
            .collect()
    }

    /// The logits after each token of one text: `(tokens, vocabulary)`, row by row.
    pub fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        let unit = Unit {
            prompt: tokens.to_vec(),
            ..Unit::default()
        };
        let hidden = self.hidden(&pack(&[&unit], false)); // (tokens, width)
        values(hidden.matmul(self.output().transpose()))
    }

    /// The last hidden states, normalised: `(tokens, width)`.
    pub(crate) fn hidden(&self, rows: &Rows) -> Tensor<2> {
        let mut x = self.embed(rows); // (tokens, width)
        for layer in 0..self.config.layers {
            x = self.block(layer, x, &rows.layout);
        }
        self.norm("output_norm", x)
    }

    /// The embeddings of the tokens, `(tokens, width)`.
    pub(crate) fn embed(&self, rows: &Rows) -> Tensor<2> {
        let table = &self.weights["token_embd.weight"].value; // (vocabulary, width)
        let tokens: Vec<i32> = rows.tokens.iter().map(|&token| token as i32).collect();
        let count = tokens.len();
        let tokens: Tensor<1, Int> =
            Tensor::from_data(TensorData::new(tokens, [count]), &table.device());
        table.clone().select(0, tokens)
    }

    /// One block: attention, then the feed-forward layer, each added to its input `(tokens, width)`.
    pub(crate) fn block(&self, layer: usize, x: Tensor<2>, layout: &Arc<Layout>) -> Tensor<2> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let h = self.norm(&name("attn_norm"), x.clone());
        let q = self.linear(&name("attn_q"), h.clone()); // (tokens, heads * size)
        let k = self.linear(&name("attn_k"), h.clone()); // (tokens, kv_heads * size)
        let v = self.linear(&name("attn_v"), h); // (tokens, kv_heads * size)
        let attention = Attention {
            heads: self.config.heads,
            kv_heads: self.config.kv_heads,
            rotary: Arc::clone(&self.rotary),
            layout: Arc::clone(layout),
        };
        let y = match self.fused {
            true => fused::apply(attention, [q, k, v]),
            false => plain::attention(&attention, q, k, v),
        }; // (tokens, heads * size)
        let x = x + self.linear(&name("attn_output"), y);
        let h = self.norm(&name("ffn_norm"), x.clone());
        let gate = self.linear(&name("ffn_gate"), h.clone()); // (tokens, ffn)
        let up = self.linear(&name("ffn_up"), h); // (tokens, ffn)
        let y = match self.fused {
            true => fused::swiglu(gate, up),
            false => plain::swiglu(gate, up),
        };
        x + self.linear(&name("ffn_down"), y)
    }

    pub(crate) fn norm(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        let weight = self.weights[&format!("{name}.weight")].value.clone(); // (1, width)
        let epsilon = self.config.norm_epsilon;
        match self.fused {
            true => fused::rms_norm(x, weight, epsilon),
            false => plain::rms_norm(x, weight, epsilon),
        }
    }

    /// `x W + b`, and with LoRA (arXiv 2106.09685) `+ scale x A B`.
    fn linear(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        let weight = |suffix: &str| {
            let weight = self.weights.get(&format!("{name}.{suffix}"))?;
            Some(weight.value.clone())
        };
        let w = weight("weight").expect("`new` checked that it is there"); // (in, out)
        let mut y = x.clone().matmul(w); // (tokens, out)
        if let Some(bias) = weight("bias") {
            y = y + bias; // (1, out)
        }
        if let (Some(a), Some(b)) = (weight("weight.lora_a"), weight("weight.lora_b")) {
            // (tokens, in) (in, rank) (rank, out)
            y = y + x.matmul(a).matmul(b) * self.lora_scale;
        }
        y
    }

    /// The output matrix `(vocabulary, width)`: its own or the embedding's.
    fn output(&self) -> Tensor<2> {
        let own = self.weights.get("output.weight");
        let weight = own.unwrap_or(&self.weights["token_embd.weight"]);
        weight.value.clone()
    }

    /// Tokens in the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.weights["token_embd.weight"].value.dims()[0]
    }
}

/// A metadata value as a message shows it.
fn shown(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    let whole = || value.as_usize().map(|n| n.to_string());
    let real = || value.as_f32().map(|x| x.to_string());
    text.or_else(whole)
        .or_else(real)
        .unwrap_or_else(|| format!("{value:?}"))
}

/// Every tensor a network may have, with its shape in the file; 0 stands for any number.
fn expected(config: &Config) -> BTreeMap<String, Vec<usize>> {
    let width = config.width;
    let kv_width = width / config.heads * config.kv_heads;
    let mut expected = BTreeMap::from([
        ("token_embd.weight".to_owned(), vec![0, width]),
        ("output_norm.weight".to_owned(), vec![width]),
        ("output.weight".to_owned(), vec![0, width]),
    ]);
    if config.architecture == "llama" {
        expected.insert(ROPE_FACTORS.to_owned(), vec![width / config.heads / 2]);
    }
    for layer in 0..config.layers {
        let parts = [
            ("attn_norm.weight", vec![width]),
            ("attn_q.weight", vec![width, width]),
            ("attn_k.weight", vec![kv_width, width]),
            ("attn_v.weight", vec![kv_width, width]),
            ("attn_output.weight", vec![width, width]),
            ("attn_q.bias", vec![width]),
            ("attn_k.bias", vec![kv_width]),
            ("attn_v.bias", vec![kv_width]),
            ("attn_output.bias", vec![width]),
            ("ffn_norm.weight", vec![width]),
            ("ffn_gate.weight", vec![0, width]),
            ("ffn_up.weight", vec![0, width]),
            ("ffn_down.weight", vec![width, 0]),
        ];
        let named = |(part, shape)| (format!("blk.{layer}.{part}"), shape);
        expected.extend(parts.map(named));
    }
    expected
}

/// Whether a weight is held as the transpose of what the file holds.
fn is_transposed(name: &str, dims: usize) -> bool {
    dims == 2 && name != "token_embd.weight" && name != "output.weight"
}

fn load(tensor: &gguf::Tensor, device: &Device) -> Tensor<2> {
    let [rows, columns] = match *tensor.shape {
        [rows, columns] => [rows, columns],
        _ => [1, tensor.values.len()],
    };
    if !is_transposed(&tensor.name, tensor.shape.len()) {
        return Tensor::from_data(
            TensorData::new(tensor.values.clone(), [rows, columns]),
            device,
        );
    }
    let values = transposed(&tensor.values, columns);
    Tensor::from_data(TensorData::new(values, [columns, rows]), device)
}

/// A weight as the file holds it.
pub(crate) fn unload(name: &str, value: &Tensor<2>) -> gguf::Tensor {
    let [rows, columns] = value.dims();
    let values = values(value.clone());
    let vector = name.ends_with("norm.weight") || name.ends_with(".bias");
    let (shape, values) = if vector {
        (vec![columns], values)
    } else if is_transposed(name, 2) {
        (vec![columns, rows], transposed(&values, columns))
    } else {
        (vec![rows, columns], values)
    };
    gguf::Tensor {
        name: name.to_owned(),
        shape,
        values,
    }
}

/// A tensor's numbers, row by row; not copied where nothing else holds them.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data();
    data.try_into_vec().expect("the trainer computes in f32")
}

/// A matrix of `columns` columns, transposed.
pub(crate) fn transposed(x: &[f32], columns: usize) -> Vec<f32> {
    let rows = x.len() / columns;
    let mut y = vec![0.0; x.len()];
    for (i, row) in x.chunks(columns).enumerate() {
        for (j, &value) in row.iter().enumerate() {
            y[j * rows + i] = value;
        }
    }
    y
}
