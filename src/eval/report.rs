//! Traces -> `summary.json`, `report.md` and `report.html`, without any model.
//!
//! In: the folders that `rerank eval` wrote. The page is one file that needs no network: its style,
//! its script and every candidate are inside.

mod markdown;
mod page;
mod plot;
pub mod wording;

use std::{collections::HashMap, path::Path};

use crate::{
    error::{Error, Result},
    file::{write_json, write_whole},
    trace::Trace,
};

use super::{
    description::Description,
    folder::{create_folder, read_description, read_traces},
    metrics::{
        self, Comparison, Graded, Parameters, SEED, Setting, Summary, Way, estimate::bootstrap,
        mcnemar,
    },
};

/// One run with its numbers.
pub struct Run {
    /// The name of its folder.
    pub name: String,
    /// What was run.
    pub description: Description,
    /// What came of it.
    pub traces: Vec<Trace>,
    /// The traces, graded.
    pub graded: Vec<Graded>,
    /// Its numbers.
    pub summary: Summary,
}

impl Run {
    /// Reads a run's folder and computes its numbers.
    ///
    /// # Errors
    /// A folder without `run.json` or without traces; files that cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let description = read_description(folder)?;
        let traces = read_traces(&folder.join("traces.jsonl"))?;
        if traces.is_empty() {
            return Err(Error::Options(format!(
                "{} holds no traces yet: no problem was finished",
                folder.display()
            )));
        }
        let all = description.problems_to_solve();
        if traces.len() > all {
            return Err(Error::Options(format!(
                "{} has traces of {} problems and run.json is of {all}: remove the lines that are \
                 another run's",
                folder.display(),
                traces.len()
            )));
        }
        Ok(Self::of(name(folder), description, traces))
    }

    /// Computes a run's numbers.
    pub fn of(name: String, description: Description, traces: Vec<Trace>) -> Self {
        let setting = setting(&description);
        let graded = metrics::grade(&traces, setting.rule);
        let summary = metrics::summarise(&traces, &graded, &setting);
        Self {
            name,
            description,
            traces,
            graded,
            summary,
        }
    }

    /// The ways of choosing that mean something for it.
    fn ways(&self) -> Vec<Way> {
        metrics::ways(&self.traces, self.description.answers)
    }

    /// Writes `summary.json`, `report.md` and `report.html` into a folder.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join("summary.json"), &self.summary)?;
        let runs = std::slice::from_ref(self);
        write_pages(runs, &[], folder)
    }
}

/// Writes `report.md` and `report.html` on several runs into a folder.
///
/// # Errors
/// A file that cannot be written.
pub fn write_together(runs: &[Run], folder: &Path) -> Result<()> {
    if folder.join("run.json").exists() {
        return Err(Error::Options(format!(
            "{} holds a run with a report of its own: use another --out",
            folder.display()
        )));
    }
    let comparisons = compare(runs);
    create_folder(folder)?;
    write_pages(runs, &comparisons, folder)
}

fn write_pages(runs: &[Run], comparisons: &[Comparison], folder: &Path) -> Result<()> {
    let pages = [
        ("report.md", markdown::report(runs, comparisons)),
        ("report.html", page::report(runs, comparisons)),
    ];
    for (name, text) in pages {
        write_whole(&folder.join(name), text)?;
    }
    Ok(())
}

/// Each run against the first, way by way, on the problems that both were asked: those with the
/// same id and text.
pub fn compare(runs: &[Run]) -> Vec<Comparison> {
    let Some((first, others)) = runs.split_first() else {
        return Vec::new();
    };
    let others = others.iter().flat_map(|other| {
        let shared = shared(first, other);
        let ways = first.ways();
        let common = other.ways();
        let common = ways.into_iter().filter(move |way| common.contains(way));
        common.filter_map(move |way| compare_way(other, first, &shared, way))
    });
    others.collect()
}

/// Places in both runs of the problems that they share.
fn shared(one: &Run, other: &Run) -> Vec<(usize, usize)> {
    let key = |trace: &Trace| (trace.id.clone(), trace.question.clone());
    let places = other.traces.iter().enumerate();
    let known: HashMap<_, usize> = one.traces.iter().map(key).zip(0..).collect();
    places
        .filter_map(|(place, trace)| Some((*known.get(&key(trace))?, place)))
        .collect()
}

fn compare_way(one: &Run, other: &Run, shared: &[(usize, usize)], way: Way) -> Option<Comparison> {
    let chances: Vec<(f64, f64)> = shared
        .iter()
        .map(|(of_other, of_one)| {
            let (one, other) = (&one.graded[*of_one], &other.graded[*of_other]);
            (one.chance(way), other.chance(way))
        })
        .collect();
    let rows: Vec<Vec<f64>> = chances.iter().map(|(a, b)| vec![a - b]).collect();
    let difference = bootstrap(&rows, SEED).into_iter().next()?;
    let only_one = chances.iter().filter(|(a, b)| a > b).count();
    let only_other = chances.iter().filter(|(a, b)| a < b).count();
    let name = |run: &Run| format!("{}: {}", run.name, way.name());
    Some(Comparison {
        one: name(one),
        other: name(other),
        problems: shared.len(),
        only_one,
        only_other,
        difference: difference.difference(),
        // Shares of right samples are more and less, not right and wrong.
        p: if way == Way::Sample {
            difference.p()
        } else {
            mcnemar(only_one, only_other)
        },
        resampled: way == Way::Sample,
    })
}

/// The models of a run as (roles, name, SHA-256, parameters), a model that plays several roles once
/// and a file by its own name.
fn models(description: &Description) -> Vec<(String, String, String, Option<u64>)> {
    let mut models: Vec<(String, String, String, Option<u64>)> = Vec::new();
    for (role, name, sha256) in &description.models {
        let parameters = description.parameters.iter();
        let mut parameters = parameters
            .filter(|(of, _)| of == role)
            .map(|(_, count)| *count);
        match models.iter_mut().find(|(.., known, _)| known == sha256) {
            Some((roles, ..)) => *roles = format!("{roles}, {role}"),
            None => {
                let file = Path::new(name).file_name();
                let file = file.map_or(name.clone(), |file| file.to_string_lossy().into_owned());
                models.push((role.clone(), file, sha256.clone(), parameters.next()));
            }
        }
    }
    models
}

/// What the description says that the traces do not.
fn setting(description: &Description) -> Setting {
    let parameters = |role: &str| {
        let known = description.parameters.iter();
        known
            .filter(|(of, _)| of == role)
            .map(|(_, count)| *count)
            .next()
    };
    Setting {
        rule: description.answers,
        parameters: Parameters {
            reasoner: parameters("reasoner"),
            coder: parameters("coder"),
            verifier: parameters("verifier"),
        },
        // A recording was sampled as it was sampled.
        greedy: parameters("reasoner").is_some()
            && description.sampling.contains("temperature: 0.0,"),
    }
}

/// A folder's own name, also where it is given as `.`.
pub fn name(folder: &Path) -> String {
    let whole = folder.canonicalize();
    let whole = whole.as_deref().unwrap_or(folder);
    whole.file_name().map_or_else(
        || "run".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
