//! Polynomials with rational coefficients, whose unknowns are variables, constants and roots.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::{BigRational, Ratio as Fraction};
use num_traits::{One, Signed, Zero};

use super::budget::{BITS_MAX, Budget, Spent};

/// Why an expression has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The budget is spent.
    Spent,
    /// Division by zero, or a function outside its domain.
    Undefined,
}

impl From<Spent> for Stop {
    fn from(_: Spent) -> Self {
        Self::Spent
    }
}

/// An unknown of a polynomial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Atom {
    /// The imaginary unit; exponent 1.
    I,
    /// A prime under a root; exponents in (0, 1).
    Prime(u64),
    Pi,
    E,
    Symbol(Rc<str>),
    /// A polynomial under a root; exponents in (0, 1).
    Base(Base),
    /// What is no algebra, by its canonical name.
    Opaque(Rc<str>),
}

/// A polynomial under a root, ordered by its canonical name.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub name: Rc<str>,
    pub poly: Rc<Poly>,
}

impl PartialEq for Base {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Base {}

impl PartialOrd for Base {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Base {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

/// A product of powers of atoms, sorted by atom.
pub(super) type Monomial = Vec<(Atom, Fraction<i64>)>;

/// A sum of monomials with coefficients, none of them zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Poly(pub BTreeMap<Monomial, BigRational>);

impl Poly {
    pub fn constant(value: BigRational) -> Self {
        Self::term(Vec::new(), value)
    }

    pub fn one() -> Self {
        Self::constant(BigRational::one())
    }

    pub fn term(monomial: Monomial, coefficient: BigRational) -> Self {
        let mut terms = BTreeMap::new();
        if !coefficient.is_zero() {
            terms.insert(monomial, coefficient);
        }
        Self(terms)
    }

    pub fn atom(atom: Atom) -> Self {
        Self::term(vec![(atom, Fraction::from_integer(1))], BigRational::one())
    }

    pub fn as_constant(&self) -> Option<BigRational> {
        match self.0.len() {
            0 => Some(BigRational::zero()),
            1 => self.0.get(&Vec::new()).cloned(),
            _ => None,
        }
    }

    pub fn add_term(
        &mut self,
        monomial: Monomial,
        coefficient: BigRational,
        budget: &Budget,
    ) -> Result<(), Stop> {
        use std::collections::btree_map::Entry;
        match self.0.entry(monomial) {
            Entry::Vacant(place) => {
                if !coefficient.is_zero() {
                    place.insert(coefficient);
                }
            }
            Entry::Occupied(mut place) => {
                let sum = plus(place.get(), &coefficient, budget)?;
                if sum.is_zero() {
                    place.remove();
                } else {
                    *place.get_mut() = sum;
                }
            }
        }
        Ok(())
    }

    pub fn add(mut self, other: Self, budget: &Budget) -> Result<Self, Stop> {
        budget.take(other.0.len())?;
        for (monomial, coefficient) in other.0 {
            self.add_term(monomial, coefficient, budget)?;
        }
        Ok(self)
    }

    pub fn scale(mut self, by: &BigRational) -> Self {
        if by.is_zero() {
            return Self::default();
        }
        if *by == -BigRational::one() {
            self.0
                .values_mut()
                .for_each(|coefficient| *coefficient = -&*coefficient);
        } else if !by.is_one() {
            self.0
                .values_mut()
                .for_each(|coefficient| *coefficient *= by);
        }
        self
    }

    pub fn mul(&self, other: &Self, budget: &Budget) -> Result<Self, Stop> {
        let mut product = Self::default();
        for (m, a) in &self.0 {
            for (n, b) in &other.0 {
                budget.take(2 + m.len() + n.len())?;
                let (monomial, factor, rest) = merge(m, n);
                let coefficient = times(&times(a, b, budget)?, &factor, budget)?;
                if rest.is_empty() {
                    product.add_term(monomial, coefficient, budget)?;
                } else {
                    let mut expanded = Self::term(monomial, coefficient);
                    for (base, times) in rest {
                        expanded = expanded.mul(&base.poly.power(times, budget)?, budget)?;
                    }
                    product = product.add(expanded, budget)?;
                }
            }
        }
        Ok(product)
    }

    pub fn power(&self, exponent: u32, budget: &Budget) -> Result<Self, Stop> {
        let mut power = Self::one();
        let mut square = self.clone();
        let mut left = exponent;
        while left > 0 {
            if left % 2 == 1 {
                power = power.mul(&square, budget)?;
            }
            left /= 2;
            if left > 0 {
                square = square.mul(&square, budget)?;
            }
        }
        Ok(power)
    }

