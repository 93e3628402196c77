//! Units of measure and currencies.
//!
//! The rule: a unit on one side only is ignored, because benchmarks drop and keep units at will. Two
//! known units of the same kind are converted (`100 cm` is `1 m`); two known units of different kinds
//! make the answers different; a unit that is not known (`apples`, `ways`) is ignored.

use std::fmt;

/// A unit after an amount.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unit {
    /// As written, in lower case.
    pub name: String,
    /// What it measures and its size in the smallest unit of that kind; `None` where not known.
    pub known: Option<(Kind, Scale)>,
}

/// What a unit measures, with the power of a length: `(Length, 2)` is an area.
pub(super) type Kind = (Quantity, u32);

/// A factor as a fraction of whole numbers.
pub(super) type Scale = (u64, u64);

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Length,
    Mass,
    Time,
    Dollar,
    Euro,
    Pound,
    Volume,
    Angle,
    Speed,
    Clock,
}

/// Names (singular and plural, short and long), what they measure, and their size. Lengths are in
/// hundredths of a millimetre, masses in hundred-thousandths of a gram, times in seconds, money in
/// cents, volumes in millilitres: all chosen so that conversions are exact. Letters that are also
/// variables (`m`, `g`, `s`, `h`, `l`) count as units only inside `\text{}` and the like.
const UNITS: &[(&[&str], Quantity, Scale)] = &[
    (
        &[
            "mm",
            "millimeter",
            "millimeters",
            "millimetre",
            "millimetres",
        ],
        Quantity::Length,
        (100, 1),
    ),
    (
        &[
            "cm",
            "centimeter",
            "centimeters",
            "centimetre",
            "centimetres",
        ],
        Quantity::Length,
        (1_000, 1),
    ),
    (
        &["m", "meter", "meters", "metre", "metres"],
        Quantity::Length,
        (100_000, 1),
    ),
    (
        &["km", "kilometer", "kilometers", "kilometre", "kilometres"],
        Quantity::Length,
        (100_000_000, 1),
    ),
    (&["in", "inch", "inches"], Quantity::Length, (2_540, 1)),
    (&["ft", "foot", "feet"], Quantity::Length, (30_480, 1)),
    (
        &["yd", "yds", "yard", "yards"],
        Quantity::Length,
        (91_440, 1),
    ),
    (&["mi", "mile", "miles"], Quantity::Length, (160_934_400, 1)),
    (&["mg", "milligram", "milligrams"], Quantity::Mass, (100, 1)),
    (&["g", "gm", "gram", "grams"], Quantity::Mass, (100_000, 1)),
    (
        &["kg", "kgs", "kilogram", "kilograms"],
        Quantity::Mass,
        (100_000_000, 1),
    ),
    (
        &["lb", "lbs", "pound", "pounds"],
        Quantity::Mass,
        (45_359_237, 1),
    ),
    (&["oz", "ounce", "ounces"], Quantity::Mass, (45_359_237, 16)),
    (
        &["s", "sec", "secs", "second", "seconds"],
        Quantity::Time,
        (1, 1),
    ),
    (
        &["min", "mins", "minute", "minutes"],
        Quantity::Time,
        (60, 1),
    ),
    (
        &["h", "hr", "hrs", "hour", "hours"],
        Quantity::Time,
        (3_600, 1),
    ),
    (&["day", "days"], Quantity::Time, (86_400, 1)),
    (&["week", "weeks"], Quantity::Time, (604_800, 1)),
    (&["cent", "cents"], Quantity::Dollar, (1, 1)),
    (
        &["$", "dollar", "dollars", "usd", "bucks"],
        Quantity::Dollar,
        (100, 1),
    ),
    (&["€", "euro", "euros"], Quantity::Euro, (1, 1)),
    (&["£"], Quantity::Pound, (1, 1)),
    (
        &[
            "ml",
            "milliliter",
            "milliliters",
            "millilitre",
            "millilitres",
        ],
        Quantity::Volume,
        (1, 1),
    ),
    (
        &["l", "liter", "liters", "litre", "litres"],
        Quantity::Volume,
        (1_000, 1),
    ),
    (&["degree", "degrees", "deg"], Quantity::Angle, (1, 1)),
    (&["mph"], Quantity::Speed, (160_934_400, 3_600)),
    (&["kmh", "kph"], Quantity::Speed, (100_000_000, 3_600)),
    (&["am"], Quantity::Clock, (1, 1)),
    (&["pm"], Quantity::Clock, (2, 1)),
];

/// Whether a bare word of plain text after a number is a unit and not a product of variables.
pub(super) fn is_unit_word(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    lower.len() > 1
        && UNITS
            .iter()
            .any(|(names, ..)| names.contains(&lower.as_str()))
        || [
            "sq", "cu", "th", "st", "nd", "rd", "gal", "pts", "rad", "hz", "rpm",
        ]
        .contains(&lower.as_str())
}

impl Unit {
    /// Reads the words after an amount; `power` is that of a written exponent, `cm^2`.
    pub fn read(words: &str, power: u32) -> Self {
        let name = words.trim().to_lowercase();
        let undotted = name.replace('.', "");
        let mut power = power;
        let mut known = None;
        for word in undotted.split(|c: char| !(c.is_alphanumeric() || "$€£".contains(c))) {
            match word {
                "" | "us" | "and" => {}
                "square" | "sq" | "2" => power = 2,
                "cubic" | "cu" | "3" => power = 3,
                // A rate: the first unit alone would compare km/h with km.
                "per" | "an" | "a" | "each" => {
                    known = None;
                    break;
                }
                _ => {
                    let found = UNITS.iter().find(|(names, ..)| names.contains(&word));
                    if let (None, Some((_, quantity, scale))) = (known, found) {
                        known = Some((*quantity, *scale));
                    } else {
                        known = None;
                        break;
                    }
                }
            }
        }
        if name.contains('/') {
            known = None;
        }
        let known = known.map(|(quantity, (above, below))| {
            (
                (quantity, power),
                (above.saturating_pow(power), below.saturating_pow(power)),
            )
        });
        Self { name, known }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
