#![expect(unsafe_code, reason = "wraps the passing of descriptors over a socket")]
//! Descriptors that travel between processes.

use super::{Fd, Raw, Sys, call};

/// `socketpair(AF_UNIX, SOCK_STREAM)`.
pub fn socketpair() -> Sys<(Fd, Fd)> {
    let mut ends = [0_i32; 2];
    call!(libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr()))?;
    Ok((Fd::own(ends[0]), Fd::own(ends[1])))
}

/// Room for one descriptor's control message, aligned as its header wants.
#[repr(align(8))]
struct Control([u8; 64]);

fn message(byte: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: plain C data, valid when zeroed.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = byte;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: arithmetic only.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    header
}

/// Sends a descriptor with `SCM_RIGHTS`.
pub fn send_fd(socket: impl Raw, fd: impl Raw) -> Sys<()> {
    let mut data = [b'f'];
    let mut byte = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    let header = message(&mut byte, &mut control);
    // SAFETY: the control buffer has room for one header and one descriptor.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(first).cast::<i32>().write_unaligned(fd.raw());
    }
    call!(libc::sendmsg(socket.raw(), &raw const header, 0)).map(drop)
}

/// Receives a descriptor that `send_fd` sent.
pub fn receive_fd(socket: impl Raw) -> Sys<Fd> {
    let mut data = [0_u8];
    let mut byte = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    let mut header = message(&mut byte, &mut control);
    call!(libc::recvmsg(socket.raw(), &raw mut header, 0))?;
    // SAFETY: the kernel filled the control buffer; a missing header is refused.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        assert!(!first.is_null(), "a control message came");
        Ok(Fd::own(libc::CMSG_DATA(first).cast::<i32>().read_unaligned()))
    }
}
