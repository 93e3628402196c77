//! The interpreter as it is after `import sympy`, compiled to machine code, in a file of the
//! user's cache directory.
//!
//! Its name is a hash of all that it is built from, so another version of the guest, of the
//! packages, of wasmtime or another CPU has another file. It is built under a lock, into a
//! temporary file that is then renamed. Machine code is mapped as it is, so a file is trusted only
//! if its BLAKE3 hash is the one noted beside it and nobody else could have written either.

use std::{
    fs::{self, File},
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Engine, Module, OptLevel, Store};
use wasmtime_wizer::Wizer;

use super::{Description, broken, interpreter::block_on, memory::Memories, stacks::Stacks, system};
use crate::{
    Error, Result,
    file::{create_private, write_json, write_whole},
};

/// The guest that `build.rs` compiled from `sandbox/`.
const GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest.wasm"));
/// Its BLAKE3 hash.
const GUEST_HASH: &str = env!("RERANK_GUEST_HASH");
const REQUIREMENTS: &str = include_str!("../../sandbox/requirements.txt");

/// A snapshot in the cache directory.
pub(super) struct Stored {
    path: PathBuf,
    note: Note,
    code_bytes: u64,
    /// Linear memory of a fresh instance.
    pub memory_bytes: u64,
}

/// What stands beside a snapshot.
#[derive(Serialize, Deserialize)]
struct Note {
    code_blake3: String,
    image_blake3: String,
    packages: Vec<String>,
    packages_missing: Option<String>,
    build_seconds: f64,
}

impl Stored {
    pub fn packages_missing(&self) -> Option<&str> {
        self.note.packages_missing.as_deref()
    }

    pub fn description(&self, python: String) -> Description {
        Description {
            python,
            packages: self.note.packages.clone(),
            packages_missing: self.note.packages_missing.clone(),
            path: self.path.clone(),
            code_bytes: self.code_bytes,
            blake3: self.note.code_blake3.clone(),
            memory_bytes: self.memory_bytes,
            build_seconds: self.note.build_seconds,
        }
    }
}

/// The engine that compiles the guest or, given the image of its memory, runs it.
fn engine(image: Option<File>) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_opt_level(OptLevel::Speed)
        // A float's sign of not-a-number must not depend on the CPU.
        .cranelift_nan_canonicalization(true)
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .native_unwind_info(false)
        .concurrency_support(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(WASM_STACK_BYTES + (1 << 20));
    if let Some(image) = image {
        config
            .with_host_memory(Arc::new(Memories::new(image)?))
            .with_host_stack(Arc::new(Stacks::default()));
    }
    Engine::new(&config)
}

/// Native stack for the guest: more than its own 8 MiB stack lets it use, whose end Python notices.
const WASM_STACK_BYTES: usize = 32 << 20;

/// A snapshot ready to run, and what it runs on.
type Loaded = (Stored, Engine, Module);

/// Maps the snapshot for this machine from `cache`, building it first if it must.
pub(super) fn load(cache: &Path, rebuild: bool, progress: &dyn Fn(&str, f32)) -> Result<Loaded> {
    private_directory(cache)?;
    let compiler = engine(None).map_err(broken)?;
    let name = format!("python-{}", &key(&compiler)[..16]);
    let path = cache.join(format!("{name}.cwasm"));
    if !rebuild && let Some(loaded) = map(&path) {
        return Ok(loaded);
    }
    // Only one process builds; the others wait here and find its files.
    let lock_path = path.with_extension("lock");
    let lock = File::create(&lock_path).map_err(Error::write(&lock_path))?;
    lock.lock().map_err(Error::write(&lock_path))?;
    if !rebuild && let Some(loaded) = map(&path) {
        return Ok(loaded);
    }
    build(&compiler, cache, &path, progress)?;
    map(&path).ok_or_else(|| {
        Error::Sandbox(format!(
            "{} was damaged while it was written",
            path.display()
        ))
    })
}

/// Maps the files if they are whole.
fn map(path: &Path) -> Option<Loaded> {
    let note: Note = serde_json::from_slice(&fs::read(note_path(path)).ok()?).ok()?;
    let (code, image) = (File::open(path).ok()?, File::open(image_path(path)).ok()?);
    if hash_file(&code)? != note.code_blake3 || hash_file(&image)? != note.image_blake3 {
        return None;
    }
    let code_bytes = code.metadata().ok()?.len();
    let memory_bytes = image.metadata().ok()?.len();
    let engine = engine(Some(image)).ok()?;
    // SAFETY: the file open here has the hash that was taken of wasmtime's own output, and only
    // this user can write the directory in which both stand.
    #[expect(unsafe_code, reason = "compiled code is mapped, not compiled again")]
    let module = unsafe { Module::deserialize_open_file(&engine, code) }.ok()?;
    let stored = Stored {
        path: path.to_owned(),
        code_bytes,
        memory_bytes,
        note,
    };
    Some((stored, engine, module))
}

/// Names everything that a snapshot depends on.
fn key(engine: &Engine) -> String {
    struct Blake3(blake3::Hasher);
    impl Hasher for Blake3 {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            unreachable!("the whole hash is taken")
        }
    }
    let mut hasher = Blake3(blake3::Hasher::new());
    (GUEST_HASH, REQUIREMENTS, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    // Wasmtime's version, its settings and the CPU's features.
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().to_hex().to_string()
}

