//! The shadows' files. All below `<run dir>/w`:
//!
//! * `n/<ino>`: a link to the inode's shadow, as `<parent>/<name>` (through the parent's link), or into `d` or `f`.
//! * `d/<ino>.<k>`: the shadow of a watched directory, with an entry for each of its entries: a directory for a directory, a file for anything else.
//! * `f/<ino>.<k>`: the shadow of a file of which no parent is watched. `k` is 0 or 1: a file or directory that moves itself changes it.
//! * `p`: a locked file for each process that watches.

use crate::media::aside::with_room;
use crate::media::file::{names_in, remove_tree};
use crate::media::lifted;
use crate::units::Ino;
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The size of a file's shadow: the largest there is. What a write past our hooks would append to it is `EFBIG`.
pub const SIZE: i64 = i64::MAX;

pub struct Shadow {
    dir: PathBuf,
}

fn hex(ino: Ino) -> String {
    format!("{:x}", ino.get())
}

fn chmod(path: &Path, mode: u32) -> Result<()> {
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))
}

impl Shadow {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Makes the directories.
    pub fn prepare(&self) -> Result<()> {
        for part in ["", "n", "d", "f", "p"] {
            let path = self.dir.join(part);
            match rustix::fs::mkdir(&path, Mode::from_raw_mode(0o777)) {
                Ok(()) => chmod(&path, 0o777)?,
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    pub fn watchers(&self) -> PathBuf {
        self.dir.join("p")
    }

    /// Whether a process holds its lock. The files of those that don't are removed.
    pub fn somebody_watches(&self) -> bool {
        with_room(|| self.look_for_watchers()).unwrap_or_else(|e| e != Errno::NOENT)
    }

    fn look_for_watchers(&self) -> Result<bool> {
        let mut found = false;
        for name in crate::media::file::names_in(&self.watchers())? {
            let path = self.watchers().join(OsStr::from_bytes(&name));
            let open = match rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
                Ok(open) => open,
                Err(Errno::NOENT) => continue,
                Err(Errno::MFILE) => return Err(Errno::MFILE),
                // Another user's may not be ours to open: it may be locked.
                Err(_) => return Ok(true),
            };
            let is_dead = rustix::fs::flock(&open, FlockOperation::NonBlockingLockExclusive).is_ok();
            if is_dead {
                let _ = rustix::fs::unlink(&path);
            }
            found |= !is_dead;
        }
        Ok(found)
    }

    /// Removes all shadows.
    pub fn clear(&self) {
        for part in ["n", "d", "f"] {
            let part = self.dir.join(part);
            for name in names_in(&part).unwrap_or_default() {
                let _ = remove_tree(&part.join(OsStr::from_bytes(&name)));
            }
        }
    }

    /// The inode's shadow.
    pub fn of(&self, ino: Ino) -> PathBuf {
        self.dir.join("n").join(hex(ino))
    }

    pub fn has(&self, ino: Ino) -> bool {
        rustix::fs::lstat(self.of(ino)).is_ok()
    }

    /// The shadow of an entry of a directory.
    pub fn entry(&self, dir: Ino, name: &[u8]) -> PathBuf {
        self.of(dir).join(OsStr::from_bytes(name))
    }

    /// Makes `target` the inode's shadow.
    fn point(&self, ino: Ino, target: &Path) -> Result<()> {
        let new = self.dir.join("n/new");
        let _ = rustix::fs::unlink(&new);
        rustix::fs::symlink(target, &new)?;
        rustix::fs::rename(&new, self.of(ino))
    }

    fn point_to_entry(&self, ino: Ino, dir: Ino, name: &[u8]) -> Result<()> {
        self.point(ino, &Path::new(&hex(dir)).join(OsStr::from_bytes(name)))
    }

    /// A file that is nobody's shadow yet.
    fn new_file(&self) -> Result<PathBuf> {
        let path = self.dir.join("f/new");
        let _ = rustix::fs::unlink(&path);
        rustix::fs::mknodat(CWD, &path, FileType::RegularFile, Mode::from_raw_mode(0o666), 0)?;
        let open = || rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        lifted(|| with_room(|| rustix::fs::ftruncate(open()?, SIZE as u64)))?;
        chmod(&path, 0o666)?;
        Ok(path)
    }

    fn own(&self, part: &str, ino: Ino, k: u8) -> PathBuf {
        self.dir.join(part).join(format!("{}.{k}", hex(ino)))
    }

    fn own_target(part: &str, ino: Ino, k: u8) -> PathBuf {
        Path::new("..").join(part).join(format!("{}.{k}", hex(ino)))
    }

    /// A shadow for a file whose parents are not watched.
    pub fn add_file(&self, ino: Ino) -> Result<()> {
        rustix::fs::rename(self.new_file()?, self.own("f", ino, 0))?;
        self.point(ino, &Self::own_target("f", ino, 0))
    }

    /// Says, while it exists, that a directory's shadow lacks entries.
    fn unfinished(&self, ino: Ino) -> PathBuf {
        self.dir.join("d").join(format!("{}.new", hex(ino)))
    }

    /// Whether a directory has a shadow with all its entries.
    pub fn has_all(&self, ino: Ino) -> bool {
        self.has(ino) && rustix::fs::lstat(self.unfinished(ino)).is_err()
    }

    /// An empty directory as `ino`'s shadow.
    pub fn begin_directory(&self, ino: Ino) -> Result<()> {
        match rustix::fs::symlink("-", self.unfinished(ino)) {
            Ok(()) => {}
            // Of one who was killed here.
            Err(Errno::EXIST) => self.remove_own("d", ino),
            Err(e) => return Err(e),
        }
        let path = self.own("d", ino, 0);
        rustix::fs::mkdir(&path, Mode::from_raw_mode(0o777))?;
        chmod(&path, 0o777)?;
        // Entries' links lead through it.
        self.point(ino, &Self::own_target("d", ino, 0))
    }

    /// All entries are there.
    pub fn end_directory(&self, ino: Ino) -> Result<()> {
        rustix::fs::unlink(self.unfinished(ino))
    }

    /// `IN_CREATE`, if `dir` is watched.
    pub fn create(&self, dir: Ino, name: &[u8], ino: Ino, is_dir: bool) -> Result<()> {
        let entry = self.entry(dir, name);
        if is_dir {
            return rustix::fs::mkdir(&entry, Mode::from_raw_mode(0o777));
        }
        if self.has(ino) {
            rustix::fs::linkat(CWD, self.of(ino), CWD, &entry, AtFlags::SYMLINK_FOLLOW)?;
            // Of a file that was watched alone the parent is to see the changes, too.
            if self.is_alone(ino) {
                self.point_to_entry(ino, dir, name)?;
                self.remove_own("f", ino);
            }
            return Ok(());
        }
        let new = self.new_file()?;
        let linked = rustix::fs::link(&new, &entry);
        let _ = rustix::fs::unlink(&new);
        linked?;
        self.point_to_entry(ino, dir, name)
    }

    /// Whether no parent of the file is watched.
    fn is_alone(&self, ino: Ino) -> bool {
        rustix::fs::readlink(self.of(ino), Vec::new()).is_ok_and(|target| target.to_bytes().starts_with(b"../f/"))
    }

    fn remove_own(&self, part: &str, ino: Ino) {
        for k in [0, 1] {
            let own = self.own(part, ino, k);
            // To look for what is in it would be told to who watches it.
            if rustix::fs::rmdir(&own).is_err() {
                let _ = remove_tree(&own);
            }
        }
    }

    /// `IN_DELETE`, if `dir` is watched; `IN_DELETE_SELF` if the inode has gone with its name.
    pub fn remove(&self, dir: Ino, name: &[u8], ino: Ino, is_dir: bool, gone: bool) {
        let entry = self.entry(dir, name);
        if is_dir {
            let _ = rustix::fs::rmdir(&entry);
        } else {
            if !gone {
                self.keep(ino, &entry);
            }
            let _ = rustix::fs::unlink(&entry);
        }
        if gone {
            self.forget(ino);
        }
    }

    /// The inode is no more.
    pub fn forget(&self, ino: Ino) {
        self.remove_own("f", ino);
        self.remove_own("d", ino);
        let _ = rustix::fs::unlink(self.of(ino));
    }

    /// `entry` goes, the inode stays: its shadow does, too.
    fn keep(&self, ino: Ino, entry: &Path) {
        let alone = self.own("f", ino, 0);
        if rustix::fs::linkat(CWD, entry, CWD, &alone, AtFlags::empty()).is_ok() {
            let _ = self.point(ino, &Self::own_target("f", ino, 0));
        }
    }

    /// `IN_MOVED_FROM`, `IN_MOVED_TO`, `IN_MOVE_SELF`: whichever are watched.
    pub fn rename(&self, from: (Ino, &[u8]), to: (Ino, &[u8]), ino: Ino, is_dir: bool) {
        let (old, new) = (self.entry(from.0, from.1), self.entry(to.0, to.1));
        let watched = (self.has(from.0), self.has(to.0));
        let is_told_itself = match watched {
            (false, false) => false,
            (true, true) => self.moved(&old, &new, ino, is_dir, Some(to)).is_ok(),
            (true, false) => {
                let out = self.outside(ino, is_dir);
                let moved = self.moved(&old, &out, ino, is_dir, None).is_ok();
                if is_dir {
                    let _ = rustix::fs::rmdir(out);
                }
                moved
            }
            (false, true) => match self.come_from(ino, is_dir) {
                Ok(out) => self.moved(&out, &new, ino, is_dir, Some(to)).is_ok(),
                Err(_) => false,
            },
        };
        if is_dir {
            self.toggle("d", ino);
        } else if !is_told_itself {
            self.toggle("f", ino);
        }
    }

    /// Two entries change places.
    pub fn exchange(&self, a: (Ino, &[u8]), b: (Ino, &[u8]), (of_a, a_is_dir): (Ino, bool), (of_b, b_is_dir): (Ino, bool)) {
        let paths = (self.entry(a.0, a.1), self.entry(b.0, b.1));
        if !self.has(a.0) || !self.has(b.0) {
            // By way of a directory that nobody watches.
            let spare = (Ino::new(0), &b"-"[..]);
            self.rename(a, spare, of_a, a_is_dir);
            self.rename(b, a, of_b, b_is_dir);
            return self.rename(spare, b, of_a, a_is_dir);
        }
        let _ = rustix::fs::renameat_with(CWD, &paths.0, CWD, &paths.1, RenameFlags::EXCHANGE);
        for (ino, is_dir, (dir, name)) in [(of_a, a_is_dir, b), (of_b, b_is_dir, a)] {
            match is_dir {
                true => self.toggle("d", ino),
                false => drop(self.point_to_entry(ino, dir, name)),
            }
        }
    }

    fn moved(&self, from: &Path, to: &Path, ino: Ino, is_dir: bool, place: Option<(Ino, &[u8])>) -> Result<()> {
        rustix::fs::rename(from, to)?;
        match place {
            _ if is_dir => Ok(()),
            Some((dir, name)) => self.point_to_entry(ino, dir, name),
            None => self.point(ino, &Self::own_target("f", ino, 0)),
        }
    }

    /// Where what leaves the watched directories goes.
    fn outside(&self, ino: Ino, is_dir: bool) -> PathBuf {
        if is_dir { self.dir.join("f").join(format!("{}.d", hex(ino))) } else { self.own("f", ino, 0) }
    }

    /// Where what comes into a watched directory comes from.
    fn come_from(&self, ino: Ino, is_dir: bool) -> Result<PathBuf> {
        if is_dir {
            let path = self.outside(ino, true);
            return rustix::fs::mkdir(&path, Mode::from_raw_mode(0o777)).map(|()| path);
        }
        match rustix::fs::readlink(self.of(ino), Vec::new()) {
            Ok(target) if target.to_bytes().starts_with(b"../f/") => Ok(self.dir.join("n").join(OsStr::from_bytes(target.to_bytes()))),
            // It has another name in a watched directory.
            Ok(_) => {
                let path = self.own("f", ino, 0);
                rustix::fs::linkat(CWD, self.of(ino), CWD, &path, AtFlags::SYMLINK_FOLLOW).map(|()| path)
            }
            Err(_) => self.new_file(),
        }
    }

    /// `IN_MOVE_SELF` for what has a shadow of its own.
    fn toggle(&self, part: &str, ino: Ino) {
        for (k, other) in [(0, 1), (1, 0)] {
            if rustix::fs::rename(self.own(part, ino, k), self.own(part, ino, other)).is_ok() {
                let _ = self.point(ino, &Self::own_target(part, ino, other));
                return;
            }
        }
    }
}
