#![expect(unsafe_code, reason = "a spin lock hands out references to what it guards")]
//! A lock within one process for a few instructions of work; no system call, nothing that a fork could leave behind for good.

use super::{AtomicU32, Ordering::*};
use std::cell::UnsafeCell;

/// A value that one thread at a time may touch. Not for shared memory.
pub struct Spin<T> {
    busy: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one thread at a time reach the value.
unsafe impl<T: Send> Sync for Spin<T> {}

impl<T> Spin<T> {
    /// Guards `value`.
    pub const fn new(value: T) -> Self {
        Spin { busy: AtomicU32::new(0), value: UnsafeCell::new(value) }
    }

    /// Runs `f` with the value, alone. `f` must be short and must not come back here.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        while self.busy.compare_exchange_weak(0, 1, Acquire, Relaxed).is_err() {
            std::hint::spin_loop();
        }
        // SAFETY: we hold `busy`: nobody else has a reference.
        let result = unsafe { f(&mut *self.value.get()) };
        self.busy.store(0, Release);
        result
    }

    /// In a forked child: a thread that held it may be gone.
    pub fn after_fork_child(&self) {
        self.busy.store(0, Release);
    }
}
