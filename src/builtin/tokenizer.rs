//! The built-in models' tokenizer: byte-level BPE with single digits, learned from generated texts.
//!
//! It is written as Hugging Face publishes one, and read from there like any other; llama.cpp
//! splits texts in the same way under the name `smollm` (digits one by one, then GPT-2's words).

use std::{fs, path::Path};

use serde_json::json;
use tokenizers::{
    AddedToken, Tokenizer,
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainer},
    },
    pre_tokenizers::{byte_level::ByteLevel, digits::Digits, sequence::Sequence},
};

use crate::{Error, Result, file::write_whole};

/// Opens every text.
pub(super) const BEGIN: &str = "<|begin|>";
/// Closes every solution.
pub(super) const END: &str = "<|end|>";

/// What [`train`] leaves in its folder.
pub(super) const FILES: [&str; 2] = ["tokenizer.json", "tokenizer_config.json"];

/// Learns merges from `texts` and writes [`FILES`] into `folder`.
pub(super) fn train(
    texts: impl Iterator<Item = String> + Send,
    size: usize,
    folder: &Path,
) -> Result<()> {
    let refused = |error: tokenizers::Error| Error::Options(format!("the tokenizer: {error}"));
    let special = [BEGIN, END].map(|token| AddedToken::from(token, true));
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(size)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special.to_vec())
        .build();
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        Digits::new(true).into(),
        ByteLevel::new(false, true, true).into(),
    ])));
    tokenizer
        .train(&mut TrainerWrapper::from(trainer), texts)
        .map_err(refused)?;
    let tokenizer = tokenizer.to_string(true).map_err(refused)?;
    let settings = json!({
        "add_bos_token": true,
        "bos_token": BEGIN,
        "eos_token": END,
        // The prompt templates say it all.
        "chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}",
    });
    let settings = serde_json::to_string_pretty(&settings).expect("texts are JSON");
    fs::create_dir_all(folder).map_err(Error::write(folder))?;
    for (name, text) in FILES.into_iter().zip([tokenizer, settings]) {
        write_whole(&folder.join(name), text)?;
    }
    Ok(())
}
