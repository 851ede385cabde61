//! Attributes of an inode: their type, their KV record, reading and changing them.

use super::Fs;
use crate::error::{Error, Result};
use crate::units::Ino;

/// A point in time: seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Seconds; may be negative.
    pub sec: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nsec: u32,
}

/// The attributes of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// The inode number.
    pub ino: Ino,
    /// File type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names (directories: 2 + subdirectories).
    pub nlink: u32,
    /// Size in bytes.
    pub size: u64,
    /// Allocated pages (of 4 KiB).
    pub pages: u64,
    /// Device number, for device nodes.
    pub rdev: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
    /// Creation.
    pub btime: Time,
}

/// Who asks: effective user and groups.
#[derive(Debug, Clone, Copy)]
pub struct Creds<'a> {
    /// Effective (file system) user.
    pub uid: u32,
    /// Effective (file system) group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: &'a [u32],
    /// The permission bits that new files do not get.
    pub umask: u32,
}

/// A change of attributes; `None` leaves as it is. ctime becomes now.
#[derive(Debug, Clone, Copy, Default)]
pub struct SetAttr {
    /// Permission bits (07777).
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Access time: `Some(None)` is now.
    pub atime: Option<Option<Time>>,
    /// Modification time: `Some(None)` is now.
    pub mtime: Option<Option<Time>>,
}

impl Fs {
    /// The attributes of `ino`, from its inode slot if it is cached, else from the KV.
    pub fn attr(&self, _ino: Ino) -> Result<Attr> {
        Err(Error::Os(libc::ENOSYS))
    }

    /// Changes attributes with POSIX permission checks (owner or root; `EPERM`), clearing set-id bits as the kernel does.
    pub fn set_attr(&self, _ino: Ino, _change: &SetAttr, _who: &Creds<'_>) -> Result<()> {
        Err(Error::Os(libc::ENOSYS))
    }

    /// Checks `want` (a mask of `R_OK`, `W_OK`, `X_OK`; 0 is existence) for `who`: `EACCES` if denied.
    pub fn access(&self, _ino: Ino, _want: i32, _who: &Creds<'_>) -> Result<()> {
        Err(Error::Os(libc::ENOSYS))
    }
}
