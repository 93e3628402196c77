//! Whether test questions stand among training questions, reworded or not: the check of Orca-Math
//! (arXiv 2402.14830, section on contamination).
//!
//! In: two lists of questions. Out: for each test question that is too close to a training question,
//! the closest one. Texts are lower-cased, punctuation and stop words go, and what is left is
//! compared twice: the ten nearest training questions by cosine of TF-IDF are sought with an
//! inverted index, and of these the n-grams in common are counted (Jaccard).
//!
//! It finds copies and light edits. A paraphrase in other words it finds only where most of the
//! words stay; `eval/README.md` says how many.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    path::Path,
};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::rows;
use crate::{error::Result, jsonl::row_error, model::replay::plain};

/// How close is too close.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Words of an n-gram.
    pub ngram: usize,
    /// Share of n-grams in common from which a question counts as found.
    pub threshold: f64,
    /// Training questions compared with each test question.
    pub neighbours: usize,
}

impl Default for Options {
    /// Orca-Math's.
    fn default() -> Self {
        Self {
            ngram: 1,
            threshold: 0.5,
            neighbours: 10,
        }
    }
}

/// A test question that stands among the training questions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// Its index.
    pub test: usize,
    /// The training question's.
    pub train: usize,
    /// N-grams that both have, over n-grams that either has.
    pub overlap: f64,
    /// Cosine of their TF-IDF vectors.
    pub cosine: f64,
}

/// Finds the test questions that stand among the training questions, by index.
///
/// # Panics
/// Where there are more than 2^32 training questions.
pub fn contamination(train: &[String], test: &[String], options: &Options) -> Vec<Hit> {
    // 1. Words, as numbers.
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut number = |text: &String| -> Vec<u32> {
        let mut of = |word| {
            let next = u32::try_from(numbers.len()).expect("a vocabulary is smaller than 2^32");
            *numbers.entry(word).or_insert(next)
        };
        words(text).into_iter().map(&mut of).collect()
    };
    let train: Vec<Vec<u32>> = train.iter().map(&mut number).collect();
    let test: Vec<Vec<u32>> = test.iter().map(&mut number).collect();

    // 2. Who holds a word, and how much it weighs there.
    let index = Index::new(&train, &test, numbers.len());

    // 3. The nearest, and what they have in common.
    let found = test.par_iter().enumerate().map_init(
        || vec![0.0; train.len()],
        |cosines, (place, words)| {
            let grams = grams(words, options.ngram);
            let nearest = index.nearest(words, options.neighbours, cosines);
            let hits = nearest.into_iter().map(|(near, cosine)| Hit {
                test: place,
                train: near,
                overlap: jaccard(&grams, &self::grams(&train[near], options.ngram)),
                cosine,
            });
            // Of equals the nearer, then the earlier.
            let best = hits.max_by(|a, b| {
                let by = |hit: &Hit| (hit.overlap, hit.cosine);
                by(a)
                    .partial_cmp(&by(b))
                    .expect("shares are numbers")
                    .then(b.train.cmp(&a.train))
            });
            best.filter(|hit| hit.overlap >= options.threshold)
        },
    );
    found.collect::<Vec<_>>().into_iter().flatten().collect()
}

/// Reads the questions of a file of rows, with their line numbers. Several fields are joined;
/// without names, the first of [`FIELDS`] that a row has.
///
/// # Errors
/// A file that cannot be read or holds no row; a row that is not JSON or has no text in such fields.
pub fn questions(path: &Path, fields: &[String]) -> Result<Vec<(usize, String)>> {
    let question = |(line, row): (usize, Value)| {
        let has = |names: &[&str]| names.iter().all(|name| row.get(name).is_some());
        let given: Vec<&str> = fields.iter().map(String::as_str).collect();
        let names = match given.is_empty() {
            true => FIELDS.iter().find(|names| has(names)).copied(),
            false => Some(given.as_slice()).filter(|names| has(names)),
        };
        let names = names.ok_or_else(|| {
            let wanted = match fields {
                [] => "no field that holds a question".to_owned(),
                fields => format!("no field {}", fields.join(", ")),
            };
            let keys = row.as_object().filter(|row| !row.is_empty()).map(|row| {
                let keys: Vec<&str> = row.keys().map(String::as_str).collect();
                keys.join(", ")
            });
            row_error(
                path,
                line,
                match keys {
                    Some(keys) => format!("{wanted}; name one of {keys} as the field"),
                    None => {
                        format!("{wanted}: a row is an object such as {{\"question\": \"...\"}}")
                    }
                },
            )
        })?;
        let texts: Vec<String> = names.iter().map(|name| plain(&row[*name])).collect();
        let text = texts.join(" ");
        match text.trim().is_empty() {
            true => Err(row_error(
                path,
                line,
                format!("{} holds no text", names.join(", ")),
            )),
            false => Ok((line, text)),
        }
    };
    let questions: Vec<_> = rows::read(path)?
        .into_iter()
        .map(question)
        .collect::<Result<_>>()?;
    match questions.is_empty() {
        true => Err(row_error(path, 1, "the file holds no question")),
        false => Ok(questions),
    }
}

