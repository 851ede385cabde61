//! close, close_range, closefrom.

use crate::boundary::{self, Answer, Escape, may_cancel};
use crate::fds;
use libc::{c_int, c_uint};

hook! {
    /// `close(2)`.
    fn close(fd: c_int) -> c_int, also(__close), when(fds::maybe(fd) || fds::is_own(fd)), cancels(may_cancel), real(theirs) {
        closing(fd).and_then(|()| boundary::checked(theirs(fd)))
    }
}

/// Before the kernel closes `fd`. One of ours is closed to the program: `EBADF`.
fn closing(fd: c_int) -> Answer<()> {
    if fds::is_own(fd) {
        return Err(Escape::Fail(libc::EBADF));
    }
    fds::release(fd);
    Ok(())
}

hook! {
    /// `close_range(2)`; ours stay open.
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int, real(theirs) {
        // What closes nothing, or is refused before anything is closed.
        if flags.cast_unsigned() & !libc::CLOSE_RANGE_UNSHARE != 0 {
            return Err(Escape::NotOurs);
        }
        close_between(first, last, |a, b| boundary::checked(theirs(a, b, flags)).map(|_| ()))?;
        Ok(0)
    }
}

hook! {
    /// `closefrom(3)`; ours stay open.
    fn closefrom(first: c_int) -> () {
        let first = first.max(0).cast_unsigned();
        close_between(first, c_uint::MAX, |a, b| {
            close_all(a, b);
            Ok(())
        })
    }
}

#[allow(unsafe_code, reason = "close_range by system call: an old kernel has none")]
fn close_all(first: c_uint, last: c_uint) {
    // SAFETY: closing descriptors of the program, as it asked.
    let r = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if r != 0 {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 16);
        for fd in first..=last.min(limit as c_uint) {
            // SAFETY: as above.
            unsafe { libc::close(fd.cast_signed()) };
        }
    }
}

/// Calls `close` for each run of numbers from `first` to `last` between descriptors of ours; gives up FLAC's holds there.
pub fn close_between(first: c_uint, last: c_uint, close: impl Fn(c_uint, c_uint) -> Answer<()>) -> Answer<()> {
    if first > last {
        return Err(Escape::Fail(libc::EINVAL));
    }
    if let Some(fs) = crate::space::opened() {
        for (hold, _) in fs.holds() {
            if (first as usize..=last as usize).contains(&hold) {
                fds::release(hold as c_int);
            }
        }
    }
    let mut own: Vec<c_uint> = fds::own().map(c_int::cast_unsigned).filter(|fd| (first..=last).contains(fd)).collect();
    own.sort_unstable();
    let mut from = first;
    for fd in own {
        if from < fd {
            close(from, fd - 1)?;
        }
        from = fd + 1;
    }
    if from <= last { close(from, last) } else { Ok(()) }
}
