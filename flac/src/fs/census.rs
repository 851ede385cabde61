//! The census: counts references, pins and holders from what they come from (page tables, ledgers, holds), and compares with the counts that are kept.
//! For tests, for `flac fsck`, and for `rebuild`. Meant for a quiet region: while others work, it sees differences that are none.

use super::Fs;
use super::files::open_slot_of;
use super::record::decode_extents;
use crate::attach::View;
use crate::error::Result;
use crate::sync::Ordering::*;
use crate::table::Entry;
use crate::units::{BLOCK_FRAMES, FrameNo, Ino, PageNo, PoolFrame};

/// So many differences are told.
const MOST: usize = 50;

/// What should be.
pub(super) struct Census {
    /// References of each frame: table entries, and the frames set aside for a file.
    pub refs: Vec<u32>,
    /// Views of each block as a whole.
    pub pins: Vec<u32>,
    /// Views that touch each block of the pool.
    pub pool_pins: Vec<u32>,
    /// Views of each frame, those of its whole block not counted.
    pub views: Vec<u32>,
    /// Dirty pages, each of which has a promise of pool space, and those being flushed that still have it.
    pub reserved: u64,
    /// One bit for each page-table node.
    pub nodes: Vec<u64>,
    /// Holders of each inode slot: open files and shared mappings.
    pub opens: Vec<u32>,
    /// Shared mappings of each inode slot.
    pub maps: Vec<u32>,
    /// Those of them that are writable.
    pub writable_maps: Vec<u32>,
}

/// A count that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Of what.
    pub what: String,
    /// What is kept.
    pub is: u64,
    /// What it should be.
    pub should: u64,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}, should be {}", self.what, self.is, self.should)
    }
}

impl Fs {
    /// Counts anew.
    pub(super) fn census(&self) -> Census {
        let control = self.region.control;
        let inodes = control.counters().used_inodes.load(Acquire) as usize;
        let frames = self.frames.total() as usize;
        let mut census = Census {
            refs: vec![0; frames],
            pins: vec![0; frames / BLOCK_FRAMES],
            pool_pins: vec![0; control.pool_pins().len()],
            views: vec![0; frames],
            reserved: 0,
            nodes: vec![0; control.node_bits().len()],
            opens: vec![0; inodes],
            maps: vec![0; inodes],
            writable_maps: vec![0; inodes],
        };
        self.inodes.all().for_each(|slot| self.count_inode(slot, &mut census));
        self.count_views(&mut census);
        for open in control.opens().iter().filter(|open| open.refs.load(Relaxed) != 0) {
            census.opens[open.inode.load(Relaxed) as usize] += 1;
        }
        census
    }

