//! The metadata KV: an ordered map in shared memory (LMDB). Knows no inode, no record.
//!
//! LMDB gives several processes one B-tree in a mapped file: readers take no lock and see a snapshot, one writer at a time copies the
//! pages it changes, and the kernel hands the writer's lock on when its holder dies. What LMDB leaves to its users is done here:
//! * one environment per process and directory ([`Kv`] must not be opened twice), opened anew in a forked child;
//! * finished read transactions are kept, so that a read costs no lock, no allocation and no system call;
//! * its memory is Rust's (`heap`);
//! * the lock file is guarded against being set up again under living users, and descriptors move out of the program's way (`env`);
//! * the tmpfs below must have room for the pages a transaction may touch *before* it touches them: a store to a page of a full tmpfs
//!   is a SIGBUS, not an error (`space`).

mod env;
mod heap;
mod order;
mod recent;
mod space;
#[cfg(test)]
mod tests;
mod txn;

use crate::error::Result;
use crate::units::PAGE;
use env::{Env, EnvCell};
use space::Space;
use std::path::{Path, PathBuf};
use txn::{Cursor, To, Tree, Txn};

/// A key and its value, as a scan yields them.
pub type Pair<'t> = (&'t [u8], &'t [u8]);

/// One process's view of a KV. Threads share it; after a fork the child calls [`Kv::after_fork_child`].
pub struct Kv {
    dir: PathBuf,
    map_size: usize,
    env: EnvCell,
    space: Space,
}

impl Kv {
    /// Opens the KV in the directory `dir`, or makes it there: then the caller sees to it that nobody else does. `map_size` bounds it
    /// (address space; the file is sparse) and is the same for all users.
    pub fn open(dir: &Path, map_size: usize) -> Result<Kv> {
        let fresh = matches!(rustix::fs::stat(dir.join("data.mdb")), Err(rustix::io::Errno::NOENT));
        let mut env = Env::open(dir, map_size, fresh)?;
        if env.has_own_readers() {
            // Closing frees all entries of this process.
            env.close();
            env = Env::open(dir, map_size, false)?;
        }
        let space = Space::open(dir, map_size as u64, fresh)?;
        Ok(Kv { dir: dir.to_owned(), map_size, env: EnvCell::new(env), space })
    }

    fn env(&self) -> Result<&Env> {
        self.env.get(|| Env::open(&self.dir, self.map_size, false))
    }

    /// A snapshot of the last committed state. Several may live at once, in any thread, beside a [`WriteTxn`].
    pub fn read(&self) -> Result<ReadTxn<'_>> {
        Ok(ReadTxn(Txn::read(self.env()?)?))
    }

    /// Waits for the writer lock of all processes.
    ///
    /// # Errors
    /// `Os(EDEADLK)` if this thread holds it already; `Io` with `ENOSPC` when the run directory's file system is full.
    pub fn write(&self) -> Result<WriteTxn<'_>> {
        let env = self.env()?;
        let txn = match Txn::write(env) {
            Err(e) if e == txn::PANIC => {
                self.env.retire(env);
                Txn::write(self.env()?)?
            }
            other => other?,
        };
        let env = self.env()?;
        let end = env.info().me_last_pgno as u64 + 1;
        self.reserve((end + 1 + SLACK) * 4096)?;
        Ok(WriteTxn { kv: self, end, start: txn.tree(), ops: 0, unchecked: 0, long: 0, bulk: false, txn })
    }

    /// As [`Kv::write`], for loading many pairs in key order; room for them was made with [`Kv::reserve`].
    pub(crate) fn write_bulk(&self) -> Result<WriteTxn<'_>> {
        self.write().map(|txn| WriteTxn { bulk: true, ..txn })
    }

    /// Makes sure that `bytes` from the start of the file have memory behind them.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<()> {
        self.space.ensure(bytes, || self.env().ok()?.data())
    }

    /// Bytes of the file that nothing committed uses: a snapshot may still keep some of them from being used again.
    pub fn spare_bytes(&self) -> Result<u64> {
        /// Where the commits are noted, and what the list of free pages itself takes at least.
        const HEAD: u64 = 3;
        let used = Txn::read(self.env()?)?.tree().pages + HEAD;
        Ok((self.env()?.info().me_last_pgno as u64 + 1).saturating_sub(used) * 4096)
    }

    /// Forgets the snapshots that dead processes held, so that the pages they pinned can be used again.
    pub fn clear_dead_readers(&self) {
        let _ = self.env().and_then(Env::clear_dead_readers);
    }

    /// In a forked child: the parent's environment is never used again; the next use opens another. No transaction may be in use by
    /// the thread that forked.
    pub fn after_fork_child(&self) {
        self.env.abandon_after_fork();
    }
}

