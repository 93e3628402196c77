//! Numbers and symbolic expressions, as they were written.

use std::fmt;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed};

/// A number literal: its exact value, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// The value of the digits as they stand.
    pub value: BigRational,
    /// Digits after the decimal point; `None` where there is no point.
    pub places: Option<u32>,
    /// Significant digits.
    pub digits: u32,
}

impl Number {
    /// A whole number.
    pub fn whole(value: impl Into<BigInt>) -> Self {
        Self {
            value: BigRational::from_integer(value.into()),
            places: None,
            digits: 1,
        }
    }
}

/// A named function of one or two arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    /// Natural logarithm.
    Ln,
    Abs,
    Floor,
    Ceil,
    Factorial,
    Binomial,
    Min,
    Max,
    Gcd,
    Lcm,
    /// `p%`: a hundredth inside an expression; alone it also equals `p`, see `compare`.
    Percent,
    /// `d°`: pi/180 inside an expression; alone it also equals `d`, see `compare`.
    Degrees,
}

/// A symbolic expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    Number(Number),
    /// A variable, with its subscript: `x`, `x_1`, `theta`.
    Symbol(String),
    Pi,
    /// The base of natural logarithms, also where `e` is a variable: nothing tells the two apart.
    E,
    /// The imaginary unit.
    I,
    Infinity,
    /// The sign of `±`; stands for both 1 and -1 until the value is read as two.
    PlusMinus,
    Sum(Vec<Expr>),
    Product(Vec<Expr>),
    Power(Box<Expr>, Box<Expr>),
    /// The real root of this degree, also of a negative number where the degree is odd.
    Root(Box<Expr>, u32),
    Apply(Function, Vec<Expr>),
}

impl Expr {
    pub fn whole(value: i64) -> Self {
        Self::Number(Number::whole(value))
    }

    pub fn negated(self) -> Self {
        match self {
            Self::Number(n) => Self::Number(Number {
                value: -n.value,
                ..n
            }),
            other => Self::Product(vec![Self::whole(-1), other]),
        }
    }

    pub fn inverted(self) -> Self {
        Self::Power(Box::new(self), Box::new(Self::whole(-1)))
    }

    /// Whether `found` holds for this expression or any part of it.
    pub fn any(&self, found: &dyn Fn(&Self) -> bool) -> bool {
        found(self)
            || match self {
                Self::Sum(parts) | Self::Product(parts) | Self::Apply(_, parts) => {
                    parts.iter().any(|part| part.any(found))
                }
                Self::Power(base, exponent) => base.any(found) || exponent.any(found),
                Self::Root(radicand, _) => radicand.any(found),
                _ => false,
            }
    }

    /// The same expression with every part that `change` maps replaced.
    pub fn map(&self, change: &dyn Fn(&Self) -> Option<Self>) -> Self {
        if let Some(changed) = change(self) {
            return changed;
        }
        let all = |parts: &[Self]| parts.iter().map(|part| part.map(change)).collect();
        match self {
            Self::Sum(parts) => Self::Sum(all(parts)),
            Self::Product(parts) => Self::Product(all(parts)),
            Self::Apply(function, parts) => Self::Apply(*function, all(parts)),
            Self::Power(base, exponent) => {
                Self::Power(Box::new(base.map(change)), Box::new(exponent.map(change)))
            }
            Self::Root(radicand, degree) => Self::Root(Box::new(radicand.map(change)), *degree),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Expr {
    /// Plain notation, with parentheses around every sum and product that is part of something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = |part: &Self| match part {
            Self::Sum(_) | Self::Product(_) => format!("({part})"),
            Self::Number(n) if n.value.is_negative() || !n.value.is_integer() => {
                format!("({part})")
            }
            _ => part.to_string(),
        };
        let joined = |parts: &[Self], by| parts.iter().map(inner).collect::<Vec<_>>().join(by);
        match self {
            Self::Number(Number { value, .. }) => {
                if value.denom().is_one() && value.numer().bits() > 256 {
                    write!(f, "<{}-bit integer>", value.numer().bits())
                } else {
                    write!(f, "{value}")
                }
            }
            Self::Symbol(name) => f.write_str(name),
            Self::Pi => f.write_str("pi"),
            Self::E => f.write_str("e"),
            Self::I => f.write_str("i"),
            Self::Infinity => f.write_str("inf"),
            Self::PlusMinus => f.write_str("±1"),
            Self::Sum(parts) => f.write_str(&joined(parts, " + ")),
            Self::Product(parts) => match parts.as_slice() {
                [a, Self::Power(b, n)] if **n == Self::whole(-1) => {
                    write!(f, "{}/{}", inner(a), inner(b))
                }
                _ => f.write_str(&joined(parts, "*")),
            },
            Self::Power(base, exponent) => write!(f, "{}^{}", inner(base), inner(exponent)),
            Self::Root(radicand, 2) => write!(f, "sqrt({radicand})"),
            Self::Root(radicand, degree) => write!(f, "root({radicand}, {degree})"),
            Self::Apply(function, parts) => {
                write!(
                    f,
                    "{}({})",
                    format!("{function:?}").to_lowercase(),
                    joined(parts, ", ")
                )
            }
        }
    }
}
