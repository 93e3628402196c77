//! karpathy/llama2.c's float32 checkpoint and tokenizer files, as GGUF.
//!
//! Both formats turn pairs of neighbouring numbers in RoPE, so queries and keys need no
//! permutation. Layout: `export.py` (version 0) and `tokenizer.py` of karpathy/llama2.c at 350e04f.

use std::{fs, path::Path};

use crate::{
    Error, Result,
    model::gguf::{Gguf, Tensor, Value},
};

/// Token types of llama.cpp's `tokenizer.ggml.token_type`.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const BYTE: i32 = 6;

/// Reads a checkpoint and its tokenizer.
///
/// # Errors
/// [`Error::Read`] where a file cannot be read, [`Error::Model`] where it is not of this format.
pub fn read(checkpoint: &Path, tokenizer: &Path) -> Result<Gguf> {
    let mut gguf = network(checkpoint)?;
    let vocabulary = gguf.tensors[0].shape[0];
    gguf.metadata
        .extend(vocabulary_metadata(tokenizer, vocabulary)?);
    Ok(gguf)
}

fn network(path: &Path) -> Result<Gguf> {
    let bytes = fs::read(path).map_err(Error::read(path))?;
    let mut words = Words { path, rest: &bytes };
    let header: Vec<i32> = (0..7).map(|_| words.i32()).collect::<Result<_>>()?;
    // A negative vocabulary size says that the output matrix is not the embedding's.
    let separate_output = header[5] < 0;
    let [width, ffn, layers, heads, kv_heads, vocabulary, context]: [usize; 7] =
        std::array::from_fn(|i| header[i].unsigned_abs() as usize);
    if header[..5].iter().any(|&n| n <= 0) || width % heads != 0 || width > 1 << 20 {
        return Err(words.broken());
    }
    let kv_width = width / heads * kv_heads;

    let mut tensors = vec![words.tensor("token_embd.weight", &[vocabulary, width])?];
    // Each kind of matrix lies there for all layers before the next kind begins.
    let kinds: [(&str, &[usize]); 9] = [
        ("attn_norm", &[width]),
        ("attn_q", &[width, width]),
        ("attn_k", &[kv_width, width]),
        ("attn_v", &[kv_width, width]),
        ("attn_output", &[width, width]),
        ("ffn_norm", &[width]),
        ("ffn_gate", &[ffn, width]),
        ("ffn_down", &[width, ffn]),
        ("ffn_up", &[ffn, width]),
    ];
    for (kind, shape) in kinds {
        for layer in 0..layers {
            tensors.push(words.tensor(&format!("blk.{layer}.{kind}.weight"), shape)?);
        }
    }
    tensors.push(words.tensor("output_norm.weight", &[width])?);
    if separate_output {
        // Cosines and sines, which are computed anew instead.
        words.tensor("rope", &[context, width / heads])?;
        tensors.push(words.tensor("output.weight", &[vocabulary, width])?);
    }

    let number = |n: usize| Value::U32(n as u32);
    let metadata = [
        ("general.architecture", Value::String("llama".to_owned())),
        ("general.name", Value::String("llama2.c".to_owned())),
        ("llama.vocab_size", number(vocabulary)),
        ("llama.context_length", number(context)),
        ("llama.embedding_length", number(width)),
        ("llama.block_count", number(layers)),
        ("llama.feed_forward_length", number(ffn)),
        ("llama.attention.head_count", number(heads)),
        ("llama.attention.head_count_kv", number(kv_heads)),
        ("llama.rope.dimension_count", number(width / heads)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    Ok(Gguf {
        metadata: metadata.to_vec(),
        tensors,
    })
}

fn vocabulary_metadata(path: &Path, vocabulary: usize) -> Result<Vec<(String, Value)>> {
    let bytes = fs::read(path).map_err(Error::read(path))?;
    let mut words = Words { path, rest: &bytes };
    words.i32()?; // the longest token's length
    let (mut tokens, mut scores, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for id in 0..vocabulary {
        scores.push(words.f32()?);
        let length = usize::try_from(words.i32()?).map_err(|_| words.broken())?;
        let token = String::from_utf8_lossy(words.take(length)?).into_owned();
        let byte = token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
        // llama2.c prints control tokens on lines of their own and spaces as they are;
        // SentencePiece, which llama.cpp follows, writes `<s>` and U+2581.
        tokens.push(match id {
            0..3 => token.trim().to_owned(),
            _ => token.replace(' ', "\u{2581}"),
        });
        kinds.push(match id {
            0 => UNKNOWN,
            1 | 2 => CONTROL,
            _ if byte => BYTE,
            _ => NORMAL,
        });
    }
    let metadata = [
        ("tokenizer.ggml.model", Value::String("llama".to_owned())),
        ("tokenizer.ggml.tokens", Value::Strings(tokens)),
        ("tokenizer.ggml.scores", Value::F32s(scores)),
        ("tokenizer.ggml.token_type", Value::I32s(kinds)),
        ("tokenizer.ggml.unknown_token_id", Value::U32(0)),
        ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
        ("tokenizer.ggml.add_eos_token", Value::Bool(false)),
    ];
    Ok(metadata
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec())
}

/// A reader of little-endian words.
struct Words<'a> {
    path: &'a Path,
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| self.broken())?;
        self.rest = rest;
        Ok(head)
    }

    fn word(&mut self) -> Result<[u8; 4]> {
        Ok(self.take(4)?.try_into().expect("four bytes were taken"))
    }

    fn i32(&mut self) -> Result<i32> {
        self.word().map(i32::from_le_bytes)
    }

    fn f32(&mut self) -> Result<f32> {
        self.word().map(f32::from_le_bytes)
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let bytes = self.take(shape.iter().product::<usize>() * 4)?;
        let words = bytes.as_chunks::<4>().0;
        Ok(Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values: words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        })
    }

    fn broken(&self) -> Error {
        Error::Model {
            model: self.path.display().to_string(),
            reason: "not a float32 file of llama2.c, or cut short".to_owned(),
        }
    }
}
