//! Draws one token from a row of logits.
//!
//! The distribution is that of llama.cpp's sampler chain top-k, top-p, min-p, temperature. Unlike
//! the chain, nothing is built or sorted for the whole vocabulary: most rows are decided by the few
//! tokens near the top, and flat ones are cut by a histogram.

use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use wide::f32x16;

use super::Sampling;

/// Where most rows are decided: tokens less likely than `exp(-8)` of the likeliest rarely survive
/// a filter.
const NEAR_NATS: f32 = 8.0;
/// Tokens this many nats (times the temperature) below the likeliest are never drawn: all of a
/// 151 k vocabulary together has a chance of 1e-12 there.
const FAR_NATS: f32 = 40.0;
/// Numbers that are computed together.
const LANES: usize = 16;
/// Numbers that are added up in 32 bits before their sum goes on in 64.
const BLOCK: usize = 64 * LANES;
/// Steps of a histogram over distances from the likeliest token; what is further is in the last.
const STEPS: usize = 1024;
const STEPS_PER_NAT: f32 = 32.0;

/// A drawn token and its log-probability, in nats, before any filter or temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drawn {
    pub token: i32,
    pub logprob: f64,
}

/// Draws one token from `logits` (one per token of the vocabulary).
pub(super) fn draw(logits: &[f32], sampling: &Sampling, random: &mut ChaCha8Rng) -> Drawn {
    let top = highest(logits);
    let log_sum = log_sum_exp(logits, top);
    let drawn = |token: usize| Drawn {
        token: i32::try_from(token).expect("a vocabulary fits in 31 bits"),
        logprob: f64::from(logits[token] - top) - log_sum,
    };
    if sampling.temperature <= 0.0 || sampling.top_k == 1 {
        return drawn(first_of(logits, top));
    }
    let (kept, weights) = weights(logits, sampling, top, log_sum);
    let mut left = uniform(random) * sum(&weights);
    let chosen = kept.tokens.iter().zip(&weights).find(|(_, weight)| {
        left -= f64::from(**weight);
        left < 0.0
    });
    drawn(chosen.map_or_else(|| first_of(logits, top), |(token, _)| *token))
}

/// The tokens that the filters keep, and for each a weight in proportion to its chance.
fn weights(logits: &[f32], sampling: &Sampling, top: f32, log_sum: f64) -> (Kept, Vec<f32>) {
    let mut kept = Kept::within(logits, top, NEAR_NATS);
    if !decided(&kept, sampling, log_sum) {
        kept = Kept::within(logits, top, FAR_NATS * sampling.temperature.max(1.0));
    }
    if sampling.top_k > 0 && sampling.top_k < kept.tokens.len() {
        kept.keep_likeliest(sampling.top_k);
    }
    if sampling.top_p < 1.0 {
        let all = if sampling.top_k > 0 {
            kept.mass()
        } else {
            log_sum.exp()
        };
        kept.keep_mass(f64::from(sampling.top_p) * all);
    }
    if sampling.min_p > 0.0 {
        kept.retain(|below| below.exp() >= sampling.min_p);
    }
    let weights = exps(&kept.below, 1.0 / sampling.temperature);
    (kept, weights)
}

/// The chance of each token that can be drawn.
#[cfg(test)]
pub(super) fn chances(logits: &[f32], sampling: &Sampling) -> Vec<(usize, f64)> {
    let top = highest(logits);
    if sampling.temperature <= 0.0 {
        return vec![(first_of(logits, top), 1.0)];
    }
    let (kept, weights) = weights(logits, sampling, top, log_sum_exp(logits, top));
    let all = sum(&weights);
    let chances = weights.iter().map(|weight| f64::from(*weight) / all);
    kept.tokens.into_iter().zip(chances).collect()
}

/// Whether the filters keep nothing outside `near`.
fn decided(near: &Kept, sampling: &Sampling, log_sum: f64) -> bool {
    if sampling.top_k > 0 {
        near.tokens.len() >= sampling.top_k
    } else if sampling.top_p < 1.0 {
        near.mass() >= f64::from(sampling.top_p) * log_sum.exp()
    } else {
        sampling.min_p >= (-NEAR_NATS).exp()
    }
}

/// Some tokens, by id.
struct Kept {
    tokens: Vec<usize>,
    /// How far each one's logit is from the highest: 0 or less, in nats.
    below: Vec<f32>,
}

