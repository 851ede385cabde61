//! Flush: dirty pages to newly allocated pool frames, then one record that points at them. Readers and writers of the file go on meanwhile.

use super::Fs;
use super::extents::{Runs, clear_extents, count, put_extents};
use super::record::{Extent, Inode};
use super::snapshot::{Page, Promises, Snapshot};
use super::stats::Stats;
use super::taken::Taken;
use crate::checksum;
use crate::error::{Error, Result};
use crate::inode::{SlotNo, flag};
use crate::media::{Medium, Writer};
use crate::metalog::MetaTxn;
use crate::region::InodeSlot;
use crate::sync::Ordering::*;
use crate::units::{Ino, PAGE, PageNo, PoolFrame, Seq};
use std::ops::Range;

/// Frames for which space is set aside before writers ask for it.
const AHEAD: u64 = 4096;
/// Pages written to the pool in one go: 1 MiB.
const BATCH: usize = if cfg!(test) { 4 } else { 256 };
/// So many pages are better written where the pool's file ends, and its length made durable, than to zeros: 512 KiB. (99 % of appends of 512 KiB with fsync in 1.6 ms instead of 7.4; of 256 KiB in 1.4 instead of 3.6, but their mean is higher.)
const SEVERAL: usize = if cfg!(test) { 4 } else { 128 };
/// So many pages are worth a thread, which costs some 50 us: 4 MiB.
const MANY: usize = if cfg!(test) { 11 } else { 1024 };

/// Where a flush notes what becomes of its promises, and the frames that it takes.
type Notes = (Promises, Option<Taken>);

impl Fs {
    /// Makes the inode's data and attributes durable.
    ///
    /// # Durability
    /// When this returns `Ok`, content and attributes as of the call survive a power cut, and so does every metadata change made before.
    pub fn sync(&self, ino: Ino) -> Result<()> {
        Stats::add(&self.stats.syncs, 1);
        self.flush(ino)?;
        self.sync_log()
    }

    /// Makes every change by any process durable.
    pub fn sync_all(&self) -> Result<()> {
        let mut result = Ok(());
        for slot in self.inodes.all() {
            let s = self.inodes.slot(slot);
            // What another flush has taken is not logged before that one is done.
            if Self::has_changes(s) || s.flush_lock.is_locked() || s.shared_maps.load(Acquire) != 0 {
                result = result.and(self.flush(Ino::new(s.ino.load(Acquire))));
            }
        }
        result.and(self.sync_log())
    }

    /// How many calls had to wait for a flush of the log, and how many flushes there were, over all processes since the pool was opened first.
    pub fn syncs_and_flushes(&self) -> (u64, u64) {
        self.meta.syncs_and_flushes()
    }

    /// Writes a checkpoint of the metadata, so that the next recovery has little to replay.
    pub fn checkpoint(&self) -> Result<()> {
        self.meta.checkpoint()
    }

    /// How many checkpoints were begun, over all processes since the pool was opened first.
    pub fn checkpoints(&self) -> u64 {
        self.meta.checkpoints()
    }

    pub(crate) fn sync_log(&self) -> Result<()> {
        self.meta.sync_all()?;
        self.space.settle(&self.meta, &self.procs);
        Ok(())
    }

    fn has_changes(s: &InodeSlot) -> bool {
        s.flags.load(Acquire) & (flag::DIRTY | flag::ATTR) != 0
    }

    /// Whether some inode has changes that the log does not know.
    pub fn is_dirty(&self) -> bool {
        let dirty = |s: &InodeSlot| {
            (s.flags.load(Acquire) & flag::DIRTY != 0 || s.flush_lock.is_locked()) && s.ino.load(Acquire) != Ino::SPACE.get()
        };
        self.inodes.all().any(|slot| dirty(self.inodes.slot(slot)))
    }

    /// Writes the inode's dirty pages to the pool and logs them; durable after the next sync of the log.
    pub(super) fn flush(&self, ino: Ino) -> Result<()> {
        if ino == Ino::SPACE {
            // Its pages become durable by their own commits, never by anybody else's flush.
            self.discard_unused_space();
            return Ok(());
        }
        self.flush_mapped(ino, PageNo::new(0)..PageNo::new(u64::MAX))
    }

