//! The six stages in order: one question in, one [`Trace`] out.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use crate::{
    answer::Rule,
    error::{Error, Result},
    execute::{Limits, Sandbox, execute},
    judge::judge,
    model::{LanguageModel, Sampling},
    problem::{Question, Task},
    sample::sample,
    score::score,
    select::{Evidence, Filter, Selector, classes, select},
    trace::{Reason, Timings, Tokens, Trace, TracedCandidate, Verdict},
    translate::translate,
};

/// The models that take part. A model that plays two roles is named once and lent twice.
pub struct Models<'a> {
    /// All loaded models.
    pub loaded: &'a mut [Box<dyn LanguageModel>],
    /// Which of them samples candidates.
    pub reasoner: usize,
    /// Which of them writes programs; without one no verdict is clear.
    pub coder: Option<usize>,
    /// Which of them scores candidates.
    pub verifier: Option<usize>,
}

/// How a question is solved.
#[derive(Clone, Debug)]
pub struct Options {
    /// Candidates to draw (N).
    pub samples: usize,
    /// How the reasoner draws.
    pub sampling: Sampling,
    /// How the coder draws: greedily.
    pub translating: Sampling,
    /// What a program may use.
    pub limits: Limits,
    /// How answers are found and compared.
    pub rule: Rule,
    /// How survivors are ordered.
    pub selector: Selector,
    /// Who survives.
    pub filter: Filter,
    /// Where every random choice comes from.
    pub seed: u64,
}

/// What a solve is doing; the numbers are steps done and steps in all.
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

/// Called as a solve goes on.
pub type Progress<'a> = &'a (dyn Fn(Stage, usize, usize) + Sync);

/// Solves one question.
///
/// # Errors
/// What a model reports; a selector that needs a verifier without one.
pub fn solve(
    question: &Question,
    models: &mut Models,
    sandbox: &Sandbox,
    options: &Options,
    progress: Progress,
) -> Result<Trace> {
    if options.selector != Selector::Majority && models.verifier.is_none() {
        return Err(Error::Options(
            "selecting by score needs a verifier: name one with --verifier, or use --select majority"
                .to_owned(),
        ));
    }
    let started = Instant::now();
    let mut timings = Timings::default();
    let mut tokens = Tokens::default();

    // 1. Candidates.
    let (candidates, usage) = timed(&mut timings.sample, || {
        let reasoner = &mut *models.loaded[models.reasoner];
        let report = |done, all| progress(Stage::Sample, done, all);
        sample(
            question,
            reasoner,
            options.samples,
            &options.sampling,
            options.rule,
            options.seed,
            &report,
        )
    })?;
    timings.prompt = usage.prompt.as_secs_f64() * 1e3;
    tokens.prompt = usage.tokens_prompt;
    tokens.sample = usage.tokens_continued;

    // 2. Programs.
    let programs = match models.coder {
        Some(coder) => {
            let (programs, usage) = timed(&mut timings.translate, || {
                let coder = &mut *models.loaded[coder];
                let report = |done, all| progress(Stage::Translate, done, all);
                translate(
                    question,
                    &candidates,
                    coder,
                    &options.translating,
                    options.seed,
                    &report,
                )
            })?;
            tokens.translate = usage.tokens_prompt + usage.tokens_continued;
            programs
        }
        None => vec![None; candidates.len()],
    };

    // 3. Executions.
    let executions = timed(&mut timings.execute, || {
        let done = AtomicUsize::new(0);
        let report = || {
            progress(
                Stage::Execute,
                done.fetch_add(1, Ordering::Relaxed) + 1,
                programs.len(),
            )
        };
        execute(&programs, sandbox, &options.limits, &report)
    });

    // 4. Verdicts.
    let verdicts = timed(&mut timings.judge, || match question.task {
        Task::Math => judge(&candidates, &programs, &executions, options.rule),
        Task::Code => vec![Verdict::Unclear(Reason::Code); candidates.len()],
    });

    // 5. Scores.
    let scores = match models.verifier {
        Some(verifier) => {
            let (scores, usage) = timed(&mut timings.score, || {
                let verifier = &mut *models.loaded[verifier];
                let report = |done, all| progress(Stage::Score, done, all);
                score(question, &candidates, verifier, &report)
            })?;
            tokens.score = usage.tokens_prompt + usage.tokens_continued;
            scores
        }
        None => vec![None; candidates.len()],
    };

    // 6. The choice.
    let ranking = timed(&mut timings.select, || {
        let answers: Vec<Option<&str>> = candidates
            .iter()
            .map(|candidate| candidate.answer.as_deref())
            .collect();
        let classes = classes(question.task, &answers, options.rule);
        let evidence = Evidence {
            classes: &classes,
            verdicts: &verdicts,
            scores: &scores,
        };
        select(evidence, options.selector, options.filter)
    });
    timings.total = started.elapsed().as_secs_f64() * 1e3;

    let traced = candidates
        .into_iter()
        .zip(programs)
        .zip(executions)
        .zip(verdicts)
        .zip(scores);
    let candidates: Vec<TracedCandidate> = traced
        .map(
            |((((candidate, program), execution), verdict), score)| TracedCandidate {
                candidate,
                program,
                execution,
                verdict,
                score,
                description: None,
                outputs: Vec::new(),
                correct: None,
            },
        )
        .collect();
    Ok(Trace {
        id: question.id.clone(),
        question: question.text.clone(),
        task: question.task,
        seed: options.seed,
        answer: ranking
            .chosen
            .and_then(|index| candidates[index].candidate.answer.clone()),
        candidates,
        inputs: Vec::new(),
        ranking,
        reference: None,
        correct: None,
        timings_ms: timings,
        tokens,
    })
}

/// Runs `stage` and writes how long it took, in milliseconds.
fn timed<T>(ms: &mut f64, stage: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let output = stage();
    *ms = started.elapsed().as_secs_f64() * 1e3;
    output
}
