//! Reads formulas: sums, products, powers, fractions, roots, functions.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::ToPrimitive;
use winnow::combinator::{delimited, opt, preceded, separated, terminated};
use winnow::error::EmptyError;
use winnow::prelude::*;
use winnow::stream::Stream;

use super::budget::{ANSWER_BYTES_MAX, DEPTH_MAX};
use super::cursor::{Input, Parsed, ahead, blank, deeper, sign, sign_of};
use super::expr::{Expr, Function, Number};
use super::parse::is_conjunction;
use super::token::Token;
use super::unit::is_unit_word;

/// A sum: the widest formula without relations.
pub(super) fn sum(i: &mut Input) -> Parsed<Expr> {
    let mut terms = vec![signed(i)?];
    while let Some(c) = sign_of(i, "+-±∓") {
        let term = signed(i)?;
        terms.push(with_sign(c, term));
    }
    Ok(if terms.len() == 1 {
        terms.remove(0)
    } else {
        Expr::Sum(terms)
    })
}

fn with_sign(sign: char, term: Expr) -> Expr {
    match sign {
        '-' => term.negated(),
        '±' => Expr::Product(vec![Expr::PlusMinus, term]),
        '∓' => Expr::Product(vec![Expr::whole(-1), Expr::PlusMinus, term]),
        _ => term,
    }
}

/// A product with the signs before it.
fn signed(i: &mut Input) -> Parsed<Expr> {
    let mut signs = Vec::new();
    loop {
        // `-$5`, `$-5`
        currency(i);
        match sign_of(i, "+-±∓") {
            Some(c) if signs.len() < 4 => signs.push(c),
            Some(_) => return Err(EmptyError),
            None => break,
        }
    }
    let product = product(i)?;
    Ok(signs
        .into_iter()
        .rev()
        .fold(product, |term, c| with_sign(c, term)))
}

fn currency(i: &mut Input) {
    while let Some(Token::Currency(sign)) = ahead(i) {
        blank(i);
        i.next_token();
        i.state.currency = Some(sign);
    }
}

fn product(i: &mut Input) -> Parsed<Expr> {
    let mut factors = vec![power(i)?];
    loop {
        if let Some(c) = sign_of(i, "*/") {
            let negative = sign_of(i, "-").is_some();
            let factor = power(i)?;
            let factor = if negative { factor.negated() } else { factor };
            factors.push(if c == '/' { factor.inverted() } else { factor });
        } else if let Some((fraction, proper)) = mixed(i, factors.last())? {
            if proper {
                let whole = factors.pop().ok_or(EmptyError)?;
                factors.push(Expr::Sum(vec![whole, fraction]));
            } else {
                factors.push(fraction);
            }
        } else if begins_factor(i, factors.last()) {
            let start = i.checkpoint();
            match power(i) {
                Ok(factor) => factors.push(factor),
                // "5 apples": the rest may be a unit.
                Err(_) => {
                    i.reset(&start);
                    break;
                }
            }
        } else {
            break;
        }
    }
    Ok(if factors.len() == 1 {
        factors.remove(0)
    } else {
        Expr::Product(factors)
    })
}

