//! Values of expressions at fixed points: in double precision to reject, in double-double precision
//! (about 31 digits) to confirm.

use num_traits::ToPrimitive;

use super::budget::{Budget, Spent};
use super::expr::{Expr, Function};
use super::real::{Complex, Pair, Real};

/// Points at which expressions with variables are compared.
pub(super) const POINTS: usize = 8;

/// Points at which both must have a value for the comparison to count.
pub(super) const POINTS_MIN: usize = 3;

/// What comparing values at points found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// The values agree wherever both exist.
    Equal,
    /// They differ somewhere.
    Different,
    /// They exist together at too few points.
    Unknown,
}

/// Compares two expressions at the fixed points.
pub(super) fn agree(left: &Expr, right: &Expr, budget: &Budget) -> Result<Agreement, Spent> {
    let variables = |e: &Expr| e.any(&|part| matches!(part, Expr::Symbol(_)));
    let (points, needed) = if variables(left) || variables(right) {
        (POINTS, POINTS_MIN)
    } else {
        (1, 1)
    };
    let first = compare::<f64>(left, right, points, needed, 1e-9, 1e-3, budget)?;
    if first != Agreement::Equal {
        return Ok(first);
    }
    compare::<Pair>(left, right, points, needed, 1e-20, 1e-4, budget)
}

/// Whether `left / right` is the same number at all points: equations up to a factor.
pub(super) fn proportional(left: &Expr, right: &Expr, budget: &Budget) -> Result<bool, Spent> {
    let mut ratio: Option<Complex<Pair>> = None;
    let mut valid = 0;
    for point in 0..POINTS {
        let imaginary = is_complex(left) || is_complex(right);
        let (Some(a), Some(b)) = (
            value::<Pair>(left, point, imaginary, budget)?,
            value::<Pair>(right, point, imaginary, budget)?,
        ) else {
            continue;
        };
        if b.is_zero() || a.is_zero() {
            return Ok(false);
        }
        let here = a / b;
        match ratio {
            Some(known) if (known - here).norm() > here.norm() * Pair::of(1e-18) => {
                return Ok(false);
            }
            _ => ratio = Some(here),
        }
        valid += 1;
    }
    Ok(valid >= POINTS_MIN)
}

/// The real value of a constant expression.
pub(super) fn real(expr: &Expr, budget: &Budget) -> Option<f64> {
    if expr.any(&|part| matches!(part, Expr::Symbol(_) | Expr::PlusMinus)) {
        return None;
    }
    if let Expr::Infinity = expr {
        return Some(f64::INFINITY);
    }
    let value = value::<f64>(expr, 0, is_complex(expr), budget).ok()??;
    (value.im == 0.0 || value.im.abs() < 1e-12 * value.re.abs()).then_some(value.re)
}

fn is_complex(expr: &Expr) -> bool {
    expr.any(&|part| *part == Expr::I)
}

fn compare<T: Real>(
    left: &Expr,
    right: &Expr,
    points: usize,
    needed: usize,
    tolerance: f64,
    floor: f64,
    budget: &Budget,
) -> Result<Agreement, Spent> {
    let imaginary = is_complex(left) || is_complex(right);
    let mut valid = 0;
    for point in 0..points {
        let (Some(a), Some(b)) = (
            value::<T>(left, point, imaginary, budget)?,
            value::<T>(right, point, imaginary, budget)?,
        ) else {
            continue;
        };
        let scale = [b.norm(), T::of(floor)]
            .iter()
            .fold(a.norm(), |m, v| if *v > m { *v } else { m });
        // A value that overflowed compares as nothing, and so as different.
        let close = (a - b).norm() <= scale * T::of(tolerance);
        if !close {
            return Ok(Agreement::Different);
        }
        valid += 1;
    }
    Ok(if valid >= needed {
        Agreement::Equal
    } else {
        Agreement::Unknown
    })
}

