//! Pairs in a file, one a line, as TRL reads them: written from [`super::build`], read for training.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Result,
    jsonl::{self, row_error},
};

/// One line of a file of pairs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What was asked.
    pub prompt: String,
    /// A correct solution.
    pub chosen: String,
    /// An incorrect solution.
    pub rejected: String,
    /// The problem's id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Whether the problem is held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Who wrote the correct solution.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub chosen_model: String,
    /// Who wrote the incorrect solution.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rejected_model: String,
}

/// What a problem is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Learning.
    Train,
    /// Choosing the checkpoint. Its pairs name every solution of the problem.
    Dev,
}

/// A problem with its pairs, as read from a file of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// What was asked.
    pub prompt: String,
    /// What the file says of it.
    pub split: Option<Split>,
    /// Each text once, and whether it was ever chosen.
    pub solutions: Vec<(String, bool)>,
    /// Chosen and rejected solutions, by index.
    pub pairs: Vec<(usize, usize)>,
}

/// Rows that cannot be learned from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Chosen and rejected are the same text.
    pub equal: usize,
    /// A text is empty.
    pub empty: usize,
    /// A text has more tokens than allowed.
    pub too_long: usize,
}

/// Reads rows and gathers them by prompt, in the order in which prompts appear. A text may also be
/// a list of chat messages, as TRL writes them; then the last message counts.
///
/// # Errors
/// [`crate::Error::Row`] for a line that is not such a row.
pub fn parse(rows: &[u8], path: &Path) -> Result<(Vec<Problem>, Skipped)> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    // Of the problem at a place: where a text stands among its solutions, and its pairs.
    let mut texts: HashMap<(usize, String), usize> = HashMap::new();
    let mut pairs: HashSet<(usize, (usize, usize))> = HashSet::new();
    let mut skipped = Skipped::default();
    for row in jsonl::values(rows, path) {
        let (line, row) = row?;
        let error = |reason: &str| row_error(path, line, reason);
        let text = |key: &str| {
            let found = row.get(key).and_then(|value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Array(messages) => Some(messages.last()?["content"].as_str()?.to_owned()),
                _ => None,
            });
            found.ok_or_else(|| error(&format!("{key:?} must be a text or a list of messages")))
        };
        let (prompt, chosen, rejected) = (text("prompt")?, text("chosen")?, text("rejected")?);
        let split = match row.get("split") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                serde_json::from_value(value.clone())
                    .map_err(|_| error("\"split\" must be \"train\" or \"dev\""))?,
            ),
        };
        if prompt.is_empty() || chosen.trim().is_empty() || rejected.trim().is_empty() {
            skipped.empty += 1;
            continue;
        }
        if chosen == rejected {
            skipped.equal += 1;
            continue;
        }
        let place = *places.entry(prompt.clone()).or_insert_with(|| {
            problems.push(Problem {
                prompt,
                split,
                ..Problem::default()
            });
            problems.len() - 1
        });
        let problem = &mut problems[place];
        let mut place_of = |text: String, correct: bool| {
            let known = texts.entry((place, text));
            let place = *known.or_insert_with_key(|(_, text)| {
                problem.solutions.push((text.clone(), false));
                problem.solutions.len() - 1
            });
            problem.solutions[place].1 |= correct;
            place
        };
        let pair = (place_of(chosen, true), place_of(rejected, false));
        if pairs.insert((place, pair)) {
            problem.pairs.push(pair);
        }
    }
    Ok((problems, skipped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_trl_are_read_and_bad_ones_counted_or_named() {
        let rows = r#"
{"prompt": "p", "chosen": "a", "rejected": "b"}
{"prompt": [{"role": "user", "content": "p"}], "chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "c"}], "score": 3}
{"prompt": "p", "chosen": "a", "rejected": "b"}
{"prompt": "p", "chosen": "a", "rejected": "a"}
{"prompt": "p", "chosen": " ", "rejected": "a"}
"#;
        let (problems, skipped) = parse(rows.as_bytes(), Path::new("rows")).unwrap();
        let expected = Problem {
            prompt: "p".to_owned(),
            split: None,
            solutions: vec![("a".into(), true), ("b".into(), false), ("c".into(), false)],
            pairs: vec![(0, 1), (0, 2)],
        };
        assert_eq!(problems, [expected]);
        assert_eq!((skipped.equal, skipped.empty, skipped.too_long), (1, 1, 0));
        for (bad, says) in [
            (
                "{\"prompt\": 3}",
                "rows, line 1: \"prompt\" must be a text or a list of messages",
            ),
            ("\n{\"prompt\": \"p\"}", "rows, line 2: \"chosen\" must be"),
            ("{", "rows, line 1: EOF"),
        ] {
            let error = parse(bad.as_bytes(), Path::new("rows"))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
