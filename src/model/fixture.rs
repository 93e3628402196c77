//! Models with random weights, of any geometry: for tests, for benchmarks, and to train from.
//!
//! They say nothing sensible, but they load, run and train at the speed of a trained model of the
//! same shape, and every number is a function of the seed.

use std::{collections::HashMap, fs, path::Path};

use crate::{
    Error, Result,
    model::{
        gguf::{Gguf, Tensor, Value},
        random::SplitMix,
    },
};

/// The shape of a llama-like network.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// `llama` (pairs of neighbours are rotated, no biases) or `qwen2` (halves are rotated, biases
    /// on queries, keys and values).
    pub architecture: String,
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Numbers in the residual stream.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Numbers in the feed-forward layer.
    pub ffn: usize,
    /// Tokens the model is made for.
    pub context: usize,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Added to the mean square in each norm.
    pub norm_epsilon: f32,
    /// Whether the output matrix is the embedding's.
    pub tied: bool,
}

impl Geometry {
    /// SmolLM2-135M, as its `config.json` says.
    pub fn smollm2_135m() -> Self {
        Self {
            architecture: "llama".to_owned(),
            vocabulary: 49_152,
            width: 576,
            layers: 30,
            heads: 9,
            kv_heads: 3,
            ffn: 1536,
            context: 8192,
            rope_base: 100_000.0,
            norm_epsilon: 1e-5,
            tied: true,
        }
    }

    /// Qwen2.5-0.5B.
    pub fn qwen25_half_b() -> Self {
        Self {
            architecture: "qwen2".to_owned(),
            vocabulary: 151_936,
            width: 896,
            layers: 24,
            heads: 14,
            kv_heads: 2,
            ffn: 4864,
            context: 32_768,
            rope_base: 1_000_000.0,
            norm_epsilon: 1e-6,
            tied: true,
        }
    }

    /// The shape that the training benchmark uses: 6 M parameters.
    pub fn bench_6m(vocabulary: usize) -> Self {
        Self {
            architecture: "llama".to_owned(),
            vocabulary,
            width: 256,
            layers: 6,
            heads: 8,
            kv_heads: 8,
            ffn: 704,
            context: 512,
            rope_base: 10_000.0,
            norm_epsilon: 1e-5,
            tied: true,
        }
    }
}

/// A network with random weights: norms near 1, all else normal with a standard deviation that
/// keeps the logits of order 1.
///
/// `tokenizer` is the metadata of [`bytes_tokenizer`] or [`bpe_tokenizer`]; a vocabulary smaller
/// than the geometry's is padded with unused tokens.
pub fn random_llama(geometry: &Geometry, seed: u64, tokenizer: Vec<(String, Value)>) -> Gguf {
    let g = geometry;
    let mut random = SplitMix::new(seed);
    let head = g.width / g.heads;
    let kv_width = head * g.kv_heads;
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize], mean: f32, deviation: f32| {
        let count = shape.iter().product();
        let values = (0..count).map(|_| mean + deviation * random.normal());
        tensors.push(Tensor {
            name,
            shape: shape.to_vec(),
            values: values.collect(),
        });
    };
    let by_width = 1.0 / (g.width as f32).sqrt();
    let by_ffn = 1.0 / (g.ffn as f32).sqrt();
    add(
        "token_embd.weight".to_owned(),
        &[g.vocabulary, g.width],
        0.0,
        by_width,
    );
    for layer in 0..g.layers {
        let name = |kind: &str| format!("blk.{layer}.{kind}");
        add(name("attn_norm.weight"), &[g.width], 1.0, 0.1);
        add(name("attn_q.weight"), &[g.width, g.width], 0.0, by_width);
        add(name("attn_k.weight"), &[kv_width, g.width], 0.0, by_width);
        add(name("attn_v.weight"), &[kv_width, g.width], 0.0, by_width);
        add(
            name("attn_output.weight"),
            &[g.width, g.width],
            0.0,
            by_width,
        );
        if g.architecture == "qwen2" {
            add(name("attn_q.bias"), &[g.width], 0.0, 0.5);
            add(name("attn_k.bias"), &[kv_width], 0.0, 0.5);
            add(name("attn_v.bias"), &[kv_width], 0.0, 0.5);
        }
        add(name("ffn_norm.weight"), &[g.width], 1.0, 0.1);
        add(name("ffn_gate.weight"), &[g.ffn, g.width], 0.0, by_width);
        add(name("ffn_up.weight"), &[g.ffn, g.width], 0.0, by_width);
        add(name("ffn_down.weight"), &[g.width, g.ffn], 0.0, by_ffn);
    }
    add("output_norm.weight".to_owned(), &[g.width], 1.0, 0.1);
    if !g.tied {
        add(
            "output.weight".to_owned(),
            &[g.vocabulary, g.width],
            0.0,
            by_width,
        );
    }

    let number = |n: usize| Value::U32(n as u32);
    let keys = [
        ("vocab_size", number(g.vocabulary)),
        ("context_length", number(g.context)),
        ("embedding_length", number(g.width)),
        ("block_count", number(g.layers)),
        ("feed_forward_length", number(g.ffn)),
        ("attention.head_count", number(g.heads)),
        ("attention.head_count_kv", number(g.kv_heads)),
        ("rope.dimension_count", number(head)),
        ("rope.freq_base", Value::F32(g.rope_base)),
        (
            "attention.layer_norm_rms_epsilon",
            Value::F32(g.norm_epsilon),
        ),
    ];
    let mut metadata = vec![
        (
            "general.architecture".to_owned(),
            Value::String(g.architecture.clone()),
        ),
        (
            "general.name".to_owned(),
            Value::String(format!("random weights, seed {seed}")),
        ),
    ];
    metadata.extend(keys.map(|(key, value)| (format!("{}.{key}", g.architecture), value)));
    metadata.extend(tokenizer);
    pad(&mut metadata, g.vocabulary);
    Gguf { metadata, tensors }
}