/// A snapshot. Slices obtained from it live as long as it does, and never change: its pages are not reused before it ends.
pub struct ReadTxn<'k>(Txn<'k>);

impl ReadTxn<'_> {
    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        self.0.get(key, true)
    }
    /// The number of the last commit that it sees.
    pub(crate) fn number(&self) -> u64 {
        self.0.number()
    }
    /// How many pairs there are.
    pub fn pairs(&self) -> u64 {
        self.0.pairs()
    }
    /// The keys that start with `prefix` and are not below `from`, in order.
    pub fn scan(&self, prefix: &[u8], from: &[u8]) -> Result<Scan<'_>> {
        Scan::new(&self.0, prefix, from)
    }
    /// The greatest key that starts with `prefix`.
    pub fn last(&self, prefix: &[u8]) -> Result<Option<Pair<'_>>> {
        last(&self.0, prefix)
    }
}

/// The writer. Dropped without [`WriteTxn::commit`] it changes nothing.
pub struct WriteTxn<'k> {
    kv: &'k Kv,
    /// The first page that no committed state uses.
    end: u64,
    /// The tree when the transaction began.
    start: Tree,
    /// Changes so far, and bytes changed since the last look at the room left.
    ops: u64,
    unchecked: u64,
    /// Pages that long values take by themselves: new ones also where a value of the same length is replaced.
    long: u64,
    bulk: bool,
    txn: Txn<'k>,
}

/// Room that is always there beyond what is counted, in pages: what changes touch between two looks.
const SLACK: u64 = 256;

