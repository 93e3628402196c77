//! Model files: what is written is read back, and llama.cpp runs it.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use llama_cpp_2::{
    context::params::{KvCacheType, LlamaContextParams, LlamaPoolingType},
    llama_batch::LlamaBatch,
    model::{LlamaModel, params::LlamaModelParams},
    token::LlamaToken,
};
use rerank::{
    Error,
    model::{
        fixture::{self, Geometry},
        gguf::{Gguf, Precision, Tensor, Value},
        hugging_face,
        llama::backend,
        llama2c,
    },
    train::{Device, network::Network},
};
use tempfile::tempdir;

/// A file of the shared data folder, or `None` (said aloud) where the folder is absent.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    if !path.exists() {
        eprintln!("skipped: {name} is not there");
        return None;
    }
    Some(path)
}

pub fn load(path: &Path) -> LlamaModel {
    LlamaModel::load_from_file(backend(), path, &LlamaModelParams::default()).unwrap()
}

/// llama.cpp's tokens, with a begin token where the model asks for one.
pub fn tokenise(model: &LlamaModel, text: &str) -> Vec<i32> {
    let tokens = model.vocab().tokenize(text.as_bytes(), true, true);
    tokens.iter().map(|token| token.0).collect()
}

/// What llama.cpp computes for one sequence.
pub struct Answers {
    /// For each token.
    pub logits: Vec<Vec<f32>>,
    /// The last token's hidden state after the last norm.
    pub last_hidden: Vec<f32>,
}

impl Answers {
    pub fn new(model: &mut LlamaModel, tokens: &[i32], adapter: Option<&Path>) -> Self {
        let mut adapter = adapter.map(|path| model.lora_adapter_init(path).unwrap());
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(2048))
            .with_n_batch(2048)
            .with_n_ubatch(2048)
            .with_embeddings(true)
            .with_pooling_type(LlamaPoolingType::None)
            // The cache and the fused attention otherwise use 16-bit floats, which move logits by
            // 0.01.
            .with_type_k(KvCacheType::F32)
            .with_type_v(KvCacheType::F32)
            .with_flash_attention_policy(llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED);
        let mut context = model.new_context(backend(), params).unwrap();
        if let Some(adapter) = &mut adapter {
            context.lora_adapter_set(adapter, 1.0).unwrap();
        }
        let mut batch = LlamaBatch::new(2048, 1);
        for (i, &token) in tokens.iter().enumerate() {
            batch.add(LlamaToken(token), i as i32, &[0], true).unwrap();
        }
        context.decode(&mut batch).unwrap();
        let ids = 0..tokens.len() as i32;
        Self {
            logits: ids.map(|i| context.get_logits_ith(i).to_vec()).collect(),
            last_hidden: context
                .embeddings_ith(tokens.len() as i32 - 1)
                .unwrap()
                .to_vec(),
        }
    }
}

fn sample() -> Gguf {
    let metadata = [
        ("general.architecture", Value::String("llama".into())),
        ("a.u8", Value::U8(200)),
        ("a.i8", Value::I8(-3)),
        ("a.u16", Value::U16(65_000)),
        ("a.i16", Value::I16(-4)),
        ("a.u32", Value::U32(7)),
        ("a.i32", Value::I32(-5)),
        ("a.u64", Value::U64(1 << 40)),
        ("a.i64", Value::I64(-6)),
        ("a.f32", Value::F32(0.1)),
        ("a.f64", Value::F64(0.2)),
        ("a.bool", Value::Bool(true)),
        ("a.u8s", Value::U8s(vec![1, 2])),
        ("a.u32s", Value::U32s(vec![1, 2, 3])),
        ("a.i32s", Value::I32s(vec![-1, 2])),
        ("a.f32s", Value::F32s(vec![0.5])),
        ("a.bools", Value::Bools(vec![true, false])),
        ("a.strings", Value::Strings(vec!["é".into(), String::new()])),
        ("a.none", Value::Strings(Vec::new())),
    ];
    Gguf {
        metadata: metadata.map(|(k, v)| (k.to_owned(), v)).to_vec(),
        tensors: vec![
            Tensor {
                name: "matrix".into(),
                shape: vec![3, 256],
                values: (0..768).map(|i| (i as f32 * 0.37).sin()).collect(),
            },
            Tensor {
                name: "vector".into(),
                shape: vec![5],
                values: vec![0.1, -0.2, 1e-30, f32::MAX, 3.0],
            },
        ],
    }
}

