//! The extents of an inode in a metadata change: where in the pool its pages lie.

use super::record::{EXTENT_PAGES, Extent, Extents, decode_extents, encode_extents, extent_key, extent_prefix, extent_start};
use super::snapshot::Page;
use crate::error::Result;
use crate::metalog::MetaTxn;
use crate::units::{Ino, PageNo, PoolFrame};

/// Pool frames, as (first, count).
pub(crate) type Runs = Vec<(PoolFrame, u32)>;

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
