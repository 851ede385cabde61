//! Open-file slots (POSIX: open file descriptions), and who holds them: this process, through indices that the caller chooses
//! (the shim uses descriptor numbers).

use super::Fs;
use super::record::Inode;
use super::running::is_writer;
use crate::attach::{Ledger, View};
use crate::error::{Error, Result};
use crate::inode::{SlotNo, flag};
use crate::region::{HoldWord, LedgerEntry, MAX_HOLDS, OpenSlot};
use crate::sync::{Ordering::*, fence};
use crate::units::{Ino, PAGE, PageNo};

/// Among an open file's flags: it was made by being opened. A bit that no flag of the kernel's has, and that nobody else is shown.
pub(super) const CREATED: i32 = i32::MIN;

/// An open-file slot, shared between processes: the POSIX "open file description". The generation in it tells a reused slot from the one that was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenId(u64);

const INDEX_BITS: u32 = 16;

impl OpenId {
    /// How many slots there may be.
    pub(super) const SLOTS: usize = 1 << INDEX_BITS;
    /// For a descriptor's offset (always below 2^62).
    pub const fn to_raw(self) -> u64 {
        self.0
    }
    /// From what [`OpenId::to_raw`] gave.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
    #[inline]
    pub(crate) fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }
    fn generation(self) -> u32 {
        (self.0 >> INDEX_BITS) as u32
    }
}

/// The number of the open-file slot in a hold's word.
pub(super) fn open_slot_of(word: u32) -> usize {
    word as usize - 1
}

/// Numbers about the file system, as `statvfs` has them; units are 4 KiB frames.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsStat {
    /// Frames of the pool.
    pub total: u64,
    /// Free frames.
    pub free: u64,
    /// Inodes that could exist.
    pub inodes: u64,
    /// Inodes that could be made.
    pub inodes_free: u64,
    /// An identifier of the pool (`f_fsid`, and `st_dev` is made from it).
    pub id: u64,
}

impl Fs {
    /// The inode's slot, held: loaded from the KV if it is not cached.
    pub(crate) fn hold_inode(&self, ino: Ino) -> Result<SlotNo> {
        if let Some(slot) = self.inodes.hold(ino) {
            return Ok(slot);
        }
        for _ in 0..2 {
            // The namespace lock: nobody changes or deletes the record between reading it and having the slot.
            let txn = self.meta.begin()?;
            let inode = Inode::load(&txn, ino)?.ok_or(Error::Os(libc::ENOENT))?;
            if let Some(slot) = self.inodes.insert(&inode.attr, inode.slot_flags()) {
                return Ok(slot);
            }
            drop(txn);
            self.evict_inodes();
        }
        Err(self.no_slot())
    }

    /// Why there is no inode slot, not even one that could be taken from another file: all are held, or there is no memory for more.
    #[cold]
    pub(super) fn no_slot(&self) -> Error {
        Error::Os(if self.inodes.are_all_used() { libc::ENFILE } else { libc::ENOSPC })
    }

    /// One holder of the inode slot less; the last one of an inode without names deletes it.
    pub(crate) fn unhold_inode(&self, slot: SlotNo) {
        let s = self.inodes.slot(slot);
        let ino = Ino::new(s.ino.load(Acquire));
        if s.opens.load(Acquire) == 1 && s.cur_block.load(Relaxed) != 0 {
            let _write = self.inodes.lock(slot);
            self.inodes.release_block(slot);
        }
        let nameless = || s.flags.load(Acquire) & flag::UNLINKED != 0 || s.nlink.load(Acquire) == 0;
        if self.inodes.unhold(slot) == 0 && nameless() && self.inodes.forget(ino) {
            // What fails here leaves an orphan in the KV, which the next recovery deletes.
            let _ = self.delete_orphan(ino);
        }
    }

