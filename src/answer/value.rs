//! What an answer can be.

use std::fmt;

use super::expr::Expr;
use super::unit::Unit;

/// An answer as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A number or a symbolic expression.
    Expr(Expr),
    /// Something with a unit or currency.
    Measure(Box<Value>, Unit),
    /// `3:4`, also a time of day.
    Ratio(Vec<Expr>),
    /// Digits in a stated base: `1011_2`.
    Numeral {
        /// The digits, upper case, with their sign.
        digits: String,
        /// The base, 2 to 36.
        base: u32,
    },
    /// A tuple, point, list in brackets or interval: which one, only a comparison can tell.
    Bracket {
        /// `(`, `[` or `⟨`.
        open: char,
        /// What is between.
        items: Vec<Value>,
        /// `)`, `]` or `⟩`.
        close: char,
    },
    /// Several answers, in any order: `1, 2`, `1 or 2`.
    List(Vec<Value>),
    /// `{1, 2}`; the empty set has no items.
    Set(Vec<Value>),
    /// A union of sets: intervals, finite sets.
    Union(Vec<Value>),
    /// All real numbers.
    Reals,
    /// `left \ right`.
    Without(Box<Value>, Box<Value>),
    /// Rows of entries.
    Matrix(Vec<Vec<Expr>>),
    /// `a = b`, `a < b <= c`: one side more than signs.
    Relation(Vec<Value>, Vec<char>),
    /// Anything else, in lower-case words.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expr(expr) => write!(f, "{expr}"),
            Self::Measure(amount, unit) => write!(f, "{amount} {unit}"),
            Self::Ratio(parts) => f.write_str(&joined(parts, ":")),
            Self::Numeral { digits, base } => write!(f, "{digits} in base {base}"),
            Self::Bracket { open, items, close } => {
                write!(f, "{open}{}{close}", joined(items, ", "))
            }
            Self::List(items) => f.write_str(&joined(items, ", ")),
            Self::Set(items) => write!(f, "{{{}}}", joined(items, ", ")),
            Self::Union(parts) => f.write_str(&joined(parts, " ∪ ")),
            Self::Reals => f.write_str("ℝ"),
            Self::Without(left, right) => write!(f, "{left} \\ {right}"),
            Self::Matrix(rows) => {
                let rows: Vec<_> = rows.iter().map(|row| joined(row, ", ")).collect();
                write!(f, "matrix [{}]", rows.join("; "))
            }
            Self::Relation(sides, signs) => {
                write!(f, "{}", sides[0])?;
                sides[1..]
                    .iter()
                    .zip(signs)
                    .try_for_each(|(side, sign)| write!(f, " {sign} {side}"))
            }
            Self::Text(words) => write!(f, "{words:?}"),
        }
    }
}

fn joined<T: fmt::Display>(parts: &[T], by: &str) -> String {
    parts.iter().map(T::to_string).collect::<Vec<_>>().join(by)
}
