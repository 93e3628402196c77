//! The canonical form of an expression: a quotient of two polynomials with rational coefficients.
//!
//! The unknowns of the polynomials ([`Atom`]) are variables, pi, e, i, roots of primes, and whatever
//! is not algebra (`sin x`, `2^x`), each under its own canonical name. Two expressions are equal where
//! the cross-multiplied difference is the zero polynomial. Roots of primes with exponents in [0, 1)
//! are linearly independent over the rationals, so the converse holds too, unless an atom is one whose
//! relations to the others are not known ([`Ratio::is_decisive`]).

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::{BigRational, Ratio as Fraction};
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::budget::Budget;
use super::expr::{Expr, Function};
pub(super) use super::poly::Stop;
use super::poly::{Atom, Monomial, Poly};
use super::root::{factors, root_of_poly};

/// A quotient of polynomials.
#[derive(Clone, Debug)]
pub(super) struct Ratio {
    above: Poly,
    below: Poly,
}

impl Ratio {
    pub fn constant(value: BigRational) -> Self {
        Self {
            above: Poly::constant(value),
            below: Poly::one(),
        }
    }

    pub fn of(above: Poly) -> Self {
        Self {
            above,
            below: Poly::one(),
        }
    }

    pub fn atom(atom: Atom) -> Self {
        Self::of(Poly::atom(atom))
    }

    fn opaque(name: String) -> Self {
        Self::atom(Atom::Opaque(name.into()))
    }

    /// The rational number this is, if it is one.
    pub fn as_constant(&self) -> Option<BigRational> {
        let below = self.below.as_constant()?;
        Some(self.above.as_constant()? / below)
    }

    pub fn is_zero(&self) -> bool {
        self.above.0.is_empty()
    }

    /// Whether every atom is independent of the others, so that a difference that is not zero in
    /// form is not zero in value.
    pub fn is_decisive(&self) -> bool {
        [&self.above, &self.below].iter().all(|poly| {
            poly.0
                .keys()
                .flatten()
                .all(|(atom, _)| !matches!(atom, Atom::Base(_) | Atom::Opaque(_)))
        })
    }

    /// Whether the denominator is a number.
    pub fn is_polynomial(&self) -> bool {
        self.below.as_constant().is_some()
    }

    /// A name that two equal ratios share, where the form is unique.
    pub fn key(&self, budget: &Budget) -> Option<String> {
        let rational = self.clone().rationalised(budget).ok()?;
        (rational.below == Poly::one() && rational.is_decisive()).then(|| rational.above.name())
    }

    fn name(&self, budget: &Budget) -> Result<String, Stop> {
        let rational = self.clone().rationalised(budget)?;
        if rational.below == Poly::one() {
            return Ok(rational.above.name());
        }
        // Not in lowest terms: two names may differ for equal ratios; they are then compared by value.
        let lead = rational
            .below
            .0
            .values()
            .next_back()
            .cloned()
            .unwrap_or_else(BigRational::one);
        let by = lead.recip();
        Ok(format!(
            "({})/({})",
            rational.above.scale(&by).name(),
            rational.below.scale(&by).name()
        ))
    }

    fn add(self, other: Self, budget: &Budget) -> Result<Self, Stop> {
        if self.below == other.below {
            return Ok(Self {
                above: self.above.add(other.above, budget)?,
                below: self.below,
            });
        }
        let left = self.above.mul(&other.below, budget)?;
        let right = other.above.mul(&self.below, budget)?;
        Ok(Self {
            above: left.add(right, budget)?,
            below: self.below.mul(&other.below, budget)?,
        })
    }

    pub fn mul(&self, other: &Self, budget: &Budget) -> Result<Self, Stop> {
        Ok(Self {
            above: self.above.mul(&other.above, budget)?,
            below: self.below.mul(&other.below, budget)?,
        })
    }

