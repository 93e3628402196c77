//! Decides whether two values are the same.
//!
//! Exact wherever the value is exact. The written rules for the rest:
//!
//! - **Decimals.** A decimal is its digits. A *long* decimal (10 significant digits or more, as
//!   programs print) also equals what it differs from by at most 1e-6 of its size, and a decimal of
//!   k >= 1 places that it rounds to. A decimal of 5 significant digits or more also equals an exact
//!   value (a fraction, a root, pi) that rounds or cuts to it. Under [`Rule::Number`], where money
//!   is rounded, 2 places are enough.
//! - **Percent.** `p%` equals `p/100` and `p`: benchmarks keep or drop the sign.
//! - **Degrees.** `d°` equals `d·pi/180` and `d`.
//! - **Units.** See `unit`.
//! - **Names.** `x = v` equals `v`, and so does `x + y = v` unless `v` is 0; `x = v` and `y = v` are
//!   different equations, an equation and its rearrangement are the same.
//! - **Ratios.** `3:4` equals `6:8` and `3/4`; times of day (`2:30`) equal part by part.
//! - **Bases.** `1011_2` equals `11_{10}` and, without a base, the digits `1011`.
//! - **Repetition.** `a, or b` equals `c` where both do.
//! - **Order** counts in tuples, not in sets and lists; a list equals a tuple in the same order, and a
//!   list in square brackets, as Python prints one, in any order.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

use super::Rule;
use super::budget::{Budget, Spent};
use super::expr::{Expr, Function, Number};
use super::point::{self, Agreement};
use super::ratio::{Ratio, Stop, ratio};
use super::span::{Spans, spans};
use super::unit::Unit;
use super::value::Value;

/// Significant digits from which a decimal counts as printed by a program.
pub(super) const LONG_DIGITS_MIN: u32 = 10;

/// Significant digits from which a decimal may stand for an exact value that rounds to it.
const ROUNDED_DIGITS_MIN: u32 = 5;

/// Relative tolerance for long decimals.
const LONG_TOLERANCE: f64 = 1e-6;

/// The rule by which two values are the same; `None` where they are not.
pub(super) type Why = Option<&'static str>;

/// Compares two values; symmetric.
pub(super) fn same(left: &Value, right: &Value, rule: Rule, budget: &Budget) -> Result<Why, Spent> {
    budget.take(1)?;
    let why = one_way(left, right, rule, budget)?;
    if why.is_some() {
        Ok(why)
    } else {
        one_way(right, left, rule, budget)
    }
}

