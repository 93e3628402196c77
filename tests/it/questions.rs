//! `rerank solve --questions`: many questions, a trace a line.
#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in #[test] functions, but their helpers fail as well"
)]

use std::{fs, path::Path};

use rerank::jsonl;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::cli::{DEMO, refuses, rerank, stdout, text};

/// So many questions of the recording.
fn recorded(count: usize) -> Vec<String> {
    let bytes = jsonl::read(Path::new(DEMO)).unwrap();
    let rows = jsonl::values(&bytes, Path::new(DEMO)).take(count);
    rows.map(|row| row.unwrap().1["question"].as_str().unwrap().to_owned())
        .collect()
}

fn solve<'a>(from: &'a Path, out: &'a Path) -> [&'a str; 7] {
    let [from, out] = [from, out].map(text);
    ["solve", "--questions", from, "--out", out, "--replay", DEMO]
}

fn traces(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What a trace says, without how long it took.
fn said(traces: &[Value]) -> Vec<[Value; 4]> {
    let fields =
        |trace: &Value| ["id", "question", "answer", "ranking"].map(|field| trace[field].clone());
    traces.iter().map(fields).collect()
}

#[test]
fn many_questions_are_answered_in_their_order_and_a_stopped_run_goes_on() {
    let folder = tempdir().unwrap();
    let [from, out] = ["questions.jsonl", "answers.jsonl"].map(|name| folder.path().join(name));
    let questions = recorded(12);
    let lines: Vec<String> = questions
        .iter()
        .enumerate()
        .map(|(place, question)| match place % 3 {
            0 => json!({ "question": question }).to_string(),
            1 => json!({ "question": question, "id": format!("q{place}") }).to_string(),
            _ => json!({ "question": question, "id": 100 + place, "level": 3 }).to_string(),
        })
        .collect();
    fs::write(&from, lines.join("\n")).unwrap();
    let arguments = solve(&from, &out);

    let printed = stdout(&rerank(&arguments));
    let answers = format!("{}: 12 questions, 12 of them with an answer\n", text(&out));
    assert_eq!(printed, answers);
    let whole = traces(&out);
    let ids: Vec<&str> = whole
        .iter()
        .map(|trace| trace["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "1", "q1", "102", "4", "q4", "105", "7", "q7", "108", "10", "q10", "111"
        ]
    );
    // As each is answered alone.
    for (trace, question) in whole.iter().zip(&questions).take(3) {
        let alone = stdout(&rerank(&["solve", question, "--replay", DEMO, "--json"]));
        let alone: Value = serde_json::from_str(&alone).unwrap();
        assert_eq!(trace["answer"], alone["answer"]);
        assert_eq!(
            trace["candidates"][0]["text"],
            alone["candidates"][0]["text"]
        );
    }

    // Stopped in the middle of a line, with lines in the order in which they were finished.
    let kept = fs::read_to_string(&out).unwrap();
    let kept: Vec<&str> = kept.lines().collect();
    let torn = &kept[9][..kept[9].len() / 2];
    fs::write(&out, format!("{}\n{}\n{torn}", kept[4], kept[0])).unwrap();
    let times = [&whole[0], &whole[4]].map(|trace| trace["timings_ms"].clone());
    assert_eq!(stdout(&rerank(&arguments)), answers);
    let again = traces(&out);
    assert_eq!(said(&again), said(&whole));
    // What was there was not solved again.
    assert_eq!(
        [&again[0], &again[4]].map(|trace| trace["timings_ms"].clone()),
        times
    );
    let before = fs::read(&out).unwrap();
    assert_eq!(stdout(&rerank(&arguments)), answers);
    assert_eq!(fs::read(&out).unwrap(), before);
    // A last line that lacks nothing but its end is kept.
    fs::write(&out, before.trim_ascii_end()).unwrap();
    assert_eq!(stdout(&rerank(&arguments)), answers);
    assert_eq!(fs::read(&out).unwrap(), before);

    let other = lines[4].replace("\"question\":\"", "\"question\":\"Please: ");
    fs::write(&from, other).unwrap();
    refuses(&arguments, 1, "answers another question with the id q4");
    assert_eq!(fs::read(&out).unwrap(), before);
}

#[test]
fn files_that_are_no_questions_or_no_answers_are_refused_and_left_as_they_are() {
    let folder = tempdir().unwrap();
    let [from, out] = ["questions.jsonl", "answers.jsonl"].map(|name| folder.path().join(name));
    let arguments = solve(&from, &out);
    for (lines, expected) in [
        ("", "holds no questions"),
        (
            "{\"question\": \"Q?\"}\n\n{\"question\": 3}",
            "line 3: a line must be {\"question\": TEXT}",
        ),
        ("[1]", "line 1: a line must be {\"question\": TEXT}"),
        ("{\"question\": \"Q?\"", "line 1: "),
        ("{\"question\": \" \"}", "line 1: the question is empty"),
        (
            "{\"question\": \"Q?\", \"id\": 2}\n{\"question\": \"R?\"}",
            "line 2: a line before has the id 2 too",
        ),
        (
            "{\"question\": \"f?\", \"examples\": [\"f(1)\"]}",
            "line 1: \"examples\" are for questions that ask for a program",
        ),
    ] {
        fs::write(&from, lines).unwrap();
        refuses(&arguments, 1, expected);
        assert!(!out.exists());
    }
    fs::write(&from, json!({ "question": recorded(1)[0] }).to_string()).unwrap();
    for others in [
        "my notes",
        "my notes\n",
        "{\"id\": 3}\n",
        "{\"i",
        "{\"name\": 3}",
        // Questions whose last line has no end.
        "{\"id\":\"a\",\"question\":\"Q?\"}",
        "{\"id\":5",
    ] {
        fs::write(&out, others).unwrap();
        let refused = others != "{\"i";
        if refused {
            refuses(&arguments, 1, "line 1: this is no trace");
            assert_eq!(fs::read_to_string(&out).unwrap(), others);
        } else {
            assert!(rerank(&arguments).status.success());
        }
    }
    refuses(
        &["solve", "--questions", text(&from), "--replay", DEMO],
        2,
        "--out",
    );
    refuses(
        &["solve", "Q?", "--out", text(&out)],
        2,
        "cannot be used with '--out",
    );
    refuses(
        &solve(&from, &from),
        1,
        "which is read: choose another name",
    );
}
