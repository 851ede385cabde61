//! Which pages a program has stored to through its shared mappings: a store leaves no mark that we see, but the kernel can be asked to leave one.
//!
//! The first flush of a mapped file takes every page of its mappings, and has the kernel protect them against writing, which the first store to each ends without telling anybody ([`Cuts::protect`]). A later
//! flush takes those that are not protected any more ([`Memory::written`], and where that can't be trusted, all but [`Memory::protected`]). That is what is asked, not which pages were written to: of a page that was, and that the kernel has put on a swap device or the program has advised away, it knows
//! nothing any more. Where the kernel can't (before 6.7), where another process has mapped the file for writing, too, whose page tables are not ours to look at, and of mappings that came since, every page is
//! taken to have changed.
//!
//! [`Cuts::protect`]: crate::attach::Cuts::protect
//! [`Memory::written`]: crate::attach::Memory::written
//! [`Memory::protected`]: crate::attach::Memory::protected

use super::Fs;
use crate::attach::View;
use crate::inode::{SlotNo, flag, touch};
use crate::sync::Ordering::*;
use crate::units::{PAGE, PageNo};
use std::ops::Range;

/// Views that the kernel is asked about together (of 2 MiB at most each): meanwhile no other thread may map anything, some 20 us.
const AT_ONCE: usize = 32;

/// What was stored through mappings of an inode.
#[derive(Default)]
pub(super) struct Stored {
    /// Parts of its pages that hold every page which may have been.
    pub(super) pages: Vec<Range<PageNo>>,
    /// This process has touched some of them since they were taken last.
    pub(super) touched: bool,
}

impl Fs {
    /// Parts of `pages` that hold every page which any process may have stored to through a mapping of the inode since the last flush. The caller holds the flush lock, and takes these pages: they are not
    /// told again. If it dies before, its mappings end, and with them all their pages count as changed.
    pub(super) fn take_stored(&self, slot: SlotNo, pages: &Range<PageNo>) -> Stored {
        let mut views = self.ledger.of_inode(slot + 1);
        views.retain(|view| view.writable);
        let mut stored = Stored::default();
        let follows = |one: &View, next: &View| next.addr == one.end() && next.page == one.page + one.pages;
        // A view that goes at this moment takes its pages along as changed, but perhaps too late for this flush.
        let are_all_there = views
            .chunk_by(follows)
            .flat_map(|run| run.chunks(AT_ONCE))
            .all(|run| self.ledger.while_there(run, || self.take_of_run(run, pages, &mut stored)).is_some());
        // Whoever maps the file from now on, or is allowed to write to what is mapped, stores later than this flush began.
        let are_all_ours = self.inodes.slot(slot).writable_maps.load(Acquire) as usize == views.len();
        if !(are_all_there && are_all_ours) {
            stored.pages = vec![pages.clone()];
        }
        stored
    }

    /// Views that follow each other.
    fn take_of_run(&self, views: &[View], pages: &Range<PageNo>, stored: &mut Stored) {
        let run = View { pages: views.iter().map(|view| view.pages).sum(), ..views[0] };
        let Some(addrs) = shows(&run, pages) else { return };
        if let Some(parts) = self.written(addrs) {
            return self.take(&run, &parts, stored);
        }
        for view in views {
            if let Some(addrs) = shows(view, pages) {
                self.take(view, &self.unprotected(addrs), stored);
            }
        }
    }

    fn take(&self, view: &View, parts: &[Range<usize>], stored: &mut Stored) {
        stored.touched = stored.touched || self.are_touched(parts);
        let page = |addr: usize| PageNo::new(view.page as u64 + ((addr - view.addr) / PAGE) as u64);
        for part in parts {
            self.cuts.protect(view.addr..view.end(), part.clone());
            stored.pages.push(page(part.start)..page(part.end));
        }
    }

    /// The parts of an address range that are not protected against writing, or not any more, if there is a quick way to ask.
    fn written(&self, range: Range<usize>) -> Option<Vec<Range<usize>>> {
        self.cuts.tells_of_holes(&self.memory).then(|| self.memory.written(range.start, range.end))?
    }

