//! Stage 6: answers, verdicts and scores -> a ranking.
//!
//! Votes are counted over classes of equal answers, not over spellings. Of equal classes one is taken
//! by lot, not the first: where the samples of several models stand one after another, as in some recordings,
//! whoever comes first would decide every tie. A question's lots are the same each time ([`lots`]).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    answer::{self, Rule},
    model::seed_for,
    problem::Task,
    trace::{Ranking, Score, Verdict},
};

/// How the survivors of the filter are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// The most frequent answer (self-consistency, arXiv 2203.11171).
    Majority,
    /// The highest score (best-of-N).
    Verifier,
    /// The answer with the largest sum of scores, each mapped to (0, 1) over the candidates.
    Weighted,
}

/// Which candidates may be chosen at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Drop those whose program disagrees with them (CoTnPoT, arXiv 2410.05318). An unclear
    /// verdict drops nobody.
    Cotnpot,
    /// Keep all, but let a program that agrees double a candidate's vote, and one that disagrees halve
    /// it.
    Soft,
    /// Keep all.
    Off,
}

impl Filter {
    /// What a candidate's vote counts.
    pub(crate) fn weight(self, verdict: Verdict) -> f64 {
        match (self, verdict) {
            (Self::Soft, Verdict::Agrees) => 2.0,
            (Self::Soft, Verdict::Disagrees) => 0.5,
            _ => 1.0,
        }
    }
}

/// What there is to choose by; one entry per candidate in each list.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The class of equal answers a candidate belongs to; `None` for a candidate without answer.
    pub classes: &'a [Option<usize>],
    /// Its verdict.
    pub verdicts: &'a [Verdict],
    /// Its score.
    pub scores: &'a [Option<Score>],
    /// Its lot: of classes that are equal, the one with the lowest comes first.
    pub lots: &'a [u64],
}

/// A lot for each of a question's candidates, the same each time.
pub fn lots(id: &str, candidates: usize) -> Vec<u64> {
    (0..candidates)
        .map(|index| seed_for(0, id, index))
        .collect()
}

/// Orders the candidates, best first. Where the filter drops everyone who has an answer, all
/// come back, and the rule says so (`:all-dropped`).
pub fn select(evidence: Evidence, selector: Selector, filter: Filter) -> Ranking {
    let Evidence {
        classes, verdicts, ..
    } = evidence;
    let answered = |index: &usize| classes[*index].is_some();
    let survives = |index: &usize| {
        filter != Filter::Cotnpot || !matches!(verdicts[*index], Verdict::Disagrees)
    };
    let (mut survivors, mut others): (Vec<usize>, Vec<usize>) =
        (0..classes.len()).partition(|index| answered(index) && survives(index));

    let mut rule = match selector {
        Selector::Majority => "majority",
        Selector::Verifier => "verifier",
        Selector::Weighted => "weighted",
    }
    .to_owned();
    if filter == Filter::Cotnpot {
        rule += "+cotnpot";
        if survivors.is_empty() && others.iter().any(answered) {
            rule += ":all-dropped";
            (survivors, others) = (0..classes.len()).partition(answered);
        }
    } else if filter == Filter::Soft {
        rule += "+soft";
    }

    let merits = merits(&survivors, evidence, selector, filter);
    let equals = |place: usize| {
        let (first, second) = merits[place];
        (classes[survivors[place]], first.to_bits(), second.to_bits())
    };
    let mut lots = HashMap::new();
    for (place, index) in survivors.iter().enumerate() {
        let lot = lots.entry(equals(place)).or_insert(u64::MAX);
        *lot = evidence.lots[*index].min(*lot);
    }
    let mut order: Vec<usize> = (0..survivors.len()).collect();
    order.sort_by(|a, b| {
        merits[*b]
            .partial_cmp(&merits[*a])
            .expect("no merit is NaN")
            .then_with(|| lots[&equals(*a)].cmp(&lots[&equals(*b)]))
            .then(a.cmp(b))
    });
    let mut order: Vec<usize> = order.into_iter().map(|place| survivors[place]).collect();
    order.append(&mut others);
    Ranking {
        chosen: order.first().copied().filter(answered),
        order,
        rule,
    }
}

