//! Draws one token from a row of logits.
//!
//! The distribution is that of llama.cpp's sampler chain top-k, top-p, min-p, temperature. Unlike
//! the chain, nothing is built for the whole vocabulary: most rows are decided by the few tokens
//! near the top.

use rand_chacha::{ChaCha8Rng, rand_core::Rng};

use super::Sampling;

/// Where most rows are decided: tokens less likely than `exp(-8)` of the likeliest rarely survive
/// a filter.
const NEAR_NATS: f32 = 8.0;
/// Tokens this many nats (times the temperature) below the likeliest are never drawn: all of a
/// 151 k vocabulary together has a chance of 1e-12 there.
const FAR_NATS: f32 = 40.0;

/// A drawn token and its log-probability, in nats, before any filter or temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drawn {
    pub token: i32,
    pub logprob: f64,
}

/// Draws one token from `logits` (one per token of the vocabulary).
pub(super) fn draw(logits: &[f32], sampling: &Sampling, random: &mut ChaCha8Rng) -> Drawn {
    let (likeliest, top) = argmax(logits);
    let log_sum = log_sum_exp(logits, top);
    let drawn = |token: usize| Drawn {
        token: i32::try_from(token).expect("a vocabulary fits in 31 bits"),
        logprob: f64::from(logits[token] - top) - log_sum,
    };
    if sampling.temperature <= 0.0 || sampling.top_k == 1 {
        return drawn(likeliest);
    }
    let kept = weights(logits, sampling, top, log_sum);
    let mut left = uniform(random) * kept.iter().map(|(_, weight)| weight).sum::<f64>();
    let chosen = kept.iter().find(|(_, weight)| {
        left -= weight;
        left < 0.0
    });
    drawn(chosen.map_or(likeliest, |(token, _)| *token))
}

/// The tokens that the filters keep, by id, each with a weight in proportion to its chance.
fn weights(logits: &[f32], sampling: &Sampling, top: f32, log_sum: f64) -> Vec<(usize, f64)> {
    let mut kept = tokens_within(logits, top, NEAR_NATS);
    if !decided(&kept, sampling, log_sum) {
        kept = tokens_within(logits, top, FAR_NATS * sampling.temperature.max(1.0));
    }
    if sampling.top_k > 0 && sampling.top_k < kept.len() {
        kept.select_nth_unstable_by(sampling.top_k - 1, likelier);
        kept.truncate(sampling.top_k);
    }
    if sampling.top_p < 1.0 {
        let all = if sampling.top_k > 0 {
            mass(&kept)
        } else {
            log_sum.exp()
        };
        keep_mass(&mut kept, f64::from(sampling.top_p) * all);
    }
    kept.retain(|(_, below)| below.exp() >= sampling.min_p);
    // The order of `kept` depends on the library's selection algorithm; that of tokens does not.
    kept.sort_unstable_by_key(|(token, _)| *token);
    kept.into_iter()
        .map(|(token, below)| (token, f64::from(below / sampling.temperature).exp()))
        .collect()
}

/// The chance of each token that can be drawn.
#[cfg(test)]
pub(super) fn chances(logits: &[f32], sampling: &Sampling) -> Vec<(usize, f64)> {
    let (likeliest, top) = argmax(logits);
    if sampling.temperature <= 0.0 {
        return vec![(likeliest, 1.0)];
    }
    let weights = weights(logits, sampling, top, log_sum_exp(logits, top));
    let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
    weights
        .into_iter()
        .map(|(token, weight)| (token, weight / all))
        .collect()
}

/// The tokens at most `reach` nats below the `top` logit, with their (negative) distance from it.
fn tokens_within(logits: &[f32], top: f32, reach: f32) -> Vec<(usize, f32)> {
    let near = logits
        .iter()
        .enumerate()
        .filter(|(_, logit)| **logit >= top - reach);
    near.map(|(token, logit)| (token, logit - top)).collect()
}

/// Whether the filters keep nothing outside `near`.
fn decided(near: &[(usize, f32)], sampling: &Sampling, log_sum: f64) -> bool {
    if sampling.top_k > 0 {
        near.len() >= sampling.top_k
    } else if sampling.top_p < 1.0 {
        mass(near) >= f64::from(sampling.top_p) * log_sum.exp()
    } else {
        sampling.min_p >= (-NEAR_NATS).exp()
    }
}

/// The probability of some tokens, in units of the likeliest one's.
fn mass(tokens: &[(usize, f32)]) -> f64 {
    tokens
        .iter()
        .map(|(_, below)| f64::from(*below).exp())
        .sum()
}

/// Keeps the fewest of the likeliest tokens whose mass reaches `wanted`.
fn keep_mass(kept: &mut Vec<(usize, f32)>, wanted: f64) {
    // Sorted in growing pieces: a peaked row needs a handful, never the whole vocabulary.
    let (mut sorted, mut sum) = (0, 0.0);
    while sorted < kept.len() {
        let piece = (sorted.max(32) * 2).min(kept.len() - sorted);
        let rest = &mut kept[sorted..];
        if piece < rest.len() {
            rest.select_nth_unstable_by(piece - 1, likelier);
        }
        rest[..piece].sort_unstable_by(likelier);
        for place in sorted..sorted + piece {
            sum += f64::from(kept[place].1).exp();
            if sum >= wanted {
                kept.truncate(place + 1);
                return;
            }
        }
        sorted += piece;
    }
}

/// The likelier token first; of equals, the one with the lower id.
fn likelier(a: &(usize, f32), b: &(usize, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// The first of the highest logits: its index and value.
fn argmax(logits: &[f32]) -> (usize, f32) {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (
        logits.iter().position(|logit| *logit == top).unwrap_or(0),
        top,
    )
}

/// `ln(sum(exp(logit - top)))`, in nats.
fn log_sum_exp(logits: &[f32], top: f32) -> f64 {
    // Sixteen running sums, so that the compiler can keep them in one vector register.
    let mut sums = [0.0_f32; 16];
    let chunks = logits.chunks_exact(16);
    let rest: f32 = chunks
        .remainder()
        .iter()
        .map(|logit| (logit - top).exp())
        .sum();
    for chunk in chunks {
        for (sum, logit) in sums.iter_mut().zip(chunk) {
            *sum += (logit - top).exp();
        }
    }
    (f64::from(rest) + sums.iter().map(|sum| f64::from(*sum)).sum::<f64>()).ln()
}

/// The log-probabilities of some tokens, in nats.
pub(super) fn logprobs(logits: &[f32], tokens: impl Iterator<Item = usize>) -> Vec<f64> {
    let top = argmax(logits).1;
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
    fn large_vocabularies_are_sorted_in_pieces() {
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
