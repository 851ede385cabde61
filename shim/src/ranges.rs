//! Address ranges of this process that are remembered: memory that must not be attached, mappings that must not become writable.
#![expect(unsafe_code, reason = "a list behind a spin lock that a forked child can force open")]

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Memory that no page may be attached to: the program has told the kernel something about it that a new mapping would forget.
pub static UNATTACHABLE: Ranges = Ranges::new();

/// Shared mappings of files that were opened for reading only.
pub static READ_ONLY: Ranges = Ranges::new();

/// In a forked child: a thread that held a lock in the parent does not exist here. Its change may be lost.
pub fn after_fork_child() {
    for ranges in [&UNATTACHABLE, &READ_ONLY] {
        ranges.locked.store(false, Ordering::Release);
    }
}

/// A set of ranges. Empty, it costs one load.
pub struct Ranges {
    any: AtomicBool,
    locked: AtomicBool,
    list: UnsafeCell<Vec<(usize, usize)>>,
}

// SAFETY: `list` is touched only while `locked` is held.
unsafe impl Sync for Ranges {}

impl Ranges {
    /// The empty set.
    pub const fn new() -> Self {
        Self { any: AtomicBool::new(false), locked: AtomicBool::new(false), list: UnsafeCell::new(Vec::new()) }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Vec<(usize, usize)>) -> R) -> R {
        while self.locked.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: the lock is held.
        let list = unsafe { &mut *self.list.get() };
        let result = f(list);
        self.any.store(!list.is_empty(), Ordering::Relaxed);
        self.locked.store(false, Ordering::Release);
        result
    }

    /// Adds `len` bytes at `from`.
    pub fn add(&self, from: usize, len: usize) {
        self.remove(from, len);
        self.with(|list| list.push((from, from.saturating_add(len))));
    }

    /// Removes `len` bytes at `from`, whole ranges or parts of some.
    pub fn remove(&self, from: usize, len: usize) {
        if self.is_empty() {
            return;
        }
        let to = from.saturating_add(len);
        self.with(|list| {
            let parts = std::mem::take(list);
            for (a, b) in parts {
                list.extend([(a, b.min(from)), (a.max(to), b)].into_iter().filter(|(a, b)| a < b));
            }
        });
    }

    /// Whether any of `len` bytes at `from` is in the set.
    #[inline]
    pub fn meets(&self, from: usize, len: usize) -> bool {
        !self.is_empty() && self.with(|list| list.iter().any(|(a, b)| *a < from.saturating_add(len) && from < *b))
    }

    /// Whether nothing is in the set.
    #[inline]
    pub fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn removing_the_middle_leaves_both_ends() {
        let set = Ranges::new();
        set.add(100, 100);
        set.remove(140, 20);
        assert!(set.meets(100, 1) && set.meets(139, 1) && set.meets(160, 1) && set.meets(199, 1));
        assert!(!set.meets(140, 20) && !set.meets(200, 10) && !set.meets(99, 1));
        set.remove(0, 1000);
        assert!(set.is_empty());
    }
}
