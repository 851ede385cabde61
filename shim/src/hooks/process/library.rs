//! `dlopen` of a library that is stored in FLAC: the loader opens files inside itself, so it gets a memfd with the library's content.
//!
//! The loader knows a library by the name it was opened with before it looks at files, so each one gets a name of its own: the path of the memfd, spelled
//! with a different number of dots and slashes each time.
#![expect(unsafe_code, reason = "calls the loader")]

use super::{image, libraries, needed};
use crate::abi::CPath;
use crate::boundary::{self, Answer, Inside};
use crate::paths::{self, Walked};
use crate::real::Symbol;
use flac::Fs;
use flac::fs::attr::Time;
use flac::fs::names::{Last, Resolved};
use flac::units::Ino;
use libc::{AT_FDCWD, c_char, c_int, c_void};
use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

static REAL: Symbol = Symbol::new();

/// A library that was loaded: which version of which file, and the name that the loader knows it by.
struct Loaded {
    ino: Ino,
    changed: Time,
    name: CString,
}

static LOADED: Mutex<Vec<Loaded>> = Mutex::new(Vec::new());

jump! {
    /// `dlopen(3)`. The loader looks at who called it, so its function is jumped to.
    fn dlopen => target
}

type Function = unsafe extern "C-unwind" fn(*const c_char, c_int) -> *mut c_void;

/// The loader's `dlopen`. What it thinks of its caller is right for libraries that have a path.
fn real(name: *const c_char, flags: c_int) -> *mut c_void {
    // SAFETY: the loader's function has this type; a C string.
    unsafe { std::mem::transmute::<*mut c_void, Function>(REAL.get(c"dlopen"))(name, flags) }
}

/// Where `dlopen` goes on. `RTLD_DEEPBIND` has a library find libc's functions before any that were preloaded: it would not see FLAC (php loads its extensions so).
extern "C" fn target(path: CPath, flags: c_int, given: *mut c_int) -> *const c_void {
    if crate::config::on() && flags & libc::RTLD_DEEPBIND != 0 {
        // SAFETY: where `jump` keeps that argument.
        unsafe { given.write(flags & !libc::RTLD_DEEPBIND) };
    }
    if crate::config::on() && !path.is_null() && in_flac(path).is_some() { load as *const c_void } else { REAL.get(c"dlopen") }
}

/// The library's file, and its path, if it is FLAC's. A name without a slash is looked for in `LD_LIBRARY_PATH`.
fn in_flac(path: CPath) -> Option<(&'static Fs, Ino, Vec<u8>)> {
    let before = boundary::errno();
    let _guard = Inside::enter()?;
    let bytes = path.bytes().ok()?;
    let found = if bytes.contains(&b'/') {
        match paths::walk(AT_FDCWD, path, Last::Follow) {
            Ok(Walked::Flac(fs, Resolved::Found { ino, .. })) => Some((fs, ino, bytes.to_vec())),
            _ => None,
        }
    } else {
        libraries::first_in(&flac_directories(), bytes)
    };
    boundary::set_errno(before);
    found
}

/// The directories of `LD_LIBRARY_PATH`, if any of them is FLAC's.
fn flac_directories() -> Vec<Vec<u8>> {
    // SAFETY: the program changes its environment in no other thread now (as for the loader's own look at it).
    let value = unsafe { libc::getenv(c"LD_LIBRARY_PATH".as_ptr()) };
    if value.is_null() {
        return Vec::new();
    }
    // SAFETY: a C string.
    let dirs = needed::directories(unsafe { CStr::from_ptr(value) }.to_bytes(), b"");
    if dirs.iter().any(|dir| libraries::leads_into_flac(dir)) { dirs } else { Vec::new() }
}

extern "C-unwind" fn load(path: CPath, flags: c_int) -> *mut c_void {
    let Some((fs, ino, found)) = in_flac(path) else { return real(path.ptr(), flags) };
    let handle = load_file(fs, ino, &found, flags, 0);
    // The loader says what is wrong, about the name that the program knows.
    if handle.is_null() { real(path.ptr(), flags) } else { handle }
}

/// Libraries that need libraries: so deep.
const DEEPEST: u32 = 64;

fn load_file(fs: &'static Fs, ino: Ino, path: &[u8], flags: c_int, depth: u32) -> *mut c_void {
    let inside = || Inside::enter().ok_or(());
    let Ok(changed) = inside().and_then(|_guard| fs.attr(ino).map_err(|_| ())).map(|a| a.ctime) else { return null_mut() };
    if let Some(name) = known(ino, changed) {
        let handle = real(name.as_ptr(), flags | libc::RTLD_NOLOAD);
        if !handle.is_null() {
            return handle;
        }
    }
    if flags & libc::RTLD_NOLOAD != 0 {
        return null_mut();
    }
    for (fs, ino, path) in inside().map(|_guard| needed_by(fs, ino, path)).unwrap_or_default() {
        if depth < DEEPEST {
            // It stays loaded as long as the process: the loader counts uses by itself.
            load_file(fs, ino, &path, libc::RTLD_LAZY | flags & libc::RTLD_GLOBAL, depth + 1);
        }
    }
    let Ok((memfd, name)) = inside().and_then(|_guard| copied(fs, ino, path).map_err(|_| ())) else { return null_mut() };
    let handle = real(name.as_ptr(), flags);
    drop(memfd);
    if !handle.is_null() {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|l| l.ino != ino);
        loaded.push(Loaded { ino, changed, name });
    }
    handle
}

/// The libraries in FLAC that the library `path` needs and that are not loaded yet: the loader finds them by their names (`DT_SONAME`) once they are.
fn needed_by(fs: &'static Fs, ino: Ino, path: &[u8]) -> Vec<(&'static Fs, Ino, Vec<u8>)> {
    let Some(needed) = image::needed(fs, ino) else { return Vec::new() };
    let mut dirs = flac_directories();
    dirs.extend(needed::directories(&needed.path, &libraries::directory_of(path)));
    let is_loaded = |name: &[u8]| {
        let name = CString::new(name).unwrap_or_default();
        let handle = real(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if !handle.is_null() {
            // SAFETY: a handle just obtained.
            unsafe { libc::dlclose(handle) };
        }
        !handle.is_null()
    };
    let names = needed.names.iter().filter(|name| !name.contains(&b'/') && !is_loaded(name));
    names.filter_map(|name| libraries::first_in(&dirs, name)).collect()
}

fn known(ino: Ino, changed: Time) -> Option<CString> {
    let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.iter().find(|l| l.ino == ino && l.changed == changed).map(|l| l.name.clone())
}

fn copied(fs: &'static Fs, ino: Ino, path: &[u8]) -> Answer<(std::os::fd::OwnedFd, CString)> {
    let base = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
    let memfd = image::library(fs, ino, base)?;
    let name = unique_name(memfd.as_raw_fd(), next_number());
    Ok((memfd, CString::new(name).unwrap_or_default()))
}

fn next_number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// `/proc/self/fd/N`, with `number` written in slashes and dots.
fn unique_name(fd: c_int, number: u32) -> String {
    let marks: String = (0..u32::BITS - number.leading_zeros()).map(|bit| if number >> bit & 1 == 1 { "./" } else { "/" }).collect();
    format!("/proc/self/fd/{marks}{fd}")
}
