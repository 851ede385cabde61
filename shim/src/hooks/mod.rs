//! The calls, one file a family. A body is safe code: where does this go (`paths`, `fds`), then one call of `flac`.

pub mod access;
pub mod aio;
pub mod catalogues;
pub mod close;
pub mod copy;
pub mod descriptor;
pub mod directory;
pub mod dirs;
pub mod durability;
pub mod entries;
pub mod filter;
pub mod fsinfo;
pub mod handles;
pub mod heap;
pub mod io;
pub mod map;
pub mod mlock;
pub mod names;
pub mod open;
pub mod openat2;
pub mod position;
pub mod process;
pub mod resize;
pub mod rings;
pub mod signal;
pub mod socket;
pub mod stat;
pub mod stdio;
pub mod syscall;
pub mod temp;
pub mod times;
pub mod walkers;
pub mod watch;
pub mod xattr;

use crate::boundary::{Answer, Escape};

/// Refuses a call, loudly.
pub fn refuse<T>(what: &str, errno: i32) -> Answer<T> {
    crate::stats::add(crate::stats::Counter::Refused, 1);
    crate::log::warn(format_args!("refused: {what}"));
    Err(Escape::Fail(errno))
}