    fn count_inode(&self, slot: u32, census: &mut Census) {
        let s = self.inodes.slot(slot);
        let table = self.inodes.table(slot);
        table.each_node(&mut |node| census.nodes[node / 64] |= 1 << (node % 64));
        census.reserved += s.flush_promises.load(Relaxed) as u64;
        // In the FLAC space a page that is being flushed is one of a handle, which may never be committed.
        let of_handles = s.ino.load(Relaxed) == Ino::SPACE.get();
        table.for_each(PageNo::new(0), PageNo::new(u64::MAX), &mut |_, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if let Some(frame) = entry.dram() {
                census.refs[frame.get() as usize] += 1;
                census.reserved += (entry.is_dirty() || of_handles && entry.is_flushing()) as u64;
            }
        });
        if let Some(block) = s.cur_block.load(Relaxed).checked_sub(1) {
            for i in (0..BLOCK_FRAMES).filter(|i| s.spare[i / 64].load(Relaxed) >> (i % 64) & 1 == 1) {
                census.refs[block as usize * BLOCK_FRAMES + i] += 1;
            }
        }
    }

    fn count_views(&self, census: &mut Census) {
        let control = self.region.control;
        for proc in self.procs.in_use() {
            let end = control.procs()[proc as usize].ledger_end.load(Acquire) as usize;
            for view in control.ledger(proc)[..end].iter().filter_map(View::read) {
                if view.pool {
                    let last = view.first.plus(view.pages - 1);
                    (view.first.block()..=last.block()).for_each(|block| census.pool_pins[block as usize] += 1);
                } else {
                    count_view(view, &mut census.pins, &mut census.views);
                }
                if let Some(slot) = view.inode.checked_sub(1) {
                    census.opens[slot as usize] += 1;
                    census.maps[slot as usize] += 1;
                    census.writable_maps[slot as usize] += u32::from(view.writable);
                }
            }
        }
    }

    /// Compares the counts that are kept with a census: none if all is exact. Nobody else may be at work. A process that was killed may have left
    /// counts that are too high; the next one that finds itself alone puts them right.
    pub fn check_counts(&self) -> Vec<Difference> {
        let census = self.census();
        let control = self.region.control;
        let mut found = Vec::new();
        let mut compare = |what: &str, is: u64, should: u64| {
            if found.len() < MOST && is != should {
                found.push(Difference { what: what.to_owned(), is, should });
            }
        };
        for (i, should) in census.refs.iter().enumerate() {
            let used = control.frame_bits()[i / 64].load(Relaxed) >> (i % 64) & 1;
            // The count of a free frame means nothing.
            let is = control.refs()[i].load(Relaxed) as u64 * used;
            compare(&format!("references of frame {i}"), is, *should as u64);
            compare(&format!("use of frame {i}"), used, (*should != 0) as u64);
        }
        for (block, should) in census.pins.iter().enumerate() {
            compare(&format!("views of block {block}"), self.frames.pins(block as u32) as u64, *should as u64);
        }
        for (block, should) in census.pool_pins.iter().enumerate() {
            compare(&format!("views of block {block} of the pool"), self.space.pins(block as u32) as u64, *should as u64);
        }
        compare("pool frames that only views keep", self.space.limbo(), self.space.count_limbo());
        for (i, should) in census.views.iter().enumerate() {
            compare(&format!("views of frame {i}"), self.frames.views(FrameNo::new(i as u32)) as u64, *should as u64);
        }
        let c = control.counters();
        let free = census.refs.iter().filter(|n| **n == 0).count() as u64;
        let blocks = census.pins.iter().filter(|n| **n != 0).count() * BLOCK_FRAMES;
        let viewed = blocks + census.views.iter().filter(|n| **n != 0).count();
        // A frame that is shown with its block and by itself counts twice.
        compare("frames in views", c.viewed.load(Relaxed) as u64, viewed as u64);
        compare("free frames", c.dram_free.load(Relaxed), free);
        compare("promised pool frames", c.pool_reserved.load(Relaxed), census.reserved);
        let (used, free) = (self.space.bits(), c.pool_free.load(Relaxed));
        let count = |pick: &dyn Fn(usize) -> u64| (0..used.len()).map(|i| pick(i).count_ones() as u64).sum::<u64>();
        compare("free pool frames", free, control.geometry().pool_frames as u64 - count(&|i| used[i]));
        match self.named_frames() {
            Ok((named, twice)) => {
                let waiting = self.space.waiting();
                let needed = |i: usize| named[i] | waiting[i];
                compare("pool frames in use", count(&|i| used[i] & needed(i)), count(&needed));
                compare("pool frames in use for nothing", count(&|i| used[i] & !needed(i)), 0);
                compare("pool frames that two extents name", twice.is_some() as u64, 0);
            }
            Err(_) => compare("extents that can be read", 0, 1),
        }
        let nodes = control.node_bits().iter().map(|w| w.load(Relaxed).count_ones() as u64).sum();
        compare("page-table nodes", nodes, census.nodes.iter().map(|w| w.count_ones() as u64).sum());
        for slot in self.inodes.all() {
            let (s, i) = (self.inodes.slot(slot), slot as usize);
            compare(&format!("holders of inode slot {i}"), s.opens.load(Relaxed) as u64, census.opens[i] as u64);
            compare(&format!("dirty pages without a mark of inode slot {i}"), self.inodes.table(slot).count_unmarked(), 0);
            compare(&format!("shared mappings of inode slot {i}"), s.shared_maps.load(Relaxed) as u64, census.maps[i] as u64);
            let writable = s.writable_maps.load(Relaxed) as u64;
            compare(&format!("writable mappings of inode slot {i}"), writable, census.writable_maps[i] as u64);
        }
        let mut holds = vec![0u32; control.opens().len()];
        for proc in self.procs.in_use() {
            let end = control.procs()[proc as usize].holds_end.load(Acquire) as usize;
            for word in control.holds(proc)[..end].iter().map(|h| h.load(Acquire)).filter(|w| *w != 0) {
                holds[open_slot_of(word)] += 1;
            }
        }
        for (i, should) in holds.iter().enumerate() {
            compare(&format!("holds of open file {i}"), control.opens()[i].refs.load(Relaxed) as u64, *should as u64);
        }
        found
    }

    /// One bit for each pool frame that an extent names, and one that two of them name, or that lies outside the pool.
    pub(super) fn named_frames(&self) -> Result<(Vec<u64>, Option<PoolFrame>)> {
        let total = self.region.control.geometry().pool_frames;
        let (mut named, mut twice) = (vec![0; (total as usize).div_ceil(64)], None);
        let txn = self.meta.settled()?;
        for pair in txn.scan(b"E", b"E")? {
            for frame in decode_extents(pair?.1)?.flatten().map(|extent| extent.frame.get()) {
                match named.get_mut(frame as usize / 64).filter(|_| frame < total) {
                    Some(word) if *word >> (frame % 64) & 1 == 0 => *word |= 1 << (frame % 64),
                    _ => twice = Some(PoolFrame::new(frame)),
                }
            }
        }
        Ok((named, twice))
    }

    /// Puts the frames' counts right. Nobody else is alive, and this process has no view.
    pub(super) fn recount_frames(&self) {
        let control = self.region.control;
        let census = self.census();
        for (word, chunk) in control.frame_bits().iter().zip(census.refs.chunks(64)) {
            let bits = chunk.iter().enumerate().map(|(i, n)| ((*n != 0) as u64) << i).sum::<u64>();
            word.store(bits, Release);
        }
        for (to, count) in control.refs().iter().zip(&census.refs) {
            if to.load(Relaxed) != *count {
                to.store(*count, Release);
            }
        }
        control.node_bits().iter().zip(&census.nodes).for_each(|(to, bits)| to.store(*bits, Release));
        control.counters().node_hint.store(0, Release);
        control.pins().iter().for_each(|p| p.store(0, Release));
        self.space.forget_pins(&self.procs);
        let c = control.counters();
        control.views().iter().filter(|v| v.load(Relaxed) != 0).for_each(|v| v.store(0, Release));
        c.viewed.store(0, Release);
        c.aside.store(0, Release);
        c.dram_free.store(census.refs.iter().filter(|n| **n == 0).count() as u64, Release);
        c.pool_reserved.store(census.reserved, Release);
        c.block_hint.store(0, Release);
        c.page_hint.store(FrameNo::new(self.frames.total() - 1).block(), Release);
    }
}

/// Counts a view of the DRAM tier as `Frames::get_run` does.
fn count_view(view: View, pins: &mut [u32], views: &mut [u32]) {
    let (first, end) = (view.first.get() as usize, view.first.get() as usize + view.pages as usize);
    let mut at = first;
    while at < end {
        let next = ((at / BLOCK_FRAMES + 1) * BLOCK_FRAMES).min(end);
        match next - at {
            BLOCK_FRAMES => pins[at / BLOCK_FRAMES] += 1,
            _ => views[at..next].iter_mut().for_each(|n| *n += 1),
        }
        at = next;
    }
}
