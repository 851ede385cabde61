#![expect(unsafe_code, reason = "wraps the libc calls that move bytes through descriptors")]
//! Calls on descriptors that move bytes or offsets.

use super::{Errno, Fd, Raw, Sys, call};

fn count(moved: isize) -> usize {
    usize::try_from(moved).expect("not negative")
}

pub fn close(fd: impl Raw) -> Sys<()> {
    call!(libc::close(fd.raw())).map(drop)
}

pub fn read(fd: impl Raw, buffer: &mut [u8]) -> Sys<usize> {
    call!(libc::read(fd.raw(), buffer.as_mut_ptr().cast(), buffer.len())).map(count)
}

/// `read` to an address and with a length that nothing vouches for.
pub fn read_to(fd: impl Raw, address: usize, length: usize) -> Sys<usize> {
    call!(libc::read(fd.raw(), std::ptr::with_exposed_provenance_mut(address), length)).map(count)
}

pub fn write(fd: impl Raw, bytes: &[u8]) -> Sys<usize> {
    call!(libc::write(fd.raw(), bytes.as_ptr().cast(), bytes.len())).map(count)
}

/// `write` from an address and with a length that nothing vouches for.
pub fn write_from(fd: impl Raw, address: usize, length: usize) -> Sys<usize> {
    call!(libc::write(fd.raw(), std::ptr::with_exposed_provenance(address), length)).map(count)
}

pub fn pread(fd: impl Raw, buffer: &mut [u8], offset: i64) -> Sys<usize> {
    call!(libc::pread(fd.raw(), buffer.as_mut_ptr().cast(), buffer.len(), offset)).map(count)
}

/// `pread` to an address and with a length that nothing vouches for.
pub fn pread_to(fd: impl Raw, address: usize, length: usize, offset: i64) -> Sys<usize> {
    call!(libc::pread(fd.raw(), std::ptr::with_exposed_provenance_mut(address), length, offset)).map(count)
}

pub fn pwrite(fd: impl Raw, bytes: &[u8], offset: i64) -> Sys<usize> {
    call!(libc::pwrite(fd.raw(), bytes.as_ptr().cast(), bytes.len(), offset)).map(count)
}

fn iovecs(parts: &[(usize, usize)]) -> Vec<libc::iovec> {
    let make = |&(base, length): &(usize, usize)| libc::iovec { iov_base: std::ptr::with_exposed_provenance_mut(base), iov_len: length };
    parts.iter().map(make).collect()
}

fn parts_of(buffers: &mut [&mut [u8]]) -> Vec<(usize, usize)> {
    buffers.iter_mut().map(|part| (part.as_mut_ptr().expose_provenance(), part.len())).collect()
}

fn parts_of_const(buffers: &[&[u8]]) -> Vec<(usize, usize)> {
    buffers.iter().map(|part| (part.as_ptr().expose_provenance(), part.len())).collect()
}

fn length_of(parts: &[libc::iovec]) -> i32 {
    i32::try_from(parts.len()).expect("few parts")
}

pub fn readv(fd: impl Raw, buffers: &mut [&mut [u8]]) -> Sys<usize> {
    readv_to(fd, &parts_of(buffers))
}

/// `readv` to (address, length) pairs that nothing vouches for.
pub fn readv_to(fd: impl Raw, parts: &[(usize, usize)]) -> Sys<usize> {
    let parts = iovecs(parts);
    call!(libc::readv(fd.raw(), parts.as_ptr(), length_of(&parts))).map(count)
}

pub fn writev(fd: impl Raw, buffers: &[&[u8]]) -> Sys<usize> {
    let parts = iovecs(&parts_of_const(buffers));
    call!(libc::writev(fd.raw(), parts.as_ptr(), length_of(&parts))).map(count)
}

/// `writev` from (address, length) pairs that nothing vouches for.
pub fn writev_from(fd: impl Raw, parts: &[(usize, usize)]) -> Sys<usize> {
    let parts = iovecs(parts);
    call!(libc::writev(fd.raw(), parts.as_ptr(), length_of(&parts))).map(count)
}

pub fn preadv(fd: impl Raw, buffers: &mut [&mut [u8]], offset: i64) -> Sys<usize> {
    let parts = iovecs(&parts_of(buffers));
    call!(libc::preadv(fd.raw(), parts.as_ptr(), length_of(&parts), offset)).map(count)
}

