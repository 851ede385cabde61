//! sendfile, copy_file_range, splice, tee, vmsplice, and the ioctls of files.

use crate::abi::{In, Out, count, fail};
use crate::boundary::{Answer, Escape, may_cancel};
use crate::copying::{self, End, Position, check_regular};
use crate::transfer::check;
use crate::{creds, fds, space};
use flac::Fs;
use flac::fs::open::OpenId;
use libc::{c_int, c_uint, c_ulong, c_void, off_t, size_t, ssize_t};

hook! {
    /// `sendfile(2)`.
    fn sendfile(to: c_int, from: c_int, at: Out<off_t>, n: size_t) -> ssize_t, also(sendfile64), when(fds::maybe(from) || fds::maybe(to)) {
        let (from, to, own) = (End::of(from)?, End::of(to)?, Position::of(Out::null()));
        match from {
            End::Flac(fs, id) => check(fs, id, false)?,
            End::Kernel(_) if matches!(to, End::Kernel(_)) => return Err(Escape::NotOurs),
            // What the kernel can't read by pages can't be sent.
            End::Kernel(fd) if rustix::fs::tell(fd).is_err() => return fail(if at.is_null() { libc::EINVAL } else { libc::ESPIPE }),
            End::Kernel(_) => {}
        }
        copying::check_reach(from, Position::of(at), n)?;
        let to_flags = match to {
            End::Flac(fs, id) => {
                check(fs, id, true)?;
                fs.open_flags(id)
            }
            End::Kernel(fd) => rustix::fs::fcntl_getfl(fd)?.bits() as c_int,
        };
        copying::check_reach(to, own, n)?;
        if to_flags & libc::O_APPEND != 0 {
            return fail(libc::EINVAL);
        }
        if let End::Flac(fs, id) = from {
            check_regular(fs, id).map_err(|_| Escape::Fail(libc::EINVAL))?;
        }
        copying::copy(from, Position::of(at), to, own, n).map(count)
    }
}

hook! {
    /// `copy_file_range(2)`: within FLAC pages are shared, across its border they are copied.
    fn copy_file_range(from: c_int, from_at: Out<off_t>, to: c_int, to_at: Out<off_t>, n: size_t, flags: c_uint) -> ssize_t,
    when(fds::maybe(from) || fds::maybe(to)), cancels(may_cancel) {
        let (from, to) = (End::of(from)?, End::of(to)?);
        if matches!((from, to), (End::Kernel(_), End::Kernel(_))) {
            return Err(Escape::NotOurs);
        }
        if flags != 0 {
            return fail(libc::EINVAL);
        }
        copying::check_range_ends(from, to)?;
        let (from_at, to_at) = (Position::of(from_at), Position::of(to_at));
        if copying::wraps(from, from_at, n)? || copying::wraps(to, to_at, n)? {
            return fail(libc::EOVERFLOW);
        }
        if copying::overlaps(from, from_at, to, to_at, n)? {
            return fail(libc::EINVAL);
        }
        copying::copy(from, from_at, to, to_at, n).map(count)
    }
}

const NONBLOCK: c_uint = libc::SPLICE_F_NONBLOCK;
const KNOWN: c_uint = NONBLOCK | libc::SPLICE_F_MOVE | libc::SPLICE_F_MORE | libc::SPLICE_F_GIFT;

hook! {
    /// `splice(2)` between a FLAC file and a pipe.
    fn splice(from: c_int, from_at: Out<off_t>, to: c_int, to_at: Out<off_t>, n: size_t, flags: c_uint) -> ssize_t,
    when(fds::maybe(from) || fds::maybe(to)), cancels(may_cancel) {
        // Nothing is moved between whatever there is.
        if n == 0 {
            return Ok(0);
        }
        match (End::of(from)?, End::of(to)?) {
            (End::Kernel(_), End::Kernel(_)) => Err(Escape::NotOurs),
            _ if flags & !KNOWN != 0 => fail(libc::EINVAL),
            (End::Flac(..), End::Flac(..)) => fail(libc::EINVAL),
            (End::Flac(fs, id), End::Kernel(pipe)) => {
                check(fs, id, false)?;
                check_regular(fs, id).map_err(|_| Escape::Fail(libc::EINVAL))?;
                check_pipe(pipe, to_at, libc::O_RDONLY)?;
                copying::into_pipe(fs, id, Position::of(from_at), pipe, n, flags & NONBLOCK != 0).map(count)
            }
            (End::Kernel(pipe), End::Flac(fs, id)) => {
                check(fs, id, true)?;
                check_pipe(pipe, from_at, libc::O_WRONLY)?;
                if fs.open_flags(id) & libc::O_APPEND != 0 {
                    return fail(libc::EINVAL);
                }
                copying::out_of_pipe(pipe, fs, id, Position::of(to_at), n, flags & NONBLOCK != 0).map(count)
            }
        }
    }
}