/// The value at a point; `None` outside the domain. Without `imaginary`, roots and logarithms of
/// negative numbers are outside.
fn value<T: Real>(
    expr: &Expr,
    point: usize,
    imaginary: bool,
    budget: &Budget,
) -> Result<Option<Complex<T>>, Spent> {
    // Double-double functions cost about as much as twenty steps.
    budget.take(20)?;
    let of = |part: &Expr| value::<T>(part, point, imaginary, budget);
    let real = |v: T| Some(Complex::real(v));
    let found = match expr {
        Expr::Number(number) => T::rational(&number.value).and_then(real),
        Expr::Symbol(name) => real(T::of(coordinate(name, point))),
        Expr::Pi => real(T::PI),
        Expr::E => real(T::E),
        Expr::I => Some(Complex::i()),
        Expr::Infinity | Expr::PlusMinus => None,
        Expr::Sum(parts) => {
            let mut sum = Complex::real(T::of(0.0));
            for part in parts {
                let Some(v) = of(part)? else { return Ok(None) };
                sum = sum + v;
            }
            Some(sum)
        }
        Expr::Product(parts) => {
            let mut product = Complex::real(T::of(1.0));
            for part in parts {
                let Some(v) = of(part)? else { return Ok(None) };
                product = product * v;
            }
            Some(product)
        }
        Expr::Root(radicand, degree) => of(radicand)?.and_then(|v| root(v, *degree, imaginary)),
        Expr::Power(base, exponent) => {
            let (Some(b), Some(e)) = (of(base)?, of(exponent)?) else {
                return Ok(None);
            };
            power(b, e, fraction_below(exponent), imaginary)
        }
        Expr::Apply(function, arguments) => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                let Some(v) = of(argument)? else {
                    return Ok(None);
                };
                values.push(v);
            }
            apply(*function, &values, imaginary)
        }
    };
    Ok(found.filter(|v| v.re.to_f64().is_finite() && v.im.to_f64().is_finite()))
}

