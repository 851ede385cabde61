#![expect(unsafe_code, reason = "copies frames")]
//! Size and holes: truncate and fallocate.

use super::Fs;
use super::write::MAX_SIZE;
use crate::error::{Error, Result};
use crate::inode::{SlotNo, flag, touch};
use crate::sync::Ordering::*;
use crate::table::Entry;
use crate::units::{FrameNo, Ino, PAGE, PageNo};

impl Fs {
    /// Sets the size (of a regular file; the caller has checked permission).
    pub fn truncate(&self, ino: Ino, size: u64) -> Result<()> {
        let slot = self.hold_inode(ino)?;
        let result = self.not_running(ino).and_then(|()| self.resize(slot, size, false));
        self.unhold_inode(slot);
        result
    }

    /// Sets the size. `by_open`: times change only if the size does (as the kernel does for O_TRUNC: always mtime and ctime).
    pub(super) fn resize(&self, slot: SlotNo, size: u64, by_open: bool) -> Result<()> {
        let s = self.inodes.slot(slot);
        match s.mode.load(Relaxed) & libc::S_IFMT {
            libc::S_IFREG => {}
            libc::S_IFDIR => return Err(Error::Os(libc::EISDIR)),
            // O_TRUNC on a FIFO or device is ignored; truncate(2) is not.
            _ if by_open => return Ok(()),
            _ => return Err(Error::Os(libc::EINVAL)),
        }
        if size > MAX_SIZE {
            return Err(Error::Os(libc::EFBIG));
        }
        if s.shared_maps.load(Acquire) != 0 && size < s.size.load(Acquire) {
            self.cut_mappings(slot, size);
        }
        self.with_frames(|| {
            let _write = self.inodes.lock(slot);
            if size < s.size.load(Relaxed) {
                self.shrink(slot, size)?;
            }
            self.refill(slot, size);
            s.flags.fetch_or(flag::DIRTY, AcqRel);
            s.size.store(size, Release);
            s.shrinking.store(0, Release);
            touch(&[&s.mtime, &s.ctime]);
            Ok(())
        })?;
        // Of truncation by `open` those who watch are told after the opening.
        if !by_open {
            self.tell_modified(Ino::new(s.ino.load(Relaxed)));
        }
        Ok(())
    }

    /// Cuts the pages behind `size` off and zeroes the tail of the last one. Needs the inode's lock.
    fn shrink(&self, slot: SlotNo, size: u64) -> Result<()> {
        let s = self.inodes.slot(slot);
        if !size.is_multiple_of(PAGE as u64) {
            let mut left = 0;
            let owned = self.own_page(slot, PageNo::of(size), &mut left);
            self.space.unreserve(left);
            owned?;
        }
        // From here on nothing fails.
        self.inodes.cut_off(slot, size);
        if s.flags.load(Relaxed) & flag::HAS_POOL != 0 && size != 0 {
            // Leaves that were never loaded went, too.
            let end = PageNo::new(s.cut.load(Relaxed).saturating_sub(1));
            self.recount(slot, end).unwrap_or_else(|_| _ = s.flags.fetch_or(flag::UNCOUNTED, AcqRel));
        }
        Ok(())
    }

    /// Before the file grows to `size`: frames behind its end, which have no memory since they were cut off, get it again, for they are mapped. (If there is none to be had, their
    /// next touch asks again.) Needs the inode's lock.
    #[inline]
    pub(super) fn refill(&self, slot: SlotNo, size: u64) {
        let s = self.inodes.slot(slot);
        let end = s.size.load(Relaxed);
        if size > end && s.shared_maps.load(Relaxed) != 0 {
            self.refill_between(slot, PageNo::new(end.div_ceil(PAGE as u64)), PageNo::new(size.div_ceil(PAGE as u64)));
        }
    }

    #[cold]
    fn refill_between(&self, slot: SlotNo, from: PageNo, to: PageNo) {
        let mut runs: Vec<(FrameNo, u32)> = Vec::new();
        self.inodes.table(slot).for_each(from, to, &mut |_, cell| {
            let Some(frame) = Entry::from_raw(cell.load(Relaxed)).dram() else { return };
            match runs.last_mut() {
                Some((first, pages)) if frame == first.plus(*pages) => *pages += 1,
                _ => runs.push((frame, 1)),
            }
        });
        for (first, pages) in runs {
            self.region.dram.refill(first, pages);
        }
    }

