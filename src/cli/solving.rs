//! What `solve` and `eval` have in common.

use anyhow::Result;
use clap::Args;
use rerank::{
    answer::Rule,
    execute::Limits,
    model::{Replay, Sampling},
    probe::Probing,
    problem::Task,
    select::{Filter, Selector},
    solve::{CodeMode, Options},
};

use super::{
    drawing::Drawing,
    loading::Loading,
    roles::{Loaded, Roles},
    terminal::interrupted,
};

/// How questions are solved, and by which models.
#[derive(Args)]
pub(super) struct Solving {
    #[command(flatten)]
    pub roles: Roles,
    #[command(flatten)]
    pub drawing: Drawing,
    #[command(flatten)]
    loading: Loading,
    /// How the answer is chosen; by default `weighted` with a verifier and `majority` without
    #[arg(long, value_enum)]
    select: Option<Selector>,
    /// What programs do to the choice; by default `cotnpot`, with the answers of a recording `soft`
    #[arg(long, value_enum)]
    filter: Option<Filter>,
    /// By what programs are told apart where the question asks for one, beside its examples
    #[arg(long, value_enum, value_name = "MODE", default_value_t = CodeMode::Agree)]
    code_mode: CodeMode,
}

impl Solving {
    /// Loads what a run over questions of `task` needs.
    pub(super) fn load(&self, recording: Option<Replay>, task: Task) -> Result<Loaded> {
        let Self { roles, loading, .. } = self;
        let deterministic = self.drawing.deterministic;
        roles.load(recording, loading, deterministic, task, self.code_mode)
    }

    /// The options of a solve as the command line gives them.
    pub(super) fn options(&self, loaded: &Loaded, task: Task, rule: Rule) -> Result<Options> {
        Ok(Options {
            samples: self.drawing.samples.into(),
            until: self.drawing.until()?,
            sampling: self.drawing.sampling(self.roles.reasoner.as_deref()),
            translating: Sampling {
                temperature: 0.0,
                ..Sampling::default()
            },
            limits: Limits::default(),
            code_mode: self.code_mode,
            probing: Probing::default(),
            rule,
            selector: self.selector(loaded),
            filter: self.filter(task),
            seed: self.drawing.seed,
            interrupted: interrupted(),
        })
    }

    /// A program that was drawn beside its candidate errs by itself, one that was translated from it
    /// seldom does, and one that fails an example of its question cannot be right: see
    /// `eval/README.md`.
    fn filter(&self, task: Task) -> Filter {
        let beside = task == Task::Math && self.roles.replay.is_some();
        let default = if beside {
            Filter::Soft
        } else {
            Filter::Cotnpot
        };
        self.filter.unwrap_or(default)
    }

    fn selector(&self, loaded: &Loaded) -> Selector {
        let default = if loaded.verifier.is_some() || self.code_mode == CodeMode::Roundtrip {
            Selector::Weighted
        } else {
            Selector::Majority
        };
        self.select.unwrap_or(default)
    }
}
