//! Samples and scores that a model gave once are not computed again.
//!
//! A sample is kept under all that it depends on: the model's SHA-256, the conversation, how tokens
//! are drawn, the seed, the question, the candidate, and which of a question's samples it is. So
//! another selector or filter draws nothing, a larger N draws only what is new, and no sample stands
//! for another. A question's samples of a model are one file of JSON lines, to which several
//! processes may add at once.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
};

use sha2::{Digest, Sha256};

use self::store::{Kept, Store};
use super::{
    Finished, Generation, LanguageModel, Message, Prompts, Request, Sampling, Scored, Ticket,
    Usage, Watch,
};
use crate::{error::Result, problem::Question};

mod store;

/// Part of every key: with another value, what was kept before is not found any more.
const FORMAT: u64 = 2;

/// A model whose samples and scores are kept.
pub struct Cached {
    model: Box<dyn LanguageModel>,
    sha256: String,
    store: Store,
    /// Requests taken on, by the id of their ticket.
    requests: HashMap<u64, Waiting>,
    /// The ticket that each of the model's own tickets belongs to.
    tickets: HashMap<u64, u64>,
    /// Samples that were kept and have not been handed back.
    kept: VecDeque<Finished>,
    next: u64,
}

/// A request that is not finished.
struct Waiting {
    question: Question,
    /// A key for each sample, from the request's first.
    keys: Vec<String>,
    first: usize,
    /// Samples that are still to come.
    left: usize,
    /// Whether the prompt's tokens have been counted.
    prompt_is_counted: bool,
    /// The model's own tickets for what was not kept.
    tickets: Vec<u64>,
}

impl Cached {
    /// Keeps what `model` gives in a folder, which is made where it is not there.
    ///
    /// # Errors
    /// A folder that cannot be made; a model file that cannot be read.
    pub fn new(model: Box<dyn LanguageModel>, folder: &Path) -> Result<Self> {
        let sha256 = model.sha256()?;
        let store = Store::open(folder, &sha256)?;
        Ok(Self {
            model,
            sha256,
            store,
            requests: HashMap::new(),
            tickets: HashMap::new(),
            kept: VecDeque::new(),
            next: 0,
        })
    }

    /// A sample of the model's came to its end: keeps it, and says what it is here.
    fn came(&mut self, mut finished: Finished) -> Result<Option<Finished>> {
        let Some(ticket) = self.tickets.get(&finished.ticket).copied() else {
            return Ok(None);
        };
        let waiting = &self.requests[&ticket];
        let sample = Kept::Sample {
            generation: finished.generation.clone(),
            tokens_prompt: finished.usage.tokens_prompt,
        };
        let key = &waiting.keys[finished.sample - waiting.first];
        self.store.keep(&waiting.question, key, sample)?;
        if waiting.prompt_is_counted {
            finished.usage.tokens_prompt = 0;
        }
        finished.ticket = ticket;
        self.handed_back(ticket);
        Ok(Some(finished))
    }

    /// One sample less is to come.
    fn handed_back(&mut self, ticket: u64) {
        let Some(waiting) = self.requests.get_mut(&ticket) else {
            return;
        };
        waiting.left -= 1;
        if waiting.left == 0 {
            waiting.tickets.iter().for_each(|own| {
                self.tickets.remove(own);
            });
            self.requests.remove(&ticket);
        }
    }
}

impl LanguageModel for Cached {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn sha256(&self) -> Result<String> {
        Ok(self.sha256.clone())
    }

    fn prompts(&self) -> &Prompts {
        self.model.prompts()
    }

    fn parameters(&self) -> Option<u64> {
        self.model.parameters()
    }

    fn submit(&mut self, request: &Request, sampling: &Sampling) -> Result<Ticket> {
        let key = |sample| sample_key(request, sampling, sample);
        let samples = request.first..request.first + request.samples;
        let keys: Vec<String> = samples.clone().map(key).collect();
        let id = self.next;
        self.next += 1;

        let known = self.store.of(request.question)?;
        let kept: Vec<Option<(Generation, u64)>> = keys
            .iter()
            .map(|key| match known.get(key) {
                Some(Kept::Sample {
                    generation,
                    tokens_prompt,
                }) => Some((generation.clone(), *tokens_prompt)),
                _ => None,
            })
            .collect();
        let mut waiting = Waiting {
            question: request.question.clone(),
            keys,
            first: request.first,
            left: 0,
            prompt_is_counted: kept.iter().flatten().any(|(_, prompt)| *prompt > 0),
            tickets: Vec::new(),
        };
        // The longest runs of samples that were not kept are requests of their own.
        let mut missing = samples
            .zip(&kept)
            .filter(|(_, kept)| kept.is_none())
            .map(|(sample, _)| sample)
            .peekable();
        while let Some(first) = missing.next() {
            let mut samples = 1;
            while missing.next_if_eq(&(first + samples)).is_some() {
                samples += 1;
            }
            let part = Request {
                first,
                samples,
                ..request.clone()
            };
            let ticket = match self.model.submit(&part, sampling) {
                Ok(ticket) => ticket,
                Err(error) => {
                    waiting
                        .tickets
                        .iter()
                        .for_each(|own| drop(self.model.cancel(*own)));
                    return Err(error);
                }
            };
            waiting.left += ticket.samples;
            waiting.tickets.push(ticket.id);
        }
        let mut prompt_is_counted = false;
        for (sample, (generation, tokens_prompt)) in (request.first..)
            .zip(kept)
            .filter_map(|(sample, kept)| Some((sample, kept?)))
        {
            waiting.left += 1;
            let usage = Usage {
                // A larger N later may have evaluated the prompt a second time.
                tokens_prompt: if prompt_is_counted { 0 } else { tokens_prompt },
                tokens_continued: generation.tokens.into(),
                ..Usage::default()
            };
            prompt_is_counted |= tokens_prompt > 0;
            self.kept.push_back(Finished {
                ticket: id,
                sample,
                generation,
                usage,
            });
        }
        let samples = waiting.left;
        if samples > 0 {
            self.tickets
                .extend(waiting.tickets.iter().map(|own| (*own, id)));
            self.requests.insert(id, waiting);
        }
        Ok(Ticket { id, samples })
    }

