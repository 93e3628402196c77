//! Sampling and scoring on models of random weights, in the shapes of SmolLM2-135M and Qwen2.5-0.5B,
//! in `Q8_0` and `Q4_K_M`: `cargo bench --bench sampling`.
//!
//! Rounds are interleaved and medians taken, so that a machine that is busy at times gives the same
//! ratios as an idle one. `eval/engine/compare.py` runs llama.cpp's own batched benchmark on the same
//! files. Arguments after `--` measure one thing and print it as JSON: `FILE generate N PROMPT TOKENS`
//! (then, perhaps, `deterministic`), `FILE score CANDIDATES PROMPT TOKENS`, or
//! `problems FILE COUNT N PROMPT TOKENS`.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use rerank::{
    model::{
        LanguageModel, LlamaCpp, Message, Request, Sampling,
        fixture::{self, Geometry},
        gguf::Precision,
        llama::{Resources, time_inside},
        to_the_end,
    },
    problem::Question,
};
use serde_json::json;

/// Standard deviation of the logits, in nats: about four tokens share most of the probability.
const SURENESS: f32 = 6.0;
/// Rounds of which the median is taken.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let number = |place: usize| arguments[place].parse::<usize>().expect("a number");
    match arguments.first().map(String::as_str) {
        None => measure_all(),
        Some("write") => drop(models()),
        Some("problems") => {
            let mut model = load(Path::new(&arguments[1]), false);
            let rate = problems(&mut model, number(2), number(3), number(4), number(5));
            println!("{}", json!({ "tokens_per_second": rate }));
        }
        Some(file) => {
            let deterministic = arguments.last().is_some_and(|last| last == "deterministic");
            let mut model = load(Path::new(file), deterministic);
            let (count, prompt, tokens) = (number(2), number(3), number(4));
            match arguments[1].as_str() {
                "generate" => {
                    generate(&mut model, count, prompt, 2);
                    let (rate, outside) = generate(&mut model, count, prompt, tokens);
                    println!(
                        "{}",
                        json!({ "tokens_per_second": rate, "outside": outside })
                    );
                }
                _ => {
                    score(&mut model, 2, prompt, 4);
                    let (together, alone, apart) = score(&mut model, count, prompt, tokens);
                    println!(
                        "{}",
                        json!({ "together": together, "alone": alone, "apart": apart })
                    );
                }
            }
        }
    }
}

/// Writes the models where they are not there yet.
fn models() -> Vec<(&'static str, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-sampling");
    fs::create_dir_all(&folder).expect("target can be written");
    let shapes = [
        ("SmolLM2-135M", Geometry::smollm2_135m()),
        ("Qwen2.5-0.5B", Geometry::qwen25_half_b()),
    ];
    let precisions = [("Q8_0", Precision::Q8_0), ("Q4_K_M", Precision::Q4K)];
    let mut models = Vec::new();
    for (shape, geometry) in shapes {
        for (name, precision) in precisions {
            let path = folder.join(format!("{shape}-{name}.gguf"));
            if !path.exists() {
                let mut gguf = fixture::random_llama(&geometry, 1, fixture::bytes_tokenizer());
                // A trained model is sure of most tokens; random weights are of none.
                let mut norms = gguf.tensors.iter_mut();
                let last = norms.find(|tensor| tensor.name == "output_norm.weight");
                let values = &mut last.expect("it has one").values;
                values.iter_mut().for_each(|value| *value *= SURENESS);
                let part = path.with_extension("part");
                gguf.write(&part, precision).expect("target can be written");
                fs::rename(&part, &path).expect("target can be written");
            }
            models.push((name, path));
        }
    }
    models
}

fn measure_all() {
    for (_, path) in models() {
        let name = path.file_stem().expect("it has a name").to_string_lossy();
        let mut model = load(&path, false);
        println!("{name}");
        println!("  N  tokens/s  times one after another  outside llama.cpp");
        let counts = [1, 4, 16, 64];
        let mut rates = vec![Vec::new(); counts.len()];
        for round in 0..=ROUNDS {
            for (count, rates) in counts.iter().zip(&mut rates) {
                let measured = generate(&mut model, *count, 200, if *count == 1 { 64 } else { 48 });
                // The first round warms up.
                if round > 0 {
                    rates.push(measured);
                }
            }
        }
        let rates: Vec<(f64, f64)> = rates.into_iter().map(middle).collect();
        for (count, (rate, outside)) in counts.iter().zip(&rates) {
            let ratio = rate / rates[0].0;
            println!(
                "{count:>3} {rate:>9.1} {ratio:>24.2} {:>17.1} %",
                outside * 100.0
            );
        }
        let scored: Vec<(f64, f64)> = (0..ROUNDS)
            .map(|_| score(&mut model, 64, 300, 60))
            .map(|(together, alone, _)| (together, alone))
            .collect();
        let (together, alone) = middle(scored);
        println!(
            "  64 candidates scored in one pass: {together:.2} s, one by one: {alone:.2} s, {:.2} times as fast",
            alone / together
        );
    }
}

