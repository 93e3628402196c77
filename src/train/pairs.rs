//! Labelled solutions to preference pairs (arXiv 2410.05318, section 3): deduplicate, then set
//! correct against incorrect solutions of the same problem, mixed over the models that wrote them.
//!
//! Everything here is a pure function; files are read and written by the caller. A row is what TRL
//! reads: `{"prompt", "chosen", "rejected"}` and fields that TRL passes over.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Result,
    model::random::SplitMix,
    problem::Reference,
    trace::{Candidate, Trace},
};

/// A problem with solutions whose correctness is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Unique among the problems.
    pub id: String,
    /// What the models were asked.
    pub prompt: String,
    /// What they wrote.
    pub solutions: Vec<LabelledSolution>,
}

/// One solution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelledSolution {
    /// The text.
    pub text: String,
    /// The model that wrote it; may be empty.
    pub model: String,
    /// Whether its answer is right.
    pub correct: bool,
}

/// How pairs are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Pairs of a problem at most; 0 for every correct against every incorrect solution.
    pub pairs_per_problem: usize,
    /// Pairs only solutions of different models, where a problem has such.
    pub cross_model: bool,
    /// Prefers pairs of nearly the same length, so that length tells nothing.
    pub length_matched: bool,
    /// Solutions with more characters are dropped and counted; 0 for no limit.
    pub characters_max: usize,
    /// Texts that differ in case and white space alone are one.
    pub normalised: bool,
    /// Share of the problems that is held out.
    pub dev_share: f64,
    /// Chooses the held-out problems, and the pairs where there are more than wanted.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pairs_per_problem: 16,
            cross_model: false,
            length_matched: false,
            characters_max: 0,
            normalised: true,
            dev_share: 0.1,
            seed: 0,
        }
    }
}

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

/// The numbers the paper gives of its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Problems given.
    pub problems: usize,
    /// Problems with both correct and incorrect solutions.
    pub mixed: usize,
    /// Of these, problems held out.
    pub dev: usize,
    /// Solutions given.
    pub solutions: usize,
    /// Dropped because they are empty.
    pub empty: usize,
    /// Dropped because they are too long.
    pub too_long: usize,
    /// Dropped because the same text is labelled correct and incorrect.
    pub contradictory: usize,
    /// Share of all others that are left when duplicates are dropped.
    pub surviving: f64,
    /// Mean number of correct solutions of a problem, after that.
    pub correct_mean: f64,
    /// Mean number of incorrect solutions of a problem.
    pub incorrect_mean: f64,
    /// Pairs made.
    pub pairs: usize,
}

/// Makes pairs.
pub fn build(problems: &[Labelled], options: &Options) -> (Vec<Row>, Statistics) {
    let mut statistics = Statistics {
        problems: problems.len(),
        ..Statistics::default()
    };
    let (mut kept, mut survivors, mut correct) = (Vec::new(), 0, 0);
    let mut candidates = 0;
    for problem in problems {
        let solutions = deduplicated(
            &problem.solutions,
            options,
            &mut statistics,
            &mut candidates,
        );
        survivors += solutions.len();
        let good = solutions.iter().filter(|s| s.correct).count();
        correct += good;
        if good > 0 && good < solutions.len() {
            kept.push((problem, solutions));
        }
    }
    let mean = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    statistics.mixed = kept.len();
    statistics.surviving = mean(survivors, candidates);
    statistics.correct_mean = mean(correct, problems.len());
    statistics.incorrect_mean = mean(survivors - correct, problems.len());

    // Problems are held out, not pairs: a problem's other pairs would give it away.
    let mut random = SplitMix::new(options.seed);
    let mut order: Vec<usize> = (0..kept.len()).collect();
    random.shuffle(&mut order);
    statistics.dev = (options.dev_share * kept.len() as f64).round() as usize;
    let dev: HashSet<usize> = order.into_iter().take(statistics.dev).collect();

    let mut rows = Vec::new();
    for (i, (problem, solutions)) in kept.iter().enumerate() {
        let split = if dev.contains(&i) {
            Split::Dev
        } else {
            Split::Train
        };
        for (a, b) in choose(solutions, split, options, &mut random) {
            rows.push(Row {
                prompt: problem.prompt.clone(),
                chosen: solutions[a].text.clone(),
                rejected: solutions[b].text.clone(),
                id: problem.id.clone(),
                split: Some(split),
                chosen_model: solutions[a].model.clone(),
                rejected_model: solutions[b].model.clone(),
            });
        }
    }
    statistics.pairs = rows.len();
    (rows, statistics)
}

