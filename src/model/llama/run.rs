//! A llama.cpp context at work: one prompt, and the KV streams that go on from it.

use std::{num::NonZeroU32, time::Instant};

use llama_cpp_2::{
    context::{
        LlamaContext,
        params::{LlamaContextParams, LlamaPoolingType},
    },
    llama_batch::LlamaBatch,
    token::LlamaToken,
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rayon::prelude::*;

use super::{LlamaCpp, backend, failure, index};
use crate::{
    error::Result,
    model::{
        Generation, Sampling, Usage,
        draw::{draw, logprob},
    },
    trace::Stop,
};

/// llama.cpp's bound on sequences in one context (`LLAMA_MAX_SEQ`).
const STREAMS_MAX: usize = 256;
/// The KV stream that holds the prompt being continued.
const PROMPT_STREAM: i32 = 0;
/// Most tokens given to llama.cpp in one call.
const BATCH_TOKENS_MAX: usize = 2048;
/// Most bytes of logits that one call may produce.
const LOGITS_BYTES_MAX: usize = 256 << 20;

/// A context at work.
pub(super) struct Run<'a> {
    model: &'a LlamaCpp,
    context: LlamaContext<'a>,
    batch: LlamaBatch<'a>,
    /// KV streams, the prompt's included.
    pub(super) streams: usize,
    /// Most tokens of a stream.
    cells: usize,
    /// The samples that decode; the i-th is in KV stream i + 1, without gaps, because llama.cpp
    /// splits a batch wherever stream numbers jump.
    pub(super) running: Vec<Running>,
    pub(super) usage: Usage,
}

/// One sample on its way.
pub(super) struct Running {
    /// Its request and its index among that request's samples.
    of: (usize, usize),
    random: ChaCha8Rng,
    /// Tokens in its KV stream.
    position: usize,
    /// The drawn token that is not in the KV stream yet.
    next: LlamaToken,
    text: Vec<u8>,
    tokens: u32,
    logprob_sum: f64,
    stop: Option<Stop>,
}

