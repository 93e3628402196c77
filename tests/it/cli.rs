//! The binary from outside: what it prints, what it refuses, what it leaves behind.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rerank::{
    builtin::embedded,
    model::{
        gguf::{Gguf, Precision},
        manifest::Role,
    },
};
use serde_json::Value;
use tempfile::tempdir;

use crate::{gguf::shared, llama::write_tiny};

pub const DEMO: &str = "eval/samples/gsm8k-faithful-cot.jsonl.gz";

pub fn rerank(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rerank"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap()
}

pub fn stdout(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Checks that a command fails with exactly one sentence and prints nothing else.
#[track_caller]
pub fn refuses(arguments: &[&str], code: i32, expected: &str) {
    let output = rerank(arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(output.stdout.is_empty());
    assert!(message.contains(expected), "{message}");
    if code == 1 {
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_recorded_question_is_solved_and_shown() {
    let question = "A robe takes 2 bolts of blue fiber and half that much white fiber.  How many bolts in total does it take?";
    let folder = tempdir().unwrap();
    let recording = folder.path().join("robe.jsonl");
    let rows = serde_json::json!({ "question": question, "gold": "3", "samples": [
        { "model": "m", "kind": "cot", "text": "It takes 2/2 = 1 bolt of white. 2 + 1 = 3. The answer is 3." },
        { "model": "m", "kind": "cot", "text": "2 + 2 = 4. The answer is 4." },
        { "model": "m", "kind": "cot", "text": "Twice 2 is 4. The answer is 4." },
        { "model": "m", "kind": "pot", "text": "white = 2 / 2\nanswer = 2 + white" },
        { "model": "m", "kind": "pot", "text": "print(2 + 2 / 2)" },
        { "model": "m", "kind": "pot", "text": "print(2 + half)" },
    ]});
    fs::write(&recording, rows.to_string()).unwrap();

    let shown = stdout(&rerank(&["solve", question, "--replay", text(&recording)]));
    let answer =
        "answer: 3   (by majority+soft; 1 of 3 candidates say so, the programs of 1 agree)";
    assert!(shown.contains(answer), "{shown}");
    let printed = stdout(&rerank(&[
        "solve",
        question,
        "--replay",
        text(&recording),
        "--json",
    ]));
    let trace: Value = serde_json::from_str(&printed).unwrap();
    let of_candidates = |field: &str| -> Vec<Value> {
        trace["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one[field].clone())
            .collect()
    };
    assert_eq!(of_candidates("verdict"), ["agrees", "disagrees", "unclear"]);
    assert_eq!(
        of_candidates("verdict_reason"),
        [Value::Null, Value::Null, "raised".into()]
    );
    assert_eq!(trace["candidates"][2]["execution"]["outcome"], "raised");
    assert_eq!(trace["candidates"][0]["execution"]["value"], "3.0");
    assert_eq!(trace["answer"], "3");
    assert_eq!(trace["ranking"], serde_json::json!([0, 2, 1]));
    // Without the filter the majority is wrong.
    let unfiltered = stdout(&rerank(&[
        "solve",
        question,
        "--replay",
        text(&recording),
        "--filter",
        "off",
    ]));
    let answer = "answer: 4   (by majority; 2 of 3 candidates say so, the programs of 0 agree)";
    assert!(unfiltered.contains(answer), "{unfiltered}");
}

#[test]
fn questions_come_from_standard_input_and_empty_ones_are_refused() {
    let question =
        fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/samples/question.txt"));
    let output = Command::new(env!("CARGO_BIN_EXE_rerank"))
        .args(["solve", "-", "--replay", DEMO, "--json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(question.unwrap())
        .output()
        .unwrap();
    let trace: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(trace["answer"], "18");
    refuses(
        &["solve", "Write f.", "--example", "assert f(1) == 1"],
        1,
        "add --task code",
    );
    let folder = tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    let row = |question: &str| serde_json::json!({"question": question, "answer": "3"}).to_string();
    fs::write(&rows, row("1 + 2?") + "\n" + &row(" ") + "\n").unwrap();
    refuses(
        &[
            "eval",
            "eval/generated.toml",
            "--data",
            text(&rows),
            "--reasoner",
            "builtin",
        ],
        1,
        "line 2: the question is empty",
    );
}

#[test]
fn readme_shows_what_the_program_prints() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let question = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/eval/samples/question.txt"
    ))
    .unwrap();
    let printed = stdout(&rerank(&["solve", "--replay", DEMO, question.trim_end()]));
    let (shown, _timings) = printed.split_once("programs: ").unwrap();
    assert!(
        readme.contains(shown),
        "README.md does not show this:\n{shown}"
    );
}

#[test]
fn a_live_model_samples_translates_and_scores() {
    let folder = tempdir().unwrap();
    let model = write_tiny(folder.path(), &[]);
    let arguments = [
        "solve",
        "How many?",
        "-n",
        "64",
        "--max-tokens",
        "6",
        "--json",
        "--seed",
        "3",
    ];
    let models = [
        "--reasoner",
        text(&model),
        "--coder",
        text(&model),
        "--verifier",
        text(&model),
    ];
    let arguments = [&arguments[..], &models[..]].concat();
    let solve = || serde_json::from_str::<Value>(&stdout(&rerank(&arguments))).unwrap();
    let trace = solve();
    let candidates = trace["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 64);
    assert!(
        candidates
            .iter()
            .all(|one| one["score"].as_f64().unwrap() < 0.0)
    );
    assert!(
        candidates
            .iter()
            .all(|one| one["program"].is_string() && one["execution"]["fuel"].is_u64())
    );
    // The prompt once: the question, the instruction and their line ends, a byte a token, and BOS.
    let prompt = trace["tokens"]["prompt"].as_u64().unwrap();
    assert!((60..200).contains(&prompt), "{prompt} prompt tokens");
    let without_clock = |mut trace: Value| {
        trace["timings_ms"].take();
        for candidate in trace["candidates"].as_array_mut().unwrap() {
            candidate["execution"]["ms"].take();
        }
        trace
    };
    assert_eq!(without_clock(trace), without_clock(solve()));
}

#[test]
fn the_demo_recording_is_evaluated_recorded_and_resumed() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = [
        "eval",
        "gsm8k",
        "--replay",
        DEMO,
        "--out",
        text(&out),
        "--json",
    ];
    let summary: Value = serde_json::from_str(&stdout(&rerank(&arguments))).unwrap();
    assert_eq!(summary["problems"], 102);
    assert_eq!(json(&out.join("summary.json")), summary);
    let share = |pointer: &str| summary.pointer(pointer).unwrap().as_f64().unwrap();
    let (mean, oracle) = (share("/mean_sample/value"), share("/oracle/value"));
    let (majority, filtered) = (
        share("/selectors/0/accuracy/value"),
        share("/selectors/1/accuracy/value"),
    );
    assert!(
        mean < majority && majority <= filtered && filtered < oracle,
        "{summary:#}"
    );

    // A run that was killed while it wrote its 41st line goes on, and ends with the same lines.
    let traces = out.join("traces.jsonl");
    let without_clock = |path: &Path| -> Vec<Value> {
        let lines = fs::read_to_string(path).unwrap();
        let parse = |line: &str| {
            let mut trace: Value = serde_json::from_str(line).unwrap();
            trace["timings_ms"].take();
            for candidate in trace["candidates"].as_array_mut().unwrap() {
                candidate["execution"]["ms"].take();
            }
            trace
        };
        lines.lines().map(parse).collect()
    };
    let whole = without_clock(&traces);
    let lines = fs::read_to_string(&traces).unwrap();
    let cut: String = lines
        .lines()
        .take(40)
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        + "{\"id\":\"5";
    fs::write(&traces, cut).unwrap();
    stdout(&rerank(&arguments));
    assert_eq!(without_clock(&traces), whole);

    let other = [&arguments[..], &["--seed", "9"]].concat();
    refuses(&other, 1, "holds another run (seed is 0 there and 9 here)");
}

#[test]
fn gpt4s_programs_give_what_was_recorded() {
    let (Some(rows), Some(samples)) = (
        shared("gsm8k/test.jsonl"),
        shared("samples/gsm8k_gpt4_cot_pot.jsonl.gz"),
    ) else {
        return;
    };
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = [
        "eval",
        "gsm8k",
        "--data",
        text(&rows),
        "--replay",
        text(&samples),
        "--out",
        text(&out),
        "--json",
    ];
    let summary: Value = serde_json::from_str(&stdout(&rerank(&arguments))).unwrap();
    assert_eq!(summary["problems"], 1319);
    let share = |pointer: &str| summary.pointer(pointer).unwrap().as_f64().unwrap();
    // Measured when the recording was staged, with another grader: 95.0, 96.1 and 97.6 %.
    assert!(
        (share("/mean_sample/value") - 0.950).abs() < 0.005,
        "{summary:#}"
    );
    assert!(
        (share("/selectors/0/accuracy/value") - 0.961).abs() < 0.006,
        "{summary:#}"
    );
    assert!(
        (share("/oracle/value") - 0.976).abs() < 0.005,
        "{summary:#}"
    );
    // 11 when this was written: five programs import numpy, five leave a tuple of which the
    // source recorded the first entry, and one uses a name it never set.
    let (missed, all) = recorded_values_reproduced(&out.join("traces.jsonl"), &samples);
    assert!(
        all > 7_000 && missed * 500 <= all,
        "{missed} of {all} recorded values missed"
    );
}

/// Of the recorded program results (those that are numbers), how many the sandbox did not
/// reproduce, and how many there are.
fn recorded_values_reproduced(traces: &Path, samples: &Path) -> (usize, usize) {
    let mut unpacked = String::new();
    let mut reader = flate2::read::GzDecoder::new(fs::File::open(samples).unwrap());
    std::io::Read::read_to_string(&mut reader, &mut unpacked).unwrap();
    let (mut missed, mut all) = (0, 0);
    for (row, trace) in unpacked
        .lines()
        .zip(fs::read_to_string(traces).unwrap().lines())
    {
        let (row, trace): (Value, Value) = (
            serde_json::from_str(row).unwrap(),
            serde_json::from_str(trace).unwrap(),
        );
        let programs = row["samples"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|sample| sample["kind"] == "pot");
        for (sample, candidate) in programs.zip(trace["candidates"].as_array().unwrap()) {
            let Some(recorded) = sample["answer"].as_f64() else {
                continue;
            };
            all += 1;
            let value = candidate["execution"]["value"]
                .as_str()
                .and_then(|value| value.parse::<f64>().ok());
            let same = value
                .is_some_and(|value| (value - recorded).abs() <= 1e-6 * recorded.abs().max(1.0));
            if !same {
                missed += 1;
                eprintln!(
                    "{}: {recorded} recorded, {} here",
                    trace["id"], candidate["execution"]
                );
            }
        }
    }
    (missed, all)
}

#[test]
fn answers_are_graded_in_order_and_one_bad_line_stops_nothing() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("pairs.jsonl");
    let lines = "{\"gold\": \"\\\\frac{1}{2}\", \"answer\": \"so it is \\\\boxed{0.5}\"}\nnot json\n{\"gold\": \"18\", \"answer\": \"17\"}\n";
    fs::write(&file, lines).unwrap();
    let graded = stdout(&rerank(&["grade", text(&file)]));
    let rows: Vec<Value> = graded
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        (&rows[0]["equal"], &rows[2]["equal"]),
        (&true.into(), &false.into())
    );
    assert!(
        rows[1]["error"].as_str().unwrap().starts_with(
            "a line must be an object with \"gold\" and \"answer\", and this is no JSON"
        )
    );
}

#[test]
fn a_byte_that_is_no_text_costs_one_line_and_a_file_of_bad_lines_is_an_error() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("pairs.jsonl");
    let good = "{\"gold\": \"18\", \"answer\": \"18\"}\n".as_bytes();
    let bad = b"\xef\xbb\xbf{\"gold\": \"\xff\", \"answer\": \"1\"}\r\n\r\n";
    fs::write(&file, [bad, good].concat()).unwrap();
    let graded = stdout(&rerank(&["grade", text(&file)]));
    let rows: Vec<Value> = graded
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows[0]["error"], "this is not UTF-8 (from byte 11)");
    assert_eq!((rows.len(), &rows[1]["equal"]), (2, &true.into()));

    fs::write(&file, [bad.as_slice(), b"7\n"].concat()).unwrap();
    let output = rerank(&["grade", text(&file)]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        message.contains("none of its 2 lines can be graded; line 1: this is not UTF-8"),
        "{message}"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
}

#[test]
fn an_answer_recorded_apart_from_the_text_is_the_candidates() {
    let folder = tempdir().unwrap();
    let recording = folder.path().join("samples.jsonl");
    let samples = serde_json::json!([
        { "kind": "cot", "text": "Take 3 of the 10 away.", "answer": "7" },
        { "kind": "cot", "text": "Half of 14.", "answer": 7.0 },
        { "kind": "cot", "text": "The answer is 8.", "answer": "7" },
        { "kind": "cot", "text": "It must be 9.", "answer": "[invalid]" },
        { "kind": "pot", "text": "answer = 10 - 3", "answer": 7 },
    ]);
    let row = serde_json::json!({ "question": "Q?", "gold": "7", "samples": samples });
    fs::write(&recording, row.to_string()).unwrap();
    let arguments = ["solve", "Q?", "--replay", text(&recording), "--json"];
    let trace: Value = serde_json::from_str(&stdout(&rerank(&arguments))).unwrap();
    let answers = trace["candidates"].as_array().unwrap().iter();
    let answers: Vec<&Value> = answers.map(|one| &one["answer"]).collect();
    assert_eq!(answers, ["7", "7.0", "8", "9"]);
    assert_eq!(
        trace["candidates"][0]["text"],
        "Take 3 of the 10 away.\nThe answer is 7."
    );
}

#[test]
fn programs_run_alone_or_by_the_line() {
    let folder = tempdir().unwrap();
    let program = folder.path().join("p.py");
    fs::write(&program, "def solution():\n    return sum(range(10))\n").unwrap();
    assert_eq!(stdout(&rerank(&["sandbox", "run", text(&program)])), "45\n");
    let batch = folder.path().join("programs.jsonl");
    fs::write(
        &batch,
        "{\"program\": \"print(6*7)\"}\n{\"program\": \"1/0\"}\n",
    )
    .unwrap();
    let rows = stdout(&rerank(&["sandbox", "run", "--batch", text(&batch)]));
    let rows: Vec<Value> = rows
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&rows[0]["value"], &rows[1]["outcome"]),
        (&"42".into(), &"raised".into())
    );
}