impl WriteTxn<'_> {
    /// The value of `key`, this transaction's own changes included.
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        self.txn.get(key, self.ops == 0 && !self.bulk)
    }
    /// The keys that start with `prefix` and are not below `from`, in order.
    pub fn scan(&self, prefix: &[u8], from: &[u8]) -> Result<Scan<'_>> {
        Scan::new(&self.txn, prefix, from)
    }
    /// The greatest key that starts with `prefix`.
    pub fn last(&self, prefix: &[u8]) -> Result<Option<Pair<'_>>> {
        last(&self.txn, prefix)
    }

    /// Sets `key` (1 to 511 bytes) to `value`.
    ///
    /// # Errors
    /// `Io` with `ENOSPC`: no room, and the transaction can only be dropped.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.count(key.len() + value.len())?;
        self.txn.put(key, value, false)
    }

    /// Sets `key`, which is greater than all others.
    pub(crate) fn append(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.txn.put(key, value, true)
    }

    /// Removes `key`; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool> {
        self.count(key.len())?;
        self.txn.delete(key)
    }

    /// Sets keys, or removes them (`None`), in ascending order: what lies together is found once.
    pub(crate) fn change_in_order(&mut self, changes: &[(&[u8], Option<&[u8]>)]) -> Result<()> {
        let mut hand = self.txn.hand()?;
        for (key, value) in changes {
            self.count(key.len() + value.map_or(0, <[u8]>::len))?;
            hand.change(key, *value)?;
        }
        Ok(())
    }

    /// Makes the changes visible to all.
    pub fn commit(self) -> Result<()> {
        self.txn.commit()
    }

    fn count(&mut self, bytes: usize) -> Result<()> {
        self.ops += 1;
        self.unchecked += bytes as u64;
        if bytes > PAGE / 2 {
            self.long += (bytes / PAGE) as u64 + 1;
        }
        if !self.bulk && (self.ops.is_multiple_of(32) || self.unchecked > 64 << 10) {
            self.make_room(bytes as u64)?;
            self.unchecked = 0;
        }
        Ok(())
    }

    /// Makes sure there is memory for every page this transaction may have taken, for `bytes` more, and for [`SLACK`]. Pages taken are those
    /// that the tree grew by and at most one path of the tree for each change.
    fn make_room(&mut self, bytes: u64) -> Result<()> {
        let tree = self.txn.tree();
        let grown = tree.pages.saturating_sub(self.start.pages);
        let copied = copied(self.ops, &tree).min(self.start.pages);
        let taken = grown + copied + copied / 256 + self.long + bytes / 4096 + 1;
        self.kv.reserve((self.end + taken + SLACK) * 4096)
    }

    /// The number of the last commit before this one.
    pub(crate) fn base(&self) -> u64 {
        self.txn.number() - 1
    }

    /// Makes sure that so many changes, of so many bytes of keys and values, can be made in one transaction on top of the last commit, now or later. `false`: the map itself may be
    /// too small for it.
    pub(crate) fn reserve(&self, ops: u64, bytes: u64) -> Result<bool> {
        let tree = &self.start;
        let copied = copied(ops, tree).min(tree.pages);
        // Each change may split a leaf, and some a branch: half a branch page has seven keys at least. Values beyond half a page have pages of their own.
        let split = ops + (ops * tree.depth).min(tree.branches + ops / 7 + tree.depth + 1);
        let taken = copied + copied / 256 + split + bytes / 2048 + 1;
        let end = (self.end + taken + SLACK) * 4096;
        self.kv.reserve(end).map(|()| end <= self.kv.map_size as u64)
    }
}

/// Pages that `ops` changes may copy, at most: a path of the tree for each, whose branch pages are few, and a neighbour where leaves are merged.
fn copied(ops: u64, tree: &Tree) -> u64 {
    (ops * (tree.depth + 1)).min(2 * ops + tree.branches + 1)
}

/// The pairs of a range of keys, in order.
pub struct Scan<'t> {
    cursor: Cursor<'t>,
    prefix: Vec<u8>,
    from: Option<Vec<u8>>,
    done: bool,
}

impl<'t> Scan<'t> {
    fn new(txn: &'t Txn<'_>, prefix: &[u8], from: &[u8]) -> Result<Self> {
        Ok(Scan { cursor: txn.cursor()?, prefix: prefix.to_vec(), from: Some(prefix.max(from).to_vec()), done: false })
    }
}

impl<'t> Iterator for Scan<'t> {
    type Item = Result<Pair<'t>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let found = match self.from.take() {
            Some(from) => self.cursor.go(To::AtLeast(&from)),
            None => self.cursor.go(To::Next),
        };
        match found {
            Ok(Some(pair)) if pair.0.starts_with(&self.prefix) => Some(Ok(pair)),
            Ok(_) => {
                self.done = true;
                None
            }
            Err(e) => {
                self.done = true;
                Some(Err(e))
            }
        }
    }
}

fn last<'t>(txn: &'t Txn<'_>, prefix: &[u8]) -> Result<Option<Pair<'t>>> {
    let mut cursor = txn.cursor()?;
    // The least key above all that start with `prefix`: the last byte that can be raised is, what follows is cut off.
    let above = prefix.iter().rposition(|&b| b != 0xff).map(|i| {
        let mut above = prefix[..=i].to_vec();
        above[i] += 1;
        above
    });
    let found = match above {
        Some(above) if cursor.go(To::AtLeast(&above))?.is_some() => cursor.go(To::Prev)?,
        _ => cursor.go(To::Last)?,
    };
    Ok(found.filter(|(key, _)| key.starts_with(prefix)))
}
