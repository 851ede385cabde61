//! LMDB's transactions and cursors.
#![expect(unsafe_code, reason = "with env.rs the only callers of LMDB")]

use super::Pair;
use super::env::{Env, MAIN};
use crate::error::{Error, Result};
use crate::sync::Ordering;
use lmdb_master_sys as lmdb;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

/// An error for LMDB's return code.
pub(super) fn check(rc: c_int) -> Result<()> {
    let damaged = "the metadata KV in the run directory is damaged: end all programs that use the pool, then remove the run directory";
    match rc {
        lmdb::MDB_SUCCESS => Ok(()),
        lmdb::MDB_MAP_FULL | lmdb::MDB_TXN_FULL => Err(Error::Io("the metadata KV is full", libc::ENOSPC)),
        lmdb::MDB_READERS_FULL => Err(Error::Io("too many readers of the metadata KV", libc::EAGAIN)),
        lmdb::MDB_BAD_VALSIZE => Err(Error::Io("a key or value is too long for the metadata KV", libc::ENAMETOOLONG)),
        lmdb::MDB_PANIC => Err(PANIC),
        errno if errno > 0 => Err(Error::Io("the metadata KV", errno)),
        other => Err(Error::Unusable(format!("{damaged} (LMDB error {other})"))),
    }
}

/// What [`check`] makes of an environment that LMDB has given up because a thread of this process died while writing.
pub(super) const PANIC: Error = Error::Io("the metadata KV was left by a dead thread", libc::ENOTRECOVERABLE);

/// A number that no other live thread has; not 0.
pub(super) fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| &raw const *here as usize)
}

/// A snapshot: a cached transaction renewed, or a new one.
pub(super) fn begin_read(env: &Env) -> Result<*mut lmdb::MDB_txn> {
    let start = this_thread() >> 6;
    for i in 0..env.cache.len() {
        let slot = &env.cache[(start + i) % env.cache.len()];
        if slot.load(Ordering::Relaxed).is_null() {
            continue;
        }
        let txn = slot.swap(ptr::null_mut(), Ordering::AcqRel);
        if txn.is_null() {
            continue;
        }
        // SAFETY: a reset transaction of this environment; taken out of the cache, so ours alone.
        if unsafe { lmdb::mdb_txn_renew(txn) } == 0 {
            return Ok(txn);
        }
        // SAFETY: as above; a failed renewal leaves it reset.
        unsafe { lmdb::mdb_txn_abort(txn) };
    }
    let mut txn = ptr::null_mut();
    // SAFETY: an open environment and an out-pointer.
    let mut begin = || unsafe { lmdb::mdb_txn_begin(env.raw, ptr::null_mut(), lmdb::MDB_RDONLY, &mut txn) };
    let mut rc = begin();
    if rc == lmdb::MDB_READERS_FULL {
        env.clear_dead_readers()?;
        rc = begin();
    }
    check(rc)?;
    Ok(txn)
}

/// Ends a snapshot, keeping the transaction for the next reader.
pub(super) fn end_read(env: &Env, txn: *mut lmdb::MDB_txn) {
    // SAFETY: a live read transaction that the caller owns and gives up.
    unsafe { lmdb::mdb_txn_reset(txn) };
    let start = this_thread() >> 6;
    for i in 0..env.cache.len() {
        let slot = &env.cache[(start + i) % env.cache.len()];
        if slot.compare_exchange(ptr::null_mut(), txn, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return;
        }
    }
    // SAFETY: still ours: the cache had no room.
    unsafe { lmdb::mdb_txn_abort(txn) };
}

/// The size of a tree.
pub(super) struct Tree {
    pub pages: u64,
    pub branches: u64,
    pub depth: u64,
}

/// A live transaction of either kind. Ends when dropped, a writing one without effect.
pub(super) struct Txn<'e> {
    env: &'e Env,
    raw: *mut lmdb::MDB_txn,
    writing: bool,
}

