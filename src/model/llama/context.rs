//! A llama.cpp context: weights, a key-value cache, and the batch that is being put together.

use std::{mem, num::NonZeroU32, sync::Arc};

use llama_cpp_2::{
    context::{
        LlamaContext,
        params::{KvCacheType, LlamaContextParams, LlamaPoolingType},
    },
    llama_batch::LlamaBatch,
    token::LlamaToken,
};

use super::{
    Role,
    backend::{backend, failure, inside},
    weights::Weights,
};
use crate::error::Result;

/// Most tokens given to llama.cpp in one call.
pub(super) const BATCH_TOKENS_MAX: usize = 2048;
/// From so many rows on, and for a multiple of four of them, ggml's matrix kernels on a CPU compute
/// every row in the same way, wherever it stands and however many others there are; fewer and odd
/// ones go through kernels that add up in another order.
pub(super) const ROWS: usize = 8;
/// llama.cpp's bound on sequences in one context (`LLAMA_MAX_SEQ`).
pub(super) const SEQUENCES_MAX: usize = 256;

/// What a context is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Sequences it tells apart.
    pub sequences: usize,
    /// Whether they share the cells, so that a token may be in many of them; else each has its own.
    pub shared: bool,
    /// Cells of the key-value cache: of all sequences where they share, else of each.
    pub cells: usize,
    /// Whether it gives hidden states instead of logits.
    pub hidden: bool,
}

impl Shape {
    /// Bytes of keys and values, of which a cell has so many in 16 bits each.
    pub fn bytes(&self, bytes_per_cell: u64) -> u64 {
        let (caches, floats) = match self.shared {
            true => (1, 2),
            false => (self.sequences, 1),
        };
        (caches * floats * self.cells) as u64 * bytes_per_cell
    }
}

/// A context at work.
pub(super) struct Context {
    /// Dropped before the weights it borrows, because it stands before them.
    inner: LlamaContext<'static>,
    batch: LlamaBatch<'static>,
    pub role: Arc<Role>,
    pub shape: Shape,
    pub adapted: bool,
}

impl Context {
    /// Makes one; `adapted` puts the role's adapter on, where it has one.
    pub fn new(role: &Arc<Role>, shape: Shape, adapted: bool) -> Result<Self> {
        let caches = if shape.shared { 1 } else { shape.sequences };
        let threads = i32::try_from(role.resources.threads).unwrap_or(i32::MAX);
        let parameters = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(size(caches * shape.cells)))
            .with_n_seq_max(size(shape.sequences))
            .with_n_batch(size(BATCH_TOKENS_MAX))
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_embeddings(shape.hidden)
            .with_pooling_type(LlamaPoolingType::None)
            .with_kv_unified(shape.shared);
        // What scores is small enough for 32 bits; sums over 16-bit values are kept in 16 bits.
        let parameters = match shape.shared {
            true => parameters
                .with_type_k(KvCacheType::F32)
                .with_type_v(KvCacheType::F32),
            false => parameters,
        };
        let weights: &Weights = &role.weights;
        let inner = inside(|| weights.model.new_context(backend(), parameters));
        let inner =
            inner.map_err(|_| failure(&role.files[0], "llama.cpp cannot make a context for it"))?;
        #[expect(
            unsafe_code,
            reason = "a context is kept beside the weights it borrows"
        )]
        // SAFETY: `inner` borrows the model inside `role.weights`, which lies behind an `Arc` and is
        // never moved; the `Arc` is kept beside `inner` and dropped after it.
        let inner = unsafe { mem::transmute::<LlamaContext<'_>, LlamaContext<'static>>(inner) };
        // Only where tokens are shared do they name more than one sequence.
        let sequences_per_token = if shape.shared { shape.sequences } else { 1 };
        let mut context = Self {
            inner,
            batch: LlamaBatch::new(BATCH_TOKENS_MAX, sequences_per_token as i32),
            role: Arc::clone(role),
            shape,
            adapted: false,
        };
        context.adapt(adapted)?;
        Ok(context)
    }

    /// Switches the role's adapter on or off; the cache must be empty.
    pub fn adapt(&mut self, adapted: bool) -> Result<()> {
        let Some(adapter) = self.role.adapter.filter(|_| adapted != self.adapted) else {
            return Ok(());
        };
        let mut adapter = self.role.weights.adapters[adapter]
            .lock()
            .expect("no thread panicked with it");
        let switched = if adapted {
            let set = self.inner.lora_adapter_set(&mut adapter, 1.0);
            set.map_err(|source| self.role.error(source.to_string()))
        } else {
            let removed = self.inner.lora_adapter_remove(&mut adapter);
            removed.map_err(|source| self.role.error(source.to_string()))
        };
        self.adapted = adapted;
        switched
    }

    /// Adds a token to the batch and returns whether that fills it.
    pub fn add(
        &mut self,
        token: LlamaToken,
        position: usize,
        sequences: &[i32],
        output: bool,
    ) -> Result<bool> {
        let position = i32::try_from(position).expect("a position fits in 31 bits");
        let added = self.batch.add(token, position, sequences, output);
        added.map_err(|source| self.role.error(source.to_string()))?;
        Ok(self.len() == BATCH_TOKENS_MAX)
    }

    /// Tokens in the batch.
    pub fn len(&self) -> usize {
        self.batch.n_tokens().unsigned_abs() as usize
    }

    /// Empties the batch.
    pub fn clear(&mut self) {
        self.batch.clear();
    }

    /// Evaluates the batch, which stays as it is until it is cleared.
    pub fn decode(&mut self) -> Result<()> {
        let decoded = inside(|| self.inner.decode(&mut self.batch));
        decoded.map_err(|source| {
            self.role
                .error(format!("llama.cpp cannot decode: {source}"))
        })
    }

    /// The logits `(vocabulary,)` after a token of the batch that was decoded.
    pub fn logits(&self, place: usize) -> &[f32] {
        self.inner.get_logits_ith(place as i32)
    }

    /// The hidden state `(width,)` after a token of the batch that was decoded.
    pub fn hidden(&self, place: usize) -> Result<&[f32]> {
        let hidden = self.inner.embeddings_ith(place as i32);
        hidden.map_err(|source| self.role.error(source.to_string()))
    }

    /// Empties the whole cache.
    pub fn forget_all(&mut self) -> Result<()> {
        let cleared = self.inner.clear_kv_cache_seq(None, None, None);
        cleared
            .map(drop)
            .map_err(|source| self.role.error(source.to_string()))
    }

    /// Drops a sequence's tokens from a position on; false where the model's memory cannot be cut.
    pub fn forget(&mut self, sequence: i32, from: usize) -> Result<bool> {
        let from = Some(size(from));
        let cleared = self
            .inner
            .clear_kv_cache_seq(Some(sequence.unsigned_abs()), from, None);
        cleared.map_err(|source| self.role.error(source.to_string()))
    }

    /// Makes one sequence's memory that of another.
    pub fn copy(&mut self, from: i32, to: i32) -> Result<()> {
        let copied = self.inner.copy_kv_cache_seq(from, to, None, None);
        copied.map_err(|source| self.role.error(source.to_string()))
    }
}

fn size(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