    /// Opens `ino` with `flags` (`O_ACCMODE`, `O_APPEND`, `O_DIRECTORY`, `O_PATH`, ... as given to open; permission is checked by the
    /// caller) and holds it at `hold`. With `O_TRUNC` the file is truncated.
    pub fn open_file(&self, ino: Ino, flags: i32, hold: usize) -> Result<OpenId> {
        if hold >= MAX_HOLDS {
            return Err(Error::Os(libc::EMFILE));
        }
        let inode = self.hold_inode(ino)?;
        let id = self.open_held(inode, flags, hold)?;
        if flags & libc::O_PATH != 0 {
            return Ok(id);
        }
        let empties = flags & libc::O_TRUNC != 0;
        let mut done = Ok(());
        if empties || is_writer(flags) {
            // Whoever executes it meanwhile sees that it is open, or we that it runs.
            fence(SeqCst);
            done = self.not_running(ino);
        }
        if empties {
            done = done.and_then(|()| self.resize(inode, 0, true));
        }
        done.inspect_err(|_| self.undo_open(hold))?;
        Ok(id)
    }

    /// Gives up what was opened for nothing: no descriptor has been closed by it, so no lock goes.
    fn undo_open(&self, hold: usize) {
        let word = self.procs.holds()[hold].swap(0, AcqRel);
        if word != 0 {
            self.put_open(open_slot_of(word));
        }
    }

    /// An open file of the inode in slot `inode`, whose hold it takes over, held at `hold`.
    pub(super) fn open_held(&self, inode: SlotNo, flags: i32, hold: usize) -> Result<OpenId> {
        let index = if hold < MAX_HOLDS { self.take_open_slot().ok_or(libc::ENFILE) } else { Err(libc::EMFILE) };
        let index = index.map_err(|errno| {
            self.unhold_inode(inode);
            Error::Os(errno)
        })?;
        let open = &self.region.control.opens()[index];
        // Whoever looks at an old hold of this slot sees no writer of the new file.
        open.flags.store(0, Relaxed);
        open.inode.store(inode, Release);
        open.offset.store(0, Relaxed);
        open.habit.store(0, Relaxed);
        open.last_pages.store(0, Relaxed);
        open.same_day.store(0, Relaxed);
        open.read_end.store(0, Relaxed);
        open.copied_to.store(0, Relaxed);
        let once = libc::O_CREAT | libc::O_EXCL | libc::O_NOCTTY | libc::O_TRUNC | libc::O_CLOEXEC;
        open.flags.store((flags & !once) as u32, Release);
        self.set_hold(hold, index as u32 + 1);
        Ok(self.id_of(index))
    }

    fn set_hold(&self, hold: usize, word: u32) {
        use crate::sync::Liveness;
        let old = self.procs.holds()[hold].swap(word, SeqCst);
        self.procs.slot().holds_end.fetch_max(hold as u32 + 1, AcqRel);
        if old != 0 {
            self.await_uses(open_slot_of(old));
            self.drop_open(open_slot_of(old), self.procs.me());
        }
    }

    #[inline]
    fn id_of(&self, index: usize) -> OpenId {
        let generation = self.region.control.opens()[index].generation.load(Relaxed);
        OpenId(index as u64 | (generation as u64) << INDEX_BITS)
    }

    /// A free open-file slot, with one reference.
    fn take_open_slot(&self) -> Option<usize> {
        let opens = self.region.control.opens();
        let hint = &self.region.control.counters().open_hint;
        let start = hint.load(Relaxed) as usize % opens.len();
        for index in (start..opens.len()).chain(0..start) {
            let open = &opens[index];
            if open.refs.load(Relaxed) == 0 && open.refs.compare_exchange(0, 1, AcqRel, Relaxed).is_ok() {
                open.generation.fetch_add(1, Relaxed);
                hint.store(index as u32 + 1, Relaxed);
                return Some(index);
            }
        }
        None
    }

    /// Which open file is held at `hold`. The hot path: no lock, no system call, safe in signal handlers.
    #[inline]
    pub fn held(&self, hold: usize) -> Option<OpenId> {
        let word = self.procs.holds().get(hold)?.load(SeqCst);
        (word != 0).then(|| self.id_of(open_slot_of(word)))
    }