#[test]
fn everything_written_is_read_back() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    sample().write(&path, Precision::F32).unwrap();
    assert_eq!(Gguf::read(&path).unwrap(), sample());
    assert_eq!(Gguf::read_metadata(&path).unwrap(), sample().metadata);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn quantisation_keeps_vectors_and_loses_little() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    // The largest error of a value in [-1, 1]: half a step of each format's grid, and the
    // rounding of the scales of its blocks.
    for (precision, bound) in [
        (Precision::F16, 2.5e-4),
        (Precision::Q8_0, 4.5e-3),
        (Precision::Q4K, 1.0e-1),
    ] {
        sample().write(&path, precision).unwrap();
        let read = Gguf::read(&path).unwrap();
        assert_eq!(read.tensors[1], sample().tensors[1], "{precision:?}");
        let error = (read.tensors[0].values.iter())
            .zip(&sample().tensors[0].values)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(error > 0.0 && error < bound, "{precision:?}: {error}");
    }
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    sample().write(&path, Precision::F32).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let message = Gguf::read(&path).unwrap_err().to_string();
    assert!(message.contains("a.gguf"), "{message}");
    fs::write(&path, b"not a model").unwrap();
    let message = Gguf::read(&path).unwrap_err().to_string();
    assert!(message.ends_with("not a GGUF file"), "{message}");
}

#[test]
fn what_gguf_cannot_hold_is_refused_and_the_old_file_stays() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    sample().write(&path, Precision::F32).unwrap();
    let mut twice = sample();
    twice.tensors[1] = twice.tensors[0].clone();
    let mut nul = sample();
    nul.metadata[0].1 = Value::String("a\0b".into());
    let mut shape = sample();
    shape.tensors[0].shape = vec![3, 255];
    for broken in [twice, nul, shape] {
        let error = broken.write(&path, Precision::F32).unwrap_err();
        assert!(matches!(error, Error::Model { .. }), "{error}");
        assert_eq!(Gguf::read(&path).unwrap(), sample());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_name_that_cannot_be_taken_leaves_what_was_there_and_nothing_else() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    fs::create_dir(&path).unwrap();
    sample()
        .write(&path.join("b.gguf"), Precision::F32)
        .unwrap();
    let error = sample().write(&path, Precision::F32).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    assert_eq!(Gguf::read(&path.join("b.gguf")).unwrap(), sample());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = sample().write(&folder.path().join("no/a.gguf"), Precision::F32);
    assert!(matches!(error.unwrap_err(), Error::Write { .. }));
}

