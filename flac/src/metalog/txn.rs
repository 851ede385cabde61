//! Changing the metadata: the writer, and a transaction.

use super::logs::EPOCH_ROOM;
use super::memtable::{Found, Item, Kept, Note, ROOM, Scan, damaged, items, merge};
use super::record::{self, Part};
use super::scratch::{Held, Scratch};
use super::{Meta, POSITION_KEY, position_in, recover};
use crate::error::{Error, Result};
use crate::kv;
use crate::media::layout::{LOG_START, Position, RECORD_ALIGN, RECORD_HEADER, RecordHeader};
use crate::sync::Ordering;
use crate::units::{PoolFrame, Seq};

/// The longest key that the KV takes.
const KEY_MAX: usize = 511;

/// Whoever holds the writer lock, with everything committed before him in sight.
pub(super) struct Writer<'m> {
    meta: &'m Meta,
    pub(super) kv: kv::WriteTxn<'m>,
    pub(super) note: Note,
}

impl Meta {
    /// Waits for the writer lock, and first enters what a killed writer logged but did not enter.
    ///
    /// # Errors
    /// `Os(EDEADLK)` if this thread has a transaction already; `Io` with `ENOSPC` if the run directory or (when the log is full) the pool's file
    /// system is full.
    pub fn begin(&self) -> Result<MetaTxn<'_>> {
        self.step();
        loop {
            let writer = self.catch_up()?;
            if self.logs.room(&writer.note.position) < self.logs.len() / 8 {
                drop(writer);
                self.ensure_room()?;
                continue;
            }
            let light = writer.has_room();
            if !light && !writer.is_folded() {
                writer.fold()?;
                continue;
            }
            return Ok(MetaTxn { scratch: self.spare.take(), writer, light, bytes: 0, kept: Kept::default(), guards: false });
        }
    }

    /// Bytes that a record may hold: more is `EFBIG`.
    pub fn record_room(&self) -> usize {
        (self.logs.len() - LOG_START - EPOCH_ROOM) as usize / RECORD_ALIGN * RECORD_ALIGN - RECORD_HEADER
    }

    /// Takes the writer lock and enters what a killed writer left.
    #[inline]
    pub(super) fn catch_up(&self) -> Result<Writer<'_>> {
        loop {
            let kv = self.kv.write()?;
            let mut note = self.memtable.note();
            if note.base == kv.base() {
                if !note.is_sound(self.logs.len()) {
                    return Err(damaged());
                }
                self.memtable.mend(&note)?;
            } else {
                note = self.memtable.begin(kv.base(), position_in(kv.get(POSITION_KEY)?)?);
            }
            let mut writer = Writer { meta: self, kv, note };
            loop {
                let Some((header, payload)) = self.logs.record_at(&writer.note.position) else { return Ok(writer) };
                self.logs.adopt(&writer.note.position, &header);
                match writer.take(&header, &payload)? {
                    Some(next) => writer = next,
                    None => break,
                }
            }
        }
    }
}

impl<'m> Writer<'m> {
    /// Takes the record that a killed writer left; `None`: it is in the KV, and the lock is free again.
    fn take(mut self, header: &RecordHeader, payload: &[u8]) -> Result<Option<Writer<'m>>> {
        let position = self.note.position;
        let next = record::advance(&position, header, payload);
        let taken = items(payload).and_then(|items| {
            let fits = items.len() <= ROOM.0 && items.iter().map(Item::len).sum::<u64>() <= ROOM.1;
            if fits && self.has_room() {
                self.note = self.meta.memtable.enter(&self.note, &items, position.tail + RECORD_HEADER as u64, next);
                return Ok(true);
            }
            self.apply()?;
            recover::apply_payload(&mut self.kv, payload).map(|()| false)
        });
        match taken {
            Ok(true) => Ok(Some(self)),
            Ok(false) => self.end(&next).map(|()| None),
            Err(e) => {
                // It never took effect and nobody was told that it did: so it may go, and must, or nothing could follow.
                self.meta.logs.cut(&position);
                Err(e)
            }
        }
    }

    /// Whether another change can be entered, so that it can be folded later whatever happens.
    fn has_room(&self) -> bool {
        let (ops, bytes) = (self.note.entries + ROOM.0 + 1, self.note.bytes + ROOM.1);
        self.note.has_room() && self.kv.reserve(ops as u64, bytes).unwrap_or(false)
    }

    /// Whether the KV has everything.
    pub(super) fn is_folded(&self) -> bool {
        self.note.entries == 0
    }

    /// The newest entry of `key` in the memtable.
    fn find(&self, key: &[u8], hash: u64) -> Result<Option<Option<&[u8]>>> {
        if self.is_folded() {
            return Ok(None);
        }
        let logs = &self.meta.logs;
        self.meta.memtable.find(&self.meta.memtable.seen(&self.note), logs, key, hash, |log, at, len| logs.bytes(log, at, len))
    }

    /// Puts the entries into the KV's transaction.
    pub(super) fn apply(&mut self) -> Result<()> {
        self.kv.change_in_order(&self.meta.memtable.newest(&self.note, &self.meta.logs)?)
    }

    /// Commits the KV, which has everything up to `position`.
    pub(super) fn end(mut self, position: &Position) -> Result<()> {
        self.kv.put(POSITION_KEY, &position.encode())?;
        self.kv.commit()
    }

    /// Puts the entries into the KV and commits it.
    pub(super) fn fold(mut self) -> Result<()> {
        self.apply()?;
        let position = self.note.position;
        self.end(&position)
    }
}

