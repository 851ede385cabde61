#![expect(unsafe_code, reason = "maps what the program has mapped")]
//! Parts of mappings that show nothing: what lies behind the end of the file, and large holes of large shared mappings until they are touched. They are mapped to an empty
//! file, so that a touch is SIGBUS, and the shim's handler asks [`Fs::fault`].

use super::Fs;
use crate::error::Result;
use crate::inode::SlotNo;
use crate::media::aside::with_room;
use crate::region::map_file;
use crate::sync::Ordering::*;
use crate::units::{BLOCK_FRAMES, Ino, PAGE, PageNo};

/// Pages that a touch brings in where frames are scarce.
const PIECE: u64 = 16;
/// So often in a row a page that is shown may fault: as many threads as may touch it before one has brought it in.
const MOST_RETRIES: u32 = 1000;

/// A part of a mapping that shows nothing.
#[derive(Clone, Copy)]
pub(super) struct Tail {
    pub(super) addr: usize,
    pub(super) len: usize,
    pub(super) prot: i32,
    pub(super) shared: bool,
    pub(super) ino: Ino,
    /// The file page at `addr`.
    pub(super) page: PageNo,
}

impl Fs {
    /// Maps the part of a mapping that lies behind the end of its file: touching it is SIGBUS, and [`Fs::fault`] looks again.
    ///
    /// # Safety
    /// The range is the caller's.
    pub(super) unsafe fn map_nothing(&self, tail: Tail) -> Result<()> {
        // SAFETY: the caller's range.
        unsafe { self.map_empty(&tail)? };
        self.tails.with(|tails| tails.push(tail));
        Ok(())
    }

    unsafe fn map_empty(&self, tail: &Tail) -> Result<()> {
        with_room(|| {
            let empty = self.region.run.open_file("empty")?;
            // SAFETY: the caller's range.
            unsafe { map_file(&empty, tail.addr, tail.len, tail.prot, tail.shared, tail.page.start()) }
        })
    }

    /// After SIGBUS at `addr`: maps the page if it belongs to a mapping whose file has it by now. `false`: a fault indeed.
    pub fn fault(&self, addr: usize) -> bool {
        self.faulting.with(|last| {
            let found = self.absent_in(addr, addr + 1);
            match found {
                Some(tail) => {
                    *last = (0, 0);
                    self.show(&tail, addr)
                }
                None => {
                    *last = if last.0 == addr { (addr, last.1 + 1) } else { (addr, 1) };
                    // A page that is there and faults on and on is broken.
                    last.1 < MOST_RETRIES && self.is_there(addr)
                }
            }
        })
    }

    /// Whether a page that faults is there by now: another thread touched it at the same time, and was first, or its frame has no memory because another process had cut it
    /// off, and the file has grown since. If it has not, the mapping shows nothing there from now on.
    fn is_there(&self, addr: usize) -> bool {
        let Some(view) = self.ledger.first_in(addr, addr + 1) else { return false };
        let Some(slot) = view.inode.checked_sub(1) else { return true };
        let within = ((addr - view.addr) / PAGE) as u32;
        let size = self.inodes.slot(slot).size.load(Acquire);
        if view.page as u64 + (within as u64) < size.div_ceil(PAGE as u64) {
            return self.region.dram.refill(view.first.plus(within), 1);
        }
        // The view goes, and its hold on the slot with it.
        let ino = Ino::new(self.inodes.slot(slot).ino.load(Acquire));
        if let Ok(held) = self.hold_inode(ino) {
            self.cut_mappings(held, size);
            self.unhold_inode(held);
        }
        false
    }

    /// Before the kernel, or our own code, touches what the program might have mapped: a fault there would be `EFAULT`. For who has seen [`Fs::is_lazy`].
    pub fn show_all(&self, addr: usize, len: usize) {
        let end = addr.saturating_add(len);
        let mut at = addr;
        while let Some(tail) = self.absent_in(at, end) {
            at = at.max(tail.addr);
            // What lies behind the end stays so.
            if !self.fault(at) {
                at = tail.addr + tail.len;
            }
        }
    }

    /// Whether pages of shared mappings may be absent that the file has.
    #[inline]
    pub fn is_lazy(&self) -> bool {
        self.lazy.load(Relaxed) != 0
    }

    /// The first absent part that meets [from, to).
    fn absent_in(&self, from: usize, to: usize) -> Option<Tail> {
        let meets = |t: &&Tail| t.addr < to && t.addr + t.len > from;
        self.tails.with(|tails| tails.iter().filter(meets).min_by_key(|t| t.addr).copied())
    }

    pub(super) fn has_absent(&self, addr: usize, len: usize) -> bool {
        self.absent_in(addr, addr.saturating_add(len)).is_some_and(|tail| tail.shared)
    }

