//! Flush: dirty pages to newly allocated pool frames, then one record that points at them. Readers and writers of the file go on meanwhile.

use super::Fs;
use super::record::{EXTENT_PAGES, Extent, Inode, decode_extents, encode_extents, extent_key, extent_prefix, extent_start};
use super::stats::Stats;
use crate::error::{Error, Result};
use crate::inode::{SlotNo, flag, load_attr};
use crate::metalog::MetaTxn;
use crate::region::InodeSlot;
use crate::sync::Ordering::*;
use crate::table::Entry;
use crate::units::{FrameNo, Ino, PAGE, PageNo, PoolFrame, Seq};

/// Pages written to the pool in one go: 1 MiB.
const BATCH: usize = 256;

/// A page being flushed.
pub(crate) struct Page {
    pub(crate) no: PageNo,
    /// What it shows; `None` is a punched hole.
    pub(crate) frame: Option<FrameNo>,
    /// Where it goes, once that is decided.
    pub(crate) to: Option<Extent>,
    /// The content as it was checksummed, where the frame may change.
    pub(crate) copy: Option<Box<[u8]>>,
}

/// What a flush took from the inode under its lock.
pub(crate) struct Snapshot {
    pub(crate) pages: Vec<Page>,
    pub(crate) size: u64,
    pub(crate) count: u64,
    /// Lowest page cut off since the last flush.
    pub(crate) cut: Option<PageNo>,
    /// The frames may change while they are written: a shared mapping shows them.
    pub(crate) unstable: bool,
    /// The content goes into the record ([`Fs::write_pages`] decides).
    pub(crate) carried: bool,
}

