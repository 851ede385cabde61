//! Attributes of an inode: reading and changing them, and who may.

use super::names::Change;
use super::record::{Inode, View};
use super::{Fs, acl};
use crate::error::{Error, Result};
use crate::inode::flag;
use crate::units::Ino;
use rustix::time::{ClockId, clock_gettime};

/// A point in time: seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Seconds; may be negative.
    pub sec: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nsec: u32,
}

impl Time {
    /// The clock that the kernel stamps files with, so that times here and on other file systems compare as they happened.
    pub fn now() -> Self {
        let t = clock_gettime(ClockId::RealtimeCoarse);
        Self { sec: t.tv_sec as i64, nsec: t.tv_nsec as u32 }
    }
}

/// The attributes of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// The inode number.
    pub ino: Ino,
    /// File type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names (directories: 2 + subdirectories).
    pub nlink: u32,
    /// Size in bytes (directories: 20 for each entry, `.` and `..` included; symbolic links: of the target).
    pub size: u64,
    /// Allocated pages (of 4 KiB).
    pub pages: u64,
    /// Device number, for device nodes.
    pub rdev: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
    /// Creation.
    pub btime: Time,
}

impl Attr {
    /// The `S_IFMT` bits of the mode.
    pub fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }
    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }
    /// Whether this is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == libc::S_IFREG
    }
    /// Whether `who` is the owner or root.
    pub fn owned_by(&self, who: &Creds<'_>) -> bool {
        who.is_root() || who.uid == self.uid
    }
    /// Whether `who` has all permissions in `want`, a mask of `R_OK`, `W_OK`, `X_OK`.
    pub fn permits(&self, want: i32, who: &Creds<'_>) -> bool {
        let want = want as u32 & 0o7;
        if who.is_root() {
            return want & 1 == 0 || self.is_dir() || self.mode & 0o111 != 0;
        }
        let class = match () {
            () if who.uid == self.uid => self.mode >> 6,
            () if who.in_group(self.gid) => self.mode >> 3,
            () => self.mode,
        };
        want & !class == 0
    }
    /// As [`Attr::permits`], as a result: `EACCES`.
    pub fn check(&self, want: i32, who: &Creds<'_>) -> Result<()> {
        if self.permits(want, who) { Ok(()) } else { Err(Error::Os(libc::EACCES)) }
    }
    /// The mode without the set-id bits that a change of owner or content by `who` clears.
    pub fn mode_without_set_ids(&self, who: &Creds<'_>) -> u32 {
        if self.is_dir() {
            return self.mode;
        }
        let mode = self.mode & !libc::S_ISUID;
        let keeps_group = self.mode & libc::S_IXGRP == 0 && (who.is_root() || who.in_group(self.gid));
        if keeps_group { mode } else { mode & !libc::S_ISGID }
    }
}

/// Who asks: effective user and groups.
#[derive(Debug, Clone, Copy)]
pub struct Creds<'a> {
    /// Effective (file system) user.
    pub uid: u32,
    /// Effective (file system) group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: &'a [u32],
    /// The permission bits that new files do not get.
    pub umask: u32,
}

impl Creds<'_> {
    /// Whether permissions are overridden.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
    /// Whether `gid` is among the groups.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// A change of attributes; `None` leaves as it is. ctime becomes now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Permission bits (07777).
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Access time: `Some(None)` is now.
    pub atime: Option<Option<Time>>,
    /// Modification time: `Some(None)` is now.
    pub mtime: Option<Option<Time>>,
}

impl SetAttr {
    /// Whether `who` may change `attr` so: `EPERM`, `EACCES`, `EOPNOTSUPP` (mode of a symbolic link).
    fn check(&self, attr: &Attr, who: &Creds<'_>) -> Result<()> {
        let owner = attr.owned_by(who);
        let chown = self.uid.is_none_or(|uid| owner && uid == attr.uid);
        let chgrp = self.gid.is_none_or(|gid| owner && (gid == attr.gid || who.in_group(gid)));
        let chmod = self.mode.is_none() || owner;
        if !(who.is_root() || chown && chgrp && chmod) {
            return Err(Error::Os(libc::EPERM));
        }
        if self.mode.is_some() && attr.kind() == libc::S_IFLNK {
            return Err(Error::Os(libc::EOPNOTSUPP));
        }
        match (self.atime, self.mtime) {
            _ if owner => Ok(()),
            (None, None) => Ok(()),
            // Whoever could have written the file may pretend to have done so: asked before.
            _ if self.pretends_writing() => Ok(()),
            _ => Err(Error::Os(libc::EPERM)),
        }
    }

    /// Both times become now.
    fn pretends_writing(&self) -> bool {
        (self.atime, self.mtime) == (Some(None), Some(None))
    }

    fn apply(&self, attr: &mut Attr, who: &Creds<'_>, now: Time) {
        if self.uid.is_some() || self.gid.is_some() {
            attr.mode = attr.mode_without_set_ids(who);
            attr.uid = self.uid.unwrap_or(attr.uid);
            attr.gid = self.gid.unwrap_or(attr.gid);
        }
        if let Some(mode) = self.mode {
            attr.mode = attr.kind() | mode & 0o7777;
            if !who.is_root() && !who.in_group(attr.gid) {
                attr.mode &= !libc::S_ISGID;
            }
        }
        if let Some(time) = self.atime {
            attr.atime = time.unwrap_or(now);
        }
        if let Some(time) = self.mtime {
            attr.mtime = time.unwrap_or(now);
        }
        attr.ctime = now;
    }
}

