//! Recovery: from the files of the pool to a KV and the position behind its last record.

use super::logs::log_path;
use super::map::open_log;
use super::record::{Part, advance, follows, parts};
use super::{checkpoint, closed};
use crate::checksum;
use crate::error::{Error, Result};
use crate::kv::Kv;
use crate::media::Pool;
use crate::media::file::File;
use crate::media::layout::{self, LOG_START, LogHeader, Position, RECORD_ALIGN, RECORD_HEADER, RecordHeader};
use crate::units::{PAGE, PoolFrame, Seq};
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::path::Path;

/// Pages written in one go when data is restored.
const RUN: usize = 256;

/// Bytes of a log that are read in one go.
const PIECE: usize = 256 << 10;

/// One log file.
struct Log {
    file: File,
    len: u64,
    /// What was read of it: its start, as far as there are records.
    bytes: Vec<u8>,
    header: Option<LogHeader>,
}

/// What the logs hold behind a checkpoint.
pub(crate) struct History {
    logs: [Log; 2],
    /// The positions behind each sound record, the start first.
    positions: Vec<Position>,
    /// The last record that is known to have been durable.
    pub known: Seq,
    /// What the hint says: generation and record.
    hint: Option<(u64, Seq)>,
    /// Where the log was closed.
    closed: Option<Position>,
}

impl Log {
    fn open(dir: &Path, slot: u64, len: u64, uuid: &[u8; 16]) -> Result<Log> {
        let mut log = Log { file: open_log(&log_path(dir, slot), len)?, len, bytes: Vec::new(), header: None };
        log.reach(LOG_START)?;
        log.header = LogHeader::newest(&log.bytes).filter(|h| h.uuid == *uuid);
        Ok(log)
    }

    /// Reads up to byte `to` at least, as far as the log goes.
    fn reach(&mut self, to: u64) -> Result<()> {
        let have = self.bytes.len();
        if to.min(self.len) as usize > have {
            let more = (to.min(self.len) as usize - have).next_multiple_of(PIECE).min(self.len as usize - have);
            self.bytes.resize(have + more, 0);
            self.file.read_at(&mut self.bytes[have..], have as u64).map_err(Error::io("reading the log"))?;
        }
        Ok(())
    }

    /// The record at byte `at`, if one is there and whole.
    fn record(&mut self, at: u64) -> Result<Option<(RecordHeader, &[u8])>> {
        self.reach(at + RECORD_HEADER as u64)?;
        if let Some(header) = self.bytes.get(at as usize..).and_then(RecordHeader::peek) {
            self.reach(at + RECORD_HEADER as u64 + u64::from(header.len))?;
        }
        Ok(record_in(&self.bytes, at))
    }

    /// The largest number that a whole record behind byte `from` calls known, of those that `counts` accepts by their headers.
    fn known_behind(&self, from: u64, counts: impl Fn(&RecordHeader) -> bool) -> Result<Option<Seq>> {
        let mut known = None;
        let mut piece = vec![0; PIECE + RECORD_HEADER];
        for start in (from..self.len).step_by(PIECE) {
            let piece = &mut piece[..(PIECE + RECORD_HEADER).min((self.len - start) as usize)];
            self.file.read_at(piece, start).map_err(Error::io("reading the log"))?;
            for within in (0..piece.len().min(PIECE)).step_by(RECORD_ALIGN) {
                let Some(header) = RecordHeader::peek(&piece[within..]).filter(&counts) else { continue };
                let at = start + within as u64;
                let mut record = vec![0; (RECORD_HEADER as u64 + u64::from(header.len)).min(self.len - at) as usize];
                self.file.read_at(&mut record, at).map_err(Error::io("reading the log"))?;
                if RecordHeader::decode(&record).is_some() {
                    known = known.max(Some(header.known));
                }
            }
        }
        Ok(known)
    }
}

impl History {
    /// Reads the logs of the pool in `dir` and walks them from `start`, through record `whole` at least, which was durable.
    ///
    /// # Errors
    /// `Corrupt` if a record is damaged that is known to have been durable, or the log of the start is missing.
    pub(crate) fn read(dir: &Path, log_bytes: u64, uuid: &[u8; 16], (start, whole): (Position, Seq)) -> Result<History> {
        let logs = [Log::open(dir, 0, log_bytes, uuid)?, Log::open(dir, 1, log_bytes, uuid)?];
        let marks = File::open_briefly(&dir.join("superblock"), OFlags::RDONLY).map_err(Error::io("reading the superblock"))?;
        let (hint, closed) = (read_hint(&marks)?, closed::end(&marks)?);
        let mut history = History { logs, positions: vec![start], known: start.seq, hint, closed };
        let mut generation = start.generation;
        loop {
            let log = &history.logs[(generation % 2) as usize];
            let header = log.header.filter(|h| h.generation == generation);
            let last = *history.positions.last().expect("the start is there");
            let Some(header) = header else {
                // A power cut leaves the old header or the new one, in one of the copies at least.
                if generation == start.generation || log.header.is_none() {
                    return Err(damaged(dir, generation, 0, "has a damaged header, or that of another generation"));
                }
                break;
            };
            if generation > start.generation {
                if header.base < last.seq {
                    // Left by a switch that was not completed; the older generation went on.
                    break;
                }
                history.known = history.known.max(header.base);
                history.positions.push(Position { generation, tail: LOG_START, salt: header.salt, known: header.base, ..last });
                if header.base > last.seq {
                    return Err(damaged(dir, last.generation, last.tail, "ends before the next one begins"));
                }
            }
            history.walk(dir, generation)?;
            generation += 1;
        }
        let end = history.end();
        if end.seq < whole {
            return Err(damaged(dir, end.generation, end.tail, "ends before its checkpoint was whole"));
        }
        history.known = history.known.max(whole);
        Ok(history)
    }

