//! Notices a continuation that goes round in circles.

/// Longest span whose repeats are noticed, in tokens.
const SPAN_MAX: usize = 64;
/// Fewest tokens that all repeats together have: below it even `= = = =` or `0.3333` may be meant.
const TOKENS_MIN: usize = 48;

/// The tokens of one continuation, watched for repeats.
pub(super) struct Repeats {
    /// How many times in a row are too many; 0 allows any.
    max: usize,
    tokens: Vec<i32>,
    /// For each length of a span, how many of the last tokens equal the one a span before them.
    matched: [usize; SPAN_MAX],
}

impl Repeats {
    pub fn new(max: usize) -> Self {
        Self {
            max,
            tokens: Vec::new(),
            matched: [0; SPAN_MAX],
        }
    }

    /// Takes in a token. Where a span has now come `max` times in a row, says how many of the last
    /// tokens are its repeats, the first time not among them.
    pub fn push(&mut self, token: i32) -> Option<usize> {
        if self.max == 0 {
            return None;
        }
        let mut repeated = None;
        for (index, matched) in self.matched.iter_mut().enumerate() {
            let span = index + 1;
            let before = self.tokens.len().checked_sub(span);
            if before.is_some_and(|place| self.tokens[place] == token) {
                *matched += 1;
            } else {
                *matched = 0;
            }
            let times = *matched / span + 1;
            if repeated.is_none() && times >= self.max.max(2) && *matched + span >= TOKENS_MIN {
                repeated = Some(*matched);
            }
        }
        self.tokens.push(token);
        repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After which token the guard says that how many are repeats.
    fn noticed(tokens: impl IntoIterator<Item = i32>, max: usize) -> Option<(usize, usize)> {
        let mut repeats = Repeats::new(max);
        let mut tokens = tokens.into_iter().enumerate();
        tokens.find_map(|(place, token)| repeats.push(token).map(|count| (place + 1, count)))
    }

    #[test]
    fn a_span_that_comes_too_often_is_noticed_once_it_is_long_enough() {
        let song = || {
            [1, 2, 3]
                .into_iter()
                .chain([7, 8, 9, 10, 11, 12].repeat(20))
        };
        // Eight times six tokens after the first three; the first six are no repeat.
        assert_eq!(noticed(song(), 8), Some((3 + 48, 42)));
        assert_eq!(noticed(song(), 10), Some((3 + 60, 54)));
        assert_eq!(noticed(song(), 0), None);
        // One token must come as often as 48 times.
        assert_eq!(noticed(vec![5; 100], 8), Some((48, 47)));
        assert_eq!(noticed(vec![5; 47], 8), None);
    }

    #[test]
    fn counting_is_no_repetition() {
        assert_eq!(
            noticed((0..200).flat_map(|line| [1, 2, line + 10, 3]), 4),
            None
        );
    }
}
