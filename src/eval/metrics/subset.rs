//! Choices among random subsets of a problem's candidates, where [`super::chance`] has no closed
//! form: votes that have weights, which may depend on who else is in the subset, and the vote of answers
//! and programs together, in which each candidate has two.
//!
//! The subsets are the beginnings of [`SUBSETS`] random orders, seeded by the problem's id, so that
//! the same traces always give the same numbers.

use crate::{
    model::{random::SplitMix, seed_for},
    select::{Evidence, Filter, Selector, select},
    trace::Verdict,
};

use super::{Way, graded::Graded};

/// Random orders per problem.
pub const SUBSETS: usize = 200;

/// For each way the share of random subsets, of each size in `sizes`, on which it is right.
pub fn shares(graded: &Graded, ways: &[Way], sizes: &[usize], seed: u64) -> Vec<Vec<f64>> {
    let mut right = vec![vec![0_usize; sizes.len()]; ways.len()];
    let mut random = SplitMix::new(seed_for(seed, &graded.id, 0));
    let mut order: Vec<usize> = (0..graded.right.len()).collect();
    for _ in 0..SUBSETS {
        random.shuffle(&mut order);
        for (way, right) in ways.iter().zip(&mut right) {
            for (size, right) in sizes.iter().zip(right) {
                *right += usize::from(is_right(graded, *way, &order[..*size]));
            }
        }
    }
    let share = |right: usize| right as f64 / SUBSETS as f64;
    right
        .into_iter()
        .map(|row| row.into_iter().map(share).collect())
        .collect()
}

/// Whether a way is right about the candidates in `order`, taken in this order.
pub fn is_right(graded: &Graded, way: Way, order: &[usize]) -> bool {
    match way {
        Way::Sample => order.first().is_some_and(|first| graded.right[*first]),
        Way::Oracle => order.iter().any(|index| graded.right[*index]),
        Way::Select(selector, filter)
            if selector == Selector::Weighted || filter == Filter::Soft =>
        {
            weighted(graded, selector, filter, order).is_some_and(|index| graded.right[index])
        }
        Way::Select(selector, filter) => {
            selected(graded, selector, filter, order).is_some_and(|index| graded.right[index])
        }
        Way::Programs => programs(graded, order).is_some_and(|index| graded.programs.right[index]),
        Way::Both => both(graded, order).is_some_and(|(index, of_program)| {
            if of_program {
                graded.programs.right[index]
            } else {
                graded.right[index]
            }
        }),
    }
}

/// The candidate whose program's value is the most frequent.
pub fn programs(graded: &Graded, order: &[usize]) -> Option<usize> {
    let votes = order.iter().map(|index| graded.programs.classes[*index]);
    Some(order[first_of_most(votes)?])
}

/// The candidate whose answer, or whose program's value (then `true`), is the most frequent of all
/// answers and values.
pub fn both(graded: &Graded, order: &[usize]) -> Option<(usize, bool)> {
    let all = graded.right.len();
    let answers = order.iter().map(|index| graded.both[*index]);
    let values = order.iter().map(|index| graded.both[all + index]);
    let place = first_of_most(answers.chain(values))?;
    Some((order[place % order.len()], place >= order.len()))
}

/// What [`select`] chooses among the candidates in `order`.
fn selected(graded: &Graded, selector: Selector, filter: Filter, order: &[usize]) -> Option<usize> {
    let classes: Vec<_> = order.iter().map(|index| graded.classes[*index]).collect();
    let verdicts: Vec<_> = order.iter().map(|index| graded.verdicts[*index]).collect();
    let scores: Vec<_> = order.iter().map(|index| graded.scores[*index]).collect();
    let lots: Vec<u64> = (0..).take(order.len()).collect();
    let evidence = Evidence {
        classes: &classes,
        verdicts: &verdicts,
        scores: &scores,
        lots: &lots,
    };
    Some(order[select(evidence, selector, filter).chosen?])
}

/// [`selected`] for votes that have weights, without the maps and lists that a ranking takes: a
/// report asks for it a million times.
fn weighted(graded: &Graded, selector: Selector, filter: Filter, order: &[usize]) -> Option<usize> {
    let answered = |index: &&usize| graded.classes[**index].is_some();
    let survives = |index: &&usize| {
        filter != Filter::Cotnpot || graded.verdicts[**index] != Verdict::Disagrees
    };
    let filtered = order.iter().filter(answered).any(|index| survives(&index));
    let voters = || {
        let answered = order.iter().filter(answered);
        answered
            .filter(|index| !filtered || survives(index))
            .copied()
    };
    let score = |index: usize| graded.scores[index].map(|score| score.0);

    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for score in voters().filter_map(score) {
        count += 1.0;
        sum += score;
    }
    let mean = sum / count;
    for score in voters().filter_map(score) {
        squares += (score - mean).powi(2);
    }
    let variance: f64 = squares / count;
    let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    let vote = |index: usize| match score(index) {
        _ if selector == Selector::Majority => 1.0,
        _ if count == 0.0 => 0.5,
        Some(score) => 1.0 / (1.0 + ((mean - score) / deviation).exp()),
        None => 0.0,
    };
    let weight = |index: usize| vote(index) * filter.weight(graded.verdicts[index]);
    let classes = graded
        .classes
        .iter()
        .flatten()
        .max()
        .map_or(0, |last| last + 1);
    let mut votes = vec![0.0; classes];
    for index in voters() {
        votes[graded.classes[index]?] += weight(index);
    }
    let merit = |index: usize| {
        let score = score(index).unwrap_or(f64::NEG_INFINITY);
        let votes = graded.classes[index].map_or(0.0, |class| votes[class]);
        match selector {
            Selector::Verifier => (weight(index), score),
            Selector::Weighted if filter != Filter::Soft => (votes, score),
            Selector::Majority | Selector::Weighted => (votes, weight(index)),
        }
    };
    voters().reduce(|best, next| {
        if merit(next) > merit(best) {
            next
        } else {
            best
        }
    })
}

/// The place of the first vote for the class that has most; of classes with as many, the one that
/// was voted for first.
fn first_of_most(votes: impl Iterator<Item = Option<usize>> + Clone) -> Option<usize> {
    let classes = votes.clone().flatten().max().map_or(0, |last| last + 1);
    let mut counts = vec![0_usize; classes];
    for class in votes.clone().flatten() {
        counts[class] += 1;
    }
    let most = counts.iter().max()?;
    votes
        .into_iter()
        .position(|vote| vote.is_some_and(|class| counts[class] == *most))
}
