//! What is loaded from files once, however many roles it plays.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use llama_cpp_2::model::{LlamaLoraAdapter, LlamaModel, params::LlamaModelParams};

use super::backend::{backend, check_gguf, failure};
use crate::{
    error::{Error, Result},
    model::gguf::Gguf,
};

/// A base model and the adapters that belong to it.
pub(super) struct Weights {
    /// Each behind a lock only because the bindings want `&mut` to put it on a context.
    pub adapters: Vec<Mutex<LlamaLoraAdapter>>,
    pub model: LlamaModel,
    pub template: Option<String>,
}

impl Weights {
    /// Reads a base model and the adapters.
    pub fn read(base: &Path, adapters: &[PathBuf], parameters: &LlamaModelParams) -> Result<Self> {
        check_gguf(base)?;
        for path in adapters {
            check_gguf(path)?;
        }
        let mut model = LlamaModel::load_from_file(backend(), base, parameters).map_err(|_| {
            if !is_adapter(base) {
                return failure(base, "llama.cpp cannot load it");
            }
            let model = base.display().to_string();
            let reason =
                format!("it is a LoRA adapter: name it after its base, as BASE.gguf+{model}");
            Error::Model { model, reason }
        })?;
        let adapters = adapters.iter().map(|path| {
            let loaded = model.lora_adapter_init(path);
            loaded
                .map(Mutex::new)
                .map_err(|_| failure(path, "llama.cpp cannot put this adapter on its base"))
        });
        let adapters = adapters.collect::<Result<_>>()?;
        let template = model
            .chat_template(None)
            .ok()
            .and_then(|template| template.to_string().ok());
        Ok(Self {
            adapters,
            model,
            template,
        })
    }

    /// Tokens in the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.model.n_vocab().unsigned_abs() as usize
    }

    /// Whether its memory is a state instead of one cell for each token, which can be copied but
    /// neither cut nor shared.
    pub fn is_recurrent(&self) -> bool {
        self.model.is_recurrent() || self.model.is_hybrid()
    }

    /// Whether its layers are mixtures of experts.
    pub fn has_experts(&self) -> bool {
        self.metadata("expert_count").is_some_and(|count| count > 0)
    }

    /// A number that the file gives for its architecture.
    fn metadata(&self, key: &str) -> Option<u64> {
        let architecture = self.model.meta_val_str("general.architecture").ok()?;
        let value = self.model.meta_val_str(&format!("{architecture}.{key}"));
        value.ok()?.parse().ok()
    }

    /// Bytes of keys and values for one token, in f16.
    pub fn bytes_per_cell(&self) -> u64 {
        let head =
            u64::from(self.model.n_embd().unsigned_abs()) / u64::from(self.model.n_head().max(1));
        let key = self.metadata("attention.key_length").unwrap_or(head);
        let value = self.metadata("attention.value_length").unwrap_or(head);
        // Hybrid models say 0 where the first layer has no attention; then all heads are counted.
        let heads = match self.model.n_head_kv() {
            0 => self.model.n_head().max(1),
            heads => heads,
        };
        u64::from(self.model.n_layer()) * u64::from(heads) * (key + value).max(1) * 2
    }
}

/// Whether a file holds what is added to a base, and no model.
fn is_adapter(path: &Path) -> bool {
    Gguf::read_metadata(path).is_ok_and(|known| {
        let mut known = known.iter();
        known.any(|(key, value)| key == "general.type" && value.as_str() == Some("adapter"))
    })
}
