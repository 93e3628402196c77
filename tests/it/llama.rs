//! Sampling and scoring through llama.cpp, on models written on the spot and on real weights.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::path::{Path, PathBuf};

use rerank::{
    Error,
    model::{
        LanguageModel, LlamaCpp, Message, Request, Sampling,
        fixture::{self, Geometry},
        gguf::{Gguf, Precision, Value},
        llama::Resources,
        llama2c, to_the_end,
    },
    problem::{Question, Task},
    trace::Stop,
};
use tempfile::{TempDir, tempdir};

use crate::gguf::shared;

/// 64 wide, 2 blocks: loads and runs in milliseconds.
pub fn tiny(vocabulary: usize) -> Geometry {
    Geometry {
        architecture: "llama".to_owned(),
        vocabulary,
        width: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        ffn: 128,
        context: 512,
        rope_base: 10_000.0,
        norm_epsilon: 1e-5,
        tied: true,
    }
}

/// Writes a random model over bytes; `more` is added to its metadata.
pub fn write_tiny(folder: &Path, more: &[(&str, Value)]) -> PathBuf {
    let mut gguf = fixture::random_llama(&tiny(260), 5, fixture::bytes_tokenizer());
    gguf.metadata.extend(
        more.iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone())),
    );
    let path = folder.join("tiny.gguf");
    gguf.write(&path, Precision::F32).unwrap();
    path
}

pub fn load(path: &Path, kv_bytes_max: u64) -> LlamaCpp {
    LlamaCpp::load(
        path,
        None,
        Resources {
            threads: 2,
            kv_bytes_max,
            kv_contexts: 1,
            gpu_layers: 0,
            deterministic: false,
        },
    )
    .unwrap()
}

pub fn tiny_model(kv_bytes_max: u64) -> (TempDir, LlamaCpp) {
    let folder = tempdir().unwrap();
    let model = load(&write_tiny(folder.path(), &[]), kv_bytes_max);
    (folder, model)
}

pub fn question(text: &str) -> Question {
    Question {
        id: "q".to_owned(),
        text: text.to_owned(),
        task: Task::Math,
        interface: None,
    }
}

pub fn request<'a>(question: &'a Question, samples: usize, seed: u64) -> Request<'a> {
    let messages = vec![Message::user(question.text.as_str())];
    Request {
        question,
        candidate: None,
        messages,
        first: 0,
        samples,
        seed,
    }
}

pub fn short(temperature: f32, tokens_max: usize) -> Sampling {
    Sampling {
        temperature,
        top_p: 1.0,
        tokens_max,
        ..Sampling::default()
    }
}

pub fn quiet(_: usize, _: usize) {}

pub const ROOMY: u64 = 1 << 30;

#[test]
fn trained_story_model_reproduces_its_recorded_greedy_tokens() {
    let Some(folder) = shared("weights/stories260K") else {
        return;
    };
    let expected: serde_json::Value = serde_json::from_str(
        &std::fs::read_to_string(folder.join("expected_greedy_200.json")).unwrap(),
    )
    .unwrap();
    let written = tempdir().unwrap();
    let path = written.path().join("stories.gguf");
    let gguf = llama2c::read(&folder.join("stories260K.bin"), &folder.join("tok512.bin")).unwrap();
    gguf.write(&path, Precision::F32).unwrap();

    let mut model = load(&path, ROOMY);
    let nothing = question("");
    let request = Request {
        messages: Vec::new(),
        ..request(&nothing, 1, 0)
    };
    let steps = expected["token_ids"].as_array().unwrap().len();
    let generated = model
        .generate(&[request], &short(0.0, steps), &quiet)
        .unwrap();
    let text = &generated.generations[0][0].text;
    assert_eq!(
        text.trim_start(),
        expected["expected_text"].as_str().unwrap().trim_start()
    );
    assert_eq!(generated.generations[0][0].tokens as usize, steps);
}

#[test]
fn a_prompt_is_evaluated_once_for_all_its_samples() {
    let (_folder, mut model) = tiny_model(ROOMY);
    let question = question("How many?");
    let generated = model
        .generate(&[request(&question, 64, 1)], &short(1.0, 8), &quiet)
        .unwrap();
    assert_eq!(generated.generations[0].len(), 64);
    // BOS, nine bytes and two line ends.
    assert_eq!(generated.usage.tokens_prompt, 12);
    let drawn: u64 = generated.generations[0]
        .iter()
        .map(|one| u64::from(one.tokens))
        .sum();
    assert_eq!(generated.usage.tokens_continued, drawn);
}

