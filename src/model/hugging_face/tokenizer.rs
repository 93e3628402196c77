//! A Hugging Face folder's own tokenizer, through the `tokenizers` crate, beside the one that will
//! score.
//!
//! A verifier is scored by llama.cpp, so training must see llama.cpp's tokens. They are the folder's
//! own, in all that is tested; where a text is read differently after all (llama.cpp does not
//! normalise Unicode, some tokenizers do), the scoring one's tokens are used and the text is counted.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;

use super::{error, json};
use crate::{
    error::Result,
    model::{Prompts, chat},
    problem::{Question, Task},
    train::Tokenize,
};

/// The tokenizer of a folder, checked against the one that scores.
pub struct Tokenizer<'a> {
    path: PathBuf,
    /// Reads the text of a special token as that token, which a chat template needs.
    conversations: tokenizers::Tokenizer,
    /// Reads it as any other text, which a solution needs.
    texts: tokenizers::Tokenizer,
    /// What a text begins with, where nothing wrote it there.
    begin: Option<u32>,
    settings: Json,
    task: Task,
    scoring: &'a dyn Tokenize,
    differing: Cell<usize>,
}

impl<'a> Tokenizer<'a> {
    /// Reads `tokenizer.json` and `tokenizer_config.json`; prompts are questions of `task`, and
    /// `scoring` is what the same texts will be read by when the verifier scores.
    ///
    /// # Errors
    /// [`crate::Error::Model`] for a file that is missing or damaged.
    pub fn open(folder: &Path, task: Task, scoring: &'a dyn Tokenize) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let read = || {
            tokenizers::Tokenizer::from_file(&path)
                .map_err(|reason| error(&path, reason.to_string()))
        };
        let (conversations, mut texts) = (read()?, read()?);
        texts.set_encode_special_tokens(true);
        let settings = json(&folder.join("tokenizer_config.json")).unwrap_or_default();
        let begin = begin_token(&json(&path)?, &settings);
        Ok(Self {
            begin: begin.and_then(|begin| conversations.token_to_id(&begin)),
            path,
            conversations,
            texts,
            settings,
            task,
            scoring,
            differing: Cell::new(0),
        })
    }

    /// Texts so far that the scoring tokenizer reads differently.
    pub fn differing(&self) -> usize {
        self.differing.get()
    }

    fn encode(&self, tokenizer: &tokenizers::Tokenizer, text: &str) -> Result<Vec<u32>> {
        let encoding = tokenizer.encode_fast(text, false);
        let encoding = encoding.map_err(|reason| error(&self.path, reason.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn checked(&self, ours: &[u32], scoring: Vec<u32>) -> Vec<u32> {
        if ours != scoring {
            self.differing.set(self.differing.get() + 1);
        }
        scoring
    }
}

impl Tokenize for Tokenizer<'_> {
    fn prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        let question = Question::new(prompt, self.task);
        let messages = Prompts::common().solve(&question)?;
        let special = |name| named(&self.settings, name).unwrap_or_default();
        let text = chat::render(
            self.settings["chat_template"].as_str(),
            &messages,
            &special("bos_token"),
            &special("eos_token"),
        );
        let text = text.map_err(|reason| error(&self.path, reason))?;
        let mut ours = self.encode(&self.conversations, &text)?;
        if let Some(begin) = self.begin.filter(|begin| ours.first() != Some(begin)) {
            ours.insert(0, begin);
        }
        Ok(self.checked(&ours, self.scoring.prompt(prompt)?))
    }

    fn solution(&self, text: &str) -> Result<Vec<u32>> {
        let ours = self.encode(&self.texts, text)?;
        Ok(self.checked(&ours, self.scoring.solution(text)?))
    }

    fn end(&self) -> Option<u32> {
        self.scoring.end()
    }
}

/// The token that every text begins with, if there is one: `tokenizer_config.json` says so, or the
/// template with which `tokenizer.json` finishes a text.
pub(super) fn begin_token(tokenizer: &Json, settings: &Json) -> Option<String> {
    let begin = named(settings, "bos_token")?;
    let last = &tokenizer["post_processor"];
    let steps = match last["processors"].as_array() {
        Some(steps) => steps.as_slice(),
        None => std::slice::from_ref(last),
    };
    let writes = |step: &Json| {
        step["type"] == "TemplateProcessing" && step["single"][0]["SpecialToken"]["id"] == begin
    };
    let begins = match settings["add_bos_token"].as_bool() {
        Some(begins) => begins,
        None => steps.iter().any(writes),
    };
    begins.then_some(begin)
}

/// A special token of `tokenizer_config.json`, a text or an object that holds one.
pub(super) fn named(settings: &Json, name: &str) -> Option<String> {
    let token = &settings[name];
    let text = token.as_str().or(token["content"].as_str());
    text.map(str::to_owned)
}