    /// As [`Fs::flush`]; of what a shared mapping may have changed, only these pages.
    pub(super) fn flush_mapped(&self, ino: Ino, mapped: Range<PageNo>) -> Result<()> {
        match self.inodes.hold(ino) {
            Some(slot) => {
                let result = self.flush_held(slot, ino, mapped);
                self.unhold_inode(slot);
                result
            }
            // Not cached: the log knows all of it.
            None => Ok(()),
        }
    }

    /// As [`Fs::flush`], for whoever found the slot in passing.
    pub(super) fn flush_slot(&self, _slot: SlotNo, ino: Ino) -> Result<()> {
        self.flush(ino)
    }

    fn flush_held(&self, slot: SlotNo, ino: Ino, mapped: Range<PageNo>) -> Result<()> {
        let s = self.inodes.slot(slot);
        let flusher = s.flush_lock.lock(&*self.procs);
        if flusher.inherited {
            self.take_back(slot);
        }
        self.count_pages(slot)?;
        let (mut from, mut mapped) = (PageNo::new(0), mapped);
        while let Some(mut snapshot) = self.take_snapshot(slot, mapped, from) {
            let result = self.write_pages(&mut snapshot).and_then(|()| self.log_pages(slot, ino, &snapshot));
            let Ok(Some((seq, freed))) = result else {
                // If it was deleted meanwhile, nothing refers to the frames we wrote.
                self.free_written(&snapshot);
                self.finish(slot, &snapshot, false);
                return result.map(drop);
            };
            // At once: who dies before it loses these frames.
            self.pool_free(&freed, seq);
            self.finish(slot, &snapshot, true);
            self.taken(slot).forget();
            // What has become dirty before it by now is the next flush's.
            let Some(next) = snapshot.next else { break };
            (from, mapped) = (next, PageNo::new(0)..PageNo::new(0));
        }
        Ok(())
    }

    /// Gives each page a pool frame and writes it there. No lock but the flush lock is held.
    pub(crate) fn write_pages(&self, snapshot: &mut Snapshot) -> Result<()> {
        self.set_aside(self.space.needed() + AHEAD);
        let (promises, taken) = (snapshot.promises, snapshot.taken);
        let mut data: Vec<&mut Page> = snapshot.pages.iter_mut().filter(|p| p.frame.is_some()).collect();
        snapshot.carried = data.len() <= self.pool.inline_pages();
        // Elsewhere a page more or less in one go makes no difference.
        let together = !snapshot.carried && self.pool.medium() == Medium::Block;
        if !snapshot.carried && !snapshot.unstable && data.len() >= MANY {
            return self.pool.write_beside(|writer| self.write_many(&mut data, (promises, taken), together, writer));
        }
        let (many, mut fresh) = (!snapshot.carried && data.len() >= SEVERAL, false);
        let mut at = 0;
        while at < data.len() {
            let want = (data.len() - at).min(BATCH) as u32;
            let (first, count) = self.take_promised((promises, taken), want, together)?;
            let batch = &mut data[at..at + count as usize];
            for (i, page) in batch.iter_mut().enumerate() {
                if snapshot.unstable {
                    // Behind the end all is zeros, and to look at frames there would give them memory again.
                    let cut = page.no.start() >= snapshot.size;
                    page.copy = Some(if cut { vec![0; PAGE].into() } else { self.frame_bytes(page).into() });
                }
                page.to = Some(Extent { frame: first.plus(i as u32), crc: checksum::of(self.frame_bytes(page)) });
            }
            let bytes: Vec<&[u8]> = batch.iter().map(|p| self.frame_bytes(p)).collect();
            match (snapshot.carried, many) {
                (true, _) => self.pool.write_home(first, &bytes)?,
                (false, true) => fresh |= self.pool.write_fresh(first, &bytes)?,
                (false, false) => self.pool.write(first, &bytes)?,
            }
            Stats::add(&self.stats.flushed, bytes.len() * PAGE);
            if !snapshot.carried {
                batch.iter_mut().for_each(|page| page.copy = None);
            }
            at += count as usize;
        }
        if fresh { self.pool.settle() } else { Ok(()) }
    }

