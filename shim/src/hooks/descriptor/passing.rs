//! Descriptors in messages (`SCM_RIGHTS`). What arrives is held at once; what is sent stays held by the sender for a while, through a duplicate
//! that the program does not see, so that it may close its own before the receiver looks.
#![expect(unsafe_code, reason = "control messages")]

use crate::boundary::Inside;
use crate::{fds, space};
use libc::{c_int, c_uint, cmsghdr, mmsghdr, msghdr, ssize_t, timespec};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// So many files on the way are held.
const MOST: usize = 16;
static SENT: [AtomicI32; MOST] = [const { AtomicI32::new(-1) }; MOST];
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Where the duplicates' numbers begin.
const HIGH: c_int = 700;

/// Calls `f` for each descriptor in a message's control part.
fn each(message: &msghdr, mut f: impl FnMut(c_int)) {
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
    // SAFETY: null, or the program's message.
    let Some(message) = (unsafe { message.as_ref() }) else { return };
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
    // SAFETY: null, or the program's message, which the kernel has filled in.
    let Some(message) = (unsafe { message.as_ref() }) else { return };
    each(message, |fd| {
        fds::note_unknown(fd);
        let _ = fds::is_flac(fd);
    });
}

export! {
    /// `sendmsg(2)`.
    fn sendmsg(socket: c_int, message: *const msghdr, flags: c_int) -> ssize_t, when(space::opened().is_some()), real(theirs) {
        hold(message);
        theirs(socket, message, flags)
    }
}

export! {
    /// `sendmmsg(2)`.
    fn sendmmsg(socket: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int) -> c_int, when(space::opened().is_some()), real(theirs) {
        for i in 0..if messages.is_null() { 0 } else { n as usize } {
            // SAFETY: the program vouches for `n` messages.
            hold(unsafe { &raw const (*messages.add(i)).msg_hdr });
        }
        theirs(socket, messages, n, flags)
    }
}

export! {
    /// `recvmsg(2)`.
    fn recvmsg(socket: c_int, message: *mut msghdr, flags: c_int) -> ssize_t, real(theirs) {
        let n = theirs(socket, message, flags);
        if n >= 0 {
            adopt(message);
        }
        n
    }
}

export! {
    /// `recvmmsg(2)`.
    fn recvmmsg(socket: c_int, messages: *mut mmsghdr, n: c_uint, flags: c_int, timeout: *mut timespec) -> c_int, real(theirs) {
        let got = theirs(socket, messages, n, flags, timeout);
        for i in 0..usize::try_from(got).unwrap_or(0) {
            // SAFETY: the kernel has filled in `got` of the program's messages.
            adopt(unsafe { &raw const (*messages.add(i)).msg_hdr });
        }
        got
    }
}
