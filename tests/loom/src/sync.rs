//! As flac's, with loom's atomics; a futex that always times out, so that every waiter looks for itself.

#[path = "../../../flac/src/sync/robust.rs"]
mod robust;

pub use loom::hint::spin_loop;
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
pub use robust::{Guard, Liveness, RobustLock};

/// How often to look before sleeping.
pub const SPINS: u32 = 1;
/// How often a reader looks at a writer at work.
pub const LOOKS: u32 = 1;

pub mod futex {
    use super::AtomicU32;
    use std::time::Duration;

    pub fn wait(_: &AtomicU32, _: u32, _: Duration) -> bool {
        loom::thread::yield_now();
        true
    }
    pub fn wake(_: &AtomicU32) {}
}
