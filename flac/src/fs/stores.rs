//! Which pages a program has stored to through its shared mappings: a store leaves no mark that we see, but the kernel can be asked to leave one.
//!
//! The first flush of a mapped file takes every page of its mappings, and has the kernel protect them against writing, which the first store to each ends without telling anybody ([`Cuts::protect`]). A later
//! flush takes those that are not protected any more. That is what is asked, not which pages were written to: of a page that was, and that the kernel has put on a swap device or the program has advised away, it knows
//! nothing any more. Where the kernel can't (before 6.7), where another process has the file mapped, too, whose page tables are not ours to look at, and of mappings that came since, every page is
//! taken to have changed.
//!
//! [`Cuts::protect`]: crate::attach::Cuts::protect

use super::Fs;
use crate::attach::View;
use crate::inode::SlotNo;
use crate::sync::Ordering::*;
use crate::units::{PAGE, PageNo};
use std::ops::Range;

impl Fs {
    /// Parts of `pages` that hold every page which any process may have stored to through a mapping of the inode since the last flush. The caller holds the flush lock, and takes these pages: they are not
    /// told again. If it dies before, its mappings end, and with them all their pages count as changed.
    pub(super) fn take_stored(&self, slot: SlotNo, pages: &Range<PageNo>) -> Vec<Range<PageNo>> {
        let views = self.ledger.of_inode(slot + 1);
        let mut stored = Vec::new();
        // A view that goes at this moment takes its pages along as changed, but perhaps too late for this flush.
        let are_all_there =
            views.iter().all(|view| self.ledger.while_there(view, || self.take_of_view(view, pages, &mut stored)).is_some());
        // Whoever maps the file from now on stores later than this flush began.
        let are_all_ours = self.inodes.slot(slot).shared_maps.load(Acquire) as usize == views.len();
        if are_all_there && are_all_ours { stored } else { vec![pages.clone()] }
    }

    fn take_of_view(&self, view: &View, pages: &Range<PageNo>, stored: &mut Vec<Range<PageNo>>) {
        let first = PageNo::new(view.page.into());
        let (from, to) = (pages.start.max(first), pages.end.min(first.plus(view.pages.into())));
        if from >= to {
            return;
        }
        let addr = |page: PageNo| view.addr + (page.get() - first.get()) as usize * PAGE;
        let page = |addr: usize| first.plus(((addr - view.addr) / PAGE) as u64);
        let mut take = |part: Range<usize>| {
            if !part.is_empty() {
                self.cuts.protect(view.addr..view.end(), part.clone());
                stored.push(page(part.start)..page(part.end));
            }
        };
        let mut at = addr(from);
        for protected in self.memory.protected(addr(from), addr(to)) {
            take(at..protected.start);
            at = protected.end;
        }
        take(at..addr(to));
    }
}
