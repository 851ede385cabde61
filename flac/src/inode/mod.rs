//! Inode slots: the cached inodes of the pool, found by number. Owns the slots, their hash table and their life; knows no name and no record.
//!
//! A slot lives while somebody holds it (`opens`) or while it has dirty or cached pages; its fields are the truth about the inode. A slot is found without
//! a lock; whoever then uses it either holds it, or checks its number again under its lock.

mod cut;
mod guard;

pub use guard::{ReadGuard, WriteGuard};

use crate::cpu;
use crate::frame::Frames;
use crate::fs::attr::{Attr, Time};
use crate::procs::Procs;
use crate::region::{Control, Dram, InodeSlot, TimeCell};
use crate::sync::{LOOKS, Ordering::*, RobustLock, spin_loop};
use crate::table::{Marked, Table};
use crate::units::{Ino, PageNo};
use std::sync::Arc;

/// Bits of `InodeSlot::flags`.
pub mod flag {
    /// Some page or the size is newer than the log.
    pub const DIRTY: u32 = 1;
    /// The KV has extents of this inode: leaves must be loaded from it.
    pub const HAS_POOL: u32 = 2;
    /// No name is left: the inode goes with its last holder.
    pub const UNLINKED: u32 = 4;
    /// Attributes changed since the last flush, nothing else.
    pub const ATTR: u32 = 8;
    /// Who held the lock died: how many pages there are has to be counted anew before it is logged.
    pub const UNCOUNTED: u32 = 16;
    /// Some page that only the pool has was read often.
    pub const HOT: u32 = 32;
    /// Owner and mode change by records alone: some did, or there may be a list that goes with them.
    pub const OWNED_BY_LOG: u32 = 64;
    /// Where the hint on the life of what is written lies (`F_SET_RW_HINT`): a number up to 5.
    pub const LIFE_HINT: u32 = 7 << LIFE_HINT_AT;
    /// The lowest bit of it.
    pub const LIFE_HINT_AT: u32 = 8;
}

/// The number of an inode slot.
pub type SlotNo = u32;

/// The cached inodes.
pub struct Inodes {
    control: Control,
    frames: Frames,
    procs: Arc<Procs>,
    dram: Arc<Dram>,
}

impl Inodes {
    /// The inode slots of the region.
    pub fn new(control: Control, procs: Arc<Procs>, dram: Arc<Dram>) -> Self {
        Inodes { control, frames: Frames::new(control), procs, dram }
    }

