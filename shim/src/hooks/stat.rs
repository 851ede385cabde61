//! stat in all its forms.

use crate::abi::{CPath, Out, fail};
use crate::attributes::{self, Form};
use crate::boundary::{self, Answer, Escape, checked};
use crate::paths::{self, WalkedAttr};
use crate::{config, cwd, fds, nodes};
use flac::Fs;
use flac::fs::attr::Attr;
use flac::fs::names::Last;
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, c_int, c_uint, stat as Stat};

/// Looks at a path as `fstatat` does. Writes nothing.
fn look(dirfd: c_int, path: CPath, flags: c_int) -> Answer<WalkedAttr> {
    const KNOWN: c_int = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_SYNC_TYPE;
    if flags & !KNOWN != 0 {
        // The kernel's to refuse.
        return Err(Escape::NotOurs);
    }
    let last = if flags & AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
    if flags & AT_EMPTY_PATH != 0 && path.is_null_or_empty() {
        let (fs, ino) = if dirfd == AT_FDCWD {
            cwd::inode()?
        } else {
            return described(dirfd).map(|(fs, attr)| WalkedAttr::Flac(fs, attr));
        };
        return Ok(WalkedAttr::Flac(fs, fs.attr(ino)?));
    }
    paths::walk_attr(dirfd, path, last)
}

fn stat_at(dirfd: c_int, path: CPath, to: Out<Stat>, flags: c_int, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    boundary::kernel_first();
    match look(dirfd, path, flags)? {
        WalkedAttr::Kernel(path) => checked(theirs(CPath::of(&path))),
        WalkedAttr::Flac(fs, attr) => to.put(Stat::of(fs, &attr)).map(|()| 0),
    }
}

fn lands(result: c_int, at: Out<Stat>) -> bool {
    result == 0 && at.needed().is_ok_and(|at| config::is_covered(at.st_dev, at.st_ino))
}

fn lands_x(result: c_int, at: Out<libc::statx>) -> bool {
    result == 0 && at.needed().is_ok_and(|at| config::is_covered(libc::makedev(at.stx_dev_major, at.stx_dev_minor), at.stx_ino))
}

hook! {
    /// `stat(2)`.
    fn stat(path: CPath, to: Out<Stat>) -> c_int, also(stat64), lands(lands; to), real(theirs) {
        stat_at(AT_FDCWD, path, to, 0, |path| theirs(path, to))
    }
}

hook! {
    /// `lstat(2)`.
    fn lstat(path: CPath, to: Out<Stat>) -> c_int, also(lstat64), lands(lands; to), real(theirs) {
        stat_at(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW, |path| theirs(path, to))
    }
}

/// What a descriptor is open on, a FIFO or device included, whose descriptor is the kernel's.
fn described(fd: c_int) -> Answer<(&'static Fs, Attr)> {
    if fds::is_own(fd) {
        return fail(libc::EBADF);
    }
    match if fds::maybe(fd) { fds::inode(fd) } else { Err(Escape::NotOurs) } {
        Ok((fs, ino)) => Ok((fs, fs.attr(ino)?)),
        Err(Escape::NotOurs) => {
            let (fs, ino) = nodes::behind(fd)?;
            // Removed meanwhile: what the kernel's says is as good.
            Ok((fs, fs.attr(ino).map_err(|_| Escape::NotOurs)?))
        }
        Err(e) => Err(e),
    }
}

fn stat_fd(fd: c_int, to: Out<Stat>) -> Answer<c_int> {
    let (fs, attr) = described(fd)?;
    to.put(Stat::of(fs, &attr)).map(|()| 0)
}

hook! {
    /// `fstat(2)`.
    fn fstat(fd: c_int, to: Out<Stat>) -> c_int, also(fstat64, __fstat64), when(fds::maybe(fd) || nodes::opened() || fds::is_own(fd)) {
        stat_fd(fd, to)
    }
}

hook! {
    /// `fstatat(2)`, which newer libcs also compile `fstat` to, with an empty path.
    fn fstatat(dirfd: c_int, path: CPath, to: Out<Stat>, flags: c_int) -> c_int, also(fstatat64), lands(lands; to), real(theirs) {
        stat_at(dirfd, path, to, flags, |path| theirs(AT_FDCWD, path, to, flags))
    }
}

hook! {
    /// `stat` of programs linked before glibc 2.33.
    fn __xstat(version: c_int, path: CPath, to: Out<Stat>) -> c_int, also(__xstat64), lands(lands; to), real(theirs) {
        stat_at(AT_FDCWD, path, to, 0, |path| theirs(version, path, to))
    }
}

hook! {
    /// `lstat` of programs linked before glibc 2.33.
    fn __lxstat(version: c_int, path: CPath, to: Out<Stat>) -> c_int, also(__lxstat64), lands(lands; to), real(theirs) {
        stat_at(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW, |path| theirs(version, path, to))
    }
}

hook! {
    /// `fstat` of programs linked before glibc 2.33.
    fn __fxstat(version: c_int, fd: c_int, to: Out<Stat>) -> c_int, also(__fxstat64), when(fds::maybe(fd) || nodes::opened() || fds::is_own(fd)) {
        stat_fd(fd, to)
    }
}

hook! {
    /// `fstatat` of programs linked before glibc 2.33.
    fn __fxstatat(version: c_int, dirfd: c_int, path: CPath, to: Out<Stat>, flags: c_int) -> c_int, also(__fxstatat64), lands(lands; to), real(theirs) {
        stat_at(dirfd, path, to, flags, |path| theirs(version, AT_FDCWD, path, to, flags))
    }
}

hook! {
    /// `ftok(3)`: the key is made of what `stat` says.
    fn ftok(path: CPath, id: c_int) -> c_int {
        match look(AT_FDCWD, path, 0)? {
            WalkedAttr::Kernel(_) => Err(Escape::NotOurs),
            WalkedAttr::Flac(fs, attr) => {
                let s = Stat::of(fs, &attr);
                Ok((s.st_ino & 0xffff | (s.st_dev & 0xff) << 16 | (id as u64 & 0xff) << 24) as c_int)
            }
        }
    }
}

hook! {
    /// `statx(2)`. All basic fields and the time of creation are there whatever the mask asks.
    fn statx(dirfd: c_int, path: CPath, flags: c_int, mask: c_uint, to: Out<libc::statx>) -> c_int, lands(lands_x; to), real(theirs) {
        if mask & libc::STATX__RESERVED.cast_unsigned() != 0 || flags & libc::AT_STATX_SYNC_TYPE == libc::AT_STATX_SYNC_TYPE {
            return fail(libc::EINVAL);
        }
        boundary::kernel_first();
        match look(dirfd, path, flags)? {
            WalkedAttr::Kernel(path) => checked(theirs(AT_FDCWD, CPath::of(&path), flags, mask, to)),
            WalkedAttr::Flac(fs, attr) => to.put(attributes::statx(fs, &attr)).map(|()| 0),
        }
    }
}
