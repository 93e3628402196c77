//! What the models are asked: a property of each model.
//!
//! A prompt is a Jinja template. A model's own are in its GGUF's metadata (`rerank.prompts.solve`,
//! `rerank.prompts.translate`) or in its manifest; every other model is asked in [`Prompts::default`]'s
//! words. The chat template, which is another thing, goes around what is rendered here.

use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior, context, syntax::SyntaxConfig};
use serde::{Deserialize, Serialize};

use super::Message;
use crate::{
    Error, Result,
    problem::{Interface, Question, Task},
    trace::Candidate,
};

/// The templates of a model's prompts.
///
/// They see `question`, `task` (`math` or `code`), `examples` (the tests that a programming question shows
/// beside its text) and, but for `solve`, `solution`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prompts {
    /// What is continued by a solution: sampled by the reasoner, scored by the verifier.
    pub solve: String,
    /// What is continued by a solution's program; where the solution is a program, by its description.
    pub translate: String,
    /// What is continued by the question that a program answers (`--code-mode roundtrip`).
    pub recall: String,
    /// What is continued by calls of the function that a question asks for; sees `entry_point` too.
    pub inputs: String,
}

impl Default for Prompts {
    fn default() -> Self {
        let solve = "{{ question }}\n\n\
            {% if task == 'code' %}\
            {% if examples %}Your code should pass these tests:\n\n\
            {% for example in examples %}{{ example }}\n{% endfor %}\n{% endif %}\
            Write the Python code that does this, in one ```python block.\
            {% else %}\
            Reason step by step, and end with a line \"The answer is\" followed by the final answer.\
            {% endif %}";
        let translate = "Question:\n{{ question }}\n\nSolution:\n{{ solution }}\n\n\
            {% if task == 'code' %}\
            Describe step by step what this program does, for one who will judge from your description \
            whether it does what was asked. Do not correct it, and do not repeat it.\
            {% else %}\
            Translate this solution into a short Python program, step by step, with the solution's \
            own formulas. Do not correct it, and do not copy its numbers beyond those of the \
            question: compute them. Print the final answer, and nothing else, on the last line.\
            {% endif %}";
        let recall = "{{ solution }}\n\nWhat exercise does this program solve? Write its text, and nothing else.";
        let inputs = "{{ question }}\n\nDo not write the program. Write ten calls that would test it well, with \
            arguments that are ordinary, extreme and empty, each on a line of its own and beginning with \
            `{{ entry_point }}(`, and nothing else.";
        Self {
            solve: solve.to_owned(),
            translate: translate.to_owned(),
            recall: recall.to_owned(),
            inputs: inputs.to_owned(),
        }
    }
}

