//! Grade-school word problems made from a seed, each with a worked solution and its program.
//!
//! A problem is a story of `generate/stories/*.txt`, or a thread: an opening that says how many
//! there are, events that change it, an ending that asks. Its steps are equations
//! (`generate/chain.rs`) from which the text, the program and the answer are all written, so they
//! agree by construction, and a flaw made in the equations shows in all three.

mod chain;
mod draw;
mod flaw;
mod grammar;
mod number;
mod scene;
mod statistics;
mod story;
mod synonym;
mod vocabulary;
mod wording;

pub use self::statistics::Statistics;

use self::chain::Chain;
use crate::model::random::SplitMix;

/// A problem with its solution.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The problem's text.
    pub question: String,
    /// The chain of thought: a sentence with an equation for each step, then "The answer is 8."
    pub solution: String,
    /// Python: an assignment for each step, then the last one printed.
    pub program: String,
    /// The answer, a decimal without trailing zeros.
    pub answer: String,
    /// How many equations it takes, 1 to 6.
    pub steps: usize,
    /// The relation that is asked about: "gain", "sharing".
    pub kind: &'static str,
    chain: Chain,
}

/// A wrong solution of a problem.
#[derive(Clone, Debug)]
pub struct Flawed {
    /// The chain of thought with its flaw.
    pub solution: String,
    /// The program that computes what this chain says, with right arithmetic.
    pub program: String,
    /// The wrong answer that the chain ends in.
    pub answer: String,
    /// What is wrong: "wrong operator", "arithmetic slip".
    pub flaw: &'static str,
}

/// The steps of twenty problems in a row: two in five of one step, so that half the hard ones are
/// seen while the easy ones are still learned.
const STEPS: [usize; 20] = [1, 2, 1, 3, 2, 1, 4, 2, 1, 3, 2, 1, 5, 2, 1, 4, 2, 3, 2, 6];

/// The problem at `index` of the endless list that `seed` names; always the same.
pub fn generate(seed: u64, index: u64) -> Generated {
    let mut random = SplitMix::new(seed ^ index.wrapping_mul(0xD134_2543_DE82_EF95));
    let steps = STEPS[(index % STEPS.len() as u64) as usize];
    loop {
        let Some(told) = story::tell(&mut random, steps) else {
            continue;
        };
        if let Some(results) = told.chain.computed() {
            return Generated {
                question: told.question,
                solution: told.chain.solution(&results),
                program: told.chain.program(),
                answer: told.chain.answer(&results),
                steps,
                kind: told.kind,
                chain: told.chain,
            };
        }
    }
}

/// Changes when other problems may come out: a digest of all stories and words, and of what is made
/// of them in the first thousand problems of seed 0, right and wrong.
pub fn fingerprint() -> String {
    let mut hash = blake3::Hasher::new();
    for text in grammar::FILES.iter().chain(&vocabulary::FILES) {
        hash.update(text.as_bytes());
    }
    for index in 0..1000 {
        let right = generate(0, index);
        let wrong = right.flawed(index);
        let texts = [right.question, right.solution, right.program, right.answer];
        for text in texts
            .into_iter()
            .chain([wrong.solution, wrong.program, wrong.answer])
        {
            hash.update(text.as_bytes());
            hash.update(b"\n");
        }
    }
    hash.finalize().to_hex()[..16].to_owned()
}

impl Generated {
    /// A wrong solution; which one, `seed` decides.
    pub fn flawed(&self, seed: u64) -> Flawed {
        let mut random = SplitMix::new(seed);
        let (chain, flaw) = flaw::spoil(&self.chain, &mut random);
        let stated = chain.stated().unwrap_or_default();
        Flawed {
            solution: chain.solution(&stated),
            program: chain.program(),
            answer: chain.answer(&stated),
            flaw,
        }
    }
}
