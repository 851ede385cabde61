//! The memtable: an index of the tail of the log, for what the KV does not have yet.
//!
//! *Truth is the log*, so a commit need not touch the B-tree: it appends its record and enters each put and delete of it here, in a hash table in
//! shared memory, by the place where it lies in the log. No byte is copied. When the table is full, the next writer puts the newest value of each key
//! into the KV, in key order, in one transaction of the KV (it *folds* the table): what was made and removed in between never gets there, and the inode
//! of a directory is written once for hundreds of changes.
//!
//! *The writer lock is the KV's*: its write transaction, which is begun for each change and dropped again. Whoever dies leaves what the kernel hands on.
//!
//! *What is valid is one word*: the generation of the table (upper half) and a count of what was published. It selects a [`Note`]: how many entries
//! count, the transaction of the KV they come on top of, and the position behind the last record. All else may be half written; each step of a
//! writer leaves a right state, in which the next one goes on: an entry is filled before the note counts it, a record without entries is indexed
//! again, and a fold is over with the KV's commit: its transaction is not the note's then, and the next writer begins an empty generation.
//!
//! *Readers take no lock*. A snapshot of the KV, then the note: if it was made for that snapshot, its entries come on top; if it is older, the KV has
//! them already; if it is newer, once more. Generations use [`TABLES`] tables in turn, so what a reader looks at stays for two more folds; then
//! the word says that it is gone ([`Memtable::has`]), and [`super::Meta::view`] begins again.
//!
//! Files: `item` (where a part of a record lies), `table` (the shared tables), `kept` (values copied out of them), `scan`, `view` (readers).

mod item;
mod kept;
mod scan;
mod table;
#[cfg(test)]
mod tests;
mod view;

pub(super) use item::{Item, hash, items};
pub(super) use kept::Kept;
pub use scan::Scan;
pub(super) use scan::{Found, merge};
pub(super) use table::{LEN, Memtable, Note, ROOM, damaged};
pub use view::View;

/// A step of a writer, for tests that let it die there.
#[inline(always)]
fn step() {
    #[cfg(test)]
    tests::step();
}
