//! What a flush takes from an inode under its lock, and what it does there when it has written it.

use super::Fs;
use super::extents::Room;
use super::record::Extent;
use super::stores::Stored;
use super::taken::Taken;
use crate::inode::{SlotNo, flag};
use crate::sync::{AtomicU32, Ordering::*};
use crate::table::Entry;
use crate::units::{BLOCK_FRAMES, FrameNo, PageNo};
use std::ops::Range;

/// A page being flushed.
pub(crate) struct Page {
    pub(crate) no: PageNo,
    /// What it shows; `None` is a punched hole.
    pub(crate) frame: Option<FrameNo>,
    /// Where it goes, once that is decided.
    pub(crate) to: Option<Extent>,
    /// The content as it was checksummed, where the frame may change.
    pub(crate) copy: Option<Box<[u8]>>,
}

/// What a flush took from the inode under its lock.
pub(crate) struct Snapshot {
    pub(crate) pages: Vec<Page>,
    pub(crate) size: u64,
    /// How many pages the file has; `None`: some of them stay dirty, and it is counted what the log knows.
    pub(crate) count: Option<u64>,
    /// The first page that the record has no room for.
    pub(crate) next: Option<PageNo>,
    /// Lowest page cut off since the last flush.
    pub(crate) cut: Option<PageNo>,
    /// The frames may change while they are written: a shared mapping shows them.
    pub(crate) unstable: bool,
    /// The content goes into the record ([`Fs::write_pages`] decides).
    pub(crate) carried: bool,
    pub(crate) promises: Promises,
    /// Where the frames that it takes are noted; `None`: nowhere (the FLAC space).
    pub(crate) taken: Option<Taken>,
}

