//! `dlopen` of a library that is stored in FLAC: the loader opens files inside itself, so it gets a memfd with the library's content.
//!
//! The loader knows a library by the name it was opened with before it looks at files, so each one gets a name of its own: the path of the memfd, spelled
//! with a different number of dots and slashes each time.
#![expect(unsafe_code, reason = "calls the loader")]

use super::image;
use crate::abi::CPath;
use crate::boundary::{self, Answer, Inside};
use crate::paths::{self, Walked};
use crate::real::Symbol;
use flac::Fs;
use flac::fs::attr::Time;
use flac::fs::names::{Last, Resolved};
use flac::units::Ino;
use libc::{AT_FDCWD, c_int, c_void};
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

static REAL: Symbol = Symbol::new(c"dlopen");

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

/// Where `dlopen` goes on.
extern "C" fn target(path: CPath, _flags: c_int) -> *const c_void {
    if crate::config::on() && !path.is_null() && in_flac(path).is_some() { load as *const c_void } else { REAL.get() }
}

/// The library's file, if it is FLAC's. A name without a slash is looked for by the loader.
fn in_flac(path: CPath) -> Option<(&'static Fs, Ino)> {
    let before = boundary::errno();
    let _guard = Inside::enter()?;
    let bytes = path.bytes().ok()?;
    let found = bytes.contains(&b'/').then(|| paths::walk(AT_FDCWD, path, Last::Follow));
    boundary::set_errno(before);
    match found {
        Some(Ok(Walked::Flac(fs, Resolved::Found { ino, .. }))) => Some((fs, ino)),
        _ => None,
    }
}

extern "C-unwind" fn load(path: CPath, flags: c_int) -> *mut c_void {
    type Function = unsafe extern "C-unwind" fn(*const libc::c_char, c_int) -> *mut c_void;
    // SAFETY: the loader's function has this type.
    let real = unsafe { std::mem::transmute::<*mut c_void, Function>(REAL.get()) };
    let made = Inside::enter().and_then(|_guard| {
        let (fs, ino) = in_flac_again(path)?;
        let changed = fs.attr(ino).ok()?.ctime;
        Some((fs, ino, changed))
    });
    // SAFETY: the program's own arguments: the loader reports what is wrong.
    let Some((fs, ino, changed)) = made else { return unsafe { real(path.ptr(), flags) } };
    if let Some(name) = known(ino, changed) {
        // SAFETY: a C string.
        let handle = unsafe { real(name.as_ptr(), flags | libc::RTLD_NOLOAD) };
        if !handle.is_null() {
            return handle;
        }
    }
    let copy = Inside::enter().and_then(|_guard| copied(fs, ino, path).ok());
    // SAFETY: as above.
    let Some((memfd, name)) = copy else { return unsafe { real(path.ptr(), flags) } };
    // SAFETY: a C string.
    let handle = unsafe { real(name.as_ptr(), flags) };
    drop(memfd);
    if !handle.is_null() {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|l| l.ino != ino);
        loaded.push(Loaded { ino, changed, name });
    }
    handle
}

fn in_flac_again(path: CPath) -> Option<(&'static Fs, Ino)> {
    match paths::walk(AT_FDCWD, path, Last::Follow) {
        Ok(Walked::Flac(fs, Resolved::Found { ino, .. })) => Some((fs, ino)),
        _ => None,
    }
}

fn known(ino: Ino, changed: Time) -> Option<CString> {
    let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.iter().find(|l| l.ino == ino && l.changed == changed).map(|l| l.name.clone())
}

fn copied(fs: &'static Fs, ino: Ino, path: CPath) -> Answer<(std::os::fd::OwnedFd, CString)> {
    let bytes = path.bytes()?;
    let base = bytes.rsplit(|b| *b == b'/').next().unwrap_or(bytes);
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

#[cfg(test)]
mod tests {
    use super::unique_name;

    #[test]
    fn names_differ() {
        let names: std::collections::HashSet<String> = (0..100).map(|n| unique_name(5, n)).collect();
        assert_eq!(names.len(), 100);
    }
}
