//! Reads an answer into a [`Value`].
//!
//! The grammar, from the outside in (`winnow` combinators over the tokens of `token`):
//!
//! ```text
//! answer   = item ((',' | ';' | 'and' | 'or' | new row) item)*
//! item     = side (('=' | '<' | '≤' | '≈' | '∈' | ':' ...) side)* unit?
//! side     = set (('∪' | '∩' | '∖') set)* | sum
//! set      = '(' items ')' | '[' items ']' | '{' items '}' | ℝ | ∅ | matrix | call
//! sum      = ('+' | '-' | '±')* product (('+' | '-' | '±') product)*
//! product  = power (('*' | '/' | nothing) power)*
//! power    = atom ('!' | '%' | '°' | '_' script)* ('^' power)?
//! atom     = number | variable | fraction | root | function | '(' sum ')' | '|' sum '|'
//! ```
//!
//! What does not fit it is [`Value::Text`].

use winnow::combinator::{alt, delimited, opt, preceded, repeat, separated, terminated};
use winnow::error::EmptyError;
use winnow::prelude::*;
use winnow::stream::{Stateful, Stream, TokenSlice};
use winnow::token::any;

use super::cursor::{Input, Parsed, State, ahead, blank, deeper, sign, sign_of};
use super::expr::Expr;
use super::formula::{atom, is_letter, sum};
use super::spelling::{bare, words};
use super::token::{Comma, Token, tokens};
use super::unit::Unit;
use super::value::Value;

/// All readings of an answer, the likeliest first: `1,234` is a number, or else two.
pub(super) fn read(answer: &str) -> Vec<Value> {
    let plain = bare(answer);
    let in_brackets = plain.contains(['(', '[', '{']) && !plain.contains("\\frac");
    let mut commas = vec![Comma::Thousands, Comma::Separates];
    if !has_ambiguous_comma(&plain) {
        commas.pop();
    } else if in_brackets {
        commas.reverse();
    }
    let mut readings: Vec<Value> = Vec::new();
    for comma in commas {
        if let Some(value) = read_as(&plain, comma)
            && !readings.contains(&value)
        {
            readings.push(value);
        }
    }
    // "5 m" is five metres, or else a product.
    if let Some((amount, unit @ ("m" | "g" | "s" | "h" | "L" | "l"))) = plain.rsplit_once(' ')
        && let Some(amount @ Value::Expr(Expr::Number(_))) = read_as(amount, Comma::Thousands)
    {
        readings.push(Value::Measure(Box::new(amount), Unit::read(unit, 1)));
    }
    if readings.is_empty() {
        let words = words(&plain);
        readings.push(match words.as_str() {
            "all real numbers" | "all reals" | "set of all real numbers" => Value::Reals,
            "no solution" | "no solutions" | "no real solutions" | "empty set" => {
                Value::Set(Vec::new())
            }
            _ => Value::Text(words),
        });
    }
    readings
}

/// Whether an answer reads as mathematics, with or without a unit.
pub(super) fn is_mathematical(answer: &str) -> bool {
    !matches!(read(answer).as_slice(), [Value::Text(_)])
}

fn read_as(plain: &str, comma: Comma) -> Option<Value> {
    if let Some(numeral) = numeral(plain) {
        return Some(numeral);
    }
    let tokens = tokens(plain, comma)?;
    let tokens: &[Token] = &tokens;
    let state = State {
        depth: 0,
        bars: 0,
        currency: None,
        python: is_python_complex(plain)
            || plain.contains("**")
            || plain.contains('*') && !plain.contains('\\')
            || plain.contains("sqrt("),
    };
    let mut input = Stateful {
        input: TokenSlice::new(tokens),
        state,
    };
    let value = answer.parse_next(&mut input).ok()?;
    blank(&mut input);
    input.peek_token().is_none().then(|| split_signs(value))
}

/// `1+2j`, `(3-4j)`: digits and a `j` alone.
fn is_python_complex(plain: &str) -> bool {
    plain.contains('j')
        && plain
            .chars()
            .all(|c| c.is_ascii_digit() || "+-.()j e".contains(c))
}

