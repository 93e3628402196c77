//! Draws samples of any number of requests at once.
//!
//! A prompt is evaluated in KV stream 0 and its keys and values are copied to the stream of each of
//! its samples; all running samples take one decode step together. When a sample ends, the next
//! one, of this request or of a later one, takes its stream, so the batch stays full.
//!
//! The other layout that llama.cpp has, one cache that all samples share, is not used for drawing,
//! whatever the prompt's length p, the number of samples N and their length T:
//!
//! - Time. At its t-th token a sample attends over p + t cells in streams, and over p + N t in one
//!   cache, where those of the other samples are computed and then masked; but there the prompt's
//!   cells are read once for all. Lines through measured steps of 64 samples (SmolLM2-135M in
//!   `Q8_0`, `eval/README.md`) are 87 ms + 143 µs (p + T/2) in streams and 73 ms + 63 µs (p + N T/2)
//!   in one cache. So one cache is faster where T < p/23 (p = 4,000) or p/13 (p = 200), and
//!   candidates that reason are longer than that.
//! - Memory. Streams take (N + 1)(p + T) cells, one cache p + N T. Where the budget holds fewer,
//!   fewer samples decode at once, which costs little: 16 decode at 0.75 to 0.97 of the speed of 64.
//! - The same candidates for the same seed. The budget is by default a share of what memory is free,
//!   and sums are rounded in another order in another layout: a layout chosen by the budget would
//!   make candidates depend on what else the machine does.

