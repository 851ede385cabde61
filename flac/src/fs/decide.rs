#![expect(unsafe_code, reason = "looks at the head of what may be a heap of malloc's")]
//! Whether a read is attached: what the planner has to know of the buffer, and what became of earlier attaches.

use super::{ATTACH_MIN, Fs};
use crate::inode::SlotNo;
use crate::planner::{self, Transfer};
use crate::region::{OpenSlot, PROGRAMS};
use crate::sync::AtomicU32;
use crate::sync::Ordering::*;
use crate::units::{BLOCK, BLOCK_FRAMES, PAGE, PageNo};
use std::ops::Range;

/// What the planner says about a read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Attach.
    Attach,
    /// Copy.
    Copy,
    /// Copy all that the call reads, whatever the buffer is.
    CopyAll,
}

/// Asking what became of an attach that is over costs 3 us, which one of less than this would feel.
pub(super) const JUDGED_LATER: usize = 8 * BLOCK_FRAMES;
/// So much of it is looked at.
const LOOKED_AT: usize = BLOCK_FRAMES;

impl Fs {
    /// Whether to attach `pages` whole pages at `offset` to `addr`, as the planner sees it.
    pub(super) fn attach_pays(&self, slot: SlotNo, open: &OpenSlot, addr: usize, pages: usize, offset: u64) -> Verdict {
        let may_be_huge = self.has_huge_frames() && pages >= BLOCK_FRAMES;
        let explain = |what: &str| planner::explain(format_args!("read of {} KiB to {addr:#x}: {what}", pages * PAGE / 1024));
        if !may_be_huge && planner::is_known_warm(open, addr) {
            explain("copied, as the last one to this buffer");
            return Verdict::Copy;
        }
        if planner::waits(open, &self.attach_habit) {
            explain("copied, because attaching has turned out badly for this open file");
            return Verdict::CopyAll;
        }
        if pages >= JUDGED_LATER && self.program.copies(self.programs()) {
            explain("copied");
            return Verdict::CopyAll;
        }
        self.judge_elsewhere(open, addr);
        if planner::is_waiting(open) {
            explain("copied: what was attached before has been overwritten");
            return Verdict::CopyAll;
        }
        planner::note_warm(open, addr);
        let pays = self.attach_pays_now(slot, open, addr, pages, offset);
        let waits = planner::is_waiting(open);
        if pays || waits {
            planner::note_warm(open, 0);
        }
        let (verdict, why) = match () {
            () if pays => (Verdict::Attach, "attached"),
            () if waits => {
                (Verdict::CopyAll, "copied: the last attach turned out badly, what it showed was overwritten or read through small pages")
            }
            () => (Verdict::Copy, "copied: the buffer is in use, or can't be replaced"),
        };
        explain(why);
        verdict
    }

    /// What became of attaching in earlier runs of each program.
    pub(super) fn programs(&self) -> &[AtomicU32; PROGRAMS] {
        &self.region.control.counters().programs
    }

    /// A read goes to other memory than the last one: if much was attached then, it may have been overwritten meanwhile. That it was not says nothing yet.
    fn judge_elsewhere(&self, open: &OpenSlot, addr: usize) {
        let (last, pages) = (open.last_addr.load(Relaxed) as usize, open.last_pages.load(Relaxed) as usize);
        if pages < JUDGED_LATER || (last..last + pages * PAGE).contains(&addr) {
            return;
        }
        if let Some(t) = self.look_back(last)
            && t.buffer.is_some_and(|b| b.own > 0)
            && let Some(badly) = planner::judge(open, &t, &self.attach_habit, self.costs())
        {
            open.last_pages.store(0, Relaxed);
            self.program.turned_out(self.programs(), badly);
        }
    }

    /// What became of a large attach to `addr`, by its first pages; `None` if it shows there no more, or nobody can say.
    fn look_back(&self, addr: usize) -> Option<Transfer> {
        let bytes = LOOKED_AT * PAGE;
        // As many views as there are runs of frames that follow each other.
        let mut shown = addr;
        while shown < addr + bytes {
            shown = self.ledger.first_in(shown, shown + 1).filter(|view| view.inode == 0)?.end();
        }
        let buffer = Some(self.memory.touched(addr, bytes)?);
        Some(Transfer { bytes, huge: self.has_huge_frames(), slow: false, buffer, again: true })
    }

    /// The program gives this range of its memory away, or ends: what it did with what it read last is remembered for its next run.
    #[inline]
    pub(super) fn judge_last(&self, range: Range<usize>) {
        let last = self.attached.load(Relaxed);
        if last != 0 && range.contains(&last) {
            self.attached.store(0, Relaxed);
            self.judge_at(last);
        }
    }

