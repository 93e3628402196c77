//! Sets of real numbers as unions of intervals.

use super::Rule;
use super::budget::{Budget, Spent};
use super::compare::exprs;
use super::expr::Expr;
use super::point::real;
use super::value::Value;

/// An interval, or a single number as a closed interval of length zero.
#[derive(Clone, Debug)]
struct Span {
    low: End,
    high: End,
}

/// One end of an interval.
#[derive(Clone, Debug)]
struct End {
    expr: Expr,
    value: f64,
    closed: bool,
}

/// A set of real numbers: disjoint spans in ascending order.
#[derive(Clone, Debug)]
pub(super) struct Spans {
    all: Vec<Span>,
    /// The variable of an inequality.
    pub variable: Option<Expr>,
}

impl Spans {
    /// Whether both are the same set.
    pub fn same(&self, other: &Self, rule: Rule, budget: &Budget) -> Result<bool, Spent> {
        if self.all.len() != other.all.len() {
            return Ok(false);
        }
        for (a, b) in self.all.iter().zip(&other.all) {
            for (x, y) in [(&a.low, &b.low), (&a.high, &b.high)] {
                if x.value.is_infinite() || y.value.is_infinite() {
                    if x.value != y.value {
                        return Ok(false);
                    }
                } else if x.closed != y.closed || exprs(&x.expr, &y.expr, rule, budget)?.is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Reads a value as a set of real numbers; `None` where it is not one.
pub(super) fn spans(value: &Value, budget: &Budget) -> Option<Spans> {
    let mut variable = None;
    let mut all = collect(value, &mut variable, budget)?;
    all.sort_by(|a, b| {
        a.low
            .value
            .total_cmp(&b.low.value)
            .then(b.low.closed.cmp(&a.low.closed))
    });
    let mut merged: Vec<Span> = Vec::with_capacity(all.len());
    for span in all {
        match merged.last_mut() {
            Some(last) if overlap(last, &span) => {
                if span.high.value > last.high.value
                    || span.high.value == last.high.value && span.high.closed
                {
                    last.high = span.high;
                }
            }
            _ => merged.push(span),
        }
    }
    Some(Spans {
        all: merged,
        variable,
    })
}

/// Whether the next span begins where the last has not ended.
fn overlap(last: &Span, next: &Span) -> bool {
    next.low.value < last.high.value
        || next.low.value == last.high.value && (next.low.closed || last.high.closed)
}

fn end(expr: &Expr, closed: bool, budget: &Budget) -> Option<End> {
    let value = match expr {
        Expr::Product(parts) if parts.contains(&Expr::Infinity) => f64::NEG_INFINITY,
        Expr::Sum(parts) if parts.len() == 1 => real(&parts[0], budget)?,
        other => real(other, budget)?,
    };
    Some(End {
        expr: expr.clone(),
        value,
        closed: closed && value.is_finite(),
    })
}

fn everything() -> Span {
    let infinite = |value| End {
        expr: Expr::Infinity,
        value,
        closed: false,
    };
    Span {
        low: infinite(f64::NEG_INFINITY),
        high: infinite(f64::INFINITY),
    }
}

fn collect(value: &Value, variable: &mut Option<Expr>, budget: &Budget) -> Option<Vec<Span>> {
    budget.take(1).ok()?;
    match value {
        Value::Reals => Some(vec![everything()]),
        Value::Bracket { open, items, close } => match items.as_slice() {
            [Value::Expr(low), Value::Expr(high)] if *open != '⟨' => {
                let low = end(low, *open == '[', budget)?;
                let high = end(high, *close == ']', budget)?;
                (low.value <= high.value).then(|| vec![Span { low, high }])
            }
            _ => None,
        },
        Value::Set(items) => items.iter().map(|item| point_span(item, budget)).collect(),
        Value::Union(parts) | Value::List(parts) => {
            let mut all = Vec::new();
            for part in parts {
                // A list of tuples is no union of intervals, one of inequalities is.
                if matches!(value, Value::List(_)) && !matches!(part, Value::Relation(..)) {
                    return None;
                }
                all.extend(collect(part, variable, budget)?);
            }
            Some(all)
        }
        Value::Without(left, right) => {
            let mut all = collect(left, variable, budget)?;
            for hole in collect(right, variable, budget)? {
                all = all.into_iter().flat_map(|span| cut(span, &hole)).collect();
            }
            Some(all)
        }
        Value::Relation(sides, signs) => relation(sides, signs, variable, budget),
        _ => None,
    }
}

fn point_span(item: &Value, budget: &Budget) -> Option<Span> {
    let Value::Expr(expr) = item else { return None };
    let end = end(expr, true, budget)?;
    end.value.is_finite().then(|| Span {
        low: end.clone(),
        high: end,
    })
}

/// `span` without `hole`.
fn cut(span: Span, hole: &Span) -> Vec<Span> {
    let mut left = Vec::new();
    if hole.high.value < span.low.value || hole.low.value > span.high.value {
        return vec![span];
    }
    let before = End {
        closed: !hole.low.closed && hole.low.value.is_finite(),
        ..hole.low.clone()
    };
    let after = End {
        closed: !hole.high.closed && hole.high.value.is_finite(),
        ..hole.high.clone()
    };
    if span.low.value < before.value
        || span.low.value == before.value && span.low.closed && before.closed
    {
        left.push(Span {
            low: span.low,
            high: before,
        });
    }
    if after.value < span.high.value
        || after.value == span.high.value && span.high.closed && after.closed
    {
        left.push(Span {
            low: after,
            high: span.high,
        });
    }
    left
}

/// The numbers for which an inequality in one variable holds; the variable stands alone.
fn relation(
    sides: &[Value],
    signs: &[char],
    variable: &mut Option<Expr>,
    budget: &Budget,
) -> Option<Vec<Span>> {
    let is_variable =
        |side: &Value| matches!(side, Value::Expr(Expr::Symbol(_) | Expr::E | Expr::I));
    let mut name = |side: &Value| {
        let Value::Expr(expr) = side else {
            return false;
        };
        if !is_variable(side) || variable.as_ref().is_some_and(|known| known != expr) {
            return false;
        }
        *variable = Some(expr.clone());
        true
    };
    match (sides, signs) {
        ([of, set], ['∈']) if name(of) => {
            let mut inner = None;
            collect(set, &mut inner, budget)
        }
        ([Value::Expr(bound), of], [sign]) if is_variable(of) && !is_variable(&sides[0]) => {
            if !name(of) {
                return None;
            }
            one_sided(bound, mirrored(*sign), budget)
        }
        ([of, Value::Expr(bound)], [sign]) if name(of) => one_sided(bound, *sign, budget),
        ([Value::Expr(low), of, Value::Expr(high)], [first, second]) if name(of) => {
            let rising = "<≤".contains(*first) && "<≤".contains(*second);
            let falling = ">≥".contains(*first) && ">≥".contains(*second);
            let (low, low_sign, high, high_sign) = match (rising, falling) {
                (true, _) => (low, first, high, second),
                (_, true) => (high, second, low, first),
                _ => return None,
            };
            let low = end(low, "≤≥".contains(*low_sign), budget)?;
            let high = end(high, "≤≥".contains(*high_sign), budget)?;
            (low.value <= high.value).then(|| vec![Span { low, high }])
        }
        _ => None,
    }
}

fn mirrored(sign: char) -> char {
    match sign {
        '<' => '>',
        '>' => '<',
        '≤' => '≥',
        '≥' => '≤',
        other => other,
    }
}

/// The numbers `x` with `x sign bound`.
fn one_sided(bound: &Expr, sign: char, budget: &Budget) -> Option<Vec<Span>> {
    let all = everything();
    let end = end(bound, "≤≥=".contains(sign), budget)?;
    Some(match sign {
        '<' | '≤' => vec![Span {
            low: all.low,
            high: end,
        }],
        '>' | '≥' => vec![Span {
            low: end,
            high: all.high,
        }],
        '=' => vec![Span {
            low: end.clone(),
            high: end,
        }],
        '≠' => vec![
            Span {
                low: all.low,
                high: end.clone(),
            },
            Span {
                low: end,
                high: all.high,
            },
        ],
        _ => return None,
    })
}
