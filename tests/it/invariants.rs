//! The invariants in the crate's documentation that a look at the source can check.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{fs, path::PathBuf};

/// Every source file, by its path under `src`, without its comments.
fn sources() -> Vec<(String, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let code = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"));
                sources.push((name, code.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    sources
}

/// Checks that only files under `allowed` contain `word`.
#[track_caller]
fn only(word: &str, allowed: &[&str]) {
    for (name, code) in sources() {
        let may = allowed.iter().any(|prefix| name.starts_with(prefix));
        assert!(may || !code.contains(word), "src/{name} contains {word:?}");
    }
}

#[test]
fn foreign_engines_are_named_in_their_own_files_alone() {
    only(
        "llama_cpp",
        &["model/llama.rs", "model/llama/", "model/gguf.rs"],
    );
    only("burn::", &["train/"]);
    only("wasmtime", &["execute"]);
    only(
        "unsafe ",
        &["model/llama", "model/gguf.rs", "train/", "execute"],
    );
}

#[test]
fn stages_do_not_import_each_other_and_see_no_reference() {
    let stages = ["sample", "translate", "execute", "judge", "score", "select"];
    for (name, code) in sources() {
        let Some(stage) = name
            .strip_suffix(".rs")
            .filter(|name| stages.contains(name))
        else {
            continue;
        };
        for other in stages.iter().filter(|other| **other != stage) {
            let imports = [
                format!("{other}::{other}"),
                format!("crate::{other}"),
                format!("    {other}::"),
                format!("    {other}}}"),
            ];
            assert!(
                imports.iter().all(|import| !code.contains(import)),
                "{stage} imports {other}"
            );
        }
        assert!(!code.contains("Reference"), "{stage} knows references");
        assert!(!code.contains("Problem"), "{stage} knows problems");
    }
}

#[test]
fn pure_modules_touch_no_file_clock_or_chance() {
    for (name, code) in sources() {
        let pure = [
            "judge.rs",
            "select.rs",
            "eval/metrics/",
            "train/pairs",
            "answer/",
        ];
        if !pure.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        for impure in [
            "std::fs",
            "std::io",
            "std::env",
            "Instant",
            "SystemTime",
            "rand_chacha",
        ] {
            assert!(!code.contains(impure), "src/{name} uses {impure}");
        }
    }
}

#[test]
fn references_stay_with_benchmarks_evaluation_and_pairs() {
    let allowed = [
        "problem.rs",
        "trace.rs",
        "task/",
        "eval/",
        "train/pairs",
        "model/replay.rs",
        "cli/",
    ];
    only("Reference", &allowed);
}
