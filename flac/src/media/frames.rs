#![expect(unsafe_code, reason = "shows frames in the program's memory")]
//! Reading and writing the frames of an open pool: by loads and stores where the medium is mapped, else past the page cache where the file system can.

use super::file::{File, PageBuffer};
use super::mapped::Mapped;
use super::{Medium, Model, Pool};
use crate::error::{Error, Result};
use crate::sync::Ordering;
use crate::units::{PAGE, PoolFrame};
use rustix::io::IoSlice;
use std::time::Instant;

/// Bytes that pass through a bounce buffer at a time.
const BOUNCE: usize = 256 << 10;
/// Bytes that one call asks the kernel for.
const ASK: u64 = 512 << 10;

/// How frames of a block medium are read; elsewhere it makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Past the kernel's page cache, where the file system can.
    Past,
    /// From the page cache, into which [`Pool::ask`] had them fetched; they leave it. What comes may be older than the medium: a write past the cache drops the copy there,
    /// except where the kernel can't. So compare it with a checksum.
    Asked,
}

impl Pool {
    /// Reads `to.len() / 4096` frames from `first` on. Panics unless the length is a multiple of 4096 and the frames lie in the pool.
    ///
    /// # Errors
    /// `Corrupt` if frames were never written; `Io`.
    pub fn read(&self, first: PoolFrame, to: &mut [u8]) -> Result<()> {
        self.read_scattered(first, &mut [to], Way::Past)
    }

    /// As [`Pool::read`], into memory that may be scattered and by the way the caller says. Panics unless the lengths are multiples of 4096 and the frames lie in the pool.
    ///
    /// # Errors
    /// As for [`Pool::read`].
    pub fn read_scattered(&self, first: PoolFrame, to: &mut [&mut [u8]], way: Way) -> Result<()> {
        assert!(to.iter().all(|part| part.len() % PAGE == 0), "whole frames");
        let bytes = to.iter().map(|part| part.len()).sum();
        let (start, end) = self.span(first, bytes / PAGE);
        let mut at = start;
        if let Some(map) = &self.map {
            self.check_there(end)?;
            return self.charged(Model::charge_read, bytes, || {
                for part in to {
                    map.read(at as usize, part);
                    at += part.len() as u64;
                }
                Ok(())
            });
        }
        let read = |file: &File, to: &mut [&mut [u8]], at, bytes: usize| {
            let n = file.read_vectored_at(to, at).map_err(Error::io("reading the pool"))?;
            if n < bytes { Err(self.too_short(at + bytes as u64)) } else { Ok(()) }
        };
        match &self.direct {
            Some(direct) if way == Way::Past && to.iter().all(|part| part.as_ptr().align_offset(PAGE) == 0) => {
                read(direct, to, start, bytes)
            }
            Some(direct) if way == Way::Past => {
                let mut bounce = PageBuffer::new(BOUNCE.min(bytes));
                for part in to.iter_mut().flat_map(|part| part.chunks_mut(BOUNCE)) {
                    let bounce = &mut bounce.as_mut_slice()[..part.len()];
                    read(direct, &mut [&mut *bounce], at, part.len())?;
                    part.copy_from_slice(bounce);
                    at += part.len() as u64;
                }
                Ok(())
            }
            _ => {
                let result = read(&self.cached, to, start, bytes);
                // The copy in DRAM is the one that serves from now on.
                let len = std::num::NonZeroU64::new(bytes as u64);
                let _ = self.cached.with(|fd| rustix::fs::fadvise(fd, start, len, rustix::fs::Advice::DontNeed));
                result
            }
        }
    }

    /// Asks the kernel to fetch `count` frames from `first` on into its page cache, from where [`Way::Asked`] takes them, and returns before they are there. Advice: if it can't
    /// be followed, nothing is lost but time. Does nothing where the medium is mapped. Panics unless the frames lie in the pool.
    pub fn ask(&self, first: PoolFrame, count: u32) {
        if self.map.is_some() {
            return;
        }
        let (start, end) = self.span(first, count as usize);
        // The kernel cuts one call to what it likes to read at once (`max_sectors_kb`, or its own window).
        for at in (start..end).step_by(ASK as usize) {
            let len = std::num::NonZeroU64::new(ASK.min(end - at));
            let _ = self.cached.with(|fd| rustix::fs::fadvise(fd, at, len, rustix::fs::Advice::WillNeed));
        }
    }