/// `EBADF` if it is open for the `wrong` thing alone, or for a path; `EINVAL` if it is no pipe, `ESPIPE` if a pipe is given an offset.
fn check_pipe(pipe: rustix::fd::BorrowedFd<'_>, at: Out<off_t>, wrong: c_int) -> Answer<()> {
    let flags = rustix::fs::fcntl_getfl(pipe)?.bits() as c_int;
    if flags & libc::O_PATH != 0 || flags & libc::O_ACCMODE == wrong {
        return fail(libc::EBADF);
    }
    if rustix::pipe::fcntl_getpipe_size(pipe).is_err() {
        return fail(libc::EINVAL);
    }
    if at.is_null() { Ok(()) } else { fail(libc::ESPIPE) }
}

hook! {
    /// `tee(2)`: pipes only.
    fn tee(from: c_int, to: c_int, n: size_t, flags: c_uint) -> ssize_t, when(fds::maybe(from) || fds::maybe(to)) {
        if !fds::is_flac(from) && !fds::is_flac(to) {
            return Err(Escape::NotOurs);
        }
        if flags & !KNOWN != 0 {
            return fail(libc::EINVAL);
        }
        if n == 0 {
            return Ok(0);
        }
        End::of(from)?;
        End::of(to)?;
        fail(libc::EINVAL)
    }
}

hook! {
    /// `vmsplice(2)`: pages that are views of FLAC's become ordinary memory first, for the pipe keeps them beyond our knowing.
    fn vmsplice(pipe: c_int, from: In<libc::iovec>, n: size_t, flags: c_uint) -> ssize_t, when(fds::maybe(pipe) || space::opened().is_some()) {
        if fds::is_flac(pipe) {
            return fail(libc::EBADF);
        }
        if let (Some(fs), Ok(ranges)) = (space::opened(), from.array(n.min(crate::transfer::MOST_VECTORS))) {
            for range in ranges {
                fs.privatize(range.iov_base.addr(), range.iov_len)?;
            }
        }
        Err(Escape::NotOurs)
    }
}

/// `struct file_clone_range`.
#[derive(Clone, Copy)]
#[repr(C)]
struct CloneRange {
    from: i64,
    from_at: u64,
    len: u64,
    to_at: u64,
}

/// `struct space_resv`.
#[derive(Clone, Copy)]
#[repr(C)]
struct SpaceRange {
    kind: i16,
    whence: i16,
    start: i64,
    len: i64,
    system: i32,
    process: u32,
    unused: [i32; 4],
}

mod request {
    use libc::c_ulong;
    pub const FICLONE: c_ulong = 0x4004_9409;
    pub const FICLONERANGE: c_ulong = 0x4020_940d;
    pub const FIDEDUPERANGE: c_ulong = 0xc018_9436;
    pub const FS_IOC_FIEMAP: c_ulong = 0xc020_660b;
    pub const FS_IOC_GETFLAGS: c_ulong = 0x8008_6601;
    pub const FS_IOC_SETFLAGS: c_ulong = 0x4008_6602;
    pub const FIGETBSZ: c_ulong = 2;
    pub const FIBMAP: c_ulong = 1;
    pub const FIOQSIZE: c_ulong = 0x5460;
    pub const FS_IOC_FSGETXATTR: c_ulong = 0x801c_581f;
    pub const FS_IOC_FSSETXATTR: c_ulong = 0x401c_5820;
    pub const FS_IOC_GETFSUUID: c_ulong = 0x8011_1500;
    pub const FS_IOC_RESVSP: c_ulong = 0x4030_5828;
    pub const FS_IOC_UNRESVSP: c_ulong = 0x4030_5829;
    pub const FS_IOC_RESVSP64: c_ulong = 0x4030_582a;
    pub const FS_IOC_UNRESVSP64: c_ulong = 0x4030_582b;
    pub const FS_IOC_ZERO_RANGE: c_ulong = 0x4030_5839;
}

