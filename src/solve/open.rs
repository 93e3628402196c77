//! One question under way.

use std::time::Instant;

mod code;

use super::{Models, Options, Stage, tally::Tally};
use crate::{
    error::{Error, Result},
    execute::Sandbox,
    judge::{computed, judge},
    model::{Finished, Usage},
    problem::{Question, Task},
    sample,
    select::{Evidence, classes, lots, select},
    settle::{Until, settle},
    trace::{
        Candidate, Execution, Program, Reason, Stopped, Timings, Tokens, Trace, TracedCandidate,
        Verdict, Why,
    },
    translate,
};

/// Candidates asked for at a time where drawing may end early.
const ROUND: usize = 8;

/// A question, and what is known of its candidates so far.
pub(super) struct Open<'q> {
    question: &'q Question,
    options: &'q Options,
    drafts: Vec<Draft>,
    /// Candidates asked for.
    asked: usize,
    /// The first so many were looked at, and do not settle the vote.
    looked_at: usize,
    errands: Vec<(usize, u64, Errand)>,
    stopped: Option<Stopped>,
    /// What the coder wrote for [`Errand::Inputs`]; `None` while it is awaited.
    inputs: Option<String>,
    timings: Timings,
    tokens: Tokens,
}

/// What a model was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Candidates.
    Sample,
    /// The program of the candidate with this index.
    Program(usize),
    /// Calls on which candidates that are programs are compared.
    Inputs,
}

/// What is known of a candidate.
#[derive(Default)]
struct Draft {
    candidate: Option<Candidate>,
    program: Option<Program>,
    execution: Option<Execution>,
    verdict: Option<Verdict>,
    /// Of a candidate that is a program.
    description: Option<String>,
    outputs: Vec<String>,
}

impl<'q> Open<'q> {
    pub fn new(question: &'q Question, options: &'q Options) -> Self {
        Self {
            question,
            options,
            drafts: Vec::new(),
            asked: 0,
            looked_at: 0,
            errands: Vec::new(),
            stopped: None,
            inputs: Some(String::new()),
            timings: Timings::default(),
            tokens: Tokens::default(),
        }
    }

    /// What a model's ticket was for, if it is this question's.
    pub fn errand(&self, model: usize, ticket: u64) -> Option<Errand> {
        let mut errands = self.errands.iter();
        errands
            .find(|(of, known_by, _)| (*of, *known_by) == (model, ticket))
            .map(|(.., errand)| *errand)
    }

    /// Asks for candidates: all of them, or where fewer may do, a few.
    pub fn draw(&mut self, models: &mut Models, tally: &mut Tally) -> Result<()> {
        if self.asked == 0 {
            self.ask_inputs(models, tally)?;
        }
        let left = self.options.samples - self.asked;
        let count = match self.options.until {
            Until::All => left,
            Until::Settled { .. } => left.min(ROUND),
        };
        let Options { sampling, seed, .. } = self.options;
        let ticket = sample::ask(
            self.question,
            models.reasoner(),
            self.asked,
            count,
            sampling,
            *seed,
        );
        let ticket = match ticket {
            Err(Error::Context {
                needed, allowed, ..
            }) => {
                self.asked = self.options.samples;
                self.stop(Why::TooLong { needed, allowed }, 0, 0, None, models);
                self.inputs = Some(String::new());
                return Ok(());
            }
            ticket => ticket?,
        };
        self.errands
            .push((models.reasoner, ticket.id, Errand::Sample));
        self.drafts
            .resize_with(self.drafts.len() + ticket.samples, Draft::default);
        tally.expect(Stage::Sample, ticket.samples);
        // A recording that holds fewer has no more of them.
        self.asked = match ticket.samples {
            some if some < count => self.options.samples,
            _ => self.asked + count,
        };
        Ok(())
    }

    /// Takes in a candidate, and says which one it is.
    pub fn drawn(&mut self, ended: Finished, tally: &mut Tally) -> usize {
        self.count_drawn(ended.usage);
        tally.done(Stage::Sample);
        let candidate = sample::sampled(self.question, ended.generation, self.options.rule);
        self.drafts[ended.sample].candidate = Some(candidate);
        ended.sample
    }

