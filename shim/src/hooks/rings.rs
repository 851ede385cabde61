//! io_uring, and the kernel's own asynchronous I/O (`io_setup`). Their requests go past every library to descriptors that are stubs to the kernel, where they fail. So a program is told that
//! the kernel knows neither, and takes another way if it has one, as databases do; `FLAC_IO_URING=on` lets it have them, for files that are not FLAC's.

use crate::config;
use crate::stats::{self, Counter};
use libc::{c_int, c_long, c_uint, c_void, size_t};
use std::ffi::CStr;

/// Whether they are kept from programs.
pub fn are_refused() -> bool {
    config::settings().is_some_and(|s| !s.rings)
}

/// What these libraries return, which set no errno.
fn refused(what: &str) -> c_int {
    stats::add(Counter::Refused, 1);
    crate::log::warn(format_args!("refused: {what}: FLAC files can't be read and written by it; FLAC_IO_URING=on allows it for others"));
    -libc::ENOSYS
}

/// Whether the function of this name behind ours is libaio's, not one of a program's own library that has such a name, too.
fn is_libaios(name: &'static CStr) -> bool {
    are_refused() && crate::real::is_of(name, b"libaio.")
}

/// `syscall` with one of their numbers.
pub fn by_number(n: c_long) -> Option<c_long> {
    let known = matches!(n, libc::SYS_io_uring_setup | libc::SYS_io_setup) && are_refused();
    known.then(|| {
        crate::boundary::set_errno(-refused("a ring by number"));
        -1
    })
}

export! {
    /// `io_uring_queue_init(3)`.
    fn io_uring_queue_init(entries: c_uint, ring: *mut c_void, flags: c_uint) -> c_int, when(are_refused()) {
        refused("io_uring_queue_init")
    }
}

export! {
    /// `io_uring_queue_init_params(3)`.
    fn io_uring_queue_init_params(entries: c_uint, ring: *mut c_void, parameters: *mut c_void) -> c_int, when(are_refused()) {
        refused("io_uring_queue_init_params")
    }
}

export! {
    /// `io_uring_queue_init_mem(3)`.
    fn io_uring_queue_init_mem(entries: c_uint, ring: *mut c_void, parameters: *mut c_void, room: *mut c_void, size: size_t) -> c_int, when(are_refused()) {
        refused("io_uring_queue_init_mem")
    }
}

export! {
    /// liburing's `io_uring_setup(2)`, which returns the error.
    fn io_uring_setup(entries: c_uint, parameters: *mut c_void) -> c_int, when(are_refused()) {
        refused("io_uring_setup")
    }
}

export! {
    /// libaio's `io_setup(2)`, which returns the error.
    fn io_setup(events: c_int, context: *mut c_void) -> c_int, when(is_libaios(c"io_setup")) {
        refused("io_setup")
    }
}

export! {
    /// libaio's `io_queue_init(3)`.
    fn io_queue_init(events: c_int, context: *mut c_void) -> c_int, when(is_libaios(c"io_queue_init")) {
        refused("io_queue_init")
    }
}
