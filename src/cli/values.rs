//! Values on the command line that several commands take.

use clap::ValueEnum;
use rerank::{answer::Rule, problem::Task};

/// What a solution is.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum TaskArgument {
    Math,
    Code,
}

impl From<TaskArgument> for Task {
    fn from(task: TaskArgument) -> Self {
        match task {
            TaskArgument::Math => Task::Math,
            TaskArgument::Code => Task::Code,
        }
    }
}

/// How answers are found and compared.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum RuleArgument {
    Number,
    Math,
    Choice,
}

impl From<RuleArgument> for Rule {
    fn from(rule: RuleArgument) -> Self {
        match rule {
            RuleArgument::Number => Self::Number,
            RuleArgument::Math => Self::Math,
            RuleArgument::Choice => Self::Choice,
        }
    }
}

/// A share of a whole.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("it must be between 0 and 1".to_owned())
    }
}

/// A sampling temperature.
pub(super) fn temperature(text: &str) -> Result<f32, String> {
    let temperature: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=100.0).contains(&temperature) {
        Ok(temperature)
    } else {
        Err("it must be between 0 and 100".to_owned())
    }
}
