//! Fills the slots of a piece's text: who, what, where and how many, the same all through a story.

use std::collections::HashMap;

use super::{
    chain::Operand,
    draw,
    grammar::Number,
    number::{Value, decimal, evaluate, parse},
    vocabulary::{Person, Thing, WORDS, forms, plural},
};
use crate::model::random::SplitMix;

/// What is settled about a story so far.
pub(super) struct Scene<'r> {
    pub random: &'r mut SplitMix,
    /// Told in the past tense.
    past: bool,
    /// Small numbers are spelled out.
    spelled: bool,
    /// Thousands are set apart.
    commas: bool,
    /// How much larger than usual the numbers are.
    scale: i64,
    people: HashMap<char, Person>,
    named: Vec<String>,
    things: HashMap<&'static str, Thing>,
    boxes: HashMap<&'static str, (String, String)>,
    picks: HashMap<String, String>,
    verbs: HashMap<String, [&'static str; 3]>,
    /// Which of the alternatives `[=this|that]` a piece chose, the same at each place.
    pub link: Option<usize>,
    pub numbers: HashMap<&'static str, (Value, Operand)>,
    /// The numbers that the question tells.
    pub shown: Vec<Value>,
    /// Whether what is told now is the solution: all numbers are plain digits.
    pub solving: bool,
}

impl<'r> Scene<'r> {
    pub(super) fn new(random: &'r mut SplitMix) -> Self {
        let scale = *draw::weighted(random, &[(84, 1), (9, 3), (5, 10), (2, 30)], |one| one.0);
        Self {
            past: draw::chance(random, 0.6),
            spelled: draw::chance(random, 0.1),
            commas: draw::chance(random, 0.5),
            scale: scale.1,
            random,
            people: HashMap::new(),
            named: Vec::new(),
            things: HashMap::new(),
            boxes: HashMap::new(),
            picks: HashMap::new(),
            verbs: HashMap::new(),
            link: None,
            numbers: HashMap::new(),
            shown: Vec::new(),
            solving: false,
        }
    }

    /// Forgets what only the last piece of a thread spoke of.
    pub(super) fn turn(&mut self) {
        self.numbers.retain(|name, _| *name == "T");
        self.people.retain(|name, _| *name == 'P');
        self.things.retain(|name, _| *name == "x");
        self.picks.clear();
        self.boxes.clear();
        self.verbs.clear();
    }

    /// Settles what `name` is: of a class, `like x`, or a container `in x`.
    pub(super) fn choose(&mut self, name: &'static str, class: &'static str) -> Option<()> {
        if let Some(other) = class.strip_prefix("in ") {
            let class = &WORDS.classes[self.things.get(other)?.class];
            let boxes = draw::one(self.random, &class.containers).clone();
            self.boxes.insert(name, boxes);
            return Some(());
        }
        if let Some(thing) = self.things.get(name) {
            return WORDS.is(thing, class).then_some(());
        }
        let like = class
            .strip_prefix("like ")
            .map(|other| self.things.get(other));
        let fits = |thing: &&Thing| match like {
            Some(other) => other.is_some_and(|other| other.class == thing.class),
            None => WORDS.is(thing, class),
        };
        let fresh = |thing: &&Thing| self.things.values().all(|other| other.many != thing.many);
        // Classes are alike however many words they have.
        let fitting: Vec<&Thing> = WORDS.things.iter().filter(fits).filter(fresh).collect();
        let mut classes: Vec<usize> = fitting.iter().map(|thing| thing.class).collect();
        classes.dedup();
        if classes.is_empty() {
            return None;
        }
        let class = *draw::one(self.random, &classes);
        let of_class: Vec<&Thing> = fitting
            .into_iter()
            .filter(|thing| thing.class == class)
            .collect();
        let thing = (*draw::one(self.random, &of_class)).clone();
        self.things.insert(name, thing);
        Some(())
    }

    /// Draws a number; none where the story's conditions do not hold.
    pub(super) fn settle(&mut self, number: &Number) -> Option<()> {
        let (name, value) = match *number {
            Number::Range(name, low, high, multiple, scales) => {
                let scale = if scales { self.scale } else { 1 };
                let mut low = self.value(low)?.ceil().to_integer();
                let high = self.value(high)?.floor().to_integer() * scale;
                if scale > 1 {
                    low = low.max(high / 5);
                }
                let (low, high) = ((low + multiple - 1) / multiple, high / multiple);
                let count = usize::try_from(high - low + 1)
                    .ok()
                    .filter(|count| *count > 0)?;
                // Small numbers are a little more common.
                let at = (self.random.unit().powf(1.2) * count as f64) as i64;
                (name, Value::from((low + at) * multiple))
            }
            Number::Price(name, low, high) => (
                name,
                self.between(low, high, &[100, 100, 100, 100, 100, 50, 50, 25, 5, 1])?,
            ),
            Number::Decimal(name, low, high) => {
                (name, self.between(low, high, &[100, 10, 10, 10, 10, 1])?)
            }
            Number::Divisor(name, of, low, high) => {
                let of = self.value(of).filter(Value::is_integer)?.to_integer();
                let (low, high) = (
                    self.value(low)?.ceil().to_integer(),
                    self.value(high)?.floor().to_integer(),
                );
                let divisors: Vec<i64> = (low..=high)
                    .filter(|by| of % by == 0 && of != *by)
                    .collect();
                if divisors.is_empty() {
                    return None;
                }
                (name, Value::from(*draw::one(self.random, &divisors)))
            }
            Number::Derived(name, value) => (name, self.value(value)?),
            Number::Greater(greater, less) => {
                return (self.value(greater)? > self.value(less)?).then_some(());
            }
        };
        self.numbers.insert(name, (value, Operand::Number(value)));
        Some(())
    }