fn one_way(left: &Value, right: &Value, rule: Rule, budget: &Budget) -> Result<Why, Spent> {
    use Value::{Bracket, List, Matrix, Measure, Numeral, Reals, Relation, Set, Text, Without};
    match (left, right) {
        (Text(a), Text(b)) => Ok((a == b && !a.is_empty()
            || truth(a).is_some_and(|t| truth(b) == Some(t)))
        .then_some("same words")),
        (Text(word), Value::Expr(_)) => match number_word(word) {
            Some(n) => same(&Value::Expr(Expr::whole(n)), right, rule, budget),
            None => Ok(None),
        },
        (Text(_), _) | (_, Text(_)) => Ok(None),
        (Measure(a, m), Measure(b, n)) => measures(a, m, b, n, rule, budget),
        (Measure(amount, _), other) => {
            Ok(same(amount, other, rule, budget)?.map(|_| "equal but for a unit on one side"))
        }
        (Value::Expr(a), Value::Expr(b)) => exprs(a, b, rule, budget),
        (Relation(a, s), Relation(b, t)) => relations(a, s, b, t, rule, budget),
        (Relation(sides, signs), other) if !is_inequality(signs) => {
            named_value(sides, signs, other, rule, budget)
        }
        (Numeral { digits: a, base: m }, Numeral { digits: b, base: n }) if m == n => {
            Ok((trimmed(a) == trimmed(b)).then_some("same digits in the same base"))
        }
        (Numeral { digits: a, base: m }, Numeral { digits: b, base: n }) => {
            let value = |digits: &str, base| BigInt::parse_bytes(digits.as_bytes(), base);
            let both = value(a, *m).zip(value(b, *n));
            Ok(both
                .is_some_and(|(a, b)| a == b)
                .then_some("same value in two bases"))
        }
        (Numeral { digits, .. }, Value::Expr(Expr::Number(n))) => Ok((trimmed(digits)
            == n.value.to_string())
        .then_some("same digits, base not stated on one side")),
        (Value::Ratio(a), Value::Ratio(b)) => ratios(a, b, rule, budget),
        (Value::Ratio(parts), Value::Expr(value)) if parts.len() == 2 => {
            let quotient = Expr::Product(vec![parts[0].clone(), parts[1].clone().inverted()]);
            Ok(exprs(&quotient, value, rule, budget)?.map(|_| "ratio equal to quotient"))
        }
        (Matrix(a), Matrix(b)) => {
            if a.len() != b.len() || a[0].len() != b[0].len() {
                return Ok(None);
            }
            for (x, y) in a.iter().flatten().zip(b.iter().flatten()) {
                if exprs(x, y, rule, budget)?.is_none() {
                    return Ok(None);
                }
            }
            Ok(Some("equal entry by entry"))
        }
        (Matrix(rows), Bracket { items, .. }) if rows.len() == 1 || rows[0].len() == 1 => {
            let entries: Vec<Value> = rows.iter().flatten().cloned().map(Value::Expr).collect();
            ordered(&entries, items, rule, budget)
        }
        (Matrix(rows), List(items)) if rows[0].len() == 1 || rows.len() == 1 => {
            let entries: Vec<Value> = rows.iter().flatten().cloned().map(Value::Expr).collect();
            ordered(&entries, items, rule, budget)
        }
        (Matrix(rows), List(_) | Set(_) | Value::Expr(_) | Relation(..)) => {
            // Python's list of lists may be meant as a list of points.
            let points: Vec<Value> = rows.iter().map(|row| tuple(row)).collect();
            same(&List(points), right, rule, budget)
        }
        (
            Bracket {
                open: a,
                items: m,
                close: b,
            },
            Bracket {
                open: c,
                items: n,
                close: d,
            },
        ) => {
            let alike = |x: char, y: char| x == y || "⟨⟩".contains(x) || "⟨⟩".contains(y);
            let comparable = m.len() != 2 || alike(*a, *c) && alike(*b, *d);
            if comparable {
                ordered(m, n, rule, budget)
            } else {
                Ok(None)
            }
        }
        (List(a) | Set(a), List(b)) => unordered(a, b, false, rule, budget),
        (Set(a), Set(b)) => unordered(a, b, true, rule, budget),
        (
            Bracket {
                open: '[',
                items,
                close: ']',
            },
            List(b) | Set(b),
        ) => unordered(items, b, false, rule, budget),
        (Bracket { items, .. }, List(b)) => ordered(items, b, rule, budget),
        (List(items), other)
            if items.len() > 1
                && !matches!(other, Value::Union(_) | Reals | Without(..) | Relation(..)) =>
        {
            // "15 39/40, or 639/40": the same answer twice.
            for item in items {
                if same(item, other, rule, budget)?.is_none() {
                    return Ok(None);
                }
            }
            Ok(Some("every one of the items"))
        }
        (
            List(items)
            | Set(items)
            | Bracket {
                open: '[',
                items,
                close: ']',
            },
            other,
        ) if items.len() == 1 && !matches!(other, Value::Union(_)) => {
            same(&items[0], other, rule, budget)
        }
        _ => sets(left, right, rule, budget),
    }
}

fn tuple(row: &[Expr]) -> Value {
    Value::Bracket {
        open: '(',
        items: row.iter().cloned().map(Value::Expr).collect(),
        close: ')',
    }
}

/// Digits without leading zeros.
fn trimmed(digits: &str) -> String {
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits), |rest| ("-", rest));
    let trimmed = digits.trim_start_matches('0');
    format!("{sign}{}", if trimmed.is_empty() { "0" } else { trimmed })
}

