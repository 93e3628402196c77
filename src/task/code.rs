//! Programming benchmarks: rows with hidden tests -> [`Problem`]s, and programs -> correct?

use std::{collections::HashMap, sync::LazyLock};

use rayon::prelude::*;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    execute::{Limits, Sandbox},
    model::replay::plain,
    probe::passes,
    problem::{Interface, Problem, Question, Reference, Task},
    trace::{Program, TracedCandidate},
};

/// What the manifest of a programming benchmark says about its rows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// The field with the hidden tests: a list of statements, or one text.
    pub tests: String,
    /// A statement that the tests end in, with `{entry_point}` for the name of what is asked for.
    pub call: Option<String>,
    /// How many of a list of tests the question shows.
    #[serde(default)]
    pub shown: usize,
    /// Fields with code that runs before the tests.
    #[serde(default)]
    pub setup: Vec<String>,
    /// The field with the name of what is asked for; by default it is what the first shown test calls.
    pub entry_point: Option<String>,
    /// The field with code that a reply may continue; its docstring's examples are shown tests.
    pub prefix: Option<String>,
}

impl Code {
    /// A row's problem. `id` and `text` are the question's, `solution` is a program that is right.
    ///
    /// # Errors
    /// What the row lacks.
    pub fn problem(
        &self,
        row: &Value,
        id: String,
        text: String,
        solution: String,
    ) -> Result<Problem, String> {
        let field = |name: &String| {
            row.get(name)
                .ok_or_else(|| format!("there is no field {name:?}, which the manifest names"))
        };
        let tests = field(&self.tests)?;
        let prefix = self.prefix.as_ref().map(field).transpose()?;
        let prefix = prefix.map(plain).unwrap_or_default();
        let setup = self.setup.iter().map(|name| Ok(plain(field(name)?)));
        let setup = setup.collect::<Result<Vec<String>, String>>()?.join("\n");
        let list = tests.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut examples: Vec<String> = list.iter().take(self.shown).map(plain).collect();
        let entry_point = match &self.entry_point {
            Some(name) => plain(field(name)?),
            None => examples
                .first()
                .and_then(|example| called(example))
                .ok_or("no test that is shown calls a function, so its name is not known")?
                .to_owned(),
        };
        examples.extend(examples_in(&prefix, &entry_point));
        let call = self
            .call
            .iter()
            .map(|call| call.replace("{entry_point}", &entry_point));
        let tests: Vec<String> = [plain(tests)].into_iter().chain(call).collect();
        Ok(Problem {
            question: Question {
                id,
                text,
                task: Task::Code,
                interface: Some(Interface {
                    entry_point,
                    setup: setup.trim().to_owned(),
                    examples,
                    prefix: prefix.clone(),
                }),
            },
            reference: Reference {
                answer: prefix + &solution,
                tests: Some(tests.join("\n")),
            },
        })
    }
}

/// Fuel for hidden tests, in wasmtime's units: some two seconds, of which CPython needs a tenth. Endless
/// loops are what a recording takes longest to grade.
const FUEL_TESTS: u64 = 20_000_000_000;

/// Whether each candidate's program passes the hidden tests.
pub fn grade(
    candidates: &[TracedCandidate],
    problem: &Problem,
    sandbox: &Sandbox,
    limits: &Limits,
) -> Vec<bool> {
    let nothing = Interface::default();
    let interface = problem.question.interface.as_ref().unwrap_or(&nothing);
    let Some(tests) = &problem.reference.tests else {
        return vec![false; candidates.len()];
    };
    let limits = &Limits {
        fuel: limits.fuel.min(FUEL_TESTS),
        ..*limits
    };
    let texts = candidates
        .iter()
        .map(|traced| traced.candidate.answer.as_deref());
    let texts: Vec<Option<&str>> = texts.collect();
    // Small models repeat themselves.
    let mut different: Vec<&str> = texts.iter().copied().flatten().collect();
    different.sort_unstable();
    different.dedup();
    let passed = different.into_par_iter().with_max_len(1).map(|text| {
        let program = Program(text.to_owned());
        (text, passes(&program, tests, interface, sandbox, limits))
    });
    let passed: HashMap<&str, bool> = passed.collect();
    texts
        .iter()
        .map(|text| text.is_some_and(|text| passed[text]))
        .collect()
}

/// The function that a test is about: the first that it calls, but for those that only compare.
pub fn called(test: &str) -> Option<&str> {
    static CALL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?:^|[^\w.])([A-Za-z_]\w*)\s*\(").expect("it is valid"));
    const KEYWORDS: [&str; 2] = ["assert", "not"];
    const COMPARING: [&str; 22] = [
        "abs",
        "all",
        "any",
        "bool",
        "dict",
        "float",
        "int",
        "isclose",
        "isinstance",
        "len",
        "list",
        "map",
        "max",
        "min",
        "round",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
        "type",
        "zip",
    ];
    let (mut at, mut comparing) = (0, None);
    // Matches may overlap: `set(similar(...))`.
    while let Some(found) = CALL.captures_at(test, at) {
        let name = found.get(1)?;
        if !KEYWORDS.contains(&name.as_str()) {
            if !COMPARING.contains(&name.as_str()) {
                return Some(name.as_str());
            }
            comparing = comparing.or(Some(name.as_str()));
        }
        at = name.end();
    }
    comparing
}

