//! The attach ledger: which ranges of which process show which frames. Owns the references that those views count; knows no file
//! (a shared mapping's inode slot is a number it carries for others).
//!
//! The ledger of a process lies in the control segment, so that others can drop its references when it dies. The process keeps a sorted index of it for itself.

mod cuts;
mod memory;

pub use cuts::Cuts;
pub use memory::{Memory, Touched, Vma};

use crate::frame::Frames;
use crate::procs::Procs;
use crate::region::{Control, LEDGER, LedgerEntry};
use crate::sync::{Ordering::*, Spin};
use crate::units::{FrameNo, PAGE, PoolFrame};
use std::sync::Arc;

/// A view: `pages` frames of one tier from `first` on at address `addr`. `inode` is 0 for a copy-on-write view, else the inode slot + 1 of a shared mapping,
/// whose first file page is `page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Address.
    pub addr: usize,
    /// First frame: of the DRAM tier; with `pool`, see [`View::pool_first`].
    pub first: FrameNo,
    /// Whether it shows frames of the pool.
    pub pool: bool,
    /// Number of pages.
    pub pages: u32,
    /// Inode slot + 1 of a shared mapping, else 0.
    pub inode: u32,
    /// First file page of a shared mapping.
    pub page: u32,
    /// Whether the program may have stored through this part of a shared mapping: it can be written, or could be.
    pub writable: bool,
}

/// Marks the page count of a ledger entry whose frames are the pool's: a view has less than 2^31 pages.
const POOL: u32 = 1 << 31;
/// Marks the page count of a ledger entry of a shared mapping that is [`View::writable`]: it has 512 pages at most.
const WRITABLE: u32 = 1 << 30;

impl View {
    /// The first frame of a view of the pool.
    pub fn pool_first(&self) -> PoolFrame {
        assert!(self.pool);
        PoolFrame::new(self.first.get())
    }

    /// One past the last address.
    pub fn end(&self) -> usize {
        self.addr + self.pages as usize * PAGE
    }

    /// The part of the view in [from, to).
    pub fn clip(&self, from: usize, to: usize) -> Option<View> {
        let (start, end) = (self.addr.max(from), self.end().min(to));
        let skip = (start.checked_sub(self.addr)? / PAGE) as u32;
        (start < end).then(|| View {
            addr: start,
            first: self.first.plus(skip),
            pool: self.pool,
            pages: ((end - start) / PAGE) as u32,
            inode: self.inode,
            page: self.page + skip,
            writable: self.writable,
        })
    }

    fn pages_word(&self) -> u32 {
        self.pages | if self.pool { POOL } else { 0 } | if self.writable { WRITABLE } else { 0 }
    }

    /// What a ledger entry says; `None` if it is empty.
    pub fn read(entry: &LedgerEntry) -> Option<View> {
        let addr = entry.addr.load(Acquire) as usize;
        let (pages, inode) = (entry.pages.load(Relaxed), entry.inode.load(Relaxed));
        let writable = inode != 0 && pages & WRITABLE != 0;
        (addr != 0).then(|| View {
            addr,
            first: FrameNo::new(entry.first.load(Relaxed)),
            pages: pages & !POOL & if writable { !WRITABLE } else { !0 },
            pool: pages & POOL != 0,
            inode,
            page: entry.page.load(Relaxed),
            writable,
        })
    }
}

/// What the process keeps for itself; the vectors are allocated once.
struct Own {
    /// Entry numbers in ascending order of address.
    index: Vec<u32>,
    /// Numbers of empty entries among those that were ever used; the others begin at `ledger_end`. So a process that attaches nothing touches none of this.
    free: Vec<u32>,
}

/// This process's ledger.
pub struct Ledger {
    control: Control,
    procs: Arc<Procs>,
    own: Spin<Own>,
}

impl Ledger {
    /// The (empty) ledger of this process.
    pub fn new(control: Control, procs: Arc<Procs>) -> Self {
        // Room is made for the first view: most processes attach nothing.
        let own = Own { index: Vec::new(), free: Vec::new() };
        Ledger { control, procs, own: Spin::new(own) }
    }

