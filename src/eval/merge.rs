//! Puts the shards of a run together: the files are those of one run that solved all problems.

use std::path::{Path, PathBuf};

use super::{
    description::{Description, Shard, difference},
    folder::{create_folder, read_description, read_traces, write_traces},
    report::{self, Run},
};
use crate::{
    error::{Error, Result},
    file::write_json,
    lock::lock,
    trace::Trace,
};

/// Reads finished shards, given in any order, and writes the whole run into `out`.
///
/// # Errors
/// A folder that is no shard, or is of another run; a shard that is missing, given twice or not
/// finished; an `out` that holds traces already.
pub fn merge(shards: &[PathBuf], out: &Path) -> Result<Run> {
    create_folder(out)?;
    let _lock = lock(out)?;
    let target = out.join("traces.jsonl");
    if target.exists() {
        return Err(Error::Options(format!(
            "{} holds traces already; use another --out",
            out.display()
        )));
    }
    let mut whole: Option<Description> = None;
    let mut parts: Vec<Option<Vec<Trace>>> = Vec::new();
    for folder in shards {
        let (shard, description, traces) = read_shard(folder)?;
        match &whole {
            None => {
                parts.resize_with(shard.of, || None);
                whole = Some(description);
            }
            Some(whole) if whole.is_same(&description) && parts.len() == shard.of => {}
            Some(whole) => {
                let (key, first, this) = if whole.is_same(&description) {
                    (
                        "shard".to_owned(),
                        format!("of {}", parts.len()),
                        format!("of {}", shard.of),
                    )
                } else {
                    difference(whole, &description)
                };
                return Err(Error::Options(format!(
                    "{} is a shard of another run: {key} is {this} there and {first} in {}",
                    folder.display(),
                    shards[0].display()
                )));
            }
        }
        if parts[shard.index - 1].replace(traces).is_some() {
            return Err(Error::Options(format!(
                "{} is shard {}, which was given already",
                folder.display(),
                String::from(shard)
            )));
        }
    }
    let Some(description) = whole else {
        return Err(Error::Options("no shards were given".to_owned()));
    };
    let of = parts.len();
    let missing = parts.iter().position(Option::is_none);
    if let Some(place) = missing {
        return Err(Error::Options(format!(
            "shard {}/{of} is missing: name its folder too",
            place + 1
        )));
    }

    let mut parts: Vec<_> = parts.into_iter().flatten().map(Vec::into_iter).collect();
    let traces = (0..description.problems).map(|place| parts[place % of].next());
    let traces: Vec<Trace> = traces
        .collect::<Option<_>>()
        .expect("each shard has all its problems, as was checked");
    let run = Run::of(report::name(out), description, traces);
    write_json(&out.join("run.json"), &run.description)?;
    run.write(out)?;
    // Last: where it is there, all is.
    write_traces(&target, &run.traces)?;
    Ok(run)
}

/// A shard's place, the description of the whole run, and its traces, of which none may be missing.
fn read_shard(folder: &Path) -> Result<(Shard, Description, Vec<Trace>)> {
    let mut description = read_description(folder)?;
    let all = description.problems_to_solve();
    let shard = description.shard.take().ok_or_else(|| {
        Error::Options(format!(
            "{} is no shard but a whole run; only runs with --shard i/n can be merged",
            folder.display()
        ))
    })?;
    let traces = read_traces(&folder.join("traces.jsonl"))?;
    if traces.len() != all {
        return Err(Error::Options(format!(
            "{} has {} of its {all} problems: let it finish first, by the command that began it",
            folder.display(),
            traces.len()
        )));
    }
    Ok((shard, description, traces))
}
