//! unlink, rmdir, remove, mkdir, mknod, symlink, readlink: calls about one name.

use crate::abi::{CPath, OutBytes, count, fail};
use crate::boundary::{self, Answer, Escape, checked};
use crate::paths::{self, Walked};
use crate::{creds, fds};
use flac::Fs;
use flac::fs::names::{Last, Name, Resolved};
use flac::units::Ino;
use libc::{AT_FDCWD, AT_REMOVEDIR, c_int, dev_t, mode_t, size_t, ssize_t};

/// What removing a name found wrong with how it was spelled.
fn unlink_here(fs: &Fs, at: &Resolved) -> Answer<c_int> {
    match at {
        Resolved::Found { dot: 1.., .. } => fail(libc::EISDIR),
        Resolved::Found { name, .. } if name.as_bytes().is_empty() => fail(libc::EISDIR),
        Resolved::Found { kind: libc::S_IFDIR, parent, .. } => may_remove(fs, *parent).and(fail(libc::EISDIR)),
        Resolved::Found { slash: true, .. } => fail(libc::ENOTDIR),
        Resolved::Found { parent, name, ino, kind, .. } => {
            fs.unlink(*parent, name, &creds::now().creds())?;
            if *kind == libc::S_IFSOCK {
                crate::sockets::unlinked(fs, *ino);
            }
            Ok(0)
        }
        _ => fail(libc::ENOENT),
    }
}

/// Whether names may be removed from the directory at all: asked before what the name stands for.
fn may_remove(fs: &Fs, parent: Ino) -> Answer<()> {
    Ok(fs.access(parent, libc::W_OK | libc::X_OK, &creds::now().creds())?)
}

fn rmdir_here(fs: &Fs, at: &Resolved) -> Answer<c_int> {
    match at {
        Resolved::Found { dot: 1, .. } => fail(libc::EINVAL),
        Resolved::Found { dot: 2, .. } => fail(libc::ENOTEMPTY),
        Resolved::Found { kind, parent, .. } if *kind != libc::S_IFDIR => may_remove(fs, *parent).and(fail(libc::ENOTDIR)),
        Resolved::Found { name, .. } if name.as_bytes().is_empty() => fail(libc::EBUSY),
        Resolved::Found { parent, name, .. } => {
            fs.rmdir(*parent, name, &creds::now().creds())?;
            Ok(0)
        }
        _ => fail(libc::ENOENT),
    }
}

fn take_away(dirfd: c_int, path: CPath, how: fn(&Fs, &Resolved) -> Answer<c_int>, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    match paths::walk(dirfd, path, Last::Entry)? {
        Walked::Kernel(path) => checked(theirs(CPath::of(&path))),
        Walked::Flac(fs, at) => how(fs, &at),
    }
}

hook! {
    /// `unlink(2)`.
    fn unlink(path: CPath) -> c_int, real(theirs) {
        take_away(AT_FDCWD, path, unlink_here, theirs)
    }
}

hook! {
    /// `rmdir(2)`.
    fn rmdir(path: CPath) -> c_int, real(theirs) {
        take_away(AT_FDCWD, path, rmdir_here, theirs)
    }
}

hook! {
    /// `unlinkat(2)`.
    fn unlinkat(dirfd: c_int, path: CPath, flags: c_int) -> c_int, real(theirs) {
        let how = match flags {
            0 => unlink_here,
            AT_REMOVEDIR => rmdir_here,
            _ => return Err(Escape::NotOurs),
        };
        take_away(dirfd, path, how, |path| theirs(AT_FDCWD, path, flags))
    }
}

hook! {
    /// `remove(3)`.
    fn remove(path: CPath) -> c_int, real(theirs) {
        let how = |fs: &Fs, at: &Resolved| match at {
            Resolved::Found { kind: libc::S_IFDIR, .. } => rmdir_here(fs, at),
            _ => unlink_here(fs, at),
        };
        take_away(AT_FDCWD, path, how, theirs)
    }
}

/// A name that does not exist and shall; `EEXIST` if it does.
pub fn missing(at: Resolved) -> Answer<(Ino, Name, bool)> {
    match at {
        Resolved::Missing { parent, name, slash } => Ok((parent, name, slash)),
        _ => fail(libc::EEXIST),
    }
}

fn make_dir(dirfd: c_int, path: CPath, mode: mode_t, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    match paths::walk(dirfd, path, Last::Entry)? {
        Walked::Kernel(path) => checked(theirs(CPath::of(&path))),
        Walked::Flac(fs, at) => {
            let (parent, name, _) = missing(at)?;
            fs.mkdir(parent, &name, mode & 0o1777, &creds::now().creds())?;
            Ok(0)
        }
    }
}