pub fn pwritev(fd: impl Raw, buffers: &[&[u8]], offset: i64) -> Sys<usize> {
    let parts = iovecs(&parts_of_const(buffers));
    call!(libc::pwritev(fd.raw(), parts.as_ptr(), length_of(&parts), offset)).map(count)
}

pub fn preadv2(fd: impl Raw, buffers: &mut [&mut [u8]], offset: i64, flags: i32) -> Sys<usize> {
    let parts = iovecs(&parts_of(buffers));
    call!(libc::preadv2(fd.raw(), parts.as_ptr(), length_of(&parts), offset, flags)).map(count)
}

pub fn pwritev2(fd: impl Raw, buffers: &[&[u8]], offset: i64, flags: i32) -> Sys<usize> {
    let parts = iovecs(&parts_of_const(buffers));
    call!(libc::pwritev2(fd.raw(), parts.as_ptr(), length_of(&parts), offset, flags)).map(count)
}

/// A call that reads or writes vectors, with a list of them that nothing vouches for.
pub fn vectored(number: i64, fd: impl Raw, list: usize, length: i32, offset: i64, flags: i32) -> Sys<usize> {
    let high = offset >> 63;
    call!(libc::syscall(number, fd.raw(), list, length, offset, high, flags)).map(|moved| count(moved as isize))
}

pub fn lseek(fd: impl Raw, offset: i64, whence: i32) -> Sys<i64> {
    call!(libc::lseek(fd.raw(), offset, whence))
}

pub fn ftruncate(fd: impl Raw, size: i64) -> Sys<()> {
    call!(libc::ftruncate(fd.raw(), size)).map(drop)
}

pub fn truncate(path: impl AsRef<std::ffi::OsStr>, size: i64) -> Sys<()> {
    let path = super::c_path(path);
    call!(libc::truncate(path.as_ptr(), size)).map(drop)
}

pub fn fallocate(fd: impl Raw, mode: i32, offset: i64, length: i64) -> Sys<()> {
    call!(libc::fallocate(fd.raw(), mode, offset, length)).map(drop)
}

/// The ioctls that did this before `fallocate` did (`FS_IOC_RESVSP` and its like).
pub fn allocate_by(fd: impl Raw, request: u64, whence: i32, range: std::ops::Range<i64>) -> Sys<()> {
    /// `struct space_resv`.
    #[repr(C)]
    struct SpaceRange {
        kind: i16,
        whence: i16,
        start: i64,
        len: i64,
        unused: [i32; 6],
    }
    let range = SpaceRange { kind: 0, whence: whence as i16, start: range.start, len: range.end - range.start, unused: [0; 6] };
    call!(libc::ioctl(fd.raw(), request, &raw const range)).map(drop)
}

/// `posix_fallocate`, which returns its error instead of setting errno.
pub fn posix_fallocate(fd: impl Raw, offset: i64, length: i64) -> Sys<()> {
    // SAFETY: no pointers.
    match unsafe { libc::posix_fallocate(fd.raw(), offset, length) } {
        0 => Ok(()),
        error => Err(Errno(error)),
    }
}

/// `posix_fadvise`, which returns its error instead of setting errno.
pub fn posix_fadvise(fd: impl Raw, offset: i64, length: i64, advice: i32) -> Sys<()> {
    // SAFETY: no pointers.
    match unsafe { libc::posix_fadvise(fd.raw(), offset, length, advice) } {
        0 => Ok(()),
        error => Err(Errno(error)),
    }
}

pub fn readahead(fd: impl Raw, offset: i64, length: usize) -> Sys<()> {
    call!(libc::readahead(fd.raw(), offset, length)).map(drop)
}

pub fn fsync(fd: impl Raw) -> Sys<()> {
    call!(libc::fsync(fd.raw())).map(drop)
}

pub fn fdatasync(fd: impl Raw) -> Sys<()> {
    call!(libc::fdatasync(fd.raw())).map(drop)
}

pub fn pipe(flags: i32) -> Sys<(Fd, Fd)> {
    let mut ends = [0_i32; 2];
    call!(libc::pipe2(ends.as_mut_ptr(), flags))?;
    Ok((Fd::own(ends[0]), Fd::own(ends[1])))
}

fn pointer_to(offset: &mut Option<i64>) -> *mut i64 {
    offset.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut)
}

/// `sendfile`; the offset is updated where there is one.
pub fn sendfile(out: impl Raw, from: impl Raw, offset: &mut Option<i64>, length: usize) -> Sys<usize> {
    call!(libc::sendfile(out.raw(), from.raw(), pointer_to(offset), length)).map(count)
}

