//! Work that comes and goes: many questions at once, ends before time, one base in several roles.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rerank::{
    model::{
        Generation, LanguageModel, LlamaCpp, Replay, Request, Sampling,
        fixture::{self, Geometry},
        gguf::{Gguf, Precision, Tensor, Value as Metadata},
        llama::{Resources, free_bytes},
        to_the_end,
    },
    problem::Question,
    trace::{Stop, Trace, Why},
};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::llama::{ROOMY, load, question, quiet, request, short, tiny, tiny_model, write_tiny};

fn texts(drawn: &[Generation]) -> Vec<String> {
    drawn.iter().map(|one| one.text.clone()).collect()
}

fn questions(count: usize) -> Vec<Question> {
    let text = |index: usize| format!("{} and {index}: how many?", "why ".repeat(index % 7));
    (0..count).map(|index| question(&text(index))).collect()
}

#[test]
fn two_hundred_questions_have_the_same_candidates_in_any_company() {
    let folder = tempdir().unwrap();
    let path = write(folder.path(), Precision::Q4K, &|_| ());
    let questions = questions(200);
    let requests: Vec<Request> = questions
        .iter()
        .zip(0..)
        .map(|(question, seed)| request(question, 16, seed))
        .collect();
    let sampling = short(1.0, 8);
    let draw = |kv_bytes_max: u64, requests: &[Request]| -> Vec<Vec<Generation>> {
        let mut model = deterministic(&path, kv_bytes_max);
        let drawn = model.generate(requests, &sampling, &quiet);
        drawn.unwrap().generations
    };
    let together = draw(ROOMY, &requests);
    assert!(together.iter().all(|drawn| drawn.len() == 16));

    // The prompt's stream and eight samples', of 256 cells of 1 KiB.
    assert!(draw(9 * (256 << 10), &requests) == together);
    let mut model = deterministic(&path, ROOMY);
    for (request, expected) in requests.iter().zip(&together) {
        let alone = model.generate(std::slice::from_ref(request), &sampling, &quiet);
        assert_eq!(&alone.unwrap().generations[0], expected);
    }
    // As a run that was stopped in the middle of each question goes on.
    let rest: Vec<Request> = requests
        .iter()
        .map(|request| Request {
            first: 9,
            samples: 7,
            ..request.clone()
        })
        .collect();
    let rest = draw(ROOMY, &rest);
    assert!(
        rest.iter()
            .zip(&together)
            .all(|(rest, all)| rest[..] == all[9..])
    );
}

/// Writes a model wide enough that quantised kernels are at work.
fn write(folder: &Path, precision: Precision, change: &dyn Fn(&mut Gguf)) -> PathBuf {
    let geometry = Geometry {
        width: 256,
        ffn: 512,
        ..tiny(260)
    };
    let mut gguf = fixture::random_llama(&geometry, 5, fixture::bytes_tokenizer());
    change(&mut gguf);
    let path = folder.join("model.gguf");
    gguf.write(&path, precision).unwrap();
    path
}

/// Makes each feed-forward layer a mixture of four experts, of which a token takes two.
fn mix(gguf: &mut Gguf) {
    let numbers = [("expert_count", 4), ("expert_used_count", 2)];
    let numbers = numbers.map(|(key, count)| (format!("llama.{key}"), Metadata::U32(count)));
    gguf.metadata.extend(numbers);
    let mut routers = Vec::new();
    for tensor in &mut gguf.tensors {
        let Some((layer, matrix)) = tensor.name.split_once(".ffn_") else {
            continue;
        };
        let Some(matrix) = matrix.strip_suffix(".weight").filter(|it| *it != "norm") else {
            continue;
        };
        if matrix == "gate" {
            routers.push(Tensor {
                name: format!("{layer}.ffn_gate_inp.weight"),
                shape: vec![4, 256],
                values: tensor.values[..4 * 256].to_vec(),
            });
        }
        tensor.name = format!("{layer}.ffn_{matrix}_exps.weight");
        tensor.shape.insert(0, 4);
        let one = tensor.values.clone();
        for factor in [0.9, -1.0, 1.1] {
            tensor.values.extend(one.iter().map(|value| value * factor));
        }
    }
    gguf.tensors.extend(routers);
}

fn deterministic(path: &Path, kv_bytes_max: u64) -> LlamaCpp {
    let resources = Resources {
        threads: 2,
        kv_bytes_max,
        kv_contexts: 1,
        gpu_layers: 0,
        deterministic: true,
    };
    LlamaCpp::load(path, None, resources).unwrap()
}