    /// The slot's fields.
    #[inline]
    pub fn slot(&self, slot: SlotNo) -> &'static InodeSlot {
        &self.control.inodes()[slot as usize]
    }

    /// As [`Inodes::slot`]; `None`: there is none of this number.
    #[inline]
    pub fn get(&self, slot: SlotNo) -> Option<&'static InodeSlot> {
        self.control.inodes().get(slot as usize)
    }

    /// The slot's page table.
    #[inline]
    pub fn table(&self, slot: SlotNo) -> Table {
        Table::new(self.control, self.slot(slot))
    }

    /// Marks `count` pages of one leaf from `page` on, and the inode, as dirty: before their entries become so. Needs the inode's lock.
    #[inline]
    pub fn mark(&self, slot: SlotNo, page: PageNo, count: usize) -> Marked {
        let flags = &self.slot(slot).flags;
        if flags.load(Relaxed) & flag::DIRTY == 0 {
            flags.fetch_or(flag::DIRTY, AcqRel);
        }
        self.table(slot).mark(page, count)
    }

    /// A fresh inode number.
    pub fn next_ino(&self) -> Ino {
        Ino::new(self.control.counters().next_ino.fetch_add(1, Relaxed))
    }

    /// The head of the chain in which `ino` is, if it is cached; `None`: no memory for it, and nothing is in it.
    fn bucket(&self, ino: Ino) -> Option<&'static crate::sync::AtomicU32> {
        let buckets = self.control.buckets();
        // Numbers are given out in order, so this spreads them; and those of files that were made together lie together.
        self.control.bucket(ino.get() as usize & (buckets.len() - 1))
    }

    /// The slot of `ino`, if it is cached. It may go at any time unless the caller holds it.
    pub fn find(&self, ino: Ino) -> Option<SlotNo> {
        // Whoever is told that an inode is not cached goes by what the log says of it: so a miss must be true.
        self.look(ino).or_else(|| {
            let _guard = self.table_lock().lock(&*self.procs);
            self.look(ino)
        })
    }

    /// As [`Inodes::find`] under the table's lock; without it, a wrong turn in a chain that changes meanwhile misses a slot that is there.
    fn look(&self, ino: Ino) -> Option<SlotNo> {
        let mut at = self.bucket(ino)?.load(Acquire);
        // No chain is longer than the table, but one that changes under us may lead in a circle.
        for _ in 0..self.control.inodes().len() {
            let slot = at.checked_sub(1)?;
            let s = self.control.inodes().get(slot as usize)?;
            if s.ino.load(Acquire) == ino.get() {
                return Some(slot);
            }
            at = s.next.load(Acquire);
        }
        None
    }

    /// The slot of `ino`, if it has one, will soon be written to.
    pub fn expect_changes(&self, ino: Ino) {
        if let Some(slot) = self.look(ino) {
            self.expect(slot);
        }
    }

    fn expect(&self, slot: SlotNo) {
        if let Some(slot) = self.get(slot) {
            cpu::expect_writes(slot, size_of::<InodeSlot>());
        }
    }

    /// Finds the slot of `ino` and holds it: it stays until [`Inodes::unhold`].
    pub fn hold(&self, ino: Ino) -> Option<SlotNo> {
        let _guard = self.table_lock().lock(&*self.procs);
        let slot = self.look(ino)?;
        self.slot(slot).opens.fetch_add(1, AcqRel);
        Some(slot)
    }

    fn table_lock(&self) -> &'static RobustLock {
        &self.control.counters().table_lock
    }

    /// Caches `attr` in a slot and holds it. If the inode is cached already, that slot is held. `None`: every slot is in use, or there is no memory for another.
    /// `flags` are [`flag::HAS_POOL`] and [`flag::OWNED_BY_LOG`]. The caller holds the namespace lock, so that they and the attributes are current.
    pub fn insert(&self, attr: &Attr, flags: u32) -> Option<SlotNo> {
        let _guard = self.table_lock().lock(&*self.procs);
        if let Some(slot) = self.look(attr.ino) {
            self.slot(slot).opens.fetch_add(1, AcqRel);
            return Some(slot);
        }
        let bucket = self.bucket(attr.ino)?;
        let slot = self.take_free()?;
        let s = self.slot(slot);
        s.flags.store(flags, Relaxed);
        s.opens.store(1, Relaxed);
        s.tree.store(0, Relaxed);
        s.inline.iter().for_each(|e| e.store(0, Relaxed));
        s.cut.store(0, Relaxed);
        s.flush_cut.store(0, Relaxed);
        s.shrinking.store(0, Relaxed);
        s.taken.iter().for_each(|run| run.store(0, Relaxed));
        s.taken_runs.store(0, Relaxed);
        s.taken_node.store(0, Relaxed);
        s.spare.iter().for_each(|w| w.store(0, Relaxed));
        s.cur_block.store(0, Relaxed);
        s.shared_maps.store(0, Relaxed);
        s.writable_maps.store(0, Relaxed);
        store_attr(s, attr);
        if flags & flag::HAS_POOL != 0 {
            let planted = self.table(slot).plant(PageNo::of(attr.size.max(1) - 1));
            if !planted {
                let c = self.control.counters();
                s.next.store(c.free_inodes.load(Relaxed), Relaxed);
                c.free_inodes.store(slot + 1, Release);
                return None;
            }
        }
        s.next.store(bucket.load(Relaxed), Relaxed);
        s.ino.store(attr.ino.get(), Release);
        bucket.store(slot + 1, Release);
        Some(slot)
    }

    /// Whether every slot that can be was used once.
    pub fn are_all_used(&self) -> bool {
        self.control.counters().used_inodes.load(Relaxed) as usize >= self.control.inodes().len()
    }

    fn take_free(&self) -> Option<SlotNo> {
        let c = self.control.counters();
        let head = c.free_inodes.load(Relaxed);
        if head != 0 {
            let next = self.slot(head - 1).next.load(Relaxed);
            c.free_inodes.store(next, Relaxed);
            if let Some(next) = next.checked_sub(1) {
                self.expect(next);
            }
            return Some(head - 1);
        }
        let used = c.used_inodes.load(Relaxed);
        if used as usize >= self.control.inodes().len() || !self.control.back_inode(used) {
            return None;
        }
        c.used_inodes.store(used + 1, Relaxed);
        Some(used)
    }

    /// One holder less. Returns how many are left.
    pub fn unhold(&self, slot: SlotNo) -> u32 {
        self.slot(slot).opens.fetch_sub(1, AcqRel) - 1
    }

    /// Removes the slot if nobody holds it and `check` (called under the inode's lock) agrees; its frames are freed. What is dirty is lost:
    /// the caller knows that the inode is flushed or deleted.
    pub fn remove(&self, slot: SlotNo, ino: Ino, check: &dyn Fn(&InodeSlot) -> bool) -> bool {
        let s = self.slot(slot);
        let write = self.lock(slot);
        let _table = self.table_lock().lock(&*self.procs);
        if s.ino.load(Acquire) != ino.get() || s.opens.load(Acquire) != 0 || !check(s) {
            return false;
        }
        self.unlink_chain(slot, ino);
        s.ino.store(0, Release);
        self.drop_pages(slot, PageNo::new(0));
        self.release_block(slot);
        drop(write);
        let c = self.control.counters();
        s.next.store(c.free_inodes.load(Relaxed), Relaxed);
        c.free_inodes.store(slot + 1, Release);
        true
    }

    fn unlink_chain(&self, slot: SlotNo, ino: Ino) {
        let Some(mut link) = self.bucket(ino) else { return };
        while link.load(Relaxed) != 0 {
            let at = link.load(Relaxed) - 1;
            if at == slot {
                link.store(self.slot(at).next.load(Relaxed), Release);
                return;
            }
            link = &self.slot(at).next;
        }
    }

    /// Locks the inode in `slot`.
    #[inline]
    pub fn lock(&self, slot: SlotNo) -> WriteGuard<'static> {
        let write = WriteGuard::lock(self.slot(slot), &*self.procs);
        if write.is_inherited() {
            self.go_on_after_death(slot);
        }
        write
    }

    /// As [`Inodes::lock`], for a flush: it looks again and again for as long as a writer copies, and does not ask to be woken, for that would cost the writer 10 to 30 us.
    pub fn lock_unhurried(&self, slot: SlotNo) -> WriteGuard<'static> {
        /// Together some 100 us, and longer if somebody else wants the processor.
        const ROUNDS: u32 = 100;
        let s = self.slot(slot);
        for _ in 0..ROUNDS {
            if !s.lock.is_locked() {
                break;
            }
            (0..LOOKS).for_each(|_| spin_loop());
            std::thread::yield_now();
        }
        self.lock(slot)
    }

    /// Locks the inode in `slot` if nobody has it locked.
    pub fn try_lock(&self, slot: SlotNo) -> Option<WriteGuard<'static>> {
        let write = WriteGuard::try_lock(self.slot(slot), &*self.procs)?;
        if write.is_inherited() {
            self.go_on_after_death(slot);
        }
        Some(write)
    }

    /// The attributes of `ino` if it is cached: a consistent snapshot.
    pub fn attr(&self, ino: Ino) -> Option<Attr> {
        Some(self.attr_in(self.find(ino)?)).filter(|attr| attr.ino == ino)
    }

    /// The attributes in `slot`, which are of one moment.
    pub fn attr_in(&self, slot: SlotNo) -> Attr {
        let s = self.slot(slot);
        for _ in 0..4 {
            let read = ReadGuard::begin(s);
            let attr = load_attr(s);
            if read.is_valid() {
                return attr;
            }
        }
        // A long write, or a writer that died: the lock sorts it out.
        let _write = self.lock(slot);
        load_attr(s)
    }

    /// Changes the attributes of `ino` under its lock; `false` if it is not cached.
    pub fn change(&self, ino: Ino, f: &mut dyn FnMut(&mut Attr)) -> bool {
        let Some(slot) = self.find(ino) else { return false };
        let s = self.slot(slot);
        let _write = self.lock(slot);
        if s.ino.load(Acquire) != ino.get() {
            return false;
        }
        let mut attr = load_attr(s);
        f(&mut attr);
        store_attr(s, &attr);
        true
    }

    /// As [`Inodes::change`], of attributes that are then newer than the log; `f`, which is told the slot's flags, says whether it has changed them.
    pub fn change_unlogged(&self, ino: Ino, f: &mut dyn FnMut(&mut Attr, u32) -> bool) {
        let Some(slot) = self.find(ino) else { return };
        let s = self.slot(slot);
        let _write = self.lock(slot);
        if s.ino.load(Acquire) != ino.get() {
            return;
        }
        let mut attr = load_attr(s);
        if f(&mut attr, s.flags.load(Acquire)) {
            s.flags.fetch_or(flag::ATTR, AcqRel);
            store_attr(s, &attr);
        }
    }

    /// From now on owner and mode of `ino`, if it is cached, change by records alone.
    pub fn bar_unlogged(&self, ino: Ino) {
        if let Some(slot) = self.find(ino) {
            let _write = self.lock(slot);
            self.slot(slot).flags.fetch_or(flag::OWNED_BY_LOG, AcqRel);
        }
    }

    /// The last name of `ino` is gone. `true`: nobody holds it; its slot and pages are freed. `false`: it goes with its last holder.
    pub fn forget(&self, ino: Ino) -> bool {
        let Some(slot) = self.find(ino) else { return true };
        self.slot(slot).flags.fetch_or(flag::UNLINKED, AcqRel);
        self.remove(slot, ino, &|_| true)
    }

    /// Numbers of all slots in use.
    pub fn all(&self) -> impl Iterator<Item = SlotNo> + '_ {
        (0..self.control.counters().used_inodes.load(Acquire)).filter(|i| self.slot(*i).ino.load(Acquire) != 0)
    }
}

