//! Accuracy against the number of candidates and against what they cost.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    select::{Filter, Selector},
    trace::{Trace, Verdict},
};

use super::{
    SEED, Setting, Way,
    chance::{self, CANDIDATES_MAX, Group},
    comparison::{Comparison, mcnemar},
    cost::{Cost, Costs, is_untold},
    estimate::{Estimate, Resampled, bootstrap, wilson},
    graded::Graded,
    subset,
};

/// What a way reaches at every N.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The way.
    pub way: String,
    /// N = 1, 2, 4, 8 ... and what was sampled.
    pub points: Vec<Point>,
}

/// What a way reaches with N candidates per problem; with all there are where there are fewer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Candidates per problem.
    pub n: usize,
    /// Share of problems it is right about: Wilson's interval at the N that was sampled, the
    /// bootstrap's below it and for means.
    pub accuracy: Estimate,
    /// What it spends on a problem, on average.
    pub cost: Cost,
    /// The plain majority that spends as much, for ways that spend more than it.
    pub equal: Option<Equal>,
}

/// The plain majority at equal compute: FLOPs where all are known, else tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Equal {
    /// Candidates per problem that the same compute buys; not always whole.
    pub samples: f64,
    /// What a majority of them reaches, between the whole numbers of candidates on either side;
    /// `None` where more would be bought than were sampled.
    pub accuracy: Option<Estimate>,
    /// The way's accuracy less that.
    pub difference: Option<Estimate>,
    /// How likely a difference as large would be if there was none (bootstrap over problems).
    pub p: Option<f64>,
}

/// All that depends on more than one N.
pub struct Numbers {
    /// One for each way.
    pub curves: Vec<Curve>,
    /// One for each two ways that answer.
    pub comparisons: Vec<Comparison>,
}

/// 1, 2, 4, 8 ... and `samples_max` itself.
fn sizes(samples_max: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1), |size| Some(size * 2));
    powers
        .take_while(|size| *size < samples_max)
        .chain([samples_max.max(1)])
        .collect()
}

/// Curves and comparisons; `ways` begin with those of [`Way::all`].
pub fn numbers(traces: &[Trace], graded: &[Graded], ways: &[Way], setting: &Setting) -> Numbers {
    let samples_max = graded.iter().map(|one| one.right.len()).max().unwrap_or(0);
    let sizes = sizes(samples_max);

    // 1. The chance of being right, for each problem, way and size; and that of the majority at
    // every size, to be matched in compute.
    let chances: Vec<Vec<Vec<f64>>> = graded
        .par_iter()
        .map(|one| self::chances(one, ways, &sizes))
        .collect();
    let plain = Way::Select(Selector::Majority, Filter::Off);
    let every: Vec<usize> = (1..=samples_max.min(CANDIDATES_MAX)).collect();
    let majorities: Vec<Vec<f64>> = graded
        .par_iter()
        .map(|one| self::chances(one, &[plain], &every).swap_remove(0))
        .collect();

    // 2. Costs, and how many candidates of a plain majority they buy.
    let untold = is_untold(traces);
    let costs: Vec<(Costs, usize)> = traces
        .iter()
        .map(|trace| {
            let costs = Costs::of(trace, setting.parameters, untold);
            (costs, trace.candidates.len())
        })
        .collect();
    let bought: Vec<Vec<Option<f64>>> = ways
        .par_iter()
        .map(|way| {
            let dearer = way.needs_programs() || way.needs_scores();
            let buys = |size: &usize| dearer.then(|| bought(&costs, *way, *size)).flatten();
            sizes.iter().map(buys).collect()
        })
        .collect();

    // 3. One row per problem, one column per number that needs an interval.
    let pairs: Vec<(usize, usize)> = pairs(ways);
    let last = sizes.len() - 1;
    let rows: Vec<Vec<f64>> = chances
        .iter()
        .zip(&majorities)
        .map(|(chances, majorities)| {
            let mut row = Vec::new();
            for (way, bought) in chances.iter().zip(&bought) {
                for (chance, bought) in way.iter().zip(bought) {
                    row.push(*chance);
                    if let Some(majority) = bought.and_then(|samples| between(majorities, samples))
                    {
                        row.extend([majority, chance - majority]);
                    }
                }
            }
            let differences = pairs
                .iter()
                .map(|(one, other)| chances[*one][last] - chances[*other][last]);
            row.extend(differences);
            row
        })
        .collect();
    let mut columns = bootstrap(&rows, SEED).into_iter();
    let mut next = || columns.next();

    // 4. The same order again, to read them.
    let mut curves = Vec::new();
    for (place, way) in ways.iter().enumerate() {
        let mut points = Vec::new();
        for (at, size) in sizes.iter().enumerate() {
            let Some(resampled) = next() else { break };
            let counts = at == last && *way != Way::Sample;
            let right = chances.iter().filter(|of| of[place][at] > 0.5).count();
            let equal = bought[place][at].map(|samples| {
                let sampled = samples <= every.len() as f64;
                let majority = sampled.then(&mut next).flatten();
                let difference = sampled.then(&mut next).flatten();
                Equal {
                    samples,
                    accuracy: majority.map(|majority| majority.share()),
                    difference: difference.as_ref().map(Resampled::difference),
                    p: difference.as_ref().map(Resampled::p),
                }
            });
            points.push(Point {
                n: *size,
                accuracy: if counts {
                    wilson(right, graded.len())
                } else {
                    resampled.share()
                },
                cost: mean_cost(&costs, *way, *size as f64),
                equal,
            });
        }
        curves.push(Curve {
            way: way.name(),
            points,
        });
    }
    let comparisons = pairs.iter().filter_map(|(one, other)| {
        let right = |way: usize, of: &Vec<Vec<f64>>| of[way][last] > 0.5;
        let alone = |a: usize, b: usize| {
            let alone = chances.iter().filter(|of| right(a, of) && !right(b, of));
            alone.count()
        };
        let (only_one, only_other) = (alone(*one, *other), alone(*other, *one));
        Some(Comparison {
            one: ways[*one].name(),
            other: ways[*other].name(),
            problems: graded.len(),
            only_one,
            only_other,
            difference: next()?.difference(),
            p: mcnemar(only_one, only_other),
            resampled: false,
        })
    });
    let comparisons = comparisons.collect();
    Numbers {
        curves,
        comparisons,
    }
}

