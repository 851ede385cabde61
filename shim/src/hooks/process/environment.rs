//! The environment of a new image: how it finds its process slot, its name, and this library.
//!
//! A mount stays when a program clears its environment or preloads something else, so FLAC stays, too. What is added for that is taken out again by the
//! new image before the program sees it (`restore`). `FLAC_EXEC=PID:TOKEN:DIR:INO:MODE[SCRIPT][:LD_PRELOAD=...]` says what there is to know: the process slot
//! (no token: FLAC was not used yet), the program's file, if it is FLAC's, and what to undo, and which argument (`s2`) is the
//! script after which the process is named.
#![expect(unsafe_code, reason = "C arrays of strings, the loader's data")]

use super::exec::Call;
use super::libraries::{self, Ready};
use super::preload::{Stay, last, stay};
use crate::config::{CLEARED, IDLE};
use crate::{config, log, space};
use libc::{c_char, c_void};
use std::ffi::{CStr, CString};
use std::ptr::null;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The variable that names libraries to load first, with the `=`.
pub const PRELOAD: &[u8] = b"LD_PRELOAD=";
/// What is added to a cleared environment.
const ADDED: [&[u8]; 8] =
    [PRELOAD, b"FLAC_ROOT=", b"FLAC_POOL=", b"FLAC_DRAM=", b"FLAC_ATTACH=", b"FLAC_IO_URING=", b"FLAC_LOG=", b"FLAC_STATS="];

/// This library's path, as the loader knows it.
static LIBRARY: AtomicPtr<c_char> = AtomicPtr::new(std::ptr::null_mut());

/// The environment for a new image of this process.
pub struct NewEnvironment {
    list: Vec<*const c_char>,
    _ours: Vec<CString>,
}

impl NewEnvironment {
    /// `None` if the program's own is right as it is.
    pub fn of(call: &Call<'_>, libraries: Option<&Ready>, idle: bool) -> Option<Self> {
        let settings = config::settings().filter(|_| !config::bad())?;
        let mut list = call.envp.list();
        // SAFETY: the program vouches for its strings, which outlive the call.
        let text = |s: *const c_char| unsafe { CStr::from_ptr(s) }.to_bytes();
        let is = |s: *const c_char, name: &[u8]| text(s).starts_with(name);
        let preload = list.iter().find_map(|s| text(*s).strip_prefix(PRELOAD));
        let has_root = list.iter().any(|s| is(*s, b"FLAC_ROOT="));
        let stay = stay(preload, has_root);
        let with = match stay {
            Stay::Out => return None,
            Stay::Cleared => None,
            Stay::With(list) => {
                let name = |l| libraries.map_or(l, |r: &Ready| r.preloaded(l));
                Some((list, last(list, library(), name))).filter(|(list, new)| list != new)
            }
        };
        // What an image did not need, it hands on.
        let unused = || settings.exec().filter(|exec| exec.idle).and_then(|_| settings.slot());
        let (token, idle) = match space::exec_token() {
            Some(token) => (Some(token), idle),
            None => (unused(), true),
        };
        if token.is_none() && with.is_none() && stay != Stay::Cleared {
            return None;
        }
        let pid = rustix::process::getpid().as_raw_nonzero();
        let (dir, ino) = call.exe.unwrap_or_default();
        let mode = (u8::from(stay == Stay::Cleared) * CLEARED) | (u8::from(idle && token.is_some()) * IDLE);
        let token = token.map_or(String::new(), |token| token.to_string());
        // The kernel names the interpreter of a script after the script; one that lies in FLAC sees to that itself.
        let is_script = |argument: &*const c_char| Some(text(*argument)) == call.script;
        let script = call.argv.list().iter().position(is_script).filter(|_| call.exe.is_none());
        let script = script.map_or(String::new(), |nth| format!("s{nth}"));
        let mut exec = format!("FLAC_EXEC={pid}:{token}:{dir:x}:{ino:x}:{mode}{script}").into_bytes();
        let mut ours = Vec::new();
        if let Some((original, new)) = with {
            exec.extend([b":", PRELOAD, original].concat());
            ours.push([PRELOAD, &new].concat());
            list.retain(|s| !is(*s, PRELOAD));
        }
        if stay == Stay::Cleared {
            let dram = settings.dram.map_or(Vec::new(), |n| n.to_string().into_bytes());
            let attach: &[u8] = if settings.attach { b"on" } else { b"off" };
            let level = log::level_name().as_bytes();
            let values = [library(), settings.root(), settings.pool(), &dram, attach, level, settings.stats()];
            ours.extend(ADDED.iter().zip(values).filter(|(_, v)| !v.is_empty()).map(|(name, value)| [name, value].concat()));
        }
        ours.push(exec);
        if let Some(variable) = libraries.map(|l| l.variable(&call.library_path())) {
            list.retain(|s| !is(*s, libraries::VARIABLE));
            ours.push(variable);
        }
        let ours: Vec<CString> = ours.into_iter().map(CString::new).collect::<Result<_, _>>().ok()?;
        list.extend(ours.iter().map(|s| s.as_ptr()));
        list.push(null());
        Some(Self { list, _ours: ours })
    }

