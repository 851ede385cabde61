//! Messages: their addresses may be FLAC paths, and they may carry descriptors (`SCM_RIGHTS`). What arrives is held at once; what is sent stays held by the sender for a while, through a duplicate
//! that the program does not see, so that it may close its own before the receiver looks.
#![expect(unsafe_code, reason = "control messages")]

use crate::abi::In;
use crate::boundary::{self, CReturn, Escape, Inside};
use crate::{fds, sockets, space};
use libc::{c_int, c_uint, cmsghdr, mmsghdr, msghdr, sockaddr, socklen_t, ssize_t, timespec};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// So many files on the way are held.
const MOST: usize = 16;
static SENT: [AtomicI32; MOST] = [const { AtomicI32::new(-1) }; MOST];
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Where the duplicates' numbers begin.
const HIGH: c_int = 700;

/// How many messages there are at `first`, of up to `n`: none if they can't be read, which is the kernel's to say.
fn there<T: Copy>(first: *const T, n: c_uint) -> usize {
    let n = (n as usize).min(crate::transfer::MOST_VECTORS);
    In::<T>::at(first.cast()).array(n).map_or(0, <[T]>::len)
}

/// The message; `None` if there is none that can be read.
fn read<'a>(message: *const msghdr) -> Option<&'a msghdr> {
    // SAFETY: the program's message, which can be read and stays during the call.
    (there(message, 1) == 1).then(|| unsafe { &*message })
}

/// Calls `f` for each descriptor in a message's control part.
fn each(message: &msghdr, mut f: impl FnMut(c_int)) {
    if In::<u8>::at(message.msg_control).array(message.msg_controllen).is_err() {
        return;
    }
    // SAFETY: the program, or the kernel, filled in the control part; the macros stay inside it.
    unsafe {
        let mut part: *const cmsghdr = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = part.as_ref() {
            if header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(part).cast::<c_int>();
                let bytes = header.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                (0..bytes / size_of::<c_int>()).for_each(|i| f(data.add(i).read_unaligned()));
            }
            part = libc::CMSG_NXTHDR(message, part);
        }
    }
}

/// Holds what a message carries, before it is sent: the receiver may be faster than we.
fn hold(message: *const msghdr) {
    let Some(_guard) = Inside::enter() else { return };
    let Some(message) = read(message) else { return };
    each(message, |fd| {
        if !fds::is_flac(fd) || fds::identify(fd).is_err() {
            return;
        }
        let Some(pin) = fds::borrow(fd).ok().and_then(|fd| rustix::io::fcntl_dupfd_cloexec(fd, HIGH).ok()) else { return };
        let pin = std::os::fd::IntoRawFd::into_raw_fd(pin);
        if fds::duplicated(fd, pin).is_err() {
            let _ = fds::close(pin);
            return;
        }
        fds::note_own(pin);
        let old = SENT[NEXT.fetch_add(1, Ordering::Relaxed) % MOST].swap(pin, Ordering::Relaxed);
        if old >= 0 {
            fds::forget_own(old);
            let _ = fds::close(old);
        }
    });
}

/// Holds what a message has brought.
fn adopt(message: *const msghdr) {
    let Some(_guard) = Inside::enter() else { return };
    let Some(message) = read(message) else { return };
    each(message, |fd| {
        fds::note_unknown(fd);
        let _ = fds::is_flac(fd);
    });
}

/// Calls `real` with the message, its address being the kernel's.
fn addressed<R: CReturn + Default>(message: *const msghdr, real: impl Fn(*const msghdr) -> R) -> R {
    match read(message) {
        Some(header) if !header.msg_name.is_null() => sockets::outgoing(header.msg_name.cast(), header.msg_namelen, |name, len| {
            let mut header = *header;
            (header.msg_name, header.msg_namelen) = (name.cast_mut().cast(), len);
            real(&raw const header)
        }),
        _ => real(message),
    }
}

export! {
    /// `sendmsg(2)`.
    fn sendmsg(socket: c_int, message: *const msghdr, flags: c_int) -> ssize_t, real(theirs) {
        if space::opened().is_some() {
            hold(message);
        }
        addressed(message, |message| theirs(socket, message, flags))
    }
}

