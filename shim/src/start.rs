//! What runs before the program and after it.
//!
//! The library is linked to be initialised first (`build.rs`): before libc's own constructors, and before any library that keeps a copy of what we replace.
#![expect(unsafe_code, reason = "sections that the loader calls, the environment")]

use crate::config;
use crate::hooks::process::{environment, fork, image, leave, libraries};
use crate::stdio::{last, standard};
use libc::{c_char, c_int};
use std::ffi::CStr;

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// Before everything else. The loader passes what `main` gets.
extern "C" fn start(argc: c_int, argv: *const *const c_char, envp: *mut *mut c_char) {
    // SAFETY: libc sets it to the same value a moment later.
    unsafe {
        if environ.is_null() {
            environ = envp;
        }
    }
    if !config::on() {
        return;
    }
    let errno = crate::boundary::errno();
    crate::stats::start();
    crate::creds::learn_umask();
    fork::register();
    leave::register();
    last::post();
    standard::replace();
    environment::start();
    let script = environment::script(envp);
    environment::restore(envp);
    take_back(envp);
    if config::settings().is_some_and(|s| s.exec().is_some()) {
        match script {
            // SAFETY: one of the program's arguments.
            Some(nth) if nth < argc as usize => image::take_name_of(unsafe { CStr::from_ptr(*argv.add(nth)) }),
            _ => image::take_name(),
        }
    }
    if config::settings().is_some_and(|s| s.slot().is_some() && s.exec().is_some_and(|exec| !exec.idle)) {
        // The old image's holds are ours to give up. What is wrong is said when a path is used.
        let _ = crate::space::fs();
    }
    crate::boundary::set_errno(errno);
}

/// Takes what exec has added to `LD_LIBRARY_PATH` out of it again.
fn take_back(envp: *mut *mut c_char) {
    let Some(entry) = environment::find(envp, libraries::VARIABLE) else { return };
    // SAFETY: a C string of the environment.
    let value = &unsafe { CStr::from_ptr(entry) }.to_bytes()[libraries::VARIABLE.len()..];
    let ours = libraries::clean_up(value);
    if ours > 0 && ours == value.len() {
        return environment::remove(envp, libraries::VARIABLE);
    }
    // SAFETY: moves the rest of the value, with its NUL, to where the value begins.
    unsafe {
        let start = entry.add(libraries::VARIABLE.len());
        std::ptr::copy(start.add(ours), start, value.len() - ours + 1);
    }
}

/// `exit` runs the destructors of libraries: its last flush of the streams follows, and then FLAC's end.
extern "C" fn end() {
    if config::on() {
        last::exiting();
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn(c_int, *const *const c_char, *mut *mut c_char) = start;

#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;
