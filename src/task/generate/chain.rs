//! A chain of thought as equations: its text, its program and its answer all come from here, so
//! they cannot disagree.

use super::number::{Value, decimal, is_plain};

/// What an equation computes with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operand {
    /// A number of the question, or one that everyone knows.
    Number(Value),
    /// The result of an earlier step.
    Step(usize),
}

/// How two operands are joined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// Python's `//`: how often the second goes into the first.
    Whole,
}

impl Operator {
    pub(super) const ALL: [Self; 4] = [Self::Add, Self::Subtract, Self::Multiply, Self::Divide];

    /// Python's symbol.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Whole => "//",
        }
    }

    pub(super) fn of(symbol: &str) -> Option<Self> {
        let all = Self::ALL.into_iter().chain([Self::Whole]);
        all.into_iter().find(|one| one.symbol() == symbol)
    }

    fn apply(self, a: Value, b: Value) -> Option<Value> {
        match self {
            Self::Add => Some(a + b),
            Self::Subtract => Some(a - b),
            Self::Multiply => Some(a * b),
            Self::Divide | Self::Whole if b == Value::from(0) => None,
            Self::Divide => Some(a / b),
            Self::Whole => Some((a / b).floor()),
        }
    }
}

/// One sentence and its equation, applied from left to right.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub first: Operand,
    pub rest: Vec<(Operator, Operand)>,
    /// `@` is where the equation goes; `\u{1}one\u{2}many\u{3}` agrees with its result.
    pub sentence: String,
    /// A wrong result that the text states instead of the right one.
    pub slip: Option<Value>,
}

impl Step {
    pub(super) fn operands_mut(&mut self) -> impl Iterator<Item = &mut Operand> {
        std::iter::once(&mut self.first).chain(self.rest.iter_mut().map(|(_, operand)| operand))
    }

    fn compute(&self, results: &[Value]) -> Option<Value> {
        let value = |operand: Operand| match operand {
            Operand::Number(number) => Some(number),
            Operand::Step(at) => results.get(at).copied(),
        };
        let mut rest = self.rest.iter();
        let computed = rest.try_fold(value(self.first)?, |sum, (operator, operand)| {
            operator
                .apply(sum, value(*operand)?)
                .filter(|sum| sum.numer().abs() < 1_000_000_000)
        })?;
        is_plain(computed).then_some(computed)
    }

    /// The equation's left side, each operand written by `write`.
    fn formula(&self, write: &dyn Fn(Operand) -> String) -> String {
        let mut text = write(self.first);
        for (operator, operand) in &self.rest {
            text += &format!(" {} {}", operator.symbol(), write(*operand));
        }
        text
    }
}

/// The steps, the last of which gives the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    pub steps: Vec<Step>,
    /// The numbers of the question that the steps need.
    pub numbers: Vec<Value>,
    /// Those that they do not need.
    pub distractors: Vec<Value>,
}

impl Chain {
    /// The steps' results as the text states them; none where one has no plain decimal.
    pub(super) fn stated(&self) -> Option<Vec<Value>> {
        self.fold(|step| step.slip)
    }

    /// The steps' results as the program computes them.
    pub(super) fn computed(&self) -> Option<Vec<Value>> {
        self.fold(|_| None)
    }

    fn fold(&self, slip: impl Fn(&Step) -> Option<Value>) -> Option<Vec<Value>> {
        let mut results = Vec::new();
        for step in &self.steps {
            let computed = step.compute(&results)?;
            results.push(slip(step).unwrap_or(computed));
        }
        Some(results)
    }

    /// The text for the stated `results`.
    pub(super) fn solution(&self, results: &[Value]) -> String {
        let write = |operand| match operand {
            Operand::Number(number) => decimal(number),
            Operand::Step(at) => decimal(results[at]),
        };
        let mut text = String::new();
        for (step, result) in self.steps.iter().zip(results) {
            let equation = format!("{} = {}", step.formula(&write), decimal(*result));
            text += &agreed(&step.sentence, *result == Value::from(1)).replace('@', &equation);
            text.push(' ');
        }
        text + &format!("The answer is {}.", self.answer(results))
    }

    /// The last of the `results`.
    pub(super) fn answer(&self, results: &[Value]) -> String {
        results
            .last()
            .map_or_else(String::new, |&last| decimal(last))
    }

    /// One assignment a step, and the last one printed.
    pub(super) fn program(&self) -> String {
        let write = |operand| match operand {
            Operand::Number(number) => decimal(number),
            Operand::Step(at) => name(at),
        };
        let steps = self.steps.iter().enumerate();
        let lines = steps.map(|(at, step)| format!("{} = {}\n", name(at), step.formula(&write)));
        lines.collect::<String>() + &format!("print({})", name(self.steps.len().max(1) - 1))
    }
}

/// A step's variable: a, b, c ...
fn name(step: usize) -> String {
    char::from(b'a' + u8::try_from(step).unwrap_or(25).min(25)).to_string()
}

/// Picks the form for one or for many wherever the text offers both.
pub(super) fn agreed(text: &str, one: bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('\u{1}') {
        let (forms, after) = tail.split_once('\u{3}').unwrap_or((tail, ""));
        let (single, many) = forms.split_once('\u{2}').unwrap_or((forms, forms));
        out += before;
        out += if one { single } else { many };
        rest = after;
    }
    out + rest
}
