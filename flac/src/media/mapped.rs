#![expect(unsafe_code, reason = "maps the pool's files, and copies into and out of the mappings")]
//! A file of the pool mapped whole and shared: loads and stores instead of reads and writes.

use super::fd::FileId;
use super::file::File;
use super::lines;
use super::tap;
use crate::sync::AtomicU64;
use crate::units::{BLOCK, PAGE};
use rustix::io::{Errno, IoSlice};
use rustix::mm::{MapFlags, MsyncFlags, ProtFlags};
use std::sync::Arc;

/// A mapping of the first `len` bytes of a file, or a [part](Mapped::part) of one. Bytes behind the end of the file are SIGBUS: callers know how long it is.
pub(crate) struct Mapped {
    base: *mut u8,
    len: usize,
    id: FileId,
    whole: Arc<Whole>,
}

/// What is unmapped with the last of its parts.
struct Whole {
    base: *mut u8,
    len: usize,
}

// SAFETY: the pointer is only used to copy inside the mapping, which lives as long as the value.
unsafe impl Send for Mapped {}
// SAFETY: as above: bytes go in and out by copy, and who may write which is the callers' rule (a frame has one writer, before anybody knows it).
unsafe impl Sync for Mapped {}

// SAFETY: an address and a length.
unsafe impl Send for Whole {}
// SAFETY: as above.
unsafe impl Sync for Whole {}

