//! Two ways of choosing, or two runs, on the same problems: is the difference more than chance?

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use super::estimate::Estimate;

/// A difference in accuracy on the same problems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// One way of choosing (of a run, where runs are compared).
    pub one: String,
    /// The other.
    pub other: String,
    /// Problems both were asked.
    pub problems: usize,
    /// Problems that `one` alone gets right.
    pub only_one: usize,
    /// Problems that `other` alone gets right.
    pub only_other: usize,
    /// Accuracy of `one` less that of `other`, with the bootstrap's interval over problems.
    pub difference: Estimate,
    /// How likely a split of the problems on which they differ would be at least as uneven if
    /// neither was better: McNemar's exact test, two-sided. Not adjusted for the number of
    /// comparisons.
    pub p: f64,
    /// Whether `p` is the bootstrap's instead, as for shares, which McNemar's test is not for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resampled: bool,
}

/// McNemar's exact test: the two-sided binomial probability of a split at least as uneven as
/// `only_one` to `only_other`, where either side is as likely.
pub fn mcnemar(only_one: usize, only_other: usize) -> f64 {
    let (fewer, all) = (only_one.min(only_other), only_one + only_other);
    let even = Binomial::new(0.5, all as u64).expect("a half is a probability");
    (2.0 * even.cdf(fewer as u64)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_is_the_exact_binomial_test() {
        // Twice the tail of Pascal's triangle's row, by hand.
        let check = |one, other, p: f64| {
            assert!(
                (mcnemar(one, other) - p).abs() < 1e-9,
                "{}",
                mcnemar(one, other)
            );
            assert!((mcnemar(other, one) - p).abs() < 1e-9);
        };
        check(0, 0, 1.0);
        check(5, 5, 1.0);
        check(0, 1, 1.0);
        // 2 (1 + 10) / 2^10
        check(1, 9, 22.0 / 1024.0);
        // 2 / 2^6
        check(0, 6, 2.0 / 64.0);
        // 2 (1 + 12 + 66) / 2^12
        check(2, 10, 158.0 / 4096.0);
    }
}
