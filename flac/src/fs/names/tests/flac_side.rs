//! The operations, done by FLAC: what a shim makes of a path, in short.

use super::fixture::Tree;
use super::op::{At, Number, Op, Outcome, Stamp, Stat, User, Value};
use crate::error::Error;
use crate::fs::attr::{Attr, Creds, SetAttr, Time};
use crate::fs::names::{Last, Name, Resolved};
use crate::units::Ino;

pub struct Flac {
    pub tree: Tree,
    held: [Option<Ino>; 3],
}

/// Why there is no value.
pub enum Stop {
    Errno(i32),
    /// The path leads out of the tree.
    Outside,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Os(errno) => Self::Errno(errno),
            other => panic!("{other}"),
        }
    }
}

fn no<T>(errno: i32) -> Result<T, Stop> {
    Err(Stop::Errno(errno))
}

/// What a path leads to.
struct Found {
    ino: Ino,
    kind: u32,
}

/// Where a name is, or could be.
struct Entry {
    parent: Ino,
    name: Name,
    /// Inode and kind, if it exists.
    found: Option<Found>,
    dot: u8,
    slash: bool,
}

impl Entry {
    fn is_special(&self) -> bool {
        self.name.as_bytes().is_empty()
    }
    /// For calls that make an entry.
    fn for_making(self, dirs_too: bool) -> Result<Self, Stop> {
        match () {
            () if self.found.is_some() => no(libc::EEXIST),
            () if self.slash && !dirs_too => no(libc::ENOENT),
            () => Ok(self),
        }
    }
}

pub fn stat_of(attr: &Attr) -> Stat {
    let time = |t: Time| (t.sec, t.nsec);
    Stat {
        mode: attr.mode,
        uid: attr.uid,
        gid: attr.gid,
        nlink: attr.nlink as u64,
        size: attr.size,
        rdev: attr.rdev,
        ino: Number(attr.ino.get()),
        times: [time(attr.atime), time(attr.mtime), time(attr.ctime)],
    }
}

fn stamp(stamp: Stamp) -> Option<Option<Time>> {
    match stamp {
        Stamp::Now => Some(None),
        Stamp::Omit => None,
        Stamp::At(sec) => Some(Some(Time { sec, nsec: 7 })),
    }
}

impl Flac {
    pub fn new(root: &str) -> Self {
        Self { tree: Tree::new(root), held: [None; 3] }
    }

    /// What comes of it; `None` if a path leads outside (nothing is done then).
    pub fn run(&mut self, user: &User, op: &Op) -> Option<Outcome> {
        let who = Creds { uid: user.uid, gid: user.gid, groups: &user.groups, umask: user.umask };
        match self.try_run(&who, op) {
            Ok(value) => Some(Ok(value)),
            Err(Stop::Errno(errno)) => Some(Err(errno)),
            Err(Stop::Outside) => None,
        }
    }

    fn base(&self, at: &At) -> Ino {
        at.base.and_then(|held| self.held[held]).unwrap_or(Ino::ROOT)
    }

    fn find(&self, at: &At, last: Last, who: &Creds<'_>) -> Result<Found, Stop> {
        match self.tree.resolve(self.base(at), at.path.as_bytes(), last, who)? {
            Resolved::Found { slash: true, kind, .. } if kind != libc::S_IFDIR => no(libc::ENOTDIR),
            Resolved::Found { ino, kind, .. } => Ok(Found { ino, kind }),
            Resolved::Missing { .. } => no(libc::ENOENT),
            Resolved::Outside(_) => Err(Stop::Outside),
        }
    }

    fn entry(&self, at: &At, who: &Creds<'_>) -> Result<Entry, Stop> {
        match self.tree.resolve(self.base(at), at.path.as_bytes(), Last::Entry, who)? {
            Resolved::Found { parent, name, ino, kind, dot, slash } => {
                Ok(Entry { parent, name, found: Some(Found { ino, kind }), dot, slash })
            }
            Resolved::Missing { parent, name, slash } => Ok(Entry { parent, name, found: None, dot: 0, slash }),
            Resolved::Outside(_) => Err(Stop::Outside),
        }
    }

