//! Labelled solutions to preference pairs (arXiv 2410.05318, section 3): deduplicate, then set
//! correct against incorrect solutions of the same problem, mixed over the models that wrote them.
//!
//! Everything here is a pure function; files are read and written by the caller. A row is what TRL
//! reads: `{"prompt", "chosen", "rejected"}` and fields that TRL passes over.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use serde::Serialize;

use crate::model::random::SplitMix;

mod labelled;
mod rows;

pub use labelled::{from_samples, from_trace};
pub use rows::{Problem, Row, Skipped, Split, parse};

/// A problem with solutions whose correctness is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Unique among the problems.
    pub id: String,
    /// What the models were asked.
    pub prompt: String,
    /// What they wrote.
    pub solutions: Vec<LabelledSolution>,
    /// The right answer, where it is known and is no program.
    pub gold: Option<String>,
    /// Whether solutions are programs, whose case and white space have a meaning.
    pub programs: bool,
    /// Samples that are no solutions here: they have no text, or nothing says whether it is right.
    pub unlabelled: usize,
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
    /// Of the pairs to learn from keeps those whose solutions' lengths are within a factor of two of
    /// each other, the most alike first, so that length tells little.
    pub length_matched: bool,
    /// Solutions with more characters are dropped and counted; 0 for no limit.
    pub characters_max: usize,
    /// Texts that differ in case and white space alone are one, unless they are programs.
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

/// The numbers the paper gives of its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Problems given.
    pub problems: usize,
    /// Further problems, dropped by whoever gathered them because their gold answers disagree.
    pub conflicting: usize,
    /// Problems with both correct and incorrect solutions.
    pub mixed: usize,
    /// Of these, problems held out.
    pub dev: usize,
    /// Solutions given.
    pub solutions: usize,
    /// Further samples, without a text or a label.
    pub unlabelled: usize,
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
        statistics.unlabelled += problem.unlabelled;
        let solutions = deduplicated(problem, options, &mut statistics, &mut candidates);
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
    problem: &'a Labelled,
    options: &Options,
    statistics: &mut Statistics,
    candidates: &mut usize,
) -> Vec<&'a LabelledSolution> {
    let mut labels: HashMap<String, (bool, bool)> = HashMap::new();
    let mut kept: Vec<(String, &LabelledSolution)> = Vec::new();
    for solution in &problem.solutions {
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
        let key = if problem.programs {
            solution.text.trim_end().to_owned()
        } else if options.normalised {
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
    let mut limit = options.pairs_per_problem;
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
            let lengths = solutions
                .iter()
                .map(|solution| solution.text.chars().count());
            let lengths: Vec<usize> = lengths.collect();
            all.retain(|&(a, b)| lengths[a].max(lengths[b]) <= 2 * lengths[a].min(lengths[b]));
            all.sort_by_key(|&(a, b)| lengths[a].abs_diff(lengths[b]));
        }
        if limit == 0 {
            return all;
        }
    }
    least_used(&all, solutions.len(), limit)
}

