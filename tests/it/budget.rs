//! The key-value cache: what fits runs, what does not is refused with what would do.

use std::fs;

use rerank::model::{LanguageModel, LlamaCpp, llama::Resources, to_the_end};
use serde_json::json;
use tempfile::tempdir;

use crate::{
    cli::{refuses, rerank, stdout, text},
    llama::{question, quiet, request, short, tiny_model, write_tiny},
};

/// A stream of 256 cells of 2 layers x 2 heads x 16 numbers x 2 x 2 bytes.
const STREAM: u64 = 64 << 10;

#[test]
fn an_error_names_the_whole_budget_and_one_that_is_enough() {
    let folder = tempdir().unwrap();
    let model = write_tiny(folder.path(), &[]);
    let resources = Resources {
        threads: 1,
        kv_bytes_max: 300_000,
        kv_contexts: 3,
        gpu_layers: 0,
        deterministic: false,
    };
    let mut loaded = LlamaCpp::load(&model, None, resources).unwrap();
    let how_many = question("How many?");
    let drawn = loaded.generate(&[request(&how_many, 2, 0)], &short(1.0, 10), &quiet);
    let message = drawn.unwrap_err().to_string();
    assert!(
        message.contains(
            "131072 bytes of key-value cache are needed for a prompt and a sample of 22 tokens \
             together, and of the 300000 that are allowed it has one part in 3, "
        ),
        "{message}"
    );
    assert!(
        message.ends_with("allow 393216 with --kv-budget, or fewer tokens with --max-tokens"),
        "{message}"
    );

    // One model that draws and scores has two parts, and what the message says does.
    let model = text(&model);
    let solve = ["solve", "How many?", "--max-tokens", "10", "--json"];
    let both = ["--reasoner", model, "--verifier", model];
    let with = |budget| [&solve[..], &both, &["--kv-budget", budget]].concat();
    refuses(
        &with("100000"),
        1,
        "of the 100000 that are allowed it has one part in 2",
    );
    refuses(&with("262143"), 1, "allow 262144 with --kv-budget");
    stdout(&rerank(&with("262144")));

    // A reviewer is the reasoner at a second piece of work.
    refuses(
        &[
            "solve",
            "Double it.",
            "--task",
            "code",
            "--code-mode",
            "roundtrip",
            "--reasoner",
            model,
            "--max-tokens",
            "10",
            "--kv-budget",
            "100000",
        ],
        1,
        "of the 100000 that are allowed it has one part in 2",
    );
}

#[test]
fn two_models_that_score_share_the_budget() {
    let folder = tempdir().unwrap();
    let model = write_tiny(folder.path(), &[]);
    let other = folder.path().join("other.gguf");
    fs::copy(&model, &other).unwrap();
    let recording = folder.path().join("samples.jsonl");
    let row = json!({"id": 1, "question": "Q?", "gold": 7, "samples": [
        {"kind": "cot", "text": "The answer is 7."}, {"kind": "cot", "text": "The answer is 8."},
    ]});
    fs::write(&recording, row.to_string()).unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    let (run, out) = (text(&run), text(&out));
    stdout(&rerank(&[
        "eval",
        "gsm8k",
        "--replay",
        text(&recording),
        "--out",
        run,
    ]));
    let rescore = ["rescore", run, "--verifier", text(&model), "--out", out];
    let minus = ["--minus", text(&other)];
    // 256 cells of 32 bits, which fit one model's share of it all.
    let budget = ["--kv-budget", "131072"];
    refuses(
        &[&rescore[..], &minus, &budget].concat(),
        1,
        "of the 131072 that are allowed it has one part in 2",
    );
    stdout(&rerank(&[&rescore[..], &budget].concat()));
}

#[test]
fn a_budget_that_is_no_multiple_of_what_llama_cpp_rounds_to_is_used_as_far_as_it_goes() {
    let question = question("How many?");
    let request = request(&question, 0, 0);
    let texts: Vec<String> = (0..30)
        .map(|index| format!("{index:02}").repeat(30))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let scores = |cells: u64| {
        // Scores are summed over numbers of 32 bits.
        let (_folder, mut model) = tiny_model(cells * 512);
        model.score(&request, &texts, &to_the_end).unwrap().scores
    };
    assert_eq!(scores(1000), scores(1 << 20));
}

#[test]
fn a_request_that_fits_nowhere_does_not_stand_in_the_way_of_the_next() {
    let (_folder, mut model) = tiny_model(2 * STREAM);
    let question = question("How many?");
    let requests = [request(&question, 1, 0)];
    assert!(model.generate(&requests, &short(1.0, 300), &quiet).is_err());
    assert_eq!(model.pending(), 0);
    let drawn = model.generate(&requests, &short(1.0, 8), &quiet).unwrap();
    assert_eq!(drawn.generations[0].len(), 1);
}

#[test]
fn a_long_prompt_slows_down_none_that_come_after_it() {
    // Eight samples and their prompt, or three and theirs where a stream is twice as long.
    let (_folder, mut model) = tiny_model(9 * STREAM);
    let (long, brief) = (question(&"x".repeat(290)), question("How many?"));
    let sampling = short(1.0, 8);
    model.submit(&request(&long, 1, 0), &sampling).unwrap();
    model.submit(&request(&brief, 400, 0), &sampling).unwrap();
    let ends: Vec<usize> = (0..80).map(|_| model.step().unwrap().len()).collect();
    // What waits never comes to an end meanwhile.
    assert!(model.pending() > 8);
    assert!(ends.iter().max().unwrap() > &3, "{ends:?}");
}
