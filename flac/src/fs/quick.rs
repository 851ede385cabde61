#![expect(unsafe_code, reason = "passes the program's memory on")]
//! The commonest small reads and writes: the whole way in one function, of a process that has one thread.
//!
//! Each layer of the long way (`io`, then `read` or `write`) is there for cases that these are none of: several vectors, several pages, attaching, another thread that moves the offset or closes the file, a watcher.
//! All of it together is 690 instructions for 64 bytes; this is some 300, with the hook. What does not fit is `None`, with nothing done, and goes the long way from its beginning, which also finds the errno.

use super::Fs;
use super::stats::Stats;
use super::write::At;
use crate::region::OpenSlot;
use crate::sync::{Ordering::*, is_single_threaded};
use libc::c_int;

/// More is more than a page.
const _: () = assert!(super::ATTACH_MIN > crate::units::PAGE);

impl Fs {
    /// Reads `len` bytes at `at`, or at the open file's offset, which then advances.
    ///
    /// # Safety
    /// [`to`, `to + len`) is the program's buffer: it may be written, or faults.
    #[inline(always)]
    pub unsafe fn read_small(&self, hold: usize, to: *mut u8, len: usize, at: Option<u64>) -> Option<usize> {
        let (open, flags) = self.plain_open(hold, at)?;
        if len == 0 || flags & libc::O_ACCMODE == libc::O_WRONLY {
            return None;
        }
        let slot = open.inode.load(Relaxed);
        let s = self.inodes.get(slot)?;
        if s.mode.load(Relaxed) & libc::S_IFMT != libc::S_IFREG {
            return None;
        }
        let start = at.unwrap_or_else(|| open.offset.load(Relaxed));
        // SAFETY: the program's buffer.
        let n = unsafe { self.read_in_page(slot, to, len, start) }?;
        Stats::add(&self.stats.reads, 1);
        if at.is_none() {
            open.offset.store(start.wrapping_add(n as u64), Relaxed);
        }
        if flags & libc::O_NOATIME == 0 {
            self.accessed(s, open, start > 0);
        }
        Some(n)
    }

    /// Writes `len` bytes at `at`, or at the open file's offset, which then advances; an `O_APPEND` file at its end.
    ///
    /// # Safety
    /// [`from`, `from + len`) is the program's buffer: readable, or faults.
    #[inline(always)]
    pub unsafe fn write_small(&self, hold: usize, from: *const u8, len: usize, at: Option<u64>) -> Option<usize> {
        let (open, flags) = self.plain_open(hold, at)?;
        if flags & libc::O_ACCMODE == libc::O_RDONLY || flags & (libc::O_SYNC | libc::O_DSYNC) != 0 {
            return None;
        }
        let slot = open.inode.load(Relaxed);
        // Set-id bits go with a write.
        if self.inodes.get(slot)?.mode.load(Relaxed) & (libc::S_IFMT | libc::S_ISUID | libc::S_ISGID) != libc::S_IFREG {
            return None;
        }
        let start = if flags & libc::O_APPEND != 0 { At::End } else { At::Offset(at.unwrap_or_else(|| open.offset.load(Relaxed))) };
        // SAFETY: the program's buffer.
        let end = unsafe { self.write_in_page(slot, from, len, start) }?;
        Stats::add(&self.stats.writes, 1);
        if at.is_none() {
            open.offset.store(end, Relaxed);
        }
        Some(len)
    }

    /// The open file held at `hold`, and its flags, if nobody is concerned by a call on it but this process's only thread.
    #[inline(always)]
    fn plain_open(&self, hold: usize, at: Option<u64>) -> Option<(&'static OpenSlot, c_int)> {
        if !is_single_threaded() || self.is_lazy() || self.is_watching() {
            return None;
        }
        let word = self.procs.holds().get(hold)?.load(Relaxed);
        let open = self.region.control.opens().get((word as usize).wrapping_sub(1))?;
        let flags = open.flags.load(Acquire) as c_int;
        // The third access mode allows neither.
        let is_plain = flags & libc::O_PATH == 0 && flags & libc::O_ACCMODE != libc::O_ACCMODE;
        (is_plain && (at.is_some() || open.refs.load(Relaxed) == 1)).then_some((open, flags))
    }
}