hook! {
    /// `mkdir(2)`.
    fn mkdir(path: CPath, mode: mode_t) -> c_int, real(theirs) {
        make_dir(AT_FDCWD, path, mode, |path| theirs(path, mode))
    }
}

hook! {
    /// `mkdirat(2)`.
    fn mkdirat(dirfd: c_int, path: CPath, mode: mode_t) -> c_int, real(theirs) {
        make_dir(dirfd, path, mode, |path| theirs(AT_FDCWD, path, mode))
    }
}

fn make_node(dirfd: c_int, path: CPath, mode: mode_t, rdev: dev_t, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    // Refused before the path is looked at.
    match mode & libc::S_IFMT {
        0 | libc::S_IFREG | libc::S_IFIFO | libc::S_IFSOCK | libc::S_IFCHR | libc::S_IFBLK => {}
        libc::S_IFDIR => return fail(libc::EPERM),
        _ => return fail(libc::EINVAL),
    }
    match paths::walk(dirfd, path, Last::Entry)? {
        Walked::Kernel(path) => checked(theirs(CPath::of(&path))),
        Walked::Flac(fs, at) => {
            let (parent, name, slash) = missing(at)?;
            if slash {
                return fail(libc::ENOENT);
            }
            let who = creds::now().creds();
            let kind = match mode & libc::S_IFMT {
                0 | libc::S_IFREG => libc::S_IFREG,
                kind @ (libc::S_IFIFO | libc::S_IFSOCK) => kind,
                // 0:0 is overlayfs's whiteout, which anyone may make.
                kind @ (libc::S_IFCHR | libc::S_IFBLK) if who.uid == 0 || (kind == libc::S_IFCHR && rdev == 0) => kind,
                _ => return fail(libc::EPERM),
            };
            fs.create(parent, &name, kind | mode & 0o7777, rdev, &who)?;
            Ok(0)
        }
    }
}

hook! {
    /// `mknod(2)`.
    fn mknod(path: CPath, mode: mode_t, rdev: dev_t) -> c_int, real(theirs) {
        make_node(AT_FDCWD, path, mode, rdev, |path| theirs(path, mode, rdev))
    }
}

hook! {
    /// `mknodat(2)`.
    fn mknodat(dirfd: c_int, path: CPath, mode: mode_t, rdev: dev_t) -> c_int, real(theirs) {
        make_node(dirfd, path, mode, rdev, |path| theirs(AT_FDCWD, path, mode, rdev))
    }
}

hook! {
    /// `mkfifo(3)`.
    fn mkfifo(path: CPath, mode: mode_t) -> c_int, real(theirs) {
        make_node(AT_FDCWD, path, libc::S_IFIFO | mode & 0o7777, 0, |path| theirs(path, mode))
    }
}

hook! {
    /// `mkfifoat(3)`.
    fn mkfifoat(dirfd: c_int, path: CPath, mode: mode_t) -> c_int, real(theirs) {
        make_node(dirfd, path, libc::S_IFIFO | mode & 0o7777, 0, |path| theirs(AT_FDCWD, path, mode))
    }
}

hook! {
    /// `mknod` of programs linked before glibc 2.33.
    fn __xmknod(version: c_int, path: CPath, mode: mode_t, rdev: crate::abi::In<dev_t>) -> c_int, real(theirs) {
        make_node(AT_FDCWD, path, mode, rdev.get()?.unwrap_or(0), |path| theirs(version, path, mode, rdev))
    }
}

hook! {
    /// `mknodat` of programs linked before glibc 2.33.
    fn __xmknodat(version: c_int, dirfd: c_int, path: CPath, mode: mode_t, rdev: crate::abi::In<dev_t>) -> c_int, real(theirs) {
        make_node(dirfd, path, mode, rdev.get()?.unwrap_or(0), |path| theirs(version, AT_FDCWD, path, mode, rdev))
    }
}

fn make_link(target: CPath, dirfd: c_int, path: CPath, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    match paths::walk(dirfd, path, Last::Entry)? {
        Walked::Kernel(path) => checked(theirs(CPath::of(&path))),
        Walked::Flac(fs, at) => {
            let target = target.bytes().map_err(|_| Escape::Fail(libc::EFAULT))?;
            if target.is_empty() {
                return fail(libc::ENOENT);
            }
            if target.len() >= libc::PATH_MAX as usize {
                return fail(libc::ENAMETOOLONG);
            }
            let (parent, name, slash) = missing(at)?;
            if slash {
                return fail(libc::ENOENT);
            }
            fs.symlink(parent, &name, target, &creds::now().creds())?;
            Ok(0)
        }
    }
}

