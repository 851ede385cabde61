//! Who may add an entry to a directory, and who may take one away.

use super::fail;
use crate::error::Result;
use crate::fs::attr::Creds;
use crate::fs::record::{Inode, View};

/// Whether `dir` is a directory that is not removed.
pub fn is_live_dir(dir: &Inode) -> Result<()> {
    match dir.attr.is_dir() {
        false => fail(libc::ENOTDIR),
        true if dir.attr.nlink == 0 => fail(libc::ENOENT),
        true => Ok(()),
    }
}

/// Whether `who` may add an entry to `dir`.
pub fn may_insert(view: &impl View, dir: &Inode, who: &Creds<'_>) -> Result<()> {
    is_live_dir(dir)?;
    dir.check(view, libc::W_OK | libc::X_OK, who)
}

/// Whether `who` may take the entry that points at `victim` from `dir`: in a sticky directory only the owner of either may.
pub fn may_remove(view: &impl View, dir: &Inode, victim: &Inode, who: &Creds<'_>) -> Result<()> {
    dir.check(view, libc::W_OK | libc::X_OK, who)?;
    let sticky = dir.attr.mode & libc::S_ISVTX != 0;
    if sticky && !victim.attr.owned_by(who) && !dir.attr.owned_by(who) {
        return fail(libc::EPERM);
    }
    Ok(())
}

/// Whether `who` may give `inode` another name, under the rule of `fs.protected_hardlinks`: the owner may; others only for a file
/// without set-id bits that they can read and write.
pub fn may_link(view: &impl View, inode: &Inode, who: &Creds<'_>) -> Result<()> {
    let attr = &inode.attr;
    let set_id = attr.mode & libc::S_ISUID != 0 || attr.mode & (libc::S_ISGID | libc::S_IXGRP) == libc::S_ISGID | libc::S_IXGRP;
    let may = attr.owned_by(who) || attr.is_file() && !set_id && inode.permits(view, libc::R_OK | libc::W_OK, who)?;
    if may { Ok(()) } else { fail(libc::EPERM) }
}