/// Reads the attributes out of a slot (under its lock or its sequence counter).
fn load_attr(s: &InodeSlot) -> Attr {
    let time = |c: &TimeCell| Time { sec: c.sec.load(Relaxed), nsec: c.nsec.load(Relaxed) as u32 };
    Attr {
        ino: Ino::new(s.ino.load(Relaxed)),
        mode: s.mode.load(Relaxed),
        uid: s.uid.load(Relaxed),
        gid: s.gid.load(Relaxed),
        nlink: s.nlink.load(Relaxed),
        size: s.size.load(Relaxed),
        pages: s.pages.load(Relaxed),
        rdev: s.rdev.load(Relaxed),
        atime: time(&s.atime),
        mtime: time(&s.mtime),
        ctime: time(&s.ctime),
        btime: time(&s.btime),
    }
}

fn store_attr(s: &InodeSlot, a: &Attr) {
    let time = |c: &TimeCell, t: Time| {
        c.sec.store(t.sec, Relaxed);
        c.nsec.store(t.nsec as u64, Relaxed);
    };
    s.mode.store(a.mode, Relaxed);
    s.uid.store(a.uid, Relaxed);
    s.gid.store(a.gid, Relaxed);
    s.nlink.store(a.nlink, Relaxed);
    s.size.store(a.size, Relaxed);
    s.pages.store(a.pages, Relaxed);
    s.rdev.store(a.rdev, Relaxed);
    time(&s.atime, a.atime);
    time(&s.mtime, a.mtime);
    time(&s.ctime, a.ctime);
    time(&s.btime, a.btime);
}

/// Sets a time cell to now (the kernel's coarse clock, as its own file systems use).
pub fn touch(cells: &[&TimeCell]) {
    let now = now();
    for c in cells {
        c.sec.store(now.sec, Relaxed);
        c.nsec.store(now.nsec as u64, Relaxed);
    }
}

/// Now, as file systems see it.
pub fn now() -> Time {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    Time { sec: t.tv_sec, nsec: t.tv_nsec as u32 }
}

#[cfg(test)]
mod tests;
