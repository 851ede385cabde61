//! Opening the pool, open-file slots, and who holds them: this process, through indices that the caller chooses
//! (the shim uses descriptor numbers).

use super::Fs;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::units::Ino;
use std::path::Path;

const TODO_ERR: Error = Error::Os(libc::ENOSYS);

/// An open-file slot, shared between processes: the POSIX "open file description". The generation in it tells a reused slot from the one that was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenId(u64);

impl OpenId {
    /// For a descriptor's offset (always below 2^62).
    pub const fn to_raw(self) -> u64 {
        self.0
    }
    /// From what [`OpenId::to_raw`] gave.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

/// Numbers about the file system, as `statvfs` has them; units are 4 KiB frames.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsStat {
    /// Frames of the pool.
    pub total: u64,
    /// Free frames.
    pub free: u64,
    /// Inodes that could exist.
    pub inodes: u64,
    /// Inodes that could be made.
    pub inodes_free: u64,
    /// An identifier of the pool (`f_fsid`, and `st_dev` is made from it).
    pub id: u64,
}

impl Fs {
    /// Opens the pool: creates the volatile state or joins it, recovering what must be recovered. The pool must exist (`flac mkfs`,
    /// or [`crate::media::Pool::create`]).
    pub fn open(_config: &Config) -> Result<Fs> {
        Err(TODO_ERR)
    }
    /// The directory of the volatile state; holds the file `stub` and the directory `d`.
    pub fn run_dir(&self) -> &Path {
        Path::new("")
    }
    /// Before `fork`: makes a process slot for the child with a copy of this process's holds and ledger. Returns a token.
    pub fn before_fork(&self) -> Result<u32> {
        Err(TODO_ERR)
    }
    /// After `fork`, in the parent; `ok` is whether it succeeded.
    pub fn after_fork_parent(&self, _token: u32, _child: Option<i32>) {}
    /// After `fork`, in the child, before anything else is called.
    pub fn after_fork_child(&self, _token: u32) {}
    /// The number by which a new image (after exec, same pid) finds this process's slot again, for [`Fs::open_after_exec`].
    pub fn exec_token(&self) -> u32 {
        0
    }
    /// As [`Fs::open`], taking over the process slot `token` if it is this process's: the holds of the old image are kept; the caller
    /// releases those whose descriptor did not survive.
    pub fn open_after_exec(_config: &Config, _token: u32) -> Result<Fs> {
        Err(TODO_ERR)
    }
    /// This process ends: releases its holds, ledger and slot. Nothing may be called afterwards.
    pub fn exit(&self) {}

    /// Opens `ino` with `flags` (`O_ACCMODE`, `O_APPEND`, `O_DIRECTORY`, `O_PATH`, ... as given to open; permission is checked by the
    /// caller) and holds it at `hold`. With `O_TRUNC` the file is truncated.
    pub fn open_file(&self, _ino: Ino, _flags: i32, _hold: usize) -> Result<OpenId> {
        Err(TODO_ERR)
    }
    /// Which open file is held at `hold`. The hot path: no lock, no system call, safe in signal handlers.
    pub fn held(&self, _hold: usize) -> Option<OpenId> {
        None
    }
    /// Holds at `hold` an open file that arrived by other ways (a descriptor inherited without a copy of the holds, `SCM_RIGHTS`). `EBADF` if the slot is gone.
    pub fn adopt(&self, _id: OpenId, _hold: usize) -> Result<()> {
        Err(TODO_ERR)
    }
    /// Holds at `to` what is held at `from` (`dup`); what was held at `to` is released.
    pub fn dup_hold(&self, _from: usize, _to: usize) -> Result<()> {
        Err(TODO_ERR)
    }
    /// Gives up the hold; the last one closes the open file (and deletes an inode without names).
    pub fn release(&self, _hold: usize) {}
    /// All holds of this process in ascending order.
    pub fn holds(&self) -> Vec<(usize, OpenId)> {
        Vec::new()
    }
    /// The inode of an open file.
    pub fn open_ino(&self, _id: OpenId) -> Ino {
        Ino::new(0)
    }
    /// The flags of an open file, as `F_GETFL` has them.
    pub fn open_flags(&self, _id: OpenId) -> i32 {
        0
    }
    /// Changes the changeable flags (`O_APPEND`, `O_NONBLOCK`, `O_NOATIME`, `O_DIRECT`), as `F_SETFL` does.
    pub fn set_open_flags(&self, _id: OpenId, _flags: i32) {}
    /// Numbers about the file system.
    pub fn stat_fs(&self) -> FsStat {
        FsStat::default()
    }
}
