//! The built-in models as bytes in the binary, and as files that llama.cpp can load.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    file::{create_private, write_whole},
    model::manifest::Role,
};

/// The GGUF file of a role; `None` in a binary that was built without them.
#[cfg(builtin_models)]
pub fn bytes(role: Role) -> Option<&'static [u8]> {
    Some(match role {
        Role::Reasoner => include_bytes!("../../models/builtin/reasoner.gguf"),
        Role::Coder => include_bytes!("../../models/builtin/coder.gguf"),
        Role::Verifier => include_bytes!("../../models/builtin/verifier.gguf"),
    })
}

/// The GGUF file of a role; `None` in a binary that was built without them.
#[cfg(not(builtin_models))]
pub fn bytes(_: Role) -> Option<&'static [u8]> {
    None
}

/// The model's file in `cache`, written where it is not there yet or not whole.
///
/// # Errors
/// [`Error::Model`] in a binary without built-in models, [`Error::Write`] where the disk refuses.
pub fn file(role: Role, cache: &Path) -> Result<PathBuf> {
    let bytes = bytes(role).ok_or_else(|| Error::Model {
        model: "builtin".to_owned(),
        reason: "this binary was built without the built-in models; name a .gguf file, or run \
            `make builtin` and build with the feature `builtin`"
            .to_owned(),
    })?;
    let hash = blake3::hash(bytes);
    let name = format!("builtin-{}-{}.gguf", role.name(), &hash.to_hex()[..16]);
    let path = cache.join(name);
    if fs::read(&path).is_ok_and(|found| blake3::hash(&found) == hash) {
        return Ok(path);
    }
    create_private(cache)?;
    write_whole(&path, bytes)?;
    Ok(path)
}