    /// The same, if there is none.
    fn unprotected(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let (mut at, mut parts) = (range.start, Vec::new());
        for protected in self.memory.protected(range.start, range.end) {
            parts.push(at..protected.start);
            at = protected.end;
        }
        parts.push(at..range.end);
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// Whether this process has touched a page in one of these parts of views where it may write.
    fn are_touched(&self, parts: &[Range<usize>]) -> bool {
        let is_touched = |part: &Range<usize>| {
            let mut at = part.start;
            while at < part.end
                && let Some(vma) = self.memory.vma(at)
            {
                let end = vma.end.min(part.end);
                if vma.prot & libc::PROT_WRITE != 0 && vma.inode == self.region.dram.inode() && self.memory.is_any_touched(at, end) {
                    return true;
                }
                at = end;
            }
            false
        };
        parts.iter().any(is_touched)
    }

    /// Whether this process may have stored to these addresses of a view since they were taken last.
    fn is_stored(&self, range: Range<usize>) -> bool {
        self.are_touched(&self.written(range.clone()).unwrap_or_else(|| self.unprotected(range)))
    }

    /// The program is about to put guards into this range (`MADV_GUARD_INSTALL`, Linux 6.15 for files): at a page that is protected the kernel (6.18) tries again for ever.
    pub fn end_protection(&self, addr: usize, len: usize) {
        let (mut at, end) = (addr, addr.saturating_add(len));
        while let Some(view) = self.ledger.first_in(at, end) {
            at = view.end();
            if let Some(part) = view.clip(addr, end).filter(|part| part.inode != 0) {
                self.ledger.while_there(&[view], || self.cuts.end_protection(part.addr..part.end()));
            }
        }
    }

    /// As [`Fs::mark_stored`], for who has not locked the inode.
    pub(super) fn lock_and_mark_stored(&self, slot: SlotNo) {
        let _write = self.inodes.lock(slot);
        self.mark_stored(slot);
    }

    /// The times of a file that is changed through a mapping. Needs the inode's lock.
    pub(super) fn mark_stored(&self, slot: SlotNo) {
        let s = self.inodes.slot(slot);
        touch(&[&s.mtime, &s.ctime]);
        s.flags.fetch_or(flag::ATTR, AcqRel);
    }

    /// The inodes among `views` that this process has changed: what its stores are when their mapping ends.
    pub(super) fn stored_in(&self, views: &[View], clip: Range<usize>) -> Vec<SlotNo> {
        let stored = |view: &View| view.clip(clip.start, clip.end).is_some_and(|part| self.is_stored(part.addr..part.end()));
        let mut slots = Vec::new();
        for view in views {
            if let Some(slot) = view.inode.checked_sub(1)
                && !slots.contains(&slot)
                && view.writable
                && stored(view)
            {
                slots.push(slot);
            }
        }
        slots
    }

    /// Notes what was stored through the mappings of a file, or of a part of it, whose content is not to be written now (`msync(MS_ASYNC)`, the end of the process).
    pub fn note_stores(&self, addr: usize, len: usize) {
        let end = addr.saturating_add(len);
        let (mut at, mut views) = (addr, Vec::new());
        while let Some(view) = self.ledger.first_in(at, end) {
            at = view.end();
            views.push(view);
        }
        self.stored_in(&views, addr..end).into_iter().for_each(|slot| self.lock_and_mark_stored(slot));
    }
}

/// Where a view shows pages that are asked for.
fn shows(view: &View, pages: &Range<PageNo>) -> Option<Range<usize>> {
    let first = PageNo::new(view.page.into());
    let (from, to) = (pages.start.max(first), pages.end.min(first.plus(view.pages.into())));
    let addr = |page: PageNo| view.addr + (page.get() - first.get()) as usize * PAGE;
    (from < to).then(|| addr(from)..addr(to))
}
