//! Programs in, what running them did out: stage three, the execution of the paper's CoTnPoT check
//! (arXiv 2410.05318, section 3).
//!
//! Every program gets a fresh Python interpreter with SymPy already imported: a copy-on-write
//! instance of a WebAssembly snapshot (`execute/snapshot.rs`). It reaches nothing of the host but the
//! functions in `execute/system.rs`, so it cannot touch a file, a socket, a process or the next program.
//! Fuel, not time, decides whether a program runs too long: its outcome is the same on every
//! machine. `sandbox/README.md` says which Python this is and what it costs.

mod beside;
mod interpreter;
mod memory;
mod snapshot;
mod stacks;
mod system;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rayon::prelude::*;
use wasmtime::{Engine, InstancePre};

pub use self::beside::Beside;
pub use self::interpreter::Interpreter;
use self::system::System;
use crate::{
    Error, Result,
    trace::{Execution, Outcome, Program},
};

/// What a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// WebAssembly instructions, in wasmtime's fuel units.
    pub fuel: u64,
    /// Linear memory in bytes, the interpreter's own included; at most 4 GiB.
    pub memory_bytes_max: u64,
    /// Bytes printed.
    pub output_bytes_max: usize,
    /// Python frames to which a program may raise the recursion limit; it starts at 1,000, or here if lower.
    pub recursion_max: usize,
    /// Bytes of program text.
    pub program_bytes_max: usize,
    /// The seat belt for what fuel does not see, such as a machine that has come to a halt.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 40_000_000_000,
            memory_bytes_max: 512 << 20,
            output_bytes_max: 64 << 10,
            recursion_max: 10_000,
            program_bytes_max: 256 << 10,
            deadline: Duration::from_secs(60),
        }
    }
}

/// Runs all programs of a question on all cores, in input order; `progress` is called after each.
pub fn execute(
    programs: &[Option<Program>],
    sandbox: &Sandbox,
    limits: &Limits,
    progress: &(dyn Fn() + Sync),
) -> Vec<Option<Execution>> {
    programs
        .par_iter()
        // One at a time: programs differ a thousandfold in cost.
        .with_max_len(1)
        .map(|program| {
            let execution = program.as_ref().map(|program| sandbox.run(program, limits));
            progress();
            execution
        })
        .collect()
}

/// A Python interpreter ready to be copied; share one among all threads.
pub struct Sandbox {
    engine: Engine,
    interpreter: InstancePre<System>,
    snapshot: snapshot::Stored,
}

/// What [`Sandbox::description`] tells.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Description {
    /// The interpreter's `sys.version`.
    pub python: String,
    /// Packages inside, as `name==version`; empty where they could not be downloaded.
    pub packages: Vec<String>,
    /// Why packages are missing.
    pub packages_missing: Option<String>,
    /// The snapshot's code; its memory lies beside it, with the suffix `.image`.
    pub path: PathBuf,
    /// The code's size in bytes.
    pub code_bytes: u64,
    /// The code's BLAKE3 hash.
    pub blake3: String,
    /// Linear memory of a fresh interpreter in bytes, shared among instances until written.
    pub memory_bytes: u64,
    /// How long building it took, in seconds.
    pub build_seconds: f64,
}

impl Sandbox {
    /// Loads the snapshot from `cache`, a directory that only this user can write, building it
    /// first if it is missing, damaged or of another version: half a minute, reported to
    /// `progress` as a phase and the share done.
    ///
    /// # Errors
    ///
    /// If `cache` cannot be written, or others can write it.
    pub fn open(cache: &Path, progress: &dyn Fn(&str, f32)) -> Result<Self> {
        Self::load(cache, false, progress)
    }

    /// As [`Sandbox::open`], but builds the snapshot even where there is a good one.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::open`].
    pub fn build(cache: &Path, progress: &dyn Fn(&str, f32)) -> Result<Self> {
        Self::load(cache, true, progress)
    }

    /// The directory for [`Sandbox::open`] that users expect: `rerank` in `$XDG_CACHE_HOME`, else
    /// in `$HOME/.cache`. The environment is the caller's to read.
    pub fn cache_directory(
        xdg_cache_home: Option<PathBuf>,
        home: Option<PathBuf>,
    ) -> Option<PathBuf> {
        // The XDG specification has relative paths ignored.
        let xdg = xdg_cache_home.filter(|path| path.is_absolute());
        Some(xdg.or_else(|| Some(home?.join(".cache")))?.join("rerank"))
    }

    fn load(cache: &Path, rebuild: bool, progress: &dyn Fn(&str, f32)) -> Result<Self> {
        let (snapshot, engine, module) = snapshot::load(cache, rebuild, progress)?;
        let interpreter = system::linker(&engine, &module)
            .and_then(|linker| linker.instantiate_pre(&module))
            .map_err(broken)?;
        Ok(Self {
            engine,
            interpreter,
            snapshot,
        })
    }

    /// Runs one program in a fresh interpreter. Whatever it does is a value, never an error.
    pub fn run(&self, program: &Program, limits: &Limits) -> Execution {
        self.interpreter(limits).run_for_value(&program.0)
    }

    /// A fresh interpreter for several programs, each of which sees what those before it defined.
    pub fn interpreter(&self, limits: &Limits) -> Interpreter<'_> {
        Interpreter::new(self, limits)
    }

    /// Why SymPy is not inside, where it could not be downloaded.
    pub fn packages_missing(&self) -> Option<&str> {
        self.snapshot.packages_missing()
    }

    /// What this sandbox is made of.
    pub fn description(&self) -> Description {
        let version = Program("import sys; print(sys.version)".to_owned());
        let python = self
            .run(&version, &Limits::default())
            .value
            .unwrap_or_default();
        self.snapshot.description(python)
    }

    fn fits(&self, program: &str, limits: &Limits) -> Result<(), Outcome> {
        let (limit, used) = (limits.program_bytes_max as u64, program.len() as u64);
        if used > limit {
            return Err(Outcome::ProgramTooLong { limit, used });
        }
        let (limit, used) = (limits.memory_bytes_max, self.snapshot.memory_bytes);
        if used > limit {
            return Err(Outcome::OutOfMemory { limit, used });
        }
        Ok(())
    }
}

fn broken(error: wasmtime::Error) -> Error {
    Error::Sandbox(format!("{error:#}"))
}
