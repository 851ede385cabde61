#![expect(unsafe_code, reason = "copies frames of the pool to the program's memory")]
//! A miss on a mapped medium: pages that only the pool has are read and shown where they lie; those that are read again move to DRAM.
//!
//! *Who moves them.* A page that was read [`HOT`] times is copied to DRAM by the reader that comes next, together with its hot neighbours, at most [`MOVE_MOST`] pages
//! (10 us): so a page read over and over costs at most twice what it would have cost had one known. Large attached reads never wait for that: their pages are left to
//! [`Fs::move_hot`], which a helper process calls (`flac writeback`). Without one they stay attached from the pool: slower to touch, never wrong. There is no hidden thread:
//! an unmodified program may fork, or forbid system calls, at any time.
//!
//! *What is not checked.* Data read in place is not compared with its checksum (2 MiB would take 320 us instead of 2): on such media the device's own ECC guards each
//! line. A page's checksum is verified when the page moves to DRAM, is overwritten in part, and by `flac fsck --data`.

use super::Fs;
use crate::error::{Error, Result};
use crate::inode::{SlotNo, flag};
use crate::media::{Model, Way};
use crate::region::copy;
use crate::sync::{AtomicU64, Ordering::*};
use crate::table::Entry;
use crate::units::{BLOCK_FRAMES, Ino, PAGE, PageNo, PoolFrame};

/// So many reads make a page worth its copy in DRAM. A copy costs two reads from the device's memory (0.6 us for 4 KiB at 6.6 GB/s, then checksum and store).
const HOT: u64 = 2;
/// Pages that one read moves at the most.
const MOVE_MOST: u64 = 16;
/// Pages that [`Fs::move_hot`] moves under one lock.
const MOVE_BATCH: u64 = 64;

impl Fs {
    /// Whether pages of the inode that only the pool has are read and shown where they lie. Not those of the FLAC space: its table may name frames that a killed `pfree` has freed.
    pub(super) fn reads_in_place(&self, slot: SlotNo) -> bool {
        self.pool.medium().is_mapped() && self.inodes.slot(slot).ino.load(Relaxed) != Ino::SPACE.get()
    }

    /// Copies up to `len` bytes from `within` the page on, whose only frame is `pool`, and from frames that follow it. Returns the bytes tried and what of them is left
    /// when the program's memory faults. `None`: the page has to be brought ([`Fs::bring`]), or what was seen makes no sense (a look without the lock may be torn).
    ///
    /// # Safety
    /// [`to`, `to + len`) is the program's buffer.
    pub(super) unsafe fn copy_from_pool(
        &self,
        slot: SlotNo,
        page: PageNo,
        within: usize,
        to: *mut u8,
        len: usize,
    ) -> Option<(usize, usize)> {
        if !self.reads_in_place(slot) {
            return None;
        }
        let cells = self.inodes.table(slot).cells(page)?;
        let pool = Entry::from_raw(cells[0].load(Acquire)).pool()?;
        let wanted = (within + len).div_ceil(PAGE);
        let readable = |(i, cell): (usize, &&AtomicU64)| self.is_read_in_place(cell, pool.get() as u64 + i as u64);
        let run = cells.iter().take(wanted).enumerate().take_while(|(i, cell)| readable((*i, cell))).count();
        // A damaged table may name frames behind the end of the pool: what is before them can be read, and the first of them is an error for `bring`.
        let (run, from) =
            [run, run.min(1)].into_iter().filter(|run| *run > 0).find_map(|run| self.pool.mapped(pool, run).map(|from| (run, from)))?;
        let n = (run * PAGE - within).min(len);
        // SAFETY: the frames are mapped, `within + n` bytes of them at least; the target is the program's.
        let left = self.pool.charged(Model::charge_read, n, || unsafe { copy::copy(to, from.add(within), n) });
        super::stats::Stats::add(&self.stats.read_in_place, n - left);
        Some((n, left))
    }