/// Pool frames, as (first, count).
pub(crate) type Runs = Vec<(PoolFrame, u32)>;

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
            if s.flags.load(Acquire) & (flag::DIRTY | flag::TIMES) != 0 || s.shared_maps.load(Acquire) != 0 {
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

    pub(crate) fn sync_log(&self) -> Result<()> {
        self.meta.sync(self.meta.last_seq())?;
        self.space.settle(&self.meta, &self.procs);
        if self.meta.checkpoint_due() {
            self.meta.checkpoint()?;
        }
        Ok(())
    }

    /// Whether some inode has changes that the log does not know.
    pub fn is_dirty(&self) -> bool {
        let dirty = |s: &InodeSlot| s.flags.load(Acquire) & flag::DIRTY != 0 && s.ino.load(Acquire) != Ino::SPACE.get();
        self.inodes.all().any(|slot| dirty(self.inodes.slot(slot)))
    }

    /// Writes the inode's dirty pages to the pool and logs them; durable after the next sync of the log.
    pub(super) fn flush(&self, ino: Ino) -> Result<()> {
        if ino == Ino::SPACE {
            // Its pages become durable by their own commits, never by anybody else's flush.
            self.discard_unused_space();
            return Ok(());
        }
        match self.inodes.hold(ino) {
            Some(slot) => {
                let result = self.flush_held(slot, ino);
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

    fn flush_held(&self, slot: SlotNo, ino: Ino) -> Result<()> {
        let s = self.inodes.slot(slot);
        let flusher = s.flush_lock.lock(&*self.procs);
        if flusher.inherited {
            self.take_back(slot);
        }
        let Some(mut snapshot) = self.take_snapshot(slot) else { return Ok(()) };
        let result = self.write_pages(&mut snapshot).and_then(|()| self.log_pages(slot, ino, &snapshot));
        match result {
            Ok(Some((seq, freed))) => {
                self.finish(slot, &snapshot, true);
                self.pool_free(&freed, seq);
                Ok(())
            }
            // Deleted meanwhile: nothing refers to the frames we wrote.
            Ok(None) => {
                self.free_written(&snapshot);
                self.finish(slot, &snapshot, false);
                Ok(())
            }
            Err(e) => {
                self.free_written(&snapshot);
                self.finish(slot, &snapshot, false);
                Err(e)
            }
        }
    }

    /// A flusher died: what it was flushing is dirty again. Needs the flush lock.
    fn take_back(&self, slot: SlotNo) {
        let s = self.inodes.slot(slot);
        let _write = self.inodes.lock(slot);
        self.inodes.table(slot).for_each(PageNo::new(0), PageNo::new(u64::MAX), &mut |_, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if entry.is_flushing() {
                cell.store(entry.dirtied().raw(), Release);
            }
        });
        self.merge_cut(slot);
        s.flags.fetch_or(flag::DIRTY, AcqRel);
    }

    fn merge_cut(&self, slot: SlotNo) {
        let s = self.inodes.slot(slot);
        let taken = s.flush_cut.load(Relaxed);
        let now = s.cut.load(Relaxed);
        if taken != 0 && (now == 0 || taken < now) {
            s.cut.store(taken, Relaxed);
        }
        s.flush_cut.store(0, Relaxed);
    }

    /// Under the inode's lock: marks the dirty pages as being flushed and counts a reference on each frame. `None`: nothing to do.
    fn take_snapshot(&self, slot: SlotNo) -> Option<Snapshot> {
        let s = self.inodes.slot(slot);
        let _write = self.inodes.lock(slot);
        let unstable = s.shared_maps.load(Acquire) != 0;
        if unstable {
            self.dirty_all(slot);
        }
        if s.flags.fetch_and(!(flag::DIRTY | flag::TIMES), AcqRel) & (flag::DIRTY | flag::TIMES) == 0 {
            return None;
        }
        let mut pages = Vec::new();
        self.inodes.table(slot).for_each(PageNo::new(0), PageNo::new(u64::MAX), &mut |no, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if entry.is_dirty() {
                let frame = entry.dram();
                if let Some(frame) = frame {
                    self.frames.get(frame);
                }
                cell.store(entry.flushing().raw(), Release);
                pages.push(Page { no, frame, to: None, copy: None });
            }
        });
        let cut = s.cut.swap(0, AcqRel);
        s.flush_cut.store(cut, Release);
        Some(Snapshot {
            pages,
            size: s.size.load(Relaxed),
            count: s.pages.load(Relaxed),
            cut: cut.checked_sub(1).map(PageNo::new),
            unstable,
            carried: false,
        })
    }

    /// Marks every resident page dirty: a shared mapping may have changed any. Needs the inode's lock.
    fn dirty_all(&self, slot: SlotNo) {
        self.mark_dirty(slot, PageNo::new(0), PageNo::new(u64::MAX));
    }

    /// After a shared mapping of these pages ended: they may have changed.
    pub(super) fn mark_mapped_dirty(&self, slot: SlotNo, from: PageNo, to: PageNo) {
        let _write = self.inodes.lock(slot);
        self.mark_dirty(slot, from, to);
    }

    fn mark_dirty(&self, slot: SlotNo, from: PageNo, to: PageNo) {
        let mut marked = 0;
        self.inodes.table(slot).for_each(from, to, &mut |_, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if entry.dram().is_some() && !entry.is_dirty() {
                marked += 1;
                cell.store(entry.dirtied().raw(), Release);
            }
        });
        if marked > 0 {
            // Promised even if the pool is full: the mapping was granted, and the flush will report it.
            self.region.control.counters().pool_reserved.fetch_add(marked, AcqRel);
            self.inodes.slot(slot).flags.fetch_or(flag::DIRTY, AcqRel);
        }
    }

    /// Gives each page a pool frame and writes it there. No lock but the flush lock is held.
    pub(crate) fn write_pages(&self, snapshot: &mut Snapshot) -> Result<()> {
        let mut data: Vec<&mut Page> = snapshot.pages.iter_mut().filter(|p| p.frame.is_some()).collect();
        snapshot.carried = data.len() <= self.pool.inline_pages();
        let mut at = 0;
        while at < data.len() {
            let want = (data.len() - at).min(BATCH) as u32;
            let (first, count) = self.space.alloc(want, &self.procs).ok_or(Error::NoSpace)?;
            let batch = &mut data[at..at + count as usize];
            for (i, page) in batch.iter_mut().enumerate() {
                if snapshot.unstable {
                    page.copy = Some(self.frame_bytes(page).into());
                }
                page.to = Some(Extent { frame: first.plus(i as u32), crc: crc32c::crc32c(self.frame_bytes(page)) });
            }
            let bytes: Vec<&[u8]> = batch.iter().map(|p| self.frame_bytes(p)).collect();
            if snapshot.carried { self.pool.write_home(first, &bytes) } else { self.pool.write(first, &bytes) }?;
            Stats::add(&self.stats.flushed, bytes.len() * PAGE);
            if !snapshot.carried {
                batch.iter_mut().for_each(|page| page.copy = None);
            }
            at += count as usize;
        }
        Ok(())
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
        let Some(inode) = Inode::load(&txn, ino)? else { return Ok(None) };
        let mut freed = Runs::new();
        if let Some(cut) = snapshot.cut
            && inode.attr.pages > 0
        {
            clear_extents(&mut txn, ino, cut, PageNo::new(u64::MAX), &mut freed)?;
        }
        put_extents(&mut txn, ino, &snapshot.pages, &mut freed)?;
        self.log_data(&mut txn, snapshot);
        let mut attr = load_attr(self.inodes.slot(slot));
        (attr.size, attr.pages) = (snapshot.size, snapshot.count);
        let regular = inode.attr.kind() == libc::S_IFREG;
        let record = if regular { inode.flushed(&attr) } else { inode };
        txn.put(&super::record::inode_key(ino), &record.encode())?;
        Ok(Some((txn.commit()?, freed)))
    }

    /// Gives back the pool frames that this flush took in vain, and the promises that go with dirty pages.
    pub(crate) fn free_written(&self, snapshot: &Snapshot) {
        for page in &snapshot.pages {
            if let Some(extent) = page.to {
                self.space.free_now(extent.frame, 1, &self.procs);
                self.region.control.counters().pool_reserved.fetch_add(1, AcqRel);
            }
        }
    }

    /// Under the inode's lock: pages that did not change meanwhile become clean (or dirty again if the flush failed).
    pub(crate) fn finish(&self, slot: SlotNo, snapshot: &Snapshot, ok: bool) {
        let s = self.inodes.slot(slot);
        {
            let _write = self.inodes.lock(slot);
            let table = self.inodes.table(slot);
            let mut stale = 0;
            for page in &snapshot.pages {
                let cell = table.cell(page.no);
                let entry = cell.map(|c| Entry::from_raw(c.load(Relaxed)));
                match (cell, entry) {
                    (Some(cell), Some(entry)) if entry.is_flushing() && entry.dram() == page.frame => {
                        let now = if ok { entry.flushed(page.to.map(|e| e.frame)) } else { entry.dirtied() };
                        cell.store(now.raw(), Release);
                    }
                    // Changed meanwhile; if the flush failed, its promise goes with the old content.
                    _ => stale += (!ok && page.frame.is_some()) as u64,
                }
            }
            self.space.unreserve(stale);
            if ok {
                s.flush_cut.store(0, Release);
                let has_pool = snapshot.count > 0 || s.flags.load(Relaxed) & flag::HAS_POOL != 0;
                s.flags.fetch_or(if has_pool { flag::HAS_POOL } else { 0 }, AcqRel);
            } else {
                self.merge_cut(slot);
                s.flags.fetch_or(flag::DIRTY, AcqRel);
            }
        }
        for frame in snapshot.pages.iter().filter_map(|p| p.frame) {
            self.frames.put(frame);
        }
    }
}

