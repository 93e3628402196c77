//! Generated problems as texts to learn from.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::json;

use super::{FRESH, HELD_OUT, Recipe};
use crate::{
    Result,
    model::{Prompts, llama::Tokenizer},
    problem::{Question, Task},
    task::generate::{Generated, generate},
    trace::{Candidate, Stop},
    train::{Tokenize, pairs::Problem},
};

/// Which role's texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) enum Lesson {
    /// Question, then chain of thought.
    Solve,
    /// Chain of thought, then program; of this share of the problems the chain is a wrong one.
    Translate { flawed: f64 },
}

impl Lesson {
    /// The prompt and its continuation for one problem.
    fn text(self, prompts: &Prompts, seed: u64, index: u64) -> Result<(String, String)> {
        let generated = generate(seed, index);
        let (solution, program) = match self {
            Self::Translate { flawed } if is_chosen(index, flawed) => {
                let flawed = generated.flawed(seed.wrapping_add(index));
                (flawed.solution, flawed.program)
            }
            _ => (generated.solution, generated.program),
        };
        let question = Question::new(generated.question, Task::Math);
        Ok(match self {
            Self::Solve => (content(prompts.solve(&question)?), solution),
            Self::Translate { .. } => {
                let candidate = candidate(solution);
                (content(prompts.translate(&question, &candidate)?), program)
            }
        })
    }
}

/// Problems whose texts make up about `tokens` tokens. With `learn_prompt`, the prompt is part of
/// what is learned.
pub(super) fn lessons(
    lesson: Lesson,
    prompts: &Prompts,
    tokenizer: &Tokenizer,
    seed: u64,
    tokens: u64,
    learn_prompt: bool,
) -> Result<Vec<Problem>> {
    let problem = |index| {
        let (prompt, continuation) = lesson.text(prompts, seed, index)?;
        let (prompt, solution) = match learn_prompt {
            true => (String::new(), prompt + &continuation),
            false => (prompt, continuation),
        };
        Ok(Problem {
            prompt,
            split: None,
            solutions: vec![(solution, true)],
            pairs: Vec::new(),
        })
    };
    const PROBED: u64 = 500;
    let mut probed = 0;
    for index in 0..PROBED {
        let Problem {
            prompt, solutions, ..
        } = problem(index)?;
        probed += tokenizer.solution(&prompt)?.len() + tokenizer.solution(&solutions[0].0)?.len();
    }
    let problems = tokens * PROBED / probed.max(1) as u64;
    (0..problems.max(1)).map(problem).collect()
}

/// Prompts that are rendered already; the begin token stands before each.
pub(super) struct Rendered<'a>(pub &'a Tokenizer);

impl Tokenize for Rendered<'_> {
    fn prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        // The begin token is the tokenizer's first.
        let mut tokens = vec![0];
        tokens.extend(self.0.solution(prompt)?);
        Ok(tokens)
    }

    fn solution(&self, text: &str) -> Result<Vec<u32>> {
        self.0.solution(text)
    }

    fn end(&self) -> Option<u32> {
        self.0.end()
    }
}

/// All texts of the first problems, for the tokenizer to learn from.
pub(super) fn texts(seed: u64, problems: u64) -> impl Iterator<Item = String> + Send {
    (0..problems).map(move |index| {
        let Generated {
            question,
            solution,
            program,
            ..
        } = generate(seed, index);
        format!("{question}\n{solution}\n{program}")
    })
}

/// Problems that no model saw, as rows of a benchmark: of another seed, and none whose question was
/// ever drawn before for training.
pub(super) fn held_out(recipe: &Recipe, problems: u64) -> String {
    let seen =
        |seed: u64, problems: u64| (0..problems).map(move |index| generate(seed, index).question);
    // A text has more than 50 tokens on average, so these are more than were learned from.
    let learned = recipe.reasoner.tokens.max(recipe.coder.tokens) / 50;
    let fresh = recipe.samples.problems + recipe.samples.contrasts;
    let drawn = seen(recipe.seed.wrapping_add(FRESH), fresh);
    let seen: HashSet<String> = seen(recipe.seed, learned).chain(drawn).collect();
    let fresh = (0..).map(|index| generate(recipe.seed.wrapping_add(HELD_OUT), index));
    let fresh = fresh.filter(|generated| !seen.contains(&generated.question));
    let rows = fresh.take(problems as usize).map(|generated| {
        let row = json!({
            "question": generated.question,
            "answer": generated.answer,
            "solution": generated.solution,
            "steps": generated.steps,
            "kind": generated.kind,
        });
        row.to_string() + "\n"
    });
    rows.collect()
}

pub(super) fn candidate(text: String) -> Candidate {
    Candidate {
        text,
        answer: None,
        tokens: 0,
        stop: Stop::Recorded,
        logprob_mean: None,
    }
}

fn content(messages: Vec<crate::model::Message>) -> String {
    messages
        .into_iter()
        .map(|message| message.content)
        .collect()
}

/// Whether an index is among a share of all indexes, evenly spread (the golden ratio's multiples).
fn is_chosen(index: u64, share: f64) -> bool {
    (index as f64 * 0.618_033_988_749_895).fract() < share
}
