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

/// A Unix socket of this kind (`SOCK_STREAM`, `SOCK_DGRAM`, ...).
pub fn socket(kind: i32) -> Sys<Fd> {
    call!(libc::socket(libc::AF_UNIX, kind, 0)).map(Fd::own)
}

/// The address of a Unix socket, and how many bytes of it count. A path of 108 bytes has no NUL at its end; longer ones are cut.
fn address(path: &[u8]) -> (libc::sockaddr_un, libc::socklen_t) {
    // SAFETY: plain C data, valid when zeroed.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = from.cast_signed();
    }
    let end = usize::from(path.first() != Some(&0) && path.len() < address.sun_path.len());
    (address, (2 + path.len() + end) as u32)
}

/// The path in an address of so many bytes: what `sun_path` has before its NUL. An abstract one keeps its first byte.
fn path_of(address: &libc::sockaddr_un, length: u32) -> Vec<u8> {
    let all: Vec<u8> = address.sun_path.iter().map(|byte| byte.cast_unsigned()).collect();
    let path = &all[..(length as usize).saturating_sub(2).min(all.len())];
    let end = path.iter().skip(1).position(|byte| *byte == 0).map_or(path.len(), |end| end + 1);
    path[..if path.first() == Some(&0) { path.len() } else { end }].to_vec()
}

/// `bind` to a path, or to an abstract name that begins with a NUL.
pub fn bind(socket: impl Raw, path: &[u8]) -> Sys<()> {
    let (address, length) = address(path);
    call!(libc::bind(socket.raw(), (&raw const address).cast(), length)).map(drop)
}

/// `connect` likewise.
pub fn connect(socket: impl Raw, path: &[u8]) -> Sys<()> {
    let (address, length) = address(path);
    call!(libc::connect(socket.raw(), (&raw const address).cast(), length)).map(drop)
}

pub fn listen(socket: impl Raw) -> Sys<()> {
    call!(libc::listen(socket.raw(), 8)).map(drop)
}

type Named = unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut libc::socklen_t) -> i32;

/// What a call that gives an address returns: its number, the path, and the length that it says, `room` being how much it is given.
fn named(call: Named, socket: i32, room: u32) -> Sys<(i32, Vec<u8>, u32)> {
    // SAFETY: plain C data, valid when zeroed.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    let mut length = room;
    let number = call!(call(socket, (&raw mut address).cast(), &raw mut length))?;
    Ok((number, path_of(&address, length.min(room)), length))
}

/// The path that `getsockname` gives, and the length.
pub fn getsockname(socket: impl Raw, room: u32) -> Sys<(Vec<u8>, u32)> {
    named(libc::getsockname, socket.raw(), room).map(|(_, path, length)| (path, length))
}

/// The path that `getpeername` gives.
pub fn getpeername(socket: impl Raw) -> Sys<Vec<u8>> {
    named(libc::getpeername, socket.raw(), 110).map(|(_, path, _)| path)
}

/// `accept`, and the path of the other end.
pub fn accept(socket: impl Raw) -> Sys<(Fd, Vec<u8>)> {
    named(libc::accept, socket.raw(), 110).map(|(fd, path, _)| (Fd::own(fd), path))
}

/// `sendto` a path.
pub fn send_to(socket: impl Raw, bytes: &[u8], path: &[u8]) -> Sys<usize> {
    let (address, length) = address(path);
    call!(libc::sendto(socket.raw(), bytes.as_ptr().cast(), bytes.len(), 0, (&raw const address).cast(), length)).map(isize::cast_unsigned)
}

/// `recvfrom`: the bytes, and the path of the sender.
pub fn receive_from(socket: impl Raw) -> Sys<(Vec<u8>, Vec<u8>)> {
    let mut bytes = vec![0; 100];
    // SAFETY: plain C data, valid when zeroed.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    let mut length = 110;
    let n = call!(libc::recvfrom(socket.raw(), bytes.as_mut_ptr().cast(), bytes.len(), 0, (&raw mut address).cast(), &raw mut length))?;
    bytes.truncate(n.cast_unsigned());
    Ok((bytes, path_of(&address, length)))
}

/// `sendmsg` (or `sendmmsg`, with two messages) to a path.
pub fn send_message(socket: impl Raw, bytes: &[u8], path: &[u8], twice: bool) -> Sys<usize> {
    let (mut to, length) = address(path);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: plain C data, valid when zeroed.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_name, header.msg_namelen) = ((&raw mut to).cast(), length);
    (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
    if !twice {
        return call!(libc::sendmsg(socket.raw(), &raw const header, 0)).map(isize::cast_unsigned);
    }
    let mut two = [libc::mmsghdr { msg_hdr: header, msg_len: 0 }; 2];
    let sent = call!(libc::sendmmsg(socket.raw(), two.as_mut_ptr(), 2, 0))?;
    assert!(two.iter().all(|message| message.msg_len as usize == bytes.len()));
    Ok(sent as usize)
}

/// `recvmsg` (or `recvmmsg`): the bytes, and the path of the sender.
pub fn receive_message(socket: impl Raw, many: bool) -> Sys<(Vec<u8>, Vec<u8>)> {
    let mut bytes = vec![0; 100];
    // SAFETY: plain C data, valid when zeroed.
    let mut from: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: as above.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    let header = &mut message.msg_hdr;
    (header.msg_name, header.msg_namelen) = ((&raw mut from).cast(), 110);
    (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
    let n = match many {
        false => call!(libc::recvmsg(socket.raw(), header, 0))?.cast_unsigned(),
        true => {
            call!(libc::recvmmsg(socket.raw(), &raw mut message, 1, 0, std::ptr::null_mut()))?;
            message.msg_len as usize
        }
    };
    assert_eq!(message.msg_hdr.msg_name, (&raw mut from).cast());
    bytes.truncate(n);
    Ok((bytes, path_of(&from, message.msg_hdr.msg_namelen)))
}
