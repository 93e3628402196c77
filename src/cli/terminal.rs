//! What a command shows and hears while it works: progress bars on standard error, and Ctrl-C.

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use rerank::execute::Sandbox;

use super::files::cache_folder;

/// A progress bar on standard error; hidden where that is no terminal.
pub(super) fn bar(name: &str, length: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg} {elapsed} (left: {eta})")
            .expect("the template is valid");
    ProgressBar::new(length)
        .with_style(style)
        .with_prefix(name.to_owned())
}

/// Opens the sandbox, with a progress bar while it is first built.
pub(super) fn open_sandbox() -> Result<Sandbox> {
    let sandbox = with_sandbox_bar(|cache, report| Sandbox::open(cache, report))?;
    if let Some(why) = sandbox.packages_missing() {
        warn(&format!(
            "the sandbox is without SymPy, and programs that import it fail; `rerank sandbox build` tries again where there is a network ({why})"
        ));
    }
    Ok(sandbox)
}

/// Says something on standard error that a person should know; the work goes on.
#[expect(clippy::print_stderr, reason = "beside the result")]
pub(super) fn warn(text: &str) {
    eprintln!("rerank: {text}");
}

/// Calls `open` with the user's cache folder and a progress bar.
pub(super) fn with_sandbox_bar(
    open: impl FnOnce(&Path, &dyn Fn(&str, f32)) -> rerank::Result<Sandbox>,
) -> Result<Sandbox> {
    let bar = bar("sandbox", 100);
    let report = |phase: &str, share: f32| {
        bar.set_message(phase.to_owned());
        bar.set_position((share * 100.0) as u64);
    };
    let sandbox = open(&cache_folder()?, &report)?;
    bar.finish_and_clear();
    Ok(sandbox)
}

/// Set by Ctrl-C, at which a run ends with what is finished; a second Ctrl-C ends the program.
pub(super) fn interrupted() -> Arc<AtomicBool> {
    static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let flag = INTERRUPTED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        // Where no handler can be set, Ctrl-C ends the program as ever.
        let _ = ctrlc::set_handler(move || {
            if set.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            }
        });
        flag
    });
    Arc::clone(flag)
}