    /// The part of a shared mapping that begins at `addr` and is absent, as [`Fs::mapped_part`].
    pub(super) fn absent_part(&self, addr: usize, end: usize) -> Option<(Ino, u64, usize)> {
        let tail = self.absent_in(addr, addr + 1).filter(|tail| tail.shared)?;
        Some((tail.ino, tail.page.start() + (addr - tail.addr) as u64, end.min(tail.addr + tail.len) - addr))
    }

    /// Maps the pages around `addr` that the file has. Of a large part a piece: as much as frames are plenty for.
    fn show(&self, tail: &Tail, addr: usize) -> bool {
        let Ok(slot) = self.hold_inode(tail.ino) else { return false };
        let end = self.inodes.slot(slot).size.load(Acquire).div_ceil(PAGE as u64);
        let inside = end.saturating_sub(tail.page.get()).min((tail.len / PAGE) as u64);
        let here = (addr - tail.addr) as u64 / PAGE as u64;
        let mut shown = false;
        if here < inside {
            let plenty = self.frames.free() > self.frames.total() as u64 / 2;
            let piece = if plenty { BLOCK_FRAMES as u64 } else { PIECE };
            // The program may have changed the protection since; what has another is another piece.
            let (part, prot) = match self.memory.vma(addr) {
                Some(vma) => (vma.start.saturating_sub(tail.addr) / PAGE..(vma.end - tail.addr) / PAGE, vma.prot),
                None => (0..tail.len / PAGE, tail.prot),
            };
            // Pieces end where those of the file do.
            let page = tail.page.plus(here).get();
            let from = (page - page % piece).max(tail.page.get() + part.start as u64);
            let to = (page - page % piece + piece).min(tail.page.get() + inside.min(part.end as u64));
            shown = self.show_pages(slot, &Tail { prot, ..*tail }, PageNo::new(from), to - from);
        }
        self.unhold_inode(slot);
        shown
    }

    fn show_pages(&self, slot: SlotNo, tail: &Tail, page: PageNo, pages: u64) -> bool {
        let addr = tail.addr + (page.get() - tail.page.get()) as usize * PAGE;
        let len = pages as usize * PAGE;
        self.forget_tails(addr, len);
        // SAFETY: the program's own mapping of this file, which showed nothing there.
        let mapped = unsafe {
            match tail.shared {
                true => self.map_shared(slot, addr, page, pages, tail.prot),
                false => self.map_private(slot, addr, page, pages, tail.prot),
            }
        };
        if mapped.is_err() {
            self.unmapped(addr, len);
            let piece = Tail { addr, len, page, ..*tail };
            // SAFETY: as above.
            let _ = unsafe { self.map_nothing(piece) };
        }
        mapped.is_ok()
    }

    /// The file was cut off at `size`: what this process's shared mappings show behind that is nothing any more.
    pub(super) fn cut_mappings(&self, slot: SlotNo, size: u64) {
        let end = PageNo::new(size.div_ceil(PAGE as u64));
        let ino = Ino::new(self.inodes.slot(slot).ino.load(Acquire));
        let mut at = 0;
        while let Some(view) = self.ledger.first_in(at, usize::MAX & !(PAGE - 1)) {
            at = view.end();
            let gone = (view.page as u64 + view.pages as u64).saturating_sub(end.get()).min(view.pages as u64) as usize;
            if view.inode != slot + 1 || gone == 0 {
                continue;
            }
            for (part, prot) in self.protections(view.end() - gone * PAGE, view.end()) {
                let page = PageNo::new(view.page as u64 + ((part.start - view.addr) / PAGE) as u64);
                let tail = Tail { addr: part.start, len: part.len(), prot, shared: true, ino, page };
                // SAFETY: a shared mapping of this file, whose pages there no longer exist.
                let mapped = || unsafe { self.map_empty(&tail) }.is_ok();
                let mut gone = false;
                self.replacing(tail.addr, tail.len, || {
                    gone = mapped();
                    gone
                });
                // If it failed they stay visible, and keep their frames.
                if gone {
                    self.tails.with(|tails| tails.push(tail));
                }
            }
        }
    }

    /// The program changes [addr, addr + len): parts of mappings behind the end of their files go with it.
    pub(super) fn forget_tails(&self, addr: usize, len: usize) {
        let (from, to) = (addr, addr.saturating_add(len));
        self.tails.with(|tails| {
            let mut i = 0;
            while i < tails.len() {
                let t = tails[i];
                let t_end = t.addr + t.len;
                if t.addr >= to || t_end <= from {
                    i += 1;
                    continue;
                }
                tails.swap_remove(i);
                for (start, end) in [(t.addr, from.min(t_end)), (to.max(t.addr), t_end)] {
                    if start < end {
                        let skip = ((start - t.addr) / PAGE) as u64;
                        tails.push(Tail { addr: start, len: end - start, page: t.page.plus(skip), ..t });
                    }
                }
            }
        });
    }
}