    fn entries(&self) -> &'static [LedgerEntry] {
        use crate::sync::Liveness;
        self.control.ledger(self.procs.me())
    }

    /// Whether nothing is attached.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.procs.slot().ledger_end.load(Relaxed) == 0
    }

    /// Number of views.
    pub fn len(&self) -> usize {
        self.own.with(|own| own.index.len())
    }

    /// Enters a view whose references are counted already. `false`: the ledger is full.
    pub fn add(&self, view: View) -> bool {
        let entries = self.entries();
        self.own.with(|Own { index, free }| {
            let end = self.procs.slot().ledger_end.load(Relaxed);
            let fresh = (end < LEDGER as u32).then_some(end);
            let is_room = index.capacity() != 0 || (index.try_reserve_exact(LEDGER).is_ok() && free.try_reserve_exact(LEDGER).is_ok());
            let Some(number) = free.pop().or(fresh).filter(|_| is_room) else { return false };
            let at = index.partition_point(|n| entries[*n as usize].addr.load(Relaxed) < view.addr as u64);
            index.insert(at, number);
            let entry = &entries[number as usize];
            entry.first.store(view.first.get(), Relaxed);
            entry.pages.store(view.pages_word(), Relaxed);
            entry.inode.store(view.inode, Relaxed);
            entry.page.store(view.page, Relaxed);
            self.procs.slot().ledger_end.fetch_max(number + 1, Relaxed);
            entry.addr.store(view.addr as u64, Release);
            true
        })
    }

    /// The first view that touches [from, to).
    pub fn first_in(&self, from: usize, to: usize) -> Option<View> {
        if self.is_empty() {
            return None;
        }
        let entries = self.entries();
        self.own.with(|Own { index, .. }| {
            let at = index.partition_point(|n| View::read(&entries[*n as usize]).is_none_or(|v| v.end() <= from));
            let view = View::read(&entries[*index.get(at)? as usize])?;
            (view.addr < to).then_some(view)
        })
    }

    /// The shared mappings of the file with this number (its inode slot + 1).
    pub fn of_inode(&self, inode: u32) -> Vec<View> {
        if self.is_empty() {
            return Vec::new();
        }
        let entries = self.entries();
        self.own.with(|Own { index, .. }| {
            index.iter().filter_map(|n| View::read(&entries[*n as usize])).filter(|view| view.inode == inode).collect()
        })
    }

    /// The shared mappings in [from, to) are writable from now on, and counted so.
    pub fn make_writable(&self, from: usize, to: usize) {
        if self.is_empty() {
            return;
        }
        let entries = self.entries();
        self.own.with(|Own { index, .. }| {
            let at = index.partition_point(|n| View::read(&entries[*n as usize]).is_none_or(|v| v.end() <= from));
            for entry in index[at..].iter().map(|n| &entries[*n as usize]) {
                let Some(view) = View::read(entry).filter(|view| view.addr < to) else { break };
                if view.inode != 0 && !view.writable {
                    // Counted first: a death in between leaves too many.
                    self.control.inodes()[view.inode as usize - 1].writable_maps.fetch_add(1, AcqRel);
                    entry.pages.fetch_or(WRITABLE, Release);
                }
            }
        });
    }

    /// Runs `f` while these views, between which there is none, stay in the ledger, so that their range is not anybody else's meanwhile; `None` if one has gone.
    pub fn while_there<R>(&self, views: &[View], f: impl FnOnce() -> R) -> Option<R> {
        let (entries, from) = (self.entries(), views.first()?.addr as u64);
        self.own.with(|Own { index, .. }| {
            let at = index.partition_point(|n| entries[*n as usize].addr.load(Relaxed) < from);
            let there = index[at..].iter().map_while(|n| View::read(&entries[*n as usize]));
            there.take(views.len()).eq(views.iter().copied()).then(f)
        })
    }

    /// The first copy-on-write view of the DRAM tier that touches [from, to), clipped to it, with pins of its own: whatever becomes of the view, its frames stay what they are
    /// until the caller drops them.
    pub fn pin_first(&self, from: usize, to: usize, frames: &Frames) -> Option<View> {
        if self.is_empty() {
            return None;
        }
        let entries = self.entries();
        self.own.with(|Own { index, .. }| {
            let at = index.partition_point(|n| View::read(&entries[*n as usize]).is_none_or(|v| v.end() <= from));
            let views = index[at..].iter().map_while(|n| View::read(&entries[*n as usize]).filter(|v| v.addr < to));
            let part = views.filter(|v| v.inode == 0 && !v.pool).find_map(|v| v.clip(from, to))?;
            frames.get_run(part.first, part.pages);
            Some(part)
        })
    }

    /// Takes out the first view that touches [from, to), whole. Its references are the caller's then.
    pub fn take_first(&self, from: usize, to: usize) -> Option<View> {
        if self.is_empty() {
            return None;
        }
        let entries = self.entries();
        self.own.with(|Own { index, free }| {
            let at = index.partition_point(|n| View::read(&entries[*n as usize]).is_none_or(|v| v.end() <= from));
            let number = *index.get(at)?;
            let view = View::read(&entries[number as usize])?;
            if view.addr >= to {
                return None;
            }
            entries[number as usize].addr.store(0, Release);
            index.remove(at);
            free.push(number);
            Some(view)
        })
    }

    /// Copies the ledger to the child's process slot; `pin` counts the references of each view to its frames.
    pub fn copy_to(&self, child: u32, pin: impl Fn(&View)) {
        let end = self.procs.slot().ledger_end.load(Acquire);
        let to = self.control.ledger(child);
        // No other thread takes a view away between the look at it and its pin.
        self.own.with(|_| {
            for (from, to) in self.entries()[..end as usize].iter().zip(to) {
                let Some(view) = View::read(from) else {
                    to.addr.store(0, Relaxed);
                    continue;
                };
                pin(&view);
                if let Some(slot) = view.inode.checked_sub(1) {
                    let inode = &self.control.inodes()[slot as usize];
                    inode.opens.fetch_add(1, AcqRel);
                    inode.shared_maps.fetch_add(1, AcqRel);
                    inode.writable_maps.fetch_add(view.writable.into(), AcqRel);
                }
                to.first.store(view.first.get(), Relaxed);
                to.pages.store(view.pages_word(), Relaxed);
                to.inode.store(view.inode, Relaxed);
                to.page.store(view.page, Relaxed);
                to.addr.store(view.addr as u64, Release);
            }
        });
        self.control.procs()[child as usize].ledger_end.store(end, Release);
    }

    /// In a forked child: another thread of the parent may have held the index; it is built anew from the copied entries.
    pub fn after_fork_child(&self) {
        self.own.after_fork_child();
        self.index_anew();
    }

    fn index_anew(&self) {
        let entries = self.entries();
        self.own.with(|Own { index, free }| {
            index.clear();
            free.clear();
            for n in (0..self.procs.slot().ledger_end.load(Relaxed)).rev() {
                let used = View::read(&entries[n as usize]).is_some();
                if used { index.push(n) } else { free.push(n) }
            }
            index.sort_by_key(|n| entries[*n as usize].addr.load(Relaxed));
        });
    }

    /// The entries of this process, for dropping them all (after an exec, at the end).
    pub fn raw(&self) -> &'static [LedgerEntry] {
        &self.entries()[..self.procs.slot().ledger_end.load(Acquire) as usize]
    }

    /// Empties a ledger entry and returns what it was; its references are the caller's then.
    pub fn withdraw(entry: &LedgerEntry) -> Option<View> {
        let view = View::read(entry)?;
        entry.addr.store(0, Release);
        Some(view)
    }

    /// After the entries were withdrawn one by one: the index forgets them.
    pub fn forget_all(&self) {
        self.procs.slot().ledger_end.store(0, Release);
        self.index_anew();
    }
}