impl Prompts {
    /// The prompts of a model that has none of its own.
    pub fn common() -> &'static Self {
        static COMMON: LazyLock<Prompts> = LazyLock::new(Prompts::default);
        &COMMON
    }

    /// The templates among a model's metadata; the common ones where it has none.
    ///
    /// # Errors
    /// [`Error::Options`] for a template that cannot be rendered.
    pub fn from_metadata(value: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let common = Self::common();
        let prompts = Self {
            solve: value("rerank.prompts.solve").unwrap_or_else(|| common.solve.clone()),
            translate: value("rerank.prompts.translate")
                .unwrap_or_else(|| common.translate.clone()),
            recall: value("rerank.prompts.recall").unwrap_or_else(|| common.recall.clone()),
            inputs: value("rerank.prompts.inputs").unwrap_or_else(|| common.inputs.clone()),
        };
        prompts.check()?;
        Ok(prompts)
    }

    /// Looks for templates that cannot be rendered.
    ///
    /// # Errors
    /// [`Error::Options`] says which and why.
    pub fn check(&self) -> Result<()> {
        let question = Question {
            text: "1 + 1?".to_owned(),
            ..Question::default()
        };
        rendered(&self.solve, &question, None)?;
        rendered(&self.translate, &question, Some("2"))?;
        rendered(&self.recall, &question, Some("2"))?;
        rendered(&self.inputs, &question, None).map(drop)
    }

    /// The conversation whose continuation is a solution.
    ///
    /// # Errors
    /// [`Error::Options`] for a template that cannot be rendered.
    pub fn solve(&self, question: &Question) -> Result<Vec<Message>> {
        let text = rendered(&self.solve, question, None)?;
        Ok(vec![Message::user(text)])
    }

    /// The conversation whose continuation is a candidate's program.
    ///
    /// # Errors
    /// [`Error::Options`] for a template that cannot be rendered.
    pub fn translate(&self, question: &Question, candidate: &Candidate) -> Result<Vec<Message>> {
        let solution = Some(candidate.text.as_str());
        let text = rendered(&self.translate, question, solution)?;
        Ok(vec![Message::user(text)])
    }

    /// The conversation whose continuation is the question that a program answers.
    ///
    /// # Errors
    /// [`Error::Options`] for a template that cannot be rendered.
    pub fn recall(&self, question: &Question, program: &str) -> Result<Vec<Message>> {
        // The question is what is to be recalled.
        let unasked = Question {
            task: question.task,
            ..Question::default()
        };
        let text = rendered(&self.recall, &unasked, Some(program))?;
        Ok(vec![Message::user(text)])
    }

    /// The conversation whose continuation is calls of the function that a question asks for.
    ///
    /// # Errors
    /// [`Error::Options`] for a template that cannot be rendered.
    pub fn inputs(&self, question: &Question) -> Result<Vec<Message>> {
        let text = rendered(&self.inputs, question, None)?;
        Ok(vec![Message::user(text)])
    }
}

fn rendered(template: &str, question: &Question, solution: Option<&str>) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A template's last line end is part of the prompt: a model may have been trained on it.
    let syntax = SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()
        .expect("the common delimiters are valid");
    environment.set_syntax(syntax);
    minijinja_contrib::add_to_environment(&mut environment);
    let task = match question.task {
        Task::Math => "math",
        Task::Code => "code",
    };
    // Those of a docstring are in the question's text already.
    let is_apart = |interface: &&Interface| interface.prefix.is_empty();
    let interface = question.interface.as_ref().filter(is_apart);
    let examples = interface.map_or_else(Vec::new, |interface| interface.examples.clone());
    let entry_point = question.interface.as_ref();
    let entry_point = entry_point.map_or("", |interface| &interface.entry_point);
    let question = &question.text;
    let text = match solution {
        Some(solution) => environment.render_str(
            template,
            context! { question, task, examples, entry_point, solution },
        ),
        None => {
            environment.render_str(template, context! { question, task, examples, entry_point })
        }
    };
    text.map_err(|error| {
        Error::Options(format!(
            "the prompt template {template:?} cannot be rendered: {error:#}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_of_a_model_replaces_the_common_one() {
        let question = Question {
            id: String::new(),
            text: "How many ?".to_owned(),
            task: Task::Math,
            interface: None,
        };
        let own = |key: &str| {
            (key == "rerank.prompts.solve")
                .then(|| "{{ question|replace(' ?', '?') }}\n".to_owned())
        };
        let prompts = Prompts::from_metadata(own).unwrap();
        assert_eq!(prompts.solve(&question).unwrap()[0].content, "How many?\n");
        assert_eq!(prompts.translate, Prompts::default().translate);
        let common = Prompts::common().solve(&question).unwrap();
        assert!(
            common[0]
                .content
                .starts_with("How many ?\n\nReason step by step")
        );
        let code = Question {
            task: Task::Code,
            ..question
        };
        let common = Prompts::common().solve(&code).unwrap();
        assert!(common[0].content.ends_with("in one ```python block."));
    }

    #[test]
    fn a_template_that_asks_for_what_is_not_there_is_refused() {
        let error = Prompts::from_metadata(|_| Some("{{ answer }}".to_owned())).unwrap_err();
        assert!(error.to_string().contains("{{ answer }}"), "{error}");
    }
}
