//! Verifiers from outside: what training refuses before it begins, and what scoring says of a
//! verifier that cannot score as it was trained to.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use rerank::{
    model::gguf::{Gguf, Precision, Value},
    train::{self, Event, Options, lora::Lora, objective::Objective},
};
use serde_json::json;
use tempfile::tempdir;

use crate::{
    cli::{refuses, rerank, stdout, text},
    llama::write_tiny,
    train::{Bytes, go, options, sums, tiny},
};

/// A change that makes options bad.
type Spoil = fn(&mut Options);

#[test]
fn a_second_training_of_one_out_stops_and_the_first_goes_on() {
    let folder = tempdir().unwrap();
    let options = options(&folder, &tiny("llama", 1), "out.gguf");
    let mut second = None;
    let first = train::run(&options, &sums(), &Bytes, &mut |event| {
        if let (Event::Step(_), None) = (event, &second) {
            second = Some(train::run(&options, &sums(), &Bytes, &mut go));
        }
        ControlFlow::Continue(())
    });
    let error = second.unwrap().unwrap_err().to_string();
    assert!(
        error.starts_with("another rerank is writing into ")
            && error.ends_with("out.gguf.train; wait for it, or use another --out"),
        "{error}"
    );
    assert!(first.unwrap().finished);
    // It is free again.
    drop(train::lock(&options.out).unwrap());
}

#[test]
fn numbers_without_meaning_are_refused_before_anything_is_loaded() {
    let folder = tempdir().unwrap();
    let base = folder.path().join("absent.gguf");
    let good = Options::new(base, folder.path().join("out.gguf"));
    let simpo = |beta, gamma_ratio, label_smoothing, sft_weight| Objective::Simpo {
        beta,
        gamma_ratio,
        hinge: false,
        label_smoothing,
        sft_weight,
    };
    let nan = f64::NAN;
    let objectives = [
        (simpo(nan, 0.5, 0.0, 0.0), "beta must be above 0, not NaN"),
        (simpo(0.0, 0.5, 0.0, 0.0), "beta must be above 0, not 0"),
        (simpo(2.0, nan, 0.0, 0.0), "gamma/beta must be at least 0"),
        (
            simpo(2.0, 0.5, 2.0, 0.0),
            "the label smoothing must be at least 0 and below 0.5, not 2",
        ),
        (
            simpo(2.0, 0.5, 0.0, f64::INFINITY),
            "the weight of the likelihood must be at least 0, not inf",
        ),
        (
            Objective::Dpo {
                beta: -1.0,
                label_smoothing: 0.0,
            },
            "beta must be above 0, not -1",
        ),
        (
            Objective::Dpo {
                beta: 0.1,
                label_smoothing: nan,
            },
            "the label smoothing must be",
        ),
        (Objective::Ipo { beta: 0.0 }, "beta must be above 0"),
        (
            Objective::Kto {
                beta: 0.1,
                desirable: -1.0,
                undesirable: 1.0,
            },
            "the weight of correct solutions must be at least 0, not -1",
        ),
        (
            Objective::Orpo { lambda: nan },
            "the weight of the odds ratio must be at least 0, not NaN",
        ),
    ];
    let others: [(Spoil, &str); 8] = [
        (|o| o.rate = f64::NAN, "the learning rate must be above 0"),
        (
            |o| o.rate = f64::INFINITY,
            "the learning rate must be above",
        ),
        (
            |o| o.decay = f64::NAN,
            "the weight decay must be at least 0",
        ),
        (|o| o.norm_max = -1.0, "the largest norm must be at least 0"),
        (|o| o.warmup = f64::NAN, "the warm-up share must be"),
        (|o| o.length_max = 0, "the most tokens of a solution"),
        (
            |o| o.lora.as_mut().unwrap().alpha = f32::NAN,
            "LoRA's alpha must be above 0, not NaN",
        ),
        (
            |o| o.lora.as_mut().unwrap().targets.clear(),
            "at least one target",
        ),
    ];
    let fails = |bad: &Options, says: &str| {
        let error = train::run(bad, &sums(), &Bytes, &mut go).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    };
    for (objective, says) in objectives {
        let bad = Options {
            objective,
            ..good.clone()
        };
        fails(&bad, says);
    }
    for (spoil, says) in others {
        let mut bad = good.clone();
        spoil(&mut bad);
        fails(&bad, says);
    }
    let is_folder = Options {
        out: folder.path().to_owned(),
        ..good.clone()
    };
    fails(
        &is_folder,
        "is a folder: name the file that is to be written",
    );
    // With good numbers the base is looked for.
    fails(
        &Options {
            lora: Some(Lora {
                alpha: 1.0,
                ..good.lora.clone().unwrap()
            }),
            ..good
        },
        "absent.gguf",
    );

    let out = folder.path().join("never.gguf");
    let train = [
        "train-verifier",
        "--pairs",
        "absent.jsonl",
        "--base",
        "absent.gguf",
    ];
    for (option, number, says) in [
        ("--beta", "nan", "beta must be above 0, not NaN"),
        ("--beta", "-1", "beta must be above 0, not -1"),
        (
            "--label-smoothing",
            "2",
            "the label smoothing must be at least 0",
        ),
        ("--alpha", "nan", "LoRA's alpha must be above 0"),
        ("--lr", "-1", "the learning rate must be above 0, not -1"),
        ("--targets", "attn_x", "unknown LoRA target \"attn_x\""),
        ("--device", "cuda:x", "unknown device \"cuda:x\""),
    ] {
        let arguments = [&train[..], &["--out", text(&out), option, number]].concat();
        refuses(&arguments, 1, says);
    }
    let arguments = [&train[..], &["--out", text(folder.path())]].concat();
    refuses(&arguments, 1, "is a folder: name the file");
    assert!(!folder.path().join("never.gguf.train").exists());
}

