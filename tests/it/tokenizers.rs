//! Tokens of the `tokenizers` crate and of llama.cpp on the same texts.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{fs, path::Path};

use rerank::{
    jsonl,
    model::{
        gguf::Precision,
        hugging_face::{self, Tokenizer},
        llama,
    },
    problem::Task,
    train::Tokenize,
};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::gguf::shared;

/// A folder with a tokenizer, and the same tokenizer in llama.cpp.
struct Both {
    folder: TempDir,
    llama: llama::Tokenizer,
}

impl Both {
    fn new(kind: &str, vocabulary: usize, tokenizer: &[u8], settings: &Value) -> Self {
        let folder = tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let config = json!({
            "model_type": kind, "vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32,
            "max_position_embeddings": 64, "tie_word_embeddings": true,
        });
        write("config.json", config.to_string().as_bytes());
        write("tokenizer.json", tokenizer);
        write("tokenizer_config.json", settings.to_string().as_bytes());
        // An empty list of weights: llama.cpp is asked for the vocabulary alone.
        write("model.safetensors", b"\x02\0\0\0\0\0\0\0{}");
        let path = folder.path().join("vocabulary.gguf");
        let gguf = hugging_face::read(folder.path()).unwrap();
        gguf.write(&path, Precision::F16).unwrap();
        let llama = llama::Tokenizer::open(&path, Task::Math).unwrap();
        Self { folder, llama }
    }

    fn smollm2() -> Option<Self> {
        let folder = shared("weights/smollm2-tokenizer")?;
        let tokenizer = fs::read(folder.join("tokenizer.json")).unwrap();
        let settings = json!({
            "bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"},
            "chat_template": "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n",
        });
        Some(Self::new("llama", 49_152, &tokenizer, &settings))
    }

    /// Qwen2.5's vocabulary and merges are there, not its `tokenizer.json`: this is what transformers
    /// writes for them.
    fn qwen(folder: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let value = |name: &str| -> Value { serde_json::from_str(&text(name)).unwrap() };
        let settings = value("tokenizer_config.json");
        let added = settings["added_tokens_decoder"].as_object().unwrap();
        let added: Vec<Value> = added
            .iter()
            .map(|(id, token)| {
                let mut token = token.clone();
                token["id"] = id.parse::<u32>().unwrap().into();
                token
            })
            .collect();
        let merges = text("merges.txt");
        let merges: Vec<&str> = merges
            .lines()
            .filter(|line| !line.starts_with("#version") && !line.is_empty())
            .collect();
        let words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": false}, bytes,
            ]},
            "post_processor": bytes, "decoder": bytes,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
                "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false,
                "vocab": value("vocab.json"), "merges": merges,
            },
        });
        Self::new(
            "qwen2",
            151_936,
            tokenizer.to_string().as_bytes(),
            &settings,
        )
    }

    /// How many texts both read, and how many of them differently.
    fn compare(&self, texts: &[String]) -> (usize, usize) {
        let ours = Tokenizer::open(self.folder.path(), Task::Math, &self.llama).unwrap();
        for text in texts {
            ours.solution(text).unwrap();
        }
        (texts.len(), ours.differing())
    }
}

/// Problems and solutions of MATH (LaTeX), programs of MBPP, chains of thought of GSM8K.
fn real_texts() -> Option<Vec<String>> {
    let sets = [
        ("math/train.jsonl.gz", ["problem", "solution"]),
        ("mbpp/mbpp.jsonl", ["text", "code"]),
        ("gsm8k/train.jsonl", ["question", "answer"]),
    ];
    let mut texts = Vec::new();
    for (file, fields) in sets {
        let rows = jsonl::read(&shared(file)?).unwrap();
        for line in String::from_utf8(rows).unwrap().lines().take(1500) {
            let row: Value = serde_json::from_str(line).unwrap();
            texts.extend(fields.map(|field| row[field].as_str().unwrap().to_owned()));
        }
    }
    Some(texts)
}

