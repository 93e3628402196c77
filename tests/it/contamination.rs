//! `rerank contamination`, and the check itself on a benchmark that was paraphrased.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{fs, process::Command};

use rerank::task::{
    contamination::{Options, contamination, questions},
    generate::generate,
};
use serde_json::Value;
use tempfile::tempdir;

use crate::gguf::shared;

const TRAIN: &str = r#"{"problem": "Tom has 3 apples and buys 5 more. How many apples has Tom?"}

{"problem": "A train runs 60 miles in an hour. How far does it run in 4 hours?"}
"#;
const TEST: &str = r#"{"Body": "A train runs 60 miles in an hour.", "Question": "How far in 4 hours?"}
{"Body": "Mary reads 12 pages a day.", "Question": "How many pages does she read in a week?"}
"#;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_rerank"))
        .arg("contamination")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn questions_found_are_counted_and_shown() {
    let folder = tempdir().unwrap();
    let (train, test) = (folder.path().join("train"), folder.path().join("test"));
    fs::write(&train, TRAIN).unwrap();
    fs::write(&test, TEST).unwrap();
    let files = [
        "--train",
        train.to_str().unwrap(),
        "--test",
        test.to_str().unwrap(),
    ];

    let (code, shown, _) = run(&files);
    assert_eq!(code, Some(0));
    assert!(
        shown.starts_with("1 of 2 test questions are found among 2 training questions"),
        "{shown}"
    );
    // train run(s) 60 miles hour far 4 hours: of eight words, six or all but "run".
    assert!(shown.contains("\n0.89  test line 1: A train runs 60 miles in an hour. How far in 4 hours?\n      train line 3: A train"), "{shown}");

    let (_, printed, _) = run(&[&files[..], &["--json", "--ngram", "2"]].concat());
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (&report["found"], &report["test"], &report["ngram"]),
        (&1.into(), &2.into(), &2.into())
    );
    assert_eq!(report["questions"][0]["train_line"], 3);
    let (_, shown, _) = run(&[&files[..], &["--threshold", "0.95"]].concat());
    assert!(shown.starts_with("0 of 2"), "{shown}");

    let (code, _, error) = run(&[&files[..], &["--train-field", "prompt"]].concat());
    assert_eq!(code, Some(1));
    assert!(
        error.contains("line 1: no field prompt; name one of problem as the field"),
        "{error}"
    );
    assert_eq!(run(&[&files[..], &["--ngram", "0"]].concat()).0, Some(2));
}

/// GSM8K's test questions (MIT) against themselves, their paraphrases by a language model
/// (lm-sys/llm-decontaminator, Apache-2.0), and SVAMP's questions (MIT), which are other ones.
#[test]
fn copies_are_all_found_and_paraphrases_in_part() {
    let files = [
        "gsm8k/test.jsonl",
        "contamination/gsm8k_test_rephrased.jsonl",
        "wordproblems/svamp.jsonl",
    ];
    let Some(files) = files
        .iter()
        .map(|file| shared(file))
        .collect::<Option<Vec<_>>>()
    else {
        eprintln!("skipped: GSM8K, its paraphrases and SVAMP are not in ../shared/data");
        return;
    };
    let texts = |index: usize| -> Vec<String> {
        let rows = questions(&files[index], &[]).unwrap();
        // The paraphrases carry their answers: "Question: ...\nAnswer: ...".
        let bare = |text: String| {
            let text = text.split("\nAnswer:").next().unwrap();
            text.strip_prefix("Question: ").unwrap_or(text).to_owned()
        };
        rows.into_iter().map(|(_, text)| bare(text)).collect()
    };
    let (original, paraphrased, other) = (texts(0), texts(1), texts(2));
    let of = |train: &[String], test: &[String]| contamination(train, test, &Options::default());

    let copies = of(&original, &original);
    assert_eq!(copies.len(), original.len());
    assert!(
        copies
            .iter()
            .all(|hit| hit.overlap == 1.0 && hit.test == hit.train),
        "a copy is its own nearest"
    );
    let paraphrases = of(&paraphrased, &original);
    let own = paraphrases
        .iter()
        .filter(|hit| hit.test == hit.train)
        .count();
    assert!(
        own * 10 >= paraphrases.len() * 9,
        "{own} of {}",
        paraphrases.len()
    );
    // The figures of eval/README.md.
    assert_eq!(
        (paraphrases.len(), of(&other, &original).len()),
        (PARAPHRASES, OTHERS)
    );
}

// What the built-in models learn from tells no story of a test set: MultiArith, AddSub, SingleEq,
// SingleOp (MAWPS), ASDiv (CC BY-NC 4.0), SVAMP (MIT), GSM8K (MIT). Single words may be alike in one
// of fifty, since the shortest sums are told in five or six of them; of pairs of words never half are.
#[test]
fn generated_problems_repeat_no_test_question() {
    let sets = [
        "wordproblems/multiarith.jsonl",
        "wordproblems/addsub.jsonl",
        "wordproblems/singleeq.jsonl",
        "wordproblems/singleop.jsonl",
        "wordproblems/asdiv_2215.jsonl",
        "wordproblems/svamp.jsonl",
        "gsm8k/test.jsonl",
    ];
    let generated: Vec<String> = (0..15_000)
        .map(|index| generate(1, index).question)
        .collect();
    for set in sets {
        let Some(path) = shared(set) else {
            eprintln!("skipped: {set} is not in ../shared/data");
            continue;
        };
        let test: Vec<String> = questions(&path, &[])
            .unwrap()
            .into_iter()
            .map(|row| row.1)
            .collect();
        let options = |ngram| Options {
            ngram,
            ..Options::default()
        };
        let of_words = contamination(&generated, &test, &options(1)).len();
        let of_pairs = contamination(&generated, &test, &options(2));
        assert!(
            of_words * 50 <= test.len(),
            "{set}: {of_words} of {}",
            test.len()
        );
        assert!(of_pairs.is_empty(), "{set}: {}", test[of_pairs[0].test]);
    }
}

const PARAPHRASES: usize = 317;
const OTHERS: usize = 0;