    fn step(&mut self) -> Result<Vec<Finished>> {
        if !self.kept.is_empty() {
            let ready: Vec<Finished> = self.kept.drain(..).collect();
            ready
                .iter()
                .for_each(|finished| self.handed_back(finished.ticket));
            return Ok(ready);
        }
        let finished = self.model.step()?;
        let came = finished.into_iter().map(|finished| self.came(finished));
        came.filter_map(Result::transpose).collect()
    }

    fn cancel(&mut self, ticket: u64) -> Vec<Finished> {
        self.kept.retain(|finished| finished.ticket != ticket);
        let Some(waiting) = self.requests.remove(&ticket) else {
            return Vec::new();
        };
        let mut drawn = Vec::new();
        for own in &waiting.tickets {
            self.tickets.remove(own);
            drawn.extend(self.model.cancel(*own));
        }
        drawn
            .iter_mut()
            .for_each(|finished| finished.ticket = ticket);
        drawn
    }

    fn pending(&self) -> usize {
        self.kept.len() + self.model.pending()
    }

    fn score(&mut self, request: &Request, continuations: &[&str], watch: Watch) -> Result<Scored> {
        let keys: Vec<String> = continuations
            .iter()
            .map(|text| score_key(request, text))
            .collect();
        let known = self.store.of(request.question)?;
        let kept = |key: &String| match known.get(key) {
            Some(Kept::Score { score, tokens }) => Some((*score, *tokens)),
            _ => None,
        };
        let mut scores: Vec<Option<(Option<f64>, u64)>> = keys.iter().map(kept).collect();
        let places: Vec<usize> = (0..keys.len())
            .filter(|place| scores[*place].is_none())
            .collect();
        let mut usage = Usage::default();
        if !places.is_empty() {
            let missing: Vec<&str> = places.iter().map(|place| continuations[*place]).collect();
            let scored = self.model.score(request, &missing, watch)?;
            usage = scored.usage;
            // Tokens are known of all together alone: each has an equal share of them.
            let tokens = usage.tokens_prompt + usage.tokens_continued;
            let count = places.len() as u64;
            for (nth, (place, score)) in (0..).zip(places.iter().zip(scored.scores)) {
                let tokens = tokens / count + u64::from(nth < tokens % count);
                scores[*place] = Some((score, tokens));
                // JSON has no such number: it would come back as no score, and nobody would hear of
                // the damage.
                if score.is_none_or(f64::is_finite) {
                    let kept = Kept::Score { score, tokens };
                    self.store.keep(request.question, &keys[*place], kept)?;
                }
            }
        }
        let all: u64 = scores.iter().flatten().map(|(_, tokens)| tokens).sum();
        usage.tokens_continued = all - usage.tokens_prompt.min(all);
        Ok(Scored {
            scores: scores
                .into_iter()
                .map(|score| score.and_then(|(score, _)| score))
                .collect(),
            usage,
        })
    }
}

/// All that a sample depends on, but for the model.
fn sample_key(request: &Request, sampling: &Sampling, sample: usize) -> String {
    let mut hash = key("sample", request);
    // Every field of it, those too that are added later.
    add(&mut hash, &format!("{sampling:?}"));
    for number in [
        request.seed,
        request.candidate.map_or(0, |index| index as u64 + 1),
        sample as u64,
    ] {
        hash.update(number.to_le_bytes());
    }
    format!("{:x}", hash.finalize())
}

/// All that a score depends on, but for the model.
fn score_key(request: &Request, continuation: &str) -> String {
    let mut hash = key("score", request);
    add(&mut hash, continuation);
    format!("{:x}", hash.finalize())
}

fn key(what: &str, request: &Request) -> Sha256 {
    let mut hash = Sha256::new();
    hash.update(FORMAT.to_le_bytes());
    for part in [what, &request.question.id, &request.question.text] {
        add(&mut hash, part);
    }
    hash.update((request.messages.len() as u64).to_le_bytes());
    for Message { role, content } in &request.messages {
        add(&mut hash, role);
        add(&mut hash, content);
    }
    hash
}

fn add(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}