impl<'a> Run<'a> {
    /// A context of up to `streams` KV streams, as many as fit the budget but at least two, with
    /// `cells` cells each; `embeddings` makes it give hidden states beside logits.
    pub(super) fn new(
        model: &'a LlamaCpp,
        streams: usize,
        cells: usize,
        with_adapter: bool,
        embeddings: bool,
    ) -> Result<Self> {
        // llama.cpp rounds a stream's cells up to a multiple of this.
        let rounded = cells.next_multiple_of(256);
        let fitting = model.resources.kv_bytes_max / (rounded as u64 * model.kv_bytes_per_token());
        let fitting = usize::try_from(fitting).unwrap_or(STREAMS_MAX);
        let streams = streams.min(STREAMS_MAX).min(fitting).max(2);
        let threads = i32::try_from(model.resources.threads).unwrap_or(i32::MAX);
        let parameters = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(size(streams * rounded)))
            .with_n_seq_max(size(streams))
            .with_n_batch(size(BATCH_TOKENS_MAX))
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_embeddings(embeddings)
            .with_pooling_type(LlamaPoolingType::None)
            .with_kv_unified(false);
        let mut context = model
            .model
            .new_context(backend(), parameters)
            .map_err(|_| failure(&model.files[0], "llama.cpp cannot make a context for it"))?;
        if let Some(adapter) = model.adapter.as_ref().filter(|_| with_adapter) {
            let mut adapter = adapter.lock().expect("no thread panicked with it");
            let set = context.lora_adapter_set(&mut adapter, 1.0);
            set.map_err(|source| model.error(source.to_string()))?;
        }
        Ok(Self {
            model,
            context,
            batch: LlamaBatch::new(BATCH_TOKENS_MAX, 1),
            streams,
            cells,
            running: Vec::new(),
            usage: Usage::default(),
        })
    }

    /// Evaluates a prompt into the prompt stream and returns the logits after it `(vocab,)`.
    pub(super) fn evaluate(&mut self, prompt: &[LlamaToken]) -> Result<Vec<f32>> {
        let started = Instant::now();
        self.clear(PROMPT_STREAM)?;
        let last = prompt.len() - 1;
        for (chunk, tokens) in prompt.chunks(BATCH_TOKENS_MAX).enumerate() {
            self.batch.clear();
            for (place, token) in tokens.iter().enumerate() {
                let position = chunk * BATCH_TOKENS_MAX + place;
                self.add(*token, position, PROMPT_STREAM, position == last)?;
            }
            self.decode()?;
        }
        let logits = self
            .context
            .get_logits_ith(self.batch.n_tokens() - 1)
            .to_vec();
        self.usage.tokens_prompt += prompt.len() as u64;
        self.usage.prompt += started.elapsed();
        Ok(logits)
    }

    /// Starts a sample after the prompt in the prompt stream.
    pub(super) fn start(
        &mut self,
        of: (usize, usize),
        prompt: usize,
        logits: &[f32],
        sampling: &Sampling,
        seed: u64,
    ) -> Result<()> {
        let stream = stream_of(self.running.len());
        self.clear(stream)?;
        self.copy(PROMPT_STREAM, stream)?;
        let mut running = Running {
            of,
            random: ChaCha8Rng::seed_from_u64(seed),
            position: prompt,
            next: LlamaToken::new(0),
            text: Vec::new(),
            tokens: 0,
            logprob_sum: 0.0,
            stop: None,
        };
        running.advance(logits, self.model, sampling, self.cells);
        self.running.push(running);
        Ok(())
    }

    /// One decode step of everything that runs.
    pub(super) fn step(&mut self, sampling: &Sampling) -> Result<()> {
        let going: Vec<usize> = (0..self.running.len())
            .filter(|index| self.running[*index].stop.is_none())
            .collect();
        if going.is_empty() {
            return Ok(());
        }
        self.batch.clear();
        for index in &going {
            let Running { next, position, .. } = self.running[*index];
            self.add(next, position, stream_of(*index), true)?;
        }
        self.decode()?;
        let rows: Vec<&[f32]> = (0..going.len())
            .map(|row| self.context.get_logits_ith(row as i32))
            .collect();
        let (model, cells) = (self.model, self.cells);
        let running = self
            .running
            .iter_mut()
            .filter(|running| running.stop.is_none());
        let work: Vec<_> = running.zip(rows).collect();
        work.into_par_iter().for_each(|(running, logits)| {
            running.position += 1;
            running.advance(logits, model, sampling, cells);
        });
        Ok(())
    }

    /// Takes out the samples that have ended, and closes the gaps they leave.
    pub(super) fn take_finished(&mut self) -> Result<Vec<(usize, usize, Generation)>> {
        let mut finished = Vec::new();
        for index in (0..self.running.len()).rev() {
            let Some(stop) = self.running[index].stop else {
                continue;
            };
            let last = self.running.len() - 1;
            let running = self.running.swap_remove(index);
            if index != last {
                self.clear(stream_of(index))?;
                self.copy(stream_of(last), stream_of(index))?;
            }
            self.usage.tokens_continued += u64::from(running.tokens);
            let (request, sample) = running.of;
            finished.push((
                request,
                sample,
                Generation {
                    text: String::from_utf8_lossy(&running.text).into_owned(),
                    tokens: running.tokens,
                    stop,
                    logprob_mean: Some(running.logprob_sum / f64::from(running.tokens)),
                },
            ));
        }
        Ok(finished)
    }

    /// Adds to each sum the log-probabilities of its continuation after the first token.
    pub(super) fn add_logprobs(
        &mut self,
        prompt: usize,
        group: &[Vec<LlamaToken>],
        sums: &mut [f64],
    ) -> Result<()> {
        for place in 0..group.len() {
            self.clear(stream_of(place))?;
            self.copy(PROMPT_STREAM, stream_of(place))?;
        }
        let vocabulary = self.model.model.n_vocab().unsigned_abs() as usize;
        let rows_max = (LOGITS_BYTES_MAX / (4 * vocabulary)).clamp(16, BATCH_TOKENS_MAX);
        // Each entry: the token to evaluate, where, and the token whose probability it gives.
        let steps: Vec<(usize, usize, LlamaToken, LlamaToken)> = group
            .iter()
            .enumerate()
            .flat_map(|(place, tokens)| {
                let pairs = tokens.windows(2).enumerate();
                pairs.map(move |(step, pair)| (place, prompt + step, pair[0], pair[1]))
            })
            .collect();
        for chunk in steps.chunks(rows_max) {
            self.batch.clear();
            for (place, position, token, _) in chunk {
                self.add(*token, *position, stream_of(*place), true)?;
            }
            self.decode()?;
            let rows: Vec<&[f32]> = (0..chunk.len())
                .map(|row| self.context.get_logits_ith(row as i32))
                .collect();
            let logprobs: Vec<f64> = rows
                .into_par_iter()
                .zip(chunk)
                .map(|(logits, (_, _, _, next))| logprob(logits, index(*next)))
                .collect();
            for ((place, ..), logprob) in chunk.iter().zip(logprobs) {
                sums[*place] += logprob;
            }
        }
        Ok(())
    }

    /// The hidden state `(width,)` after the last token of each continuation.
    pub(super) fn last_hidden(
        &mut self,
        prompt: usize,
        group: &[Vec<LlamaToken>],
    ) -> Result<Vec<Vec<f32>>> {
        let mut hidden = Vec::new();
        for (place, tokens) in group.iter().enumerate() {
            let stream = stream_of(place);
            self.clear(stream)?;
            self.copy(PROMPT_STREAM, stream)?;
            for (chunk, part) in tokens.chunks(BATCH_TOKENS_MAX).enumerate() {
                self.batch.clear();
                for (step, token) in part.iter().enumerate() {
                    let step = chunk * BATCH_TOKENS_MAX + step;
                    self.add(*token, prompt + step, stream, step + 1 == tokens.len())?;
                }
                self.decode()?;
            }
            let last = self.context.embeddings_ith(self.batch.n_tokens() - 1);
            hidden.push(
                last.map_err(|source| self.model.error(source.to_string()))?
                    .to_vec(),
            );
        }
        Ok(hidden)
    }

    fn add(&mut self, token: LlamaToken, position: usize, stream: i32, logits: bool) -> Result<()> {
        let position = i32::try_from(position).expect("a position fits in 31 bits");
        let added = self.batch.add(token, position, &[stream], logits);
        added.map_err(|source| self.model.error(source.to_string()))
    }

    fn decode(&mut self) -> Result<()> {
        let decoded = self.context.decode(&mut self.batch);
        decoded.map_err(|source| {
            self.model
                .error(format!("llama.cpp cannot decode: {source}"))
        })
    }

    fn clear(&mut self, stream: i32) -> Result<()> {
        let cleared = self
            .context
            .clear_kv_cache_seq(Some(stream.unsigned_abs()), None, None);
        cleared
            .map(drop)
            .map_err(|source| self.model.error(source.to_string()))
    }

    fn copy(&mut self, from: i32, to: i32) -> Result<()> {
        let copied = self.context.copy_kv_cache_seq(from, to, None, None);
        copied.map_err(|source| self.model.error(source.to_string()))
    }
}