/// Each two ways that answer, the later first: it is what the earlier is to be compared with.
fn pairs(ways: &[Way]) -> Vec<(usize, usize)> {
    let answering: Vec<usize> = (0..ways.len()).filter(|way| ways[*way].answers()).collect();
    let later = |(place, one): (usize, &usize)| {
        let one = *one;
        answering[place + 1..]
            .iter()
            .map(move |other| (*other, one))
            .collect::<Vec<_>>()
    };
    answering.iter().enumerate().flat_map(later).collect()
}

/// For each way its chance of being right on subsets of each size; at sizes that leave nothing out
/// what it did.
pub fn chances(graded: &Graded, ways: &[Way], sizes: &[usize]) -> Vec<Vec<f64>> {
    let below = sizes.partition_point(|size| *size < graded.right.len());
    let (smaller, whole) = sizes.split_at(below);
    let mut chances: Vec<Option<Vec<f64>>> = ways
        .iter()
        .map(|way| exact(graded, *way, smaller))
        .collect();
    let open = ways
        .iter()
        .zip(&chances)
        .filter(|(_, known)| known.is_none());
    let open: Vec<Way> = open.map(|(way, _)| *way).collect();
    let mut drawn = subset::shares(graded, &open, smaller, SEED).into_iter();
    for chances in chances.iter_mut().filter(|known| known.is_none()) {
        *chances = drawn.next();
    }
    ways.iter()
        .zip(chances)
        .map(|(way, chances)| {
            let mut chances = chances.unwrap_or_default();
            // Of one candidate there is no choice.
            if let (Way::Select(..), Some(first)) = (way, chances.first_mut())
                && smaller[0] == 1
            {
                *first = graded.chance(Way::Sample);
            }
            chances.extend(whole.iter().map(|_| graded.chance(*way)));
            chances
        })
        .collect()
}

