//! Making inodes, with a name and without.

use super::permit::may_insert;
use super::{Change, DIRENT_SIZE, Name, fail};
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::acl;
use crate::fs::attr::{Attr, Creds, Time};
use crate::fs::files::CREATED;
use crate::fs::open::OpenId;
use crate::fs::record::{self, Dirent, Inode, LINKABLE, NameKey, View};
use crate::fs::watch::Told;
use crate::region::MAX_HOLDS;
use crate::sync::Ordering::Relaxed;
use crate::units::Ino;
use std::sync::atomic::AtomicBool;

/// The longest target of a symbolic link.
const TARGET_MAX: usize = libc::PATH_MAX as usize - 1;

/// An inode that was just made; a directory has the names `.` and, in its parent, its own.
pub fn new_inode(ino: Ino, mode: u32, uid: u32, gid: u32) -> Inode {
    let now = Time::now();
    let (nlink, size) = if mode & libc::S_IFMT == libc::S_IFDIR { (2, 2 * DIRENT_SIZE) } else { (1, 0) };
    let attr = Attr { ino, mode, uid, gid, nlink, size, pages: 0, rdev: 0, atime: now, mtime: now, ctime: now, btime: now };
    Inode { attr, flags: 0 }
}

/// An inode made by `who` in `dir`: a setgid directory passes on its group, and to directories the bit. A file loses the bit if it would be
/// executed with a group that its maker is not in; that is decided before the umask, or the directory's default list, takes its part.
pub fn inherit(op: &mut Change<'_>, ino: Ino, mode: u32, dir: &Inode, who: &Creds<'_>) -> Result<Inode> {
    let group_exec = libc::S_ISGID | libc::S_IXGRP;
    let set_gid = dir.attr.mode & libc::S_ISGID != 0;
    let foreign = !who.is_root() && !who.in_group(dir.attr.gid);
    let mut kept = mode;
    match mode & libc::S_IFMT {
        libc::S_IFLNK => {}
        libc::S_IFDIR => kept |= if set_gid { libc::S_ISGID } else { 0 },
        _ if set_gid && foreign && mode & group_exec == group_exec => kept &= !libc::S_ISGID,
        _ => {}
    }
    let mut inode = new_inode(ino, kept, who.uid, if set_gid { dir.attr.gid } else { who.gid });
    acl::inherit(op, dir, &mut inode, who.umask)?;
    Ok(inode)
}

/// An entry was added to (or, negative, taken from) the directory; `subdirs` likewise.
pub fn count_entry(dir: &mut Inode, entries: i32, subdirs: i32) {
    let attr = &mut dir.attr;
    attr.size = attr.size.saturating_add_signed(entries as i64 * DIRENT_SIZE as i64);
    attr.nlink = attr.nlink.saturating_add_signed(subdirs);
    attr.mtime = Time::now();
    attr.ctime = attr.mtime;
}

/// What is particular to a kind of inode.
enum Kind<'a> {
    Node { rdev: u64 },
    Directory,
    Link { target: &'a [u8] },
}

impl Fs {
    /// Makes a node named `name` in `parent`: a regular file (also for type 0), FIFO, socket or device, by the type in `mode`; `umask` is applied here, a
    /// setgid directory honoured.
    ///
    /// # Errors
    /// `EEXIST`; `EACCES`; `EPERM` for a device by somebody else than root (but a whiteout, the character device 0), and for a directory; `EINVAL` for another type; `ENOENT` if the
    /// parent is removed.
    pub fn create(&self, parent: Ino, name: &Name, mode: u32, rdev: u64, who: &Creds<'_>) -> Result<Ino> {
        let mode = match mode & libc::S_IFMT {
            0 => mode | libc::S_IFREG,
            libc::S_IFREG | libc::S_IFIFO | libc::S_IFSOCK => mode,
            libc::S_IFCHR | libc::S_IFBLK => mode,
            libc::S_IFDIR => return fail(libc::EPERM),
            _ => return fail(libc::EINVAL),
        };
        let mode = mode & (libc::S_IFMT | 0o7777);
        self.insert(parent, name, mode, &Kind::Node { rdev }, who)
    }