#[test]
fn deterministic_candidates_depend_on_no_company_in_any_precision() {
    let questions = questions(6);
    let requests: Vec<Request> = questions
        .iter()
        .map(|question| request(question, 7, 3))
        .collect();
    let sampling = short(1.0, 16);
    let plain: &dyn Fn(&mut Gguf) = &|_| ();
    for (precision, change) in [
        (Precision::F32, plain),
        (Precision::F16, plain),
        (Precision::Q8_0, plain),
        (Precision::Q4K, plain),
        (Precision::Q8_0, &mix),
        (Precision::Q4K, &mix),
    ] {
        let folder = tempdir().unwrap();
        let mut model = deterministic(&write(folder.path(), precision, change), ROOMY);
        let together = model.generate(&requests, &sampling, &quiet).unwrap();
        for (request, expected) in requests.iter().zip(&together.generations) {
            for (sample, expected) in expected.iter().enumerate() {
                let one = Request {
                    first: sample,
                    samples: 1,
                    ..request.clone()
                };
                let alone = model.generate(&[one], &sampling, &quiet).unwrap();
                assert_eq!(&alone.generations[0][0], expected, "{precision:?}");
            }
        }
    }
}

#[test]
fn a_request_that_is_given_up_makes_room_and_disturbs_nobody() {
    let (_folder, mut model) = tiny_model(ROOMY);
    let questions = questions(2);
    let sampling = short(1.0, 30);
    let kept = request(&questions[0], 3, 1);
    let alone = model
        .generate(std::slice::from_ref(&kept), &sampling, &quiet)
        .unwrap();

    let dropped = model
        .submit(&request(&questions[1], 200, 2), &sampling)
        .unwrap();
    let ticket = model.submit(&kept, &sampling).unwrap();
    for _ in 0..5 {
        assert!(model.step().unwrap().is_empty());
    }
    let cancelled = model.cancel(dropped.id);
    assert_eq!(cancelled.len(), 64);
    for one in &cancelled {
        assert_eq!(
            (one.generation.stop, one.generation.tokens),
            (Stop::Cancelled, 6)
        );
    }
    assert_eq!(model.pending(), 3);
    let mut drawn = vec![String::new(); 3];
    while model.pending() > 0 {
        for ended in model.step().unwrap() {
            assert_eq!(ended.ticket, ticket.id);
            drawn[ended.sample] = ended.generation.text;
        }
    }
    assert_eq!(drawn, texts(&alone.generations[0]));
}

#[test]
fn a_circle_is_left_and_cut_off() {
    let (_folder, mut model) = tiny_model(ROOMY);
    let question = question("How many?");
    let mut greedy = |repeats_max| {
        let sampling = Sampling {
            repeats_max,
            ..short(0.0, 300)
        };
        let drawn = model.generate(&[request(&question, 1, 0)], &sampling, &quiet);
        drawn.unwrap().generations.swap_remove(0).swap_remove(0)
    };
    // The likeliest token of a random model soon leads back to itself.
    let whole = greedy(0);
    assert_eq!((whole.stop, whole.tokens), (Stop::Length, 300));
    let cut = greedy(4);
    assert_eq!(cut.stop, Stop::Repetition);
    assert!(cut.tokens < 300 && whole.text.starts_with(&cut.text));
    assert!(!cut.text.is_empty() && cut.text.len() < cut.tokens as usize);
}

#[test]
fn a_tree_of_candidates_scores_as_each_alone() {
    let folder = tempdir().unwrap();
    for precision in [
        Precision::F32,
        Precision::F16,
        Precision::Q8_0,
        Precision::Q4K,
    ] {
        let mut model = load(&write(folder.path(), precision, &|_| ()), ROOMY);
        let question = question("How many are there?");
        let request = request(&question, 0, 0);
        // Enough that they need several trees: 90 of up to 100 tokens, most with common beginnings.
        let candidates: Vec<String> = (0..90)
            .map(|index: usize| {
                let (first, second) = (index / 30, index / 10);
                format!(
                    "First {first}. {}. So {index}.",
                    format!("Then {second}; ").repeat(1 + index % 8)
                )
            })
            .chain(["".to_owned(), "First 0".to_owned(), "First 0".to_owned()])
            .collect();
        let candidates: Vec<&str> = candidates.iter().map(String::as_str).collect();
        let together = model.score(&request, &candidates, &to_the_end).unwrap();
        for (candidate, score) in candidates.iter().zip(&together.scores) {
            let alone = model.score(&request, &[candidate], &to_the_end);
            let alone = alone.unwrap().scores[0];
            assert_eq!(*score, alone, "{candidate} in {precision:?}");
        }
    }
}

#[test]
fn too_small_a_budget_is_refused_with_both_numbers() {
    let (_folder, mut model) = tiny_model(100_000);
    let question = question("How many?");
    let error = model
        .generate(&[request(&question, 2, 0)], &short(1.0, 10), &quiet)
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("131072 bytes") && message.contains("100000"),
        "{message}"
    );
    assert!(message.contains("--kv-budget"), "{message}");
    assert!(free_bytes() > 1 << 20);
}

