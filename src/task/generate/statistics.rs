//! How broad a set of generated problems is.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::Generated;

/// Counts over problems.
///
/// A token here is a digit, a word or a mark: what a small vocabulary with single digits comes to
/// when it knows every word.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Statistics {
    /// Problems seen.
    pub problems: usize,
    /// Questions that differ.
    pub questions_distinct: usize,
    /// Words of the questions that differ, in lower case, without numbers.
    pub words_distinct: usize,
    /// Runs of five words of the questions that differ, each number taken as the same word.
    pub five_grams_distinct: usize,
    /// Tokens of a question, on average.
    pub question_tokens_mean: f64,
    /// Tokens of a solution, on average.
    pub solution_tokens_mean: f64,
    /// Tokens of a program, on average.
    pub program_tokens_mean: f64,
    /// Problems of each number of steps.
    pub steps: BTreeMap<usize, usize>,
    /// Problems of each kind.
    pub kinds: BTreeMap<&'static str, usize>,
}

impl Statistics {
    /// Counts over these problems.
    pub fn of(problems: impl IntoIterator<Item = Generated>) -> Self {
        let mut all = Self::default();
        let (mut questions, mut words, mut grams) =
            (HashSet::new(), HashSet::new(), HashSet::new());
        let mut tokens = [0; 3];
        for problem in problems {
            all.problems += 1;
            *all.steps.entry(problem.steps).or_default() += 1;
            *all.kinds.entry(problem.kind).or_default() += 1;
            let texts = [&problem.question, &problem.solution, &problem.program];
            for (sum, text) in tokens.iter_mut().zip(texts) {
                *sum += count_tokens(text);
            }
            let said = said(&problem.question);
            grams.extend(said.windows(5).map(|five| five.join(" ")));
            words.extend(said.into_iter().filter(|word| word != NUMBER));
            questions.insert(problem.question);
        }
        let mean = |sum: usize| sum as f64 / all.problems.max(1) as f64;
        Self {
            questions_distinct: questions.len(),
            words_distinct: words.len(),
            five_grams_distinct: grams.len(),
            question_tokens_mean: mean(tokens[0]),
            solution_tokens_mean: mean(tokens[1]),
            program_tokens_mean: mean(tokens[2]),
            ..all
        }
    }
}

/// What stands for every number.
const NUMBER: &str = "0";

/// The words of a text.
fn said(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    let words = words.filter(|word| !word.is_empty());
    words
        .map(
            |word| match word.starts_with(|c: char| c.is_ascii_digit()) {
                true => NUMBER.to_owned(),
                false => word.to_lowercase(),
            },
        )
        .collect()
}

fn count_tokens(text: &str) -> usize {
    let mut count = 0;
    let mut in_word = false;
    for symbol in text.chars() {
        let letter = symbol.is_alphabetic();
        if !(symbol.is_whitespace() || letter && in_word) {
            count += 1;
        }
        in_word = letter;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_words_and_marks_are_tokens() {
        assert_eq!(count_tokens("She has 12 + 3.5 = 15.5 cups."), 15);
        assert_eq!(
            said("Ann's 12 cups, 3.5 left"),
            ["ann's", "0", "cups", "0", "0", "left"]
        );
    }
}
