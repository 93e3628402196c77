//! Gives the guest the stack that Python's own recursion limit needs.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=8388608");
    // The host tells a stack overflow from other faults by it.
    println!("cargo::rustc-link-arg-cdylib=--export=__stack_pointer");
}