    pub fn negated(self) -> Self {
        Self {
            above: self.above.scale(&-BigRational::one()),
            below: self.below,
        }
    }

    pub fn minus(&self, other: &Self, budget: &Budget) -> Result<Self, Stop> {
        self.clone().add(other.clone().negated(), budget)
    }

    /// The polynomial whose zeros are this ratio's, up to a factor: first coefficient 1.
    pub fn zeros(&self) -> Option<String> {
        let lead = self.above.0.values().next()?.recip();
        Some(self.above.clone().scale(&lead).name())
    }

    /// Whether the coefficient of the first term is negative.
    pub fn leads_negative(&self) -> bool {
        self.above
            .0
            .values()
            .next()
            .is_some_and(Signed::is_negative)
    }

    pub fn inverted(&self, budget: &Budget) -> Result<Self, Stop> {
        if self.above.0.is_empty() {
            return Err(Stop::Undefined);
        }
        let single = Self {
            above: self.below.clone(),
            below: self.above.clone(),
        };
        single.tidy(budget)
    }

    /// Moves a denominator of one term into the numerator.
    fn tidy(mut self, budget: &Budget) -> Result<Self, Stop> {
        if self.below.0.len() != 1 {
            return Ok(self);
        }
        let Some((monomial, coefficient)) = self.below.0.pop_first() else {
            return Ok(self);
        };
        let mut below = Poly::one();
        let mut factor = coefficient.recip();
        let mut inverse: Monomial = Vec::with_capacity(monomial.len());
        for (atom, exponent) in monomial {
            match &atom {
                // 1/i = -i
                Atom::I => {
                    factor = -factor;
                    inverse.push((atom, exponent));
                }
                // 2^(-1/3) = 2^(2/3)/2
                Atom::Prime(p) => {
                    factor /= BigInt::from(*p);
                    inverse.push((atom, Fraction::one() - exponent));
                }
                Atom::Base(base) => {
                    below = below.mul(&base.poly, budget)?;
                    inverse.push((atom.clone(), Fraction::one() - exponent));
                }
                _ => inverse.push((atom, -exponent)),
            }
        }
        let above = self.above.mul(&Poly::term(inverse, factor), budget)?;
        Ok(Self { above, below })
    }

    /// Clears square roots and `i` from a denominator that holds nothing else.
    fn rationalised(mut self, budget: &Budget) -> Result<Self, Stop> {
        let half = Fraction::new(1, 2);
        for _ in 0..8 {
            self = self.tidy(budget)?;
            let plain = self
                .below
                .0
                .keys()
                .flatten()
                .all(|(atom, exponent)| match atom {
                    Atom::I => true,
                    Atom::Prime(_) => *exponent == half,
                    _ => false,
                });
            let first = self
                .below
                .0
                .keys()
                .flatten()
                .next()
                .map(|(atom, _)| atom.clone());
            let (true, Some(root)) = (plain, first) else {
                break;
            };
            let mut conjugate = self.below.clone();
            for (monomial, coefficient) in &mut conjugate.0 {
                if monomial.iter().any(|(atom, _)| *atom == root) {
                    *coefficient = -coefficient.clone();
                }
            }
            self.above = self.above.mul(&conjugate, budget)?;
            self.below = self.below.mul(&conjugate, budget)?;
            if self.below.0.is_empty() {
                return Err(Stop::Undefined);
            }
        }
        Ok(self)
    }

    pub fn power(&self, exponent: i32, budget: &Budget) -> Result<Self, Stop> {
        let times = exponent.unsigned_abs();
        let positive = if let (1, true) = (self.above.0.len(), self.below == Poly::one()) {
            Self::of(self.above.power(times, budget)?)
        } else {
            if times > 256 {
                return Err(Stop::Spent);
            }
            Self {
                above: self.above.power(times, budget)?,
                below: self.below.power(times, budget)?,
            }
        };
        if exponent < 0 {
            positive.inverted(budget)
        } else {
            Ok(positive)
        }
    }