/// Whether a comma stands between digits as thousands are written.
fn has_ambiguous_comma(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes
        .windows(5)
        .any(|w| w[0].is_ascii_digit() && w[1] == b',' && w[2..].iter().all(u8::is_ascii_digit))
}

/// `1011_2`, `1A3_{16}`, `\text{A5}_{11}`: digits in a stated base, the whole answer.
fn numeral(plain: &str) -> Option<Value> {
    let (digits, base) = plain.rsplit_once('_')?;
    let digits = &digits.replace('\u{2212}', "-");
    let unwrap = |text: &str| {
        let text = text.trim();
        let inner = ["\\text{", "\\mathrm{", "\\mbox{", "{"]
            .iter()
            .find_map(|open| text.strip_prefix(open)?.strip_suffix('}'))
            .unwrap_or(text);
        inner.trim().replace("\\!", "").replace([' ', ','], "")
    };
    let digits = unwrap(digits).to_ascii_uppercase();
    let base: u32 = match unwrap(&unwrap(base)).to_ascii_lowercase().as_str() {
        "two" => 2,
        "eight" => 8,
        "ten" => 10,
        "sixteen" => 16,
        number => number.parse().ok()?,
    };
    let unsigned = digits.strip_prefix('-').unwrap_or(&digits);
    let unpointed = unsigned.replacen('.', "", 1);
    ((2..=36).contains(&base)
        && !unpointed.is_empty()
        && (unpointed.len() > 1 || unpointed.bytes().all(|b| b.is_ascii_digit()))
        && unpointed.chars().all(|c| c.is_digit(base)))
    .then_some(Value::Numeral { digits, base })
}

/// A value with `±` as the list of its two readings.
fn split_signs(value: Value) -> Value {
    let with = |value: &Value, sign: i64| {
        map_exprs(value, &|expr| {
            expr.map(&|part| (*part == Expr::PlusMinus).then(|| Expr::whole(sign)))
        })
    };
    let signed = |value: &Value| any_expr(value, &|e| e.any(&|part| *part == Expr::PlusMinus));
    match value {
        Value::List(items) => Value::List(split_items(items)),
        Value::Set(items) => Value::Set(split_items(items)),
        other if signed(&other) => Value::List(vec![with(&other, 1), with(&other, -1)]),
        other => other,
    }
}

fn split_items(items: Vec<Value>) -> Vec<Value> {
    items
        .into_iter()
        .flat_map(|item| match split_signs(item) {
            Value::List(both) => both,
            one => vec![one],
        })
        .collect()
}

/// Whether `found` holds for an expression of the value.
fn any_expr(value: &Value, found: &dyn Fn(&Expr) -> bool) -> bool {
    match value {
        Value::Expr(expr) => found(expr),
        Value::Measure(amount, _) => any_expr(amount, found),
        Value::Ratio(parts) => parts.iter().any(found),
        Value::Bracket { items, .. }
        | Value::List(items)
        | Value::Set(items)
        | Value::Union(items) => items.iter().any(|item| any_expr(item, found)),
        Value::Relation(sides, _) => sides.iter().any(|side| any_expr(side, found)),
        Value::Without(left, right) => any_expr(left, found) || any_expr(right, found),
        Value::Matrix(rows) => rows.iter().flatten().any(found),
        Value::Numeral { .. } | Value::Reals | Value::Text(_) => false,
    }
}

/// The value with every expression changed.
fn map_exprs(value: &Value, change: &dyn Fn(&Expr) -> Expr) -> Value {
    let all = |items: &[Value]| items.iter().map(|item| map_exprs(item, change)).collect();
    match value {
        Value::Expr(expr) => Value::Expr(change(expr)),
        Value::Measure(amount, unit) => {
            Value::Measure(Box::new(map_exprs(amount, change)), unit.clone())
        }
        Value::Ratio(parts) => Value::Ratio(parts.iter().map(change).collect()),
        Value::Bracket { open, items, close } => Value::Bracket {
            open: *open,
            items: all(items),
            close: *close,
        },
        Value::List(items) => Value::List(all(items)),
        Value::Set(items) => Value::Set(all(items)),
        Value::Union(items) => Value::Union(all(items)),
        Value::Relation(sides, signs) => Value::Relation(all(sides), signs.clone()),
        Value::Without(left, right) => Value::Without(
            Box::new(map_exprs(left, change)),
            Box::new(map_exprs(right, change)),
        ),
        Value::Matrix(rows) => Value::Matrix(
            rows.iter()
                .map(|row| row.iter().map(change).collect())
                .collect(),
        ),
        other => other.clone(),
    }
}