#[test]
fn llama_cpp_tells_the_story_that_llama2c_tells() {
    let Some(folder) = shared("weights/stories260K") else {
        return;
    };
    let gguf = llama2c::read(&folder.join("stories260K.bin"), &folder.join("tok512.bin")).unwrap();
    let scratch = tempdir().unwrap();
    let path = scratch.path().join("stories.gguf");
    gguf.write(&path, Precision::F32).unwrap();
    let mut model = load(&path);
    let expected = fs::read(folder.join("expected_greedy_200.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    let ids: Vec<i32> = serde_json::from_value(expected["token_ids"].clone()).unwrap();
    // Each next token must be the most likely one after those before it.
    let mut tokens = vec![1];
    tokens.extend(&ids);
    let answers = Answers::new(&mut model, &tokens[..ids.len()], None);
    for (i, row) in answers.logits.iter().enumerate() {
        let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        assert_eq!(best, Some(ids[i] as usize), "token {i}");
    }
    let text = expected["expected_text"].as_str().unwrap();
    let tokenised = tokenise(&model, text);
    assert_eq!(tokenised[..], tokens[..tokenised.len()]);
}

#[test]
fn random_models_load_and_tokenise() {
    let scratch = tempdir().unwrap();
    let path = scratch.path().join("random.gguf");
    let mut geometry = Geometry {
        layers: 2,
        width: 64,
        heads: 4,
        kv_heads: 2,
        ffn: 96,
        ..Geometry::bench_6m(260)
    };
    let text = "3 + 4 = 7\n<|im_end|> é";
    let gguf = fixture::random_llama(&geometry, 1, fixture::bytes_tokenizer());
    assert_eq!(
        gguf,
        fixture::random_llama(&geometry, 1, fixture::bytes_tokenizer())
    );
    gguf.write(&path, Precision::Q8_0).unwrap();
    let bytes = text.bytes().map(|byte| match byte {
        b' ' => 259,
        _ => i32::from(byte) + 3,
    });
    let expected: Vec<i32> = std::iter::once(1).chain(bytes).collect();
    assert_eq!(tokenise(&load(&path), text), expected);

    let Some(folder) = shared("weights/qwen2.5-tokenizer") else {
        return;
    };
    geometry.architecture = "qwen2".to_owned();
    geometry.vocabulary = 151_936;
    let tokenizer = fixture::bpe_tokenizer(&folder).unwrap();
    fixture::random_llama(&geometry, 1, tokenizer)
        .write(&path, Precision::Q8_0)
        .unwrap();
    let model = load(&path);
    // transformers 5.23: AutoTokenizer.from_pretrained(folder).encode(text)
    assert_eq!(
        tokenise(&model, text),
        [18, 488, 220, 19, 284, 220, 22, 198, 151_645, 3958]
    );
    assert!(model.chat_template(None).is_ok());
}

#[test]
fn a_hugging_face_folder_is_the_network_that_transformers_runs() {
    let Some(folder) = shared("weights/random-init-llama") else {
        return;
    };
    let gguf = hugging_face::read(&folder).unwrap();
    // Always in one order, by which a stopped training knows its base again.
    assert!(gguf.tensors.is_sorted_by_key(|tensor| &tensor.name));
    let network = Network::new(gguf, "x", &Device::flex()).unwrap();
    let ours = network.logits(&[1, 3, 5, 7, 9, 11, 2, 4]);
    // transformers 5.23: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    // (torch.tensor([[1, 3, 5, 7, 9, 11, 2, 4]])).logits[0], first and last row
    let first = [
        -0.1385912, -0.2597049, -0.7444392, -0.0192972, -0.1540986, -0.1322046, 0.0218846,
        0.1379538, -0.152983, 0.2436744, 0.38485, 0.3280145, 0.1149179, -0.0212953, 0.2705441,
        -0.2081103,
    ];
    let last = [
        -0.139227, -0.0303572, -0.6248443, -0.3889256, 0.0446671, -0.0326532, -0.2772247,
        0.0891274, 0.2952361, 0.1805372, 0.2068654, 0.3175107, 0.0676621, -0.0274934, -0.0509175,
        -0.3427243,
    ];
    for (ours, theirs) in [(&ours[..16], first), (&ours[ours.len() - 16..], last)] {
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

#[test]
fn a_hugging_face_tokenizer_gives_the_same_tokens_in_llama_cpp() {
    let Some(published) = shared("weights/smollm2-tokenizer") else {
        return;
    };
    // The published vocabulary on a network small enough for a test.
    let folder = tempdir().unwrap();
    fs::copy(
        published.join("tokenizer.json"),
        folder.path().join("tokenizer.json"),
    )
    .unwrap();
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 49_152, "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32,
        "max_position_embeddings": 64, "tie_word_embeddings": true,
    });
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let geometry = Geometry {
        layers: 1,
        width: 32,
        heads: 2,
        kv_heads: 2,
        ffn: 32,
        ..Geometry::bench_6m(49_152)
    };
    let random = fixture::random_llama(&geometry, 1, Vec::new());
    // An empty list of weights; the random ones take its place.
    let empty = b"\x02\0\0\0\0\0\0\0{}";
    fs::write(folder.path().join("model.safetensors"), empty).unwrap();
    let gguf = Gguf {
        tensors: random.tensors,
        ..hugging_face::read(folder.path()).unwrap()
    };
    let path = folder.path().join("a.gguf");
    gguf.write(&path, Precision::F16).unwrap();
    let model = load(&path);
    // transformers 5.23: PreTrainedTokenizerFast(tokenizer_file=...).encode(text)
    for (text, expected) in [
        (
            "3 + 4 = 7\n<|im_end|> é",
            &[35, 1232, 216, 36, 446, 216, 39, 198, 2, 26411][..],
        ),
        (
            "def f(x):\n    return x**2  # 12345",
            &[
                1604, 275, 24, 104, 727, 472, 1003, 1792, 828, 34, 216, 907, 216, 33, 34, 35, 36,
                37,
            ],
        ),
        (
            "It's  $\\frac{1}{2}$ — 东京 😀\t\n\n  end",
            &[
                1589, 506, 216, 19573, 18169, 107, 33, 15009, 34, 24362, 1841, 216, 7906, 246,
                16736, 122, 40303, 218, 197, 8866, 1112,
            ],
        ),
        ("1234567 x10", &[33, 34, 35, 36, 37, 38, 39, 1792, 33, 32]),
    ] {
        assert_eq!(tokenise(&model, text), expected, "{text:?}");
    }
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_named() {
    let folder = tempdir().unwrap();
    let fails = |says: &str| {
        let message = hugging_face::read(folder.path()).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    };
    fails("config.json");
    let config = folder.path().join("config.json");
    fs::write(&config, r#"{"model_type": "mamba"}"#).unwrap();
    fails("model type mamba is not supported, only llama, mistral, qwen2");
    fs::write(
        &config,
        r#"{"model_type": "llama", "num_attention_heads": 2, "rope_scaling": {"rope_type": "llama3"}}"#,
    )
    .unwrap();
    fails("rotary scaling llama3 is not supported");
}
