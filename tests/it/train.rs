//! Training: parity with llama.cpp, exact resumption, bad input.
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use llama_cpp_2::model::LlamaModel;
use rerank::{
    Error, Result,
    model::{
        LlamaCpp,
        fixture::{self, Geometry},
        gguf::{Gguf, Precision, Value},
        llama::Resources,
        llama2c,
    },
    train::{
        self, Device, Event, Options, Tokenize,
        lora::{Head, Lora, TARGETS},
        network::Network,
        objective::Objective,
        pairs,
    },
};
use tempfile::{TempDir, tempdir};

use crate::{
    gguf::{Answers, load, shared, tokenise},
    hub::Mounted,
};

pub fn tiny(architecture: &str, seed: u64) -> Gguf {
    let geometry = Geometry {
        architecture: architecture.to_owned(),
        layers: 3,
        width: 96,
        heads: 6,
        kv_heads: 2,
        ffn: 160,
        tied: architecture == "llama",
        ..Geometry::bench_6m(260)
    };
    fixture::random_llama(&geometry, seed, fixture::bytes_tokenizer())
}

/// What llama.cpp makes of a text with the fixtures' tokenizer.
pub struct Bytes;

impl Tokenize for Bytes {
    fn prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        Ok([vec![1], self.solution(prompt)?].concat())
    }

    fn solution(&self, text: &str) -> Result<Vec<u32>> {
        let token = |byte| match byte {
            b' ' => 259,
            _ => u32::from(byte) + 3,
        };
        Ok(text.bytes().map(token).collect())
    }

    fn end(&self) -> Option<u32> {
        Some(2)
    }
}

/// Sums whose right solutions are certain of themselves, which a small network can learn to see.
pub fn sums() -> Vec<pairs::Problem> {
    let mut rows = String::new();
    for i in 0..24 {
        let (a, b) = (3 + i * 7 % 11, 2 + i * 5 % 13);
        for (right, wrong) in [("It is {}.", "Maybe {}?"), ("So {}.", "Or {}?")] {
            let right = right.replace("{}", &(a + b).to_string());
            let wrong = wrong.replace("{}", &(a + b + 1 + i % 3).to_string());
            let row = serde_json::json!({
                "prompt": format!("What is {a} + {b}?\n"), "chosen": right, "rejected": wrong,
            });
            rows += &format!("{row}\n");
        }
    }
    let (problems, skipped) = pairs::parse(rows.as_bytes(), Path::new("sums.jsonl")).unwrap();
    assert_eq!((problems.len(), skipped), (24, pairs::Skipped::default()));
    problems
}

pub fn options(folder: &TempDir, gguf: &Gguf, name: &str) -> Options {
    let base = folder.path().join("base.gguf");
    if !base.exists() {
        gguf.write(&base, Precision::F32).unwrap();
    }
    Options {
        rate: 5e-3,
        epochs: 3,
        batch: 8,
        lora: Some(Lora {
            rank: 4,
            alpha: 8.0,
            targets: TARGETS.map(str::to_owned).to_vec(),
        }),
        dev_share: 0.25,
        precision: Precision::F32,
        end_token: false,
        ..Options::new(base, folder.path().join(name))
    }
}

