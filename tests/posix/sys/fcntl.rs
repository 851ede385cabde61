#![expect(unsafe_code, reason = "wraps the libc calls on descriptors' state and locks")]
//! Duplicates, descriptor and status flags, and the three kinds of locks.

use super::{Fd, Raw, Sys, call};

pub fn dup(fd: impl Raw) -> Sys<Fd> {
    call!(libc::dup(fd.raw())).map(Fd::own)
}

/// `dup2`; nothing owns the result.
pub fn dup2(fd: impl Raw, to: i32) -> Sys<i32> {
    call!(libc::dup2(fd.raw(), to))
}

/// `dup3`; nothing owns the result.
pub fn dup3(fd: impl Raw, to: i32, flags: i32) -> Sys<i32> {
    call!(libc::dup3(fd.raw(), to, flags))
}

/// `fcntl` with a number as its argument.
pub fn fcntl(fd: impl Raw, command: i32, argument: i32) -> Sys<i32> {
    call!(libc::fcntl(fd.raw(), command, argument))
}

/// `fcntl` with an address as its argument.
pub fn fcntl_at<T>(fd: impl Raw, command: i32, at: &mut T) -> Sys<i32> {
    call!(libc::fcntl(fd.raw(), command, std::ptr::from_mut(at)))
}

/// `ioctl` with an address as its argument.
pub fn ioctl_at<T>(fd: impl Raw, request: u64, at: &mut T) -> Sys<i32> {
    call!(libc::ioctl(fd.raw(), request as _, std::ptr::from_mut(at)))
}

pub fn close_range(first: u32, last: u32, flags: i32) -> Sys<()> {
    call!(libc::syscall(libc::SYS_close_range, first, last, flags)).map(drop)
}

/// `close_range` through its libc symbol, where libc has one.
pub fn libc_close_range(first: u32, last: u32, flags: i32) -> Sys<()> {
    let symbol = c"close_range";
    // SAFETY: a symbol of that name has this type.
    let function = unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr());
        if found.is_null() {
            return Err(super::ENOSYS);
        }
        std::mem::transmute::<*mut libc::c_void, extern "C" fn(u32, u32, i32) -> i32>(found)
    };
    if function(first, last, flags) == -1 { Err(super::Errno::last()) } else { Ok(()) }
}

pub fn flock(fd: impl Raw, operation: i32) -> Sys<()> {
    call!(libc::flock(fd.raw(), operation)).map(drop)
}

/// One range of a record lock; length 0 means to the end and beyond.
#[derive(Clone, Copy)]
pub struct Range {
    pub start: i64,
    pub length: i64,
}

/// `start..start + length`.
pub fn range(start: i64, length: i64) -> Range {
    Range { start, length }
}

fn record(kind: i32, range: Range) -> libc::flock {
    libc::flock { l_type: i16::try_from(kind).expect("a lock type"), l_whence: 0, l_start: range.start, l_len: range.length, l_pid: 0 }
}

/// `fcntl(F_SETLK)`, `F_SETLKW` or their OFD forms, of `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
pub fn set_lock(fd: impl Raw, command: i32, kind: i32, range: Range) -> Sys<()> {
    let lock = record(kind, range);
    call!(libc::fcntl(fd.raw(), command, &raw const lock)).map(drop)
}

/// `fcntl(F_GETLK)` or `F_OFD_GETLK`: what stands in the way of such a lock.
pub fn get_lock(fd: impl Raw, command: i32, kind: i32, range: Range) -> Sys<libc::flock> {
    let mut lock = record(kind, range);
    call!(libc::fcntl(fd.raw(), command, &raw mut lock)).map(|_| lock)
}

/// `lockf`.
pub fn lockf(fd: impl Raw, command: i32, length: i64) -> Sys<()> {
    call!(libc::lockf(fd.raw(), command, length)).map(drop)
}

/// Has a new epoll descriptor wait for `fd`.
pub fn epoll_add(fd: impl Raw) -> Sys<()> {
    let epoll = call!(libc::epoll_create1(libc::EPOLL_CLOEXEC)).map(super::Fd::own)?;
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLPRI) as u32, u64: 0 };
    call!(libc::epoll_ctl(epoll.raw(), libc::EPOLL_CTL_ADD, fd.raw(), &raw mut event)).map(drop)
}

/// `kcmp` of two descriptors of this process: 0 if they are one open file.
pub fn kcmp(a: impl Raw, b: impl Raw) -> Sys<i64> {
    const KCMP_FILE: i32 = 0;
    let own = std::process::id();
    call!(libc::syscall(libc::SYS_kcmp, own, own, KCMP_FILE, i64::from(a.raw()), i64::from(b.raw())))
}

/// `pidfd_open`.
pub fn pidfd_open(pid: i32) -> Sys<super::Fd> {
    call!(libc::syscall(libc::SYS_pidfd_open, pid, 0)).map(|fd| super::Fd::own(fd as i32))
}

/// `pidfd_getfd`: a duplicate of a descriptor of another process.
pub fn pidfd_getfd(process: impl Raw, number: i32) -> Sys<super::Fd> {
    call!(libc::syscall(libc::SYS_pidfd_getfd, process.raw(), number, 0)).map(|fd| super::Fd::own(fd as i32))
}