/// Where questions stand in the sets that are in use, in the order they are looked for.
pub const FIELDS: &[&[&str]] = &[
    &["Body", "Question"],
    &["body", "question"],
    &["question"],
    &["problem"],
    &["text"],
    &["input"],
    &["prompt"],
];

/// TF-IDF vectors of the training questions, by word.
struct Index {
    /// For each word, the training questions that hold it and its weight there (unit vectors).
    holders: Vec<Vec<(u32, f32)>>,
    /// The inverse document frequency of each word.
    rarity: Vec<f32>,
}

impl Index {
    fn new(train: &[Vec<u32>], test: &[Vec<u32>], vocabulary: usize) -> Self {
        let mut documents = vec![0_u32; vocabulary];
        for words in train.iter().chain(test) {
            for word in words.iter().copied().collect::<HashSet<u32>>() {
                documents[word as usize] += 1;
            }
        }
        // ln((1 + N) / (1 + df)) + 1, as scikit-learn smooths it.
        let all = (1 + train.len() + test.len()) as f32;
        let rarity = documents
            .iter()
            .map(|&count| (all / (1 + count) as f32).ln() + 1.0);
        let mut index = Self {
            holders: vec![Vec::new(); vocabulary],
            rarity: rarity.collect(),
        };
        for (place, words) in train.iter().enumerate() {
            let place = u32::try_from(place).expect("there are fewer than 2^32 training questions");
            for (word, weight) in index.vector(words) {
                index.holders[word as usize].push((place, weight));
            }
        }
        index
    }

    /// A question's words and their weights, of length 1 together.
    fn vector(&self, words: &[u32]) -> Vec<(u32, f32)> {
        let mut counts: HashMap<u32, f32> = HashMap::new();
        for &word in words {
            *counts.entry(word).or_default() += 1.0;
        }
        let mut vector: Vec<(u32, f32)> = counts.into_iter().collect();
        vector.sort_unstable_by_key(|(word, _)| *word);
        vector
            .iter_mut()
            .for_each(|(word, weight)| *weight *= self.rarity[*word as usize]);
        let length = vector
            .iter()
            .map(|(_, weight)| weight * weight)
            .sum::<f32>()
            .sqrt();
        vector.iter_mut().for_each(|(_, weight)| *weight /= length);
        vector
    }

    /// The training questions with the largest cosines. `cosines` holds one zero for each of them,
    /// and does so again afterwards.
    fn nearest(&self, words: &[u32], count: usize, cosines: &mut [f32]) -> Vec<(usize, f64)> {
        let mut touched = Vec::new();
        for (word, weight) in self.vector(words) {
            for &(place, other) in &self.holders[word as usize] {
                let cosine = &mut cosines[place as usize];
                if *cosine == 0.0 {
                    touched.push(place);
                }
                *cosine += weight * other;
            }
        }
        let key = |place: &u32| (Reverse(cosines[*place as usize].to_bits()), *place);
        if touched.len() > count {
            // Cosines are positive here, so their bits are in their order.
            touched.select_nth_unstable_by_key(count, key);
            let rest = touched.split_off(count);
            let nearest = self::take(&touched, cosines);
            rest.iter().for_each(|place| cosines[*place as usize] = 0.0);
            return nearest;
        }
        self::take(&touched, cosines)
    }
}

/// The cosines of these places, which become zero.
fn take(places: &[u32], cosines: &mut [f32]) -> Vec<(usize, f64)> {
    let one = |place: &u32| {
        let cosine = std::mem::take(&mut cosines[*place as usize]);
        (*place as usize, f64::from(cosine))
    };
    places.iter().map(one).collect()
}

/// The n-grams of a question; a shorter question is one.
fn grams(words: &[u32], ngram: usize) -> HashSet<&[u32]> {
    match words.len() < ngram {
        true => HashSet::from([words]),
        false => words.windows(ngram).collect(),
    }
}

fn jaccard(a: &HashSet<&[u32]>, b: &HashSet<&[u32]>) -> f64 {
    let common = a.intersection(b).count();
    let all = a.len() + b.len() - common;
    common as f64 / all.max(1) as f64
}