impl Running {
    /// Draws the next token and decides whether the sample ends with it.
    fn advance(&mut self, logits: &[f32], model: &LlamaCpp, sampling: &Sampling, cells: usize) {
        let drawn = draw(logits, sampling, &mut self.random);
        let vocab = model.model.vocab();
        self.next = LlamaToken::new(drawn.token);
        self.tokens += 1;
        self.logprob_sum += drawn.logprob;
        if vocab.is_eog(self.next) {
            self.stop = Some(Stop::End);
            return;
        }
        let before = self.text.len();
        vocab.token_to_piece_into(self.next, &mut self.text, false, None);
        let ends = sampling.stop.iter().filter_map(|stop| {
            let from = before.saturating_sub(stop.len());
            find(&self.text[from..], stop.as_bytes()).map(|place| from + place)
        });
        if let Some(end) = ends.min() {
            self.text.truncate(end);
            self.stop = Some(Stop::String);
        } else if self.tokens as usize >= sampling.tokens_max || self.position + 1 >= cells {
            self.stop = Some(Stop::Length);
        }
    }
}

/// Where `wanted` first stands in `text`.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len().max(1))
        .position(|window| window == wanted)
}

/// The KV stream of the i-th running sample.
fn stream_of(index: usize) -> i32 {
    i32::try_from(index + 1).expect("there are at most 256 streams")
}

fn size(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
