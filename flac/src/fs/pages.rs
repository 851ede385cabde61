//! Pages between pool and DRAM: loading leaves and pages, choosing frames.

use super::Fs;
use super::record::{EXTENT_PAGES, Extent, decode_extents, extent_key};
use super::stats::Stats;
use crate::checksum;
use crate::error::{Error, Result};
use crate::inode::{SlotNo, flag};
use crate::media::Way;
use crate::region::{InodeSlot, Node};
use crate::sync::{AtomicU64, Ordering::*};
use crate::table::Entry;
use crate::units::{BLOCK_FRAMES, FrameNo, Ino, PAGE, PageNo, PoolFrame};
use std::time::Instant;

/// A file that will be at least this long gets its frames in whole blocks.
const BLOCK_FROM: u64 = 1 << 20;

impl Fs {
    /// The table word of `page`, its leaf loaded. Needs the inode's lock.
    #[inline]
    pub(super) fn cell(&self, slot: SlotNo, page: PageNo) -> Result<&'static AtomicU64> {
        match self.inodes.table(slot).cell(page) {
            Some(cell) => Ok(cell),
            None => self.new_cell(slot, page),
        }
    }

    #[cold]
    fn new_cell(&self, slot: SlotNo, page: PageNo) -> Result<&'static AtomicU64> {
        let table = self.inodes.table(slot);
        let s = self.inodes.slot(slot);
        let load = |first: PageNo, node: &Node| match s.flags.load(Relaxed) & flag::HAS_POOL {
            0 => Ok(()),
            _ => self.load_leaf(s, first, node),
        };
        table.cell_mut(page, load)?.ok_or(Error::NoFrames)
    }

    /// The page from which on the KV's extents are not the file's: what was cut off since the last flush is still there.
    pub(super) fn cut_of(&self, s: &InodeSlot) -> u64 {
        [&s.cut, &s.flush_cut].map(|c| c.load(Relaxed).wrapping_sub(1)).into_iter().min().unwrap_or(u64::MAX)
    }

    /// Fills a new leaf from the KV's extents.
    pub(super) fn load_leaf(&self, s: &InodeSlot, first: PageNo, node: &Node) -> Result<()> {
        let cut = self.cut_of(s);
        let ino = Ino::new(s.ino.load(Relaxed));
        self.meta.view(|view| {
            // Not for the first time, perhaps; nobody else knows the leaf yet.
            node.0.iter().for_each(|cell| cell.store(0, Relaxed));
            for chunk in 0..(BLOCK_FRAMES / EXTENT_PAGES) as u64 {
                let start = first.plus(chunk * EXTENT_PAGES as u64);
                let Some(value) = view.get(&extent_key(ino, start))? else { continue };
                for (i, extent) in decode_extents(value)?.enumerate() {
                    let page = start.plus(i as u64);
                    if let Some(extent) = extent
                        && page.get() < cut
                    {
                        node.0[(page.get() - first.get()) as usize].store(Entry::pooled(extent.frame).raw(), Relaxed);
                    }
                }
            }
            Ok(())
        })
    }

    /// The entry of `page` with a DRAM half if it has any content, loaded from the pool if need be, together with what follows it there: the caller goes on to need `want`
    /// pages, this one included. Needs the inode's lock.
    pub(super) fn resident(&self, slot: SlotNo, page: PageNo, want: u64) -> Result<Entry> {
        let entry = self.entry(slot, page)?;
        match (entry.dram(), entry.pool()) {
            (None, Some(pool)) => {
                self.load_run(slot, page, pool, want)?;
                Ok(Entry::from_raw(self.cell(slot, page)?.load(Acquire)))
            }
            _ => Ok(entry),
        }
    }

    /// Loads `page` and, on block media, pages behind it whose pool frames follow `pool`, within the leaf; what comes next is asked for meanwhile.
    fn load_run(&self, slot: SlotNo, page: PageNo, pool: PoolFrame, want: u64) -> Result<()> {
        // Where pages are read in place, nothing is loaded ahead.
        if self.pool.medium().is_mapped() {
            return self.load_pages(slot, page, pool, 1, Way::Past).map(|_| ());
        }
        let plan = self.plan_load(slot, page, want);
        let cells = self.inodes.table(slot).cells(page).unwrap_or_default();
        let follows = |(i, cell): &(u64, &AtomicU64)| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            entry.dram().is_none() && entry.pool().is_some_and(|p| p.get() as u64 == pool.get() as u64 + i)
        };
        let count = (0..plan.load).zip(cells).take_while(follows).count().max(1) as u64;
        let way = if plan.asked { Way::Asked } else { Way::Past };
        let start = Instant::now();
        match self.load_pages(slot, page, pool, count, way) {
            // Damage further on is the affair of whoever reads there.
            Err(Error::Corrupt(_)) if count > 1 => self.load_pages(slot, page, pool, 1, Way::Past).map(|_| ()),
            loaded => {
                self.went_on(&plan, page, loaded?, start.elapsed());
                Ok(())
            }
        }
    }

    /// Loads up to `count` pages of one leaf that lie in the pool from frame `pool` on and have no DRAM half: as many as there are frames for, at least one. How many. Needs the
    /// inode's lock.
    pub(super) fn load_pages(&self, slot: SlotNo, page: PageNo, pool: PoolFrame, count: u64, way: Way) -> Result<u64> {
        let blocks = self.inodes.slot(slot).size.load(Relaxed) >= BLOCK_FROM;
        let mut frames = vec![self.frame_for(slot, page, blocks)?];
        // What we have is enough to go on.
        frames.extend((1..count).map_while(|i| self.frame_for(slot, page.plus(i), blocks).ok()));
        if let Err(e) = self.load_frames(slot, page, pool, &frames, way) {
            frames.iter().for_each(|frame| _ = self.frames.put(*frame));
            return Err(e);
        }
        for (page, frame) in (0..).map(|i| page.plus(i)).zip(&frames) {
            let cell = self.cell(slot, page)?;
            cell.store(Entry::from_raw(cell.load(Relaxed)).loaded(*frame).raw(), Release);
            self.clock.filled(*frame, 1);
        }
        Ok(frames.len() as u64)
    }

    /// Fills fresh frames from the pool, from frame `pool` on, and compares them with their checksums.
    pub(super) fn load_frames(&self, slot: SlotNo, page: PageNo, pool: PoolFrame, frames: &[FrameNo], way: Way) -> Result<()> {
        let mut runs: Vec<&mut [u8]> = Vec::new();
        let mut rest = frames;
        while let Some(first) = rest.first() {
            let n = rest.iter().enumerate().take_while(|(i, frame)| **frame == first.plus(*i as u32)).count();
            runs.push(self.fresh_bytes(*first, n)?);
            rest = &rest[n..];
        }
        Stats::add(&self.stats.loaded, frames.len() * PAGE);
        // What the kernel fetched ahead may have been overwritten since, past its cache: only the medium itself can be found damaged.
        if way == Way::Asked
            && self.pool.read_scattered(pool, &mut runs, Way::Asked).is_ok()
            && self.verify(slot, page, pool, &mut runs).is_ok()
        {
            return Ok(());
        }
        self.pool.read_scattered(pool, &mut runs, Way::Past)?;
        self.verify(slot, page, pool, &mut runs)
    }

    /// Compares pages as they came from the pool with their checksums.
    fn verify(&self, slot: SlotNo, page: PageNo, pool: PoolFrame, runs: &mut [&mut [u8]]) -> Result<()> {
        let ino = Ino::new(self.inodes.slot(slot).ino.load(Relaxed));
        let pages = runs.iter().map(|run| run.len() / PAGE).sum::<usize>() as u64;
        let extents: Vec<Option<Extent>> = self.meta.view(|view| {
            // One look-up serves a whole chunk.
            let mut chunk = Vec::new();
            let extent = |page: PageNo| {
                let within = (page.get() % EXTENT_PAGES as u64) as usize;
                if chunk.is_empty() || within == 0 {
                    chunk = decode_extents(view.get(&extent_key(ino, page))?.unwrap_or_default())?.collect();
                    chunk.resize(EXTENT_PAGES, None);
                }
                Ok(chunk[within])
            };
            (0..pages).map(|i| page.plus(i)).map(extent).collect()
        })?;
        for ((i, data), extent) in runs.iter_mut().flat_map(|run| run.chunks_exact_mut(PAGE)).enumerate().zip(extents) {
            let page = page.plus(i as u64);
            let Some(extent) = extent.filter(|e| e.frame == pool.plus(i as u32)) else {
                if ino == Ino::SPACE {
                    // Somebody died in `pfree`, between the record and the table: the page is free.
                    data.fill(0);
                    continue;
                }
                return Err(Error::Corrupt(format!("page {} of inode {} has lost its extent: run `flac fsck`", page.get(), ino.get())));
            };
            if checksum::of(data) != extent.crc {
                return Err(Error::Corrupt(format!(
                    "page {} of inode {} fails its checksum (pool frame {}): restore the file from a backup",
                    page.get(),
                    ino.get(),
                    extent.frame.get()
                )));
            }
        }
        Ok(())
    }

    /// A frame with one reference for `page`: of the file's current block if `blocks`, so that file and frame offsets agree mod 2 MiB and one
    /// mapping shows megabytes; else any. Needs the inode's lock.
    pub(super) fn frame_for(&self, slot: SlotNo, page: PageNo, blocks: bool) -> Result<FrameNo> {
        if blocks && let Some(frame) = self.frame_of_block(slot, page) {
            return Ok(frame);
        }
        self.frames.alloc().ok_or(Error::NoFrames)
    }

    fn frame_of_block(&self, slot: SlotNo, page: PageNo) -> Option<FrameNo> {
        let s = self.inodes.slot(slot);
        let (leaf, i) = (page.get() / BLOCK_FRAMES as u64, (page.get() % BLOCK_FRAMES as u64) as u32);
        if s.cur_block.load(Relaxed) == 0 || s.cur_leaf.load(Relaxed) != leaf {
            // A new block only from the start of a piece: a page in the middle is no reason to take 2 MiB.
            if i != 0 {
                return None;
            }
            self.inodes.release_block(slot);
            let block = self.frames.alloc_block()?;
            s.spare.iter().for_each(|w| w.store(!0, Relaxed));
            s.cur_leaf.store(leaf, Relaxed);
            s.cur_block.store(block + 1, Release);
        }
        let bit = 1u64 << (i % 64);
        let taken = s.spare[i as usize / 64].fetch_and(!bit, AcqRel) & bit != 0;
        taken.then(|| FrameNo::new((s.cur_block.load(Relaxed) - 1) * BLOCK_FRAMES as u32 + i))
    }

    /// Gives back what [`Fs::frame_for`] gave for `page`, which did not get it: to the file's current block, if it is from there. Needs the inode's lock.
    pub(super) fn return_frame(&self, slot: SlotNo, page: PageNo, frame: FrameNo) {
        let s = self.inodes.slot(slot);
        let (leaf, i) = (page.get() / BLOCK_FRAMES as u64, page.get() as usize % BLOCK_FRAMES);
        let of_block = s.cur_block.load(Relaxed) == frame.block() + 1 && s.cur_leaf.load(Relaxed) == leaf;
        if of_block && frame.get() as usize % BLOCK_FRAMES == i {
            s.spare[i / 64].fetch_or(1 << (i % 64), AcqRel);
        } else {
            self.frames.put(frame);
        }
    }
}
