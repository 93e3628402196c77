//! Cuts an answer, in LaTeX or plain text, into tokens.
//!
//! Spacing, sizing and font commands end here, as do the many spellings of one sign (`\leq`, `≤`,
//! `<=`); what remains is what the grammar in `parse` is written in.

use winnow::ascii::{digit0, digit1};
use winnow::combinator::{alt, opt, preceded, repeat};
use winnow::prelude::*;
use winnow::token::{any, one_of, take_till, take_while};

use super::budget::ANSWER_BYTES_MAX;

/// One token of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Digits, perhaps with a point and an exponent: `12`, `.5`, `1e-05`. No separators.
    Number(String),
    /// The repeating digits of a decimal, after its [`Token::Number`].
    Repeating(String),
    /// A run of letters of plain text.
    Word(String),
    /// The content of `\text{...}`.
    Text(String),
    /// A command without its backslash, and letters that have one: `frac`, `theta`.
    Command(&'static str),
    /// A variable that has no letter on the keyboard, or an unknown command.
    Symbol(String),
    /// A sign: `+ - * / ^ _ ( ) [ ] { } | ! % ° = < > ≤ ≥ ≠ ≈ ∈ ∪ ∩ ∖ ± ∓ , ; : ' & √ …`, with `⟨ ⟩`
    /// for angle brackets, `⟦ ⟧` for `\{ \}`, `‖` for a bar that opens, `¦` for one that closes, `⏎`
    /// for a new row.
    Sign(char),
    /// `\begin{pmatrix}` and the like.
    Begin,
    /// `\end{pmatrix}` and the like.
    End,
    /// A currency sign.
    Currency(&'static str),
    /// White space in plain text: separates words, and a whole number from a fraction.
    Space,
}

/// How to read a comma between digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comma {
    /// `1,234` is one number.
    Thousands,
    /// `1,234` is two.
    Separates,
}

/// Cuts `text`; the only failure is a text that is too long.
pub(super) fn tokens(text: &str, comma: Comma) -> Option<Vec<Token>> {
    if text.len() > ANSWER_BYTES_MAX {
        return None;
    }
    let mut all = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        token(&mut rest, comma, &mut all)?;
    }
    Some(all)
}

/// Commands that change nothing about the value.
const SILENT: &[&str] = &[
    "left",
    "right",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "biggl",
    "biggr",
    "Biggl",
    "Biggr",
    "displaystyle",
    "textstyle",
    "scriptstyle",
    "limits",
    "nolimits",
    "rm",
    "bf",
    "it",
    "sf",
    "tt",
    "mathstrut",
    "strut",
    "middle",
    "hfill",
    "nonumber",
    "boldmath",
    "hline",
    "normalsize",
    "large",
    "Large",
    "small",
    "itshape",
    "bfseries",
    "ensuremath",
    "relax",
];

/// Commands that leave a space.
const SPACES: &[&str] = &[
    "quad",
    "qquad",
    "enspace",
    "thinspace",
    "medspace",
    "hspace",
    "vspace",
    "space",
];

/// Commands whose argument is prose.
const PROSE: &[&str] = &[
    "text",
    "mbox",
    "textbf",
    "textit",
    "textrm",
    "textnormal",
    "textsf",
    "texttt",
    "textsc",
    "mathrm",
    "hbox",
    "emph",
    "operatorname",
    "mathbf",
    "mathit",
    "mathsf",
    "mathtt",
    "boldsymbol",
    "bm",
    "mathcal",
    "underline",
    "textup",
    "fbox",
    "boxed",
    "pmb",
    "mathnormal",
];

/// Commands that mark a letter and leave its name alone.
const MARKS: &[&str] = &[
    "vec",
    "hat",
    "bar",
    "widehat",
    "overrightarrow",
    "tilde",
    "dot",
    "overleftrightarrow",
];

/// Commands of the grammar, and letters.
const KNOWN: &[&str] = &[
    "frac", "sqrt", "binom", "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos",
    "arctan", "sinh", "cosh", "tanh", "ln", "log", "lg", "exp", "max", "min", "gcd", "lcm", "pi",
    "infty", "emptyset", "reals", "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta",
    "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi",
    "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Sigma", "Phi", "Psi",
    "Omega", "overline", "to", "pmod", "bmod", "mod",
];