#[test]
fn rows_too_long_for_the_base_are_laid_to_its_context() {
    let folder = tempdir().unwrap();
    let mut base = tiny("llama", 1);
    let context = base.metadata.iter_mut();
    let context = context.filter(|(key, _)| key == "llama.context_length");
    context.for_each(|(_, tokens)| *tokens = Value::U32(20));
    let options = options(&folder, &base, "out.gguf");
    assert!(options.length_max > 20);
    let error = train::run(&options, &sums(), &Bytes, &mut go).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no pairs are left to learn from (48 skipped because they are longer than the 20 tokens of the base's context)"
    );
}

#[test]
fn what_a_hugging_face_folder_lacks_is_named_and_its_gguf_bears_the_whole_name() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let row = json!({"prompt": "1 + 1?", "chosen": "2", "rejected": "3"});
    fs::write(path("pairs.jsonl"), row.to_string()).unwrap();
    fs::create_dir(path("checkpoint")).unwrap();
    let (pairs, base, out) = (path("pairs.jsonl"), path("checkpoint"), path("a.b"));
    let train = [
        "train-verifier",
        "--pairs",
        text(&pairs),
        "--base",
        text(&base),
        "--out",
        text(&out),
    ];
    for name in ["tokenizer.json", "config.json", "model.safetensors"] {
        let says = format!(
            "checkpoint: there is no {name} in it; a Hugging Face folder holds config.json, tokenizer.json and model.safetensors"
        );
        refuses(&train, 1, &says);
        let content = json!({
            "model_type": "llama", "vocab_size": 260, "hidden_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64,
        });
        fs::write(base.join(name), content.to_string()).unwrap();
    }
    // Neither it nor what a training leaves is there after a refusal.
    assert!(!path("a.b.train").exists());
    assert_eq!(train::base_of(&out), path("a.b.base.gguf"));
}

#[test]
fn warnings_are_heard_where_no_terminal_is_and_a_collapse_is_in_the_summary() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let base = write_tiny(folder.path(), &[]);
    // Sums, none of which is held out where each says that it is to be learned from.
    let rows = |more: serde_json::Value| -> String {
        let row = |n: u32| {
            let mut row = json!({
                "prompt": format!("What is {n} + 1?"),
                "chosen": format!("It is {}.", n + 1), "rejected": format!("Or {}?", n + 2),
            });
            row["split"] = more.clone();
            format!("{row}\n")
        };
        (0..20).map(row).collect()
    };
    let train = |pairs: &Path, out: &Path, more: &[&str]| -> (String, String) {
        let files = ["--pairs", text(pairs), "--base", text(&base)];
        let how = ["--batch", "4", "--lr", "1e-6", "--stop-on-collapse"];
        let command = ["train-verifier", "--out", text(out)];
        let output = rerank(&[&command[..], &files, &how, more].concat());
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        (stdout(&output), said)
    };
    let (pairs, out) = (path("train.jsonl"), path("train.gguf"));
    fs::write(&pairs, rows(json!("train"))).unwrap();
    let (_, said) = train(&pairs, &out, &[]);
    let says = "rerank: no problem is held out: the last weights are kept";
    assert!(said.contains(says), "{said}");

    let (pairs, out) = (path("split.jsonl"), path("split.gguf"));
    let split = rows(json!("train")) + &rows(json!("dev")).replace("What is", "How much is");
    fs::write(&pairs, split).unwrap();
    let (printed, said) = train(&pairs, &out, &[]);
    assert!(
        !printed.contains("collapsed") && !printed.contains("stopped"),
        "{printed}"
    );
    assert!(!said.contains("rerank: "), "{said}");
    // As if the run had been left at its first step, and its solutions had been certain before.
    let state = train::state_of(&out);
    let mut saved = Gguf::read(&state).unwrap();
    for (key, value) in &mut saved.metadata {
        match key.as_str() {
            "run.step" => *value = Value::U64(1),
            "run.logp_before" => *value = Value::F64(0.0),
            _ => {}
        }
    }
    saved.write(&state, Precision::F32).unwrap();
    let (printed, said) = train(&pairs, &out, &["--resume"]);
    assert!(said.contains("rerank: correct solutions lost "), "{said}");
    for line in [
        "split.gguf after 2 steps over 20 pairs of 20 problems\n",
        "\ncollapsed: correct solutions became unlikely\nstopped before the last step\n",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
}

