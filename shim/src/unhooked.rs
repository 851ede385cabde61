//! The parts of hooks and streams that need neither, for their unit tests: the test program itself must not be hooked.
#![allow(dead_code, reason = "their users are left out")]

#[path = "stdio/mode.rs"]
mod mode;
#[path = "hooks/process/needed.rs"]
mod needed;
#[path = "hooks/process/preload.rs"]
mod preload;
#[path = "hooks/process/script.rs"]
mod script;

#[test]
fn what_a_program_needs_is_read_from_its_file() {
    let program = std::fs::read("/proc/self/exe").expect("this program");
    let needed = needed::of(|to, at| {
        let rest = program.get(at as usize..)?;
        let n = to.len().min(rest.len());
        to[..n].copy_from_slice(&rest[..n]);
        Some(n)
    });
    let names = needed.expect("an ELF file").names;
    assert!(names.iter().any(|name| name.starts_with(b"libc.so")), "{names:?}");
    assert_eq!(needed::of(|_, _| Some(0)), None);
}

#[test]
fn directories_of_a_search_path() {
    let dirs = |path: &str| needed::directories(path.as_bytes(), b"/here");
    assert_eq!(dirs("$ORIGIN/../lib:/x::${ORIGIN}"), [&b"/here/../lib"[..], b"/x", b".", b"/here"]);
    assert!(dirs("").is_empty());
}