fn token(rest: &mut &str, comma: Comma, all: &mut Vec<Token>) -> Option<()> {
    let first = rest.chars().next()?;
    match first {
        '\\' => command(rest, comma, all)?,
        // `\frac12` is a half: LaTeX takes one digit as an argument.
        '0'..='9' if expects_argument(all) => {
            all.push(Token::Number(first.to_string()));
            *rest = &rest[1..];
        }
        '0'..='9' => all.push(number(rest, comma, all.last())?),
        '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            all.push(number(rest, comma, all.last())?);
        }
        _ if first.is_ascii_alphabetic() => {
            let word: &str = take_while::<_, _, ()>(1.., |c: char| c.is_ascii_alphabetic())
                .parse_next(rest)
                .ok()?;
            all.push(Token::Word(word.to_owned()));
        }
        _ => sign(rest, all)?,
    }
    Some(())
}

/// Whether the tokens end in a `\frac` that still wants an argument.
fn expects_argument(all: &[Token]) -> bool {
    let mut before = all.iter().rev().skip_while(|token| **token == Token::Space);
    match before.next() {
        Some(Token::Command("frac")) => true,
        Some(Token::Number(n)) if n.len() == 1 => {
            before.find(|token| **token != Token::Space) == Some(&Token::Command("frac"))
        }
        Some(Token::Sign('}')) => {
            let mut depth = 1;
            before.find(|token| {
                depth += match token {
                    Token::Sign('}') => 1,
                    Token::Sign('{') => -1,
                    _ => 0,
                };
                depth == 0
            });
            before.next() == Some(&Token::Command("frac"))
        }
        _ => false,
    }
}

/// A number with what belongs to it: thousands separators, a point, an exponent.
fn number(rest: &mut &str, comma: Comma, last: Option<&Token>) -> Option<Token> {
    let mut digits = digit0::<_, ()>.parse_next(rest).ok()?.to_owned();
    if (1..=3).contains(&digits.len()) && !digits.starts_with('0') {
        let spaces = !matches!(last, Some(Token::Number(_) | Token::Space));
        while let Some(three) = thousands(rest, comma, spaces) {
            digits.push_str(three);
        }
    }
    if let Some(fraction) = opt(preceded::<_, _, _, (), _, _>('.', digit1))
        .parse_next(rest)
        .ok()?
    {
        digits.push('.');
        digits.push_str(fraction);
    }
    let exponent = opt((
        one_of::<_, _, ()>(['e', 'E']),
        opt(one_of(['+', '-'])),
        digit1,
    )
        .take());
    let before = *rest;
    let exponent = { exponent }.parse_next(rest).ok()?.unwrap_or_default();
    if exponent.len() > 5 || rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        *rest = before;
    } else {
        digits.push_str(exponent);
    }
    Some(Token::Number(digits))
}

/// Three more digits of a number, after a separator.
fn thousands<'t>(rest: &mut &'t str, comma: Comma, spaces: bool) -> Option<&'t str> {
    let before = *rest;
    // Only the bare comma and the space are ambiguous; the others are typeset as part of a number.
    let separator = alt::<_, _, (), _>((
        ",\\!", "{,}", "\\!,\\!", "\\,", "{\\,}", "\u{202f}", ",", " ",
    ))
    .verify(|by: &str| match by {
        "," => comma == Comma::Thousands,
        " " => spaces,
        _ => true,
    });
    let three = preceded(separator, take_while(3..=3, '0'..='9'))
        .parse_next(rest)
        .ok();
    if three.is_none() || rest.starts_with(|c: char| c.is_ascii_digit()) {
        *rest = before;
        return None;
    }
    three
}

