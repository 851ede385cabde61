//! Removing names.

use super::create::count_entry;
use super::permit::may_remove;
use super::{Change, Name, fail};
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::attr::{Creds, Time};
use crate::fs::record::{Dirent, Inode, NameKey, View, dirent_prefix};
use crate::fs::watch::Told;
use crate::units::Ino;

/// Whether the directory has no entry.
pub fn is_empty(view: &impl View, dir: Ino) -> Result<bool> {
    let prefix = dirent_prefix(dir);
    Ok(view.scan(&prefix, &prefix)?.next().transpose()?.is_none())
}

/// The inode has one name less (a directory: none); it goes with the last one.
pub fn drop_name(op: &mut Change<'_>, inode: &mut Inode) -> Result<()> {
    inode.attr.nlink = if inode.attr.is_dir() { 0 } else { inode.attr.nlink.saturating_sub(1) };
    inode.attr.ctime = Time::now();
    if inode.attr.nlink == 0 { op.remove(inode) } else { op.put(inode) }
}

/// The directory and the inode of an entry that `who` may remove.
fn to_be_removed(op: &Change<'_>, parent: Ino, name: &Name, who: &Creds<'_>) -> Result<(Inode, Inode)> {
    let Some(entry) = Dirent::load(op.view(), parent, name.as_bytes())? else {
        return Err(Error::Os(libc::ENOENT));
    };
    op.fs().inodes.expect_changes(entry.ino);
    let dir = op.inode(parent)?;
    let inode = op.inode(entry.ino)?;
    may_remove(op.view(), &dir, &inode, who)?;
    Ok((dir, inode))
}

fn tell(op: &mut Change<'_>, parent: Ino, name: &Name, inode: &Inode) {
    let (ino, is_dir, gone) = (inode.attr.ino, inode.attr.is_dir(), inode.attr.nlink == 0);
    op.tell(&[parent, ino], || Told::Removed { entry: (parent, *name), ino, is_dir, gone });
}

impl Fs {
    /// Removes a name that is not a directory's. The inode goes with its last name and last holder.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`, `EISDIR`; `EPERM` in a sticky directory.
    pub fn unlink(&self, parent: Ino, name: &Name, who: &Creds<'_>) -> Result<()> {
        let mut op = Change::begin(self)?;
        let (mut dir, mut inode) = to_be_removed(&op, parent, name, who)?;
        if inode.attr.is_dir() {
            return fail(libc::EISDIR);
        }
        count_entry(&mut dir, -1, 0);
        op.remove_key(NameKey::dirent(parent, name.as_bytes()).bytes())?;
        op.put(&dir)?;
        drop_name(&mut op, &mut inode)?;
        tell(&mut op, parent, name, &inode);
        op.commit().map(drop)
    }

    /// Removes an empty directory. Who is in it finds nothing there any more, and can make nothing.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`, `ENOTDIR`, `ENOTEMPTY`; `EPERM` in a sticky directory.
    pub fn rmdir(&self, parent: Ino, name: &Name, who: &Creds<'_>) -> Result<()> {
        let mut op = Change::begin(self)?;
        let (mut dir, mut inode) = to_be_removed(&op, parent, name, who)?;
        if !inode.attr.is_dir() {
            return fail(libc::ENOTDIR);
        }
        if !is_empty(op.view(), inode.attr.ino)? {
            return fail(libc::ENOTEMPTY);
        }
        count_entry(&mut dir, -1, -1);
        op.remove_key(NameKey::dirent(parent, name.as_bytes()).bytes())?;
        op.put(&dir)?;
        drop_name(&mut op, &mut inode)?;
        tell(&mut op, parent, name, &inode);
        op.commit().map(drop)
    }
}