    /// Walks one generation to its first record that is torn.
    fn walk(&mut self, dir: &Path, generation: u64) -> Result<()> {
        let log = &mut self.logs[(generation % 2) as usize];
        let mut at = *self.positions.last().expect("the start is there");
        while let Some((header, payload)) = log.record(at.tail)?.filter(|(header, _)| follows(&at, header)) {
            if parts(payload).any(|part| part.is_none()) {
                return Err(damaged(dir, generation, at.tail, "makes no sense"));
            }
            at = advance(&at, &header, payload);
            self.known = self.known.max(header.known);
            self.positions.push(at);
        }
        if let Some(closed) = self.closed.filter(|closed| closed.generation == generation) {
            self.known = self.known.max(closed.seq);
            if (closed.tail, closed.seq, closed.salt) == (at.tail, at.seq, at.salt) {
                return Ok(());
            }
        }
        // Whoever wrote something later may have known that what is torn now was whole once.
        let mut known = self.known;
        if let Some((g, seq)) = self.hint
            && g == generation
        {
            known = known.max(seq);
        }
        let later = log.known_behind(at.tail, |h| h.generation == generation && h.seq > at.seq && h.known > at.seq)?;
        known = later.map_or(known, |later| known.max(later));
        self.known = known.min(at.seq);
        if known > at.seq {
            return Err(damaged(dir, generation, at.tail, "is damaged where it was durable"));
        }
        Ok(())
    }

