//! The chance that a choice among a random subset of candidates is right, in closed form.
//!
//! Subsets of k of the N candidates that were sampled, each as likely as any other, give unbiased
//! estimates of what k fresh samples would do, as pass@k does (Chen et al. 2021, arXiv 2107.03374,
//! eq. 1). Candidates are exchangeable, so a tie that `select` decides by lot is here split
//! evenly; [`super::subset`] draws subsets where there is no closed form.

use std::sync::LazyLock;

/// Most candidates for which the closed forms are used: binomials stay far inside an `f64`.
pub const CANDIDATES_MAX: usize = 256;

/// Candidates that count as the same, and how many of them are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// How many there are.
    pub size: usize,
    /// How many of them are right.
    pub right: usize,
}

impl Group {
    fn share(self) -> f64 {
        self.right as f64 / self.size as f64
    }
}

/// Best-of-k: the chance that the most preferred candidate of a subset is right, for each size in
/// `sizes`. `tiers` are the candidates by falling preference, equal ones together; those that can
/// never be right need not be listed. With one tier of the right candidates this is pass@k.
///
/// A tier that starts at rank a and ends before rank b holds the best of the subset in
/// C(N-a, k) - C(N-b, k) of the C(N, k) subsets.
pub fn best(tiers: &[Group], total: usize, sizes: &[usize]) -> Vec<f64> {
    let chance = |k: &usize| {
        let mut rank = 0;
        let mut right = 0.0;
        for tier in tiers.iter().filter(|tier| tier.size > 0) {
            let better = rank;
            rank += tier.size;
            right += tier.share() * (choose(total - better, *k) - choose(total - rank, *k));
        }
        right / choose(total, *k)
    };
    sizes.iter().map(chance).collect()
}

/// The chance that the most frequent class of a subset is right, for each size in `sizes`. Beside
/// the classes there are `blank` candidates that have no vote; subsets that hold any of the
/// `total - blank - classes` others count as wrong.
///
/// For each number t of votes that wins: classes smaller than t take any number of votes; of the
/// others each takes fewer than t, or t and shares the win. The sum runs over the classes' numbers
/// of votes, by dynamic programming over (ties, votes so far).
pub fn majority(classes: &[Group], blank: usize, total: usize, sizes: &[usize]) -> Vec<f64> {
    let mut chances = vec![0.0; sizes.len()];
    let most = classes.iter().map(|class| class.size).max().unwrap_or(0);
    let votes_max = sizes.iter().copied().max().unwrap_or(0);
    for winning in 1..=most.min(votes_max) {
        let (large, small): (Vec<&Group>, Vec<&Group>) =
            classes.iter().partition(|class| class.size >= winning);
        if large.iter().all(|class| class.right == 0) {
            continue;
        }
        let others = blank + small.iter().map(|class| class.size).sum::<usize>();
        let right = wins(&large, winning, votes_max);
        for (chance, k) in chances.iter_mut().zip(sizes) {
            let subsets: f64 = right
                .iter()
                .enumerate()
                .take(k + 1)
                .map(|(votes, right)| right * choose(others, k - votes))
                .sum();
            *chance += subsets / choose(total, *k);
        }
    }
    chances
}

/// For each number of votes that go to `classes`: in how many ways they do so that `winning` is
/// the most any has, each way weighted by the share of right candidates in the classes that have
/// it.
fn wins(classes: &[&Group], winning: usize, votes_max: usize) -> Vec<f64> {
    let width = votes_max + 1;
    // (ties, votes) -> (ways, sum over ways of the tied classes' shares).
    let mut states = vec![vec![(0.0, 0.0); width]];
    states[0][0].0 = 1.0;
    for class in classes {
        let mut next = vec![vec![(0.0, 0.0); width]; states.len() + 1];
        for (ties, row) in states.iter().enumerate() {
            for (votes, (ways, share)) in row.iter().enumerate() {
                if *ways == 0.0 {
                    continue;
                }
                for taken in 0..winning.min(width - votes) {
                    let by = choose(class.size, taken);
                    let cell = &mut next[ties][votes + taken];
                    cell.0 += by * ways;
                    cell.1 += by * share;
                }
                if votes + winning < width {
                    let by = choose(class.size, winning);
                    let cell = &mut next[ties + 1][votes + winning];
                    cell.0 += by * ways;
                    cell.1 += by * (share + ways * class.share());
                }
            }
        }
        states = next;
    }
    let mut right = vec![0.0; width];
    for (ties, row) in states.iter().enumerate().skip(1) {
        for (right, (_, share)) in right.iter_mut().zip(row) {
            *right += share / ties as f64;
        }
    }
    right
}

/// The number of subsets of `k` out of `n`; 0 where `k` is larger.
fn choose(n: usize, k: usize) -> f64 {
    static TRIANGLE: LazyLock<Vec<Vec<f64>>> = LazyLock::new(|| {
        let mut rows = vec![vec![1.0]];
        for n in 1..=CANDIDATES_MAX {
            let above: &Vec<f64> = &rows[n - 1];
            let inner = above.windows(2).map(|pair| pair[0] + pair[1]);
            rows.push([1.0].into_iter().chain(inner).chain([1.0]).collect());
        }
        rows
    });
    TRIANGLE[n].get(k).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-12,
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn one_tier_of_right_candidates_is_pass_at_k() {
        // 1 - C(n-c, k) / C(n, k): n = 5, c = 2: k = 1: 2/5; k = 2: 1 - 3/10; k = 4 and 5: 1.
        let right = Group { size: 2, right: 2 };
        near(&best(&[right], 5, &[1, 2, 4, 5]), &[0.4, 0.7, 1.0, 1.0]);
        // Chen et al.'s product form at a size where factorials overflow.
        let right = Group {
            size: 30,
            right: 30,
        };
        let product: f64 = (200 - 30 + 1..=200)
            .map(|i| 1.0 - 100.0 / f64::from(i))
            .product();
        near(&best(&[right], 200, &[100]), &[1.0 - product]);
    }

    #[test]
    fn a_vote_of_two_is_a_sample_and_of_all_is_the_largest_class() {
        let classes = [Group { size: 3, right: 3 }, Group { size: 2, right: 0 }];
        // Of 6 with one blank, k = 1: 3/6. k = 2: both right 3/15, right and wrong 6/15 of which
        // half, right and blank 3/15. k = 6: the larger class.
        near(
            &majority(&classes, 1, 6, &[1, 2, 6]),
            &[0.5, 3.0 / 15.0 + 3.0 / 15.0 + 3.0 / 15.0, 1.0],
        );
    }

    #[test]
    fn large_votes_stay_exact() {
        // Two classes of 128: by symmetry half, whatever the size.
        let class = |right| Group { size: 128, right };
        near(
            &majority(&[class(128), class(0)], 0, 256, &[1, 2, 7, 128, 255, 256]),
            &[0.5; 6],
        );
    }
}
