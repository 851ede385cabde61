#![expect(unsafe_code, reason = "wraps the libc calls on inodes' metadata")]
//! Calls on metadata: stat, modes, owners, times, extended attributes, file systems.

use super::{Errno, Raw, Sys, c_path, call};
use std::ffi::OsStr;

/// What a stat call says.
pub type Stat = libc::stat;

fn filled<T>(fill: impl FnOnce(*mut T) -> Sys<i32>) -> Sys<T> {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    fill(value.as_mut_ptr())?;
    // SAFETY: the structs given here are plain C data, valid when zeroed and when filled in.
    Ok(unsafe { value.assume_init() })
}

pub fn stat(path: impl AsRef<OsStr>) -> Sys<Stat> {
    let path = c_path(path);
    filled(|out| call!(libc::stat(path.as_ptr(), out)))
}

pub fn lstat(path: impl AsRef<OsStr>) -> Sys<Stat> {
    let path = c_path(path);
    filled(|out| call!(libc::lstat(path.as_ptr(), out)))
}

pub fn fstat(fd: impl Raw) -> Sys<Stat> {
    filled(|out| call!(libc::fstat(fd.raw(), out)))
}

pub fn fstatat(dir: impl Raw, path: impl AsRef<OsStr>, flags: i32) -> Sys<Stat> {
    let path = c_path(path);
    filled(|out| call!(libc::fstatat(dir.raw(), path.as_ptr(), out, flags)))
}

pub fn statx(dir: impl Raw, path: impl AsRef<OsStr>, flags: i32, mask: u32) -> Sys<libc::statx> {
    let path = c_path(path);
    filled(|out| call!(libc::statx(dir.raw(), path.as_ptr(), flags, mask, out)))
}

type OldStat = extern "C" fn(i32, *const libc::c_char, *mut Stat) -> i32;

/// `__xstat` or `__lxstat`, the entry points of programs built before glibc 2.33; ENOSYS where libc has none.
pub fn old_stat(symbol: &str, path: impl AsRef<OsStr>) -> Sys<Stat> {
    let (symbol, path) = (c_path(symbol), c_path(path));
    // SAFETY: the name is a C string; a symbol of that name has the type `OldStat`.
    let function = unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr());
        if found.is_null() {
            return Err(super::ENOSYS);
        }
        std::mem::transmute::<*mut libc::c_void, OldStat>(found)
    };
    filled(|out| {
        // Version 1 is the only one on 64-bit Linux (0 on aarch64).
        let version = if cfg!(target_arch = "x86_64") { 1 } else { 0 };
        if function(version, path.as_ptr(), out) == -1 { Err(Errno::last()) } else { Ok(0) }
    })
}

pub fn chmod(path: impl AsRef<OsStr>, mode: u32) -> Sys<()> {
    let path = c_path(path);
    call!(libc::chmod(path.as_ptr(), mode)).map(drop)
}

pub fn fchmod(fd: impl Raw, mode: u32) -> Sys<()> {
    call!(libc::fchmod(fd.raw(), mode)).map(drop)
}

pub fn fchmodat(dir: impl Raw, path: impl AsRef<OsStr>, mode: u32, flags: i32) -> Sys<()> {
    let path = c_path(path);
    call!(libc::fchmodat(dir.raw(), path.as_ptr(), mode, flags)).map(drop)
}

/// An owner or group that stays as it is.
pub const KEEP: u32 = u32::MAX;

pub fn chown(path: impl AsRef<OsStr>, user: u32, group: u32) -> Sys<()> {
    let path = c_path(path);
    call!(libc::chown(path.as_ptr(), user, group)).map(drop)
}

pub fn lchown(path: impl AsRef<OsStr>, user: u32, group: u32) -> Sys<()> {
    let path = c_path(path);
    call!(libc::lchown(path.as_ptr(), user, group)).map(drop)
}

pub fn fchown(fd: impl Raw, user: u32, group: u32) -> Sys<()> {
    call!(libc::fchown(fd.raw(), user, group)).map(drop)
}

pub fn fchownat(dir: impl Raw, path: impl AsRef<OsStr>, user: u32, group: u32, flags: i32) -> Sys<()> {
    let path = c_path(path);
    call!(libc::fchownat(dir.raw(), path.as_ptr(), user, group, flags)).map(drop)
}

pub fn access(path: impl AsRef<OsStr>, mode: i32) -> Sys<()> {
    let path = c_path(path);
    call!(libc::access(path.as_ptr(), mode)).map(drop)
}

pub fn faccessat(dir: impl Raw, path: impl AsRef<OsStr>, mode: i32, flags: i32) -> Sys<()> {
    let path = c_path(path);
    call!(libc::faccessat(dir.raw(), path.as_ptr(), mode, flags)).map(drop)
}

