//! Roots of numbers and polynomials, and the prime factors they need.

use std::rc::Rc;

use num_bigint::BigInt;
use num_integer::{Integer, Roots};
use num_rational::{BigRational, Ratio as Fraction};
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::budget::{BITS_MAX, Budget};
use super::poly::{Atom, Base, Poly, Stop};
use super::ratio::Ratio;

/// A polynomial to a fractional power.
pub(super) fn root_of_poly(
    poly: &Poly,
    exponent: Fraction<i64>,
    budget: &Budget,
) -> Result<Ratio, Stop> {
    if poly.0.is_empty() {
        return if exponent.is_positive() {
            Ok(Ratio::constant(BigRational::zero()))
        } else {
            Err(Stop::Undefined)
        };
    }
    let mut content = poly.content(budget)?;
    let mut primitive = poly.clone().scale(&content.recip());
    // A real root of odd degree takes the sign out; a square root of a negative number is imaginary.
    let mut sign = Ratio::constant(BigRational::one());
    if poly.0.len() == 1 && primitive.0.values().all(Signed::is_negative) {
        if exponent.denom() % 2 == 1 {
            if exponent.numer() % 2 != 0 {
                sign = sign.negated();
            }
            primitive = primitive.scale(&-BigRational::one());
        } else if *exponent.denom() == 2 {
            sign = Ratio::atom(Atom::I).power(narrow(*exponent.numer())?, budget)?;
            primitive = primitive.scale(&-BigRational::one());
        }
    }
    if let Some(one) = primitive
        .as_constant()
        .filter(|c| c.is_integer() && c.is_positive())
    {
        content *= one;
        primitive = Poly::one();
    }
    let outside = root_of_rational(&content, exponent, budget)?.mul(&sign, budget)?;
    if primitive == Poly::one() {
        return Ok(outside);
    }
    // The root of a product of variables is the product of their roots, except that the root of an
    // even power loses a sign.
    if let (1, Some((monomial, coefficient))) = (primitive.0.len(), primitive.0.first_key_value())
        && coefficient.is_one()
        && monomial.iter().all(|(atom, power)| match atom {
            Atom::Pi | Atom::E | Atom::Prime(_) => true,
            Atom::Symbol(_) => exponent.denom().is_odd() || power.numer().is_odd(),
            _ => false,
        })
    {
        use num_traits::CheckedMul;
        let mut product = outside;
        for (atom, power) in monomial {
            let power = power.checked_mul(&exponent).ok_or(Stop::Spent)?;
            product = product.mul(&power_of_atom(atom, power, budget)?, budget)?;
        }
        return Ok(product);
    }
    let base = Base {
        name: primitive.name().into(),
        poly: Rc::new(primitive),
    };
    let whole = exponent.floor();
    let fraction = exponent - whole;
    let mut rooted = Ratio::of(Poly::term(
        vec![(Atom::Base(base.clone()), fraction)],
        BigRational::one(),
    ));
    if !whole.is_zero() {
        let power = Ratio::of((*base.poly).clone()).power(narrow(whole.to_integer())?, budget)?;
        rooted = rooted.mul(&power, budget)?;
    }
    outside.mul(&rooted, budget)
}

/// An exponent that can be multiplied out.
pub(super) fn narrow(exponent: i64) -> Result<i32, Stop> {
    i32::try_from(exponent).map_err(|_| Stop::Spent)
}

fn power_of_atom(atom: &Atom, power: Fraction<i64>, budget: &Budget) -> Result<Ratio, Stop> {
    if let Atom::Prime(p) = atom {
        return root_of_rational(&BigRational::from_integer((*p).into()), power, budget);
    }
    Ok(Ratio::of(Poly::term(
        vec![(atom.clone(), power)],
        BigRational::one(),
    )))
}

/// A positive rational to a fractional power: roots of primes.
fn root_of_rational(
    value: &BigRational,
    exponent: Fraction<i64>,
    budget: &Budget,
) -> Result<Ratio, Stop> {
    let mut product = Ratio::constant(BigRational::one());
    for (number, exponent) in [(value.numer(), exponent), (value.denom(), -exponent)] {
        for (factor, times, is_prime) in factors(number, budget)? {
            use num_traits::CheckedMul;
            let power = exponent
                .checked_mul(&Fraction::from_integer(times.into()))
                .ok_or(Stop::Spent)?;
            let whole = narrow(power.floor().to_integer())?;
            let fraction = power - power.floor();
            if u64::from(whole.unsigned_abs()) * factor.bits() > BITS_MAX {
                return Err(Stop::Spent);
            }
            let outside = Ratio::constant(BigRational::from_integer(factor.clone()).pow(whole));
            product = product.mul(&outside, budget)?;
            if !fraction.is_zero() {
                let atom = match factor.to_u64() {
                    Some(prime) if is_prime => Atom::Prime(prime),
                    _ => {
                        let poly = Poly::constant(BigRational::from_integer(factor));
                        Atom::Base(Base {
                            name: poly.name().into(),
                            poly: Rc::new(poly),
                        })
                    }
                };
                let root = Ratio::of(Poly::term(vec![(atom, fraction)], BigRational::one()));
                product = product.mul(&root, budget)?;
            }
        }
    }
    Ok(product)
}

/// The factors of a positive number with their multiplicity, and whether each is surely prime.
/// Trial division stops at 5,000; a cofactor beyond is left whole, unless it is a perfect power.
pub(super) fn factors(number: &BigInt, budget: &Budget) -> Result<Vec<(BigInt, i32, bool)>, Stop> {
    const TRIAL_MAX: u64 = 5_000;
    let mut found = Vec::new();
    let Some(mut rest) = number.to_u64() else {
        budget.take(64)?;
        // Beyond 64 bits only perfect powers are looked for, and powers of two and five.
        let mut rest = number.clone();
        for small in [2u32, 3, 5, 7] {
            let mut times = 0;
            while rest.is_multiple_of(&BigInt::from(small)) {
                budget.take(1 + rest.bits() as usize / 64)?;
                rest /= small;
                times += 1;
            }
            if times > 0 {
                found.push((BigInt::from(small), times, true));
            }
        }
        if let Some(small) = rest.to_u64() {
            if small > 1 {
                found.extend(factors(&BigInt::from(small), budget)?);
            }
            return Ok(found);
        }
        for degree in [2u32, 3, 5] {
            budget.take(16 + (rest.bits() as usize / 64).pow(2))?;
            let root = rest.nth_root(degree);
            if root.pow(degree) == rest {
                let inner = factors(&root, budget)?;
                found.extend(
                    inner
                        .into_iter()
                        .map(|(p, times, prime)| (p, times * degree as i32, prime)),
                );
                return Ok(found);
            }
        }
        found.push((rest, 1, false));
        return Ok(found);
    };
    let mut divisor = 2u64;
    while divisor <= TRIAL_MAX && divisor * divisor <= rest {
        let mut times = 0;
        while rest.is_multiple_of(divisor) {
            rest /= divisor;
            times += 1;
        }
        if times > 0 {
            found.push((BigInt::from(divisor), times, true));
        }
        divisor += if divisor == 2 { 1 } else { 2 };
    }
    budget.take(1 + divisor as usize / 64)?;
    if rest > 1 {
        let root = rest.sqrt();
        if divisor * divisor > rest {
            found.push((BigInt::from(rest), 1, true));
        } else if root * root == rest {
            let prime = root <= TRIAL_MAX * TRIAL_MAX;
            found.push((BigInt::from(root), 2, prime));
        } else {
            found.push((BigInt::from(rest), 1, false));
        }
    }
    Ok(found)
}
