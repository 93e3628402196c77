//! The one error type of the library.
//!
//! A message says what was wrong with which file, row or number, and where it helps, what to do.
//! What goes wrong with a *candidate* (its program raises, its answer cannot be read) is not an
//! error but a value: see [`crate::trace::Outcome`] and [`crate::trace::Verdict`].

use std::{
    io,
    path::{Path, PathBuf},
};

/// `std::result::Result` with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can end a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One line of a data file does not say what it must.
    #[error("{}, line {line}: {reason}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A model file is missing, damaged or of a kind that cannot be used.
    #[error("model {model}: {reason}")]
    Model {
        /// The model as the user named it.
        model: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A file of a model hub that cannot be had.
    #[error("{file}: {reason}")]
    Hub {
        /// The file, as `hf:OWNER/NAME/FILE@REVISION`.
        file: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A prompt and its continuation do not fit the model's context.
    #[error(
        "the text is too long for model {model}: {needed} tokens, its context allows {allowed}"
    )]
    Context {
        /// The model as the user named it.
        model: String,
        /// Tokens of the prompt and what must follow it.
        needed: usize,
        /// Tokens the context holds.
        allowed: usize,
    },
    /// A question that cannot be asked.
    #[error("question {id}: {reason}")]
    Question {
        /// The question's id.
        id: String,
        /// Why not.
        reason: String,
    },
    /// A name that is not known: a benchmark, a model, an option's value.
    #[error("unknown {what} {name:?}; known: {known}")]
    Unknown {
        /// What kind of thing was named.
        what: &'static str,
        /// The name given.
        name: String,
        /// The names that would have done.
        known: String,
    },
    /// Options that contradict each other or the files they meet.
    #[error("{0}")]
    Options(String),
    /// Work that was given up half-way because whoever asked for it said so.
    #[error("it was interrupted")]
    Interrupted,
    /// The sandbox itself is broken (a program that fails is an `Outcome`, not this).
    #[error("sandbox: {0}")]
    Sandbox(String),
}

impl Error {
    /// For `map_err`: this file could not be read.
    pub(crate) fn read(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Read {
            path: path.clone(),
            source,
        }
    }

    /// For `map_err`: this file could not be written.
    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Write {
            path: path.clone(),
            source,
        }
    }
}

/// What a JSON or TOML reader said, in the user's words instead of Rust's names of types.
pub(crate) fn in_words(source: &dyn std::fmt::Display) -> String {
    let text = source.to_string();
    let kinds = [
        (
            r"\bu(?:8|16|32|64|128|size)\b",
            "a whole number of at least 0",
        ),
        (r"\bi(?:8|16|32|64|128|size)\b", "a whole number"),
        (r"\bf(?:32|64)\b", "a number"),
        (r"\b(?:a )?sequence\b", "a list"),
        (
            r"\b(?:(?:a )?map|(?:internally tagged enum|struct|enum|tuple struct) \w+(?: with \d+ elements?)?)",
            "an object",
        ),
        (r"\b(?:borrowed )?string\b", "text"),
        (r"\ba text\b", "text"),
        (
            r"data did not match any variant of untagged \w+(?: \w+)?",
            "this value cannot be read",
        ),
    ];
    // What stands in quotes is the user's own and stays.
    let quoted = regex::Regex::new(r#""(?:[^"\\]|\\.)*""#).expect("the pattern is valid");
    let said = |part: &str| {
        let mut words = part.to_owned();
        for (name, word) in kinds {
            let pattern = regex::Regex::new(name).expect("the patterns are valid");
            words = pattern.replace_all(&words, word).into_owned();
        }
        words
    };
    let mut words = String::new();
    let mut end = 0;
    for own in quoted.find_iter(&text) {
        words += &said(&text[end..own.start()]);
        words += own.as_str();
        end = own.end();
    }
    words + &said(&text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{task::Benchmark, trace::Trace};

    #[test]
    fn what_readers_say_holds_no_rust_and_what_is_quoted_stays() {
        let json = [
            r#"{"id": 3}"#,
            r#"[]"#,
            r#"{"id": "x", "seed": -1}"#,
            "3",
            "{",
        ];
        let of_json = json
            .iter()
            .map(|text| in_words(&serde_json::from_str::<Trace>(text).unwrap_err()));
        let toml = [
            "name = 3",
            "fields = 3",
            "[[fields]]",
            "task = \"chess\"",
            "x",
        ];
        let of_toml = toml
            .iter()
            .map(|text| in_words(&toml::from_str::<Benchmark>(text).unwrap_err().message()));
        let names = regex::Regex::new(
            r"\b([iuf](8|16|32|64|size)|struct|enum|usize|Option|Vec|sequence|map|variant)\b",
        )
        .unwrap();
        for said in of_json.chain(of_toml) {
            assert!(
                !said.contains("unknown variant") || said.contains("expected"),
                "{said}"
            );
            let said = said.replace("unknown variant", "unknown");
            assert!(!names.is_match(&said), "{said}");
        }
        let wrong = serde_json::from_str::<Vec<f64>>(r#"["high"]"#).unwrap_err();
        assert_eq!(
            in_words(&wrong),
            "invalid type: text \"high\", expected a number at line 1 column 7"
        );
        let quoted = serde_json::from_str::<u8>(r#""a map of i32 \"usize\"""#).unwrap_err();
        assert_eq!(
            in_words(&quoted),
            r#"invalid type: text "a map of i32 \"usize\"", expected a whole number of at least 0 at line 1 column 24"#
        );
    }
}