    /// The positive rational that is left when the coefficients are made coprime whole numbers.
    pub fn content(&self, budget: &Budget) -> Result<BigRational, Stop> {
        let mut above = BigInt::zero();
        let mut below = BigInt::one();
        for coefficient in self.0.values() {
            charge(
                coefficient,
                &BigRational::new_raw(above.clone(), below.clone()),
                budget,
            )?;
            above = above.gcd(coefficient.numer());
            below = below.lcm(coefficient.denom());
        }
        Ok(if above.is_zero() {
            BigRational::one()
        } else {
            BigRational::new(above, below)
        })
    }

    pub fn name(&self) -> String {
        let mut name = String::new();
        for (at, (monomial, coefficient)) in self.0.iter().enumerate() {
            let separator = if at > 0 { "+" } else { "" };
            let _ = write!(name, "{separator}{coefficient}");
            for (atom, exponent) in monomial {
                let _ = match atom {
                    Atom::I => write!(name, "*i"),
                    Atom::Prime(p) => write!(name, "*{p}"),
                    Atom::Pi => write!(name, "*pi"),
                    Atom::E => write!(name, "*e"),
                    Atom::Symbol(symbol) | Atom::Opaque(symbol) => write!(name, "*[{symbol}]"),
                    Atom::Base(base) => write!(name, "*({})", base.name),
                };
                if !exponent.is_one() {
                    let _ = write!(name, "^{exponent}");
                }
            }
        }
        if name.is_empty() { "0".into() } else { name }
    }
}

/// A product of coefficients. Whole numbers skip the reduction, which costs more than the product.
fn times(a: &BigRational, b: &BigRational, budget: &Budget) -> Result<BigRational, Stop> {
    charge(a, b, budget)?;
    Ok(if a.is_integer() && b.is_integer() {
        BigRational::from_integer(a.numer() * b.numer())
    } else {
        a * b
    })
}

fn plus(a: &BigRational, b: &BigRational, budget: &Budget) -> Result<BigRational, Stop> {
    charge(a, b, budget)?;
    Ok(if a.is_integer() && b.is_integer() {
        BigRational::from_integer(a.numer() + b.numer())
    } else {
        a + b
    })
}

/// Takes the steps of one operation on two coefficients: the square of their length in 64-bit words.
fn charge(a: &BigRational, b: &BigRational, budget: &Budget) -> Result<(), Stop> {
    let bits = a.numer().bits() + a.denom().bits() + b.numer().bits() + b.denom().bits();
    if bits > 2 * BITS_MAX {
        return Err(Stop::Spent);
    }
    let words = bits as usize / 64;
    let whole = a.is_integer() && b.is_integer();
    Ok(budget.take(1 + words * words / if whole { 64 } else { 2 })?)
}

/// The product of two monomials, the factor that left it (`i² = -1`, `√2·√2 = 2`), and the
/// polynomials under roots that came out whole, each with its power.
fn merge(m: &Monomial, n: &Monomial) -> (Monomial, BigRational, Vec<(Base, u32)>) {
    let mut factor = BigRational::one();
    let mut rest = Vec::new();
    if m.is_empty() || n.is_empty() {
        return (
            if m.is_empty() { n.clone() } else { m.clone() },
            factor,
            rest,
        );
    }
    let mut monomial = Vec::with_capacity(m.len() + n.len());
    let (mut a, mut b) = (m.iter().peekable(), n.iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some((x, _)), Some((y, _))) => x.cmp(y),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        match order {
            Ordering::Less => monomial.extend(a.next().cloned()),
            Ordering::Greater => monomial.extend(b.next().cloned()),
            Ordering::Equal => {
                let (Some((atom, x)), Some((_, y))) = (a.next(), b.next()) else {
                    break;
                };
                // Exponents far beyond what a budget lets be multiplied out saturate.
                let mut exponent = checked_sum(*x, *y);
                match atom {
                    Atom::I => {
                        factor = -factor;
                        exponent = Fraction::zero();
                    }
                    Atom::Prime(p) => {
                        let whole = exponent.floor();
                        if whole.is_one() {
                            factor *= BigInt::from(*p);
                        }
                        exponent -= whole;
                    }
                    Atom::Base(base) => {
                        let whole = exponent.floor();
                        if whole.is_positive() {
                            rest.push((
                                base.clone(),
                                u32::try_from(whole.to_integer()).unwrap_or(u32::MAX),
                            ));
                        }
                        exponent -= whole;
                    }
                    _ => {}
                }
                if !exponent.is_zero() {
                    monomial.push((atom.clone(), exponent));
                }
            }
        }
    }
    (monomial, factor, rest)
}

/// The sum of two exponents; beyond 63 bits an unlikely constant, so that nothing overflows.
fn checked_sum(x: Fraction<i64>, y: Fraction<i64>) -> Fraction<i64> {
    use num_traits::CheckedAdd;
    x.checked_add(&y).unwrap_or(Fraction::new_raw(i64::MAX, 7))
}
