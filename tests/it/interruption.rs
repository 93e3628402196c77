//! Work that is ended before its end: what is finished is there, and is said to be a part.

use std::{
    ops::ControlFlow,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rerank::{
    Error, Result,
    answer::Rule,
    execute::Limits,
    model::{
        Finished, LanguageModel, LlamaCpp, Replay, Request, Sampling, Scored, Ticket, Watch,
        to_the_end,
    },
    probe::Probing,
    problem::{Interface, Question, Task},
    select::{Filter, Selector},
    settle::Until,
    solve::{CodeMode, Models, Options, solve},
    trace::{Verdict, Why},
};
use serde_json::json;
use tempfile::tempdir;

use crate::{
    llama::{ROOMY, question, request, short, tiny_model},
    sandbox::sandbox,
};

#[test]
fn scoring_ends_where_its_watch_says_so_and_starts_anew() {
    let (_folder, mut model) = tiny_model(ROOMY);
    let question = question("How many?");
    let request = request(&question, 0, 0);
    // Several batches of tokens, in one tree.
    let texts: Vec<String> = (0..20).map(|index| format!("{index}.").repeat(8)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let whole = model.score(&request, &texts, &to_the_end).unwrap();
    let calls = AtomicUsize::new(0);
    let third = |_: usize, all: usize| {
        assert_eq!(all, 20);
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    };
    let error = model.score(&request, &texts, &third).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    assert_eq!(calls.into_inner(), 3);
    let again = model.score(&request, &texts, &to_the_end).unwrap();
    assert_eq!(again.scores, whole.scores);
}

fn options(selector: Selector, interrupted: Arc<AtomicBool>) -> Options {
    Options {
        samples: 5,
        until: Until::All,
        sampling: short(1.0, 6),
        translating: short(0.0, 6),
        limits: Limits::default(),
        code_mode: CodeMode::Agree,
        probing: Probing::default(),
        rule: Rule::Math,
        selector,
        filter: Filter::Off,
        seed: 1,
        interrupted,
    }
}

/// A verifier during whose work somebody presses Ctrl-C.
struct Disturbed {
    model: LlamaCpp,
    interrupted: Arc<AtomicBool>,
}

impl LanguageModel for Disturbed {
    fn name(&self) -> &str {
        "disturbed"
    }

    fn sha256(&self) -> Result<String> {
        self.model.sha256()
    }

    fn submit(&mut self, request: &Request, sampling: &Sampling) -> Result<Ticket> {
        self.model.submit(request, sampling)
    }

    fn step(&mut self) -> Result<Vec<Finished>> {
        self.model.step()
    }

    fn cancel(&mut self, ticket: u64) -> Vec<Finished> {
        self.model.cancel(ticket)
    }

    fn pending(&self) -> usize {
        self.model.pending()
    }

    fn score(&mut self, request: &Request, texts: &[&str], watch: Watch) -> Result<Scored> {
        self.interrupted.store(true, Ordering::Relaxed);
        self.model.score(request, texts, watch)
    }
}

#[test]
fn candidates_are_kept_and_none_is_scored_where_scoring_is_ended() {
    let (_folder, model) = tiny_model(ROOMY);
    let interrupted = Arc::new(AtomicBool::new(false));
    let disturbed = Disturbed {
        model,
        interrupted: Arc::clone(&interrupted),
    };
    let mut loaded: [Box<dyn LanguageModel>; 1] = [Box::new(disturbed)];
    let mut models = Models {
        loaded: &mut loaded,
        reasoner: 0,
        coder: None,
        verifier: Some(0),
    };
    let options = options(Selector::Weighted, interrupted);
    let quiet = |_, _, _| {};
    let question = question("How many?");
    let trace = solve(&question, &mut models, sandbox(), &options, &quiet).unwrap();
    let stopped = trace.stopped.unwrap();
    assert_eq!(
        (stopped.why, stopped.asked, stopped.kept),
        (Why::Interrupted, 5, 5)
    );
    assert_eq!(trace.candidates.len(), 5);
    assert!(trace.candidates.iter().all(|one| one.score.is_none()));
}

#[test]
fn programs_run_on_the_examples_alone_where_somebody_waits_for_the_end() {
    let folder = tempdir().unwrap();
    let recording = folder.path().join("samples.jsonl");
    let samples = ["x * 2", "x + 2"].map(|result| {
        let text = format!("def double(x):\n    return {result}\n");
        json!({"kind": "code", "text": text})
    });
    let row = json!({"question": "Double a number.", "samples": samples});
    std::fs::write(&recording, row.to_string()).unwrap();
    let question = Question {
        task: Task::Code,
        interface: Some(Interface {
            entry_point: "double".to_owned(),
            examples: vec!["assert double(3) == 6".to_owned()],
            ..Interface::default()
        }),
        ..question("Double a number.")
    };
    let solve = |interrupted: bool| {
        let mut loaded: [Box<dyn LanguageModel>; 1] = [Box::new(Replay::open(&recording).unwrap())];
        let mut models = Models {
            loaded: &mut loaded,
            reasoner: 0,
            coder: None,
            verifier: None,
        };
        let interrupted = Arc::new(AtomicBool::new(interrupted));
        let options = options(Selector::Majority, interrupted);
        let quiet = |_, _, _| {};
        solve(&question, &mut models, sandbox(), &options, &quiet).unwrap()
    };
    let (whole, cut) = (solve(false), solve(true));
    assert!(!whole.inputs.is_empty() && cut.inputs.is_empty());
    assert_eq!(cut.stopped.unwrap().why, Why::Interrupted);
    for trace in [whole, cut] {
        let verdicts: Vec<Verdict> = trace.candidates.iter().map(|one| one.verdict).collect();
        assert_eq!(verdicts, [Verdict::Agrees, Verdict::Disagrees]);
    }
}

/// Ctrl-C is pressed once the program listens for it: Linux tells.
#[cfg(target_os = "linux")]
#[test]
fn a_solve_that_is_ended_says_of_how_many_candidates_its_answer_is() {
    let folder = tempdir().unwrap();
    let model = crate::llama::write_tiny(folder.path(), &[]);
    let solve = Command::new(env!("CARGO_BIN_EXE_rerank"))
        .args(["solve", "How many?", "-n", "4096", "--threads", "1"])
        .args(["--temperature", "1", "--max-tokens", "400", "--reasoner"])
        .arg(&model)
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let listens = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", solve.id()));
        let status = status.unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        // Signal 2 is the second bit.
        caught.is_none_or(|mask| u64::from_str_radix(mask.trim(), 16).unwrap_or(2) & 2 != 0)
    };
    while !listens() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let signal = Command::new("kill")
        .args(["-INT", &solve.id().to_string()])
        .status();
    assert!(signal.unwrap().success());
    let shown = crate::cli::stdout(&solve.wait_with_output().unwrap());
    assert!(shown.contains("stopped by Ctrl-C with "), "{shown}");
    assert!(
        shown.contains(" of 4096 candidates drawn and none scored; the answer is of those"),
        "{shown}"
    );
}