    /// Which open file the process `pid` holds at `hold`, where its holds are numbers of its descriptors.
    pub fn held_by(&self, pid: u32, hold: usize) -> Option<OpenId> {
        let word = self.region.control.holds(self.procs.slot_of(pid)?).get(hold)?.load(Acquire);
        (word != 0).then(|| self.id_of(open_slot_of(word)))
    }

    /// Holds at `hold` an open file that arrived by other ways (a descriptor inherited without a copy of the holds, `SCM_RIGHTS`). `EBADF` if the slot is gone.
    pub fn adopt(&self, id: OpenId, hold: usize) -> Result<()> {
        let gone = Error::Os(libc::EBADF);
        let open = self.region.control.opens().get(id.index()).ok_or(gone.clone())?;
        if hold >= MAX_HOLDS {
            return Err(Error::Os(libc::EMFILE));
        }
        let counted = self.get_open(id.index());
        if !counted || open.generation.load(Acquire) != id.generation() {
            if counted {
                // Another file's by now, which this process has not closed by it.
                self.put_open(id.index());
            }
            return Err(gone);
        }
        self.set_hold(hold, id.index() as u32 + 1);
        Ok(())
    }

    /// One reference more, unless the slot is free.
    fn get_open(&self, index: usize) -> bool {
        self.region.control.opens()[index].refs.fetch_update(AcqRel, Acquire, |n| (n > 0).then_some(n + 1)).is_ok()
    }

    /// What a hold of this process names, with a reference for a copy of it; 0 is nothing. Another thread may close it meanwhile.
    pub(super) fn copy_hold(&self, hold: &HoldWord) -> u32 {
        loop {
            let word = hold.load(SeqCst);
            if word == 0 {
                return 0;
            }
            let counted = self.get_open(open_slot_of(word));
            match (counted, hold.load(SeqCst) == word) {
                (true, true) => return word,
                // The next file's perhaps, which nobody has closed.
                (true, false) => self.put_open(open_slot_of(word)),
                (false, true) => return 0,
                (false, false) => {}
            }
        }
    }

    /// Holds at `to` what is held at `from` (`dup`); what was held at `to` is released.
    pub fn dup_hold(&self, from: usize, to: usize) -> Result<()> {
        let id = self.held(from).ok_or(Error::Os(libc::EBADF))?;
        if from == to {
            return Ok(());
        }
        self.adopt(id, to)
    }

    /// Gives up the hold; the last one closes the open file (and deletes an inode without names).
    pub fn release(&self, hold: usize) {
        use crate::sync::Liveness;
        let Some(word) = self.procs.holds().get(hold) else { return };
        let word = word.swap(0, SeqCst);
        if word != 0 {
            self.await_uses(open_slot_of(word));
            self.drop_open(open_slot_of(word), self.procs.me());
        }
    }

    /// One reference of the open-file slot `index` less, given up by process slot `process`, whose POSIX locks go with any close of the file (but of what was opened with `O_PATH`).
    pub(super) fn drop_open(&self, index: usize, process: u32) {
        let open = &self.region.control.opens()[index];
        if open.flags.load(Acquire) as i32 & libc::O_PATH == 0 {
            self.release_locks_of(Ino::new(self.inodes.slot(open.inode.load(Acquire)).ino.load(Acquire)), process);
        }
        self.put_open(index);
    }

    /// One reference less; with the last one go the locks of the open file.
    fn put_open(&self, index: usize) {
        let open = &self.region.control.opens()[index];
        // While the slot is this file's for certain.
        let (inode, id) = (open.inode.load(Acquire), self.id_of(index));
        if open.refs.fetch_update(AcqRel, Acquire, |n| n.checked_sub(1)) == Ok(1) {
            // Not before: until then others may take a reference, and have the file with all that belongs to it. Who has the slot by now has another generation, and its own locks.
            self.release_open_locks(id);
            self.region.control.counters().open_hint.fetch_min(index as u32, Relaxed);
            self.unhold_inode(inode);
        }
    }

    /// All holds of this process in ascending order.
    pub fn holds(&self) -> Vec<(usize, OpenId)> {
        let end = self.procs.slot().holds_end.load(Acquire) as usize;
        (0..end).filter_map(|hold| Some((hold, self.held(hold)?))).collect()
    }

