//! Renaming and exchanging entries.

use super::create::{count_entry, inherit};
use super::permit::{may_insert, may_remove};
use super::remove::{drop_name, is_empty};
use super::{Change, Name, fail};
use crate::error::Result;
use crate::fs::Fs;
use crate::fs::attr::{Creds, Time};
use crate::fs::record::{self, Dirent, Inode, NameKey, View, above};
use crate::fs::watch::Told;
use crate::units::Ino;

/// Whether `dir` is `ancestor` or lies below it.
fn is_below(view: &impl View, dir: Ino, ancestor: Ino) -> Result<bool> {
    let mut all = above(view, dir).map(|step| step.map(|(parent, _)| parent == ancestor));
    Ok(dir == ancestor || all.find(|is| !matches!(is, Ok(false))).transpose()?.is_some())
}

/// An entry that takes part in a rename.
struct Entry<'n> {
    parent: Ino,
    name: &'n Name,
    inode: Inode,
}

/// A rename whose preconditions on the tree's shape hold.
struct Rename<'f, 'n> {
    op: Change<'f>,
    from: Entry<'n>,
    /// What is at the target.
    to: Option<Inode>,
    to_parent: Ino,
    to_name: &'n Name,
    exchange: bool,
    /// A device of number 0 takes the old name.
    whiteout: bool,
}

impl Fs {
    /// Renames with `flags` as of renameat2 (`RENAME_NOREPLACE`, `RENAME_EXCHANGE`, `RENAME_WHITEOUT`), atomically: at any moment, and after any crash, the
    /// target is what it was before or what it is after. Two names of one inode both stay.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`, `EPERM` (sticky), `EBUSY` (`.` and `..`), `EEXIST` (`RENAME_NOREPLACE`), `ENOTDIR`, `EISDIR`, `ENOTEMPTY`, `EINVAL` (a
    /// directory into itself; other flags).
    pub fn rename(&self, from: (Ino, &Name), to: (Ino, &Name), flags: u32, who: &Creds<'_>) -> Result<()> {
        let no_replace = flags & libc::RENAME_NOREPLACE != 0;
        let exchange = flags & libc::RENAME_EXCHANGE != 0;
        let whiteout = flags & libc::RENAME_WHITEOUT != 0;
        let known = libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE | libc::RENAME_WHITEOUT;
        if flags & !known != 0 || exchange && (no_replace || whiteout) {
            return fail(libc::EINVAL);
        }
        if !from.1.is_entry() || !to.1.is_entry() {
            return fail(if no_replace && from.1.is_entry() { libc::EEXIST } else { libc::EBUSY });
        }
        let op = Change::begin(self)?;
        let Some(source) = Dirent::load(op.view(), from.0, from.1.as_bytes())? else {
            return fail(libc::ENOENT);
        };
        self.inodes.expect_changes(source.ino);
        let target = Dirent::load(op.view(), to.0, to.1.as_bytes())?;
        match target {
            Some(_) if no_replace => return fail(libc::EEXIST),
            None if exchange => return fail(libc::ENOENT),
            _ => {}
        }
        if from.0 != to.0 {
            if source.is_dir() && is_below(op.view(), to.0, source.ino)? {
                return fail(libc::EINVAL);
            }
            let below_target = |t: Dirent| {
                if t.is_dir() { is_below(op.view(), from.0, t.ino) } else { Ok(false) }
            };
            if target.map_or(Ok(false), below_target)? {
                return fail(if exchange { libc::EINVAL } else { libc::ENOTEMPTY });
            }
        }
        if target.is_some_and(|t| t.ino == source.ino) {
            return Ok(());
        }
        let from = Entry { parent: from.0, name: from.1, inode: op.inode(source.ino)? };
        let inode = target.map(|t| op.inode(t.ino)).transpose()?;
        Rename { op, from, to: inode, to_parent: to.0, to_name: to.1, exchange, whiteout }.run(who)
    }
}

