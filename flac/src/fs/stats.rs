//! Counters of what one process moved and how.

use crate::sync::{AtomicU64, Ordering::Relaxed};

/// Bytes by mover and calls, since the pool was opened by this process.
#[derive(Default)]
pub struct Stats {
    /// Read calls.
    pub reads: AtomicU64,
    /// Write calls.
    pub writes: AtomicU64,
    /// Bytes copied to the program by memory copy.
    pub copied_out: AtomicU64,
    /// Bytes copied to or from the program by a system call on the tier's file.
    pub kernel_copied: AtomicU64,
    /// Bytes copied to the program from where they lie in the pool.
    pub read_in_place: AtomicU64,
    /// Bytes attached to the program's buffers.
    pub attached: AtomicU64,
    /// Bytes copied from the program by memory copy.
    pub copied_in: AtomicU64,
    /// Bytes shared between files instead of being copied.
    pub shared: AtomicU64,
    /// Bytes loaded from the pool.
    pub loaded: AtomicU64,
    /// Bytes flushed to the pool.
    pub flushed: AtomicU64,
    /// Flushes asked for by the program.
    pub syncs: AtomicU64,
}

impl Stats {
    /// Adds to a counter.
    #[inline]
    pub fn add(counter: &AtomicU64, bytes: usize) {
        // Not atomic on purpose: a lost count costs nothing, a locked instruction costs a tenth of a small read.
        counter.store(counter.load(Relaxed).wrapping_add(bytes as u64), Relaxed);
    }

    /// Names and values, in a fixed order.
    pub fn list(&self) -> [(&'static str, u64); 11] {
        let get = |c: &AtomicU64| c.load(Relaxed);
        [
            ("reads", get(&self.reads)),
            ("writes", get(&self.writes)),
            ("bytes copied to the program", get(&self.copied_out)),
            ("bytes copied from the program", get(&self.copied_in)),
            ("bytes copied by the kernel", get(&self.kernel_copied)),
            ("bytes read in place in the pool", get(&self.read_in_place)),
            ("bytes attached", get(&self.attached)),
            ("bytes shared", get(&self.shared)),
            ("bytes loaded from the pool", get(&self.loaded)),
            ("bytes flushed to the pool", get(&self.flushed)),
            ("flushes", get(&self.syncs)),
        ]
    }
}