fn answer(i: &mut Input) -> Parsed<Value> {
    let mut items: Vec<Value> = terminated(items, opt(separator)).parse_next(i)?;
    Ok(if items.len() == 1 {
        items.remove(0)
    } else {
        Value::List(items)
    })
}

fn items(i: &mut Input) -> Parsed<Vec<Value>> {
    separated(1.., deeper(item), separator).parse_next(i)
}

/// One or more of `,`, `;`, `and`, `or`, a new row.
fn separator(i: &mut Input) -> Parsed<()> {
    repeat(1.., preceded(blank_ok, any.verify(is_separator).void())).parse_next(i)
}

fn blank_ok(i: &mut Input) -> Parsed<()> {
    blank(i);
    Ok(())
}

fn is_separator(token: &Token) -> bool {
    match token {
        Token::Sign(',' | ';' | '⏎') => true,
        Token::Word(word) => is_conjunction(word),
        Token::Text(text) => is_conjunction(text.trim_matches(|c: char| !c.is_alphanumeric())),
        _ => false,
    }
}

/// Words that separate items.
pub(super) fn is_conjunction(word: &str) -> bool {
    ["and", "or", "AND", "OR", "And", "Or"].contains(&word)
}

/// A value with what relates it to others, and its unit.
fn item(i: &mut Input) -> Parsed<Value> {
    i.state.currency = None;
    // "approximately 5", "≈ 5"
    while let Some(Token::Word(word) | Token::Text(word)) = ahead(i) {
        let word = word.to_lowercase();
        if ![
            "about",
            "approximately",
            "approx",
            "roughly",
            "exactly",
            "around",
        ]
        .contains(&word.trim_end_matches('.'))
        {
            break;
        }
        blank(i);
        i.next_token();
    }
    sign_of(i, "≈");
    let mut sides = vec![side(i)?];
    let mut signs = Vec::new();
    loop {
        let start = i.checkpoint();
        if let Some(c) = sign_of(i, "=<>≤≥≠≈∈:") {
            signs.push(c);
        } else if ahead(i) == Some(Token::Command("to")) {
            blank(i);
            i.next_token();
            signs.push('=');
        } else {
            break;
        }
        match side(i) {
            Ok(side) => sides.push(side),
            // The `>` that closes `<1, 2>`.
            Err(_) => {
                i.reset(&start);
                signs.pop();
                break;
            }
        }
    }
    if signs.iter().all(|c| *c == ':') && !signs.is_empty() {
        let parts: Vec<Expr> = sides
            .iter()
            .filter_map(|side| match side {
                Value::Expr(expr) => Some(expr.clone()),
                _ => None,
            })
            .collect();
        if parts.len() == sides.len() && !matches!(parts[0], Expr::Symbol(_)) {
            return measured(i, Value::Ratio(parts));
        }
    }
    for c in &mut signs {
        if *c == ':' {
            *c = '=';
        }
    }
    if signs.is_empty() {
        let side = sides.remove(0);
        measured(i, side)
    } else {
        // The unit of "x = 5 cm" belongs to its last side.
        let last = sides.pop().ok_or(EmptyError)?;
        let last = measured(i, last)?;
        sides.push(last);
        Ok(Value::Relation(sides, signs))
    }
}

