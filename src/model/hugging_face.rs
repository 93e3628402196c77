//! A Hugging Face checkpoint folder as GGUF: `config.json`, `*.safetensors` and `tokenizer.json`.
//!
//! llama, mistral and qwen2 networks; tokenizers are byte-level BPE. What comes out is what
//! llama.cpp's `convert_hf_to_gguf.py` writes: for llama, the rows of queries and keys are put in
//! the order in which neighbours are rotated.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;

use crate::{
    Error, Result,
    model::gguf::{self, Gguf, Tensor, Value},
};

mod tokenizer;

pub use tokenizer::Tokenizer;
use tokenizer::{begin_token, named};

/// `model_type`s that can be read.
const KINDS: [&str; 3] = ["llama", "mistral", "qwen2"];

/// Reads a folder.
///
/// # Errors
/// [`Error::Model`] where a file is missing and for another kind of network, a rotary scaling or a
/// tokenizer that is not supported; [`Error::Read`] where a file cannot be read.
pub fn read(folder: &Path) -> Result<Gguf> {
    let path = require(folder, "config.json")?;
    let config = json(&path)?;
    let kind = config["model_type"].as_str().unwrap_or("(none)");
    if !KINDS.contains(&kind) {
        let known = KINDS.join(", ");
        return Err(error(
            &path,
            format!("model type {kind} is not supported, only {known}"),
        ));
    }
    let number = |key: &str| {
        let value = config[key].as_u64().map(|n| n as usize);
        value.ok_or_else(|| error(&path, format!("{key} is missing")))
    };
    let heads = number("num_attention_heads")?;
    let kv_heads = number("num_key_value_heads").unwrap_or(heads);
    let mut gguf = Gguf {
        metadata: metadata(&config, &path, heads, kv_heads)?,
        tensors: Vec::new(),
    };
    let width = number("hidden_size")?;
    let tied = config["tie_word_embeddings"] == true;
    for file in weight_files(folder)? {
        let bytes = fs::read(&file).map_err(Error::read(&file))?;
        let tensors = SafeTensors::deserialize(&bytes);
        let tensors = tensors.map_err(|reason| error(&file, reason.to_string()))?;
        for (name, view) in tensors.iter() {
            let Some(ours) = gguf_name(name).filter(|ours| !(tied && ours == "output.weight"))
            else {
                continue;
            };
            let mut tensor = Tensor {
                shape: view.shape().to_vec(),
                values: floats(view.dtype(), view.data())
                    .ok_or_else(|| error(&file, format!("{name} has type {:?}", view.dtype())))?,
                name: ours,
            };
            let parts = [("attn_q.", heads), ("attn_k.", kv_heads)];
            let part = parts.iter().find(|(part, _)| tensor.name.contains(part));
            if let Some((_, count)) = part.filter(|_| kind != "qwen2") {
                let (shape, size) = (&tensor.shape, width / heads);
                let rows = count * size;
                if *shape != [rows] && *shape != [rows, width] {
                    let reason = format!(
                        "{name} has shape {shape:?}, not {count} heads of {size} over {width}"
                    );
                    return Err(error(&file, reason));
                }
                neighbours(&mut tensor, *count);
            }
            gguf.tensors.push(tensor);
        }
    }
    // Their order in the file's index changes from process to process.
    gguf.tensors.sort_by(|one, other| one.name.cmp(&other.name));
    if folder.join("tokenizer.json").exists() {
        gguf.metadata
            .extend(tokenizer(folder, number("vocab_size")?)?);
    }
    Ok(gguf)
}

/// Where a folder has a file.
///
/// # Errors
/// [`Error::Model`] where it has not.
pub fn require(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    match path.exists() {
        true => Ok(path),
        false => Err(error(
            folder,
            format!(
                "there is no {name} in it; a Hugging Face folder holds config.json, tokenizer.json and model.safetensors"
            ),
        )),
    }
}