    #[cold]
    fn judge_at(&self, last: usize) {
        if let Some(t) = self.look_back(last)
            && let Some(badly) = planner::judge(&OpenSlot::default(), &t, &self.attach_habit, self.costs())
        {
            self.program.turned_out(self.programs(), badly);
        }
    }

    /// The program writes a buffer to the open file: if it is the one that was last attached by a read of it, the planner hears what became of it. For a program that takes fresh memory for
    /// each round that is the only time to see it.
    #[inline]
    pub(super) fn judge_attach(&self, open: &OpenSlot, addr: usize, len: usize) {
        let pages = open.last_pages.load(Relaxed) as usize;
        if len >= ATTACH_MIN && pages > 0 && open.last_addr.load(Relaxed) as usize == addr.next_multiple_of(PAGE) {
            open.last_pages.store(0, Relaxed);
            if let Some(buffer) = self.memory.touched(addr.next_multiple_of(PAGE), pages * PAGE) {
                let huge = self.has_huge_frames() && pages >= BLOCK_FRAMES;
                let t = Transfer { bytes: pages * PAGE, huge, slow: false, buffer: Some(buffer), again: true };
                planner::judge(open, &t, &self.attach_habit, self.costs());
            }
        }
    }

    fn attach_pays_now(&self, slot: SlotNo, open: &OpenSlot, addr: usize, pages: usize, offset: u64) -> bool {
        let bytes = pages * PAGE;
        let Some(vma) = self.memory.vma(addr) else { return false };
        let ours = vma.inode == 0 || self.is_view(&vma);
        let here = &raw const bytes as usize;
        let on_stack = here >= vma.start && here < vma.end;
        if !vma.private_rw
            || !ours
            || on_stack
            || vma.page_size != PAGE as u64
            || !self.is_one_range(&vma, addr, bytes)
            || self.in_arena(addr)
        {
            return false;
        }
        let last = open.last_addr.load(Relaxed) as usize;
        let last_end = last + open.last_pages.load(Relaxed) as usize * PAGE;
        let again = last_end > last && addr >= last && addr < last_end;
        let missing = self.is_in_pool_only(slot, PageNo::of(offset));
        let huge = !missing && self.has_huge_frames() && addr % BLOCK == offset as usize % BLOCK;
        let slow = missing && self.pool.is_slower_than_dram();
        let need = !(huge && bytes >= BLOCK || slow) || again;
        let buffer = if need { self.memory.touched(addr, bytes) } else { None };
        let transfer = Transfer { bytes, huge, slow, buffer, again };
        planner::judge(open, &transfer, &self.attach_habit, self.costs());
        !planner::is_waiting(open) && planner::attach_pays(&transfer, self.costs())
    }

    /// Whether `addr` lies in a heap of a secondary arena of glibc's malloc: 64 MiB-aligned, headed by its sizes. glibc gives pages of such a heap back by
    /// `madvise(MADV_DONTNEED)`, unseen by us, and takes them for zeros afterwards; an attached view would show the file again.
    fn in_arena(&self, addr: usize) -> bool {
        const HEAP: usize = 64 << 20;
        let base = addr & !(HEAP - 1);
        if self.memory.vma(base).is_none_or(|v| v.start > base || !v.private_rw) {
            return false;
        }
        // Pointer to the arena, the heap before, size, size that was made accessible.
        let mut head = [0usize; 4];
        // SAFETY: `head` is ours; the heap's first page is mapped (asked above), and if it goes meanwhile the copy ends.
        let left = unsafe { crate::region::copy::copy(head.as_mut_ptr().cast(), base as *const u8, size_of_val(&head)) };
        let [arena, _, size, accessible] = head;
        left == 0 && arena != 0 && arena % 16 == 0 && size % PAGE == 0 && size >= PAGE && size <= accessible && accessible <= HEAP
    }

    /// Whether the buffer lies in eligible mappings from end to end (attaching splits a mapping into several).
    fn is_one_range(&self, first: &crate::attach::Vma, addr: usize, bytes: usize) -> bool {
        let mut end = first.end;
        for _ in 0..64 {
            if end >= addr + bytes {
                return true;
            }
            match self.memory.vma(end) {
                Some(v) if v.start == end && v.private_rw && (v.inode == 0 || self.is_view(&v)) => end = v.end,
                _ => return false,
            }
        }
        false
    }
}
