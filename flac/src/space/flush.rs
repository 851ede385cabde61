//! Commits: pages and metalog records, atomically.
//!
//! *Phase one*, [`FlushHandle::pflush_add`], takes a reference on the frame of each uncommitted page, under the inode's lock, for microseconds. From then on the
//! handle has the page as it is now: whoever writes it gets another frame. *Phase two*, [`FlushHandle::pflush_commit`], writes the frames to the pool, without any
//! lock that others need, and appends one record that points at them.
//!
//! A page is in one handle at a time, or the older of two versions could be committed last: a handle is an open file of its own and holds a lock on each
//! range it was given, in the lock table that `fcntl` locks live in. So a process that dies gives its pages back. Its captured frames and promises leak until
//! the next rebuild, as those of a flush do.

use super::{Change, Space, apply_changes, check_changes, check_pages};
use crate::error::{Error, Result};
use crate::fs::extents::{Runs, clear_extents, count, put_extents};
use crate::fs::open::OpenId;
use crate::fs::record::{self, Inode};
use crate::fs::snapshot::{Page, Promises, Snapshot};
use crate::metalog::MetaTxn;
use crate::sync::Ordering::*;
use crate::table::Entry;
use crate::units::{FrameNo, Ino, PageNo, Seq};
use std::collections::BTreeMap;

/// Pages on their way into the pool. Dropped without a commit it gives them back: they are uncommitted as before.
///
/// For one thread at a time. A forked child can't use its parent's.
pub struct FlushHandle<'s> {
    space: &'s Space,
    owner: Owner,
    /// Each page with the frame that it had when it was added.
    pages: BTreeMap<PageNo, Option<FrameNo>>,
    forks: u32,
}

/// An open file of the space that owns locks.
#[derive(Clone, Copy)]
struct Owner {
    hold: usize,
    id: OpenId,
}

impl<'s> FlushHandle<'s> {
    /// A handle without pages.
    ///
    /// # Errors
    /// `Os(ENFILE)`, `Os(EMFILE)`: too many handles are open.
    pub fn new(space: &'s Space) -> Result<Self> {
        let forks = space.forks.load(Relaxed);
        Ok(FlushHandle { space, owner: space.take_owner()?, pages: BTreeMap::new(), forks })
    }

    /// Adds the pages of [`addr`, `addr + size`), both multiples of 4,096, with the content they have now. Pages that are committed or were never
    /// written add nothing. A page that was added before and has been written since is taken anew.
    ///
    /// # Errors
    /// `Os(EINVAL)`: not aligned, size 0, beyond the space, or after a fork; `Os(EBUSY)`: one of the pages is in another handle that is not committed; `Os(ENOLCK)`: too
    /// many ranges are in handles; `NoSpace`. The handle keeps what it had; with `NoSpace` a part may have been added.
    pub fn pflush_add(&mut self, addr: u64, size: u64) -> Result<()> {
        self.check_fork()?;
        let (first, end) = check_pages(addr, size)?;
        self.space.lock(self.owner, addr, size)?;
        self.capture(first, end)
    }

    /// Takes the frames of the uncommitted pages.
    fn capture(&mut self, first: PageNo, end: PageNo) -> Result<()> {
        let (fs, slot, pages) = (&self.space.fs, self.space.slot, &mut self.pages);
        let mut result = Ok(());
        let _write = fs.inodes.lock(slot);
        fs.inodes.table(slot).for_each(first, end, &mut |no, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            let mine = entry.is_flushing() && pages.get(&no) == Some(&entry.dram());
            if result.is_err() || mine || !(entry.is_dirty() || entry.is_flushing()) {
                return;
            }
            // In nobody's handle (the range is locked) and yet marked: its owner died, and whether its promise was used is not known.
            if entry.is_flushing() && !fs.reserve(1) {
                result = Err(Error::NoSpace);
                return;
            }
            if let Some(frame) = entry.dram() {
                fs.frames.get(frame);
            }
            cell.store(entry.flushing().raw(), Release);
            if let Some(Some(old)) = pages.insert(no, entry.dram()) {
                fs.frames.put(old);
                fs.space.unreserve(1);
            }
        });
        result
    }

    /// Makes the pages and the changes of the metalog durable, in one step: after a crash either all of them are there or none. In the order in which
    /// commits return, later ones are never there without earlier ones.
    ///
    /// # Durability
    /// When this returns `Ok`, pages and records survive a power cut, and so does every change made before by anybody in the pool's metadata.
    ///
    /// # Errors
    /// `Os(EINVAL)`: an empty key, or after a fork; `Os(E2BIG)`: a key beyond 255 bytes or a value beyond 64 KiB; `Io(EFBIG)`: more than the log holds;
    /// `Io`: the medium failed. Nothing was committed and the pages are uncommitted as before, in no handle; only if the very last step, the flush of the log, failed,
    /// others see the commit already and a crash decides.
    pub fn pflush_commit(mut self, metalog: &[Change<'_>]) -> Result<()> {
        self.check_fork()?;
        check_changes(metalog)?;
        let mut snapshot = self.take_snapshot();
        let (fs, slot) = (&self.space.fs, self.space.slot);
        match fs.write_pages(&mut snapshot).and_then(|()| self.space.log(&snapshot, metalog)) {
            Ok((seq, freed)) => {
                fs.finish(slot, &snapshot, true);
                self.space.give_back(self.owner);
                fs.pool_free(&freed, seq);
                std::mem::forget(self);
                fs.sync_log()
            }
            Err(e) => {
                fs.free_written(&snapshot);
                fs.finish(slot, &snapshot, false);
                // The pages went with the snapshot; the drop gives the locks back.
                Err(e)
            }
        }
    }

    fn take_snapshot(&mut self) -> Snapshot {
        let pages: Vec<Page> =
            std::mem::take(&mut self.pages).into_iter().map(|(no, frame)| Page { no, frame, to: None, copy: None }).collect();
        Snapshot {
            size: super::SPAN,
            count: Some(pages.len() as u64),
            next: None,
            pages,
            cut: None,
            unstable: false,
            carried: false,
            promises: Promises(None),
            taken: None,
        }
    }

    /// Whether this process's slot is the one that it was made in.
    fn check_fork(&self) -> Result<()> {
        let is_ours = self.forks == self.space.forks.load(Relaxed) && self.space.left.load(Acquire) == 0;
        if is_ours { Ok(()) } else { Err(Error::Os(libc::EINVAL)) }
    }
}