/// The value with the unit that follows it or the currency sign that was in it.
fn measured(i: &mut Input, value: Value) -> Parsed<Value> {
    let start = i.checkpoint();
    let mut name = String::new();
    let mut power = 1;
    let mut parentheses = 0;
    loop {
        let here = i.checkpoint();
        let spaced = matches!(i.peek_token(), Some(Token::Space));
        blank(i);
        let Some(token) = i.next_token() else { break };
        match &token {
            _ if is_separator(token) && parentheses == 0 => {
                i.reset(&here);
                break;
            }
            Token::Word(word) | Token::Text(word) => {
                if spaced || !name.is_empty() {
                    name.push(' ');
                }
                name.push_str(word);
            }
            Token::Sign('^') if !name.is_empty() => {
                power = alt((delimited(sign('{'), small, sign('}')), small)).parse_next(i)?;
            }
            Token::Sign('(') => parentheses += 1,
            Token::Sign(')') if parentheses > 0 => parentheses -= 1,
            Token::Sign(c @ ('/' | '.' | '-' | '\'')) if !name.is_empty() => name.push(*c),
            Token::Currency(sign) if name.is_empty() => i.state.currency = Some(sign),
            _ => {
                i.reset(&here);
                break;
            }
        }
    }
    if parentheses > 0 || name.split_whitespace().count() > 8 {
        i.reset(&start);
        return Ok(value);
    }
    if !name.is_empty() && !is_amount(&value) {
        i.reset(&start);
        return Err(EmptyError);
    }
    let (value, name) = multiplied(value, name.trim());
    Ok(match (name.is_empty(), i.state.currency) {
        (true, None) => value,
        (true, Some(currency)) => Value::Measure(Box::new(value), Unit::read(currency, 1)),
        (false, _) => Value::Measure(Box::new(value), Unit::read(name, power)),
    })
}

/// "2.5 million dollars" is an amount of dollars.
fn multiplied(value: Value, words: &str) -> (Value, &str) {
    let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
    let factor = match first.to_lowercase().as_str() {
        "thousand" => 1_000,
        "million" => 1_000_000,
        "billion" => 1_000_000_000,
        "trillion" => 1_000_000_000_000,
        _ => return (value, words),
    };
    match value {
        Value::Expr(expr) => (
            Value::Expr(Expr::Product(vec![expr, Expr::whole(factor)])),
            rest,
        ),
        other => (other, words),
    }
}

/// What can carry a unit; letters followed by words are prose.
fn is_amount(value: &Value) -> bool {
    match value {
        Value::Expr(Expr::Product(parts)) => !parts.iter().all(is_letter),
        Value::Expr(expr) => !is_letter(expr),
        Value::Ratio(_) | Value::Bracket { .. } => true,
        _ => false,
    }
}

fn small(i: &mut Input) -> Parsed<u32> {
    blank(i);
    match i.next_token() {
        Some(Token::Number(n)) => n.parse().ok().filter(|n| *n <= 3).ok_or(EmptyError),
        _ => Err(EmptyError),
    }
}

fn side(i: &mut Input) -> Parsed<Value> {
    let start = i.checkpoint();
    if let Ok(set) = sets(i)
        && ahead(i).is_none_or(|next| is_separator(&next) || ends_side(&next))
    {
        return Ok(set);
    }
    i.reset(&start);
    if let Ok(expr) = sum(i) {
        return Ok(Value::Expr(expr));
    }
    i.reset(&start);
    named(i)
}

fn ends_side(next: &Token) -> bool {
    match next {
        Token::Sign(c) => "=<>≤≥≠≈∈:)]⟩}⟧|&".contains(*c),
        Token::Command("to") | Token::End | Token::Text(_) | Token::Word(_) => true,
        _ => false,
    }
}

/// Words that may name what is equated; more are a sentence.
const NAME_WORDS_MAX: usize = 4;

/// Words that name what is equated: `Area = 5`.
fn named(i: &mut Input) -> Parsed<Value> {
    let mut name = Vec::new();
    while let Some(Token::Word(word) | Token::Text(word)) = ahead(i) {
        blank(i);
        i.next_token();
        name.push(word);
    }
    match ahead(i) {
        Some(Token::Sign('=' | '≈' | ':')) if (1..=NAME_WORDS_MAX).contains(&name.len()) => {
            Ok(Value::Expr(Expr::Symbol(name.join(" ").to_lowercase())))
        }
        _ => Err(EmptyError),
    }
}