    fn try_run(&mut self, who: &Creds<'_>, op: &Op) -> Result<Value, Stop> {
        // The kernel looks at these before it looks at the path.
        match op {
            Op::Utimes(_, Stamp::Omit, Stamp::Omit) => return Ok(Value::Nothing),
            Op::Mknod(_, mode, _) if mode & libc::S_IFMT == libc::S_IFDIR => {
                return no(libc::EPERM);
            }
            Op::SetXattr(_, _, _, flags) if flags & !3 != 0 => return no(libc::EINVAL),
            Op::SetXattr(_, name, ..) | Op::GetXattr(_, name) | Op::RemoveXattr(_, name) if name.is_empty() => {
                return no(libc::ERANGE);
            }
            _ => {}
        }
        match op {
            Op::Stat(p) => {
                let (found, attr) = self.tree.resolve_attr(self.base(p), p.path.as_bytes(), Last::Follow, who)?;
                match (found, attr) {
                    (_, Some(attr)) => Ok(Value::Stat(stat_of(&attr))),
                    (Resolved::Missing { .. }, None) => no(libc::ENOENT),
                    _ => Err(Stop::Outside),
                }
            }
            Op::Lstat(p) => Ok(Value::Stat(stat_of(&self.tree.attr(self.find(p, Last::Keep, who)?.ino)?))),
            Op::StatHeld(held) => match self.held[*held] {
                Some(ino) => Ok(Value::Stat(stat_of(&self.tree.attr(ino)?))),
                None => Ok(Value::Nothing),
            },
            Op::Readlink(p) => Ok(Value::Bytes(self.tree.readlink(self.find(p, Last::Keep, who)?.ino)?)),
            Op::Access(p, want) => {
                self.tree.access(self.find(p, Last::Follow, who)?.ino, *want, who)?;
                Ok(Value::Nothing)
            }
            Op::List(p) => self.list(p, who),
            Op::GetXattr(..) | Op::ListXattr(..) => self.read_xattr(who, op),
            Op::Hold(..) | Op::Tmpfile(..) | Op::LinkHeld(..) => self.run_held(who, op).map(|()| Value::Nothing),
            _ => self.change(who, op).map(|()| Value::Nothing),
        }
    }

    fn change(&mut self, who: &Creds<'_>, op: &Op) -> Result<(), Stop> {
        match op {
            Op::Mkdir(p, mode) => {
                let entry = self.entry(p, who)?.for_making(true)?;
                self.tree.mkdir(entry.parent, &entry.name, *mode, who)?;
            }
            Op::Mknod(p, mode, rdev) => {
                let entry = self.entry(p, who)?.for_making(false)?;
                self.tree.create(entry.parent, &entry.name, *mode, *rdev, who)?;
            }
            Op::Symlink(target, p) if target.is_empty() => {
                let _ = p;
                return no(libc::ENOENT);
            }
            Op::Symlink(target, p) => {
                let entry = self.entry(p, who)?.for_making(false)?;
                self.tree.symlink(entry.parent, &entry.name, target.as_bytes(), who)?;
            }
            Op::Link(from, to, follow) => {
                let from = self.find(from, if *follow { Last::Follow } else { Last::Keep }, who)?;
                let to = self.entry(to, who)?.for_making(false)?;
                self.tree.link(from.ino, to.parent, &to.name, who)?;
            }
            Op::Unlink(p) => {
                let entry = self.entry(p, who)?;
                match &entry.found {
                    _ if entry.is_special() => return no(libc::EISDIR),
                    None => return no(libc::ENOENT),
                    Some(found) if entry.slash && found.kind == libc::S_IFDIR => {
                        return no(libc::EISDIR);
                    }
                    Some(_) if entry.slash => return no(libc::ENOTDIR),
                    Some(_) => self.tree.unlink(entry.parent, &entry.name, who)?,
                }
            }
            Op::Rmdir(p) => {
                let entry = self.entry(p, who)?;
                match entry.dot {
                    1 => return no(libc::EINVAL),
                    2 => return no(libc::ENOTEMPTY),
                    _ if entry.is_special() => return no(libc::EBUSY),
                    _ if entry.found.is_none() => return no(libc::ENOENT),
                    _ => self.tree.rmdir(entry.parent, &entry.name, who)?,
                }
            }
            Op::Rename(from, to, flags) => self.rename(from, to, *flags, who)?,
            _ => self.change_attr(who, op)?,
        }
        Ok(())
    }

