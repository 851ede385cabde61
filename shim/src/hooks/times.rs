//! utimensat and its ancestors.

use super::access::{Named, changeable, named};
use crate::abi::{CPath, In, fail};
use crate::boundary::{Answer, checked};
use crate::{creds, fds};
use flac::Fs;
use flac::fs::attr::{SetAttr, Time};
use flac::units::Ino;
use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, c_int, timespec, timeval, utimbuf};

/// What becomes of one time: left, now, or set.
type Change = Option<Option<Time>>;
type Changes = (Change, Change);

const NOW: Changes = (Some(None), Some(None));

fn from_timespec(t: timespec) -> Answer<Change> {
    Ok(match t.tv_nsec {
        libc::UTIME_OMIT => None,
        libc::UTIME_NOW => Some(None),
        0..=999_999_999 => Some(Some(Time { sec: t.tv_sec, nsec: t.tv_nsec as u32 })),
        _ => return fail(libc::EINVAL),
    })
}

fn timespecs(times: In<[timespec; 2]>) -> Answer<Changes> {
    times.get()?.map_or(Ok(NOW), |[a, m]| Ok((from_timespec(a)?, from_timespec(m)?)))
}

fn timevals(times: In<[timeval; 2]>) -> Answer<Changes> {
    let one = |t: timeval| match t.tv_usec {
        0..=999_999 => Ok(Some(Some(Time { sec: t.tv_sec, nsec: t.tv_usec as u32 * 1000 }))),
        _ => fail(libc::EINVAL),
    };
    times.get()?.map_or(Ok(NOW), |[a, m]| Ok((one(a)?, one(m)?)))
}

fn set(fs: &Fs, ino: Ino, (atime, mtime): Changes) -> Answer<c_int> {
    // Nothing to do, so nothing to be permitted.
    if (atime, mtime) != (None, None) {
        fs.set_attr(ino, &SetAttr { atime, mtime, ..SetAttr::default() }, &creds::now().creds())?;
    }
    Ok(0)
}

fn set_at(dirfd: c_int, path: CPath, flags: c_int, times: impl Fn() -> Answer<Changes>, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    match named(dirfd, path, flags)? {
        Named::Kernel(path) => checked(theirs(CPath::of(&path))),
        Named::Flac(fs, ino, _) => set(fs, ino, times()?),
    }
}

fn set_fd(fd: c_int, times: impl Fn() -> Answer<Changes>) -> Answer<c_int> {
    let (fs, ino) = changeable(fd)?;
    set(fs, ino, times()?)
}

hook! {
    /// `utimensat(2)`.
    fn utimensat(dirfd: c_int, path: CPath, times: In<[timespec; 2]>, flags: c_int) -> c_int, real(theirs) {
        if path.is_null() {
            return fail(libc::EINVAL);
        }
        // Nothing to do: the kernel does not even look at the path.
        if times.get()?.is_some_and(|both| both.iter().all(|t| t.tv_nsec == libc::UTIME_OMIT)) {
            return Ok(0);
        }
        if flags & !(AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
            return fail(libc::EINVAL);
        }
        set_at(dirfd, path, flags, || timespecs(times), |path| theirs(AT_FDCWD, path, times, flags))
    }
}

hook! {
    /// `futimens(3)`.
    fn futimens(fd: c_int, times: In<[timespec; 2]>) -> c_int, when(fds::maybe(fd)) {
        set_fd(fd, || timespecs(times))
    }
}

hook! {
    /// `utimes(2)`.
    fn utimes(path: CPath, times: In<[timeval; 2]>) -> c_int, real(theirs) {
        set_at(AT_FDCWD, path, 0, || timevals(times), |path| theirs(path, times))
    }
}

hook! {
    /// `lutimes(3)`.
    fn lutimes(path: CPath, times: In<[timeval; 2]>) -> c_int, real(theirs) {
        set_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, || timevals(times), |path| theirs(path, times))
    }
}

hook! {
    /// `futimes(3)`.
    fn futimes(fd: c_int, times: In<[timeval; 2]>) -> c_int, when(fds::maybe(fd)) {
        set_fd(fd, || timevals(times))
    }
}

hook! {
    /// `futimesat(2)`.
    fn futimesat(dirfd: c_int, path: CPath, times: In<[timeval; 2]>) -> c_int, real(theirs) {
        if path.is_null() {
            return set_fd(dirfd, || timevals(times));
        }
        set_at(dirfd, path, 0, || timevals(times), |path| theirs(AT_FDCWD, path, times))
    }
}

hook! {
    /// `utime(2)`.
    fn utime(path: CPath, times: In<utimbuf>) -> c_int, real(theirs) {
        let second = |sec| Some(Some(Time { sec, nsec: 0 }));
        let changes = || Ok(times.get()?.map_or(NOW, |t| (second(t.actime), second(t.modtime))));
        set_at(AT_FDCWD, path, 0, changes, |path| theirs(path, times))
    }
}
