//! One sample while it is being drawn.

use std::sync::Arc;

use llama_cpp_2::token::LlamaToken;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::weights::Weights;
use crate::{
    model::{Finished, Generation, Sampling, Usage, draw::draw, repeat::Repeats},
    trace::Stop,
};

/// One sample on its way.
pub(super) struct Running {
    pub ticket: u64,
    sample: usize,
    /// Tokens in its KV stream.
    pub position: usize,
    /// The drawn token that is not in the KV stream yet.
    pub next: LlamaToken,
    /// Why it has ended, once it has.
    pub stop: Option<Stop>,
    pub usage: Usage,
    random: ChaCha8Rng,
    sampling: Arc<Sampling>,
    tokens_max: usize,
    text: Vec<u8>,
    /// Bytes of text after each token.
    ends: Vec<usize>,
    repeats: Repeats,
    logprob_sum: f64,
}

impl Running {
    /// A sample `of` a request and with an index, that goes on after a prompt of `position` tokens.
    pub fn new(
        of: (u64, usize),
        position: usize,
        tokens_max: usize,
        sampling: Arc<Sampling>,
        seed: u64,
    ) -> Self {
        Self {
            ticket: of.0,
            sample: of.1,
            position,
            next: LlamaToken::new(0),
            stop: None,
            usage: Usage::default(),
            random: ChaCha8Rng::seed_from_u64(seed),
            repeats: Repeats::new(sampling.repeats_max),
            sampling,
            tokens_max,
            text: Vec::new(),
            ends: Vec::new(),
            logprob_sum: 0.0,
        }
    }

    /// Draws the next token and decides whether the sample ends with it.
    pub fn advance(&mut self, logits: &[f32], weights: &Weights) {
        let drawn = draw(logits, &self.sampling, &mut self.random);
        let vocab = weights.model.vocab();
        self.next = LlamaToken::new(drawn.token);
        self.logprob_sum += drawn.logprob;
        let before = self.text.len();
        if vocab.is_eog(self.next) {
            self.stop = Some(Stop::End);
        } else {
            vocab.token_to_piece_into(self.next, &mut self.text, false, None);
        }
        self.ends.push(self.text.len());
        if self.stop.is_some() {
            return;
        }
        let ends = self.sampling.stop.iter().filter_map(|stop| {
            let from = before.saturating_sub(stop.len());
            find(&self.text[from..], stop.as_bytes()).map(|place| from + place)
        });
        if let Some(end) = ends.min() {
            self.text.truncate(end);
            self.stop = Some(Stop::String);
        } else if let Some(repeated) = self.repeats.push(drawn.token) {
            let kept = self.ends.len() - repeated;
            self.text.truncate(self.ends[kept - 1]);
            self.stop = Some(Stop::Repetition);
        } else if self.ends.len() >= self.tokens_max {
            self.stop = Some(Stop::Length);
        }
    }

    /// What is handed back of a sample that was given up.
    pub fn cancelled(mut self) -> Finished {
        self.stop = Some(Stop::Cancelled);
        self.finished()
    }

    /// What is handed back of a sample that has ended.
    pub fn finished(mut self) -> Finished {
        let tokens = self.ends.len() as u32;
        self.usage.tokens_continued += u64::from(tokens);
        Finished {
            ticket: self.ticket,
            sample: self.sample,
            usage: self.usage,
            generation: Generation {
                text: String::from_utf8_lossy(&self.text).into_owned(),
                tokens,
                stop: self.stop.unwrap_or(Stop::Cancelled),
                logprob_mean: Some(self.logprob_sum / f64::from(tokens)),
            },
        }
    }
}

/// Where `wanted` first stands in `text`.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len().max(1))
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use llama_cpp_2::{
        sampling::LlamaSampler,
        token::{data::LlamaTokenData, data_array::LlamaTokenDataArray},
    };

    use super::*;
    use crate::model::{draw::chances, random::SplitMix};

    /// The chance of each token under llama.cpp's own samplers, in its default order.
    fn of_chain(logits: &[f32], sampling: &Sampling) -> Vec<(usize, f64)> {
        let tokens = (0..).zip(logits);
        let tokens =
            tokens.map(|(id, logit)| LlamaTokenData::new(LlamaToken::new(id), *logit, 0.0));
        let mut tokens = LlamaTokenDataArray::from_iter(tokens, false);
        let chain = [
            LlamaSampler::top_k(sampling.top_k as i32),
            LlamaSampler::top_p(sampling.top_p, 1),
            LlamaSampler::min_p(sampling.min_p, 1),
            LlamaSampler::temp(sampling.temperature),
        ];
        LlamaSampler::chain_simple(chain).apply(&mut tokens);
        let top = tokens
            .data
            .iter()
            .map(LlamaTokenData::logit)
            .fold(f32::MIN, f32::max);
        let weight = |token: &LlamaTokenData| f64::from(token.logit() - top).exp();
        let all: f64 = tokens.data.iter().map(weight).sum();
        let mut chances: Vec<(usize, f64)> = tokens
            .data
            .iter()
            .map(|token| (token.id().0 as usize, weight(token) / all))
            .filter(|(_, chance)| *chance > 1e-9)
            .collect();
        chances.sort_by_key(|(token, _)| *token);
        chances
    }

    #[test]
    fn tokens_have_the_chances_that_llama_cpps_own_chain_gives_them() {
        let mut random = SplitMix::new(11);
        // Flat and peaked rows, of a small and of a real model's vocabulary.
        for (vocabulary, spread) in [(500, 1.0), (500, 4.0), (151_936, 1.0), (151_936, 3.0)] {
            let logits: Vec<f32> = (0..vocabulary).map(|_| spread * random.normal()).collect();
            for (temperature, top_k, top_p, min_p) in [
                (1.0, 0, 1.0, 0.0),
                (0.7, 0, 0.95, 0.0),
                (0.7, 40, 0.95, 0.05),
                (1.5, 0, 0.9, 0.02),
                (0.6, 20, 1.0, 0.0),
                (2.0, 0, 1.0, 0.1),
                (0.0, 0, 0.9, 0.0),
            ] {
                let sampling = Sampling {
                    temperature,
                    top_k,
                    top_p,
                    min_p,
                    ..Sampling::default()
                };
                let ours: Vec<(usize, f64)> = chances(&logits, &sampling)
                    .into_iter()
                    .filter(|(_, chance)| *chance > 1e-9)
                    .collect();
                let theirs = of_chain(&logits, &sampling);
                let theirs: std::collections::HashMap<usize, f64> = theirs.into_iter().collect();
                let (both, ours_alone): (Vec<_>, Vec<_>) = ours
                    .into_iter()
                    .partition(|(token, _)| theirs.contains_key(token));
                // Where the cumulated probability meets top-p, rounding decides: llama.cpp adds up
                // a hundred thousand small numbers in f32.
                let alone = ours_alone.len().max(theirs.len() - both.len());
                let shared: f64 = both.iter().map(|(token, _)| theirs[token]).sum();
                let weight: f64 = ours_alone.iter().map(|(_, chance)| chance).sum();
                assert!(
                    alone <= 1 || weight.max(1.0 - shared) < 1e-3,
                    "{sampling:?}: {alone} tokens with {weight} and {}",
                    1.0 - shared
                );
                for (token, chance) in both {
                    let other = theirs[&token];
                    let allowed = 2e-3 * chance + 2e-6;
                    assert!(
                        (chance - other).abs() < allowed,
                        "{sampling:?} {token}: {chance} {other}"
                    );
                }
            }
        }
    }
}
