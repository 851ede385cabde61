//! Names and attributes: looking up, making, renaming, removing, changing.

use super::caller::Caller;
use super::{Server, ino_of, time_of};
use flac::fs::attr::SetAttr;
use flac::fs::names::{Last, Name, Resolved};
use flac::units::Ino;
use flac::{Error, Result};
use fuser::{FileAttr, INodeNo, TimeOrNow};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What a setattr asks for.
pub struct Wanted {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime: Option<TimeOrNow>,
    pub mtime: Option<TimeOrNow>,
    /// Through a file that is open for writing.
    pub open: bool,
}

impl Server {
    pub fn find(&self, parent: INodeNo, name: &OsStr, caller: &Caller) -> Result<FileAttr> {
        loop {
            match self.fs().resolve_attr(ino_of(parent), name.as_bytes(), Last::Keep, &caller.creds())? {
                (Resolved::Found { .. }, Some(attr)) if self.keep(attr.ino) => return Ok(super::shown(&attr)),
                // Removed since: the name may be another file's by now.
                (Resolved::Found { .. }, Some(_)) => {}
                _ => return Err(Error::Os(libc::ENOENT)),
            }
        }
    }

    pub fn set(&self, node: INodeNo, wanted: &Wanted, caller: &Caller) -> Result<FileAttr> {
        let (fs, ino, who) = (self.fs(), ino_of(node), caller.creds());
        if let Some(size) = wanted.size {
            if !wanted.open {
                fs.access(ino, libc::W_OK, &who)?;
            }
            fs.truncate(ino, size)?;
            self.drop_set_ids(ino, caller)?;
        }
        let time = |time: TimeOrNow| match time {
            TimeOrNow::Now => None,
            TimeOrNow::SpecificTime(time) => Some(time_of(time)),
        };
        let mode = wanted.mode.map(|mode| mode & 0o7777);
        let change = SetAttr { mode, uid: wanted.uid, gid: wanted.gid, atime: wanted.atime.map(time), mtime: wanted.mtime.map(time) };
        fs.set_attr(ino, &change, &who)?;
        self.attr(ino)
    }

    /// What a change of content by somebody else than root takes away.
    pub fn drop_set_ids(&self, ino: Ino, caller: &Caller) -> Result<()> {
        if caller.is_root() || self.fs().attr(ino)?.mode & (libc::S_ISUID | libc::S_ISGID) == 0 {
            return Ok(());
        }
        self.fs().drop_set_ids(ino, &caller.creds())
    }

    pub fn make_node(&self, parent: INodeNo, name: &OsStr, mode: u32, rdev: u32, caller: &Caller) -> Result<FileAttr> {
        let ino = self.fs().create(ino_of(parent), &Name::new(name.as_bytes())?, mode, rdev as u64, &caller.creds())?;
        self.attr(ino)
    }

    /// Makes and opens a file, or opens the one that somebody has made meanwhile.
    pub fn make_file(&self, parent: INodeNo, name: &OsStr, mode: u32, flags: i32, caller: &Caller) -> Result<(FileAttr, usize)> {
        let mode = libc::S_IFREG | mode & 0o7777;
        match self.make_node(parent, name, mode, 0, caller) {
            Ok(attr) => Ok((attr, self.open_file(ino_of(attr.ino), flags)?)),
            Err(Error::Os(libc::EEXIST)) if flags & libc::O_EXCL == 0 => {
                let attr = self.find(parent, name, caller)?;
                let hold = self.open(attr.ino, flags, caller)?;
                if flags & libc::O_TRUNC != 0 {
                    let size = self.fs().truncate(ino_of(attr.ino), 0);
                    size.inspect_err(|_| self.close_file(hold))?;
                }
                Ok((self.attr(ino_of(attr.ino))?, hold))
            }
            Err(e) => Err(e),
        }
    }

    pub fn make_dir(&self, parent: INodeNo, name: &OsStr, mode: u32, caller: &Caller) -> Result<FileAttr> {
        let ino = self.fs().mkdir(ino_of(parent), &Name::new(name.as_bytes())?, mode, &caller.creds())?;
        self.attr(ino)
    }

    pub fn make_link(&self, parent: INodeNo, name: &OsStr, target: &OsStr, caller: &Caller) -> Result<FileAttr> {
        let ino = self.fs().symlink(ino_of(parent), &Name::new(name.as_bytes())?, target.as_bytes(), &caller.creds())?;
        self.attr(ino)
    }

    pub fn name_again(&self, node: INodeNo, parent: INodeNo, name: &OsStr, caller: &Caller) -> Result<FileAttr> {
        self.fs().link(ino_of(node), ino_of(parent), &Name::new(name.as_bytes())?, &caller.creds())?;
        self.attr(ino_of(node))
    }

    pub fn remove(&self, parent: INodeNo, name: &OsStr, dir: bool, caller: &Caller) -> Result<()> {
        let name = Name::new(name.as_bytes())?;
        match dir {
            true => self.fs().rmdir(ino_of(parent), &name, &caller.creds()),
            false => self.fs().unlink(ino_of(parent), &name, &caller.creds()),
        }
    }

    pub fn move_name(&self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr), flags: u32, caller: &Caller) -> Result<()> {
        let (old, new) = (Name::new(from.1.as_bytes())?, Name::new(to.1.as_bytes())?);
        self.fs().rename((ino_of(from.0), &old), (ino_of(to.0), &new), flags, &caller.creds())
    }
}