/// Runs the guest's start-up once and writes its compiled memory and code to `path`.
fn build(engine: &Engine, cache: &Path, path: &Path, progress: &dyn Fn(&str, f32)) -> Result<()> {
    let start = Instant::now();
    // 1. Python packages, where they can be had.
    progress("downloading packages", 0.0);
    let site = cache.join("packages.partial");
    let packages_missing = download(&site).err();
    let packages = packages_in(&site);
    // 2. Imports and warm-up in the guest.
    progress("starting Python", 0.1);
    let snapshot = take(engine, site.clone());
    let _ = fs::remove_dir_all(&site);
    let (wasm, image) = snapshot.map_err(broken)?;
    // 3. Machine code.
    progress("compiling", 0.6);
    let compiled = engine.precompile_module(&wasm).map_err(broken)?;
    // 4. The files, complete or not at all; the note that vouches for the others last.
    progress("writing", 0.95);
    let note = Note {
        code_blake3: blake3::hash(&compiled).to_hex().to_string(),
        image_blake3: blake3::hash(&image).to_hex().to_string(),
        packages,
        packages_missing,
        build_seconds: start.elapsed().as_secs_f64(),
    };
    write_whole(path, &compiled)?;
    write_whole(&image_path(path), &image)?;
    write_json(&note_path(path), &note)?;
    forget_old(cache, path);
    progress("done", 1.0);
    Ok(())
}

/// Deletes other snapshots that were built more than a month ago: each takes a quarter of a GB, and
/// a version that still needs one builds it again.
fn forget_old(cache: &Path, keep: &Path) {
    const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("python-"));
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let old = modified.is_ok_and(|then| then.elapsed().is_ok_and(|age| age > MONTH));
        if ours && old && path.file_stem() != keep.file_stem() {
            // Another process may have been faster.
            let _ = fs::remove_file(path);
        }
    }
}

/// The guest after its start-up: its code without its memory, as WebAssembly, and its memory.
fn take(engine: &Engine, packages: PathBuf) -> wasmtime::Result<(Vec<u8>, Vec<u8>)> {
    let mut store = Store::new(engine, system::System::with_packages(packages));
    store.limiter(|system| system);
    store.set_fuel(u64::MAX)?;
    let mut memory = None;
    let wizer = Wizer::new();
    let run = wizer.run(&mut store, GUEST, async |store, module| {
        let linker = system::linker(engine, module)?;
        let instance = linker.instantiate_async(&mut *store, module).await?;
        memory = instance.get_memory(&mut *store, "memory");
        Ok(instance)
    });
    match block_on(run, || false) {
        Ok(wasm) => {
            let memory = memory
                .expect("the guest has a memory")
                .data(&store)
                .to_vec();
            Ok((without_data(&wasm), memory))
        }
        Err(error) => Err(error.context(store.data_mut().complaint())),
    }
}

/// Leaves out the sections of a module that fill its memory, which [`super::memory`] maps.
fn without_data(wasm: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: usize = 8;
    let (data, data_count) = (11, 12);
    let mut code = wasm[..HEADER_BYTES].to_vec();
    let mut at = HEADER_BYTES;
    while at < wasm.len() {
        // A section: its kind, its length in LEB128, its content.
        let (start, kind) = (at, wasm[at]);
        let (mut length, mut shift) = (0, 0);
        loop {
            at += 1;
            length |= usize::from(wasm[at] & 0x7f) << shift;
            shift += 7;
            if wasm[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1 + length;
        if kind != data && kind != data_count {
            code.extend_from_slice(&wasm[start..at]);
        }
    }
    code
}

/// Installs the packages of `sandbox/requirements.txt`, whose hashes pip checks, into `site`.
fn download(site: &Path) -> Result<(), String> {
    let _ = fs::remove_dir_all(site);
    fs::create_dir_all(site).map_err(|error| error.to_string())?;
    let requirements = site.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(|error| error.to_string())?;
    let pip = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args([
            "--no-deps",
            "--no-compile",
            "--only-binary=:all:",
            "--require-hashes",
        ])
        .arg("--target")
        .arg(site)
        .arg("--requirement")
        .arg(&requirements)
        .output()
        .map_err(|error| format!("python3 -m pip: {error}"))?;
    if pip.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&pip.stderr);
    let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
    Err(format!(
        "python3 -m pip: {}",
        last.unwrap_or("ended without a message").trim()
    ))
}

/// The packages that are there, as `name==version`.
fn packages_in(site: &Path) -> Vec<String> {
    let mut packages: Vec<String> = fs::read_dir(site)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some(name.strip_suffix(".dist-info")?.replacen('-', "==", 1))
        })
        .collect();
    packages.sort();
    packages
}

/// Makes `cache` if it is missing; refuses it if others can write it, since what it holds is run.
fn private_directory(cache: &Path) -> Result<()> {
    create_private(cache)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let directory = fs::metadata(cache).map_err(Error::read(cache))?;
        let mine = rustix::process::geteuid().as_raw();
        if directory.mode() & 0o022 != 0 || ![0, mine].contains(&directory.uid()) {
            return Err(Error::Sandbox(format!(
                "other users can write {0}, and code is run from it: `chmod go-w {0}` or choose another cache directory",
                cache.display()
            )));
        }
    }
    Ok(())
}

fn note_path(path: &Path) -> PathBuf {
    path.with_extension("json")
}

fn image_path(path: &Path) -> PathBuf {
    path.with_extension("image")
}

fn hash_file(file: &File) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).ok()?;
    Some(hasher.finalize().to_hex().to_string())
}