fn deduplicated<'a>(
    solutions: &'a [LabelledSolution],
    options: &Options,
    statistics: &mut Statistics,
    candidates: &mut usize,
) -> Vec<&'a LabelledSolution> {
    let mut labels: HashMap<String, (bool, bool)> = HashMap::new();
    let mut kept: Vec<(String, &LabelledSolution)> = Vec::new();
    for solution in solutions {
        statistics.solutions += 1;
        let text = solution.text.trim();
        if text.is_empty() {
            statistics.empty += 1;
            continue;
        }
        if options.characters_max > 0 && text.chars().count() > options.characters_max {
            statistics.too_long += 1;
            continue;
        }
        *candidates += 1;
        let key = if options.normalised {
            let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
            words.join(" ")
        } else {
            text.to_owned()
        };
        let seen = labels.entry(key.clone()).or_default();
        let new = *seen == (false, false);
        if solution.correct {
            seen.0 = true;
        } else {
            seen.1 = true;
        }
        if new {
            kept.push((key, solution));
        }
    }
    let before = kept.len();
    kept.retain(|(key, _)| labels[key] != (true, true));
    statistics.contradictory += before - kept.len();
    kept.into_iter().map(|(_, solution)| solution).collect()
}

/// Picks a problem's pairs, each time one whose solutions were used least.
fn choose(
    solutions: &[&LabelledSolution],
    split: Split,
    options: &Options,
    random: &mut SplitMix,
) -> Vec<(usize, usize)> {
    let (good, bad): (Vec<usize>, Vec<usize>) =
        (0..solutions.len()).partition(|&i| solutions[i].correct);
    let mut all: Vec<(usize, usize)> = good
        .iter()
        .flat_map(|&a| bad.iter().map(move |&b| (a, b)))
        .collect();
    random.shuffle(&mut all);
    let mut limit = match options.pairs_per_problem {
        0 => all.len(),
        limit => limit,
    };
    if split == Split::Dev {
        limit = good.len().max(bad.len());
    } else {
        if options.cross_model {
            let crossed = |&(a, b): &(usize, usize)| solutions[a].model != solutions[b].model;
            let crossed: Vec<_> = all.iter().copied().filter(crossed).collect();
            if !crossed.is_empty() {
                all = crossed;
            }
        }
        if options.length_matched {
            let length = |i: usize| solutions[i].text.chars().count();
            all.sort_by_key(|&(a, b)| length(a).abs_diff(length(b)));
        }
    }
    let mut uses = vec![0_usize; solutions.len()];
    let mut chosen = Vec::new();
    while chosen.len() < limit && !all.is_empty() {
        let least = (0..all.len()).min_by_key(|&i| uses[all[i].0] + uses[all[i].1]);
        let (a, b) = all.remove(least.expect("some are left"));
        uses[a] += 1;
        uses[b] += 1;
        chosen.push((a, b));
    }
    chosen
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
/// [`Error::Row`] for a line that is not such a row.
pub fn parse(rows: &str, path: &Path) -> Result<(Vec<Problem>, Skipped)> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut skipped = Skipped::default();
    for (i, line) in rows.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let error = |reason: String| Error::Row {
            path: path.to_owned(),
            line: i + 1,
            reason,
        };
        let row: Value = serde_json::from_str(line).map_err(|e| error(e.to_string()))?;
        let text = |key: &str| {
            let found = row.get(key).and_then(|value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Array(messages) => Some(messages.last()?["content"].as_str()?.to_owned()),
                _ => None,
            });
            found.ok_or_else(|| error(format!("{key:?} must be a text or a list of messages")))
        };
        let (prompt, chosen, rejected) = (text("prompt")?, text("chosen")?, text("rejected")?);
        let split = match row.get("split") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                serde_json::from_value(value.clone())
                    .map_err(|_| error("\"split\" must be \"train\" or \"dev\"".to_owned()))?,
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
        let mut place = |text: String, correct: bool| {
            let known = problem
                .solutions
                .iter()
                .position(|(known, _)| *known == text);
            let place = known.unwrap_or_else(|| {
                problem.solutions.push((text, false));
                problem.solutions.len() - 1
            });
            problem.solutions[place].1 |= correct;
            place
        };
        let pair = (place(chosen, true), place(rejected, false));
        if !problem.pairs.contains(&pair) {
            problem.pairs.push(pair);
        }
    }
    Ok((problems, skipped))
}