    #[inline]
    pub(super) fn open_slot(&self, id: OpenId) -> &'static OpenSlot {
        &self.region.control.opens()[id.index()]
    }

    /// The inode of an open file.
    #[inline]
    pub fn open_ino(&self, id: OpenId) -> Ino {
        Ino::new(self.inodes.slot(self.open_slot(id).inode.load(Acquire)).ino.load(Acquire))
    }

    /// The flags of an open file, as `F_GETFL` has them.
    #[inline]
    pub fn open_flags(&self, id: OpenId) -> i32 {
        self.open_slot(id).flags.load(Acquire) as i32 & !CREATED
    }

    /// Whether this opening made the file (`F_CREATED_QUERY`).
    pub fn has_created(&self, id: OpenId) -> bool {
        self.open_slot(id).flags.load(Acquire) as i32 & CREATED != 0
    }

    /// Changes the changeable flags (`O_APPEND`, `O_NONBLOCK`, `O_NOATIME`, `O_DIRECT`), as `F_SETFL` does.
    pub fn set_open_flags(&self, id: OpenId, flags: i32) {
        let may = libc::O_APPEND | libc::O_NONBLOCK | libc::O_NOATIME | libc::O_DIRECT;
        let slot = self.open_slot(id);
        let old = slot.flags.load(Acquire) as i32;
        slot.flags.store((old & !may | flags & may) as u32, Release);
    }

    /// The hint on how long what is written will live, as `F_GET_RW_HINT` tells it; 0 if none was given while the inode is cached.
    pub fn life_hint(&self, id: OpenId) -> u64 {
        let slot = self.inodes.slot(self.open_slot(id).inode.load(Relaxed));
        u64::from((slot.flags.load(Acquire) & flag::LIFE_HINT) >> flag::LIFE_HINT_AT)
    }

    /// Keeps such a hint. `EINVAL` for one that there is not.
    pub fn set_life_hint(&self, id: OpenId, hint: u64) -> Result<()> {
        let Some(hint) = u32::try_from(hint).ok().filter(|hint| *hint <= 5) else { return Err(Error::Os(libc::EINVAL)) };
        let slot = self.inodes.slot(self.open_slot(id).inode.load(Relaxed));
        let _ = slot.flags.fetch_update(AcqRel, Acquire, |flags| Some(flags & !flag::LIFE_HINT | hint << flag::LIFE_HINT_AT));
        Ok(())
    }

    /// Numbers about the file system.
    pub fn stat_fs(&self) -> FsStat {
        let (total, free) = self.space.total_and_free();
        let inodes = self.region.control.inodes().len() as u64;
        let uuid = self.pool.uuid();
        let id = u64::from_le_bytes(std::array::from_fn(|i| uuid[i]));
        let used = self.region.control.counters().next_ino.load(Relaxed);
        FsStat { total, free, inodes: inodes.max(used * 2), inodes_free: inodes.max(used * 2) - used, id }
    }

    /// Withdraws a view from a ledger and drops its references.
    pub(super) fn drop_view(&self, entry: &LedgerEntry) {
        if let Some(view) = Ledger::withdraw(entry) {
            self.put_view(&view);
        }
    }

    /// Drops the references of a view that has left the ledger.
    pub(super) fn put_view(&self, view: &View) {
        if let Some(slot) = view.inode.checked_sub(1) {
            if view.writable {
                // What was written through the mapping is newer than the log.
                let from = PageNo::new(view.page as u64);
                self.mark_mapped_dirty(slot, from, from.plus(view.pages as u64));
                self.inodes.slot(slot).writable_maps.fetch_sub(1, AcqRel);
            }
            self.inodes.slot(slot).shared_maps.fetch_sub(1, AcqRel);
        }
        self.unpin_view(view);
        if let Some(slot) = view.inode.checked_sub(1) {
            self.unhold_inode(slot);
        }
        debug_assert!(view.addr.is_multiple_of(PAGE));
    }
}

#[cfg(test)]
mod tests;
