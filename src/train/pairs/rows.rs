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
    /// A text of the pair is chosen in one row of the problem and rejected in another.
    #[serde(default)]
    pub contradictory: usize,
    /// A text has more tokens than allowed.
    pub too_long: usize,
}

/// Reads rows and gathers them by prompt, in the order in which prompts appear. A text may also be
/// a list of one chat message, as TRL writes it; before a solution's the prompt may be repeated.
///
/// # Errors
/// [`crate::Error::Row`] for a line that is not such a row, as one whose prompt is a conversation of
/// several messages, and for one that puts a prompt into another split than a line before it.
pub fn parse(rows: &[u8], path: &Path) -> Result<(Vec<Problem>, Skipped)> {
    let mut problems: Vec<Problem> = Vec::new();
    // Where a prompt's problem stands, and the line on which it came first.
    let mut places: HashMap<String, (usize, usize)> = HashMap::new();
    // Of the problem at a place: where a text stands among its solutions, and its pairs.
    let mut texts: HashMap<(usize, String), usize> = HashMap::new();
    let mut pairs: HashSet<(usize, (usize, usize))> = HashSet::new();
    let mut skipped = Skipped::default();
    for row in jsonl::values(rows, path) {
        let (line, row) = row?;
        let error = |reason: &str| row_error(path, line, reason);
        let prompt = asked(&row["prompt"]).ok_or_else(|| {
            error("\"prompt\" must be a text or a list of one message, the user's; leave out rows of other conversations")
        })?;
        let text = |key: &str| {
            written(&row[key], prompt).ok_or_else(|| {
                error(&format!(
                    "{key:?} must be a text or a list of one message, before which the prompt may be repeated"
                ))
            })
        };
        let (chosen, rejected) = (text("chosen")?, text("rejected")?);
        let split: Option<Split> = match row.get("split") {
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
        let (place, first) = *places.entry(prompt.to_owned()).or_insert_with(|| {
            problems.push(Problem {
                prompt: prompt.to_owned(),
                split,
                ..Problem::default()
            });
            (problems.len() - 1, line)
        });
        let problem = &mut problems[place];
        if (problem.split == Some(Split::Dev)) != (split == Some(Split::Dev)) {
            return Err(error(&format!(
                "line {first} has the same prompt in another \"split\"; a problem is learned from or held out, so give its rows one"
            )));
        }
        let mut place_of = |text: String, correct: bool| {
            let known = texts.entry((place, text));
            let place = *known.or_insert_with_key(|(_, text)| {
                problem.solutions.push((text.clone(), false));
                problem.solutions.len() - 1
            });
            problem.solutions[place].1 |= correct;
            place
        };
        let chosen = place_of(chosen.to_owned(), true);
        let pair = (chosen, place_of(rejected.to_owned(), false));
        if pairs.insert((place, pair)) {
            problem.pairs.push(pair);
        }
    }
    for problem in &mut problems {
        skipped.contradictory += leave_out_contradictory(problem);
    }
    problems.retain(|problem| !problem.pairs.is_empty());
    Ok((problems, skipped))
}

/// The text of a prompt that a verifier is asked: one message, and no system's or earlier turn.
fn asked(prompt: &Value) -> Option<&str> {
    match prompt {
        Value::String(text) => Some(text),
        Value::Array(messages) => match messages.as_slice() {
            [message] if message["role"] == "user" => message["content"].as_str(),
            _ => None,
        },
        _ => None,
    }
}

/// The text of a solution.
fn written<'a>(solution: &'a Value, prompt: &str) -> Option<&'a str> {
    match solution {
        Value::String(text) => Some(text),
        Value::Array(messages) => match messages.as_slice() {
            [message] => message["content"].as_str(),
            [asked, message] if asked["content"].as_str() == Some(prompt) => {
                message["content"].as_str()
            }
            _ => None,
        },
        _ => None,
    }
}

