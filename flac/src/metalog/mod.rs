//! The metalog: redo records, checkpoints, recovery. Knows no inode: a record is puts and deletes of keys.
//!
//! *Truth is the log.* A transaction collects its changes as a record. Commit appends it to the log and enters its puts and deletes in the [`memtable`], from
//! where they go to the KV by the hundred; a transaction too large for that changes the KV itself. A writer killed in between leaves a record that the next
//! [`Meta::begin`] enters. After a power cut the KV is gone: it is rebuilt from the newest checkpoint and the log behind it.
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
//! Files: `txn` (a change) with `scratch`, `memtable`, `record` (payload), `logs` and `map` (the two files), `checkpoint`, `recover` (files to KV), `open`, `durable` (sync), `steps` with `making`
//! (checkpoints and changing the log), `verify`, `lock`.

mod checkpoint;
mod closed;
mod durable;
mod early;
mod lock;
mod logs;
mod making;
mod map;
mod memtable;
mod open;
mod record;
mod recover;
mod scratch;
mod steps;
mod tail;
#[cfg(test)]
mod tests;
mod txn;
mod verify;

use crate::error::{Error, Result};
use crate::kv::{self, Kv};
use crate::media::file::File;
use crate::media::layout::{Position, RECORD_ALIGN};
use crate::sync::{AtomicU32, AtomicU64, Liveness, Ordering, RobustLock};
use crate::units::{PAGE, Seq};
use early::Early;
use logs::Logs;
use making::Making;
use memtable::Memtable;
pub use memtable::{Scan, View};
pub(crate) use record::{GUARD_SPACE, delete_space, put_space};
use scratch::Spare;
use std::path::PathBuf;
use std::sync::Arc;
pub use txn::MetaTxn;

/// Where the KV keeps the position up to which the log is applied. Keys that begin with a zero byte are not part of the state.
const POSITION_KEY: &[u8] = b"\0position";
/// Where the KV keeps which pool it belongs to: device and inode of the superblock, and the number in there.
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
    /// Errno of a flush of the frames that failed. No log is given up any more that may have what was lost; whoever opens the pool next without volatile state has it from there.
    frames_lost: AtomicU32,
}

const _: () = assert!(size_of::<LogShared>() <= PAGE);

impl LogShared {
    /// The generation, and how many bytes of it are durable.
    fn flushed(&self) -> (u64, u64) {
        let flushed = self.flushed.load(Ordering::Acquire);
        (flushed >> 32, (flushed & u64::from(u32::MAX)) * RECORD_ALIGN as u64)
    }
}

/// One process's view of a metalog and its KV. Threads share it; after a fork the child calls [`Meta::after_fork_child`].
pub struct Meta {
    kv: Kv,
    memtable: Memtable,
    logs: Logs,
    shared: &'static LogShared,
    pool_dir: PathBuf,
    uuid: [u8; 16],
    spare: Spare,
    early: Early,
    /// Who takes the lock on flushing.
    who: Arc<dyn Liveness + Send + Sync>,
    /// The frames file, where there is one to flush.
    frames: Option<Arc<File>>,
    /// A flush of the log makes the device empty its cache of the frames, too.
    one_flush: bool,
    /// Nothing survives a power cut anyway.
    volatile: bool,
    /// A record is durable when its append returns, and the data it relies on was so before.
    immediate: bool,
}

impl Meta {
    /// A snapshot of the KV with everything in it that was committed before. It lasts as long as one likes; but it takes the writer lock for a moment, and keeps the KV from using
    /// pages again. See [`Meta::view`] for the others.
    ///
    /// # Errors
    /// As of [`Meta::begin`].
    pub fn settled(&self) -> Result<kv::ReadTxn<'_>> {
        let writer = self.catch_up()?;
        if !writer.is_folded() {
            writer.fold()?;
        }
        self.kv.read()
    }

    /// Bytes that the index has and does not use (0 also if it can't be read).
    pub fn spare_bytes(&self) -> u64 {
        self.kv.spare_bytes().unwrap_or(0)
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
        self.early.after_fork_child();
    }

    /// The position behind the last record that was committed.
    fn position(&self) -> Result<Position> {
        let kv = self.kv.read()?;
        let note = self.memtable.note();
        match note.base >= kv.number() {
            true if note.is_sound(self.logs.len()) => Ok(note.position),
            true => Err(memtable::damaged()),
            false => position_in(kv.get(POSITION_KEY)?),
        }
    }

    /// The position up to which the KV itself has everything.
    fn position_of_kv(&self) -> Result<Position> {
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
