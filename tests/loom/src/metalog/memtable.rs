//! flac's tables, with as much of what is around them as they need.

#[path = "../../../../flac/src/metalog/memtable/table.rs"]
mod table;

pub use item::Item;
pub(in crate::metalog) use table::{Memtable, Note};

use std::cell::Cell;

thread_local! {
    /// The writer dies at so many steps from now.
    pub static STEPS: Cell<u64> = const { Cell::new(u64::MAX) };
}

fn step() {
    let left = STEPS.replace(STEPS.get().saturating_sub(1));
    if left == 0 {
        STEPS.set(u64::MAX);
        // Without a word from the panic hook.
        std::panic::resume_unwind(Box::new("a death"));
    }
}

/// Empty tables.
pub(in crate::metalog) fn tables() -> Memtable {
    let words = (0..table::LEN / 8).map(|_| crate::sync::AtomicU64::new(0)).collect();
    Memtable::of(crate::media::mapped::Mapped(words))
}

mod item {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Item {
        pub hash: u64,
        pub at: u64,
        pub key_len: u16,
        pub value_len: u32,
        pub put: bool,
        pub prefix: u32,
    }
    pub const PREFIX: usize = 9;
    impl Item {
        pub fn len(&self) -> u64 {
            u64::from(self.key_len) + u64::from(self.value_len)
        }
    }
    pub fn prefix_hash(_key: &[u8]) -> u32 {
        0
    }
}

mod scan {
    use super::Item;

    pub type Newest<'t> = (&'t [u8], Option<&'t [u8]>);
    pub struct Found;
    impl Found {
        pub fn add(&mut self, _: &Item, _: impl FnOnce(&mut [u8]) -> Option<()>, _: impl FnOnce(&[u8]) -> bool) -> Option<()> {
            None
        }
    }
    pub fn head(_key: &[u8]) -> u128 {
        0
    }
}
