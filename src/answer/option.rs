//! Option letters of multiple-choice questions.

use super::extract::{
    BARE_BYTES_MAX, Extracted, VERB_BYTES_MAX, boxed, prefix, statement, statements,
};

/// The option letter of a text.
pub(super) fn choice(text: &str) -> Option<Extracted> {
    let found = |letter: char, by| {
        Some(Extracted {
            text: letter.to_string(),
            by,
        })
    };
    if let Some(letter) = boxed(text).as_deref().and_then(option_letter) {
        return found(letter, "boxed");
    }
    let lower = text.to_ascii_lowercase();
    let mut ends: Vec<usize> = statements(text).into_iter().map(|(end, ..)| end).collect();
    for noun in ["option", "choice"] {
        for (at, _) in lower.match_indices(noun) {
            ends.push(at + noun.len());
            let after = prefix(&lower[at + noun.len()..], VERB_BYTES_MAX);
            let clause = after.find(['.', '\n']).unwrap_or(after.len());
            ends.extend(
                after[..clause]
                    .find(" is ")
                    .map(|verb| at + noun.len() + verb + 4),
            );
        }
    }
    ends.sort_unstable();
    for end in ends.into_iter().rev() {
        if let Some(letter) = option_letter(statement(&text[end..])) {
            return found(letter, "answer is");
        }
    }
    if let Some(letter) = option_letter(text).filter(|_| text.trim().len() <= BARE_BYTES_MAX) {
        return found(letter, "whole");
    }
    // The last letter in parentheses.
    let bytes = text.as_bytes();
    (1..bytes.len().saturating_sub(1))
        .rev()
        .find(|at| {
            bytes[at - 1] == b'(' && bytes[at + 1] == b')' && bytes[*at].is_ascii_alphabetic()
        })
        .and_then(|at| found(bytes[at].to_ascii_uppercase() as char, "option letter"))
}

/// The letter of the option that an answer begins with: `B`, `(b)`, `B) 15`, `\text{(B)}`, `option B`.
pub(super) fn option_letter(answer: &str) -> Option<char> {
    let mut rest = answer.trim();
    for wrapper in [
        "\\text", "\\mathrm", "\\textbf", "\\mathbf", "option", "Option", "choice", "Choice",
    ] {
        rest = rest.strip_prefix(wrapper).unwrap_or(rest);
        rest = rest.trim_start_matches(['(', '{', '[', ' ', '*', '$', ':', '\\', '"', '\'']);
    }
    let mut chars = rest.chars();
    let letter = chars.next().filter(char::is_ascii_alphabetic)?;
    let after = chars.next();
    let next = chars.next();
    // "A", "A)", "A.", "A:" but not "About" and not the article in "A man".
    let alone = match after {
        None => true,
        Some(')' | '}' | ']' | '.' | ':' | ',' | '*' | '$' | '"' | '\'' | ';') => true,
        Some(c) if c.is_whitespace() => {
            letter.is_ascii_uppercase() && !next.is_some_and(char::is_lowercase)
        }
        Some(_) => false,
    };
    let letter = letter.to_ascii_uppercase();
    (alone && ('A'..='J').contains(&letter)).then_some(letter)
}
