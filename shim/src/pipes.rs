//! What was read from FLAC goes on to a pipe outside, in parts of what the pipe holds, as `cat` and its like do it.
//!
//! A write of more than a pipe holds sleeps in its midst until the reader has emptied the pipe, and the reader sleeps until it is full again: two processes that wake each other by turns, at
//! 20 to 50 us each time (virtual machine, two processors; 500 MB from memory to a pipe take 0.45 s in writes of 128 KiB, 0.11 s on one processor). A kernel file system's `read` takes so long
//! that the reader is done meanwhile; ours does not. So the time it saved may be spent on asking whether the reader is done ([`Hope`]) before a part is written. Where the reader is slower than that,
//! it is soon no longer asked.
//!
//! The reader sees no difference: each part is as large as the pipe. A part that is not the first and is interrupted, would block or finds no reader ends the write with what was written, as
//! in the kernel, and so does a handler that has run since the first, with `SA_RESTART`, too: a later part that may have to wait does so in `poll`, which no handler begins again. Nothing is held
//! while libc's functions run, whose own points of cancellation stay.

#![expect(unsafe_code, reason = "poll as a point of cancellation")]

use crate::abi::InBytes;
use crate::boundary;
use libc::{c_int, ssize_t};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Writes of less do not wait for a reader in this way.
pub const LEAST: usize = 32 << 10;

/// Asking goes on for so long: what the kernel takes to copy the 64 KiB of a pipe (4 GB/s).
const PATIENCE: Duration = Duration::from_micros(16);

/// Where the last large read from FLAC went to, which is where a program that only passes data on writes from. 0: nowhere.
static LAST_READ: AtomicUsize = AtomicUsize::new(0);

/// How often in a row asking was in vain (upper half), and how many parts go without asking (lower half).
struct Hope(AtomicU32);
static HOPE: Hope = Hope(AtomicU32::new(0));

impl Hope {
    /// After so many failures in a row one part of 1,024 is asked for.
    const WORST: u32 = 10;

    /// Whether to ask before this part.
    fn is_there(&self) -> bool {
        let now = self.0.load(Relaxed);
        let (failures, wait) = (now >> 16, now & 0xffff);
        if wait > 0 {
            self.0.store(failures << 16 | (wait - 1), Relaxed);
        }
        wait == 0
    }

    fn was(&self, fulfilled: bool) {
        let failures = if fulfilled { 0 } else { ((self.0.load(Relaxed) >> 16) + 1).min(Self::WORST) };
        self.0.store(failures << 16 | if fulfilled { 0 } else { (1 << failures) - 1 }, Relaxed);
    }
}

/// A read from FLAC put `n` bytes at `addr`.
#[inline(always)]
pub fn read_to(addr: usize, n: usize) {
    if n >= LEAST {
        LAST_READ.store(addr, Relaxed);
    }
}

/// Whether a write outside may be one of ours.
#[inline(always)]
pub fn maybe(from: InBytes, n: usize) -> bool {
    n >= LEAST && from.vec(n).iov_base.addr() == LAST_READ.load(Relaxed)
}

/// Libc's `write`, by parts if it is one of what was read from FLAC to a pipe.
#[inline]
pub fn write(libc: impl Fn(c_int, InBytes, usize) -> ssize_t, fd: c_int, from: InBytes, n: usize) -> ssize_t {
    if maybe(from, n) { write_parts(&libc, fd, from, n) } else { libc(fd, from, n) }
}

#[cold]
#[inline(never)]
fn write_parts(libc: &dyn Fn(c_int, InBytes, usize) -> ssize_t, fd: c_int, from: InBytes, n: usize) -> ssize_t {
    let Some(pipe) = Pipe::of(fd) else { return libc(fd, from, n) };
    let errno = boundary::errno();
    let handled = &crate::thread::flags().handled;
    let before = handled.get();
    let mut done = 0;
    while done < n {
        let rest = n - done;
        let part = rest.min(pipe.holds);
        // Parts make it faster only where the reader is done with one when the next one comes. A signal that comes meanwhile is put off, and ends a write that has begun.
        let (part, interrupted) = {
            let _guard = boundary::Inside::enter();
            (if pipe.reader_finishes(part) { part } else { rest }, crate::signals::is_waiting())
        };
        if done > 0 && (interrupted || handled.get() != before || part == rest && !pipe.waits_for_room()) {
            boundary::set_errno(errno);
            break;
        }
        match libc(fd, from.skip(done), part) {
            put if put < 0 && done == 0 => return put,
            put if put < 0 => {
                boundary::set_errno(errno);
                break;
            }
            put => {
                done += put.cast_unsigned();
                if put.cast_unsigned() < part {
                    break;
                }
            }
        }
    }
    done.cast_signed()
}

/// A pipe of the kernel's.
struct Pipe {
    fd: rustix::fd::BorrowedFd<'static>,
    /// Bytes it holds.
    holds: usize,
}

impl Pipe {
    /// `None`: something else, or a pipe that holds less than [`LEAST`].
    fn of(fd: c_int) -> Option<Pipe> {
        let fd = crate::fds::borrow(fd).ok()?;
        let holds = rustix::pipe::fcntl_getpipe_size(fd).ok()?;
        (holds >= LEAST).then_some(Pipe { fd, holds })
    }

    /// Waits until a byte can be written. False: a handler has run.
    fn waits_for_room(&self) -> bool {
        unsafe extern "C-unwind" {
            /// With cancellation.
            fn poll(fds: *mut libc::pollfd, count: libc::nfds_t, timeout: c_int) -> c_int;
        }
        if rustix::fs::fcntl_getfl(self.fd).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK)) {
            return true;
        }
        let mut wait = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one of them; nothing here is to be dropped where the thread ends in it.
        unsafe { poll(&mut wait, 1, -1) >= 0 || boundary::errno() != libc::EINTR }
    }

    /// Waits a moment for whoever reads to make room for most of `part`; whether there is.
    fn reader_finishes(&self, part: usize) -> bool {
        if !HOPE.is_there() {
            return false;
        }
        let has_room = || rustix::io::ioctl_fionread(self.fd).is_ok_and(|bytes| bytes as usize + part < self.holds + LEAST);
        if has_room() {
            return true;
        }
        let end = Instant::now() + PATIENCE;
        let finished = loop {
            if has_room() {
                break true;
            }
            if Instant::now() >= end {
                break false;
            }
            std::hint::spin_loop();
        };
        HOPE.was(finished);
        finished
    }
}
