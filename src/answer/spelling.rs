//! Spellings: what is around an answer and does not count.

/// Pairs of marks around an answer that say nothing about its value.
const WRAPPERS: &[(&str, &str)] = &[
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("\"", "\""),
    ("'", "'"),
    ("`", "`"),
    ("Decimal('", "')"),
    ("np.float64(", ")"),
    ("np.int64(", ")"),
    ("\\text{", "}"),
    ("\\mbox{", "}"),
    ("\\textbf{", "}"),
    ("\\boxed{", "}"),
    ("\\fbox{", "}"),
];

/// The answer without delimiters, quotes and final punctuation.
pub(super) fn bare(answer: &str) -> String {
    let stripped = strip(answer);
    // Python prints strings of a list in quotes.
    if stripped.starts_with(['[', '(', '{']) && stripped.matches(['\'', '"']).count() > 1 {
        return stripped.replace(['\'', '"'], "");
    }
    let mut plain = stripped.to_owned();
    for (dotted, short) in [
        ("a.m", " am"),
        ("p.m", " pm"),
        ("A.M", " am"),
        ("P.M", " pm"),
    ] {
        if plain.contains(dotted) {
            plain = plain
                .replace(&format!("{dotted}."), short)
                .replace(dotted, short);
        }
    }
    // Dollar signs in pairs delimit formulas; a single one is money.
    let dollars = plain.matches('$').count() - plain.matches("\\$").count();
    if dollars > 0 && dollars.is_multiple_of(2) {
        plain = plain
            .replace("\\$", "\u{1}")
            .replace('$', " ")
            .replace('\u{1}', "\\$");
    }
    for delimiter in ["\\(", "\\)", "\\[", "\\]"] {
        if plain.contains(delimiter) {
            plain = plain.replace(delimiter, " ");
        }
    }
    // Backslashes that JSON has doubled: a row ends in `\\` only inside an environment.
    if plain.contains("\\\\") && !plain.contains("\\begin") {
        plain = plain.replace("\\\\", "\\");
    }
    strip(&plain).to_owned()
}

fn strip(answer: &str) -> &str {
    let mut text = answer.trim();
    loop {
        let before = text;
        for (open, close) in WRAPPERS {
            if let Some(inner) = text
                .strip_prefix(open)
                .and_then(|rest| rest.strip_suffix(close))
                && !inner.contains(open)
                && (!open.ends_with('{') || is_balanced(inner))
            {
                text = inner.trim();
            }
        }
        text = text.trim_start_matches(['=', ':']).trim();
        text = text.strip_prefix("\\displaystyle").unwrap_or(text).trim();
        // A final point, but not that of "...".
        let pointless = text.strip_suffix(['.', ',', ';', ':']);
        text = pointless
            .filter(|rest| !rest.ends_with('.'))
            .unwrap_or(text)
            .trim();
        text = text.strip_suffix("\\\\").unwrap_or(text).trim();
        if text == before {
            return text;
        }
    }
}

/// Whether every brace that closes was opened.
fn is_balanced(text: &str) -> bool {
    let mut depth = 0i32;
    text.bytes().all(|b| {
        depth += i32::from(b == b'{') - i32::from(b == b'}');
        depth >= 0
    }) && depth == 0
}

/// The words of a text answer: lower case, without markup and punctuation.
pub(super) fn words(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let mut command = String::new();
                while let Some(letter) = chars.next_if(char::is_ascii_alphabetic) {
                    command.push(letter);
                }
                if !matches!(
                    command.as_str(),
                    "text" | "mbox" | "textbf" | "mathrm" | "textrm" | "quad" | "left" | "right"
                ) {
                    plain.push_str(&command);
                }
                plain.push(' ');
            }
            '\'' | '’' => {}
            '\u{2212}' | '–' => plain.push('-'),
            _ if c.is_alphanumeric() => plain.extend(c.to_lowercase()),
            // Signs that carry meaning stay.
            '+' | '-' | '*' | '/' | '^' | '=' | '<' | '>' | '%' | '!' | '|' => plain.push(c),
            _ => plain.push(' '),
        }
    }
    let mut all: Vec<&str> = plain.split_whitespace().collect();
    if all.len() > 1 && matches!(all[0], "the" | "a" | "an") {
        all.remove(0);
    }
    all.join(" ")
}
