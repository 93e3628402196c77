//! The rows of a file, whatever their container: JSON Lines (plain or gzip), a JSON array, Parquet.

use std::{fs::File, path::Path};

use parquet::{errors::ParquetError, file::reader::SerializedFileReader};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Benchmark, Fields};
use crate::{
    error::{Error, Result, in_words},
    jsonl::{self, row_error},
    model::replay::plain,
};

/// Rows, each with the number of its line (or of itself, where there are no lines), from 1.
pub type Rows = Vec<(usize, Value)>;

/// Reads all rows of a file.
///
/// # Errors
/// A file that cannot be read; a line that is not JSON.
pub fn read(path: &Path) -> Result<Rows> {
    let bytes = jsonl::read(path)?;
    let error = |line, reason| row_error(path, line, reason);
    if bytes.starts_with(b"PAR1") {
        let rows = File::open(path)
            .map_err(ParquetError::from)
            .and_then(SerializedFileReader::new)
            .and_then(|file| {
                let rows = file.into_iter().map(|row| Ok(row?.to_json_value()));
                rows.collect::<Result<Vec<Value>, ParquetError>>()
            });
        let rows = rows.map_err(|source| error(1, source.to_string()))?;
        return Ok((1..).zip(rows).collect());
    }
    if bytes.trim_ascii_start().starts_with(b"[") {
        let rows: Vec<Value> = serde_json::from_slice(&bytes)
            .map_err(|source| error(source.line(), in_words(&source)))?;
        return Ok((1..).zip(rows).collect());
    }
    jsonl::values(&bytes, path).collect()
}

/// SHA-256 of the rows' questions and golds, as hexadecimal digits. Neither the rows' order nor the
/// container nor other fields count, so that copies of a benchmark have the same.
pub fn sha256(rows: &Rows, fields: &Fields) -> String {
    let mut digests: Vec<[u8; 32]> = rows
        .iter()
        .map(|(_, row)| {
            let mut hash = Sha256::new();
            let question = fields.question_of(row).unwrap_or_default();
            let gold = row.get(&fields.answer).map(plain).unwrap_or_default();
            for part in [question, gold] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            hash.finalize().into()
        })
        .collect();
    digests.sort_unstable();
    format!("{:x}", Sha256::digest(digests.concat()))
}

impl Benchmark {
    /// Checks that a file is the one the manifest was written for, as far as the manifest says.
    pub(super) fn check(&self, path: &Path, rows: &Rows) -> Result<()> {
        let found = sha256(rows, &self.fields);
        let same_count = self.rows.is_none_or(|count| count == rows.len());
        let same_rows = self.sha256.as_ref().is_none_or(|known| *known == found);
        if same_count && same_rows {
            return Ok(());
        }
        // A row without the named fields says more than a count that differs.
        if let Some((line, row)) = rows.first() {
            let names = self.fields.question.as_slice().iter();
            for name in names.chain([&self.fields.answer]) {
                self.field(row, name).map_err(|reason| Error::Row {
                    path: path.to_owned(),
                    line: *line,
                    reason,
                })?;
            }
        }
        let expected = match (self.rows, &self.sha256) {
            (Some(count), _) if count != rows.len() => {
                format!("it has {} rows, not {count}", rows.len())
            }
            _ => format!("its {} rows are others (sha256 {found})", rows.len()),
        };
        Err(Error::Options(format!(
            "{} is not {}{}: {expected}; check the file, or evaluate it as it is with --force",
            path.display(),
            self.split
                .as_ref()
                .map_or(String::new(), |split| format!("the {split} split of ")),
            self.name,
        )))
    }
}
