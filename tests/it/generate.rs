//! Generated problems: text, chain of thought, program and answer agree, and the text reads well.
#![expect(
    clippy::unwrap_used,
    reason = "the functions that tests share are tests too"
)]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    process::Command,
    sync::LazyLock,
};

use num_rational::Ratio;
use rayon::prelude::*;
use regex::Regex;
use rerank::{
    answer::{Rule, extract},
    execute::{Limits, execute},
    judge::judge,
    task::generate::{Generated, fingerprint, generate},
    trace::{Candidate, Program, Stop, Verdict},
};
use serde_json::Value;

use crate::sandbox::sandbox;

type Exact = Ratio<i64>;

fn problems(seed: u64, count: u64) -> Vec<Generated> {
    (0..count)
        .into_par_iter()
        .map(|index| generate(seed, index))
        .collect()
}

fn exact(number: &str) -> Exact {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits: i64 = format!("{whole}{part}").parse().unwrap();
    Exact::new(digits, 10_i64.pow(part.len() as u32))
}

/// The value of `a * 3 / 4`, from left to right; operators of two ranks never meet in one formula.
fn value(formula: &str, variables: &HashMap<&str, Exact>) -> Exact {
    let mut words = formula.split(' ');
    let operand = |word: Option<&str>| {
        let word = word.unwrap();
        variables.get(word).copied().unwrap_or_else(|| exact(word))
    };
    let mut sum = operand(words.next());
    while let Some(operator) = words.next() {
        let by = operand(words.next());
        sum = match operator {
            "+" => sum + by,
            "-" => sum - by,
            "*" => sum * by,
            "/" => sum / by,
            "//" => (sum / by).floor(),
            _ => panic!("{formula}"),
        };
    }
    sum
}

/// What a program of one assignment a line prints, and each line's value.
fn run(program: &str) -> (Exact, Vec<Exact>) {
    let mut variables = HashMap::new();
    let mut values = Vec::new();
    for line in program.lines() {
        if let Some(name) = line.strip_prefix("print(") {
            return (variables[name.strip_suffix(')').unwrap()], values);
        }
        let (name, formula) = line.split_once(" = ").unwrap();
        let value = value(formula, &variables);
        values.push(value);
        variables.insert(name, value);
    }
    panic!("nothing is printed: {program}");
}