#[test]
fn the_same_seed_gives_the_same_candidates_in_any_number_of_waves() {
    let question = question("How many?");
    let draw = |kv_bytes_max: u64, samples: usize, seed: u64| {
        let (_folder, mut model) = tiny_model(kv_bytes_max);
        model
            .generate(
                &[request(&question, samples, seed)],
                &short(1.0, 12),
                &quiet,
            )
            .unwrap()
            .generations
    };
    let together = draw(ROOMY, 300, 1);
    assert_eq!(together[0].len(), 300);
    assert_eq!(draw(ROOMY, 300, 1), together);
    // 256 cells of 2 layers x 2 heads x 16 numbers x 2 x 2 bytes: 64 KiB a stream, so five streams.
    let in_waves = draw(5 * (64 << 10), 20, 1);
    let texts = |drawn: &[Vec<rerank::model::Generation>]| -> Vec<String> {
        drawn[0]
            .iter()
            .take(20)
            .map(|one| one.text.clone())
            .collect()
    };
    assert_eq!(texts(&in_waves), texts(&together));
    assert_ne!(texts(&draw(ROOMY, 20, 2)), texts(&together));
}

#[test]
fn samples_of_one_prompt_differ_and_greedy_ones_do_not() {
    let (_folder, mut model) = tiny_model(ROOMY);
    let question = question("How many?");
    let mut distinct = |temperature| {
        let drawn = model
            .generate(
                &[request(&question, 16, 1)],
                &short(temperature, 12),
                &quiet,
            )
            .unwrap();
        drawn.generations[0]
            .iter()
            .map(|one| one.text.clone())
            .collect::<std::collections::HashSet<_>>()
            .len()
    };
    assert_eq!(distinct(0.0), 1);
    assert!(distinct(1.0) > 8);
}

#[test]
fn many_prompts_share_a_batch_and_keep_their_order() {
    let (_folder, mut model) = tiny_model(ROOMY);
    let questions: Vec<Question> = (0..9)
        .map(|index| question(&"why? ".repeat(index + 1)))
        .collect();
    let requests: Vec<Request> = questions
        .iter()
        .map(|question| request(question, 2, 3))
        .collect();
    let together = model.generate(&requests, &short(1.0, 10), &quiet).unwrap();
    for (request, expected) in requests.iter().zip(&together.generations) {
        let alone = model
            .generate(std::slice::from_ref(request), &short(1.0, 10), &quiet)
            .unwrap();
        let texts = |drawn: &[rerank::model::Generation]| -> Vec<String> {
            drawn.iter().map(|one| one.text.clone()).collect()
        };
        assert_eq!(texts(&alone.generations[0]), texts(expected));
    }
}

#[test]
fn a_score_is_the_mean_log_probability_of_the_text_and_the_end_of_the_turn() {
    let folder = tempdir().unwrap();
    let path = write_tiny(folder.path(), &[]);
    let mut model = load(&path, ROOMY);
    let question = question("How many?");
    let texts = [
        "Four.",
        "It is 2 + 2 = 4, so the answer is 4.",
        "Four.",
        "5",
    ];
    let scored = model
        .score(&request(&question, 0, 0), &texts, &to_the_end)
        .unwrap();
    assert_eq!(scored.usage.tokens_prompt, 12);

    // The same by one pass over prompt and text for each, with the bindings alone.
    let mut bare = crate::gguf::load(&path);
    let prompt = crate::gguf::tokenise(&bare, "How many?\n\n");
    for (text, score) in texts.iter().zip(&scored.scores) {
        let mut tokens = prompt.clone();
        tokens.extend(&crate::gguf::tokenise(&bare, text)[1..]);
        tokens.push(2);
        let rows = crate::gguf::Answers::new(&mut bare, &tokens, None).logits;
        let logprob = |row: &[f32], token: i32| -> f64 {
            let sum: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
            f64::from(row[token as usize]) - sum.ln()
        };
        let logprobs: Vec<f64> = (prompt.len()..tokens.len())
            .map(|place| logprob(&rows[place - 1], tokens[place]))
            .collect();
        let expected = logprobs.iter().sum::<f64>() / logprobs.len() as f64;
        // The engine keeps keys and values in 16 bits, the reference here in 32.
        assert!(
            (score.unwrap() - expected).abs() < 5e-3,
            "{text}: {score:?} for {expected}"
        );
    }
}

