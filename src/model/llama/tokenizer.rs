//! A model's tokenizer and chat template without its weights.

use std::path::Path;

use llama_cpp_2::{model::params::LlamaModelParams, token::LlamaToken};

use super::{LlamaCpp, Resources};
use crate::{
    error::Result,
    model::{LanguageModel, Prompts},
    problem::{Question, Task},
    train::Tokenize,
};

/// What training needs to see the very tokens that scoring will see.
pub struct Tokenizer {
    model: LlamaCpp,
    task: Task,
}

impl Tokenizer {
    /// Reads the tokenizer of a GGUF file; prompts are questions of `task`.
    ///
    /// # Errors
    /// As [`LlamaCpp::load`].
    pub fn open(path: &Path, task: Task) -> Result<Self> {
        let parameters = LlamaModelParams::default().with_vocab_only(true);
        let mut roles = LlamaCpp::load_with(path, &[None], &parameters, Resources::default())?;
        Ok(Self {
            model: roles.swap_remove(0),
            task,
        })
    }

    /// As [`LlamaCpp::set_prompts`].
    pub fn set_prompts(&mut self, prompts: Prompts) {
        self.model.set_prompts(prompts);
    }
}

impl Tokenize for Tokenizer {
    fn prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        let question = Question::new(prompt, self.task);
        let messages = self.model.prompts().solve(&question)?;
        Ok(ids(&self.model.role.prompt(&messages)?))
    }

    fn solution(&self, text: &str) -> Result<Vec<u32>> {
        let vocab = self.model.role.weights.model.vocab();
        Ok(ids(&vocab.tokenize(text.as_bytes(), false, false)))
    }

    fn end(&self) -> Option<u32> {
        Some(self.model.role.end_of_turn().0.unsigned_abs())
    }
}

fn ids(tokens: &[LlamaToken]) -> Vec<u32> {
    tokens.iter().map(|token| token.0.unsigned_abs()).collect()
}
