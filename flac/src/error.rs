//! The one error type, and the one place that turns an error into an errno.

use std::fmt;

/// What can go wrong. Operating errors only: a broken invariant is a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// An errno that POSIX prescribes for the call (`ENOENT`, `EEXIST`, ...).
    Os(i32),
    /// The pool has no frame left for the data; nothing was changed.
    NoSpace,
    /// The DRAM tier has no frame left even after eviction.
    NoFrames,
    /// A file of the pool fails its checks: which, and why.
    Corrupt(String),
    /// The pool can't be used as it is, and what would help (wrong version, missing, not writable).
    Unusable(String),
    /// The device below the pool failed, with this errno, and what only the kernel had of it may be lost. Nothing more that has it is given up, and what needs it durable fails, until the volatile
    /// state is gone.
    Lost(i32),
    /// A system call of our own failed: what was tried, and the errno.
    Io(&'static str, i32),
}

/// A result whose error is ours.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The errno to be reported for this error.
    pub fn errno(&self) -> i32 {
        match self {
            Error::Os(e) => *e,
            Error::NoSpace => libc::ENOSPC,
            Error::NoFrames => libc::ENOMEM,
            // The kernel's own answer for a block that fails its checksum (ext4, btrfs).
            Error::Corrupt(_) => libc::EIO,
            // What a path on an unmounted or unusable device answers.
            Error::Unusable(_) => libc::EIO,
            Error::Lost(e) | Error::Io(_, e) => *e,
        }
    }

    /// An error for a failed system call: `what` names the attempt.
    pub fn io(what: &'static str) -> impl Fn(rustix::io::Errno) -> Error {
        move |e| Error::Io(what, e.raw_os_error())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Os(e) => write!(f, "{}", std::io::Error::from_raw_os_error(*e)),
            Error::NoSpace => write!(f, "the pool is full: remove files, or make a larger pool with `flac mkfs --size`"),
            Error::NoFrames => write!(f, "the DRAM cache is full of data in use: raise FLAC_DRAM"),
            Error::Corrupt(why) => write!(f, "the pool is damaged: {why}"),
            Error::Unusable(why) => write!(f, "{why}"),
            Error::Lost(e) => write!(
                f,
                "the device below the pool has failed ({}), nothing more becomes durable: see to it, end the programs that use the pool, then `flac stop --discard`; the pool goes on from what is durable",
                std::io::Error::from_raw_os_error(*e)
            ),
            Error::Io(what, e @ libc::EFBIG) => write!(
                f,
                "{what}: {} (ulimit -f): a process without that limit, or with a soft one, has to use the pool first",
                std::io::Error::from_raw_os_error(*e)
            ),
            Error::Io(what, e) => write!(f, "{what}: {}", std::io::Error::from_raw_os_error(*e)),
        }
    }
}

impl std::error::Error for Error {}

impl From<rustix::io::Errno> for Error {
    fn from(e: rustix::io::Errno) -> Self {
        Error::Os(e.raw_os_error())
    }
}
