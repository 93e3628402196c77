//! The two kinds of real numbers in which expressions are evaluated, `f64` and [`Pair`], which carries
//! about 31 digits, and complex numbers over either.
//!
//! The pairs are ours because the crate that offers them (`twofloat` 0.8.4) divides to 16 digits only,
//! and its `ln(exp(-1.7))` is off by 1e-11.

use std::ops::{Add, Div, Mul, Neg, Sub};

use num_rational::BigRational;
use num_traits::ToPrimitive;

/// A real number with elementary functions.
pub(super) trait Real:
    Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + PartialOrd
    + Copy
{
    const PI: Self;
    const E: Self;
    fn of(value: f64) -> Self;
    /// `None` where the value is too large.
    fn rational(value: &BigRational) -> Option<Self>;
    fn to_f64(self) -> f64;
    /// Of a number that is not negative.
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    /// Of a positive number.
    fn ln(self) -> Self;
    fn sin_cos(self) -> (Self, Self);
    fn atan(self) -> Self;

    fn abs(self) -> Self {
        if self.to_f64() < 0.0 { -self } else { self }
    }

    fn is_zero(self) -> bool {
        self.to_f64() == 0.0
    }
}

/// The unevaluated sum of two doubles, the second at most half a unit of the first's last place.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Pair {
    high: f64,
    low: f64,
}

impl Pair {
    const LN_2: Self = Self {
        high: std::f64::consts::LN_2,
        low: 2.319_046_813_846_299_6e-17,
    };
    const FRAC_PI_2: Self = Self {
        high: std::f64::consts::FRAC_PI_2,
        low: 6.123_233_995_736_766e-17,
    };

    /// The exact sum of two doubles (Knuth's two-sum).
    fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let part = high - a;
        Self {
            high,
            low: (a - (high - part)) + (b - part),
        }
    }
}

impl Add for Pair {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let high = Self::sum(self.high, other.high);
        let low = Self::sum(self.low, other.low);
        let carried = Self::sum(high.high, high.low + low.high);
        Self::sum(carried.high, carried.low + low.low)
    }
}

impl Neg for Pair {
    type Output = Self;

    fn neg(self) -> Self {
        Self {
            high: -self.high,
            low: -self.low,
        }
    }
}

impl Sub for Pair {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Pair {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let high = self.high * other.high;
        // The rounding error of a product is a double, and a fused multiplication finds it.
        let low = self.high.mul_add(other.high, -high);
        Self::sum(high, low + (self.high * other.low + self.low * other.high))
    }
}

impl Div for Pair {
    type Output = Self;

    /// Long division with doubles as digits.
    fn div(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * Self::of(first);
        let second = rest.high / other.high;
        let rest = rest - other * Self::of(second);
        Self::sum(first, second) + Self::of(rest.high / other.high)
    }
}

impl Real for f64 {
    const PI: Self = std::f64::consts::PI;
    const E: Self = std::f64::consts::E;

    fn of(value: f64) -> Self {
        value
    }

    fn rational(value: &BigRational) -> Option<Self> {
        ToPrimitive::to_f64(value).filter(|v| v.is_finite())
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn exp(self) -> Self {
        self.exp()
    }

    fn ln(self) -> Self {
        self.ln()
    }

    fn sin_cos(self) -> (Self, Self) {
        self.sin_cos()
    }

    fn atan(self) -> Self {
        self.atan()
    }
}

impl Real for Pair {
    const PI: Self = Self {
        high: std::f64::consts::PI,
        low: 1.224_646_799_147_353_2e-16,
    };
    const E: Self = Self {
        high: std::f64::consts::E,
        low: 1.445_646_891_729_250_2e-16,
    };

    fn of(value: f64) -> Self {
        Self {
            high: value,
            low: 0.0,
        }
    }

    fn rational(value: &BigRational) -> Option<Self> {
        let high = <f64 as Real>::rational(value)?;
        let low = ToPrimitive::to_f64(&(value - BigRational::from_float(high)?))?;
        Some(Self::sum(high, low))
    }

    fn to_f64(self) -> f64 {
        self.high
    }

    /// One Newton step from the root in double precision.
    fn sqrt(self) -> Self {
        if self.high <= 0.0 {
            return Self::of(0.0);
        }
        let guess = Self::of(self.high.sqrt());
        (guess + self / guess) * Self::of(0.5)
    }

    /// Taylor's series of a 512th of what is left after the powers of two, squared nine times.
    fn exp(self) -> Self {
        let doublings = (self.high / std::f64::consts::LN_2).round();
        if doublings.abs() > 1_000.0 {
            return Self::of(self.high.exp());
        }
        let small = (self - Self::LN_2 * Self::of(doublings)) * Self::of(1.0 / 512.0);
        // exp(x) - 1, so that the squarings lose nothing: (1 + m)^2 - 1 = 2m + m^2.
        let mut less_one = Self::of(0.0);
        let mut term = Self::of(1.0);
        for n in 1..=11 {
            term = term * small / Self::of(f64::from(n));
            less_one = less_one + term;
        }
        for _ in 0..9 {
            less_one = less_one + less_one + less_one * less_one;
        }
        (less_one + Self::of(1.0)) * Self::of(2f64.powi(doublings as i32))
    }

    /// A step of Halley's method from the logarithm in double precision.
    fn ln(self) -> Self {
        let guess = Self::of(self.high.ln());
        let exp = Real::exp(guess);
        guess + Self::of(2.0) * (self - exp) / (self + exp)
    }