fn truth(word: &str) -> Option<bool> {
    match word {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

fn number_word(word: &str) -> Option<i64> {
    const WORDS: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    WORDS.iter().position(|w| *w == word).map(|n| n as i64)
}

fn is_inequality(signs: &[char]) -> bool {
    signs.iter().any(|c| "<>≤≥≠".contains(*c))
}

fn measures(
    a: &Value,
    m: &Unit,
    b: &Value,
    n: &Unit,
    rule: Rule,
    budget: &Budget,
) -> Result<Why, Spent> {
    let (Some((kind, scale)), Some((other_kind, other_scale))) = (m.known, n.known) else {
        return Ok(same(a, b, rule, budget)?.map(|_| "equal amounts, unit not known"));
    };
    if kind != other_kind {
        return Ok(None);
    }
    if scale == other_scale {
        return Ok(same(a, b, rule, budget)?.map(|_| "equal amounts of the same unit"));
    }
    if kind.0 == super::unit::Quantity::Clock {
        return Ok(None);
    }
    let (Value::Expr(a), Value::Expr(b)) = (a, b) else {
        return Ok(None);
    };
    let scaled = |expr: &Expr, (above, below): (u64, u64)| {
        let factor = BigRational::new(above.into(), below.max(1).into());
        let factor = Expr::Number(Number {
            value: factor,
            ..Number::whole(1)
        });
        Expr::Product(vec![factor, expr.clone()])
    };
    Ok(
        exprs(&scaled(a, scale), &scaled(b, other_scale), rule, budget)?
            .map(|_| "equal after converting units"),
    )
}

/// `x = v` against `v`.
fn named_value(
    sides: &[Value],
    signs: &[char],
    other: &Value,
    rule: Rule,
    budget: &Budget,
) -> Result<Why, Spent> {
    let (Some(first), Some(last)) = (sides.first(), sides.last()) else {
        return Ok(None);
    };
    if signs.contains(&'≈') {
        for side in sides.iter().filter(|side| !is_name(side)) {
            if same(side, other, rule, budget)?.is_some() {
                return Ok(Some("equal to one side of an approximation"));
            }
        }
        return Ok(None);
    }
    // `x + y = 5` may say what `x + y` is; `x + y - 5 = 0` cannot.
    let value = if is_name(first)
        || is_constant(first)
        || signs == ['∈']
        || sides.len() > 2
        || is_constant(last) && !is_nothing(last)
    {
        last
    } else if is_name(last) {
        first
    } else {
        return Ok(None);
    };
    Ok(same(value, other, rule, budget)?.map(|_| "equal to the side that is the value"))
}

/// What a value is given to: a variable, `AB`, `f(x)`, `(x, y)`.
fn is_name(value: &Value) -> bool {
    fn name(expr: &Expr) -> bool {
        match expr {
            Expr::Symbol(_) | Expr::E | Expr::I => true,
            Expr::Product(parts) | Expr::Apply(_, parts) => parts.iter().all(name),
            Expr::Power(base, exponent) => name(base) && **exponent == Expr::whole(-1),
            _ => false,
        }
    }
    match value {
        Value::Expr(expr) => name(expr) || matches!(expr, Expr::Product(parts) if is_call(parts)),
        Value::Bracket { items, .. } => items.iter().all(is_name),
        _ => false,
    }
}

/// `f(2)`: a letter that names functions, and one number.
fn is_call(parts: &[Expr]) -> bool {
    matches!(parts, [Expr::Symbol(f), Expr::Number(_)] if ["f", "g", "h", "p", "q", "P", "Q", "F", "T"].contains(&f.as_str()))
}

fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Expr(Expr::Number(n)) if n.value.is_zero())
}

fn is_constant(value: &Value) -> bool {
    match value {
        Value::Expr(expr) => !expr.any(&|part| matches!(part, Expr::Symbol(_))),
        _ => false,
    }
}

