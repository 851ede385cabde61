//! `dlopen` of a library that is stored in FLAC: the loader opens files inside itself, so it gets a memfd with the library's content.
//!
//! The loader knows a library by the name it was opened with before it looks at files, so each one gets a name of its own: the path of the memfd, spelled
//! with a different number of dots and slashes each time. The name is as long as the library's path at least, so that in what the loader has to say of it (`dlerror`) the path fits in its place.
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
use std::ptr::{null, null_mut};
use std::sync::{Mutex, PoisonError};

static REAL: Symbol = Symbol::new();

/// A library that was loaded: which version of which file, and the name that the loader knows it by.
struct Loaded {
    ino: Ino,
    changed: Time,
    name: CString,
    path: Vec<u8>,
}

static LOADED: Mutex<Vec<Loaded>> = Mutex::new(Vec::new());
/// The names and paths of those that could not be loaded lately.
static REFUSED: Mutex<Vec<(CString, Vec<u8>)>> = Mutex::new(Vec::new());
/// So many of these are remembered.
const MOST_REFUSED: usize = 16;

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
    // What was not tried the loader is to try, which says what is wrong.
    load_file(fs, ino, &found, flags, 0).unwrap_or_else(|| real(path.ptr(), flags))
}

export! {
    /// `dlerror(3)`: of a library in FLAC it is said by the name that the program knows.
    fn dlerror() -> *mut c_char, real(theirs) {
        let message = theirs();
        if !message.is_null() {
            // SAFETY: libc's message, a string that is the caller's alone until its next call.
            call_by_path(unsafe { std::slice::from_raw_parts_mut(message.cast(), libc::strlen(message) + 1) });
        }
        message
    }
}

/// Puts the paths of libraries in the place of the loader's names of them.
fn call_by_path(message: &mut [u8]) {
    let before = boundary::errno();
    let Some(_guard) = Inside::enter() else { return };
    let is_at = |name: &CString, at: usize| message[at..].starts_with(name.to_bytes());
    let Some(at) = message.windows(MEMFD.len()).position(|part| part == MEMFD) else { return };
    let mut path = None;
    for loaded in LOADED.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|l| is_at(&l.name, at)) {
        path = Some((loaded.name.to_bytes().len(), loaded.path.clone()));
    }
    for (name, refused) in REFUSED.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|(name, _)| is_at(name, at)) {
        path = Some((name.to_bytes().len(), refused.clone()));
    }
    if let Some((len, path)) = path.filter(|(len, path)| path.len() <= *len) {
        message[at..at + path.len()].copy_from_slice(&path);
        message.copy_within(at + len.., at + path.len());
    }
    boundary::set_errno(before);
}

/// Libraries that need libraries: so deep.
const DEEPEST: u32 = 64;

/// `None`: the loader was not asked.
fn load_file(fs: &'static Fs, ino: Ino, path: &[u8], flags: c_int, depth: u32) -> Option<*mut c_void> {
    let inside = || Inside::enter().ok_or(());
    let changed = inside().ok().and_then(|_guard| fs.attr(ino).ok())?.ctime;
    if let Some(name) = known(ino, changed) {
        let handle = real(name.as_ptr(), flags | libc::RTLD_NOLOAD);
        if !handle.is_null() {
            return Some(handle);
        }
    }
    if flags & libc::RTLD_NOLOAD != 0 {
        // That is no failure: what the loader has to say of an earlier one goes, as it would by itself.
        real(null(), libc::RTLD_LAZY);
        return Some(null_mut());
    }
    for (fs, ino, path) in inside().map(|_guard| needed_by(fs, ino, path)).unwrap_or_default() {
        if depth < DEEPEST {
            // It stays loaded as long as the process: the loader counts uses by itself.
            load_file(fs, ino, &path, libc::RTLD_LAZY | flags & libc::RTLD_GLOBAL, depth + 1);
        }
    }
    let (memfd, name) = inside().ok().and_then(|_guard| copied(fs, ino, path).ok())?;
    let handle = real(name.as_ptr(), flags);
    drop(memfd);
    if handle.is_null() {
        let mut refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
        let too_many = (refused.len() + 1).saturating_sub(MOST_REFUSED);
        refused.drain(..too_many);
        refused.push((name, path.to_vec()));
    } else {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|l| l.ino != ino);
        loaded.push(Loaded { ino, changed, name, path: path.to_vec() });
    }
    Some(handle)
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
    let name = unique_name(memfd.as_raw_fd(), next_number(), path.len());
    Ok((memfd, CString::new(name).unwrap_or_default()))
}

fn next_number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How such names begin.
const MEMFD: &[u8] = b"/proc/self/fd/";

/// `/proc/self/fd/N`, with `number` written in slashes and dots, of `length` bytes at least.
fn unique_name(fd: c_int, number: u32, length: usize) -> String {
    let marks: String = (0..u32::BITS - number.leading_zeros()).map(|bit| if number >> bit & 1 == 1 { "./" } else { "/" }).collect();
    let more = "/".repeat(length.saturating_sub(MEMFD.len() + marks.len() + 1));
    format!("/proc/self/fd/{marks}{more}{fd}")
}