/// Takes out the texts that are chosen in one pair and rejected in another; gives how many pairs go
/// with them.
fn leave_out_contradictory(problem: &mut Problem) -> usize {
    let mut both = vec![false; problem.solutions.len()];
    for &(_, rejected) in &problem.pairs {
        both[rejected] = problem.solutions[rejected].1;
    }
    let before = problem.pairs.len();
    let stays = |&(chosen, rejected): &(usize, usize)| !both[chosen] && !both[rejected];
    problem.pairs.retain(stays);
    // The texts that stay move up.
    let moved = both.iter().scan(0_usize, |next, &out| {
        let place = *next;
        *next += usize::from(!out);
        Some(place)
    });
    let moved: Vec<usize> = moved.collect();
    for (chosen, rejected) in &mut problem.pairs {
        (*chosen, *rejected) = (moved[*chosen], moved[*rejected]);
    }
    let mut both = both.iter();
    problem.solutions.retain(|_| both.next() == Some(&false));
    before - problem.pairs.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_of_trl_are_read_and_bad_ones_counted_or_named() {
        let rows = r#"
{"prompt": "p", "chosen": "a", "rejected": "b"}
{"prompt": [{"role": "user", "content": "p"}], "chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "c"}], "score": 3}
{"prompt": "p", "chosen": "a", "rejected": "b"}
{"prompt": "p", "chosen": "a", "rejected": "a"}
{"prompt": "p", "chosen": " ", "rejected": "a"}
{"prompt": "p", "chosen": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}], "rejected": "b"}
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
                "rows, line 1: \"prompt\" must be a text or a list of one message, the user's",
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

    #[test]
    fn rows_of_several_messages_are_refused_instead_of_cut_to_the_last() {
        let user = |text: &str| json!({"role": "user", "content": text});
        let assistant = |text: &str| json!({"role": "assistant", "content": text});
        let system = json!({"role": "system", "content": "Think."});
        let turns = |number: u32| {
            let question = user(&format!("Is {number} prime?"));
            json!([question, assistant("Think."), user("Answer.")])
        };
        let row = |prompt: Value, chosen: Value| {
            let row = json!({"prompt": prompt, "chosen": chosen, "rejected": "b"});
            parse(row.to_string().as_bytes(), Path::new("rows"))
        };
        for prompt in [
            turns(4),
            turns(5),
            json!([system, user("p")]),
            json!([assistant("p")]),
            json!([]),
        ] {
            let error = row(prompt, json!("a")).unwrap_err().to_string();
            assert!(error.contains("\"prompt\" must be a text or a list of one message"));
        }
        for chosen in [json!([user("q"), assistant("a")]), turns(4)] {
            let error = row(json!("p"), chosen).unwrap_err().to_string();
            assert!(error.contains("\"chosen\" must be a text or a list of one message"));
        }
    }

    #[test]
    fn texts_that_are_chosen_and_rejected_are_left_out_and_counted() {
        let rows = r#"
{"prompt": "p", "chosen": "both", "rejected": "b"}
{"prompt": "p", "chosen": "a", "rejected": "both"}
{"prompt": "p", "chosen": "a", "rejected": "b"}
{"prompt": "q", "chosen": "a", "rejected": "b"}
{"prompt": "q", "chosen": "b", "rejected": "a"}
"#;
        let (problems, skipped) = parse(rows.as_bytes(), Path::new("rows")).unwrap();
        let expected = Problem {
            prompt: "p".to_owned(),
            split: None,
            solutions: vec![("b".into(), false), ("a".into(), true)],
            pairs: vec![(1, 0)],
        };
        assert_eq!(problems, [expected]);
        assert_eq!(skipped.contradictory, 4);
    }

    #[test]
    fn a_prompt_in_two_splits_is_an_error_that_names_both_lines() {
        let rows = r#"{"prompt": "p", "chosen": "a", "rejected": "b", "split": "train"}
{"prompt": "p", "chosen": "a", "rejected": "c"}

{"prompt": "p", "chosen": "a", "rejected": "d", "split": "dev"}"#;
        let error = parse(rows.as_bytes(), Path::new("rows")).unwrap_err();
        let says = "rows, line 4: line 1 has the same prompt in another \"split\"";
        assert!(error.to_string().starts_with(says), "{error}");
    }
}