pub fn go(_: Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The largest difference between our logits and llama.cpp's.
fn logit_difference(gguf: Gguf, tokens: &[u32]) -> f32 {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    gguf.write(&path, Precision::F32).unwrap();
    let signed: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
    let theirs = Answers::new(&mut load(&path), &signed, None)
        .logits
        .concat();
    let network = Network::new(gguf, "fixture", &Device::flex()).unwrap();
    let ours = network.logits(tokens);
    assert_eq!(ours.len(), theirs.len());
    let spread = theirs.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    assert!(spread > 1.0, "logits of {spread} at most prove nothing");
    (ours.iter().zip(&theirs)).fold(0.0, |max, (a, b)| max.max((a - b).abs()))
}

#[test]
fn logits_equal_those_of_llama_cpp() {
    let tokens = Bytes
        .prompt("Tom has 3 apples and buys 4 more. 3 + 4 = 7")
        .unwrap();
    for architecture in ["llama", "qwen2"] {
        let difference = logit_difference(tiny(architecture, 5), &tokens);
        assert!(difference < 1e-3, "{architecture}: {difference}");
    }
    if let Some(folder) = shared("weights/stories260K") {
        let file = |name: &str| folder.join(name);
        let gguf = llama2c::read(&file("stories260K.bin"), &file("tok512.bin")).unwrap();
        let difference = logit_difference(gguf, &(1..400).collect::<Vec<_>>());
        assert!(difference < 1e-3, "stories260K: {difference}");
    }
}

/// Mean log-probability per token of the correct solutions of held-out sums, by llama.cpp.
fn logp_in_llama_cpp(model: &Path, adapter: Option<&Path>, held_out: &[pairs::Problem]) -> f64 {
    let mut model = load(model);
    let (mut sum, mut count) = (0.0, 0);
    for problem in held_out {
        for (text, _) in problem.solutions.iter().filter(|(_, correct)| *correct) {
            let prompt = tokenise(&model, &problem.prompt);
            let tokens = tokenise(&model, &format!("{}{text}", problem.prompt));
            let ours = [
                Bytes.prompt(&problem.prompt).unwrap(),
                Bytes.solution(text).unwrap(),
            ];
            assert!(
                ours.concat()
                    .iter()
                    .map(|&token| token as i32)
                    .eq(tokens.iter().copied())
            );
            sum += logp_mean(&mut model, adapter, &tokens, prompt.len());
            count += 1;
        }
    }
    sum / f64::from(count)
}

/// Mean log-probability of the tokens after the prompt's.
fn logp_mean(model: &mut LlamaModel, adapter: Option<&Path>, tokens: &[i32], prompt: usize) -> f64 {
    let answers = Answers::new(model, tokens, adapter);
    let logps = (prompt..tokens.len()).map(|i| {
        let row = &answers.logits[i - 1];
        let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        f64::from(row[tokens[i] as usize]) - sum.ln()
    });
    logps.sum::<f64>() / (tokens.len() - prompt) as f64
}

/// Marks which sums are held out, so that a test knows them.
fn split_sums() -> (Vec<pairs::Problem>, Vec<pairs::Problem>) {
    let mut problems = sums();
    for (i, problem) in problems.iter_mut().enumerate() {
        let dev = i % 4 == 0;
        problem.split = Some(if dev {
            pairs::Split::Dev
        } else {
            pairs::Split::Train
        });
    }
    let held_out = problems.iter().step_by(4).cloned().collect();
    (problems, held_out)
}

#[test]
fn a_trained_adapter_is_the_same_verifier_in_llama_cpp() {
    let (problems, held_out) = split_sums();
    for (architecture, precision, bound) in [
        ("llama", Precision::F32, 1e-3),
        ("qwen2", Precision::F32, 1e-3),
        ("llama", Precision::F16, 5e-3),
        ("qwen2", Precision::Q8_0, 2e-2),
    ] {
        let folder = tempdir().unwrap();
        let mut options = options(&folder, &tiny(architecture, 3), "adapter.gguf");
        options.precision = precision;
        if precision == Precision::Q8_0 {
            // Its blocks of 32 numbers lie within a row: a lower rank is stored as f16.
            options.lora.as_mut().unwrap().rank = 32;
            options.lora.as_mut().unwrap().alpha = 64.0;
        }
        let summary = train::run(&options, &problems, &Bytes, &mut go).unwrap();
        let (_, best) = summary.best.unwrap();
        assert_eq!((summary.problems, summary.dev_problems), (18, 6));
        assert!(
            best.pair_accuracy > 0.95,
            "{:?} -> {best:?}",
            summary.before
        );
        let theirs = logp_in_llama_cpp(&options.base, Some(&options.out), &held_out);
        let ours = best.correct_logp.unwrap();
        assert!(
            (ours - theirs).abs() < bound,
            "{architecture} {precision:?}: {ours} {theirs}"
        );
        // And it is not the base.
        assert!((ours - summary.before.correct_logp.unwrap()).abs() > 0.05);
    }
}

#[test]
fn a_trained_model_is_the_same_verifier_in_llama_cpp() {
    let (problems, held_out) = split_sums();
    let folder = tempdir().unwrap();
    for (precision, bound) in [
        (Precision::F32, 1e-3),
        (Precision::F16, 5e-3),
        (Precision::Q8_0, 5e-2),
    ] {
        let mut options = options(&folder, &tiny("qwen2", 3), "model.gguf");
        options.lora = None;
        options.rate = 1e-3;
        options.precision = precision;
        options.recompute = true;
        let summary = train::run(&options, &problems, &Bytes, &mut go).unwrap();
        let ours = summary.best.unwrap().1.correct_logp.unwrap();
        let theirs = logp_in_llama_cpp(&options.out, None, &held_out);
        assert!(
            (ours - theirs).abs() < bound,
            "{precision:?}: {ours} {theirs}"
        );
        assert!(summary.parameters > 200_000, "{}", summary.parameters);
    }
}

#[test]
fn a_reward_head_reads_llama_cpps_embeddings() {
    let (problems, held_out) = split_sums();
    let folder = tempdir().unwrap();
    let mut options = options(&folder, &tiny("llama", 3), "adapter.gguf");
    options.objective = Objective::Orm;
    let summary = train::run(&options, &problems, &Bytes, &mut go).unwrap();
    let (_, best) = summary.best.unwrap();
    assert!(best.pair_accuracy > 0.95, "{best:?}");
    let head = Head::read(&folder.path().join("adapter.gguf.head.gguf")).unwrap();
    let mut model = load(&options.base);
    let (mut right, mut pairs) = (0.0, 0.0);
    for problem in &held_out {
        let scores: Vec<f64> = (problem.solutions.iter())
            .map(|(text, _)| {
                let tokens = tokenise(&model, &format!("{}{text}", problem.prompt));
                let answers = Answers::new(&mut model, &tokens, Some(&options.out));
                head.score(&answers.last_hidden)
            })
            .collect();
        for (i, (_, good)) in problem.solutions.iter().enumerate() {
            for (j, (_, bad)) in problem.solutions.iter().enumerate() {
                if *good && !*bad {
                    pairs += 1.0;
                    right += f64::from(u8::from(scores[i] > scores[j]));
                }
            }
        }
    }
    assert!((right / pairs - best.pair_accuracy).abs() < 1e-9);

    // Without its head it scores nothing.
    let (beside, away) = (
        folder.path().join("adapter.gguf.head.gguf"),
        folder.path().join("away"),
    );
    fs::rename(&beside, &away).unwrap();
    let headless = LlamaCpp::load(&options.base, Some(&options.out), Resources::default());
    let error = headless.err().unwrap().to_string();
    assert!(error.contains("without its head: put "), "{error}");
    fs::rename(&away, &beside).unwrap();

    // Another objective in its place leaves no head behind that would score for it.
    options.objective = Objective::Sft;
    options.batch = 200;
    train::run(&options, &problems, &Bytes, &mut go).unwrap();
    assert!(!folder.path().join("adapter.gguf.head.gguf").exists());
}

fn resumable(folder: &TempDir, name: &str) -> Options {
    Options {
        evaluate_every: 6,
        save_every: 4,
        tokens_max: 200,
        ..options(folder, &tiny("llama", 9), name)
    }
}

/// Not a test of its own: `a_killed_run_ends_with_the_same_bits` starts it in a process to kill.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os("RERANK_TEST_CHILD") else {
        return;
    };
    let folder = PathBuf::from(folder);
    let options = Options {
        base: folder.join("base.gguf"),
        out: folder.join("killed.gguf"),
        ..resumable(&tempdir().unwrap(), "unused")
    };
    let _ = train::run(&options, &sums(), &Bytes, &mut |event| {
        if let Event::Step(metrics) = event
            && metrics.step == 10
        {
            println!("reached step 10");
            // Until the parent kills this process.
            let _ = std::io::stdin().read(&mut [0]);
        }
        ControlFlow::Continue(())
    });
}