fn command(rest: &mut &str, comma: Comma, all: &mut Vec<Token>) -> Option<()> {
    let start = *rest;
    *rest = &rest[1..];
    let name: &str = take_while::<_, _, ()>(0.., |c: char| c.is_ascii_alphabetic())
        .parse_next(rest)
        .ok()?;
    if name.is_empty() {
        let Ok(escaped) = any::<_, ()>.parse_next(rest) else {
            return Some(());
        };
        match escaped {
            '{' => all.push(Token::Sign('⟦')),
            '}' => all.push(Token::Sign('⟧')),
            '%' => all.push(Token::Sign('%')),
            '$' => all.push(Token::Currency("$")),
            '\\' => all.push(Token::Sign('⏎')),
            '|' => all.push(Token::Sign('|')),
            ' ' | ',' | ';' | ':' | '>' | '/' | '\n' => all.push(Token::Space),
            '_' => all.push(Token::Word("_".into())),
            _ => {}
        }
        return Some(());
    }
    // The star of `\operatorname*` and `\hspace*`.
    let _ = opt::<_, _, (), _>('*').parse_next(rest);
    let sign = |all: &mut Vec<Token>, c| all.push(Token::Sign(c));
    match name {
        "left" | "bigl" | "Bigl" | "biggl" | "lvert" | "lVert"
            if name.starts_with("lv") || name.starts_with("lV") || rest.starts_with('|') =>
        {
            *rest = rest.strip_prefix('|').unwrap_or(rest);
            sign(all, '‖');
        }
        "right" | "bigr" | "Bigr" | "biggr" | "rvert" | "rVert"
            if name.starts_with("rv") || name.starts_with("rV") || rest.starts_with('|') =>
        {
            *rest = rest.strip_prefix('|').unwrap_or(rest);
            sign(all, '¦');
        }
        "left" | "right" if rest.starts_with('.') => *rest = &rest[1..],
        "left" | "right" if rest.starts_with('<') || rest.starts_with('>') => {
            sign(all, if rest.starts_with('<') { '⟨' } else { '⟩' });
            *rest = &rest[1..];
        }
        _ if SILENT.contains(&name) => {}
        _ if SPACES.contains(&name) => {
            if name.ends_with("hspace") || name.ends_with("vspace") {
                braced(rest);
            }
            all.push(Token::Space);
        }
        _ if PROSE.contains(&name) => {
            let content = braced(rest).unwrap_or_default();
            let inner = content.trim();
            let letters = inner.chars().filter(|c| c.is_alphabetic()).count();
            let runs = inner
                .split(|c: char| !c.is_alphabetic())
                .any(|run| run.len() > 1);
            // Prose that is a number, a letter or a formula is no prose: `\mathbf{2340}`, `\text{(A)}`.
            let after_amount = matches!(
                all.last(),
                Some(Token::Number(_) | Token::Space | Token::Sign('}'))
            );
            let rate = inner.contains('/') && inner.chars().all(|c| c.is_alphabetic() || c == '/');
            let unit = matches!(inner, "m" | "g" | "s" | "h" | "L" | "l") || rate;
            if unit && after_amount {
                all.push(Token::Text(inner.to_owned()));
            } else if letters == 0 || !runs || inner.contains('\\') {
                all.push(Token::Space);
                let mut inner = content;
                while !inner.is_empty() {
                    token(&mut inner, comma, all)?;
                }
                all.push(Token::Space);
            } else {
                all.push(Token::Text(inner.to_owned()));
            }
        }
        "mathbb" | "Bbb" => match braced(rest).unwrap_or_default().trim() {
            "R" => all.push(Token::Command("reals")),
            set => all.push(Token::Symbol(format!("set {set}"))),
        },
        "phantom" | "hphantom" | "vphantom" | "label" | "tag" | "color" | "textcolor" => {
            *rest = rest.trim_start();
            if braced(rest).is_none() {
                let _ = any::<_, ()>.parse_next(rest);
            }
        }
        "begin" | "end" => {
            let environment = braced(rest).unwrap_or_default();
            if environment.starts_with("array") || environment.starts_with("tabular") {
                braced(rest);
            }
            all.push(if name == "begin" {
                Token::Begin
            } else {
                Token::End
            });
        }
        "overline" | "bar" | "dot"
            if matches!(all.last(), Some(Token::Number(n)) if n.contains('.'))
                || (start.starts_with("\\overline") && dangling_point(all)) =>
        {
            let before = *rest;
            match braced(rest) {
                Some(digits)
                    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) =>
                {
                    all.push(Token::Repeating(digits.to_owned()));
                }
                _ => *rest = before,
            }
        }
        _ if MARKS.contains(&name) || name == "overline" => {}
        "dfrac" | "tfrac" | "cfrac" | "frac" => all.push(Token::Command("frac")),
        "binom" | "dbinom" | "tbinom" | "choose" => all.push(Token::Command("binom")),
        "cdot" | "times" | "ast" | "cdotp" | "bullet" => sign(all, '*'),
        "div" | "slash" => sign(all, '/'),
        "pm" => sign(all, '±'),
        "mp" => sign(all, '∓'),
        "cup" | "bigcup" => sign(all, '∪'),
        "cap" | "bigcap" => sign(all, '∩'),
        "setminus" | "backslash" | "smallsetminus" => sign(all, '∖'),
        "le" | "leq" | "leqslant" | "leqq" => sign(all, '≤'),
        "ge" | "geq" | "geqslant" | "geqq" => sign(all, '≥'),
        "lt" => sign(all, '<'),
        "gt" => sign(all, '>'),
        "ne" | "neq" => sign(all, '≠'),
        "approx" | "sim" | "simeq" | "cong" | "doteq" => sign(all, '≈'),
        "equiv" => sign(all, '='),
        "in" => sign(all, '∈'),
        "circ" | "degree" | "textdegree" => sign(all, '°'),
        "prime" => sign(all, '\''),
        "lbrace" => sign(all, '⟦'),
        "rbrace" => sign(all, '⟧'),
        "lbrack" => sign(all, '['),
        "rbrack" => sign(all, ']'),
        "langle" => sign(all, '⟨'),
        "rangle" => sign(all, '⟩'),
        "vert" | "mid" | "lvert" | "rvert" | "Vert" => sign(all, '|'),
        "lfloor" => sign(all, '⌊'),
        "rfloor" => sign(all, '⌋'),
        "lceil" => sign(all, '⌈'),
        "rceil" => sign(all, '⌉'),
        "ldots" | "dots" | "cdots" | "dotsc" | "dotsb" => sign(all, '…'),
        "colon" => sign(all, ':'),
        "land" | "wedge" => all.push(Token::Text("and".into())),
        "lor" | "vee" => all.push(Token::Text("or".into())),
        "newline" | "cr" => sign(all, '⏎'),
        "pounds" => all.push(Token::Currency("£")),
        "euro" => all.push(Token::Currency("€")),
        "percent" => sign(all, '%'),
        "varnothing" | "empty" => all.push(Token::Command("emptyset")),
        "varphi" => all.push(Token::Command("phi")),
        "varepsilon" => all.push(Token::Command("epsilon")),
        "vartheta" => all.push(Token::Command("theta")),
        "infin" => all.push(Token::Command("infty")),
        "triangle" | "angle" | "measuredangle" | "square" | "therefore" => {}
        "implies" | "Rightarrow" | "rightarrow" | "Longrightarrow" | "iff" | "longrightarrow" => {
            all.push(Token::Command("to"));
        }
        "arg" | "deg" | "det" | "dim" => all.push(Token::Symbol(name.to_owned())),
        _ => all.push(match KNOWN.iter().find(|known| **known == name) {
            Some(known) => Token::Command(known),
            None => Token::Symbol(name.to_owned()),
        }),
    }
    Some(())
}

