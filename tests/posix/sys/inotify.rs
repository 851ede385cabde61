#![expect(unsafe_code, reason = "wraps inotify")]
//! inotify.

use super::{Fd, Raw, Sys, c_path, call};
use std::ffi::OsStr;

/// An inotify descriptor that does not wait.
pub fn inotify_init() -> Sys<Fd> {
    call!(libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC)).map(Fd::own)
}

pub fn inotify_add_watch(fd: impl Raw, path: impl AsRef<OsStr>, mask: u32) -> Sys<i32> {
    let path = c_path(path);
    call!(libc::inotify_add_watch(fd.raw(), path.as_ptr(), mask))
}

pub fn inotify_rm_watch(fd: impl Raw, watch: i32) -> Sys<()> {
    call!(libc::inotify_rm_watch(fd.raw(), watch)).map(drop)
}

/// An event: its watch, what happened (without `IN_ISDIR`), whether to a directory, the name, the cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub watch: i32,
    pub mask: u32,
    pub is_dir: bool,
    pub name: String,
    pub cookie: u32,
}

/// All events that wait.
pub fn inotify_events(fd: &Fd) -> Vec<Event> {
    let mut events = Vec::new();
    let mut buffer = vec![0_u8; 1 << 16];
    while let Ok(n) = super::read(fd, &mut buffer) {
        let mut at = 0;
        while at < n {
            let word = |i: usize| u32::from_ne_bytes(buffer[at + 4 * i..at + 4 * i + 4].try_into().expect("four bytes"));
            let (watch, mask, cookie, length) = (word(0).cast_signed(), word(1), word(2), word(3) as usize);
            let name = &buffer[at + 16..at + 16 + length];
            let name = String::from_utf8_lossy(&name[..name.iter().position(|b| *b == 0).unwrap_or(length)]).into_owned();
            events.push(Event { watch, mask: mask & !libc::IN_ISDIR, is_dir: mask & libc::IN_ISDIR != 0, name, cookie });
            at += 16 + length;
        }
    }
    events
}