/// A vocabulary of `<unk>`, `<s>`, `</s>`, the 256 bytes and the space: 260 tokens, one for each
/// byte of a text.
pub fn bytes_tokenizer() -> Vec<(String, Value)> {
    let control = ["<unk>", "<s>", "</s>"].map(str::to_owned);
    let bytes = (0..=255_u8).map(|byte| format!("<0x{byte:02X}>"));
    // SentencePiece writes a space as U+2581, which would otherwise be three bytes.
    let space = std::iter::once("\u{2581}".to_owned());
    let tokens = control.into_iter().chain(bytes).chain(space).collect();
    let kinds = [2, 3, 3].into_iter().chain([6; 256]).chain([1]).collect();
    owned_keys([
        ("tokenizer.ggml.model", Value::String("llama".to_owned())),
        ("tokenizer.ggml.tokens", Value::Strings(tokens)),
        ("tokenizer.ggml.scores", Value::F32s(vec![0.0; 260])),
        ("tokenizer.ggml.token_type", Value::I32s(kinds)),
        ("tokenizer.ggml.unknown_token_id", Value::U32(0)),
        ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
        ("tokenizer.ggml.add_space_prefix", Value::Bool(false)),
    ])
}

/// A byte-level BPE vocabulary from a folder in the form in which Qwen2.5 publishes it:
/// `vocab.json`, `merges.txt`, `added_tokens.json` and `tokenizer_config.json`.
///
/// # Errors
/// [`Error::Read`] where a file is missing, [`Error::Model`] where it is not of that form.
pub fn bpe_tokenizer(folder: &Path) -> Result<Vec<(String, Value)>> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(Error::read(&path))
    };
    let broken = |name: &str, reason: String| Error::Model {
        model: folder.join(name).display().to_string(),
        reason,
    };
    let ids = |name: &str| -> Result<HashMap<String, usize>> {
        serde_json::from_str(&read(name)?).map_err(|error| broken(name, error.to_string()))
    };
    let config: serde_json::Value = serde_json::from_str(&read("tokenizer_config.json")?)
        .map_err(|error| broken("tokenizer_config.json", error.to_string()))?;

    let vocabulary = ids("vocab.json")?;
    let added = ids("added_tokens.json")?;
    let mut tokens = vec![String::new(); vocabulary.len() + added.len()];
    let mut kinds = vec![1_i32; tokens.len()];
    for (token, &id) in vocabulary.iter().chain(&added) {
        if id >= tokens.len() {
            return Err(broken(
                "vocab.json",
                format!("token ids have a gap before {id}"),
            ));
        }
        tokens[id].clone_from(token);
    }
    let special = |id: usize| config["added_tokens_decoder"][id.to_string()]["special"] == true;
    for &id in added.values() {
        // Control tokens are never text; the others are found in a text as they are written.
        kinds[id] = if special(id) { 3 } else { 4 };
    }
    let merges = read("merges.txt")?
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.is_empty())
        .map(str::to_owned)
        .collect();
    let id = |key: &str| {
        let token = config[key].as_str().unwrap_or_default();
        tokens.iter().position(|t| t == token)
    };
    let mut metadata = owned_keys([
        ("tokenizer.ggml.model", Value::String("gpt2".to_owned())),
        ("tokenizer.ggml.pre", Value::String("qwen2".to_owned())),
        ("tokenizer.ggml.merges", Value::Strings(merges)),
        ("tokenizer.ggml.token_type", Value::I32s(kinds)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
    ]);
    for (key, name) in [
        ("tokenizer.ggml.eos_token_id", "eos_token"),
        ("tokenizer.ggml.padding_token_id", "pad_token"),
    ] {
        if let Some(id) = id(name) {
            metadata.push((key.to_owned(), Value::U32(id as u32)));
        }
    }
    if let Some(template) = config["chat_template"].as_str() {
        let template = Value::String(template.to_owned());
        metadata.push(("tokenizer.chat_template".to_owned(), template));
    }
    metadata.push(("tokenizer.ggml.tokens".to_owned(), Value::Strings(tokens)));
    Ok(metadata)
}

/// Fills the token arrays up to the network's vocabulary, as published models do.
fn pad(metadata: &mut [(String, Value)], vocabulary: usize) {
    for (key, value) in metadata {
        match (key.as_str(), value) {
            ("tokenizer.ggml.tokens", Value::Strings(tokens)) => {
                for id in tokens.len()..vocabulary {
                    tokens.push(format!("[PAD{id}]"));
                }
            }
            // 5: unused.
            ("tokenizer.ggml.token_type", Value::I32s(kinds)) => kinds.resize(vocabulary, 5),
            ("tokenizer.ggml.scores", Value::F32s(scores)) => scores.resize(vocabulary, 0.0),
            _ => {}
        }
    }
}

fn owned_keys<const N: usize>(pairs: [(&str, Value); N]) -> Vec<(String, Value)> {
    pairs
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}
