//! The two log files: generation `n` lies in `log.(n mod 2)`.

use super::map::{LogMap, open_log};
use super::record::follows;
use super::tail::ImageMap;
use crate::error::{Error, Result};
use crate::media::device::Device;
use crate::media::file::File;
use crate::media::layout::{self, LOG_START, LogHeader, Position, RECORD_HEADER, RecordHeader};
use crate::media::{Medium, Pool};
use crate::units::Seq;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes at the end of a log that ordinary records leave free, for the record with which a recovery begins its epoch.
pub(crate) const EPOCH_ROOM: u64 = 128;

/// So much memory an image has from the start: with it the log goes on, though with many checkpoints, when the tmpfs is full.
const LEAST: u64 = 1 << 20;

/// Bytes of the next record that are asked for in advance: that of a creation has 310.
const NEXT: u64 = 384;

/// The file that holds generation `generation`.
pub(crate) fn log_path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("log.{}", generation % 2))
}

/// Both logs, mapped.
pub(crate) struct Logs {
    maps: [LogMap; 2],
    uuid: [u8; 16],
    /// The file with the hint; `None` on a medium where nothing survives a power cut.
    hints: Option<Arc<File>>,
    device: Device,
}

impl Logs {
    /// The logs of `pool`: their `images`, or mapped.
    pub(super) fn open(pool: &Pool, images: Option<[ImageMap; 2]>) -> Result<Logs> {
        let path = |slot| log_path(pool.dir(), slot);
        let map = |slot| LogMap::open(&path(slot), pool.log_bytes(), pool.medium() == Medium::Dax, pool.is_immediate());
        let maps = match images {
            Some([first, second]) => [LogMap::of_image(&path(0), first)?, LogMap::of_image(&path(1), second)?],
            None => [map(0)?, map(1)?],
        };
        let hints = (!pool.is_volatile()).then(|| pool.marks());
        Ok(Logs { maps, uuid: pool.uuid(), hints, device: pool.device() })
    }

    /// As [`Logs::open`], with empty images, which are filled as far as the log is in use up to `end`.
    pub(super) fn make(pool: &Pool, images: Option<[ImageMap; 2]>, end: &Position) -> Result<Logs> {
        if images.is_none() {
            return Self::open(pool, images);
        }
        if end.tail > pool.log_bytes() {
            return Err(Error::Corrupt(
                "the pool's checkpoint is damaged (it names a place outside the log): restore the pool from a copy".into(),
            ));
        }
        let logs = Self::open(pool, images)?;
        for (generation, used) in [(end.generation, end.tail), (end.generation + 1, LOG_START)] {
            let mut bytes = vec![0; used as usize];
            let file = open_log(&log_path(pool.dir(), generation), pool.log_bytes())?;
            file.read_at(&mut bytes, 0).map_err(Error::io("reading the log"))?;
            logs.map(generation).ensure(used.max(LEAST))?;
            logs.map(generation).write(0, &bytes);
            // Recovery has read all of it. What stayed in the page cache, each write past it would have to throw out, page by page.
            let _ = file.with(|fd| rustix::fs::fadvise(fd, 0, None, rustix::fs::Advice::DontNeed));
        }
        Ok(logs)
    }

    fn map(&self, generation: u64) -> &LogMap {
        &self.maps[(generation % 2) as usize]
    }

    /// Bytes in one log.
    pub(crate) fn len(&self) -> u64 {
        self.maps[0].len()
    }

    /// Bytes that records behind `position` may take.
    pub(crate) fn room(&self, position: &Position) -> u64 {
        (self.len() - EPOCH_ROOM).saturating_sub(position.tail)
    }

    /// Whether the log holds generation `generation`.
    pub(crate) fn holds(&self, generation: u64) -> bool {
        self.header(generation).is_some_and(|h| h.generation == generation && h.uuid == self.uuid)
    }

    fn header(&self, generation: u64) -> Option<LogHeader> {
        let mut bytes = [0; LOG_START as usize];
        self.map(generation).read(0, &mut bytes);
        LogHeader::newest(&bytes)
    }

    /// Prepares for [`Logs::begin_generation`] of generation `generation`; it may begin later, or not at all.
    pub(crate) fn prepare(&self, generation: u64) -> Result<()> {
        let map = self.map(generation);
        map.ensure(LOG_START)?;
        // The copy of the header that was here before may not have reached the medium since it was written.
        map.flush(0, LOG_START, true, None, &self.device).map_err(Error::io("flushing the log"))
    }

    /// Begins the generation behind `position`, which was prepared ([`Logs::prepare`]), and gives the position at its start. The generation before the current one is lost.
    /// The header's second copy stays until the first is durable: a torn one means that the switch was not completed.
    pub(crate) fn begin_generation(&self, position: &Position) -> Result<Position> {
        let generation = position.generation + 1;
        let salt = random()?;
        let header = LogHeader { generation, base: position.seq, salt, uuid: self.uuid };
        self.map(generation).write(0, &header.encode());
        Ok(Position { generation, tail: LOG_START, seq: position.seq, salt, known: position.seq })
    }

