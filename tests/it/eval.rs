//! Runs that are killed, cut off, shared out, or out of room: what is safe stays, and every way ends
//! in the same files.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::tempdir;

const DEMO: &str = "eval/samples/gsm8k-faithful-cot.jsonl.gz";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rerank"));
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

fn rerank(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

#[track_caller]
fn succeeds(arguments: &[&str]) -> Output {
    let output = rerank(arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[track_caller]
fn refuses(arguments: &[&str], expected: &str) {
    let output = rerank(arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(expected), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The traces of a run, in the order of the file, without what a clock measured.
fn traces(out: &Path) -> Vec<Value> {
    let lines = fs::read_to_string(out.join("traces.jsonl")).unwrap();
    let parse = |line: &str| {
        let mut trace: Value = serde_json::from_str(line).unwrap();
        trace["timings_ms"].take();
        for candidate in trace["candidates"].as_array_mut().unwrap() {
            if let Some(execution) = candidate["execution"].as_object_mut() {
                execution.remove("ms");
            }
        }
        trace
    };
    lines.lines().map(parse).collect()
}

/// A JSON file of a run, without what a clock measured.
fn json_file(path: &Path) -> Value {
    let mut value: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    without_clock(&mut value);
    value
}

fn without_clock(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.contains("seconds") && !name.contains("ms"));
            fields.values_mut().for_each(without_clock);
        }
        Value::Array(items) => items.iter_mut().for_each(without_clock),
        _ => {}
    }
}

/// A run in a process of its own, which writes into `out`.
fn start(out: &Path) -> Child {
    let mut command = command(&["eval", "gsm8k", "--replay", DEMO, "--out", text(out)]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn fifty_kills_at_random_moments_end_in_the_same_traces() {
    const KILLS: usize = 50;
    let folder = tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    succeeds(&["eval", "gsm8k", "--replay", DEMO, "--out", text(&whole)]);
    let file = killed.join("traces.jsonl");
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let all = bytes(&whole.join("traces.jsonl"));

    // A moment is a number of bytes written, so that a slow machine is killed as often as a fast one.
    let mut random = 20_261_120_u64;
    let (mut kills, mut cut_off) = (0, 0);
    for start_number in 0.. {
        random = rerank::model::seed_for(random, "moment", start_number);
        let left = all - bytes(&file).min(all);
        let moment = bytes(&file) + random % (left / 8).max(1);
        let mut run = start(&killed);
        while bytes(&file) <= moment && run.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_micros(100));
        }
        run.kill().unwrap();
        let output = run.wait_with_output().unwrap();
        if output.status.success() {
            // It was faster than the kill: on with a third of what it left.
            let lines = fs::read_to_string(&file).unwrap();
            let lines: Vec<&str> = lines.split_inclusive('\n').collect();
            fs::write(&file, lines[..lines.len() / 3].concat()).unwrap();
            assert!(start_number < 4 * KILLS, "{kills} kills");
            continue;
        }
        kills += 1;
        // A process that is killed while the system copies its line leaves a part of it. That
        // moment is too short to be hit by chance, so every fifth time it is made.
        if kills % 5 == 0 && bytes(&file) > 100 {
            let left = fs::read(&file).unwrap();
            let cut = left.len() - 1 - random as usize % 60;
            fs::write(&file, &left[..cut]).unwrap();
            cut_off += 1;
        }
        if kills == KILLS {
            break;
        }
    }
    let output = start(&killed).wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(traces(&killed), traces(&whole));
    for name in ["run.json", "summary.json"] {
        assert_eq!(json_file(&killed.join(name)), json_file(&whole.join(name)));
    }
    assert!(cut_off >= 8, "{cut_off}");
    let left = fs::read_dir(&killed)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    // A file that a killed process was writing under a temporary name may lie there still.
    let mut left: Vec<_> = left
        .filter(|name| !name.to_string_lossy().ends_with(".part"))
        .collect();
    left.sort();
    assert_eq!(
        left,
        [
            "report.html",
            "report.md",
            "run.json",
            "run.lock",
            "summary.json",
            "traces.jsonl"
        ]
    );
}

#[test]
fn a_line_that_was_cut_off_is_removed_and_said() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = [
        "eval",
        "gsm8k",
        "--replay",
        DEMO,
        "--limit",
        "5",
        "--out",
        text(&out),
    ];
    succeeds(&arguments);
    let (before, file) = (traces(&out), out.join("traces.jsonl"));
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(bytes.len() - 40);
    fs::write(&file, &bytes).unwrap();
    let output = succeeds(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("traces.jsonl was cut off (") && said.contains("done again"),
        "{said}"
    );
    assert_eq!(traces(&out), before);
    assert!(succeeds(&arguments).stderr.is_empty());

    // A line in the middle that is no trace was not left by a killed run: nothing is thrown away.
    let lines = fs::read_to_string(&file).unwrap();
    fs::write(&file, lines.replacen("\"candidates\"", "\"candid", 1)).unwrap();
    refuses(&arguments, "traces.jsonl, line 1: this is no trace");
}

#[test]
fn shards_merge_into_the_files_of_one_run() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let run = |more: &[&str], out: &str| {
        let out = path(out);
        let arguments = [
            "eval",
            "gsm8k",
            "--replay",
            DEMO,
            "--limit",
            "20",
            "--out",
            text(&out),
        ];
        [&arguments[..], more]
            .concat()
            .iter()
            .map(|one| (*one).to_owned())
            .collect::<Vec<_>>()
    };
    let done = |more: &[&str], out: &str| {
        let arguments = run(more, out);
        succeeds(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    };
    done(&[], "whole");
    for shard in ["1/3", "2/3", "3/3"] {
        done(&["--shard", shard], &shard.replace('/', "-"));
    }
    // A recording is known by what is in it, wherever it lies.
    let elsewhere = path("elsewhere.jsonl.gz");
    fs::copy(DEMO, &elsewhere).unwrap();
    let mut again = run(&[], "whole");
    *again.iter_mut().find(|one| *one == DEMO).unwrap() = text(&elsewhere).to_owned();
    succeeds(&again.iter().map(String::as_str).collect::<Vec<_>>());
    // One with nothing to do ends as well.
    done(&["--shard", "30/30"], "idle");
    let shards = ["3-3", "1-3", "2-3"].map(|name| path(name).to_str().unwrap().to_owned());
    let [third, first, second] = shards.each_ref().map(String::as_str);
    let merged = path("merged");
    let merge = |shards: &[&str], out: &Path| {
        let arguments = [&["eval", "merge"], shards, &["--out", text(out), "--json"]].concat();
        arguments
            .iter()
            .map(|one| (*one).to_owned())
            .collect::<Vec<_>>()
    };
    let refused = |shards: &[&str], out: &Path, expected: &str| {
        let arguments = merge(shards, out);
        refuses(
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
            expected,
        );
    };
    let arguments = merge(&[third, first, second], &merged);
    let printed = succeeds(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).stdout;
    for name in ["run.json", "summary.json"] {
        assert_eq!(
            json_file(&merged.join(name)),
            json_file(&path("whole").join(name)),
            "{name}"
        );
    }
    assert_eq!(traces(&merged), traces(&path("whole")));
    let mut printed: Value = serde_json::from_slice(&printed).unwrap();
    without_clock(&mut printed);
    assert_eq!(printed, json_file(&merged.join("summary.json")));

    let other = path("other");
    refused(&[first, second], &other, "shard 3/3 is missing");
    refused(
        &[first, second, second],
        &other,
        "is shard 2/3, which was given already",
    );
    refused(&[first, second, third], &merged, "holds traces already");
    refused(
        &[first, text(&path("whole"))],
        &other,
        "is no shard but a whole run",
    );
    done(&["--shard", "3/3", "--seed", "1"], "3-3-seed");
    let seed = path("3-3-seed");
    refused(
        &[first, second, text(&seed)],
        &other,
        "seed is 1 there and 0 in",
    );
    let file = path("3-3").join("traces.jsonl");
    let lines = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        lines.split_inclusive('\n').take(4).collect::<String>(),
    )
    .unwrap();
    refused(&[first, second, third], &other, "has 4 of its 6 problems");
    assert!(!other.join("traces.jsonl").exists());

    // A shard is another run than the whole, and the other way round.
    let arguments = run(&["--shard", "1/3"], "whole");
    refuses(
        &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        "holds another run (shard is nothing there and \"1/3\" here)",
    );
    let output = rerank(&["eval", "gsm8k", "--replay", DEMO, "--shard", "4/3"]);
    assert_eq!(output.status.code(), Some(2));
}

