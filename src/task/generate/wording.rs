//! The last touches of a text: capitals, articles, how its sentences are joined and set.

use super::{
    draw, synonym,
    vocabulary::{Person, WORDS},
};
use crate::model::random::SplitMix;

/// The sentences of a text.
pub(super) fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (at, pair) in text.as_bytes().windows(2).enumerate() {
        let so_far = &text[start..=at];
        let title = ["Mr.", "Mrs.", "Ms.", "Dr.", "a.m.", "p.m.", "St."];
        if matches!(pair, b". " | b"? " | b"! ") && !title.iter().any(|one| so_far.ends_with(one)) {
            sentences.push(so_far.trim().to_owned());
            start = at + 1;
        }
    }
    sentences.push(text[start..].trim().to_owned());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// The question's text, sometimes set as if a program had cut it into words.
pub(super) fn finish(mut sentences: Vec<String>, random: &mut SplitMix) -> String {
    for sentence in &mut sentences {
        *sentence = polished(sentence);
    }
    let text = synonym::vary(&sentences.join(" "), random);
    match draw::below(random, 100) {
        0..4 => text
            .replace(". ", " . ")
            .replace("? ", " ? ")
            .replace('?', " ?")
            .replace('$', "$ ")
            .replace("  ", " "),
        4..7 => sentences_apart(&text),
        7 => text.trim_end_matches(['?', '.']).to_owned() + ".",
        8..11 => uncapitalised(&text),
        _ => text,
    }
}

fn sentences_apart(text: &str) -> String {
    sentences(text).join("  ")
}

/// With capitals only at the start of the whole text and in names, as carelessly typed texts are.
fn uncapitalised(text: &str) -> String {
    let named = |first: &str| {
        let name = first.trim_end_matches("'s");
        let lists = ["day", "month", "city"];
        let listed = lists.iter().any(|list| WORDS.lists[list].contains(&name));
        let is_first = |person: &Person| person.first.split(' ').next() == Some(name);
        listed || WORDS.people.iter().any(is_first)
    };
    let each = sentences(text).into_iter().enumerate().map(|(at, one)| {
        let first = one.split([' ', ',']).next().unwrap_or("");
        let keeps = at == 0 || first == "I" || named(first);
        if keeps { one } else { small(&one) }
    });
    each.collect::<Vec<String>>().join(" ")
}

/// A quarter of the time, "He eats 3. How many are left?" becomes "If he eats 3, how many are left?".
pub(super) fn condition(sentences: &mut Vec<String>, random: &mut SplitMix) {
    if !draw::chance(random, 0.25) {
        return;
    }
    for sentence in sentences.iter_mut() {
        *sentence = polished(sentence);
    }

    const OPENERS: [&str; 17] = [
        "He", "She", "They", "Each", "Every", "There", "It", "The", "Her", "His", "One", "Half",
        "A", "An", "Their", "Both", "All",
    ];
    let [.., statement, question] = sentences.as_slice() else {
        return;
    };
    let (Some(first), Some(body)) = (statement.split(' ').next(), statement.strip_suffix('.'))
    else {
        return;
    };
    let asks = question.starts_with("How ") && !question.contains(" if ");
    let named = WORDS.people.iter().any(|person| person.first == first);
    let unfit = body.contains(" so ")
        || body.starts_with("If ")
        || body.contains(';')
        || ["Then", "Later"].iter().any(|word| body.contains(word));
    if !(named || OPENERS.contains(&first)) || !asks || unfit {
        return;
    }
    let body = if named { body.to_owned() } else { small(body) };
    let joined = format!("If {body}, {}", small(question));
    sentences.truncate(sentences.len() - 2);
    sentences.push(joined);
}

fn small(text: &str) -> String {
    text[..1].to_lowercase() + &text[1..]
}

/// A sentence without the gaps of slots left empty, with its articles and its capital.
pub(super) fn polished(sentence: &str) -> String {
    let mut words: Vec<&str> = sentence.split_whitespace().collect();
    for at in 1..words.len() {
        // A decimal may turn out to be one: "1 mile".
        let ones = UNITS.iter().find(|unit| **unit == words[at]);
        if let (Some(unit), "1") = (ones, words[at - 1]) {
            words[at] = &unit[..unit.len() - 1];
        }
    }
    let mut text = articles(&words.join(" "));
    for mark in [".", ",", "?", "!"] {
        text = text.replace(&format!(" {mark}"), mark);
    }
    capital(&text)
}

const UNITS: [&str; 9] = [
    "miles",
    "cups",
    "pounds",
    "gallons",
    "liters",
    "kilometers",
    "meters",
    "yards",
    "hours",
];

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

/// "a" or "an", by the sound of the next word.
fn articles(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in 1..words.len() {
        let vowel = starts_with_vowel(&words[at]);
        let article = match words[at - 1].as_str() {
            "a" if vowel => "an",
            "A" if vowel => "An",
            "an" if !vowel => "a",
            "An" if !vowel => "A",
            _ => continue,
        };
        words[at - 1] = article.to_owned();
    }
    words.join(" ")
}

fn starts_with_vowel(word: &str) -> bool {
    const CONSONANTS: [&str; 7] = ["uni", "use", "one", "eu", "usu", "ukulele", "ute"];
    let word = word.to_lowercase();
    let number = word
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or("");
    if !number.is_empty() {
        return number.starts_with('8') || number == "11" || number == "18";
    }
    word.starts_with(['a', 'e', 'i', 'o', 'u'])
        && !CONSONANTS.iter().any(|one| word.starts_with(one))
        || word.starts_with("hour")
        || word.starts_with("honest")
}
