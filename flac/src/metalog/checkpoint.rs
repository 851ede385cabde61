//! Checkpoint files: all pairs of the KV in key order, in checksummed blocks. Independent of LMDB's own format, version and page size.

use super::POSITION_KEY;
use crate::checksum;
use crate::error::{Error, Result};
use crate::kv::{Kv, ReadTxn};
use crate::media::Pool;
use crate::media::aside::with_room;
use crate::media::file::{self, File, PageBuffer};
use crate::media::layout::{self, BLOCK_HEADER, CheckpointHeader, HEADER, Position};
use crate::sync::Liveness;
use crate::units::{PAGE, Seq};
use rustix::fs::OFlags;
use std::path::{Path, PathBuf};

/// No block is longer: no value is longer than a log.
const BLOCK_MAX: usize = 1 << 30;
/// Keys that begin with this byte are not part of the state; in a checkpoint the key of this byte alone is padding.
const RESERVED: u8 = 0;

/// Bytes of the pair with an empty value that fills a page.
const PAD_LEAST: usize = 7;

pub(super) const WRITING: &str = "writing a checkpoint";

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
    checksum::of(uuid)
}

/// A checkpoint that is being written, and how far it has got. Its file has another name until it is whole.
///
/// It is written past the page cache, in whole pages, over the file of an older checkpoint where there is one: then the file system has nothing to
/// allocate, to journal, or to free, which it would do for 200 MB at a time.
pub(crate) struct Work {
    /// The place in the log from which on records are to be applied to it.
    pub position: Position,
    /// The token of the process that began it, and which of its threads; no thread where that one makes it alone, beside the one that is made in steps.
    pub writer: [i32; 2],
    pub stage: Stage,
    /// Bytes and pairs written, and the last key.
    pub at: u64,
    pub pairs: u32,
    pub key: Vec<u8>,
}

/// What is to be done next for a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Pairs are to be written.
    Write,
    /// All pairs are written, none of them newer than this record: the log is to be made durable up to there.
    Log(Seq),
    /// The data frames, too.
    Frames(Seq),
    /// The file itself, and then its name.
    Name(Seq),
}

impl Work {
    /// Makes the file of a checkpoint that begins at `position`, which is committed, for the process with this token. `alone`: nobody goes on with it but the caller, who has the writer lock.
    pub(crate) fn begin(dir: &Path, position: &Position, token: u32, alone: bool) -> Result<Work> {
        let thread = if alone { 0 } else { rustix::thread::gettid().as_raw_nonzero().get() };
        let work = Work {
            position: *position,
            writer: [token.cast_signed(), thread],
            stage: Stage::Write,
            at: HEADER as u64,
            pairs: 0,
            key: Vec::new(),
        };
        let path = work.path(dir);
        let _ = file::remove(&path);
        // One that no recovery needs any more: the log behind it is written over.
        let made = list(dir)?;
        let needed = position.generation.saturating_sub(1);
        let old = made.first().copied().filter(|oldest| *oldest < needed && made.last() >= Some(&needed));
        match old.map(|old| file::rename(&self::path(dir, old), &path)) {
            // Before it is written over: under its own name it would be a damaged checkpoint.
            Some(Ok(())) => file::sync_dir(dir).map_err(Error::io(WRITING)),
            _ => with_room(|| File::create_new(&path).map(drop)).map_err(Error::io(WRITING)),
        }
        .inspect_err(|_| work.discard(dir))?;
        Ok(work)
    }

    fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("checkpoint.new.{}.{}", self.writer[0], self.writer[1]))
    }

    /// Opens the file.
    pub(crate) fn open(&self, dir: &Path) -> rustix::io::Result<File> {
        let open = |flags| File::open_briefly(&self.path(dir), OFlags::RDWR | flags);
        open(OFlags::DIRECT).or_else(|_| open(OFlags::empty()))
    }

    /// Removes the file.
    pub(crate) fn discard(&self, dir: &Path) {
        let _ = file::remove(&self.path(dir));
    }

    /// Adds a block of about `bytes` bytes with the pairs that follow in `snapshot`; whether these were the last.
    pub(crate) fn add(&mut self, file: &File, snapshot: &ReadTxn<'_>, bytes: usize) -> Result<bool> {
        let mut block = Vec::with_capacity(bytes + bytes / 8);
        block.resize(BLOCK_HEADER, 0);
        let (mut pairs, mut last, mut all) = (0, None, true);
        let from = if self.key.is_empty() { &[RESERVED + 1] } else { &self.key[..] };
        for pair in snapshot.scan(b"", from)? {
            let (key, value) = pair?;
            if key == self.key {
                continue;
            }
            put_pair(&mut block, key, value);
            pairs += 1;
            last = Some(key);
            if block.len() >= bytes {
                all = false;
                break;
            }
        }
        if let Some(key) = last {
            let full = (self.at as usize + block.len() + PAD_LEAST).next_multiple_of(PAGE) - self.at as usize;
            let pad = full - block.len() - PAD_LEAST;
            put_pair(&mut block, &[RESERVED], &vec![0; pad]);
            pairs += 1;
            layout::seal_block(&mut block, pairs);
            self.write(file, &block)?;
            self.key = key.to_vec();
            self.pairs = self.pairs.wrapping_add(pairs);
        }
        Ok(all)
    }

    /// Writes whole pages. The header before the first block is empty until the end.
    fn write(&mut self, file: &File, block: &[u8]) -> Result<()> {
        let before = self.at as usize % PAGE;
        let mut pages = PageBuffer::new(before + block.len());
        pages.as_mut_slice()[before..].copy_from_slice(block);
        file.write_at(pages.as_slice(), self.at - before as u64).map_err(Error::io(WRITING))?;
        self.at += block.len() as u64;
        Ok(())
    }

    /// Ends the blocks.
    pub(crate) fn close(&mut self, file: &File) -> Result<()> {
        let mut end = vec![0; PAGE - self.at as usize % PAGE];
        layout::seal_block(&mut end[..BLOCK_HEADER], self.pairs);
        self.write(file, &end)
    }

    /// Makes the file durable under its name, replacing an older checkpoint of the same generation. Record `whole`, which none of its pairs is newer
    /// than, is durable, and so are the data frames.
    pub(crate) fn seal(&self, dir: &Path, uuid: &[u8; 16], file: &File, whole: Seq) -> Result<()> {
        let io = || Error::io(WRITING);
        let mut page = PageBuffer::new(PAGE);
        file.read_at(page.as_mut_slice(), 0).map_err(io())?;
        let header = CheckpointHeader { position: self.position, pool: fold(uuid), whole };
        page.as_mut_slice()[..HEADER].copy_from_slice(&header.encode());
        file.write_at(page.as_slice(), 0).map_err(io())?;
        file.sync_data().map_err(io())?;
        file::rename(&self.path(dir), &path(dir, self.position.generation)).map_err(io())?;
        file::sync_dir(dir).map_err(io())
    }
}

fn put_pair(block: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    block.extend_from_slice(&(key.len() as u16).to_le_bytes());
    block.extend_from_slice(&(value.len() as u32).to_le_bytes());
    block.extend_from_slice(key);
    block.extend_from_slice(value);
}

/// Removes the checkpoints older than generation `oldest`, and what dead processes left half written.
pub(crate) fn remove_older(dir: &Path, oldest: u64, who: &dyn Liveness) {
    for generation in list(dir).unwrap_or_default() {
        if generation < oldest {
            let _ = file::remove(&path(dir, generation));
        }
    }
    for name in file::names_in(dir).unwrap_or_default() {
        let token = std::str::from_utf8(&name).ok().and_then(|n| n.strip_prefix("checkpoint.new.")?.split('.').next()?.parse().ok());
        // A token, and no number of a process: that means something in its own namespace only.
        if token.is_some_and(|token| !who.token_alive(token)) {
            let _ = file::remove(&dir.join(std::ffi::OsStr::new(std::str::from_utf8(&name).unwrap_or_default())));
        }
    }
}

/// Reads the checkpoint of `generation`, checks all of it, and hands each pair to `take` in key order. Gives the place in the log where it was begun, and
/// the record that the log behind must reach for it to be a whole state.
///
/// # Errors
/// `Corrupt` if anything is wrong with the file; pairs may have been handed over by then.
pub(crate) fn read(
    dir: &Path,
    uuid: &[u8; 16],
    generation: u64,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<(Position, Seq)> {
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
            return if pairs == total { Ok((header.position, header.whole)) } else { Err(damaged("lacks pairs")) };
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
        if key != [RESERVED] {
            take(key, value)?;
        }
        pairs += 1;
        content = rest;
    }
    Ok(Some(pairs))
}

/// Fills the empty `kv` from the checkpoint of `generation`.
pub(crate) fn load(pool: &Pool, generation: u64, kv: &Kv) -> Result<(Position, Seq)> {
    /// Bytes put in one transaction.
    const BATCH: usize = 16 << 20;
    let size =
        File::open(&path(pool.dir(), generation), OFlags::RDONLY).and_then(|f| f.len()).map_err(Error::io("reading a checkpoint"))?;
    // Pages are filled almost completely when keys come in order; headers of nodes and half-empty last pages take the rest.
    kv.reserve(size + size / 2 + (4 << 20))?;
    let mut txn = Some(kv.write_bulk()?);
    let mut bytes = 0;
    let start = read(pool.dir(), &pool.uuid(), generation, |key, value| {
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
    Ok(start)
}

const _: () = assert!(POSITION_KEY[0] == RESERVED);