/// A folder whose file system has room for so many bytes; `None` where it cannot be made.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(bytes: usize) -> Option<Self> {
        let folder = tempdir().unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs", text(folder.path())])
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_stops_a_run_with_what_is_safe() {
    let folder = tempdir().unwrap();
    let whole = folder.path().join("whole");
    let arguments = |out| {
        [
            "eval", "gsm8k", "--replay", DEMO, "--limit", "30", "--out", out,
        ]
    };
    succeeds(&arguments(text(&whole)));
    let bytes = fs::read(whole.join("traces.jsonl")).unwrap().len();
    let Some(disk) = SmallDisk::new(bytes / 2) else {
        eprintln!("skipped: a small file system cannot be mounted here (that needs root)");
        return;
    };
    let out = disk.0.path().join("run");
    let output = rerank(&arguments(text(&out)));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("No space left on device")
            && message.contains("are safe, and the same command goes on"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
    let safe = traces(&out);
    assert!(
        safe.len() > 3 && message.contains(&format!("the {} problems", safe.len())),
        "{message}"
    );
    let all = traces(&whole);
    assert!(safe.iter().all(|trace| all.contains(trace)));

    // With room again, the same command goes on.
    let roomy = folder.path().join("roomy");
    fs::create_dir(&roomy).unwrap();
    for file in fs::read_dir(&out).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), roomy.join(file.file_name())).unwrap();
    }
    succeeds(&arguments(text(&roomy)));
    assert_eq!(traces(&roomy), traces(&whole));
}

