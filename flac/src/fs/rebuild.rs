//! Rebuild: counts all references anew after unclean deaths, when nobody else is alive. What is volatile and derived (reference counts, frame and node
//! bitmaps, promises, open counts) is recomputed from the page tables and this process's own holds.

use super::Fs;
use super::files::open_slot_of;
use crate::error::Result;
use crate::inode::flag;
use crate::sync::{Liveness, Ordering::*};
use crate::table::Entry;
use crate::units::{Ino, PageNo};

impl Fs {
    /// Recounts. The run directory is locked and no other process is in the table.
    pub(super) fn rebuild(&self) -> Result<()> {
        // What they had stored through mappings is newer than the log.
        self.procs.half_clean().for_each(|slot| self.empty_slot(slot));
        self.procs.free_others();
        self.recount_programs();
        self.recount_opens();
        self.take_back_all();
        self.recount_frames();
        self.recount_pool()?;
        self.region.control.counters().unclean.store(0, Release);
        self.bury_orphans();
        Ok(())
    }

    fn recount_opens(&self) {
        let control = self.region.control;
        let mut refs = vec![0u32; control.opens().len()];
        let end = self.procs.slot().holds_end.load(Acquire) as usize;
        for hold in &control.holds(self.procs.me())[..end] {
            let word = hold.load(Acquire);
            if word != 0 {
                refs[open_slot_of(word)] += 1;
            }
        }
        let used = control.counters().used_inodes.load(Acquire) as usize;
        let mut opens = vec![0u32; used];
        for (open, count) in control.opens().iter().zip(refs) {
            // Only touched slots are written: the table is large and mostly empty.
            if open.refs.load(Relaxed) != count {
                open.refs.store(count, Release);
            }
            if count > 0 {
                opens[open.inode.load(Relaxed) as usize] += 1;
            }
        }
        for (slot, count) in opens.into_iter().enumerate() {
            let s = self.inodes.slot(slot as u32);
            s.opens.store(count, Release);
            s.shared_maps.store(0, Release);
            s.writable_maps.store(0, Release);
            s.cur_block.store(0, Release);
            s.spare.iter().for_each(|w| w.store(0, Relaxed));
        }
    }

    /// A flusher died with the machine's last process: what it was flushing is dirty again, and so is the inode of what it had not come to.
    fn take_back_all(&self) {
        for slot in self.inodes.all() {
            self.inodes.slot(slot).flush_promises.store(0, Release);
            self.taken(slot).forget();
            self.inodes.table(slot).for_each(PageNo::new(0), PageNo::new(u64::MAX), &mut |page, cell| {
                let entry = Entry::from_raw(cell.load(Relaxed));
                if entry.is_flushing() || entry.is_dirty() {
                    cell.store(entry.dirtied(self.inodes.mark(slot, page, 1)).raw(), Release);
                }
            });
        }
    }

    /// Frames that the dead had taken and not named yet, or not named any more and not freed yet, are free.
    fn recount_pool(&self) -> Result<()> {
        let (named, _) = self.named_frames()?;
        self.space.recount(&named, &self.procs);
        Ok(())
    }

    /// Inodes without names that nobody holds any more.
    fn bury_orphans(&self) {
        let gone: Vec<Ino> = (self.inodes.all())
            .map(|slot| self.inodes.slot(slot))
            .filter(|s| s.flags.load(Acquire) & flag::UNLINKED != 0 && s.opens.load(Acquire) == 0)
            .map(|s| Ino::new(s.ino.load(Acquire)))
            .collect();
        for ino in gone {
            if self.inodes.forget(ino) {
                // What fails stays an orphan for the next recovery.
                let _ = self.delete_orphan(ino);
            }
        }
    }
}

#[cfg(test)]
mod tests;
