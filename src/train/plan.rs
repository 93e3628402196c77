//! What a run will do, all of it known before the first step: units from problems, and the units of
//! each step.

use std::{collections::HashSet, path::PathBuf};

use super::{
    Options, Tokenize,
    objective::Objective,
    pack::{Solution, Unit},
    pairs::{Problem, Skipped, Split},
};
use crate::{
    Error, Result,
    model::{gguf::Gguf, random::SplitMix},
};

/// Tokenises problems: those to learn from, with the solutions that the objective uses, and the
/// held-out ones with all.
pub(crate) fn units(
    options: &Options,
    problems: &[Problem],
    tokenize: &dyn Tokenize,
    length_max: usize,
    skipped: &mut Skipped,
) -> Result<(Vec<Unit>, Vec<Unit>)> {
    let mut random = SplitMix::new(options.seed);
    let told = problems.iter().any(|problem| problem.split.is_some());
    let mut order: Vec<usize> = (0..problems.len()).collect();
    random.shuffle(&mut order);
    order.truncate((options.dev_share * problems.len() as f64).round() as usize);
    let held_out: HashSet<usize> = order.into_iter().collect();
    let is_dev = |i: usize| match told {
        true => problems[i].split == Some(Split::Dev),
        false => held_out.contains(&i),
    };
    // What a unit is trained on: the solutions in pairs, the correct ones, or all.
    let used = |unit: Unit| match options.objective {
        Objective::Kto { .. } | Objective::Orm => unit,
        Objective::Sft => unit.correct(),
        _ => unit.paired(),
    };
    // Supervised learning needs no incorrect solution to set against.
    let supervised = options.objective == Objective::Sft;
    let (mut train, mut dev) = (Vec::new(), Vec::new());
    for (i, problem) in problems.iter().enumerate() {
        let prompt = tokenize.prompt(&problem.prompt)?;
        let mut places = Vec::with_capacity(problem.solutions.len());
        let mut unit = Unit {
            prompt,
            ..Unit::default()
        };
        let mut too_long = false;
        for (text, correct) in &problem.solutions {
            let mut tokens = tokenize.solution(text)?;
            tokens.extend(tokenize.end().filter(|_| options.end_token));
            let fits = unit.prompt.len() + tokens.len() <= length_max;
            too_long |= *correct && !fits;
            let usable = fits && !tokens.is_empty() && !unit.prompt.is_empty();
            places.push(usable.then_some(unit.solutions.len()));
            if usable {
                let correct = *correct;
                unit.solutions.push(Solution { tokens, correct });
            }
        }
        for &(chosen, rejected) in &problem.pairs {
            match (places[chosen], places[rejected]) {
                (Some(chosen), Some(rejected)) => unit.pairs.push((chosen, rejected)),
                _ => skipped.too_long += 1,
            }
        }
        if unit.pairs.is_empty() && !(supervised && unit.solutions.iter().any(|s| s.correct)) {
            // A pair is counted above.
            skipped.too_long += usize::from(supervised && problem.pairs.is_empty() && too_long);
            continue;
        }
        if is_dev(i) {
            dev.push(unit);
        } else {
            train.push(used(unit));
        }
    }
    if train.is_empty() {
        let whose = match length_max < options.length_max {
            true => " of the base's context",
            false => "",
        };
        let what = if supervised { "solutions" } else { "pairs" };
        return Err(Error::Options(format!(
            "no {what} are left to learn from ({} skipped because they are longer than the {length_max} tokens{whose})",
            skipped.too_long
        )));
    }
    Ok((train, dev))
}

/// The problems of each step, by index: each epoch in an order of its own.
pub(crate) fn steps(options: &Options, train: &[&Unit]) -> Vec<Vec<usize>> {
    let mut steps = Vec::new();
    for epoch in 0..options.epochs {
        let mut order: Vec<usize> = (0..train.len()).collect();
        SplitMix::new(options.seed.wrapping_add(1 + epoch as u64)).shuffle(&mut order);
        let (mut step, mut terms) = (Vec::new(), 0);
        for i in order {
            step.push(i);
            terms += options.objective.terms(train[i]);
            if terms >= options.batch {
                steps.push(std::mem::take(&mut step));
                terms = 0;
            }
        }
        if !step.is_empty() {
            steps.push(step);
        }
    }
    steps
}

/// Share of the learning rate: up in a line, down in half a cosine.
pub(crate) fn schedule(step: usize, steps: usize, warmup: f64) -> f64 {
    let rise = (warmup * steps as f64).round();
    let done = step as f64 + 1.0;
    if done <= rise {
        return done / rise;
    }
    let share = (done - rise) / (steps as f64 - rise + 1.0);
    0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// Names the weights that training starts from, wherever their file lies.
pub(crate) fn identity(base: &Gguf) -> blake3::Hash {
    let mut hash = blake3::Hasher::new();
    for tensor in &base.tensors {
        hash.update(tensor.name.as_bytes());
        for values in tensor.values.chunks(1 << 14) {
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            hash.update(&bytes);
        }
    }
    hash.finalize()
}

/// A number that changes with any option, weight or token that the result depends on.
pub(crate) fn fingerprint(
    options: &Options,
    base: blake3::Hash,
    train: &[&Unit],
    dev: &[&Unit],
) -> String {
    let options = Options {
        base: PathBuf::new(),
        out: PathBuf::new(),
        save_every: 0,
        copies: 0,
        resume: false,
        force: false,
        restart: false,
        ..options.clone()
    };
    let text = format!("{options:?} {base} {train:?} {dev:?}");
    blake3::hash(text.as_bytes()).to_hex().to_string()
}
