#![expect(unsafe_code, reason = "replaces the program's pages by views of frames")]
//! Sharing instead of copying: frames attached to the program's buffers, and frames shared between files.

use super::Fs;
use super::decide::{JUDGED_LATER, Large, Verdict};
use super::stats::Stats;
use crate::attach::View;
use crate::error::{Error, Result};
use crate::inode::{SlotNo, WriteGuard, flag, touch};
use crate::planner;
use crate::region::{LEDGER, OpenSlot, map_anonymous};
use crate::sync::Ordering::*;
use crate::table::Entry;
use crate::units::{BLOCK, BLOCK_FRAMES, FrameNo, Ino, PAGE, PageNo};

/// Below this a copy (2.4 us) beats the `mmap` alone (2.0 us) with its faults.
pub(crate) const ATTACH_MIN: usize = 64 << 10;
/// Asking whether a buffer is fresh takes 0.5 us, which a copy of 1 MiB does not feel.
const FRESH_MIN: usize = (1 << 20) / PAGE;
/// Fewer pages in a row are not worth a mapping of their own.
const RUN_MIN: u64 = 16;
const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// What became of a try to attach.
pub(super) enum Attached {
    /// So many bytes are done.
    Done(usize),
    /// Copy.
    Copy {
        /// To memory that has no pages yet: the kernel makes them on its way for less than a fault for each.
        fresh: bool,
        /// All that the call reads: the answer does not depend on the buffer.
        all: bool,
    },
}