/// Sets joined by `∪`, `∩` or `∖`.
fn sets(i: &mut Input) -> Parsed<Value> {
    let mut value = set(i)?;
    loop {
        match ahead(i) {
            Some(Token::Sign('∪')) | Some(Token::Word(_)) if is_union(&ahead(i)) => {
                blank(i);
                i.next_token();
                let more = set(i)?;
                value = match value {
                    Value::Union(mut parts) => {
                        parts.push(more);
                        Value::Union(parts)
                    }
                    first => Value::Union(vec![first, more]),
                };
            }
            Some(Token::Sign('∖' | '-')) => {
                blank(i);
                i.next_token();
                value = Value::Without(Box::new(value), Box::new(set(i)?));
            }
            _ => return Ok(value),
        }
    }
}

fn is_union(token: &Option<Token>) -> bool {
    match token {
        Some(Token::Sign('∪')) => true,
        Some(Token::Word(word)) => word == "U" || word == "union",
        _ => false,
    }
}

fn set(i: &mut Input) -> Parsed<Value> {
    blank(i);
    match i.peek_token() {
        Some(Token::Sign('(' | '[' | '⟨' | '<')) => deeper(bracket).parse_next(i),
        Some(Token::Sign('⟦' | '{')) => deeper(braces).parse_next(i),
        Some(Token::Command("reals")) => {
            i.next_token();
            Ok(Value::Reals)
        }
        Some(Token::Command("emptyset")) => {
            i.next_token();
            Ok(Value::Set(Vec::new()))
        }
        Some(Token::Begin) => deeper(matrix).parse_next(i),
        Some(Token::Word(_)) => deeper(call).parse_next(i),
        _ => Err(EmptyError),
    }
}

/// `(a, b)`, `[a, b)`, `<a, b>`: at least two items, or square brackets.
fn bracket(i: &mut Input) -> Parsed<Value> {
    let open = sign_of(i, "([⟨<").ok_or(EmptyError)?;
    // `|` means absolute value again inside brackets.
    let bars = std::mem::take(&mut i.state.bars);
    let items: Vec<Value> = opt(items).parse_next(i)?.unwrap_or_default();
    opt(sign(',')).parse_next(i)?;
    i.state.bars = bars;
    let close = sign_of(i, ")]⟩>").ok_or(EmptyError)?;
    let angle = |c| {
        if c == '<' {
            '⟨'
        } else if c == '>' {
            '⟩'
        } else {
            c
        }
    };
    let (open, close) = (angle(open), angle(close));
    if let [Value::Matrix(_) | Value::Union(_) | Value::Bracket { .. } | Value::Set(_)] =
        items.as_slice()
        && (open, close) == ('(', ')')
    {
        return items.into_iter().next().ok_or(EmptyError);
    }
    if items.len() < 2 && (open, close) != ('[', ']') || (open == '⟨') != (close == '⟩') {
        return Err(EmptyError);
    }
    Ok(rows_of(&items, open).unwrap_or(Value::Bracket { open, items, close }))
}

/// A list of equally long lists of numbers is a matrix: `[[1, 2], [3, 4]]`.
fn rows_of(items: &[Value], open: char) -> Option<Value> {
    let row = |item: &Value| match item {
        Value::Bracket {
            open: '[',
            items,
            close: ']',
        } => items
            .iter()
            .map(|entry| match entry {
                Value::Expr(expr) => Some(expr.clone()),
                _ => None,
            })
            .collect::<Option<Vec<Expr>>>(),
        _ => None,
    };
    let rows: Vec<Vec<Expr>> = items.iter().map(row).collect::<Option<_>>()?;
    let width = rows.first()?.len();
    (open == '[' && width > 0 && rows.iter().all(|row| row.len() == width))
        .then_some(Value::Matrix(rows))
}

/// `{a, b}`, and `{x | x > 2}`, which is read as its condition.
fn braces(i: &mut Input) -> Parsed<Value> {
    let open = sign_of(i, "⟦{").ok_or(EmptyError)?;
    let close = if open == '⟦' { '⟧' } else { '}' };
    let bars = std::mem::take(&mut i.state.bars);
    if open == '⟦' && opt(|i: &mut Input| bound(i)).parse_next(i)?.is_some() {
        let mut conditions = items.parse_next(i)?;
        sign(close).parse_next(i)?;
        i.state.bars = bars;
        return if conditions.len() == 1 {
            Ok(conditions.remove(0))
        } else {
            Err(EmptyError)
        };
    }
    let all: Vec<Value> = opt(items).parse_next(i)?.unwrap_or_default();
    opt(sign(',')).parse_next(i)?;
    i.state.bars = bars;
    sign(close).parse_next(i)?;
    // `{5}` in LaTeX is a group.
    if open == '{' && all.len() < 2 {
        Err(EmptyError)
    } else {
        Ok(Value::Set(all))
    }
}

