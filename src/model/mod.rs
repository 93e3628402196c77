//! Language models, seen through one trait: a live one ([`llama`]) and a recorded one ([`replay`]).
//!
//! In: [`Request`]s (messages and how many samples), as they come. Out: [`Generation`]s, as they
//! finish, or one score per continuation. Only this folder knows how a model is run.

use std::{
    collections::HashMap,
    ops::{AddAssign, ControlFlow},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    problem::Question,
    trace::Stop,
};

pub mod cache;
pub mod llama;
pub mod replay;

mod chat;
mod draw;
pub mod prompt;
mod repeat;

pub mod fixture;
pub mod gguf;
pub mod hub;
pub mod hugging_face;
pub mod llama2c;
pub mod manifest;
pub(crate) mod random;

pub use llama::LlamaCpp;
pub use prompt::Prompts;
pub use replay::Replay;

/// Called as work goes on, with steps done and steps in all.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Called every moment of a long piece of work, with steps done and steps in all; at a break the work
/// is given up with [`crate::Error::Interrupted`].
pub type Watch<'a> = &'a (dyn Fn(usize, usize) -> ControlFlow<()> + Sync);

/// A [`Watch`] that lets work come to its end.
pub fn to_the_end(_done: usize, _all: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Something that continues a conversation and scores continuations.
///
/// Work is submitted as it comes and handed back as it finishes: whoever has many questions submits
/// the next ones while earlier ones run, so that the batch stays full. [`LanguageModel::generate`]
/// is the plain form.
pub trait LanguageModel {
    /// The name the user gave it.
    fn name(&self) -> &str;

    /// What identifies the exact model: the SHA-256 of its files, in hexadecimal.
    ///
    /// # Errors
    /// A file that cannot be read.
    fn sha256(&self) -> Result<String>;

    /// The wording of its prompts.
    fn prompts(&self) -> &Prompts {
        Prompts::common()
    }

    /// How many parameters it has; `None` where nothing is computed, as by a recording.
    fn parameters(&self) -> Option<u64> {
        None
    }

    /// Takes a request on; [`LanguageModel::step`] hands its continuations back.
    ///
    /// # Errors
    /// A prompt that does not fit the context, unless the request is about a candidate: then it
    /// has no continuations.
    fn submit(&mut self, request: &Request, sampling: &Sampling) -> Result<Ticket>;

    /// Works for a moment, one decode step of all that runs at once, and hands back what ended, in
    /// any order.
    ///
    /// # Errors
    /// A failure of the backend.
    fn step(&mut self) -> Result<Vec<Finished>>;

    /// Gives up what is left of a request, and hands back what was drawn of it, marked
    /// [`Stop::Cancelled`].
    fn cancel(&mut self, ticket: u64) -> Vec<Finished>;

    /// Continuations submitted that have not ended.
    fn pending(&self) -> usize;

    /// Scores continuations of one request: the mean log-probability per token, the turn's end
    /// included, in nats (SimPO's reward, arXiv 2405.14734 eq. 4, without its factor beta).
    /// `None` where a recording holds no score, and for a continuation that does not fit the context.
    ///
    /// # Errors
    /// A prompt that does not fit the context; a `watch` that breaks; a failure of the backend.
    fn score(&mut self, request: &Request, continuations: &[&str], watch: Watch) -> Result<Scored>;

    /// Draws every continuation of each request, in the order of the requests. For a model that has
    /// nothing else to do: what else it was given is lost.
    ///
    /// # Errors
    /// As [`LanguageModel::submit`] and [`LanguageModel::step`].
    fn generate(
        &mut self,
        requests: &[Request],
        sampling: &Sampling,
        progress: Progress,
    ) -> Result<Generated> {
        let mut tickets: Vec<Ticket> = Vec::new();
        for request in requests {
            match self.submit(request, sampling) {
                Ok(ticket) => tickets.push(ticket),
                Err(error) => return Err(given_up(self, &tickets, error)),
            }
        }
        let all = tickets.iter().map(|ticket| ticket.samples).sum();
        let mut place: HashMap<u64, usize> = HashMap::new();
        place.extend(
            tickets
                .iter()
                .enumerate()
                .map(|(place, ticket)| (ticket.id, place)),
        );
        let mut drawn: Vec<Vec<Option<Generation>>> = tickets
            .iter()
            .map(|ticket| vec![None; ticket.samples])
            .collect();
        let mut usage = Usage::default();
        let mut done = 0;
        progress(0, all);
        while self.pending() > 0 {
            let ended = match self.step() {
                Ok(ended) => ended,
                Err(error) => return Err(given_up(self, &tickets, error)),
            };
            for ended in ended {
                let Some(request) = place.get(&ended.ticket).copied() else {
                    continue;
                };
                drawn[request][ended.sample - requests[request].first] = Some(ended.generation);
                usage += ended.usage;
                done += 1;
                progress(done, all);
            }
        }
        let generations = drawn
            .into_iter()
            .map(|samples| samples.into_iter().flatten());
        Ok(Generated {
            generations: generations.map(Iterator::collect).collect(),
            usage,
        })
    }
}

/// Leaves nothing behind of requests that met an error: what comes next must not meet it again.
fn given_up<M: LanguageModel + ?Sized>(model: &mut M, tickets: &[Ticket], error: Error) -> Error {
    for ticket in tickets {
        model.cancel(ticket.id);
    }
    error
}

/// A request that a model has taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Tells it apart from the model's others.
    pub id: u64,
    /// Continuations that will come: fewer than asked where a recording holds fewer.
    pub samples: usize,
}