fn relations(
    a: &[Value],
    s: &[char],
    b: &[Value],
    t: &[char],
    rule: Rule,
    budget: &Budget,
) -> Result<Why, Spent> {
    // The same sides, in the same or the opposite order.
    if a.len() == b.len() {
        let flipped: Vec<char> = t.iter().rev().map(|c| flip(*c)).collect();
        let reversed: Vec<Value> = b.iter().rev().cloned().collect();
        for (sides, signs) in [(b, t), (&reversed[..], &flipped[..])] {
            if s == signs && ordered(a, sides, rule, budget)?.is_some() {
                return Ok(Some("equal side by side"));
            }
        }
    }
    let is_set = |signs: &[char]| is_inequality(signs) || signs == ['∈'];
    if is_set(s) != is_set(t) {
        return Ok(None);
    }
    if is_set(s) {
        let left = spans(&Value::Relation(a.to_vec(), s.to_vec()), budget);
        let right = spans(&Value::Relation(b.to_vec(), t.to_vec()), budget);
        if let (Some(left), Some(right)) = (left, right) {
            return Ok(
                (left.variable == right.variable && left.same(&right, rule, budget)?)
                    .then_some("the same set of numbers"),
            );
        }
    }
    let ([Value::Expr(a0), Value::Expr(a1)], [Value::Expr(b0), Value::Expr(b1)]) = (a, b) else {
        return Ok(None);
    };
    let difference = |l: &Expr, r: &Expr| Expr::Sum(vec![l.clone(), r.clone().negated()]);
    let (left, right) = (difference(a0, a1), difference(b0, b1));
    let (Some(x), Some(y)) = (canonical(&left, budget)?, canonical(&right, budget)?) else {
        return Ok(None);
    };
    if x.is_zero() || y.is_zero() {
        return Ok(None);
    }
    if is_inequality(s) {
        let directed = |of: &Ratio, sign: char| {
            (
                of.zeros(),
                if of.leads_negative() {
                    flip(sign)
                } else {
                    sign
                },
            )
        };
        return Ok((x.is_polynomial()
            && y.is_polynomial()
            && directed(&x, s[0]) == directed(&y, t[0]))
        .then_some("the same inequality rearranged"));
    }
    if x.zeros() == y.zeros() {
        return Ok(Some("the same equation rearranged"));
    }
    if x.is_decisive() && y.is_decisive() {
        return Ok(None);
    }
    Ok(point::proportional(&left, &right, budget)?.then_some("equations with a constant quotient"))
}

fn flip(sign: char) -> char {
    match sign {
        '<' => '>',
        '>' => '<',
        '≤' => '≥',
        '≥' => '≤',
        other => other,
    }
}

/// The canonical form; `None` where there is none but the budget holds.
fn canonical(expr: &Expr, budget: &Budget) -> Result<Option<Ratio>, Spent> {
    match ratio(expr, budget) {
        Ok(ratio) => Ok(Some(ratio)),
        Err(Stop::Undefined) => Ok(None),
        Err(Stop::Spent) => Err(Spent),
    }
}

fn ratios(a: &[Expr], b: &[Expr], rule: Rule, budget: &Budget) -> Result<Why, Spent> {
    if a.len() != b.len() {
        return Ok(None);
    }
    // 11:30 is a time of day, so it is not 23:60.
    let clock = |parts: &[Expr]| {
        parts.len() > 2
            || matches!(&parts[1], Expr::Number(n) if n.digits >= 2 && n.value < BigRational::from_integer(60.into()))
    };
    let exact = clock(a) && clock(b);
    let cross = |x: &Expr, y: &Expr| Expr::Product(vec![x.clone(), y.clone()]);
    for (x, y) in a.iter().zip(b) {
        let same = if exact {
            exprs(x, y, rule, budget)?
        } else {
            exprs(&cross(x, &b[0]), &cross(y, &a[0]), rule, budget)?
        };
        if same.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(if exact {
        "equal part by part"
    } else {
        "the same ratio"
    }))
}

fn ordered(a: &[Value], b: &[Value], rule: Rule, budget: &Budget) -> Result<Why, Spent> {
    if a.len() != b.len() {
        return Ok(None);
    }
    for (x, y) in a.iter().zip(b) {
        if same(x, y, rule, budget)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some("equal item by item"))
}

/// Each item of one matched with an item of the other; in sets, repetitions do not count.
fn unordered(
    a: &[Value],
    b: &[Value],
    set: bool,
    rule: Rule,
    budget: &Budget,
) -> Result<Why, Spent> {
    if !set && a.len() != b.len() {
        return Ok(None);
    }
    let mut free = vec![true; b.len()];
    for x in a {
        let mut found = false;
        for (y, free) in b.iter().zip(&mut free) {
            if (*free || set) && same(x, y, rule, budget)?.is_some() {
                *free = false;
                found = true;
                if !set {
                    break;
                }
            }
        }
        if !found {
            return Ok(None);
        }
    }
    Ok((!free.contains(&true)).then_some("the same items in any order"))
}

fn sets(left: &Value, right: &Value, rule: Rule, budget: &Budget) -> Result<Why, Spent> {
    let (Some(a), Some(b)): (Option<Spans>, Option<Spans>) =
        (spans(left, budget), spans(right, budget))
    else {
        return Ok(None);
    };
    Ok(a.same(&b, rule, budget)?
        .then_some("the same set of numbers"))
}