/// The equations of a text: left side and stated result.
fn equations(text: &str) -> Vec<(String, Exact)> {
    static EQUATION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(-?[\d.]+(?: (?:[-+*/]|//) -?[\d.]+)+) = (-?[\d.]*\d)").unwrap()
    });
    let found = EQUATION.captures_iter(text);
    found
        .map(|one| (one[1].to_owned(), exact(&one[2])))
        .collect()
}

#[test]
fn same_seed_gives_the_same_problems() {
    // The built-in models are trained on these: when they change, `make builtin` makes others.
    assert_eq!(fingerprint(), "3993fd2c2ae4de58");
    assert_ne!(generate(0, 0).question, generate(1, 0).question);
}

#[test]
fn chain_program_and_answer_agree() {
    for problem in problems(1, 5000) {
        let Generated {
            solution,
            program,
            answer,
            steps,
            ..
        } = &problem;
        let said = equations(solution);
        assert_eq!(said.len(), *steps, "{problem:?}");
        let (printed, values) = run(program);
        for ((formula, result), computed) in said.iter().zip(values) {
            assert_eq!(value(formula, &HashMap::new()), *result, "{problem:?}");
            assert_eq!(computed, *result, "{problem:?}");
        }
        assert_eq!(printed, exact(answer), "{problem:?}");
        assert!(
            solution.ends_with(&format!("The answer is {answer}.")),
            "{problem:?}"
        );
        let found = extract(solution, Rule::Number).unwrap().text;
        assert_eq!(exact(&found), exact(answer), "{problem:?}");
    }
}

#[test]
fn program_of_a_flawed_chain_computes_what_the_chain_says() {
    let mut flaws: BTreeMap<&str, usize> = BTreeMap::new();
    for (seed, problem) in problems(2, 5000).into_iter().enumerate() {
        let flawed = problem.flawed(seed as u64);
        let context = || format!("{problem:?}\n{flawed:?}");
        *flaws.entry(flawed.flaw).or_default() += 1;
        assert_ne!(
            exact(&flawed.answer),
            exact(&problem.answer),
            "{}",
            context()
        );
        let said = equations(&flawed.solution);
        assert_eq!(
            exact(&flawed.answer),
            said.last().unwrap().1,
            "{}",
            context()
        );
        let (printed, values) = run(&flawed.program);
        assert_eq!(said.len(), values.len(), "{}", context());
        if flawed.flaw == "arithmetic slip" {
            // One result is wrong, the program's are right.
            let wrong = said
                .iter()
                .filter(|(formula, stated)| value(formula, &HashMap::new()) != *stated);
            assert_eq!(wrong.count(), 1, "{}", context());
            assert_ne!(printed, exact(&flawed.answer), "{}", context());
        } else {
            for ((formula, stated), computed) in said.iter().zip(values) {
                assert_eq!(value(formula, &HashMap::new()), *stated, "{}", context());
                assert_eq!(computed, *stated, "{}", context());
            }
        }
        // Never the right solution's program where the chain says another.
        assert!(
            flawed.flaw == "arithmetic slip" || flawed.program != problem.program,
            "{}",
            context()
        );
    }
    assert_eq!(flaws.len(), 8, "{flaws:?}");
    assert!(flaws.values().all(|count| *count > 50), "{flaws:?}");
}

#[test]
fn sandbox_and_judge_see_the_same() {
    let problems = problems(3, 150);
    let mut candidates = Vec::new();
    let mut programs = Vec::new();
    let mut expected = Vec::new();
    for (seed, problem) in problems.into_iter().enumerate() {
        let flawed = problem.flawed(seed as u64);
        let slip = flawed.flaw == "arithmetic slip";
        expected.push(Verdict::Agrees);
        expected.push(if slip {
            Verdict::Disagrees
        } else {
            Verdict::Agrees
        });
        for (text, program) in [
            (problem.solution, problem.program),
            (flawed.solution, flawed.program),
        ] {
            candidates.push(Candidate {
                answer: extract(&text, Rule::Number).map(|found| found.text),
                text,
                tokens: 0,
                stop: Stop::End,
                logprob_mean: None,
            });
            programs.push(Some(Program(program)));
        }
    }
    let executions = execute(&programs, sandbox(), &Limits::default(), &|| {});
    let verdicts = judge(&candidates, &programs, &executions, Rule::Number);
    for (at, verdict) in verdicts.iter().enumerate() {
        assert_eq!(
            *verdict, expected[at],
            "{:?} {:?}",
            candidates[at], programs[at]
        );
    }
}

#[test]
fn things_are_counted_in_whole_positive_numbers() {
    let measured = ["measure", "money", "percent", "rates", "time"];
    let unit = Regex::new(r"^ (?:dollars|hours)|^\.(?: |$)").unwrap();
    for problem in problems(4, 20_000) {
        for (formula, result) in equations(&problem.solution) {
            assert!(result > Exact::from(0), "{problem:?}");
            if result.is_integer() {
                continue;
            }
            assert!(measured.contains(&problem.kind), "{problem:?}");
            let equation = format!("{formula} = ");
            let result = problem.solution.split_once(&equation).unwrap().1;
            let end = result.find(['.', ' ']).unwrap() + 1;
            let after = result[end..].trim_start_matches(|c: char| c.is_ascii_digit());
            assert!(unit.is_match(after), "{after:?} in {problem:?}");
        }
    }
}

#[test]
fn text_reads_well() {
    let wrong: Vec<(&str, Regex)> = [
        ("an unfilled slot", r"[{}\[\]<>|@\x01-\x08]"),
        ("one of many", r"(?:^|[^\d.,/$]\s)1 (?:apples|cookies|boxes|bags|dollars|days|hours|marbles|books|cards)\b"),
        ("a before a vowel", r"\b[Aa] [aeiAEI][a-z]"),
        ("an before a consonant", r"\b[Aa]n [bcdfgjklmnpqrstvwxyz]"),
        ("two marks in a row", r"[.,?!] ?[.,?!]"),
        ("a gap", r"\S   \S|^ | $|  [.,?]"),
        ("a spelled number in a fraction", r"\d/[a-z]|[a-z]/\d"),
        ("a word of another list", r"\d (?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days"),
        ("a price in letters", r"\$ ?[a-z]"),
    ]
    .map(|(what, pattern)| (what, Regex::new(pattern).unwrap()))
    .into();
    let twice = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        words
            .windows(2)
            .any(|two| two[0] == two[1] && two[0].len() > 1 && !two[0].ends_with(','))
    };
    problems(5, 20_000).par_iter().for_each(|problem| {
        for text in [&problem.question, &problem.solution] {
            for (what, pattern) in &wrong {
                assert!(!pattern.is_match(text), "{what}: {text}");
            }
            assert!(!twice(text), "a word twice: {text}");
            assert!(
                text.starts_with(|c: char| c.is_ascii_uppercase()
                    || c.is_ascii_digit()
                    || c == '$'),
                "{text}"
            );
        }
        assert!(
            problem.question.ends_with(['?', '.']),
            "{}",
            problem.question
        );
    });
}

#[test]
fn problems_differ_and_every_kind_is_common() {
    let problems = problems(6, 100_000);
    let distinct: HashSet<&str> = problems
        .iter()
        .map(|problem| problem.question.as_str())
        .collect();
    assert!(distinct.len() > 99_000, "{}", distinct.len());
    let mut steps = [0; 7];
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in &problems {
        steps[problem.steps] += 1;
        *kinds.entry(problem.kind).or_default() += 1;
    }
    // The documented mix.
    assert_eq!(steps, [0, 30_000, 35_000, 15_000, 10_000, 5_000, 5_000]);
    assert!(kinds.len() >= 16, "{kinds:?}");
    assert!(
        kinds.values().all(|count| (500..25_000).contains(count)),
        "{kinds:?}"
    );
}

#[test]
fn command_prints_rows_or_statistics() {
    let rows = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_rerank"))
            .arg("generate")
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let text = rows(&["-n", "3", "--seed", "5", "--start", "7", "--flawed"]);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    for (row, index) in lines.iter().zip(7..) {
        let problem = generate(5, index);
        assert_eq!(row["question"], problem.question);
        assert_eq!(row["answer"], problem.answer);
        assert_ne!(row["flawed"]["answer"], row["answer"]);
    }
    let statistics: Value = serde_json::from_str(&rows(&["-n", "200", "--statistics"])).unwrap();
    assert_eq!(statistics["problems"], 200);
    assert_eq!(statistics["steps"]["1"], 60);
    assert!(statistics["five_grams_distinct"].as_u64().unwrap() > 1000);
}
