//! The memory in which a transaction collects its changes, kept for the next one: a process has one transaction at a time as a rule.

use super::memtable::Item;
use super::record::Builder;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// What takes more bytes than this is given back.
const KEPT: usize = 16 << 10;

/// What a transaction has collected.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) record: Builder,
    /// The record's puts and deletes.
    pub(super) pending: Vec<Item>,
}

/// The memory that no transaction uses, if there is one.
#[derive(Default)]
pub(super) struct Spare(Mutex<Scratch>);

/// The memory of a transaction, empty at first.
pub(super) struct Held<'m> {
    spare: &'m Spare,
    scratch: Scratch,
}

impl Spare {
    /// The spare memory, or new one.
    pub(super) fn take(&self) -> Held<'_> {
        // Whoever has the lock may be a thread that a fork left behind: nobody waits.
        let mut scratch = self.0.try_lock().map(|mut spare| std::mem::take(&mut *spare)).unwrap_or_default();
        scratch.record.clear();
        scratch.pending.clear();
        Held { spare: self, scratch }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let is_small = self.record.capacity() <= KEPT && self.pending.capacity() * size_of::<Item>() <= KEPT;
        if is_small && let Ok(mut spare) = self.spare.0.try_lock() {
            *spare = std::mem::take(&mut self.scratch);
        }
    }
}

impl Deref for Held<'_> {
    type Target = Scratch;
    fn deref(&self) -> &Scratch {
        &self.scratch
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Scratch {
        &mut self.scratch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metalog::record::Part;

    #[test]
    fn memory_comes_back_empty_and_not_too_large() {
        let spare = Spare::default();
        let first = |value: &[u8]| {
            let mut held = spare.take();
            assert!(held.record.is_empty() && held.pending.is_empty());
            held.record.add(Part::Put(b"key", value));
            let end = held.record.bytes().len();
            held.pending.push(Item::new(b"key", Some(value), end));
            held.record.bytes().as_ptr()
        };
        assert_eq!(first(b"one"), first(b"two"));
        // Two at once have memory of their own.
        let other = spare.take();
        assert_ne!(first(b"three"), other.record.bytes().as_ptr());
        drop(other);
        first(&[7; 2 * KEPT]);
        assert!(spare.take().record.capacity() <= KEPT);
    }
}
