//! Extended attributes.

use super::access::{Named, changeable, named};
use crate::abi::{CPath, InBytes, OutBytes, count, fail};
use crate::boundary::{Answer, Escape, checked};
use crate::{creds, fds};
use flac::Fs;
use flac::units::Ino;
use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, c_int, size_t, ssize_t};

/// The kernel's limits (`XATTR_NAME_MAX`, `XATTR_SIZE_MAX`).
const NAME_MOST: usize = 255;
const SIZE_MOST: usize = 65536;

fn name_of<'a>(name: CPath) -> Answer<&'a [u8]> {
    let name = name.bytes().map_err(|_| Escape::Fail(libc::EFAULT))?;
    if name.is_empty() || name.len() > NAME_MOST { fail(libc::ERANGE) } else { Ok(name) }
}

/// Gives a value to C, or its length if there is no room at all.
fn give(value: &[u8], to: OutBytes, room: size_t) -> Answer<ssize_t> {
    if room != 0 {
        if value.len() > room {
            return fail(libc::ERANGE);
        }
        to.fill(value)?;
    }
    Ok(count(value.len()))
}

/// Calls `f` with the inode at a path of FLAC's.
fn at<R: crate::boundary::CReturn>(path: CPath, flags: c_int, theirs: impl Fn(CPath) -> R, f: impl Fn(&Fs, Ino) -> Answer<R>) -> Answer<R> {
    match named(AT_FDCWD, path, flags)? {
        Named::Kernel(path) => checked(theirs(CPath::of(&path))),
        Named::Flac(fs, ino, _) => f(fs, ino),
    }
}

fn get(fs: &Fs, ino: Ino, name: CPath, to: OutBytes, room: size_t) -> Answer<ssize_t> {
    give(&fs.get_xattr(ino, name_of(name)?, &creds::now().creds())?, to, room)
}

hook! {
    /// `getxattr(2)`.
    fn getxattr(path: CPath, name: CPath, to: OutBytes, room: size_t) -> ssize_t, real(theirs) {
        at(path, 0, |path| theirs(path, name, to, room), |fs, ino| get(fs, ino, name, to, room))
    }
}

hook! {
    /// `lgetxattr(2)`.
    fn lgetxattr(path: CPath, name: CPath, to: OutBytes, room: size_t) -> ssize_t, real(theirs) {
        at(path, AT_SYMLINK_NOFOLLOW, |path| theirs(path, name, to, room), |fs, ino| get(fs, ino, name, to, room))
    }
}

hook! {
    /// `fgetxattr(2)`.
    fn fgetxattr(fd: c_int, name: CPath, to: OutBytes, room: size_t) -> ssize_t, when(fds::maybe(fd)) {
        let (fs, ino) = changeable(fd)?;
        get(fs, ino, name, to, room)
    }
}

fn list(fs: &Fs, ino: Ino, to: OutBytes, room: size_t) -> Answer<ssize_t> {
    give(&fs.xattr_names(ino, &creds::now().creds())?, to, room)
}

hook! {
    /// `listxattr(2)`.
    fn listxattr(path: CPath, to: OutBytes, room: size_t) -> ssize_t, real(theirs) {
        at(path, 0, |path| theirs(path, to, room), |fs, ino| list(fs, ino, to, room))
    }
}

hook! {
    /// `llistxattr(2)`.
    fn llistxattr(path: CPath, to: OutBytes, room: size_t) -> ssize_t, real(theirs) {
        at(path, AT_SYMLINK_NOFOLLOW, |path| theirs(path, to, room), |fs, ino| list(fs, ino, to, room))
    }
}

hook! {
    /// `flistxattr(2)`.
    fn flistxattr(fd: c_int, to: OutBytes, room: size_t) -> ssize_t, when(fds::maybe(fd)) {
        let (fs, ino) = changeable(fd)?;
        list(fs, ino, to, room)
    }
}

fn set(fs: &Fs, ino: Ino, name: CPath, value: InBytes, size: size_t, flags: c_int) -> Answer<c_int> {
    if flags & !(libc::XATTR_CREATE | libc::XATTR_REPLACE) != 0 {
        return fail(libc::EINVAL);
    }
    if size > SIZE_MOST {
        return fail(libc::E2BIG);
    }
    fs.set_xattr(ino, name_of(name)?, &value.copy(size)?, flags, &creds::now().creds())?;
    Ok(0)
}

hook! {
    /// `setxattr(2)`.
    fn setxattr(path: CPath, name: CPath, value: InBytes, size: size_t, flags: c_int) -> c_int, real(theirs) {
        at(path, 0, |path| theirs(path, name, value, size, flags), |fs, ino| set(fs, ino, name, value, size, flags))
    }
}

hook! {
    /// `lsetxattr(2)`.
    fn lsetxattr(path: CPath, name: CPath, value: InBytes, size: size_t, flags: c_int) -> c_int, real(theirs) {
        at(path, AT_SYMLINK_NOFOLLOW, |path| theirs(path, name, value, size, flags), |fs, ino| set(fs, ino, name, value, size, flags))
    }
}

hook! {
    /// `fsetxattr(2)`.
    fn fsetxattr(fd: c_int, name: CPath, value: InBytes, size: size_t, flags: c_int) -> c_int, when(fds::maybe(fd)) {
        let (fs, ino) = changeable(fd)?;
        set(fs, ino, name, value, size, flags)
    }
}

fn remove(fs: &Fs, ino: Ino, name: CPath) -> Answer<c_int> {
    fs.remove_xattr(ino, name_of(name)?, &creds::now().creds())?;
    Ok(0)
}

hook! {
    /// `removexattr(2)`.
    fn removexattr(path: CPath, name: CPath) -> c_int, real(theirs) {
        at(path, 0, |path| theirs(path, name), |fs, ino| remove(fs, ino, name))
    }
}

hook! {
    /// `lremovexattr(2)`.
    fn lremovexattr(path: CPath, name: CPath) -> c_int, real(theirs) {
        at(path, AT_SYMLINK_NOFOLLOW, |path| theirs(path, name), |fs, ino| remove(fs, ino, name))
    }
}

hook! {
    /// `fremovexattr(2)`.
    fn fremovexattr(fd: c_int, name: CPath) -> c_int, when(fds::maybe(fd)) {
        let (fs, ino) = changeable(fd)?;
        remove(fs, ino, name)
    }
}
