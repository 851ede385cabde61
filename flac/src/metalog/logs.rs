//! The two log files: generation `n` lies in `log.(n mod 2)`.

use super::map::LogMap;
use super::record::{advance, follows};
use crate::error::{Error, Result};
use crate::media::Pool;
use crate::media::layout::{self, LOG_START, LogHeader, Position, RECORD_HEADER, RecordHeader};
use crate::units::Seq;
use std::path::{Path, PathBuf};

/// Bytes at the end of a log that ordinary records leave free, for the record with which a recovery begins its epoch.
pub(crate) const EPOCH_ROOM: u64 = 128;

/// The file that holds generation `generation`.
pub(crate) fn log_path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("log.{}", generation % 2))
}

/// Both logs, mapped.
pub(crate) struct Logs {
    maps: [LogMap; 2],
    uuid: [u8; 16],
}

impl Logs {
    /// Maps the logs of `pool`.
    pub(crate) fn open(pool: &Pool) -> Result<Logs> {
        let sync = pool.medium() == crate::media::Medium::Dax;
        let map = |slot| LogMap::open(&log_path(pool.dir(), slot), pool.log_bytes(), sync, pool.is_immediate());
        Ok(Logs { maps: [map(0)?, map(1)?], uuid: pool.uuid() })
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

    /// Begins the generation behind `position` and gives the position at its start. The generation before the current one is lost.
    /// The header's second copy stays until the first is durable: a torn one means that the switch was not completed.
    pub(crate) fn begin_generation(&self, position: &Position) -> Result<Position> {
        let generation = position.generation + 1;
        let salt = random()?;
        let header = LogHeader { generation, base: position.seq, salt, uuid: self.uuid };
        // The copy of the header that was here before may not have reached the medium since it was written.
        self.map(generation).flush(0, LOG_START).map_err(Error::io("flushing the log"))?;
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

    /// Writes a sealed record behind `position` and gives the position behind it. Panics if it does not fit.
    ///
    /// # Durability
    /// That of [`LogMap::write`].
    pub(crate) fn append(&self, position: &Position, header: &RecordHeader, record: &[u8]) -> Position {
        self.map(position.generation).write(position.tail, record);
        advance(position, header, &record[RECORD_HEADER..])
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

    /// Makes the log durable up to `position`, with its header if `header`.
    pub(crate) fn flush(&self, position: &Position, header: bool) -> Result<()> {
        let from = if header { 0 } else { LOG_START };
        #[cfg(test)]
        if super::tests::before_flush(position.generation, from, position.tail) {
            return Ok(());
        }
        let map = self.map(position.generation);
        map.flush(from, position.tail).map_err(Error::io("flushing the log"))?;
        if header && let Some(durable) = self.header(position.generation) {
            map.write(layout::LOG_HEADER_COPY, &durable.encode());
        }
        Ok(())
    }

    /// Leaves a note that `seq` is durable. The note itself reaches the medium whenever the kernel likes.
    pub(crate) fn hint(&self, generation: u64, seq: Seq) {
        self.map(generation).write_lazily(layout::HINT_AT, &layout::encode_hint(generation, seq));
    }
}

/// A random number.
pub(crate) fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(Error::io("getrandom"))?;
    Ok(u64::from_le_bytes(bytes))
}