    /// As [`Fs::write_pages`], for many pages that do not change: while some are written, the next are checksummed.
    fn write_many<'f>(&'f self, data: &mut [&mut Page], notes: Notes, together: bool, writer: &mut Writer<'f>) -> Result<()> {
        // Elsewhere than on a disk both need the processor: in smaller portions, so that none waits long for the other.
        let batch = if together { BATCH } else { BATCH / 4 };
        let mut at = 0;
        while at < data.len() {
            let want = (data.len() - at).min(batch) as u32;
            let (first, count) = self.take_promised(notes, want, together)?;
            let mut bytes: Vec<&'f [u8]> = Vec::with_capacity(count as usize);
            for (i, page) in data[at..at + count as usize].iter_mut().enumerate() {
                let content = page.frame.map_or(&[][..], |frame| self.held_bytes(frame));
                page.to = Some(Extent { frame: first.plus(i as u32), crc: checksum::of(content) });
                bytes.push(content);
            }
            writer.write(first, &bytes)?;
            Stats::add(&self.stats.flushed, bytes.len() * PAGE);
            at += count as usize;
        }
        Ok(())
    }

    /// A run of up to `want` pool frames for pages of a flush, for their promises.
    fn take_promised(&self, (promises, taken): Notes, want: u32, together: bool) -> Result<(PoolFrame, u32)> {
        promises.spend(want);
        let run = self.space.alloc(want, together, &self.procs);
        taken.zip(run).inspect(|(taken, run)| taken.note(run.0, run.1));
        promises.keep(want - run.map_or(0, |(_, count)| count));
        run.ok_or(Error::NoSpace)
    }

    /// The content of a page whose frame this flush holds.
    fn frame_bytes<'p>(&'p self, page: &'p Page) -> &'p [u8] {
        match (&page.copy, page.frame) {
            (Some(copy), _) => copy,
            (None, Some(frame)) => self.held_bytes(frame),
            (None, None) => &[],
        }
    }

    /// Puts the content of the flushed pages into the record, or what says whether it has got to their frames.
    pub(crate) fn log_data(&self, txn: &mut MetaTxn<'_>, snapshot: &Snapshot) {
        for page in &snapshot.pages {
            match page.to {
                Some(to) if snapshot.carried => txn.carry_data(to.frame, self.frame_bytes(page)),
                Some(to) => txn.guard_data(to.frame, to.crc),
                None => {}
            }
        }
    }

    /// Appends the record. `None`: the inode is deleted. Returns the pool frames that the record frees.
    fn log_pages(&self, slot: SlotNo, ino: Ino, snapshot: &Snapshot) -> Result<Option<(Seq, Runs)>> {
        let mut txn = self.meta.begin()?;
        let Some(mut inode) = Inode::load(&txn, ino)? else { return Ok(None) };
        let mut freed = Runs::new();
        if let Some(cut) = snapshot.cut
            && inode.attr.pages > 0
        {
            if inode.attr.pages > self.most_cleared() as u64 {
                drop(txn);
                self.clear_beforehand(ino, cut)?;
                txn = self.meta.begin()?;
                let Some(now) = Inode::load(&txn, ino)? else { return Ok(None) };
                inode = now;
            }
            clear_extents(&mut txn, ino, (cut, PageNo::new(u64::MAX)), usize::MAX, &mut freed)?;
        }
        put_extents(&mut txn, ino, &snapshot.pages, &mut freed)?;
        self.log_data(&mut txn, snapshot);
        let mut attr = self.inodes.attr_in(slot);
        let written = snapshot.pages.iter().filter(|page| page.to.is_some()).count() as u64;
        let pages = snapshot.count.unwrap_or((inode.attr.pages + written).saturating_sub(count(&freed)));
        (attr.size, attr.pages) = (snapshot.size, pages);
        let regular = inode.attr.kind() == libc::S_IFREG;
        let record = if regular { inode.flushed(&attr) } else { inode };
        txn.put(&super::record::inode_key(ino), &record.encode())?;
        Ok(Some((txn.commit()?, freed)))
    }
}

#[cfg(test)]
mod tests;
