//! Problems with all their solutions, packed into rows: less work than pairs, same gradients.
//!
//! A pairwise trainer computes prompt and solution of both sides of every pair. Here a problem's
//! prompt is computed once, each of its solutions once, however many pairs they are in, and no row
//! is padding. [`Saved`] counts the difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;

use super::{fused::Layout, network::Rows};

/// A problem to learn from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// The prompt's tokens, at least one.
    pub prompt: Vec<u32>,
    /// Its solutions.
    pub solutions: Vec<Solution>,
    /// Chosen and rejected solutions, by index.
    pub pairs: Vec<(usize, usize)>,
}

/// A solution of a problem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Solution {
    /// Its tokens, at least one.
    pub tokens: Vec<u32>,
    /// Whether it is right.
    pub correct: bool,
}

/// Tokens computed, and what a pairwise trainer would have computed without padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// Rows computed here.
    pub tokens: u64,
    /// Prompt and solution of both sides of each pair.
    pub pairwise: u64,
}

impl Unit {
    /// The unit without solutions that are in no pair.
    pub fn paired(self) -> Self {
        let used: BTreeSet<usize> = self.pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
        self.with(used)
    }

    /// The unit without incorrect solutions, and without the pairs they are in: all.
    pub fn correct(self) -> Self {
        let solutions = self.solutions.iter().enumerate();
        let used = solutions.filter(|(_, solution)| solution.correct);
        let used = used.map(|(i, _)| i).collect();
        self.with(used)
    }

    fn with(self, used: BTreeSet<usize>) -> Self {
        let places: BTreeMap<usize, usize> = used.iter().copied().zip(0..).collect();
        let place = |&(a, b): &(usize, usize)| Some((*places.get(&a)?, *places.get(&b)?));
        let solutions = self.solutions.into_iter().enumerate();
        Self {
            prompt: self.prompt,
            solutions: solutions
                .filter(|(i, _)| used.contains(i))
                .map(|(_, solution)| solution)
                .collect(),
            pairs: self.pairs.iter().filter_map(place).collect(),
        }
    }

    /// Rows that the unit takes.
    pub fn tokens(&self) -> usize {
        let solutions = self.solutions.iter().map(|s| s.tokens.len() - 1);
        self.prompt.len() + solutions.sum::<usize>()
    }

    /// What packing saves on it.
    pub fn saved(&self) -> Saved {
        let side = |i: usize| (self.prompt.len() + self.solutions[i].tokens.len()) as u64;
        Saved {
            tokens: self.tokens() as u64,
            pairwise: self.pairs.iter().map(|&(a, b)| side(a) + side(b)).sum(),
        }
    }
}

impl std::ops::AddAssign for Saved {
    fn add_assign(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.pairwise += other.pairwise;
    }
}

/// Lays units out in rows. Targets stand in the order of units, solutions and tokens: a row that
/// predicts the token, or, where each token is judged itself, the token's own row.
pub(crate) fn pack(units: &[&Unit], judged: bool) -> Rows {
    let (mut tokens, mut layout, mut targets) = (Vec::new(), Layout::default(), Vec::new());
    for unit in units {
        // A solution's last token predicts nothing and needs no row to be predicted.
        let inputs = |solution: &Solution| solution.tokens.len() - usize::from(!judged);
        layout.push(unit.prompt.len(), unit.solutions.iter().map(inputs));
        tokens.extend(&unit.prompt);
        let rows = layout.problems.last().expect("one was pushed");
        for (solution, own) in unit.solutions.iter().zip(&rows.solutions) {
            // The prompt's last row predicts the first token of every solution.
            let before = (!judged).then_some(rows.prompt.end - 1);
            let at = before.into_iter().chain(own.clone());
            targets.extend(at.zip(solution.tokens.iter().map(|&token| token as usize)));
            tokens.extend(&solution.tokens[..own.len()]);
        }
    }
    Rows {
        tokens,
        layout: Arc::new(layout),
        targets: Arc::new(targets),
    }
}

/// Splits units into groups of at most `tokens_max` rows, one unit at least.
pub(crate) fn split<'a>(units: &[&'a Unit], tokens_max: usize) -> Vec<Vec<&'a Unit>> {
    let mut groups: Vec<Vec<&Unit>> = Vec::new();
    let mut rows = usize::MAX;
    for &unit in units {
        if rows.saturating_add(unit.tokens()) > tokens_max {
            groups.push(Vec::new());
            rows = 0;
        }
        rows += unit.tokens();
        groups.last_mut().expect("one was pushed").push(unit);
    }
    groups
}

/// A group as it is, or, where it is a single unit of more than `tokens_max` rows, in parts: units
/// of some of its solutions each, without pairs. Solutions keep their order.
pub(crate) fn parts(group: &[&Unit], tokens_max: usize) -> Vec<Vec<Unit>> {
    let whole = || vec![group.iter().map(|&unit| unit.clone()).collect()];
    let [unit] = group else {
        return whole();
    };
    if unit.tokens() <= tokens_max {
        return whole();
    }
    let mut parts: Vec<Vec<Unit>> = Vec::new();
    let mut rows = usize::MAX;
    for solution in &unit.solutions {
        if rows.saturating_add(solution.tokens.len()) > tokens_max {
            parts.push(vec![Unit {
                prompt: unit.prompt.clone(),
                ..Unit::default()
            }]);
            rows = unit.prompt.len();
        }
        rows += solution.tokens.len();
        let part = parts.last_mut().expect("one was pushed");
        part[0].solutions.push(solution.clone());
    }
    parts
}