    /// Whether the page has pool frame `frame` only and is not due to move; counts the read.
    fn is_read_in_place(&self, cell: &AtomicU64, frame: u64) -> bool {
        let entry = Entry::from_raw(cell.load(Relaxed));
        if entry.dram().is_some() || entry.pool().is_none_or(|pool| pool.get() as u64 != frame) {
            return false;
        }
        if !self.pool.is_slower_than_dram() {
            return true;
        }
        // Only the count may change without the lock; if anything else did, this changes nothing.
        let _ = cell.compare_exchange(entry.raw(), entry.touched().raw(), Relaxed, Relaxed);
        entry.touches() < HOT
    }

    /// Makes the page readable without the lock, or says that all of its leaf is a hole (`false`): the leaf is loaded; on block media, or if it is read often, so is the page, with some of the `want` that are read from there on. Needs the
    /// inode's lock.
    pub(super) fn bring(&self, slot: SlotNo, page: PageNo, want: u64) -> Result<bool> {
        let Some(cell) = self.cell_if_any(slot, page)? else { return Ok(false) };
        let entry = Entry::from_raw(cell.load(Acquire));
        let (None, Some(pool)) = (entry.dram(), entry.pool()) else { return Ok(true) };
        if !self.reads_in_place(slot) {
            return self.resident(slot, page, want).map(|_| true);
        }
        if self.pool.mapped(pool, 1).is_none() {
            return Err(Error::Corrupt(format!("the pool has no frame {}: run `flac fsck`", pool.get())));
        }
        if entry.touches() >= HOT {
            self.move_run(slot, page, MOVE_MOST)?;
        }
        Ok(true)
    }

    /// Moves a hot page and its hot neighbours behind it to DRAM, as far as there is room without evicting others. Needs the inode's lock. How many.
    fn move_run(&self, slot: SlotNo, page: PageNo, most: u64) -> Result<u64> {
        let cells = self.inodes.table(slot).cells(page).unwrap_or_default();
        let entries = || cells.iter().map(|cell| Entry::from_raw(cell.load(Relaxed)));
        let first = entries().next().and_then(Entry::pool);
        let follows = |(i, entry): &(u64, Entry)| {
            let pool = entry.pool().zip(first);
            entry.dram().is_none() && entry.touches() >= HOT && pool.is_some_and(|(p, f)| p.get() as u64 == f.get() as u64 + i)
        };
        let count = (0..most).zip(entries()).take_while(follows).count() as u64;
        // A large file takes a whole block at a time.
        let room = self.frames.free().saturating_sub(self.frames.total() as u64 / 16 + BLOCK_FRAMES as u64);
        let Some(first) = first.filter(|_| count > 0) else { return Ok(0) };
        match if room < count { Err(Error::NoFrames) } else { self.load_pages(slot, page, first, count, Way::Past) } {
            Err(Error::NoFrames) => {
                // No room: they stay where they are, and are not asked for again at once.
                cells.iter().take(count as usize).for_each(|cell| cell.store(Entry::from_raw(cell.load(Relaxed)).cooled().raw(), Release));
                Ok(0)
            }
            other => other,
        }
    }

    /// The pool frames of the pages from `page` on that only the pool has, as far as they follow each other: (first, count). `None` where the medium is not mapped, or the page
    /// is a hole or has a DRAM frame. Counts a read of each. Needs the inode's lock.
    pub(super) fn pool_run(&self, slot: SlotNo, page: PageNo, most: u64) -> Result<Option<(PoolFrame, u32)>> {
        if !self.reads_in_place(slot) {
            return Ok(None);
        }
        let entry = self.entry(slot, page)?;
        let (None, Some(first)) = (entry.dram(), entry.pool()) else { return Ok(None) };
        let s = self.inodes.slot(slot);
        let most = most.min(s.size.load(Relaxed).div_ceil(PAGE as u64).saturating_sub(page.get()));
        let mut count = 0;
        let mut hot = false;
        while count < most {
            let cells = match count {
                0 => self.inodes.table(slot).cells(page),
                // The next leaf may have to be loaded.
                _ => self.cell_if_any(slot, page.plus(count)).ok().flatten().and_then(|_| self.inodes.table(slot).cells(page.plus(count))),
            };
            let before = count;
            for cell in cells.unwrap_or_default().iter().take((most - count) as usize) {
                let entry = Entry::from_raw(cell.load(Relaxed));
                if entry.dram().is_some() || entry.pool().is_none_or(|pool| pool.get() as u64 != first.get() as u64 + count) {
                    break;
                }
                if self.pool.is_slower_than_dram() {
                    hot |= entry.touches() + 1 >= HOT;
                    cell.store(entry.touched().raw(), Release);
                }
                count += 1;
            }
            if count == before || !page.plus(count).get().is_multiple_of(BLOCK_FRAMES as u64) {
                break;
            }
        }
        if hot && s.flags.load(Relaxed) & flag::HOT == 0 {
            s.flags.fetch_or(flag::HOT, AcqRel);
        }
        Ok((count > 0).then_some((first, count as u32)))
    }