#[cfg(unix)]
#[test]
fn an_out_that_is_no_file_is_left_as_it_is() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (rows, out) = (path("rows.jsonl"), path("out"));
    fs::write(&rows, "").unwrap();
    let _bound = std::os::unix::net::UnixListener::bind(&out).unwrap();
    let says = "out is a device or a pipe, which a file would replace: choose another name";
    let train = ["train-verifier", "--base", "x.gguf", "--pairs", text(&rows)];
    for command in [&["pairs", text(&rows)][..], &train] {
        refuses(&[command, &["--out", text(&out)]].concat(), 1, says);
    }
    assert!(out.exists() && !out.is_file());
    assert!(!path("out.train").exists());
}

#[test]
fn a_byte_that_is_no_text_is_named_by_its_line() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (rows, out) = (path("rows.jsonl"), path("out"));
    let good = json!({"prompt": "1 + 1?", "chosen": "2", "rejected": "3", "samples": []});
    let bad = b"\n\n{\"prompt\": \"\xff\", \"chosen\": \"2\", \"rejected\": \"3\"}\n";
    fs::write(&rows, [good.to_string().as_bytes(), bad].concat()).unwrap();
    let says = "rows.jsonl, line 3: this is not UTF-8 (from byte 13)";
    refuses(&["pairs", text(&rows), "--out", text(&out)], 1, says);
    refuses(
        &[
            "train-verifier",
            "--pairs",
            text(&rows),
            "--base",
            "x.gguf",
            "--out",
            text(&out),
        ],
        1,
        says,
    );
    assert!(!out.exists());
}

#[test]
fn a_line_that_is_no_row_hears_what_it_must_be() {
    let folder = tempdir().unwrap();
    let model = write_tiny(folder.path(), &[]);
    let rows = folder.path().join("rows.jsonl");
    fs::write(&rows, "[1]\n").unwrap();
    let error = |arguments: &[&str]| -> serde_json::Value {
        let output = rerank(arguments);
        let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(row["line"], "[1]");
        row["error"].clone()
    };
    assert_eq!(
        error(&["score", text(&rows), "--verifier", text(&model)]),
        "a line must be an object with \"question\" and a list of texts \"candidates\""
    );
    assert_eq!(
        error(&["grade", text(&rows)]),
        "a line must be an object with \"gold\" and \"answer\""
    );
}

/// Writes a model that says what it was trained for.
fn trained_for(folder: &Path, objective: &str) -> PathBuf {
    let path = write_tiny(
        folder,
        &[("rerank.objective", Value::String(objective.to_owned()))],
    );
    let mut whole = Gguf::read(&path).unwrap();
    let output = whole
        .tensors
        .iter_mut()
        .find(|tensor| tensor.name == "output_norm.weight");
    output.unwrap().values.iter_mut().for_each(|x| *x *= 1.25);
    let path = folder.join(format!("{objective}.gguf"));
    whole.write(&path, Precision::F32).unwrap();
    path
}

