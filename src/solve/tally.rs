//! How far each stage has come, over all questions.

use super::{Progress, Stage};

/// Steps done and steps in all so far.
pub(super) struct Tally<'a> {
    progress: Progress<'a>,
    counts: [(usize, usize); 4],
}

impl<'a> Tally<'a> {
    pub fn new(progress: Progress<'a>) -> Self {
        Self {
            progress,
            counts: [(0, 0); 4],
        }
    }

    /// So many steps are to be done.
    pub fn expect(&mut self, stage: Stage, steps: usize) {
        self.add(stage, 0, steps);
    }

    /// A step is done.
    pub fn done(&mut self, stage: Stage) {
        self.add(stage, 1, 0);
    }

    fn add(&mut self, stage: Stage, done: usize, all: usize) {
        let count = &mut self.counts[stage as usize];
        count.0 += done;
        count.1 += all;
        (self.progress)(stage, count.0, count.1);
    }
}
