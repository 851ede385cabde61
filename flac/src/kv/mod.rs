//! The metadata KV: an ordered map in shared memory (LMDB). Knows no inode, no record.

use crate::error::{Error, Result};
use std::marker::PhantomData;
use std::path::Path;

const UNFINISHED: Error = Error::Os(libc::ENOSYS);

/// One process's view of a KV. Threads share it; after a fork the child calls [`Kv::after_fork_child`].
pub struct Kv {}

/// A key and its value, as a scan yields them.
pub type Pair<'t> = (&'t [u8], &'t [u8]);

impl Kv {
    /// Opens or creates the KV in `dir`. `map_size` bounds it (address space; the file is sparse).
    pub fn open(_dir: &Path, _map_size: usize) -> Result<Kv> {
        Err(UNFINISHED)
    }
    /// A snapshot of the last committed state.
    pub fn read(&self) -> Result<ReadTxn<'_>> {
        Err(UNFINISHED)
    }
    /// Waits for the writer lock of all processes.
    pub fn write(&self) -> Result<WriteTxn<'_>> {
        Err(UNFINISHED)
    }
    /// Writes a compact copy of the last committed state to the file `to`.
    pub fn copy_compact(&self, _to: &Path) -> Result<()> {
        Err(UNFINISHED)
    }
    /// Forgets the snapshots that dead processes held.
    pub fn clear_dead_readers(&self) {}
    /// In a forked child: the parent's environment is never used again; the next use opens another.
    pub fn after_fork_child(&self) {}
}

/// A snapshot. Slices obtained from it live as long as it does.
pub struct ReadTxn<'k>(PhantomData<&'k Kv>);

/// The writer. Dropped without [`WriteTxn::commit`] it changes nothing.
pub struct WriteTxn<'k>(PhantomData<&'k Kv>);

/// The pairs of a range of keys, in order.
pub struct Scan<'t>(PhantomData<&'t ()>);

impl<'t> Iterator for Scan<'t> {
    type Item = Result<Pair<'t>>;
    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl ReadTxn<'_> {
    /// The value of `key`.
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
}

impl WriteTxn<'_> {
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
    /// Makes the changes visible to all.
    pub fn commit(self) -> Result<()> {
        Err(UNFINISHED)
    }
}