impl<'e> Txn<'e> {
    /// A snapshot.
    pub(super) fn read(env: &'e Env) -> Result<Txn<'e>> {
        Ok(Txn { env, raw: begin_read(env)?, writing: false })
    }

    /// Waits for the writer lock. `EDEADLK` if this very thread holds it.
    pub(super) fn write(env: &'e Env) -> Result<Txn<'e>> {
        if env.writer.load(Ordering::Relaxed) == this_thread() {
            return Err(Error::Os(libc::EDEADLK));
        }
        env.writers.fetch_add(1, Ordering::AcqRel);
        let mut raw = ptr::null_mut();
        // SAFETY: an open environment and an out-pointer.
        if let Err(e) = check(unsafe { lmdb::mdb_txn_begin(env.raw, ptr::null_mut(), 0, &mut raw) }) {
            env.writers.fetch_sub(1, Ordering::AcqRel);
            return Err(e);
        }
        env.writer.store(this_thread(), Ordering::Release);
        Ok(Txn { env, raw, writing: true })
    }

    /// The value of `key`. It lies in the map: pages of a snapshot are not reused while the snapshot is registered, and those a writer
    /// sees change by its own calls only, which need `&mut`. `unchanged`: this transaction has changed nothing so far.
    pub(super) fn get(&self, key: &[u8], unchanged: bool) -> Result<Option<&[u8]>> {
        if !unchanged {
            return self.find(key);
        }
        let address = |value: &[u8]| (value.as_ptr().expose_provenance(), value.len());
        let number = self.number() - u64::from(self.writing);
        let place = self.env.recent.get(number, key, || self.find(key).map(|found| found.map(address)))?;
        // SAFETY: a value of the commit that this transaction sees, in this environment's map: its page is not written to while the transaction lives. That of a writer
        // copies what it changes.
        Ok(place.map(|(at, len)| unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(at), len) }))
    }

    fn find(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        let mut key = value_of(key);
        let mut found = value_of(&[]);
        // SAFETY: a live transaction; both structures outlive the call.
        match unsafe { lmdb::mdb_get(self.raw, MAIN, &mut key, &mut found) } {
            lmdb::MDB_NOTFOUND => Ok(None),
            rc => {
                check(rc)?;
                // SAFETY: LMDB filled it in, and it lives as long as `self` is not changed.
                Ok(Some(unsafe { bytes_of(&found) }))
            }
        }
    }

    /// A cursor, not placed yet.
    pub(super) fn cursor(&self) -> Result<Cursor<'_>> {
        let mut raw = ptr::null_mut();
        // SAFETY: a live transaction and an out-pointer.
        check(unsafe { lmdb::mdb_cursor_open(self.raw, MAIN, &mut raw) })?;
        Ok(Cursor { raw, txn: PhantomData })
    }

    /// Its number: that of the commit it sees, for a writer of the one it will be.
    pub(super) fn number(&self) -> u64 {
        // SAFETY: a live transaction.
        unsafe { lmdb::mdb_txn_id(self.raw) as u64 }
    }

    /// For changes in key order. It must end before this transaction.
    pub(super) fn hand(&mut self) -> Result<Hand> {
        let mut raw = ptr::null_mut();
        // SAFETY: a live transaction and an out-pointer.
        check(unsafe { lmdb::mdb_cursor_open(self.raw, MAIN, &mut raw) })?;
        Ok(Hand(raw))
    }

    /// Pages of the tree, branch pages among them, and its depth, this transaction's changes included.
    pub(super) fn tree(&self) -> Tree {
        let stat = self.stat();
        let pages = (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) as u64;
        Tree { pages, branches: stat.ms_branch_pages as u64, depth: u64::from(stat.ms_depth) }
    }

    /// How many pairs there are.
    pub(super) fn pairs(&self) -> u64 {
        self.stat().ms_entries as u64
    }

    fn stat(&self) -> lmdb::MDB_stat {
        let mut stat = std::mem::MaybeUninit::zeroed();
        // SAFETY: a live transaction and an out-pointer; the structure is plain numbers.
        unsafe {
            lmdb::mdb_stat(self.raw, MAIN, stat.as_mut_ptr());
            stat.assume_init()
        }
    }

    /// Sets `key` to `value`; `append`: the key is greater than all others.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8], append: bool) -> Result<()> {
        let mut key = value_of(key);
        let mut value = value_of(value);
        // SAFETY: a live write transaction; LMDB copies both.
        check(unsafe { lmdb::mdb_put(self.raw, MAIN, &mut key, &mut value, if append { lmdb::MDB_APPEND } else { 0 }) })
    }

    /// Removes `key`; whether it was there.
    pub(super) fn delete(&mut self, key: &[u8]) -> Result<bool> {
        let mut key = value_of(key);
        // SAFETY: a live write transaction.
        match unsafe { lmdb::mdb_del(self.raw, MAIN, &mut key, ptr::null_mut()) } {
            lmdb::MDB_NOTFOUND => Ok(false),
            rc => check(rc).map(|()| true),
        }
    }

    /// Makes the changes visible. Whatever the result, the transaction is over.
    pub(super) fn commit(self) -> Result<()> {
        let txn = std::mem::ManuallyDrop::new(self);
        // The lock is released inside, so the owner must be gone before; a thread that waits can't be fooled by that.
        txn.env.writer.store(0, Ordering::Release);
        // SAFETY: a live transaction, given up here.
        let rc = unsafe { lmdb::mdb_txn_commit(txn.raw) };
        txn.env.writers.fetch_sub(1, Ordering::AcqRel);
        check(rc)
    }
}