#[test]
fn bad_input_gets_one_sentence() {
    let folder = tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let model = write_tiny(folder.path(), &[]);
    let model = text(&model);
    let out = path("out");

    refuses(
        &["solve", "How many?", "--reasoner", "absent.gguf"],
        1,
        "model absent.gguf: there is no such file",
    );
    refuses(
        &["solve", "How many?", "--reasoner", DEMO],
        1,
        "it is not a GGUF file",
    );
    refuses(
        &["solve", " ", "--reasoner", model],
        1,
        "question 1: it is empty",
    );
    refuses(
        &["solve", &"long ".repeat(400), "--reasoner", model],
        1,
        "tokens, its context allows 512",
    );
    refuses(
        &["solve", "How many?", "--replay", "absent.jsonl"],
        1,
        "cannot read absent.jsonl",
    );
    refuses(
        &["solve", "Never recorded?", "--replay", DEMO],
        1,
        "holds no samples for it",
    );
    refuses(
        &[
            "solve",
            "How many?",
            "--reasoner",
            model,
            "--select",
            "verifier",
        ],
        1,
        "needs a verifier",
    );
    refuses(
        &["solve", "How many?", "-n", "0"],
        2,
        "0 is not in 1..=4096",
    );
    refuses(
        &["eval", "gsm9k", "--replay", DEMO],
        1,
        "unknown benchmark \"gsm9k\"; known: gsm8k, ",
    );
    refuses(
        &["eval", "addsub", "--reasoner", model, "--out", text(&out)],
        1,
        "the manifest of addsub does not say where its rows can be had: give --data FILE",
    );
    assert!(!out.exists(), "a refused run leaves no folder behind");

    fs::write(path("rows.jsonl"), "{\"question\": \"Why?\"}\n").unwrap();
    let rows = path("rows.jsonl");
    refuses(
        &["eval", "gsm8k", "--data", text(&rows), "--reasoner", model],
        1,
        "line 1: there is no field \"answer\"",
    );
    fs::write(path("broken.toml"), "name = \"x\"\n").unwrap();
    let manifest = path("broken.toml");
    refuses(
        &["eval", text(&manifest), "--replay", DEMO],
        1,
        "missing field",
    );
}