/// The mode of `fallocate` of which the request is an older form.
fn allocation(request: c_ulong) -> Option<c_int> {
    match request {
        request::FS_IOC_RESVSP | request::FS_IOC_RESVSP64 => Some(libc::FALLOC_FL_KEEP_SIZE),
        request::FS_IOC_UNRESVSP | request::FS_IOC_UNRESVSP64 => Some(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE),
        request::FS_IOC_ZERO_RANGE => Some(libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE),
        _ => None,
    }
}

hook! {
    /// `ioctl(2)`. Descriptor flags (`FIOCLEX`, ...) are the kernel's; cloning is FLAC's; what the kernel would do to the stub is refused.
    fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int, when(fds::maybe(fd)) {
        let (fs, id) = match fds::open_file(fd) {
            Err(Escape::NotOurs) => return clone_onto_kernel(request, arg),
            other => other?,
        };
        if fs.open_flags(id) & libc::O_PATH != 0 {
            return fail(libc::EBADF);
        }
        // Some programs pass it sign-extended.
        match request & 0xffff_ffff {
            request::FICLONE => clone_all(fs, id, arg.addr() as c_int),
            request::FICLONERANGE => {
                let range = In::<CloneRange>::at(arg).needed()?;
                clone_range(fs, id, &range)
            }
            request::FIDEDUPERANGE | request::FS_IOC_FIEMAP => fail(libc::EOPNOTSUPP),
            request::FIGETBSZ => Out::<c_int>::at(arg).put(flac::units::PAGE as c_int).map(|()| 0),
            request::FIBMAP => fail(if check_regular(fs, id).is_ok() { libc::EINVAL } else { libc::ENOTTY }),
            request::FIOQSIZE => {
                let attr = check_has_flags(fs, id)?;
                Out::<u64>::at(arg).put(attr.pages * flac::units::PAGE as u64).map(|()| 0)
            }
            libc::FIONREAD => {
                check_regular(fs, id).map_err(|_| Escape::Fail(libc::ENOTTY))?;
                let left = fs.attr(fs.open_ino(id))?.size.saturating_sub(fs.seek(id, 0, libc::SEEK_CUR)?);
                Out::<c_int>::at(arg).put(left as c_int).map(|()| 0)
            }
            libc::FIONBIO => {
                let on = Out::<c_int>::at(arg).needed()? != 0;
                let flags = fs.open_flags(id);
                fs.set_open_flags(id, if on { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK });
                Ok(0)
            }
            request::FS_IOC_GETFLAGS => {
                check_has_flags(fs, id)?;
                Out::<c_int>::at(arg).put(0).map(|()| 0)
            }
            request::FS_IOC_SETFLAGS => set_flags(fs, id, In::<c_int>::at(arg).needed().map(|flags| flags != 0)),
            request::FS_IOC_FSGETXATTR => {
                check_has_flags(fs, id)?;
                Out::<MoreFlags>::at(arg).put([0; 7]).map(|()| 0)
            }
            request::FS_IOC_FSSETXATTR => {
                // What is only told, and room for more, are not looked at.
                let more = In::<MoreFlags>::at(arg).needed();
                set_flags(fs, id, more.map(|[flags, extent, _, project, copied, ..]| flags | extent | project | copied != 0))
            }
            request::FS_IOC_GETFSUUID => {
                let mut answer = [0u8; 17];
                answer[0] = 16;
                for (byte, digits) in answer[1..].iter_mut().zip(fs.uuid_hex().as_bytes().chunks(2)) {
                    *byte = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0);
                }
                Out::<[u8; 17]>::at(arg).put(answer).map(|()| 0)
            }
            libc::FIOCLEX | libc::FIONCLEX => Err(Escape::NotOurs),
            other => match allocation(other) {
                Some(mode) if check_regular(fs, id).is_ok() => allocate_range(fs, id, fd, mode, arg),
                _ => fail(libc::ENOTTY),
            },
        }
    }
}