fn load(path: &Path, deterministic: bool) -> LlamaCpp {
    let resources = Resources {
        deterministic,
        ..Resources::default()
    };
    LlamaCpp::load(path, None, resources).expect("a model that was just written")
}

/// Tokens drawn per second after a prompt for all, and the share of the time outside llama.cpp.
fn generate(model: &mut LlamaCpp, count: usize, prompt: usize, tokens: usize) -> (f64, f64) {
    let question = question(prompt, 0);
    let (started, inside) = (Instant::now(), time_inside());
    let drawn = model
        .generate(&[request(&question, count)], &sampling(tokens), &|_, _| {})
        .expect("it fits");
    let time = started.elapsed();
    let inside = time_inside() - inside;
    let drawing = time - drawn.usage.prompt;
    // The first token of each comes with the prompt.
    let steps = drawn.usage.tokens_continued - count as u64;
    (
        steps as f64 / drawing.as_secs_f64(),
        1.0 - inside.as_secs_f64() / time.as_secs_f64(),
    )
}

/// Tokens drawn per second over many problems, prompts included.
fn problems(
    model: &mut LlamaCpp,
    problems: usize,
    count: usize,
    prompt: usize,
    tokens: usize,
) -> f64 {
    let questions: Vec<Question> = (0..problems).map(|index| question(prompt, index)).collect();
    let requests: Vec<Request> = questions
        .iter()
        .map(|question| request(question, count))
        .collect();
    let started = Instant::now();
    let drawn = model
        .generate(&requests, &sampling(tokens), &|_, _| {})
        .expect("it fits");
    drawn.usage.tokens_continued as f64 / started.elapsed().as_secs_f64()
}

/// Seconds to score candidates together, and one by one; and how far apart at most the two scores of
/// one are, in nats a token.
fn score(model: &mut LlamaCpp, count: usize, prompt: usize, tokens: usize) -> (f64, f64, f64) {
    let question = question(prompt, 0);
    let request = request(&question, 0);
    // A third of each is common to all, as candidates tend to begin alike.
    let texts: Vec<String> = (0..count)
        .map(|index| {
            let own = (0..tokens - tokens / 3).map(|place| letter(index * 7 + place * (index + 3)));
            let common = (0..tokens / 3).map(letter);
            common.chain(own).collect()
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut time = |texts: &[&[&str]]| {
        let started = Instant::now();
        let mut scores: Vec<f64> = Vec::new();
        for texts in texts {
            let scored = model.score(&request, texts, &to_the_end).expect("it fits");
            scores.extend(scored.scores.into_iter().flatten());
        }
        (started.elapsed().as_secs_f64(), scores)
    };
    let (together, scores) = time(&[&texts]);
    let alone: Vec<&[&str]> = texts.chunks(1).collect();
    let (alone, scores_alone) = time(&alone);
    let apart = scores.iter().zip(scores_alone).map(|(a, b)| (a - b).abs());
    (together, alone, apart.fold(0.0, f64::max))
}

fn question(prompt: usize, index: usize) -> Question {
    // A byte a token; the rest is BOS and what stands around a question.
    let text: String = (0..prompt.saturating_sub(3))
        .map(|place| letter(place * 5 + index * 11))
        .collect();
    Question {
        id: index.to_string(),
        text,
        ..Question::default()
    }
}

fn letter(place: usize) -> char {
    char::from(b'a' + (place % 26) as u8)
}

fn request(question: &Question, samples: usize) -> Request<'_> {
    Request {
        question,
        candidate: None,
        messages: vec![Message::user(question.text.as_str())],
        first: 0,
        samples,
        seed: 1,
    }
}

fn sampling(tokens_max: usize) -> Sampling {
    Sampling {
        tokens_max,
        ..Sampling::default()
    }
}

/// The middle of each of two numbers.
fn middle(mut pairs: Vec<(f64, f64)>) -> (f64, f64) {
    let place = pairs.len() / 2;
    pairs.sort_by(|a, b| a.1.total_cmp(&b.1));
    let second = pairs[place].1;
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    (pairs[place].0, second)
}
