//! Sleeping on a word of shared memory.

use super::AtomicU32;
use rustix::thread::futex;
use std::time::Duration;

/// Sleeps while the word is `value`, for `patience` at most. Whether that passed; woken, disturbed or too late is `false`.
pub fn wait(word: &AtomicU32, value: u32, patience: Duration) -> bool {
    let timeout = futex::Timespec { tv_sec: 0, tv_nsec: patience.as_nanos() as _ };
    futex::wait(word, futex::Flags::empty(), value, Some(&timeout)) == Err(rustix::io::Errno::TIMEDOUT)
}

/// Wakes one who sleeps on the word.
pub fn wake(word: &AtomicU32) {
    let _ = futex::wake(word, futex::Flags::empty(), 1);
}
