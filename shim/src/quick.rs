//! Small reads and writes that need nothing of what lies between a hook and `flac`: the same files as ever, by the shortest way ([`Fs::read_small`](flac::Fs::read_small)).
//!
//! No errno is kept, for no function of libc is called; no buffer of a page or less is attached, so memory that must not be attached needs no look. What is not answered here goes the
//! long way, by [`boundary::cross`](crate::boundary::cross).
#![expect(unsafe_code, reason = "passes the program's buffers to flac")]

use crate::boundary::Briefly;
use crate::stats::{self, Counter};
use crate::{fds, limits, pipes};
use flac::Fs;
use flac::fs::io::IoVec;
use libc::{c_int, off_t, ssize_t};

/// What is read here is no part of what [`pipes`] looks for.
const _: () = assert!(pipes::LEAST > flac::units::PAGE);

/// Reads at `at`, or at the open file's offset.
#[inline(always)]
pub fn read(fd: c_int, to: &IoVec, at: Option<off_t>) -> Option<ssize_t> {
    let (fs, _guard) = begin(fd)?;
    // SAFETY: the program's buffer, as it gave it.
    let n = unsafe { fs.read_small(fd as usize, to.iov_base.cast(), to.iov_len, place(at)?) }?;
    stats::add(Counter::BytesRead, n as u64);
    Some(n as ssize_t)
}

/// Writes at `at`, or at the open file's offset or end.
#[inline(always)]
pub fn write(fd: c_int, from: &IoVec, at: Option<off_t>) -> Option<ssize_t> {
    let (fs, _guard) = begin(fd)?;
    if limits::file_size().is_some() {
        return None;
    }
    // SAFETY: as above.
    let n = unsafe { fs.write_small(fd as usize, from.iov_base.cast(), from.iov_len, place(at)?) }?;
    stats::add(Counter::BytesWritten, n as u64);
    Some(n as ssize_t)
}

/// Enters, if `fd` is known to be FLAC's and this thread is where most are: outside, on a stack with room.
#[inline(always)]
fn begin(fd: c_int) -> Option<(&'static Fs, Briefly)> {
    Some((fds::known(fd)?, Briefly::enter()?))
}

/// As `flac` has it; `None`: not an offset.
#[inline(always)]
fn place(at: Option<off_t>) -> Option<Option<u64>> {
    match at {
        None => Some(None),
        Some(at) => u64::try_from(at).ok().map(Some),
    }
}