/// How many pages of a flush still have their promise of pool space ([`crate::region::InodeSlot::flush_promises`]); `None`: nobody asks (the FLAC space).
#[derive(Clone, Copy)]
pub(crate) struct Promises(pub(crate) Option<&'static AtomicU32>);

impl Promises {
    /// The promises of so many pages are about to become frames, or something else: counted before that, so that a death leaves too few.
    pub(crate) fn spend(self, count: u32) {
        if let Some(promises) = self.0 {
            promises.fetch_sub(count, AcqRel);
        }
    }

    /// So many were not, or are promises again.
    pub(crate) fn keep(self, count: u32) {
        if let Some(promises) = self.0 {
            promises.fetch_add(count, AcqRel);
        }
    }
}

impl Fs {
    /// A flusher died: the pages that it has logged are clean, the others are dirty again, and have promises again for the frames that were taken for them. Needs the flush lock.
    pub(super) fn take_back(&self, slot: SlotNo) {
        let s = self.inodes.slot(slot);
        let logged = self.give_back_taken(slot);
        let _write = self.inodes.lock(slot);
        let table = self.inodes.table(slot);
        let (from, to) = (PageNo::new(0), PageNo::new(u64::MAX));
        let mut pages = 0;
        table.for_each(from, to, &mut |page, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if entry.is_flushing()
                && let Some(frame) = entry.dram()
            {
                if let Some(to) = logged.get(&page) {
                    cell.store(entry.flushed(Some(*to)).raw(), Release);
                    self.frames.put(frame);
                } else {
                    pages += 1;
                }
            }
        });
        // As everywhere: who dies here leaves too many promises and never too few.
        let left = s.flush_promises.load(Acquire);
        if pages > left {
            self.region.control.counters().pool_reserved.fetch_add((pages - left).into(), AcqRel);
            s.flush_promises.store(pages, Release);
        }
        table.for_each(from, to, &mut |page, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if entry.is_flushing() {
                s.flush_promises.fetch_sub(entry.dram().is_some().into(), AcqRel);
                cell.store(entry.dirtied(self.inodes.mark(slot, page, 1)).raw(), Release);
                // The flusher's reference.
                entry.dram().inspect(|frame| _ = self.frames.put(*frame));
            }
        });
        // Of pages that were written anew, or cut off, meanwhile.
        self.space.unreserve(s.flush_promises.swap(0, AcqRel).into());
        self.merge_cut(slot);
        s.flags.fetch_or(flag::DIRTY, AcqRel);
    }

    fn merge_cut(&self, slot: SlotNo) {
        let s = self.inodes.slot(slot);
        let taken = s.flush_cut.load(Relaxed);
        let now = s.cut.load(Relaxed);
        if taken != 0 && (now == 0 || taken < now) {
            s.cut.store(taken, Relaxed);
        }
        s.flush_cut.store(0, Relaxed);
    }

    /// Under the inode's lock: notes the dirty pages from `from` on as being flushed, as many as a record has room for, and counts a reference on each frame. Costs what is dirty, and where the file is mapped and can be written
    /// there, what of `mapped` was stored to, as far as that is known ([`Fs::take_stored`]). `None`: nothing to do.
    pub(super) fn take_snapshot(&self, slot: SlotNo, mapped: Range<PageNo>, from: PageNo) -> Option<Snapshot> {
        let s = self.inodes.slot(slot);
        let stored = if s.writable_maps.load(Acquire) != 0 { self.take_stored(slot, &mapped) } else { Stored::default() };
        self.fetch_marked(slot);
        let write = self.inodes.lock_unhurried(slot);
        let unstable = s.shared_maps.load(Acquire) != 0;
        if stored.touched {
            self.mark_stored(slot);
        }
        stored.pages.into_iter().for_each(|pages| self.mark_dirty(slot, pages.start, pages.end));
        if s.flags.fetch_and(!(flag::DIRTY | flag::ATTR), AcqRel) & (flag::DIRTY | flag::ATTR) == 0 {
            return None;
        }
        // Small, so that little is to be had from the kernel under the lock.
        let (mut taken, mut room, mut next) = (Vec::new(), Room::new(&self.meta, s.cut.load(Relaxed) != 0), None);
        let mut promises = s.flush_promises.load(Relaxed);
        let all = self.inodes.table(slot).take_marked(&mut |no, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if !entry.is_dirty() {
                return true;
            }
            if no < from || next.is_some() {
                return false;
            }
            if !room.takes(no) {
                next = Some(no);
                return false;
            }
            let frame = entry.dram();
            if let Some(frame) = frame {
                self.frames.get(frame);
            }
            cell.store(entry.flushing().raw(), Release);
            promises += u32::from(frame.is_some());
            // Nobody else counts them: this is the flusher.
            s.flush_promises.store(promises, Release);
            taken.push((no, frame));
            true
        });
        if !all {
            s.flags.fetch_or(flag::DIRTY, AcqRel);
        }
        // What is cut off or punched from now on has to be taken out of the KV again, for this flush puts it there.
        if !taken.is_empty() {
            s.flags.fetch_or(flag::HAS_POOL, AcqRel);
        }
        let cut = s.cut.swap(0, AcqRel);
        s.flush_cut.store(cut, Release);
        let mut snapshot = Snapshot {
            pages: Vec::new(),
            size: s.size.load(Relaxed),
            count: all.then(|| s.pages.load(Relaxed)),
            next,
            cut: cut.checked_sub(1).map(PageNo::new),
            unstable,
            carried: false,
            promises: Promises(Some(&s.flush_promises)),
            taken: Some(self.taken(slot)),
        };
        drop(write);
        snapshot.pages = taken.into_iter().map(|(no, frame)| Page { no, frame, to: None, copy: None }).collect();
        Some(snapshot)
    }

    /// What a writer on another processor has changed, this one waits for a line at a time, some 100 ns: better before the lock is held than while writers wait.
    fn fetch_marked(&self, slot: SlotNo) {
        self.inodes.table(slot).look_at_marked(&mut |cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if let Some(frame) = entry.dram().filter(|_| entry.is_dirty()) {
                let _ = cell.compare_exchange(u64::MAX, u64::MAX, Relaxed, Relaxed);
                self.frames.fetch(frame);
            }
        });
    }

    /// After a shared mapping of these pages ended: they may have changed.
    pub(super) fn mark_mapped_dirty(&self, slot: SlotNo, from: PageNo, to: PageNo) {
        let _write = self.inodes.lock(slot);
        self.mark_dirty(slot, from, to);
    }

    /// Marks every resident page of [from, to) dirty: a shared mapping may have changed any. Needs the inode's lock.
    fn mark_dirty(&self, slot: SlotNo, from: PageNo, to: PageNo) {
        let is_clean = |entry: Entry| entry.dram().is_some() && !entry.is_dirty();
        let table = self.inodes.table(slot);
        let mut clean = 0;
        table.for_each(from, to, &mut |_, cell| clean += is_clean(Entry::from_raw(cell.load(Relaxed))) as u64);
        if clean == 0 {
            return;
        }
        // Promised even if the pool is full: the mapping was granted, and the flush will report it. Before the pages are dirty: a death in between promises too much, never too little.
        self.region.control.counters().pool_reserved.fetch_add(clean, AcqRel);
        table.for_each(from, to, &mut |page, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if is_clean(entry) {
                cell.store(entry.dirtied(self.inodes.mark(slot, page, 1)).raw(), Release);
            }
        });
    }

    /// Gives back the pool frames that this flush took in vain, and the promises that go with dirty pages.
    pub(crate) fn free_written(&self, snapshot: &Snapshot) {
        snapshot.taken.inspect(|taken| taken.forget());
        for page in &snapshot.pages {
            if let Some(extent) = page.to {
                self.space.free_now(extent.frame, 1, &self.procs);
                self.region.control.counters().pool_reserved.fetch_add(1, AcqRel);
                snapshot.promises.keep(1);
            }
        }
    }

    /// Pages that did not change meanwhile become clean, or dirty again if the flush failed. The inode's lock is held for a leaf's worth of pages at a time: readers and
    /// writers come in between, and whoever dies there leaves pages that the next flusher takes back.
    pub(crate) fn finish(&self, slot: SlotNo, snapshot: &Snapshot, ok: bool) {
        let s = self.inodes.slot(slot);
        {
            let _write = self.inodes.lock_unhurried(slot);
            if ok {
                s.flush_cut.store(0, Release);
            } else {
                self.merge_cut(slot);
                s.flags.fetch_or(flag::DIRTY, AcqRel);
            }
        }
        for pages in snapshot.pages.chunks(BLOCK_FRAMES) {
            if !ok {
                snapshot.promises.spend(pages.iter().filter(|page| page.frame.is_some()).count() as u32);
            }
            self.finish_pages(slot, pages, ok);
            // The frames were held until here: none of them can have become a page's again.
            pages.iter().filter_map(|p| p.frame).for_each(|frame| _ = self.frames.put(frame));
        }
    }

    fn finish_pages(&self, slot: SlotNo, pages: &[Page], ok: bool) {
        let _write = self.inodes.lock_unhurried(slot);
        let table = self.inodes.table(slot);
        let mut stale = 0;
        for page in pages {
            let cell = table.cell(page.no);
            let entry = cell.map(|c| Entry::from_raw(c.load(Relaxed)));
            match (cell, entry) {
                (Some(cell), Some(entry)) if entry.is_flushing() && entry.dram() == page.frame => {
                    let now = match ok {
                        true => entry.flushed(page.to.map(|e| e.frame)),
                        false => entry.dirtied(self.inodes.mark(slot, page.no, 1)),
                    };
                    cell.store(now.raw(), Release);
                }
                // Changed meanwhile; if the flush failed, its promise goes with the old content.
                _ => stale += (!ok && page.frame.is_some()) as u64,
            }
        }
        self.space.unreserve(stale);
    }
}
