//! Finds the final answer in the text of a solution.
//!
//! The rules are tried in order of how plainly they mark an answer: a box, `####`, a sentence that
//! states the answer, the whole text where it is nothing but an answer, the last formula, the last
//! number. Within a rule the last occurrence counts, because solutions restate the question first.

use super::Rule;
use super::option::choice;
use super::parse::is_mathematical;
use super::scan::{first_number, formulas, last_math, last_number};
use super::spelling::words;

/// The final answer of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// The answer as it was written, without its box or delimiters.
    pub text: String,
    /// The rule that found it: `boxed`, `####`, `answer is`, `answer:`, `whole`, `last math`,
    /// `last number`, `option letter` ...
    pub by: &'static str,
}

/// A whole text of at most this many bytes may be a bare answer.
pub(super) const BARE_BYTES_MAX: usize = 300;

/// Words a bare answer in prose may have, without digits among them.
const BARE_WORDS_MAX: usize = 4;

/// Finds the final answer of a solution; of a bare answer, that answer itself.
pub fn extract(text: &str, rule: Rule) -> Option<Extracted> {
    let said = after_thinking(text);
    let found = |text: &str, by| {
        let text = unwrapped(text);
        (!text.is_empty()).then(|| Extracted {
            text: text.to_owned(),
            by,
        })
    };
    if rule == Rule::Choice {
        return choice(said);
    }
    let marked = |text: &str| {
        boxed(text)
            .and_then(|inner| found(&inner, "boxed"))
            .or_else(|| hashes(text).and_then(|inner| found(inner, "####")))
    };
    marked(said)
        // A solution that was cut off may have had its answer in its thoughts.
        .or_else(|| marked(text))
        .or_else(|| stated(said, rule).and_then(|(inner, by)| found(inner, by)))
        .or_else(|| is_bare(said).then(|| found(said, "whole"))?)
        .or_else(|| {
            let sentence = last_sentence(said);
            bold(sentence)
                .and_then(|inner| found(inner, "bold"))
                .or_else(|| {
                    concluded(sentence, rule).and_then(|inner| found(inner, "last sentence"))
                })
                .or_else(|| {
                    let math = |text| (rule == Rule::Math).then(|| last_math(text)).flatten();
                    let (math, number) = match math(sentence) {
                        Some(inner) => (Some(inner), None),
                        None => match last_number(sentence) {
                            Some(inner) => (None, Some(inner)),
                            None => (math(said), last_number(said)),
                        },
                    };
                    math.and_then(|inner| found(inner, "last math"))
                        .or_else(|| number.and_then(|inner| found(inner, "last number")))
                })
        })
}

/// What follows a reasoning model's thoughts.
fn after_thinking(text: &str) -> &str {
    match text.rfind("</think>") {
        Some(at) if !text[at + 8..].trim().is_empty() => &text[at + 8..],
        _ => text,
    }
}

/// The answer without bold marks, delimiters and the spaces around.
fn unwrapped(text: &str) -> &str {
    let mut inner = text.trim();
    loop {
        let before = inner;
        for (open, close) in [
            ("**", "**"),
            ("__", "__"),
            ("$$", "$$"),
            ("$", "$"),
            ("\\(", "\\)"),
            ("\\[", "\\]"),
        ] {
            if let Some(rest) = inner
                .strip_prefix(open)
                .and_then(|rest| rest.strip_suffix(close))
                && !rest.contains(open)
                && !rest.ends_with('\\')
            {
                inner = rest.trim();
            }
        }
        // A mark that was opened and not closed, or the other way round.
        inner = inner
            .strip_suffix("**")
            .filter(|rest| !rest.contains("**"))
            .unwrap_or(inner)
            .trim();
        inner = inner
            .trim_start_matches([':', ' '])
            .trim_start_matches("**")
            .trim();
        inner = inner
            .strip_suffix('.')
            .filter(|rest| !rest.ends_with('.'))
            .unwrap_or(inner)
            .trim();
        if inner == before {
            return inner;
        }
    }
}

/// Boxes looked at, from the last.
const BOXES_MAX: usize = 32;

