//! Formulas and numbers inside prose.

use super::parse::is_mathematical;

/// The value that the last formula between delimiters ends in.
pub(super) fn last_math(text: &str) -> Option<&str> {
    let formula = formulas(text).pop()?;
    // The end of a derivation.
    let start = [
        "\\implies",
        "\\Rightarrow",
        "\\Longrightarrow",
        "\\therefore",
    ]
    .iter()
    .filter_map(|arrow| Some(formula.rfind(arrow)? + arrow.len()))
    .max();
    let formula = &formula[start.unwrap_or(0)..];
    // "a + b = 5" says what a + b is; "y = 3x + 1" is an equation.
    match formula.rsplit_once('=') {
        Some((_, value)) if value.contains(|c: char| c.is_ascii_digit()) && is_constant(value) => {
            Some(value)
        }
        _ => Some(formula),
    }
}

/// Whether a formula has no variables: no letters but those of commands.
fn is_constant(formula: &str) -> bool {
    let mut command = false;
    formula.chars().all(|c| {
        command = c == '\\' || command && c.is_ascii_alphabetic();
        command || !c.is_alphabetic()
    }) && is_mathematical(formula)
}

/// The formulas between delimiters, in order.
pub(super) fn formulas(text: &str) -> Vec<&str> {
    let mut all: Vec<(usize, &str)> = Vec::new();
    for (open, close) in [("\\(", "\\)"), ("\\[", "\\]")] {
        let mut rest = 0;
        while let Some(start) = text[rest..].find(open).map(|at| rest + at + 2) {
            let Some(end) = text[start..].find(close).map(|at| start + at) else {
                break;
            };
            all.push((start, &text[start..end]));
            rest = end + 2;
        }
    }
    // Dollar signs pair up; an escaped one is money.
    let mut opened: Option<usize> = None;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'$' => {
                let width = if bytes.get(at + 1) == Some(&b'$') {
                    2
                } else {
                    1
                };
                match opened.take() {
                    Some(start) if is_formula(&text[start..at]) => {
                        all.push((start, &text[start..at]))
                    }
                    // Two amounts of money with prose between: the second may open a formula.
                    _ => opened = Some(at + width),
                }
                at += width - 1;
            }
            _ => {}
        }
        at += 1;
    }
    all.sort_unstable();
    all.into_iter()
        .map(|(_, formula)| formula)
        .filter(|formula| !formula.trim().is_empty())
        .collect()
}

/// Whether what stands between two dollar signs is no prose.
fn is_formula(text: &str) -> bool {
    let mut words = 0;
    for (at, run) in text
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|run| run.len() > 2)
        .enumerate()
    {
        let start = run.as_ptr() as usize - text.as_ptr() as usize;
        let command = start > 0 && text.as_bytes()[start - 1] == b'\\';
        let braced = start > 0 && matches!(text.as_bytes()[start - 1], b'{');
        if !command && !braced && !text[..start].contains("\\text") {
            words += 1;
        }
        if words > 1 || at > 200 {
            return false;
        }
    }
    // Prices with a sum between them: "$10 * 2 = $20".
    let open = text
        .trim_end()
        .ends_with(['=', '+', '-', '*', '/', '(', '≈', '×', '÷']);
    !text.trim().is_empty() && !text.contains("\n\n") && !open
}

/// The last number, with its sign, separators, fraction bar and percent sign.
pub(super) fn last_number(text: &str) -> Option<&str> {
    numbers(text).last()
}

/// The first number.
pub(super) fn first_number(text: &str) -> Option<&str> {
    numbers(text).next()
}

/// The numbers of a text, in order.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            while at < bytes.len() && !bytes[at].is_ascii_digit() {
                at += 1;
            }
            if at >= bytes.len() {
                return None;
            }
            let mut start = at;
            let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
            if start > 0
                && bytes[start - 1] == b'.'
                && !(start > 1 && bytes[start - 2].is_ascii_alphanumeric())
            {
                start -= 1;
            }
            while at < bytes.len() {
                let joins = match bytes[at] {
                    b'0'..=b'9' => true,
                    b'.' => digit(at + 1),
                    b',' => (1..=3).all(|next| digit(at + next)) && !digit(at + 4),
                    b'/' => digit(at + 1),
                    _ => false,
                };
                if !joins {
                    break;
                }
                at += 1;
            }
            let end = if bytes.get(at) == Some(&b'%') {
                at + 1
            } else {
                at
            };
            // "7th" and "#12" are names, not amounts.
            let ordinal = ["th", "st", "nd", "rd"].iter().any(|suffix| {
                text[end..]
                    .strip_prefix(suffix)
                    .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
            });
            if ordinal || text[..start].ends_with('#') {
                continue;
            }
            // A minus belongs to the number unless something that can be subtracted from stands before.
            let mut sign = start;
            if sign > 0 && bytes[sign - 1] == b'$' {
                sign -= 1;
            }
            if sign > 0 && bytes[sign - 1] == b'-' {
                // "fell to -5", but "10-5" and "10 - 5".
                let before = &text[..sign - 1];
                let spaced = before.is_empty() || before.ends_with(|c: char| c.is_whitespace());
                let operand =
                    |c: char| c.is_alphanumeric() || matches!(c, ')' | ']' | '}' | '-' | '$' | '%');
                if spaced || !before.ends_with(operand) {
                    start = sign - 1;
                }
            }
            return Some(&text[start..end]);
        }
    })
}