#[test]
fn a_line_that_was_written_in_part_is_taken_back() {
    // A limit on the size of files works without root, and cuts a line where it falls.
    const LIMITED: &str = "trap '' XFSZ; ulimit -f 48; exec \"$@\"";
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = [
        "eval",
        "gsm8k",
        "--replay",
        DEMO,
        "--limit",
        "30",
        "--out",
        text(&out),
    ];
    let limited = Command::new("sh")
        .args(["-c", LIMITED, "sh", env!("CARGO_BIN_EXE_rerank")])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&limited.stderr).into_owned();
    assert_eq!(limited.status.code(), Some(1), "{message}");
    assert!(
        message.contains("File too large") && message.contains("are safe"),
        "{message}"
    );
    let file = fs::read(out.join("traces.jsonl")).unwrap();
    assert!(file.ends_with(b"}\n") && !traces(&out).is_empty());
    // Nothing is left to repair.
    let output = succeeds(&arguments);
    assert!(output.stderr.is_empty());
    assert_eq!(traces(&out).len(), 30);
}

#[test]
fn rows_of_another_split_need_force_and_unreadable_golds_are_listed() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let recording =
        json!({ "question": "Q?", "samples": [{ "kind": "cot", "text": "The answer is 7." }] });
    fs::write(path("samples.jsonl"), recording.to_string()).unwrap();
    fs::write(
        path("rows.jsonl"),
        "{\"question\": \"Q?\", \"answer\": \"#### 7\"}\n",
    )
    .unwrap();
    let (samples, rows) = (path("samples.jsonl"), path("rows.jsonl"));
    let arguments = ["eval", "gsm8k", "--replay", &samples, "--data", &rows];
    refuses(
        &arguments,
        "rows.jsonl is not the test split of gsm8k: it has 1 rows, not 1319",
    );
    succeeds(&[&arguments[..], &["--force"]].concat());

    fs::write(
        path("own.toml"),
        "name = \"own\"\nabout = \"a test\"\ntask = \"math\"\nrule = \"number\"\n[fields]\nquestion = \"question\"\nanswer = \"answer\"\ngold = '(.*)'\n",
    )
    .unwrap();
    fs::write(
        path("rows.jsonl"),
        "{\"question\": \"Q?\", \"answer\": \"7\"}\n{\"question\": \"R?\", \"answer\": \"March 3rd\"}\n",
    )
    .unwrap();
    let (own, out) = (path("own.toml"), path("run"));
    let arguments = [
        "eval", &own, "--replay", &samples, "--data", &rows, "--out", &out, "--json",
    ];
    let output = succeeds(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("1 row left out") && said.contains("1 (\"March 3rd\")"),
        "{said}"
    );
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["problems"], 1);
    let run: Value = json_file(Path::new(&out).join("run.json").as_path());
    assert_eq!(run["unreadable"], json!([["1", "March 3rd"]]));

    // A gold that is null is none.
    fs::write(
        path("rows.jsonl"),
        "{\"question\": \"Q?\", \"answer\": null}\n",
    )
    .unwrap();
    let output = rerank(&["eval", &own, "--data", &rows, "--out", &path("none")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("line 1: there is no field \"answer\""),
        "{said}"
    );
}