/// For each survivor what it is ordered by, the first entry before the second.
fn merits(
    survivors: &[usize],
    evidence: Evidence,
    selector: Selector,
    filter: Filter,
) -> Vec<(f64, f64)> {
    let scores: Vec<f64> = survivors
        .iter()
        .map(|index| match evidence.scores[*index] {
            Some(Score(score)) if score.is_finite() => score,
            // Of a verifier that computes nonsense, no score is better than another.
            _ => f64::NEG_INFINITY,
        })
        .collect();
    if selector == Selector::Verifier && filter != Filter::Soft {
        return scores.iter().map(|score| (*score, 0.0)).collect();
    }
    let counts = match selector {
        Selector::Majority => vec![1.0; survivors.len()],
        Selector::Verifier | Selector::Weighted => squashed(&scores),
    };
    let weights = survivors.iter().zip(counts);
    let weights: Vec<f64> = weights
        .map(|(index, count)| count * filter.weight(evidence.verdicts[*index]))
        .collect();
    if selector == Selector::Verifier {
        return weights.into_iter().zip(scores).collect();
    }
    let class = |index: &usize| evidence.classes[*index];
    let mut votes: HashMap<Option<usize>, f64> = HashMap::new();
    for (index, weight) in survivors.iter().zip(&weights) {
        *votes.entry(class(index)).or_default() += weight;
    }
    // Of one class, the candidate comes first that the most speaks for.
    let second = |place: usize| match (selector, filter) {
        (_, Filter::Soft) => weights[place],
        (Selector::Weighted, _) => scores[place],
        _ => 0.0,
    };
    let merits = survivors.iter().enumerate();
    merits
        .map(|(place, index)| (votes[&class(index)], second(place)))
        .collect()
}

/// Scores as votes in (0, 1): the logistic function of each one's distance from the mean, in
/// standard deviations, so that it matters neither where a verifier's scale begins nor how wide it
/// is. A candidate without a score has no vote, unless none has one.
fn squashed(scores: &[f64]) -> Vec<f64> {
    let finite: Vec<f64> = scores
        .iter()
        .copied()
        .filter(|score| score.is_finite())
        .collect();
    if finite.is_empty() {
        return vec![0.5; scores.len()];
    }
    let mean = finite.iter().sum::<f64>() / finite.len() as f64;
    let variance = finite
        .iter()
        .map(|score| (score - mean).powi(2))
        .sum::<f64>()
        / finite.len() as f64;
    let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    scores
        .iter()
        .map(|score| {
            if score.is_finite() {
                1.0 / (1.0 + ((mean - score) / deviation).exp())
            } else {
                0.0
            }
        })
        .collect()
}