/// Files and directories have inode flags (`lsattr`), others have none. A descriptor of a path alone serves nothing: `EBADF`.
fn check_has_flags(fs: &Fs, id: OpenId) -> Answer<flac::fs::attr::Attr> {
    if fs.open_flags(id) & libc::O_PATH != 0 {
        return fail(libc::EBADF);
    }
    let attr = fs.attr(fs.open_ino(id))?;
    if attr.is_file() || attr.is_dir() { Ok(attr) } else { fail(libc::ENOTTY) }
}

/// `struct fsxattr`: flags, a wish for the size of extents, their number, a project, another wish, and room.
type MoreFlags = [u32; 7];

/// None of the flags can be set.
fn set_flags(fs: &Fs, id: OpenId, any: Answer<bool>) -> Answer<c_int> {
    let attr = check_has_flags(fs, id)?;
    match any? {
        _ if !attr.owned_by(&creds::now().creds()) => fail(libc::EPERM),
        false => Ok(0),
        true => fail(libc::EOPNOTSUPP),
    }
}

fn allocate_range(fs: &Fs, id: OpenId, fd: c_int, mode: c_int, arg: *mut c_void) -> Answer<c_int> {
    let range = In::<SpaceRange>::at(arg).needed()?;
    let base = match c_int::from(range.whence) {
        libc::SEEK_SET => 0,
        libc::SEEK_CUR => fs.seek(id, 0, libc::SEEK_CUR)? as i64,
        libc::SEEK_END => fs.attr(fs.open_ino(id))?.size as i64,
        _ => return fail(libc::EINVAL),
    };
    let start = range.start.checked_add(base).ok_or(Escape::Fail(libc::EINVAL))?;
    super::resize::allocate(fd, mode, start, range.len).map(|()| 0)
}

/// A clone of a FLAC file onto a file of the kernel's: `EXDEV`.
fn clone_onto_kernel(request: c_ulong, arg: *mut c_void) -> Answer<c_int> {
    match request & 0xffff_ffff {
        request::FICLONE if fds::is_flac(arg.addr() as c_int) => fail(libc::EXDEV),
        _ => Err(Escape::NotOurs),
    }
}

/// The source of a clone to `id`, checked.
fn clone_source(fs: &Fs, id: OpenId, from: c_int) -> Answer<OpenId> {
    check(fs, id, true)?;
    let End::Flac(_, source) = End::of(from)? else { return fail(libc::EXDEV) };
    check(fs, source, false)?;
    check_regular(fs, source)?;
    check_regular(fs, id)?;
    Ok(source)
}

fn clone_all(fs: &Fs, id: OpenId, from: c_int) -> Answer<c_int> {
    let source = clone_source(fs, id, from)?;
    let (source, target) = (fs.open_ino(source), fs.open_ino(id));
    if source == target {
        return Ok(0);
    }
    let size = fs.attr(source)?.size;
    clone_bytes(fs, source, 0, target, 0, size)?;
    fs.truncate(target, size)?;
    Ok(0)
}

fn clone_range(fs: &Fs, id: OpenId, range: &CloneRange) -> Answer<c_int> {
    let source = fs.open_ino(clone_source(fs, id, range.from as c_int)?);
    let size = fs.attr(source)?.size;
    let len = if range.len == 0 { size.saturating_sub(range.from_at) } else { range.len };
    let block = flac::units::PAGE as u64;
    let end = range.from_at.checked_add(len).filter(|end| *end <= size).ok_or(Escape::Fail(libc::EINVAL))?;
    let is_whole = len.is_multiple_of(block) || end == size;
    if !range.from_at.is_multiple_of(block) || !range.to_at.is_multiple_of(block) || !is_whole {
        return fail(libc::EINVAL);
    }
    clone_bytes(fs, source, range.from_at, fs.open_ino(id), range.to_at, len)?;
    Ok(0)
}

fn clone_bytes(fs: &Fs, from: flac::units::Ino, from_at: u64, to: flac::units::Ino, to_at: u64, len: u64) -> Answer<()> {
    crate::transfer::drop_set_ids(fs, to)?;
    crate::limits::check(to_at.saturating_add(u64::from(len > 0)))?;
    // A clone is whole or not at all.
    if crate::limits::file_size().is_some_and(|limit| len > 0 && to_at + len > limit) {
        return fail(libc::EINVAL);
    }
    let mut done = 0;
    while done < len {
        match fs.copy_range(from, from_at + done, to, to_at + done, len - done)? {
            0 => break,
            n => done += n,
        }
    }
    Ok(())
}
