//! Does the coder translate what a chain of thought says? On chains whose program is known: right
//! ones, and wrong ones of every kind of flaw, where solving the problem anew would be unfaithful.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::lessons::candidate;
use crate::{
    Result,
    answer::{self, Rule},
    execute::{Limits, Sandbox, execute},
    judge::judge,
    model::{LanguageModel, Request, Sampling, seed_for},
    problem::{Question, Task},
    task::generate::generate,
    trace::{Candidate, Program, Reason, Verdict},
};

/// Counts of one kind of chain.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counts {
    chains: usize,
    /// The program gives what the reference program gives.
    same_value: usize,
    /// The program is the reference program, letter by letter.
    same_text: usize,
    /// The program only states a number.
    constant: usize,
    /// The program gives what the chain states as its answer.
    agrees: usize,
    /// The program gives the right answer though the chain does not say how: it solved anew.
    solved_anew: usize,
}

/// Translates the chains of `problems` fresh problems, as they are and with a flaw.
pub(super) fn measure(
    coder: &mut dyn LanguageModel,
    sandbox: &Sandbox,
    seed: u64,
    problems: u64,
) -> Result<Value> {
    // 1. Chains, by kind.
    let mut kinds = Vec::new();
    let mut questions: Vec<Question> = Vec::new();
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut references = Vec::new();
    let mut right_answers = Vec::new();
    for index in 0..problems {
        let generated = generate(seed, index);
        let flawed = generated.flawed(seed.wrapping_add(index));
        let right = (
            "right",
            generated.solution,
            generated.program,
            generated.answer.clone(),
        );
        let wrong = (flawed.flaw, flawed.solution, flawed.program, flawed.answer);
        for (kind, solution, program, answer) in [right, wrong] {
            kinds.push(kind);
            questions.push(Question::new(generated.question.clone(), Task::Math));
            candidates.push(Candidate {
                answer: Some(answer),
                ..candidate(solution)
            });
            references.push(Some(Program(program)));
            right_answers.push(generated.answer.clone());
        }
    }
    // 2. Programs.
    let requests = questions.iter().zip(&candidates).enumerate();
    let requests = requests.map(|(index, (question, candidate))| {
        Ok(Request {
            question,
            candidate: Some(index),
            messages: coder.prompts().translate(question, candidate)?,
            first: 0,
            samples: 1,
            seed: seed_for(seed, "faithful", index),
        })
    });
    let requests: Vec<Request> = requests.collect::<Result<_>>()?;
    let greedy = Sampling {
        temperature: 0.0,
        tokens_max: 200,
        ..Sampling::default()
    };
    let replies = coder.generate(&requests, &greedy, &|_, _| {})?.generations;
    let programs: Vec<Option<Program>> = replies
        .iter()
        .map(|drawn| drawn.first().map(|reply| Program::from_reply(&reply.text)))
        .collect();
    // 3. What they compute.
    let limits = Limits::default();
    let executions = execute(&programs, sandbox, &limits, &|| {});
    let of_references = execute(&references, sandbox, &limits, &|| {});
    let verdicts = judge(&candidates, &programs, &executions, Rule::Number);
    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    for index in 0..kinds.len() {
        let value = |executions: &[Option<crate::trace::Execution>]| {
            executions[index].as_ref().and_then(|run| run.value.clone())
        };
        let (value, reference) = (value(&executions), value(&of_references));
        let equal = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => answer::equal(a, b, Rule::Number).equal,
            _ => false,
        };
        let text =
            |program: &Option<Program>| program.as_ref().map(|program| program.0.trim().to_owned());
        let count = counts.entry(kinds[index]).or_default();
        count.chains += 1;
        let same = equal(&value, &reference);
        count.same_value += usize::from(same);
        count.same_text += usize::from(text(&programs[index]) == text(&references[index]));
        count.constant += usize::from(verdicts[index] == Verdict::Unclear(Reason::Constant));
        count.agrees += usize::from(verdicts[index] == Verdict::Agrees);
        let right = equal(&value, &Some(right_answers[index].clone()));
        count.solved_anew += usize::from(kinds[index] != "right" && right && !same);
    }
    Ok(json!(counts))
}