    fn rename(&mut self, from: &At, to: &At, flags: u32, who: &Creds<'_>) -> Result<(), Stop> {
        let (no_replace, exchange) = (flags & libc::RENAME_NOREPLACE != 0, flags & libc::RENAME_EXCHANGE != 0);
        if no_replace && exchange {
            return no(libc::EINVAL);
        }
        let (from, to) = (self.entry(from, who)?, self.entry(to, who)?);
        if !from.is_special() && !to.is_special() {
            let Some(source) = &from.found else {
                return no(libc::ENOENT);
            };
            if to.found.is_none() && self.tree.attr(to.parent)?.nlink == 0 {
                return no(libc::ENOENT);
            }
            let kept = !(no_replace && to.found.is_some() || exchange && to.found.is_none());
            let target_is_file = to.found.as_ref().is_some_and(|f| f.kind != libc::S_IFDIR);
            if kept && exchange && target_is_file && to.slash {
                return no(libc::ENOTDIR);
            }
            if kept && source.kind != libc::S_IFDIR && (from.slash || to.slash && !exchange) {
                return no(libc::ENOTDIR);
            }
        }
        Ok(self.tree.rename((from.parent, &from.name), (to.parent, &to.name), flags, who)?)
    }

    fn change_attr(&mut self, who: &Creds<'_>, op: &Op) -> Result<(), Stop> {
        let (p, last, change) = match op {
            Op::Chmod(p, mode) => (p, Last::Follow, SetAttr { mode: Some(*mode), ..Default::default() }),
            Op::Chown(p, uid, gid, follow) => {
                let last = if *follow { Last::Follow } else { Last::Keep };
                return Ok(self.tree.chown(self.find(p, last, who)?.ino, *uid, *gid, who)?);
            }
            Op::Utimes(p, atime, mtime) => (p, Last::Follow, SetAttr { atime: stamp(*atime), mtime: stamp(*mtime), ..Default::default() }),
            Op::SetXattr(p, name, value, flags) => {
                let ino = self.find(p, Last::Keep, who)?.ino;
                return Ok(self.tree.set_xattr(ino, name.as_bytes(), value.as_bytes(), *flags, who)?);
            }
            Op::RemoveXattr(p, name) => {
                let ino = self.find(p, Last::Keep, who)?.ino;
                return Ok(self.tree.remove_xattr(ino, name.as_bytes(), who)?);
            }
            _ => unreachable!("changes no attribute"),
        };
        Ok(self.tree.set_attr(self.find(p, last, who)?.ino, &change, who)?)
    }

    fn read_xattr(&self, who: &Creds<'_>, op: &Op) -> Result<Value, Stop> {
        match op {
            Op::GetXattr(p, name) => {
                let ino = self.find(p, Last::Keep, who)?.ino;
                Ok(Value::Bytes(self.tree.get_xattr(ino, name.as_bytes(), who)?))
            }
            Op::ListXattr(p) => Ok(Value::Bytes(self.tree.xattr_names(self.find(p, Last::Keep, who)?.ino, who)?)),
            _ => unreachable!("reads no extended attribute"),
        }
    }

    fn run_held(&mut self, who: &Creds<'_>, op: &Op) -> Result<(), Stop> {
        match op {
            Op::Hold(held, p) => {
                let ino = self.find(p, Last::Follow, who)?.ino;
                self.hold(ino, libc::O_PATH, *held)?;
            }
            Op::Tmpfile(held, p, mode) => {
                let found = self.find(p, Last::Follow, who)?;
                if found.kind != libc::S_IFDIR {
                    return no(libc::ENOTDIR);
                }
                let id = self.tree.create_unnamed(found.ino, *mode, true, who, libc::O_RDWR, *held)?;
                self.held[*held] = Some(self.tree.open_ino(id));
            }
            Op::LinkHeld(held, p) => {
                let Some(ino) = self.held[*held] else {
                    return Ok(());
                };
                let to = self.entry(p, who)?.for_making(false)?;
                self.tree.link(ino, to.parent, &to.name, who)?;
            }
            _ => unreachable!("not about held files"),
        }
        Ok(())
    }

    fn hold(&mut self, ino: Ino, flags: i32, held: usize) -> Result<(), Stop> {
        if self.held[held].take().is_some() {
            self.tree.release(held);
        }
        self.tree.open_file(ino, flags, held)?;
        self.held[held] = Some(ino);
        Ok(())
    }

    fn list(&self, p: &At, who: &Creds<'_>) -> Result<Value, Stop> {
        let found = self.find(p, Last::Follow, who)?;
        if found.kind != libc::S_IFDIR {
            return no(libc::ENOTDIR);
        }
        self.tree.access(found.ino, libc::R_OK, who)?;
        let list = self.tree.list_dir(found.ino)?;
        let mut entries: Vec<_> = list.iter().map(|(_, dtype, name)| (name.to_vec(), dtype)).collect();
        entries.sort();
        Ok(Value::List(entries))
    }
}