fn metadata(
    config: &Json,
    path: &Path,
    heads: usize,
    kv_heads: usize,
) -> Result<Vec<(String, Value)>> {
    let kind = config["model_type"].as_str().unwrap_or_default();
    let architecture = if kind == "qwen2" { "qwen2" } else { "llama" };
    // Since version 5, transformers writes the rotary settings into an object.
    let rotary = &config["rope_parameters"];
    let scaling = [&config["rope_scaling"], rotary]
        .into_iter()
        .find_map(|rotary| {
            let kind = ["rope_type", "type"]
                .iter()
                .find_map(|key| rotary[key].as_str());
            kind.filter(|kind| *kind != "default")
        });
    if let Some(scaling) = scaling {
        return Err(error(
            path,
            format!("rotary scaling {scaling} is not supported"),
        ));
    }
    let base = config["rope_theta"]
        .as_f64()
        .or(rotary["rope_theta"].as_f64());
    let number = |key: &str| {
        let value = config[key].as_u64().map(|n| Value::U32(n as u32));
        value.ok_or_else(|| error(path, format!("{key} is missing")))
    };
    let width = config["hidden_size"].as_u64().unwrap_or(0) as usize;
    let size = config["head_dim"]
        .as_u64()
        .map_or(width / heads.max(1), |n| n as usize);
    if size.checked_mul(heads) != Some(width) {
        return Err(error(
            path,
            format!("{heads} heads of {size} do not make {width}"),
        ));
    }
    let epsilon = config["rms_norm_eps"].as_f64().unwrap_or(1e-6) as f32;
    let keys = [
        ("vocab_size", number("vocab_size")?),
        ("context_length", number("max_position_embeddings")?),
        ("embedding_length", number("hidden_size")?),
        ("block_count", number("num_hidden_layers")?),
        ("feed_forward_length", number("intermediate_size")?),
        ("attention.head_count", Value::U32(heads as u32)),
        ("attention.head_count_kv", Value::U32(kv_heads as u32)),
        ("attention.layer_norm_rms_epsilon", Value::F32(epsilon)),
        ("rope.dimension_count", Value::U32(size as u32)),
        (
            "rope.freq_base",
            Value::F32(base.unwrap_or(10_000.0) as f32),
        ),
    ];
    if width == 0 || !size.is_multiple_of(2) {
        let reason = format!("{heads} heads of {size}: only heads of an even size are supported");
        return Err(error(path, reason));
    }
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        let reason = format!("num_key_value_heads is {kv_heads}, no divisor of {heads} heads");
        return Err(error(path, reason));
    }
    let mut metadata = vec![(
        "general.architecture".to_owned(),
        Value::String(architecture.to_owned()),
    )];
    metadata.extend(keys.map(|(key, value)| (format!("{architecture}.{key}"), value)));
    Ok(metadata)
}

/// `model.safetensors`, or the parts that its index names.
fn weight_files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        return Ok(BTreeSet::from([require(folder, "model.safetensors")?]));
    }
    let parts = json(&index)?;
    let map = parts["weight_map"].as_object();
    let map = map.ok_or_else(|| error(&index, "weight_map is missing".to_owned()))?;
    let names = map.values().filter_map(Json::as_str);
    Ok(names.map(|name| folder.join(name)).collect())
}

/// `model.layers.3.self_attn.q_proj.weight` is `blk.3.attn_q.weight`; buffers have no name.
fn gguf_name(name: &str) -> Option<String> {
    let name = name.strip_prefix("model.").unwrap_or(name);
    let (name, ending) = name.rsplit_once('.')?;
    let part = match name {
        "embed_tokens" => "token_embd",
        "norm" => "output_norm",
        "lm_head" => "output",
        _ => {
            let (layer, part) = name.strip_prefix("layers.")?.split_once('.')?;
            let part = match part {
                "input_layernorm" => "attn_norm",
                "post_attention_layernorm" => "ffn_norm",
                "self_attn.q_proj" => "attn_q",
                "self_attn.k_proj" => "attn_k",
                "self_attn.v_proj" => "attn_v",
                "self_attn.o_proj" => "attn_output",
                "mlp.gate_proj" => "ffn_gate",
                "mlp.up_proj" => "ffn_up",
                "mlp.down_proj" => "ffn_down",
                _ => return None,
            };
            return Some(format!("blk.{layer}.{part}.{ending}"));
        }
    };
    Some(format!("{part}.{ending}"))
}

fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => {
            let words = bytes.as_chunks::<4>().0.iter();
            words.map(|word| f32::from_le_bytes(*word)).collect()
        }
        // The upper half of an f32.
        Dtype::BF16 => {
            let halves = bytes.as_chunks::<2>().0.iter();
            let bits = halves.map(|half| u32::from(u16::from_le_bytes(*half)) << 16);
            bits.map(f32::from_bits).collect()
        }
        Dtype::F16 => gguf::from_f16(bytes),
        _ => return None,
    })
}

/// Hugging Face rotates the two halves of a head, GGUF's llama neighbouring numbers: row `i` of the
/// first half goes to `2 i`, of the second half to `2 i + 1`.
fn neighbours(tensor: &mut Tensor, heads: usize) {
    let columns = tensor.shape.get(1).copied().unwrap_or(1);
    let size = tensor.shape[0] / heads;
    let mut values = Vec::with_capacity(tensor.values.len());
    for head in tensor.values.chunks(size * columns) {
        let (first, second) = head.split_at(size / 2 * columns);
        for (a, b) in first.chunks(columns).zip(second.chunks(columns)) {
            values.extend_from_slice(a);
            values.extend_from_slice(b);
        }
    }
    tensor.values = values;
}