    /// Has a candidate's program written; without a coder there is none.
    pub fn translate(
        &mut self,
        index: usize,
        models: &mut Models,
        tally: &mut Tally,
    ) -> Result<()> {
        let asked = match (models.coder, &self.drafts[index].candidate) {
            (Some(coder), Some(candidate)) if self.needs_coder() => {
                let Options {
                    translating, seed, ..
                } = self.options;
                let model = &mut *models.loaded[coder];
                let ticket =
                    translate::ask(self.question, index, candidate, model, translating, *seed)?;
                self.errands
                    .push((coder, ticket.id, Errand::Program(index)));
                ticket.samples
            }
            _ => 0,
        };
        tally.expect(Stage::Translate, asked);
        if asked == 0 {
            self.judge(index);
        }
        Ok(())
    }

    /// Takes in what the coder wrote of a candidate, and hands over the program to run; of a candidate
    /// that is a program, it wrote a description.
    pub fn written(&mut self, index: usize, ended: Finished, tally: &mut Tally) -> Option<Program> {
        self.count_translated(ended.usage);
        tally.done(Stage::Translate);
        if self.question.task == Task::Code {
            self.drafts[index].description = Some(ended.generation.text);
            self.judge(index);
            return None;
        }
        tally.expect(Stage::Execute, 1);
        let program = translate::translated(&ended.generation);
        self.drafts[index].program = Some(program.clone());
        Some(program)
    }

    /// Takes in what a candidate's program did.
    pub fn executed(&mut self, index: usize, execution: Execution, tally: &mut Tally) {
        tally.done(Stage::Execute);
        self.timings.execute += execution.ms;
        // Those behind the point at which drawing ended are gone.
        let Some(draft) = self.drafts.get_mut(index) else {
            return;
        };
        if let (Some(candidate), Some(program)) = (&mut draft.candidate, &draft.program)
            && program.is_all_of(&candidate.text)
        {
            candidate.answer = computed(&execution, self.options.rule);
        }
        draft.execution = Some(execution);
        self.judge(index);
    }

    fn judge(&mut self, index: usize) {
        let started = Instant::now();
        let draft = &mut self.drafts[index];
        let verdict = match (self.question.task, &draft.candidate) {
            (Task::Math, Some(candidate)) => judge(
                std::slice::from_ref(candidate),
                std::slice::from_ref(&draft.program),
                std::slice::from_ref(&draft.execution),
                self.options.rule,
            )[0],
            _ => Verdict::Unclear(Reason::Code),
        };
        draft.verdict = Some(verdict);
        self.timings.judge += milliseconds(started);
    }

    /// Whether no more has to be known of its candidates; asks for more of them where it helps.
    pub fn is_done(&mut self, models: &mut Models, tally: &mut Tally) -> Result<bool> {
        let known = self.drafts.iter().map_while(|draft| draft.verdict);
        let verdicts: Vec<Verdict> = known.collect();
        if let Until::Settled { confidence } = self.options.until
            && verdicts.len() > self.looked_at
        {
            self.looked_at = verdicts.len();
            let classes = self.classes(verdicts.len());
            if let Some((count, surely)) =
                settle(&classes, &verdicts, self.options.filter, confidence)
            {
                let begun = self.drafts.len();
                self.stop(Why::Settled, begun, count, Some(surely), models);
                return Ok(true);
            }
        }
        if verdicts.len() < self.drafts.len() || self.inputs.is_none() {
            return Ok(false);
        }
        if self.asked == self.options.samples {
            return Ok(true);
        }
        self.draw(models, tally)?;
        Ok(self.drafts.len() == verdicts.len())
    }

    /// Gives up whatever is not among the first `count` candidates of those `begun`.
    fn stop(
        &mut self,
        why: Why,
        begun: usize,
        count: usize,
        confidence: Option<f64>,
        models: &mut Models,
    ) {
        for (model, ticket, errand) in std::mem::take(&mut self.errands) {
            for cancelled in models.loaded[model].cancel(ticket) {
                match errand {
                    Errand::Sample => self.count_drawn(cancelled.usage),
                    Errand::Program(_) | Errand::Inputs => self.count_translated(cancelled.usage),
                }
            }
        }
        self.drafts.truncate(count);
        self.stopped = Some(Stopped {
            why,
            asked: self.options.samples,
            begun,
            kept: count,
            confidence,
        });
    }