impl Kept {
    /// The tokens at most `reach` nats below the `top` logit.
    fn within(logits: &[f32], top: f32, reach: f32) -> Self {
        let (mut tokens, mut below) = (Vec::new(), Vec::new());
        let floor = f32x16::splat(top - reach);
        let (chunks, rest) = logits.as_chunks::<LANES>();
        for (place, chunk) in chunks.iter().enumerate() {
            let mut near = f32x16::from(*chunk).simd_ge(floor).to_bitmask();
            while near != 0 {
                let lane = near.trailing_zeros() as usize;
                tokens.push(place * LANES + lane);
                below.push(chunk[lane] - top);
                near &= near - 1;
            }
        }
        for (place, logit) in rest.iter().enumerate() {
            if *logit >= top - reach {
                tokens.push(chunks.len() * LANES + place);
                below.push(logit - top);
            }
        }
        Self { tokens, below }
    }

    /// Their probability, in units of the likeliest one's.
    fn mass(&self) -> f64 {
        sum(&exps(&self.below, 1.0))
    }

    /// Keeps the likeliest `count`; of equals, those with the lower ids.
    fn keep_likeliest(&mut self, count: usize) {
        let mut below = self.below.clone();
        let (_, last, _) = below.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        let last = *last;
        let before = self.below.iter().filter(|below| **below > last).count();
        self.keep_down_to(last, count - before);
    }

    /// Keeps the fewest of the likeliest whose mass reaches `wanted`.
    fn keep_mass(&mut self, wanted: f64) {
        let step = |below: f32| ((-below * STEPS_PER_NAT) as usize).min(STEPS - 1);
        let mut masses = [0.0_f64; STEPS];
        for (below, mass) in self.below.iter().zip(exps(&self.below, 1.0)) {
            masses[step(*below)] += f64::from(mass);
        }
        let mut mass = 0.0;
        let reached = masses.iter().position(|more| {
            mass += more;
            mass >= wanted
        });
        let Some(reached) = reached else { return };
        mass -= masses[reached];
        // Only those at the edge are looked at one by one.
        let edge = self.below.iter().copied();
        let mut edge: Vec<f32> = edge.filter(|below| step(*below) == reached).collect();
        edge.sort_unstable_by(|a, b| b.total_cmp(a));
        let enough = edge.iter().position(|below| {
            mass += f64::from(*below).exp();
            mass >= wanted
        });
        let last = enough.unwrap_or(edge.len() - 1);
        let equals = edge[..=last].iter().filter(|below| **below == edge[last]);
        self.keep_down_to(edge[last], equals.count());
    }

    /// Keeps those less than `last` below the top, and the first `equals` of those as far.
    fn keep_down_to(&mut self, last: f32, mut equals: usize) {
        self.retain(|below| {
            let counts = below == last && equals > 0;
            equals -= usize::from(counts);
            counts || below > last
        });
    }

    fn retain(&mut self, mut keep: impl FnMut(f32) -> bool) {
        let mut kept = 0;
        for place in 0..self.below.len() {
            let below = self.below[place];
            self.below[kept] = below;
            self.tokens[kept] = self.tokens[place];
            kept += usize::from(keep(below));
        }
        self.below.truncate(kept);
        self.tokens.truncate(kept);
    }
}

/// The highest of the logits.
fn highest(logits: &[f32]) -> f32 {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let lowest = f32x16::splat(f32::NEG_INFINITY);
    let high = chunks
        .iter()
        .fold(lowest, |high, chunk| high.max(f32x16::from(*chunk)));
    let high = high.to_array().into_iter().chain(rest.iter().copied());
    high.fold(f32::NEG_INFINITY, f32::max)
}

/// The first token with this logit.
fn first_of(logits: &[f32], wanted: f32) -> usize {
    let first = logits.iter().position(|logit| *logit == wanted);
    first.unwrap_or(0)
}

/// `ln(sum(exp(logit - top)))`, in nats.
fn log_sum_exp(logits: &[f32], top: f32) -> f64 {
    let top_of_all = f32x16::splat(top);
    let sum: f64 = logits
        .chunks(BLOCK)
        .map(|block| {
            let (chunks, rest) = block.as_chunks::<LANES>();
            let exp = |chunk: &[f32; LANES]| (f32x16::from(*chunk) - top_of_all).exp();
            let sum = chunks
                .iter()
                .fold(f32x16::ZERO, |sum, chunk| sum + exp(chunk));
            let rest: f32 = rest.iter().map(|logit| (logit - top).exp()).sum();
            f64::from(sum.reduce_add() + rest)
        })
        .sum();
    sum.ln()
}