#[test]
fn a_recording_of_another_benchmark_needs_force() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("samples.jsonl");
    let row = |dataset: &str| {
        json!({ "dataset": dataset, "question": "Q?", "gold": "7",
                "samples": [{ "kind": "cot", "text": "The answer is 7." }] })
    };
    for (dataset, benchmark, taken) in [
        ("gsm8k/test", "gsm8k", true),
        ("gsm8k", "gsm8k-train", true),
        ("math/test", "math500", true),
        ("a set of one's own", "gsm8k", true),
        ("gsm8k/train", "gsm8k", false),
        ("gsm8k/test", "svamp", false),
        ("mbpp", "gsm8k", false),
    ] {
        fs::write(&file, row(dataset).to_string()).unwrap();
        let arguments = ["eval", benchmark, "--replay", text(&file)];
        if taken {
            succeeds(&arguments);
        } else {
            let says = format!("is a recording of {dataset}, not of {benchmark}; --force");
            refuses(&arguments, &says);
            succeeds(&[&arguments[..], &["--force"]].concat());
        }
    }

    // Nor one that lacks some of the problems, before anything is done.
    let rows = folder.path().join("rows.jsonl");
    let asked = |question: &str| json!({ "question": question, "answer": "#### 7" }).to_string();
    fs::write(&rows, asked("Q?") + "\n" + &asked("R?") + "\n").unwrap();
    fs::write(&file, row("svamp").to_string()).unwrap();
    let manifest = folder.path().join("own.toml");
    fs::write(
        &manifest,
        "name = \"own\"\nabout = \"a test\"\ntask = \"math\"\ndataset = \"svamp\"\n[fields]\nquestion = \"question\"\nanswer = \"answer\"\n",
    )
    .unwrap();
    let arguments = [
        "eval",
        text(&manifest),
        "--data",
        text(&rows),
        "--replay",
        text(&file),
        "--json",
    ];
    refuses(&arguments, "holds samples for 1 of 2 problems; --force");
    let output = succeeds(&[&arguments[..], &["--force"]].concat());
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["problems"], 1);
}

#[test]
fn a_question_longer_than_the_context_is_not_solved_and_the_rest_is() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let long = "A jar holds 17 marbles. ".repeat(200);
    let row = |question: &str| json!({ "question": question, "answer": "7" }).to_string() + "\n";
    let question = "Tom has 3 apples and buys 4 more. How many apples does he have?";
    fs::write(path("rows.jsonl"), row(&long) + &row(question)).unwrap();
    fs::write(
        path("own.toml"),
        "name = \"own\"\nabout = \"a test\"\ntask = \"math\"\nrule = \"number\"\n[fields]\nquestion = \"question\"\nanswer = \"answer\"\ngold = '(.*)'\n",
    )
    .unwrap();
    let (own, rows, out) = (path("own.toml"), path("rows.jsonl"), path("run"));
    let output = succeeds(&[
        "eval",
        &own,
        "--data",
        &rows,
        "-n",
        "2",
        "--no-cache",
        "--json",
        "--out",
        &out,
    ]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&summary["problems"], &summary["too_long"]),
        (&json!(2), &json!(1))
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("1 problem longer than the reasoner's context"),
        "{said}"
    );
    let traces = traces(Path::new(&out));
    let why = &traces[0]["stopped"]["why"]["too_long"];
    assert_eq!(why["allowed"], 512, "{why}");
    assert_eq!(traces[0]["candidates"], json!([]));
    assert_eq!(traces[1]["candidates"].as_array().unwrap().len(), 2);
    assert_eq!(traces[0]["correct"], false);

    refuses(
        &["solve", &long, "-n", "2", "--reasoner", "builtin"],
        "tokens, its context allows 512",
    );
}

#[test]
fn where_a_letter_is_asked_for_programs_have_no_vote() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("samples.jsonl");
    let row = json!({ "question": "Which is larger? A) 1 B) 2", "gold": "B", "samples": [
        { "kind": "cot", "text": "2 is larger. The answer is B." },
        { "kind": "pot", "text": "print(max(1, 2))" },
    ] });
    fs::write(&file, row.to_string()).unwrap();
    let output = succeeds(&["eval", "aqua", "--replay", text(&file), "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("The answer is a letter and programs compute values"),
        "{said}"
    );
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["programs"], Value::Null);
    assert_eq!(summary["selectors"][0]["accuracy"]["value"], 1.0);
    // A recording tells no tokens, and no time has passed.
    assert_eq!(
        (&summary["tokens"], &summary["tokens_estimated"]),
        (&Value::Null, &json!(true))
    );
}