    /// This ratio to the power `above/below`, `below` at least 2 and coprime.
    fn root(&self, exponent: Fraction<i64>, budget: &Budget) -> Result<Self, Stop> {
        let whole = self.clone().rationalised(budget)?;
        let above = root_of_poly(&whole.above, exponent, budget)?;
        if whole.below == Poly::one() {
            return Ok(above);
        }
        above.mul(
            &root_of_poly(&whole.below, exponent, budget)?.inverted(budget)?,
            budget,
        )
    }
}

/// The canonical form of an expression.
pub(super) fn ratio(expr: &Expr, budget: &Budget) -> Result<Ratio, Stop> {
    budget.take(1)?;
    Ok(match expr {
        Expr::Number(number) => Ratio::constant(number.value.clone()),
        Expr::Symbol(name) => Ratio::atom(Atom::Symbol(name.as_str().into())),
        Expr::Pi => Ratio::atom(Atom::Pi),
        Expr::E => Ratio::atom(Atom::E),
        Expr::I => Ratio::atom(Atom::I),
        Expr::Infinity => Ratio::atom(Atom::Symbol("inf".into())),
        Expr::PlusMinus => Ratio::atom(Atom::Symbol("±".into())),
        Expr::Sum(parts) => {
            let mut sum = Ratio::constant(BigRational::zero());
            for part in parts {
                sum = sum.add(ratio(part, budget)?, budget)?;
            }
            sum
        }
        Expr::Product(parts) => {
            let mut product = Ratio::constant(BigRational::one());
            for part in parts {
                product = product.mul(&ratio(part, budget)?, budget)?;
            }
            product
        }
        Expr::Root(radicand, degree) => {
            let degree = i64::from(*degree);
            let radicand = ratio(radicand, budget)?;
            if degree < 2 {
                radicand
            } else {
                radicand.root(Fraction::new(1, degree), budget)?
            }
        }
        Expr::Power(base, exponent) => power(base, exponent, budget)?,
        Expr::Apply(function, arguments) => apply(*function, arguments, budget)?,
    })
}

fn power(base: &Expr, exponent: &Expr, budget: &Budget) -> Result<Ratio, Stop> {
    let base = ratio(base, budget)?;
    let exponent = ratio(exponent, budget)?;
    if let Some(value) = exponent.as_constant() {
        let small = value.numer().to_i32().zip(value.denom().to_i32());
        match small {
            Some((0, _)) if base.is_zero() => return Err(Stop::Undefined),
            Some((n, 1)) => return base.power(n, budget),
            Some((n, d)) if d <= 64 && n.abs() <= 4_096 => {
                return base.root(Fraction::new(n.into(), d.into()), budget);
            }
            _ => {}
        }
    }
    if base.as_constant().is_some_and(|value| value.is_one()) {
        return Ok(base);
    }
    Ok(Ratio::opaque(format!(
        "({})^({})",
        base.name(budget)?,
        exponent.name(budget)?
    )))
}

