//! Other words for the same: "in all" or "all together", "1/3" or "one third".

use super::draw;
use crate::model::random::SplitMix;

/// What may be said, what else it may be, and how often it is: only where the meaning stays.
const PHRASES: [(&str, &[&str], f64); 18] = [
    (
        " have left?",
        &[" have remaining?", " still have?", " have left over?"],
        0.15,
    ),
    (" are left?", &[" are remaining?", " remain?"], 0.15),
    (" were left?", &[" remained?", " were remaining?"], 0.15),
    (" is left?", &[" remains?", " is remaining?"], 0.15),
    (
        " in all?",
        &[" all together?", " in total?", " combined?", " total?"],
        0.15,
    ),
    (
        " altogether?",
        &[" all together?", " in all?", " total?"],
        0.15,
    ),
    (
        " have now?",
        &[" now have?", " end up with?", " have at the end?"],
        0.15,
    ),
    (
        "Then he ",
        &[
            "Next, he ",
            "After that, he ",
            "Afterwards, he ",
            "He then ",
        ],
        0.4,
    ),
    (
        "Then she ",
        &[
            "Next, she ",
            "After that, she ",
            "Afterwards, she ",
            "She then ",
        ],
        0.4,
    ),
    (
        "Later he ",
        &["Later on, he ", "Later that day, he ", "The next day he "],
        0.4,
    ),
    (
        "Later she ",
        &[
            "Later on, she ",
            "Later that day, she ",
            "The next day she ",
        ],
        0.4,
    ),
    (
        "How much money ",
        &["How many dollars ", "What amount of money "],
        0.1,
    ),
    (
        " equally among ",
        &[" evenly among ", " equally between ", " fairly among "],
        0.2,
    ),
    (" bought ", &[" purchased ", " got "], 0.08),
    (" buys ", &[" purchases ", " gets "], 0.08),
    (" received ", &[" got "], 0.2),
    (" needed?", &[" required?", " necessary?"], 0.15),
    (" each day", &[" every day", " per day", " a day"], 0.2),
];

/// The question in other words.
pub(super) fn vary(text: &str, random: &mut SplitMix) -> String {
    let mut text = text.to_owned();
    for (phrase, others, often) in PHRASES {
        if text.contains(phrase) && draw::chance(random, often) {
            text = text.replace(phrase, draw::one(random, others));
        }
    }
    if text.contains('/') && draw::chance(random, 0.4) {
        text = fractions(&text);
    }
    if text.contains(" times ") && draw::chance(random, 0.4) {
        text = times(&text);
    }
    text
}

/// "1/3" as "one third".
fn fractions(text: &str) -> String {
    const WORDS: [(&str, &str); 14] = [
        ("1/2", "half"),
        ("1/3", "one third"),
        ("2/3", "two thirds"),
        ("1/4", "one fourth"),
        ("3/4", "three fourths"),
        ("1/5", "one fifth"),
        ("2/5", "two fifths"),
        ("3/5", "three fifths"),
        ("4/5", "four fifths"),
        ("1/6", "one sixth"),
        ("5/6", "five sixths"),
        ("1/7", "one seventh"),
        ("1/8", "one eighth"),
        ("3/8", "three eighths"),
    ];
    replaced(text, |word, _| {
        let found = WORDS.iter().find(|(digits, _)| *digits == word);
        found.map(|(_, words)| *words)
    })
}

/// "3 times" as "three times".
fn times(text: &str) -> String {
    const WORDS: [&str; 5] = ["two", "three", "four", "five", "six"];
    replaced(text, |word, next| {
        let at = word.parse::<usize>().ok()?.checked_sub(2)?;
        (next == "times").then(|| WORDS.get(at).copied())?
    })
}

/// The text with each word replaced for which `other`, given it and the next one, has one.
fn replaced(text: &str, other: impl Fn(&str, &str) -> Option<&'static str>) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let each = words.iter().enumerate().map(|(at, word)| {
        let next = words.get(at + 1).copied().unwrap_or("");
        match other(word, next) {
            Some(other) if at == 0 || words[at - 1].ends_with(['.', '?', '!']) => {
                other[..1].to_uppercase() + &other[1..]
            }
            Some(other) => other.to_owned(),
            None => (*word).to_owned(),
        }
    });
    each.collect::<Vec<String>>().join(" ")
}
