//! A log file in memory.
#![expect(unsafe_code, reason = "the only file of the metalog that maps memory")]

use crate::error::{Error, Result};
use crate::media::file::File;
use rustix::mm::{MapFlags, MsyncFlags, ProtFlags};
use std::path::Path;

/// A log file, mapped whole and shared.
///
/// The page cache must hold it in single pages: a store dirties a whole folio, and a sync then writes it. Measured on ext4: with the folios
/// that large writes or readahead leave behind, each sync of a small record wrote 1 MiB and took 270 to 780 us; with single
/// pages 4 KiB and 117 us, as after pwrite, whose 900 ns an append by copy (20 to 195 ns) spares. So nothing here reads ahead, and mkfs drops the
/// pages it wrote.
/// Bytes go in and out by copy only: other processes write to it, each under the writer lock.
pub(crate) struct LogMap {
    start: *mut u8,
    len: usize,
}

// SAFETY: the pointer is only used to copy inside the mapping, which lives as long as the value.
unsafe impl Send for LogMap {}
// SAFETY: as above; who writes holds the writer lock of the KV, and who reads too.
unsafe impl Sync for LogMap {}

impl LogMap {
    /// Maps `len` bytes of the file at `path`.
    ///
    /// # Errors
    /// `Corrupt` if the file is missing or shorter.
    pub(crate) fn open(path: &Path, len: u64) -> Result<LogMap> {
        let file = open_log(path, len)?;
        let len = len as usize;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let start = file.with(|fd| unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, fd, 0) });
        let start = start.map_err(Error::io("mapping the log"))?;
        // SAFETY: the mapping just made; the advice changes no content. Without it, only speed is lost.
        let _ = unsafe { rustix::mm::madvise(start, len, rustix::mm::Advice::Random) };
        let start = start.cast();
        Ok(LogMap { start, len })
    }

    /// Bytes in the log.
    pub(crate) fn len(&self) -> u64 {
        self.len as u64
    }

    /// Copies bytes out. Panics if they lie outside.
    pub(crate) fn read(&self, at: u64, to: &mut [u8]) {
        let at = self.check(at, to.len());
        // SAFETY: inside the mapping (checked); `to` is the caller's own memory.
        unsafe { std::ptr::copy_nonoverlapping(self.start.add(at), to.as_mut_ptr(), to.len()) };
    }

    /// Copies bytes in. Panics if they would lie outside.
    pub(crate) fn write(&self, at: u64, from: &[u8]) {
        let at = self.check(at, from.len());
        // SAFETY: inside the mapping (checked); `from` is the caller's own memory.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), self.start.add(at), from.len()) };
    }

    /// Makes the bytes from `from` to `to` durable, and, the file system allowing, all that the device was given before.
    pub(crate) fn flush(&self, from: u64, to: u64) -> rustix::io::Result<()> {
        let from = from / 4096 * 4096;
        let to = to.next_multiple_of(4096).min(self.len() / 4096 * 4096);
        let at = self.check(from, (to - from) as usize);
        // SAFETY: whole pages inside the mapping; msync changes nothing in memory.
        unsafe { rustix::mm::msync(self.start.add(at).cast(), (to - from) as usize, MsyncFlags::SYNC) }
    }

    fn check(&self, at: u64, len: usize) -> usize {
        assert!(at.checked_add(len as u64).is_some_and(|end| end <= self.len()), "bytes {at} + {len} lie outside the log");
        at as usize
    }
}

impl Drop for LogMap {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `open`; nothing points into it.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), self.len) };
    }
}

/// Opens a log file, which has at least `len` bytes.
pub(crate) fn open_log(path: &Path, len: u64) -> Result<File> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = File::open_briefly(path, rustix::fs::OFlags::RDWR).map_err(|e| crate::media::pool::damaged_or(dir, &name, e))?;
    // For speed only, see `LogMap`.
    let _ = file.with(|fd| rustix::fs::fadvise(fd, 0, None, rustix::fs::Advice::Random));
    let have = file.len().map_err(Error::io("opening the log"))?;
    if have < len {
        return Err(Error::Corrupt(format!("{} was cut from {len} to {have} bytes: restore the pool from a copy", path.display())));
    }
    Ok(file)
}