    /// How many pages a flush may put into its record, so that one write makes it durable, instead of writing them to their frames first: 0 where
    /// that gains nothing.
    ///
    /// What the second write of the device costs is more than what carrying costs up to here: the log's and the page cache's memory, filling the log, and writing all of it once more at the
    /// checkpoint. Means of 3,000 overwrites with fsync on ext4, best of three rounds, microseconds carried (not): 8 KiB 116 (126), 16 KiB 134 (201), 32 KiB 182 (176), 64 KiB 172 (161).
    /// Appends of 64 KiB with fsync against ext4's own, medians of three interleaved runs: 0.81, 0.88 and 0.68 of its speed carried, 0.95, 0.99 and 1.12 not.
    pub fn inline_pages(&self) -> usize {
        // Nor may such a record be large for the log.
        if self.medium() == Medium::Block { 8.min(self.log_bytes() as usize / 8 / PAGE) } else { 0 }
    }

    /// As [`Pool::write`], but at the kernel's leisure: for data that a log record carries too. Reads see it at once.
    ///
    /// # Durability
    /// After [`Pool::flush_data`]; the flush of a log does *not* cover it.
    pub fn write_home(&self, first: PoolFrame, pages: &[&[u8]]) -> Result<()> {
        if self.map.is_some() {
            return self.write(first, pages);
        }
        assert!(pages.iter().all(|p| p.len() == PAGE), "whole frames");
        let (start, end) = self.span(first, pages.len());
        // How long the file is need not be durable before the data are: to see to that here took 3 to 8 ms for each 2 MiB.
        self.reach_cached(end)?;
        let slices: Vec<IoSlice<'_>> = pages.iter().map(|p| IoSlice::new(p)).collect();
        self.cached.write_vectored_at(&slices, start).map_err(Error::io("writing the pool"))
    }

    /// Writes contiguous frames from scattered memory: one page of 4096 bytes for each, fastest when page-aligned. The memory must
    /// not change meanwhile. Panics unless the frames lie in the pool.
    ///
    /// # Durability
    /// On DAX the frames are durable. Elsewhere none by itself: follow with a metalog record and [`crate::metalog::Meta::sync`], or with [`Pool::flush_data`].
    pub fn write(&self, first: PoolFrame, pages: &[&[u8]]) -> Result<()> {
        let (start, end) = self.begin_write(first, pages)?;
        if let Some(map) = self.map.as_ref().filter(|_| self.medium() != Medium::Memory) {
            self.check_there(end)?;
            self.charged(Model::charge_write, pages.len() * PAGE, || store(map, start as usize, pages));
            return Ok(());
        }
        let file = self.direct.as_ref().unwrap_or(&self.cached);
        let what = "writing the pool";
        if self.direct.is_none() || pages.iter().all(|p| p.as_ptr().align_offset(PAGE) == 0) {
            let slices: Vec<IoSlice<'_>> = pages.iter().map(|p| IoSlice::new(p)).collect();
            let write = || file.write_vectored_at(&slices, start).map_err(Error::io(what));
            return self.charged(Model::charge_write, pages.len() * PAGE, write);
        }
        let per_bounce = BOUNCE / PAGE;
        let mut bounce = PageBuffer::new(BOUNCE.min(pages.len() * PAGE));
        for (i, batch) in pages.chunks(per_bounce).enumerate() {
            let bounce = &mut bounce.as_mut_slice()[..batch.len() * PAGE];
            for (to, page) in bounce.chunks_exact_mut(PAGE).zip(batch) {
                to.copy_from_slice(page);
            }
            file.write_at(bounce, start + (i * BOUNCE) as u64).map_err(Error::io(what))?;
        }
        Ok(())
    }