    /// Counts the pages of a file anew if somebody died while they changed: less than there are, and who loads the inode next would not look for them.
    pub(super) fn count_pages(&self, slot: SlotNo) -> Result<()> {
        let s = self.inodes.slot(slot);
        let is_counted = || s.flags.load(Acquire) & flag::UNCOUNTED == 0;
        // Whoever died holding the lock is found by who takes it.
        if is_counted() && !s.lock.is_locked() {
            return Ok(());
        }
        let write = self.inodes.lock(slot);
        if is_counted() {
            return Ok(());
        }
        if s.mode.load(Relaxed) & libc::S_IFMT == libc::S_IFREG {
            self.recount(slot, PageNo::new(u64::MAX))?;
        }
        s.flags.fetch_or(flag::DIRTY, AcqRel);
        s.flags.fetch_and(!flag::UNCOUNTED, AcqRel);
        drop(write);
        Ok(())
    }

    /// Counts the pages of a file anew, of which nothing that was never loaded lies at or behind `end`. Needs the inode's lock.
    fn recount(&self, slot: SlotNo, end: PageNo) -> Result<()> {
        let s = self.inodes.slot(slot);
        let mut count = 0;
        self.load_leaves(slot, end)?;
        self.inodes.table(slot).for_each(PageNo::new(0), PageNo::new(u64::MAX), &mut |_, cell| {
            count += !Entry::from_raw(cell.load(Relaxed)).is_hole() as u64;
        });
        s.pages.store(count, Relaxed);
        Ok(())
    }

    /// Zeroes bytes [from, to) of a page, as [`Fs::own_page`]. Needs the inode's lock.
    fn zero_part(&self, slot: SlotNo, page: PageNo, from: usize, to: usize, promised: &mut u64) -> Result<()> {
        if let Some(frame) = self.own_page(slot, page, promised)? {
            self.region.dram.zero(frame, from, to);
        }
        Ok(())
    }

    /// Gives a page that is no hole a frame in which it may be changed, and makes it dirty: before anything of it changes, for whoever dies then has left what the next flush writes, and no eviction forgets.
    /// The pool space that this needs comes from `promised` as long as there is some; what was taken in vain is put there. Needs the inode's lock.
    fn own_page(&self, slot: SlotNo, page: PageNo, promised: &mut u64) -> Result<Option<FrameNo>> {
        let entry = self.resident(slot, page, 1)?;
        let Some(old) = entry.dram() else { return Ok(None) };
        let cell = self.cell(slot, page)?;
        let need = !entry.is_dirty() as u64;
        if *promised < need && !self.reserve(need) {
            return Err(Error::NoSpace);
        }
        *promised = promised.saturating_sub(need);
        if self.writable_in_place(slot, old) {
            cell.store(entry.dirtied(self.inodes.mark(slot, page, 1)).raw(), Release);
            return Ok(Some(old));
        }
        let frame = self.frame_for(slot, page, false).inspect_err(|_| *promised += need)?;
        self.ready(frame, 1).inspect_err(|_| {
            *promised += need;
            self.frames.put(frame);
        })?;
        // SAFETY: both lie in the tier; the fresh frame is ours alone, the old one is not written meanwhile.
        unsafe { std::ptr::copy_nonoverlapping(self.region.dram.at(old), self.region.dram.at(frame), PAGE) };
        self.replace(cell, entry, Entry::written(frame, self.inodes.mark(slot, page, 1)));
        Ok(Some(frame))
    }

    /// `fallocate` with its `mode` bits: 0, `FALLOC_FL_KEEP_SIZE`, `FALLOC_FL_PUNCH_HOLE`, `FALLOC_FL_ZERO_RANGE`. With
    /// mode 0 and KEEP_SIZE space is set aside for every page: `ENOSPC` here, never later. Others: `EOPNOTSUPP`.
    pub fn allocate(&self, ino: Ino, mode: i32, offset: u64, len: u64) -> Result<()> {
        let keep = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
        let what = mode & !libc::FALLOC_FL_KEEP_SIZE;
        if len == 0 || offset > MAX_SIZE || len > MAX_SIZE {
            return Err(Error::Os(libc::EINVAL));
        }
        if what != 0 && what != libc::FALLOC_FL_PUNCH_HOLE && what != libc::FALLOC_FL_ZERO_RANGE
            || what == libc::FALLOC_FL_PUNCH_HOLE && !keep
        {
            return Err(Error::Os(libc::EOPNOTSUPP));
        }
        let end = offset.checked_add(len).filter(|end| *end <= MAX_SIZE).ok_or(Error::Os(libc::EFBIG))?;
        let slot = self.hold_inode(ino)?;
        let result = self.with_frames(|| self.allocate_held(slot, what, keep, offset, end));
        self.unhold_inode(slot);
        if result.is_ok() {
            self.tell_modified(ino);
        }
        result
    }

