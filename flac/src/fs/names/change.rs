//! One change of the namespace: a transaction on the KV, and what has to happen to cached inodes along with it.

use super::orphan::Gone;
use crate::error::Result;
use crate::fs::Fs;
use crate::fs::attr::Attr;
use crate::fs::record::{self, Inode, View};
use crate::fs::watch::Told;
use crate::metalog::MetaTxn;
use crate::units::{Ino, Seq};

/// The most regular files that one operation changes: rename, its source and what was at the target.
const TOUCHED: usize = 2;

/// What changes in the slot of a cached inode at commit.
#[derive(Clone, Copy)]
struct Touched {
    attr: Attr,
    /// Owner and mode.
    owner: bool,
    atime: bool,
    mtime: bool,
}

impl Touched {
    fn apply(&self, cached: &mut Attr) {
        let new = &self.attr;
        (cached.nlink, cached.ctime) = (new.nlink, new.ctime);
        if self.owner {
            (cached.mode, cached.uid, cached.gid) = (new.mode, new.uid, new.gid);
        }
        if self.atime {
            cached.atime = new.atime;
        }
        if self.mtime {
            cached.mtime = new.mtime;
        }
    }
}

/// A change in the making; holds the writer lock. Dropped without [`Change::commit`] it changes nothing.
pub struct Change<'f> {
    fs: &'f Fs,
    txn: MetaTxn<'f>,
    touched: [Option<Touched>; TOUCHED],
    /// Symbolic links that change.
    links: [Option<Ino>; TOUCHED],
    gone: Option<Gone>,
    /// What those who watch are told of it.
    told: Option<Box<Told>>,
}

impl<'f> Change<'f> {
    /// Waits for the writer lock.
    #[inline]
    pub fn begin(fs: &'f Fs) -> Result<Self> {
        Ok(Self { fs, txn: fs.meta.begin()?, touched: [None; TOUCHED], links: [None; TOUCHED], gone: None, told: None })
    }

    /// The file system.
    pub fn fs(&self) -> &'f Fs {
        self.fs
    }

    /// The inode `ino`: `ENOENT` if it is gone. Size and times of a regular file are those of its last flush.
    pub fn inode(&self, ino: Ino) -> Result<Inode> {
        self.fs.load_inode(&self.txn, ino)
    }

    /// As [`Change::inode`], if its owner or mode is to change, or a list that goes with them: from now on they change by records alone.
    pub fn inode_to_set(&self, ino: Ino) -> Result<Inode> {
        self.fs.inodes.bar_unlogged(ino);
        self.inode(ino)
    }

    /// Writes the inode. In the slot of a cached file, size, owner, mode and times but ctime stay as they are.
    pub fn put(&mut self, inode: &Inode) -> Result<()> {
        self.put_touched(inode, Touched { attr: inode.attr, owner: false, atime: false, mtime: false })
    }

    /// As [`Change::put`], of what [`Change::inode_to_set`] read: with owner and mode, and access and modification time where told so.
    pub fn put_set(&mut self, inode: &Inode, atime: bool, mtime: bool) -> Result<()> {
        self.put_touched(inode, Touched { attr: inode.attr, owner: true, atime, mtime })
    }

    fn put_touched(&mut self, inode: &Inode, touched: Touched) -> Result<()> {
        let attr = inode.attr;
        self.set(&record::inode_key(attr.ino), &inode.encode())?;
        if attr.is_file() {
            let same = |t: &Option<Touched>| t.is_none_or(|t| t.attr.ino == attr.ino);
            let slot = self.touched.iter_mut().find(|t| same(t)).expect("an operation touches at most two files");
            *slot = Some(touched);
        } else if attr.kind() == libc::S_IFLNK
            && let Some(place) = self.links.iter_mut().find(|link| link.is_none_or(|link| link == attr.ino))
        {
            *place = Some(attr.ino);
        }
        Ok(())
    }

    /// Writes an inode that was just made: nobody has cached it.
    pub fn put_new(&mut self, inode: &Inode) -> Result<()> {
        self.set(&record::inode_key(inode.attr.ino), &inode.encode())
    }

    /// Sets a key.
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.txn.put(key, value)
    }

    /// Removes a key that is there.
    pub fn remove_key(&mut self, key: &[u8]) -> Result<()> {
        self.txn.remove(key)
    }

    /// Removes a key; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool> {
        self.txn.delete(key)
    }

    /// The transaction, for reading.
    pub fn view(&self) -> &impl View {
        &self.txn
    }

    /// The inode has lost its last name: it goes at commit, or with its last holder.
    pub fn remove(&mut self, inode: &Inode) -> Result<()> {
        assert!(self.gone.is_none() && inode.attr.nlink == 0, "one inode goes in an operation, and it has no name left");
        self.gone = Some(Gone::prepare(self, inode)?);
        Ok(())
    }

    /// If anybody may be watching one of `inodes`, tells of it once it is made.
    #[inline]
    pub fn tell(&mut self, inodes: &[Ino], told: impl FnOnce() -> Told) {
        if self.fs.concerns_watchers(inodes) {
            self.told = Some(Box::new(told()));
        }
    }

    /// Makes the change.
    ///
    /// # Durability
    /// Survives the death of any process; survives a power cut after the next sync, as do all changes made before it.
    pub fn commit(mut self) -> Result<Seq> {
        // The slots change first, under the writer lock, or two changes could reach slot and KV in different orders.
        for touched in self.touched.iter_mut().flatten() {
            let new = *touched;
            let swap = &mut |cached: &mut Attr| {
                touched.attr = *cached;
                new.apply(cached);
            };
            self.fs.inodes.change(new.attr.ino, swap);
        }
        let fs = self.fs;
        let told = self.told.take().map(|told| (told, fs.order_of_telling()));
        match self.txn.commit() {
            Ok(seq) => {
                self.links.iter().flatten().for_each(|link| fs.forget_link(*link));
                if let Some((told, _order)) = told {
                    fs.tell(&told);
                }
                if let Some(gone) = self.gone {
                    gone.finish(self.fs, seq);
                }
                Ok(seq)
            }
            Err(error) => {
                for old in self.touched.iter().flatten() {
                    self.fs.inodes.change(old.attr.ino, &mut |cached| old.apply(cached));
                }
                Err(error)
            }
        }
    }
}
