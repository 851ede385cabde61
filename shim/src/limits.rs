//! `RLIMIT_FSIZE`: how large a file this process may make. Asked once, and again after a call that changes it.

use crate::boundary::{Answer, Escape};
use std::sync::atomic::{AtomicU64, Ordering};

const UNKNOWN: u64 = u64::MAX - 1;
const NONE: u64 = u64::MAX;
static LIMIT: AtomicU64 = AtomicU64::new(UNKNOWN);

/// The limit in bytes, if there is one.
#[inline]
pub fn file_size() -> Option<u64> {
    let mut limit = LIMIT.load(Ordering::Relaxed);
    if limit == UNKNOWN {
        limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current.unwrap_or(NONE);
        LIMIT.store(limit, Ordering::Relaxed);
    }
    (limit != NONE).then_some(limit)
}

/// The process has changed its limits.
pub fn changed() {
    LIMIT.store(UNKNOWN, Ordering::Relaxed);
}

/// A file may not grow beyond `size`: `EFBIG` and SIGXFSZ if the limit says so.
pub fn check(size: u64) -> Answer<()> {
    if file_size().is_some_and(|limit| size > limit) { Err(exceeded()) } else { Ok(()) }
}

/// What a call gets that goes beyond the limit: the signal first, then `EFBIG`.
pub fn exceeded() -> Escape {
    // It arrives when we are outside again, or ends the process here and now.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::XFSZ);
    Escape::Fail(libc::EFBIG)
}