/// Compares two expressions.
pub(super) fn exprs(a: &Expr, b: &Expr, rule: Rule, budget: &Budget) -> Result<Why, Spent> {
    if a == b {
        return Ok(Some("the same expression"));
    }
    for function in [Function::Percent, Function::Degrees] {
        let why = if function == Function::Percent {
            "equal but for a percent sign"
        } else {
            "equal but for a degree sign"
        };
        match (inside(a, function), inside(b, function)) {
            (Some(x), Some(y)) => return plain(&x, &y, rule, budget),
            (Some(x), None) if plain(&x, b, rule, budget)?.is_some() => return Ok(Some(why)),
            (None, Some(y)) if plain(a, &y, rule, budget)?.is_some() => return Ok(Some(why)),
            _ => {}
        }
    }
    plain(a, b, rule, budget)
}

/// The amount of an expression that is a percentage or an angle as a whole, with its sign.
fn inside(expr: &Expr, wanted: Function) -> Option<Expr> {
    match expr {
        Expr::Apply(function, parts) if *function == wanted => parts.first().cloned(),
        Expr::Product(parts) => match parts.as_slice() {
            [rest @ .., Expr::Apply(function, inner)] if *function == wanted => {
                let mut parts = rest.to_vec();
                parts.extend(inner.first().cloned());
                Some(Expr::Product(parts))
            }
            _ => None,
        },
        _ => None,
    }
}

fn plain(a: &Expr, b: &Expr, rule: Rule, budget: &Budget) -> Result<Why, Spent> {
    let forms = match (canonical(a, budget), canonical(b, budget)) {
        (Ok(Some(x)), Ok(Some(y))) => Some((x, y)),
        (Ok(_), Ok(_)) => None,
        // What is too big to multiply out may still be told apart, never declared equal, by value.
        _ => return Err(Spent),
    };
    let mut decisive = false;
    if let Some((x, y)) = &forms {
        match x.minus(y, budget) {
            Ok(difference) if difference.is_zero() => return Ok(Some("equal exactly")),
            Ok(difference) => decisive = difference.is_decisive(),
            Err(Stop::Undefined) => {}
            Err(Stop::Spent) => return Err(Spent),
        }
    }
    if !decisive && forms.is_some() && point::agree(a, b, budget)? == Agreement::Equal {
        return Ok(Some("equal to 20 digits at fixed points"));
    }
    Ok(decimals(a, b, rule, budget).or_else(|| decimals(b, a, rule, budget)))
}

/// Whether `a` is a decimal that stands for `b` by the rule of this module.
fn decimals(a: &Expr, b: &Expr, rule: Rule, budget: &Budget) -> Why {
    let Expr::Number(decimal) = a else {
        return None;
    };
    let places = decimal.places?;
    let value = decimal.value.to_f64()?;
    let long = decimal.digits >= LONG_DIGITS_MIN;
    // Half a unit of the last place, and a hair for the conversion to binary.
    let half = |places: u32| 0.5 * 10f64.powi(-(places.min(300) as i32)) * (1.0 + 1e-9);
    if let Expr::Number(other) = b {
        let other_value = other.value.to_f64()?;
        let difference = (&decimal.value - &other.value).abs().to_f64()?;
        if long && difference <= LONG_TOLERANCE * value.abs().max(other_value.abs()) {
            return Some("equal to a millionth");
        }
        if long && other.value.is_zero() && value.abs() < 1e-9 {
            return Some("zero but for rounding");
        }
        let other_places = other.places?;
        let rounds = other_places >= 1 && other_places < places && difference <= half(other_places);
        let enough = long || rule == Rule::Number && other_places >= 2;
        return (rounds && enough).then_some("equal after rounding to the places written");
    }
    let other_value = point::real(b, budget)?;
    let difference = (value - other_value).abs();
    if long && difference <= LONG_TOLERANCE * value.abs().max(other_value.abs()) {
        return Some("equal to a millionth");
    }
    let enough =
        places >= 1 && decimal.digits >= ROUNDED_DIGITS_MIN || rule == Rule::Number && places >= 2;
    // Rounded, or cut: then too small in size by less than one unit of the last place.
    let cut = (other_value.abs() - value.abs()) >= 0.0 && difference < 2.0 * half(places);
    let close = difference <= half(places) || cut && value.signum() == other_value.signum();
    (enough && close).then_some("equal after rounding to the places written")
}