    /// Makes a regular file without a name (`O_TMPFILE`) in `parent` and opens it as [`Fs::open_file`] does; it lives as long as it is held, unless it is `linkable` and
    /// [`Fs::link`] names it. `EACCES`, `ENOENT` if the parent is removed.
    pub fn create_unnamed(&self, parent: Ino, mode: u32, linkable: bool, who: &Creds<'_>, flags: i32, hold: usize) -> Result<OpenId> {
        let prepare = |op: &mut Change<'_>| {
            let dir = op.inode(parent)?;
            may_insert(op.view(), &dir, who)?;
            let mut inode = inherit(op, self.new_ino()?, libc::S_IFREG | mode & 0o7777, &dir, who)?;
            inode.attr.nlink = 0;
            inode.flags |= if linkable { LINKABLE } else { 0 };
            op.put_new(&inode)?;
            op.set(&record::orphan_key(inode.attr.ino), &[])?;
            Ok(inode)
        };
        self.commit_open(prepare, flags, hold)
    }

    /// Makes a directory. Errors as of [`Fs::create`].
    pub fn mkdir(&self, parent: Ino, name: &Name, mode: u32, who: &Creds<'_>) -> Result<Ino> {
        let mode = libc::S_IFDIR | mode & 0o1777;
        self.insert(parent, name, mode, &Kind::Directory, who)
    }

    /// Makes a symbolic link with the content `target`. Errors as of [`Fs::create`]; `ENOENT` for an empty target, `ENAMETOOLONG` beyond 4,095 bytes.
    pub fn symlink(&self, parent: Ino, name: &Name, target: &[u8], who: &Creds<'_>) -> Result<Ino> {
        match target.len() {
            0 => fail(libc::ENOENT),
            1..=TARGET_MAX => self.insert(parent, name, libc::S_IFLNK | 0o777, &Kind::Link { target }, who),
            _ => fail(libc::ENAMETOOLONG),
        }
    }

    /// Makes a regular file as [`Fs::create`] does, and opens it as [`Fs::open_file`] does, whatever its mode allows.
    pub fn create_open(&self, parent: Ino, name: &Name, mode: u32, who: &Creds<'_>, flags: i32, hold: usize) -> Result<OpenId> {
        let prepare = |op: &mut Change<'_>| self.prepare(op, parent, name, libc::S_IFREG | mode & 0o7777, &Kind::Node { rdev: 0 }, who);
        self.commit_open(prepare, flags | CREATED, hold)
    }

    /// Makes the file that was prepared, and opens it. One that can't be opened is not made.
    fn commit_open(&self, prepare: impl Fn(&mut Change<'_>) -> Result<Inode>, flags: i32, hold: usize) -> Result<OpenId> {
        if hold >= MAX_HOLDS {
            return fail(libc::EMFILE);
        }
        let mut has_made_room = false;
        loop {
            let mut op = Change::begin(self)?;
            let inode = prepare(&mut op)?;
            // Nobody finds it before the commit. Should this process die until then, the slot is one that nobody holds.
            let Some(slot) = self.inodes.insert(&inode.attr, inode.slot_flags()) else {
                drop(op);
                if has_made_room {
                    return Err(self.no_slot());
                }
                self.evict_inodes();
                has_made_room = true;
                continue;
            };
            if let Err(e) = op.commit() {
                self.inodes.unhold(slot);
                self.inodes.forget(inode.attr.ino);
                return Err(e);
            }
            return self.open_held(slot, flags, hold);
        }
    }

    /// A fresh inode number, for a file that is about to be made.
    ///
    /// # Errors
    /// `NoSpace`: neither the tmpfs that the index lies on nor the index itself has enough left for more files. The last of it is for those that are there: to open and to delete them, and to
    /// write them back.
    pub(super) fn new_ino(&self) -> Result<Ino> {
        /// Whether there was room when this process asked last. It asks (0.6 us) for its first file and for one in so many, or for each while there is none.
        static ROOM: AtomicBool = AtomicBool::new(false);
        const EVERY: u64 = 64;
        let ino = self.inodes.next_ino();
        if !ino.get().is_multiple_of(EVERY) && ROOM.load(Relaxed) {
            return Ok(ino);
        }
        let room = self.region.control.room_beyond(|| self.meta.spare_bytes());
        ROOM.store(room, Relaxed);
        if room { Ok(ino) } else { Err(Error::NoSpace) }
    }

    fn insert(&self, parent: Ino, name: &Name, mode: u32, kind: &Kind<'_>, who: &Creds<'_>) -> Result<Ino> {
        let mut op = Change::begin(self)?;
        let inode = self.prepare(&mut op, parent, name, mode, kind, who)?;
        op.commit()?;
        Ok(inode.attr.ino)
    }

    fn prepare(&self, op: &mut Change<'_>, parent: Ino, name: &Name, mode: u32, kind: &Kind<'_>, who: &Creds<'_>) -> Result<Inode> {
        if !name.is_entry() {
            return fail(libc::EEXIST);
        }
        let key = NameKey::dirent(parent, name.as_bytes());
        if op.view().get(key.bytes())?.is_some() {
            return fail(libc::EEXIST);
        }
        let mut dir = op.inode(parent)?;
        may_insert(op.view(), &dir, who)?;
        let whiteout = mode & libc::S_IFMT == libc::S_IFCHR && matches!(kind, Kind::Node { rdev: 0 });
        if matches!(mode & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK) && !whiteout && !who.is_root() {
            return fail(libc::EPERM);
        }
        let ino = self.new_ino()?;
        let mut inode = inherit(op, ino, mode, &dir, who)?;
        match *kind {
            Kind::Node { rdev } => inode.attr.rdev = rdev,
            Kind::Directory => op.set(&record::place_key(ino), &record::encode_place(parent, name.as_bytes()))?,
            Kind::Link { target } => {
                inode.attr.size = target.len() as u64;
                op.set(&record::target_key(ino), target)?;
            }
        }
        count_entry(&mut dir, 1, matches!(kind, Kind::Directory) as i32);
        op.tell(&[parent], || Told::Created((parent, *name), ino, matches!(kind, Kind::Directory)));
        op.set(key.bytes(), &Dirent::new(ino, mode).encode())?;
        op.put_new(&inode)?;
        op.put(&dir)?;
        Ok(inode)
    }

    /// The content of a symbolic link; `EINVAL` if it is none, `ENOENT`.
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>> {
        let target = self.meta.view(|view| match view.get(&record::target_key(ino))? {
            Some(target) => Ok(target.to_vec()),
            None if Inode::load(view, ino)?.is_some() => fail(libc::EINVAL),
            None => Err(Error::Os(libc::ENOENT)),
        })?;
        self.link_was_read(ino);
        Ok(target)
    }
}
