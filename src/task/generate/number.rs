//! Exact numbers: how they are written, and the arithmetic of a story's ranges.

use num_rational::Ratio;

/// An exact number; prices and lengths are hundredths.
pub(super) type Value = Ratio<i64>;

/// Hundredths at most, and small enough that a step of it cannot overflow.
pub(super) fn is_plain(value: Value) -> bool {
    100 % value.denom() == 0 && value.numer().abs() < 10_000_000
}

/// The shortest decimal; rounded to hundredths where it would not end.
pub(super) fn decimal(value: Value) -> String {
    let cents = (value * 100).round().to_integer();
    let sign = if cents < 0 { "-" } else { "" };
    let (whole, part) = (cents.abs() / 100, cents.abs() % 100);
    match (part, part % 10) {
        (0, _) => format!("{sign}{whole}"),
        (_, 0) => format!("{sign}{whole}.{}", part / 10),
        _ => format!("{sign}{whole}.{part:02}"),
    }
}

/// The value of an expression of numbers, names, `+ - * /` and brackets.
pub(super) fn evaluate(text: &str, lookup: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
    let mut rest = text.trim();
    let value = sum(&mut rest, lookup)?;
    rest.is_empty().then_some(value)
}

fn sum(rest: &mut &str, lookup: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
    let mut value = product(rest, lookup)?;
    loop {
        if eat(rest, '+') {
            value += product(rest, lookup)?;
        } else if eat(rest, '-') {
            value -= product(rest, lookup)?;
        } else {
            return Some(value);
        }
    }
}

fn product(rest: &mut &str, lookup: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
    let mut value = atom(rest, lookup)?;
    loop {
        if eat(rest, '*') {
            value *= atom(rest, lookup)?;
        } else if eat(rest, '/') {
            let by = atom(rest, lookup)?;
            if by == Value::from(0) {
                return None;
            }
            value /= by;
        } else {
            return Some(value);
        }
    }
}

fn atom(rest: &mut &str, lookup: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
    if eat(rest, '(') {
        let value = sum(rest, lookup)?;
        return eat(rest, ')').then_some(value);
    }
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .unwrap_or(rest.len());
    let (word, tail) = rest.split_at(end);
    *rest = tail.trim_start();
    parse(word).or_else(|| lookup(word))
}

/// A decimal number as it is written.
pub(super) fn parse(word: &str) -> Option<Value> {
    let (whole, part) = word.split_once('.').unwrap_or((word, ""));
    let digits = format!("{whole}{part}").parse::<i64>().ok()?;
    Some(Value::new(
        digits,
        10_i64.pow(u32::try_from(part.len()).ok()?),
    ))
}

fn eat(rest: &mut &str, symbol: char) -> bool {
    let Some(tail) = rest.strip_prefix(symbol) else {
        return false;
    };
    *rest = tail.trim_start();
    true
}
