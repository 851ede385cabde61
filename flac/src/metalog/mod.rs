//! The metalog: redo records, checkpoints, recovery. Knows no inode: a record is puts and deletes of keys.
//!
//! *Truth is the log.* A transaction changes the KV at once (it reads its own writes) and collects the same changes as a record. Commit appends
//! the record to the log, notes in the KV how far the log is applied, and commits the KV. A writer killed in between leaves a record that the next
//! [`Meta::begin`] applies. After a power cut the KV is gone: it is rebuilt from the newest checkpoint and the log behind it.
//!
//! *The log* is two preallocated files, used in turn; a generation begins when the log passes half its size and a checkpoint is made. Records are
//! copied into the mapped file, so an append is no system call; [`Meta::sync`] makes all of them durable for all who wait.
//!
//! *On persistent memory* an append writes its cache lines back: a record is durable when it is committed, and a sync finds nothing to do.
//!
//! *One flush for data and record.* Data frames are written past the page cache before their record is appended, and the flush of the log makes
//! the device empty its cache of both. Until then the device may have kept the record and lost the data: so records name the frames they
//! rely on ([`MetaTxn::guard_data`]), and recovery takes a record whose data is not there for torn, unless a later record knew it to be durable.
//! From this follows the rule for reusing frames, see [`Meta::durable_seq`].
//!
//! *Small data goes into the record* ([`MetaTxn::carry_data`]): then one write of the log makes all of it durable. The frames are written too,
//! through the page cache, before the record is appended; a checkpoint makes them durable before it takes the place of the record, and a recovery
//! writes them again.
//!
//! Files: `record` (payload), `logs` and `map` (the two files), `checkpoint`, `recover` (files to KV), `open`, `durable` (sync), `steps` with `making`
//! (checkpoints and changing the log), `verify`, `lock`.

mod checkpoint;
mod durable;
mod lock;
mod logs;
mod making;
mod map;
mod open;
mod record;
mod recover;
mod steps;
#[cfg(test)]
mod tests;
mod verify;

use crate::error::{Error, Result};
use crate::kv::{self, Kv, Pair, Scan};
use crate::media::file::File;
use crate::media::layout::{LOG_START, Position, RECORD_HEADER};
use crate::sync::{AtomicU32, AtomicU64, Liveness, Ordering, RobustLock};
use crate::units::{PAGE, PoolFrame, Seq};
use logs::{EPOCH_ROOM, Logs};
use making::Making;
use record::{Builder, Part};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the KV keeps the position up to which the log is applied. Keys that begin with a zero byte are not part of the state.
const POSITION_KEY: &[u8] = b"\0position";
/// Where the KV keeps which pool it belongs to: device and inode of the superblock.
const PLACE_KEY: &[u8] = b"\0place";

/// What the processes that use a KV share about the log. Lives in shared memory; all zero is a valid start, and every field may lag behind the truth.
#[derive(Default)]
#[repr(C)]
pub struct LogShared {
    /// The last record known to be durable.
    durable: AtomicU64,
    /// The last record that recovery would know to be durable.
    settled: AtomicU64,
    /// Generation (upper half) and how much of it is durable, in units of [`crate::media::layout::RECORD_ALIGN`].
    flushed: AtomicU64,
    /// The last record that relies on frames written directly.
    guarded: AtomicU64,
    /// Bytes used in the current generation.
    used: AtomicU64,
    /// Calls of [`Meta::sync`] that found their record not yet durable.
    syncs: AtomicU64,
    /// Flushes of the log; who waits for one sleeps on it, and says so.
    flushes: AtomicU32,
    sleepers: AtomicU32,
    /// `syncs` when the last flush began, how many came for it, and how many nanoseconds it took.
    joined: AtomicU64,
    crowd: AtomicU32,
    flush_time: AtomicU32,
    /// Held by whoever flushes the log.
    flushing: RobustLock,
    making: Making,
}

