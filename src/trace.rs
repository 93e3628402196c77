//! The values that flow between the stages, and [`Trace`], the record of one solved question.
//!
//! A trace is one JSON line; its field names are a contract with `report`, `pairs` and with
//! users' own scripts: fields may be added, none is renamed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::problem::{Interface, Reference, Task};

/// One sampled solution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What the reasoner wrote.
    pub text: String,
    /// The final answer found in the text.
    pub answer: Option<String>,
    /// Tokens generated; 0 where a recording does not tell.
    pub tokens: u32,
    /// Why generation ended.
    pub stop: Stop,
    /// Mean log-probability per generated token under the reasoner, in nats.
    pub logprob_mean: Option<f64>,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The model ended its turn.
    End,
    /// A stop string appeared.
    String,
    /// The token limit was reached.
    Length,
    /// It repeated one span over and over; the repeats are cut off.
    Repetition,
    /// It was given up, because it was not needed any more.
    Cancelled,
    /// The text was recorded earlier and does not tell.
    Recorded,
}

/// A candidate's Python program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Program(pub String);

impl Program {
    /// Whether a text is this program and nothing else, fenced or not: it thinks in code alone
    /// (program of thoughts, arXiv 2211.12588), and answers by what that computes.
    pub fn is_all_of(&self, text: &str) -> bool {
        let beside = |text: &str| {
            text.split("```")
                .step_by(2)
                .all(|part| part.trim().is_empty())
        };
        self.0 == text || (Self::from_reply(text) == *self && text.contains("```") && beside(text))
    }

    /// The program in a reply to a programming question: the first block that defines what is asked
    /// for (later ones often hold tests), else what [`Program::from_reply`] finds. A reply that only
    /// continues the question's code is put behind it.
    pub fn answering(interface: Option<&Interface>, reply: &str) -> Self {
        let Some(interface) = interface else {
            return Self::from_reply(reply);
        };
        let blocks = blocks(reply);
        let texts = blocks.iter().map(|(_, code)| *code).chain([reply]);
        let prefix = interface.prefix.as_str();
        for text in texts {
            if let Some(place) = interface.definition(text) {
                // Imports and helpers of the question's own code, unless the reply repeats them.
                let before = interface
                    .definition(prefix)
                    .map_or("", |place| &prefix[..place]);
                let repeated = place > 0 && text[..place].contains(before.trim());
                return Self(match before.trim().is_empty() || repeated {
                    true => text.to_owned(),
                    false => format!("{before}{text}"),
                });
            }
        }
        if prefix.is_empty() {
            return Self::from_reply(reply);
        }
        // The body of a function ends at the first line that is not indented.
        let continuation = blocks.first().map_or(reply, |(_, code)| code);
        let mut body = String::from(prefix);
        for (number, line) in continuation.split_inclusive('\n').enumerate() {
            let outside = !line.trim().is_empty() && !line.starts_with([' ', '\t']);
            if outside && number > 0 {
                break;
            }
            body += line;
        }
        Self(body)
    }

    /// The program in a model's reply: its last fenced block of Python, else its last fenced block
    /// (a block after the program often shows its output, but says that it is none), else all of it.
    pub fn from_reply(reply: &str) -> Self {
        let blocks = blocks(reply);
        let is_python =
            |language: &str| language.eq_ignore_ascii_case("python") || language == "py";
        let python = blocks
            .iter()
            .rev()
            .find(|(language, _)| is_python(language));
        Self(
            python
                .or(blocks.last())
                .map_or(reply, |(_, code)| code)
                .to_owned(),
        )
    }
}

/// The fenced blocks of a text: language and code.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    text.split("```")
        .skip(1)
        .step_by(2)
        // The first line of a block names the language.
        .map(|block| match block.split_once('\n') {
            Some((language, code)) if !language.trim().contains(' ') => (language.trim(), code),
            _ => ("", block),
        })
        .collect()
}

