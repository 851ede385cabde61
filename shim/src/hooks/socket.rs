//! Calls with socket addresses: those of Unix sockets may be FLAC paths. Those with messages are in `descriptor/passing`.

use crate::sockets::{bind as bind_to, incoming, outgoing};
use libc::{c_int, c_void, size_t, sockaddr, socklen_t, ssize_t};

hook! {
    /// `bind(2)`.
    fn bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int, real(theirs) {
        bind_to(fd, address, len, |address, len| theirs(fd, address, len))
    }
}

export! {
    /// `connect(2)`.
    fn connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int, also(__connect), real(theirs) {
        outgoing(address, len, |address, len| theirs(fd, address, len))
    }
}

export! {
    /// `sendto(2)`.
    fn sendto(fd: c_int, from: *const c_void, n: size_t, flags: c_int, address: *const sockaddr, len: socklen_t) -> ssize_t,
    when(!address.is_null()), real(theirs) {
        outgoing(address, len, |address, len| theirs(fd, from, n, flags, address, len))
    }
}

export! {
    /// `recvfrom(2)`.
    fn recvfrom(fd: c_int, to: *mut c_void, n: size_t, flags: c_int, address: *mut sockaddr, len: *mut socklen_t) -> ssize_t,
    when(!address.is_null()), real(theirs) {
        incoming(address, len, |address, len| theirs(fd, to, n, flags, address, len))
    }
}

export! {
    /// `recvfrom` as compiled with `_FORTIFY_SOURCE`.
    fn __recvfrom_chk(fd: c_int, to: *mut c_void, n: size_t, room: size_t, flags: c_int, address: *mut sockaddr, len: *mut socklen_t) -> ssize_t,
    when(!address.is_null()), real(theirs) {
        incoming(address, len, |address, len| theirs(fd, to, n, room, flags, address, len))
    }
}

export! {
    /// `accept(2)`.
    fn accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int, when(!address.is_null()), real(theirs) {
        incoming(address, len, |address, len| theirs(fd, address, len))
    }
}

export! {
    /// `accept4(2)`.
    fn accept4(fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int, when(!address.is_null()), real(theirs) {
        incoming(address, len, |address, len| theirs(fd, address, len, flags))
    }
}

export! {
    /// `getsockname(2)`.
    fn getsockname(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int, real(theirs) {
        incoming(address, len, |address, len| theirs(fd, address, len))
    }
}

export! {
    /// `getpeername(2)`.
    fn getpeername(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int, real(theirs) {
        incoming(address, len, |address, len| theirs(fd, address, len))
    }
}