/// Whether the last tokens are a whole number and a point, as in `0.\overline{3}`; joins them.
fn dangling_point(all: &mut Vec<Token>) -> bool {
    if let [.., Token::Number(_), Token::Sign('.')] = all.as_slice() {
        all.pop();
        if let Some(Token::Number(n)) = all.last_mut() {
            n.push('.');
        }
        return true;
    }
    if let Some(Token::Sign('.')) = all.last() {
        all.pop();
        all.push(Token::Number("0.".into()));
        return true;
    }
    false
}

/// The content of the braces that come next, taken off `rest`; an unclosed one goes to the end.
fn braced<'t>(rest: &mut &'t str) -> Option<&'t str> {
    let trimmed = rest.trim_start();
    let inner = trimmed.strip_prefix('{')?;
    let mut depth = 1;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            *rest = &inner[at + 1..];
            return Some(&inner[..at]);
        }
    }
    *rest = "";
    Some(inner)
}

/// Signs of plain text and Unicode.
fn sign(rest: &mut &str, all: &mut Vec<Token>) -> Option<()> {
    if let Some(more) = rest.strip_prefix("**") {
        *rest = more;
        all.push(Token::Sign('^'));
        return Some(());
    }
    for (spelling, sign) in [
        ("<=", '≤'),
        (">=", '≥'),
        ("=>", '→'),
        ("->", '→'),
        ("!=", '≠'),
        ("==", '='),
        ("...", '…'),
    ] {
        if let Some(more) = rest.strip_prefix(spelling) {
            *rest = more;
            all.push(if sign == '→' {
                Token::Command("to")
            } else {
                Token::Sign(sign)
            });
            return Some(());
        }
    }
    let c = any::<_, ()>.parse_next(rest).ok()?;
    if let Some(power) = superscript(c) {
        let more: String = repeat::<_, _, String, (), _>(0.., any.verify_map(superscript))
            .parse_next(rest)
            .ok()?;
        all.extend([Token::Sign('^'), Token::Sign('{')]);
        let script = format!("{power}{more}");
        let (minus, digits) = match script.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, script.as_str()),
        };
        if minus {
            all.push(Token::Sign('-'));
        }
        all.push(if digits.bytes().all(|b| b.is_ascii_digit()) {
            Token::Number(digits.to_owned())
        } else {
            Token::Word(digits.to_owned())
        });
        all.push(Token::Sign('}'));
        return Some(());
    }
    let sign = match c {
        '−' | '–' | '—' | '‐' | '‑' | '﹣' | '-' => '-',
        '×' | '·' | '⋅' | '∙' | '•' | '∗' | '*' => '*',
        '÷' | '∕' | '⁄' => '/',
        '≤' | '⩽' => '≤',
        '≥' | '⩾' => '≥',
        '˚' | 'º' | '°' => '°',
        '，' | '、' => ',',
        '：' => ':',
        '；' => ';',
        '（' => '(',
        '）' => ')',
        '＝' => '=',
        '＋' => '+',
        '％' => '%',
        '’' | '′' | '\'' => '\'',
        '〈' => '⟨',
        '〉' => '⟩',
        '∞' => return push(all, Token::Command("infty")),
        'π' | 'Π' => return push(all, Token::Command("pi")),
        '√' => return push(all, Token::Command("sqrt")),
        '∅' | 'Ø' => return push(all, Token::Command("emptyset")),
        'ℝ' => return push(all, Token::Command("reals")),
        '$' => return push(all, Token::Currency("$")),
        '€' => return push(all, Token::Currency("€")),
        '£' => return push(all, Token::Currency("£")),
        '¢' => return push(all, Token::Word("cents".into())),
        '→' | '⇒' | '⟹' => return push(all, Token::Command("to")),
        '\u{200b}' | '\u{2060}' | '\u{feff}' | '`' | '"' | '“' | '”' | '?' | '#' => {
            return Some(());
        }
        '\n' => return push(all, Token::Sign('⏎')),
        _ if c.is_whitespace() || c == '~' => return push(all, Token::Space),
        _ if c.is_alphabetic() => return push(all, letter(c, rest)),
        _ => match vulgar(c) {
            Some((above, below)) => {
                all.extend([Token::Command("frac"), Token::Sign('{')]);
                all.push(Token::Number(above.into()));
                all.extend([Token::Sign('}'), Token::Sign('{')]);
                all.push(Token::Number(below.into()));
                return push(all, Token::Sign('}'));
            }
            None => c,
        },
    };
    push(all, Token::Sign(sign))
}