    /// Taylor's series of what is left after the quarter turns.
    fn sin_cos(self) -> (Self, Self) {
        let quarters = (self.high / std::f64::consts::FRAC_PI_2).round();
        let x = self - Self::FRAC_PI_2 * Self::of(quarters);
        let square = x * x;
        let (mut sin, mut cos) = (x, Self::of(1.0));
        let (mut odd, mut even) = (x, Self::of(1.0));
        for n in 1..=14 {
            let n = f64::from(n);
            even = -even * square / Self::of((2.0 * n - 1.0) * 2.0 * n);
            odd = -odd * square / Self::of(2.0 * n * (2.0 * n + 1.0));
            cos = cos + even;
            sin = sin + odd;
        }
        match quarters.rem_euclid(4.0) as u8 {
            0 => (sin, cos),
            1 => (cos, -sin),
            2 => (-sin, -cos),
            _ => (-cos, sin),
        }
    }

    /// The angle in double precision, and the small angle between it and the true one.
    fn atan(self) -> Self {
        let guess = Self::of(self.high.atan());
        let (sin, cos) = Real::sin_cos(guess);
        guess + (self * cos - sin) / (cos + self * sin)
    }
}

/// A complex number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Complex<T> {
    pub re: T,
    pub im: T,
}

impl<T: Real> Complex<T> {
    pub fn real(re: T) -> Self {
        Self { re, im: T::of(0.0) }
    }

    pub fn i() -> Self {
        Self {
            re: T::of(0.0),
            im: T::of(1.0),
        }
    }

    pub fn is_real(self) -> bool {
        self.im.is_zero()
    }

    pub fn is_zero(self) -> bool {
        self.re.is_zero() && self.im.is_zero()
    }

    pub fn scaled(self, by: T) -> Self {
        Self {
            re: self.re * by,
            im: self.im * by,
        }
    }

    /// The absolute value.
    pub fn norm(self) -> T {
        if self.is_real() {
            self.re.abs()
        } else {
            (self.re * self.re + self.im * self.im).sqrt()
        }
    }

    pub fn exp(self) -> Self {
        let (sin, cos) = if self.is_real() {
            (T::of(0.0), T::of(1.0))
        } else {
            self.im.sin_cos()
        };
        let size = self.re.exp();
        Self {
            re: size * cos,
            im: size * sin,
        }
    }

    /// The principal logarithm of a number that is not zero.
    pub fn ln(self) -> Self {
        let turn = if self.re.is_zero() {
            let quarter = T::PI / T::of(2.0);
            if self.im.to_f64() < 0.0 {
                -quarter
            } else {
                quarter
            }
        } else {
            let angle = (self.im / self.re).atan();
            match (self.re.to_f64() < 0.0, self.im.to_f64() < 0.0) {
                (false, _) => angle,
                (true, false) => angle + T::PI,
                (true, true) => angle - T::PI,
            }
        };
        Self {
            re: self.norm().ln(),
            im: turn,
        }
    }

    pub fn powi(self, exponent: i32) -> Self {
        let mut power = Self::real(T::of(1.0));
        let mut square = self;
        let mut left = exponent.unsigned_abs();
        while left > 0 {
            if left % 2 == 1 {
                power = power * square;
            }
            square = square * square;
            left /= 2;
        }
        if exponent < 0 {
            Self::real(T::of(1.0)) / power
        } else {
            power
        }
    }

    pub fn sin_cos(self) -> (Self, Self) {
        if self.is_real() {
            let (sin, cos) = self.re.sin_cos();
            return (Self::real(sin), Self::real(cos));
        }
        let turn = (self * Self::i()).exp();
        let back = Self::real(T::of(1.0)) / turn;
        let half = T::of(0.5);
        (
            (turn - back).scaled(half) / Self::i(),
            (turn + back).scaled(half),
        )
    }
}

impl<T: Real> Add for Complex<T> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }
}

impl<T: Real> Sub for Complex<T> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            re: self.re - other.re,
            im: self.im - other.im,
        }
    }
}

impl<T: Real> Mul for Complex<T> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        if self.is_real() && other.is_real() {
            return Self::real(self.re * other.re);
        }
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }
}

impl<T: Real> Div for Complex<T> {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        if self.is_real() && other.is_real() {
            return Self::real(self.re / other.re);
        }
        let size = other.re * other.re + other.im * other.im;
        Self {
            re: (self.re * other.re + self.im * other.im) / size,
            im: (self.im * other.re - self.re * other.im) / size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elementary_functions_carry_28_digits() {
        let of = Pair::of;
        for x in [-1.7, 0.3, 1.2, 2.9, 11.5] {
            let small =
                |what: &str, off: Pair| assert!(off.high.abs() < 1e-28, "{what} of {x}: {off:?}");
            let x = of(x);
            let (sin, cos) = x.sin_cos();
            small("sin² + cos² - 1", sin * sin + cos * cos - of(1.0));
            let (double, _) = (x * of(2.0)).sin_cos();
            small("sin 2x - 2 sin x cos x", double - sin * cos * of(2.0));
            small("ln exp x - x", x.exp().ln() - x);
            small(
                "exp 2x / (exp x)² - 1",
                (x * of(2.0)).exp() / x.exp() / x.exp() - of(1.0),
            );
            let (s, c) = x.atan().sin_cos();
            small("tan atan x / x - 1", s / c / x - of(1.0));
            small("(√x²)² / x² - 1", (x * x).sqrt() / x.abs() - of(1.0));
        }
        let (sin, _) = (Pair::PI / of(6.0)).sin_cos();
        assert!((sin - of(0.5)).high.abs() < 1e-30);
        assert!((of(1.0).exp() - Pair::E).high.abs() < 1e-30);
        assert!((of(2.0).ln() - Pair::LN_2).high.abs() < 1e-31);
    }
}