    fn allocate_held(&self, slot: SlotNo, what: i32, keep: bool, offset: u64, end: u64) -> Result<()> {
        let s = self.inodes.slot(slot);
        match s.mode.load(Relaxed) & libc::S_IFMT {
            libc::S_IFREG => {}
            libc::S_IFDIR => return Err(Error::Os(libc::EISDIR)),
            _ => return Err(Error::Os(libc::ENODEV)),
        }
        let _write = self.inodes.lock(slot);
        if what == 0 {
            self.fill_holes(slot, PageNo::of(offset), PageNo::new(end.div_ceil(PAGE as u64)))?;
        }
        if what != 0 {
            self.punch_range(slot, offset, end.min(s.size.load(Relaxed).next_multiple_of(PAGE as u64)))?;
        }
        s.flags.fetch_or(flag::DIRTY, AcqRel);
        if !keep && end > s.size.load(Relaxed) {
            self.refill(slot, end);
            s.size.store(end, Release);
        }
        touch(&[&s.mtime, &s.ctime]);
        Ok(())
    }

    /// Gives the holes of [from, to) pages of zeros: one frame that all of them share until they are written, or where the file has shared mappings, in which pages are written where
    /// they are, one for each. All or nothing, but for what is kept where frames run out, so that the next attempt goes on there. Needs the inode's lock.
    fn fill_holes(&self, slot: SlotNo, from: PageNo, to: PageNo) -> Result<()> {
        let free = self.space.total_and_free().1;
        if to.get() - from.get() > free + self.inodes.slot(slot).pages.load(Relaxed) {
            return Err(Error::NoSpace);
        }
        if self.inodes.slot(slot).shared_maps.load(Relaxed) != 0 {
            return self.fill_with(slot, from, to, &mut |page| self.zeros(self.frame_for(slot, page, true)?));
        }
        let zeros = self.zeros(self.frame_for(slot, from, false)?)?;
        let result = self.fill_with(slot, from, to, &mut |_| {
            self.frames.get(zeros);
            Ok(zeros)
        });
        self.frames.put(zeros);
        result
    }

    /// Zeroes a fresh frame, ours alone.
    fn zeros(&self, frame: FrameNo) -> Result<FrameNo> {
        self.ready(frame, 1).inspect_err(|_| _ = self.frames.put(frame))?;
        self.region.dram.zero(frame, 0, PAGE);
        Ok(frame)
    }

    /// Fills holes with frames of zeros; `frame` returns one with a reference for the table.
    fn fill_with(&self, slot: SlotNo, from: PageNo, to: PageNo, frame: &mut dyn FnMut(PageNo) -> Result<FrameNo>) -> Result<()> {
        let pages = || (from.get()..to.get()).map(PageNo::new);
        let mut holes = 0;
        for page in pages() {
            holes += Entry::from_raw(self.cell(slot, page)?.load(Relaxed)).is_hole() as u64;
        }
        if !self.reserve(holes) {
            return Err(Error::NoSpace);
        }
        for page in pages() {
            // The leaf is there since the holes were counted.
            let Ok(cell) = self.cell(slot, page) else { continue };
            if Entry::from_raw(cell.load(Relaxed)).is_hole() {
                let zeros = frame(page).inspect_err(|_| self.space.unreserve(holes))?;
                holes -= 1;
                cell.store(Entry::written(zeros, self.inodes.mark(slot, page, 1)).raw(), Release);
                self.inodes.slot(slot).pages.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }

    /// Makes [offset, end) read as zeros, whole pages as holes; nothing of it if there is no space. Needs the inode's lock.
    fn punch_range(&self, slot: SlotNo, offset: u64, end: u64) -> Result<()> {
        let mut need = 0;
        let mapped = self.inodes.slot(slot).shared_maps.load(Relaxed) != 0;
        self.each_part(slot, offset, end, &mut |page, from, to| {
            if mapped || to - from < PAGE {
                let entry = self.resident(slot, page, 1)?;
                need += (entry.dram().is_some() && !entry.is_dirty()) as u64;
            }
            Ok(())
        })?;
        if !self.reserve(need) {
            return Err(Error::NoSpace);
        }
        let punched = self.punch_parts(slot, offset, end, &mut need);
        self.space.unreserve(need);
        punched
    }

    fn punch_parts(&self, slot: SlotNo, offset: u64, end: u64, promised: &mut u64) -> Result<()> {
        self.each_part(slot, offset, end, &mut |page, from, to| {
            // A mapped frame stays, and is zeroed where it is.
            if to - from < PAGE || self.inodes.slot(slot).shared_maps.load(Relaxed) != 0 {
                return self.zero_part(slot, page, from, to, promised);
            }
            if let Some(cell) = self.cell_if_any(slot, page)? {
                self.punch(slot, page, cell, Entry::from_raw(cell.load(Relaxed)));
            }
            Ok(())
        })
    }
}
