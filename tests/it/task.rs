//! Benchmarks: every manifest reads the real rows it was written for.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use rerank::task::Benchmark;

use crate::gguf::shared;

/// Reads a benchmark's rows and compares their number and the first problem.
#[track_caller]
fn check(name: &str, rows: &str, count: usize, question_ends: &str, answer: &str) {
    let benchmark = Benchmark::find(name).unwrap();
    assert_eq!(benchmark.name, name);
    let Some(path) = shared(rows) else { return };
    let problems = benchmark.problems(&path).unwrap();
    assert_eq!(problems.len(), count, "{name}");
    let first = &problems[0];
    assert!(
        first.question.text.ends_with(question_ends),
        "{name}: {:?}",
        first.question.text
    );
    assert_eq!(first.reference.answer, answer, "{name}");
    for problem in &problems {
        let own = Some(problem.reference.answer.as_str());
        assert!(
            benchmark.is_correct(own, &problem.reference),
            "{name}: {problem:?}"
        );
    }
}

#[test]
fn manifests_read_the_real_rows() {
    check(
        "gsm8k",
        "gsm8k/test.jsonl",
        1319,
        "at the farmers' market?",
        "18",
    );
    check(
        "gsm-hard",
        "wordproblems/gsm_hard.jsonl",
        1319,
        "at the farmers' market?",
        "-9867630.0",
    );
    check(
        "math500",
        "math/math500.jsonl",
        500,
        "\\theta < 2 \\pi.$",
        "\\left( 3, \\frac{\\pi}{2} \\right)",
    );
    check(
        "math",
        "math/test.jsonl",
        5000,
        "\\frac{2}{x^2+x-6}$ have?",
        "2",
    );
    check(
        "svamp",
        "wordproblems/svamp.jsonl",
        1000,
        "to buy each pack?",
        "51.0",
    );
    check(
        "multiarith",
        "wordproblems/multiarith.jsonl",
        600,
        "do they have left?",
        "39",
    );
    check(
        "addsub",
        "wordproblems/addsub.jsonl",
        395,
        "did she give to Sam ?",
        "43.0",
    );
    check(
        "singleop",
        "wordproblems/singleop.jsonl",
        562,
        "are in the box?",
        "14.0",
    );
    check(
        "singleeq",
        "wordproblems/singleeq.jsonl",
        508,
        "did she give to Sam ?",
        "43.0",
    );
    check(
        "aqua",
        "wordproblems/aqua_test.jsonl",
        254,
        "E)None of these",
        "A",
    );
}