fn push(all: &mut Vec<Token>, token: Token) -> Option<()> {
    all.push(token);
    Some(())
}

/// A letter outside ASCII: Greek is a variable, other scripts are words.
fn letter(c: char, rest: &mut &str) -> Token {
    const GREEK: &str = "αβγδεζηθικλμνξορστυφχψωΓΔΘΛΞΣΦΨΩ";
    const NAMES: [&str; 33] = [
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
        "lambda", "mu", "nu", "xi", "o", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi",
        "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Sigma", "Phi", "Psi", "Omega", "",
    ];
    if let Some(at) = GREEK.chars().position(|g| g == c) {
        return match KNOWN.iter().find(|known| **known == NAMES[at]) {
            Some(known) => Token::Command(known),
            None => Token::Symbol(NAMES[at].to_owned()),
        };
    }
    let more: &str = take_till::<_, _, ()>(0.., |c: char| !c.is_alphabetic())
        .parse_next(rest)
        .unwrap_or_default();
    Token::Text(format!("{c}{more}"))
}

fn superscript(c: char) -> Option<char> {
    let at = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ".chars().position(|s| s == c)?;
    "0123456789-n".chars().nth(at)
}

/// One-character fractions.
fn vulgar(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '½' => ("1", "2"),
        '⅓' => ("1", "3"),
        '⅔' => ("2", "3"),
        '¼' => ("1", "4"),
        '¾' => ("3", "4"),
        '⅕' => ("1", "5"),
        '⅖' => ("2", "5"),
        '⅗' => ("3", "5"),
        '⅘' => ("4", "5"),
        '⅙' => ("1", "6"),
        '⅚' => ("5", "6"),
        '⅛' => ("1", "8"),
        '⅜' => ("3", "8"),
        '⅝' => ("5", "8"),
        '⅞' => ("7", "8"),
        _ => return None,
    })
}