    /// As [`Pool::write`], for so many frames that what the file has not got to yet is better written once than twice, first as zeros. Whether [`Pool::settle`] must be called
    /// before a record relies on them.
    pub(crate) fn write_fresh(&self, first: PoolFrame, pages: &[&[u8]]) -> Result<bool> {
        let (start, end) = self.span(first, pages.len());
        let direct = self.direct.as_ref().filter(|_| pages.iter().all(|p| p.as_ptr().align_offset(PAGE) == 0));
        let Some(direct) = direct.filter(|_| !self.has_grown(end)) else { return self.write(first, pages).map(|()| false) };
        self.reach(start)?;
        #[cfg(test)]
        super::tests::writing();
        let slices: Vec<IoSlice<'_>> = pages.iter().map(|p| IoSlice::new(p)).collect();
        direct.write_vectored_at(&slices, start).map_err(Error::io("writing the pool"))?;
        self.reached(end);
        Ok(true)
    }

    /// Where the frames are in the file, which has them.
    pub(super) fn begin_write(&self, first: PoolFrame, pages: &[&[u8]]) -> Result<(u64, u64)> {
        assert!(pages.iter().all(|p| p.len() == PAGE), "whole frames");
        let span = self.span(first, pages.len());
        self.ensure(first.get() + pages.len() as u32, pages.len())?;
        #[cfg(test)]
        super::tests::writing();
        Ok(span)
    }

    /// Where `count` frames from `first` on lie in this process's memory: valid for reading while the frames are used by an extent, and they never change while
    /// they are. `None`: the medium is not mapped, or there are no such frames.
    pub fn mapped(&self, first: PoolFrame, count: usize) -> Option<*const u8> {
        let map = self.map.as_ref()?;
        let (start, bytes) = (first.get() as usize * PAGE, count * PAGE);
        let end = (start + bytes) as u64;
        (end <= self.capacity() && self.check_there(end).is_ok()).then(|| map.at(start, bytes).cast_const())
    }

    /// Shows `pages` frames from `first` on at `addr`, copy-on-write, replacing what was mapped there.
    ///
    /// # Errors
    /// `Io` with the kernel's errno; `Corrupt` if there are no such frames.
    ///
    /// # Safety
    /// The caller may replace [addr, addr + pages * PAGE): nobody relies on what is mapped there.
    pub unsafe fn show(&self, addr: usize, first: PoolFrame, pages: u32, prot: i32) -> Result<()> {
        let (start, end) = self.span(first, pages as usize);
        self.check_there(end)?;
        // SAFETY: the caller vouches for the range.
        unsafe { super::mapped::show(&self.cached, addr, start, pages as usize * PAGE, prot) }.map_err(Error::io("map frames"))
    }

    /// Inode number of the frames file, to tell its mappings from others.
    pub fn frames_inode(&self) -> u64 {
        self.cached.id().1
    }

    /// Runs `access`, which moves `bytes`, and takes as long as the injected device would.
    pub(crate) fn charged<R>(&self, charge: impl Fn(Model, Instant, usize), bytes: usize, access: impl FnOnce() -> R) -> R {
        let Some(model) = self.model else { return access() };
        let start = Instant::now();
        let result = access();
        charge(model, start, bytes);
        result
    }

    /// A load behind the end of the file would kill the process: asks first, for each byte once.
    pub(super) fn check_there(&self, end: u64) -> Result<()> {
        if end <= self.seen.load(Ordering::Relaxed) {
            return Ok(());
        }
        let len = self.cached.len().map_err(Error::io("reading the pool's frames file"))?;
        self.seen.fetch_max(len, Ordering::Relaxed);
        if end <= len { Ok(()) } else { Err(self.too_short(end)) }
    }

    fn too_short(&self, end: u64) -> Error {
        Error::Corrupt(format!("{} ends before byte {end}", self.dir.join("frames").display()))
    }
}

/// Stores pages one behind the other; on DAX they are durable when this returns.
fn store(map: &Mapped, start: usize, pages: &[&[u8]]) {
    for (i, page) in pages.iter().enumerate() {
        map.write(start + i * PAGE, page);
    }
    map.fence();
}