impl Drop for FlushHandle<'_> {
    fn drop(&mut self) {
        // In a forked child nothing of it is ours, nor is it when the space was left.
        if self.check_fork().is_ok() {
            let snapshot = self.take_snapshot();
            self.space.fs.finish(self.space.slot, &snapshot, false);
            self.space.give_back(self.owner);
        }
    }
}

impl Space {
    /// Frees the pages of [`addr`, `addr + size`), both multiples of 4,096, committed or not, and makes the changes of the metalog, in one step. The range
    /// reads as zeros afterwards; memory that the pages were attached to keeps them.
    ///
    /// # Durability
    /// As of [`FlushHandle::pflush_commit`].
    ///
    /// # Errors
    /// As of [`FlushHandle::pflush_add`] and [`FlushHandle::pflush_commit`]; nothing was freed.
    pub fn pfree(&self, addr: u64, size: u64, metalog: &[Change<'_>]) -> Result<()> {
        let (first, end) = check_pages(addr, size)?;
        check_changes(metalog)?;
        let owner = self.take_owner()?;
        let result = self.lock(owner, addr, size).and_then(|()| self.free(first, end, metalog));
        self.give_back(owner);
        let (seq, freed) = result?;
        self.fs.pool_free(&freed, seq);
        self.fs.sync_log()
    }

    fn free(&self, first: PageNo, end: PageNo, metalog: &[Change<'_>]) -> Result<(Seq, Runs)> {
        let fs = &self.fs;
        let mut freed = Runs::new();
        let mut txn = fs.meta.begin()?;
        clear_extents(&mut txn, Ino::SPACE, (first, end), usize::MAX, &mut freed)?;
        count_pages(&mut txn, 0, &freed)?;
        apply_changes(&mut txn, metalog)?;
        // Nobody may load a page from the pool between the record and the table.
        let _write = fs.inodes.lock(self.slot);
        let seq = txn.commit()?;
        let mut promised = 0;
        fs.inodes.table(self.slot).for_each(first, end, &mut |_, cell| {
            let entry = Entry::from_raw(cell.swap(0, AcqRel));
            if let Some(frame) = entry.dram() {
                promised += entry.is_dirty() as u64;
                fs.frames.put(frame);
            }
        });
        fs.space.unreserve(promised);
        Ok((seq, freed))
    }

    /// One record: where the pages are, and the program's changes. Gives the pool frames that nothing needs any more.
    fn log(&self, snapshot: &Snapshot, metalog: &[Change<'_>]) -> Result<(Seq, Runs)> {
        let mut freed = Runs::new();
        let mut txn = self.fs.meta.begin()?;
        put_extents(&mut txn, Ino::SPACE, &snapshot.pages, &mut freed)?;
        self.fs.log_data(&mut txn, snapshot);
        let written = snapshot.pages.iter().filter(|page| page.to.is_some()).count();
        count_pages(&mut txn, written as u64, &freed)?;
        apply_changes(&mut txn, metalog)?;
        Ok((txn.commit()?, freed))
    }

    /// Locks a range for one handle: `EBUSY` if another has a page of it.
    fn lock(&self, owner: Owner, addr: u64, size: u64) -> Result<()> {
        let mut lock = range(libc::F_WRLCK, addr, size);
        self.fs.lock_ofd(owner.id, libc::F_OFD_SETLK, &mut lock).map_err(|e| match e {
            Error::Os(libc::EAGAIN) => Error::Os(libc::EBUSY),
            e => e,
        })
    }

    fn take_owner(&self) -> Result<Owner> {
        let hold = self.holds.with(|(free, next)| {
            free.pop().unwrap_or_else(|| {
                *next += 1;
                *next - 1
            })
        });
        match self.fs.open_file(Ino::SPACE, libc::O_RDWR, hold) {
            Ok(id) => Ok(Owner { hold, id }),
            Err(e) => {
                self.holds.with(|(free, _)| free.push(hold));
                Err(e)
            }
        }
    }

    fn give_back(&self, owner: Owner) {
        // By name: a forked child may still hold the open file.
        let _ = self.fs.lock_ofd(owner.id, libc::F_OFD_SETLK, &mut range(libc::F_UNLCK, 0, 0));
        self.fs.release(owner.hold);
        self.holds.with(|(free, _)| free.push(owner.hold));
    }
}

fn range(kind: i32, addr: u64, size: u64) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: addr as i64, l_len: size as i64, l_pid: 0 }
}

/// Brings the number of pages in the inode up to date.
pub(super) fn count_pages(txn: &mut MetaTxn<'_>, written: u64, freed: &Runs) -> Result<()> {
    let gone = count(freed);
    if written == gone {
        return Ok(());
    }
    let lost = || Error::Corrupt("the inode of the FLAC space is gone: run `flac fsck`".into());
    let mut inode = Inode::load(txn, Ino::SPACE)?.ok_or_else(lost)?;
    inode.attr.pages = (inode.attr.pages + written).saturating_sub(gone);
    txn.put(&record::inode_key(Ino::SPACE), &inode.encode())
}