/// The content of the last `\boxed{}`; of several that only `and`, `or` or a comma separates, all.
pub(super) fn boxed(text: &str) -> Option<String> {
    let mut start = text.len();
    let mut inner = String::new();
    // "\boxed{}" with nothing in it is a placeholder from the prompt.
    for _ in 0..BOXES_MAX {
        (start, inner, _) = last_box(&text[..start])?;
        if !inner.trim().is_empty() {
            break;
        }
    }
    if inner.trim().is_empty() {
        return None;
    }
    let mut boxes = 1;
    while let Some((earlier, more, end)) = last_box(&text[..start]) {
        let between = text[end..start].to_lowercase();
        let joined = between.len() <= 24
            && between
                .split(|c: char| !c.is_alphabetic())
                .all(|word| matches!(word, "" | "and" | "or" | "text" | "quad" | "mbox"))
            && !between.contains(['=', '+', '\n', '.'])
            && !between
                .trim_matches(|c: char| c.is_whitespace() || c == '$')
                .is_empty();
        boxes += 1;
        if !joined || more.trim().is_empty() || boxes > BOXES_MAX {
            break;
        }
        inner = format!("{more}, {inner}");
        start = earlier;
    }
    Some(inner)
}

/// Where the last box starts, what is in it, and where it ends.
fn last_box(text: &str) -> Option<(usize, String, usize)> {
    let (at, command) = ["\\boxed", "\\fbox"]
        .iter()
        .filter_map(|command| Some((text.rfind(command)?, *command)))
        .max()?;
    let rest = &text[at + command.len()..];
    let trimmed = rest.trim_start();
    let Some(inner) = trimmed.strip_prefix('{') else {
        // `\boxed 5`
        let token = trimmed
            .split(|c: char| c.is_whitespace() || c == '$')
            .next()
            .unwrap_or("");
        let end = text.len() - trimmed.len() + token.len();
        return Some((at, token.trim_end_matches('.').to_owned(), end));
    };
    let mut depth = 1;
    let mut escaped = false;
    for (offset, c) in inner.char_indices() {
        match c {
            _ if escaped => {
                escaped = false;
                continue;
            }
            '\\' => {
                escaped = true;
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((
                at,
                inner[..offset].to_owned(),
                text.len() - inner.len() + offset + 1,
            ));
        }
    }
    // Never closed: up to the end of the formula or line.
    let end = inner.find(['$', '\n']).unwrap_or(inner.len());
    let end = inner.find("\\]").map_or(end, |close| close.min(end));
    Some((at, inner[..end].to_owned(), text.len() - inner.len() + end))
}

/// What follows the last `####`.
fn hashes(text: &str) -> Option<&str> {
    let at = text.rfind("####")?;
    // A Markdown heading has words on its line: "#### Step 3".
    text[at + 4..]
        .lines()
        .next()
        .filter(|line| line.contains(|c: char| c.is_ascii_digit()) && !line.contains(':'))
}

/// Wordings that state an answer, in lower case, and the rule each counts as.
const STATEMENTS: &[(&str, &str)] = &[
    ("final answer:", "final answer:"),
    ("final answer**", "final answer:"),
    ("final answer\n", "final answer:"),
    ("final answer =", "final answer:"),
    ("answer:", "answer:"),
    ("answer**:", "answer:"),
    ("answer\":", "answer:"),
    ("answers:", "answer:"),
    ("answer =", "answer:"),
    ("ans =", "answer:"),
    ("ans:", "answer:"),
    ("ans.", "answer:"),
    ("\na:", "answer:"),
    ("\na. ", "answer:"),
    // Other languages that models answer in.
    ("答案是", "answer is"),
    ("答案为", "answer is"),
    ("答案：", "answer:"),
    ("答案:", "answer:"),
    ("respuesta es", "answer is"),
    ("respuesta:", "answer:"),
    ("réponse est", "answer is"),
    ("réponse :", "answer:"),
    ("antwort ist", "answer is"),
    ("antwort:", "answer:"),
    ("lautet die antwort", "answer is"),
    ("risposta è", "answer is"),
    ("resposta é", "answer is"),
    ("ответ:", "answer:"),
];

/// Words between "answer" and its verb, as in "the answer to this question is 5".
pub(super) const VERB_BYTES_MAX: usize = 60;

/// The first bytes of a text, cut between characters.
pub(super) fn prefix(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// Where statements of an answer end in the text, with where they start and the rule each counts as.
pub(super) fn statements(text: &str) -> Vec<(usize, usize, &'static str)> {
    let lower = text.to_ascii_lowercase();
    // "ans." ends "physicians." too.
    let starts_word = |at: usize| !lower[..at].ends_with(|c: char| c.is_ascii_alphabetic());
    let mut all: Vec<(usize, usize, &'static str)> = STATEMENTS
        .iter()
        .flat_map(|(wording, by)| {
            lower
                .match_indices(wording)
                .map(move |(at, _)| (at + wording.len(), at, *by))
        })
        .filter(|(_, at, _)| {
            !lower[*at..].starts_with(|c: char| c.is_ascii_alphabetic()) || starts_word(*at)
        })
        .collect();
    // "The answer to this question is 5", "the answers are: 1 and 2", but not "answer: 7 is ...".
    for (at, noun) in lower.match_indices("answer") {
        let start = at + noun.len();
        let after = prefix(&lower[start..], VERB_BYTES_MAX);
        let clause = &after[..after
            .find(['.', '\n', '$', '?', ',', ':'])
            .unwrap_or(after.len())];
        let verb = [" is", " are"].iter().find_map(|verb| {
            let end = clause.find(verb)? + verb.len();
            let apart = !after[end..].starts_with(|c: char| c.is_alphanumeric() || c == '\'');
            apart.then_some(end)
        });
        if let Some(end) = verb {
            let by = if lower[..at].ends_with("final ") {
                "final answer is"
            } else {
                "answer is"
            };
            all.push((start + end, at, by));
        }
    }
    if lower.starts_with("a:") {
        all.push((2, 0, "answer:"));
    }
    all.sort_unstable();
    all
}

/// The answer of the last sentence that states one.
fn stated(text: &str, rule: Rule) -> Option<(&str, &'static str)> {
    for (end, start, by) in statements(text).into_iter().rev().take(4) {
        // "Answer: First, ..." opens a solution and states nothing yet.
        if start == 0 && by == "answer:" && text.len() - end > BARE_BYTES_MAX {
            continue;
        }
        if let Some(answer) = answer_within(statement(&text[end..]), rule) {
            return Some((answer, by));
        }
    }
    None
}

/// The last sentence of the last line.
fn last_sentence(text: &str) -> &str {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || "\"}`,".contains(c));
    let line = text.rsplit('\n').next().unwrap_or(text);
    let begins = |at: &usize| {
        let next = line[at + 2..].trim_start();
        next.starts_with(|c: char| c.is_uppercase() || c == '$' || c == '\\')
    };
    let start = line
        .match_indices(". ")
        .map(|(at, _)| at)
        .filter(begins)
        .last();
    let sentence = &line[start.map_or(0, |at| at + 2)..];
    // A formula on lines of its own is part of no line.
    if sentence.trim_end().ends_with("\\]") || sentence.contains("$$") {
        text
    } else {
        sentence
    }
}

/// The last value in bold: "at least **401 minutes** for Plan B".
fn bold(sentence: &str) -> Option<&str> {
    let (before, _) = sentence.rsplit_once("**")?;
    let (_, value) = before.rsplit_once("**")?;
    (value.contains(|c: char| c.is_ascii_digit()) && is_mathematical(value)).then_some(value)
}

/// The answer that a sentence ends in: "Therefore, the area is 5.", "So x + y = 2 + 3 = 5."
fn concluded(sentence: &str, rule: Rule) -> Option<&str> {
    const VERBS: [&str; 8] = [
        " is ",
        " are ",
        " equals ",
        " must be ",
        " will be ",
        ", so ",
        ", then ",
        ", and ",
    ];
    if sentence.len() > 2 * BARE_BYTES_MAX {
        return None;
    }
    if rule == Rule::Math {
        let mut values: Vec<usize> = VERBS
            .iter()
            .flat_map(|verb| sentence.match_indices(verb).map(|(at, _)| at + verb.len()))
            .collect();
        values.sort_unstable();
        for start in values.into_iter().rev() {
            let value = unwrapped(&sentence[start..]);
            // "1, 2, and 3" is one value; in "x = 1, and x + y = 3" the last is meant.
            if sentence[..start].ends_with("and ") && !value.contains('=') {
                continue;
            }
            if is_mathematical(value) {
                return Some(value);
            }
            // "there are 11 values of x for which ..."
            let number = first_number(value).filter(|number| {
                let after = value.strip_prefix(*number).unwrap_or_default();
                let word = after.split_whitespace().next().unwrap_or_default();
                after.starts_with(' ') && !matches!(word, "and" | "or") && !value.contains('=')
            });
            if number.is_some() {
                return number;
            }
        }
        // What a formula ends in is for `last_math`, unless plain text goes on after it.
        let formula = sentence.rfind(['$', '\\']);
        if formula.is_some() && formula > sentence.rfind("= ") {
            return None;
        }
    }
    let value = &sentence[sentence.rfind("= ")? + 2..];
    if rule == Rule::Math && is_mathematical(unwrapped(value)) {
        return Some(value);
    }
    first_number(value)
}

/// The rest of a sentence: to its full stop or the end of its line.
pub(super) fn statement(rest: &str) -> &str {
    let skipped = rest.trim_start_matches([' ', ':', '*', '\n', '\r', '\t', '=', '：']);
    let mut end = skipped.len();
    // A formula on lines of its own belongs to the sentence.
    let display = ["$$", "\\["].iter().any(|open| skipped.starts_with(open));
    if let (false, Some(line)) = (display, skipped.find('\n')) {
        end = line;
    }
    let line = &skipped[..end];
    // A full stop is followed by a space and a capital, and is not that of "Rs. 5" or "p.m.".
    let mut previous = 0;
    for (at, _) in line.match_indices(". ") {
        let next = line[at + 2..].trim_start().chars().next();
        let word = line[previous..at]
            .rsplit(|c: char| !c.is_alphanumeric())
            .next()
            .unwrap_or("");
        if next.is_some_and(char::is_uppercase)
            && !matches!(word, "Rs" | "No" | "Mr" | "Mrs" | "Dr" | "St")
        {
            return &line[..at];
        }
        previous = at + 2;
    }
    line
}

/// A value of JSON without its quotes and the brackets of what it was in.
fn unquoted(value: &str) -> &str {
    let mut inner = value.trim();
    loop {
        let before = inner;
        inner = inner.strip_prefix('"').unwrap_or(inner);
        inner = inner.strip_suffix(['"', ',']).unwrap_or(inner).trim();
        for (open, close) in [('{', '}'), ('[', ']')] {
            if inner.ends_with(close) && inner.matches(close).count() > inner.matches(open).count()
            {
                inner = inner.strip_suffix(close).unwrap_or(inner).trim();
            }
        }
        if inner == before {
            return inner;
        }
    }
}

/// The answer inside a sentence about it.
fn answer_within(sentence: &str, rule: Rule) -> Option<&str> {
    let sentence = unwrapped(unquoted(sentence));
    if !sentence.contains(char::is_alphanumeric) || sentence.starts_with("```") {
        return None;
    }
    if rule == Rule::Number {
        // A sum that is worked out in the sentence ends in its value.
        if is_mathematical(sentence) && !sentence.contains('=') {
            return Some(sentence);
        }
        let value = sentence.rsplit('=').next().unwrap_or(sentence);
        return first_number(value).or_else(|| is_bare(sentence).then_some(sentence));
    }
    if is_mathematical(sentence) {
        return Some(sentence);
    }
    // "The answer is 4, representing the largest number of ..."
    if let Some(number) = first_number(sentence)
        && let Some(after) = sentence.strip_prefix(number)
        && after
            .trim_start_matches([',', ' '])
            .starts_with(|c: char| c.is_alphabetic())
        && after.starts_with([',', ' '])
        && !after.contains('=')
    {
        return Some(number);
    }
    if sentence.starts_with(['$', '\\'])
        && let Some(formula) = formulas(sentence).into_iter().next()
    {
        return Some(formula);
    }
    let value = [" is ", " are ", " equals "]
        .iter()
        .filter_map(|verb| Some(sentence.rfind(verb)? + verb.len()))
        .max()
        .map(|end| unwrapped(&sentence[end..]))
        .filter(|value| is_mathematical(value));
    value
        .or_else(|| last_math(sentence))
        .or_else(|| is_bare(sentence).then_some(sentence))
        .or_else(|| first_number(sentence))
}

/// Whether a text is nothing but an answer.
fn is_bare(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() || text.len() > BARE_BYTES_MAX {
        return false;
    }
    is_mathematical(text)
        || !text.contains(|c: char| c.is_ascii_digit())
            && !text.contains('\n')
            && words(text).split(' ').count() <= BARE_WORDS_MAX
}
