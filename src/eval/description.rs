//! What makes two runs the same run: `run.json`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{answer::Rule, problem::Problem};

/// What makes two runs the same run; `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Version of this crate.
    pub version: String,
    /// The benchmark.
    pub benchmark: String,
    /// Problems asked for, those of other shards included.
    pub problems: usize,
    /// SHA-256 of their ids, texts and references, in hexadecimal.
    pub problems_sha256: String,
    /// Id and gold answer of the rows that were left out because that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<(String, String)>,
    /// Which of the problems this run solves, where it does not solve all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// How answers are found and compared.
    pub answers: Rule,
    /// Role, name and SHA-256 of each model.
    pub models: Vec<(String, String, String)>,
    /// Role and number of parameters of each model, where known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<(String, u64)>,
    /// Candidates per problem.
    pub samples: usize,
    /// How the reasoner draws.
    pub sampling: String,
    /// Whether candidates are the same, bit by bit, in any company.
    #[serde(default)]
    pub deterministic: bool,
    /// Selector and filter by which the traces' own answers were chosen.
    pub rule: String,
    /// Where every random choice came from.
    pub seed: u64,
}

impl Description {
    /// Whether both are of the same run. Models are known by what is in them, wherever they lie.
    pub fn is_same(&self, other: &Self) -> bool {
        self.nameless() == other.nameless()
    }

    fn nameless(&self) -> Self {
        let mut nameless = self.clone();
        nameless
            .models
            .iter_mut()
            .for_each(|(_, name, _)| name.clear());
        nameless
    }

    /// How many problems this run solves, those of other shards left out.
    pub fn problems_to_solve(&self) -> usize {
        let holds = |place: &usize| self.shard.is_none_or(|shard| shard.holds(*place));
        (0..self.problems).filter(holds).count()
    }
}

/// Every n-th problem, so that n machines share a run; written `i/n`, i from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// Which one, from 1.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// Whether the problem at this place, from 0, is the shard's.
    pub fn holds(self, place: usize) -> bool {
        place % self.of == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let shard = parts.and_then(|(index, of)| {
            let (index, of) = (index.parse().ok()?, of.parse().ok()?);
            Some(Self { index, of })
        });
        shard
            .filter(|shard| (1..=shard.of).contains(&shard.index))
            .ok_or_else(|| "it must be i/n with i from 1 to n, as in 2/4".to_owned())
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        format!("{}/{}", shard.index, shard.of)
    }
}

/// SHA-256 of the problems' ids, texts and references, in hexadecimal.
pub fn problems_sha256(problems: &[Problem]) -> String {
    let mut hash = Sha256::new();
    for Problem {
        question,
        reference,
    } in problems
    {
        let parts = [&question.id, &question.text, &reference.answer];
        for part in parts.into_iter().chain(&reference.tests) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    format!("{:x}", hash.finalize())
}

/// The first field in which two descriptions differ, and what it is in each.
pub(super) fn difference(left: &Description, right: &Description) -> (String, String, String) {
    let fields = |of: &Description| match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let pairs = left.models.iter().zip(&right.models);
    let mut other = pairs.filter(|(one, two)| (&one.0, &one.2) != (&two.0, &two.2));
    if let Some((one, two)) = other.next().filter(|(one, two)| one.0 == two.0) {
        let named = |(_, name, sha256): &(String, String, String)| {
            format!("{name} (SHA-256 {}...)", sha256.get(..8).unwrap_or(sha256))
        };
        return (one.0.clone(), named(one), named(two));
    }
    let (left, right) = (fields(&left.nameless()), fields(&right.nameless()));
    let differs = |key: &&String| left.get(*key) != right.get(*key);
    let key = left.keys().chain(right.keys()).find(differs);
    let key = key.cloned().unwrap_or_default();
    let value =
        |of: &Map<String, Value>| of.get(&key).map_or("nothing".to_owned(), Value::to_string);
    (key.clone(), value(&left), value(&right))
}
