//! POSIX asynchronous I/O. libc's works in threads of its own, past our hooks. On FLAC files a request is done when it is submitted, as POSIX allows: libc's
//! `aio_error`, `aio_return`, `aio_suspend` and `aio_cancel` then find it finished.
#![expect(unsafe_code, reason = "control blocks and notifications")]

use crate::boundary;
use crate::fds;
use libc::{c_int, c_void, off_t, sigevent, sigval};

/// `struct aiocb`. libc keeps the state in fields of its own, which `aio_error` and `aio_return` only read.
#[repr(C)]
pub struct Request {
    fd: c_int,
    operation: c_int,
    priority: c_int,
    buffer: *mut c_void,
    len: usize,
    notify: sigevent,
    next: *mut c_void,
    absolute: c_int,
    policy: c_int,
    error: c_int,
    result: isize,
    offset: off_t,
    reserved: [u8; 32],
}

const _: () = assert!(size_of::<Request>() == 168);

const LIO_READ: c_int = 0;
const LIO_WRITE: c_int = 1;
const LIO_WAIT: c_int = 0;

fn is_ours(request: *const Request) -> bool {
    // SAFETY: null, or the program's control block.
    unsafe { request.as_ref() }.is_some_and(|r| fds::is_flac(r.fd))
}

/// Does it now.
fn serve(request: *mut Request, how: impl FnOnce(&Request) -> isize) -> c_int {
    // SAFETY: `is_ours` has seen it; the program leaves it alone until it is finished.
    let r = unsafe { &mut *request };
    let before = boundary::errno();
    let result = how(r);
    (r.error, r.result) = if result < 0 { (boundary::errno(), -1) } else { (0, result) };
    boundary::set_errno(before);
    notify(&r.notify);
    0
}

fn read(r: &Request) -> isize {
    // SAFETY: the program's buffer; our hook.
    unsafe { libc::pread(r.fd, r.buffer, r.len, r.offset) }
}

fn write(r: &Request) -> isize {
    // SAFETY: the program's buffer; our hook. `pwrite` on an O_APPEND file appends, as aio_write does.
    unsafe { libc::pwrite(r.fd, r.buffer, r.len, r.offset) }
}

/// Tells the program in the way it asked for.
fn notify(how: &sigevent) {
    match how.sigev_notify {
        libc::SIGEV_SIGNAL => {
            // SAFETY: a signal to this process, as the kernel would send it.
            unsafe { libc::sigqueue(libc::getpid(), how.sigev_signo, how.sigev_value) };
        }
        libc::SIGEV_THREAD => call_in_thread(how),
        _ => {}
    }
}

/// `sigevent` with `SIGEV_THREAD`: a function and its thread's attributes, where the `libc` crate has only the thread's number.
#[repr(C)]
struct ThreadEvent {
    value: sigval,
    signal: c_int,
    notify: c_int,
    function: Option<unsafe extern "C-unwind" fn(sigval)>,
    attributes: *const libc::pthread_attr_t,
}

fn call_in_thread(how: &sigevent) {
    extern "C" fn run(start: *mut c_void) -> *mut c_void {
        // SAFETY: the box that was made for this thread.
        let (function, value) = *unsafe { Box::from_raw(start.cast::<(unsafe extern "C-unwind" fn(sigval), sigval)>()) };
        // SAFETY: the program's function with the program's value.
        unsafe { function(value) };
        std::ptr::null_mut()
    }
    // SAFETY: `sigevent` is larger and laid out so for this kind.
    let event = unsafe { &*std::ptr::from_ref(how).cast::<ThreadEvent>() };
    let Some(function) = event.function else { return };
    let start = Box::into_raw(Box::new((function, event.value)));
    // SAFETY: attributes from the program or none; the thread owns the box.
    unsafe {
        let mut thread = std::mem::zeroed();
        if libc::pthread_create(&mut thread, event.attributes, run, start.cast()) == 0 {
            libc::pthread_detach(thread);
        } else {
            drop(Box::from_raw(start));
        }
    }
}

export! {
    /// `aio_read(3)`.
    fn aio_read(request: *mut Request) -> c_int, also(aio_read64), when(is_ours(request)) {
        serve(request, read)
    }
}

export! {
    /// `aio_write(3)`.
    fn aio_write(request: *mut Request) -> c_int, also(aio_write64), when(is_ours(request)) {
        serve(request, write)
    }
}

export! {
    /// `aio_fsync(3)`.
    fn aio_fsync(operation: c_int, request: *mut Request) -> c_int, also(aio_fsync64), when(is_ours(request)) {
        if operation != libc::O_SYNC && operation != libc::O_DSYNC {
            boundary::set_errno(libc::EINVAL);
            return -1;
        }
        // SAFETY: our hook.
        serve(request, |r| unsafe { libc::fsync(r.fd) } as isize)
    }
}

export! {
    /// `lio_listio(3)`. A list with a FLAC file in it is worked off one by one; with `LIO_NOWAIT` its notification comes when all of it is done.
    fn lio_listio(mode: c_int, list: *const *mut Request, n: c_int, event: *const sigevent) -> c_int, also(lio_listio64),
    when(n > 0 && !list.is_null() && requests(list, n).any(|r| is_ours(r))) {
        let mut failed = false;
        for request in requests(list, n) {
            // SAFETY: null, or the program's control block; our hooks.
            unsafe {
                let result = match request.as_ref().map(|r| r.operation) {
                    Some(LIO_READ) => aio_read(request),
                    Some(LIO_WRITE) => aio_write(request),
                    _ => 0,
                };
                failed |= result != 0;
            }
        }
        let unfinished = || requests(list, n).filter(|r| !r.is_null() && !is_ours(*r));
        for request in unfinished() {
            let one = [request.cast_const().cast::<libc::aiocb>()];
            // SAFETY: a list of one control block.
            while unsafe { libc::aio_suspend(one.as_ptr(), 1, std::ptr::null()) } != 0 && boundary::errno() == libc::EINTR {}
        }
        // SAFETY: the program's control blocks.
        failed |= requests(list, n).any(|r| unsafe { r.as_ref() }.is_some_and(|r| r.error != 0 && r.operation <= LIO_WRITE));
        if mode != LIO_WAIT {
            // SAFETY: null, or the program's.
            if let Some(event) = unsafe { event.as_ref() } {
                notify(event);
            }
            return 0;
        }
        if failed {
            boundary::set_errno(libc::EIO);
            return -1;
        }
        0
    }
}

/// The control blocks of a list.
fn requests(list: *const *mut Request, n: c_int) -> impl Iterator<Item = *mut Request> {
    // SAFETY: the program vouches for `n` entries.
    (0..n.max(0) as usize).map(move |i| unsafe { *list.add(i) })
}
