//! Reads `stories/*.txt`. The format is described at the head of `stories/single.txt`.

use std::sync::LazyLock;

use super::chain::Operator;

/// What part of a problem a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// All of it.
    Story,
    /// The start of a thread: says what `T` is.
    Open,
    /// Changes `T`.
    Event,
    /// Asks.
    End,
    /// A sentence with a number that nothing needs.
    Aside,
    /// A sentence that sets the scene.
    Lead,
}

/// A story, or a part of one that combines with others.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub role: Role,
    /// Which pieces combine; empty for whole stories.
    pub family: &'static str,
    /// The relation: "gain", "sharing".
    pub kind: &'static str,
    pub weight: u32,
    /// What happens to `T` last: an end may need it.
    pub tags: Vec<&'static str>,
    /// Tags one of which must have come before.
    pub after: Vec<&'static str>,
    /// Things and their classes.
    pub things: Vec<(&'static str, &'static str)>,
    pub numbers: Vec<Number>,
    pub questions: Vec<&'static str>,
    pub steps: Vec<Rule>,
    /// The new `T`, where it is no step.
    pub state: Option<&'static str>,
}

/// How a number comes about.
#[derive(Clone, Debug)]
pub(super) enum Number {
    /// Drawn between two expressions, a multiple of the last.
    Range(&'static str, &'static str, &'static str, i64, bool),
    /// As a price: whole, or with cents.
    Price(&'static str, &'static str, &'static str),
    /// With one or two decimal places, or none.
    Decimal(&'static str, &'static str, &'static str),
    /// A divisor of the first expression, within the range.
    Divisor(&'static str, &'static str, &'static str, &'static str),
    /// Computed and shown.
    Derived(&'static str, &'static str),
    /// Left side greater than the right one.
    Greater(&'static str, &'static str),
}

/// A step: its name, its formula, whether the result may have a fraction, and its sentence.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub name: &'static str,
    pub first: &'static str,
    pub rest: Vec<(Operator, &'static str)>,
    pub fraction: bool,
    pub sentence: &'static str,
}

/// The stories' texts.
pub(super) const FILES: [&str; 37] = [
    include_str!("stories/single.txt"),
    include_str!("stories/scene.txt"),
    include_str!("stories/one.txt"),
    include_str!("stories/double.txt"),
    include_str!("stories/scene2.txt"),
    include_str!("stories/pairs.txt"),
    include_str!("stories/sums.txt"),
    include_str!("stories/several.txt"),
    include_str!("stories/longer.txt"),
    include_str!("stories/decimal.txt"),
    include_str!("stories/spare.txt"),
    include_str!("stories/needless.txt"),
    include_str!("stories/world.txt"),
    include_str!("stories/plain.txt"),
    include_str!("stories/times.txt"),
    include_str!("stories/regroup.txt"),
    include_str!("stories/products.txt"),
    include_str!("stories/chains.txt"),
    include_str!("stories/compare.txt"),
    include_str!("stories/extra.txt"),
    include_str!("stories/steps.txt"),
    include_str!("stories/school.txt"),
    include_str!("stories/shops.txt"),
    include_str!("stories/nature.txt"),
    include_str!("stories/journeys.txt"),
    include_str!("stories/people.txt"),
    include_str!("stories/measures.txt"),
    include_str!("stories/sentence.txt"),
    include_str!("stories/narrative.txt"),
    include_str!("stories/amounts.txt"),
    include_str!("stories/unknown.txt"),
    include_str!("stories/everyday.txt"),
    include_str!("stories/among.txt"),
    include_str!("stories/rates.txt"),
    include_str!("stories/longways.txt"),
    include_str!("stories/order.txt"),
    include_str!("stories/thread.txt"),
];

/// All pieces.
pub(super) static PIECES: LazyLock<Vec<Piece>> =
    LazyLock::new(|| FILES.into_iter().flat_map(read).collect());

fn read(text: &'static str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some((key, rest)) = line.split_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let rest = rest.trim();
        let role = match key {
            "story" => Some(Role::Story),
            "open" => Some(Role::Open),
            "event" => Some(Role::Event),
            "end" => Some(Role::End),
            "lead" => Some(Role::Lead),
            "aside" => Some(Role::Aside),
            _ => None,
        };
        if let Some(role) = role {
            pieces.push(head(role, rest));
            continue;
        }
        let piece = pieces.last_mut();
        let read = piece.and_then(|piece| body(piece, key, rest));
        assert!(
            read.is_some(),
            "stories: cannot read line {}: {line}",
            at + 1
        );
    }
    pieces
}

fn head(role: Role, rest: &'static str) -> Piece {
    let mut words = rest.split_whitespace();
    let family = if matches!(role, Role::Story | Role::Aside | Role::Lead) {
        ""
    } else {
        words.next().unwrap_or_default()
    };
    let kind = words.next().unwrap_or_default();
    let (mut weight, mut tags, mut after) = (4, Vec::new(), Vec::new());
    for word in words {
        if let Some(tag) = word.strip_prefix('+') {
            tags.push(tag);
        } else if let Some(tag) = word.strip_prefix('<') {
            after.push(tag);
        } else {
            weight = word.parse().unwrap_or(weight);
        }
    }
    Piece {
        role,
        family,
        kind,
        weight,
        tags,
        after,
        things: Vec::new(),
        numbers: Vec::new(),
        questions: Vec::new(),
        steps: Vec::new(),
        state: None,
    }
}

fn body(piece: &mut Piece, key: &str, rest: &'static str) -> Option<()> {
    match key {
        "v" => {
            for thing in rest.split(';') {
                piece.things.push(thing.trim().split_once(' ')?);
            }
        }
        "n" => {
            for text in rest.split(';') {
                piece.numbers.push(number(text.trim())?);
            }
        }
        "q" => piece.questions.push(rest),
        "s" => piece.steps.push(step(rest)?),
        "t" => piece.state = Some(rest),
        _ => return None,
    }
    Some(())
}

fn number(text: &'static str) -> Option<Number> {
    if let Some(test) = text.strip_prefix('?') {
        let (greater, less) = test.split_once('>')?;
        return Some(Number::Greater(greater.trim(), less.trim()));
    }
    if let Some((name, value)) = text.split_once(":=") {
        return Some(Number::Derived(name.trim(), value.trim()));
    }
    let (name, rest) = text.split_once(' ')?;
    if let Some((of, range)) = rest
        .strip_prefix("divides ")
        .and_then(|rest| rest.trim().rsplit_once(' '))
    {
        let (low, high) = range.split_once("..")?;
        return Some(Number::Divisor(name, of, low, high));
    }
    let (low, high) = rest.split_once("..")?;
    if let Some(low) = low.strip_prefix('$') {
        return Some(Number::Price(name, low, high));
    }
    if let Some(low) = low.strip_prefix('~') {
        return Some(Number::Decimal(name, low, high));
    }
    let (high, multiple) = match high.split_once(" by ") {
        Some((high, multiple)) => (high, multiple.parse().ok()?),
        None => (high, 1),
    };
    let (high, scales) = match high.strip_suffix('^') {
        Some(high) => (high, true),
        None => (high, false),
    };
    Some(Number::Range(name, low, high, multiple, scales))
}

fn step(text: &'static str) -> Option<Rule> {
    let (formula, sentence) = text.split_once(" : ")?;
    let mut words = formula.split_whitespace();
    let name = words.next()?;
    let (name, fraction) = match name.strip_prefix('~') {
        Some(name) => (name, true),
        None => (name, false),
    };
    (words.next()? == "=").then_some(())?;
    let first = words.next()?;
    let mut rest = Vec::new();
    while let Some(symbol) = words.next() {
        rest.push((Operator::of(symbol)?, words.next()?));
    }
    Some(Rule {
        name,
        first,
        rest,
        fraction,
        sentence: sentence.trim(),
    })
}