#[test]
fn one_base_serves_roles_that_share_nothing_else() {
    let folder = tempdir().unwrap();
    let path = write_tiny(folder.path(), &[]);
    let mut roles = LlamaCpp::load_roles(&path, &[None, None], Resources::default()).unwrap();
    let question = question("How many?");
    let request = request(&question, 4, 1);
    let sampling = short(1.0, 12);
    let tickets: Vec<_> = roles
        .iter_mut()
        .map(|role| role.submit(&request, &sampling).unwrap())
        .collect();
    assert_eq!(tickets[0], tickets[1]);
    let mut drawn = vec![vec![String::new(); 4]; 2];
    while roles.iter().any(|role| role.pending() > 0) {
        for (role, drawn) in roles.iter_mut().zip(&mut drawn) {
            for ended in role.step().unwrap() {
                drawn[ended.sample] = ended.generation.text;
            }
        }
    }
    assert_eq!(drawn[0], drawn[1]);
    // The weights outlive the role that was dropped first.
    roles.remove(0);
    let again = roles[0].generate(&[request], &sampling, &quiet).unwrap();
    assert_eq!(texts(&again.generations[0]), drawn[0]);
}

#[test]
fn a_recording_is_drawn_until_the_vote_is_settled() {
    let folder = tempdir().unwrap();
    let sample = |answer: usize| json!({"model": "m", "kind": "cot", "text": format!("The answer is {answer}.")});
    let row = |id: usize, answers: &[usize]| {
        let samples: Vec<Value> = answers.iter().map(|answer| sample(*answer)).collect();
        json!({"id": id, "question": format!("What is {id}?"), "gold": "7", "samples": samples})
            .to_string()
    };
    let rows = [
        row(0, &[7; 12]),
        row(1, &[7, 3, 7, 7, 7, 7, 7, 3, 3, 3, 3, 3]),
        row(2, &[7, 3, 7, 3, 7, 3, 7, 3, 7, 3, 7, 3]),
    ];
    let path = folder.path().join("samples.jsonl");
    fs::write(&path, rows.join("\n")).unwrap();
    let out = folder.path().join("out");
    let run = Command::new(env!("CARGO_BIN_EXE_rerank"))
        .args([
            "eval", "gsm8k", "-n", "12", "--stop", "adaptive", "--replay",
        ])
        .arg(&path)
        .arg("--out")
        .arg(&out)
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let traces = fs::read_to_string(out.join("traces.jsonl")).unwrap();
    let traces: Vec<Trace> = traces
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kept: Vec<usize> = traces.iter().map(|trace| trace.candidates.len()).collect();
    assert_eq!(kept, [4, 7, 12]);
    let stopped = traces[1].stopped.unwrap();
    assert_eq!(
        (stopped.why, stopped.asked, stopped.kept),
        (Why::Settled, 12, 7)
    );
    assert!(stopped.confidence.unwrap() >= 0.95);
    assert_eq!(traces[2].stopped, None);
    assert_eq!(Replay::open(&path).unwrap().questions().count(), 3);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_what_is_finished_and_the_run_goes_on_from_there() {
    let folder = tempdir().unwrap();
    let model = write_tiny(folder.path(), &[]);
    let row = |index: usize| json!({"question": format!("What is {index}?"), "answer": format!("#### {index}")});
    let rows: Vec<String> = (0..160).map(|index| row(index).to_string()).collect();
    let data = folder.path().join("data.jsonl");
    fs::write(&data, rows.join("\n")).unwrap();
    let command = |out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rerank"));
        command
            .args([
                "eval",
                "gsm8k",
                "--force",
                "-n",
                "4",
                "--max-tokens",
                "60",
                "--threads",
                "1",
                "--temperature",
                "1",
                // What is kept of one run would make the others equal without drawing.
                "--no-cache",
                // They run in different company, and log-probabilities are compared too.
                "--deterministic",
            ])
            .arg("--data")
            .arg(&data)
            .arg("--reasoner")
            .arg(&model)
            .arg("--out")
            .arg(folder.path().join(out))
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    };
    let traces = |out: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.path().join(out).join("traces.jsonl"));
        let lines = text.unwrap_or_default();
        lines
            .lines()
            .map(|line| {
                let mut trace: Value = serde_json::from_str(line).unwrap();
                // What a prompt shares with the last one depends on which that was.
                trace["timings_ms"] = Value::Null;
                trace["tokens"] = Value::Null;
                trace
            })
            .collect()
    };
    let mut cut = command("cut").spawn().unwrap();
    let begun =
        || fs::metadata(folder.path().join("cut/traces.jsonl")).is_ok_and(|it| it.len() > 0);
    while !begun() && cut.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let signal = Command::new("kill")
        .args(["-INT", &cut.id().to_string()])
        .status();
    assert!(signal.unwrap().success());
    let status = cut.wait().unwrap();
    let mut message = String::new();
    std::io::Read::read_to_string(&mut cut.stderr.take().unwrap(), &mut message).unwrap();
    assert_eq!(status.code(), Some(1), "{message}");
    assert!(
        message.contains("goes on when it is started again"),
        "{message}"
    );
    let finished = traces("cut").len();
    assert!((1..160).contains(&finished), "{finished}");

    assert!(command("cut").status().unwrap().success());
    assert!(command("whole").status().unwrap().success());
    assert!(traces("cut") == traces("whole"));
    assert_eq!(traces("cut").len(), 160);
}

