//! Wrong chains of thought: what a small model does wrong. The program still follows the text.

use super::{
    chain::{Chain, Operand, Operator, Step},
    draw,
    number::{Value, decimal, is_plain},
};
use crate::model::random::SplitMix;

/// How often a flaw is drawn, its name, and how to make it: none where the chain has no place for it.
type Flaw = (
    u32,
    &'static str,
    fn(&mut Chain, &mut SplitMix) -> Option<()>,
);

const FLAWS: [Flaw; 8] = [
    (5, "wrong operator", wrong_operator),
    (8, "wrong operand", wrong_operand),
    (2, "misread number", misread_number),
    (4, "swapped order", swapped_order),
    (4, "omitted step", omitted_step),
    (4, "used the distractor", used_distractor),
    (4, SLIP, arithmetic_slip),
    (4, "repeated step", repeated_step),
];

/// The one flaw whose program computes something else than the text states.
pub(super) const SLIP: &str = "arithmetic slip";

/// A flawed copy of `chain` that states another answer, and the flaw's name.
pub(super) fn spoil(chain: &Chain, random: &mut SplitMix) -> (Chain, &'static str) {
    let right = chain.computed();
    for _ in 0..100 {
        let (_, name, flaw) = draw::weighted(random, &FLAWS, |(weight, ..)| *weight);
        let mut spoiled = chain.clone();
        if flaw(&mut spoiled, random).is_none() {
            continue;
        }
        let (Some(stated), Some(computed)) = (spoiled.stated(), spoiled.computed()) else {
            continue;
        };
        let last = stated.last();
        let same = right.as_ref().and_then(|right| right.last()) == last;
        // A slip may vanish again, as in `6 // 4`.
        let vanished = (*name == SLIP) == (computed.last() == last);
        let negative = stated.iter().any(|value| *value < Value::from(0));
        if !same && !vanished && !(negative && draw::chance(random, 0.7)) {
            return (spoiled, name);
        }
    }
    let mut spoiled = chain.clone();
    let last = chain.steps.len() - 1;
    if let Some(right) = right.and_then(|right| right.last().copied()) {
        spoiled.steps[last].slip = Some(right + 1);
    }
    (spoiled, SLIP)
}

fn any_step<'a>(chain: &'a mut Chain, random: &mut SplitMix) -> &'a mut Step {
    let at = draw::below(random, chain.steps.len());
    &mut chain.steps[at]
}

fn wrong_operator(chain: &mut Chain, random: &mut SplitMix) -> Option<()> {
    let step = any_step(chain, random);
    let at = draw::below(random, step.rest.len());
    let operator = *draw::one(random, &Operator::ALL);
    let additive = |operator| matches!(operator, Operator::Add | Operator::Subtract);
    // Python would apply `*` before `+`, and the text means them from left to right.
    let mixed = step.rest.len() > 1 && additive(operator) != additive(step.rest[at].0);
    (operator != step.rest[at].0 && !mixed).then(|| step.rest[at].0 = operator)
}

fn wrong_operand(chain: &mut Chain, random: &mut SplitMix) -> Option<()> {
    let at = draw::below(random, chain.steps.len());
    let mut others: Vec<Operand> = chain.numbers.iter().copied().map(Operand::Number).collect();
    others.extend((0..at).map(Operand::Step));
    let other = *draw::one(random, &others);
    replace(&mut chain.steps[at], other, random)
}

fn used_distractor(chain: &mut Chain, random: &mut SplitMix) -> Option<()> {
    if chain.distractors.is_empty() {
        return None;
    }
    let other = Operand::Number(*draw::one(random, &chain.distractors));
    replace(any_step(chain, random), other, random)
}

/// Puts `other` in the place of one operand.
fn replace(step: &mut Step, other: Operand, random: &mut SplitMix) -> Option<()> {
    let at = draw::below(random, step.rest.len() + 1);
    let place = step.operands_mut().nth(at)?;
    (*place != other).then(|| *place = other)
}

fn misread_number(chain: &mut Chain, random: &mut SplitMix) -> Option<()> {
    let at = draw::below(random, 3);
    match any_step(chain, random).operands_mut().nth(at)? {
        Operand::Number(number) => *number = near(*number, random)?,
        Operand::Step(_) => return None,
    }
    Some(())
}

fn swapped_order(chain: &mut Chain, random: &mut SplitMix) -> Option<()> {
    let step = any_step(chain, random);
    let [(operator, second)] = step.rest.as_mut_slice() else {
        return None;
    };
    let matters = !matches!(operator, Operator::Add | Operator::Multiply);
    matters.then(|| std::mem::swap(&mut step.first, second))
}

/// Leaves out a step; whoever needs its result takes what it was made from.
fn omitted_step(chain: &mut Chain, random: &mut SplitMix) -> Option<()> {
    if chain.steps.len() < 2 {
        return None;
    }
    let at = draw::below(random, chain.steps.len());
    let mut removed = chain.steps.remove(at);
    let count = removed.rest.len() + 1;
    let from = *removed.operands_mut().nth(draw::below(random, count))?;
    for operand in chain.steps.iter_mut().flat_map(Step::operands_mut) {
        match *operand {
            Operand::Step(step) if step == at => *operand = from,
            Operand::Step(step) if step > at => *operand = Operand::Step(step - 1),
            _ => {}
        }
    }
    Some(())
}

fn repeated_step(chain: &mut Chain, random: &mut SplitMix) -> Option<()> {
    let last = chain.steps.len() - 1;
    let mut again = chain.steps[last].clone();
    let at = draw::below(random, again.rest.len() + 1);
    *again.operands_mut().nth(at)? = Operand::Step(last);
    chain.steps.push(again);
    Some(())
}

fn arithmetic_slip(chain: &mut Chain, random: &mut SplitMix) -> Option<()> {
    let results = chain.computed()?;
    let at = draw::below(random, results.len());
    chain.steps[at].slip = Some(near(results[at], random)?);
    Some(())
}

/// A number that is easily taken for `value`.
fn near(value: Value, random: &mut SplitMix) -> Option<Value> {
    let wrong = match draw::below(random, 6) {
        0 => value + 1,
        1 => value - 1,
        2 => value + 10,
        3 => value - 10,
        4 => value + (2 + draw::below(random, 8) as i64),
        // Two digits change places.
        _ => {
            let written = decimal(value);
            let places = written.split_once('.').map_or(0, |(_, part)| part.len());
            let mut digits = written.replace(['.', '-'], "").into_bytes();
            let at = draw::below(random, digits.len().max(2) - 1);
            if digits.len() < 2 || digits[at] == digits[at + 1] {
                return None;
            }
            digits.swap(at, at + 1);
            let swapped: i64 = String::from_utf8(digits).ok()?.parse().ok()?;
            Value::new(swapped, 10_i64.pow(places as u32))
        }
    };
    (is_plain(wrong) && wrong > Value::from(0)).then_some(wrong)
}