/// `exp(factor * value)` of each value.
fn exps(values: &[f32], factor: f32) -> Vec<f32> {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut exps = Vec::with_capacity(values.len());
    for chunk in chunks {
        exps.extend(
            (f32x16::from(*chunk) * f32x16::splat(factor))
                .exp()
                .to_array(),
        );
    }
    exps.extend(rest.iter().map(|value| (factor * value).exp()));
    exps
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum()
}

/// The log-probabilities of some tokens, in nats.
pub(super) fn logprobs(logits: &[f32], tokens: impl Iterator<Item = usize>) -> Vec<f64> {
    let top = highest(logits);
    let log_sum = log_sum_exp(logits, top);
    tokens
        .map(|token| f64::from(logits[token] - top) - log_sum)
        .collect()
}

/// Uniform in [0, 1), from 53 random bits.
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// Draws often and compares frequencies with `expected` probabilities, by token.
    fn check(logits: &[f32], sampling: &Sampling, expected: &[f64]) {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let draws = 40_000;
        let mut counts = vec![0_usize; logits.len()];
        for _ in 0..draws {
            counts[draw(logits, sampling, &mut random).token as usize] += 1;
        }
        for (count, expected) in counts.iter().zip(expected) {
            let share = *count as f64 / f64::from(draws);
            // Five standard deviations.
            let allowed = 5.0 * (expected * (1.0 - expected) / f64::from(draws)).sqrt();
            assert!(
                (share - expected).abs() <= allowed,
                "{share} for {expected} in {counts:?}"
            );
        }
    }

    fn sampling(temperature: f32, top_k: usize, top_p: f32, min_p: f32) -> Sampling {
        Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
            ..Sampling::default()
        }
    }

    #[test]
    fn frequencies_are_those_of_the_chain() {
        // Probabilities 0.5, 0.25, 0.15, 0.1.
        let logits = [0.5_f32, 0.25, 0.15, 0.1].map(f32::ln);
        check(
            &logits,
            &sampling(1.0, 0, 1.0, 0.0),
            &[0.5, 0.25, 0.15, 0.1],
        );
        check(
            &logits,
            &sampling(1.0, 2, 1.0, 0.0),
            &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0],
        );
        check(
            &logits,
            &sampling(1.0, 0, 0.7, 0.0),
            &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0],
        );
        check(
            &logits,
            &sampling(1.0, 0, 1.0, 0.25),
            &[0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0.0],
        );
        // Top-p looks at what top-k kept: 0.5/0.75 >= 0.6 keeps one token, 0.5 of all would keep two.
        check(&logits, &sampling(1.0, 2, 0.6, 0.0), &[1.0, 0.0, 0.0, 0.0]);
        // Top-p comes before min-p: of all tokens the first two reach 0.7, of those min-p keeps.
        check(
            &logits,
            &sampling(1.0, 0, 0.7, 0.25),
            &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0],
        );
        // Temperature 0.5 squares probabilities, after the filters.
        check(&logits, &sampling(0.5, 0, 0.7, 0.0), &[0.8, 0.2, 0.0, 0.0]);
        check(&logits, &sampling(0.0, 0, 1.0, 0.0), &[1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn flat_rows_are_cut_where_a_sort_would_cut_them() {
        let logits: Vec<f32> = (0..5_000).map(|token| -(token as f32) / 2_000.0).collect();
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let probability = |token: i32| logprobs(&logits, std::iter::once(token as usize))[0].exp();
        let last_kept = (0..5_000)
            .scan(0.0, |sum, token| {
                let before = *sum;
                *sum += probability(token);
                Some((token, before))
            })
            .take_while(|(_, before)| *before < 0.5)
            .last()
            .unwrap()
            .0;
        let sampling = sampling(1.0, 0, 0.5, 0.0);
        let highest = (0..20_000)
            .map(|_| draw(&logits, &sampling, &mut random).token)
            .max()
            .unwrap();
        assert!(
            highest <= last_kept && highest > last_kept - 20,
            "{highest} against {last_kept}"
        );
    }

    #[test]
    fn logprob_is_before_temperature_and_filters() {
        let logits = [0.5_f32, 0.25, 0.15, 0.1].map(f32::ln);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let drawn = draw(&logits, &sampling(0.0, 1, 0.1, 0.0), &mut random);
        assert!((drawn.logprob - 0.5_f64.ln()).abs() < 1e-6);
    }
}