/// The `x |` of `{x | x > 2}`, also `x ∈ ℝ :`.
fn bound(i: &mut Input) -> Parsed<()> {
    if !is_letter(&atom(i)?) {
        return Err(EmptyError);
    }
    if sign_of(i, "∈").is_some() {
        set(i)?;
    }
    sign_of(i, "|:").map(|_| ()).ok_or(EmptyError)
}

/// Rows of `\begin{pmatrix} a & b \\ c & d \end{pmatrix}`.
fn matrix(i: &mut Input) -> Parsed<Value> {
    any.verify(|t: &Token| *t == Token::Begin)
        .void()
        .parse_next(i)?;
    let mut rows = vec![Vec::new()];
    loop {
        blank(i);
        match i.peek_token() {
            Some(Token::End) => {
                i.next_token();
                break;
            }
            Some(Token::Sign('⏎')) => {
                i.next_token();
                // Two in a row: a line break in the source after `\\`.
                if rows.last().is_some_and(|row| !row.is_empty()) {
                    rows.push(Vec::new());
                }
            }
            Some(Token::Sign('&')) => {
                i.next_token();
            }
            Some(_) => {
                let entry = deeper(sum).parse_next(i)?;
                rows.last_mut().ok_or(EmptyError)?.push(entry);
            }
            None => return Err(EmptyError),
        }
    }
    if rows.last().is_some_and(Vec::is_empty) {
        rows.pop();
    }
    let width = rows.first().map_or(0, Vec::len);
    if width == 0 || rows.iter().any(|row| row.len() != width) {
        return Err(EmptyError);
    }
    Ok(Value::Matrix(rows))
}

/// What Python prints for sets: `Interval.open(0, 1)`, `FiniteSet(1, 2)`, `Matrix([[1], [2]])`.
fn call(i: &mut Input) -> Parsed<Value> {
    let Some(Token::Word(name)) = i.next_token() else {
        return Err(EmptyError);
    };
    if name == "Interval" && i.peek_token() == Some(&Token::Sign('.')) {
        i.next_token();
    } else if ![
        "Interval",
        "FiniteSet",
        "Union",
        "Eq",
        "Matrix",
        "array",
        "EmptySet",
        "Reals",
        "set",
        "Point",
        "Complement",
        "list",
        "tuple",
    ]
    .contains(&name.as_str())
    {
        return Err(EmptyError);
    } else if name == "EmptySet" {
        let _ = opt((sign('('), sign(')'))).parse_next(i)?;
        return Ok(Value::Set(Vec::new()));
    } else if name == "Reals" {
        return Ok(Value::Reals);
    }
    let kind = match i.peek_token() {
        Some(Token::Word(kind)) => {
            let kind = kind.clone();
            i.next_token();
            kind
        }
        _ => String::new(),
    };
    let mut all: Vec<Value> = delimited(sign('('), opt(items), sign(')'))
        .parse_next(i)?
        .unwrap_or_default();
    Ok(match (name.as_str(), all.len()) {
        ("Interval", 2) => Value::Bracket {
            open: if matches!(kind.as_str(), "open" | "Lopen") {
                '('
            } else {
                '['
            },
            items: all,
            close: if matches!(kind.as_str(), "open" | "Ropen") {
                ')'
            } else {
                ']'
            },
        },
        ("FiniteSet" | "set", _) => Value::Set(all),
        ("Union", _) => Value::Union(all),
        ("Complement", 2) => {
            let right = all.remove(1);
            Value::Without(Box::new(all.remove(0)), Box::new(right))
        }
        ("Eq", 2) => Value::Relation(all, vec!['=']),
        ("Point", _) => Value::Bracket {
            open: '(',
            items: all,
            close: ')',
        },
        ("Matrix" | "array" | "list" | "tuple", 1) => all.remove(0),
        _ => return Err(EmptyError),
    })
}
