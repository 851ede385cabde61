//! Names: the tree of directories. Walking paths, making, linking, renaming and removing entries, listing, extended attributes.
//!
//! Knows the KV's records (`record`) and inode slots, no file content. Each operation that changes something is one
//! [`Change`]: one metalog record, so a crash leaves it done or not done. All checks run under the writer lock, against the state that
//! the change applies to; what a caller learned from [`Fs::resolve`] is a hint that may have gone stale.

mod change;
mod create;
mod dirs;
mod followed;
mod link;
mod orphan;
mod permit;
mod remove;
mod rename;
mod walk;
mod xattr;

#[cfg(test)]
pub(crate) mod tests;

pub(super) use change::Change;
pub use dirs::{DirList, Listed};
pub use walk::Rules;

use super::record::NAME_MAX;
use crate::error::{Error, Result};
use crate::units::Ino;

/// Bytes that one entry adds to the size of its directory, as on tmpfs.
pub(super) const DIRENT_SIZE: u64 = 20;

/// Links of a directory that is not removed: its name, its `.`, and the `..` of each subdirectory.
pub(super) const fn live_dir_links(subdirs: u32) -> u32 {
    2 + subdirs
}

/// A file name of 1 to 255 bytes, held inline (no allocation).
#[derive(Clone, Copy)]
pub struct Name {
    len: u8,
    bytes: [u8; NAME_MAX],
}

impl Name {
    /// The name `bytes`; `ENAMETOOLONG` beyond 255 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let len = u8::try_from(bytes.len()).map_err(|_| Error::Os(libc::ENAMETOOLONG))?;
        let mut name = Self { len, bytes: [0; NAME_MAX] };
        name.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(name)
    }
    /// No name: that of a directory found as `.`, as `..` or as the root.
    pub(crate) const fn none() -> Self {
        Self { len: 0, bytes: [0; NAME_MAX] }
    }
    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
    /// Whether it names an entry: not empty, `.` or `..`.
    fn is_entry(&self) -> bool {
        !matches!(self.as_bytes(), b"" | b"." | b"..")
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// What to do with the last component when walking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// Follow a symbolic link (`open`, `stat`).
    Follow,
    /// Take the link itself (`lstat`, `readlink`, `lchown`, `O_NOFOLLOW`). A trailing slash still follows.
    Keep,
    /// Take the link itself, trailing slash or not: for calls that make, rename or remove the entry (`mkdir`, `rmdir`, `unlink`, `rename`,
    /// `symlink`, `mknod`, the new name of `link`). As the kernel has it, `rmdir("link/")` finds a link and not the directory behind it.
    Entry,
}

/// Where a walk ended.
#[derive(Debug, Clone)]
pub enum Resolved {
    /// The last component exists. For the starting directory itself (`.`, the root) `name` is empty and `parent == ino`.
    Found {
        /// The directory that holds the name.
        parent: Ino,
        /// The name in it (`.` and `..` as last components: empty name; callers that need a name answer EINVAL/EBUSY/ENOTEMPTY as POSIX says, see `dot`).
        name: Name,
        /// The inode.
        ino: Ino,
        /// `S_IFMT` bits of the inode's mode.
        kind: u32,
        /// Whether the last component was spelled `.` (1) or `..` (2), else 0.
        dot: u8,
        /// Whether the path ended in a slash. Unless links are followed to the end the inode may then still be no directory: the caller decides what that means.
        slash: bool,
    },
    /// Everything but the last component exists (in a removed directory, only with [`Last::Entry`]: making it will fail). After following a symbolic link that dangles: where its target would be.
    Missing {
        /// The directory that lacks the name.
        parent: Ino,
        /// The name.
        name: Name,
        /// Whether the path ended in a slash.
        slash: bool,
    },
    /// The walk left the tree. The path to go on with: absolute, after an absolute symbolic link; or, after `..` in the root, beginning with
    /// `..` and relative to the root of the tree.
    Outside(Vec<u8>),
}

fn fail<T>(errno: i32) -> Result<T> {
    Err(Error::Os(errno))
}
