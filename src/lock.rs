//! Keeps a second process away from a folder or a file.

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
    let file = File::create(&path).map_err(Error::write(&path))?;
    hold(&file, folder)?;
    Ok(file)
}

/// Keeps other processes from what `path` names while its file, or the one that stands for it, is
/// open.
///
/// # Errors
/// Another one holds it; the system has no locks for it.
pub(crate) fn hold(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::Options(format!(
            "another rerank is writing into {}; wait for it, or use another --out",
            path.display()
        ))),
        Err(TryLockError::Error(source)) => Err(Error::write(path)(source)),
    }
}