/// A metadata change in the making. Dropped without [`MetaTxn::commit`] it changes nothing.
pub struct MetaTxn<'m> {
    /// First, so that it is given back before the writer lock is.
    scratch: Held<'m>,
    writer: Writer<'m>,
    /// The changes are pending, to be entered in the memtable; else the KV's transaction has them, and all entries of the memtable.
    light: bool,
    /// The bytes of the record's keys and values.
    bytes: u64,
    /// What scans have found in the memtable.
    kept: Kept,
    /// Whether the record relies on frames written directly.
    guards: bool,
}

impl MetaTxn<'_> {
    /// The value of `key`, this transaction's own changes included.
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        if self.light {
            let hash = super::memtable::hash(key);
            for item in self.scratch.pending.iter().rev().filter(|item| item.hash == hash) {
                let (own, value) = item.of(self.scratch.record.bytes());
                if own == key {
                    return Ok(item.put.then_some(value));
                }
            }
            if let Some(value) = self.writer.find(key, hash)? {
                return Ok(value);
            }
        }
        self.writer.kv.get(key)
    }

    /// The keys that start with `prefix` and are not below `from`, in order.
    pub fn scan(&self, prefix: &[u8], from: &[u8]) -> Result<Scan<'_>> {
        let mut found = Found::default();
        if self.light {
            let wanted = |key: &[u8]| key.starts_with(prefix) && key >= from;
            for item in self.scratch.pending.iter().rev() {
                let (key, value) = item.of(self.scratch.record.bytes());
                let copy = |to: &mut [u8]| {
                    to[..key.len()].copy_from_slice(key);
                    to[key.len()..].copy_from_slice(value);
                    Some(())
                };
                found.add(item, copy, wanted);
            }
            if !self.writer.is_folded() {
                let Writer { meta, note, .. } = &self.writer;
                meta.memtable.collect(&meta.memtable.seen(note), &meta.logs, prefix, from, &mut found)?;
            }
        }
        Ok(merge(self.writer.kv.scan(prefix, from)?, found, &self.kept))
    }

    /// Sets `key` to `value`. Panics if `key` is empty or begins with a zero byte.
    ///
    /// # Errors
    /// Any: the transaction can only be dropped.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.change(key, Some(value))
    }

    /// Removes `key`; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool> {
        assert_ne!(key[0], 0, "keys that begin with a zero byte are reserved");
        if self.get(key)?.is_none() {
            return Ok(false);
        }
        self.change(key, None).map(|()| true)
    }

    /// Removes `key`, which is there: the caller has just seen it.
    pub fn remove(&mut self, key: &[u8]) -> Result<()> {
        self.change(key, None)
    }

    fn change(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        assert_ne!(key[0], 0, "keys that begin with a zero byte are reserved");
        if key.len() > KEY_MAX {
            return Err(Error::Io("a key is too long for the metadata KV", libc::ENAMETOOLONG));
        }
        let bytes = (key.len() + value.map_or(0, <[u8]>::len)) as u64;
        if self.light && (self.scratch.pending.len() == ROOM.0 || self.bytes + bytes > ROOM.1) {
            self.settle()?;
        }
        if !self.light {
            match value {
                Some(value) => self.writer.kv.put(key, value)?,
                None => drop(self.writer.kv.delete(key)?),
            }
        }
        self.scratch.record.add(value.map_or(Part::Delete(key), |value| Part::Put(key, value)));
        if self.light {
            let end = self.scratch.record.bytes().len();
            self.scratch.pending.push(Item::new(key, value, end));
            self.bytes += bytes;
        }
        Ok(())
    }

    /// From here on the KV's transaction has everything: the memtable has no room for all this.
    #[cold]
    fn settle(&mut self) -> Result<()> {
        self.writer.apply()?;
        let Scratch { record, pending } = &mut *self.scratch;
        for item in pending.drain(..) {
            let (key, value) = item.of(record.bytes());
            match item.put {
                true => self.writer.kv.put(key, value)?,
                false => drop(self.writer.kv.delete(key)?),
            }
        }
        self.light = false;
        Ok(())
    }

    /// The record counts after a crash only if the pool frame `frame` holds data with the CRC32C `crc`.
    pub fn guard_data(&mut self, frame: PoolFrame, crc: u32) {
        self.guards = true;
        self.scratch.record.add(Part::Guard(frame, crc));
    }

    /// The record holds the content of the pool frame `frame`, one page, which [`crate::media::Pool::write_home`] has been given already.
    pub fn carry_data(&mut self, frame: PoolFrame, page: &[u8]) {
        let used = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.scratch.record.add(Part::Data(frame, &page[..used]));
    }

    /// Appends the record to the log, then makes the change visible to all. Gives the record's number; without any change, that of the last record.
    ///
    /// # Durability
    /// Survives the death of all processes at once; survives a power cut after [`Meta::sync`].
    ///
    /// # Errors
    /// `Io` with `EFBIG` if the record is larger than a log (split the change); `Io` with `ENOSPC`. Nothing was changed.
    pub fn commit(self) -> Result<Seq> {
        if self.scratch.record.is_empty() { Ok(self.writer.note.position.seq) } else { self.commit_record() }
    }

    pub(super) fn commit_record(mut self) -> Result<Seq> {
        let meta = self.writer.meta;
        let mut position = self.writer.note.position;
        let space = (RECORD_HEADER + self.scratch.record.len()).next_multiple_of(8) as u64;
        if self.scratch.record.len() > meta.record_room() {
            return Err(Error::Io("a metadata change is larger than the log", rustix::io::Errno::FBIG.raw_os_error()));
        }
        if space > meta.logs.room(&position) || meta.logs.is_out_of_memory(&position, space) {
            // What the memtable refers to must be in the KV before the log changes.
            if self.light {
                self.settle()?;
            }
            position = meta.make_room(&position)?;
        }
        let known = Seq::new(meta.shared.durable.load(Ordering::Acquire)).min(position.seq);
        let header = self.scratch.record.header(&position, known);
        let next = Position { tail: position.tail + space, seq: header.seq, known, ..position };
        // Whatever can fail for lack of room comes before the record is there.
        meta.logs.ensure(&position, space)?;
        if !self.light {
            self.writer.kv.put(POSITION_KEY, &next.encode())?;
        }
        if self.guards {
            meta.shared.guarded.fetch_max(next.seq.get(), Ordering::AcqRel);
        }
        debug_assert_eq!(record::advance(&position, &header, self.scratch.record.payload()), next);
        meta.logs.append(&position, self.scratch.record.seal(&header));
        #[cfg(test)]
        super::tests::after_append(next.seq);
        if self.light {
            meta.memtable.enter(&self.writer.note, &self.scratch.pending, position.tail, next);
        } else if let Err(e) = self.writer.kv.commit() {
            // Now somebody may have applied the record already, as that of a killed writer: ask.
            return match meta.begin() {
                Ok(txn) if txn.writer.note.position.seq >= next.seq => Ok(next.seq),
                _ => Err(e),
            };
        }
        meta.shared.used.store(next.tail, Ordering::Relaxed);
        if meta.immediate {
            meta.note_durable(&next);
        }
        Ok(next.seq)
    }
}