#[test]
fn a_broken_line_of_a_recording_is_named_and_the_rest_is_used() {
    let folder = tempdir().unwrap();
    let recording = folder.path().join("samples.jsonl");
    let good = |id: u32| {
        format!(
            "{{\"id\": {id}, \"question\": \"Q{id}?\", \"gold\": \"{id}\", \"samples\": [{{\"kind\": \"cot\", \"text\": \"The answer is {id}.\"}}]}}\n"
        )
    };
    fs::write(
        &recording,
        good(1) + "{\"id\": 2, \"question\": \n" + &good(3),
    )
    .unwrap();
    let output = rerank(&["eval", "gsm8k", "--replay", text(&recording), "--json"]);
    let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(summary["problems"], 2);
    let warning = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warning.contains("samples.jsonl, line 2: "), "{warning}");
}

/// Recorded samples whose right solutions are certain of themselves, which a tiny model can learn.
fn recorded_sums(from: usize, to: usize) -> String {
    let row = |i: usize| {
        let (a, b) = (3 + i * 7 % 11, 2 + i * 5 % 13);
        let samples: Vec<Value> = [("It is", 0), ("So", 0), ("Maybe", 1), ("Or", 2)]
            .iter()
            .map(|(word, off)| {
                let sum = (a + b + off).to_string();
                serde_json::json!({ "model": word, "text": format!("{word} {sum}."), "answer": sum })
            })
            .collect();
        let question = format!("What is {a} + {b}?");
        format!(
            "{}\n",
            serde_json::json!({ "question": question, "gold": (a + b).to_string(), "samples": samples })
        )
    };
    (from..to).map(row).collect()
}