/// The closed form of a way's chances, where there is one.
fn exact(graded: &Graded, way: Way, sizes: &[usize]) -> Option<Vec<f64>> {
    let total = graded.right.len();
    let right = graded.right.iter().filter(|right| **right).count();
    if sizes.is_empty() {
        return Some(Vec::new());
    }
    if way == Way::Sample {
        return Some(vec![right as f64 / total as f64; sizes.len()]);
    }
    // Where all are alike nothing depends on the choice; a right candidate has an answer.
    let programs_right = graded.programs.right.contains(&true);
    let of_programs = matches!(way, Way::Programs | Way::Both);
    if right == 0 && !(of_programs && programs_right) {
        return Some(vec![0.0; sizes.len()]);
    }
    if right == total && !of_programs {
        return Some(vec![1.0; sizes.len()]);
    }
    if total > CANDIDATES_MAX {
        return None;
    }
    if matches!(way, Way::Select(_, Filter::Soft)) {
        return None;
    }
    let all = 0..total;
    let survives = |index: &usize, filter| {
        filter == Filter::Off || graded.verdicts[*index] != Verdict::Disagrees
    };
    let split = |filter: Filter| -> (Vec<usize>, Vec<usize>) {
        let answered = all.clone().filter(|index| graded.classes[*index].is_some());
        answered.partition(|index| survives(index, filter))
    };
    match way {
        Way::Oracle => Some(chance::best(&[Group { size: right, right }], total, sizes)),
        Way::Select(Selector::Majority, filter) => {
            // Who was dropped votes where nobody survives.
            let (survivors, dropped) = split(filter);
            let silent = total - survivors.len() - dropped.len();
            let groups = |of: &[usize]| {
                let votes = of.iter().map(|index| graded.classes[*index]);
                groups(votes.zip(of.iter().map(|index| graded.right[*index])))
            };
            let kept = chance::majority(&groups(&survivors), silent + dropped.len(), total, sizes);
            let back = chance::majority(&groups(&dropped), silent, total, sizes);
            Some(
                kept.iter()
                    .zip(back)
                    .map(|(kept, back)| kept + back)
                    .collect(),
            )
        }
        Way::Select(Selector::Verifier, filter) => {
            let (survivors, dropped) = split(filter);
            let mut tiers = tiers(graded, survivors);
            tiers.extend(self::tiers(graded, dropped));
            Some(chance::best(&tiers, total, sizes))
        }
        Way::Programs => {
            let votes = graded.programs.classes.iter().copied();
            let silent = votes.clone().filter(Option::is_none).count();
            let groups = groups(votes.zip(graded.programs.right.iter().copied()));
            Some(chance::majority(&groups, silent, total, sizes))
        }
        _ => None,
    }
}

/// Classes with their number of members and of right ones.
fn groups(votes: impl Iterator<Item = (Option<usize>, bool)>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (class, right) in votes {
        let Some(class) = class else { continue };
        if groups.len() <= class {
            groups.resize(class + 1, Group::default());
        }
        groups[class].size += 1;
        groups[class].right += usize::from(right);
    }
    groups.retain(|group| group.size > 0);
    groups
}

/// Candidates by falling score, those with the same score together; without one come last.
fn tiers(graded: &Graded, mut candidates: Vec<usize>) -> Vec<Group> {
    let score = |index: &usize| graded.scores[*index].map_or(f64::NEG_INFINITY, |score| score.0);
    candidates.sort_by(|a, b| score(b).total_cmp(&score(a)));
    candidates
        .chunk_by(|a, b| score(a) == score(b))
        .map(|tied| Group {
            size: tied.len(),
            right: tied.iter().filter(|index| graded.right[**index]).count(),
        })
        .collect()
}

/// A number between those at whole sizes, which begin at 1; `None` beyond the last.
fn between(at: &[f64], samples: f64) -> Option<f64> {
    let low = samples.floor().max(1.0);
    let (low, part) = (low as usize, (samples - low).max(0.0));
    let first = at.get(low - 1)?;
    if part == 0.0 {
        return Some(*first);
    }
    Some(first * (1.0 - part) + at.get(low)? * part)
}

/// What a way spends on a problem with `samples` candidates, on average.
fn mean_cost(costs: &[(Costs, usize)], way: Way, samples: f64) -> Cost {
    let count = costs.len().max(1) as f64;
    let mut mean = Cost {
        flops: Some(0.0),
        ..Cost::default()
    };
    for (costs, candidates) in costs {
        let cost = costs.at(way, samples.min(*candidates as f64));
        mean.tokens += cost.tokens / count;
        mean.seconds += cost.seconds / count;
        mean.flops = mean
            .flops
            .zip(cost.flops)
            .map(|(sum, one)| sum + one / count);
    }
    mean
}

/// The candidates per problem whose plain majority costs what a way costs with `size` of them, in
/// FLOPs where those of both are known and else in tokens; beyond what was sampled by the slope up
/// to there. `None` where candidates cost nothing that is known.
fn bought(costs: &[(Costs, usize)], way: Way, size: usize) -> Option<f64> {
    let plain = Way::Select(Selector::Majority, Filter::Off);
    let most = costs.iter().map(|(_, candidates)| *candidates).max()? as f64;
    let in_flops = [way, plain].into_iter().all(|way| {
        let flops = mean_cost(costs, way, most).flops;
        flops.is_some_and(|flops| flops > 0.0)
    });
    let price = |way: Way, samples: f64| {
        let cost = mean_cost(costs, way, samples);
        cost.flops.filter(|_| in_flops).unwrap_or(cost.tokens)
    };
    let (paid, nothing, all) = (
        price(way, size as f64),
        price(plain, 0.0),
        price(plain, most),
    );
    if all <= nothing {
        return None;
    }
    if paid > all {
        return Some(most * (paid - nothing) / (all - nothing));
    }
    let (mut low, mut high) = (size as f64, most);
    for _ in 0..30 {
        let middle = (low + high) / 2.0;
        if price(plain, middle) < paid {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests;