    /// As `execve` wants it.
    pub fn pointer(&self) -> *const *const c_char {
        self.list.as_ptr()
    }
}

/// This library's path; empty if it is not known.
fn library() -> &'static [u8] {
    let path = LIBRARY.load(Ordering::Relaxed);
    // SAFETY: the loader's string, for ever.
    if path.is_null() { b"" } else { unsafe { CStr::from_ptr(path) }.to_bytes() }
}

/// At the start of an image: looks where this library is.
pub fn start() {
    // SAFETY: all zeros is a valid value; the loader fills it in.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: an address in this library.
    if unsafe { libc::dladdr(start as *const c_void, &mut info) } != 0 {
        LIBRARY.store(info.dli_fname.cast_mut(), Ordering::Relaxed);
    }
}

/// At the start of an image, after the settings were read: makes the environment what the program that called exec wanted.
pub fn restore(envp: *mut *mut c_char) {
    let Some(exec) = find(envp, b"FLAC_EXEC=") else { return };
    remove(envp, b"FLAC_EXEC=");
    // SAFETY: a C string of the environment.
    let value = unsafe { CStr::from_ptr(exec) }.to_bytes();
    let mut fields = value.splitn(6, |b| *b == b':');
    // A digit, whose lower bits are its value.
    if fields.nth(4).and_then(<[u8]>::first).is_some_and(|mode| mode & CLEARED != 0) {
        ADDED.iter().for_each(|name| remove(envp, name));
    }
    if let (Some(original), Some(entry)) = (fields.next(), place(envp, PRELOAD)) {
        // SAFETY: the field is the end of the string, which stays; the place is an entry of the array.
        unsafe { *entry = exec.add(value.len() - original.len()) };
    }
}

/// The argument that this process is to be named after, before [`restore`].
pub fn script(envp: *mut *mut c_char) -> Option<usize> {
    // SAFETY: a C string of the environment.
    let value = unsafe { CStr::from_ptr(find(envp, b"FLAC_EXEC=")?) }.to_bytes();
    let mode = value.split(|b| *b == b':').nth(4)?;
    std::str::from_utf8(mode.get(2..)?).ok()?.parse().ok()
}

/// The place of a variable in the loader's array.
fn place(envp: *mut *mut c_char, name: &[u8]) -> Option<*mut *mut c_char> {
    for i in 0.. {
        // SAFETY: the loader's array of C strings, ended by null; nobody else runs yet.
        unsafe {
            let entry = *envp.add(i);
            if entry.is_null() {
                return None;
            }
            if CStr::from_ptr(entry).to_bytes().starts_with(name) {
                return Some(envp.add(i));
            }
        }
    }
    None
}

/// A variable's string.
pub fn find(envp: *mut *mut c_char, name: &[u8]) -> Option<*mut c_char> {
    // SAFETY: a place in the array.
    place(envp, name).map(|entry| unsafe { *entry })
}

/// Removes a variable from the loader's array.
pub fn remove(envp: *mut *mut c_char, name: &[u8]) {
    let mut to = 0;
    for from in 0.. {
        // SAFETY: as in `place`; what is kept moves down.
        unsafe {
            let entry = *envp.add(from);
            if entry.is_null() || !CStr::from_ptr(entry).to_bytes().starts_with(name) {
                *envp.add(to) = entry;
                to += 1;
            }
            if entry.is_null() {
                return;
            }
        }
    }
}
