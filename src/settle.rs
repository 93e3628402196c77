//! When enough candidates have been drawn (Adaptive-Consistency, arXiv 2305.11860).
//!
//! Candidates are looked at in the order in which they were asked for, never in that in which they
//! ended: short ones end first, and a rule that saw those first would prefer them. Pure.

use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;

use crate::{select::Filter, trace::Verdict};

/// When drawing ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Until {
    /// When all candidates are drawn.
    All,
    /// When the leading answer is unlikely to be overtaken.
    Settled {
        /// How likely it must be to stay ahead.
        confidence: f64,
    },
}

/// How many of the first candidates settle which answer wins, and how surely; `None` where all
/// together do not.
///
/// Votes are counted over classes of equal answers, as the filter weighs them; a candidate that it
/// drops has none. With the two largest counts a and b, the leader's share of the votes of these two
/// is taken as Beta(a + 1, b + 1), and drawing ends once it exceeds one half with the wanted
/// probability; with certainty it never does (the paper's Beta criterion, section 3).
pub fn settle(
    classes: &[Option<usize>],
    verdicts: &[Verdict],
    filter: Filter,
    confidence: f64,
) -> Option<(usize, f64)> {
    let mut votes: Vec<f64> = Vec::new();
    for (index, (class, verdict)) in classes.iter().zip(verdicts).enumerate() {
        let dropped = filter == Filter::Cotnpot && *verdict == Verdict::Disagrees;
        let Some(class) = class.filter(|_| !dropped) else {
            continue;
        };
        if votes.len() <= class {
            votes.resize(class + 1, 0.0);
        }
        votes[class] += filter.weight(*verdict);
        let doubt = doubt(&votes);
        if doubt <= 1.0 - confidence {
            return Some((index + 1, 1.0 - doubt));
        }
    }
    None
}

/// The probability that the leader of a vote is not ahead for good.
fn doubt(votes: &[f64]) -> f64 {
    let (mut first, mut second) = (0.0, 0.0_f64);
    for count in votes {
        if *count > first {
            second = first;
            first = *count;
        } else {
            second = second.max(*count);
        }
    }
    // P(Beta(a + 1, b + 1) <= 1/2) = I(a + 1, b + 1) at 1/2; small, so exact where 1 - it is not.
    beta_reg(first + 1.0, second + 1.0, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Reason;

    const UNCLEAR: Verdict = Verdict::Unclear(Reason::NoProgram);

    fn drawn(classes: &[usize], verdicts: &[Verdict]) -> Option<usize> {
        let classes: Vec<_> = classes.iter().copied().map(Some).collect();
        settle(&classes, verdicts, Filter::Cotnpot, 0.95).map(|(count, _)| count)
    }

    #[test]
    fn doubt_is_a_binomial_tail() {
        // P(Beta(a + 1, b + 1) <= 1/2) = P(Binomial(a + b + 1, 1/2) > a), by hand.
        let check = |votes: &[f64], expected: f64| {
            assert!((doubt(votes) - expected).abs() < 1e-12, "{votes:?}");
        };
        check(&[], 0.5);
        check(&[1.0], 0.25);
        check(&[4.0], 1.0 / 32.0);
        check(&[3.0, 1.0], 6.0 / 32.0);
        check(&[2.0, 0.0, 5.0, 2.0], 37.0 / 256.0);
    }

    #[test]
    fn nothing_is_certain() {
        let settled = settle(&[Some(0); 512], &[UNCLEAR; 512], Filter::Off, 1.0);
        assert_eq!(settled, None);
    }

    #[test]
    fn four_that_agree_settle_it_and_one_that_differs_takes_three_more() {
        assert_eq!(drawn(&[0, 0, 0, 0, 1], &[UNCLEAR; 5]), Some(4));
        assert_eq!(drawn(&[0, 1, 0, 0, 0, 0, 0, 0], &[UNCLEAR; 8]), Some(7));
        assert_eq!(drawn(&[0, 1, 0, 1, 0, 1], &[UNCLEAR; 6]), None);
    }

    #[test]
    fn whom_the_filter_drops_has_no_vote() {
        let mut verdicts = [UNCLEAR; 8];
        verdicts[1] = Verdict::Disagrees;
        assert_eq!(drawn(&[0, 1, 0, 0, 0, 0, 0, 0], &verdicts), Some(5));
        assert_eq!(drawn(&[0; 8], &[Verdict::Disagrees; 8]), None);
    }

    #[test]
    fn votes_weigh_what_the_filter_makes_of_them() {
        let drawn = |verdict| {
            let settled = settle(&[Some(0); 12], &[verdict; 12], Filter::Soft, 0.95);
            settled.map(|(count, _)| count)
        };
        assert_eq!(drawn(Verdict::Agrees), Some(2));
        assert_eq!(drawn(UNCLEAR), Some(4));
        assert_eq!(drawn(Verdict::Disagrees), Some(7));
    }
}