impl Mapped {
    /// Maps `len` bytes of `file` at an address that agrees with the offset mod 2 MiB, so that huge entries can serve. With `sync` only persistent memory
    /// will do, whose blocks the file system keeps where they are for as long as they are mapped.
    ///
    /// # Errors
    /// With `sync`: `EOPNOTSUPP` (or `EINVAL` from a kernel that knows no `MAP_SYNC`) if the file is not on DAX.
    pub(crate) fn open(file: &File, len: usize, sync: bool) -> rustix::io::Result<Mapped> {
        let len = len.next_multiple_of(PAGE);
        // SAFETY: fresh address space at an address the kernel chooses.
        let space = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), len + BLOCK, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)?
        };
        let base = (space as usize).next_multiple_of(BLOCK);
        // SAFETY: [base, base + len) lies in the space just reserved, which nobody else knows.
        let mapped = unsafe { Self::map(file, Some(base), len, sync) };
        // The slack on both sides goes back; all of it if there is no mapping.
        let (from, to) = if mapped.is_ok() { (base, base + len) } else { (base, base) };
        for (start, end) in [(space as usize, from), (to, space as usize + len + BLOCK)] {
            if end > start {
                // SAFETY: part of the space reserved above, outside the mapping.
                let _ = unsafe { rustix::mm::munmap(start as *mut _, end - start) };
            }
        }
        mapped
    }

    /// As [`Mapped::open`], wherever the kernel likes: one system call instead of four. For files of which small parts are touched.
    pub(crate) fn open_anywhere(file: &File, len: usize, sync: bool) -> rustix::io::Result<Mapped> {
        // SAFETY: replaces nothing.
        unsafe { Self::map(file, None, len.next_multiple_of(PAGE), sync) }
    }

    /// # Safety
    /// Whatever lies at the address, if there is one, is the caller's to replace.
    unsafe fn map(file: &File, at: Option<usize>, len: usize, sync: bool) -> rustix::io::Result<Mapped> {
        let kind = if sync { MapFlags::SHARED_VALIDATE | MapFlags::SYNC } else { MapFlags::SHARED };
        let fixed = if at.is_some() { MapFlags::FIXED } else { MapFlags::empty() };
        let (protection, kind) = (ProtFlags::READ | ProtFlags::WRITE, kind | fixed | MapFlags::NORESERVE);
        // SAFETY: the caller vouches for the address.
        let base = file.with(|fd| unsafe { rustix::mm::mmap(at.unwrap_or(0) as *mut _, len, protection, kind, fd, 0) })?;
        let base = base.cast();
        Ok(Mapped { base, len, id: file.id(), whole: Arc::new(Whole { base, len }) })
    }

    /// `len` bytes of it from `at` on. Panics if they lie outside.
    pub(crate) fn part(&self, at: usize, len: usize) -> Mapped {
        Mapped { base: self.at(at, len), len, id: self.id, whole: self.whole.clone() }
    }

    /// Bytes mapped.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of byte `at`. Panics if it lies outside.
    pub(crate) fn at(&self, at: usize, len: usize) -> *mut u8 {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.len), "bytes {at} + {len} lie outside the mapping");
        // SAFETY: inside the mapping (checked).
        unsafe { self.base.add(at) }
    }

    /// Has memory put behind bytes of a file of a tmpfs. `ENOSPC` if there is none. Linux before 5.14 can't, and says nothing.
    pub(crate) fn populate(&self, at: usize, len: usize) -> rustix::io::Result<()> {
        // SAFETY: inside the mapping (checked by `at`); what is in it does not change.
        match unsafe { rustix::mm::madvise(self.at(at, len).cast(), len, rustix::mm::Advice::LinuxPopulateWrite) } {
            Err(Errno::FAULT | Errno::NOMEM) => Err(Errno::NOSPC),
            Err(Errno::INVAL) => Ok(()),
            done => done,
        }
    }

    /// The bytes themselves: for the kernel to read, while others may change them; or for a caller who knows that nobody does. Panics if they lie outside.
    pub(crate) fn bytes(&self, at: usize, len: usize) -> &[u8] {
        // SAFETY: inside the mapping (checked by `at`), which lives as long as `self`; the caller only hands them to a system call, or has the lock
        // under which they are changed.
        unsafe { std::slice::from_raw_parts(self.at(at, len), len) }
    }

    /// All of it as words that processes share.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        debug_assert!(self.base.addr().is_multiple_of(8));
        // SAFETY: the mapping, or a part of which the caller wants words, begins at a multiple of 8, lives as long as `self`, and is only accessed by atomics where this is used.
        unsafe { std::slice::from_raw_parts(self.base.cast(), self.len / 8) }
    }

    /// Copies bytes out. Panics if they lie outside.
    pub(crate) fn read(&self, at: usize, to: &mut [u8]) {
        // SAFETY: inside the mapping (`at` checks); `to` is the caller's own memory.
        unsafe { std::ptr::copy_nonoverlapping(self.at(at, to.len()), to.as_mut_ptr(), to.len()) };
    }

    /// Copies bytes in, past the cache; durable (where the medium is) after [`Mapped::fence`] by this thread.
    pub(crate) fn write(&self, at: usize, from: &[u8]) {
        // SAFETY: inside the mapping (`at` checks); `from` is the caller's own memory.
        unsafe { lines::copy_past_cache(self.at(at, from.len()), from.as_ptr(), from.len()) };
        tap::wrote(self.id, at as u64, &[IoSlice::new(from)], false);
        tap::written_back(self.id, at as u64, (at + from.len()) as u64);
    }

    /// As [`Mapped::write`], and nobody is told: [`Mapped::note`] does that. Takes no memory.
    pub(super) fn write_simply(&self, at: usize, from: &[u8]) {
        // SAFETY: as above.
        unsafe { lines::copy_past_cache(self.at(at, from.len()), from.as_ptr(), from.len()) };
    }

    /// As [`Mapped::fence`], as simply.
    pub(super) fn fence_simply(&self) {
        lines::fence();
    }

    /// What was written one behind the other from `at` on, and fenced, by whichever thread, is told to those who listen.
    pub(super) fn note(&self, at: usize, from: &[IoSlice<'_>]) {
        let len: usize = from.iter().map(|slice| slice.len()).sum();
        tap::wrote(self.id, at as u64, from, false);
        tap::written_back(self.id, at as u64, (at + len) as u64);
        tap::fenced(self.id);
    }

    /// Copies bytes in through the cache: they become durable whenever the processor likes.
    pub(crate) fn write_lazily(&self, at: usize, from: &[u8]) {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), self.at(at, from.len()), from.len()) };
        tap::wrote(self.id, at as u64, &[IoSlice::new(from)], false);
    }

    /// Writes back what anybody stored in the range; durable after [`Mapped::fence`] by this thread.
    pub(crate) fn persist(&self, at: usize, len: usize) {
        // SAFETY: inside the mapping (`at` checks).
        unsafe { lines::persist(self.at(at, len), len) };
        tap::written_back(self.id, at as u64, (at + len) as u64);
    }

    /// Tells the kernel that single pages will be touched, in no order. For speed only.
    pub(crate) fn advise_random(&self) {
        // SAFETY: the mapping of this value; the advice changes no content.
        let _ = unsafe { rustix::mm::madvise(self.base.cast(), self.len, rustix::mm::Advice::Random) };
    }

    /// Flushes the page cache's copy of the range (whole pages), and the device's cache.
    pub(crate) fn msync(&self, at: usize, len: usize) -> rustix::io::Result<()> {
        // SAFETY: inside the mapping (`at` checks); msync changes nothing in memory.
        unsafe { rustix::mm::msync(self.at(at, len).cast(), len, MsyncFlags::SYNC) }?;
        tap::flushed(self.id, at as u64, (at + len) as u64);
        Ok(())
    }

    /// Ends what this thread wrote and wrote back.
    pub(crate) fn fence(&self) {
        lines::fence();
        tap::fenced(self.id);
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `map`; nothing points into it.
        let _ = unsafe { rustix::mm::munmap(self.base.cast(), self.len) };
    }
}

/// Maps `len` bytes of `file` from `offset` on at `addr`, copy-on-write, replacing what was there.
///
/// # Safety
/// The caller may replace [addr, addr + len): nobody relies on what is mapped there.
pub(super) unsafe fn show(file: &File, addr: usize, offset: u64, len: usize, prot: i32) -> rustix::io::Result<()> {
    let (prot, kind) = (ProtFlags::from_bits_retain(prot as u32), MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE);
    // SAFETY: the caller vouches for the range.
    file.with(|fd| unsafe { rustix::mm::mmap(addr as *mut _, len, prot, kind, fd, offset) }.map(drop))
}
