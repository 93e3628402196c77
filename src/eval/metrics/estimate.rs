//! Shares with their intervals: Wilson's for counts, the bootstrap over problems for the rest.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::model::{random::SplitMix, seed_for};

/// A share with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The share.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Wilson's score interval for `successes` of `trials`, at 95 %.
pub fn wilson(successes: usize, trials: usize) -> Estimate {
    wilson_of(successes as f64, trials as f64)
}

fn wilson_of(k: f64, n: f64) -> Estimate {
    let z = 1.959_964;
    if n == 0.0 {
        return Estimate {
            value: 0.0,
            low: 0.0,
            high: 1.0,
        };
    }
    let centre = (k + z * z / 2.0) / (n + z * z);
    let half = z / (n + z * z) * (k * (n - k) / n + z * z / 4.0).max(0.0).sqrt();
    Estimate {
        value: k / n,
        low: (centre - half).max(0.0),
        high: (centre + half).min(1.0),
    }
}

/// Bootstrap samples of the problems.
pub const RESAMPLES: usize = 1000;

/// A mean over problems, with the means over bootstrap samples of them in rising order.
#[derive(Clone, Debug)]
pub struct Resampled {
    value: f64,
    problems: usize,
    means: Vec<f64>,
}

/// The mean of each column over the rows, a row being a problem, and over [`RESAMPLES`] samples of
/// as many rows drawn with replacement. The same samples serve all columns, so that a column of
/// differences gives a paired interval.
pub fn bootstrap(rows: &[Vec<f64>], seed: u64) -> Vec<Resampled> {
    let columns = rows.first().map_or(0, Vec::len);
    let mean = |indexes: &mut dyn Iterator<Item = usize>| {
        let mut sums = vec![0.0; columns];
        for index in indexes {
            for (sum, value) in sums.iter_mut().zip(&rows[index]) {
                *sum += value;
            }
        }
        sums.iter_mut().for_each(|sum| *sum /= rows.len() as f64);
        sums
    };
    let values = mean(&mut (0..rows.len()));
    let samples: Vec<Vec<f64>> = (0..RESAMPLES)
        .into_par_iter()
        .map(|index| {
            let mut random = SplitMix::new(seed_for(seed, "bootstrap", index));
            let drawn = (0..rows.len()).map(|_| (random.unit() * rows.len() as f64) as usize);
            mean(&mut drawn.into_iter())
        })
        .collect();
    values
        .into_iter()
        .enumerate()
        .map(|(column, value)| {
            let mut means: Vec<f64> = samples.iter().map(|sample| sample[column]).collect();
            means.sort_by(f64::total_cmp);
            Resampled {
                value,
                problems: rows.len(),
                means,
            }
        })
        .collect()
}

impl Resampled {
    /// The mean of shares, with the middle 95 % of the bootstrap. Where every sample has the same
    /// mean, as when no problem was solved, the bootstrap knows no spread: Wilson's interval, which
    /// is too wide for shares but never too narrow, stands in.
    pub fn share(&self) -> Estimate {
        let (low, high) = self.middle();
        if high - low < 1e-12 {
            return wilson_of(self.value * self.problems as f64, self.problems as f64);
        }
        Estimate {
            value: self.value,
            low,
            high,
        }
    }

    /// The mean of differences, with the middle 95 % of the bootstrap.
    pub fn difference(&self) -> Estimate {
        let (low, high) = self.middle();
        Estimate {
            value: self.value,
            low,
            high,
        }
    }

    /// How likely a difference as far from 0 would be if there was none: twice the share of the
    /// bootstrap on the other side of 0, both counted with one more, so that it is never 0.
    pub fn p(&self) -> f64 {
        let beyond = |is: &dyn Fn(f64) -> bool| self.means.iter().filter(|mean| is(**mean)).count();
        let rarer = beyond(&|mean| mean <= 0.0).min(beyond(&|mean| mean >= 0.0));
        (2.0 * (rarer + 1) as f64 / (self.means.len() + 1) as f64).min(1.0)
    }

    fn middle(&self) -> (f64, f64) {
        let last = self.means.len() - 1;
        let at = |share: f64| {
            let place = share * last as f64;
            let (low, part) = (place as usize, place.fract());
            let high = (low + 1).min(last);
            self.means[low] * (1.0 - part) + self.means[high] * part
        };
        (at(0.025), at(0.975))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_is_newcombes_example() {
        // Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
        let check = |successes, trials, low: f64, high: f64| {
            let estimate = wilson(successes, trials);
            assert!((estimate.low - low).abs() < 5e-5 && (estimate.high - high).abs() < 5e-5);
        };
        check(81, 263, 0.2553, 0.3662);
        check(15, 148, 0.0624, 0.1605);
        check(0, 20, 0.0, 0.1611);
        check(1, 29, 0.0061, 0.1718);
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_say() {
        // 300 experiments of 150 problems. A problem's true share is uniform in [0, 1]; what is seen
        // of it is the share right of 4 samples, and whether the first is right.
        let mut random = SplitMix::new(7);
        let (mut by_bootstrap, mut by_wilson) = (0, 0);
        let experiments: u32 = 300;
        for experiment in 0..experiments {
            let rows: Vec<Vec<f64>> = (0..150)
                .map(|_| {
                    let share = random.unit();
                    let samples: Vec<bool> = (0..4).map(|_| random.unit() < share).collect();
                    let mean = samples.iter().filter(|right| **right).count() as f64 / 4.0;
                    vec![mean, f64::from(u8::from(samples[0]))]
                })
                .collect();
            let holds = |estimate: Estimate| estimate.low <= 0.5 && 0.5 <= estimate.high;
            let resampled = bootstrap(&rows, u64::from(experiment));
            by_bootstrap += u32::from(holds(resampled[0].share()));
            let right = rows.iter().filter(|row| row[1] > 0.0).count();
            by_wilson += u32::from(holds(wilson(right, rows.len())));
        }
        // 95 % of 300 is 285; four standard deviations are 15.
        for covered in [by_bootstrap, by_wilson] {
            assert!((268..=299).contains(&covered), "{covered} of {experiments}");
        }
    }

    #[test]
    fn bootstrap_of_a_count_agrees_with_wilson() {
        let rows: Vec<Vec<f64>> = (0..1000)
            .map(|i| vec![f64::from(u8::from(i % 5 < 3))])
            .collect();
        let (ours, closed) = (bootstrap(&rows, 1)[0].share(), wilson(600, 1000));
        assert!((ours.low - closed.low).abs() < 0.004 && (ours.high - closed.high).abs() < 0.004);
        // No spread: not an interval of width 0.
        let rows = vec![vec![1.0]; 50];
        assert_eq!(bootstrap(&rows, 1)[0].share(), wilson(50, 50));
    }
}