export! {
    /// `sendmmsg(2)`: with addresses, one message after the other.
    fn sendmmsg(socket: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int) -> c_int, real(theirs) {
        let there = there(messages, n);
        if there == 0 {
            return theirs(socket, messages, n, flags);
        }
        // SAFETY: so many can be read, and are the program's.
        let all = unsafe { std::slice::from_raw_parts_mut(messages, there) };
        if space::opened().is_some() {
            all.iter().for_each(|message| hold(&raw const message.msg_hdr));
        }
        if all.iter().all(|message| message.msg_hdr.msg_name.is_null()) {
            return theirs(socket, messages, n, flags);
        }
        for (done, message) in all.iter_mut().enumerate() {
            let length = std::cell::Cell::new(0);
            let sent = addressed(&raw const message.msg_hdr, |header| {
                // SAFETY: the program's message, or a copy of it with another address.
                let mut one = mmsghdr { msg_hdr: unsafe { *header }, msg_len: 0 };
                let sent = theirs(socket, &raw mut one, 1, flags);
                length.set(one.msg_len);
                sent
            });
            if sent < 1 {
                return if done == 0 { sent } else { done as c_int };
            }
            message.msg_len = length.get();
        }
        all.len() as c_int
    }
}

export! {
    /// `recvmsg(2)`.
    fn recvmsg(socket: c_int, message: *mut msghdr, flags: c_int) -> ssize_t, real(theirs) {
        // SAFETY: the program's message, which can be read.
        let n = match (there(message, 1) == 1).then(|| unsafe { &mut *message }) {
            Some(header) if !header.msg_name.is_null() => {
                let (name, room) = (header.msg_name, header.msg_namelen);
                let (mut own, len) = sockets::room();
                (header.msg_name, header.msg_namelen) = ((&raw mut own).cast(), len);
                let n = theirs(socket, message, flags);
                header.msg_name = name;
                if n < 0 {
                    header.msg_namelen = room;
                    return n;
                }
                sockets::rename(&mut own, &mut header.msg_namelen);
                // SAFETY: the program's room for an address.
                if let Err(Escape::Fail(e)) = unsafe { sockets::fill(name.cast(), room, (&raw const own).cast(), header.msg_namelen) } {
                    boundary::set_errno(e);
                    return -1;
                }
                n
            }
            _ => theirs(socket, message, flags),
        };
        if n >= 0 {
            adopt(message);
        }
        n
    }
}

export! {
    /// `recvmmsg(2)`. Of an address for which there is less room than the kernel needs for its own, the kernel's beginning is shown.
    fn recvmmsg(socket: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int, timeout: *mut timespec) -> c_int, real(theirs) {
        // SAFETY: called for those that can be read.
        let header = |i: usize| unsafe { &mut (*messages.add(i)).msg_hdr };
        let all = 0..there(messages, n);
        let rooms: Vec<socklen_t> = match all.clone().all(|i| header(i).msg_name.is_null()) {
            true => Vec::new(),
            false => all.clone().map(|i| header(i).msg_namelen).collect(),
        };
        let got = theirs(socket, messages, n, flags, timeout);
        for i in 0..usize::try_from(got).unwrap_or(0).min(all.len()) {
            let header = header(i);
            adopt(&raw const *header);
            let (name, length) = (header.msg_name.cast::<sockaddr>(), header.msg_namelen);
            let Some(room) = rooms.get(i).filter(|room| !name.is_null() && **room >= length) else { continue };
            let (mut own, _) = sockets::room();
            // SAFETY: so much the kernel has put there, and so much the program has room for.
            let _ = unsafe { sockets::fill((&raw mut own).cast(), length, name, length) };
            sockets::rename(&mut own, &mut header.msg_namelen);
            // SAFETY: as above.
            let _ = unsafe { sockets::fill(name, *room, (&raw const own).cast(), header.msg_namelen) };
        }
        got
    }
}
