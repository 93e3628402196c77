//! Which models take part.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use rerank::{
    model::{LanguageModel, Replay, manifest::Role},
    problem::Task,
    solve::{CodeMode, Models},
};

use super::{
    files::open_replay,
    loading::{BUILTIN, Loading, warn_of_lacking_base},
    warn,
};

/// Which models take part.
#[derive(Args)]
pub(super) struct Roles {
    /// Model that samples candidates: a .gguf file, a name of `rerank models list`, hf:OWNER/NAME,
    /// BASE+ADAPTER.gguf for a LoRA adapter, or builtin, as without it; with the built-in one, coder
    /// and verifier are built in too where none is named
    #[arg(long, value_name = "M")]
    pub reasoner: Option<String>,
    /// Model that writes each candidate as a program; with a --reasoner and without this there are
    /// no programs, and the filter has nothing to go by
    #[arg(long, value_name = "M")]
    coder: Option<String>,
    /// Model that scores candidates
    #[arg(long, value_name = "M")]
    verifier: Option<String>,
    /// Take candidates, programs and scores from recorded samples (.jsonl, .jsonl.gz) instead
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "reasoner", "coder", "verifier",
        // What only models need.
        "threads", "kv_budget", "deterministic", "temperature", "top_k", "top_p", "min_p",
        "max_tokens", "stop_string", "max_repeats",
    ])]
    pub replay: Option<PathBuf>,
}

/// The models of a run, loaded.
pub(super) struct Loaded {
    pub models: Vec<Box<dyn LanguageModel>>,
    pub reasoner: usize,
    pub coder: Option<usize>,
    pub verifier: Option<usize>,
}

impl Loaded {
    /// They, lent to a solve.
    pub(super) fn models(&mut self) -> Models<'_> {
        Models {
            loaded: &mut self.models,
            reasoner: self.reasoner,
            coder: self.coder,
            verifier: self.verifier,
        }
    }
}

impl Roles {
    /// The recording, where there is one; lines of it that are left out are said on standard error.
    pub(super) fn recording(&self) -> Result<Option<Replay>> {
        let path = self.replay.as_ref();
        path.map(|path| open_replay(path)).transpose()
    }

    /// Loads what a run over questions of `task` needs, or takes the recording for it.
    pub(super) fn load(
        &self,
        recording: Option<Replay>,
        loading: &Loading,
        deterministic: bool,
        task: Task,
        code_mode: CodeMode,
    ) -> Result<Loaded> {
        if let Some(replay) = recording {
            if let CodeMode::Describe | CodeMode::Roundtrip = code_mode {
                let name = code_mode.to_possible_value();
                bail!(
                    "a recording describes and reads no programs: --code-mode {} needs models in place of --replay",
                    name.as_ref().map_or("", |name| name.get_name())
                );
            }
            let verifier = replay.has_scores().then_some(0);
            return Ok(Loaded {
                models: vec![Box::new(replay)],
                reasoner: 0,
                coder: Some(0),
                verifier,
            });
        }
        // Without a reasoner, or with the built-in one, the others are built in too.
        let named = self.reasoner.as_deref().unwrap_or(BUILTIN);
        let missing = (named == BUILTIN).then_some(BUILTIN);
        if missing.is_some() && task == Task::Code {
            bail!(
                "the built-in models solve word problems and write no code for them: name a --reasoner"
            );
        }
        let roles = [
            (&self.reasoner, Role::Reasoner),
            (&self.coder, Role::Coder),
            (&self.verifier, Role::Verifier),
        ];
        // A model that plays two roles is loaded once.
        let mut names: Vec<(&str, Role)> = Vec::new();
        let [reasoner, coder, verifier] = roles.map(|(name, role)| {
            let name = name.as_deref().or(missing)?;
            let same =
                |known: &(&str, Role)| known.0 == name && (name != BUILTIN || known.1 == role);
            Some(names.iter().position(same).unwrap_or_else(|| {
                names.push((name, role));
                names.len() - 1
            }))
        });
        let reasoner = reasoner.expect("it is named or built in");
        // Scoring has a context of its own, also where the model draws as well.
        let scores = match task == Task::Code && code_mode == CodeMode::Roundtrip {
            true => verifier.or(Some(reasoner)),
            false => verifier,
        };
        let draws_too = scores.is_some_and(|index| index == reasoner || Some(index) == coder);
        let contexts = names.len() as u64 + u64::from(draws_too);
        let models = loading.load(&names, contexts, deterministic)?;
        if self.reasoner.is_none() {
            warn(
                "no --reasoner is named: the built-in one draws, which knows simple word problems alone",
            );
        }
        if let Some(verifier) = verifier {
            warn_of_lacking_base(&models[verifier]);
        }
        let boxed = |model| -> Box<dyn LanguageModel> { Box::new(model) };
        Ok(Loaded {
            models: models.into_iter().map(boxed).collect(),
            reasoner,
            coder,
            verifier,
        })
    }
}
