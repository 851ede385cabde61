//! How the shim is linked. A program that never touches a FLAC path pays for loading it, so that is made cheap (measured with `true`: +0.23 ms at first, +0.10 ms when its names were bound
//! here, +0.09 ms with `.cargo/config.toml` and without RELRO; an empty library costs 0.05 ms).
//!
//! Variables of some pages each lie in a section of their own (`.sbss.large`, zeros that take no room in the file, which linkers place behind `.bss`): the many small ones are then on one
//! page or two, of which the loader has touched the first, and not one here and one there between them (10 page faults less at the start of each program).

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Initialised before every other library: what it replaces (libc's standard streams) must not have been copied by a constructor before
    // (libstdc++'s does).
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    // One segment of data instead of two, and none of it protected after it was set up: two changes of the address space less. (The table of libc's functions is writable in any case.)
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,norelro");
    // Of the crates that are linked in: see `real.rs`.
    println!("cargo:rustc-cdylib-link-arg=-Wl,--wrap=dlsym");
    bind_own_symbols();
    order_functions();
    link_unwinder();
}

/// What lets a program have an allocator of its own.
const HEAP: [&str; 11] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "free",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "malloc_usable_size",
];

/// Our own symbols are bound when linking, libc's when first used: the loader has 160 names fewer to look up. But not those of the heap: what libc allocates
/// for us, and we for the program, must be from the allocator that all others use, and that is the program's own where it has one.
fn bind_own_symbols() {
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    let list = Path::new(&out).join("heap.list");
    std::fs::write(&list, format!("{{ {}; }};\n", HEAP.join("; "))).expect("a file in OUT_DIR");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--dynamic-list={},-z,lazy", list.display());
}

/// Places the functions that programs execute first beside each other, in the order of `order.txt`, which `examples/order` writes: `true` with `FLAC_ROOT` starts 60 us earlier, and the first
/// file that `cat` opens costs 160 us less.
fn order_functions() {
    println!("cargo:rerun-if-changed=order.txt");
    let list = std::fs::read_to_string("order.txt").expect("a file beside this one");
    let names = list.lines().filter(|line| !line.starts_with('#'));
    let sections: String = names.map(|name| format!("*(.text.{name} .text.unlikely.{name})\n")).collect();
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    let script = Path::new(&out).join("order.ld");
    std::fs::write(&script, format!("SECTIONS {{ .text.first : {{\n{sections}}} }} INSERT BEFORE .text;\n")).expect("a file in OUT_DIR");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{}", script.display());
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
