//! Final answers: cases, properties, real data.

use std::fs;
use std::path::{Path, PathBuf};

use rerank::answer::{Rule, classes, equal, extract, grade};

/// Every line of `tests/cases/answer/*.txt` holds: `left == right`, `left != right`, `text => extracted`,
/// where `⏎` stands for a line break. A file's rule is `Math` unless its name ends in another's.
#[test]
fn cases_hold() {
    let mut failures = Vec::new();
    let mut lines = 0;
    for path in case_files() {
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a UTF-8 name")
            .to_owned();
        let rule = match name.rsplit('-').next() {
            Some("number") => Rule::Number,
            Some("choice") => Rule::Choice,
            _ => Rule::Math,
        };
        for (at, line) in fs::read_to_string(&path)
            .expect("readable cases")
            .lines()
            .enumerate()
        {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            lines += 1;
            if let Some(failure) = check(line, rule) {
                failures.push(format!("{name}:{}: {line}\n    {failure}", at + 1));
            }
        }
    }
    assert!(lines >= 600, "only {lines} cases");
    assert!(
        failures.is_empty(),
        "{} of {lines} cases fail\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn check(line: &str, rule: Rule) -> Option<String> {
    if let Some((text, wanted)) = line.split_once(" => ") {
        let text = text.replace('⏎', "\n");
        let found = extract(&text, rule);
        let got = found
            .as_ref()
            .map_or("nothing", |found| found.text.as_str());
        return (got != wanted).then(|| {
            format!(
                "found {got:?} by {:?}",
                found.as_ref().map(|found| found.by)
            )
        });
    }
    let (left, right, wanted) = match line.split_once(" != ") {
        Some((left, right)) => (left, right, false),
        None => {
            let (left, right) = line.split_once(" == ").expect("a case has ==, != or =>");
            (left, right, true)
        }
    };
    let (there, back) = (equal(left, right, rule), equal(right, left, rule));
    if there.equal != wanted {
        return Some(there.how);
    }
    (back.equal != wanted).then(|| format!("not symmetric: {}", back.how))
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/answer");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

/// Answers of which the properties below must hold: every side of every case.
fn sides() -> Vec<String> {
    let mut all = Vec::new();
    for path in case_files() {
        for line in fs::read_to_string(&path).expect("readable cases").lines() {
            let sides = line.split_once(" != ").or_else(|| line.split_once(" == "));
            if let (Some((left, right)), false) = (sides, line.starts_with('#')) {
                all.extend([left.to_owned(), right.to_owned()]);
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// A way to write an answer differently.
type Respelling = fn(&str) -> String;

/// Ways to write the same answer differently that must not change its value.
const RESPELLINGS: &[(&str, Respelling)] = &[
    ("dollar signs", |a| format!("${a}$")),
    ("parentheses of inline mathematics", |a| {
        format!("\\({a}\\)")
    }),
    ("a box", |a| format!("\\boxed{{{a}}}")),
    ("spaces around", |a| format!("  {a} ")),
    ("a full stop", |a| format!("{a}.")),
    ("dfrac", |a| a.replace("\\frac", "\\dfrac")),
    ("tfrac", |a| {
        a.replace("\\dfrac", "\\frac").replace("\\frac", "\\tfrac")
    }),
    ("no left and right", |a| {
        a.replace("\\left", "").replace("\\right", "")
    }),
    ("left and right", |a| {
        if ["\\left", "\\text", "\\mbox", "\\{"]
            .iter()
            .any(|command| a.contains(command))
        {
            return a.to_owned();
        }
        a.replace('(', "\\left(").replace(')', "\\right)")
    }),
    ("thin spaces after commas", |a| a.replace(", ", ",\\, ")),
    ("a Unicode minus", |a| a.replace('-', "\u{2212}")),
    ("a Unicode pi and infinity", |a| {
        a.replace("\\pi", "\u{3c0} ").replace("\\infty", "\u{221e}")
    }),
    ("a degree sign in braces", |a| {
        a.replace("^\\circ", "^{\\circ}")
    }),
    ("displaystyle", |a| format!("\\displaystyle {a}")),
];

/// Whether the ways above apply: not to broken LaTeX, nor where quotes or powers are Python's.
fn is_respellable(answer: &str) -> bool {
    let braces = answer.matches('{').count() == answer.matches('}').count();
    let python =
        answer.contains(['"', '\'', '`', 'j']) || answer.contains("**") || answer.contains("e-");
    let broken =
        answer.ends_with(['\\', ' ']) || answer.starts_with(' ') || answer.starts_with('}');
    let says = answer.contains(char::is_alphanumeric) || answer.contains('\u{2205}');
    let paired = answer.matches("\\left").count() == answer.matches("\\right").count();
    paired
        && says
        && braces
        && !python
        && !broken
        && !answer.contains('$')
        && !answer.contains("\\(")
        && !answer.ends_with("\\text")
}

fn respell(answer: &str, failures: &mut Vec<String>) {
    for (name, respell) in RESPELLINGS {
        let other = respell(answer);
        let (there, back) = (
            equal(answer, &other, Rule::Math),
            equal(&other, answer, Rule::Math),
        );
        if !there.equal || !back.equal {
            failures.push(format!("{name}: {answer:?} {other:?}: {}", there.how));
        }
    }
}

#[test]
fn an_answer_equals_itself_and_its_respellings() {
    let mut failures = Vec::new();
    for answer in sides().iter().filter(|answer| is_respellable(answer)) {
        respell(answer, &mut failures);
    }
    assert!(
        failures.is_empty(),
        "{} fail\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn equality_is_symmetric_between_any_two_cases() {
    let sides = sides();
    for (at, left) in sides.iter().enumerate() {
        // Neighbours in the alphabet are alike; the others are a spread sample.
        let near = sides.iter().skip(at + 1).take(3);
        for right in near.chain(sides.iter().skip(at % 97).step_by(97)) {
            for rule in [Rule::Math, Rule::Number, Rule::Choice] {
                let (there, back) = (equal(left, right, rule), equal(right, left, rule));
                assert_eq!(there.equal, back.equal, "{left:?} {right:?} {}", there.how);
            }
        }
    }
}

#[test]
fn classes_group_what_is_equal_and_number_by_first_appearance() {
    let check = |answers: &[Option<&str>], wanted: &[Option<usize>]| {
        assert_eq!(classes(answers, Rule::Math), wanted, "{answers:?}");
    };
    check(&[], &[]);
    check(&[None, None], &[None, None]);
    check(
        &[
            Some("1/2"),
            Some("3"),
            None,
            Some("0.5"),
            Some("\\frac12"),
            Some("3.0"),
            Some("x"),
        ],
        &[Some(0), Some(1), None, Some(0), Some(0), Some(1), Some(2)],
    );
    check(
        &[
            Some("(1,2)"),
            Some("(2,1)"),
            Some("(1, 2)"),
            Some("\\sqrt{8}"),
            Some("2\\sqrt2"),
            Some("50%"),
            Some("0.5"),
        ],
        &[
            Some(0),
            Some(1),
            Some(0),
            Some(2),
            Some(2),
            Some(3),
            Some(3),
        ],
    );
    check(
        &[Some("Yes"), Some("yes"), Some("True"), Some("no")],
        &[Some(0), Some(0), Some(0), Some(1)],
    );
}

#[test]
fn classes_agree_with_comparing_every_answer_with_the_first_of_each_class() {
    for chunk in sides().chunks(64) {
        let answers: Vec<Option<&str>> = chunk.iter().map(|answer| Some(answer.as_str())).collect();
        let mut firsts: Vec<&str> = Vec::new();
        for (answer, class) in chunk.iter().zip(classes(&answers, Rule::Math)) {
            let known = firsts
                .iter()
                .position(|first| equal(first, answer, Rule::Math).equal);
            let wanted = known.unwrap_or_else(|| {
                firsts.push(answer);
                firsts.len() - 1
            });
            assert_eq!(class, Some(wanted), "{answer:?}");
        }
    }
}

#[test]
fn a_grade_tells_what_was_found_and_why() {
    let graded = grade(
        "She has 9 left.\n#### 18",
        "So 3 * 6 = \\boxed{18.0} eggs",
        Rule::Number,
    );
    assert!(graded.equal);
    assert_eq!(graded.gold.as_deref(), Some("18"));
    assert_eq!(graded.answer.as_deref(), Some("18.0"));
    assert_eq!(graded.extracted_by, Some("boxed"));
    assert_eq!(graded.how, "18 = 18: equal exactly");
    let nothing = grade("18", "", Rule::Number);
    assert!(!nothing.equal && nothing.answer.is_none());
    assert_eq!(nothing.how, "no answer found");
}

#[test]
fn a_comparison_past_its_budget_says_so() {
    let power = |n: u32| format!("(a+b+c+d+e+f+g+h+k+l)^{{{n}}}");
    let graded = equal(&power(60), &power(61), Rule::Math);
    assert!(!graded.equal);
    assert!(graded.how.ends_with("not equal (budget)"), "{}", graded.how);
}

/// Random numbers from a fixed seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}

/// Two spellings of one random formula: terms swapped, products expanded, numbers written otherwise.
fn twins(dice: &mut Dice, depth: usize) -> (String, String) {
    if depth == 0 {
        let n = 1 + dice.below(9);
        return match dice.below(8) {
            0 => (format!("{n}"), format!("\\frac{{{}}}{{2}}", 2 * n)),
            1 => (format!("{n}.5"), format!("\\frac{{{}}}{{2}}", 2 * n + 1)),
            2 => (
                format!("\\sqrt{{{}}}", 2 * n * n),
                format!("{n}\\sqrt{{2}}"),
            ),
            3 => (
                format!("\\frac{{{n}}}{{\\sqrt{{3}}}}"),
                format!("\\frac{{{n}\\sqrt3}}{{3}}"),
            ),
            4 => ("\\pi".into(), "\\pi".into()),
            5 => ("i".into(), "i".into()),
            _ => {
                let variable = ["x", "y", "a_1", "\\theta"][dice.below(4)].to_owned();
                (variable.clone(), variable)
            }
        };
    }
    let (a, b) = (twins(dice, depth - 1), twins(dice, depth - 1));
    match dice.below(6) {
        0 => (
            format!("({} + {})", a.0, b.0),
            format!("\\left({} + {}\\right)", b.1, a.1),
        ),
        1 => (
            format!("({} - {})", a.0, b.0),
            format!("(-({}) + {})", b.1, a.1),
        ),
        2 => (
            format!("({})({})", a.0, b.0),
            format!("({} \\cdot {})", b.1, a.1),
        ),
        3 => {
            let c = twins(dice, depth - 1);
            let expanded = format!("(({})({}) + ({})({}))", a.1, b.1, a.1, c.1);
            (format!("({})({} + {})", a.0, b.0, c.0), expanded)
        }
        4 => {
            let n = 2 + dice.below(5);
            (
                format!("\\frac{{{}}}{{{n}}}", a.0),
                format!("({})/{n}", a.1),
            )
        }
        _ => (format!("({})^2", a.0), format!("({}) * ({})", a.1, a.1)),
    }
}

#[test]
fn a_formula_equals_its_rewriting_and_not_that_plus_one() {
    let mut dice = Dice(0xa19e);
    for round in 0..2_000 {
        let (left, right) = twins(&mut dice, 1 + round % 3);
        let graded = equal(&left, &right, Rule::Math);
        assert!(graded.equal, "{left} {right} {}", graded.how);
        let graded = equal(&left, &format!("{right} + 1"), Rule::Math);
        assert!(!graded.equal, "{left} {right} + 1: {}", graded.how);
    }
}

/// A case changed in a few places: pieces cut, doubled, mixed, replaced by tokens that matter.
fn mutated(dice: &mut Dice, sides: &[String]) -> String {
    const PIECES: &[&str] = &[
        "\\frac",
        "\\sqrt",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "^",
        "_",
        "\\left",
        "\\right",
        "|",
        ",",
        "=",
        "<",
        "\\pm",
        "\\cup",
        "\\begin{pmatrix}",
        "\\end{pmatrix}",
        "\\\\",
        "&",
        "\\text{",
        "%",
        "!",
        "0",
        "9999999999",
        "x",
        "e",
        "i",
        "\\infty",
        "^{",
        "\\boxed{",
        "$",
        "\\{",
        "\\}",
        "1/0",
        ".",
        "-",
        "\\log_",
        "\\sin",
        "\\binom",
        "10^{10^{10}}",
        "\u{b2}",
        "\u{221a}",
        "\u{e9}",
        "'",
        "\\overline{3}",
        "1e300",
        "\\pi",
        "\\ln",
        "\\circ",
        "\\setminus",
        "\\in",
        "1,234",
        "\n",
        " is ",
        "\\sin(",
        "abs(",
        "1\\frac{",
        "\\left(",
        "log(",
        "2^{",
        "\\sqrt[",
        "(1,",
        "[1,",
        "\\{1,",
        "{x|",
        "\\boxed{}",
        "answer",
    ];
    let mut text: Vec<char> = sides[dice.below(sides.len())].chars().collect();
    for _ in 0..1 + dice.below(6) {
        let at = dice.below(text.len() + 1);
        match dice.below(6) {
            0 if !text.is_empty() => {
                text.remove(at.min(text.len() - 1));
            }
            1 => {
                let piece: Vec<char> = text[at..text.len().min(at + 12)].to_vec();
                text.splice(at..at, piece);
            }
            2 => {
                let other: Vec<char> = sides[dice.below(sides.len())].chars().collect();
                text.splice(at..at, other);
            }
            3 => text.reverse(),
            4 => {
                let piece = PIECES[dice.below(PIECES.len())].repeat(1 + dice.below(40));
                text.splice(at..at, piece.chars());
            }
            _ => {
                text.splice(at..at, PIECES[dice.below(PIECES.len())].chars());
            }
        }
        text.truncate(1_500);
    }
    text.into_iter().collect()
}

/// Ten million bytes where `RERANK_SLOW_TESTS=1`, 300,000 otherwise.
#[test]
fn mutated_latex_neither_panics_nor_breaks_symmetry() {
    let slow = std::env::var_os("RERANK_SLOW_TESTS").is_some_and(|set| set == "1");
    let bytes_max = if slow { 10_000_000 } else { 300_000 };
    let sides = sides();
    let run = move || {
        let mut dice = Dice(0x5eed);
        let mut bytes = 0;
        while bytes < bytes_max {
            let (left, right) = (mutated(&mut dice, &sides), mutated(&mut dice, &sides));
            bytes += left.len() + right.len();
            let there = equal(&left, &right, Rule::Math);
            assert_eq!(
                there.equal,
                equal(&right, &left, Rule::Math).equal,
                "{left:?} {right:?}"
            );
            assert!(equal(&left, &left, Rule::Number).equal, "{left:?}");
            classes(&[Some(&left), Some(&right), None], Rule::Math);
            for rule in [Rule::Math, Rule::Number, Rule::Choice] {
                extract(&format!("{left} and so the answer is {right}"), rule);
            }
        }
    };
    // Threads of rayon and of tests have 2 MiB of stack; half of that must do.
    let thread = std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(run)
        .expect("a thread");
    thread.join().expect("no panic");
}

mod real_data {
    #![expect(
        clippy::print_stderr,
        reason = "tests say what they skipped and measured"
    )]

    use std::io::Read;

    use super::*;

    /// The lines of a file of `../shared/data`; nothing, and a word about it, where it is not there.
    fn lines(name: &str) -> Vec<serde_json::Value> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/data")
            .join(name);
        let Ok(bytes) = fs::read(&path) else {
            eprintln!("skipped: ../shared/data/{name} is not there");
            return Vec::new();
        };
        let mut text = String::new();
        if name.ends_with(".gz") {
            flate2::read::MultiGzDecoder::new(&bytes[..])
                .read_to_string(&mut text)
                .expect("gzip");
        } else {
            text = String::from_utf8(bytes).expect("UTF-8");
        }
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    fn text<'r>(row: &'r serde_json::Value, field: &str) -> &'r str {
        row[field].as_str().expect("a text")
    }

    #[test]
    fn all_math_answers_equal_themselves_and_their_respellings() {
        let rows: Vec<_> = ["math/train.jsonl.gz", "math/test.jsonl"]
            .iter()
            .flat_map(|name| lines(name))
            .collect();
        let mut answers: Vec<&str> = rows.iter().map(|row| text(row, "answer")).collect();
        answers.sort_unstable();
        answers.dedup();
        let mut failures = Vec::new();
        // Three answers of MATH are empty.
        for answer in answers
            .into_iter()
            .filter(|answer| is_respellable(answer.trim()))
        {
            respell(answer, &mut failures);
        }
        assert!(
            failures.is_empty(),
            "{} fail\n{}",
            failures.len(),
            failures.join("\n")
        );
        assert!(
            rows.is_empty() || rows.len() == 12_500,
            "{} rows",
            rows.len()
        );
    }

    #[test]
    fn math_solutions_yield_their_answers() {
        let mut failures = Vec::new();
        for name in ["math/train.jsonl.gz", "math/test.jsonl"] {
            for row in lines(name) {
                let graded = grade(text(&row, "answer"), text(&row, "solution"), Rule::Math);
                if !graded.equal {
                    failures.push(graded.how);
                }
            }
        }
        // Several boxes that stand side by side: the recorded answer is the last one alone.
        assert!(
            failures.len() <= MATH_SOLUTIONS_WITH_SEVERAL_BOXES,
            "{}",
            failures.join("\n")
        );
    }

    /// Counted in the 12,500 solutions of MATH.
    const MATH_SOLUTIONS_WITH_SEVERAL_BOXES: usize = 20;

    #[test]
    fn grades_agree_with_recorded_labels() {
        // One label of the 800 calls 10000 wrong where the gold is 10{,}000.
        for (name, rule, pairs, agree) in [
            (
                "samples/gsm8k_openai_gpt3_4models.jsonl",
                Rule::Number,
                5_276,
                5_276,
            ),
            (
                "samples/math_qwen25math_8_rmscores.jsonl",
                Rule::Math,
                800,
                799,
            ),
        ] {
            let rows = lines(name);
            let (mut all, mut alike) = (0, 0);
            for row in &rows {
                for sample in row["samples"].as_array().expect("samples") {
                    let graded = grade(text(row, "gold"), text(sample, "text"), rule);
                    all += 1;
                    alike += u32::from(Some(graded.equal) == sample["correct"].as_bool());
                }
            }
            eprintln!("{name}: {alike} of {all} as labelled");
            assert!(
                rows.is_empty() || all == pairs && alike >= agree,
                "{name}: {alike} of {all}"
            );
        }
    }

    #[test]
    fn texts_are_graded_as_the_answers_their_sources_recorded() {
        for (name, rule, floor) in [
            ("samples/gsm8k_gpt4_cot_pot.jsonl.gz", Rule::Number, 1.0),
            (
                "samples/gsm8k_subq_mistral_13runs.jsonl.gz",
                Rule::Number,
                0.999,
            ),
            (
                "samples/gsm8k_subq_llama7b_13runs.jsonl.gz",
                Rule::Number,
                0.999,
            ),
            (
                "samples/gsm8k_tora_tool_integrated.jsonl",
                Rule::Number,
                0.999,
            ),
            (
                "samples/gsm8k_faithfulcot_code002-gpt-3.5-turbo.jsonl.gz",
                Rule::Number,
                0.985,
            ),
            (
                "samples/svamp_faithfulcot_code002-gpt-3.5-turbo.jsonl",
                Rule::Number,
                0.995,
            ),
            (
                "samples/asdiv_faithfulcot_code002-gpt-3.5-turbo.jsonl.gz",
                Rule::Number,
                0.985,
            ),
            (
                "samples/multiarith_faithfulcot_code002-gpt-3.5-turbo.jsonl",
                Rule::Number,
                0.999,
            ),
            (
                "samples/aqua_faithfulcot_code002-gpt-3.5-turbo.jsonl",
                Rule::Choice,
                0.995,
            ),
            ("samples/mathtrain_qwen3-8b-gt_16.jsonl", Rule::Math, 0.999),
        ] {
            let (mut all, mut alike) = (0.0, 0.0);
            for row in lines(name) {
                for sample in row["samples"].as_array().expect("samples") {
                    let answer = match &sample["answer"] {
                        serde_json::Value::String(answer) => answer.clone(),
                        serde_json::Value::Number(answer) => answer.to_string(),
                        _ => continue,
                    };
                    if matches!(text(sample, "kind"), "cot" | "tool_integrated") {
                        // A few golds are lists.
                        let gold = &row["gold"]
                            .as_str()
                            .map_or(row["gold"].to_string(), str::to_owned);
                        all += 1.0;
                        let found = grade(gold, text(sample, "text"), rule);
                        let same = found.equal == grade(gold, &answer, rule).equal;
                        alike += f64::from(u8::from(same));
                    }
                }
            }
            eprintln!("{name}: {alike} of {all} as the recorded answer");
            assert!(
                all == 0.0 || alike / all >= floor,
                "{name}: {}",
                alike / all
            );
        }
    }
}