    /// Scores the candidates and chooses one of them.
    pub fn conclude(
        mut self,
        models: &mut Models,
        sandbox: &Sandbox,
        interrupted: bool,
        tally: &mut Tally,
    ) -> Result<Trace> {
        if interrupted && self.stopped.is_none() {
            let begun = self.drafts.len();
            self.drafts.retain(|draft| draft.candidate.is_some());
            self.stop(Why::Interrupted, begun, self.drafts.len(), None, models);
        }
        let inputs = self.probe(sandbox, interrupted);
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut traced = Vec::new();
        let (mut verdicts, mut descriptions, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        let no_program = Verdict::Unclear(Reason::NoProgram);
        for draft in std::mem::take(&mut self.drafts) {
            candidates.extend(draft.candidate);
            traced.push((draft.program, draft.execution));
            verdicts.push(draft.verdict.unwrap_or(no_program));
            descriptions.push(draft.description);
            outputs.push(draft.outputs);
        }

        let mut scores = vec![None; candidates.len()];
        if !interrupted {
            tally.expect(Stage::Score, candidates.len());
            match self.scores(&candidates, &descriptions, models) {
                Ok(all) => {
                    scores = all;
                    candidates.iter().for_each(|_| tally.done(Stage::Score));
                }
                // Half of them scored would be compared with half that are not.
                Err(Error::Interrupted) => {
                    let kept = candidates.len();
                    self.stopped = Some(Stopped {
                        why: Why::Interrupted,
                        asked: self.options.samples,
                        begun: self.stopped.map_or(kept, |stopped| stopped.begun),
                        kept,
                        confidence: None,
                    });
                }
                Err(error) => return Err(error),
            }
        }

        let started = Instant::now();
        let answers: Vec<Option<&str>> = candidates
            .iter()
            .map(|candidate| candidate.answer.as_deref())
            .collect();
        let given: Vec<&[String]> = outputs.iter().map(Vec::as_slice).collect();
        let classes = classes(self.question.task, &answers, &given, self.options.rule);
        let evidence = Evidence {
            classes: &classes,
            verdicts: &verdicts,
            scores: &scores,
            lots: &lots(&self.question.id, classes.len()),
        };
        let ranking = select(evidence, self.options.selector, self.options.filter);
        self.timings.select = milliseconds(started);

        let Timings {
            sample,
            translate,
            execute,
            judge,
            score,
            select,
            ..
        } = self.timings;
        self.timings.total = sample + translate + execute + judge + score + select;
        let answer = ranking
            .chosen
            .and_then(|index| candidates[index].answer.clone());
        let traced = candidates.into_iter().zip(traced);
        let traced = traced.zip(verdicts.into_iter().zip(scores));
        let traced = traced.zip(descriptions.into_iter().zip(outputs));
        let candidates = traced.map(
            |(((candidate, (program, execution)), (verdict, score)), (description, outputs))| {
                TracedCandidate {
                    candidate,
                    program,
                    execution,
                    verdict,
                    score,
                    description,
                    outputs,
                    correct: None,
                }
            },
        );
        Ok(Trace {
            id: self.question.id.clone(),
            question: self.question.text.clone(),
            task: self.question.task,
            seed: self.options.seed,
            candidates: candidates.collect(),
            inputs,
            ranking,
            answer,
            stopped: self.stopped,
            reference: None,
            correct: None,
            timings_ms: self.timings,
            tokens: self.tokens,
        })
    }

    /// The classes of equal answers among the first `count` candidates.
    fn classes(&self, count: usize) -> Vec<Option<usize>> {
        let answers: Vec<Option<&str>> = self.drafts[..count]
            .iter()
            .map(|draft| draft.candidate.as_ref()?.answer.as_deref())
            .collect();
        // What programs give is known when all of them are drawn.
        let none = vec![&[][..]; answers.len()];
        classes(self.question.task, &answers, &none, self.options.rule)
    }

    fn count_drawn(&mut self, usage: Usage) {
        self.timings.prompt += usage.prompt.as_secs_f64() * 1e3;
        self.timings.sample += usage.time.as_secs_f64() * 1e3;
        self.tokens.prompt += usage.tokens_prompt;
        self.tokens.sample += usage.tokens_continued;
    }

    fn count_translated(&mut self, usage: Usage) {
        self.timings.translate += usage.time.as_secs_f64() * 1e3;
        self.tokens.translate += usage.tokens_prompt + usage.tokens_continued;
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
