//! How the shim is linked. A program that never touches a FLAC path pays for loading it, so that is made cheap (measured with `true`: +0.23 ms at first, +0.15 ms when its names were bound
//! here, +0.09 ms with `.cargo/config.toml` and without RELRO; an empty library costs 0.05 ms).

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Initialised before every other library: what it replaces (libc's standard streams) must not have been copied by a constructor before
    // (libstdc++'s does).
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    // Our own symbols are bound when linking, libc's when first used: the loader has 160 names fewer to look up.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic,-z,lazy");
    // One segment of data instead of two, and none of it protected after it was set up: two changes of the address space less. (The table of libc's functions is writable in any case.)
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,norelro");
    link_unwinder();
}

/// Links the unwinder in, where the compiler has it as an archive: else every program loads `libgcc_s.so` too.
fn link_unwinder() {
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let Ok(out) = Command::new(cc).arg("-print-file-name=libgcc_eh.a").output() else { return };
    let archive = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    let path = Path::new(&archive);
    if let Some(dir) = path.parent().filter(|_| path.is_absolute() && path.exists()) {
        println!("cargo:rustc-link-search=native={}", dir.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