impl Fs {
    /// Attaches the whole pages of a read to the program's buffer if that pays.
    ///
    /// # Safety
    /// [`to`, `to + len`) is the program's buffer.
    pub(super) unsafe fn try_attach(&self, slot: SlotNo, open: &OpenSlot, to: *mut u8, len: usize, offset: u64) -> Result<Attached> {
        let s = self.inodes.slot(slot);
        let addr = to as usize;
        let size = s.size.load(Acquire);
        if !self.attach || offset >= size || s.shared_maps.load(Relaxed) != 0 {
            return Ok(Attached::Copy { fresh: false, all: false });
        }
        let len = len.min((size - offset) as usize);
        if addr % PAGE != offset as usize % PAGE {
            self.misfit(open, addr, len)?;
            return Ok(Attached::Copy { fresh: false, all: false });
        }
        if !addr.is_multiple_of(PAGE) {
            // SAFETY: the head of the program's buffer, up to its first whole page.
            return unsafe { self.read_at(slot, None, to, (PAGE - addr % PAGE).min(len), offset) }.map(Attached::Done);
        }
        let pages = len / PAGE;
        let verdict = if (pages as u64) < RUN_MIN { Verdict::Copy } else { self.attach_pays(slot, open, addr, pages, offset) };
        // What lay in this buffer has been judged.
        self.attached.forget(addr..addr + len);
        if verdict != Verdict::Attach {
            if self.has_huge_frames() && addr % BLOCK != offset as usize % BLOCK {
                self.misfit(open, addr, pages * PAGE)?;
            }
            self.detach(addr, pages * PAGE)?;
            open.last_pages.store(0, Relaxed);
            return Ok(Attached::Copy { fresh: self.is_fresh(addr, pages), all: verdict == Verdict::CopyAll });
        }
        let fresh = pages >= JUDGED_LATER && self.is_fresh(addr, pages);
        let mut done = 0;
        while done < pages as u64 {
            let (at, page) = (addr + done as usize * PAGE, PageNo::of(offset).plus(done));
            // SAFETY: the buffer is private memory of the program (checked), and it has asked for these pages to be overwritten.
            match unsafe { self.attach_run(slot, at, page, pages as u64 - done) } {
                Ok(0) => break,
                Ok(n) => done += n,
                // Nothing can be evicted just now, or a page can't be loaded: a copy gets on with less, and finds out which.
                Err(Error::NoFrames) => break,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        if done < pages as u64 {
            self.detach(addr + done as usize * PAGE, (pages - done as usize) * PAGE)?;
        }
        open.last_addr.store(addr as u64, Relaxed);
        open.last_pages.store(done as u32, Relaxed);
        if done as usize >= JUDGED_LATER {
            self.attached.note(Large { addr, pages: done as usize, fresh, shared: self.stats.shared.load(Relaxed) });
        }
        Ok(if done > 0 { Attached::Done(done as usize * PAGE) } else { Attached::Copy { fresh: false, all: false } })
    }

    /// Whether a large buffer that is to be copied to has no pages yet, by its first and its last one.
    fn is_fresh(&self, addr: usize, pages: usize) -> bool {
        pages >= FRESH_MIN && !self.memory.is_resident(addr) && !self.memory.is_resident(addr + (pages - 1) * PAGE)
    }

    /// A read that can't be attached goes to `addr`. If views lie there, they are replaced by fresh memory: a copy into them would cost a fault with a copy of its own for each page. And a
    /// program that reads to one buffer from offsets that fit and from others that do not is better copied to.
    fn misfit(&self, open: &OpenSlot, addr: usize, len: usize) -> Result<()> {
        let (from, to) = (addr.next_multiple_of(PAGE), (addr + len) / PAGE * PAGE);
        if self.ledger.first_in(from, to.max(from)).is_some_and(|view| view.inode == 0) {
            planner::does_not_fit(open);
            self.detach(from, to - from)?;
        }
        Ok(())
    }

    /// Whether this kernel tells what a buffer is (Linux 6.11), without which everything is copied.
    pub fn can_attach(&self) -> bool {
        self.attach && self.memory.vma(std::ptr::from_ref(self).addr()).is_some()
    }

    /// Attaches the pages from `page` on whose frames follow each other; returns how many, 0 if there is nothing to attach.
    unsafe fn attach_run(&self, slot: SlotNo, addr: usize, page: PageNo, most: u64) -> Result<u64> {
        let view = self.with_frames(|| {
            let _write = self.inodes.lock(slot);
            // A shared mapping may have come: what it shows must not be attached.
            if self.inodes.slot(slot).shared_maps.load(Relaxed) != 0 {
                return Ok(None);
            }
            let view = self.view_of(slot, addr, page, most)?;
            view.inspect(|view| self.pin_view(view));
            Ok(view)
        })?;
        let Some(view) = view else { return Ok(0) };
        let pages = view.pages;
        self.unmapped(addr, pages as usize * PAGE);
        if (pages as u64) < RUN_MIN.min(most) || self.ledger.len() + 8 > LEDGER || !self.ledger.add(view) {
            self.unpin_view(&view);
            return Ok(0);
        }
        // SAFETY: private read-write memory of the program that this read overwrites wholly.
        if let Err(e) = unsafe { self.show_view(&view, READ_WRITE) } {
            self.unmapped(addr, pages as usize * PAGE);
            return if e == Error::Io("map frames", libc::ENOMEM) { Ok(0) } else { Err(e) };
        }
        Stats::add(&self.stats.attached, pages as usize * PAGE);
        Ok(pages as u64)
    }

    /// The frames of the pages from `page` on, as far as they follow each other: (first, count). `None` at a hole. Needs the inode's lock.
    pub(super) fn resident_run(&self, slot: SlotNo, page: PageNo, most: u64) -> Result<Option<(FrameNo, u32)>> {
        let end = PageNo::of(self.inodes.slot(slot).size.load(Relaxed).next_multiple_of(PAGE as u64));
        let most = most.min(end.get().saturating_sub(page.get()));
        let table = self.inodes.table(slot);
        let mut first: Option<FrameNo> = None;
        let mut count = 0;
        let follows =
            |first: Option<FrameNo>, frame: FrameNo, count: u64| first.is_none_or(|f| f.get() as u64 + count == frame.get() as u64);
        while count < most {
            // What is resident, leaf by leaf; then the next page by itself, which may have to be loaded.
            let cells = table.cells(page.plus(count)).unwrap_or_default();
            let before = count;
            for cell in cells.iter().take((most - count) as usize) {
                match Entry::from_raw(cell.load(Relaxed)).dram() {
                    Some(frame) if follows(first, frame, count) => first = first.or(Some(frame)),
                    _ => break,
                }
                count += 1;
            }
            if count > before {
                continue;
            }
            if count > 0 && self.stays_in_pool(slot, page.plus(count))? {
                break;
            }
            match self.resident(slot, page.plus(count), most - count) {
                Ok(entry) if entry.dram().is_some_and(|frame| follows(first, frame, count)) => {}
                Err(Error::NoFrames) if count > 0 => break,
                Err(e) => return Err(e),
                _ => break,
            }
        }
        Ok(first.map(|f| (f, count as u32)))
    }

    /// The range is about to be copied into: views there are replaced by fresh memory, which is cheaper than a copy-on-write fault for each page.
    fn detach(&self, addr: usize, len: usize) -> Result<()> {
        while let Some(view) = self.ledger.first_in(addr, addr + len) {
            let Some(part) = view.clip(addr, addr + len).filter(|v| v.inode == 0) else { return Ok(()) };
            let vma = self.memory.vma(part.addr);
            self.unmapped(part.addr, part.end() - part.addr);
            // The program may have mapped something else there behind our back.
            if vma.is_some_and(|v| v.private_rw && self.is_view(&v) && v.end >= part.end()) {
                // SAFETY: a view of ours whose content the read in progress overwrites.
                unsafe { map_anonymous(part.addr, part.end() - part.addr)? };
            }
        }
        Ok(())
    }

    /// Forgets the views that are mapped no longer, for programs that do not tell (see [`Fs::unmapped`]): libc unmaps what it freed by itself. Does nothing
    /// where the kernel can't say what is mapped. No thread may be attaching meanwhile: a view is in the ledger before it is mapped.
    pub(crate) fn forget_gone_views(&self) {
        if self.ledger.is_empty() || !self.can_attach() {
            return;
        }
        let mut at = 0;
        while let Some(view) = self.ledger.first_in(at, usize::MAX & !(PAGE - 1)) {
            at = view.end();
            let offset = view.first.get() as u64 * PAGE as u64;
            let shows = |vma: &crate::attach::Vma| {
                vma.inode == self.region.dram.inode() && vma.start <= view.addr && vma.offset + (view.addr - vma.start) as u64 == offset
            };
            if !self.memory.vma(view.addr).is_some_and(|vma| shows(&vma)) {
                self.unmapped(view.addr, view.end() - view.addr);
            }
        }
    }

    /// The program is about to change this range of its address space (munmap, mmap over it, mremap): the ledger forgets it.
    pub fn unmapped(&self, addr: usize, len: usize) {
        self.replacing(addr, len, || true);
    }

    /// Runs `replace`, which changes what is mapped at [addr, addr + len) and says whether it did. The views there keep their frames until it has: before, a thread that
    /// still writes through a shared mapping must not hit a frame that is another file's by now. If it did not, the views stay.
    pub fn replacing(&self, addr: usize, len: usize, replace: impl FnOnce() -> bool) {
        let (from, to) = (addr & !(PAGE - 1), addr.saturating_add(len).saturating_add(PAGE - 1) & !(PAGE - 1));
        self.judge_last(from..to);
        // Out of the ledger before the range is free: whoever gets it next enters views of its own.
        let mut views = Vec::new();
        let take_next = |_: &mut ()| {
            let view = self.ledger.take_first(from, to)?;
            let rest = [view.clip(0, from), view.clip(to, usize::MAX & !(PAGE - 1))];
            rest.into_iter().flatten().for_each(|rest| self.add_part(rest));
            Some(view)
        };
        while let Some(view) = self.splitting.with(take_next) {
            views.push(view);
        }
        let stored = self.stored_in(&views, from..to);
        if replace() {
            stored.into_iter().for_each(|slot| self.lock_and_mark_stored(slot));
            self.forget_tails(from, to - from);
        } else {
            views.iter().filter_map(|view| view.clip(from, to)).for_each(|part| self.add_part(part));
        }
        views.iter().for_each(|view| self.put_view(view));
    }

    /// Enters a part of a view with references of its own.
    fn add_part(&self, part: View) {
        self.frames.get_run(part.first, part.pages);
        if let Some(slot) = part.inode.checked_sub(1) {
            self.inodes.slot(slot).opens.fetch_add(1, AcqRel);
            self.inodes.slot(slot).shared_maps.fetch_add(1, AcqRel);
            self.inodes.slot(slot).writable_maps.fetch_add(part.writable.into(), AcqRel);
        }
        // A full ledger leaks the references until the process ends: the frames stay, nothing breaks.
        let _ = self.ledger.add(part);
    }

    /// Moves up to `len` bytes from one file to another: shares whole pages where offsets agree, copies the rest. Returns how many.
    pub fn copy_range(&self, from: Ino, from_at: u64, to: Ino, to_at: u64, len: u64) -> Result<u64> {
        let from = self.hold_inode(from)?;
        let to = self.hold_inode(to).inspect_err(|_| self.unhold_inode(from))?;
        let mut done = 0;
        let mut result = Ok(());
        while done < len {
            match self.copy_piece(from, from_at + done, to, to_at + done, len - done) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        if done > 0 && self.is_watching() {
            self.tell_accessed(Ino::new(self.inodes.slot(from).ino.load(Relaxed)));
            self.tell_modified(Ino::new(self.inodes.slot(to).ino.load(Relaxed)));
        }
        self.unhold_inode(to);
        self.unhold_inode(from);
        match result {
            Err(e) if done == 0 => Err(e),
            _ => Ok(done),
        }
    }

    fn copy_piece(&self, from: SlotNo, from_at: u64, to: SlotNo, to_at: u64, len: u64) -> Result<u64> {
        let size = self.inodes.slot(from).size.load(Acquire);
        let len = len.min(size.saturating_sub(from_at)).min(super::write::MAX_SIZE.saturating_sub(to_at));
        if len == 0 {
            return Ok(0);
        }
        let page = PAGE as u64;
        let aligned = from_at.is_multiple_of(page) && to_at.is_multiple_of(page);
        // The last page of the source may be shared whole if the target ends there, too: what lies behind the end is zeros.
        let to_size = self.inodes.slot(to).size.load(Acquire);
        let tail = from_at + len == size && to_at + len >= to_size;
        let whole = if tail { len.div_ceil(page) } else { len / page };
        let mapped = [from, to].iter().any(|i| self.inodes.slot(*i).shared_maps.load(Relaxed) != 0);
        if aligned && whole > 0 && from != to && !mapped {
            let shared = self.with_frames(|| self.share_pages(from, from_at, to, to_at, len, whole))?;
            if shared > 0 {
                return Ok(shared);
            }
        }
        let n = len.min(if aligned { PAGE as u64 * 16 } else { page - from_at % page }) as usize;
        // Not on the stack, of which a thread may have 16 KiB.
        let mut buffer = Vec::<u8>::with_capacity(n);
        // SAFETY: `buffer` is ours and has room for `n` bytes.
        let n = unsafe { self.read_at(from, None, buffer.as_mut_ptr(), n, from_at)? };
        // SAFETY: as above.
        let (n, _) = unsafe { self.write_at(to, buffer.as_ptr(), n, super::write::At::Offset(to_at))? };
        Stats::add(&self.stats.copied_in, n);
        Ok(n as u64)
    }

    /// Lets `to` show the frames of `from`: up to 512 of `pages` pages, or a hole of any size; `len` bytes at the most. Both locks are taken in slot order.
    fn share_pages(&self, from: SlotNo, from_at: u64, to: SlotNo, to_at: u64, len: u64, pages: u64) -> Result<u64> {
        let _first: WriteGuard<'_> = self.inodes.lock(from.min(to));
        let _second = self.inodes.lock(from.max(to));
        let s = self.inodes.slot(to);
        // A shared mapping may have come: its frames must stay its own.
        if [from, to].iter().any(|i| self.inodes.slot(*i).shared_maps.load(Relaxed) != 0) {
            return Ok(0);
        }
        let (source, target) = (PageNo::of(from_at), PageNo::of(to_at));
        let mut done = self.share_hole(from, source, to, target, pages)?;
        let mut result = Ok(());
        let pages = pages.min(BLOCK_FRAMES as u64);
        while done < pages && result.is_ok() {
            match self.share_run(from, source.plus(done), to, target.plus(done), pages - done) {
                Ok(count) => done += count,
                Err(e) => result = Err(e),
            }
        }
        let bytes = (done * PAGE as u64).min(len);
        if bytes > 0 {
            s.size.fetch_max(to_at + bytes, AcqRel);
            touch(&[&s.mtime, &s.ctime]);
            s.flags.fetch_or(flag::DIRTY, AcqRel);
            Stats::add(&self.stats.shared, bytes as usize);
            return Ok(bytes);
        }
        result.map(|()| 0)
    }

    /// Makes a hole of what `target` has where `source` has one, from its start on: how many pages.
    fn share_hole(&self, from: SlotNo, source: PageNo, to: SlotNo, target: PageNo, most: u64) -> Result<u64> {
        let end = source.plus(most);
        let pages = self.find_content(from, source, end, true)?.unwrap_or(end).get() - source.get();
        self.each_part(to, target.start(), target.plus(pages).start(), &mut |page, _, _| {
            if let Some(cell) = self.cell_if_any(to, page)? {
                self.punch(to, page, cell, Entry::from_raw(cell.load(Relaxed)));
            }
            Ok(())
        })?;
        Ok(pages)
    }

    /// One hole, or pages whose frames follow each other in one leaf of each file: how many.
    fn share_run(&self, from: SlotNo, source: PageNo, to: SlotNo, target: PageNo, most: u64) -> Result<u64> {
        let cell = self.cell(to, target)?;
        let left = self.inodes.table(to).cells(target).map_or(0, |cells| cells.len() as u64);
        let Some((first, count)) = self.resident_run(from, source, most.min(left))? else {
            self.punch(to, target, cell, Entry::from_raw(cell.load(Relaxed)));
            return Ok(1);
        };
        (0..count).for_each(|i| self.frames.get(first.plus(i)));
        let shared = self.share_frames(to, first, target, count);
        if shared.is_err() {
            (0..count).for_each(|i| _ = self.frames.put(first.plus(i)));
        }
        self.clock.used(first, count);
        shared.map(|()| count as u64)
    }

    /// Makes a page a hole. Needs the inode's lock.
    pub(super) fn punch(&self, slot: SlotNo, page: PageNo, cell: &crate::sync::AtomicU64, old: Entry) {
        if old.is_hole() {
            return;
        }
        let s = self.inodes.slot(slot);
        let pages = s.pages.load(Relaxed);
        s.pages.store(pages.saturating_sub(1), Relaxed);
        let marked = self.inodes.mark(slot, page, 1);
        self.replace(cell, old, if s.flags.load(Relaxed) & flag::HAS_POOL != 0 { Entry::punched(marked) } else { Entry::HOLE });
        // Only now: a death in between leaves a promise too many, never one too few.
        if old.is_dirty() {
            self.space.unreserve(1);
        }
    }
}
