//! Programs in, what running them did out: stage four, the execution of the paper's CoTnPoT check
//! (arXiv 2410.05318, section 3).
//!
//! Every program gets a fresh Python interpreter with SymPy already imported: a copy-on-write
//! instance of a WebAssembly snapshot (`execute/snapshot.rs`). It reaches nothing of the host but the
//! functions in `execute/system.rs`, so it cannot touch a file, a socket, a process or the next program.
//! Fuel, not time, decides whether a program runs too long: its outcome is the same on every
//! machine. `sandbox/README.md` says which Python this is and what it costs.

mod beside;
mod memory;
mod snapshot;
mod stacks;
mod system;

use std::{
    path::{Path, PathBuf},
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use rayon::prelude::*;
use wasmtime::{Engine, Instance, InstancePre, Store, Trap};

pub use self::beside::Beside;
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
        let start = Instant::now();
        let (outcome, stdout, value, fuel) = match self.fits(program, limits) {
            Err(outcome) => (outcome, String::new(), None, 0),
            Ok(()) => self.run_fresh(&program.0, limits, start),
        };
        let ms = start.elapsed().as_secs_f64() * 1e3;
        Execution {
            outcome,
            stdout,
            value,
            fuel,
            ms,
        }
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

    fn fits(&self, program: &Program, limits: &Limits) -> Result<(), Outcome> {
        let (limit, used) = (limits.program_bytes_max as u64, program.0.len() as u64);
        if used > limit {
            return Err(Outcome::ProgramTooLong { limit, used });
        }
        let (limit, used) = (limits.memory_bytes_max, self.snapshot.memory_bytes);
        if used > limit {
            return Err(Outcome::OutOfMemory { limit, used });
        }
        Ok(())
    }

    fn run_fresh(
        &self,
        program: &str,
        limits: &Limits,
        start: Instant,
    ) -> (Outcome, String, Option<String>, u64) {
        let mut store = Store::new(&self.engine, System::new(limits));
        store.limiter(|system| system);
        let mut guest = None;
        let ran = store
            .set_fuel(limits.fuel)
            .and_then(|()| store.fuel_async_yield_interval(Some(FUEL_PER_LOOK)))
            .and_then(|()| {
                let run = drive(&self.interpreter, &mut store, &mut guest, program, limits);
                block_on(run, || start.elapsed() > limits.deadline)
            });
        let fuel = limits.fuel - store.get_fuel().unwrap_or(0);
        let outcome = match ran {
            Ok(()) => store
                .data_mut()
                .take_outcome(limits)
                .expect("the guest reports before it returns"),
            Err(error) => stopped(&error, &mut store, guest, limits, start),
        };
        let system = store.into_data();
        let stdout = String::from_utf8_lossy(&system.stdout).into_owned();
        let value = (outcome == Outcome::Finished)
            .then(|| {
                system
                    .value
                    .or_else(|| last_line(&stdout).map(str::to_owned))
            })
            .flatten();
        (outcome, stdout, value, fuel)
    }
}

/// Fuel between two looks at the clock: some ten milliseconds.
const FUEL_PER_LOOK: u64 = 20_000_000;

/// Places the program in a fresh instance, runs it and, if it printed nothing, asks for its value.
async fn drive(
    interpreter: &InstancePre<System>,
    store: &mut Store<System>,
    guest: &mut Option<Instance>,
    program: &str,
    limits: &Limits,
) -> wasmtime::Result<()> {
    let instance = interpreter.instantiate_async(&mut *store).await?;
    *guest = Some(instance);
    let length = u32::try_from(program.len())?;
    let room = instance.get_typed_func::<u32, u32>(&mut *store, "room")?;
    let room = room.call_async(&mut *store, length).await?;
    let memory = instance.get_memory(&mut *store, "memory");
    let memory = memory.ok_or_else(|| wasmtime::Error::msg("the guest exports no memory"))?;
    memory.write(&mut *store, room as usize, program.as_bytes())?;
    let run = instance.get_typed_func::<u32, ()>(&mut *store, "run")?;
    let recursion_max = u32::try_from(limits.recursion_max).unwrap_or(u32::MAX);
    run.call_async(&mut *store, recursion_max).await?;
    if store.data().wants_value() {
        let value = instance.get_typed_func::<(), ()>(&mut *store, "value")?;
        value.call_async(&mut *store, ()).await?;
    }
    Ok(())
}

/// Polls `future`, which wakes itself, until it is done or `late` says it has had its time.
fn block_on<T>(
    future: impl Future<Output = wasmtime::Result<T>>,
    late: impl Fn() -> bool,
) -> wasmtime::Result<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(ran) => return ran,
            Poll::Pending if late() => return Err(Late.into()),
            Poll::Pending => {}
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the deadline has passed")]
struct Late;

/// The outcome of a program that was stopped from outside Python.
fn stopped(
    error: &wasmtime::Error,
    store: &mut Store<System>,
    guest: Option<Instance>,
    limits: &Limits,
    start: Instant,
) -> Outcome {
    if let Some(outcome) = store.data_mut().stop.take() {
        return outcome;
    }
    if error.is::<Late>() {
        let used = start.elapsed().as_millis() as u64;
        return Outcome::Deadline {
            limit: limits.deadline.as_millis() as u64,
            used,
        };
    }
    let recursion = limits.recursion_max as u64;
    let too_deep = Outcome::RecursionTooDeep {
        limit: recursion,
        used: recursion,
    };
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Outcome::OutOfFuel {
            limit: limits.fuel,
            used: limits.fuel,
        },
        Some(Trap::StackOverflow) => too_deep,
        // The guest's stack grows towards address zero.
        Some(Trap::MemoryOutOfBounds) if stack_pointer(store, guest) < STACK_MARGIN => too_deep,
        // A panic has said why; an abort has not.
        _ => store
            .data_mut()
            .take_outcome(limits)
            .unwrap_or(Outcome::Crashed {
                error: format!("{error:#}"),
            }),
    }
}

/// No frame of the guest is larger.
const STACK_MARGIN: i32 = 64 << 10;

fn stack_pointer(store: &mut Store<System>, guest: Option<Instance>) -> i32 {
    guest
        .and_then(|guest| guest.get_global(&mut *store, "__stack_pointer"))
        .and_then(|pointer| pointer.get(&mut *store).i32())
        .unwrap_or(i32::MAX)
}

fn last_line(stdout: &str) -> Option<&str> {
    stdout
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
}

fn broken(error: wasmtime::Error) -> Error {
    Error::Sandbox(format!("{error:#}"))
}