#[test]
fn a_split_model_is_known_by_all_its_parts() {
    let folder = tempdir().unwrap();
    let [first, second] =
        [1, 2].map(|part| folder.path().join(format!("m-0000{part}-of-00002.gguf")));
    fs::rename(write_tiny(folder.path(), &[]), &first).unwrap();
    let hash_with = |second_part: &[u8]| {
        fs::write(&second, second_part).unwrap();
        load(&first, ROOMY).sha256().unwrap()
    };
    assert_eq!(hash_with(b"weights"), hash_with(b"weights"));
    assert_ne!(hash_with(b"weights"), hash_with(b"others"));
}

#[test]
fn questions_that_share_only_a_templates_words_do_not_know_who_came_before() {
    let folder = tempdir().unwrap();
    let path = write(folder.path(), Precision::Q8_0, &|_| ());
    let sampling = short(1.0, 8);
    let draw = |questions: &[Question]| -> Vec<Vec<Generation>> {
        let mut model = load(&path, ROOMY);
        let requests: Vec<Request> = questions.iter().map(|one| request(one, 8, 1)).collect();
        model
            .generate(&requests, &sampling, &quiet)
            .unwrap()
            .generations
    };
    let asked = ["Why, then, is it so?", "Why, then, not? And who says so?"].map(question);
    assert_eq!(draw(&asked)[1], draw(&asked[1..])[0]);
}

#[test]
fn a_reasoner_whose_weights_are_no_numbers_is_said_to_be_damaged() {
    let folder = tempdir().unwrap();
    let damage = |gguf: &mut Gguf| {
        let mut tensors = gguf.tensors.iter_mut();
        let last = tensors.find(|tensor| tensor.name == "output_norm.weight");
        last.unwrap().values.fill(f32::NAN);
    };
    let mut model = load(&write(folder.path(), Precision::F32, &damage), ROOMY);
    let question = question("How many?");
    let error = model.generate(&[request(&question, 2, 1)], &short(1.0, 4), &quiet);
    let message = error.err().unwrap().to_string();
    assert!(
        message
            .ends_with("its logits are not numbers: the weights are damaged, name another model"),
        "{message}"
    );
}

#[test]
fn an_adapter_without_its_base_is_told_how_to_be_named() {
    let folder = tempdir().unwrap();
    let alone = |gguf: &mut Gguf| {
        let adapter = Metadata::String("adapter".to_owned());
        gguf.metadata.retain(|(key, _)| key.starts_with("general."));
        gguf.metadata.push(("general.type".to_owned(), adapter));
    };
    let path = write(folder.path(), Precision::F32, &alone);
    let resources = Resources::default();
    let message = LlamaCpp::load(&path, None, resources).err().unwrap();
    let message = message.to_string();
    let expected = format!("name it after its base, as BASE.gguf+{}", path.display());
    assert!(message.ends_with(&expected), "{message}");
}

#[test]
fn options_that_do_nothing_alone_are_refused_and_a_run_keeps_its_determinism() {
    let folder = tempdir().unwrap();
    let model = write_tiny(folder.path(), &[]);
    let data = folder.path().join("rows.jsonl");
    fs::write(
        &data,
        "{\"question\": \"How many?\", \"answer\": \"#### 2\"}\n",
    )
    .unwrap();
    let run = |more: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_rerank"))
            .args([
                "eval",
                "gsm8k",
                "--force",
                "-n",
                "1",
                "--max-tokens",
                "4",
                "--threads",
                "1",
            ])
            .args(["--no-cache", "--data"])
            .args([&data, Path::new("--reasoner"), &model, Path::new("--out")])
            .arg(folder.path().join("run"))
            .args(more)
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .output()
            .unwrap();
        (run.status.code(), String::from_utf8(run.stderr).unwrap())
    };
    let (code, message) = run(&["--confidence", "0.5"]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("--confidence says when --stop adaptive ends"),
        "{message}"
    );
    assert_eq!(run(&["--deterministic"]).0, Some(0));
    let (code, message) = run(&[]);
    assert_eq!(code, Some(1));
    assert!(message.contains("deterministic"), "{message}");
}