/// The coordinate of a variable: fixed by its name, between 1/4 and 13/4 in size. The first three
/// points are positive, the next two of either sign, the last three small whole numbers.
fn coordinate(name: &str, point: usize) -> f64 {
    // FNV-1a, then a multiplication to spread the point's number.
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut mixed = (hash ^ (point as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let unit = (mixed >> 40) as f64 / (1u64 << 24) as f64;
    match point {
        0..=2 => 0.25 + 3.0 * unit,
        3..=4 if mixed & 1 == 0 => -0.25 - 3.0 * unit,
        3..=4 => 0.25 + 3.0 * unit,
        _ => 2.0 + (unit * 13.0).floor(),
    }
}

/// The denominator of an exponent written as a fraction of whole numbers.
fn fraction_below(exponent: &Expr) -> Option<u32> {
    match exponent {
        Expr::Product(parts) => match parts.as_slice() {
            [Expr::Number(above), Expr::Power(below, n)] if **n == Expr::whole(-1) => {
                match &**below {
                    Expr::Number(below) => (&above.value / &below.value).denom().to_u32(),
                    _ => None,
                }
            }
            _ => None,
        },
        Expr::Number(n) => n.value.denom().to_u32(),
        _ => None,
    }
}

fn root<T: Real>(value: Complex<T>, degree: u32, imaginary: bool) -> Option<Complex<T>> {
    let real = |v: T| Some(Complex::real(v));
    let n = T::of(f64::from(degree));
    if value.is_real() {
        let size = value.re.abs();
        let magnitude = match degree {
            1 => size,
            2 => size.sqrt(),
            _ if size.is_zero() => size,
            _ => (size.ln() / n).exp(),
        };
        if value.re >= T::of(0.0) {
            return real(magnitude);
        }
        if degree % 2 == 1 {
            return real(-magnitude);
        }
        if degree == 2 && imaginary {
            return Some(Complex::i().scaled(magnitude));
        }
    }
    imaginary.then(|| (value.ln().scaled(T::of(1.0) / n)).exp())
}

fn power<T: Real>(
    base: Complex<T>,
    exponent: Complex<T>,
    below: Option<u32>,
    imaginary: bool,
) -> Option<Complex<T>> {
    let rounded = exponent.re.to_f64().round();
    if exponent.is_real() && T::of(rounded) == exponent.re && rounded.abs() < 1e6 {
        return (rounded > 0.0 || !base.is_zero()).then(|| base.powi(rounded as i32));
    }
    if base.is_real() && exponent.is_real() {
        if base.re > T::of(0.0) {
            return Some(Complex::real((base.re.ln() * exponent.re).exp()));
        }
        if base.re.is_zero() {
            return (exponent.re > T::of(0.0)).then(|| Complex::real(T::of(0.0)));
        }
        if let Some(degree) = below
            && degree % 2 == 1
        {
            let above = (exponent.re.to_f64() * f64::from(degree)).round();
            return (above.abs() < 1e6)
                .then(|| root(base, degree, imaginary).map(|r| r.powi(above as i32)))?;
        }
    }
    (imaginary && !base.is_zero()).then(|| (base.ln() * exponent).exp())
}

fn apply<T: Real>(
    function: Function,
    values: &[Complex<T>],
    imaginary: bool,
) -> Option<Complex<T>> {
    let x = *values.first()?;
    let is_real = values.iter().all(|v| v.is_real());
    if !is_real && !imaginary {
        return None;
    }
    let real = |v: T| Some(Complex::real(v));
    let size = x.re.abs();
    let one = Complex::real(T::of(1.0));
    // Beyond this a turn is not known to enough digits.
    let turns = || (size.to_f64() < 1e6).then(|| x.sin_cos());
    let up = || x.exp();
    match function {
        Function::Percent => Some(x.scaled(T::of(1.0) / T::of(100.0))),
        Function::Degrees => Some(x.scaled(T::PI / T::of(180.0))),
        Function::Abs => real(x.norm()),
        Function::Ln if x.is_zero() => None,
        Function::Ln if is_real && x.re > T::of(0.0) => real(x.re.ln()),
        Function::Ln => imaginary.then(|| x.ln()),
        Function::Sin => turns().map(|(sin, _)| sin),
        Function::Cos => turns().map(|(_, cos)| cos),
        Function::Tan => turns().map(|(sin, cos)| sin / cos),
        Function::Cot => turns().map(|(sin, cos)| cos / sin),
        Function::Sec => turns().map(|(_, cos)| one / cos),
        Function::Csc => turns().map(|(sin, _)| one / sin),
        Function::Arctan if is_real => real(x.re.atan()),
        Function::Arcsin | Function::Arccos if is_real && size <= T::of(1.0) => {
            let beside = (T::of(1.0) - x.re * x.re).sqrt();
            let quarter = T::PI / T::of(2.0);
            let angle = match (beside.is_zero(), x.re < T::of(0.0)) {
                (true, true) => -quarter,
                (true, false) => quarter,
                (false, _) => (x.re / beside).atan(),
            };
            real(if function == Function::Arcsin {
                angle
            } else {
                quarter - angle
            })
        }
        Function::Sinh => Some((up() - one / up()).scaled(T::of(0.5))),
        Function::Cosh => Some((up() + one / up()).scaled(T::of(0.5))),
        Function::Tanh => Some((up() - one / up()) / (up() + one / up())),
        Function::Floor if is_real => real(T::of(x.re.to_f64().floor())),
        Function::Ceil if is_real => real(T::of(x.re.to_f64().ceil())),
        Function::Min if is_real => real(
            values
                .iter()
                .fold(x.re, |a, b| if b.re < a { b.re } else { a }),
        ),
        Function::Max if is_real => real(
            values
                .iter()
                .fold(x.re, |a, b| if b.re > a { b.re } else { a }),
        ),
        Function::Factorial if is_real => factorial(x.re).and_then(real),
        Function::Binomial if is_real => {
            let (n, k) = (x.re, values.get(1)?.re);
            if k > n || k < T::of(0.0) {
                return None;
            }
            real(factorial(n)? / factorial(k)? / factorial(n - k)?)
        }
        _ => None,
    }
}

fn factorial<T: Real>(value: T) -> Option<T> {
    let n = value.to_f64();
    let whole = (0.0..=170.0).contains(&n) && n.fract() == 0.0 && T::of(n) == value;
    whole.then(|| {
        (1..=n as u32).fold(T::of(1.0), |product, factor| {
            product * T::of(f64::from(factor))
        })
    })
}
