//! What candidates cost: tokens, floating-point operations, seconds.

use serde::{Deserialize, Serialize};

use crate::{
    problem::Task,
    trace::{Program, Reason, Trace, TracedCandidate, Verdict},
};

use super::Way;

/// Parameters of each model, where known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Of the model that samples candidates.
    pub reasoner: Option<u64>,
    /// Of the model that writes programs.
    pub coder: Option<u64>,
    /// Of the model that scores candidates.
    pub verifier: Option<u64>,
}

/// What was spent on a problem, on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Tokens evaluated and generated, by all models.
    pub tokens: f64,
    /// Floating-point operations: 2 for each parameter and token (Kaplan et al. 2020, arXiv
    /// 2001.08361, section 2.1; attention over the context is left out). `None` where a model's
    /// parameters are not known.
    pub flops: Option<f64>,
    /// Wall-clock time, in seconds, as this run took it.
    pub seconds: f64,
}

/// Bytes of text that count as a token where a recording tells no tokens.
const TOKEN_BYTES: f64 = 4.0;

/// The costs of one problem's candidates: once for all, and each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    once: Cost,
    candidate: Cost,
    program: Cost,
    score: Cost,
}

/// Whether no trace tells its tokens, as none of a recording does.
pub fn is_untold(traces: &[Trace]) -> bool {
    let drawn = traces.iter().any(|trace| !trace.candidates.is_empty());
    let told = |trace: &Trace| trace.tokens.prompt + trace.tokens.sample > 0;
    drawn && !traces.iter().any(told)
}

impl Costs {
    /// The mean costs of each of a trace's candidates. Where tokens are not told, a token is 4
    /// bytes of the texts that were recorded.
    ///
    /// What a batch of candidates took together is split evenly among them, so that the seconds of
    /// a part of them are a lower bound.
    pub fn of(trace: &Trace, parameters: Parameters, untold: bool) -> Self {
        let count = trace.candidates.len().max(1) as f64;
        // Where the candidates are the programs, nobody wrote those, and no answer comes without
        // running them.
        let itself = |traced: &TracedCandidate| traced.verdict == Verdict::Unclear(Reason::Itself);
        let is_program = trace.task == Task::Code || trace.candidates.iter().any(itself);
        let (tokens, ms) = (trace.tokens, trace.timings_ms);
        let (prompt, sample, translate, score) = if untold {
            let of = |bytes: usize| bytes as f64 / TOKEN_BYTES;
            let all =
                |bytes: fn(&TracedCandidate) -> usize| of(trace.candidates.iter().map(bytes).sum());
            let texts = all(|traced| traced.candidate.text.len());
            let scored = trace.candidates.iter().any(|traced| traced.score.is_some());
            // A program that is the candidate, or that its text holds, was paid for with it.
            let programs = match is_program {
                true => 0.0,
                false => all(|traced| {
                    let beside = |program: &&Program| !traced.candidate.text.contains(&program.0);
                    let program = traced.program.as_ref().filter(beside);
                    program.map_or(0, |program| program.0.len())
                }),
            };
            let question = of(trace.question.len());
            let score = if scored { question + texts } else { 0.0 };
            (question, texts, programs, score)
        } else {
            (
                tokens.prompt as f64,
                tokens.sample as f64,
                tokens.translate as f64,
                tokens.score as f64,
            )
        };
        let cost = |tokens: f64, parameters: Option<u64>, ms: f64| Cost {
            tokens,
            flops: match (tokens > 0.0, parameters) {
                (false, _) => Some(0.0),
                (true, None) => None,
                (true, Some(parameters)) => Some(2.0 * parameters as f64 * tokens),
            },
            seconds: ms / 1e3,
        };
        let running = ms.execute + ms.judge;
        let (for_answers, for_verdicts) = match is_program {
            true => (running, 0.0),
            false => (0.0, running),
        };
        Self {
            once: cost(prompt, parameters.reasoner, ms.prompt),
            candidate: cost(
                sample / count,
                parameters.reasoner,
                ((ms.sample - ms.prompt).max(0.0) + for_answers) / count,
            ),
            program: cost(
                translate / count,
                parameters.coder,
                (ms.translate + for_verdicts) / count,
            ),
            score: cost(score / count, parameters.verifier, ms.score / count),
        }
    }

    /// What a way costs over `samples` candidates.
    pub fn at(&self, way: Way, samples: f64) -> Cost {
        let Cost {
            mut tokens,
            mut flops,
            mut seconds,
        } = self.once;
        let parts = [
            (true, self.candidate),
            (way.needs_programs(), self.program),
            (way.needs_scores(), self.score),
        ];
        for (_, part) in parts.into_iter().filter(|(needed, _)| *needed) {
            tokens += samples * part.tokens;
            seconds += samples * part.seconds;
            flops = flops
                .zip(part.flops)
                .map(|(sum, each)| sum + samples * each);
        }
        Cost {
            tokens,
            flops,
            seconds,
        }
    }

    /// The mean of several problems' costs.
    pub fn mean(all: &[Self]) -> Self {
        let mean = |part: fn(&Self) -> Cost| {
            let count = all.len().max(1) as f64;
            let sum = |of: fn(Cost) -> f64| all.iter().map(|costs| of(part(costs))).sum::<f64>();
            let flops: Option<f64> = all.iter().map(|costs| part(costs).flops).sum();
            Cost {
                tokens: sum(|cost| cost.tokens) / count,
                flops: flops.map(|flops| flops / count),
                seconds: sum(|cost| cost.seconds) / count,
            }
        };
        Self {
            once: mean(|costs| costs.once),
            candidate: mean(|costs| costs.candidate),
            program: mean(|costs| costs.program),
            score: mean(|costs| costs.score),
        }
    }
}
