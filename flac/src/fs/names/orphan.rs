//! Inodes that have lost their last name: deleted at once, or kept as orphans for as long as somebody holds them.

use super::Change;
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::record::{self, Inode, LINKABLE, View, XATTRS, decode_extents, extent_prefix, key_ino, xattr_prefix};
use crate::sync::Ordering;
use crate::units::{Ino, PageNo, PoolFrame, Seq};

/// An inode on its way out, between the change that removes its last name and the end of its slot.
///
/// Whoever opens a file finds its inode by a walk, makes (and holds) a slot, and only then reads the record. So after the commit either
/// nobody holds the inode and nobody can open it, or a holder is there and is found by `forget`.
pub struct Gone {
    inode: Inode,
    /// Whether the records were kept and the inode noted as an orphan.
    orphan: bool,
    /// The records that were deleted.
    deleted: Vec<(Vec<u8>, Vec<u8>)>,
    /// The pool frames of the deleted extents, as runs.
    frames: Vec<(PoolFrame, u32)>,
}

impl Gone {
    /// Notes the inode as an orphan if it seems to be held, or may have more extents than one record can delete; deletes its records if not.
    pub fn prepare(op: &mut Change<'_>, inode: &Inode) -> Result<Self> {
        let ino = inode.attr.ino;
        let orphan = op.fs().seems_held(ino) || inode.attr.pages > op.fs().most_cleared() as u64;
        let mut gone = Self { inode: *inode, orphan, deleted: Vec::new(), frames: Vec::new() };
        if gone.orphan {
            op.put(inode)?;
            op.set(&record::orphan_key(ino), &[])?;
        } else {
            gone.delete_records(op)?;
        }
        Ok(gone)
    }

    fn delete_records(&mut self, op: &mut Change<'_>) -> Result<()> {
        let attr = self.inode.attr;
        let single = match attr.kind() {
            libc::S_IFDIR => Some(record::place_key(attr.ino)),
            libc::S_IFLNK => Some(record::target_key(attr.ino)),
            _ => None,
        };
        if let Some(key) = single {
            self.deleted.extend(op.view().get(&key)?.map(|value| (key.to_vec(), value.to_vec())));
        }
        if self.inode.flags & XATTRS != 0 {
            self.collect(op, &xattr_prefix(attr.ino))?;
        }
        // A file that was never flushed with pages has no extents.
        if attr.pages != 0 {
            let first = self.deleted.len();
            self.collect(op, &extent_prefix(attr.ino))?;
            for (_, value) in &self.deleted[first..] {
                add_frames(value, &mut self.frames)?;
            }
        }
        for (key, _) in &self.deleted {
            op.remove_key(key)?;
        }
        op.remove_key(&record::inode_key(attr.ino))?;
        Ok(())
    }

    fn collect(&mut self, op: &Change<'_>, prefix: &[u8]) -> Result<()> {
        for pair in op.view().scan(prefix, prefix)? {
            let (key, value) = pair?;
            self.deleted.push((key.to_vec(), value.to_vec()));
        }
        Ok(())
    }

    /// After the commit of record `seq`: ends the slot, and what must wait for that.
    pub fn finish(self, fs: &Fs, seq: Seq) {
        let forgotten = fs.inodes.forget(self.inode.attr.ino);
        // The name is gone whatever becomes of this: what fails leaves an orphan, which the next recovery deletes.
        let _ = match (self.orphan, forgotten) {
            (true, true) => fs.delete_orphan(self.inode.attr.ino),
            (true, false) => Ok(()),
            (false, true) => {
                fs.pool_free(&self.frames, seq);
                Ok(())
            }
            (false, false) => self.restore(fs),
        };
    }

    /// Somebody opened the inode while its records were being deleted: puts them back, as an orphan's.
    #[cold]
    fn restore(&self, fs: &Fs) -> Result<()> {
        let mut op = Change::begin(fs)?;
        for (key, value) in &self.deleted {
            op.set(key, value)?;
        }
        op.put(&self.inode)?;
        op.set(&record::orphan_key(self.inode.attr.ino), &[])?;
        op.commit()?;
        // The holder may have gone before the note was there for it to be found.
        match fs.inodes.forget(self.inode.attr.ino) {
            true => fs.delete_orphan(self.inode.attr.ino),
            false => Ok(()),
        }
    }
}

fn add_frames(extents: &[u8], runs: &mut Vec<(PoolFrame, u32)>) -> Result<()> {
    for extent in decode_extents(extents)?.flatten() {
        match runs.last_mut() {
            Some((first, count)) if first.plus(*count) == extent.frame => *count += 1,
            _ => runs.push((extent.frame, 1)),
        }
    }
    Ok(())
}

impl Fs {
    fn seems_held(&self, ino: Ino) -> bool {
        self.inodes.find(ino).is_some_and(|slot| self.inodes.slot(slot).opens.load(Ordering::Relaxed) != 0)
    }

    /// Deletes the inode `ino`, which has no name and no holder any more. Does nothing if it is no orphan (any more).
    pub fn delete_orphan(&self, ino: Ino) -> Result<()> {
        let mut op = Change::begin(self)?;
        let is_large = |inode: Inode| inode.attr.pages > self.most_cleared() as u64;
        if op.view().get(&record::orphan_key(ino))?.is_some() && Inode::load(op.view(), ino)?.is_some_and(is_large) {
            drop(op);
            self.clear_beforehand(ino, PageNo::new(0))?;
            op = Change::begin(self)?;
        }
        if !op.delete(&record::orphan_key(ino))? {
            return Ok(());
        }
        let Some(inode) = Inode::load(op.view(), ino)? else {
            return op.commit().map(drop);
        };
        let mut gone = Gone { inode, orphan: false, deleted: Vec::new(), frames: Vec::new() };
        gone.delete_records(&mut op)?;
        let seq = op.commit()?;
        self.pool_free(&gone.frames, seq);
        Ok(())
    }

    /// Deletes all orphans. For the first opener after a reboot: nobody can hold one.
    pub fn recover_orphans(&self) -> Result<()> {
        let orphans: Vec<Ino> = self.meta.settled()?.scan(b"O", b"O")?.map(|pair| key_ino(pair?.0)).collect::<Result<_>>()?;
        orphans.into_iter().try_for_each(|ino| self.delete_orphan(ino))
    }

    /// Makes the root directory if there is none.
    pub fn init_root(&self, mode: u32, uid: u32, gid: u32) -> Result<()> {
        let mut op = Change::begin(self)?;
        match op.inode(Ino::ROOT) {
            Err(Error::Os(libc::ENOENT)) => {}
            found => return found.map(|_| ()),
        }
        op.put(&super::create::new_inode(Ino::ROOT, libc::S_IFDIR | mode & 0o7777, uid, gid))?;
        op.commit().map(drop)
    }
}

/// Whether an inode without names may get one: made by `O_TMPFILE`, as opposed to unlinked.
pub fn linkable(inode: &Inode) -> bool {
    inode.attr.nlink != 0 || inode.flags & LINKABLE != 0
}
