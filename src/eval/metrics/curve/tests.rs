use super::*;
use crate::{
    eval::metrics::graded::Programs,
    model::random::SplitMix,
    trace::{Reason, Score},
};

const SELECTIONS: [Way; 6] = [
    Way::Select(Selector::Majority, Filter::Off),
    Way::Select(Selector::Majority, Filter::Cotnpot),
    Way::Select(Selector::Verifier, Filter::Off),
    Way::Select(Selector::Verifier, Filter::Cotnpot),
    Way::Select(Selector::Weighted, Filter::Off),
    Way::Select(Selector::Weighted, Filter::Cotnpot),
];

/// A problem with random answers of which one class is right, verdicts, and scores with ties.
fn random_problem(random: &mut SplitMix, candidates: usize) -> Graded {
    let mut below = |most: usize| (random.unit() * most as f64) as usize;
    let mut classes = Vec::new();
    let mut program_classes = Vec::new();
    let mut verdicts = Vec::new();
    let mut scores = Vec::new();
    for _ in 0..candidates {
        let class = below(4);
        classes.push((class < 3).then_some(class));
        let class = below(4);
        program_classes.push((class < 3).then_some(class));
        verdicts.push(match below(3) {
            0 => Verdict::Agrees,
            1 => Verdict::Disagrees,
            _ => Verdict::Unclear(Reason::NoProgram),
        });
        scores.push((below(6) > 0).then(|| Score(below(4) as f64)));
    }
    let is_right = |classes: &[Option<usize>]| -> Vec<bool> {
        classes.iter().map(|class| *class == Some(1)).collect()
    };
    Graded {
        id: "a".to_owned(),
        right: is_right(&classes),
        both: classes.iter().chain(&program_classes).copied().collect(),
        programs: Programs {
            answers: vec![None; candidates],
            right: is_right(&program_classes),
            classes: program_classes,
        },
        classes,
        verdicts,
        scores,
        rankings: Vec::new(),
    }
}

/// Every order of `0..count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let insert = |order: Vec<usize>| {
        (0..count).map(move |place| {
            let mut longer = order.clone();
            longer.insert(place, count - 1);
            longer
        })
    };
    orders(count - 1).into_iter().flat_map(insert).collect()
}

#[test]
fn closed_forms_are_the_mean_over_all_ordered_subsets() {
    let mut random = SplitMix::new(11);
    let orders = orders(6);
    let sizes = [1, 2, 3, 5];
    let mut compared = 0;
    for _ in 0..40 {
        let problem = random_problem(&mut random, 6);
        let ways = [&SELECTIONS[..4], &[Way::Sample, Way::Programs, Way::Oracle]].concat();
        for way in ways {
            let closed = exact(&problem, way, &sizes).unwrap();
            for (size, closed) in sizes.iter().zip(closed) {
                let right = |order: &&Vec<usize>| subset::is_right(&problem, way, &order[..*size]);
                let counted = orders.iter().filter(right).count() as f64 / orders.len() as f64;
                assert!(
                    (counted - closed).abs() < 1e-12,
                    "{way:?} of {size}: {counted}, not {closed}: {problem:?}"
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 40 * 7 * 4);
}

#[test]
fn random_subsets_are_near_the_mean_over_all() {
    let mut random = SplitMix::new(5);
    let orders = orders(6);
    let ways = [SELECTIONS[4], SELECTIONS[5], Way::Both];
    let (mut bias, mut compared) = (0.0, 0.0);
    for index in 0..60 {
        let mut problem = random_problem(&mut random, 6);
        problem.id = index.to_string();
        let drawn = subset::shares(&problem, &ways, &[2, 4], SEED);
        for (way, drawn) in ways.iter().zip(drawn) {
            for (size, drawn) in [2, 4].iter().zip(drawn) {
                let right = |order: &&Vec<usize>| subset::is_right(&problem, *way, &order[..*size]);
                let counted = orders.iter().filter(right).count() as f64 / orders.len() as f64;
                // Four standard deviations of a share of 200.
                assert!((counted - drawn).abs() < 0.142, "{counted}, not {drawn}");
                bias += drawn - counted;
                compared += 1.0;
            }
        }
    }
    assert!(f64::abs(bias / compared) < 0.008, "{}", bias / compared);
}

#[test]
fn the_fast_weighted_votes_are_the_selectors() {
    use crate::select::{Evidence, select};
    let mut random = SplitMix::new(2);
    for _ in 0..2000 {
        let problem = random_problem(&mut random, 7);
        let all: Vec<usize> = (0..7).collect();
        let weighted = [Filter::Off, Filter::Cotnpot].map(|filter| (Selector::Weighted, filter));
        let selectors = [Selector::Majority, Selector::Verifier, Selector::Weighted];
        let soft = selectors.map(|selector| (selector, Filter::Soft));
        for (selector, filter) in weighted.into_iter().chain(soft) {
            let evidence = Evidence {
                classes: &problem.classes,
                verdicts: &problem.verdicts,
                scores: &problem.scores,
                lots: &[0, 1, 2, 3, 4, 5, 6],
            };
            let chosen = select(evidence, selector, filter).chosen;
            assert_eq!(
                subset::is_right(&problem, Way::Select(selector, filter), &all),
                chosen.is_some_and(|index| problem.right[index]),
                "{problem:?}"
            );
        }
    }
}

#[test]
fn sizes_double_up_to_what_was_sampled() {
    assert_eq!(sizes(1), [1]);
    assert_eq!(sizes(16), [1, 2, 4, 8, 16]);
    assert_eq!(sizes(13), [1, 2, 4, 8, 13]);
    assert_eq!(sizes(0), [1]);
}

#[test]
fn what_lies_between_two_sizes_is_interpolated() {
    let at = [0.2, 0.4, 0.8];
    assert_eq!(between(&at, 2.0), Some(0.4));
    assert_eq!(between(&at, 3.0), Some(0.8));
    assert!((between(&at, 2.25).unwrap() - 0.5).abs() < 1e-12);
    assert_eq!(between(&at, 3.1), None);
}