/// The fraction of a mixed number whose whole part was just read: `1\frac{1}{2}`, `1 1/2`. What reads
/// as a fraction but is none, as in `2\frac{x}{3}`, is a factor; it is not read twice, because each
/// level of nesting would double the work.
fn mixed(i: &mut Input, last: Option<&Expr>) -> Parsed<Option<(Expr, bool)>> {
    let whole = matches!(last, Some(Expr::Number(n)) if n.places.is_none() && n.value.is_integer());
    if !whole {
        return Ok(None);
    }
    let start = i.checkpoint();
    let spaced = matches!(i.peek_token(), Some(Token::Space));
    match ahead(i) {
        Some(Token::Command("frac")) => {
            let fraction = power(i)?;
            let proper = is_proper(&fraction);
            Ok(Some((fraction, proper)))
        }
        Some(Token::Number(_)) if spaced => {
            let above = number(i)?;
            if sign('/').parse_next(i).is_ok()
                && let Ok(below) = number(i)
            {
                let fraction = Expr::Product(vec![above, below.inverted()]);
                if is_proper(&fraction) {
                    return Ok(Some((fraction, true)));
                }
            }
            i.reset(&start);
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Whether an expression is a fraction of whole numbers below 1.
fn is_proper(fraction: &Expr) -> bool {
    let Expr::Product(parts) = fraction else {
        return false;
    };
    let [Expr::Number(above), Expr::Power(below, _)] = parts.as_slice() else {
        return false;
    };
    matches!(&**below, Expr::Number(below) if above.value.is_integer() && below.value > above.value)
}

/// Whether a factor follows without a sign between.
fn begins_factor(i: &mut Input, last: Option<&Expr>) -> bool {
    let spaced = matches!(i.peek_token(), Some(Token::Space));
    let bars = i.state.bars;
    match ahead(i) {
        Some(Token::Command(name)) => {
            !matches!(name, "to" | "reals" | "emptyset" | "pmod" | "bmod" | "mod")
        }
        Some(Token::Symbol(_) | Token::Sign('(' | '{' | '‖' | '⌊' | '⌈' | '√' | '[')) => {
            true
        }
        Some(Token::Sign('|')) => bars == 0,
        Some(Token::Word(word)) => {
            let after_number = matches!(
                last,
                Some(Expr::Number(_) | Expr::Apply(Function::Percent, _))
            );
            // "3 bad workers", "5 cm"; `3 xyz` is a product.
            let prose = spaced
                && after_number
                && word.len() > 2
                && word.contains(['a', 'e', 'i', 'o', 'u'])
                && !is_function_name(&word);
            let unit = is_unit_word(&word) && (after_number || spaced);
            !is_conjunction(&word) && word != "U" && !unit && !prose
        }
        // `2 3` is no product, `x 3` and `(1+x)3` are rare and are.
        Some(Token::Number(_)) => !matches!(last, Some(Expr::Number(_))),
        _ => false,
    }
}

fn power(i: &mut Input) -> Parsed<Expr> {
    let (mut before, base) = postfix(i)?;
    let expr = if ahead(i) == Some(Token::Sign('^')) {
        sign('^').parse_next(i)?;
        let exponent = deeper(exponent).parse_next(i)?;
        Expr::Power(Box::new(base), Box::new(exponent))
    } else {
        base
    };
    Ok(if before.is_empty() {
        expr
    } else {
        before.push(expr);
        Expr::Product(before)
    })
}

fn exponent(i: &mut Input) -> Parsed<Expr> {
    let negative = sign_of(i, "-").is_some();
    let exponent = power(i)?;
    Ok(if negative {
        exponent.negated()
    } else {
        exponent
    })
}

/// An atom with what is written after it. In `ab^2` that is the `b`: what stands before is apart.
fn postfix(i: &mut Input) -> Parsed<(Vec<Expr>, Expr)> {
    let is_word = matches!(ahead(i), Some(Token::Word(word)) if word.len() > 1);
    let (mut before, mut expr) = match atom(i)? {
        Expr::Product(mut letters) if is_word && letters.iter().all(is_letter) => {
            let last = letters.pop().ok_or(EmptyError)?;
            (letters, last)
        }
        atom => (Vec::new(), atom),
    };
    // Chains such as `x!!!!` are cut like nesting is.
    for _ in 0..DEPTH_MAX {
        let start = i.checkpoint();
        blank(i);
        match i.next_token() {
            Some(Token::Sign('!')) => expr = Expr::Apply(Function::Factorial, vec![expr]),
            Some(Token::Sign('%')) => expr = Expr::Apply(Function::Percent, vec![expr]),
            Some(Token::Sign('°')) => expr = Expr::Apply(Function::Degrees, vec![expr]),
            Some(Token::Sign('\'')) => match expr {
                Expr::Symbol(name) => expr = Expr::Symbol(name + "'"),
                other => expr = other,
            },
            Some(Token::Sign('_')) => expr = subscripted(i, expr)?,
            Some(Token::Sign('^')) => match superscript_mark(i) {
                Some(Mark::Degrees) => expr = Expr::Apply(Function::Degrees, vec![expr]),
                Some(Mark::Silent) => {}
                None => {
                    i.reset(&start);
                    return Ok((std::mem::take(&mut before), expr));
                }
            },
            Some(Token::Word(word))
                if matches!(word.as_str(), "th" | "st" | "nd" | "rd")
                    && matches!(expr, Expr::Number(_)) => {}
            _ => {
                i.reset(&start);
                return Ok((std::mem::take(&mut before), expr));
            }
        }
    }
    Err(EmptyError)
}

/// Whether an expression is a single letter.
pub(super) fn is_letter(expr: &Expr) -> bool {
    matches!(expr, Expr::Symbol(_) | Expr::E | Expr::I)
}

enum Mark {
    Degrees,
    Silent,
}

/// A superscript that is no exponent: a degree sign, `th`, a prime.
fn superscript_mark(i: &mut Input) -> Option<Mark> {
    let start = i.checkpoint();
    let grouped = sign('{').parse_next(i).is_ok();
    blank(i);
    let mark = match i.next_token() {
        Some(Token::Sign('°')) => Some(Mark::Degrees),
        Some(Token::Sign('\'')) => Some(Mark::Silent),
        Some(Token::Text(word) | Token::Word(word))
            if matches!(word.as_str(), "th" | "st" | "nd" | "rd") =>
        {
            Some(Mark::Silent)
        }
        Some(Token::Word(word)) if word == "o" && grouped => Some(Mark::Degrees),
        _ => None,
    };
    let closed = !grouped || sign('}').parse_next(i).is_ok();
    if mark.is_none() || !closed {
        i.reset(&start);
        return None;
    }
    mark
}

/// A variable with its index; a number with its base.
fn subscripted(i: &mut Input, base: Expr) -> Parsed<Expr> {
    let mut index = String::new();
    let mut take = |token: Token| match token {
        Token::Number(t) | Token::Word(t) | Token::Text(t) | Token::Symbol(t) => {
            index.push_str(&t);
            true
        }
        Token::Command(t) => {
            index.push_str(t);
            true
        }
        Token::Sign(c @ ('+' | '-' | ',' | '*')) => {
            index.push(c);
            true
        }
        Token::Space => true,
        _ => false,
    };
    if sign('{').parse_next(i).is_ok() {
        while sign('}').parse_next(i).is_err() {
            if !take(i.next_token().cloned().ok_or(EmptyError)?) {
                return Err(EmptyError);
            }
        }
    } else {
        blank(i);
        if !take(i.next_token().cloned().ok_or(EmptyError)?) {
            return Err(EmptyError);
        }
    }
    match base {
        Expr::Symbol(name) => Ok(Expr::Symbol(format!("{name}_{index}"))),
        Expr::E => Ok(Expr::Symbol(format!("e_{index}"))),
        Expr::I => Ok(Expr::Symbol(format!("i_{index}"))),
        // `100_b` in a base that is a variable: the digits.
        Expr::Number(n) if index.len() == 1 && index.chars().all(char::is_alphabetic) => {
            Ok(Expr::Number(n))
        }
        // `12_{10}` inside an expression: the value of the digits.
        Expr::Number(n) if n.value.is_integer() => {
            let base: u32 = index
                .parse()
                .ok()
                .filter(|b| (2..=36).contains(b))
                .ok_or(EmptyError)?;
            let digits = n.value.to_integer().to_string();
            let value = BigInt::parse_bytes(digits.as_bytes(), base).ok_or(EmptyError)?;
            Ok(Expr::Number(Number::whole(value)))
        }
        _ => Err(EmptyError),
    }
}

/// What cannot be taken apart without brackets.
pub(super) fn atom(i: &mut Input) -> Parsed<Expr> {
    currency(i);
    blank(i);
    match i.peek_token() {
        Some(Token::Number(_)) => number(i),
        Some(Token::Symbol(name)) => {
            let name = name.clone();
            i.next_token();
            Ok(Expr::Symbol(name))
        }
        Some(Token::Word(word)) => {
            let word = word.clone();
            i.next_token();
            word_atom(i, &word)
        }
        Some(Token::Command(name)) => {
            i.next_token();
            command_atom(i, name)
        }
        Some(Token::Sign(c)) => {
            i.next_token();
            match c {
                '(' => deeper(terminated(sum, sign(')'))).parse_next(i),
                '[' => deeper(terminated(sum, sign(']'))).parse_next(i),
                '{' => deeper(terminated(sum, sign('}'))).parse_next(i),
                '|' => bars(i, '|'),
                '‖' => bars(i, '¦'),
                '⌊' => {
                    let inner = deeper(terminated(sum, sign('⌋'))).parse_next(i)?;
                    Ok(Expr::Apply(Function::Floor, vec![inner]))
                }
                '⌈' => {
                    let inner = deeper(terminated(sum, sign('⌉'))).parse_next(i)?;
                    Ok(Expr::Apply(Function::Ceil, vec![inner]))
                }
                _ => Err(EmptyError),
            }
        }
        _ => Err(EmptyError),
    }
}

fn bars(i: &mut Input, close: char) -> Parsed<Expr> {
    i.state.bars += usize::from(close == '|');
    let inner = deeper(terminated(sum, sign(close))).parse_next(i);
    i.state.bars -= usize::from(close == '|');
    Ok(Expr::Apply(Function::Abs, vec![inner?]))
}

/// A number literal, with its repeating digits.
fn number(i: &mut Input) -> Parsed<Expr> {
    blank(i);
    let Some(Token::Number(text)) = i.next_token() else {
        return Err(EmptyError);
    };
    let mut number = literal(text).ok_or(EmptyError)?;
    if let Some(Token::Repeating(digits)) = i.peek_token() {
        let digits = digits.clone();
        i.next_token();
        // 0.1666...: 0.1 and 6/9 shifted by the places written.
        let ten = BigInt::from(10);
        let nines = ten.pow(u32::try_from(digits.len()).map_err(|_| EmptyError)?) - 1;
        let shift = ten.pow(number.places.unwrap_or(0));
        let repeating = BigInt::parse_bytes(digits.as_bytes(), 10).ok_or(EmptyError)?;
        number.value += BigRational::new(repeating, nines * shift);
        number.places = None;
    } else if let Some(Token::Sign('…')) = i.peek_token()
        && number.places.is_some()
    {
        i.next_token();
        number.digits = number.digits.max(super::compare::LONG_DIGITS_MIN);
    }
    Ok(Expr::Number(number))
}

/// The exact value of `12`, `.5`, `1e-05`.
fn literal(text: &str) -> Option<Number> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if text.len() > ANSWER_BYTES_MAX || exponent.unsigned_abs() > 400 {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let mut value = BigRational::from_integer(BigInt::parse_bytes(all.as_bytes(), 10)?);
    let written = u32::try_from(fraction.len()).ok()?;
    let shift = exponent - i32::try_from(written).ok()?;
    let scale = BigInt::from(10).pow(shift.unsigned_abs());
    if shift < 0 {
        value /= scale;
    } else {
        value *= scale;
    }
    let pointed = mantissa.contains('.') || exponent < 0;
    Some(Number {
        value,
        places: pointed.then_some(u32::try_from((-shift).max(0)).ok()?),
        digits: u32::try_from(all.trim_start_matches('0').len())
            .ok()?
            .max(1),
    })
}

/// Functions that plain text calls by name.
const FUNCTIONS: &[&str] = &[
    "sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh",
    "tanh", "ln", "log", "exp", "max", "min", "gcd", "lcm",
];

fn is_function_name(word: &str) -> bool {
    let called = [
        "pi",
        "infinity",
        "abs",
        "floor",
        "ceil",
        "factorial",
        "binomial",
        "asin",
        "acos",
        "atan",
    ];
    FUNCTIONS
        .iter()
        .chain(&called)
        .any(|name| word.starts_with(name))
}

/// A word inside a formula: a function, a constant, or a product of variables.
fn word_atom(i: &mut Input, word: &str) -> Parsed<Expr> {
    let python = i.state.python;
    let letter = |c: char| match c {
        'e' => Expr::E,
        'i' => Expr::I,
        'I' | 'j' if python => Expr::I,
        'E' if python => Expr::E,
        _ => Expr::Symbol(c.to_string()),
    };
    if word.chars().count() == 1 {
        return Ok(letter(word.chars().next().ok_or(EmptyError)?));
    }
    let name = match word {
        "pi" | "Pi" => return Ok(Expr::Pi),
        "oo" | "inf" | "infinity" | "Infinity" | "infty" => return Ok(Expr::Infinity),
        "asin" => "arcsin",
        "acos" => "arccos",
        "atan" => "arctan",
        "Abs" => "abs",
        "Max" => "max",
        "Min" => "min",
        other => other,
    };
    if let Some(known) = FUNCTIONS.iter().find(|known| **known == name) {
        return command_atom(i, known);
    }
    // `sinx`, `cosx`, `lnx`
    if let Some((known, rest)) = FUNCTIONS
        .iter()
        .find_map(|known| Some((known, name.strip_prefix(known)?)))
        && rest.len() == 1
        && i.peek_token() != Some(&Token::Sign('('))
    {
        let argument = letter(rest.chars().next().ok_or(EmptyError)?);
        return function_of(known).map(|f| f(argument)).ok_or(EmptyError);
    }
    if i.peek_token() == Some(&Token::Sign('('))
        && let Some((_, wanted)) = CALLED.iter().find(|(known, _)| *known == name)
    {
        return called(i, name, *wanted);
    }
    const GREEK: &[&str] = &[
        "alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "nu", "rho",
        "sigma", "tau", "phi", "psi", "omega",
    ];
    if GREEK.contains(&name) {
        return Ok(Expr::Symbol(name.to_owned()));
    }
    // Words of prose have more letters than products of variables, or are known.
    const PROSE: &[&str] = &[
        "yes", "no", "the", "for", "not", "are", "is", "all", "any", "per", "she", "he", "it",
        "to", "of", "at", "by", "if", "as", "so", "was", "nan", "none", "may", "day", "one", "two",
        "six", "ten", "red", "odd", "men", "boy", "car", "dog", "cat", "box", "way", "ways", "pm",
        "am", "on", "an", "we",
    ];
    let prose = match word.len() {
        ..=3 => PROSE.contains(&word.to_ascii_lowercase().as_str()),
        4 => word
            .chars()
            .any(|c| c.is_ascii_uppercase() || "aeiou".contains(c)),
        _ => true,
    };
    if prose {
        return Err(EmptyError);
    }
    Ok(Expr::Product(word.chars().map(letter).collect()))
}

/// What plain text and Python call with arguments in parentheses, and with how many.
const CALLED: &[(&str, usize)] = &[
    ("abs", 1),
    ("floor", 1),
    ("ceil", 1),
    ("ceiling", 1),
    ("factorial", 1),
    ("cbrt", 1),
    ("Rational", 2),
    ("Fraction", 2),
    ("pow", 2),
    ("Pow", 2),
    ("binomial", 2),
    ("comb", 2),
    ("root", 2),
];

fn called(i: &mut Input, name: &str, wanted: usize) -> Parsed<Expr> {
    let mut arguments = arguments(i)?;
    if arguments.len() != wanted {
        return Err(EmptyError);
    }
    let second = if wanted == 2 {
        arguments.remove(1)
    } else {
        Expr::whole(1)
    };
    let first = arguments.remove(0);
    Ok(match name {
        "abs" => Expr::Apply(Function::Abs, vec![first]),
        "floor" => Expr::Apply(Function::Floor, vec![first]),
        "ceil" | "ceiling" => Expr::Apply(Function::Ceil, vec![first]),
        "factorial" => Expr::Apply(Function::Factorial, vec![first]),
        "cbrt" => Expr::Root(Box::new(first), 3),
        "Rational" | "Fraction" => Expr::Product(vec![first, second.inverted()]),
        "pow" | "Pow" => Expr::Power(Box::new(first), Box::new(second)),
        "root" => Expr::Power(Box::new(first), Box::new(second.inverted())),
        _ => Expr::Apply(Function::Binomial, vec![first, second]),
    })
}

fn arguments(i: &mut Input) -> Parsed<Vec<Expr>> {
    delimited(sign('('), separated(1.., deeper(sum), sign(',')), sign(')')).parse_next(i)
}

fn command_atom(i: &mut Input, name: &str) -> Parsed<Expr> {
    match name {
        "pi" => Ok(Expr::Pi),
        "infty" => Ok(Expr::Infinity),
        "frac" => {
            let above = deeper(operand).parse_next(i)?;
            let below = deeper(operand).parse_next(i)?;
            Ok(Expr::Product(vec![above, below.inverted()]))
        }
        "binom" => {
            let above = deeper(operand).parse_next(i)?;
            let below = deeper(operand).parse_next(i)?;
            Ok(Expr::Apply(Function::Binomial, vec![above, below]))
        }
        "sqrt" => {
            let degree = match i.peek_token() {
                Some(Token::Sign('[')) => {
                    Some(delimited(sign('['), deeper(sum), sign(']')).parse_next(i)?)
                }
                _ => None,
            };
            let radicand = deeper(operand).parse_next(i)?;
            Ok(match degree {
                None => Expr::Root(Box::new(radicand), 2),
                Some(Expr::Number(n)) if n.value.is_integer() => {
                    match n.value.to_integer().to_u32() {
                        Some(degree @ 1..=64) => Expr::Root(Box::new(radicand), degree),
                        _ => return Err(EmptyError),
                    }
                }
                Some(degree) => Expr::Power(Box::new(radicand), Box::new(degree.inverted())),
            })
        }
        "log" | "lg" => {
            let base = opt(preceded(sign('_'), deeper(operand))).parse_next(i)?;
            let (argument, second) = argument(i)?;
            let ln = |of| Expr::Apply(Function::Ln, vec![of]);
            // `\log` without a base: natural in Python, decimal elsewhere.
            Ok(match base.or(second) {
                None if i.state.python => ln(argument),
                None => Expr::Product(vec![ln(argument), ln(Expr::whole(10)).inverted()]),
                Some(base) => Expr::Product(vec![ln(argument), ln(base).inverted()]),
            })
        }
        "max" | "min" | "gcd" | "lcm" => {
            let function = match name {
                "max" => Function::Max,
                "min" => Function::Min,
                "gcd" => Function::Gcd,
                _ => Function::Lcm,
            };
            Ok(Expr::Apply(function, arguments(i)?))
        }
        _ => match function_of(name) {
            Some(function) => {
                let power = opt(preceded(sign('^'), deeper(exponent))).parse_next(i)?;
                let (argument, second) = argument(i)?;
                if second.is_some() {
                    return Err(EmptyError);
                }
                Ok(match power {
                    Some(n) if n == Expr::whole(-1) => {
                        let inverse = match name {
                            "sin" => Function::Arcsin,
                            "cos" => Function::Arccos,
                            "tan" => Function::Arctan,
                            _ => return Err(EmptyError),
                        };
                        Expr::Apply(inverse, vec![argument])
                    }
                    Some(n) => Expr::Power(Box::new(function(argument)), Box::new(n)),
                    None => function(argument),
                })
            }
            None if matches!(
                name,
                "to" | "reals" | "emptyset" | "mod" | "pmod" | "bmod" | "overline"
            ) =>
            {
                Err(EmptyError)
            }
            None => Ok(Expr::Symbol(name.to_owned())),
        },
    }
}

/// The function of this name, applied to an argument.
fn function_of(name: &str) -> Option<impl Fn(Expr) -> Expr> {
    let function = match name {
        "sin" => Some(Function::Sin),
        "cos" => Some(Function::Cos),
        "tan" => Some(Function::Tan),
        "cot" => Some(Function::Cot),
        "sec" => Some(Function::Sec),
        "csc" => Some(Function::Csc),
        "arcsin" => Some(Function::Arcsin),
        "arccos" => Some(Function::Arccos),
        "arctan" => Some(Function::Arctan),
        "sinh" => Some(Function::Sinh),
        "cosh" => Some(Function::Cosh),
        "tanh" => Some(Function::Tanh),
        "ln" => Some(Function::Ln),
        "exp" => None,
        _ => return None,
    };
    Some(move |argument| match function {
        Some(function) => Expr::Apply(function, vec![argument]),
        None => Expr::Power(Box::new(Expr::E), Box::new(argument)),
    })
}

/// A group, or the single token LaTeX would take: `\frac12`, `\sqrt x`.
fn operand(i: &mut Input) -> Parsed<Expr> {
    blank(i);
    match i.peek_token() {
        Some(Token::Sign('{' | '(')) | Some(Token::Number(_)) => atom(i),
        Some(Token::Word(word)) if word.len() > 1 => {
            // `\sqrt ab`: only the first letter is under the root, but who writes that means both.
            let word = word.clone();
            i.next_token();
            word_atom(i, &word)
        }
        _ => atom(i),
    }
}

/// The argument of a function: what is in parentheses, or the product that follows; with the second
/// argument of Python's `log(x, b)`.
fn argument(i: &mut Input) -> Parsed<(Expr, Option<Expr>)> {
    match ahead(i) {
        Some(Token::Sign('(')) => {
            let mut all = arguments(i)?.into_iter();
            let (first, second) = (all.next().ok_or(EmptyError)?, all.next());
            return if all.next().is_none() {
                Ok((first, second))
            } else {
                Err(EmptyError)
            };
        }
        Some(Token::Sign('{' | '‖')) => return Ok((deeper(atom).parse_next(i)?, None)),
        _ => {}
    }
    let is_function = |token: &Option<Token>| match token {
        Some(Token::Command(name)) => function_of(name).is_some() || matches!(*name, "log" | "lg"),
        Some(Token::Word(word)) => word.len() > 2,
        _ => false,
    };
    let mut factors: Vec<Expr> = Vec::new();
    loop {
        let next = ahead(i);
        // `sin x/2` is half of sine in print, but `\sin 2\pi/3` is the sine of the whole.
        let ended = is_function(&next)
            || !begins_factor(i, factors.last())
            || matches!(next, Some(Token::Sign('(')));
        if !factors.is_empty() && ended {
            break;
        }
        let negative = factors.is_empty() && sign_of(i, "-").is_some();
        let factor = deeper(power).parse_next(i)?;
        factors.push(if negative { factor.negated() } else { factor });
    }
    let product = if factors.len() == 1 {
        factors.remove(0)
    } else {
        Expr::Product(factors)
    };
    Ok((product, None))
}