impl Drop for Txn<'_> {
    fn drop(&mut self) {
        if self.writing {
            self.env.writer.store(0, Ordering::Release);
            // SAFETY: a live transaction, given up here.
            unsafe { lmdb::mdb_txn_abort(self.raw) };
            self.env.writers.fetch_sub(1, Ordering::AcqRel);
        } else {
            end_read(self.env, self.raw);
        }
    }
}

/// A place in the tree where a transaction changes it: changes near the last one are found from there. Ends before its transaction.
pub(super) struct Hand(*mut lmdb::MDB_cursor);

impl Hand {
    /// Sets `key` to `value`, or removes it.
    pub(super) fn change(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let mut key = value_of(key);
        let mut value = value.map(value_of);
        // SAFETY: a live cursor of a live write transaction; LMDB copies key and value.
        unsafe {
            match &mut value {
                Some(value) => check(lmdb::mdb_cursor_put(self.0, &mut key, value, 0)),
                None => match lmdb::mdb_cursor_get(self.0, &mut key, &mut value_of(&[]), lmdb::MDB_SET) {
                    lmdb::MDB_NOTFOUND => Ok(()),
                    rc => check(rc).and_then(|()| check(lmdb::mdb_cursor_del(self.0, 0))),
                },
            }
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        // SAFETY: opened by `Txn::hand`; its transaction is still live.
        unsafe { lmdb::mdb_cursor_close(self.0) };
    }
}

/// A place among the keys of a transaction.
pub(super) struct Cursor<'t> {
    raw: *mut lmdb::MDB_cursor,
    txn: PhantomData<&'t ()>,
}

/// Where to place a cursor.
pub(super) enum To<'k> {
    /// The first key that is not below this one.
    AtLeast(&'k [u8]),
    /// The next key (the first, if not placed yet).
    Next,
    /// The previous key.
    Prev,
    /// The last key.
    Last,
}

impl<'t> Cursor<'t> {
    /// Moves, and gives the pair there; `None` if there is no such key.
    pub(super) fn go(&mut self, to: To<'_>) -> Result<Option<Pair<'t>>> {
        let mut key = value_of(&[]);
        let op = match to {
            To::AtLeast(k) if !k.is_empty() => {
                key = value_of(k);
                lmdb::MDB_SET_RANGE
            }
            To::AtLeast(_) => lmdb::MDB_FIRST,
            To::Next => lmdb::MDB_NEXT,
            To::Prev => lmdb::MDB_PREV,
            To::Last => lmdb::MDB_LAST,
        };
        let mut value = value_of(&[]);
        // SAFETY: a live cursor; both structures outlive the call.
        match unsafe { lmdb::mdb_cursor_get(self.raw, &mut key, &mut value, op) } {
            lmdb::MDB_NOTFOUND => Ok(None),
            rc => {
                check(rc)?;
                // SAFETY: LMDB filled both in; they live as long as the transaction is not changed, which `'t` forbids.
                Ok(Some(unsafe { (bytes_of(&key), bytes_of(&value)) }))
            }
        }
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        // SAFETY: opened by `Txn::cursor`; its transaction is still live.
        unsafe { lmdb::mdb_cursor_close(self.raw) };
    }
}

fn value_of(bytes: &[u8]) -> lmdb::MDB_val {
    lmdb::MDB_val { mv_size: bytes.len(), mv_data: bytes.as_ptr().cast_mut().cast::<c_void>() }
}

/// # Safety
/// LMDB filled `value` in, and what it describes lives and does not change for `'t`.
unsafe fn bytes_of<'t>(value: &lmdb::MDB_val) -> &'t [u8] {
    if value.mv_size == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(value.mv_data.cast::<u8>(), value.mv_size) }
}
