//! Another name for an inode.

use super::create::count_entry;
use super::orphan::linkable;
use super::permit::{is_live_dir, may_insert, may_link};
use super::{Change, Name, fail};
use crate::error::Result;
use crate::fs::Fs;
use crate::fs::attr::{Creds, Time};
use crate::fs::record::{self, Dirent, LINKABLE, NameKey, View};
use crate::fs::watch::Told;
use crate::units::Ino;

impl Fs {
    /// Another name for `ino`.
    ///
    /// # Errors
    /// `EEXIST`; `EPERM` for a directory, and for somebody else's file that is not regular, has set-id bits or can't be read and written;
    /// `ENOENT` if `ino` lost its last name (but not if it was made without one), or the parent is removed; `EACCES`.
    pub fn link(&self, ino: Ino, parent: Ino, name: &Name, who: &Creds<'_>) -> Result<()> {
        if !name.is_entry() {
            return fail(libc::EEXIST);
        }
        let mut op = Change::begin(self)?;
        let key = NameKey::dirent(parent, name.as_bytes());
        if op.view().get(key.bytes())?.is_some() {
            return fail(libc::EEXIST);
        }
        let mut dir = op.inode(parent)?;
        is_live_dir(&dir)?;
        let mut inode = op.inode(ino)?;
        may_link(op.view(), &inode, who)?;
        may_insert(op.view(), &dir, who)?;
        if inode.attr.is_dir() {
            return fail(libc::EPERM);
        }
        if !linkable(&inode) {
            return fail(libc::ENOENT);
        }
        if inode.attr.nlink == 0 {
            inode.flags &= !LINKABLE;
            op.delete(&record::orphan_key(ino))?;
        }
        inode.attr.nlink += 1;
        inode.attr.ctime = Time::now();
        count_entry(&mut dir, 1, 0);
        op.set(key.bytes(), &Dirent::new(ino, inode.attr.mode).encode())?;
        op.put(&inode)?;
        op.put(&dir)?;
        op.tell(&[parent, ino], || Told::Created((parent, *name), ino, false));
        op.commit().map(drop)
    }
}
