//! Locks and atomics between processes. Owns the robust lock; knows nothing of what it protects.
//!
//! Everything here lives in shared memory, is valid when zero-initialised, and survives the death of any process at any instruction.

mod by_pid;
mod futex;
mod robust;
mod single;
mod spin;

pub use by_pid::ByPid;
pub use robust::{Guard, Liveness, RobustLock};
pub use single::{is_single_threaded, single_thread_flag};
pub use spin::{Backoff, Spin};
pub use std::hint::spin_loop;
pub use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// How often a waiter looks at a lock before it sleeps: about a microsecond, longer than any critical section without a copy.
const SPINS: u32 = 200;
/// How often a reader looks at a writer at work before it goes on regardless.
pub const LOOKS: u32 = 100;
