//! The built-in models: small, made by this crate from problems that this crate generates, in the
//! binary itself. [`make`] is the recipe as data flow; [`embedded`] is what it made.
//!
//! ```text
//! generated texts -> tokenizer
//! generated problems -> reasoner            question -> chain of thought
//! generated chains, right and wrong -> coder            chain of thought -> program
//! fresh problems -> reasoner -> samples -> pairs -> verifiers (SimPO, DPO, ORM)
//! ```

use std::{fs, ops::ControlFlow, path::Path};

use serde_json::{Value as Json, json};

use self::{
    lessons::{Lesson, Rendered, lessons},
    recipe::Model,
    stage::Place,
};
use crate::{
    Error, Result,
    execute::Sandbox,
    file::{beside, write_whole},
    lock::lock,
    model::{
        LlamaCpp, fixture,
        gguf::{Gguf, Precision, Value},
        hugging_face,
        llama::{Resources, Tokenizer},
    },
    problem::Task,
    task::generate,
    train::{self, Metrics, pairs},
};

pub mod embedded;
mod faithful;
mod lessons;
pub mod recipe;
mod samples;
mod stage;
mod tokenizer;

pub use recipe::Recipe;
pub use stage::Record;

/// What happens while a recipe is followed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A stage begins, or is found done.
    Stage(&'a str),
    /// A step of training was made.
    Step(&'a Metrics),
    /// Held-out problems were scored after so many steps.
    Evaluation(usize, &'a train::Evaluation),
    /// Problems were sampled: done, and in all.
    Sampled(u64, u64),
    /// Something a person should know.
    Warning(&'a str),
}

/// The models that are shipped, in the folder `ship`.
pub const SHIPPED: [&str; 3] = ["reasoner.gguf", "coder.gguf", "verifier.gguf"];

/// Problems for the verifiers are drawn from the recipe's seed plus this.
const FRESH: u64 = 1;
/// Held-out problems are drawn from the recipe's seed plus this.
const HELD_OUT: u64 = 2;

/// Follows a recipe in `folder`, from the first stage that is not done, and gives what each stage
/// found. A stopped run goes on where it was.
///
/// `ship` in `folder`, with [`SHIPPED`], is the result. The sandbox is for measuring the
/// coder; no training depends on it.
///
/// # Errors
/// What training, sampling and the disk report.
pub fn make(
    recipe: &Recipe,
    folder: &Path,
    sandbox: &Sandbox,
    progress: &mut dyn FnMut(Event),
) -> Result<Vec<Record>> {
    fs::create_dir_all(folder).map_err(Error::write(folder))?;
    let _lock = lock(folder)?;
    let at = |name: &str| folder.join(name);
    let seed = recipe.seed;
    let mut place = Place {
        folder,
        records: Vec::new(),
    };

    // 1. The tokenizer.
    progress(Event::Stage("tokenizer"));
    let vocabulary = at("tokenizer");
    let settings = (&recipe.tokenizer, seed, generate::fingerprint());
    let files = tokenizer::FILES.map(|name| vocabulary.join(name));
    place.stage("tokenizer", &settings, &[], &files, || {
        let texts = lessons::texts(seed, recipe.tokenizer.problems);
        tokenizer::train(texts, recipe.tokenizer.size, &vocabulary)?;
        Ok(Json::Null)
    })?;

    // 2. Reasoner and coder, from random weights.
    let roles = [
        ("reasoner", &recipe.reasoner, Lesson::Solve),
        (
            "coder",
            &recipe.coder,
            Lesson::Translate {
                flawed: recipe.coder_flawed,
            },
        ),
    ];
    for (role, model, lesson) in roles {
        progress(Event::Stage(role));
        let path = at(&format!("{role}.gguf"));
        let settings = (model, lesson, &recipe.prompts, seed);
        place.stage(role, &settings, &["tokenizer"], &[&path], || {
            let start = at(&format!("{role}.start.gguf"));
            let metadata = hugging_face::tokenizer(&vocabulary, recipe.tokenizer.size)?;
            fresh(role, model, recipe, metadata).write(&start, Precision::F32)?;
            supervised(model, lesson, recipe, &start, &path, progress)
        })?;
    }

    // 3. Samples of the reasoner, and pairs of them.
    progress(Event::Stage("samples"));
    let samples = at("samples.jsonl");
    place.stage(
        "samples",
        &(
            recipe.samples.problems,
            recipe.samples.each,
            recipe.samples.temperature,
            seed,
        ),
        &["reasoner"],
        &[&samples],
        || {
            let path = at("reasoner.gguf");
            let mut reasoner = LlamaCpp::load(&path, None, Resources::default())?;
            let fresh = seed.wrapping_add(FRESH);
            samples::draw(
                &mut reasoner,
                &recipe.samples,
                fresh,
                &samples,
                &mut |done, all| {
                    progress(Event::Sampled(done, all));
                },
            )?;
            Ok(Json::Null)
        },
    )?;
    progress(Event::Stage("pairs"));
    let pairs = at("pairs.jsonl");
    place.stage("pairs", &recipe.samples, &["samples"], &[&pairs], || {
        let (rows, statistics) =
            samples::pair(&read(&samples)?, &samples, &recipe.samples, seed)?;
        if statistics.mixed == 0 {
            return Err(Error::Options(format!(
                "none of {} problems has a right and a wrong sample: train the reasoner longer, or draw more",
                statistics.problems
            )));
        }
        let rows = rows.iter().map(|row| serde_json::to_string(row).expect("texts are JSON"));
        let text: String = rows.map(|row| row + "\n").collect();
        write_whole(&pairs, text)?;
        Ok(json!(statistics))
    })?;

    // 4. Verifiers, from the reasoner.
    for (name, verifier) in &recipe.verifier {
        let stage = format!("verifier-{name}");
        progress(Event::Stage(&stage));
        let path = at(&format!("{stage}.gguf"));
        place.stage(
            &stage,
            &(verifier, seed),
            &["reasoner", "pairs"],
            &[&path],
            || {
                let base = at("reasoner.gguf");
                let tokenizer = Tokenizer::open(&base, Task::Math)?;
                let options = verifier
                    .training(name, seed, base, path.clone())
                    .map_err(Error::Options)?;
                let (problems, _) = pairs::parse(read(&pairs)?.as_bytes(), &pairs)?;
                run(&options, &problems, &tokenizer, progress)
            },
        )?;
    }

    // 5. What is shipped.
    progress(Event::Stage("ship"));
    let verifier = format!("verifier-{}", recipe.ship);
    let ship = at("ship");
    let files = SHIPPED.map(|file| ship.join(file));
    place.stage(
        "ship",
        &recipe.ship,
        &["reasoner", "coder", &verifier],
        &files,
        || {
            fs::create_dir_all(&ship).map_err(Error::write(&ship))?;
            let mut bytes = serde_json::Map::new();
            let trained = ["reasoner", "coder", &verifier];
            for (file, path) in trained.iter().zip(&files) {
                let role = path.file_stem().unwrap_or_default().to_string_lossy();
                let mut gguf = Gguf::read(&at(&format!("{file}.gguf")))?;
                for (key, value) in &mut gguf.metadata {
                    match key.as_str() {
                        "general.file_type" => *value = Value::U32(7),
                        "general.name" => *value = Value::String(format!("rerank {role}")),
                        _ => {}
                    }
                }
                gguf.write(path, Precision::Q8_0)?;
                let size = fs::metadata(path).map_or(0, |file| file.len());
                bytes.insert(role.into_owned(), size.into());
            }
            Ok(bytes.into())
        },
    )?;

    // 6. Problems that nobody saw, for `rerank eval`; and whether the coder is faithful.
    progress(Event::Stage("held-out"));
    let held_out = at("held-out.jsonl");
    let problems = recipe.measure.held_out;
    place.stage(
        "held-out",
        &(problems, seed),
        &["coder", "pairs"],
        &[&held_out],
        || {
            let text = lessons::held_out(recipe, problems);
            write_whole(&held_out, text)?;
            Ok(Json::Null)
        },
    )?;
    progress(Event::Stage("faithful"));
    let problems = recipe.measure.faithful;
    let none: [&Path; 0] = [];
    place.stage("faithful", &(problems, seed), &["ship"], &none, || {
        let path = ship.join("coder.gguf");
        let mut coder = LlamaCpp::load(&path, None, Resources::default())?;
        faithful::measure(&mut coder, sandbox, seed.wrapping_add(HELD_OUT), problems)
    })?;
    Ok(place.records)
}

/// A network with random weights, its tokenizer and its prompts.
fn fresh(role: &str, model: &Model, recipe: &Recipe, tokenizer: Vec<(String, Value)>) -> Gguf {
    let geometry = model.geometry(recipe.tokenizer.size);
    let mut gguf = fixture::random_llama(&geometry, recipe.seed, tokenizer);
    // What a block adds is made small, so that the sum over all blocks does not grow with their
    // number (GPT-2's rule); norms begin at 1.
    let by_depth = (2.0 * model.layers as f32).sqrt().recip();
    for tensor in &mut gguf.tensors {
        if tensor.name.ends_with("norm.weight") {
            tensor.values.fill(1.0);
        }
        if tensor.name.ends_with("attn_output.weight") || tensor.name.ends_with("ffn_down.weight") {
            tensor
                .values
                .iter_mut()
                .for_each(|value| *value *= by_depth);
        }
    }
    let text = |text: &str| Value::String(text.to_owned());
    gguf.metadata.retain(|(key, _)| key != "general.name");
    let more = [
        ("general.name", text(&format!("rerank {role}"))),
        ("general.license", text("apache-2.0")),
        ("rerank.prompts.solve", text(&recipe.prompts.solve)),
        ("rerank.prompts.translate", text(&recipe.prompts.translate)),
    ];
    gguf.metadata
        .extend(more.map(|(key, value)| (key.to_owned(), value)));
    gguf
}

/// Trains a fresh network on generated texts.
fn supervised(
    model: &Model,
    lesson: Lesson,
    recipe: &Recipe,
    start: &Path,
    out: &Path,
    progress: &mut dyn FnMut(Event),
) -> Result<Json> {
    let tokenizer = Tokenizer::open(start, Task::Math)?;
    let problems = lessons(
        lesson,
        &recipe.prompts,
        &tokenizer,
        recipe.seed,
        model.tokens,
        model.learn_prompt,
    )?;
    let options = model.training(recipe.seed, start.to_owned(), out.to_owned());
    run(&options, &problems, &Rendered(&tokenizer), progress)
}

/// Trains, and says what came of it: the summary, and the curve in at most 60 points.
fn run(
    options: &train::Options,
    problems: &[pairs::Problem],
    tokenize: &dyn train::Tokenize,
    progress: &mut dyn FnMut(Event),
) -> Result<Json> {
    let summary = train::run(options, problems, tokenize, &mut |event| {
        match event {
            train::Event::Step(metrics) => progress(Event::Step(metrics)),
            train::Event::Evaluation(step, found) => progress(Event::Evaluation(step, found)),
            train::Event::Warning(text) => progress(Event::Warning(&text)),
        }
        ControlFlow::Continue(())
    })?;
    let metrics = beside(&options.out, ".train").join("metrics.jsonl");
    let lines: Vec<Json> = read(&metrics)?
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let seconds: f64 = lines
        .iter()
        .filter_map(|line| line["seconds"].as_f64())
        .sum();
    let tokens: u64 = lines
        .iter()
        .filter_map(|line| line["tokens"].as_u64())
        .sum();
    let losses: Vec<(u64, f64)> = lines
        .iter()
        .filter_map(|line| Some((line["step"].as_u64()?, line["loss"].as_f64()?)))
        .collect();
    // The mean over each stretch: single steps jump.
    let curve: Vec<Json> = losses
        .chunks(losses.len().div_ceil(60).max(1))
        .map(|stretch| {
            let sum: f64 = stretch.iter().map(|(_, loss)| loss).sum();
            let mean = sum / stretch.len() as f64;
            json!([stretch[stretch.len() - 1].0, (mean * 1e4).round() / 1e4])
        })
        .collect();
    Ok(
        json!({"summary": summary, "tokens": tokens, "training_seconds": seconds.round(), "loss": curve}),
    )
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::read(path))
}
