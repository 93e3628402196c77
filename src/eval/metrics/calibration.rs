//! Does the score tell right candidates from wrong ones, and does it follow their length?

use serde::{Deserialize, Serialize};

use super::graded::Graded;

/// How scores and correctness go together, over all candidates with a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Candidates with a score.
    pub candidates: usize,
    /// Area under the receiver operating characteristic: how often a right candidate scores above a
    /// wrong one, any two of the run; ties count half.
    pub auroc: Option<f64>,
    /// The same for two candidates of one problem, which is what a choice rests on; the mean over
    /// problems that have both kinds.
    pub auroc_within: Option<f64>,
    /// Expected calibration error (Guo et al. 2017, arXiv 1706.04599, eq. 3) over `bins`: the mean
    /// distance between predicted and observed share, weighted by candidates. A score is no
    /// probability, so it is first mapped to one by isotonic regression, fitted on the other half
    /// of the problems.
    pub ece: Option<f64>,
    /// Ten bins of as many candidates, by predicted share.
    pub bins: Vec<Bin>,
    /// Spearman's rank correlation of score and length (tokens; bytes where tokens are not
    /// recorded) over all candidates.
    pub length_correlation: Option<f64>,
    /// The same within problems; the mean over problems.
    pub length_correlation_within: Option<f64>,
    /// How the scores of right and wrong candidates are distributed.
    pub histogram: Histogram,
}

/// Candidates with about the same predicted share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Candidates in it.
    pub candidates: usize,
    /// The mean share of right candidates that their scores predict.
    pub predicted: f64,
    /// The share that is right.
    pub observed: f64,
}

/// Counts of scores in equal steps from `low` to `high`; the outermost half percent on either side
/// counts in the first and the last step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Where the first step begins.
    pub low: f64,
    /// Where the last step ends.
    pub high: f64,
    /// Right candidates in each step.
    pub right: Vec<usize>,
    /// Wrong candidates in each step.
    pub wrong: Vec<usize>,
}

/// A candidate with a score.
#[derive(Clone, Copy)]
struct Scored {
    score: f64,
    right: bool,
    length: f64,
}

/// How well scores tell right from wrong; `None` where there are none. `lengths` holds a length for
/// each candidate of each problem.
pub fn calibration(graded: &[Graded], lengths: &[Vec<f64>]) -> Option<Calibration> {
    let problems: Vec<Vec<Scored>> = graded
        .iter()
        .zip(lengths)
        .map(|(graded, lengths)| scored(graded, lengths))
        .filter(|problem| !problem.is_empty())
        .collect();
    let all: Vec<Scored> = problems.iter().flatten().copied().collect();
    if all.is_empty() {
        return None;
    }
    let within = |of: fn(&[Scored]) -> Option<f64>| {
        mean(problems.iter().filter_map(|problem| of(problem)).collect())
    };
    let bins = bins(&problems);
    let off = bins
        .iter()
        .map(|bin| bin.candidates as f64 * (bin.predicted - bin.observed).abs());
    let binned: usize = bins.iter().map(|bin| bin.candidates).sum();
    Some(Calibration {
        candidates: all.len(),
        auroc: auroc(&all),
        auroc_within: within(auroc),
        ece: (binned > 0).then(|| off.sum::<f64>() / binned as f64),
        bins,
        length_correlation: length_correlation(&all),
        length_correlation_within: within(length_correlation),
        histogram: histogram(&all),
    })
}

fn scored(graded: &Graded, lengths: &[f64]) -> Vec<Scored> {
    let candidates = graded.scores.iter().zip(&graded.right).zip(lengths);
    candidates
        .filter_map(|((score, right), length)| {
            Some(Scored {
                score: (*score)?.0,
                right: *right,
                length: *length,
            })
        })
        .collect()
}

/// The Mann-Whitney statistic over its largest value; `None` where one kind is missing.
fn auroc(all: &[Scored]) -> Option<f64> {
    let ranks = ranks(all.iter().map(|one| one.score).collect());
    let right = all.iter().filter(|one| one.right).count() as f64;
    let wrong = all.len() as f64 - right;
    let of_right = all.iter().zip(&ranks).filter(|(one, _)| one.right);
    let sum: f64 = of_right.map(|(_, rank)| rank).sum();
    (right > 0.0 && wrong > 0.0).then(|| (sum - right * (right + 1.0) / 2.0) / (right * wrong))
}

/// Spearman's correlation of score and length; `None` where either does not vary.
fn length_correlation(all: &[Scored]) -> Option<f64> {
    let scores = ranks(all.iter().map(|one| one.score).collect());
    let lengths = ranks(all.iter().map(|one| one.length).collect());
    let centre = (all.len() + 1) as f64 / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - centre) * (b - centre))
            .sum()
    };
    let spread = product(&scores, &scores) * product(&lengths, &lengths);
    (spread > 0.0).then(|| product(&scores, &lengths) / spread.sqrt())
}

/// Each value's rank from 1; equal values share their mean rank.
fn ranks(values: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = start as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|index| ranks[*index] = rank);
        start += tied.len();
    }
    ranks
}