/// Texts that tokenizers trip over, and random ones over many scripts; all in Unicode's composed
/// form, because some tokenizers compose what llama.cpp leaves apart.
fn strange_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "  ",
        "\n",
        "\n\n\n",
        " \n \n",
        "\t\tx",
        "a\r\nb\r\n\r\n",
        "  leading",
        "trailing  ",
        "don't WON'T I'LL you've x's 'S",
        "1 22 333 4444 1234567890",
        "3.14159 1,000,000 $5.00 50%",
        "$\\frac{1}{2}x^{2}$ \\\\ \\begin{align*}",
        "a_b__c ___",
        "==> <= >= != -> :: /* */ ///",
        "日本語のテキスト、中文文本。",
        "한국어 텍스트",
        "Привет, мир! Ёж",
        "مرحبا بالعالم ١٢٣",
        "שלום עולם",
        "हिन्दी पाठ",
        "😀😃👨‍👩‍👧‍👦🇩🇪 ✓★",
        "é è ê ñ ü ß Æ Ø",
        "∑∏∫√∞≈≠≤≥∈∀∃",
        "x² + y³ = ½",
        "①②③ Ⅳ ⅷ",
        "\u{200b}zero\u{200d}width\u{feff}",
        "\u{a0}no\u{a0}break",
        "\u{3000}wide",
        "e\u{301} stays out",
        "<|im_start|>user<|im_end|>",
        "<|endoftext|>",
        "</s><s>[INST]",
        "\u{0}\u{1}\u{7f}",
        "\u{85}\u{2028}\u{2029}",
        "a\u{fffd}b",
        "𝒳𝔸𝟙",
        "ﬁ ﬂ Ⓐ",
        "Ǆ ǅ ǆ",
        "ﷺ",
        "𓀀𓁐",
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    ]
    .map(str::to_owned)
    .into();
    texts.retain(|text| !text.contains('\u{301}'));
    let ranges = [
        (0x20, 0x7e),
        (0x20, 0x40),
        (0xa1, 0x17f),
        (0x391, 0x3c9),
        (0x410, 0x44f),
        (0x4e00, 0x4fff),
        (0x3042, 0x3090),
        (0xac00, 0xacff),
        (0x2190, 0x22ff),
        (0x1f600, 0x1f64f),
    ];
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..3000 {
        let length = random(40);
        let text = (0..length).map(|_| match random(6) {
            0 => [' ', '\n', '\t', ' '][random(4)],
            _ => {
                let (first, last) = ranges[random(ranges.len())];
                char::from_u32(first + random((last - first) as usize) as u32).unwrap()
            }
        });
        texts.push(text.collect());
    }
    texts
}

#[test]
fn tokens_are_llama_cpps_on_thousands_of_texts() {
    let (Some(smollm2), Some(qwen), Some(real)) = (
        Both::smollm2(),
        shared("weights/qwen2.5-tokenizer"),
        real_texts(),
    ) else {
        eprintln!("skipped: the tokenizers or the texts are not in ../shared/data");
        return;
    };
    let qwen = Both::qwen(&qwen);
    let strange = strange_texts();
    for (name, both) in [("smollm2", &smollm2), ("qwen2.5", &qwen)] {
        for (kind, texts) in [("real", &real), ("strange", &strange)] {
            let (count, differing) = both.compare(texts);
            assert!(count > 2900, "{count}");
            assert_eq!(differing, 0, "{name}: of {count} {kind} texts");
        }
    }
    // The check sees a difference: the other's tokens, and what one composes and the other does not.
    let mixed = Tokenizer::open(smollm2.folder.path(), Task::Math, &qwen.llama).unwrap();
    mixed.solution("1 + 1 = 2, so the answer is 2.").unwrap();
    assert_eq!(mixed.differing(), 1);
    let decomposed = "e\u{301}".to_owned();
    assert_eq!(qwen.compare(std::slice::from_ref(&decomposed)), (1, 1));
    assert_eq!(smollm2.compare(&[decomposed]), (1, 0));
}

#[test]
fn a_conversation_is_the_same_tokens_through_both() {
    let Some(both) = Both::smollm2() else { return };
    let ours = Tokenizer::open(both.folder.path(), Task::Math, &both.llama).unwrap();
    for question in [
        "2 + 2?",
        "What is $\\frac{1}{2}$ of <|im_end|> 12?",
        " spaces \n",
    ] {
        assert!(ours.prompt(question).unwrap().len() > 10);
    }
    assert_eq!(ours.differing(), 0);
    assert_eq!(ours.end(), both.llama.end());
}
