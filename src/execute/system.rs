//! All that a program can reach of the host: output, a clock that does not tell the time,
//! randomness that is the same in every run, and, while the snapshot is taken, the packages.
//!
//! Every other function of WASI preview 1 answers "bad file descriptor".

use std::path::PathBuf;

use wasmtime::{Caller, Engine, Extern, Linker, Memory, Module, ResourceLimiter, Result, Val};

use super::Limits;
use crate::trace::Outcome;

/// One instance's side of the host.
pub(super) struct System {
    /// What was printed.
    pub stdout: Vec<u8>,
    /// What was written to standard error while the snapshot is taken; programs' is dropped.
    pub stderr: Vec<u8>,
    /// What a program that printed nothing computed.
    pub value: Option<String>,
    /// Set by a host function that stops the program.
    pub stop: Option<Outcome>,
    report: Option<(Report, String)>,
    packages: Option<PathBuf>,
    output_bytes_max: usize,
    memory_bytes_max: usize,
    now_ns: u64,
    random: u64,
}

/// How the guest says a program ended; `sandbox/src/lib.rs` writes the same numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    Finished,
    Value,
    SyntaxError,
    Raised,
    RecursionError,
    MemoryError,
    Panic,
}

impl System {
    /// For one program.
    pub fn new(limits: &Limits) -> Self {
        Self {
            stdout: Vec::new(),
            stderr: Vec::new(),
            value: None,
            stop: None,
            report: None,
            packages: None,
            output_bytes_max: limits.output_bytes_max,
            memory_bytes_max: usize::try_from(limits.memory_bytes_max).unwrap_or(usize::MAX),
            now_ns: EPOCH_NS,
            random: 0,
        }
    }

    /// For taking the snapshot: `packages` is the directory of Python packages.
    pub fn with_packages(packages: PathBuf) -> Self {
        let packages = Some(packages);
        Self {
            packages,
            memory_bytes_max: 1 << 30,
            ..Self::new(&Limits::default())
        }
    }

    /// Whether the program finished without printing anything but white space.
    pub fn wants_value(&self) -> bool {
        let finished = matches!(self.report, Some((Report::Finished, _)));
        finished && self.stdout.iter().all(u8::is_ascii_whitespace)
    }

    /// What the guest said last.
    pub fn take_outcome(&mut self, limits: &Limits) -> Option<Outcome> {
        let (report, text) = self.report.take()?;
        Some(match report {
            Report::Finished => Outcome::Finished,
            Report::Value => {
                self.value = Some(text);
                Outcome::Finished
            }
            Report::SyntaxError => Outcome::SyntaxError { error: text },
            Report::Raised => Outcome::Raised { error: text },
            Report::RecursionError => {
                let limit = text.parse().unwrap_or(limits.recursion_max as u64);
                Outcome::RecursionTooDeep { limit, used: limit }
            }
            // Python refuses what cannot be had before it is asked for: more than the limit.
            Report::MemoryError => {
                let limit = limits.memory_bytes_max;
                Outcome::OutOfMemory {
                    limit,
                    used: limit + 1,
                }
            }
            Report::Panic if text.contains("capacity overflow") => {
                let limit = limits.memory_bytes_max;
                Outcome::OutOfMemory {
                    limit,
                    used: u64::from(u32::MAX),
                }
            }
            Report::Panic => Outcome::Crashed { error: text },
        })
    }

    /// What the guest said before it broke down while the snapshot was taken.
    pub fn complaint(&mut self) -> String {
        let text = self.report.take().map(|(_, text)| text).unwrap_or_default();
        format!("{text}\n{}", String::from_utf8_lossy(&self.stderr))
            .trim()
            .to_owned()
    }

