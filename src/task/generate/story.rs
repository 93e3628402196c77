//! Tells a problem: one whole story, or a thread of an opening, events and an ending.

use super::{
    chain::{Chain, Operand, Step},
    draw,
    grammar::{PIECES, Piece, Role},
    number::Value,
    scene::Scene,
    wording,
};
use crate::model::random::SplitMix;

/// A problem before it is written out.
pub(super) struct Told {
    pub question: String,
    pub chain: Chain,
    pub kind: &'static str,
}

/// A problem of so many steps; none where chance offers no such one.
pub(super) fn tell(random: &mut SplitMix, steps: usize) -> Option<Told> {
    let whole = match steps {
        1 => 0.9,
        2 => 0.8,
        3 => 0.65,
        _ => 0.5,
    };
    let stories: Vec<&Piece> = PIECES
        .iter()
        .filter(|piece| piece.role == Role::Story && piece.steps.len() == steps)
        .collect();
    let pieces = if !stories.is_empty() && draw::chance(random, whole) {
        vec![*draw::weighted(random, &stories, |piece| piece.weight)]
    } else {
        thread(random, steps)?
    };
    (0..30).find_map(|_| compose(&pieces, random))
}

/// An opening, events and an ending that have so many steps in all.
fn thread(random: &mut SplitMix, steps: usize) -> Option<Vec<&'static Piece>> {
    let choose = |random: &mut SplitMix, fits: &dyn Fn(&Piece) -> bool| {
        let fitting: Vec<&'static Piece> = PIECES.iter().filter(|piece| fits(piece)).collect();
        (!fitting.is_empty()).then(|| *draw::weighted(random, &fitting, |piece| piece.weight))
    };
    let open = choose(random, &|piece| {
        piece.role == Role::Open && piece.steps.len() <= steps
    })?;
    let mut left = steps - open.steps.len();
    let end = choose(random, &|piece| {
        piece.role == Role::End && piece.family == open.family && piece.steps.len() <= left
    })?;
    left -= end.steps.len();
    let mut pieces = vec![open];
    while left > 0 {
        let event = choose(random, &|piece| {
            let again = pieces.iter().any(|one| std::ptr::eq(*one, piece));
            let family = piece.role == Role::Event && piece.family == open.family;
            family && !again && piece.steps.len() <= left
        })?;
        left -= event.steps.len();
        pieces.push(event);
    }
    let last = pieces[pieces.len() - 1];
    let follows = end.after.is_empty() || end.after.iter().any(|tag| last.tags.contains(tag));
    pieces.push(end);
    follows.then_some(pieces)
}

