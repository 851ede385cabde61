#![expect(unsafe_code, reason = "looks at the head of what may be a heap of malloc's")]
//! Whether a read is attached: what the planner has to know of the buffer, and what became of earlier attaches.

use super::{ATTACH_MIN, Fs};
use crate::attach::Touched;
use crate::inode::SlotNo;
use crate::planner::{self, Cost, Transfer};
use crate::region::{OpenSlot, PROGRAMS};
use crate::sync::Ordering::*;
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize};
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
/// So many parts of it are looked at, evenly spread, of so many pages each: 1.5 us a part.
const PARTS: usize = 8;
const PART: usize = BLOCK_FRAMES / 8;

/// A large attach.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Large {
    pub(super) addr: usize,
    pub(super) pages: usize,
    /// Whether the buffer had no pages.
    pub(super) fresh: bool,
    /// Bytes that the process had shared with files by then.
    pub(super) shared: u64,
}

/// The last one of this process that nobody has judged yet. What it says is a hint: threads may mix theirs.
#[derive(Default)]
pub(super) struct Last {
    /// The address, and in the lowest bit whether the buffer was fresh; 0: none.
    place: AtomicUsize,
    pages: AtomicUsize,
    shared: AtomicU64,
}

impl Last {
    /// There is another one.
    pub(super) fn note(&self, attach: Large) {
        self.pages.store(attach.pages, Relaxed);
        self.shared.store(attach.shared, Relaxed);
        self.place.store(attach.addr | usize::from(attach.fresh), Relaxed);
    }

    fn get(&self) -> Option<Large> {
        let (place, pages, shared) = (self.place.load(Relaxed), self.pages.load(Relaxed), self.shared.load(Relaxed));
        (place != 0).then_some(Large { addr: place & !1, pages, fresh: place & 1 == 1, shared })
    }

    /// What it is, if it begins in `range`; it is none afterwards.
    #[inline]
    fn take(&self, range: Range<usize>) -> Option<Large> {
        let last = self.get().filter(|last| range.contains(&last.addr));
        if last.is_some() {
            self.place.store(0, Relaxed);
        }
        last
    }

    /// What begins in `range` has been judged.
    pub(super) fn forget(&self, range: Range<usize>) {
        self.take(range);
    }

    /// The one to `addr`, if that was the last one.
    fn to(&self, addr: usize) -> Option<Large> {
        self.get().filter(|last| last.addr == addr)
    }
}

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
        let last = self.attached.to(last).unwrap_or(Large { addr: last, pages, fresh: false, shared: u64::MAX });
        if let Some(t) = self.look_back(last)
            && t.buffer.is_some_and(|b| b.own > 0)
            && let Some(badly) = planner::judge(open, &t, &self.attach_habit, self.costs())
        {
            open.last_pages.store(0, Relaxed);
            self.program.turned_out(self.programs(), badly);
        }
    }

    /// What became of a large attach, by parts of it; `None` if it shows nowhere any more, or nobody can say.
    fn look_back(&self, Large { addr, pages, fresh, shared }: Large) -> Option<Transfer> {
        let (mut buffer, mut parts) = (Touched::default(), 0);
        for part in 0..PARTS {
            let at = addr + pages.saturating_sub(PART) * part / (PARTS - 1) * PAGE;
            if self.is_shown(at, at + PART * PAGE) {
                let touched = self.memory.touched(at, PART * PAGE)?;
                buffer = Touched { read: buffer.read + touched.read, own: buffer.own + touched.own };
                parts += 1;
            }
        }
        // Of what was shared since, as much as is looked at of the attach.
        let shared = self.stats.shared.load(Relaxed).saturating_sub(shared) as usize / PAGE * (parts * PART) / pages.max(1);
        let spared = shared * self.copy_in_of_page();
        let (bytes, huge) = (parts * PART * PAGE, self.has_huge_frames());
        (parts > 0).then_some(Transfer { bytes, huge, slow: false, buffer: Some(buffer), again: true, fresh, spared })
    }

    /// Nanoseconds that a page of a large write takes, as learned in use.
    fn copy_in_of_page(&self) -> usize {
        let learned = self.copies()[2].into_iter().filter(|picoseconds| *picoseconds > 0).min();
        learned.map_or(self.costs().of(Cost::PageIn), |picoseconds| picoseconds as usize * PAGE / 1000)
    }

    /// Whether all of [from, to) are attached views: as many as there are runs of frames that follow each other.
    fn is_shown(&self, from: usize, to: usize) -> bool {
        let mut at = from;
        while at < to {
            match self.ledger.first_in(at, at + 1) {
                Some(view) if view.inode == 0 => at = view.end(),
                _ => return false,
            }
        }
        true
    }

    /// The program gives this range of its memory away, or ends: what it did with what it read last is remembered for its next run.
    #[inline]
    pub(super) fn judge_last(&self, range: Range<usize>) {
        if let Some(last) = self.attached.take(range) {
            self.judge_at(last);
        }
    }

    #[cold]
    fn judge_at(&self, last: Large) {
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
                let fresh = self.attached.to(open.last_addr.load(Relaxed) as usize).is_some_and(|last| last.fresh);
                let t = Transfer { bytes: pages * PAGE, huge, slow: false, buffer: Some(buffer), again: true, fresh, spared: 0 };
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
        let transfer = Transfer { bytes, huge, slow, buffer, again, fresh: false, spared: 0 };
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
