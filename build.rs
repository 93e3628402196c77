//! Compiles the guest in `sandbox/` to WebAssembly, for `src/execute/snapshot.rs` to embed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "wasm32-wasip1";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(builtin_models)");
    if env::var_os("CARGO_FEATURE_BUILTIN").is_some() {
        find_builtin_models();
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let guest = guest_wasm(&out);
    let wasm =
        fs::read(&guest).unwrap_or_else(|error| panic!("cannot read {}: {error}", guest.display()));
    println!("cargo::rustc-env=RERANK_GUEST_HASH={}", blake3::hash(&wasm));
    fs::write(out.join("guest.wasm"), wasm).expect("OUT_DIR can be written");
}

/// Lets `src/builtin/embedded.rs` take in the built-in models, where they are.
fn find_builtin_models() {
    let files = ["reasoner", "coder", "verifier"].map(|role| format!("models/builtin/{role}.gguf"));
    for file in &files {
        println!("cargo::rerun-if-changed={file}");
    }
    match files.iter().find(|file| !Path::new(file).exists()) {
        None => println!("cargo::rustc-cfg=builtin_models"),
        Some(file) => println!(
            "cargo::warning={file} is not there: built without the built-in models (`make builtin` makes them)"
        ),
    }
}

/// Builds the guest and returns its path.
fn guest_wasm(out: &Path) -> PathBuf {
    for input in ["src", "build.rs", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed=sandbox/{input}");
    }
    // <target>/release/build/rerank-<hash>/out: one directory for all profiles, so that lint, test
    // and run compile the guest once.
    let build = out
        .ancestors()
        .find(|path| path.ends_with("build"))
        .expect("OUT_DIR is in build");
    let target_directory = build
        .ancestors()
        .nth(2)
        .expect("build is in target")
        .join("guest");
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo
        .args(["build", "--release", "--locked", "--target", TARGET])
        .args(["--manifest-path", "sandbox/Cargo.toml", "--target-dir"])
        .arg(&target_directory);
    // Flags and wrappers chosen for the host would break the guest or compile it once more.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.ends_with("RUSTFLAGS") || name.starts_with("RUSTC") || name == "CARGO_BUILD_TARGET"
        {
            cargo.env_remove(&*name);
        }
    }
    let status = cargo
        .status()
        .unwrap_or_else(|error| panic!("cannot start cargo: {error}"));
    assert!(
        status.success(),
        "the sandbox's guest did not compile; if its target is missing: `rustup target add {TARGET}`"
    );
    target_directory
        .join(TARGET)
        .join("release/rerank_sandbox.wasm")
}