/// A byte-level BPE tokenizer.
pub(crate) fn tokenizer(folder: &Path, vocabulary: usize) -> Result<Vec<(String, Value)>> {
    let path = folder.join("tokenizer.json");
    let file = json(&path)?;
    let model = &file["model"];
    if model["type"] != "BPE" || model["byte_fallback"] == true {
        return Err(error(
            &path,
            "only byte-level BPE tokenizers are supported".to_owned(),
        ));
    }
    let pre = pre_tokenizer(&file["pre_tokenizer"]).ok_or_else(|| {
        let reason = "its way of splitting words is not one of qwen2, smollm, llama 3 and gpt-2";
        error(&path, reason.to_owned())
    })?;
    let words = model["vocab"].as_object();
    let words = words.ok_or_else(|| error(&path, "model.vocab is missing".to_owned()))?;
    let added = file["added_tokens"].as_array().cloned().unwrap_or_default();
    let mut tokens: Vec<String> = (0..vocabulary).map(|id| format!("[PAD{id}]")).collect();
    let mut kinds = vec![UNUSED; vocabulary];
    let added = added.iter().filter_map(|token| {
        let kind = if token["special"] == true {
            CONTROL
        } else {
            USER
        };
        Some((token["content"].as_str()?, token["id"].as_u64()?, kind))
    });
    let words = words
        .iter()
        .filter_map(|(word, id)| Some((word.as_str(), id.as_u64()?, NORMAL)));
    for (word, id, kind) in words.chain(added) {
        let place = tokens.get_mut(id as usize).zip(kinds.get_mut(id as usize));
        let (token, old) = place.ok_or_else(|| {
            error(
                &path,
                format!("token {id} is beyond the network's {vocabulary}"),
            )
        })?;
        (*token, *old) = (word.to_owned(), kind);
    }
    // Older files join the two sides of a merge with a space, newer ones list them.
    let merges = model["merges"].as_array().cloned().unwrap_or_default();
    let merges = merges.iter().filter_map(|merge| match merge {
        Json::String(merge) => Some(merge.clone()),
        Json::Array(sides) => Some(format!(
            "{} {}",
            sides.first()?.as_str()?,
            sides.get(1)?.as_str()?
        )),
        _ => None,
    });
    let mut metadata = vec![
        (
            "tokenizer.ggml.model".to_owned(),
            Value::String("gpt2".to_owned()),
        ),
        (
            "tokenizer.ggml.pre".to_owned(),
            Value::String(pre.to_owned()),
        ),
        (
            "tokenizer.ggml.merges".to_owned(),
            Value::Strings(merges.collect()),
        ),
    ];
    let settings = json(&folder.join("tokenizer_config.json")).unwrap_or_default();
    for (key, name) in [
        ("bos", "bos_token"),
        ("eos", "eos_token"),
        ("padding", "pad_token"),
    ] {
        let text = named(&settings, name);
        if let Some(id) = text.and_then(|text| tokens.iter().position(|token| *token == text)) {
            metadata.push((
                format!("tokenizer.ggml.{key}_token_id"),
                Value::U32(id as u32),
            ));
        }
    }
    let begin = begin_token(&file, &settings).is_some();
    metadata.push((
        "tokenizer.ggml.add_bos_token".to_owned(),
        Value::Bool(begin),
    ));
    if let Some(template) = settings["chat_template"].as_str() {
        let template = Value::String(template.to_owned());
        metadata.push(("tokenizer.chat_template".to_owned(), template));
    }
    metadata.push(("tokenizer.ggml.tokens".to_owned(), Value::Strings(tokens)));
    metadata.push(("tokenizer.ggml.token_type".to_owned(), Value::I32s(kinds)));
    Ok(metadata)
}

/// Token types of llama.cpp's `tokenizer.ggml.token_type`.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER: i32 = 4;
const UNUSED: i32 = 5;

/// llama.cpp's name for the way a tokenizer splits words, told from how it treats digits.
fn pre_tokenizer(file: &Json) -> Option<&'static str> {
    let steps = match file["pretokenizers"].as_array() {
        Some(steps) => steps.clone(),
        None => vec![file.clone()],
    };
    let digits = steps
        .iter()
        .any(|s| s["type"] == "Digits" && s["individual_digits"] == true);
    let pattern = steps.iter().find_map(|s| s["pattern"]["Regex"].as_str());
    let own = steps
        .iter()
        .any(|s| s["type"] == "ByteLevel" && s["use_regex"] != false);
    match pattern {
        Some(pattern) if pattern.contains(r"\p{N}{1,3}") => Some("llama-bpe"),
        Some(pattern) if pattern.contains(r"|\p{N}|") => Some("qwen2"),
        None if digits && own => Some("smollm"),
        None if own => Some("gpt-2"),
        _ => None,
    }
}

fn json(path: &Path) -> Result<Json> {
    let text = fs::read_to_string(path).map_err(Error::read(path))?;
    serde_json::from_str(&text).map_err(|reason| error(path, reason.to_string()))
}

fn error(path: &Path, reason: String) -> Error {
    Error::Model {
        model: path.display().to_string(),
        reason,
    }
}