    /// A multiple of one of `grains` hundredths.
    fn between(&mut self, low: &str, high: &str, grains: &[i64]) -> Option<Value> {
        let grain = *draw::one(self.random, grains);
        let low = (self.value(low)? * 100 / grain).ceil().to_integer();
        let high = (self.value(high)? * 100 / grain).floor().to_integer();
        let count = usize::try_from(high - low + 1)
            .ok()
            .filter(|count| *count > 0)?;
        Some(Value::new(
            (low + draw::below(self.random, count) as i64) * grain,
            100,
        ))
    }

    /// Whether this person is in the story.
    pub(super) fn has(&self, letter: char) -> bool {
        self.people.contains_key(&letter)
    }

    pub(super) fn value(&self, text: &str) -> Option<Value> {
        evaluate(text, &|name| {
            self.numbers.get(name).map(|(value, _)| *value)
        })
    }

    /// A step's operand: a name or a number.
    pub(super) fn operand(&self, word: &str) -> Option<Operand> {
        let known = self.numbers.get(word).map(|(_, operand)| *operand);
        known.or_else(|| parse(word).map(Operand::Number))
    }

    /// The text with its choices made and its slots filled.
    pub(super) fn expand(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['[', '<', '{']) {
            out += &rest[..at];
            let end = at + closing(&rest[at..]);
            let inner = &rest[at + 1..end];
            match rest.as_bytes()[at] {
                b'[' => {
                    let (linked, inner) = match inner.strip_prefix('=') {
                        Some(inner) => (true, inner),
                        None => (false, inner),
                    };
                    let choices = alternatives(inner);
                    let mut at = draw::below(self.random, choices.len());
                    if linked {
                        at = *self.link.get_or_insert(at) % choices.len();
                    }
                    out += &self.expand(choices[at]);
                }
                b'<' => {
                    let choices = alternatives(inner);
                    let choice = choices[usize::from(self.past) % choices.len()];
                    out += &self.expand(choice);
                }
                _ => {
                    let spelled = self.spelled;
                    // No "1/four", no "two/3" and no "$four".
                    let digits = out.ends_with(['/', '$']) || rest[end + 1..].starts_with('/');
                    self.spelled &= !digits;
                    out += &self.slot(inner);
                    self.spelled = spelled;
                }
            }
            rest = &rest[(end + 1).min(rest.len())..];
        }
        out + rest
    }

    fn slot(&mut self, name: &str) -> String {
        if let Some(money) = name.strip_prefix('$') {
            return self.told(money, true);
        }
        if let Some(noun) = name.strip_prefix('#') {
            let (one, many) = self.noun(noun);
            return format!("\u{1}{one}\u{2}{many}\u{3}");
        }
        if let Some((number, noun)) = name.split_once(':') {
            let is_one = self.value(number) == Some(Value::from(1));
            let (one, many) = self.noun(noun);
            let noun = if is_one { one } else { many };
            return format!("{} {noun}", self.told(number, false));
        }
        if self.numbers.contains_key(name) {
            return self.told(name, false);
        }
        if let Some(text) = self.person(name) {
            return text;
        }
        let (key, form) = name.split_once('/').unwrap_or((name, ""));
        let noun = self.things.get(key).map(|thing| (&thing.one, &thing.many));
        let noun = noun.or_else(|| self.boxes.get(key).map(|(one, many)| (one, many)));
        if let Some((one, many)) = noun {
            return match form {
                "1" => one.clone(),
                "a" => format!("a {one}"),
                _ => many.clone(),
            };
        }
        if let Some(verb) = self.verb(key, form) {
            return verb.to_owned();
        }
        let Some(word) = self.pick(key) else {
            return format!("{{{name}}}");
        };
        let (one, many) = forms(&word);
        match form {
            "s" => many,
            "a" => format!("a {one}"),
            _ => one,
        }
    }

    /// A number as the question tells it.
    fn told(&mut self, name: &str, money: bool) -> String {
        let Some(value) = self.value(name) else {
            return format!("{{{name}}}");
        };
        if self.solving {
            return decimal(value);
        }
        self.shown.push(value);
        if money {
            return self.price(value);
        }
        const WORDS: [&str; 11] = [
            "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
            "twelve",
        ];
        let small = (value.is_integer()).then(|| usize::try_from(value.to_integer() - 2).ok());
        match small.flatten().and_then(|at| WORDS.get(at)) {
            Some(word) if self.spelled && draw::chance(self.random, 0.7) => (*word).to_owned(),
            _ => self.separated(decimal(value)),
        }
    }

    fn price(&mut self, value: Value) -> String {
        let text = self.separated(decimal(value));
        if !value.is_integer() {
            let cents = if text.rfind('.') == Some(text.len() - 2) {
                "0"
            } else {
                ""
            };
            return format!("${text}{cents}");
        }
        match draw::below(self.random, 12) {
            0 | 1 if value > Value::from(1) => format!("{text} dollars"),
            2 => format!("${text}.00"),
            _ => format!("${text}"),
        }
    }

    fn separated(&self, digits: String) -> String {
        let whole = digits.find('.').unwrap_or(digits.len());
        if self.commas && (4..=6).contains(&whole) {
            format!("{},{}", &digits[..whole - 3], &digits[whole - 3..])
        } else {
            digits
        }
    }

    /// Singular and plural of a thing's name or of a word.
    fn noun(&mut self, name: &str) -> (String, String) {
        if let Some(thing) = self.things.get(name) {
            return (thing.one.clone(), thing.many.clone());
        }
        if let Some(forms) = self.boxes.get(name) {
            return forms.clone();
        }
        match name.split_once('|') {
            Some((one, many)) => (one.to_owned(), many.to_owned()),
            None => (name.to_owned(), plural(name)),
        }
    }

    /// `{P}`, `{Q.his}`; without a name, a pronoun for `P`.
    fn person(&mut self, name: &str) -> Option<String> {
        let (who, form) = name.split_once('.').unwrap_or(match name {
            "he" | "his" | "him" | "himself" => ("P", name),
            _ => (name, ""),
        });
        let mut letters = who.chars();
        let letter = letters
            .next()
            .filter(|letter| letter.is_ascii_uppercase() && *letter != 'T')?;
        if letters.next().is_some() {
            return None;
        }
        let known = self.people.contains_key(&letter);
        if !known {
            let person = self.stranger(letter);
            self.named.push(person.later.clone());
            self.people.insert(letter, person);
        }
        let person = &self.people[&letter];
        let text = match (form, person.female) {
            ("", _) if known => &person.later,
            ("", _) => &person.first,
            ("he", true) => "she",
            ("his" | "him", true) => "her",
            ("himself", true) => "herself",
            (form, _) => form,
        };
        Some(text.to_owned())
    }

    /// Someone not yet in the story.
    fn stranger(&mut self, letter: char) -> Person {
        if let (Some(first), true) = (self.people.get(&'P'), letter == 'Q')
            && draw::chance(self.random, 0.15)
        {
            let (kin, female) = *draw::one(self.random, &WORDS.kin);
            let whose = if first.female { "her" } else { "his" };
            let name = format!("{whose} {kin}");
            return Person {
                first: name.clone(),
                later: name,
                female,
            };
        }
        let from = if letter == 'W' {
            &WORDS.workers
        } else {
            &WORDS.people
        };
        loop {
            let person = draw::one(self.random, from).clone();
            if !self.named.contains(&person.later) {
                return person;
            }
        }
    }

    /// `{get}` in the story's tense, `{get/0}` bare: how the class of `x` is got.
    fn verb(&mut self, key: &str, form: &str) -> Option<&'static str> {
        if !self.verbs.contains_key(key) {
            let class = &WORDS.classes[self.things.get("x")?.class];
            let verb = *draw::one(self.random, class.verbs.get(key)?);
            self.verbs.insert(key.to_owned(), verb);
        }
        let [base, present, past] = self.verbs[key];
        Some(match form {
            "0" => base,
            "ed" => past,
            _ if self.past => past,
            _ => present,
        })
    }

    /// A word of a list; `{color1}` and `{color2}` differ, and each stays what it is.
    fn pick(&mut self, name: &str) -> Option<String> {
        if let Some(known) = self.picks.get(name) {
            return Some(known.clone());
        }
        let mut key = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
        // Sandwiches differ in other ways.
        let colored = |thing: &Thing| WORDS.is(thing, "colored");
        if key == "color" && !self.things.get("x").is_none_or(colored) {
            key = "kind";
        }
        let list = WORDS.lists.get(key)?;
        let taken: Vec<&String> = self.picks.values().collect();
        let free: Vec<&&str> = list
            .iter()
            .filter(|word| !taken.iter().any(|one| one == *word))
            .collect();
        if free.is_empty() {
            return None;
        }
        let word = (**draw::one(self.random, &free)).to_owned();
        self.picks.insert(name.to_owned(), word.clone());
        Some(word)
    }
}

/// Where the bracket that opens `text` is closed.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    let closed = text.char_indices().find(|(_, symbol)| {
        match symbol {
            '[' | '<' | '{' => depth += 1,
            ']' | '>' | '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    closed.map_or(text.len() - 1, |(at, _)| at)
}

/// The parts between the bars that are in no inner bracket.
fn alternatives(text: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0, 0);
    let mut parts = Vec::new();
    for (at, symbol) in text.char_indices() {
        match symbol {
            '[' | '<' | '{' => depth += 1,
            ']' | '>' | '}' => depth -= 1,
            '|' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}
