//! How good the network is as a verifier of held-out problems: the number that picks the checkpoint.

use std::cmp::Ordering;

use serde::Serialize;

use super::{
    gradient::logps,
    network::Network,
    objective::{Logp, Objective},
    pack::Unit,
};

/// The verifier on held-out problems.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Problems with both correct and incorrect solutions; only these are counted.
    pub problems: usize,
    /// Share of problems whose best-scored solution is correct.
    pub best_of_n: f64,
    /// The same for a solution picked blindly: the mean share of correct solutions.
    pub blind: f64,
    /// Share of (correct, incorrect) pairs of a problem that are scored in that order; equal scores
    /// count half.
    pub pair_accuracy: f64,
    /// Mean log-probability per token of correct solutions; `None` for a reward model.
    pub correct_logp: Option<f64>,
    /// Solutions whose score is not a number; a network that gives such is broken.
    pub unscored: usize,
    /// Correlation within problems of a solution's score with its length in tokens.
    pub length_correlation: f64,
    /// Correlation within problems of a solution's score with the share of its tokens that begin
    /// another solution as well.
    pub prefix_correlation: f64,
}

/// Scores all solutions of `units`. `references` as in training.
pub(crate) fn evaluate(
    network: &Network,
    objective: &Objective,
    units: &[&Unit],
    references: &[&[f64]],
    tokens_max: usize,
) -> Evaluation {
    let mut found = Evaluation::default();
    let (mut pairs, mut right) = (0_usize, 0.0);
    let (mut correct, mut correct_logp) = (0_usize, 0.0);
    let (mut lengths, mut prefixes) = (Correlation::default(), Correlation::default());
    let all = logps(network, objective, units, tokens_max);
    for (i, (unit, mut logps)) in units.iter().zip(all).enumerate() {
        for (logp, &reference) in logps
            .iter_mut()
            .zip(references.get(i).copied().unwrap_or(&[]))
        {
            logp.reference = reference;
        }
        let scores: Vec<f64> = logps.iter().map(|logp| objective.score(logp)).collect();
        found.unscored += scores.iter().filter(|score| !score.is_finite()).count();
        let is_right = |i: usize| unit.solutions[i].correct;
        let (good, bad): (Vec<usize>, Vec<usize>) = (0..scores.len()).partition(|&i| is_right(i));
        correct += good.len();
        correct_logp += good.iter().map(|&i| logps[i].mean()).sum::<f64>();
        if good.is_empty() || bad.is_empty() {
            continue;
        }
        found.problems += 1;
        found.blind += good.len() as f64 / scores.len() as f64;
        // Of those that share the best score, one is picked blindly.
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let best = |i: &&usize| scores[**i] >= top;
        let (right_best, wrong_best) = (
            good.iter().filter(best).count(),
            bad.iter().filter(best).count(),
        );
        found.best_of_n += right_best as f64 / (right_best + wrong_best).max(1) as f64;
        for &a in &good {
            for &b in &bad {
                pairs += 1;
                right += match scores[a].partial_cmp(&scores[b]) {
                    Some(Ordering::Greater) => 1.0,
                    Some(Ordering::Equal) => 0.5,
                    _ => 0.0,
                };
            }
        }
        lengths.add(
            unit.solutions.iter().map(|s| s.tokens.len() as f64),
            &scores,
        );
        prefixes.add((0..scores.len()).map(|i| shared_prefix(unit, i)), &scores);
    }
    found.best_of_n /= found.problems.max(1) as f64;
    found.blind /= found.problems.max(1) as f64;
    found.pair_accuracy = right / pairs.max(1) as f64;
    found.correct_logp =
        (*objective != Objective::Orm && correct > 0).then(|| correct_logp / correct as f64);
    found.length_correlation = lengths.coefficient();
    found.prefix_correlation = prefixes.coefficient();
    found
}

/// The share of a solution's tokens that begin another solution of the problem as well.
fn shared_prefix(unit: &Unit, i: usize) -> f64 {
    let tokens = &unit.solutions[i].tokens;
    let others = unit.solutions.iter().enumerate().filter(|(j, _)| *j != i);
    let common = others.map(|(_, other)| {
        let same = tokens.iter().zip(&other.tokens).take_while(|(a, b)| a == b);
        same.count()
    });
    common.max().unwrap_or(0) as f64 / tokens.len() as f64
}

/// Pearson's correlation, each problem's mean taken off first: problems differ in length and in
/// score for reasons that say nothing about the verifier.
#[derive(Default)]
struct Correlation {
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Correlation {
    fn add(&mut self, xs: impl Iterator<Item = f64>, ys: &[f64]) {
        let xs: Vec<f64> = xs.collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (mx, my) = (mean(&xs), mean(ys));
        for (x, y) in xs.iter().zip(ys) {
            self.xx += (x - mx) * (x - mx);
            self.yy += (y - my) * (y - my);
            self.xy += (x - mx) * (y - my);
        }
    }

    fn coefficient(&self) -> f64 {
        let scale = (self.xx * self.yy).sqrt();
        if scale > 0.0 { self.xy / scale } else { 0.0 }
    }
}

/// Log-probability of each unit's solutions under a network: DPO's and KTO's reference.
pub(crate) fn references(network: &Network, units: &[&Unit], tokens_max: usize) -> Vec<Vec<f64>> {
    // Any objective but the reward model scores by log-probability.
    let all = logps(network, &Objective::Sft, units, tokens_max);
    let sums = |logps: Vec<Logp>| logps.iter().map(|logp| logp.sum).collect();
    all.into_iter().map(sums).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::pack::Solution;

    #[test]
    fn correlations_are_within_problems() {
        // Each problem's scores rise with x; the second problem has larger x and smaller scores, so
        // over all six numbers the correlation would be negative.
        let mut found = Correlation::default();
        found.add([1.0, 2.0, 3.0].into_iter(), &[-1.0, -0.9, -0.8]);
        found.add([11.0, 12.0, 13.0].into_iter(), &[-2.0, -1.9, -1.8]);
        assert!((found.coefficient() - 1.0).abs() < 1e-12);
        // numpy.corrcoef([0, 1, 2, 5], [1, 3, 2, 0])[0, 1]
        let mut found = Correlation::default();
        found.add([0.0, 1.0, 2.0, 5.0].into_iter(), &[1.0, 3.0, 2.0, 0.0]);
        assert!((found.coefficient() + 0.597_614_304_667_196_9).abs() < 1e-12);
        // Nothing varies: nothing is known.
        let mut found = Correlation::default();
        found.add([2.0, 2.0].into_iter(), &[1.0, 3.0]);
        assert!(found.coefficient().abs() < 1e-12);
    }

    #[test]
    fn a_shared_prefix_is_the_longest_beginning_in_common() {
        let solution = |tokens: &[u32]| Solution {
            tokens: tokens.to_vec(),
            correct: false,
        };
        let unit = Unit {
            prompt: vec![1],
            solutions: vec![
                solution(&[5, 6, 7, 8]),
                solution(&[5, 6, 9, 8, 7]),
                solution(&[5]),
                solution(&[4, 6, 7, 8]),
            ],
            ..Unit::default()
        };
        let shares: Vec<f64> = (0..4).map(|i| shared_prefix(&unit, i)).collect();
        assert_eq!(shares, [0.5, 0.4, 1.0, 0.0]);
    }
}
