#![expect(unsafe_code, reason = "maps frames for the program")]
//! Views of either tier: which frames a range of a file could be shown as, and the pins that keep them what they are.

use super::Fs;
use crate::attach::{View, Vma};
use crate::error::Result;
use crate::inode::SlotNo;
use crate::region::map_fixed;
use crate::sync::Ordering::*;
use crate::table::Lookup;
use crate::units::{FrameNo, PageNo};

impl Fs {
    /// Counts a view's references to its frames.
    pub(super) fn pin_view(&self, view: &View) {
        match view.pool {
            true => self.space.pin_run(view.pool_first(), view.pages),
            false => {
                self.frames.get_run(view.first, view.pages);
                self.clock.used(view.first, view.pages);
            }
        }
    }

    /// Drops a view's references to its frames.
    pub(super) fn unpin_view(&self, view: &View) {
        match view.pool {
            true => self.space.unpin_run(view.pool_first(), view.pages, &self.procs),
            false => self.frames.put_run(view.first, view.pages),
        }
    }

    /// A copy-on-write view at `addr` of the pages from `page` on, as far as their frames follow each other, not yet pinned: of the pool's frames where pages that only the pool has
    /// can be shown, else of DRAM frames, loaded if need be. `None` at a hole. Needs the inode's lock.
    pub(super) fn view_of(&self, slot: SlotNo, addr: usize, page: PageNo, most: u64) -> Result<Option<View>> {
        if let Some((first, pages)) = self.pool_run(slot, page, most)? {
            return Ok(Some(View { addr, first: FrameNo::new(first.get()), pool: true, pages, inode: 0, page: 0, writable: false }));
        }
        self.dram_view_of(slot, addr, page, most)
    }

    /// As [`Fs::view_of`], of DRAM frames only, and only as many as views may show.
    pub(super) fn dram_view_of(&self, slot: SlotNo, addr: usize, page: PageNo, most: u64) -> Result<Option<View>> {
        let run = self.resident_run(slot, page, most)?.map(|(first, pages)| (first, self.frames.viewable(pages)));
        let run = run.filter(|(_, pages)| *pages > 0);
        Ok(run.map(|(first, pages)| View { addr, first, pool: false, pages, inode: 0, page: 0, writable: false }))
    }

    /// Maps what a copy-on-write view in the ledger shows.
    ///
    /// # Safety
    /// The caller may replace the view's range.
    pub(super) unsafe fn show_view(&self, view: &View, prot: i32) -> Result<()> {
        // SAFETY: the caller vouches for the range.
        unsafe {
            match view.pool {
                true => self.pool.show(view.addr, view.pool_first(), view.pages, prot),
                false => map_fixed(&self.region.dram, view.addr, view.first, view.pages, prot, false),
            }
        }
    }

    /// Whether frames of ours are mapped there.
    pub(super) fn is_view(&self, vma: &Vma) -> bool {
        vma.inode == self.region.dram.inode() || vma.inode == self.pool.frames_inode()
    }

    /// Whether only the pool has the page, and it can be shown from there.
    pub(super) fn is_in_pool_only(&self, slot: SlotNo, page: PageNo) -> bool {
        self.reads_in_place(slot)
            && match self.inodes.table(slot).lookup(page) {
                Lookup::Entry(entry) => entry.dram().is_none() && entry.pool().is_some(),
                Lookup::Unloaded => self.inodes.slot(slot).flags.load(Relaxed) & crate::inode::flag::HAS_POOL != 0,
            }
    }

    /// As [`Fs::is_in_pool_only`] for a page whose leaf is loaded, under the inode's lock.
    pub(super) fn stays_in_pool(&self, slot: SlotNo, page: PageNo) -> Result<bool> {
        let entry = self.entry(slot, page)?;
        Ok(self.reads_in_place(slot) && entry.dram().is_none() && entry.pool().is_some())
    }
}
