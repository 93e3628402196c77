//! Stage 4: candidates and executions -> verdicts. Does the program compute the candidate's answer?
//!
//! The check of CoTnPoT (arXiv 2410.05318, section 3), with one addition: what says nothing is
//! *unclear*, not a disagreement. A program that fails tells of the coder, not of the candidate;
//! and a program that only states a constant would agree with anything the coder had read.
//! Pure: no clock, no randomness, no I/O.

use std::sync::LazyLock;

use regex::Regex;

use crate::{
    answer::{self, Rule},
    trace::{Candidate, Execution, Outcome, Program, Reason, Verdict},
};

/// One verdict per candidate.
pub fn judge(
    candidates: &[Candidate],
    programs: &[Option<Program>],
    executions: &[Option<Execution>],
    rule: Rule,
) -> Vec<Verdict> {
    candidates
        .iter()
        .zip(programs.iter().zip(executions))
        .map(|(candidate, (program, execution))| {
            verdict(candidate, program.as_ref(), execution.as_ref(), rule)
        })
        .collect()
}

/// One verdict per candidate that is itself a program, by what [`crate::probe`](mod@crate::probe) did:
/// one that does not load, or fails an example that the question shows, cannot be right. The outcome
/// says why.
pub fn judge_programs(executions: &[Option<Execution>], examples: usize) -> Vec<Verdict> {
    let verdict = |execution: &Option<Execution>| match execution {
        None => Verdict::Unclear(Reason::NoProgram),
        Some(execution) if execution.outcome != Outcome::Finished => Verdict::Disagrees,
        Some(_) if examples == 0 => Verdict::Unclear(Reason::Code),
        Some(_) => Verdict::Agrees,
    };
    executions.iter().map(verdict).collect()
}

/// The answer of a candidate that is itself a program: what that computes, where it runs to its end.
pub fn computed(execution: &Execution, rule: Rule) -> Option<String> {
    let value = execution.value.as_deref();
    let value = value.filter(|_| execution.outcome == Outcome::Finished)?;
    Some(answer::extract(value, rule)?.text)
}

fn verdict(
    candidate: &Candidate,
    program: Option<&Program>,
    execution: Option<&Execution>,
    rule: Rule,
) -> Verdict {
    let (Some(program), Some(execution)) = (program, execution) else {
        return Verdict::Unclear(Reason::NoProgram);
    };
    if program.is_all_of(&candidate.text) {
        return Verdict::Unclear(Reason::Itself);
    }
    let value = match &execution.outcome {
        Outcome::Finished => execution.value.as_deref(),
        Outcome::SyntaxError { .. } => return Verdict::Unclear(Reason::Syntax),
        Outcome::Raised { .. } => return Verdict::Unclear(Reason::Raised),
        _ => return Verdict::Unclear(Reason::Limit),
    };
    let Some(value) = value.and_then(|value| answer::extract(value, rule)) else {
        return Verdict::Unclear(Reason::NoValue);
    };
    let Some(answer) = &candidate.answer else {
        return Verdict::Unclear(Reason::NoAnswer);
    };
    if is_constant(program) {
        Verdict::Unclear(Reason::Constant)
    } else if answer::equal(answer, &value.text, rule).equal {
        Verdict::Agrees
    } else {
        Verdict::Disagrees
    }
}

/// Whether a program computes nothing: each of its statements assigns, prints or returns a
/// literal or a name.
fn is_constant(program: &Program) -> bool {
    static DOCSTRING: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(?s)""".*?"""|'''.*?'''"#));
    static STATES: LazyLock<Regex> = LazyLock::new(|| {
        let atom = r#"(?:[-+]?[\d_.]+(?:[eE][-+]?\d+)?|\w+|"[^"]*"|'[^']*'|f"(?:[^"{}]|\{\w+\})*"|f'(?:[^'{}]|\{\w+\})*')"#;
        pattern(&format!(
            r"^(?:(?:\w+\s*=\s*)*{atom}|return\s+{atom}|print\s*\(\s*{atom}(?:\s*,\s*{atom})*\s*\)|print\s*\(\s*\w+\(\)\s*\)|def\s+\w+\(\)\s*:|(?:from|import)\s.*|)\s*(?:#.*)?$"
        ))
    });
    let code = DOCSTRING.replace_all(&program.0, "");
    code.lines().all(|line| STATES.is_match(line.trim()))
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is valid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Stop;

    fn check(
        answer: Option<&str>,
        program: &str,
        outcome: Outcome,
        value: Option<&str>,
    ) -> Verdict {
        let candidate = Candidate {
            text: String::new(),
            answer: answer.map(str::to_owned),
            tokens: 0,
            stop: Stop::End,
            logprob_mean: None,
        };
        let execution = Execution {
            outcome,
            stdout: String::new(),
            value: value.map(str::to_owned),
            fuel: 0,
            ms: 0.0,
        };
        judge(
            &[candidate],
            &[Some(Program(program.to_owned()))],
            &[Some(execution)],
            Rule::Number,
        )[0]
    }

    #[test]
    fn program_is_compared_with_the_candidates_own_answer() {
        let finished = Outcome::Finished;
        assert_eq!(
            check(Some("$72.00"), "print(48+24)", finished.clone(), Some("72")),
            Verdict::Agrees
        );
        assert_eq!(
            check(Some("71"), "print(48+24)", finished, Some("72")),
            Verdict::Disagrees
        );
    }

    #[test]
    fn a_program_that_fails_is_unclear_not_a_disagreement() {
        let error = || "NameError: x".to_owned();
        let failures = [
            (Outcome::Raised { error: error() }, Reason::Raised),
            (Outcome::SyntaxError { error: error() }, Reason::Syntax),
            (Outcome::OutOfFuel { limit: 1, used: 2 }, Reason::Limit),
            (Outcome::Finished, Reason::NoValue),
        ];
        for (outcome, reason) in failures {
            assert_eq!(
                check(Some("1"), "print(x+1)", outcome, None),
                Verdict::Unclear(reason)
            );
        }
        let finished = Outcome::Finished;
        assert_eq!(
            check(None, "print(1+1)", finished, Some("2")),
            Verdict::Unclear(Reason::NoAnswer)
        );
    }

    #[test]
    fn a_program_that_only_states_a_constant_says_nothing() {
        for constant in [
            "print(42)",
            "answer = 42",
            "def solution():\n    \"\"\"How many?\"\"\"\n    total = 42  # given\n    return total\nprint(solution())",
            "x = 42\nprint(f\"The answer is {x}\")",
            "# 6 * 7\nprint('42')",
        ] {
            assert!(is_constant(&Program(constant.to_owned())), "{constant}");
        }
        for computes in [
            "print(6*7)",
            "x = 6\ny = x * 7\nprint(y)",
            "print(f\"{6*7}\")",
            "print(sum([40, 2]))",
            "total = 0\nfor i in range(42):\n    total += 1\nprint(total)",
            "x = -y",
        ] {
            assert!(!is_constant(&Program(computes.to_owned())), "{computes}");
        }
    }
}