    fn print(&mut self, descriptor: i32, bytes: &[u8]) -> Result<()> {
        if descriptor == 1 {
            let room = self.output_bytes_max - self.stdout.len();
            self.stdout
                .extend_from_slice(&bytes[..bytes.len().min(room)]);
            if bytes.len() > room {
                let limit = self.output_bytes_max as u64;
                let used = limit + (bytes.len() - room) as u64;
                self.stop = Some(Outcome::OutputTooLong { limit, used });
                return Err(wasmtime::Error::msg("output too long"));
            }
        } else if self.packages.is_some() {
            self.stderr.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Reading the clock moves it, so that a program that waits for a time gets there.
    fn now_ns(&mut self) -> u64 {
        self.now_ns += 1_000_000;
        self.now_ns
    }

    /// `SplitMix64`.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The clock starts at 2025-01-01 00:00:00 UTC.
const EPOCH_NS: u64 = 1_735_689_600_000_000_000;

impl ResourceLimiter for System {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        if desired <= self.memory_bytes_max {
            return Ok(true);
        }
        let (limit, used) = (self.memory_bytes_max as u64, desired as u64);
        self.stop = Some(Outcome::OutOfMemory { limit, used });
        Err(wasmtime::Error::msg("out of memory"))
    }

    fn table_growing(&mut self, current: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(current == 0)
    }
}

type Host<'a> = Caller<'a, System>;

/// WASI's error numbers.
const SUCCESS: i32 = 0;
const BAD_DESCRIPTOR: i32 = 8;

/// Defines what `module` imports.
pub(super) fn linker(engine: &Engine, module: &Module) -> Result<Linker<System>> {
    let wasi = "wasi_snapshot_preview1";
    let mut linker = Linker::new(engine);
    linker.allow_shadowing(true);
    for import in module.imports().filter(|import| import.module() == wasi) {
        if let Some(ty) = import.ty().func().cloned() {
            linker.func_new(wasi, import.name(), ty, |_, _, answers| {
                answers.fill(Val::I32(BAD_DESCRIPTOR));
                Ok(())
            })?;
        }
    }
    linker.func_wrap("rerank", "report", report)?;
    linker.func_wrap("rerank", "source", source)?;
    linker.func_wrap(wasi, "fd_write", fd_write)?;
    linker.func_wrap(wasi, "fd_read", fd_read)?;
    linker.func_wrap(wasi, "fd_filestat_get", fd_filestat_get)?;
    linker.func_wrap(wasi, "random_get", random_get)?;
    linker.func_wrap(wasi, "clock_time_get", clock_time_get)?;
    linker.func_wrap(wasi, "clock_res_get", clock_res_get)?;
    linker.func_wrap(wasi, "poll_oneoff", poll_oneoff)?;
    linker.func_wrap(wasi, "proc_exit", proc_exit)?;
    linker.func_wrap(wasi, "environ_sizes_get", empty)?;
    linker.func_wrap(wasi, "args_sizes_get", empty)?;
    for nothing in ["environ_get", "args_get"] {
        linker.func_wrap(wasi, nothing, |_: u32, _: u32| SUCCESS)?;
    }
    linker.func_wrap(wasi, "sched_yield", || SUCCESS)?;
    Ok(linker)
}

/// The guest says how the program ended.
fn report(mut host: Host, report: i32, text: u32, length: u32) -> Result<()> {
    let text = String::from_utf8_lossy(bytes(&mut host, text, length)?).into_owned();
    let kind = match report {
        0 => Report::Finished,
        1 => Report::Value,
        2 => Report::SyntaxError,
        3 => Report::Raised,
        4 => Report::RecursionError,
        5 => Report::MemoryError,
        _ => Report::Panic,
    };
    let system = host.data_mut();
    let (limit, used) = (system.output_bytes_max as u64, text.len() as u64);
    if used > limit {
        system.stop = Some(Outcome::OutputTooLong { limit, used });
        return Err(wasmtime::Error::msg("output too long"));
    }
    system.report = Some((kind, text));
    Ok(())
}

/// The guest asks for a package's file while the snapshot is taken.
fn source(mut host: Host, path: u32, length: u32, room: u32, room_length: u32) -> Result<i32> {
    const NONE: i32 = -1;
    let path = String::from_utf8_lossy(bytes(&mut host, path, length)?).into_owned();
    let Some(packages) = &host.data().packages else {
        return Ok(NONE);
    };
    let Ok(text) = std::fs::read(packages.join(path)) else {
        return Ok(NONE);
    };
    if text.len() <= room_length as usize {
        write(&mut host, room, &text)?;
    }
    Ok(i32::try_from(text.len())?)
}

/// Writes `count` pieces, each an address and a length, to standard output or standard error.
fn fd_write(mut host: Host, fd: i32, pieces: u32, count: u32, written: u32) -> Result<i32> {
    if !(1..=2).contains(&fd) {
        return Ok(BAD_DESCRIPTOR);
    }
    let memory = memory(&mut host)?;
    let (memory, system) = memory.data_and_store_mut(&mut host);
    let mut total = 0;
    for piece in 0..count {
        let at = pieces as usize + piece as usize * 8;
        let word = |at: usize| -> Result<usize> {
            let word = memory.get(at..at + 4).ok_or_else(outside)?;
            Ok(u32::from_le_bytes(word.try_into()?) as usize)
        };
        let (start, length) = (word(at)?, word(at + 4)?);
        system.print(fd, memory.get(start..start + length).ok_or_else(outside)?)?;
        total += length as u32;
    }
    write(&mut host, written, &total.to_le_bytes())?;
    Ok(SUCCESS)
}

/// Standard input is empty.
fn fd_read(mut host: Host, fd: i32, _pieces: u32, _count: u32, read: u32) -> Result<i32> {
    if fd != 0 {
        return Ok(BAD_DESCRIPTOR);
    }
    write(&mut host, read, &[0; 4])?;
    Ok(SUCCESS)
}

/// Python asks what its three standard streams are: character devices.
fn fd_filestat_get(mut host: Host, fd: i32, stat: u32) -> Result<i32> {
    if !(0..=2).contains(&fd) {
        return Ok(BAD_DESCRIPTOR);
    }
    let mut character_device = [0; 64];
    character_device[16] = 2;
    write(&mut host, stat, &character_device)?;
    Ok(SUCCESS)
}

fn random_get(mut host: Host, room: u32, length: u32) -> Result<i32> {
    let mut at = room;
    let end = room.checked_add(length).ok_or_else(outside)?;
    while at < end {
        let random = host.data_mut().random().to_le_bytes();
        let length = random.len().min((end - at) as usize);
        write(&mut host, at, &random[..length])?;
        at += length as u32;
    }
    Ok(SUCCESS)
}

fn clock_time_get(mut host: Host, _clock: i32, _precision: i64, time: u32) -> Result<i32> {
    let now = host.data_mut().now_ns();
    write(&mut host, time, &now.to_le_bytes())?;
    Ok(SUCCESS)
}

fn clock_res_get(mut host: Host, _clock: i32, resolution: u32) -> Result<i32> {
    write(&mut host, resolution, &1_000_000_u64.to_le_bytes())?;
    Ok(SUCCESS)
}

/// A program sleeps: time passes at once. The event tells that the wait is over.
fn poll_oneoff(mut host: Host, wait: u32, events: u32, _: u32, happened: u32) -> Result<i32> {
    // A subscription: user data, kind, clock, nanoseconds, precision, flags.
    let subscription: [u8; 48] = bytes(&mut host, wait, 48)?.try_into()?;
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| subscription[at + i]));
    let (is_clock, is_moment) = (subscription[8] == 0, subscription[40] & 1 == 1);
    let system = host.data_mut();
    system.now_ns = match (is_clock, is_moment) {
        (false, _) => system.now_ns,
        (true, true) => system.now_ns.max(word(24)),
        (true, false) => system.now_ns.saturating_add(word(24)),
    };
    let mut event = [0; 32];
    event[..8].copy_from_slice(&subscription[..8]);
    event[10] = subscription[8];
    write(&mut host, events, &event)?;
    write(&mut host, happened, &1_u32.to_le_bytes())?;
    Ok(SUCCESS)
}

