//! The metalog: redo records, checkpoints, recovery. Knows no inode: a record is puts and deletes of keys.

use crate::error::{Error, Result};
use crate::kv::{self, Pair, Scan};
use crate::media::Pool;
use crate::units::{PoolFrame, Seq};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::atomic::AtomicU64;

const UNFINISHED: Error = Error::Os(libc::ENOSYS);

/// What processes share about the log. Lives in shared memory; all zero is a valid start.
#[repr(C)]
pub struct LogShared {
    durable: AtomicU64,
    generation: AtomicU64,
}

const _: () = assert!(size_of::<LogShared>() <= 256);

/// One process's view of a metalog and its KV. Threads share it; after a fork the child calls [`Meta::after_fork_child`].
pub struct Meta {}

impl Meta {
    /// Joins the live KV in `run_dir/kv`, or makes it: newest valid checkpoint, then the log.
    pub fn open(_pool: &Pool, _run_dir: &Path, _shared: &'static LogShared) -> Result<Meta> {
        Err(UNFINISHED)
    }
    /// Waits for the writer lock, and first applies what a killed writer logged but did not apply.
    pub fn begin(&self) -> Result<MetaTxn<'_>> {
        Err(UNFINISHED)
    }
    /// A snapshot of the last committed state.
    pub fn read(&self) -> Result<kv::ReadTxn<'_>> {
        Err(UNFINISHED)
    }
    /// The last record that was committed.
    pub fn last_seq(&self) -> Seq {
        Seq::new(0)
    }
    /// The last record that is known to survive a power cut.
    pub fn durable_seq(&self) -> Seq {
        Seq::new(0)
    }
    /// Makes every record up to `upto` durable, and the data frames written before.
    pub fn sync(&self, _upto: Seq) -> Result<()> {
        Err(UNFINISHED)
    }
    /// Writes a checkpoint and starts a new log.
    pub fn checkpoint(&self) -> Result<()> {
        Err(UNFINISHED)
    }
    /// Whether the log is long enough for a checkpoint to be worth while.
    pub fn checkpoint_due(&self) -> bool {
        false
    }
    /// In a forked child: nothing of the parent's KV is used again.
    pub fn after_fork_child(&self) {}
    /// Checks superblock, checkpoints and log of the pool in `dir`; one line a finding, none if all is well.
    pub fn verify(_dir: &Path) -> Result<Vec<String>> {
        Err(UNFINISHED)
    }
}

/// A metadata change in the making. Dropped without [`MetaTxn::commit`] it changes nothing.
pub struct MetaTxn<'m>(PhantomData<&'m Meta>);

impl MetaTxn<'_> {
    /// The value of `key`, this transaction's own changes included.
    pub fn get(&self, _key: &[u8]) -> Result<Option<&[u8]>> {
        Err(UNFINISHED)
    }
    /// The keys that start with `prefix` and are not below `from`, in order.
    pub fn scan(&self, _prefix: &[u8], _from: &[u8]) -> Result<Scan<'_>> {
        Err(UNFINISHED)
    }
    /// The greatest key that starts with `prefix`.
    pub fn last(&self, _prefix: &[u8]) -> Result<Option<Pair<'_>>> {
        Err(UNFINISHED)
    }
    /// Sets `key` to `value`.
    pub fn put(&mut self, _key: &[u8], _value: &[u8]) -> Result<()> {
        Err(UNFINISHED)
    }
    /// Removes `key`; whether it was there.
    pub fn delete(&mut self, _key: &[u8]) -> Result<bool> {
        Err(UNFINISHED)
    }
    /// The record counts after a crash only if the pool frame `frame` holds data with the CRC32C `crc`.
    pub fn guard_data(&mut self, _frame: PoolFrame, _crc: u32) {}
    /// Appends the record to the log, then makes the change visible to all. Durable after [`Meta::sync`].
    pub fn commit(self) -> Result<Seq> {
        Err(UNFINISHED)
    }
}