/// A continuation that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The id of its request's ticket.
    pub ticket: u64,
    /// Which of the request's continuations it is, counted from the question's first.
    pub sample: usize,
    /// What was drawn.
    pub generation: Generation,
    /// What it took; the prompt is counted with one of the continuations that share it.
    pub usage: Usage,
}

/// What is asked of a model.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The question it is about; a recording finds its row by it.
    pub question: &'a Question,
    /// The candidate it is about, where it is about one.
    pub candidate: Option<usize>,
    /// The conversation to continue.
    pub messages: Vec<Message>,
    /// Index of the first continuation to draw, where earlier ones were drawn before.
    pub first: usize,
    /// Continuations to draw.
    pub samples: usize,
    /// With a continuation's index, all that its randomness depends on.
    pub seed: u64,
}

impl<'a> Request<'a> {
    /// A conversation of which given continuations are scored, and none is drawn.
    pub fn scoring(question: &'a Question, messages: Vec<Message>) -> Self {
        Self {
            question,
            candidate: None,
            messages,
            first: 0,
            samples: 0,
            seed: 0,
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// What was said.
    pub content: String,
}

impl Message {
    /// A turn of the user's.
    pub fn user(content: impl Into<String>) -> Self {
        Self {
            role: "user",
            content: content.into(),
        }
    }
}

/// How tokens are drawn. The filters apply in the order top-k, top-p, min-p, temperature, which
/// is llama.cpp's.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most likely token.
    pub temperature: f32,
    /// Keeps the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the smallest set of tokens whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Drops tokens less likely than this share of the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Most tokens of one continuation.
    pub tokens_max: usize,
    /// Ends a continuation that goes round in circles, once a span of tokens has come this many
    /// times in a row; 0 lets it go on.
    pub repeats_max: usize,
    /// Strings that end a continuation; they are not part of it.
    pub stop: Vec<String>,
}

impl Default for Sampling {
    /// Temperature 0.7 and top-p 0.95: what the self-consistency literature samples with
    /// (Orca-Math, arXiv 2402.14830, section 3).
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_k: 0,
            top_p: 0.95,
            min_p: 0.0,
            tokens_max: 512,
            repeats_max: 8,
            stop: Vec::new(),
        }
    }
}

/// One drawn continuation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    /// The text.
    pub text: String,
    /// Tokens drawn, the end of turn included; 0 where a recording does not tell.
    pub tokens: u32,
    /// Why it ended.
    pub stop: Stop,
    /// Mean log-probability of the drawn tokens before any filter or temperature, in nats.
    pub logprob_mean: Option<f64>,
}

/// What [`LanguageModel::generate`] returns.
#[derive(Clone, Debug, Default)]
pub struct Generated {
    /// For each request its continuations; fewer than asked where a recording holds fewer.
    pub generations: Vec<Vec<Generation>>,
    /// What it took.
    pub usage: Usage,
}

/// What [`LanguageModel::score`] returns.
#[derive(Clone, Debug, Default)]
pub struct Scored {
    /// One score per continuation.
    pub scores: Vec<Option<f64>>,
    /// What it took.
    pub usage: Usage,
}

/// Work done by a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Prompt tokens evaluated; a prompt shared by many continuations counts once.
    pub tokens_prompt: u64,
    /// Tokens drawn or scored.
    pub tokens_continued: u64,
    /// Time spent on prompts.
    pub prompt: Duration,
    /// Time spent in all: the model's time, of which each of those that run at once has a share.
    pub time: Duration,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.tokens_prompt += other.tokens_prompt;
        self.tokens_continued += other.tokens_continued;
        self.prompt += other.prompt;
        self.time += other.time;
    }
}

/// One seed out of two: the run's, and what sets this use apart (an id, an index).
///
/// FNV-1a over the bytes, then the finaliser of `SplitMix64`; stable over versions and machines,
/// because recorded runs are repeated from their seed.
pub fn seed_for(seed: u64, what: &str, index: usize) -> u64 {
    let bytes = seed
        .to_le_bytes()
        .into_iter()
        .chain(what.bytes())
        .chain((index as u64).to_le_bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
