//! Choices from one stream of random numbers.

use crate::model::random::SplitMix;

/// A number in `0..count`.
pub(super) fn below(random: &mut SplitMix, count: usize) -> usize {
    (random.unit() * count as f64) as usize
}

/// One of the items; there must be one.
pub(super) fn one<'a, T>(random: &mut SplitMix, items: &'a [T]) -> &'a T {
    &items[below(random, items.len())]
}

/// One of the items, as likely as its weight says.
pub(super) fn weighted<'a, T>(
    random: &mut SplitMix,
    items: &'a [T],
    weight: impl Fn(&T) -> u32,
) -> &'a T {
    let sum: u32 = items.iter().map(&weight).sum();
    let mut left = below(random, sum.max(1) as usize) as u32;
    let chosen = items.iter().find(|item| {
        let own = weight(item);
        let found = left < own;
        left = left.saturating_sub(own);
        found
    });
    chosen.unwrap_or(&items[0])
}

/// Whether something of this probability happens.
pub(super) fn chance(random: &mut SplitMix, probability: f64) -> bool {
    random.unit() < probability
}