/// What running a program did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it printed, cut at the output limit.
    pub stdout: String,
    /// What it computed: `solution()`'s result, a variable `ans` or `answer`, or the last line printed.
    pub value: Option<String>,
    /// Instructions executed, in wasmtime's fuel units.
    pub fuel: u64,
    /// Wall-clock time, in milliseconds.
    pub ms: f64,
}

/// How a program ended. A program that fails is a value, never an `Err`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It ran to its end (or called `exit(0)`).
    Finished,
    /// It is not Python.
    SyntaxError {
        /// The interpreter's message.
        error: String,
    },
    /// It raised an exception.
    Raised {
        /// Class and message, as the last line of a traceback shows them.
        error: String,
    },
    /// It executed more instructions than allowed.
    OutOfFuel {
        /// Fuel units allowed.
        limit: u64,
        /// Fuel units used when it was stopped.
        used: u64,
    },
    /// It asked for more memory than allowed.
    OutOfMemory {
        /// Bytes of linear memory allowed.
        limit: u64,
        /// Bytes it would have needed.
        used: u64,
    },
    /// It printed more than allowed.
    OutputTooLong {
        /// Bytes allowed.
        limit: u64,
        /// Bytes it had printed when it was stopped.
        used: u64,
    },
    /// It recursed beyond what the interpreter's stack holds.
    RecursionTooDeep {
        /// Python frames allowed.
        limit: u64,
        /// Python frames in use when it was stopped.
        used: u64,
    },
    /// The program text is longer than allowed; it was not run.
    ProgramTooLong {
        /// Bytes allowed.
        limit: u64,
        /// Bytes given.
        used: u64,
    },
    /// The wall-clock seat belt caught it.
    Deadline {
        /// Milliseconds allowed.
        limit: u64,
        /// Milliseconds taken.
        used: u64,
    },
    /// The interpreter itself trapped.
    Crashed {
        /// What the runtime said.
        error: String,
    },
}

impl Outcome {
    /// The outcome's name, as the trace spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::SyntaxError { .. } => "syntax_error",
            Self::Raised { .. } => "raised",
            Self::OutOfFuel { .. } => "out_of_fuel",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::OutputTooLong { .. } => "output_too_long",
            Self::RecursionTooDeep { .. } => "recursion_too_deep",
            Self::ProgramTooLong { .. } => "program_too_long",
            Self::Deadline { .. } => "deadline",
            Self::Crashed { .. } => "crashed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::SyntaxError { error } | Self::Raised { error } => f.write_str(error),
            Self::OutOfFuel { limit, .. } => write!(f, "out of fuel: more than {limit} units"),
            Self::OutOfMemory { limit, used } => {
                write!(f, "out of memory: {used} bytes > {limit} bytes")
            }
            Self::OutputTooLong { limit, .. } => write!(f, "output longer than {limit} bytes"),
            Self::RecursionTooDeep { limit, .. } => {
                write!(f, "recursion deeper than {limit} frames")
            }
            Self::ProgramTooLong { limit, used } => {
                write!(f, "program too long: {used} bytes > {limit} bytes")
            }
            Self::Deadline { limit, .. } => write!(f, "took longer than {limit} ms"),
            Self::Crashed { error } => write!(f, "crashed: {error}"),
        }
    }
}

/// Program against candidate: the CoTnPoT check (arXiv 2410.05318, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "verdict_reason")]
pub enum Verdict {
    /// The program computes the candidate's answer.
    Agrees,
    /// The program computes something else.
    Disagrees,
    /// Nothing can be said.
    Unclear(Reason),
}

/// Why a verdict is unclear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The candidate's text ends in no answer.
    NoAnswer,
    /// The candidate has no program.
    NoProgram,
    /// The program only states a constant, so agreeing with it says nothing.
    Constant,
    /// The program does not parse.
    Syntax,
    /// The program raised an exception.
    Raised,
    /// The program was stopped at a limit.
    Limit,
    /// The program ran and computed nothing.
    NoValue,
    /// The candidate is itself a program, and the question shows no example to run.
    Code,
    /// The candidate is itself a program, and what that computes is its answer.
    Itself,
}

