//! Checkpoint files: all pairs of the KV in key order, in checksummed blocks. Independent of LMDB's own format, version and page size.

use super::POSITION_KEY;
use crate::error::{Error, Result};
use crate::kv::{Kv, ReadTxn};
use crate::media::Pool;
use crate::media::file::{self, File};
use crate::media::layout::{self, BLOCK_HEADER, CheckpointHeader, HEADER, Position};
use rustix::fs::OFlags;
use std::path::{Path, PathBuf};

/// A block is closed when it has this many bytes.
const BLOCK: usize = 256 << 10;
/// No block is longer: one pair may exceed [`BLOCK`], and no value is longer than a log.
const BLOCK_MAX: usize = 1 << 30;
/// Keys that begin with this byte are not part of the state.
const RESERVED: u8 = 0;

const WRITING: &str = "writing a checkpoint";

/// The file of the checkpoint that begins in generation `generation` of the log.
pub(crate) fn path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("checkpoint.{generation}"))
}

/// The generations of which `dir` has a checkpoint, oldest first.
pub(crate) fn list(dir: &Path) -> Result<Vec<u64>> {
    let names = file::names_in(dir).map_err(|e| file::unusable(dir, e))?;
    let generation = |name: &Vec<u8>| std::str::from_utf8(name).ok()?.strip_prefix("checkpoint.")?.parse().ok();
    let mut generations: Vec<u64> = names.iter().filter_map(generation).collect();
    generations.sort_unstable();
    Ok(generations)
}

/// The pool's identity as checkpoints have it.
fn fold(uuid: &[u8; 16]) -> u32 {
    crc32c::crc32c(uuid)
}

/// Writes the state that `snapshot` sees, and makes it durable, data frames included. Replaces an older checkpoint of the same generation.
pub(crate) fn write(
    dir: &Path,
    uuid: &[u8; 16],
    snapshot: &ReadTxn<'_>,
    position: &Position,
    flush_data: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let io = || Error::io(WRITING);
    let new =
        dir.join(format!("checkpoint.new.{}.{}", rustix::process::getpid().as_raw_nonzero(), rustix::thread::gettid().as_raw_nonzero()));
    let _ = file::remove(&new);
    let file = File::create_new(&new).map_err(io())?;
    let written = write_pairs(&file, uuid, snapshot, position).and_then(|()| {
        flush_data()?;
        file.sync_data().map_err(io())?;
        file::rename(&new, &path(dir, position.generation)).map_err(io())?;
        file::sync_dir(dir).map_err(io())
    });
    if written.is_err() {
        let _ = file::remove(&new);
    }
    written
}

fn write_pairs(file: &File, uuid: &[u8; 16], snapshot: &ReadTxn<'_>, position: &Position) -> Result<()> {
    let header = CheckpointHeader { position: *position, pool: fold(uuid) };
    file.write_at(&header.encode(), 0).map_err(Error::io(WRITING))?;
    let mut at = HEADER as u64;
    let mut block = vec![0; BLOCK_HEADER];
    let (mut pairs, mut total) = (0u32, 0u32);
    let mut close = |block: &mut Vec<u8>, pairs: u32| {
        layout::seal_block(block, pairs);
        file.write_at(block, at).map_err(Error::io(WRITING))?;
        at += block.len() as u64;
        block.truncate(BLOCK_HEADER);
        Ok(())
    };
    for pair in snapshot.scan(b"", &[RESERVED + 1])? {
        let (key, value) = pair?;
        block.extend_from_slice(&(key.len() as u16).to_le_bytes());
        block.extend_from_slice(&(value.len() as u32).to_le_bytes());
        block.extend_from_slice(key);
        block.extend_from_slice(value);
        pairs += 1;
        total = total.wrapping_add(1);
        if block.len() >= BLOCK {
            close(&mut block, std::mem::take(&mut pairs))?;
        }
    }
    if block.len() > BLOCK_HEADER {
        close(&mut block, pairs)?;
    }
    close(&mut block, total)
}

/// Removes the checkpoints older than generation `oldest`, and what dead processes left half written.
pub(crate) fn remove_older(dir: &Path, oldest: u64) {
    for generation in list(dir).unwrap_or_default() {
        if generation < oldest {
            let _ = file::remove(&path(dir, generation));
        }
    }
    for name in file::names_in(dir).unwrap_or_default() {
        let writer = std::str::from_utf8(&name).ok().and_then(|n| n.strip_prefix("checkpoint.new.")?.split('.').next()?.parse().ok());
        let Some(writer) = writer.and_then(rustix::process::Pid::from_raw) else {
            continue;
        };
        if rustix::process::test_kill_process(writer) == Err(rustix::io::Errno::SRCH) {
            let _ = file::remove(&dir.join(std::ffi::OsStr::new(std::str::from_utf8(&name).unwrap_or_default())));
        }
    }
}

