//! Stages that are done once: a stage whose record says that it was done with the same settings
//! from the same inputs is passed over, any other begins anew.

use std::{fs, path::Path, time::Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Result,
    file::{beside, write_json, write_whole},
};

/// What a stage was and what came of it; `NAME.json` beside its output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The stage.
    pub stage: String,
    /// Changes with the settings and with any stage before that it builds on.
    pub key: String,
    /// The recipe's part.
    pub settings: Value,
    /// Wall-clock time, in seconds; of a stage that was stopped and went on, its last run's.
    pub seconds: f64,
    /// What the stage says of its work.
    pub found: Value,
}

/// The folder in which a recipe is followed.
pub(super) struct Place<'a> {
    pub folder: &'a Path,
    /// All stages so far.
    pub records: Vec<Record>,
}

impl Place<'_> {
    /// Does a stage with `work`, or finds that it was done. `outputs` belong to the stage and are
    /// removed when it begins anew; `inputs` are stages that it builds on.
    pub(super) fn stage(
        &mut self,
        name: &str,
        settings: &impl Serialize,
        inputs: &[&str],
        outputs: &[impl AsRef<Path>],
        work: impl FnOnce() -> Result<Value>,
    ) -> Result<()> {
        let settings = serde_json::to_value(settings).expect("settings are JSON");
        let mut hash = blake3::Hasher::new();
        hash.update(format!("{name} {settings}").as_bytes());
        for input in inputs {
            let record = self.records.iter().find(|record| record.stage == *input);
            hash.update(record.expect("stages follow their inputs").key.as_bytes());
        }
        let key = hash.finalize().to_hex()[..16].to_owned();
        let path = self.folder.join(format!("{name}.json"));
        let begun = self.folder.join(format!("{name}.begun"));
        let done = read(&path).filter(|record| record.key == key);
        if let Some(record) = done.filter(|_| outputs.iter().all(|output| output.as_ref().exists()))
        {
            self.records.push(record);
            return Ok(());
        }
        if fs::read_to_string(&begun).ok().as_ref() != Some(&key) {
            for output in outputs.iter().map(AsRef::as_ref) {
                remove(output)?;
                remove(&beside(output, ".train"))?;
                remove(&beside(output, ".part"))?;
            }
            // Else it would vouch for what another recipe's stage leaves here.
            remove(&path)?;
            write_whole(&begun, &key)?;
        }
        let started = Instant::now();
        let found = work()?;
        let record = Record {
            stage: name.to_owned(),
            key,
            settings,
            seconds: started.elapsed().as_secs_f64(),
            found,
        };
        write_json(&path, &record)?;
        self.records.push(record);
        Ok(())
    }
}

fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Removes a file or a folder that may not be there.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else if path.exists() {
        fs::remove_file(path)
    } else {
        Ok(())
    };
    removed.map_err(Error::write(path))
}
