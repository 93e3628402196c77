//! How candidates are drawn.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use rerank::{
    model::{Sampling, manifest},
    settle::Until,
};

use super::{
    models,
    values::{share, temperature},
};

/// How candidates are drawn, and how many.
#[derive(Args)]
pub(super) struct Drawing {
    /// Candidates to draw
    #[arg(short = 'n', long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub samples: u16,
    /// Divides the logits; 0 takes the most likely token. By default 0.7, or what the manifest of a
    /// model named by `rerank models list` says; so too below
    #[arg(long, value_parser = temperature, allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Draw from the k most likely tokens; 0: from all [default: 0]
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw from the fewest tokens that reach this probability [default: 0.95]
    #[arg(long, value_name = "P", value_parser = share)]
    top_p: Option<f64>,
    /// Drop tokens less likely than this share of the most likely one
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    min_p: f64,
    /// Most tokens of one candidate [default: 512]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// When drawing ends before N candidates
    #[arg(long, value_enum, default_value_t = StopArgument::Never)]
    stop: StopArgument,
    /// How likely the leading answer must be to stay ahead, for --stop adaptive [default: 0.95]
    #[arg(long, value_name = "P", value_parser = share)]
    confidence: Option<f64>,
    /// End a candidate where this string appears (repeatable)
    #[arg(long, value_name = "STRING")]
    stop_string: Vec<String>,
    /// End a candidate once it has repeated a span of tokens this often in a row; 0: never
    #[arg(long, value_name = "TIMES", default_value_t = 8)]
    max_repeats: usize,
    /// Where every random choice comes from
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Draw the same candidates, bit by bit, whatever else is drawn at the time and however much
    /// fits the memory, on a CPU with as many threads; a single candidate takes longer then
    #[arg(long)]
    pub deterministic: bool,
}

/// When drawing ends before all candidates are there.
#[derive(Clone, Copy, ValueEnum)]
enum StopArgument {
    /// It does not
    Never,
    /// Once the leading answer is unlikely to be overtaken
    Adaptive,
}

impl Drawing {
    /// When drawing ends.
    ///
    /// # Errors
    /// A confidence that nothing is compared with.
    pub(super) fn until(&self) -> Result<Until> {
        match (self.stop, self.confidence) {
            (StopArgument::Never, Some(_)) => {
                bail!("--confidence says when --stop adaptive ends: give both or neither")
            }
            (StopArgument::Never, None) => Ok(Until::All),
            (StopArgument::Adaptive, confidence) => Ok(Until::Settled {
                confidence: confidence.unwrap_or(0.95),
            }),
        }
    }

    /// How a reasoner draws, whose manifest decides what is not said here.
    pub(super) fn sampling(&self, reasoner: Option<&str>) -> Sampling {
        let common = Sampling::default();
        let reasoner = reasoner.map(models::base_and_adapter);
        let advised = reasoner.and_then(|(base, _)| manifest::find(base));
        let advised = advised
            .map(|manifest| manifest.sampling)
            .unwrap_or_default();
        let tokens_max = self.max_tokens.map(|tokens| tokens as usize);
        Sampling {
            temperature: self
                .temperature
                .or(advised.temperature)
                .unwrap_or(common.temperature),
            top_k: self.top_k.or(advised.top_k).unwrap_or(common.top_k),
            top_p: self
                .top_p
                .map(|share| share as f32)
                .or(advised.top_p)
                .unwrap_or(common.top_p),
            min_p: self.min_p as f32,
            tokens_max: tokens_max
                .or(advised.tokens_max)
                .unwrap_or(common.tokens_max),
            repeats_max: self.max_repeats,
            stop: self
                .stop_string
                .iter()
                .filter(|stop| !stop.is_empty())
                .cloned()
                .collect(),
        }
    }
}
