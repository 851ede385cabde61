//! Limits of the process. `RLIMIT_FSIZE`, how large a file it may make: asked once, and again after a call that changes it. `RLIMIT_NOFILE`: FLAC's own
//! descriptors are to lie beyond it where it is low, so they are opened before it is lowered.

use crate::boundary::{Answer, Escape};
use crate::{config, fds, space};
use rustix::process::{Resource, Rlimit};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};

const UNKNOWN: u64 = u64::MAX - 1;
const NONE: u64 = u64::MAX;
static LIMIT: AtomicU64 = AtomicU64::new(UNKNOWN);

/// The limit in bytes, if there is one.
#[inline]
pub fn file_size() -> Option<u64> {
    let mut limit = LIMIT.load(Ordering::Relaxed);
    if limit == UNKNOWN {
        limit = flac::media::file_size_limit().unwrap_or(NONE);
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

/// The process is about to set its limit on open files to `new`.
pub fn lowering_open_files(new: u64) {
    let Some(settings) = config::settings().filter(|_| new < fds::ENOUGH && !config::bad()) else { return };
    // A program that has nothing to do with FLAC is not to hear that there is no pool.
    let pool = std::path::Path::new(std::ffi::OsStr::from_bytes(settings.pool())).join("superblock");
    if (space::opened().is_some() || rustix::fs::access(&pool, rustix::fs::Access::WRITE_OK).is_ok())
        && let Ok(fs) = space::fs()
    {
        fds::noting_own(|| fs.reopen());
    }
}

/// Runs `f`, which opens descriptors, with a limit that leaves room for them, as far as the hard one allows.
pub fn with_room<R>(f: impl FnOnce() -> R) -> R {
    let was = rustix::process::getrlimit(Resource::Nofile);
    let is_low = was.current.is_some_and(|soft| soft < fds::ENOUGH) && was.maximum.is_none_or(|hard| hard > was.current.unwrap_or(0));
    let raised = is_low && rustix::process::setrlimit(Resource::Nofile, Rlimit { current: was.maximum, maximum: was.maximum }).is_ok();
    let result = f();
    if raised {
        let _ = rustix::process::setrlimit(Resource::Nofile, was);
    }
    result
}