    /// Loads the part of the file into DRAM that only the pool has, now: what a miss costs where it is not read in place. Returns how many pages were loaded.
    ///
    /// # Errors
    /// `Corrupt` if a page fails its checksum; `NoFrames` if DRAM is full; `Io`.
    pub fn load(&self, ino: Ino, offset: u64, len: u64) -> Result<u64> {
        let slot = self.hold_inode(ino)?;
        let end = offset.saturating_add(len).min(self.inodes.slot(slot).size.load(Acquire)).div_ceil(PAGE as u64);
        let (mut page, mut loaded, mut result) = (PageNo::of(offset), 0, Ok(()));
        while page.get() < end && result.is_ok() {
            let done = self.with_frames(|| {
                let _write = self.inodes.lock(slot);
                self.load_next(slot, page, end - page.get())
            });
            match done {
                Ok((passed, count)) => {
                    page = page.plus(passed);
                    loaded += count;
                }
                Err(e) => result = Err(e),
            }
        }
        self.unhold_inode(slot);
        result.map(|()| loaded)
    }

    /// Loads one run of at most [`MOVE_BATCH`] pages. Returns how many pages it passed, and how many of them were loaded. Needs the inode's lock.
    fn load_next(&self, slot: SlotNo, page: PageNo, most: u64) -> Result<(u64, u64)> {
        let entry = self.entry(slot, page)?;
        let (None, Some(first)) = (entry.dram(), entry.pool()) else { return Ok((1, 0)) };
        let cells = self.inodes.table(slot).cells(page).unwrap_or_default();
        let follows = |i: u64, cell: &AtomicU64| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            entry.dram().is_none() && entry.pool().is_some_and(|pool| pool.get() as u64 == first.get() as u64 + i)
        };
        let count = (0..most.min(MOVE_BATCH)).zip(cells).take_while(|(i, cell)| follows(*i, cell)).count() as u64;
        let count = self.load_pages(slot, page, first, count, Way::Past)?;
        Ok((count, count))
    }

    /// Moves pages that were read often from the pool to DRAM, until none is left or DRAM is nearly full. For a helper process: programs wait for a batch of pages at the
    /// most. Returns how many pages moved.
    ///
    /// # Errors
    /// `Corrupt` if a page fails its checksum; `Io`.
    pub fn move_hot(&self) -> Result<u64> {
        let mut moved = 0;
        for slot in self.inodes.all() {
            let s = self.inodes.slot(slot);
            if s.flags.load(Acquire) & flag::HOT == 0 {
                continue;
            }
            let Some(slot) = self.inodes.hold(Ino::new(s.ino.load(Acquire))) else { continue };
            let result = self.move_hot_of(slot);
            self.unhold_inode(slot);
            moved += result?;
        }
        Ok(moved)
    }

    fn move_hot_of(&self, slot: SlotNo) -> Result<u64> {
        let s = self.inodes.slot(slot);
        s.flags.fetch_and(!flag::HOT, AcqRel);
        let mut pages = Vec::new();
        {
            let _write = self.inodes.lock(slot);
            self.inodes.table(slot).for_each(PageNo::new(0), PageNo::new(u64::MAX), &mut |page, cell| {
                let entry = Entry::from_raw(cell.load(Relaxed));
                if entry.dram().is_none() && entry.pool().is_some() && entry.touches() >= HOT {
                    pages.push(page);
                }
            });
        }
        let (mut moved, mut next) = (0, PageNo::new(0));
        for page in pages {
            if page < next {
                continue;
            }
            let _write = self.inodes.lock(slot);
            let count = self.move_run(slot, page, MOVE_BATCH)?;
            moved += count;
            next = page.plus(count);
        }
        Ok(moved)
    }
}