#[test]
fn a_verifier_trained_from_recorded_samples_prefers_right_solutions_it_never_saw() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let base = write_tiny(folder.path(), &[]);
    let base = text(&base);
    fs::write(path("samples.jsonl"), recorded_sums(0, 30)).unwrap();

    let made = stdout(&rerank(&[
        "pairs",
        &path("samples.jsonl"),
        "--out",
        &path("pairs.jsonl"),
        "--json",
    ]));
    let statistics: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(
        (&statistics["mixed"], &statistics["pairs"]),
        (&30.into(), &114.into()),
        "{statistics}"
    );

    for objective in ["simpo", "orm", "dpo"] {
        let out = path(&format!("{objective}.gguf"));
        let pairs = path("pairs.jsonl");
        let train = [
            "train-verifier",
            "--pairs",
            &pairs,
            "--base",
            base,
            "--out",
            &out,
            "--objective",
            objective,
        ];
        let how = [
            "--lr",
            "3e-3",
            "--epochs",
            "6",
            "--batch",
            "16",
            "--precision",
            "f32",
            "--json",
        ];
        let summary: Value =
            serde_json::from_str(&stdout(&rerank(&[&train[..], &how[..]].concat()))).unwrap();
        assert_eq!(summary["finished"], true, "{summary}");

        // Sums of which neither pair nor held-out problem knew.
        let rows: String = recorded_sums(40, 50)
            .lines()
            .map(|line| {
                let row: Value = serde_json::from_str(line).unwrap();
                let texts: Vec<&Value> = row["samples"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| &one["text"])
                    .collect();
                format!(
                    "{}\n",
                    serde_json::json!({ "question": row["question"], "candidates": texts })
                )
            })
            .collect();
        fs::write(path("unseen.jsonl"), rows).unwrap();
        let verifier = format!("{base}+{out}");
        let unseen = path("unseen.jsonl");
        let score = ["score", &unseen, "--verifier", &verifier];
        let scored = stdout(&rerank(&score));
        // What a verifier was trained for is what it scores by.
        if objective == "dpo" {
            let ratio = [&score[..], &["--reward", "sum", "--minus-base"]].concat();
            assert_eq!(scored, stdout(&rerank(&ratio)));
            let own = [&score[..], &["--minus-base"]].concat();
            assert_eq!(scored, stdout(&rerank(&own)));
            let sum = [&score[..], &["--reward", "sum"]].concat();
            assert_ne!(scored, stdout(&rerank(&sum)));
        }
        let right = scored.lines().filter(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let scores: Vec<f64> = row["scores"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one.as_f64().unwrap())
                .collect();
            scores[0].max(scores[1]) > scores[2].max(scores[3])
        });
        assert!(right.count() >= 9, "{objective}: {scored}");
    }
}

