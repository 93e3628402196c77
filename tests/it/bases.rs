//! Models that are given to a verifier: what is trained is what llama.cpp runs, and what would not
//! be is refused; a candidate that does not fit is named.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{fs, path::Path};

use rerank::{
    model::{
        fixture::{self, Geometry},
        gguf::{Gguf, Precision, Tensor, Value},
        hugging_face,
    },
    train::{Device, network::Network},
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;
use tempfile::tempdir;

use crate::{
    cli::{rerank, stdout, text},
    gguf::{Answers, load},
    llama::write_tiny,
    train::tiny,
};

/// Parts of GGUF's names, and what Hugging Face calls them.
const NAMES: [(&str, &str); 13] = [
    ("blk.", "model.layers."),
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output.", "lm_head."),
];

/// Random weights in Hugging Face's order of rows, which is that of qwen2's GGUF files; of these
/// kinds only qwen2 has biases.
fn published(kind: &str) -> (Geometry, Gguf) {
    let geometry = Geometry {
        architecture: "qwen2".to_owned(),
        layers: 2,
        width: 96,
        heads: 6,
        kv_heads: 2,
        ffn: 160,
        tied: false,
        ..Geometry::bench_6m(260)
    };
    let mut gguf = fixture::random_llama(&geometry, 7, fixture::bytes_tokenizer());
    if kind != "qwen2" {
        let tensors = &mut gguf.tensors;
        tensors.retain(|tensor| !tensor.name.ends_with(".bias"));
    }
    (geometry, gguf)
}

/// Writes them as a Hugging Face folder without a tokenizer.
fn write_folder(folder: &Path, kind: &str, geometry: &Geometry, gguf: &Gguf) {
    let config = json!({
        "model_type": kind, "vocab_size": geometry.vocabulary, "hidden_size": geometry.width,
        "num_hidden_layers": geometry.layers, "num_attention_heads": geometry.heads,
        "num_key_value_heads": geometry.kv_heads, "intermediate_size": geometry.ffn,
        "max_position_embeddings": geometry.context, "rms_norm_eps": geometry.norm_epsilon,
        "rope_theta": geometry.rope_base, "tie_word_embeddings": geometry.tied,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut parts: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for tensor in &gguf.tensors {
        let mut name = tensor.name.clone();
        for (ours, theirs) in NAMES {
            name = name.replace(ours, theirs);
        }
        let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes());
        parts.push((name, tensor.shape.clone(), bytes.collect()));
    }
    let views = parts.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    fs::write(folder.join("model.safetensors"), bytes).unwrap();
}

fn network(gguf: &Gguf) -> Network {
    Network::new(gguf.clone(), "base.gguf", &Device::flex()).unwrap()
}

/// The largest difference between logits of the network and llama.cpp's of a file.
fn difference(network: &Network, gguf: &Gguf) -> f32 {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    gguf.write(&path, Precision::F32).unwrap();
    let tokens: Vec<i32> = (1..100).collect();
    let theirs = Answers::new(&mut load(&path), &tokens, None)
        .logits
        .concat();
    let tokens: Vec<u32> = (1..100).collect();
    let ours = network.logits(&tokens);
    assert_eq!(ours.len(), theirs.len());
    let spread = theirs.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    assert!(spread > 1.0, "logits of {spread} at most prove nothing");
    (ours.iter().zip(&theirs)).fold(0.0, |max, (a, b)| max.max((a - b).abs()))
}

#[test]
fn each_kind_of_hugging_face_folder_is_the_same_network_in_llama_cpp() {
    for (kind, architecture) in [("llama", "llama"), ("mistral", "llama"), ("qwen2", "qwen2")] {
        let folder = tempdir().unwrap();
        let (geometry, halves) = published(kind);
        write_folder(folder.path(), kind, &geometry, &halves);
        let mut read = hugging_face::read(folder.path()).unwrap();
        read.metadata.extend(fixture::bytes_tokenizer());
        let named = read.get("general.architecture").and_then(Value::as_str);
        assert_eq!(named, Some(architecture));
        // As it was read, and with the published rows, of which llama.cpp turns the halves.
        for gguf in [&read, &halves] {
            let difference = difference(&network(&read), gguf);
            assert!(difference < 1e-3, "{kind}: {difference}");
        }
    }
}

#[test]
fn a_base_that_llama_cpp_computes_otherwise_is_refused() {
    let head = "only 16, the size of a head,";
    let heads = "only a divisor of the 96 numbers of embedding_length";
    let kv_heads = "only a divisor of the 6 heads of attention.head_count";
    let even = "only an even number for each of the 6 heads";
    let yarn = Value::String("yarn".to_owned());
    for (key, value, shown, only) in [
        ("rope.scaling.type", yarn, "yarn", "only none"),
        ("rope.scaling.factor", Value::F32(2.5), "2.5", "only 1"),
        ("rope.scale_linear", Value::F32(4.0), "4", "only 1"),
        ("rope.scaling.attn_factor", Value::F32(0.5), "0.5", "only 1"),
        ("rope.dimension_count", Value::U32(0), "0", head),
        ("rope.dimension_count", Value::U32(15), "15", head),
        ("rope.dimension_count", Value::U32(1000), "1000", head),
        ("attention.key_length", Value::U32(8), "8", head),
        ("attention.value_length", Value::U32(32), "32", head),
        ("block_count", Value::U32(0), "0", "only 1 or more"),
        ("attention.head_count", Value::U32(0), "0", heads),
        ("attention.head_count", Value::U32(7), "7", heads),
        ("attention.head_count_kv", Value::U32(0), "0", kv_heads),
        ("attention.head_count_kv", Value::U32(4), "4", kv_heads),
        ("embedding_length", Value::U32(90), "90", even),
    ] {
        let mut gguf = tiny("llama", 1);
        let key = format!("llama.{key}");
        gguf.metadata.retain(|(name, _)| *name != key);
        gguf.metadata.push((key.clone(), value));
        let error = Network::new(gguf, "base.gguf", &Device::flex()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("model base.gguf: metadata {key} is {shown}, and {only} can be trained")
        );
    }
    // The same keys where they change nothing.
    let mut gguf = tiny("llama", 1);
    let harmless = [
        ("rope.scaling.type", Value::String("none".to_owned())),
        ("rope.scale_linear", Value::F32(1.0)),
        ("attention.key_length", Value::U32(16)),
    ];
    let harmless = harmless.map(|(key, value)| (format!("llama.{key}"), value));
    gguf.metadata.extend(harmless);
    assert!(difference(&network(&gguf), &gguf) < 1e-3);
}

#[test]
fn rotary_factors_are_applied_and_stay_in_a_whole_model() {
    let factors = |count: u8| Tensor {
        name: "rope_freqs.weight".to_owned(),
        shape: vec![count.into()],
        values: (0..count).map(|pair| 1.0 + f32::from(pair)).collect(),
    };
    let with = |architecture: &str, factors: Tensor| {
        let mut gguf = tiny(architecture, 5);
        gguf.tensors.push(factors);
        gguf
    };
    let scaled = with("llama", factors(8));
    let network = network(&scaled);
    let whole = network.whole(scaled.metadata.clone(), Precision::F32, &[]);
    assert!(difference(&network, &scaled) < 1e-3);
    assert!(difference(&network, &whole) < 1e-3);
    assert!(difference(&network, &tiny("llama", 5)) > 1e-2);
    for (gguf, says) in [
        (with("llama", factors(7)), "has shape [7]"),
        (with("qwen2", factors(8)), "has no place in the network"),
    ] {
        let error = Network::new(gguf, "base.gguf", &Device::flex()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("model base.gguf: tensor rope_freqs.weight {says}")
        );
    }
}

#[test]
fn heads_that_do_not_fill_a_hugging_face_folder_are_named() {
    let (geometry, gguf) = published("mistral");
    let refuses = |heads: usize, kv_heads: usize, gguf: &Gguf, says: &str| {
        let folder = tempdir().unwrap();
        let geometry = Geometry {
            heads,
            kv_heads,
            ..geometry.clone()
        };
        write_folder(folder.path(), "mistral", &geometry, gguf);
        let message = hugging_face::read(folder.path()).unwrap_err().to_string();
        assert!(message.ends_with(says), "{message}");
    };
    refuses(0, 1, &gguf, "0 heads of 96 do not make 96");
    for kv_heads in [0, 4] {
        let says = format!("num_key_value_heads is {kv_heads}, no divisor of 6 heads");
        refuses(6, kv_heads, &gguf, &says);
    }
    let says = "32 heads of 3: only heads of an even size are supported";
    refuses(32, 32, &gguf, says);
    for (name, rows, says) in [
        ("attn_q", 2, "q_proj.weight has shape [2, 96], not 6 heads"),
        ("attn_k", 1, "k_proj.weight has shape [1, 96], not 2 heads"),
    ] {
        let mut few = gguf.clone();
        let name = format!("blk.0.{name}.weight");
        let tensor = few.tensors.iter_mut().find(|tensor| tensor.name == name);
        let tensor = tensor.unwrap();
        tensor.shape[0] = rows;
        tensor.values.truncate(rows * 96);
        refuses(6, 2, &few, &format!("{says} of 16 over 96"));
    }
}

#[test]
fn a_candidate_that_is_too_long_has_no_score_and_a_reason() {
    let folder = tempdir().unwrap();
    let verifier = write_tiny(folder.path(), &[]);
    let rows = folder.path().join("rows.jsonl");
    let row = |candidates: &[&str]| {
        let row = json!({"question": "2 + 2?", "candidates": candidates});
        format!("{row}\n")
    };
    let long = "4".repeat(600);
    fs::write(&rows, row(&["4", &long]) + &row(&["4"])).unwrap();
    let score = ["score", text(&rows), "--verifier", text(&verifier)];
    let printed = stdout(&rerank(&score));
    let scored: Vec<serde_json::Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let scores = &scored[0]["scores"];
    assert!(scores[0].is_f64() && scores[1].is_null(), "{printed}");
    assert_eq!(
        scored[0]["score_reasons"],
        json!([
            null,
            "with its question it is too long for the model's context"
        ])
    );
    assert!(scored[1].get("score_reasons").is_none(), "{printed}");
}
