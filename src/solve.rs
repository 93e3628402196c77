//! The six stages in order: one question in, one [`Trace`] out.
//!
//! Many questions are solved side by side, each at its own stage: while the reasoner draws for one,
//! programs of others are written and run. What comes out does not depend on who else is there, but
//! for the last digits of a log-probability where the models are not deterministic
//! ([`Resources::deterministic`](crate::model::llama::Resources::deterministic)). Candidates that are
//! programs are run at the end, all of a question together; nothing decodes meanwhile.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde::{Deserialize, Serialize};

use crate::{
    answer::Rule,
    error::{Error, Result},
    execute::{Beside, Limits, Sandbox},
    model::{Finished, LanguageModel, Sampling},
    probe::Probing,
    problem::Question,
    select::{Filter, Selector},
    settle::Until,
    trace::{Trace, Why},
};

use self::{
    open::{Errand, Open},
    tally::Tally,
};

mod open;
mod tally;

/// The models that take part. A model that plays two roles is named once and lent twice.
pub struct Models<'a> {
    /// All loaded models.
    pub loaded: &'a mut [Box<dyn LanguageModel>],
    /// Which of them samples candidates.
    pub reasoner: usize,
    /// Which of them writes programs, or describes candidates that are programs; without one no
    /// verdict about an answer is clear.
    pub coder: Option<usize>,
    /// Which of them scores candidates.
    pub verifier: Option<usize>,
}

/// How a question is solved.
#[derive(Clone, Debug)]
pub struct Options {
    /// Candidates to draw (N), at most.
    pub samples: usize,
    /// When drawing ends before that.
    pub until: Until,
    /// How the reasoner draws.
    pub sampling: Sampling,
    /// How the coder draws: greedily.
    pub translating: Sampling,
    /// What a program may use.
    pub limits: Limits,
    /// By what candidates that are programs are told apart.
    pub code_mode: CodeMode,
    /// How they are run.
    pub probing: Probing,
    /// How answers are found and compared.
    pub rule: Rule,
    /// How survivors are ordered.
    pub selector: Selector,
    /// Who survives.
    pub filter: Filter,
    /// Where every random choice comes from.
    pub seed: u64,
    /// Set from outside to end early: questions under way are answered by what is there.
    pub interrupted: Arc<AtomicBool>,
}

/// By what candidates that are programs are told apart, beside the examples that they must pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum CodeMode {
    /// What they give for inputs like the examples': a class is those that give the same.
    #[default]
    Agree,
    /// As `agree`; the coder describes each program, and the verifier reads description and program.
    Describe,
    /// As `agree`; the score is how likely the verifier, or without one the reasoner, finds the
    /// question given the program, plus how likely the reasoner found the program
    /// (Coder-Reviewer, arXiv 2211.16490).
    Roundtrip,
    /// Nothing else: only programs that read the same vote together.
    Off,
}

/// What a solve is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The reasoner samples.
    Sample,
    /// The coder translates.
    Translate,
    /// Programs run.
    Execute,
    /// The verifier scores.
    Score,
}

/// Called as a solve goes on, with a stage's steps done and steps in all so far.
pub type Progress<'a> = &'a (dyn Fn(Stage, usize, usize) + Sync);

/// Candidates, programs and executions under way at once, before another question is begun: enough
/// that a model's batch stays full, few enough that a stopped run loses little.
const UNDER_WAY: usize = 192;

/// Solves one question.
///
/// # Errors
/// What a model reports; a selector that needs a verifier without one; a question that does not fit
/// the reasoner's context.
pub fn solve(
    question: &Question,
    models: &mut Models,
    sandbox: &Sandbox,
    options: &Options,
    progress: Progress,
) -> Result<Trace> {
    let mut solved: Option<Trace> = None;
    let mut keep = |trace| {
        solved = Some(trace);
        Ok(())
    };
    let questions = &mut std::iter::once(question);
    solve_all(questions, models, sandbox, options, progress, &mut keep)?;
    let trace = solved.expect("a question that was begun has a trace");
    match trace.stopped.map(|stopped| stopped.why) {
        Some(Why::TooLong { needed, allowed }) => Err(Error::Context {
            model: models.reasoner().name().to_owned(),
            needed,
            allowed,
        }),
        _ => Ok(trace),
    }
}

