//! Pairs of MATH answers compared per second, and the slowest single comparison.
//!
//! Each of the 12,500 answers is compared with a re-spelling of itself and with the answer of the next
//! problem; then the hostile cases, each with itself and its neighbour, on one thread. Reads
//! `../shared/data/math` and says so where it is not there.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rerank::answer::{Rule, classes, equal};

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn main() {
    let answers = math_answers();
    if answers.is_empty() {
        println!("skipped: ../shared/data/math is not there");
        return;
    }
    let pairs: Vec<(&str, String)> = answers
        .iter()
        .zip(answers.iter().cycle().skip(1))
        .flat_map(|(answer, next)| {
            let respelt = format!(
                "${}$",
                answer.replace("\\frac", "\\dfrac").replace(", ", ",")
            );
            [(answer.as_str(), respelt), (answer.as_str(), next.clone())]
        })
        .collect();
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        let start = Instant::now();
        let equal = pool.install(|| {
            pairs
                .par_iter()
                .filter(|(left, right)| equal(left, right, Rule::Math).equal)
                .count()
        });
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{threads} thread(s): {:.0} pairs/s ({} pairs, {equal} equal)",
            pairs.len() as f64 / seconds,
            pairs.len(),
        );
    }
    let (took, left, right) = slowest(pairs.iter().map(|(left, right)| (*left, right.as_str())));
    println!("slowest MATH pair: {took:.1?} for {left:?} and {right:?}");
    let hostile = hostile_cases();
    let neighbours = hostile.iter().zip(hostile.iter().cycle().skip(1));
    let (took, left, right) =
        slowest(neighbours.map(|(left, right)| (left.as_str(), right.as_str())));
    println!("slowest hostile pair: {took:.1?} for {left:.60?} and {right:.60?}");

    let vote: Vec<Option<&str>> = answers
        .iter()
        .take(64)
        .map(|answer| Some(answer.as_str()))
        .collect();
    let start = Instant::now();
    let found = classes(&vote, Rule::Math)
        .into_iter()
        .flatten()
        .max()
        .map_or(0, |last| last + 1);
    println!(
        "64 different problems' answers in {found} classes: {:.1?}",
        start.elapsed()
    );
}

fn slowest<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> (Duration, &'a str, &'a str) {
    pairs
        .map(|(left, right)| {
            let start = Instant::now();
            equal(left, right, Rule::Math);
            (start.elapsed(), left, right)
        })
        .max_by_key(|(took, ..)| *took)
        .expect("pairs")
}

fn math_answers() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/math");
    let mut text = String::new();
    if let Ok(bytes) = fs::read(folder.join("train.jsonl.gz")) {
        flate2::read::MultiGzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .expect("gzip");
    }
    text.push_str(&fs::read_to_string(folder.join("test.jsonl")).unwrap_or_default());
    let row = |line: &str| -> serde_json::Value { serde_json::from_str(line).expect("JSON") };
    text.lines()
        .map(|line| row(line)["answer"].as_str().expect("an answer").to_owned())
        .collect()
}

/// The hostile cases, and a few built to cost as many steps as they can.
fn hostile_cases() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/answer/hostile.txt");
    let cases = fs::read_to_string(path).expect("the hostile cases");
    let mut all: Vec<String> = cases
        .lines()
        .filter_map(|line| line.split_once(" != ").or_else(|| line.split_once(" == ")))
        .flat_map(|(left, right)| [left.to_owned(), right.to_owned()])
        .collect();
    let list = |item: &str| vec![item; 90].join(", ");
    all.extend([
        "(a+b+c+d+e+f+g+h+k+l)^{60}".to_owned(),
        "(a+b+c+d)^{200}".to_owned(),
        "(1+x)^{250}".to_owned(),
        "(1+\\frac{x}{7919})^{250}".to_owned(),
        "\\frac{1}{x+1}+\\frac{1}{x+2}+\\frac{1}{x+3}+\\frac{1}{x+4}+\\frac{1}{x+5}+\\frac{1}{x+6}"
            .to_owned(),
        "\\sqrt{18446744073709551557}+\\sqrt{18446744073709551533}".to_owned(),
        list("\\sin 15^\\circ"),
        list("\\frac{\\sqrt{6}-\\sqrt{2}}{4}"),
        list("\\cos x+\\sqrt{x}"),
        "2999!".to_owned(),
        "2^{32000}".to_owned(),
        "3^{20000}+1".to_owned(),
        "\\frac{1}{3^{20000}+1}".to_owned(),
    ]);
    all
}
