//! What is asked, and, apart from it, what the right answer is.
//!
//! [`Question`] is all that the stages of [`crate::solve`](mod@crate::solve) see. It holds no
//! reference answer, so no stage can look at one: the type forbids it.

use serde::{Deserialize, Serialize};

/// The kind of solution a question asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A chain of thought that ends in an answer.
    #[default]
    Math,
    /// A Python program.
    Code,
}

/// A question without its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Unique within a benchmark.
    pub id: String,
    /// The text a model is asked.
    pub text: String,
    /// What a solution is.
    pub task: Task,
    /// What a programming question shows of the program it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
}

impl Question {
    /// A question that stands in no benchmark, and has no id.
    pub fn new(text: impl Into<String>, task: Task) -> Self {
        Self {
            text: text.into(),
            task,
            ..Self::default()
        }
    }

    /// The tests that it shows.
    pub fn examples(&self) -> &[String] {
        let interface = self.interface.as_ref();
        interface.map_or(&[], |interface| &interface.examples)
    }
}

/// What a programming question shows of the program it asks for: nothing that a model may not see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// The function or class that is asked for.
    pub entry_point: String,
    /// Code that a reply may continue instead of writing a whole program; empty where there is none.
    pub prefix: String,
    /// Code that runs before the examples.
    pub setup: String,
    /// Statements that raise where the program is wrong: `assert f(2) == 4`, or only `f(2)`.
    pub examples: Vec<String>,
}

impl Interface {
    /// Where in a program text the line begins that defines what is asked for, outside of all else.
    pub fn definition(&self, text: &str) -> Option<usize> {
        let names = |line: &str| {
            ["def ", "async def ", "class ", ""].iter().any(|keyword| {
                let rest = line.strip_prefix(keyword);
                let rest = rest.and_then(|rest| rest.strip_prefix(&self.entry_point));
                // `name = lambda ...` defines too.
                let after = rest
                    .map(str::trim_start)
                    .and_then(|rest| rest.chars().next());
                match *keyword {
                    "" => after == Some('='),
                    _ => matches!(after, Some('(' | ':')),
                }
            })
        };
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            if !self.entry_point.is_empty() && names(line) {
                return Some(start);
            }
            start += line.len();
        }
        None
    }
}

/// What a right answer is; only `task`, `eval` and `train::pairs` may hold one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The gold answer; of a programming question, a program that is right.
    pub answer: String,
    /// Hidden tests: a program that raises after one that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<String>,
}

/// One row of a benchmark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is asked.
    pub question: Question,
    /// What a right answer is.
    pub reference: Reference,
}