/// Takes pairs one by one, each time the first of those whose solutions were taken least.
fn least_used(all: &[(usize, usize)], solutions: usize, limit: usize) -> Vec<(usize, usize)> {
    let mut uses = vec![0_usize; solutions];
    let mut chosen = Vec::new();
    // How often a pair's solutions were taken when it was last looked at, which is not more than
    // they are by now: one whose number is out of date goes back with the true one.
    let mut waiting: BinaryHeap<_> = (0..all.len()).map(|place| Reverse((0, place))).collect();
    while chosen.len() < limit
        && let Some(Reverse((known, place))) = waiting.pop()
    {
        let (a, b) = all[place];
        let used = uses[a] + uses[b];
        if used > known {
            waiting.push(Reverse((used, place)));
            continue;
        }
        uses[a] += 1;
        uses[b] += 1;
        chosen.push((a, b));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
            ..Labelled::default()
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
            Labelled {
                unlabelled: 3,
                ..problem(1, &[("7", "a", true), ("8", "a", true)])
            },
        ];
        let options = Options {
            characters_max: 20,
            ..all()
        };
        let (rows, statistics) = build(&problems, &options);
        let expected = Statistics {
            problems: 2,
            conflicting: 0,
            mixed: 1,
            dev: 0,
            solutions: 10,
            unlabelled: 3,
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
    fn programs_that_differ_in_indentation_or_case_are_not_duplicates() {
        let inside = "for s in x:\n    n += 1\n    return n";
        let outside = "for s in x:\n    n += 1\nreturn n";
        let upper = "for S in x:\n    n += 1\nreturn n";
        let again = format!("{outside}\n");
        let solutions = [
            (inside, "", false),
            (outside, "", true),
            (upper, "", false),
            (again.as_str(), "", true),
        ];
        let words = problem(0, &solutions);
        let programs = Labelled {
            programs: true,
            ..words.clone()
        };
        // As words all of them are one text, labelled both ways.
        assert_eq!(build(&[words], &all()).1.contradictory, 1);
        let (rows, statistics) = build(&[programs], &all());
        assert_eq!((rows.len(), statistics.contradictory), (2, 0));
        assert!(rows.iter().all(|row| row.chosen == outside), "{rows:?}");
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
    fn the_pairs_taken_are_those_that_looking_at_all_of_them_each_time_would_take() {
        let mut random = SplitMix::new(3);
        for (good, bad, limit) in [(1, 1, 1), (3, 4, 7), (6, 9, 54), (12, 5, 20), (8, 8, 100)] {
            let mut all: Vec<(usize, usize)> = (0..good)
                .flat_map(|a| (good..good + bad).map(move |b| (a, b)))
                .collect();
            random.shuffle(&mut all);
            let (mut uses, mut left) = (vec![0; good + bad], all.clone());
            let mut expected = Vec::new();
            while expected.len() < limit && !left.is_empty() {
                let least = (0..left.len()).min_by_key(|&i| uses[left[i].0] + uses[left[i].1]);
                let (a, b) = left.remove(least.unwrap());
                uses[a] += 1;
                uses[b] += 1;
                expected.push((a, b));
            }
            assert_eq!(least_used(&all, good + bad, limit), expected);
        }
    }

    #[test]
    fn a_problem_of_very_many_pairs_is_made_and_read() {
        // 250,000 pairs: looking at all of them for each would be 30,000,000,000 looks.
        let texts: Vec<String> = (0..1000).map(|i| format!("solution {i}")).collect();
        let solutions = texts.iter().enumerate();
        let solutions: Vec<_> = solutions.map(|(i, t)| (t.as_str(), "", i < 500)).collect();
        let (rows, _) = build(&[problem(0, &solutions)], &all());
        let lines = rows
            .iter()
            .map(|row| serde_json::to_string(row).unwrap() + "\n");
        let lines: String = lines.collect();
        let (problems, _) = parse(lines.as_bytes(), Path::new("rows")).unwrap();
        assert_eq!(problems[0].solutions.len(), 1000);
        assert_eq!(problems[0].pairs.len(), 250_000);
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
        // However many pairs are wanted, none is of a solution more than twice as long.
        let uneven = problem(2, &[("a", "", true), ("bbbb", "", true), ("cc", "", false)]);
        let longer = problem(3, &[("a", "", true), ("bbb", "", false)]);
        let every = Options {
            pairs_per_problem: 0,
            ..matched
        };
        let rows = build(&[uneven, longer], &every).0;
        let chosen: Vec<&str> = rows.iter().map(|row| row.chosen.as_str()).collect();
        assert_eq!(chosen, ["a", "bbbb"]);
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
        let (problems, skipped) = parse(text.as_bytes(), Path::new("rows")).unwrap();
        assert_eq!(skipped, Skipped::default());
        let (dev, train): (Vec<_>, Vec<_>) =
            problems.iter().partition(|p| p.split == Some(Split::Dev));
        assert_eq!((dev.len(), train.len()), (5, 15));
        assert!(dev.iter().all(|p| p.solutions.len() == 7));
        assert!(train.iter().all(|p| p.pairs.len() == 1));
    }
}