#[test]
fn a_run_is_continued_only_as_itself_and_by_one_process() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let recording = |gold: u32| {
        format!(
            "{{\"id\": 1, \"question\": \"Q?\", \"gold\": {gold}, \"samples\": [{{\"kind\": \"cot\", \"text\": \"The answer is 7.\"}}]}}\n"
        )
    };
    fs::write(path("seven.jsonl"), recording(7)).unwrap();
    fs::write(
        path("rows.jsonl"),
        "{\"question\": \"Q?\", \"answer\": \"#### 7\"}\n",
    )
    .unwrap();
    fs::write(
        path("other.jsonl"),
        "{\"question\": \"Q?\", \"answer\": \"#### 9\"}\n",
    )
    .unwrap();
    let (replay, out) = (path("seven.jsonl"), path("run"));
    let of = |rows: &str| {
        let rows = path(rows);
        [
            "eval", "gsm8k", "--replay", &replay, "--data", &rows, "--force", "--out", &out,
        ]
        .map(str::to_owned)
    };
    let first = of("rows.jsonl");
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    stdout(&rerank(&first));

    // The same questions with other gold answers are another run.
    let second = of("other.jsonl");
    let second: Vec<&str> = second.iter().map(String::as_str).collect();
    refuses(&second, 1, "holds another run (problems_sha256 is ");

    let lock = fs::File::create(path("run/run.lock")).unwrap();
    lock.lock().unwrap();
    refuses(&first, 1, "another rerank is writing into");

    let twice = fs::read_to_string(path("seven.jsonl")).unwrap();
    fs::write(path("twice.jsonl"), twice.repeat(2)).unwrap();
    refuses(
        &["eval", "gsm8k", "--replay", &path("twice.jsonl")],
        1,
        "question 1: two problems have this id",
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rerank"))
        .args(["eval", "gsm8k", "--replay", DEMO, "--limit", "2"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn a_cache_folder_that_cannot_be_made_is_said_with_the_way_out() {
    let output = Command::new(env!("CARGO_BIN_EXE_rerank"))
        .args(["solve", "1 + 1 = ?"])
        .env(
            "XDG_CACHE_HOME",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"),
        )
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("set XDG_CACHE_HOME to a folder"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
}

/// The sandbox refuses a cache that others can write, and many systems make folders so.
#[cfg(unix)]
#[test]
fn the_cache_folder_is_its_users_alone_whatever_the_umask() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempdir().unwrap();
    let listed = Command::new("sh")
        .args(["-c", "umask 002 && exec \"$0\" models list"])
        .arg(env!("CARGO_BIN_EXE_rerank"))
        .env("XDG_CACHE_HOME", folder.path().join("new"))
        .output()
        .unwrap();
    stdout(&listed);
    let cache = fs::metadata(folder.path().join("new/rerank")).unwrap();
    assert_eq!(cache.mode() & 0o777, 0o700);
    if embedded::bytes(Role::Coder).is_some() {
        let other = folder.path().join("other");
        embedded::file(Role::Coder, &other).unwrap();
        assert_eq!(fs::metadata(other).unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
fn scores_that_are_not_numbers_are_null_and_said() {
    let folder = tempdir().unwrap();
    let base = write_tiny(folder.path(), &[]);
    let mut damaged = Gguf::read(&base).unwrap();
    let norm = damaged.tensors.iter_mut();
    let norm = norm.filter(|tensor| tensor.name == "output_norm.weight");
    norm.for_each(|tensor| tensor.values[0] = f32::NAN);
    damaged.write(&base, Precision::F32).unwrap();
    let rows = folder.path().join("rows.jsonl");
    fs::write(
        &rows,
        "{\"question\": \"2 + 2?\", \"candidates\": [\"It is 4.\", \"It is 5.\"]}\n",
    )
    .unwrap();
    let scored = stdout(&rerank(&["score", text(&rows), "--verifier", text(&base)]));
    let row: Value = serde_json::from_str(&scored).unwrap();
    assert_eq!(row["scores"], serde_json::json!([null, null]));
    assert_eq!(
        row["error"],
        "2 of 2 scores are not numbers: the verifier's weights are damaged"
    );
}

#[test]
fn pairs_compare_a_runs_answers_by_its_own_rule() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let recording = |question: &str| {
        format!(
            "{{\"question\": \"{question}\", \"gold\": 7, \"samples\": [{{\"kind\": \"cot\", \"text\": \"The answer is 7.\"}}, {{\"kind\": \"cot\", \"text\": \"The answer is 9.\"}}]}}\n"
        )
    };
    // Two runs whose traces say nothing of right and wrong; gold and answers are letters.
    for (run, rule) in [("letters", "choice"), ("numbers", "number")] {
        let file = path(&format!("{run}.jsonl"));
        fs::write(&file, recording(run)).unwrap();
        let out = path(run);
        stdout(&rerank(&[
            "eval", "gsm8k", "--replay", &file, "--out", &out,
        ]));
        let traces = PathBuf::from(path(run)).join("traces.jsonl");
        let mut trace = json(&traces);
        trace["reference"]["answer"] = "B".into();
        for (place, answer) in [(0, "B) twelve"), (1, "A) ten")] {
            let candidate = trace["candidates"][place].as_object_mut().unwrap();
            assert_eq!(candidate.remove("correct"), Some((place == 0).into()));
            candidate["answer"] = answer.into();
        }
        fs::write(&traces, format!("{trace}\n")).unwrap();
        let description = PathBuf::from(path(run)).join("run.json");
        let mut run = json(&description);
        assert_eq!(run["answers"], "number");
        run["answers"] = rule.into();
        fs::write(&description, run.to_string()).unwrap();
    }
    let out = path("pairs.jsonl");
    let (letters, numbers) = (path("letters"), path("numbers"));
    let both = ["pairs", &letters, &numbers, "--out", &out, "--json"];
    let statistics: Value = serde_json::from_str(&stdout(&rerank(&both))).unwrap();
    assert_eq!(
        [
            &statistics["problems"],
            &statistics["mixed"],
            &statistics["pairs"]
        ],
        [2, 1, 1],
        "{statistics}"
    );
    let row = json(Path::new(&out));
    assert_eq!(
        (&row["prompt"], &row["chosen"]),
        (&"letters".into(), &"The answer is 7.".into())
    );
    // `--rule` is for recorded samples and changes nothing here.
    refuses(
        &["pairs", &numbers, "--rule", "choice", "--out", &out],
        1,
        "no pairs: none of 1 problems has both a correct and an incorrect solution",
    );
}

#[test]
fn texts_that_differ_in_white_space_are_duplicates_unless_exact() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let samples: Vec<Value> = ["It is 4.", "it  is 4.", "It is 5.", "It is 5."]
        .iter()
        .map(|text| serde_json::json!({ "text": text, "correct": text.ends_with("4.") }))
        .collect();
    let row = serde_json::json!({ "question": "2 + 2?", "samples": samples });
    fs::write(path("samples.jsonl"), row.to_string()).unwrap();
    let (samples, out) = (path("samples.jsonl"), path("pairs.jsonl"));
    for (more, pairs, surviving) in [(vec![], 1, 0.5), (vec!["--exact"], 2, 0.75)] {
        let arguments = [vec!["pairs", &samples, "--out", &out, "--json"], more].concat();
        let statistics: Value = serde_json::from_str(&stdout(&rerank(&arguments))).unwrap();
        assert_eq!(
            (&statistics["pairs"], &statistics["surviving"]),
            (&pairs.into(), &surviving.into())
        );
    }
}

#[test]
fn what_no_pair_is_made_of_is_counted_and_a_failed_write_leaves_nothing() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let row = |question: &str, gold: Value| {
        let samples =
            [2, 3].map(|n| serde_json::json!({ "text": format!("It is {n}."), "answer": n }));
        serde_json::json!({ "question": question, "gold": gold, "samples": samples }).to_string()
    };
    let rows = [
        row("Q?", 2.into()),
        row("Q?", 3.into()),
        row("R?", 2.into()),
        row("R?", "2.0".into()),
    ];
    let (samples, out) = (path("samples.jsonl"), path("pairs.jsonl"));
    fs::write(&samples, rows.join("\n")).unwrap();
    let made = stdout(&rerank(&["pairs", &samples, "--out", &out]));
    assert!(
        made.contains("1 pairs of 1 problems")
            && made.contains("1 problems whose gold answers disagree"),
        "{made}"
    );
    let pair = json(Path::new(&out));
    assert_eq!(
        (&pair["prompt"], &pair["chosen"]),
        (&"R?".into(), &"It is 2.".into())
    );
    let unknown = path("unknown.jsonl");
    fs::write(&unknown, row("Q?", Value::Null)).unwrap();
    refuses(
        &["pairs", &unknown, "--out", &out],
        1,
        "no pairs: none of 1 problems has both a correct and an incorrect solution (left out: 2 without a text or a label",
    );
    let taken = path("taken");
    fs::create_dir(&taken).unwrap();
    refuses(&["pairs", &samples, "--out", &taken], 1, "cannot write");
    let left = fs::read_dir(folder.path()).unwrap();
    let left = left.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn an_option_of_another_objective_is_refused() {
    for option in [&["--hinge"][..], &["--gamma-ratio", "0.5"]] {
        let train = [
            "train-verifier",
            "--pairs",
            "x",
            "--base",
            DEMO,
            "--out",
            "y",
        ];
        let arguments = [&train[..], &["--objective", "dpo"], option].concat();
        let says = format!("{} has no meaning for --objective dpo", option[0]);
        refuses(&arguments, 1, &says);
    }
}

#[test]
fn an_option_that_a_command_does_not_use_is_refused() {
    let refuses_option = |command: &[&str], option: &[&str]| {
        let says = format!("'{}", option[0]);
        refuses(&[command, option].concat(), 2, &says);
    };
    // Scores depend on no company, and a recording holds what it holds.
    let rescore = ["rescore", "x", "--verifier", "builtin", "--out", "y"];
    for scores in [&["score", "x", "--verifier", "builtin"][..], &rescore] {
        refuses_option(scores, &["--deterministic"]);
    }
    let replay = ["solve", "Q?", "--replay", DEMO];
    for option in [
        &["--deterministic"][..],
        &["--threads", "2"],
        &["--kv-budget", "9"],
        &["--temperature", "1"],
        &["--max-tokens", "9"],
    ] {
        refuses_option(&replay, option);
    }
}

#[test]
fn pairs_cross_runs_of_the_same_problem() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let recording = |answer: u32| {
        format!(
            "{{\"id\": 1, \"question\": \"Q?\", \"gold\": 7, \"samples\": [{{\"kind\": \"cot\", \"text\": \"The answer is {answer}.\"}}]}}\n"
        )
    };
    for (run, answer) in [("right", 7), ("wrong", 9)] {
        let file = path(&format!("{run}.jsonl"));
        fs::write(&file, recording(answer)).unwrap();
        stdout(&rerank(&[
            "eval",
            "gsm8k",
            "--replay",
            &file,
            "--out",
            &path(run),
        ]));
    }
    let arguments = [
        "pairs",
        &path("right"),
        &path("wrong"),
        "--out",
        &path("pairs.jsonl"),
        "--cross-model",
        "--json",
    ];
    let statistics: Value = serde_json::from_str(&stdout(&rerank(&arguments))).unwrap();
    assert_eq!(
        (&statistics["problems"], &statistics["pairs"]),
        (&1.into(), &1.into()),
        "{statistics}"
    );
    // A folder named twice, by another path, counts once.
    let twice = path("right/../right");
    let again = [&arguments[..], &[&twice]].concat();
    let again: Value = serde_json::from_str(&stdout(&rerank(&again))).unwrap();
    assert_eq!(again["solutions"], statistics["solutions"]);
    let row = json(Path::new(&path("pairs.jsonl")));
    assert_eq!(
        (&row["chosen"], &row["rejected"]),
        (&"The answer is 7.".into(), &"The answer is 9.".into())
    );
    // A run's model is its reasoner, known by what is in it and not by the run's folder.
    let run = json(Path::new(&path("right/run.json")));
    assert_eq!(run["models"][0][0], "reasoner");
    assert_eq!(row["chosen_model"], run["models"][0][2]);
    // What is read is never written over, by whatever path it is named.
    let traces = fs::read(path("right/traces.jsonl")).unwrap();
    let (run, own, mine) = (
        path("right"),
        path("right/../right/traces.jsonl"),
        path("pairs.jsonl"),
    );
    let over: [&[&str]; 3] = [
        &["pairs", &run, "--out", &own],
        &["rescore", &run, "--verifier", "builtin", "--out", &twice],
        &[
            "train-verifier",
            "--base",
            "builtin",
            "--pairs",
            &mine,
            "--out",
            &mine,
        ],
    ];
    for arguments in over {
        refuses(arguments, 1, "which is read: choose another name");
    }
    // Nor is another run.
    refuses(
        &[
            "rescore",
            &path("wrong"),
            "--verifier",
            "builtin",
            "--out",
            &run,
        ],
        1,
        "holds another run (reasoner is ",
    );
    assert!(fs::read(path("right/traces.jsonl")).unwrap() == traces);
    // A recording reads no programs.
    let code = ["--task", "code", "--code-mode", "describe"];
    let recording = path("right.jsonl");
    let reading = [&["solve", "Q?", "--replay", &recording][..], &code].concat();
    refuses(
        &reading,
        1,
        "--code-mode describe needs models in place of --replay",
    );
}
