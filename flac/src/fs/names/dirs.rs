//! Listing a directory, and the path of one.

use super::permit::is_live_dir;
use super::{Name, fail};
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::record::{Dirent, Inode, View, above, dirent_prefix, key_name, place};
use crate::units::Ino;

/// What an entry takes in a [`DirList`] besides its name: inode, type, length of the name.
const HEAD: usize = 10;

/// The entries of a directory as of one moment, packed: about 30 bytes for each.
#[derive(Debug, Clone, Default)]
pub struct DirList {
    bytes: Vec<u8>,
    len: usize,
}

/// One entry: inode, `DT_*` type, name.
pub type Listed<'l> = (Ino, u8, &'l [u8]);

impl DirList {
    fn push(&mut self, ino: Ino, dtype: u8, name: &[u8]) {
        self.bytes.extend_from_slice(&ino.get().to_le_bytes());
        self.bytes.extend_from_slice(&[dtype, name.len() as u8]);
        self.bytes.extend_from_slice(name);
        self.len += 1;
    }
    /// Number of entries, `.` and `..` included.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Never: `.` and `..` are always there.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// The entry at byte position `at` (0 is the first) and the position of the next; `None` at the end.
    pub fn at(&self, at: usize) -> Option<(Listed<'_>, usize)> {
        let (head, rest) = self.bytes.get(at..)?.split_first_chunk::<HEAD>()?;
        let (ino, tail) = head.split_first_chunk::<8>()?;
        let name = rest.get(..tail[1] as usize)?;
        Some(((Ino::new(u64::from_le_bytes(*ino)), tail[0], name), at + HEAD + name.len()))
    }
    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = Listed<'_>> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let (entry, after) = self.at(next)?;
            next = after;
            Some(entry)
        })
    }
}

impl Fs {
    /// All entries of a directory, `.` and `..` first, then in the byte order of their names.
    ///
    /// # Errors
    /// `ENOTDIR`; `ENOENT` if it is removed.
    pub fn list_dir(&self, dir: Ino) -> Result<DirList> {
        self.meta.view(|view| list(view, dir))
    }

    /// As [`Fs::list_dir`], each name with its own 256 bytes.
    pub fn read_dir(&self, dir: Ino) -> Result<Vec<(Ino, u8, Name)>> {
        let list = self.list_dir(dir)?;
        list.iter().map(|(ino, dtype, name)| Ok((ino, dtype, Name::new(name)?))).collect()
    }

    /// The path of directory `dir` from the root of the tree ("" for the root, "/a/b").
    ///
    /// # Errors
    /// `ENOENT` if it is removed; `ENOTDIR`. It may be longer than a path that can be given.
    pub fn path_of(&self, dir: Ino) -> Result<Vec<u8>> {
        self.meta.view(|view| path(view, dir))
    }
}

fn list(view: &impl View, dir: Ino) -> Result<DirList> {
    let inode = Inode::load(view, dir)?.ok_or(Error::Os(libc::ENOENT))?;
    is_live_dir(&inode)?;
    let entries = (inode.attr.size / super::DIRENT_SIZE) as usize;
    // A guess; a damaged size must not ask for all the memory there is.
    let mut list = DirList { bytes: Vec::with_capacity(entries.min(1 << 16) * (HEAD + 16)), len: 0 };
    list.push(dir, libc::DT_DIR, b".");
    list.push(place(view, dir)?.map_or(dir, |(parent, _)| parent), libc::DT_DIR, b"..");
    let prefix = dirent_prefix(dir);
    for pair in view.scan(&prefix, &prefix)? {
        let pair = pair?;
        let entry = Dirent::decode(pair.1)?;
        list.push(entry.ino, entry.dtype, key_name(&pair));
    }
    Ok(list)
}

fn path(view: &impl View, dir: Ino) -> Result<Vec<u8>> {
    is_live_dir(&Inode::load(view, dir)?.ok_or(Error::Os(libc::ENOENT))?)?;
    let mut names = Vec::new();
    let mut at = dir;
    for step in above(view, dir) {
        let (parent, name) = step?;
        names.push(name);
        at = parent;
    }
    if at != Ino::ROOT {
        return fail(libc::ENOENT);
    }
    Ok(names.iter().rev().fold(Vec::with_capacity(256), |mut path, name| {
        path.push(b'/');
        path.extend_from_slice(name);
        path
    }))
}