#[test]
fn programs_without_a_chain_of_thought_answer_by_what_they_compute() {
    let folder = tempdir().unwrap();
    let (recording, out) = (folder.path().join("pot.jsonl"), folder.path().join("out"));
    let sample = |kind: &str, text: &str| json!({"model": "m", "kind": kind, "text": text});
    let row = |samples: Vec<Value>| json!({"index": 0, "question": "Twice 21?", "gold": "42", "samples": samples});
    let evaluate = |row: Value| {
        let _ = fs::remove_dir_all(&out);
        fs::write(&recording, row.to_string()).unwrap();
        let [recording, out] = [text(&recording), text(&out)];
        succeeds(&["eval", "gsm8k", "--replay", recording, "--out", out]);
        let summary = json_file(&Path::new(out).join("summary.json"));
        (traces(Path::new(out)).swap_remove(0), summary)
    };
    let of = |trace: &Value, name: &str| -> Vec<Value> {
        let candidates = trace["candidates"].as_array().unwrap();
        candidates.iter().map(|one| one[name].clone()).collect()
    };
    let names = |summary: &Value| -> Vec<String> {
        let curves = summary["curves"].as_array().unwrap();
        let name = |curve: &Value| curve["way"].as_str().unwrap().to_owned();
        curves.iter().map(name).collect()
    };

    // Not the last number of the text, nor what was printed before an exception.
    let (trace, summary) = evaluate(row(vec![
        sample("pot", "half = 21\nans = half * 2  # not 7"),
        sample("pot", "```python\nprint(2 * 21)\n```"),
        sample("pot", "print(41)\nprint(1 / 0)"),
        sample("pot", "print(43)"),
    ]));
    assert_eq!(
        of(&trace, "answer"),
        [json!("42"), json!("42"), Value::Null, json!("43")]
    );
    assert_eq!(of(&trace, "verdict_reason"), vec![json!("itself"); 4]);
    assert_eq!(of(&trace, "correct"), [true, true, false, false]);
    assert_eq!(trace["answer"], "42");
    // There is nothing to filter by, and no second vote.
    assert_eq!(names(&summary), ["mean sample", "majority", "oracle"]);
    assert_eq!(summary["filter"], Value::Null);
    assert_eq!(summary["mean_sample"]["value"], 0.5);

    // With a chain of thought they are programs of that; text around a program is one.
    let (trace, summary) = evaluate(row(vec![
        sample("cot", "Twice 21 is 41."),
        sample("pot", "print(2 * 21)"),
        sample(
            "tool_integrated",
            "```python\nprint(2 * 21)\n```\n```output\n42\n```\nIt is $\\boxed{42}$.",
        ),
    ]));
    assert_eq!(of(&trace, "answer"), ["41", "42"]);
    assert_eq!(of(&trace, "verdict"), ["disagrees", "agrees"]);
    assert!(names(&summary).contains(&"majority+cotnpot".to_owned()));
}

#[test]
fn a_question_that_is_asked_twice_has_its_own_samples_each_time() {
    let folder = tempdir().unwrap();
    let (recording, out) = (folder.path().join("twice.jsonl"), folder.path().join("out"));
    let row = |id: u64, answer: &str| {
        let sample = json!({"kind": "cot", "text": format!("It is {answer}.")});
        json!({"index": id, "question": "Twice 21?", "gold": "42", "samples": [sample]}).to_string()
    };
    fs::write(&recording, row(7, "41") + "\n" + &row(8, "42")).unwrap();
    let [recording, folder] = [text(&recording), text(&out)];
    succeeds(&["eval", "gsm8k", "--replay", recording, "--out", folder]);
    let answers: Vec<Value> = traces(&out)
        .iter()
        .map(|trace| trace["answer"].clone())
        .collect();
    assert_eq!(answers, ["41", "42"]);
}

#[test]
fn known_benchmarks_are_listed_a_line_each() {
    let output = succeeds(&["eval", "--list"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let all = rerank::task::Benchmark::all();
    assert_eq!(printed.lines().count(), all.len(), "{printed}");
    for (line, benchmark) in printed.lines().zip(all) {
        assert!(line.trim_start().starts_with(&benchmark.name), "{line}");
        assert!(line.contains(&benchmark.about), "{line}");
    }
    assert_eq!(rerank(&["eval"]).status.code(), Some(2));
}