impl Fs {
    /// The attributes of `ino`: those of its inode slot if it is a cached regular file, else those of the KV. `ENOENT`.
    pub fn attr(&self, ino: Ino) -> Result<Attr> {
        if let Some(attr) = self.cached_attr(ino) {
            return Ok(attr);
        }
        match self.meta.view(|view| Inode::load(view, ino))? {
            Some(inode) => Ok(inode.attr),
            None => Err(Error::Os(libc::ENOENT)),
        }
    }

    /// The attributes in the inode slot, if they are the truth: only regular files change without the KV.
    pub(super) fn cached_attr(&self, ino: Ino) -> Option<Attr> {
        self.inodes.attr(ino).filter(Attr::is_file)
    }

    /// The inode's record, with the owner and mode of its slot if it is a cached regular file: they may be newer.
    pub(super) fn load_inode(&self, view: &impl View, ino: Ino) -> Result<Inode> {
        let inode = Inode::load(view, ino)?.ok_or(Error::Os(libc::ENOENT))?;
        let cached = if inode.attr.is_file() { self.cached_attr(ino) } else { None };
        Ok(cached.map_or(inode, |cached| inode.owned_as(&cached)))
    }

    /// Changes attributes with POSIX permission checks, clearing set-id bits as the kernel does. A change of nothing does nothing.
    ///
    /// # Errors
    /// `EPERM` if `who` is not the owner (or gives the file away); `EACCES` if both times are to become now and `who` may not
    /// write; `EOPNOTSUPP` for the mode of a symbolic link; `ENOENT`.
    pub fn set_attr(&self, ino: Ino, change: &SetAttr, who: &Creds<'_>) -> Result<()> {
        if change.pretends_writing() && !self.attr(ino)?.owned_by(who) {
            self.access(ino, libc::W_OK, who)?;
        }
        if self.set_cached(ino, change, who)? {
            self.tell_set(ino, change);
            return Ok(());
        }
        let mut op = Change::begin(self)?;
        let mut inode = op.inode_to_set(ino)?;
        change.check(&inode.attr, who)?;
        if *change == SetAttr::default() {
            return Ok(());
        }
        change.apply(&mut inode.attr, who, Time::now());
        if change.mode.is_some() {
            acl::follow_mode(&mut op, &mut inode)?;
        }
        op.put_set(&inode, change.atime.is_some(), change.mtime.is_some())?;
        op.commit()?;
        self.tell_set(ino, change);
        Ok(())
    }

    /// The part of [`Fs::set_attr`] that needs no record: what changes of a cached regular file is in its slot then, as after a write, and in the log with its next flush. That goes for times;
    /// and for owner and mode of a file that was written while the pool has nothing of its content yet: whoever finds it after a power cut finds it empty, or with what was set here. So an
    /// archive is unpacked without a record for each mode. `false`: nothing is done yet.
    fn set_cached(&self, ino: Ino, change: &SetAttr, who: &Creds<'_>) -> Result<bool> {
        let mut done = Ok(false);
        self.inodes.change_unlogged(ino, &mut |attr, flags| {
            // The slot of a directory is not the truth.
            if !attr.is_file() {
                return false;
            }
            let mut new = *attr;
            done = change.check(attr, who).map(|()| {
                change.apply(&mut new, who, Time::now());
                let is_new = flags & (flag::DIRTY | flag::HAS_POOL | flag::OWNED_BY_LOG) == flag::DIRTY;
                is_new || (new.mode, new.uid, new.gid) == (attr.mode, attr.uid, attr.gid)
            });
            let changes = matches!(done, Ok(true)) && *change != SetAttr::default();
            if changes {
                *attr = new;
            }
            changes
        });
        done
    }

    /// Changes owner and group as `chown` does: even if neither is given, set-id bits of what is no directory are cleared and ctime becomes now.
    /// Errors as of [`Fs::set_attr`].
    pub fn chown(&self, ino: Ino, uid: Option<u32>, gid: Option<u32>, who: &Creds<'_>) -> Result<()> {
        if uid.is_some() || gid.is_some() {
            return self.set_attr(ino, &SetAttr { uid, gid, ..Default::default() }, who);
        }
        let mut op = Change::begin(self)?;
        let mut inode = op.inode_to_set(ino)?;
        let mode = inode.attr.mode_without_set_ids(who);
        if mode != inode.attr.mode && !inode.attr.owned_by(who) {
            return Err(Error::Os(libc::EPERM));
        }
        inode.attr.mode = mode;
        inode.attr.ctime = Time::now();
        op.put_set(&inode, false, false)?;
        op.commit()?;
        self.tell_attributes(ino);
        Ok(())
    }

    /// Clears the set-id bits that a write by somebody else than root clears.
    pub fn drop_set_ids(&self, ino: Ino, who: &Creds<'_>) -> Result<()> {
        let mut op = Change::begin(self)?;
        let mut inode = op.inode_to_set(ino)?;
        let mode = inode.attr.mode_without_set_ids(who);
        if who.is_root() || mode == inode.attr.mode {
            return Ok(());
        }
        inode.attr.mode = mode;
        inode.attr.ctime = Time::now();
        op.put_set(&inode, false, false)?;
        op.commit().map(drop)
    }

    /// Checks `want` (a mask of `R_OK`, `W_OK`, `X_OK`; 0 is existence) for `who`: `EACCES` if denied, `ENOENT`.
    pub fn access(&self, ino: Ino, want: i32, who: &Creds<'_>) -> Result<()> {
        let attr = self.attr(ino)?;
        // Only a list can say otherwise, and only here.
        if who.is_root() || who.uid == attr.uid || attr.mode & 0o070 == 0 {
            return attr.check(want, who);
        }
        self.meta.view(|view| self.load_inode(view, ino)?.check(view, want, who))
    }
}
