//! Reads JSON Lines as people have them: plain or gzip, with or without a byte order mark, with
//! blank lines, and with a broken line among good ones.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use serde_json::Value;

use crate::error::{Error, Result, in_words};

/// A file's bytes, unpacked where they are gzip, without a byte order mark.
///
/// # Errors
/// A file that cannot be read or unpacked.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).and_then(unpacked);
    bytes.map_err(Error::read(path))
}

/// Bytes unpacked where they are gzip, without a byte order mark.
///
/// # Errors
/// Damaged gzip.
pub fn unpacked(mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked)?;
        bytes = unpacked;
    }
    // Some editors begin a text file with it.
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

/// The lines that are not blank, each with its number, counted from 1. A line that is not UTF-8 is
/// an error of its own and ends nothing.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<&str, String>)> {
    bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(index, line)| {
            let text = str::from_utf8(line).map_err(|source| {
                format!("this is not UTF-8 (from byte {})", source.valid_up_to() + 1)
            });
            (index + 1, text.map(|line| line.trim_end_matches('\r')))
        })
}

/// The JSON of each line that is not blank, with its number; `path` is where the lines are from.
///
/// # Errors
/// [`Error::Row`] for a line that is not UTF-8 or not JSON; those after it can still be read.
pub fn values(bytes: &[u8], path: &Path) -> impl Iterator<Item = Result<(usize, Value)>> {
    lines(bytes).map(move |(line, text)| {
        let value = text.and_then(|text| serde_json::from_str(text).map_err(|e| in_words(&e)));
        Ok((line, value.map_err(|reason| row_error(path, line, reason))?))
    })
}

/// What is wrong with a line.
pub(crate) fn row_error(path: &Path, line: usize, reason: impl Into<String>) -> Error {
    Error::Row {
        path: path.to_owned(),
        line,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_blank_lines_and_packing_do_not_matter_and_a_bad_byte_costs_one_line() {
        let plain = b"\xef\xbb\xbf{\"a\": 1}\r\n\n \t\n{\"b\": \xff}\n{\"c\": 3}".to_vec();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packer, &plain).unwrap();
        for bytes in [plain, packer.finish().unwrap()] {
            let bytes = unpacked(bytes).unwrap();
            let lines: Vec<_> = lines(&bytes).collect();
            assert_eq!(lines[0], (1, Ok("{\"a\": 1}")));
            assert_eq!(
                lines[1],
                (4, Err("this is not UTF-8 (from byte 7)".to_owned()))
            );
            assert_eq!(lines[2..], [(5, Ok("{\"c\": 3}"))]);
        }
    }
}