/// The words that are compared: lower case, without punctuation and stop words. A number keeps its
/// decimal point and loses its thousands' commas; an apostrophe goes and joins what it parts.
fn words(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let digit = |place: usize| characters.get(place).is_some_and(char::is_ascii_digit);
    let mut words = vec![String::new()];
    for (place, &character) in characters.iter().enumerate() {
        let word = words.last_mut().expect("there is always one");
        match character {
            '\'' | '’' | '`' => {}
            '.' if place > 0 && digit(place - 1) && digit(place + 1) => word.push('.'),
            ',' if place > 0 && digit(place - 1) && digit(place + 1) => {}
            _ if character.is_alphanumeric() => word.push(character),
            _ if word.is_empty() => {}
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| !word.is_empty() && !STOP_WORDS.contains(&word.as_str()));
    words
}

/// Words that say nothing about what a question is about. Sorted by kind: articles and pointers,
/// pronouns, prepositions, conjunctions, auxiliaries, adverbs, questions' own words.
#[rustfmt::skip]
const STOP_WORDS: &[&str] = &[
    "a", "an", "the", "this", "that", "these", "those", "there", "here", "such", "same", "other",
    "another", "any", "some", "all", "both", "each", "every", "few", "more", "most", "much", "many",
    "no", "nor", "not", "only", "own", "one",
    "i", "me", "my", "mine", "myself", "we", "us", "our", "ours", "ourselves", "you", "your", "yours",
    "yourself", "he", "him", "his", "himself", "she", "her", "hers", "herself", "it", "its", "itself",
    "they", "them", "their", "theirs", "themselves", "who", "whom", "whose", "which", "what",
    "of", "in", "on", "at", "by", "for", "with", "from", "to", "into", "onto", "out", "off", "up",
    "down", "over", "under", "about", "against", "between", "among", "through", "during", "before",
    "after", "above", "below", "per", "as", "than", "within", "without",
    "and", "or", "but", "if", "because", "so", "while", "until", "when", "where", "why", "how",
    "then", "once", "since", "though", "whether",
    "am", "is", "are", "was", "were", "be", "been", "being", "do", "does", "did", "doing", "done",
    "has", "have", "had", "having", "can", "could", "will", "would", "shall", "should", "may",
    "might", "must", "let",
    "again", "also", "already", "just", "now", "still", "too", "very", "yet",
    "im", "ive", "youre", "hes", "shes", "theyre", "dont", "doesnt", "didnt", "isnt", "arent",
    "wasnt", "werent", "wont", "cant", "couldnt", "wouldnt",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(train: &[&str], test: &[&str], options: &Options) -> Vec<Hit> {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        contamination(&owned(train), &owned(test), options)
    }

    #[test]
    fn words_are_what_a_question_is_about() {
        assert_eq!(
            words("Janet’s 1,200 ducks cost $2.50 each; how MANY did she sell?"),
            ["janets", "1200", "ducks", "cost", "2.50", "sell"]
        );
        assert_eq!(words("?!"), [""; 0]);
    }

    #[test]
    fn copies_and_light_edits_are_found_and_others_not() {
        let train = [
            "Tom has 3 apples and buys 5 more apples. How many apples does Tom have?",
            "A train runs 60 miles in an hour. How far does it run in 4 hours?",
        ];
        let test = [
            "A TRAIN runs 60 miles in an hour; how far will it run in 4 hours",
            "Tom has 3 pears and buys 5 more pears. How many pears has Tom?",
            "Mary reads 12 pages a day.",
        ];
        let hits = found(&train, &test, &Options::default());
        assert_eq!(hits.len(), 2);
        assert_eq!((hits[0].test, hits[0].train), (0, 1));
        assert!(
            hits[0].overlap == 1.0 && (hits[0].cosine - 1.0).abs() < 1e-6,
            "{hits:?}"
        );
        // tom 3 buys 5 of tom 3 buys 5 apples pears.
        assert_eq!((hits[1].test, hits[1].train), (1, 0));
        assert_eq!(hits[1].overlap, 4.0 / 6.0);
        // Of 2-grams, only "tom 3" and "buys 5" are left of "tom 3 apples buys 5 apples apples tom".
        let pairs = Options {
            ngram: 2,
            ..Options::default()
        };
        assert_eq!(found(&train, &test, &pairs).len(), 1);
    }

    #[test]
    fn only_the_nearest_are_compared() {
        // Of the three, the first shares more words with the question than the others, but its many
        // words of its own put it last by cosine.
        let far = "zebra alpha beta gamma delta delta delta delta omega omega omega omega sigma sigma sigma sigma";
        let train = [far, "zebra alpha", "zebra beta"];
        let test = ["zebra alpha beta gamma"];
        let found = |neighbours| {
            let options = Options {
                neighbours,
                threshold: 0.0,
                ..Options::default()
            };
            found(&train, &test, &options)
        };
        assert_eq!((found(3)[0].train, found(3)[0].overlap), (0, 4.0 / 7.0));
        assert_ne!(found(2)[0].train, 0);
        assert_eq!(found(2)[0].overlap, 2.0 / 4.0);
        assert!(found(0).is_empty());
    }
}
