#![expect(unsafe_code, reason = "wraps the libc calls that take paths")]
//! Calls on names.

use super::{Errno, Fd, Raw, Sys, c_path, call};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

type Flags = i32;

pub fn open(path: impl AsRef<OsStr>, flags: Flags, mode: u32) -> Sys<Fd> {
    let path = c_path(path);
    call!(libc::open(path.as_ptr(), flags, mode)).map(Fd::own)
}

pub fn openat(dir: impl Raw, path: impl AsRef<OsStr>, flags: Flags, mode: u32) -> Sys<Fd> {
    let path = c_path(path);
    call!(libc::openat(dir.raw(), path.as_ptr(), flags, mode)).map(Fd::own)
}

/// `struct open_how`.
#[derive(Clone, Copy)]
pub struct How {
    pub flags: u64,
    pub mode: u64,
    pub resolve: u64,
}

/// `openat2`, which libc has no function for.
pub fn openat2(dir: impl Raw, path: impl AsRef<OsStr>, how: How) -> Sys<Fd> {
    openat2_sized(dir, path, &[how.flags, how.mode, how.resolve], 24)
}

/// `openat2` with a structure of `size` bytes.
pub fn openat2_sized(dir: impl Raw, path: impl AsRef<OsStr>, how: &[u64], size: usize) -> Sys<Fd> {
    assert!(size <= size_of_val(how));
    let path = c_path(path);
    call!(libc::syscall(libc::SYS_openat2, dir.raw(), path.as_ptr(), how.as_ptr(), size)).map(|fd| Fd::own(fd as i32))
}

pub fn creat(path: impl AsRef<OsStr>, mode: u32) -> Sys<Fd> {
    let path = c_path(path);
    call!(libc::creat(path.as_ptr(), mode)).map(Fd::own)
}

/// `open` with an address that is not mapped as its path.
pub fn open_bad_address() -> Sys<Fd> {
    call!(libc::open(std::ptr::without_provenance(1), libc::O_RDONLY)).map(Fd::own)
}

pub fn mkdir(path: impl AsRef<OsStr>, mode: u32) -> Sys<()> {
    let path = c_path(path);
    call!(libc::mkdir(path.as_ptr(), mode)).map(drop)
}

pub fn mkdirat(dir: impl Raw, path: impl AsRef<OsStr>, mode: u32) -> Sys<()> {
    let path = c_path(path);
    call!(libc::mkdirat(dir.raw(), path.as_ptr(), mode)).map(drop)
}

pub fn rmdir(path: impl AsRef<OsStr>) -> Sys<()> {
    let path = c_path(path);
    call!(libc::rmdir(path.as_ptr())).map(drop)
}

pub fn unlink(path: impl AsRef<OsStr>) -> Sys<()> {
    let path = c_path(path);
    call!(libc::unlink(path.as_ptr())).map(drop)
}

pub fn unlinkat(dir: impl Raw, path: impl AsRef<OsStr>, flags: Flags) -> Sys<()> {
    let path = c_path(path);
    call!(libc::unlinkat(dir.raw(), path.as_ptr(), flags)).map(drop)
}

/// `remove(3)`.
pub fn remove(path: impl AsRef<OsStr>) -> Sys<()> {
    let path = c_path(path);
    call!(libc::remove(path.as_ptr())).map(drop)
}

pub fn rename(from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> Sys<()> {
    let (from, to) = (c_path(from), c_path(to));
    call!(libc::rename(from.as_ptr(), to.as_ptr())).map(drop)
}

pub fn renameat(old: impl Raw, from: impl AsRef<OsStr>, new: impl Raw, to: impl AsRef<OsStr>) -> Sys<()> {
    let (from, to) = (c_path(from), c_path(to));
    call!(libc::renameat(old.raw(), from.as_ptr(), new.raw(), to.as_ptr())).map(drop)
}

pub fn renameat2(from: impl AsRef<OsStr>, to: impl AsRef<OsStr>, flags: u32) -> Sys<()> {
    let (from, to) = (c_path(from), c_path(to));
    call!(libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), flags)).map(drop)
}

