//! Solutions whose correctness is known: from recorded samples, and from the traces of a run.

use std::path::Path;

use serde_json::Value;

use super::{Labelled, LabelledSolution};
use crate::{
    Result,
    jsonl::{self, row_error},
    problem::{Reference, Task},
    trace::{Candidate, Trace},
};

/// Reads recorded samples: lines of `{"question", "gold", "samples": [{"model", "text", "answer"}]}`.
/// A sample's own `correct`, `passed` or `is_solved` (true or false, 1 or 0) counts; where it has
/// none, `grade(gold, answer)` says whether its answer, or else the text that ends in one, is right.
/// Samples of which nobody knows are left out and counted. Programs (`kind` `pot`) are left out too:
/// they are no solutions in words.
///
/// # Errors
/// [`crate::Error::Row`] for a line that is not such a row.
pub fn from_samples(
    rows: &[u8],
    path: &Path,
    grade: &dyn Fn(&str, &str) -> Option<bool>,
) -> Result<Vec<Labelled>> {
    let mut problems = Vec::new();
    for row in jsonl::values(rows, path) {
        let (line, row) = row?;
        let error = |reason: &str| row_error(path, line, reason);
        let text = |value: &Value, keys: &[&str]| {
            let mut found = keys.iter().filter_map(|key| value.get(key)?.as_str());
            found.next().map(str::to_owned)
        };
        let mut prompt = text(&row, &["question", "problem", "prompt", "text"])
            .ok_or_else(|| error("no \"question\", \"problem\", \"prompt\" or \"text\""))?;
        // MBPP states the function's name in its tests alone.
        let tests = row.get("test_list").and_then(Value::as_array);
        if let Some(tests) = tests {
            prompt += "\nYour code should pass these tests:";
            for test in tests.iter().filter_map(Value::as_str) {
                prompt += "\n";
                prompt += test;
            }
        }
        let samples = row.get("samples").and_then(Value::as_array);
        let samples = samples.ok_or_else(|| error("no \"samples\""))?;
        let mut golds = ["gold", "answer"].iter().filter_map(|key| row.get(key));
        let gold = golds.find_map(|gold| match gold {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        let label = |sample: &Value| {
            let recorded = ["correct", "passed", "is_solved"]
                .iter()
                .find_map(|key| is_yes(sample.get(key)?));
            let answer = match sample.get("answer") {
                None | Some(Value::Null) => text(sample, &["text"])?,
                Some(Value::String(answer)) => answer.clone(),
                Some(other) => other.to_string(),
            };
            recorded.or_else(|| grade(gold.as_deref()?, &answer))
        };
        let is_program = |sample: &&Value| {
            let kind = sample.get("kind").and_then(Value::as_str);
            kind.is_some_and(|kind| kind.starts_with("pot"))
        };
        let samples = samples.iter().filter(|sample| !is_program(sample));
        let given = samples.clone().count();
        let solutions = samples.filter_map(|sample| {
            Some(LabelledSolution {
                text: text(sample, &["text"])?,
                model: text(sample, &["model"]).unwrap_or_default(),
                correct: label(sample)?,
            })
        });
        let solutions: Vec<LabelledSolution> = solutions.collect();
        problems.push(Labelled {
            id: format!("{}:{line}", path.file_stem().unwrap_or_default().display()),
            prompt,
            unlabelled: given - solutions.len(),
            solutions,
            gold: gold.filter(|_| tests.is_none()),
            programs: tests.is_some(),
        });
    }
    Ok(problems)
}

/// A label as people write it: `true`, or 1 where it is a number.
fn is_yes(label: &Value) -> Option<bool> {
    let number = || label.as_f64().filter(|number| [0.0, 1.0].contains(number));
    label.as_bool().or_else(|| Some(number()? == 1.0))
}

/// A solved question whose reference is known. Whether a candidate is right was written down by
/// `eval`, as of a program by hidden tests; in traces that do not tell, `grade` says it. `None` where
/// the trace has no reference.
pub fn from_trace(
    trace: &Trace,
    model: &str,
    grade: &dyn Fn(&Reference, &Candidate) -> bool,
) -> Option<Labelled> {
    let reference = trace.reference.as_ref()?;
    let solutions = trace.candidates.iter().map(|traced| LabelledSolution {
        text: traced.candidate.text.clone(),
        model: model.to_owned(),
        correct: traced
            .correct
            .unwrap_or_else(|| grade(reference, &traced.candidate)),
    });
    Some(Labelled {
        id: trace.id.clone(),
        prompt: trace.question.clone(),
        solutions: solutions.collect(),
        gold: (trace.task == Task::Math).then(|| reference.answer.clone()),
        programs: trace.task == Task::Code,
        unlabelled: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_labelled_by_their_own_word_or_by_the_grader_and_programs_left_out() {
        let rows = r#"{"question": "1 + 1?", "gold": "2", "samples": [{"model": "m", "text": "so 2", "answer": "2"}, {"text": "so 3", "answer": "3"}, {"text": "2", "answer": null}, {"text": "none"}, {"text": "2", "kind": "pot"}]}
{"text": "Write f.", "test_list": ["assert f() == 1"], "samples": [{"text": "def f(): pass", "passed": false}]}"#;
        let grade = |gold: &str, answer: &str| Some(gold == answer);
        let problems = from_samples(rows.as_bytes(), Path::new("x/samples.jsonl"), &grade).unwrap();
        let labels: Vec<Vec<bool>> = problems
            .iter()
            .map(|p| p.solutions.iter().map(|s| s.correct).collect())
            .collect();
        assert_eq!(labels, [vec![true, false, true, false], vec![false]]);
        assert_eq!(problems[0].id, "samples:1");
        assert!(problems[1].prompt.ends_with("tests:\nassert f() == 1"));
        assert!(problems[1].programs && !problems[0].programs);
    }

    #[test]
    fn golds_answers_and_labels_may_be_numbers_and_what_has_no_label_is_counted() {
        let rows = r#"{"question": "1 + 1?", "gold": 2, "samples": [{"text": "so 2", "answer": 2}, {"text": "so 3", "answer": 3}, {"text": "a", "correct": 1}, {"text": "2", "correct": 0.0}]}
{"question": "2 + 2?", "samples": [{"text": "so 4", "answer": 4}, {"correct": true}, {"text": "5", "correct": 2}, {"text": "4", "kind": "pot"}]}"#;
        let grade = |gold: &str, answer: &str| Some(gold == answer);
        let problems = from_samples(rows.as_bytes(), Path::new("samples.jsonl"), &grade).unwrap();
        let labels: Vec<bool> = problems[0].solutions.iter().map(|s| s.correct).collect();
        assert_eq!(labels, [true, false, true, false]);
        let golds: Vec<Option<&str>> = problems.iter().map(|p| p.gold.as_deref()).collect();
        assert_eq!(golds, [Some("2"), None]);
        let unlabelled: Vec<usize> = problems.iter().map(|p| p.unlabelled).collect();
        assert_eq!(unlabelled, [0, 3]);
        assert!(problems[1].solutions.is_empty());
    }
}
