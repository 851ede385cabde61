//! POSIX asynchronous I/O. libc's works in threads of its own, past our hooks; requests for FLAC files are served by one of ours ([`requests`]). libc's `aio_error` and `aio_return` read what
//! is stored in the control blocks.
#![expect(unsafe_code, reason = "control blocks")]

use crate::requests::{self, List, Operation, Request};
use crate::{boundary, fds};
use libc::{c_int, sigevent, timespec};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const LIO_READ: c_int = 0;
const LIO_WRITE: c_int = 1;
const LIO_NOP: c_int = 2;
const LIO_WAIT: c_int = 0;
const LIO_NOWAIT: c_int = 1;

/// `AIO_PRIO_DELTA_MAX`.
const LEAST_PRIORITY: c_int = 20;

const AIO_CANCELED: c_int = 0;
const AIO_NOTCANCELED: c_int = 1;
const AIO_ALLDONE: c_int = 2;

fn is_ours(request: *const Request) -> bool {
    // SAFETY: null, or the program's control block.
    unsafe { request.as_ref() }.is_some_and(|r| fds::is_flac(r.fd))
}

fn refused(errno: c_int) -> c_int {
    boundary::set_errno(errno);
    -1
}

fn submit(request: *mut Request, operation: Operation, list: Option<&Arc<List>>) -> c_int {
    // SAFETY: `is_ours` has seen it.
    let r = unsafe { &mut *request };
    if !(0..=LEAST_PRIORITY).contains(&r.priority) {
        r.result = -1;
        r.error.store(libc::EINVAL, Ordering::Release);
        return refused(libc::EINVAL);
    }
    requests::submit(request, operation, list.cloned());
    0
}

export! {
    /// `aio_read(3)`.
    fn aio_read(request: *mut Request) -> c_int, also(aio_read64), when(is_ours(request)) {
        submit(request, Operation::Read, None)
    }
}

export! {
    /// `aio_write(3)`.
    fn aio_write(request: *mut Request) -> c_int, also(aio_write64), when(is_ours(request)) {
        submit(request, Operation::Write, None)
    }
}

export! {
    /// `aio_fsync(3)`.
    fn aio_fsync(operation: c_int, request: *mut Request) -> c_int, also(aio_fsync64), when(is_ours(request)) {
        if operation != libc::O_SYNC && operation != libc::O_DSYNC {
            return refused(libc::EINVAL);
        }
        // Which has no priority.
        requests::submit(request, Operation::Sync, None);
        0
    }
}

export! {
    /// `aio_suspend(3)`.
    fn aio_suspend(list: *const *mut Request, n: c_int, timeout: *const timespec) -> c_int, also(aio_suspend64),
    when(n > 0 && !list.is_null() && entries(list, n).any(|r| is_ours(r))) {
        // SAFETY: null, or the program's.
        let timeout = match unsafe { timeout.as_ref() } {
            None => None,
            Some(t) if t.tv_sec < 0 || !(0..1_000_000_000).contains(&t.tv_nsec) => return refused(libc::EINVAL),
            Some(t) => Some(Duration::new(t.tv_sec as u64, t.tv_nsec as u32)),
        };
        let others = !entries(list, n).all(|r| r.is_null() || is_ours(r));
        let is_done = || entries(list, n).any(|r| !r.is_null() && error(r) != libc::EINPROGRESS);
        match requests::wait(timeout, others, is_done) {
            Ok(()) => 0,
            Err(errno) => refused(errno),
        }
    }
}

export! {
    /// `aio_cancel(3)`.
    fn aio_cancel(fd: c_int, request: *mut Request) -> c_int, also(aio_cancel64), when(fds::is_flac(fd)) {
        // SAFETY: null, or the program's control block.
        if let Some(r) = unsafe { request.as_ref() } {
            if r.fd != fd {
                return refused(libc::EINVAL);
            }
            if error(request) != libc::EINPROGRESS {
                return AIO_ALLDONE;
            }
        }
        match requests::cancel(fd, (!request.is_null()).then_some(request)) {
            (_, true) => AIO_NOTCANCELED,
            (0, false) => AIO_ALLDONE,
            (_, false) => AIO_CANCELED,
        }
    }
}

export! {
    /// `lio_listio(3)`. With `LIO_NOWAIT` the notification of a list with a FLAC file in it comes when all of it is done; what is libc's in such a list is waited for.
    fn lio_listio(mode: c_int, list: *const *mut Request, n: c_int, event: *const sigevent) -> c_int, also(lio_listio64),
    when(n > 0 && !list.is_null() && entries(list, n).any(|r| is_ours(r))) {
        if mode != LIO_WAIT && mode != LIO_NOWAIT {
            return refused(libc::EINVAL);
        }
        // SAFETY: null, or the program's.
        let event = unsafe { event.as_ref() }.filter(|_| mode == LIO_NOWAIT);
        let whole = List::new(event.copied());
        let asked: Vec<_> = entries(list, n).filter(|r| operation(*r) != LIO_NOP).collect();
        // Without a wait, those that are submitted may be done and gone before this returns.
        let waited: Vec<_> = asked.iter().copied().filter(|r| mode == LIO_WAIT || !is_ours(*r)).collect();
        let others = waited.iter().any(|r| !is_ours(*r));
        let mut failed = false;
        for request in asked {
            let result = match (operation(request), is_ours(request)) {
                (LIO_READ, true) => submit(request, Operation::Read, Some(&whole)),
                (LIO_WRITE, true) => submit(request, Operation::Write, Some(&whole)),
                (_, true) => submit(request, Operation::Unknown, Some(&whole)),
                // SAFETY: the program's control block; libc's function.
                (LIO_READ, false) => unsafe { aio_read(request) },
                // SAFETY: as above.
                (LIO_WRITE, false) => unsafe { aio_write(request) },
                (_, false) => -1,
            };
            failed |= result != 0;
        }
        let is_done = || waited.iter().all(|r| error(*r) != libc::EINPROGRESS);
        while let Err(errno) = requests::wait(None, others, is_done) {
            // The program did not ask for a wait.
            if mode == LIO_WAIT {
                return refused(errno);
            }
        }
        whole.leave();
        failed |= mode == LIO_WAIT && waited.iter().any(|r| error(*r) != 0);
        if failed { refused(libc::EIO) } else { 0 }
    }
}

/// The control blocks of a list.
fn entries(list: *const *mut Request, n: c_int) -> impl Iterator<Item = *mut Request> {
    // SAFETY: the program vouches for `n` entries.
    (0..n.max(0) as usize).map(move |i| unsafe { *list.add(i) })
}

/// What an entry of a list asks for; nothing if there is none.
fn operation(request: *mut Request) -> c_int {
    // SAFETY: null, or the program's control block.
    unsafe { request.as_ref() }.map_or(LIO_NOP, |r| r.operation)
}

/// The state of a request.
fn error(request: *mut Request) -> c_int {
    // SAFETY: the program's control block; others change this field while its request is under way.
    unsafe { (*request).error.load(Ordering::Acquire) }
}