/// A time as (seconds, nanoseconds).
pub type Time = (i64, i64);

/// The special value of `utimensat` for "now".
pub const NOW: Time = (0, libc::UTIME_NOW);
/// The special value of `utimensat` for "as it is".
pub const OMIT: Time = (0, libc::UTIME_OMIT);

fn timespecs(times: &[Time; 2]) -> [libc::timespec; 2] {
    times.map(|(tv_sec, tv_nsec)| libc::timespec { tv_sec, tv_nsec })
}

pub fn utimensat(path: impl AsRef<OsStr>, access: Time, change: Time, flags: i32) -> Sys<()> {
    let path = c_path(path);
    let times = timespecs(&[access, change]);
    call!(libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), flags)).map(drop)
}

/// `utimensat` with a null pointer: both times become now.
pub fn touch(path: impl AsRef<OsStr>) -> Sys<()> {
    let path = c_path(path);
    call!(libc::utimensat(libc::AT_FDCWD, path.as_ptr(), std::ptr::null(), 0)).map(drop)
}

pub fn futimens(fd: impl Raw, access: Time, change: Time) -> Sys<()> {
    let times = timespecs(&[access, change]);
    call!(libc::futimens(fd.raw(), times.as_ptr())).map(drop)
}

/// `utimes` in (seconds, microseconds).
pub fn utimes(path: impl AsRef<OsStr>, access: Time, change: Time) -> Sys<()> {
    let path = c_path(path);
    let times = [access, change].map(|(tv_sec, tv_usec)| libc::timeval { tv_sec, tv_usec });
    call!(libc::utimes(path.as_ptr(), times.as_ptr())).map(drop)
}

pub fn setxattr(path: impl AsRef<OsStr>, name: &str, value: &[u8], flags: i32) -> Sys<()> {
    let (path, name) = (c_path(path), c_path(name));
    call!(libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), flags)).map(drop)
}

/// `getxattr` into a buffer of `room` bytes: the length it reports and the bytes it stored.
pub fn getxattr(path: impl AsRef<OsStr>, name: &str, room: usize) -> Sys<(usize, Vec<u8>)> {
    let (path, name) = (c_path(path), c_path(name));
    with_room(room, |out| call!(libc::getxattr(path.as_ptr(), name.as_ptr(), out.cast(), room)))
}

pub fn fgetxattr(fd: impl Raw, name: &str, room: usize) -> Sys<(usize, Vec<u8>)> {
    let name = c_path(name);
    with_room(room, |out| call!(libc::fgetxattr(fd.raw(), name.as_ptr(), out.cast(), room)))
}

/// `listxattr` into a buffer of `room` bytes: the length it reports and the bytes it stored.
pub fn listxattr(path: impl AsRef<OsStr>, room: usize) -> Sys<(usize, Vec<u8>)> {
    let path = c_path(path);
    with_room(room, |out| call!(libc::listxattr(path.as_ptr(), out.cast(), room)))
}

pub fn removexattr(path: impl AsRef<OsStr>, name: &str) -> Sys<()> {
    let (path, name) = (c_path(path), c_path(name));
    call!(libc::removexattr(path.as_ptr(), name.as_ptr())).map(drop)
}

fn with_room(room: usize, get: impl FnOnce(*mut u8) -> Sys<isize>) -> Sys<(usize, Vec<u8>)> {
    let mut buffer = vec![0_u8; room];
    let length = usize::try_from(get(buffer.as_mut_ptr())?).expect("not negative");
    buffer.truncate(length);
    Ok((length, buffer))
}

pub fn statfs(path: impl AsRef<OsStr>) -> Sys<libc::statfs> {
    let path = c_path(path);
    filled(|out| call!(libc::statfs(path.as_ptr(), out)))
}

pub fn fstatfs(fd: impl Raw) -> Sys<libc::statfs> {
    filled(|out| call!(libc::fstatfs(fd.raw(), out)))
}

pub fn statvfs(path: impl AsRef<OsStr>) -> Sys<libc::statvfs> {
    let path = c_path(path);
    filled(|out| call!(libc::statvfs(path.as_ptr(), out)))
}

/// `pathconf`; EINVAL when the name is not known for the path.
pub fn pathconf(path: impl AsRef<OsStr>, name: i32) -> Sys<i64> {
    let path = c_path(path);
    call!(libc::pathconf(path.as_ptr(), name))
}

pub fn fpathconf(fd: impl Raw, name: i32) -> Sys<i64> {
    call!(libc::fpathconf(fd.raw(), name))
}