impl Rename<'_, '_> {
    fn run(mut self, who: &Creds<'_>) -> Result<()> {
        let mut old_dir = self.op.inode(self.from.parent)?;
        let mut new_dir = if self.moves() { Some(self.op.inode(self.to_parent)?) } else { None };
        self.check(&old_dir, new_dir.as_ref().unwrap_or(&old_dir), who)?;
        let replaced = if self.exchange { None } else { self.to };
        self.count(&mut old_dir, new_dir.as_mut(), replaced.is_some());
        self.op.put(&old_dir)?;
        if let Some(new_dir) = &new_dir {
            self.op.put(new_dir)?;
        }
        let source = self.from.inode;
        let (old, new) = ((self.from.parent, self.from.name), (self.to_parent, self.to_name));
        self.point(new, source)?;
        match self.to {
            Some(target) if self.exchange => self.point(old, target)?,
            _ if self.whiteout => {
                let ino = self.op.fs().new_ino()?;
                let inode = inherit(&mut self.op, ino, libc::S_IFCHR, &old_dir, who)?;
                self.op.set(NameKey::dirent(old.0, old.1.as_bytes()).bytes(), &Dirent::new(inode.attr.ino, inode.attr.mode).encode())?;
                self.op.put_new(&inode)?;
            }
            _ => {
                self.op.remove_key(NameKey::dirent(old.0, old.1.as_bytes()).bytes())?;
            }
        }
        let mut gone = None;
        if let Some(mut target) = replaced {
            drop_name(&mut self.op, &mut target)?;
            gone = Some((target.attr.ino, target.attr.nlink == 0));
        }
        self.tell(gone);
        self.op.commit().map(drop)
    }

    /// `replaced`: the inode that was at the target, and whether it has gone.
    fn tell(&mut self, replaced: Option<(Ino, bool)>) {
        let (from, to) = ((self.from.parent, *self.from.name), (self.to_parent, *self.to_name));
        let kind = |inode: &Inode| (inode.attr.ino, inode.attr.is_dir());
        let (source, target) = (kind(&self.from.inode), self.to.as_ref().map(kind));
        let concerned = [from.0, to.0, source.0, target.map_or(source.0, |t| t.0)];
        self.op.tell(&concerned, || match target {
            Some(target) if self.exchange => Told::Exchanged { a: from, b: to, of_a: source, of_b: target },
            _ => Told::Moved { from, to, ino: source.0, is_dir: source.1, replaced },
        });
    }

    fn moves(&self) -> bool {
        self.from.parent != self.to_parent
    }

    /// Whether `who` may do it, and the types fit.
    fn check(&self, old_dir: &Inode, new_dir: &Inode, who: &Creds<'_>) -> Result<()> {
        let source = &self.from.inode;
        may_remove(self.op.view(), old_dir, source, who)?;
        let source_is_dir = source.attr.is_dir();
        let Some(target) = &self.to else {
            may_insert(self.op.view(), new_dir, who)?;
            return self.check_moved_dir(source, who);
        };
        may_remove(self.op.view(), new_dir, target, who)?;
        let target_is_dir = target.attr.is_dir();
        if !self.exchange {
            match (source_is_dir, target_is_dir) {
                (true, false) => return fail(libc::ENOTDIR),
                (false, true) => return fail(libc::EISDIR),
                _ => {}
            }
        }
        self.check_moved_dir(source, who)?;
        if self.exchange {
            return self.check_moved_dir(target, who);
        }
        if target_is_dir && !is_empty(self.op.view(), target.attr.ino)? {
            return fail(libc::ENOTEMPTY);
        }
        Ok(())
    }

    /// A directory whose parent changes is itself written to: its `..`.
    fn check_moved_dir(&self, inode: &Inode, who: &Creds<'_>) -> Result<()> {
        if self.moves() && inode.attr.is_dir() { inode.check(self.op.view(), libc::W_OK, who) } else { Ok(()) }
    }

    /// Brings size, link count and times of both directories up to date.
    fn count(&self, old_dir: &mut Inode, new_dir: Option<&mut Inode>, replaces: bool) {
        let dirs = |inode: Option<&Inode>| inode.is_some_and(|i| i.attr.is_dir()) as i32;
        let (leaves, target) = (dirs(Some(&self.from.inode)), dirs(self.to.as_ref()));
        let stays = self.whiteout as i32;
        let new_dir = match new_dir {
            Some(new_dir) => new_dir,
            None => {
                let lost = if replaces { (-1, -target) } else { (0, 0) };
                return count_entry(old_dir, lost.0 + stays, lost.1);
            }
        };
        if self.exchange {
            count_entry(old_dir, 0, target - leaves);
            count_entry(new_dir, 0, leaves - target);
        } else {
            count_entry(old_dir, stays - 1, -leaves);
            count_entry(new_dir, if replaces { 0 } else { 1 }, leaves - target);
        }
    }

    /// Makes an entry point at `inode`.
    fn point(&mut self, (parent, name): (Ino, &Name), mut inode: Inode) -> Result<()> {
        let ino = inode.attr.ino;
        let key = NameKey::dirent(parent, name.as_bytes());
        self.op.set(key.bytes(), &Dirent::new(ino, inode.attr.mode).encode())?;
        if inode.attr.is_dir() {
            self.op.set(&record::place_key(ino), &record::encode_place(parent, name.as_bytes()))?;
        }
        inode.attr.ctime = Time::now();
        self.op.put(&inode)
    }
}