/// Predicted against observed shares, every other problem predicted from the rest.
fn bins(problems: &[Vec<Scored>]) -> Vec<Bin> {
    let mut predicted: Vec<(f64, bool)> = Vec::new();
    for half in 0..2 {
        let of = |half: usize| problems.iter().skip(half).step_by(2).flatten().copied();
        let map = isotonic(of(1 - half).collect());
        if !map.is_empty() {
            predicted.extend(of(half).map(|one| (map_score(&map, one.score), one.right)));
        }
    }
    predicted.sort_by(|a, b| a.0.total_cmp(&b.0));
    const BINS: usize = 10;
    let cut = |bin: usize| bin * predicted.len() / BINS;
    (0..BINS)
        .map(|bin| &predicted[cut(bin)..cut(bin + 1)])
        .filter(|bin| !bin.is_empty())
        .map(|bin| Bin {
            candidates: bin.len(),
            predicted: bin.iter().map(|(share, _)| share).sum::<f64>() / bin.len() as f64,
            observed: bin.iter().filter(|(_, right)| *right).count() as f64 / bin.len() as f64,
        })
        .collect()
}

/// The rising step function of the score that is nearest to correctness in least squares, as
/// (score from which it holds, share), by pooling adjacent violators.
fn isotonic(mut all: Vec<Scored>) -> Vec<(f64, f64)> {
    all.sort_by(|a, b| a.score.total_cmp(&b.score));
    // (first score, right, candidates)
    let mut blocks: Vec<(f64, f64, f64)> = Vec::new();
    for tied in all.chunk_by(|a, b| a.score == b.score) {
        let right = tied.iter().filter(|one| one.right).count() as f64;
        blocks.push((tied[0].score, right, tied.len() as f64));
        while let [.., before, last] = &mut blocks[..]
            && before.1 * last.2 >= last.1 * before.2
        {
            before.1 += last.1;
            before.2 += last.2;
            blocks.pop();
        }
    }
    let share = |(from, right, candidates)| (from, right / candidates);
    blocks.into_iter().map(share).collect()
}

fn map_score(map: &[(f64, f64)], score: f64) -> f64 {
    let above = map.partition_point(|(from, _)| *from <= score);
    map[above.saturating_sub(1)].1
}

fn histogram(all: &[Scored]) -> Histogram {
    const STEPS: usize = 40;
    let mut scores: Vec<f64> = all.iter().map(|one| one.score).collect();
    scores.sort_by(f64::total_cmp);
    let at = |share: f64| scores[((scores.len() - 1) as f64 * share).round() as usize];
    let (low, high) = (at(0.005), at(0.995));
    let width = (high - low).max(f64::MIN_POSITIVE);
    let mut histogram = Histogram {
        low,
        high,
        right: vec![0; STEPS],
        wrong: vec![0; STEPS],
    };
    for one in all {
        let step = ((one.score - low) / width * STEPS as f64).clamp(0.0, STEPS as f64 - 1.0);
        let counts = if one.right {
            &mut histogram.right
        } else {
            &mut histogram.wrong
        };
        counts[step as usize] += 1;
    }
    histogram
}

fn mean(values: Vec<f64>) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(all: &[(f64, bool, f64)]) -> Vec<Scored> {
        let one = |(score, right, length): &(f64, bool, f64)| Scored {
            score: *score,
            right: *right,
            length: *length,
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn auroc_counts_pairs_and_ties_half() {
        // Right at 0.9 and 0.5, wrong at 0.5 and 0.1: 3 of 4 pairs in order, one tied.
        let all = scored(&[
            (0.9, true, 1.0),
            (0.5, true, 1.0),
            (0.5, false, 1.0),
            (0.1, false, 1.0),
        ]);
        assert_eq!(auroc(&all), Some(3.5 / 4.0));
        assert_eq!(auroc(&all[..2]), None);
    }

    #[test]
    fn isotonic_pools_what_falls() {
        // Shares 0, 1, 0, 1 at scores 1, 2, 3, 4: the fall from 2 to 3 becomes one step of a half.
        let all = scored(&[
            (1.0, false, 0.0),
            (2.0, true, 0.0),
            (3.0, false, 0.0),
            (4.0, true, 0.0),
        ]);
        let map = isotonic(all);
        assert_eq!(map, [(1.0, 0.0), (2.0, 0.5), (4.0, 1.0)]);
        assert_eq!(map_score(&map, 0.5), 0.0);
        assert_eq!(map_score(&map, 3.5), 0.5);
        assert_eq!(map_score(&map, 9.0), 1.0);
    }

    #[test]
    fn length_correlation_is_spearmans() {
        // Any monotone curve is a correlation of 1; d^2 = 4+1+1+0+... by 1 - 6 sum d^2 / (n^3 - n).
        let rising = scored(&[(0.1, true, 3.0), (0.2, true, 30.0), (0.7, true, 31.0)]);
        assert!((length_correlation(&rising).unwrap() - 1.0).abs() < 1e-12);
        let mixed = scored(&[
            (1.0, true, 2.0),
            (2.0, true, 1.0),
            (3.0, true, 4.0),
            (4.0, true, 3.0),
        ]);
        assert!((length_correlation(&mixed).unwrap() - (1.0 - 24.0 / 60.0)).abs() < 1e-12);
        assert_eq!(length_correlation(&rising[..1]), None);
    }

    #[test]
    fn a_score_that_is_the_probability_is_calibrated() {
        let mut random = crate::model::random::SplitMix::new(3);
        let problems: Vec<Vec<Scored>> = (0..1000)
            .map(|_| {
                let one = |_| {
                    let score = random.unit();
                    Scored {
                        score,
                        right: random.unit() < score,
                        length: 1.0,
                    }
                };
                (0..8).map(one).collect()
            })
            .collect();
        let bins = bins(&problems);
        assert_eq!(bins.len(), 10);
        for (index, bin) in bins.iter().enumerate() {
            let middle = (index as f64 + 0.5) / 10.0;
            assert!((bin.observed - middle).abs() < 0.06 && (bin.predicted - middle).abs() < 0.06);
        }
    }
}