const _: () = assert!(size_of::<LogShared>() <= PAGE);

/// One process's view of a metalog and its KV. Threads share it; after a fork the child calls [`Meta::after_fork_child`].
pub struct Meta {
    kv: Kv,
    logs: Logs,
    shared: &'static LogShared,
    pool_dir: PathBuf,
    uuid: [u8; 16],
    /// Who takes the lock on flushing.
    who: Arc<dyn Liveness + Send + Sync>,
    /// The frames file, where there is one to flush.
    frames: Option<File>,
    /// A flush of the log makes the device empty its cache of the frames, too.
    one_flush: bool,
    /// Nothing survives a power cut anyway.
    volatile: bool,
    /// A record is durable when its append returns, and the data it relies on was so before.
    immediate: bool,
}

impl Meta {
    /// Waits for the writer lock, and first applies what a killed writer logged but did not apply.
    ///
    /// # Errors
    /// `Os(EDEADLK)` if this thread has a transaction already; `Io` with `ENOSPC` if the run directory or (when the log is full) the pool's file
    /// system is full.
    pub fn begin(&self) -> Result<MetaTxn<'_>> {
        loop {
            self.step();
            let (kv, position) = self.catch_up()?;
            if self.logs.room(&position) < self.logs.len() / 8 {
                drop(kv);
                self.ensure_room()?;
                continue;
            }
            return Ok(MetaTxn { meta: self, kv, position, record: Builder::new(), guards: false });
        }
    }

    /// Takes the writer lock and applies what a killed writer left.
    fn catch_up(&self) -> Result<(kv::WriteTxn<'_>, Position)> {
        loop {
            let mut kv = self.kv.write()?;
            let position = position_in(kv.get(POSITION_KEY)?)?;
            let Some((header, payload)) = self.logs.record_at(&position) else {
                return Ok((kv, position));
            };
            self.logs.adopt(&position, &header);
            let applied = recover::apply_payload(&mut kv, &payload)
                .and_then(|()| kv.put(POSITION_KEY, &record::advance(&position, &header, &payload).encode()));
            if let Err(e) = applied {
                // It never took effect and nobody was told that it did: so it may go, and must, or nothing could follow.
                self.logs.cut(&position);
                return Err(e);
            }
            kv.commit()?;
        }
    }

    /// A snapshot of the last committed state.
    pub fn read(&self) -> Result<kv::ReadTxn<'_>> {
        self.kv.read()
    }

    /// The last record that was committed (0 also if the KV can't be read).
    pub fn last_seq(&self) -> Seq {
        self.position().map_or(Seq::new(0), |p| p.seq)
    }

    /// The last record that recovery would know to be durable. **Pool frames freed by a record may be reused when this has reached it**, and not
    /// earlier: recovery believes the guards of older records only if the log itself says that they were durable, which a record says about those
    /// before it. So this lags behind what [`Meta::sync`] promised by one sync; [`Meta::settle`] makes it catch up.
    pub fn durable_seq(&self) -> Seq {
        Seq::new(self.shared.settled.load(Ordering::Acquire))
    }

    /// Whether the log is long enough for a checkpoint to be worth while.
    pub fn checkpoint_due(&self) -> bool {
        self.shared.used.load(Ordering::Relaxed) > self.logs.len() / 2
    }

    /// In a forked child: nothing of the parent's KV is used again. No transaction may be in use by the thread that forked.
    pub fn after_fork_child(&self) {
        self.kv.after_fork_child();
    }

    fn position(&self) -> Result<Position> {
        position_in(self.kv.read()?.get(POSITION_KEY)?)
    }
}

fn position_in(value: Option<&[u8]>) -> Result<Position> {
    value.and_then(Position::decode).ok_or_else(|| {
        Error::Unusable(
            "the metadata KV lost its place in the log: end all programs that use the pool, then remove the run directory".into(),
        )
    })
}

