//! The pool frames that a flush has taken, noted in its inode's slot until it is done: whoever finds it dead knows which of its pages are logged, and gives the frames of the others back.
//!
//! A run is noted when its frames are used, and forgotten before they are freed: a death in between loses it until the pool is counted anew. What is noted belongs to the holder of the
//! inode's flush lock: only under that do extents of the inode come to be, so a frame that none of them names was never logged, as long as the inode is there. (If it is not, who deleted it
//! may have freed what the flush had logged.)

use super::Fs;
use super::record::{EXTENT_PAGES, Inode, decode_extents, extent_prefix, extent_start};
use crate::error::Result;
use crate::inode::SlotNo;
use crate::region::{InodeSlot, TAKEN};
use crate::sync::Ordering::*;
use crate::table::Table;
use crate::units::{BLOCK_FRAMES, Ino, PageNo, PoolFrame};
use std::collections::{BTreeMap, BTreeSet};

/// The place in a node where the one before it stands.
const BEFORE: usize = BLOCK_FRAMES - 1;

/// The notes of one flush.
#[derive(Clone, Copy)]
pub(crate) struct Taken(Table, &'static InodeSlot);

impl Taken {
    /// Notes a run. Where there is no node for it, a death loses it.
    pub(crate) fn note(self, first: PoolFrame, count: u32) {
        let Taken(table, s) = self;
        let nth = s.taken_runs.load(Relaxed) as usize;
        let cell = match nth.checked_sub(TAKEN).map(|nth| nth % BEFORE) {
            None => Some(&s.taken[nth]),
            Some(0) => table.alloc_node().map(|(index, node)| {
                node.0[BEFORE].store(s.taken_node.load(Relaxed).into(), Relaxed);
                s.taken_node.store(index, Release);
                &node.0[0]
            }),
            Some(nth) => table.node(s.taken_node.load(Relaxed)).map(|node| &node.0[nth]),
        };
        if let Some(cell) = cell {
            cell.store((first.get() as u64) << 32 | count as u64, Release);
            s.taken_runs.store(nth as u32 + 1, Relaxed);
        }
    }

    /// There is nothing to give back any more.
    pub(crate) fn forget(self) {
        let Taken(table, s) = self;
        // The first one is the last to go.
        if s.taken[0].load(Acquire) == 0 {
            return;
        }
        let mut index = s.taken_node.swap(0, AcqRel);
        s.taken_runs.store(0, Release);
        s.taken.iter().rev().for_each(|run| run.store(0, Release));
        while let Some(node) = table.node(index) {
            let before = node.0[BEFORE].load(Relaxed) as u32;
            table.free_node(index);
            index = before;
        }
    }

    fn frames(self) -> BTreeSet<u32> {
        let Taken(table, s) = self;
        let nodes = std::iter::successors(table.node(s.taken_node.load(Acquire)), |node| table.node(node.0[BEFORE].load(Relaxed) as u32));
        let runs = s.taken.iter().chain(nodes.flat_map(|node| &node.0[..BEFORE])).map(|run| run.load(Acquire));
        runs.flat_map(|run| (run >> 32) as u32..(run >> 32) as u32 + run as u32).collect()
    }
}

impl Fs {
    pub(super) fn taken(&self, slot: SlotNo) -> Taken {
        Taken(self.inodes.table(slot), self.inodes.slot(slot))
    }

    /// A flusher died: frees the frames that it had taken and not logged. Which of its pages are logged, and where. Needs the flush lock.
    pub(super) fn give_back_taken(&self, slot: SlotNo) -> BTreeMap<PageNo, PoolFrame> {
        let taken = self.taken(slot);
        let frames = taken.frames();
        let ino = Ino::new(self.inodes.slot(slot).ino.load(Acquire));
        let logged = if frames.is_empty() { Ok(None) } else { self.logged_of(ino, &frames) };
        taken.forget();
        // If it can't be read, they stay used until somebody counts anew.
        let Ok(Some(logged)) = logged else { return BTreeMap::new() };
        let named: BTreeSet<u32> = logged.values().map(|frame| frame.get()).collect();
        frames.difference(&named).for_each(|frame| self.space.free_now(PoolFrame::new(*frame), 1, &self.procs));
        logged
    }

    /// The pages of an inode that the log has in some of these frames; `None`: it is deleted.
    fn logged_of(&self, ino: Ino, frames: &BTreeSet<u32>) -> Result<Option<BTreeMap<PageNo, PoolFrame>>> {
        // With what the dead process has logged, and not entered.
        let view = self.meta.settled()?;
        if Inode::load(&view, ino)?.is_none() {
            return Ok(None);
        }
        let mut logged = BTreeMap::new();
        let prefix = extent_prefix(ino);
        for pair in view.scan(&prefix, &prefix)? {
            let (key, value) = pair?;
            let pages = (0..EXTENT_PAGES as u64).map(|i| extent_start(key).map(|start| start.plus(i)));
            for (page, extent) in pages.zip(decode_extents(value)?) {
                if let Some(extent) = extent.filter(|extent| frames.contains(&extent.frame.get())) {
                    logged.insert(page?, extent.frame);
                }
            }
        }
        Ok(Some(logged))
    }
}
