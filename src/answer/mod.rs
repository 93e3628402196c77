//! Final answers: found in a text, compared, grouped.
//!
//! In: the text of a solution, or a bare answer. Out: the answer in it ([`extract`]), whether two
//! answers are the same ([`equal`], [`grade`]), and which of many are ([`classes`]). Everything a
//! benchmark or a vote reports rests on this module, so it is pure (no input or output, no clock, no
//! randomness), gives the same result on every machine and in every thread, never panics, and stops
//! by a budget counted in steps, not in seconds.
//!
//! ```
//! use rerank::answer::{Rule, grade};
//!
//! let graded = grade(r"\frac{3}{4}", "Three of four.\nThe answer is $0.75$.", Rule::Math);
//! assert!(graded.equal);
//! assert_eq!(graded.how, "3/4 = 3/4: equal exactly");
//! ```
//!
//! A text goes through `extract` (with `scan` and `option`), `spelling`, `token` and `parse` (with
//! `formula`) to a `value`; two values meet in `compare`, which asks `ratio` for canonical forms, `point`
//! for values to 31 digits, `span` for sets of numbers and `unit` for units. The rules where convention
//! decides (decimals, percent, degrees, units, names, order) stand at the top of `compare` and `unit`.

mod budget;
mod compare;
mod cursor;
mod expr;
mod extract;
mod formula;
mod option;
mod parse;
mod point;
mod poly;
mod ratio;
mod real;
mod root;
mod scan;
mod span;
mod spelling;
mod token;
mod unit;
mod value;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use budget::{Budget, Spent};
use compare::same;
pub use extract::{Extracted, extract};
use option::option_letter;
use parse::read;
use ratio::ratio;
use spelling::words;
use value::Value;

/// How a benchmark's final answers are found and compared; named by its manifest in `eval/*.toml`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// One number, as in GSM8K and the word-problem sets: the last number of a text counts.
    Number,
    /// Anything mathematical, as in MATH.
    #[default]
    Math,
    /// The letter of an option, as in `AQuA`.
    Choice,
}

/// Whether two answers are the same, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equality {
    /// Whether they are.
    pub equal: bool,
    /// The two values as they were read and the rule that decided.
    pub how: String,
}

/// What grading one text against another found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grade {
    /// Whether the answers are the same.
    pub equal: bool,
    /// The two values as they were read and the rule that decided.
    pub how: String,
    /// The answer found in the gold text.
    pub gold: Option<String>,
    /// The answer found in the candidate's text.
    pub answer: Option<String>,
    /// The extraction rule that found `answer`.
    pub extracted_by: Option<&'static str>,
}

/// Compares two texts by their final answers; either may be a bare answer or a whole solution.
pub fn grade(gold: &str, answer: &str, rule: Rule) -> Grade {
    let gold = extract(gold, rule);
    let answer = extract(answer, rule);
    let verdict = match (&gold, &answer) {
        (Some(gold), Some(answer)) => equal(&gold.text, &answer.text, rule),
        (None, _) => Equality {
            equal: false,
            how: "no answer found in the gold text".into(),
        },
        (_, None) => Equality {
            equal: false,
            how: "no answer found".into(),
        },
    };
    Grade {
        equal: verdict.equal,
        how: verdict.how,
        gold: gold.map(|found| found.text),
        extracted_by: answer.as_ref().map(|found| found.by),
        answer: answer.map(|found| found.text),
    }
}

/// Compares two bare answers.
pub fn equal(left: &str, right: &str, rule: Rule) -> Equality {
    Reading::of(left, rule).compare(&Reading::of(right, rule), rule)
}

/// The class of each answer, numbered by first appearance; `None` where there is no answer.
///
/// An answer whose canonical form is known joins its class by that form; only answers without one, or
/// with a new one, are compared, with the first answer of each class.
pub fn classes(answers: &[Option<&str>], rule: Rule) -> Vec<Option<usize>> {
    let mut firsts: Vec<Reading> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    answers
        .iter()
        .map(|answer| {
            let answer = (*answer)?;
            let text = squashed(answer);
            if let Some(class) = known.get(&text) {
                return Some(*class);
            }
            let reading = Reading::of(answer, rule);
            let key = reading.key();
            let class = key
                .as_ref()
                .and_then(|key| known.get(key).copied())
                .unwrap_or_else(|| {
                    let alike = firsts
                        .iter()
                        .position(|first| first.compare(&reading, rule).equal);
                    alike.unwrap_or_else(|| {
                        firsts.push(reading);
                        firsts.len() - 1
                    })
                });
            known.insert(text, class);
            known.extend(key.map(|key| (key, class)));
            Some(class)
        })
        .collect()
}

/// A bare answer, read once for many comparisons.
struct Reading {
    /// Its text without spaces.
    text: String,
    /// Its words, for where one side is prose.
    words: String,
    /// What it may mean, the likeliest first.
    values: Vec<Value>,
    /// Its option letter, where the rule is [`Rule::Choice`].
    letter: Option<char>,
}

impl Reading {
    fn of(answer: &str, rule: Rule) -> Self {
        Self {
            text: squashed(answer),
            words: words(answer),
            values: read(answer),
            letter: (rule == Rule::Choice)
                .then(|| option_letter(answer))
                .flatten(),
        }
    }

    fn compare(&self, other: &Self, rule: Rule) -> Equality {
        let shown = |equal: bool, why: &str| Equality {
            equal,
            how: format!(
                "{} {} {}: {why}",
                self.values[0],
                if equal { "=" } else { "≠" },
                other.values[0]
            ),
        };
        if self.text == other.text {
            return shown(true, "the same text");
        }
        if let (Some(left), Some(right)) = (self.letter, other.letter) {
            let equal = left == right;
            let sign = if equal { '=' } else { '≠' };
            return Equality {
                equal,
                how: format!("{left} {sign} {right}: option letters"),
            };
        }
        let is_prose = |of: &Self| matches!(of.values[0], Value::Text(_));
        if (is_prose(self) || is_prose(other))
            && !self.words.is_empty()
            && self.words == other.words
        {
            return shown(true, "the same words");
        }
        let same_digits = |numeral: &Self, plain: &Self| match &numeral.values[0] {
            Value::Numeral { digits, .. } => *digits == plain.text.to_ascii_uppercase(),
            _ => false,
        };
        if same_digits(self, other) || same_digits(other, self) {
            return shown(true, "same digits, base not stated on one side");
        }
        let budget = Budget::new();
        let mut spent = false;
        for left in &self.values {
            for right in &other.values {
                match same(left, right, rule, &budget) {
                    Ok(Some(why)) => return shown(true, why),
                    Ok(None) => {}
                    Err(Spent) => spent = true,
                }
            }
        }
        if spent {
            shown(false, "not equal (budget)")
        } else {
            shown(false, "not equal")
        }
    }

    /// A name shared exactly by the answers equal to this one by exact value.
    fn key(&self) -> Option<String> {
        match self.values.as_slice() {
            // No text without spaces begins with one, so texts and forms share a map.
            [Value::Expr(expr)] => {
                let form = ratio(expr, &Budget::new()).ok()?.key(&Budget::new())?;
                Some(format!(" {form}"))
            }
            _ => None,
        }
    }
}

/// The text without spaces and dollar signs.
fn squashed(answer: &str) -> String {
    answer
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '$')
        .collect()
}
