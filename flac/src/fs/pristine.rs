//! Sharing on write: whole pages of the program's buffer that are still what an earlier read attached there are not copied; the file's table gets a
//! reference to the same frames.
//!
//! The ledger alone can't be believed, since libc unmaps and maps by itself. So three questions, in this order: which view does the ledger have (it is pinned
//! at once: from here its frames can't become anything else), is this view still mapped there, and which of its pages has the process written.
//! A thread that writes to the buffer meanwhile, unmaps it or reads into it races with `write` itself: the file gets the content before or after, as
//! with a copy.

use super::Fs;
use super::stats::Stats;
use crate::attach::View;
use crate::error::{Error, Result};
use crate::inode::SlotNo;
use crate::planner;
use crate::sync::{AtomicU32, AtomicU64, Ordering::*};
use crate::table::Entry;
use crate::units::{BLOCK_FRAMES, FrameNo, PAGE, PageNo};

/// From this many bytes on sharing beats copying: asking the kernel costs 1.5 to 2 us, a copied page 0.14 us, a shared one 0.02 us.
pub(super) const SHARE_MIN: usize = 64 << 10;

/// So many runs too short to be shared end the search in one write, for each [`ASK_ALWAYS`] of it: asking for each costs more than it saves.
const MISSES: usize = 4;

/// Writes from this size on are always asked about, whatever became of others: 2.5 us beside 50 for the copy, and what is shared is memory saved, too.
const ASK_ALWAYS: usize = 1 << 20;

/// The search through the buffer of one write.
pub(super) struct Search {
    /// Bytes of the write.
    len: usize,
    misses: usize,
    hits: usize,
}

impl Search {
    pub(super) fn new(len: usize) -> Search {
        Search { len, misses: 0, hits: 0 }
    }

    /// Whether to look no further.
    fn is_over(&self, habit: &AtomicU32) -> bool {
        let first = self.misses + self.hits == 0;
        self.misses >= MISSES * self.len.div_ceil(ASK_ALWAYS) || first && self.len < ASK_ALWAYS && !planner::share_may_pay(habit)
    }
}

/// What lies ahead in the buffer of a write.
pub(super) enum Ahead {
    /// So many bytes to copy before it is worth looking again.
    Copy(usize),
    /// Pages that are still a view, pinned for the caller; [`Fs::share_part`] drops that.
    Pristine(View),
}

impl Fs {
    /// Looks what can be shared of [addr, addr + len), which is written to `offset` of the file in `slot`.
    pub(super) fn look_ahead(&self, search: &mut Search, slot: SlotNo, addr: usize, len: usize, offset: u64) -> Ahead {
        let congruent = addr % PAGE == offset as usize % PAGE;
        if len < SHARE_MIN || !congruent || !self.attach || self.ledger.is_empty() || self.inodes.slot(slot).shared_maps.load(Relaxed) != 0
        {
            return Ahead::Copy(len);
        }
        let (start, end) = (addr.next_multiple_of(PAGE), (addr + len) & !(PAGE - 1));
        let Some(view) = self.ledger.pin_first(start, end, &self.frames) else { return Ahead::Copy(len) };
        let ahead = if view.addr > addr {
            Ahead::Copy(view.addr - addr)
        } else if search.is_over(&self.share_habit) {
            Ahead::Copy(len)
        } else {
            match self.pristine_part(&view) {
                (pages, _) if pages * PAGE >= SHARE_MIN => {
                    search.hits += 1;
                    let part = View { pages: pages as u32, ..view };
                    self.frames.get_run(part.first, part.pages);
                    Ahead::Pristine(part)
                }
                (_, next) => {
                    search.misses += 1;
                    Ahead::Copy((next - addr).max(PAGE))
                }
            }
        };
        self.frames.put_run(view.first, view.pages);
        ahead
    }

    /// The write is over: the planner hears how the search went.
    pub(super) fn searched(&self, search: &Search) {
        if search.misses + search.hits > 0 {
            planner::explain(format_args!(
                "write: {} parts of the buffer are as they were read and are shared, {} are not",
                search.hits, search.misses
            ));
            if search.len < ASK_ALWAYS {
                planner::share_was(&self.share_habit, search.hits > 0);
            }
        }
    }

    /// How many pages from the start of the view on are still shown and unwritten, and the address behind them and behind the written ones that follow.
    fn pristine_part(&self, view: &View) -> (usize, usize) {
        let dram = &self.region.dram;
        let Some(vma) = self.memory.vma(view.addr) else { return (0, view.end()) };
        let shown = vma.private_readable
            && (vma.inode, vma.dev) == (dram.inode(), dram.dev())
            && vma.offset + (view.addr - vma.start) as u64 == view.first.get() as u64 * PAGE as u64;
        let end = view.end().min(vma.end);
        if !shown {
            return (0, end);
        }
        let (own, next) = self.memory.first_own(view.addr, end).unwrap_or((end, end));
        ((own - view.addr) / PAGE, next)
    }

    /// Lets the file show the frames of `part` from page `page` on; drops the part's pins. Returns how many bytes are done; fewer than all without an error: the rest has
    /// to be copied. Needs the inode's lock.
    pub(super) fn share_part(&self, slot: SlotNo, part: &View, page: PageNo) -> (usize, Result<()>) {
        let mut done = 0;
        let mut result = Ok(());
        // A shared mapping may have come: its frames must stay its own.
        while done < part.pages && self.inodes.slot(slot).shared_maps.load(Relaxed) == 0 {
            match self.share_leaf(slot, part.first.plus(done), part.pages - done, page.plus(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        self.frames.put_run(part.first, part.pages);
        let bytes = done as usize * PAGE;
        Stats::add(&self.stats.shared, bytes);
        (bytes, result)
    }

    /// As far as page `page` and those behind it lie in one leaf. Returns how many pages.
    fn share_leaf(&self, slot: SlotNo, first: FrameNo, pages: u32, page: PageNo) -> Result<u32> {
        let within = page.get() as usize % BLOCK_FRAMES;
        let most = pages.min((BLOCK_FRAMES - within) as u32);
        self.cell(slot, page.plus(most as u64 - 1))?;
        // A frame that no table names any more is only pinned: it can't be counted again.
        let count = (0..most).take_while(|i| self.frames.get_used(first.plus(*i))).count() as u32;
        let result = self.share_frames(slot, first, page, count);
        if result.is_err() {
            (0..count).for_each(|i| _ = self.frames.put(first.plus(i)));
        }
        result.map(|()| count)
    }

    /// Puts `count` frames whose references are counted already into one leaf.
    pub(super) fn share_frames(&self, slot: SlotNo, first: FrameNo, page: PageNo, count: u32) -> Result<()> {
        // The leaf exists by now, or all is in the slot.
        let cells = self.inodes.table(slot).cells(page).and_then(|cells| cells.get(..count as usize)).ok_or(Error::NoFrames)?;
        let old = |cell: &AtomicU64| Entry::from_raw(cell.load(Relaxed));
        let promises = cells.iter().filter(|cell| !(old(cell).is_dirty() && old(cell).dram().is_some())).count();
        if promises > 0 && !self.reserve(promises as u64) {
            return Err(Error::NoSpace);
        }
        let mut made = 0;
        let marked = self.inodes.mark(slot, page, cells.len());
        for (cell, i) in cells.iter().zip(0..) {
            let old = old(cell);
            made += old.is_hole() as u64;
            self.replace(cell, old, Entry::written(first.plus(i), marked));
        }
        self.inodes.slot(slot).pages.fetch_add(made, Relaxed);
        Ok(())
    }
}