/// Something below Python ended the process: `os._exit`, or a C library that gave up.
fn proc_exit(mut host: Host, code: i32) -> Result<()> {
    let outcome = match code {
        0 => Outcome::Finished,
        _ => Outcome::Raised {
            error: format!("SystemExit: {code}"),
        },
    };
    host.data_mut().stop = Some(outcome);
    Err(wasmtime::Error::msg("exit"))
}

/// No arguments, no environment: a count and a size of zero.
fn empty(mut host: Host, count: u32, size: u32) -> Result<i32> {
    write(&mut host, count, &[0; 4])?;
    write(&mut host, size, &[0; 4])?;
    Ok(SUCCESS)
}

fn memory(host: &mut Host) -> Result<Memory> {
    host.get_export("memory")
        .and_then(Extern::into_memory)
        .ok_or_else(outside)
}

fn bytes<'a>(host: &'a mut Host, at: u32, length: u32) -> Result<&'a [u8]> {
    let memory = memory(host)?;
    let at = at as usize;
    memory
        .data(&*host)
        .get(at..at + length as usize)
        .ok_or_else(outside)
}

fn write(host: &mut Host, at: u32, bytes: &[u8]) -> Result<()> {
    let memory = memory(host)?;
    Ok(memory.write(host, at as usize, bytes)?)
}

fn outside() -> wasmtime::Error {
    wasmtime::Error::msg("an address outside the guest's memory")
}