/// A metadata change in the making. Dropped without [`MetaTxn::commit`] it changes nothing.
pub struct MetaTxn<'m> {
    meta: &'m Meta,
    kv: kv::WriteTxn<'m>,
    position: Position,
    record: Builder,
    /// Whether the record relies on frames written directly.
    guards: bool,
}

impl MetaTxn<'_> {
    /// The value of `key`, this transaction's own changes included.
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        self.kv.get(key)
    }

    /// The keys that start with `prefix` and are not below `from`, in order.
    pub fn scan(&self, prefix: &[u8], from: &[u8]) -> Result<Scan<'_>> {
        self.kv.scan(prefix, from)
    }

    /// The greatest key that starts with `prefix`.
    pub fn last(&self, prefix: &[u8]) -> Result<Option<Pair<'_>>> {
        self.kv.last(prefix)
    }

    /// Sets `key` to `value`. Panics if `key` is empty or begins with a zero byte.
    ///
    /// # Errors
    /// Any: the transaction can only be dropped.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        assert_ne!(key[0], 0, "keys that begin with a zero byte are reserved");
        self.kv.put(key, value)?;
        self.record.add(Part::Put(key, value));
        Ok(())
    }

    /// Removes `key`; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool> {
        assert_ne!(key[0], 0, "keys that begin with a zero byte are reserved");
        let found = self.kv.delete(key)?;
        if found {
            self.record.add(Part::Delete(key));
        }
        Ok(found)
    }

    /// The record counts after a crash only if the pool frame `frame` holds data with the CRC32C `crc`.
    pub fn guard_data(&mut self, frame: PoolFrame, crc: u32) {
        self.guards = true;
        self.record.add(Part::Guard(frame, crc));
    }

    /// The record holds the content of the pool frame `frame`, one page, which [`crate::media::Pool::write_home`] has been given already.
    pub fn carry_data(&mut self, frame: PoolFrame, page: &[u8]) {
        let used = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.record.add(Part::Data(frame, &page[..used]));
    }

    /// Appends the record to the log, then makes the change visible to all. Gives the record's number; without any change, that of the last record.
    ///
    /// # Durability
    /// Survives the death of all processes at once; survives a power cut after [`Meta::sync`].
    ///
    /// # Errors
    /// `Io` with `EFBIG` if the record is larger than a log (split the change); `Io` with `ENOSPC`. Nothing was changed.
    pub fn commit(self) -> Result<Seq> {
        if self.record.is_empty() { Ok(self.position.seq) } else { self.commit_record() }
    }

    fn commit_record(mut self) -> Result<Seq> {
        let meta = self.meta;
        let space = (RECORD_HEADER + self.record.len()).next_multiple_of(8) as u64;
        if space > meta.logs.len() - LOG_START - EPOCH_ROOM {
            return Err(Error::Io("a metadata change is larger than the log", rustix::io::Errno::FBIG.raw_os_error()));
        }
        if space > meta.logs.room(&self.position) {
            self.position = meta.make_room(&self.position)?;
        }
        let known = Seq::new(meta.shared.durable.load(Ordering::Acquire)).min(self.position.seq);
        let header = self.record.header(&self.position, known);
        let next = Position { tail: self.position.tail + space, seq: header.seq, known, ..self.position };
        // Whatever can fail for lack of room comes before the record is there.
        meta.logs.ensure(&self.position, space)?;
        self.kv.put(POSITION_KEY, &next.encode())?;
        if self.guards {
            meta.shared.guarded.fetch_max(next.seq.get(), Ordering::AcqRel);
        }
        let appended = meta.logs.append(&self.position, &header, &self.record.seal(&header));
        debug_assert_eq!(appended, next);
        #[cfg(test)]
        tests::after_append(next.seq);
        if let Err(e) = self.kv.commit() {
            // Now somebody may have applied the record already, as that of a killed writer: ask.
            return match meta.begin() {
                Ok(txn) if txn.position.seq >= next.seq => Ok(next.seq),
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
