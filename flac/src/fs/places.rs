//! Where the pages of a file lie: for `flac info --map`.

use super::Fs;
use crate::error::Result;
use crate::inode::flag;
use crate::region::Node;
use crate::sync::Ordering::*;
use crate::table::Entry;
use crate::units::{BLOCK_FRAMES, Ino, PAGE, PageNo};

/// Where a page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In a frame of the DRAM tier.
    pub dram: bool,
    /// That frame can be mapped with its 2 MiB by one entry: the tier has huge pages, and frame and page agree mod 2 MiB.
    pub huge: bool,
    /// In a frame of the pool, with the same content. Neither: a hole.
    pub pool: bool,
    /// The log does not know it yet.
    pub dirty: bool,
}

/// Pages in a row that lie alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first page.
    pub first: u64,
    /// How many.
    pub pages: u64,
    /// Where they lie.
    pub place: Place,
}

impl Fs {
    /// Where the pages of a file lie, in order, up to its end. Loads nothing. Each 2 MiB are of one moment; what lies further on may change meanwhile.
    pub fn places(&self, ino: Ino) -> Result<Vec<Run>> {
        let slot = self.hold_inode(ino)?;
        let result = self.places_of(slot);
        self.unhold_inode(slot);
        result
    }

    fn places_of(&self, slot: u32) -> Result<Vec<Run>> {
        let s = self.inodes.slot(slot);
        let mut runs: Vec<Run> = Vec::new();
        let mut page = 0;
        let unloaded = Node(std::array::from_fn(|_| Default::default()));
        loop {
            let _write = self.inodes.lock(slot);
            let end = s.size.load(Relaxed).div_ceil(PAGE as u64);
            if page >= end {
                return Ok(runs);
            }
            let cells = match self.inodes.table(slot).cells(PageNo::new(page)) {
                Some(cells) => cells,
                None => {
                    unloaded.0.iter().for_each(|cell| cell.store(0, Relaxed));
                    if s.flags.load(Relaxed) & flag::HAS_POOL != 0 {
                        self.load_leaf(s, PageNo::new(page), &unloaded)?;
                    }
                    &unloaded.0[..]
                }
            };
            let count = (end - page).min(cells.len() as u64);
            for (i, cell) in (0..count).zip(cells) {
                let place = self.place_of(page + i, Entry::from_raw(cell.load(Relaxed)));
                match runs.last_mut() {
                    Some(run) if run.place == place => run.pages += 1,
                    _ => runs.push(Run { first: page + i, pages: 1, place }),
                }
            }
            page += count;
        }
    }

    fn place_of(&self, page: u64, entry: Entry) -> Place {
        let congruent = |frame: crate::units::FrameNo| frame.get() as u64 % BLOCK_FRAMES as u64 == page % BLOCK_FRAMES as u64;
        Place {
            dram: entry.dram().is_some(),
            huge: self.has_huge_frames() && entry.dram().is_some_and(congruent),
            pool: entry.pool().is_some() && !entry.is_dirty() && !entry.is_flushing(),
            dirty: entry.is_dirty() || entry.is_flushing(),
        }
    }
}