/// Tells the pieces one after another in one scene.
fn compose(pieces: &[&'static Piece], random: &mut SplitMix) -> Option<Told> {
    let mut scene = Scene::new(random);
    let mut chain = Chain::default();
    let mut texts = Vec::new();
    let mut kind = "";
    // An opening must be about what the later pieces can treat.
    for (name, class) in pieces.iter().rev().flat_map(|piece| &piece.things) {
        if *name == "x" {
            scene.choose(name, class)?;
        }
    }
    if pieces[0].role == Role::Open {
        scene.choose("x", "thing")?;
    }
    for piece in pieces {
        if piece.role != Role::Story {
            scene.turn();
        }
        for (name, class) in &piece.things {
            scene.choose(name, class)?;
        }
        for number in &piece.numbers {
            scene.settle(number)?;
        }
        let text = *draw::one(scene.random, &piece.questions);
        scene.link = None;
        texts.push(scene.expand(text));
        scene.solving = true;
        for rule in &piece.steps {
            let rest = rule.rest.iter();
            let mut step = Step {
                first: scene.operand(rule.first)?,
                rest: rest
                    .map(|(operator, word)| Some((*operator, scene.operand(word)?)))
                    .collect::<Option<_>>()?,
                sentence: String::new(),
                slip: None,
            };
            step.sentence = wording::polished(&scene.expand(rule.sentence));
            chain.steps.push(step);
            let value = *chain.computed()?.last()?;
            let sensible = value > Value::from(0) && (rule.fraction || value.is_integer());
            if !sensible {
                return None;
            }
            let at = Operand::Step(chain.steps.len() - 1);
            scene.numbers.insert(rule.name, (value, at));
        }
        scene.solving = false;
        let state = piece
            .state
            .or_else(|| piece.steps.last().map(|rule| rule.name));
        if let Some(state) = state.and_then(|name| scene.numbers.get(name).copied()) {
            scene.numbers.insert("T", state);
        }
        if !(piece.role == Role::End && piece.steps.is_empty()) {
            kind = piece.kind;
        }
    }
    let mut sentences = wording::sentences(&texts.join(" "));
    let used: Vec<Value> = used(&chain);
    let (mut numbers, mut distractors) = (Vec::new(), Vec::new());
    for value in std::mem::take(&mut scene.shown) {
        let list = if used.contains(&value) {
            &mut numbers
        } else {
            &mut distractors
        };
        if !list.contains(&value) {
            list.push(value);
        }
    }
    let plain = pieces.iter().all(|piece| !piece.tags.contains(&"plain"));
    wording::condition(&mut sentences, scene.random);
    if plain && sentences.len() > 1 && scene.has('P') && draw::chance(scene.random, 0.08) {
        let extra = sentence(Role::Aside, &mut scene)?;
        let at = draw::below(scene.random, sentences.len() - 1) + 1;
        sentences.insert(at, extra);
        distractors.extend(scene.shown.iter().filter(|value| !used.contains(value)));
    }
    if scene.has('P') && draw::chance(scene.random, 0.1) {
        let lead = sentence(Role::Lead, &mut scene)?;
        let (name, he) = (scene.expand("{P} "), scene.expand("{he} "));
        // "Ann is a coach. She has 5 cups."
        if let Some(rest) = sentences[0].strip_prefix(&name)
            && !rest.starts_with("and ")
            && draw::chance(scene.random, 0.6)
        {
            sentences[0] = he + rest;
        }
        sentences.insert(0, lead);
    }
    chain.numbers = numbers;
    chain.distractors = distractors;
    let question = wording::finish(sentences, scene.random);
    Some(Told {
        question,
        chain,
        kind,
    })
}

/// The numbers that the steps compute with.
fn used(chain: &Chain) -> Vec<Value> {
    let mut steps = chain.steps.clone();
    let operands = steps.iter_mut().flat_map(Step::operands_mut);
    operands
        .filter_map(|operand| match operand {
            Operand::Number(number) => Some(*number),
            Operand::Step(_) => None,
        })
        .collect()
}

/// A sentence that nothing needs.
fn sentence(role: Role, scene: &mut Scene) -> Option<String> {
    let fitting: Vec<&Piece> = PIECES.iter().filter(|piece| piece.role == role).collect();
    let piece = *draw::weighted(scene.random, &fitting, |piece| piece.weight);
    for (name, class) in &piece.things {
        scene.choose(name, class)?;
    }
    for number in &piece.numbers {
        scene.settle(number)?;
    }
    let text = *draw::one(scene.random, &piece.questions);
    Some(scene.expand(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_story_can_be_told_with_every_slot_filled() {
        let mut random = SplitMix::new(1);
        for piece in PIECES.iter().filter(|piece| piece.role == Role::Story) {
            // Enough that each of its questions is told.
            let told: Vec<Told> = (0..piece.questions.len() * 12)
                .filter_map(|_| compose(&[piece], &mut random))
                .collect();
            let head = piece.questions[0];
            assert!(!told.is_empty(), "never told: {head}");
            for told in told {
                let results = told.chain.computed().unwrap();
                let text = told.question + &told.chain.solution(&results);
                let unfilled = text.contains(['{', '}', '[', ']', '<', '>', '|', '@', '\u{1}']);
                assert!(!unfilled, "{head}: {text}");
                assert!(piece.steps.len() == told.chain.steps.len() && !piece.kind.is_empty());
            }
        }
    }

    #[test]
    fn every_part_of_a_thread_is_used() {
        let mut random = SplitMix::new(2);
        let mut unused: Vec<&Piece> = PIECES
            .iter()
            .filter(|piece| matches!(piece.role, Role::Open | Role::Event | Role::End))
            .collect();
        for steps in (1..=6).cycle().take(20_000) {
            for piece in thread(&mut random, steps).unwrap_or_default() {
                unused.retain(|one| !std::ptr::eq(*one, piece));
            }
        }
        assert!(unused.is_empty(), "of stories/thread.txt: {unused:?}");
    }

    #[test]
    fn operators_of_a_step_mean_the_same_from_left_to_right_as_in_python() {
        for rule in PIECES.iter().flat_map(|piece| &piece.steps) {
            let sums = rule
                .rest
                .iter()
                .filter(|(operator, _)| matches!(operator.symbol(), "+" | "-"));
            let sums = sums.count();
            assert!(sums == 0 || sums == rule.rest.len(), "{}", rule.sentence);
        }
    }
}
