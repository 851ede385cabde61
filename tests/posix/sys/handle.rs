#![expect(unsafe_code, reason = "wraps the libc calls on file handles")]
//! File handles.

use super::{Fd, Raw, Sys, c_path, call};
use std::ffi::OsStr;

/// `struct file_handle`: bytes that follow, their kind, and room for as many as there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle([u32; 34]);

impl Handle {
    fn ask(dirfd: i32, path: impl AsRef<OsStr>, flags: i32, room: u32) -> (Sys<()>, Handle, i32) {
        let (path, mut handle, mut mount) = (c_path(path), Handle([0; 34]), 0);
        handle.0[0] = room;
        let at = handle.0.as_mut_ptr();
        let asked = call!(libc::syscall(libc::SYS_name_to_handle_at, dirfd, path.as_ptr(), at, &raw mut mount, flags));
        (asked.map(drop), handle, mount)
    }

    /// `name_to_handle_at`: the handle, and the mount.
    pub fn of(dirfd: i32, path: impl AsRef<OsStr>, flags: i32) -> Sys<(Handle, i32)> {
        let (asked, handle, mount) = Handle::ask(dirfd, path, flags, 128);
        asked.map(|()| (handle, mount))
    }

    /// How `name_to_handle_at` with so much room ends, and the room that it asks for.
    pub fn room(path: impl AsRef<OsStr>, room: u32) -> (Sys<()>, u32) {
        let (asked, handle, _) = Handle::ask(libc::AT_FDCWD, path, 0, room);
        (asked, handle.size())
    }

    pub fn size(&self) -> u32 {
        self.0[0]
    }

    /// The same with another size.
    pub fn sized(&self, size: u32) -> Handle {
        let mut other = self.clone();
        other.0[0] = size;
        other
    }

    /// `open_by_handle_at`.
    pub fn open(&self, mount: impl Raw, flags: i32) -> Sys<Fd> {
        let mut own = self.clone();
        call!(libc::syscall(libc::SYS_open_by_handle_at, mount.raw(), own.0.as_mut_ptr(), flags)).map(|fd| Fd::own(fd as i32))
    }
}
