//! `freopen`: the same `FILE *`, another file.
#![expect(unsafe_code, reason = "libc's functions on streams and descriptors")]

use super::file::{Stream, flag, flockfile, funlockfile};
use super::mode::Mode;
use super::{charset, cookie, standard};
use crate::abi::CPath;
use crate::boundary::{self, Escape, Inside};
use crate::{fds, files};
use libc::c_int;
use std::ffi::CString;

/// `freopen`. A dispatching stream stays one whatever it is opened on. One of libc's stays its own, unless the path is FLAC's: then libc reopens it on
/// `/dev/null`, and it is turned into a dispatching one. `theirs` is libc's function.
pub fn reopen(path: CPath, mode: CPath, stream: Stream, theirs: impl Fn(CPath, CPath) -> Stream) -> Stream {
    let wanted = mode.bytes().ok().and_then(Mode::parse);
    let (Some(wanted), false) = (wanted, stream.is_null()) else { return theirs(path, mode) };
    let knows = mode.bytes().is_ok_and(|mode| charset::wanted(mode).is_ok());
    let path = if knows { path } else { CPath::of(c"") };
    // SAFETY: a live stream of the program.
    unsafe { flockfile(stream) };
    let result = if cookie::is_dispatching(stream) || standard::number(stream).is_some() {
        reopen_ours(path, wanted, stream)
    } else {
        reopen_theirs(path, mode, wanted, stream, theirs)
    };
    // SAFETY: locked above; libc's freopen does not free a stream either.
    unsafe { funlockfile(stream) };
    if !knows {
        boundary::set_errno(libc::EINVAL);
    }
    result
}

fn reopen_ours(path: CPath, wanted: Mode, stream: Stream) -> Stream {
    let old = stream.fileno();
    if stream.flags() & flag::CURRENTLY_PUTTING != 0 {
        // SAFETY: a live stream; an error is lost, as in libc.
        unsafe { libc::fflush(stream.libc()) };
    }
    let again = CString::new(format!("/proc/self/fd/{old}")).unwrap_or_default();
    let path = if path.is_null() { CPath::of(&again) } else { path };
    // SAFETY: a C string; `open` is our hook.
    let fd = unsafe { libc::open(path.ptr(), wanted.flags, 0o666) };
    if fd < 0 {
        if old >= 0 {
            keeping_errno(|| close(old));
        }
        standard::shut(stream);
        return Stream::NULL;
    }
    let fd = move_to(fd, old, wanted);
    standard::shut(stream);
    stream.set_fileno(fd);
    set_mode(stream, wanted);
    standard::descriptor_changed(fd);
    if wanted.starts_at_end() {
        // SAFETY: our hook on our descriptor. A pipe can't seek, and need not.
        keeping_errno(|| unsafe { libc::lseek64(fd, 0, libc::SEEK_END) });
    }
    stream
}

fn reopen_theirs(path: CPath, mode: CPath, wanted: Mode, stream: Stream, theirs: impl Fn(CPath, CPath) -> Stream) -> Stream {
    if path.is_null() || !cookie::is_theirs(stream) {
        return theirs(path, mode);
    }
    let opened = match Inside::enter() {
        Some(_guard) => files::open(libc::AT_FDCWD, path, wanted.flags, 0o666, |path| kernel_open(path, wanted.flags, 0o666)),
        None => Err(Escape::NotOurs),
    };
    let fd = match opened {
        Ok(fd) => fd,
        Err(Escape::NotOurs | Escape::Outside(_)) => return theirs(path, mode),
        Err(Escape::Fail(e)) => {
            // As libc: the old file is closed all the same.
            theirs(CPath::of(c""), mode);
            boundary::set_errno(e);
            return Stream::NULL;
        }
    };
    if theirs(CPath::of(c"/dev/null"), CPath::of(wanted.plain())).is_null() {
        keeping_errno(|| close(fd));
        return Stream::NULL;
    }
    // SAFETY: locked by the caller, whose unlocking must find the lock where it will be.
    unsafe {
        funlockfile(stream);
        cookie::convert(stream);
        flockfile(stream);
    }
    stream.set_fileno(move_to(fd, stream.fileno(), wanted));
    stream
}

/// Opens a path of the kernel's to which FLAC led; the descriptor is the program's.
pub fn kernel_open(path: CPath, flags: c_int, mode: u32) -> c_int {
    use rustix::fs::{Mode, OFlags};
    use std::os::fd::IntoRawFd;
    let Ok(bytes) = path.bytes() else { return -1 };
    match rustix::fs::open(bytes, OFlags::from_bits_retain(flags.cast_unsigned()), Mode::from_raw_mode(mode)) {
        Ok(fd) => fd.into_raw_fd(),
        Err(e) => {
            boundary::set_errno(e.raw_os_error());
            -1
        }
    }
}

/// Moves the open file `fd` to the number `old`, if there is one.
fn move_to(fd: c_int, old: c_int, wanted: Mode) -> c_int {
    if old < 0 || fd == old {
        return fd;
    }
    // SAFETY: our hooks, on the stream's own descriptors.
    let moved = unsafe { libc::dup3(fd, old, wanted.flags & libc::O_CLOEXEC) };
    if moved < 0 {
        return fd;
    }
    close(fd);
    moved
}

fn set_mode(stream: Stream, wanted: Mode) {
    let set = [(!wanted.reads(), flag::NO_READS), (!wanted.writes(), flag::NO_WRITES), (wanted.appends(), flag::IS_APPENDING)];
    let set = set.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag);
    stream.change_flags(set, flag::NO_READS | flag::NO_WRITES);
    stream.set_calm(wanted.is_calm);
    stream.forget_orientation();
    charset::set(stream, None);
}

fn close(fd: c_int) {
    // SAFETY: our hook, on a descriptor of the stream's.
    unsafe { libc::close(fd) };
}

fn keeping_errno<R>(f: impl FnOnce() -> R) {
    let before = boundary::errno();
    f();
    boundary::set_errno(before);
}

/// A descriptor that one of libc's streams has, has become FLAC's (`dup2`): the stream is turned into a dispatching one.
pub fn follow(fd: c_int) {
    unsafe extern "C" {
        static _IO_list_all: Stream;
        fn _IO_list_lock();
        fn _IO_list_unlock();
    }
    if !cookie::can_be_made() || !fds::is_flac(fd) {
        return;
    }
    // SAFETY: libc's list under libc's lock; it ends with null. The originals of the standard streams are not converted: they are static memory.
    unsafe {
        _IO_list_lock();
        let mut stream = _IO_list_all;
        while !stream.is_null() {
            if stream.fileno() == fd && cookie::is_theirs(stream) && fd > 2 {
                cookie::convert(stream);
            }
            stream = stream.next();
        }
        _IO_list_unlock();
    }
}
