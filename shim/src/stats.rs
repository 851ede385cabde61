//! `FLAC_STATS`: counters of this process, written when it ends. Counted only while wanted: off, a counter costs one load.

use crate::config;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// What is counted here. The movers' counters are `flac`'s.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Counter {
    /// Files opened.
    Opens,
    /// Bytes read.
    BytesRead,
    /// Bytes written.
    BytesWritten,
    /// Calls that FLAC refused.
    Refused,
}

const NAMES: [&str; 4] = ["opens", "bytes_read", "bytes_written", "refused"];
static COUNTERS: [AtomicU64; NAMES.len()] = [const { AtomicU64::new(0) }; NAMES.len()];

/// Adds `n`.
#[inline]
pub fn add(counter: Counter, n: u64) {
    // Not atomic on purpose, as `flac`'s: a lost count costs nothing, a locked instruction costs a tenth of a small read.
    let counter = &COUNTERS[counter as usize];
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// A duplicate of the stderr that the process began with: programs close theirs before they end, or redirect it.
static STDERR: AtomicI32 = AtomicI32::new(-1);
/// Where its number is looked for.
const HIGH: i32 = 600;

/// Before the program begins.
pub fn start() {
    if config::settings().is_some_and(|s| s.stats() == b"stderr")
        && let Ok(kept) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), HIGH)
    {
        let kept = std::os::fd::IntoRawFd::into_raw_fd(kept);
        crate::fds::note_own(kept);
        STDERR.store(kept, Ordering::Relaxed);
    }
}

/// Starts from zero, in a forked child.
pub fn restart() {
    COUNTERS.iter().for_each(|c| c.store(0, Ordering::Relaxed));
}

/// Writes the counters where `FLAC_STATS` says, one `name value` a line, appended with one write. Does nothing if it is not set.
pub fn report() {
    let Some(to) = config::settings().map(|s| s.stats()).filter(|to| !to.is_empty()) else { return };
    // A process that never came near FLAC has nothing to say.
    if crate::space::opened().is_none() && COUNTERS.iter().all(|c| c.load(Ordering::Relaxed) == 0) {
        return;
    }
    let mut text = format!("pid {}\n", rustix::process::getpid().as_raw_nonzero());
    for (name, counter) in NAMES.iter().zip(&COUNTERS) {
        let _ = writeln!(text, "{name} {}", counter.load(Ordering::Relaxed));
    }
    if let Some(fs) = crate::space::opened() {
        for (name, value) in fs.stats.list() {
            let _ = writeln!(text, "{} {value}", name.replace(' ', "_"));
        }
    }
    let written = if to == b"stderr" {
        match crate::fds::borrow(STDERR.load(Ordering::Relaxed)) {
            Ok(kept) => rustix::io::write(kept, text.as_bytes()),
            Err(_) => return,
        }
    } else {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        rustix::fs::open(to, flags, Mode::from_raw_mode(0o666)).and_then(|f| rustix::io::write(f, text.as_bytes()))
    };
    if let Err(e) = written {
        crate::log::error(format_args!("FLAC_STATS can't be written: {e}"));
    }
}