    /// Cuts the history before the first record whose data did not reach the pool. Only records that are not known to have been durable
    /// can be so.
    pub(crate) fn check_data(&mut self, pool: &Pool) -> Result<()> {
        let mut frame_bytes = crate::media::file::PageBuffer::new(PAGE);
        for i in 1..self.positions.len() {
            let (from, to) = (self.positions[i - 1], self.positions[i]);
            if to.seq <= self.known || to.seq == from.seq {
                continue;
            }
            let (_, payload) = record_in(&self.logs[(from.generation % 2) as usize].bytes, from.tail).expect("walked before");
            for part in parts(payload) {
                let Some(Part::Guard(frame, crc)) = part else {
                    continue;
                };
                if !data_is_sound(pool, frame, crc, &mut frame_bytes)? {
                    self.positions.truncate(i);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The position behind the last record.
    pub(crate) fn end(&self) -> Position {
        *self.positions.last().expect("the start is there")
    }

    /// Writes the data that records carry to the frames where it belongs: its own write may not have got there.
    ///
    /// Only what is last in the history counts: a frame that a later record guards was given to somebody else meanwhile, who wrote to it directly.
    pub(crate) fn restore_data(&self, pool: &Pool) -> Result<()> {
        let mut frames = BTreeMap::new();
        for pair in self.positions.windows(2).filter(|pair| pair[0].seq != pair[1].seq) {
            let (_, payload) = self.record_behind(&pair[0]);
            for part in parts(payload) {
                match part {
                    Some(Part::Data(frame, bytes)) => drop(frames.insert(frame, bytes)),
                    Some(Part::Guard(frame, _)) => drop(frames.remove(&frame)),
                    _ => {}
                }
            }
        }
        if frames.last_key_value().is_some_and(|(last, _)| last.get() >= pool.frames()) {
            return Err(Error::Corrupt("a log record has data for a frame outside the pool: restore the pool from a copy".into()));
        }
        let mut run = Vec::new();
        let mut frames = frames.into_iter().peekable();
        while let Some((frame, bytes)) = frames.next() {
            let end = run.len() + PAGE;
            run.extend_from_slice(bytes);
            run.resize(end, 0);
            if end == RUN * PAGE || frames.peek().is_none_or(|(next, _)| *next != frame.plus(1)) {
                let pages: Vec<&[u8]> = run.chunks_exact(PAGE).collect();
                let first = PoolFrame::new(frame.get() + 1 - pages.len() as u32);
                #[cfg(test)]
                super::tests::written_home(first, pages.len());
                pool.write_home(first, &pages)?;
                run.clear();
            }
        }
        Ok(())
    }

    fn record_behind(&self, position: &Position) -> (RecordHeader, &[u8]) {
        record_in(&self.logs[(position.generation % 2) as usize].bytes, position.tail).expect("walked before")
    }

    /// Applies every record to `kv`.
    pub(crate) fn apply(&self, kv: &Kv) -> Result<()> {
        /// Payload bytes applied in one transaction.
        const BATCH: usize = 1 << 20;
        let mut txn = kv.write()?;
        let mut bytes = 0;
        for pair in self.positions.windows(2) {
            if pair[0].seq == pair[1].seq {
                continue;
            }
            let (_, payload) = self.record_behind(&pair[0]);
            apply_payload(&mut txn, payload)?;
            bytes += payload.len();
            if bytes > BATCH {
                bytes = 0;
                txn.commit()?;
                txn = kv.write()?;
            }
        }
        txn.commit()
    }
}

/// Applies a record's puts and deletes.
pub(crate) fn apply_payload(txn: &mut crate::kv::WriteTxn<'_>, payload: &[u8]) -> Result<()> {
    for part in parts(payload) {
        match part {
            Some(Part::Put(key, value)) => txn.put(key, value)?,
            Some(Part::Delete(key)) => drop(txn.delete(key)?),
            Some(Part::Guard(..) | Part::Epoch(_) | Part::Data(..)) => {}
            None => {
                return Err(Error::Corrupt("a log record makes no sense: restore the pool from a copy".into()));
            }
        }
    }
    Ok(())
}

fn read_hint(marks: &File) -> Result<Option<(u64, Seq)>> {
    let mut bytes = [0; 24];
    marks.read_at(&mut bytes, layout::HINT_AT).map_err(Error::io("reading the superblock"))?;
    Ok(layout::decode_hint(&bytes))
}

fn record_in(log: &[u8], at: u64) -> Option<(RecordHeader, &[u8])> {
    RecordHeader::decode(log.get(at as usize..)?)
}

fn data_is_sound(pool: &Pool, frame: PoolFrame, crc: u32, bytes: &mut crate::media::file::PageBuffer) -> Result<bool> {
    if frame.get() >= pool.frames() {
        return Ok(false);
    }
    match pool.read(frame, bytes.as_mut_slice()) {
        Ok(()) => Ok(checksum::of(bytes.as_slice()) == crc),
        // The frames file did not grow durably: so nobody waited for this record.
        Err(Error::Corrupt(_)) => Ok(false),
        Err(e) => Err(e),
    }
}

fn damaged(dir: &Path, generation: u64, at: u64, what: &str) -> Error {
    Error::Corrupt(format!("{} {what} (byte {at}): restore the pool from a copy", log_path(dir, generation).display()))
}

/// Fills the empty KVs that `fresh` makes until one is whole: newest sound checkpoint, then the log. Gives that KV and its history.
pub(crate) fn rebuild(pool: &Pool, mut fresh: impl FnMut() -> Result<Kv>) -> Result<(Kv, Position)> {
    let mut newest_problem = None;
    let checkpoints = checkpoint::list(pool.dir())?;
    let newest = checkpoints.last().copied().unwrap_or(1);
    // A sound checkpoint knows of records that were durable, whatever state it is that can be had in the end.
    let mut known = Seq::new(0);
    for generation in checkpoints.into_iter().rev().map(Some).chain([None]) {
        let kv = fresh()?;
        let start = match generation {
            Some(generation) => checkpoint::load(pool, generation, &kv),
            None => first_start(pool).map(|start| (start, start.seq)),
        };
        known = start.as_ref().map_or(known, |(_, whole)| known.max(*whole));
        let history = start.and_then(|start| History::read(pool.dir(), pool.log_bytes(), &pool.uuid(), start));
        let mut history = match history {
            Ok(history) => history,
            // An older checkpoint may serve as long as its log is there. If not, the newest one's problem is the one to tell.
            Err(Error::Corrupt(why)) => {
                newest_problem.get_or_insert(Error::Corrupt(why));
                continue;
            }
            Err(e) => return Err(e),
        };
        history.check_data(pool)?;
        // A checkpoint is made durable after its generation of the log has begun durably. A history that ends before is not whole.
        if history.end().generation < newest || history.end().seq < known {
            let why = damaged(pool.dir(), newest, 0, "does not continue the one before");
            newest_problem.get_or_insert(why);
            continue;
        }
        pool.fill_holes()?;
        history.restore_data(pool)?;
        history.apply(&kv)?;
        return Ok((kv, history.end()));
    }
    Err(newest_problem.unwrap_or_else(|| Error::Corrupt(format!("{} has neither a checkpoint nor a first log", pool.dir().display()))))
}

/// Where the log of a pool without a checkpoint begins: the first generation starts with an empty state.
pub(crate) fn first_start(pool: &Pool) -> Result<Position> {
    let mut bytes = [0; LOG_START as usize];
    let file = open_log(&log_path(pool.dir(), 1), pool.log_bytes())?;
    file.read_at(&mut bytes, 0).map_err(Error::io("reading the log"))?;
    let header = LogHeader::newest(&bytes).filter(|h| h.generation == 1 && h.uuid == pool.uuid());
    let header = header.ok_or_else(|| damaged(pool.dir(), 1, 0, "has a damaged header, and there is no checkpoint"))?;
    Ok(Position { generation: 1, tail: LOG_START, seq: Seq::new(0), salt: header.salt, known: Seq::new(0) })
}
