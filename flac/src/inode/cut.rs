//! Cutting a file off: its pages go, those that other processes have mapped stay without memory, and whoever dies in between has it done by the next who locks the inode.

use super::{Inodes, SlotNo, flag};
use crate::pool_space::PoolSpace;
use crate::sync::Ordering::*;
use crate::table::Entry;
use crate::units::{BLOCK_FRAMES, FrameNo, Ino, PAGE, PageNo};

const END: PageNo = PageNo::new(u64::MAX);

impl Inodes {
    /// Takes away what the file has behind `size`. From here on it is cut off, whoever dies; the caller, or who inherits the inode's lock, then gives it that size and ends `shrinking`. The last page,
    /// where there is only a part of it, is dirty by now, if it is no hole, and may be written where it is. Needs the inode's lock.
    pub fn cut_off(&self, slot: SlotNo, size: u64) {
        let s = self.slot(slot);
        s.shrinking.store(size + 1, Release);
        self.release_block(slot);
        self.zero_tail(slot, size);
        let cut = PageNo::of(size.next_multiple_of(PAGE as u64));
        if s.shared_maps.load(Acquire) == 0 {
            self.drop_pages(slot, cut);
        } else {
            self.drop_all_but_mapped(slot, cut);
        }
        // The log is to know it.
        if s.flags.load(Relaxed) & flag::HAS_POOL != 0 {
            let old = s.cut.load(Relaxed);
            if old == 0 || cut.get() + 1 < old {
                s.cut.store(cut.get() + 1, Relaxed);
            }
        }
    }

    /// Somebody died holding the lock: has the pages counted anew, and does the rest of a truncation, for some of what that was to cut off is gone. What a write has put behind the end
    /// that it did not come to move is no content: it goes as well. Needs the inode's lock.
    #[cold]
    pub(super) fn go_on_after_death(&self, slot: SlotNo) {
        let s = self.slot(slot);
        s.flags.fetch_or(flag::UNCOUNTED | flag::DIRTY, AcqRel);
        if s.mode.load(Relaxed) & libc::S_IFMT != libc::S_IFREG || s.ino.load(Relaxed) == Ino::SPACE.get() {
            return;
        }
        let now = s.size.load(Relaxed);
        let size = s.shrinking.load(Acquire).checked_sub(1).map_or(now, |size| size.min(now));
        self.cut_off(slot, size);
        s.size.store(size, Release);
        s.shrinking.store(0, Release);
    }

    /// Zeroes what the last page has behind `size`. Where others see it as it was, or the log has it so, nobody has written there.
    fn zero_tail(&self, slot: SlotNo, size: u64) {
        let within = size as usize % PAGE;
        let cell = if within == 0 { None } else { self.table(slot).cell(PageNo::of(size)) };
        let entry = cell.map_or(Entry::HOLE, |cell| Entry::from_raw(cell.load(Relaxed)));
        let is_ours =
            |frame: &FrameNo| entry.is_dirty() && (self.slot(slot).shared_maps.load(Relaxed) != 0 || self.frames.is_exclusive(*frame));
        if let Some(frame) = entry.dram().filter(is_ours) {
            self.dram.zero(frame, within, PAGE);
        }
    }

    /// Frees the pages from `from` on. Needs the inode's lock. Reserved pool space of dirty pages is given back.
    pub(super) fn drop_pages(&self, slot: SlotNo, from: PageNo) {
        let mut dirty = 0;
        let mut gone = 0;
        self.table(slot).cut(from, &mut |_, entry| {
            gone += !entry.is_hole() as u64;
            if let Some(frame) = entry.dram() {
                dirty += entry.is_dirty() as u64;
                self.frames.put(frame);
            }
        });
        let s = self.slot(slot);
        let pages = s.pages.load(Relaxed);
        s.pages.store(if from.get() == 0 { 0 } else { pages.saturating_sub(gone) }, Relaxed);
        self.control.counters().pool_reserved.fetch_sub(dirty, Relaxed);
    }

    /// As [`Inodes::drop_pages`], but frames that others have mapped, whose mappings no other process can change, stay the file's, without memory: they are what it has there when it grows
    /// again. Those that nobody sees (who cuts a file off has taken its own views away) go.
    fn drop_all_but_mapped(&self, slot: SlotNo, from: PageNo) {
        let table = self.table(slot);
        let mut mapped = Vec::new();
        table.for_each(from, END, &mut |_, cell| {
            mapped.extend(Entry::from_raw(cell.load(Relaxed)).dram().filter(|frame| !self.frames.is_exclusive(*frame)));
        });
        self.clear(&mapped);
        let (mut mapped, space) = (mapped.into_iter().peekable(), PoolSpace::new(self.control));
        let (mut dirty, mut gone) = (0, 0);
        table.for_each(from, END, &mut |page, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if let Some(frame) = entry.dram() {
                let is_mapped = mapped.next_if_eq(&frame).is_some();
                if is_mapped && (entry.is_dirty() || space.reserve(1)) {
                    cell.store(Entry::written(frame, self.mark(slot, page, 1)).raw(), Release);
                    return;
                }
                dirty += entry.is_dirty() as u64;
            }
            gone += !entry.is_hole() as u64;
            cell.store(Entry::HOLE.raw(), Release);
            entry.dram().inspect(|frame| _ = self.frames.put(*frame));
        });
        let s = self.slot(slot);
        s.pages.store(s.pages.load(Relaxed).saturating_sub(gone), Relaxed);
        space.unreserve(dirty);
    }

    /// Takes the memory of frames away: to who has them mapped there is no page any more, or where the kernel could not be told so ([`crate::attach::Cuts`]), one of zeros.
    fn clear(&self, frames: &[FrameNo]) {
        for run in frames.chunk_by(|one, next| *next == one.plus(1)) {
            if !self.dram.punch(run[0], run.len() as u32) {
                self.dram.zero(run[0], 0, run.len() * PAGE);
            }
        }
    }

    /// Gives back the frames of the current block that no page uses; returns how many.
    pub fn release_block(&self, slot: SlotNo) -> u32 {
        let s = self.slot(slot);
        let Some(block) = s.cur_block.swap(0, AcqRel).checked_sub(1) else { return 0 };
        let mut freed = 0;
        for (w, spare) in s.spare.iter().enumerate() {
            let mut bits = spare.swap(0, AcqRel);
            while bits != 0 {
                let i = w as u32 * 64 + bits.trailing_zeros();
                self.frames.put(FrameNo::new(block * BLOCK_FRAMES as u32 + i));
                bits &= bits - 1;
                freed += 1;
            }
        }
        freed
    }
}