pub fn link(from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> Sys<()> {
    let (from, to) = (c_path(from), c_path(to));
    call!(libc::link(from.as_ptr(), to.as_ptr())).map(drop)
}

pub fn linkat(old: impl Raw, from: impl AsRef<OsStr>, new: impl Raw, to: impl AsRef<OsStr>, flags: Flags) -> Sys<()> {
    let (from, to) = (c_path(from), c_path(to));
    call!(libc::linkat(old.raw(), from.as_ptr(), new.raw(), to.as_ptr(), flags)).map(drop)
}

pub fn symlink(target: impl AsRef<OsStr>, path: impl AsRef<OsStr>) -> Sys<()> {
    let (target, path) = (c_path(target), c_path(path));
    call!(libc::symlink(target.as_ptr(), path.as_ptr())).map(drop)
}

pub fn symlinkat(target: impl AsRef<OsStr>, dir: impl Raw, path: impl AsRef<OsStr>) -> Sys<()> {
    let (target, path) = (c_path(target), c_path(path));
    call!(libc::symlinkat(target.as_ptr(), dir.raw(), path.as_ptr())).map(drop)
}

/// `readlink` into a buffer of `room` bytes: what it holds afterwards.
pub fn readlink(path: impl AsRef<OsStr>, room: usize) -> Sys<OsString> {
    readlinkat(libc::AT_FDCWD, path, room)
}

pub fn readlinkat(dir: impl Raw, path: impl AsRef<OsStr>, room: usize) -> Sys<OsString> {
    let path = c_path(path);
    let mut buffer = vec![0_u8; room];
    let length = call!(libc::readlinkat(dir.raw(), path.as_ptr(), buffer.as_mut_ptr().cast(), room))?;
    buffer.truncate(usize::try_from(length).expect("not negative"));
    Ok(OsString::from_vec(buffer))
}

pub fn realpath(path: impl AsRef<OsStr>) -> Sys<OsString> {
    let path = c_path(path);
    // SAFETY: the path is a C string; libc allocates the result, and we free it.
    unsafe {
        let result = libc::realpath(path.as_ptr(), std::ptr::null_mut());
        if result.is_null() {
            return Err(Errno::last());
        }
        let text = CStr::from_ptr(result).to_bytes().to_vec();
        libc::free(result.cast());
        Ok(OsString::from_vec(text))
    }
}

pub fn chdir(path: impl AsRef<OsStr>) -> Sys<()> {
    let path = c_path(path);
    call!(libc::chdir(path.as_ptr())).map(drop)
}

pub fn fchdir(dir: impl Raw) -> Sys<()> {
    call!(libc::fchdir(dir.raw())).map(drop)
}

/// `getcwd` into a buffer of `room` bytes.
pub fn getcwd(room: usize) -> Sys<OsString> {
    let mut buffer = vec![0_u8; room.max(1)];
    // SAFETY: the buffer has `room` bytes; on success it holds a C string.
    let text = unsafe {
        if libc::getcwd(buffer.as_mut_ptr().cast(), room).is_null() {
            return Err(Errno::last());
        }
        CStr::from_ptr(buffer.as_ptr().cast())
    };
    Ok(OsString::from_vec(text.to_bytes().to_vec()))
}

pub fn mknod(path: impl AsRef<OsStr>, mode: u32, device: u64) -> Sys<()> {
    let path = c_path(path);
    call!(libc::mknod(path.as_ptr(), mode, device)).map(drop)
}

pub fn mkfifo(path: impl AsRef<OsStr>, mode: u32) -> Sys<()> {
    let path = c_path(path);
    call!(libc::mkfifo(path.as_ptr(), mode)).map(drop)
}

/// `mkostemps`: the descriptor and the name it made of the template.
pub fn mkostemps(template: impl AsRef<OsStr>, suffix: i32, flags: Flags) -> Sys<(Fd, OsString)> {
    with_template(template, |name| call!(libc::mkostemps(name, suffix, flags)).map(Fd::own))
}

pub fn mkstemp(template: impl AsRef<OsStr>) -> Sys<(Fd, OsString)> {
    with_template(template, |name| call!(libc::mkstemp(name)).map(Fd::own))
}

/// `mkdtemp`: the name it made of the template.
pub fn mkdtemp(template: impl AsRef<OsStr>) -> Sys<OsString> {
    let made = with_template(template, |name| {
        // SAFETY: the template is a writable C string.
        if unsafe { libc::mkdtemp(name) }.is_null() { Err(Errno::last()) } else { Ok(()) }
    });
    made.map(|((), name)| name)
}

fn with_template<T>(template: impl AsRef<OsStr>, make: impl FnOnce(*mut libc::c_char) -> Sys<T>) -> Sys<(T, OsString)> {
    let name = c_path(template).into_raw();
    let made = make(name);
    // SAFETY: the pointer came from `into_raw`, and the calls keep its length.
    let name = unsafe { CString::from_raw(name) };
    Ok((made?, OsString::from_vec(name.into_bytes())))
}

/// `mktemp`: the name it made of the template; `None` if it gives another address.
pub fn mktemp(template: impl AsRef<OsStr>) -> Option<OsString> {
    unsafe extern "C" {
        fn mktemp(template: *mut libc::c_char) -> *mut libc::c_char;
    }
    let mut room = c_path(template).into_bytes_with_nul();
    // SAFETY: the template is a writable C string.
    let made = unsafe { mktemp(room.as_mut_ptr().cast()) };
    let end = room.iter().position(|byte| *byte == 0)?;
    std::ptr::eq(made.cast(), room.as_ptr()).then(|| OsStr::from_bytes(&room[..end]).to_owned())
}

/// Makes a file with the three bytes `abc`.
pub fn make_file(path: impl AsRef<OsStr>) -> Sys<()> {
    let fd = open(path, libc::O_WRONLY | libc::O_CREAT, 0o644)?;
    super::write(&fd, b"abc").map(drop)
}

/// `open` of a path at an address that nothing vouches for.
pub fn open_at_address(path: usize) -> Sys<Fd> {
    call!(libc::open(std::ptr::with_exposed_provenance(path), libc::O_RDONLY)).map(Fd::own)
}

/// The system call `getcwd`, into memory that nothing vouches for.
pub fn getcwd_by_number(to: usize, room: usize) -> Sys<i64> {
    call!(libc::syscall(libc::SYS_getcwd, to, room))
}

pub fn chroot(path: impl AsRef<OsStr>) -> Sys<()> {
    let path = c_path(path);
    call!(libc::chroot(path.as_ptr())).map(drop)
}
