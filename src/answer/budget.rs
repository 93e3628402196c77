//! The step budget of one comparison.

use std::cell::Cell;

/// Steps a comparison may take; about 10 ms on one core of 2025.
///
/// A step is a term of a polynomial touched, a node of an expression visited or 64 bits of a big
/// number multiplied, so a comparison ends at the same step on every machine.
pub(super) const STEPS_MAX: u32 = 200_000;

/// Parentheses, fractions, roots and scripts may nest this deep; deeper answers are text.
pub(super) const DEPTH_MAX: u32 = 48;

/// Longer answers are compared as text only, in bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 2_000;

/// Bits a coefficient may have; what would have more ends the comparison.
pub(super) const BITS_MAX: u64 = 16_384;

/// What is left of the steps.
#[derive(Debug)]
pub(super) struct Budget(Cell<u32>);

/// The budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(STEPS_MAX))
    }

    /// Takes `steps`, or fails where fewer are left; from then on every call fails.
    pub(super) fn take(&self, steps: usize) -> Result<(), Spent> {
        let left = self
            .0
            .get()
            .checked_sub(u32::try_from(steps).unwrap_or(u32::MAX));
        self.0.set(left.unwrap_or(0));
        left.filter(|left| *left > 0).map(|_| ()).ok_or(Spent)
    }
}