fn apply(function: Function, arguments: &[Expr], budget: &Budget) -> Result<Ratio, Stop> {
    let mut values = Vec::with_capacity(arguments.len());
    for argument in arguments {
        values.push(ratio(argument, budget)?);
    }
    let constants: Option<Vec<BigRational>> = values.iter().map(Ratio::as_constant).collect();
    if let Some(constants) = constants
        && let Some(value) = apply_to_constants(function, &constants, budget)?
    {
        return Ok(value);
    }
    let Some(first) = values.first() else {
        return Err(Stop::Undefined);
    };
    let named = |function: Function, values: &[Ratio]| -> Result<Ratio, Stop> {
        let names: Vec<String> = values
            .iter()
            .map(|v| v.name(budget))
            .collect::<Result<_, _>>()?;
        Ok(Ratio::opaque(format!("{function:?}({})", names.join(","))))
    };
    let quotient = |above: Ratio, below: Ratio| above.mul(&below.inverted(budget)?, budget);
    match function {
        Function::Percent => first.mul(
            &Ratio::constant(BigRational::new(1.into(), 100.into())),
            budget,
        ),
        Function::Degrees => {
            let degree = Ratio::atom(Atom::Pi).mul(
                &Ratio::constant(BigRational::new(1.into(), 180.into())),
                budget,
            )?;
            first.mul(&degree, budget)
        }
        Function::Sec => named(Function::Cos, &values)?.inverted(budget),
        Function::Csc => named(Function::Sin, &values)?.inverted(budget),
        Function::Tan => quotient(
            named(Function::Sin, &values)?,
            named(Function::Cos, &values)?,
        ),
        Function::Cot => quotient(
            named(Function::Cos, &values)?,
            named(Function::Sin, &values)?,
        ),
        _ => named(function, &values),
    }
}

/// The exact value of a function of rational numbers, where it is rational or a sum of logarithms.
fn apply_to_constants(
    function: Function,
    values: &[BigRational],
    budget: &Budget,
) -> Result<Option<Ratio>, Stop> {
    const FACTORIAL_MAX: u32 = 400;
    let first = &values[0];
    let whole = |value: &BigRational| value.is_integer().then(|| value.to_integer());
    let exact = match function {
        Function::Abs => Some(first.abs()),
        Function::Floor => Some(first.floor()),
        Function::Ceil => Some(first.ceil()),
        Function::Factorial => match whole(first).and_then(|n| n.to_u32()) {
            Some(n) if n <= FACTORIAL_MAX => {
                let mut product = BigInt::one();
                for factor in 2..=n {
                    budget.take(1 + product.bits() as usize / 512)?;
                    product *= factor;
                }
                Some(BigRational::from_integer(product))
            }
            _ => None,
        },
        Function::Binomial => {
            let n = values.first().and_then(whole).and_then(|n| n.to_u32());
            let k = values.get(1).and_then(whole).and_then(|k| k.to_u32());
            match n.zip(k) {
                Some((n, k)) if k > n => Some(BigRational::zero()),
                Some((n, k)) if k.min(n - k) <= FACTORIAL_MAX => {
                    let mut product = BigInt::one();
                    for step in 1..=k.min(n - k) {
                        budget.take(1 + product.bits() as usize / 256)?;
                        product = product * (n - step + 1) / step;
                    }
                    Some(BigRational::from_integer(product))
                }
                _ => None,
            }
        }
        Function::Min => values.iter().min().cloned(),
        Function::Max => values.iter().max().cloned(),
        Function::Gcd | Function::Lcm => {
            let wholes: Option<Vec<BigInt>> = values.iter().map(whole).collect();
            wholes
                .and_then(|wholes| {
                    wholes.into_iter().reduce(|a, b| {
                        if function == Function::Gcd {
                            a.gcd(&b)
                        } else {
                            a.lcm(&b)
                        }
                    })
                })
                .map(BigRational::from_integer)
        }
        Function::Ln if first.is_positive() => {
            let mut sum = Ratio::constant(BigRational::zero());
            for (number, sign) in [(first.numer(), 1), (first.denom(), -1)] {
                for (factor, times, _) in factors(number, budget)? {
                    let term = Poly::term(
                        vec![(
                            Atom::Opaque(format!("Ln({factor})").into()),
                            Fraction::one(),
                        )],
                        BigRational::from_integer((times * sign).into()),
                    );
                    sum = sum.add(Ratio::of(term), budget)?;
                }
            }
            return Ok(Some(sum));
        }
        Function::Sin | Function::Tan | Function::Arcsin | Function::Arctan if first.is_zero() => {
            Some(BigRational::zero())
        }
        Function::Cos if first.is_zero() => Some(BigRational::one()),
        _ => None,
    };
    Ok(exact.map(Ratio::constant))
}