    /// The record behind `position`, if there is one, with its header: what a killed writer left.
    pub(crate) fn record_at(&self, position: &Position) -> Option<(RecordHeader, Vec<u8>)> {
        let map = self.map(position.generation);
        if position.tail + RECORD_HEADER as u64 > map.len() {
            return None;
        }
        let mut header = [0; RECORD_HEADER];
        map.read(position.tail, &mut header);
        let peeked = RecordHeader::peek(&header).filter(|h| follows(position, h))?;
        if position.tail + RECORD_HEADER as u64 + u64::from(peeked.len) > map.len() {
            return None;
        }
        let mut record = vec![0; RECORD_HEADER + peeked.len as usize];
        map.read(position.tail, &mut record);
        let (header, _) = RecordHeader::decode(&record)?;
        record.drain(..RECORD_HEADER);
        Some((header, record))
    }

    /// Whether a log has these bytes at all: `None` if they lie outside.
    pub(crate) fn contains(&self, at: u64, len: u64) -> Option<()> {
        at.checked_add(len).filter(|end| *end <= self.len()).map(drop)
    }

    /// Copies bytes of generation `generation` out; `None` if they lie outside.
    pub(crate) fn copy(&self, generation: u64, at: u64, to: &mut [u8]) -> Option<()> {
        self.contains(at, to.len() as u64)?;
        self.map(generation).read(at, to);
        Some(())
    }

    /// Bytes of generation `generation` that nobody changes while the caller has the writer lock: those of records behind which the log goes on; `None` if they lie outside.
    pub(crate) fn bytes(&self, generation: u64, at: u64, len: usize) -> Option<&[u8]> {
        self.contains(at, len as u64)?;
        Some(self.map(generation).bytes(at, len))
    }

    /// Whether generation `generation` has `bytes` at `at`; `None` if that lies outside.
    pub(crate) fn compare(&self, generation: u64, at: u64, bytes: &[u8]) -> Option<bool> {
        const PIECE: usize = 64;
        self.contains(at, bytes.len() as u64)?;
        let mut piece = [0; PIECE];
        Some(bytes.chunks(PIECE).zip(0..).all(|(bytes, nth)| {
            self.map(generation).read(at + nth * PIECE as u64, &mut piece[..bytes.len()]);
            piece[..bytes.len()] == *bytes
        }))
    }

    /// Writes a sealed record behind `position`, where there is room for it ([`Logs::ensure`]). Panics if it does not fit.
    ///
    /// # Durability
    /// That of [`LogMap::write`].
    pub(crate) fn append(&self, position: &Position, record: &[u8]) {
        let map = self.map(position.generation);
        map.write(position.tail, record);
        // Of the next one: whoever begins a change looks there for what a killed writer left, then writes.
        map.expect_writes(position.tail + record.len() as u64, NEXT);
    }

    /// Makes the record behind `position`, which a killed writer left, as durable as one whose [`Logs::append`] returned.
    pub(crate) fn adopt(&self, position: &Position, header: &RecordHeader) {
        self.map(position.generation).adopt(position.tail, header.space() as usize);
    }

    /// As [`Logs::adopt`], for the whole generation of `position`.
    pub(crate) fn adopt_all(&self, position: &Position) {
        self.map(position.generation).adopt(0, position.tail as usize);
    }

    /// Makes the bytes behind `position` no record.
    pub(crate) fn cut(&self, position: &Position) {
        self.map(position.generation).write(position.tail, &[0; RECORD_HEADER]);
    }

    /// Whether the log behind `position`, in which there are records, gets no memory for `space` bytes more: then it is as good as full, for the other one has some.
    pub(crate) fn is_out_of_memory(&self, position: &Position, space: u64) -> bool {
        position.tail > LOG_START && self.ensure(position, space).is_err_and(|e| e.errno() == libc::ENOSPC)
    }

    /// Makes room in memory for a record of `space` bytes behind `position`.
    pub(crate) fn ensure(&self, position: &Position, space: u64) -> Result<()> {
        self.map(position.generation).ensure(position.tail + space)
    }

    /// The file of `generation`, through the page cache; `None` where it can't be opened, or is what is mapped.
    pub(super) fn cached(&self, generation: u64) -> Option<File> {
        self.map(generation).cached()
    }

    /// As [`LogMap::write_back`].
    pub(super) fn write_back(&self, generation: u64, from: u64, to: u64, cached: &File) -> Result<()> {
        self.map(generation).write_back(from, to, cached).map_err(Error::io("writing the log"))
    }

    /// Makes the bytes of `position`'s generation from `from` to `position` durable; `all` and `early` as in [`LogMap::flush`].
    pub(crate) fn flush(&self, position: &Position, from: u64, all: bool, early: Option<(&File, u64)>) -> Result<()> {
        let map = self.map(position.generation);
        #[cfg(test)]
        super::tests::before_flush(map, position.generation, from, position.tail);
        map.flush(from, position.tail, all, early, &self.device).map_err(Error::io("flushing the log"))?;
        if from == 0
            && let Some(durable) = self.header(position.generation)
        {
            map.write(layout::LOG_HEADER_COPY, &durable.encode());
            map.give(0, LOG_START).map_err(Error::io("writing the log"))?;
        }
        Ok(())
    }

    /// Leaves a note that `seq` is durable. The note itself reaches the medium whenever the kernel likes.
    pub(crate) fn hint(&self, generation: u64, seq: Seq) {
        if let Some(file) = &self.hints {
            let _ = file.write_at(&layout::encode_hint(generation, seq), layout::HINT_AT);
        }
    }
}

/// A random number.
pub(crate) fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(Error::io("getrandom"))?;
    Ok(u64::from_le_bytes(bytes))
}
