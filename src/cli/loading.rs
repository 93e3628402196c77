//! How models are loaded, for every command that takes one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;
use rerank::{
    builtin::embedded,
    model::{
        LanguageModel, LlamaCpp, Prompts,
        llama::{Resources, all_parts},
        manifest::Role,
    },
};

use super::{cache_folder, models, warn};

/// How a model file is loaded.
#[derive(Args)]
pub(super) struct Loading {
    /// CPU threads; by default the number of physical cores, or 1 for models of a few megabytes
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Bytes of key-value cache for the whole run, besides the models themselves: in equal parts for
    /// each model that draws and each that scores. Fewer candidates decode at once where a part is
    /// small. By default a quarter of the memory that is free
    #[arg(long, value_name = "BYTES")]
    kv_budget: Option<u64>,
}

/// Smaller models, such as the built-in ones, compute for less time than threads take to meet: a
/// second thread gains little on an idle machine and made sampling 7 times as slow on a busy one.
const SMALL_BYTES: u64 = 16 << 20;

/// What the command line calls the models in the binary.
pub(super) const BUILTIN: &str = "builtin";

impl Loading {
    /// Loads models, each for a role, which says which of the built-in ones is meant; a base that
    /// several of them name is loaded once. They work in so many `contexts` that are all kept: one of
    /// each model that draws and one of each that scores.
    pub(super) fn load(
        &self,
        names: &[(&str, Role)],
        contexts: u64,
        deterministic: bool,
    ) -> Result<Vec<LlamaCpp>> {
        let wanted = names
            .iter()
            .map(|(name, role)| wanted(name, *role))
            .collect::<Result<Vec<Wanted>>>()?;
        let mut defaults = Resources::default();
        let is_small = |wanted: &Wanted| {
            let sizes = all_parts(&wanted.base)
                .into_iter()
                .map(|part| Some(fs::metadata(part).ok()?.len()));
            let bytes: Option<u64> = sizes.sum();
            bytes.is_some_and(|bytes| bytes < SMALL_BYTES)
        };
        if wanted.iter().all(is_small) {
            defaults.threads = 1;
        }
        let resources = Resources {
            threads: self.threads.map_or(defaults.threads, usize::from),
            kv_bytes_max: self.kv_budget.unwrap_or(defaults.kv_bytes_max),
            kv_contexts: contexts,
            deterministic,
            ..defaults
        };
        let mut loaded: Vec<(usize, LlamaCpp)> = Vec::new();
        // However a file is written, it is one.
        let place = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        for (first, Wanted { base, .. }) in wanted.iter().enumerate() {
            let same = || {
                wanted
                    .iter()
                    .enumerate()
                    .filter(|(_, other)| place(&other.base) == place(base))
            };
            if same().any(|(index, _)| index < first) {
                continue;
            }
            let adapters: Vec<Option<&Path>> =
                same().map(|(_, other)| other.adapter.as_deref()).collect();
            let models = LlamaCpp::load_roles(base, &adapters, resources)?;
            for ((index, wanted), mut model) in same().zip(models) {
                if let Some(prompts) = &wanted.prompts {
                    model.set_prompts(prompts.clone());
                }
                loaded.push((index, model));
            }
        }
        loaded.sort_by_key(|(index, _)| *index);
        Ok(loaded.into_iter().map(|(_, model)| model).collect())
    }

    /// Loads a verifier, and the model whose log-probabilities are subtracted from its.
    pub(super) fn load_verifier(
        &self,
        verifier: &str,
        minus: Option<&str>,
    ) -> Result<(LlamaCpp, Option<LlamaCpp>)> {
        let mut names = vec![(verifier, Role::Verifier)];
        names.extend(minus.map(|name| (name, Role::Reasoner)));
        let mut models = self.load(&names, names.len() as u64, false)?;
        let minus = minus.and_then(|_| models.pop());
        Ok((models.swap_remove(0), minus))
    }
}

/// Says where a verifier cannot score as it was trained to.
pub(super) fn warn_of_lacking_base(verifier: &LlamaCpp) {
    if let Some(objective) = verifier.objective().filter(|_| verifier.lacks_base()) {
        warn(&format!(
            "model {}: {} trained it to be scored by its rise over its base; without that its mean log-probability is taken (`rerank score` and `rerank rescore` take the base with --minus)",
            verifier.name(),
            objective.name()
        ));
    }
}

/// The files of a model, downloaded where they have to be.
fn wanted(name: &str, role: Role) -> Result<Wanted> {
    if name == BUILTIN {
        return Ok(Wanted {
            base: embedded::file(role, &cache_folder()?)?,
            adapter: None,
            prompts: None,
        });
    }
    let (base, adapter) = models::base_and_adapter(name);
    Ok(Wanted {
        prompts: models::prompts(base).cloned(),
        base: models::file(base)?,
        adapter: adapter.map(models::file).transpose()?,
    })
}

/// A model file that was asked for.
struct Wanted {
    base: PathBuf,
    adapter: Option<PathBuf>,
    prompts: Option<Prompts>,
}