use std::{
    collections::VecDeque,
    mem,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use llama_cpp_2::token::LlamaToken;
use rayon::prelude::*;

use super::{
    Role,
    context::{BATCH_TOKENS_MAX, Context, ROWS, SEQUENCES_MAX, Shape},
    running::Running,
};
use crate::{
    error::Result,
    model::{Finished, Sampling, Ticket, Usage, seed_for},
};

/// The KV stream that holds the prompt being continued.
const PROMPT_STREAM: i32 = 0;
/// Samples that decode at once, where memory allows. On a CPU 128 of them were measured to decode
/// 4 to 7 % faster in `Q8_0` and 2 % slower to 4 % faster in `Q4_K_M`, in twice the memory (see
/// `eval/README.md`): the weights are read once for all of them already.
const AT_ONCE_MAX: usize = 64;
const _: () = assert!(AT_ONCE_MAX < SEQUENCES_MAX);
/// llama.cpp rounds a stream's cells up to a multiple of this.
const CELLS_STEP: usize = 256;
/// Tokens that a prompt must share with the one before it for these not to be evaluated again. The
/// rest of a prompt is rounded otherwise than the whole of it, so that what little a template shares
/// would make candidates depend on which question came before; a coder's prompts, which share
/// instructions and question, are worth it.
const SHARED_MIN: usize = 64;
/// Logits that one thread goes through before another is worth waking.
const LOGITS_PER_TASK: usize = 32 << 10;

/// Requests on their way.
pub(super) struct Run {
    role: Arc<Role>,
    /// Made when it is first needed, kept while it is large enough.
    context: Option<Context>,
    /// Requests with samples that have not begun, first come, first served.
    queue: VecDeque<Waiting>,
    /// What decodes: the i-th in KV stream i + 1.
    slots: Vec<Option<Running>>,
    held: Held,
    ended: Vec<Finished>,
    tickets: u64,
}

/// A request with samples that have not begun.
struct Waiting {
    ticket: u64,
    prompt: Vec<LlamaToken>,
    samples: Range<usize>,
    seed: u64,
    sampling: Arc<Sampling>,
    tokens_max: usize,
}

/// The prompt in the prompt stream, and the logits after it.
#[derive(Default)]
struct Held {
    tokens: Vec<LlamaToken>,
    logits: Vec<f32>,
}

impl Run {
    pub fn new(role: Arc<Role>) -> Self {
        Self {
            role,
            context: None,
            queue: VecDeque::new(),
            slots: Vec::new(),
            held: Held::default(),
            ended: Vec::new(),
            tickets: 0,
        }
    }

    /// Takes on a request whose prompt leaves room for at least one token.
    pub fn submit(
        &mut self,
        prompt: Vec<LlamaToken>,
        samples: Range<usize>,
        seed: u64,
        sampling: &Sampling,
    ) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket {
            id: self.tickets,
            samples: samples.len(),
        };
        if !samples.is_empty() {
            let room = self.role.context_tokens() - prompt.len();
            self.queue.push_back(Waiting {
                ticket: ticket.id,
                tokens_max: sampling.tokens_max.min(room),
                prompt,
                samples,
                seed,
                sampling: Arc::new(sampling.clone()),
            });
        }
        ticket
    }

    /// Gives up what is left of a request, and hands back what was drawn of it.
    pub fn cancel(&mut self, ticket: u64) -> Vec<Finished> {
        self.queue.retain(|waiting| waiting.ticket != ticket);
        let running = self.slots.iter_mut().filter_map(|slot| {
            let running = slot.take_if(|running| running.ticket == ticket)?;
            Some(running.cancelled())
        });
        running.collect()
    }

    /// Samples that have not been handed back.
    pub fn pending(&self) -> usize {
        let waiting: usize = self.queue.iter().map(|waiting| waiting.samples.len()).sum();
        waiting + self.slots.iter().flatten().count() + self.ended.len()
    }

    /// Fills the batch, takes one decode step of it, and hands back what ended.
    pub fn step(&mut self) -> Result<Vec<Finished>> {
        self.admit()?;
        self.close_gaps()?;
        self.decode()?;
        self.collect();
        let broken = |ended: &Finished| {
            ended
                .generation
                .logprob_mean
                .is_some_and(|mean| !mean.is_finite())
        };
        if self.ended.iter().any(broken) {
            let reason = "its logits are not numbers: the weights are damaged, name another model";
            return Err(self.role.error(reason));
        }
        Ok(mem::take(&mut self.ended))
    }

    /// Starts waiting samples while there are streams for them.
    fn admit(&mut self) -> Result<()> {
        while !self.queue.is_empty() {
            let idle = self.slots.iter().all(Option::is_none);
            if !self.has_room(idle)? {
                if !idle {
                    // What waits needs longer streams; it begins when the others have ended.
                    break;
                }
                self.make_context()?;
            }
            let streams = self
                .context
                .as_ref()
                .map_or(0, |context| context.shape.sequences);
            self.slots.resize_with(streams - 1, || None);
            let free: Vec<usize> = (0..self.slots.len())
                .filter(|slot| self.slots[*slot].is_none())
                .collect();
            if free.is_empty() {
                break;
            }
            self.start(&free)?;
            // A first token may have been the last one.
            self.collect();
        }
        Ok(())
    }

    /// Whether the context is large enough for the next request, and if nothing runs, for as much
    /// at once as a new context would be; if something does, for half as much: a long prompt that
    /// left few streams must not slow down all that come after it, for as long as some come.
    fn has_room(&self, idle: bool) -> Result<bool> {
        let (Some(context), Some(next)) = (&self.context, self.queue.front()) else {
            return Ok(false);
        };
        if context.shape.cells < next.cells() {
            return Ok(false);
        }
        if !idle {
            let few = |best: Shape| 2 * context.shape.sequences < best.sequences;
            return Ok(!self.plan().is_ok_and(few));
        }
        let best = self.plan()?;
        Ok(context.shape.sequences >= best.sequences && context.shape.cells >= best.cells)
    }

    /// The streams that fit the budget: each as long as the longest request that waits, as many as
    /// there are samples, with one for the prompt.
    fn plan(&self) -> Result<Shape> {
        let longest = self.queue.iter().map(Waiting::cells).max().unwrap_or(1);
        let samples: usize = self.queue.iter().map(|waiting| waiting.samples.len()).sum();
        let mut shape = Shape {
            sequences: 1,
            shared: false,
            cells: longest.next_multiple_of(CELLS_STEP),
            hidden: false,
        };
        let stream = shape.bytes(self.role.weights.bytes_per_cell());
        let allowed = self.role.resources.kv_bytes_each();
        let fitting = usize::try_from(allowed / stream).unwrap_or(usize::MAX);
        let rows = self.role.rows();
        if fitting <= rows {
            let (samples, without) = match rows {
                1 => ("a sample".to_owned(), ""),
                _ => (format!("{rows} samples"), ", or leave --deterministic out"),
            };
            return Err(self.role.cache_too_small(
                (rows as u64 + 1) * stream,
                &format!("for a prompt and {samples} of {longest} tokens together"),
                &format!(", or fewer tokens with --max-tokens{without}"),
            ));
        }
        let at_once = samples.min(AT_ONCE_MAX).next_multiple_of(rows);
        shape.sequences = at_once.min((fitting - 1) / rows * rows) + 1;
        Ok(shape)
    }

    fn make_context(&mut self) -> Result<()> {
        let mut shape = self.plan()?;
        // Not smaller than the last one where both fit: what came once comes again.
        if let Some(last) = self.context.take() {
            let both = Shape {
                sequences: shape.sequences.max(last.shape.sequences),
                cells: shape.cells.max(last.shape.cells),
                ..shape
            };
            let bytes = both.bytes(self.role.weights.bytes_per_cell());
            if bytes <= self.role.resources.kv_bytes_each() {
                shape = both;
            }
        }
        self.held = Held::default();
        self.context = Some(Context::new(&self.role, shape, true)?);
        Ok(())
    }

    /// Starts samples of the first request that waits in the free streams.
    fn start(&mut self, free: &[usize]) -> Result<()> {
        let Some(mut waiting) = self.queue.pop_front() else {
            return Ok(());
        };
        let mut usage = self.hold(&waiting.prompt)?;
        let started = Instant::now();
        let context = self.context.as_mut().expect("the prompt is in it");
        let mut begun = Vec::new();
        for slot in free {
            let Some(sample) = waiting.samples.next() else {
                break;
            };
            context.copy(PROMPT_STREAM, stream_of(*slot))?;
            let seed = seed_for(waiting.seed, "sample", sample);
            let mut running = Running::new(
                (waiting.ticket, sample),
                waiting.prompt.len(),
                waiting.tokens_max,
                Arc::clone(&waiting.sampling),
                seed,
            );
            // The prompt counts with the first sample that it was evaluated for.
            running.usage = mem::take(&mut usage);
            begun.push(running);
        }
        let (weights, logits) = (&self.role.weights, &self.held.logits);
        begun
            .par_iter_mut()
            .with_min_len(LOGITS_PER_TASK / logits.len() + 1)
            .for_each(|running| running.advance(logits, weights));
        share(started.elapsed(), &mut begun.iter_mut().collect::<Vec<_>>());
        for (slot, running) in free.iter().zip(begun) {
            self.slots[*slot] = Some(running);
        }
        if !waiting.samples.is_empty() {
            self.queue.push_front(waiting);
        }
        Ok(())
    }

    /// Brings a prompt into the prompt stream, evaluating what it does not share with the last one.
    fn hold(&mut self, prompt: &[LlamaToken]) -> Result<Usage> {
        if self.held.tokens == prompt {
            return Ok(Usage::default());
        }
        let started = Instant::now();
        let context = self.context.as_mut().expect("it was just made");
        let held = mem::take(&mut self.held).tokens;
        let common = held.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let mut kept = common.min(prompt.len() - 1);
        let whole = self.role.resources.deterministic || self.role.weights.is_recurrent();
        if whole || kept < SHARED_MIN {
            kept = 0;
        }
        if !context.forget(PROMPT_STREAM, kept)? {
            kept = 0;
            context.forget(PROMPT_STREAM, 0)?;
        }
        let last = prompt.len() - 1;
        context.clear();
        for (place, token) in prompt.iter().enumerate().skip(kept) {
            if context.len() == BATCH_TOKENS_MAX {
                context.decode()?;
                context.clear();
            }
            context.add(*token, place, &[PROMPT_STREAM], place == last)?;
        }
        context.decode()?;
        self.held = Held {
            tokens: prompt.to_vec(),
            logits: context.logits(context.len() - 1).to_vec(),
        };
        let time = started.elapsed();
        Ok(Usage {
            tokens_prompt: (prompt.len() - kept) as u64,
            prompt: time,
            time,
            ..Usage::default()
        })
    }

    /// Moves running samples into the streams before them that are free: llama.cpp splits a batch
    /// wherever stream numbers jump.
    fn close_gaps(&mut self) -> Result<()> {
        let mut first = 0;
        while let Some(last) = self.slots.iter().rposition(Option::is_some) {
            let Some(gap) = (first..last).find(|slot| self.slots[*slot].is_none()) else {
                break;
            };
            let context = self.context.as_mut().expect("something runs in it");
            context.copy(stream_of(last), stream_of(gap))?;
            self.slots.swap(gap, last);
            first = gap + 1;
        }
        Ok(())
    }

    /// One decode step of everything that runs.
    fn decode(&mut self) -> Result<()> {
        let Some(context) = self.context.as_mut() else {
            return Ok(());
        };
        let started = Instant::now();
        let mut running: Vec<&mut Running> = self.slots.iter_mut().flatten().collect();
        if running.is_empty() {
            return Ok(());
        }
        let (weights, deterministic) = (&self.role.weights, self.role.resources.deterministic);
        let rows = self.role.rows();
        // How many rows an expert gets depends on the others in the batch.
        let at_once = match deterministic && rows == 1 {
            true => 1,
            false => running.len(),
        };
        for (first, together) in (0..).step_by(at_once).zip(running.chunks_mut(at_once)) {
            context.clear();
            for (slot, running) in (first..).zip(together.iter()) {
                context.add(running.next, running.position, &[stream_of(slot)], true)?;
            }
            // Streams that are free take part with a token that nobody looks at.
            for slot in together.len()..together.len().next_multiple_of(rows) {
                context.forget(stream_of(slot), 0)?;
                context.add(together[0].next, 0, &[stream_of(slot)], true)?;
            }
            context.decode()?;
            let rows: Vec<&[f32]> = (0..together.len()).map(|row| context.logits(row)).collect();
            together
                .par_iter_mut()
                .zip(rows)
                .with_min_len(LOGITS_PER_TASK / weights.vocabulary() + 1)
                .for_each(|(running, logits)| {
                    running.position += 1;
                    running.advance(logits, weights);
                });
        }
        share(started.elapsed(), &mut running);
        Ok(())
    }

    /// Takes out the samples that have ended.
    fn collect(&mut self) {
        for slot in &mut self.slots {
            if let Some(running) = slot.take_if(|running| running.stop.is_some()) {
                self.ended.push(running.finished());
            }
        }
    }
}

impl Role {
    /// Rows of which a batch has a multiple.
    fn rows(&self) -> usize {
        if self.resources.deterministic && !self.weights.has_experts() {
            ROWS
        } else {
            1
        }
    }
}

impl Waiting {
    /// KV cells one of its samples needs.
    fn cells(&self) -> usize {
        self.prompt.len() + self.tokens_max
    }
}

/// Gives each of those that ran together its part of the time.
fn share(time: Duration, running: &mut [&mut Running]) {
    let each = time / u32::try_from(running.len().max(1)).unwrap_or(u32::MAX);
    for running in running {
        running.usage.time += each;
    }
}

/// The KV stream of a slot.
fn stream_of(slot: usize) -> i32 {
    i32::try_from(slot + 1).expect("there are at most 256 streams")
}
