//! Where a file has content and where holes. A leaf of the page table that neither the table nor the KV has is a hole of 2 MiB; none is made for it, however large the file.

use super::Fs;
use super::record::{extent_key, extent_prefix, extent_start};
use crate::error::{Error, Result};
use crate::inode::{SlotNo, flag};
use crate::sync::{AtomicU64, Ordering::*};
use crate::table::Entry;
use crate::units::{BLOCK_FRAMES, Ino, PAGE, PageNo};

/// The first page of the leaf that `page` is in.
fn leaf_start(page: PageNo) -> PageNo {
    PageNo::new(page.get() - page.get() % BLOCK_FRAMES as u64)
}

/// The first page behind the leaf that `page` is in.
pub(super) fn leaf_end(page: PageNo) -> PageNo {
    leaf_start(page).plus(BLOCK_FRAMES as u64)
}

/// The pages that the bytes [offset, end) lie in, and where in each.
fn parts(offset: u64, end: u64) -> impl Iterator<Item = (PageNo, usize, usize)> {
    let mut at = offset;
    std::iter::from_fn(move || {
        let page = PageNo::of(at);
        let (from, to) = ((at - page.start()) as usize, end.saturating_sub(page.start()).min(PAGE as u64) as usize);
        let part = (at < end).then_some((page, from, to));
        at = page.start() + PAGE as u64;
        part
    })
}

impl Fs {
    /// The next data (or hole) at or behind `offset`: `ENXIO` behind the end.
    pub(super) fn seek_content(&self, slot: SlotNo, offset: u64, data: bool) -> Result<u64> {
        let s = self.inodes.slot(slot);
        let _write = self.inodes.lock(slot);
        let size = s.size.load(Relaxed);
        if offset >= size {
            return Err(Error::Os(libc::ENXIO));
        }
        match self.find_content(slot, PageNo::of(offset), PageNo::of(size - 1).plus(1), data)? {
            Some(page) => Ok(page.start().max(offset)),
            None if data => Err(Error::Os(libc::ENXIO)),
            None => Ok(size),
        }
    }

    /// The first page of [page, end) that is data (or a hole). Needs the inode's lock.
    pub(super) fn find_content(&self, slot: SlotNo, mut page: PageNo, end: PageNo, data: bool) -> Result<Option<PageNo>> {
        while page < end {
            match self.next_leaf(slot, page, end)? {
                Some(next) if next == page => {}
                // What is passed over is a hole.
                _ if !data => return Ok(Some(page)),
                Some(next) => page = next,
                None => return Ok(None),
            }
            self.cell(slot, page)?;
            let cells = self.inodes.table(slot).cells(page).unwrap_or_default();
            let cells = &cells[..cells.len().min((end.get() - page.get()) as usize)];
            if let Some(i) = cells.iter().position(|cell| Entry::from_raw(cell.load(Relaxed)).is_hole() != data) {
                return Ok(Some(page.plus(i as u64)));
            }
            page = page.plus(cells.len() as u64);
        }
        Ok(None)
    }

    /// Calls `f` with the pages that the bytes [offset, end) lie in, and where in each, but for large holes. Needs the inode's lock.
    pub(super) fn each_part(
        &self,
        slot: SlotNo,
        offset: u64,
        end: u64,
        f: &mut dyn FnMut(PageNo, usize, usize) -> Result<()>,
    ) -> Result<()> {
        let mut at = offset;
        while at < end {
            let Some(page) = self.next_leaf(slot, PageNo::of(at), PageNo::of(end - 1).plus(1))? else { break };
            at = at.max(page.start());
            let stop = leaf_end(page).start().min(end);
            parts(at, stop).try_for_each(|(page, from, to)| f(page, from, to))?;
            at = stop;
        }
        Ok(())
    }

    /// Makes the table whole: every leaf that the KV has of the pages [0, end). Needs the inode's lock.
    pub(super) fn load_leaves(&self, slot: SlotNo, end: PageNo) -> Result<()> {
        let mut page = PageNo::new(0);
        while let Some(next) = self.next_leaf(slot, page, end)? {
            self.cell(slot, next)?;
            page = leaf_end(next);
        }
        Ok(())
    }

    /// The first page of [page, end) in whose leaf there may be content. Needs the inode's lock.
    fn next_leaf(&self, slot: SlotNo, page: PageNo, end: PageNo) -> Result<Option<PageNo>> {
        let table = self.inodes.table(slot);
        if table.is_small() || table.cell(page).is_some() {
            return Ok(table.cell(page).filter(|_| page < end).map(|_| page));
        }
        let loaded = table.leaf_from(leaf_start(page)).map(|(first, _)| first);
        let stored = self.next_stored(slot, leaf_start(page))?.map(leaf_start);
        let next = [loaded, stored].into_iter().flatten().map(|first| first.max(page)).min();
        Ok(next.filter(|next| *next < end))
    }

    /// The first page at or behind `page` of a group of which the KV has extents that are still the file's.
    fn next_stored(&self, slot: SlotNo, page: PageNo) -> Result<Option<PageNo>> {
        let s = self.inodes.slot(slot);
        if s.flags.load(Relaxed) & flag::HAS_POOL == 0 {
            return Ok(None);
        }
        let (ino, cut) = (Ino::new(s.ino.load(Relaxed)), self.cut_of(s));
        self.meta.view(|view| {
            let Some(pair) = view.scan(&extent_prefix(ino), &extent_key(ino, page))?.next() else { return Ok(None) };
            let start = extent_start(pair?.0)?;
            Ok((start.get() < cut).then_some(start))
        })
    }

    /// The entry's word; `None`, and no leaf is made, if it lies in a hole of a whole leaf. Needs the inode's lock.
    pub(super) fn cell_if_any(&self, slot: SlotNo, page: PageNo) -> Result<Option<&'static AtomicU64>> {
        let table = self.inodes.table(slot);
        if table.is_small() || table.cell(page).is_some() {
            return Ok(table.cell(page));
        }
        match self.next_stored(slot, leaf_start(page))? {
            Some(stored) if stored < leaf_end(page) => self.cell(slot, page).map(Some),
            _ => Ok(None),
        }
    }

    /// What the page is; no leaf is made for a hole. Needs the inode's lock.
    pub(super) fn entry(&self, slot: SlotNo, page: PageNo) -> Result<Entry> {
        Ok(self.cell_if_any(slot, page)?.map_or(Entry::HOLE, |cell| Entry::from_raw(cell.load(Acquire))))
    }
}

#[cfg(test)]
mod tests;
