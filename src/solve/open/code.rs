//! What is different where candidates are programs.

use std::{ops::ControlFlow, sync::atomic::Ordering, time::Instant};

use super::{Draft, Errand, Models, Open, Stage, Tally, milliseconds};
use crate::{
    error::Result,
    execute::Sandbox,
    judge::judge_programs,
    model::{Finished, Usage},
    probe::{Probed, Probing, probe},
    problem::Task,
    score::{score, score_backwards},
    solve::CodeMode,
    trace::{Candidate, Program, Score},
    translate,
};

impl Open<'_> {
    /// Whether the coder is to write something of each candidate: a program, or of one that is a program
    /// a description.
    pub(super) fn needs_coder(&self) -> bool {
        self.question.task == Task::Math || self.options.code_mode == CodeMode::Describe
    }

    /// Asks the coder for calls to compare candidates by, beside those made from the examples.
    pub(super) fn ask_inputs(&mut self, models: &mut Models, tally: &mut Tally) -> Result<()> {
        let is_asked = self.question.interface.is_some() && self.options.code_mode != CodeMode::Off;
        let Some(coder) = models.coder.filter(|_| is_asked) else {
            return Ok(());
        };
        let (sampling, seed) = (&self.options.translating, self.options.seed);
        let model = &mut *models.loaded[coder];
        let ticket = translate::ask_inputs(self.question, model, sampling, seed)?;
        if ticket.samples > 0 {
            self.errands.push((coder, ticket.id, Errand::Inputs));
            self.inputs = None;
            tally.expect(Stage::Translate, 1);
        }
        Ok(())
    }

    /// Takes in the calls that the coder wrote.
    pub fn inputs_written(&mut self, ended: Finished, tally: &mut Tally) {
        self.count_translated(ended.usage);
        tally.done(Stage::Translate);
        self.inputs = Some(ended.generation.text);
    }

    /// Runs the candidates' programs, all on the same inputs, and judges them; hands over the inputs.
    /// Whoever has interrupted it waits for the examples alone.
    pub(super) fn probe(&mut self, sandbox: &Sandbox, interrupted: bool) -> Vec<String> {
        if self.question.task == Task::Math {
            return Vec::new();
        }
        let started = Instant::now();
        let answer = |draft: &Draft| draft.candidate.as_ref()?.answer.clone().map(Program);
        let programs: Vec<_> = self.drafts.iter().map(answer).collect();
        let probing = match self.options.code_mode {
            mode if mode != CodeMode::Off && !interrupted => self.options.probing,
            _ => Probing {
                inputs: 0,
                ..self.options.probing
            },
        };
        let (limits, seed) = (&self.options.limits, self.options.seed);
        let Probed {
            inputs,
            executions,
            outputs,
        } = {
            let written = self.inputs.as_deref().unwrap_or_default();
            let written: Vec<&str> = written.lines().collect();
            probe(
                self.question,
                &written,
                &programs,
                sandbox,
                limits,
                &probing,
                seed,
            )
        };
        let verdicts = judge_programs(&executions, self.question.examples().len());
        let found = programs
            .into_iter()
            .zip(executions)
            .zip(outputs)
            .zip(verdicts);
        for (draft, (((program, execution), outputs), verdict)) in self.drafts.iter_mut().zip(found)
        {
            draft.program = program;
            draft.execution = execution;
            draft.outputs = outputs;
            draft.verdict = Some(verdict);
        }
        self.timings.execute = milliseconds(started);
        inputs
    }

    /// One score per candidate, where there is a model to give it; an error when it is interrupted.
    pub(super) fn scores(
        &mut self,
        candidates: &[Candidate],
        descriptions: &[Option<String>],
        models: &mut Models,
    ) -> Result<Vec<Option<Score>>> {
        let backwards =
            self.question.task == Task::Code && self.options.code_mode == CodeMode::Roundtrip;
        let scorer = models.verifier.or(backwards.then_some(models.reasoner));
        let Some(scorer) = scorer else {
            return Ok(vec![None; candidates.len()]);
        };
        let scorer = &mut *models.loaded[scorer];
        let started = Instant::now();
        let interrupted = &self.options.interrupted;
        let watch = |_, _| match interrupted.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let (scores, usage): (_, Usage) = if backwards {
            score_backwards(self.question, candidates, scorer, &watch)?
        } else {
            let read = candidates.iter().zip(descriptions);
            let read: Vec<String> = read
                .map(|(candidate, description)| match description {
                    Some(description) => format!("{}\n\n{}", description.trim(), candidate.text),
                    None => candidate.text.clone(),
                })
                .collect();
            let texts: Vec<&str> = read.iter().map(String::as_str).collect();
            score(self.question, &texts, scorer, &watch)?
        };
        self.timings.score = milliseconds(started);
        self.tokens.score = usage.tokens_prompt + usage.tokens_continued;
        Ok(scores)
    }
}