/// Deletes the extents of the pages [`from`, `to`).
pub(crate) fn clear_extents(txn: &mut MetaTxn<'_>, ino: Ino, from: PageNo, to: PageNo, freed: &mut Runs) -> Result<()> {
    let prefix = extent_prefix(ino);
    let mut changes = Vec::new();
    for pair in txn.scan(&prefix, &extent_key(ino, from))? {
        let (key, value) = pair?;
        let start = extent_start(key)?;
        if start >= to {
            break;
        }
        let keep = from.get().saturating_sub(start.get()) as usize;
        let reach = (to.get() - start.get()).min(EXTENT_PAGES as u64) as usize;
        let mut extents: Vec<Option<Extent>> = decode_extents(value)?.collect();
        for extent in extents.iter_mut().take(reach).skip(keep).filter_map(Option::take) {
            add_run(freed, extent.frame);
        }
        changes.push((key.to_vec(), encode_extents(&extents)));
    }
    for (key, value) in changes {
        if value.is_empty() {
            txn.delete(&key)?;
        } else {
            txn.put(&key, &value)?;
        }
    }
    Ok(())
}

/// Writes the extents of flushed pages, which are in ascending order.
pub(crate) fn put_extents(txn: &mut MetaTxn<'_>, ino: Ino, pages: &[Page], freed: &mut Runs) -> Result<()> {
    let chunk = |page: &Page| page.no.get() / EXTENT_PAGES as u64;
    pages.chunk_by(|a, b| chunk(a) == chunk(b)).try_for_each(|pages| put_chunk(txn, ino, pages, freed))
}

/// As [`put_extents`], for pages of one chunk.
fn put_chunk(txn: &mut MetaTxn<'_>, ino: Ino, pages: &[Page], freed: &mut Runs) -> Result<()> {
    let key = extent_key(ino, pages[0].no);
    let mut extents = [None; EXTENT_PAGES];
    if let Some(value) = txn.get(&key)? {
        for (to, from) in extents.iter_mut().zip(decode_extents(value)?) {
            *to = from;
        }
    }
    for page in pages {
        let old = std::mem::replace(&mut extents[(page.no.get() % EXTENT_PAGES as u64) as usize], page.to);
        if let Some(old) = old {
            add_run(freed, old.frame);
        }
    }
    let value = encode_extents(&extents);
    if value.is_empty() {
        txn.delete(&key)?;
        return Ok(());
    }
    txn.put(&key, &value)
}

fn add_run(runs: &mut Runs, frame: PoolFrame) {
    match runs.last_mut() {
        Some((first, count)) if first.plus(*count) == frame => *count += 1,
        _ => runs.push((frame, 1)),
    }
}