/// `copy_file_range`; the offsets are updated where there are some.
pub fn copy_file_range(
    from: impl Raw,
    from_offset: &mut Option<i64>,
    to: impl Raw,
    to_offset: &mut Option<i64>,
    length: usize,
) -> Sys<usize> {
    let (source, target) = (pointer_to(from_offset), pointer_to(to_offset));
    call!(libc::copy_file_range(from.raw(), source, to.raw(), target, length, 0)).map(count)
}

pub fn splice(from: impl Raw, from_offset: &mut Option<i64>, to: impl Raw, to_offset: &mut Option<i64>, length: usize) -> Sys<usize> {
    let (source, target) = (pointer_to(from_offset), pointer_to(to_offset));
    call!(libc::splice(from.raw(), source, to.raw(), target, length, 0)).map(count)
}

/// `splice` without offsets, with flags.
pub fn splice_flagged(from: impl Raw, to: impl Raw, length: usize, flags: u32) -> Sys<usize> {
    let (source, target) = (std::ptr::null_mut(), std::ptr::null_mut());
    call!(libc::splice(from.raw(), source, to.raw(), target, length, flags)).map(count)
}

/// `ioctl(FICLONE)`.
pub fn ficlone(to: impl Raw, from: impl Raw) -> Sys<()> {
    call!(libc::ioctl(to.raw(), libc::FICLONE, from.raw())).map(drop)
}

/// `ioctl(FS_IOC_GETFLAGS)`.
pub fn get_flags(fd: impl Raw) -> Sys<i32> {
    let mut flags = -1;
    call!(libc::ioctl(fd.raw(), 0x8008_6601, &raw mut flags)).map(|_| flags)
}

/// `ioctl(FS_IOC_SETFLAGS)`.
pub fn set_flags(fd: impl Raw, flags: i32) -> Sys<()> {
    call!(libc::ioctl(fd.raw(), 0x4008_6602, &raw const flags)).map(drop)
}

/// `ioctl(FIONREAD)`.
pub fn fionread(fd: impl Raw) -> Sys<i32> {
    let mut waiting = 0_i32;
    call!(libc::ioctl(fd.raw(), libc::FIONREAD, &raw mut waiting)).map(|_| waiting)
}

pub fn isatty(fd: impl Raw) -> Sys<()> {
    // SAFETY: no pointers.
    if unsafe { libc::isatty(fd.raw()) } == 1 { Ok(()) } else { Err(Errno::last()) }
}

/// `poll` of one descriptor: the events that came.
pub fn poll(fd: impl Raw, events: i16, timeout_ms: i32) -> Sys<i16> {
    let mut one = libc::pollfd { fd: fd.raw(), events, revents: 0 };
    call!(libc::poll(&raw mut one, 1, timeout_ms)).map(|_| one.revents)
}

/// `select` of one descriptor with a timeout of 0: (readable, writable).
pub fn select(fd: impl Raw) -> Sys<(bool, bool)> {
    let fd = fd.raw();
    // SAFETY: the sets are plain bits, `fd` is below FD_SETSIZE in these tests.
    unsafe {
        let mut readable: libc::fd_set = std::mem::zeroed();
        let mut writable: libc::fd_set = std::mem::zeroed();
        let mut now = libc::timeval { tv_sec: 0, tv_usec: 0 };
        libc::FD_SET(fd, &raw mut readable);
        libc::FD_SET(fd, &raw mut writable);
        if libc::select(fd + 1, &raw mut readable, &raw mut writable, std::ptr::null_mut(), &raw mut now) == -1 {
            return Err(Errno::last());
        }
        Ok((libc::FD_ISSET(fd, &raw const readable), libc::FD_ISSET(fd, &raw const writable)))
    }
}

/// `io_uring_setup` by number.
pub fn io_uring_setup(entries: libc::c_uint) -> Sys<()> {
    // `struct io_uring_params`.
    let mut parameters = [0_u64; 15];
    call!(libc::syscall(libc::SYS_io_uring_setup, entries, parameters.as_mut_ptr())).map(drop)
}

/// `io_setup` by number.
pub fn io_setup(events: libc::c_uint) -> Sys<()> {
    let mut context = 0_u64;
    call!(libc::syscall(libc::SYS_io_setup, events, &raw mut context)).map(drop)
}