/// Reads recorded samples: lines of `{"question", "gold", "samples": [{"model", "text", "answer"}]}`.
/// A sample's own `correct`, `passed` or `is_solved` counts; where it has none, `grade(gold, answer)`
/// says whether its answer, or else the text that ends in one, is right. Samples of which nobody
/// knows are left out, and programs (`kind` `pot`), which are no solutions in words.
///
/// # Errors
/// [`Error::Row`] for a line that is not such a row.
pub fn from_samples(
    rows: &str,
    path: &Path,
    grade: &dyn Fn(&str, &str) -> Option<bool>,
) -> Result<Vec<Labelled>> {
    let mut problems = Vec::new();
    for (i, line) in rows.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let error = |reason: String| Error::Row {
            path: path.to_owned(),
            line: i + 1,
            reason,
        };
        let row: Value = serde_json::from_str(line).map_err(|e| error(e.to_string()))?;
        let text = |value: &Value, keys: &[&str]| {
            let mut found = keys.iter().filter_map(|key| value.get(key)?.as_str());
            found.next().map(str::to_owned)
        };
        let mut prompt =
            text(&row, &["question", "problem", "prompt", "text"]).ok_or_else(|| {
                error("no \"question\", \"problem\", \"prompt\" or \"text\"".to_owned())
            })?;
        // MBPP states the function's name in its tests alone.
        if let Some(tests) = row.get("test_list").and_then(Value::as_array) {
            prompt += "\nYour code should pass these tests:";
            for test in tests.iter().filter_map(Value::as_str) {
                prompt += "\n";
                prompt += test;
            }
        }
        let samples = row.get("samples").and_then(Value::as_array);
        let samples = samples.ok_or_else(|| error("no \"samples\"".to_owned()))?;
        let gold = text(&row, &["gold", "answer"]);
        let label = |sample: &Value| {
            let recorded = ["correct", "passed", "is_solved"]
                .iter()
                .find_map(|key| sample.get(key)?.as_bool());
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
        let solutions = samples
            .iter()
            .filter(|sample| !is_program(sample))
            .filter_map(|sample| {
                Some(LabelledSolution {
                    text: text(sample, &["text"])?,
                    model: text(sample, &["model"]).unwrap_or_default(),
                    correct: label(sample)?,
                })
            });
        problems.push(Labelled {
            id: format!(
                "{}:{}",
                path.file_stem().unwrap_or_default().display(),
                i + 1
            ),
            prompt,
            solutions: solutions.collect(),
        });
    }
    Ok(problems)
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(id: usize, solutions: &[(&str, &str, bool)]) -> Labelled {
        let solution = |&(text, model, correct): &(&str, &str, bool)| LabelledSolution {
            text: text.to_owned(),
            model: model.to_owned(),
            correct,
        };
        Labelled {
            id: id.to_string(),
            prompt: format!("problem {id}"),
            solutions: solutions.iter().map(solution).collect(),
        }
    }

    fn all() -> Options {
        Options {
            pairs_per_problem: 0,
            dev_share: 0.0,
            ..Options::default()
        }
    }

    #[test]
    fn statistics_are_counted_after_duplicates_are_dropped() {
        let problems = [
            problem(
                0,
                &[
                    ("It is 4.", "a", true),
                    ("it  is 4. ", "b", true),
                    ("Four", "b", true),
                    ("It is 5.", "a", false),
                    (" \n", "a", false),
                    ("Perhaps", "a", true),
                    ("perhaps", "b", false),
                    ("far too long to be kept here", "a", false),
                ],
            ),
            problem(1, &[("7", "a", true), ("8", "a", true)]),
        ];
        let options = Options {
            characters_max: 20,
            ..all()
        };
        let (rows, statistics) = build(&problems, &options);
        let expected = Statistics {
            problems: 2,
            mixed: 1,
            dev: 0,
            solutions: 10,
            empty: 1,
            too_long: 1,
            contradictory: 1,
            surviving: 5.0 / 8.0,
            correct_mean: 2.0,
            incorrect_mean: 0.5,
            pairs: 2,
        };
        assert_eq!(statistics, expected);
        let mut chosen: Vec<&str> = rows.iter().map(|row| row.chosen.as_str()).collect();
        chosen.sort_unstable();
        assert_eq!(chosen, ["Four", "It is 4."]);
        let exact = Options {
            normalised: false,
            ..options
        };
        // "It is 4." and "it  is 4." differ now, and so do the two that contradict each other.
        assert_eq!(build(&problems, &exact).1.pairs, 4 * 2);
    }

    #[test]
    fn a_few_pairs_use_every_solution_before_any_twice() {
        let texts: Vec<String> = (0..12).map(|i| format!("solution {i}")).collect();
        let solutions: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(i, t)| (t.as_str(), "", i < 5))
            .collect();
        let problems = [problem(0, &solutions)];
        let rows = |pairs_per_problem: usize, seed: u64| {
            let options = Options {
                pairs_per_problem,
                seed,
                ..all()
            };
            build(&problems, &options).0
        };
        assert_eq!(rows(0, 1).len(), 5 * 7);
        let few = rows(5, 1);
        let texts: HashSet<&String> = few
            .iter()
            .flat_map(|row| [&row.chosen, &row.rejected])
            .collect();
        assert_eq!((few.len(), texts.len()), (5, 10));
        assert_eq!(few, rows(5, 1));
        assert_ne!(few, rows(5, 2));
    }

    #[test]
    fn pairs_cross_models_and_match_lengths_where_they_can() {
        let problems = [
            problem(
                0,
                &[
                    ("aaaa", "a", true),
                    ("bb", "b", true),
                    ("cc", "a", false),
                    ("dddd", "b", false),
                ],
            ),
            problem(1, &[("only", "a", true), ("model", "a", false)]),
        ];
        let crossed = Options {
            cross_model: true,
            ..all()
        };
        let rows = build(&problems, &crossed).0;
        assert_eq!(rows.len(), 3);
        assert!(
            rows[..2]
                .iter()
                .all(|row| row.chosen_model != row.rejected_model)
        );
        let matched = Options {
            length_matched: true,
            pairs_per_problem: 2,
            ..all()
        };
        let rows = build(&problems[..1], &matched).0;
        assert!(
            rows.iter()
                .all(|row| row.chosen.len() == row.rejected.len()),
            "{rows:?}"
        );
    }

    #[test]
    fn problems_are_held_out_whole_with_all_their_solutions() {
        let texts = ["a", "b", "c", "d", "e", "f", "g"];
        let solutions: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(i, t)| (*t, "", i < 2))
            .collect();
        let problems: Vec<Labelled> = (0..20).map(|id| problem(id, &solutions)).collect();
        let options = Options {
            pairs_per_problem: 1,
            dev_share: 0.25,
            ..Options::default()
        };
        let (rows, statistics) = build(&problems, &options);
        assert_eq!(statistics.dev, 5);
        let text: String = rows
            .iter()
            .map(|row| serde_json::to_string(row).unwrap() + "\n")
            .collect();
        let (problems, skipped) = parse(&text, Path::new("rows")).unwrap();
        assert_eq!(skipped, Skipped::default());
        let (dev, train): (Vec<_>, Vec<_>) =
            problems.iter().partition(|p| p.split == Some(Split::Dev));
        assert_eq!((dev.len(), train.len()), (5, 15));
        assert!(dev.iter().all(|p| p.solutions.len() == 7));
        assert!(train.iter().all(|p| p.pairs.len() == 1));
    }

    #[test]
    fn rows_of_trl_are_read_and_bad_ones_counted_or_named() {
        let rows = r#"
{"prompt": "p", "chosen": "a", "rejected": "b"}
{"prompt": [{"role": "user", "content": "p"}], "chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "c"}], "score": 3}
{"prompt": "p", "chosen": "a", "rejected": "b"}
{"prompt": "p", "chosen": "a", "rejected": "a"}
{"prompt": "p", "chosen": " ", "rejected": "a"}
"#;
        let (problems, skipped) = parse(rows, Path::new("rows")).unwrap();
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
            let error = parse(bad, Path::new("rows")).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }

    #[test]
    fn samples_are_labelled_by_their_own_word_or_by_the_grader_and_programs_left_out() {
        let rows = r#"{"question": "1 + 1?", "gold": "2", "samples": [{"model": "m", "text": "so 2", "answer": "2"}, {"text": "so 3", "answer": "3"}, {"text": "2", "answer": null}, {"text": "none"}, {"text": "2", "kind": "pot"}]}
{"text": "Write f.", "test_list": ["assert f() == 1"], "samples": [{"text": "def f(): pass", "passed": false}]}"#;
        let grade = |gold: &str, answer: &str| Some(gold == answer);
        let problems = from_samples(rows, Path::new("x/samples.jsonl"), &grade).unwrap();
        let labels: Vec<Vec<bool>> = problems
            .iter()
            .map(|p| p.solutions.iter().map(|s| s.correct).collect())
            .collect();
        assert_eq!(labels, [vec![true, false, true, false], vec![false]]);
        assert_eq!(problems[0].id, "samples:1");
        assert!(problems[1].prompt.ends_with("tests:\nassert f() == 1"));
    }
}
