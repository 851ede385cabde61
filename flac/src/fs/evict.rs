//! Eviction: pages leave the DRAM tier so that others may come. The hand goes round over the leaves of all page tables; which pages it takes, `clock` says.
//!
//! Only a clean page is evicted, that is one whose content the pool has; dirty ones are flushed first if clean ones are not enough. A page in a block that an
//! view shows stays: its frame could not be used, and a shared mapping may be writing it. Attached views may show half of the frames (`Frames::viewable`), so
//! the other half can always be freed, unless shared mappings hold it.

use super::Fs;
use crate::error::{Error, Result};
use crate::inode::{SlotNo, flag};
use crate::region::InodeSlot;
use crate::sync::Ordering::*;
use crate::table::Entry;
use crate::units::{BLOCK_FRAMES, Ino, PageNo};
use std::time::Duration;

/// How hard to try.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Pass {
    /// Clean pages that are not hot, of files that nobody is changing just now.
    Cold,
    /// Any clean page, and frames set aside for files that are being written.
    Clean,
    /// After a flush, any page.
    Dirty,
}

/// Others may hold frames for a moment (a write in progress, a flush): how often to try again, and how long to wait in between.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(5);

impl Fs {
    /// Makes at least some frames free. Called with no lock of an inode held.
    ///
    /// # Errors
    /// `NoFrames` if nothing can be evicted: shared mappings hold all. What a flush may fail with.
    #[cold]
    pub(super) fn reclaim(&self) -> Result<()> {
        let goal = (self.frames.total() / 32).max(64);
        for n in 0..TRIES {
            for pass in [Pass::Cold, Pass::Clean, Pass::Dirty] {
                if self.sweep(pass, goal)? > 0 {
                    return Ok(());
                }
            }
            match n {
                0 => self.reap_all(),
                1 => self.evict_inodes(),
                // Not by libc, where a thread might be cancelled.
                _ => drop(rustix::thread::nanosleep(&rustix::thread::Timespec { tv_sec: 0, tv_nsec: PAUSE.subsec_nanos().into() })),
            }
        }
        Err(Error::NoFrames)
    }

    /// The hand goes round once, or until `goal` frames are free. Returns how many became so.
    fn sweep(&self, pass: Pass, goal: u32) -> Result<u32> {
        let c = self.region.control.counters();
        let used = c.used_inodes.load(Acquire);
        let (mut freed, mut slots) = (0, 0);
        while slots <= used && freed < goal {
            let hand = c.clock.load(Relaxed);
            let (slot, leaf) = ((hand >> 32) as u32, hand & u32::MAX as u64);
            let next = match slot < used {
                true => self.sweep_leaf(slot, PageNo::new(leaf * BLOCK_FRAMES as u64), pass, &mut freed)?,
                false => None,
            };
            let to = match next.map(|page| page.get() / BLOCK_FRAMES as u64).filter(|leaf| *leaf < 1 << 32) {
                Some(leaf) => (slot as u64) << 32 | leaf,
                None => {
                    slots += 1;
                    if slot + 1 < used { (slot as u64 + 1) << 32 } else { 0 }
                }
            };
            // If another process moved the hand, both go on from there.
            let _ = c.clock.compare_exchange(hand, to, Relaxed, Relaxed);
        }
        Ok(freed)
    }

    /// Evicts from the first leaf at or behind `from`. Returns where the next one may be; `None` if that was the last.
    fn sweep_leaf(&self, slot: SlotNo, from: PageNo, pass: Pass, freed: &mut u32) -> Result<Option<PageNo>> {
        let s = self.inodes.slot(slot);
        let ino = Ino::new(s.ino.load(Acquire));
        if ino.get() == 0 {
            return Ok(None);
        }
        // What a flush has taken is clean when that is done, and dirty again if whoever did it is dead.
        if pass == Pass::Dirty && (s.flags.load(Acquire) & flag::DIRTY != 0 || s.flush_lock.is_locked()) {
            self.flush_slot(slot, ino)?;
        }
        let write = match pass {
            Pass::Cold => self.inodes.try_lock(slot),
            _ => Some(self.inodes.lock(slot)),
        };
        let Some(_write) = write else { return Ok(None) };
        if pass != Pass::Cold {
            *freed += self.inodes.release_block(slot);
        }
        let Some((first, cells)) = self.inodes.table(slot).leaf_from(from) else { return Ok(None) };
        for cell in cells {
            let entry = Entry::from_raw(cell.load(Relaxed));
            let clean = !entry.is_dirty() && !entry.is_flushing() && entry.pool().is_some();
            let Some(frame) = entry.dram().filter(|frame| clean && !self.frames.is_viewed(*frame)) else { continue };
            if pass == Pass::Cold && self.clock.cool(frame) {
                continue;
            }
            cell.store(entry.evicted().raw(), Release);
            *freed += self.frames.put(frame) as u32;
        }
        Ok(Some(first.plus(BLOCK_FRAMES as u64)))
    }

    /// Frees inode slots that nobody holds and that are clean.
    #[cold]
    pub(super) fn evict_inodes(&self) {
        let most = self.region.control.inodes().len() / 16;
        let mut freed = 0;
        for slot in self.inodes.all() {
            let s = self.inodes.slot(slot);
            let ino = Ino::new(s.ino.load(Acquire));
            if s.opens.load(Acquire) != 0 {
                continue;
            }
            if s.flags.load(Acquire) & (flag::DIRTY | flag::ATTR) != 0 && self.flush_slot(slot, ino).is_err() {
                continue;
            }
            let clean = |s: &InodeSlot| s.flags.load(Acquire) & (flag::DIRTY | flag::ATTR) == 0;
            freed += self.inodes.remove(slot, ino, &clean) as usize;
            if freed >= most {
                return;
            }
        }
    }

    /// Runs `f`; while it fails for want of frames, or of pool space where some waits for the log, makes some free and runs it again. No lock
    /// is held in between.
    pub(super) fn with_frames<T>(&self, mut f: impl FnMut() -> Result<T>) -> Result<T> {
        loop {
            match f() {
                Err(Error::NoFrames) => self.reclaim()?,
                Err(Error::NoSpace) if self.space.has_pending() => self.settle_space()?,
                other => return other,
            }
        }
    }

    /// Makes the log durable, so that the pool frames that wait for it are free.
    #[cold]
    pub(super) fn settle_space(&self) -> Result<()> {
        self.meta.settle()?;
        self.space.settle(&self.meta, &self.procs);
        Ok(())
    }
}