/// Solves many questions and hands over each trace as it is finished. One that does not fit the
/// reasoner's context has a trace without candidates.
///
/// # Errors
/// As [`solve`], at the first question that fails otherwise; what `solved` reports.
pub fn solve_all(
    questions: &mut dyn Iterator<Item = &Question>,
    models: &mut Models,
    sandbox: &Sandbox,
    options: &Options,
    progress: Progress,
    solved: &mut dyn FnMut(Trace) -> Result<()>,
) -> Result<()> {
    options.check(models)?;
    thread::scope(|scope| {
        let mut programs = Beside::start(scope, sandbox, &options.limits);
        let mut tally = Tally::new(progress);
        let mut open: BTreeMap<usize, Open> = BTreeMap::new();
        let mut begun = 0;
        loop {
            // 1. Candidates are drawn of as many questions as keep the reasoner busy.
            let interrupted = options.interrupted.load(Ordering::Relaxed);
            while (begun == 0 || !interrupted)
                && models.pending() + programs.unfinished() < UNDER_WAY
                && let Some(question) = questions.next()
            {
                let mut asked = Open::new(question, options);
                asked.draw(models, &mut tally)?;
                open.insert(begun, asked);
                begun += 1;
            }
            if open.is_empty() {
                return Ok(());
            }

            let (model, ended) = models.step()?;
            for ended in ended {
                let mut asked = open.iter_mut();
                let of = asked.find_map(|(number, asked)| {
                    let errand = asked.errand(model, ended.ticket)?;
                    Some((*number, asked, errand))
                });
                match of {
                    // 2. Of each candidate the coder writes a program.
                    Some((_, asked, Errand::Sample)) => {
                        let index = asked.drawn(ended, &mut tally);
                        asked.translate(index, models, &mut tally)?;
                    }
                    // 3. Programs run on threads of their own.
                    Some((number, asked, Errand::Program(index))) => {
                        if let Some(program) = asked.written(index, ended, &mut tally) {
                            programs.run((number, index), program);
                        }
                    }
                    Some((_, asked, Errand::Inputs)) => asked.inputs_written(ended, &mut tally),
                    None => {}
                }
            }

            // 4. What a program computed is compared with its candidate.
            let idle = models.pending() == 0;
            for ((number, index), execution) in programs.finished(idle) {
                if let Some(asked) = open.get_mut(&number) {
                    asked.executed(index, execution, &mut tally);
                }
            }

            // 5. and 6. When all is known of a question's candidates, they are scored, and one is
            // chosen. Candidates that are programs are run before that, all on the same inputs.
            let mut done = Vec::new();
            for (number, asked) in &mut open {
                if interrupted || asked.is_done(models, &mut tally)? {
                    done.push(*number);
                }
            }
            for number in done {
                if let Some(asked) = open.remove(&number) {
                    solved(asked.conclude(models, sandbox, interrupted, &mut tally)?)?;
                }
            }
        }
    })
}

impl Options {
    /// Looks for options that contradict each other or the models.
    fn check(&self, models: &Models) -> Result<()> {
        let scored = self.selector != Selector::Majority;
        if scored && models.verifier.is_none() && self.code_mode != CodeMode::Roundtrip {
            return Err(Error::Options(
                "selecting by score needs a verifier: name one with --verifier, or use --select majority"
                    .to_owned(),
            ));
        }
        if self.selector == Selector::Verifier && self.until != Until::All {
            return Err(Error::Options(
                "drawing ends early by votes, and --select verifier looks at none: use --select \
                 majority or weighted, or --stop never"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

impl Models<'_> {
    fn reasoner(&mut self) -> &mut dyn LanguageModel {
        &mut *self.loaded[self.reasoner]
    }

    /// Continuations that any of them still has to hand back.
    fn pending(&self) -> usize {
        self.loaded.iter().map(|model| model.pending()).sum()
    }

    /// One step of the model with most to do, and which that was. Whoever has a full batch is as
    /// good as another; then the coder goes first, so that what was begun is finished.
    fn step(&mut self) -> Result<(usize, Vec<Finished>)> {
        const FULL: usize = 64;
        let roles = [self.coder.unwrap_or(self.reasoner), self.reasoner];
        let [first, second] = roles.map(|model| self.loaded[model].pending().min(FULL));
        let model = roles[usize::from(second > first)];
        Ok((model, self.loaded[model].step()?))
    }
}