#[test]
fn a_whole_model_that_needs_its_base_says_so_or_is_given_it() {
    let folder = tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    let row = json!({"question": "2 + 2?", "candidates": ["4", "Certainly five."]});
    fs::write(&rows, row.to_string()).unwrap();
    let score = |model: &Path, more: &[&str]| -> (Vec<f64>, String) {
        let score = ["score", text(&rows), "--verifier", text(model)];
        let output = rerank(&[&score[..], more].concat());
        let row: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (serde_json::from_value(row["scores"].clone()).unwrap(), said)
    };
    let base = write_tiny(folder.path(), &[]);
    for (objective, per_token) in [("dpo", false), ("kto", false), ("ipo", true)] {
        let whole = trained_for(folder.path(), objective);
        let base = write_tiny(folder.path(), &[]);
        let base = text(&base);
        let (mean, said) = score(&whole, &[]);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains(&format!(
                "{objective} trained it to be scored by its rise over its base"
            )) && said.contains("--minus"),
            "{said}"
        );
        let reward = if per_token { "mean" } else { "sum" };
        let quiet = |more: &[&str]| {
            let (scores, said) = score(&whole, more);
            assert_eq!(said, "");
            scores
        };
        let (own, of_base) = (
            quiet(&["--reward", reward]),
            score(Path::new(base), &["--reward", reward]).0,
        );
        let rise: Vec<f64> = own
            .iter()
            .zip(&of_base)
            .map(|(own, base)| own - base)
            .collect();
        assert_eq!(quiet(&["--minus", base]), rise);
        assert_ne!(mean, rise);
    }
    // Others score by the mean in silence.
    let (_, said) = score(&trained_for(folder.path(), "simpo"), &[]);
    assert_eq!(said, "");
    // A reward model is no verifier without its head, whole or not.
    let headless = trained_for(folder.path(), "orm");
    refuses(
        &["score", text(&rows), "--verifier", text(&headless)],
        1,
        "orm.gguf: it is an outcome reward model without its head: put ",
    );

    // In a solve too.
    let whole = trained_for(folder.path(), "dpo");
    let models = ["--reasoner", text(&base), "--verifier", text(&whole)];
    let solve = [
        "solve",
        "How many?",
        "-n",
        "2",
        "--max-tokens",
        "4",
        "--json",
    ];
    let output = rerank(&[&solve[..], &models].concat());
    stdout(&output);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("dpo trained it"), "{said}");
}

#[test]
fn a_verifier_that_is_broken_ends_a_run_and_spoils_nothing() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let fine = write_tiny(folder.path(), &[]);
    let mut damaged = Gguf::read(&fine).unwrap();
    let norm = damaged
        .tensors
        .iter_mut()
        .find(|tensor| tensor.name == "output_norm.weight");
    norm.unwrap().values[0] = f32::NAN;
    damaged.write(&path("broken.gguf"), Precision::F32).unwrap();
    let rows: String = [3, 4]
        .map(|n| {
            json!({"question": format!("What is {n} + 1?"), "answer": format!("#### {}", n + 1)})
                .to_string()
                + "\n"
        })
        .concat();
    fs::write(path("rows.jsonl"), rows).unwrap();
    let (data, cache, broken) = (path("rows.jsonl"), path("cache"), path("broken.gguf"));
    let says = "broken.gguf: 2 of 2 scores are not numbers: the verifier's weights are damaged";

    let draw = ["-n", "2", "--max-tokens", "4", "--reasoner", text(&fine)];
    let solve = ["solve", "How many?", "--verifier", text(&broken)];
    refuses(&[&solve[..], &draw].concat(), 1, says);

    let eval = |verifier: &Path, out: &Path| -> Vec<String> {
        let of = [
            "eval",
            "gsm8k",
            "--data",
            text(&data),
            "--force",
            "--cache",
            text(&cache),
        ];
        let into = ["--verifier", text(verifier), "--out", text(out)];
        let arguments = [&of[..], &draw, &into].concat();
        arguments.into_iter().map(str::to_owned).collect()
    };
    let out = path("broken-run");
    for _ in 0..2 {
        // The second time its scores are not taken for none from the cache.
        let arguments = eval(&broken, &out);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refuses(&arguments, 1, says);
    }

    let run = path("run");
    let arguments = eval(&fine, &run);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    stdout(&rerank(&arguments));
    let traces = fs::read(run.join("traces.jsonl")).unwrap();
    let rescored = path("rescored");
    let rescore = [
        "rescore",
        text(&run),
        "--out",
        text(&rescored),
        "--verifier",
    ];
    refuses(&[&rescore[..], &[text(&broken)]].concat(), 1, says);
    refuses(
        &[&rescore[..], &[text(&broken), "--minus", text(&fine)]].concat(),
        1,
        says,
    );
    assert_eq!(fs::read(rescored.join("traces.jsonl")).unwrap(), b"");
    assert_eq!(fs::read(run.join("traces.jsonl")).unwrap(), traces);
}
