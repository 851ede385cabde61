//! statfs, statvfs, pathconf: numbers about the file system.

use super::access::{Named, named};
use crate::abi::{CPath, Out};
use crate::attributes;
use crate::boundary::{Answer, checked};
use crate::fds;
use libc::{AT_FDCWD, c_int, c_long, statfs64 as StatFs, statvfs as StatVfs};

hook! {
    /// `statfs(2)`.
    fn statfs(path: CPath, to: Out<StatFs>) -> c_int, also(statfs64, __statfs), real(theirs) {
        match named(AT_FDCWD, path, 0)? {
            Named::Kernel(path) => checked(theirs(CPath::of(&path), to)),
            Named::Flac(fs, ..) => to.put(attributes::statfs(fs)).map(|()| 0),
        }
    }
}

hook! {
    /// `fstatfs(2)`.
    fn fstatfs(fd: c_int, to: Out<StatFs>) -> c_int, also(fstatfs64), when(fds::maybe(fd)) {
        let (fs, _) = fds::open_file(fd)?;
        to.put(attributes::statfs(fs)).map(|()| 0)
    }
}

hook! {
    /// `statvfs(3)`.
    fn statvfs(path: CPath, to: Out<StatVfs>) -> c_int, also(statvfs64), real(theirs) {
        match named(AT_FDCWD, path, 0)? {
            Named::Kernel(path) => checked(theirs(CPath::of(&path), to)),
            Named::Flac(fs, ..) => to.put(attributes::statvfs(fs)).map(|()| 0),
        }
    }
}

hook! {
    /// `fstatvfs(3)`.
    fn fstatvfs(fd: c_int, to: Out<StatVfs>) -> c_int, also(fstatvfs64), when(fds::maybe(fd)) {
        let (fs, _) = fds::open_file(fd)?;
        to.put(attributes::statvfs(fs)).map(|()| 0)
    }
}

/// The limits, as Linux has them for a file system of its own; -1 without errno: no limit, or not supported.
fn limit(name: c_int, is_file: bool) -> Answer<c_long> {
    Ok(match name {
        libc::_PC_LINK_MAX => i32::MAX.into(),
        libc::_PC_MAX_CANON | libc::_PC_MAX_INPUT | libc::_PC_NAME_MAX => 255,
        libc::_PC_PATH_MAX | libc::_PC_PIPE_BUF => 4096,
        libc::_PC_CHOWN_RESTRICTED | libc::_PC_NO_TRUNC | libc::_PC_2_SYMLINKS => 1,
        libc::_PC_FILESIZEBITS => 64,
        libc::_PC_VDISABLE => 0,
        libc::_PC_ASYNC_IO if is_file => 1,
        libc::_PC_REC_MIN_XFER_SIZE | libc::_PC_REC_XFER_ALIGN | libc::_PC_ALLOC_SIZE_MIN => 4096,
        libc::_PC_SYNC_IO
        | libc::_PC_ASYNC_IO
        | libc::_PC_PRIO_IO
        | libc::_PC_SOCK_MAXBUF
        | libc::_PC_REC_INCR_XFER_SIZE
        | libc::_PC_REC_MAX_XFER_SIZE
        | libc::_PC_SYMLINK_MAX => -1,
        _ => return crate::abi::fail(libc::EINVAL),
    })
}

hook! {
    /// `pathconf(3)`.
    fn pathconf(path: CPath, name: c_int) -> c_long, real(theirs) {
        // What is asked is looked at before the path.
        limit(name, false)?;
        match named(AT_FDCWD, path, 0)? {
            Named::Kernel(path) => Ok(theirs(CPath::of(&path), name)),
            Named::Flac(fs, ino, _) => limit(name, fs.attr(ino)?.is_file()),
        }
    }
}

hook! {
    /// `fpathconf(3)`.
    fn fpathconf(fd: c_int, name: c_int) -> c_long, when(fds::maybe(fd)) {
        let (fs, id) = fds::open_file(fd)?;
        limit(name, fs.attr(fs.open_ino(id))?.is_file())
    }
}