/// Reads the checkpoint of `generation`, checks all of it, and hands each pair to `take` in key order.
///
/// # Errors
/// `Corrupt` if anything is wrong with the file; pairs may have been handed over by then.
pub(crate) fn read(dir: &Path, uuid: &[u8; 16], generation: u64, mut take: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<Position> {
    let path = path(dir, generation);
    let damaged = |what: &str| Error::Corrupt(format!("{} {what}: restore the pool from a copy", path.display()));
    let io = || Error::io("reading a checkpoint");
    let file = File::open(&path, OFlags::RDONLY).map_err(io())?;
    let mut head = [0; HEADER];
    file.read_at(&mut head, 0).map_err(io())?;
    let header = CheckpointHeader::decode(&head).ok_or_else(|| damaged("has a damaged header"))?;
    if header.pool != fold(uuid) || header.position.generation != generation {
        return Err(damaged("belongs to another pool or place"));
    }
    let mut at = HEADER as u64;
    let mut total = 0u32;
    let mut content = Vec::new();
    loop {
        let mut head = [0; BLOCK_HEADER];
        let whole = file.read_at(&mut head, at).map_err(io())? == BLOCK_HEADER;
        let (len, pairs, _) = layout::peek_block(&head);
        if !whole || len as usize > BLOCK_MAX {
            return Err(damaged(&format!("ends early or is damaged at byte {at}")));
        }
        content.resize(len as usize, 0);
        let whole = file.read_at(&mut content, at + BLOCK_HEADER as u64).map_err(io())? == content.len();
        if !whole || !layout::block_is_sound(&head, &content) {
            return Err(damaged(&format!("fails its checksum at byte {at}")));
        }
        if len == 0 {
            return if pairs == total { Ok(header.position) } else { Err(damaged("lacks pairs")) };
        }
        let taken = take_pairs(&content, &mut take)?;
        if taken != Some(pairs) {
            return Err(damaged(&format!("makes no sense at byte {at}")));
        }
        total = total.wrapping_add(pairs);
        at += (BLOCK_HEADER + content.len()) as u64;
    }
}

fn take_pairs(mut content: &[u8], take: &mut impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<Option<u32>> {
    let mut pairs = 0;
    while !content.is_empty() {
        let Some((lens, rest)) = content.split_at_checked(6) else {
            return Ok(None);
        };
        let key_len = u16::from_le_bytes([lens[0], lens[1]]) as usize;
        let value_len = u32::from_le_bytes([lens[2], lens[3], lens[4], lens[5]]) as usize;
        let Some((key, rest)) = rest.split_at_checked(key_len) else {
            return Ok(None);
        };
        let Some((value, rest)) = rest.split_at_checked(value_len) else {
            return Ok(None);
        };
        take(key, value)?;
        pairs += 1;
        content = rest;
    }
    Ok(Some(pairs))
}

/// Fills the empty `kv` from the checkpoint of `generation`.
pub(crate) fn load(pool: &Pool, generation: u64, kv: &Kv) -> Result<Position> {
    /// Bytes put in one transaction.
    const BATCH: usize = 16 << 20;
    let size =
        File::open(&path(pool.dir(), generation), OFlags::RDONLY).and_then(|f| f.len()).map_err(Error::io("reading a checkpoint"))?;
    // Pages are filled almost completely when keys come in order; headers of nodes and half-empty last pages take the rest.
    kv.reserve(size + size / 2 + (4 << 20))?;
    let mut txn = Some(kv.write_bulk()?);
    let mut bytes = 0;
    let position = read(pool.dir(), &pool.uuid(), generation, |key, value| {
        let open = match txn.as_mut() {
            Some(open) => open,
            None => txn.insert(kv.write_bulk()?),
        };
        open.append(key, value)?;
        bytes += key.len() + value.len();
        if bytes > BATCH {
            bytes = 0;
            txn.take().map_or(Ok(()), |txn| txn.commit())?;
        }
        Ok(())
    })?;
    txn.take().map_or(Ok(()), |txn| txn.commit())?;
    Ok(position)
}

const _: () = assert!(POSITION_KEY[0] == RESERVED);