#[test]
fn a_killed_run_ends_with_the_same_bits() {
    let folder = tempdir().unwrap();
    let whole = resumable(&folder, "whole.gguf");
    let summary = train::run(&whole, &sums(), &Bytes, &mut go).unwrap();
    assert!(summary.steps > 12, "{}", summary.steps);

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["train::child_that_is_killed", "--exact", "--nocapture"])
        .env("RERANK_TEST_CHILD", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("reached step 10")));
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Options {
        resume: true,
        ..resumable(&folder, "killed.gguf")
    };
    assert!(!killed.out.exists());
    let mut first = None;
    let resumed = train::run(&killed, &sums(), &Bytes, &mut |event| {
        if let Event::Step(metrics) = event {
            first.get_or_insert(metrics.step);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(first, Some(9), "the last state saved was that of step 8");
    assert_eq!(resumed.unwrap().best, summary.best);
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(file("whole.gguf") == file("killed.gguf"));
    assert!(file("whole.gguf.train/state.gguf") == file("killed.gguf.train/state.gguf"));
    let log = |name: &str| -> Vec<serde_json::Value> {
        let text = String::from_utf8(file(name)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .map(|mut line: serde_json::Value| {
                line.as_object_mut().unwrap().remove("seconds");
                line
            })
            .collect()
    };
    let (a, b) = (
        "whole.gguf.train/metrics.jsonl",
        "killed.gguf.train/metrics.jsonl",
    );
    assert_eq!(log(a), log(b));

    // Another run's state is not taken up.
    let other = Options {
        rate: 1e-4,
        ..killed
    };
    let error = train::run(&other, &sums(), &Bytes, &mut go).unwrap_err();
    assert!(error.to_string().contains("other options"), "{error}");
}

#[test]
fn a_full_disk_leaves_the_last_state_and_the_run_goes_on_later() {
    let folder = tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let Some(_mounted) = Mounted::new(&disk, "4m") else {
        eprintln!("skipped: a file system of 4 MiB cannot be mounted here");
        return;
    };
    let whole = resumable(&folder, "whole.gguf");
    train::run(&whole, &sums(), &Bytes, &mut go).unwrap();

    let options = Options {
        out: disk.join("out.gguf"),
        ..whole.clone()
    };
    let (state, filler) = (disk.join("out.gguf.train/state.gguf"), disk.join("filler"));
    let mut saved = Vec::new();
    let error = train::run(&options, &sums(), &Bytes, &mut |event| {
        // Between the states of step 8 and of step 12.
        if let Event::Step(metrics) = event
            && metrics.step == 11
        {
            saved = fs::read(&state).unwrap();
            // Fails where the disk is full, having filled it.
            fs::write(&filler, vec![0; 5 << 20]).unwrap_err();
        }
        ControlFlow::Continue(())
    });
    let error = error.unwrap_err();
    let full =
        matches!(&error, Error::Write { source, .. } if source.kind() == ErrorKind::StorageFull);
    assert!(full, "{error}");
    assert!(!saved.is_empty() && fs::read(&state).unwrap() == saved);
    let left = fs::read_dir(state.parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().ends_with(".part")),
        "{left:?}"
    );

    fs::remove_file(filler).unwrap();
    let resumed = Options {
        resume: true,
        ..options
    };
    train::run(&resumed, &sums(), &Bytes, &mut go).unwrap();
    assert!(fs::read(&resumed.out).unwrap() == fs::read(&whole.out).unwrap());
}

#[test]
fn bad_input_is_one_sentence() {
    let folder = tempdir().unwrap();
    let good = options(&folder, &tiny("llama", 1), "out.gguf");
    let fails = |options: &Options, says: &str| {
        let error = train::run(options, &sums(), &Bytes, &mut go)
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    };
    let mut bad = good.clone();
    bad.objective = Objective::Simpo {
        beta: 0.1,
        gamma_ratio: 5.0,
        hinge: false,
        label_smoothing: 0.0,
        sft_weight: 0.0,
    };
    fails(&bad, "gamma/beta 5");
    let mut bad = good.clone();
    bad.device = "cuda:x".to_owned();
    fails(&bad, "unknown device \"cuda:x\"; known: cpu, cuda");
    if cfg!(not(feature = "cuda")) {
        bad.device = "cuda:0".to_owned();
        fails(
            &bad,
            "built without cuda: build it with `cargo build --release --features cuda`",
        );
    }
    let mut bad = good.clone();
    bad.length_max = 20;
    fails(
        &bad,
        "no pairs are left to learn from (48 skipped because they are longer than the 20 tokens)",
    );
    let mut bad = good.clone();
    bad.lora.as_mut().unwrap().targets.push("attn_x".to_owned());
    fails(&bad, "unknown LoRA target \"attn_x\"");
    let mut bad = good.clone();
    bad.base = folder.path().join("absent.gguf");
    fails(&bad, "absent.gguf");
    bad.batch = 0;
    fails(&bad, "the batch must be above 0");
    assert!(!good.out.exists());
}

#[test]
fn pairs_that_are_too_long_are_left_out_whole_and_counted() {
    let folder = tempdir().unwrap();
    let options = Options {
        dev_share: 0.0,
        epochs: 1,
        length_max: 25,
        ..options(&folder, &tiny("llama", 1), "out.gguf")
    };
    let summary = train::run(&options, &sums(), &Bytes, &mut go).unwrap();
    // A prompt is BOS and text; no end token here. One side too long takes the pair with it.
    let length = |problem: &pairs::Problem, i: usize| {
        1 + problem.prompt.len() + problem.solutions[i].0.len()
    };
    let all = sums();
    let long = all.iter().flat_map(|problem| {
        let pairs = problem.pairs.iter();
        pairs.filter(|&&(a, b)| length(problem, a).max(length(problem, b)) > 25)
    });
    let long = long.count();
    assert!((5..40).contains(&long), "{long}");
    assert_eq!((summary.skipped.too_long, summary.pairs), (long, 48 - long));
    assert!(summary.best.is_none() && options.out.exists());
}

#[test]
fn the_weights_kept_are_the_first_that_picked_best() {
    let folder = tempdir().unwrap();
    let mut options = options(&folder, &tiny("llama", 4), "out.gguf");
    options.evaluate_every = 1;
    // Fast enough to overshoot.
    options.rate = 0.1;
    options.collapse = train::Collapse::Ignore;
    let mut found = Vec::new();
    let summary = train::run(&options, &sums(), &Bytes, &mut |event| {
        if let Event::Evaluation(step, evaluation) = event {
            found.push((step, evaluation.clone()));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let rank = |of: &train::Evaluation| (of.best_of_n, of.pair_accuracy);
    let mut best = &found[0];
    for one in &found {
        if rank(&one.1) > rank(&best.1) {
            best = one;
        }
    }
    assert_eq!(summary.best.as_ref(), Some(best));
    // Not the last, and better than some that came after.
    let after = found.iter().filter(|one| one.0 > best.0);
    assert!(
        after.clone().any(|one| rank(&one.1) < rank(&best.1)),
        "{found:?}"
    );
}

/// Stops a run at its first evaluation.
fn go_to_the_first_evaluation(event: Event) -> ControlFlow<()> {
    match event {
        Event::Evaluation(..) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    }
}

#[test]
fn a_run_that_is_not_finished_is_replaced_only_when_asked() {
    let folder = tempdir().unwrap();
    let good = options(&folder, &tiny("llama", 1), "out.gguf");
    train::run(&good, &sums(), &Bytes, &mut go_to_the_first_evaluation).unwrap();
    let fails = |options: Options, says: &str| {
        let error = train::run(&options, &sums(), &Bytes, &mut go).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    };
    let other = Options {
        seed: 7,
        ..good.clone()
    };
    fails(
        other.clone(),
        "out.gguf.train holds 2 steps of another run that is not finished: --restart begins anew",
    );
    // What allows a wide margin allows no more than that.
    let forced = Options {
        force: true,
        ..good.clone()
    };
    fails(
        forced,
        "2 of this run's 15 steps: --resume goes on there, --restart begins anew",
    );
    let restarted = Options {
        restart: true,
        ..other.clone()
    };
    let mut first = None;
    let summary = train::run(&restarted, &sums(), &Bytes, &mut |event| {
        if let Event::Step(metrics) = &event {
            first.get_or_insert(metrics.step);
        }
        go_to_the_first_evaluation(event)
    });
    assert_eq!((first, summary.unwrap().finished), (Some(1), false));
    // It is gone on with as if it had been the first there.
    let resumed = Options {
        resume: true,
        ..other.clone()
    };
    assert!(
        train::run(&resumed, &sums(), &Bytes, &mut go)
            .unwrap()
            .finished
    );
    // One that is finished may be replaced.
    train::run(&good, &sums(), &Bytes, &mut go).unwrap();
}

#[test]
fn best_weights_that_are_not_the_runs_are_noticed_before_it_goes_on() {
    let folder = tempdir().unwrap();
    let begun = |name: &str, seed: u64| {
        let options = Options {
            evaluate_every: 1,
            seed,
            ..options(&folder, &tiny("llama", 1), name)
        };
        train::run(&options, &sums(), &Bytes, &mut go_to_the_first_evaluation).unwrap();
        Options {
            resume: true,
            ..options
        }
    };
    let (run, _) = (begun("run.gguf", 0), begun("other.gguf", 1));
    let best = folder.path().join("run.gguf.train/best.gguf");
    let own = fs::read(&best).unwrap();
    let fails = |says: &str| {
        let mut steps = 0;
        let error = train::run(&run, &sums(), &Bytes, &mut |event| {
            steps += usize::from(matches!(event, Event::Step(_)));
            ControlFlow::Continue(())
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(steps, 0);
    };
    fs::copy(folder.path().join("other.gguf.train/best.gguf"), &best).unwrap();
    fails(
        "best.gguf is another run's, where this run's best weights (step 1) should be: put them back",
    );
    fs::remove_file(&best).unwrap();
    fails("best.gguf is missing or damaged, where ");
    fs::write(&best, own).unwrap();
    let mut early = Gguf::read(&best).unwrap();
    let step = early.metadata.iter_mut().find(|(key, _)| key == "run.step");
    step.unwrap().1 = Value::U64(0);
    early.write(&best, Precision::F32).unwrap();
    fails("best.gguf is of step 0, where ");
    // Later ones are what a run leaves that is killed between its two files.
    let step = early.metadata.iter_mut().find(|(key, _)| key == "run.step");
    step.unwrap().1 = Value::U64(2);
    early.write(&best, Precision::F32).unwrap();
    let summary = train::run(&run, &sums(), &Bytes, &mut go);
    assert!(summary.unwrap().finished);
}

#[test]
fn a_loss_that_is_not_a_number_keeps_the_last_good_state() {
    let folder = tempdir().unwrap();
    let good = Options {
        save_every: 1,
        ..options(&folder, &tiny("llama", 1), "out.gguf")
    };
    let mut steps = 0;
    let summary = train::run(&good, &sums(), &Bytes, &mut |event| {
        steps += usize::from(matches!(event, Event::Step(_)));
        if steps == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(summary.unwrap().steps, 3);
    let state = folder.path().join("out.gguf.train/state.gguf");
    let best = fs::read(&good.out).unwrap();
    fs::remove_file(&good.out).unwrap();
    // Without --resume the three steps are not thrown away unasked.
    let again = train::run(&good, &sums(), &Bytes, &mut go).unwrap_err();
    assert!(
        again.to_string().contains(
            "out.gguf.train holds 3 of this run's 15 steps: --resume goes on there, --restart begins anew"
        ),
        "{again}"
    );
    let bad = Options {
        resume: true,
        ..good
    };
    // Nor does a run go on from another base.
    tiny("llama", 2).write(&bad.base, Precision::F32).unwrap();
    let other = train::run(&bad, &sums(), &Bytes, &mut go).unwrap_err();
    assert!(other.to_string().contains("another base"), "{other}");
    tiny("llama", 1).write(&bad.base, Precision::F32).unwrap();
    // A state with one weight out of all bounds.
    let mut broken = Gguf::read(&state).unwrap();
    broken.tensors[0].values[0] = f32::INFINITY;
    broken.write(&state, Precision::F32).unwrap();
    let before = fs::read(&state).unwrap();
    let error = train::run(&bad, &sums(), &Bytes, &mut go)
        .unwrap_err()
        .to_string();
    assert!(error.contains("not a number at step 4"), "{error}");
    assert!(error.contains("the last good state is in"), "{error}");
    assert!(error.contains("the best weights so far (step "), "{error}");
    assert!(fs::read(&state).unwrap() == before);
    assert!(fs::read(&bad.out).unwrap() == best);
}

#[test]
fn without_held_out_problems_states_are_saved_and_broken_weights_are_not() {
    let folder = tempdir().unwrap();
    let options = Options {
        dev_share: 0.0,
        ..options(&folder, &tiny("llama", 1), "out.gguf")
    };
    let state = folder.path().join("out.gguf.train/state.gguf");
    let mut saved = 0;
    let summary = train::run(&options, &sums(), &Bytes, &mut |event| {
        if let Event::Step(metrics) = event
            && metrics.step < metrics.steps
        {
            saved += usize::from(state.exists());
        }
        ControlFlow::Continue(())
    });
    assert_eq!(summary.unwrap().dev_problems, 0);
    assert!(saved > 5, "{saved}");

    let (before, adapter) = (fs::read(&state).unwrap(), fs::read(&options.out).unwrap());
    let wild = Options {
        rate: 1e30,
        warmup: 0.0,
        batch: 10_000,
        epochs: 1,
        ..options
    };
    let error = train::run(&wild, &sums(), &Bytes, &mut go)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("not a number at step 1, try a lower learning rate"),
        "{error}"
    );
    assert!(fs::read(&state).unwrap() == before && fs::read(&wild.out).unwrap() == adapter);
}

#[test]
fn likelihoods_that_fall_are_noticed() {
    let folder = tempdir().unwrap();
    let mut options = options(&folder, &tiny("llama", 1), "out.gguf");
    options.collapse = train::Collapse::Stop;
    options.collapse_nats = 0.001;
    options.rate = 0.1;
    options.evaluate_every = 1;
    let mut warnings = Vec::new();
    let summary = train::run(&options, &sums(), &Bytes, &mut |event| {
        if let Event::Warning(text) = event {
            warnings.push(text);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(summary.collapsed && !summary.finished && summary.best.is_some());
    assert!(warnings[0].contains("nats per token"), "{warnings:?}");
}

#[test]
fn without_held_out_problems_a_fall_since_the_first_steps_is_noticed() {
    let folder = tempdir().unwrap();
    let mut options = Options {
        rate: 1e-5,
        dev_share: 0.0,
        collapse: train::Collapse::Stop,
        ..options(&folder, &tiny("llama", 1), "out.gguf")
    };
    let mut first = None;
    let stopped = train::run(&options, &sums(), &Bytes, &mut |event| {
        if let Event::Step(metrics) = event {
            first = metrics.chosen_logp;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    assert_eq!(stopped.unwrap().steps, 1);
    let state = folder.path().join("out.gguf.train/state.gguf");
    let mut saved = Gguf::read(&state).unwrap();
    let mut keys = saved.metadata.iter_mut();
    let before = keys.find(|(key, _)| key == "run.logp_before");
    let before = &mut before.unwrap().1;
    assert_eq!(*before, Value::F64(first.unwrap()));
    // As if the solutions had been certain then.
    *before = Value::F64(0.0);
    saved.write(&state, Precision::F32).unwrap();

    options.resume = true;
    let mut warnings = Vec::new();
    let summary = train::run(&options, &sums(), &Bytes, &mut |event| {
        if let Event::Warning(text) = event {
            warnings.push(text);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(summary.collapsed && !summary.finished);
    assert_eq!((summary.steps, warnings.len()), (2, 2), "{warnings:?}");
    assert_eq!(
        warnings[0],
        "no problem is held out: the last weights are kept"
    );
    assert!(warnings[1].contains("nats per token"), "{warnings:?}");
}

/// Real samples with labels to pairs to an adapter whose scores in llama.cpp order held-out
/// solutions as they did in training.
#[test]
fn recorded_samples_train_a_verifier_that_llama_cpp_runs() {
    // Recorded answers are compared as texts here; `grade` knows better.
    let grade = |gold: &str, answer: &str| Some(gold == answer);
    for (name, lines, characters_max) in [
        ("samples/mathtrain_qwen3-8b-gt_16.jsonl", 128, 1500),
        ("samples/mbpp_train_qwen25-1.5b_12.jsonl", 80, 350),
    ] {
        let Some(path) = shared(name) else {
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        let rows: Vec<&str> = text.lines().take(lines).collect();
        let labelled = pairs::from_samples(rows.join("\n").as_bytes(), &path, &grade).unwrap();
        let (rows, statistics) = pairs::build(
            &labelled,
            &pairs::Options {
                characters_max,
                pairs_per_problem: 4,
                dev_share: 0.2,
                ..pairs::Options::default()
            },
        );
        assert!(
            statistics.mixed >= 10 && statistics.dev >= 2,
            "{statistics:?}"
        );
        let rows: String = (rows.iter())
            .map(|row| serde_json::to_string(row).unwrap() + "\n")
            .collect();
        let (problems, _) = pairs::parse(rows.as_bytes(), &path).unwrap();

        let folder = tempdir().unwrap();
        let mut base = tiny("llama", 2);
        let context = base
            .metadata
            .iter_mut()
            .find(|(key, _)| key == "llama.context_length");
        context.unwrap().1 = Value::U32(2048);
        let mut options = options(&folder, &base, "adapter.gguf");
        options.epochs = 1;
        let summary = train::run(&options, &problems, &Bytes, &mut go).unwrap();
        let (_, best) = summary.best.unwrap();
        assert!(best.problems >= 2 && summary.saved.tokens < summary.saved.pairwise);

        let mut model = load(&options.base);
        let (mut right, mut pairs) = (0, 0);
        for problem in problems
            .iter()
            .filter(|p| p.split == Some(pairs::Split::Dev))
        {
            let prompt = Bytes.prompt(&problem.prompt).unwrap();
            let scores: Vec<Option<f64>> = (problem.solutions.iter())
                .map(|(text, _)| {
                    let tokens = [prompt.clone(), Bytes.solution(text).unwrap()].concat();
                    let tokens: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
                    let adapter = Some(options.out.as_path());
                    (tokens.len() <= 2048)
                        .then(|| logp_mean(&mut model, adapter, &tokens, prompt.len()))
                })
                .collect();
            for (good, a) in problem.solutions.iter().zip(&scores).filter(|(s, _)| s.1) {
                for (bad, b) in problem.solutions.iter().zip(&scores).filter(|(s, _)| !s.1) {
                    if let (Some(a), Some(b)) = (a, b) {
                        assert_ne!(good, bad);
                        pairs += 1;
                        right += usize::from(a > b);
                    }
                }
            }
        }
        let theirs = right as f64 / f64::from(pairs);
        assert!(
            (theirs - best.pair_accuracy).abs() < 1e-9,
            "{theirs} {best:?}"
        );
    }
}
