//! Names: walking paths, making and removing directory entries.

use super::Fs;
use super::attr::Creds;
use crate::error::{Error, Result};
use crate::units::Ino;

const TODO_ERR: Error = Error::Os(libc::ENOSYS);

/// A file name of 1 to 255 bytes, held inline (no allocation).
#[derive(Clone, Copy)]
pub struct Name {
    len: u8,
    bytes: [u8; 255],
}

impl Name {
    /// The name `bytes`; `ENAMETOOLONG` beyond 255 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let len = u8::try_from(bytes.len()).map_err(|_| Error::Os(libc::ENAMETOOLONG))?;
        let mut name = Self { len, bytes: [0; 255] };
        name.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(name)
    }
    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

/// What to do with the last component when walking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// Follow a symbolic link (`open`, `stat`).
    Follow,
    /// Take the link itself (`lstat`, `unlink`, `O_NOFOLLOW`). A trailing slash still follows.
    Keep,
}

/// Where a walk ended.
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
        /// Whether the path ended in a slash.
        slash: bool,
    },
    /// Everything but the last component exists.
    Missing {
        /// The directory that lacks the name.
        parent: Ino,
        /// The name.
        name: Name,
        /// Whether the path ended in a slash.
        slash: bool,
    },
    /// The walk left the tree: by `..` from the root or by a symbolic link. The path to go on with, relative paths being relative to
    /// the directory in which the tree's root appears (that is, what follows after stepping up).
    Outside(Vec<u8>),
}

impl Fs {
    /// Walks `path` (bytes, no NUL; may be empty: `base` itself is found; a leading slash is ignored) from the directory `base`, checking
    /// search permission of every directory for `who`. `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP` (40 links), `ENAMETOOLONG`.
    pub fn resolve(&self, _base: Ino, _path: &[u8], _last: Last, _who: &Creds<'_>) -> Result<Resolved> {
        Err(TODO_ERR)
    }

    /// Makes a node of type and permission `mode` (regular file, FIFO, socket, device; `umask` applied here; setgid directory honoured) named `name` in `parent`.
    /// `EEXIST`, `EACCES`, `ENOENT` if the parent is removed.
    pub fn create(&self, _parent: Ino, _name: &Name, _mode: u32, _rdev: u64, _who: &Creds<'_>) -> Result<Ino> {
        Err(TODO_ERR)
    }

    /// Makes an inode without a name (`O_TMPFILE`); it lives as long as it is held, unless [`Fs::link`] names it.
    pub fn create_unnamed(&self, _parent: Ino, _mode: u32, _who: &Creds<'_>) -> Result<Ino> {
        Err(TODO_ERR)
    }

    /// Makes a directory.
    pub fn mkdir(&self, _parent: Ino, _name: &Name, _mode: u32, _who: &Creds<'_>) -> Result<Ino> {
        Err(TODO_ERR)
    }

    /// Makes a symbolic link with the content `target`.
    pub fn symlink(&self, _parent: Ino, _name: &Name, _target: &[u8], _who: &Creds<'_>) -> Result<Ino> {
        Err(TODO_ERR)
    }

    /// The content of a symbolic link; `EINVAL` if it is none.
    pub fn readlink(&self, _ino: Ino) -> Result<Vec<u8>> {
        Err(TODO_ERR)
    }

    /// Another name for `ino` (not a directory: `EPERM`).
    pub fn link(&self, _ino: Ino, _parent: Ino, _name: &Name, _who: &Creds<'_>) -> Result<()> {
        Err(TODO_ERR)
    }

    /// Removes a name that is not a directory (`EISDIR`). The inode goes with its last name and last holder.
    pub fn unlink(&self, _parent: Ino, _name: &Name, _who: &Creds<'_>) -> Result<()> {
        Err(TODO_ERR)
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, _parent: Ino, _name: &Name, _who: &Creds<'_>) -> Result<()> {
        Err(TODO_ERR)
    }

    /// Renames with `flags` as of renameat2 (0, `RENAME_NOREPLACE`, `RENAME_EXCHANGE`), every POSIX rule included, atomically.
    pub fn rename(
        &self,
        _from: (Ino, &Name),
        _to: (Ino, &Name),
        _flags: u32,
        _who: &Creds<'_>,
    ) -> Result<()> {
        Err(TODO_ERR)
    }

    /// All entries of a directory, `.` and `..` first, then in name order: (inode, `DT_*` type, name).
    pub fn read_dir(&self, _dir: Ino) -> Result<Vec<(Ino, u8, Name)>> {
        Err(TODO_ERR)
    }

    /// The path of directory `dir` from the root of the tree ("" for the root, "/a/b"); `ENOENT` if it is removed.
    pub fn path_of(&self, _dir: Ino) -> Result<Vec<u8>> {
        Err(TODO_ERR)
    }

    /// An extended attribute's value; `ENODATA`.
    pub fn xattr(&self, _ino: Ino, _name: &[u8]) -> Result<Vec<u8>> {
        Err(TODO_ERR)
    }

    /// Sets an extended attribute; `flags` 0, `XATTR_CREATE`, `XATTR_REPLACE`.
    pub fn set_xattr(&self, _ino: Ino, _name: &[u8], _value: &[u8], _flags: i32, _who: &Creds<'_>) -> Result<()> {
        Err(TODO_ERR)
    }

    /// The names of all extended attributes, each with a NUL behind it.
    pub fn list_xattr(&self, _ino: Ino) -> Result<Vec<u8>> {
        Err(TODO_ERR)
    }

    /// Removes an extended attribute; `ENODATA`.
    pub fn remove_xattr(&self, _ino: Ino, _name: &[u8], _who: &Creds<'_>) -> Result<()> {
        Err(TODO_ERR)
    }
}
