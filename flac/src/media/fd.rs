//! Descriptors that keep out of the program's way: close-on-exec, with numbers that programs do not use, and never
//! mistaken for a descriptor of the program that got the same number.
#![expect(unsafe_code, reason = "the one owner of raw descriptor numbers: std's closes through libc, whose symbols we interpose")]

use rustix::fd::{AsFd, BorrowedFd, IntoRawFd, RawFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Result;
use std::path::Path;

/// Descriptor numbers from here on are ours, where the limit on open files allows.
pub const HIGH_FD: RawFd = 900;

/// Which file a descriptor refers to: device and inode.
pub(crate) type FileId = (u64, u64);

/// An open descriptor. Dropping closes it, unless the program has closed it before us and the number means another file.
#[derive(Debug)]
pub(crate) struct Fd {
    raw: RawFd,
    id: FileId,
}

impl Fd {
    /// Opens `path` at a high descriptor number.
    pub(crate) fn open(path: &Path, flags: OFlags, mode: Mode) -> Result<Fd> {
        let low = rustix::fs::open(path, flags | OFlags::CLOEXEC, mode)?;
        let low = Fd { raw: low.into_raw_fd(), id: (0, 0) };
        let stat = rustix::fs::fstat(&low)?;
        let id = (stat.st_dev, stat.st_ino);
        let raw = duplicate_high(&low).unwrap_or(low.raw);
        let low_raw = low.raw;
        std::mem::forget(low);
        if raw != low_raw {
            // SAFETY: `low_raw` came from `open` above and nobody else knows it.
            unsafe { rustix::io::close(low_raw) };
        }
        Ok(Fd { raw, id })
    }

    /// Opens `path` for a moment, at whatever number is free.
    pub(crate) fn open_briefly(path: &Path, flags: OFlags) -> Result<Fd> {
        let fd = rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?;
        let mut fd = Fd { raw: fd.into_raw_fd(), id: (0, 0) };
        let stat = rustix::fs::fstat(&fd)?;
        fd.id = (stat.st_dev, stat.st_ino);
        Ok(fd)
    }

    /// Which file was opened.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// The number.
    pub(crate) fn raw(&self) -> RawFd {
        self.raw
    }

    /// Whether the number still means the file that was opened: a program may close all descriptors, ours included.
    pub(crate) fn is_ours(&self) -> bool {
        refers_to(self.raw, self.id)
    }
}

/// Whether descriptor `raw` is open and refers to the file `id`.
pub(crate) fn refers_to(raw: RawFd, id: FileId) -> bool {
    if raw < 0 {
        return false;
    }
    // SAFETY: the number is only handed to `fstat`, which answers EBADF if it is closed.
    let fd = unsafe { BorrowedFd::borrow_raw(raw) };
    rustix::fs::fstat(fd).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == id)
}

/// A close-on-exec duplicate of `fd` with a high number; `None` where the limit on open files allows none.
pub(crate) fn duplicate_high(fd: impl AsFd) -> Option<RawFd> {
    [HIGH_FD, 200].into_iter().find_map(|floor| rustix::io::fcntl_dupfd_cloexec(&fd, floor).ok().map(IntoRawFd::into_raw_fd))
}

/// Closes descriptor `raw` if it still refers to the file `id`, which is the caller's alone.
pub(crate) fn close_if_ours(raw: RawFd, id: FileId) {
    if refers_to(raw, id) {
        // SAFETY: it is the file the caller opened under this number.
        unsafe { rustix::io::close(raw) };
    }
}

/// Begins writing out dirty pages of the range; to the end if `len` is 0.
pub(crate) fn write_out(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: an open descriptor and plain numbers. (rustix does not have this call; whoever interposes it lets ours pass.)
    match unsafe { libc::sync_file_range(fd.as_raw_fd(), offset as i64, len as i64, libc::SYNC_FILE_RANGE_WRITE) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().raw_os_error().map_or(rustix::io::Errno::IO, rustix::io::Errno::from_raw_os_error)),
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: closed by `drop` only; where the program closed it behind our back a system call answers EBADF, and
        // callers that would harm a foreign file ask `is_ours` first.
        unsafe { BorrowedFd::borrow_raw(self.raw) }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        close_if_ours(self.raw, self.id);
    }
}
