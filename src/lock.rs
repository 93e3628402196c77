//! Keeps a second process away from a folder.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use crate::error::{Error, Result};

/// Keeps other processes from writing into the folder while the returned file lives.
///
/// # Errors
/// Another one writes there; the folder cannot be written into.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("run.lock");
    let error = |source| Error::Write {
        path: path.clone(),
        source,
    };
    let file = File::create(&path).map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Options(format!(
            "another rerank is writing into {}; wait for it, or use another --out",
            folder.display()
        ))),
        Err(TryLockError::Error(source)) => Err(error(source)),
    }
}