hook! {
    /// `symlink(2)`.
    fn symlink(target: CPath, path: CPath) -> c_int, real(theirs) {
        make_link(target, AT_FDCWD, path, |path| theirs(target, path))
    }
}

hook! {
    /// `symlinkat(2)`.
    fn symlinkat(target: CPath, dirfd: c_int, path: CPath) -> c_int, real(theirs) {
        make_link(target, dirfd, path, |path| theirs(target, AT_FDCWD, path))
    }
}

fn read_link(dirfd: c_int, path: CPath, to: OutBytes, room: size_t, theirs: impl Fn(CPath) -> ssize_t) -> Answer<ssize_t> {
    // The kernel takes it for an `int`, and looks at it first.
    if room as c_int <= 0 {
        return fail(libc::EINVAL);
    }
    let (fs, ino) = if path.bytes()?.is_empty() && dirfd != AT_FDCWD {
        fds::inode(dirfd)?
    } else {
        // A directory is EINVAL, whosever it is.
        boundary::kernel_first();
        match paths::walk(dirfd, path, Last::Keep) {
            Ok(Walked::Kernel(path)) => return checked(theirs(CPath::of(&path))),
            Ok(Walked::Flac(_, Resolved::Found { kind, slash: true, .. })) if kind != libc::S_IFDIR => return fail(libc::ENOTDIR),
            Ok(Walked::Flac(fs, Resolved::Found { ino, .. })) => (fs, ino),
            Ok(Walked::Flac(..)) => return fail(libc::ENOENT),
            Err(Escape::NotOurs) => return special_link(path.bytes()?, to, room),
            Err(e) => return Err(e),
        }
    };
    let mut target = match fs.readlink(ino) {
        // It is the descriptor's own file that is no link.
        Err(e) if e.errno() == libc::EINVAL && path.bytes()?.is_empty() => return fail(libc::ENOENT),
        target => target?,
    };
    target.truncate(room);
    to.fill(&target)?;
    Ok(count(target.len()))
}

/// `/proc/self/cwd`, `/proc/self/exe` and `/proc/self/fd/N` of something in FLAC: its path, not the stub's.
fn special_link(path: &[u8], to: OutBytes, room: size_t) -> Answer<ssize_t> {
    let Some(special) = paths::special::parse(path).filter(|s| s.rest.is_none()) else {
        // Of another process.
        let target = if path.starts_with(b"/proc/") { crate::cwd::behind(path) } else { None };
        let mut target = target.ok_or(Escape::NotOurs)?;
        target.truncate(room);
        to.fill(&target)?;
        return Ok(count(target.len()));
    };
    let (fs, ino) = paths::special::file(&special)?.ok_or(Escape::NotOurs)?;
    let mut target = paths::special::name(&special, fs, ino)?;
    target.truncate(room);
    to.fill(&target)?;
    Ok(count(target.len()))
}

hook! {
    /// `readlink(2)`.
    fn readlink(path: CPath, to: OutBytes, room: size_t) -> ssize_t, real(theirs) {
        read_link(AT_FDCWD, path, to, room, |path| theirs(path, to, room))
    }
}

hook! {
    /// `readlinkat(2)`.
    fn readlinkat(dirfd: c_int, path: CPath, to: OutBytes, room: size_t) -> ssize_t, real(theirs) {
        read_link(dirfd, path, to, room, |path| theirs(AT_FDCWD, path, to, room))
    }
}

hook! {
    /// `readlink` as compiled with `_FORTIFY_SOURCE`.
    fn __readlink_chk(path: CPath, to: OutBytes, room: size_t, size: size_t) -> ssize_t, when(room <= size && crate::config::on()), real(theirs) {
        read_link(AT_FDCWD, path, to, room, |path| theirs(path, to, room, size))
    }
}

hook! {
    /// `readlinkat` as compiled with `_FORTIFY_SOURCE`.
    fn __readlinkat_chk(dirfd: c_int, path: CPath, to: OutBytes, room: size_t, size: size_t) -> ssize_t,
    when(room <= size && crate::config::on()), real(theirs) {
        read_link(dirfd, path, to, room, |path| theirs(AT_FDCWD, path, to, room, size))
    }
}