/// A verifier's number for one candidate: the higher, the better.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Score(pub f64);

/// All candidates of a question, best first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranking {
    /// Candidate indexes, best first; those the filter dropped come last.
    #[serde(rename = "ranking")]
    pub order: Vec<usize>,
    /// The chosen candidate: the first that has an answer.
    pub chosen: Option<usize>,
    /// The rule that chose, such as `verifier+cotnpot` or `majority+cotnpot:all-dropped`.
    pub rule: String,
}

/// A candidate with all that the later stages found out about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedCandidate {
    /// What was sampled.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// What the coder made of it.
    pub program: Option<Program>,
    /// What running that did.
    pub execution: Option<Execution>,
    /// Whether the two agree.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What the verifier gave it.
    pub score: Option<Score>,
    /// What the coder wrote about a candidate that is a program (`--code-mode describe`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What a candidate that is a program gives for each of the trace's `inputs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// Whether its answer is right; written by `eval` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
}

/// The record of one solved question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The question's id.
    pub id: String,
    /// The question's text.
    pub question: String,
    /// What a solution is.
    pub task: Task,
    /// The seed from which every random choice came.
    pub seed: u64,
    /// The sampled solutions.
    pub candidates: Vec<TracedCandidate>,
    /// The calls on which candidates that are programs were compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// Their order and the choice.
    #[serde(flatten)]
    pub ranking: Ranking,
    /// The chosen candidate's answer.
    pub answer: Option<String>,
    /// Why fewer candidates are here than were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// What a right answer is; written by `eval` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Whether `answer` is right; written by `eval` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// Time spent on each stage.
    pub timings_ms: Timings,
    /// Tokens computed.
    pub tokens: Tokens,
}

/// Why and when drawing ended early.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    /// The reason.
    pub why: Why,
    /// Candidates asked for in all.
    pub asked: usize,
    /// Candidates begun; those behind the ones kept were given up, and their tokens count.
    pub begun: usize,
    /// Candidates kept: the first so many, however fast others were.
    pub kept: usize,
    /// How likely the leading answer was to stay ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
}

/// Why drawing ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The leading answer was unlikely to be overtaken.
    Settled,
    /// Somebody asked for it; candidates are those that had ended, and none is scored.
    Interrupted,
    /// No candidate can be drawn: prompt and one more token do not fit the reasoner's context.
    TooLong {
        /// Tokens of both.
        needed: usize,
        /// Tokens the context holds.
        allowed: usize,
    },
}

/// Time spent on each stage, in milliseconds. Where several questions are solved at once, each has
/// its share of what models did for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Evaluating the reasoner's prompt; part of `sample`.
    pub prompt: f64,
    /// Sampling candidates.
    pub sample: f64,
    /// Writing programs.
    pub translate: f64,
    /// Running programs, one after another.
    pub execute: f64,
    /// Comparing programs with candidates.
    pub judge: f64,
    /// Scoring candidates.
    pub score: f64,
    /// Ranking candidates.
    pub select: f64,
    /// All stages.
    pub total: f64,
}

/// Tokens computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Prompt tokens the reasoner evaluated: the prompt once, however many candidates.
    pub prompt: u64,
    /// Tokens the reasoner generated.
    pub sample: u64,
    /// Tokens the coder evaluated and generated.
    pub translate: u64,
    /// Tokens the verifier evaluated.
    pub score: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_is_the_replys_last_block_or_everything() {
        let check = |reply: &str, expected| assert_eq!(Program::from_reply(reply).0, expected);
        check("print(1)", "print(1)");
        check("So:\n```python\nprint(1)\n```\nDone.", "print(1)\n");
        check("```\nprint(1)\n```\nor\n```py\nprint(2)\n```", "print(2)\n");
        check("Cut off:\n```python\nprint(3)", "print(3)");
        check("```x = 1```", "x = 1");
        check(
            "```python\nprint(72)\n```\nOutput:\n```\n72\n```",
            "print(72)\n",
        );
    }
}
