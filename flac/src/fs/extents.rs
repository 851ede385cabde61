//! The extents of an inode in a metadata change: where in the pool its pages lie, and how much of that goes into one record.

use super::Fs;
use super::record::{
    EXTENT_PAGES, Extent, Extents, INODE_LEN, Inode, decode_extents, encode_extents, extent_key, extent_prefix, extent_start, inode_key,
};
use super::snapshot::Page;
use crate::error::Result;
use crate::metalog::{GUARD_SPACE, Meta, MetaTxn, delete_space, put_space};
use crate::units::{Ino, PageNo, PoolFrame};

/// Bytes in the key of an extent record, and in that of an inode.
const KEY: usize = 17;
const INODE_KEY: usize = 9;
/// Bytes that an extent record takes in a log record at the most.
const CHUNK_SPACE: usize = put_space(KEY, EXTENT_PAGES * 8);

/// Pool frames, as (first, count).
pub(crate) type Runs = Vec<(PoolFrame, u32)>;

/// What is left of a record for the pages of a flush, each of which is told in ascending order.
pub(crate) struct Room {
    left: usize,
    chunk: Option<u64>,
}

impl Room {
    /// All that a record has beside the inode; with `cut`, half of it is for the extents that are deleted.
    pub(crate) fn new(meta: &Meta, cut: bool) -> Self {
        let room = meta.record_room() - put_space(INODE_KEY, INODE_LEN) - CHUNK_SPACE;
        Room { left: if cut { room / 2 } else { room }, chunk: None }
    }

    /// Whether the next page has room.
    pub(crate) fn takes(&mut self, page: PageNo) -> bool {
        let chunk = Some(page.get() / EXTENT_PAGES as u64);
        let space = GUARD_SPACE + if chunk == self.chunk { 0 } else { CHUNK_SPACE };
        let Some(left) = self.left.checked_sub(space) else { return false };
        *self = Room { left, chunk };
        true
    }
}

/// Deletes the extents of the pages [`from`, `to`), but no more than the first `most` records of them; whether that was all.
pub(crate) fn clear_extents(txn: &mut MetaTxn<'_>, ino: Ino, (from, to): (PageNo, PageNo), most: usize, freed: &mut Runs) -> Result<bool> {
    let prefix = extent_prefix(ino);
    let (mut changes, mut all) = (Vec::new(), true);
    for pair in txn.scan(&prefix, &extent_key(ino, from))? {
        let (key, value) = pair?;
        let start = extent_start(key)?;
        if start >= to {
            break;
        }
        if changes.len() == most {
            all = false;
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
    Ok(all)
}

/// How many pages a list of runs has.
pub(crate) fn count(runs: &Runs) -> u64 {
    runs.iter().map(|(_, count)| u64::from(*count)).sum()
}

impl Fs {
    /// How many extent records one log record deletes, beside what else is in it: more have records of their own.
    pub(crate) fn most_cleared(&self) -> usize {
        self.meta.record_room() / 2 / delete_space(KEY)
    }

    /// Deletes the extents of the pages from `from` on, which nothing needs any more, until no more are left than one record can delete.
    #[cold]
    pub(crate) fn clear_beforehand(&self, ino: Ino, from: PageNo) -> Result<()> {
        loop {
            let (mut txn, mut freed) = (self.meta.begin()?, Runs::new());
            let Some(mut inode) = Inode::load(&txn, ino)? else { return Ok(()) };
            if clear_extents(&mut txn, ino, (from, PageNo::new(u64::MAX)), self.most_cleared(), &mut freed)? {
                return Ok(());
            }
            inode.attr.pages = inode.attr.pages.saturating_sub(count(&freed));
            txn.put(&inode_key(ino), &inode.encode())?;
            let seq = txn.commit()?;
            self.pool_free(&freed, seq);
        }
    }
}

/// Writes the extents of flushed pages, which are in ascending order.
pub(crate) fn put_extents(txn: &mut MetaTxn<'_>, ino: Ino, pages: &[Page], freed: &mut Runs) -> Result<()> {
    let chunk = |page: &Page| page.no.get() / EXTENT_PAGES as u64;
    pages.chunk_by(|a, b| chunk(a) == chunk(b)).try_for_each(|pages| put_chunk(txn, ino, pages, freed))
}

/// As [`put_extents`], for pages of one chunk.
fn put_chunk(txn: &mut MetaTxn<'_>, ino: Ino, pages: &[Page], freed: &mut Runs) -> Result<()> {
    let key = extent_key(ino, pages[0].no);
    let mut extents = Extents::of(txn.get(&key)?)?;
    for page in pages {
        if let Some(old) = extents.replace((page.no.get() % EXTENT_PAGES as u64) as usize, page.to) {
            add_run(freed, old.frame);
        }
    }
    match extents.record() {
        [] => txn.delete(&key).map(drop),
        record => txn.put(&key, record),
    }
}

fn add_run(runs: &mut Runs, frame: PoolFrame) {
    match runs.last_mut() {
        Some((first, count)) if first.plus(*count) == frame => *count += 1,
        _ => runs.push((frame, 1)),
    }
}
