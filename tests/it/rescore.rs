//! `rerank rescore`: other scores for the same candidates, and what happens when it is stopped.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::tempdir;

use crate::cli::{json, refuses, rerank, stdout, text};

/// What the built-in verifier cannot read: its context is 512 tokens.
fn long() -> String {
    "A jar holds 17 marbles. ".repeat(200)
}

/// A run over two questions of which the second is longer than the built-in models' context.
fn write_run(folder: &Path) {
    let row = |id: u32, question: &str| {
        format!(
            "{{\"id\": {id}, \"question\": {question:?}, \"gold\": 7, \"samples\": [{{\"kind\": \"cot\", \
             \"text\": \"3 + 4 = 7. The answer is 7.\"}}, {{\"kind\": \"cot\", \"text\": \"The answer is 8.\"}}]}}\n"
        )
    };
    let recording = folder.join("recording.jsonl");
    let rows = row(1, "What is 3 + 4?") + &row(2, &long()) + &row(3, "Add 4 to 3.");
    fs::write(&recording, rows).unwrap();
    let out = folder.join("run");
    let arguments = ["eval", "gsm8k", "--replay", text(&recording), "--out"];
    stdout(&rerank(&[&arguments[..], &[text(&out)]].concat()));
}

fn scores(run: &Path) -> Vec<[Option<f64>; 2]> {
    let lines = fs::read_to_string(run.join("traces.jsonl")).unwrap();
    let score = |candidate: &Value| candidate["score"].as_f64();
    lines
        .lines()
        .map(|line| {
            let trace: Value = serde_json::from_str(line).unwrap();
            let candidates = trace["candidates"].as_array().unwrap();
            [score(&candidates[0]), score(&candidates[1])]
        })
        .collect()
}

#[test]
fn a_question_that_does_not_fit_has_no_scores_and_a_stopped_rescore_goes_on() {
    let folder = tempdir().unwrap();
    write_run(folder.path());
    let [run, out] = ["run", "out"].map(|name| folder.path().join(name));
    assert_eq!(scores(&run), [[None; 2]; 3]);
    let arguments = [
        "rescore",
        text(&run),
        "--verifier",
        "builtin",
        "--out",
        text(&out),
    ];
    let output = rerank(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("1 of 3 problems have candidates without a score"),
        "{said}"
    );
    assert!(stdout(&output).starts_with("3 problems in "));
    let whole = scores(&out);
    assert_eq!(whole[1], [None; 2]);
    assert!(whole[0].iter().chain(&whole[2]).all(Option::is_some));
    let models = json(&out.join("run.json"))["models"].clone();
    assert_eq!(models[2][0], "verifier", "{models}");

    // It is stopped in the middle of its second line, and again after the first.
    let path = out.join("traces.jsonl");
    let lines = fs::read_to_string(&path).unwrap();
    let first = lines.find('\n').unwrap() + 1;
    fs::write(&path, &lines[..first + 40]).unwrap();
    let output = rerank(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("was cut off (40 bytes)"), "{said}");
    assert_eq!(scores(&out), whole);
    assert_eq!(fs::read_to_string(&path).unwrap()[..first], lines[..first]);

    // What a base gives is taken away, and that is another run.
    let minus = ["--minus", "builtin"];
    refuses(
        &[&arguments[..], &minus].concat(),
        1,
        "holds another run (verifier is ",
    );
    let gains = folder.path().join("gains");
    let mut into = arguments;
    into[5] = text(&gains);
    stdout(&rerank(&[&into[..], &minus].concat()));
    // The built-in reasoner and verifier are not the same model.
    let [difference, none, _] = scores(&gains)[..] else {
        panic!("three problems");
    };
    assert!(difference[0].is_some_and(|gain| gain != 0.0 && gain.abs() < 50.0));
    assert_eq!(none, [None; 2]);
}