/// The class of equal answers that each candidate belongs to. Programs are equal where they give the
/// same `outputs`; where there are none, or nothing but exceptions, if they read the same.
pub fn classes(
    task: Task,
    answers: &[Option<&str>],
    outputs: &[&[String]],
    rule: Rule,
) -> Vec<Option<usize>> {
    if task == Task::Math {
        return answer::classes(answers, rule);
    }
    let mut known: HashMap<(&[String], &str), usize> = HashMap::new();
    let mut classes = Vec::with_capacity(answers.len());
    for (answer, outputs) in answers.iter().zip(outputs) {
        let gives = outputs.iter().any(|output| !output.starts_with('!'));
        let outputs = if gives { *outputs } else { &[] };
        let text = answer.map(|text| if outputs.is_empty() { text.trim() } else { "" });
        let next = known.len();
        classes.push(text.map(|text| *known.entry((outputs, text)).or_insert(next)));
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Reason;

    const AGREES: Verdict = Verdict::Agrees;
    const DISAGREES: Verdict = Verdict::Disagrees;
    const UNCLEAR: Verdict = Verdict::Unclear(Reason::NoProgram);

    fn check(
        classes: &[Option<usize>],
        verdicts: &[Verdict],
        scores: &[f64],
        by: (Selector, Filter),
        expected: (&[usize], &str),
    ) {
        let scores: Vec<_> = scores.iter().map(|score| Some(Score(*score))).collect();
        let ranking = select(
            Evidence {
                classes,
                verdicts,
                scores: &scores,
                lots: &[0, 1, 2, 3, 4, 5, 6, 7][..classes.len()],
            },
            by.0,
            by.1,
        );
        assert_eq!((ranking.order.as_slice(), ranking.rule.as_str()), expected);
    }

    #[test]
    fn majority_counts_classes_and_ties_go_to_the_lowest_lot() {
        let classes = [Some(0), Some(1), Some(1), None];
        let by = (Selector::Majority, Filter::Off);
        check(
            &classes,
            &[AGREES; 4],
            &[0.0; 4],
            by,
            (&[1, 2, 0, 3], "majority"),
        );
        let tied = [Some(1), Some(0), Some(0), Some(1)];
        check(
            &tied,
            &[AGREES; 4],
            &[0.0; 4],
            by,
            (&[0, 3, 1, 2], "majority"),
        );
    }

    #[test]
    fn verifier_takes_the_highest_score_among_survivors() {
        let classes = [Some(0), Some(1), Some(2)];
        let scores = [-0.3, -0.1, -0.2];
        let verdicts = [AGREES, DISAGREES, UNCLEAR];
        check(
            &classes,
            &verdicts,
            &scores,
            (Selector::Verifier, Filter::Off),
            (&[1, 2, 0], "verifier"),
        );
        let by = (Selector::Verifier, Filter::Cotnpot);
        check(
            &classes,
            &verdicts,
            &scores,
            by,
            (&[2, 0, 1], "verifier+cotnpot"),
        );
    }

    #[test]
    fn a_score_that_is_not_a_number_wins_nothing() {
        let classes = [Some(0), Some(1), Some(2), Some(0)];
        let scores = [f64::NAN, -2.0, f64::INFINITY, -1.0];
        for (selector, filter, order, rule) in [
            (Selector::Verifier, Filter::Off, [3, 1, 0, 2], "verifier"),
            (
                Selector::Verifier,
                Filter::Soft,
                [3, 1, 0, 2],
                "verifier+soft",
            ),
            (Selector::Weighted, Filter::Off, [3, 0, 1, 2], "weighted"),
        ] {
            check(
                &classes,
                &[UNCLEAR; 4],
                &scores,
                (selector, filter),
                (&order, rule),
            );
        }
        check(
            &classes,
            &[UNCLEAR; 4],
            &[f64::NAN; 4],
            (Selector::Verifier, Filter::Off),
            (&[0, 3, 1, 2], "verifier"),
        );
    }

    #[test]
    fn the_soft_filter_weighs_votes_and_drops_nobody() {
        let by = (Selector::Majority, Filter::Soft);
        // 2 against 1/2 + 1; the class's agreeing candidate comes first.
        let classes = [Some(1), Some(1), Some(0), None];
        check(
            &classes,
            &[DISAGREES, UNCLEAR, AGREES, AGREES],
            &[0.0; 4],
            by,
            (&[2, 1, 0, 3], "majority+soft"),
        );
        // Three that say nothing outvote one that agrees.
        let classes = [Some(0), Some(1), Some(1), Some(1)];
        check(
            &classes,
            &[AGREES, UNCLEAR, UNCLEAR, UNCLEAR],
            &[0.0; 4],
            by,
            (&[1, 2, 3, 0], "majority+soft"),
        );
        // A little better a score does not make up for a program that disagrees, a lot better does.
        let classes = [Some(0), Some(1), Some(2)];
        let by = (Selector::Verifier, Filter::Soft);
        for (best, order) in [(-0.29, &[1, 0, 2]), (5.0, &[0, 1, 2])] {
            let verdicts = [DISAGREES, UNCLEAR, UNCLEAR];
            check(
                &classes,
                &verdicts,
                &[best, -0.3, -0.9],
                by,
                (order, "verifier+soft"),
            );
        }
    }

    #[test]
    fn all_come_back_when_nobody_survives() {
        let classes = [Some(0), Some(1), Some(1)];
        let by = (Selector::Majority, Filter::Cotnpot);
        check(
            &classes,
            &[DISAGREES; 3],
            &[0.0; 3],
            by,
            (&[1, 2, 0], "majority+cotnpot:all-dropped"),
        );
    }

    #[test]
    fn weighted_lets_two_good_outvote_one_better() {
        let classes = [Some(0), Some(1), Some(1), Some(2)];
        let scores = [-0.10, -0.12, -0.12, -0.9];
        let by = (Selector::Weighted, Filter::Off);
        check(
            &classes,
            &[AGREES; 4],
            &scores,
            by,
            (&[1, 2, 0, 3], "weighted"),
        );
        // A verifier's scale is its own: shifting and stretching it changes nothing.
        let stretched = scores.map(|score| 100.0 * score + 7.0);
        check(
            &classes,
            &[AGREES; 4],
            &stretched,
            by,
            (&[1, 2, 0, 3], "weighted"),
        );
    }

    #[test]
    fn a_tie_is_decided_by_lot_and_not_by_who_comes_first() {
        let wins = |place: usize| {
            let chosen = (0..1000).filter(|problem| {
                let evidence = Evidence {
                    classes: &[Some(0), Some(1), Some(2), Some(1), Some(0)],
                    verdicts: &[AGREES; 5],
                    scores: &[None; 5],
                    lots: &lots(&problem.to_string(), 5),
                };
                let chosen = select(evidence, Selector::Majority, Filter::Off).chosen;
                chosen.is_some_and(|index| evidence.classes[index] == Some(place))
            });
            chosen.count()
        };
        // Three standard deviations of 500 are 47.
        assert!(wins(0).abs_diff(500) < 47, "{}", wins(0));
        assert_eq!((wins(0) + wins(1), wins(2)), (1000, 0));
    }

    #[test]
    fn nothing_is_chosen_where_nobody_answers() {
        let evidence = Evidence {
            classes: &[None, None],
            verdicts: &[UNCLEAR; 2],
            scores: &[None; 2],
            lots: &[0, 1],
        };
        assert_eq!(
            select(evidence, Selector::Majority, Filter::Cotnpot).chosen,
            None
        );
    }
}