/// The examples in a docstring as statements: `>>> f(2)` and the value below it, `f(2) == 4`, and other
/// arrows and words between a call and its value. Where what follows is no literal, the call alone.
fn examples_in(prefix: &str, entry_point: &str) -> Vec<String> {
    static BETWEEN: LazyLock<Regex> = LazyLock::new(|| {
        let between = r"^\s*(?:#\s*)?(?:={1,2}>?|-+>|➞|(?:should\s+)?returns?\b)\s*(.+)$";
        Regex::new(between).expect("it is valid")
    });
    let call = format!("{entry_point}(");
    let lines: Vec<&str> = prefix.lines().map(str::trim).collect();
    let mut examples = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some(start) = line.find(&call).filter(|_| !line.starts_with("def ")) else {
            continue;
        };
        let Some(length) = length_of_call(&line[start..]) else {
            continue;
        };
        let (call, after) = line[start..].split_at(length);
        // A call of names, or of nothing, tells how the function is spelt.
        if call.ends_with("()") || literal(&call[entry_point.len()..]).is_none() {
            continue;
        }
        let below = || lines.get(number + 1).copied().unwrap_or_default();
        let value = match line.strip_prefix(">>>") {
            Some(_) if after.trim().is_empty() => literal(below()),
            _ => BETWEEN
                .captures(after)
                .and_then(|found| literal(found.get(1)?.as_str())),
        };
        examples.push(match value {
            Some(value) => format!("assert {call} == {value}"),
            None => call.to_owned(),
        });
    }
    examples.dedup();
    examples
}

/// Length of the call that a text begins with, to the bracket that closes it.
fn length_of_call(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (place, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(place + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// A text that looks like a Python literal, whole; `None` where it is something else.
fn literal(text: &str) -> Option<String> {
    static LITERAL: LazyLock<Regex> = LazyLock::new(|| {
        let text = r#""[^"\\]*"|'[^'\\]*'"#;
        let atom = format!(r"(?:{text}|-?\d+(?:\.\d*)?(?:[eE]-?\d+)?|True|False|None)");
        let whole = format!(r"^(?:{atom}|[\[\](){{}}\s,:]|set\(\))+$");
        Regex::new(&whole).expect("it is valid")
    });
    // A comment, outside of quotes; the docstring's end; the sentence's full stop.
    let is_outside = |place: &usize| {
        ['"', '\'']
            .iter()
            .all(|quote| text[..*place].matches(*quote).count() % 2 == 0)
    };
    let comment = text
        .match_indices('#')
        .map(|(place, _)| place)
        .find(is_outside);
    let text = text[..comment.unwrap_or(text.len())].trim();
    let text = text.strip_suffix("\"\"\"").unwrap_or(text).trim_end();
    let text = text.trim_end_matches('.').trim_end();
    let text = match text {
        "true" => "True",
        "false" => "False",
        other => other,
    };
    let is_whole = length_of_call(&format!("({text})")) == Some(text.len() + 2);
    (is_whole && LITERAL.is_match(text)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_about_the_first_function_that_does_not_compare() {
        let check = |test, name| assert_eq!(called(test), Some(name), "{test}");
        check("assert min_cost([[1]], 2, 2) == 8", "min_cost");
        check(
            "assert set(similar_elements((3, 4), (5,))) == set((4,))",
            "similar_elements",
        );
        check("assert math.isclose(area(3), 28.27, rel_tol=0.001)", "area");
        check("assert not is_prime(4)", "is_prime");
        check("assert longest([Pair(5, 24)], 4) == 3", "longest");
        check("assert sum(10, 15) == 6", "sum");
        assert_eq!(called("assert x == 3"), None);
    }

    #[test]
    fn examples_of_a_docstring_become_statements() {
        let check = |docstring: &str, expected: &[&str]| {
            let prefix = format!("def f(x):\n    \"\"\"{docstring}\"\"\"\n");
            assert_eq!(examples_in(&prefix, "f"), expected, "{docstring}");
        };
        check(
            "Doubles.\n    >>> f(2)\n    4\n    >>> f(')')\n    '))'\n    ",
            &["assert f(2) == 4", "assert f(')') == '))'"],
        );
        check("f([1, 2]) ==> [2, 4]", &["assert f([1, 2]) == [2, 4]"]);
        check("f(3, 'a') => true\n", &["assert f(3, 'a') == True"]);
        check("f(5) ➞ 'five' # in words", &["assert f(5) == 'five'"]);
        check(
            "f(1) should return 2.\n f(2)  returns 4",
            &["assert f(1) == 2", "assert f(2) == 4"],
        );
        check("f(19) ->19 - 5 - 6 = 8", &["f(19)"]);
        check("f(a) = 3 and f() is an error", &[]);
        check("f(['3']) == ['a',\n'b']", &["f(['3'])"]);
        check("Nothing of it is shown.", &[]);
    }
}
