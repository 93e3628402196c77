//! Where the parser is in its tokens, and what it remembers.

use winnow::error::EmptyError;
use winnow::prelude::*;
use winnow::stream::{Stateful, Stream, TokenSlice};

use super::budget::DEPTH_MAX;
use super::token::Token;

/// What the parser remembers besides its place.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Open parentheses, fractions, roots and scripts.
    pub depth: u32,
    /// Open `|`: the next one closes.
    pub bars: usize,
    /// The currency sign seen in this item.
    pub currency: Option<&'static str>,
    /// Whether the answer is written in Python, where `I` and `E` are constants.
    pub python: bool,
}

pub(super) type Input<'t> = Stateful<TokenSlice<'t, Token>, State>;
pub(super) type Parsed<T> = Result<T, EmptyError>;

/// Runs `parser` one level deeper; fails beyond the depth allowed.
pub(super) fn deeper<'t, T>(
    mut parser: impl Parser<Input<'t>, T, EmptyError>,
) -> impl FnMut(&mut Input<'t>) -> Parsed<T> {
    move |i| {
        if i.state.depth >= DEPTH_MAX {
            return Err(EmptyError);
        }
        i.state.depth += 1;
        let parsed = parser.parse_next(i);
        i.state.depth -= 1;
        parsed
    }
}

/// One sign, with spaces before it.
pub(super) fn sign<'t>(wanted: char) -> impl FnMut(&mut Input<'t>) -> Parsed<()> {
    move |i| {
        let start = i.checkpoint();
        blank(i);
        match i.next_token() {
            Some(Token::Sign(c)) if *c == wanted => Ok(()),
            _ => {
                i.reset(&start);
                Err(EmptyError)
            }
        }
    }
}

/// The next sign if it is one of `wanted`, with spaces before it.
pub(super) fn sign_of(i: &mut Input, wanted: &str) -> Option<char> {
    let start = i.checkpoint();
    blank(i);
    match i.next_token() {
        Some(Token::Sign(c)) if wanted.contains(*c) => Some(*c),
        _ => {
            i.reset(&start);
            None
        }
    }
}

pub(super) fn blank(i: &mut Input) {
    while matches!(i.peek_token(), Some(Token::Space)) {
        i.next_token();
    }
}

/// The next token that is no space, left where it is.
pub(super) fn ahead(i: &mut Input) -> Option<Token> {
    let start = i.checkpoint();
    blank(i);
    let token = i.next_token().cloned();
    i.reset(&start);
    token
}