#[test]
fn stop_strings_and_limits_end_a_sample() {
    let (_folder, mut model) = tiny_model(ROOMY);
    let question = question("How many?");
    let plain = model
        .generate(&[request(&question, 1, 4)], &short(1.0, 60), &quiet)
        .unwrap();
    let whole = &plain.generations[0][0];
    assert_eq!((whole.stop, whole.tokens), (Stop::Length, 60));
    let letters: Vec<char> = whole.text.chars().collect();
    let pair = letters
        .windows(2)
        .skip(3)
        .find(|pair| pair.iter().all(char::is_ascii))
        .unwrap();
    let word: String = pair.iter().collect();
    let sampling = Sampling {
        stop: vec!["absent".to_owned(), word.clone()],
        ..short(1.0, 60)
    };
    let cut = model
        .generate(&[request(&question, 1, 4)], &sampling, &quiet)
        .unwrap();
    let cut = &cut.generations[0][0];
    assert_eq!(cut.stop, Stop::String);
    assert_eq!(Some(cut.text.as_str()), whole.text.split(&word).next());
}

#[test]
fn chat_template_is_applied_with_one_bos() {
    let folder = tempdir().unwrap();
    // The template writes BOS itself, and the tokenizer is told to as well.
    let template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]";
    let path = write_tiny(
        folder.path(),
        &[(
            "tokenizer.chat_template",
            Value::String(template.to_owned()),
        )],
    );
    let mut model = load(&path, ROOMY);
    let question = question("hm");
    let generated = model
        .generate(&[request(&question, 1, 0)], &short(0.0, 1), &quiet)
        .unwrap();
    assert_eq!(
        generated.usage.tokens_prompt as usize,
        1 + "[user]hm[assistant]".len()
    );
}

#[test]
fn qwens_real_tokenizer_and_template_work() {
    let Some(folder) = shared("weights/qwen2.5-tokenizer") else {
        return;
    };
    let tokenizer = fixture::bpe_tokenizer(&folder).unwrap();
    let mut geometry = tiny(151_936);
    geometry.architecture = "qwen2".to_owned();
    let written = tempdir().unwrap();
    let path = written.path().join("qwen.gguf");
    fixture::random_llama(&geometry, 1, tokenizer)
        .write(&path, Precision::Q8_0)
        .unwrap();
    let mut model = load(&path, ROOMY);
    let question = question("Janet’s ducks lay 16 eggs per day.");
    let generated = model
        .generate(&[request(&question, 4, 1)], &short(1.0, 6), &quiet)
        .unwrap();
    // What transformers' AutoTokenizer and apply_chat_template make of it from the same files.
    assert_eq!(generated.usage.tokens_prompt, 41);
    assert_eq!(generated.generations[0].len(), 4);
}

#[test]
fn files_that_are_no_models_are_named_with_what_is_wrong() {
    let folder = tempdir().unwrap();
    let check = |name: &str, bytes: Option<&[u8]>, expected: &str| {
        let path = folder.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        let error = LlamaCpp::load(&path, None, Resources::default())
            .err()
            .unwrap();
        assert!(matches!(&error, Error::Model { .. }));
        let message = error.to_string();
        assert!(
            message.contains(name) && message.contains(expected),
            "{message}"
        );
    };
    check("absent.gguf", None, "there is no such file");
    check("empty.gguf", Some(b""), "it is not a GGUF file");
    check(
        "text.gguf",
        Some(b"<html>Not found</html>"),
        "it is not a GGUF file",
    );
    let whole = std::fs::read(write_tiny(folder.path(), &[])).unwrap();
    check(
        "short.gguf",
        Some(&whole[..whole.len() / 2]),
        "llama.cpp cannot load it: ",
    );
    let other = Gguf {
        metadata: vec![(
            "general.architecture".to_owned(),
            Value::String("abacus".to_owned()),
        )],
        tensors: Vec::new(),
    };
    other
        .write(&folder.path().join("other.gguf"), Precision::F32)
        .unwrap();
    check("other.gguf", None, "abacus");
}

#[test]
fn a_question_longer_than_the_context_is_refused_with_both_numbers() {
    let (_folder, mut model) = tiny_model(ROOMY);
    let question = question(&"x".repeat(600));
    let error = model
        .generate(&[request(&question, 1, 0)], &short(1.0, 8), &quiet)
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Context {
                needed: 604,
                allowed: 512,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_candidate_that_outgrows_the_context_has_no_program_and_no_score() {
    let (_folder, mut model) = tiny_model(ROOMY);
    let (long, fine) = (question(&"x".repeat(600)), question("How many?"));
    let requests = [&long, &fine].map(|question| Request {
        candidate: Some(0),
        ..request(question, 1, 1)
    });
    let drawn = model.generate(&requests, &short(1.0, 8), &quiet).unwrap();
    assert_eq!(
        (drawn.generations[0].len(), drawn.generations[1].len()),
        (0, 1)
    );
    let texts = ["Four.", &"x".repeat(600), "5"];
    let scored = model
        .score(&request(&fine, 0, 0), &texts, &to_the_end)
        .unwrap();
    let has_score: Vec<bool> = scored.scores.iter().map(Option::is_some).collect();
    assert_eq!(has_score, [true, false, true]);
}
