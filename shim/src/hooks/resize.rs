//! truncate, fallocate, and advice about ranges.

use crate::abi::{CPath, fail, offset};
use crate::boundary::{Answer, Escape, checked, may_cancel};
use crate::paths::{self, Walked};
use crate::transfer::drop_set_ids;
use crate::{creds, fds, limits};
use flac::Fs;
use flac::fs::names::{Last, Resolved};
use flac::fs::open::OpenId;
use flac::units::Ino;
use libc::{AT_FDCWD, c_int, off_t, size_t, ssize_t};

hook! {
    /// `truncate(2)`.
    fn truncate(path: CPath, size: off_t) -> c_int, also(truncate64), real(theirs) {
        let new = offset(size)?;
        match paths::walk(AT_FDCWD, path, Last::Follow)? {
            Walked::Kernel(path) => checked(theirs(CPath::of(&path), size)),
            Walked::Flac(fs, Resolved::Found { ino, kind, slash, .. }) => {
                match kind {
                    libc::S_IFDIR => return fail(libc::EISDIR),
                    _ if slash => return fail(libc::ENOTDIR),
                    libc::S_IFREG => {}
                    _ => return fail(libc::EINVAL),
                }
                fs.access(ino, libc::W_OK, &creds::now().creds())?;
                grow_checked(fs, ino, new)?;
                fs.truncate(ino, new)?;
                drop_set_ids(fs, ino)?;
                Ok(0)
            }
            Walked::Flac(..) => fail(libc::ENOENT),
        }
    }
}

fn is_regular(fs: &Fs, ino: Ino) -> Answer<bool> {
    Ok(fs.attr(ino)?.mode & libc::S_IFMT == libc::S_IFREG)
}

fn may_write(fs: &Fs, id: OpenId) -> bool {
    let flags = fs.open_flags(id);
    flags & libc::O_PATH == 0 && matches!(flags & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR)
}

hook! {
    /// `ftruncate(2)`.
    fn ftruncate(fd: c_int, size: off_t) -> c_int, also(ftruncate64), when(fds::maybe(fd)) {
        let (fs, id) = fds::open_file(fd)?;
        let ino = fs.open_ino(id);
        let size = offset(size)?;
        if fs.open_flags(id) & libc::O_PATH != 0 {
            return fail(libc::EBADF);
        }
        if !may_write(fs, id) || !is_regular(fs, ino)? {
            return fail(libc::EINVAL);
        }
        grow_checked(fs, ino, size)?;
        fs.truncate(ino, size)?;
        drop_set_ids(fs, ino)?;
        Ok(0)
    }
}

/// `RLIMIT_FSIZE` is about growing.
fn grow_checked(fs: &Fs, ino: Ino, size: u64) -> Answer<()> {
    match limits::file_size() {
        Some(limit) if size > limit && size > fs.attr(ino)?.size => Err(limits::exceeded()),
        _ => Ok(()),
    }
}

/// Whether the kernel knows this mode of `fallocate`, served or not. It refuses others before it looks at the file.
fn is_allocation(mode: c_int) -> bool {
    /// `FALLOC_FL_WRITE_ZEROES`, of which libc's crate knows nothing.
    const WRITE_ZEROES: c_int = 0x80;
    let keeps = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
    match mode & !libc::FALLOC_FL_KEEP_SIZE {
        0 | libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_UNSHARE_RANGE => true,
        libc::FALLOC_FL_PUNCH_HOLE => keeps,
        libc::FALLOC_FL_COLLAPSE_RANGE | libc::FALLOC_FL_INSERT_RANGE | WRITE_ZEROES => !keeps,
        _ => false,
    }
}

/// `fallocate(2)` on a descriptor of FLAC's.
pub fn allocate(fd: c_int, mode: c_int, at: off_t, len: off_t) -> Answer<()> {
    let (fs, id) = fds::open_file(fd)?;
    if fs.open_flags(id) & libc::O_PATH != 0 {
        return fail(libc::EBADF);
    }
    let (at, len) = (offset(at)?, offset(len)?);
    if len == 0 {
        return fail(libc::EINVAL);
    }
    if !is_allocation(mode) {
        return fail(libc::EOPNOTSUPP);
    }
    if !may_write(fs, id) {
        return fail(libc::EBADF);
    }
    if at.checked_add(len).is_none_or(|end| end > i64::MAX as u64) {
        return fail(libc::EFBIG);
    }
    let ino = fs.open_ino(id);
    if !is_regular(fs, ino)? {
        return fail(libc::ENODEV);
    }
    if mode & libc::FALLOC_FL_KEEP_SIZE == 0 {
        grow_checked(fs, ino, at + len)?;
    }
    fs.allocate(ino, mode, at, len)?;
    drop_set_ids(fs, ino)
}

hook! {
    /// `fallocate(2)`.
    fn fallocate(fd: c_int, mode: c_int, at: off_t, len: off_t) -> c_int, also(fallocate64), when(fds::maybe(fd)), cancels(may_cancel) {
        allocate(fd, mode, at, len).map(|()| 0)
    }
}

/// For calls that return the error instead of setting errno.
fn returned(answer: Answer<()>) -> Answer<c_int> {
    match answer {
        Ok(()) => Ok(0),
        Err(Escape::Fail(e)) => Ok(e),
        Err(other) => Err(other),
    }
}

hook! {
    /// `posix_fallocate(3)`: returns the error.
    fn posix_fallocate(fd: c_int, at: off_t, len: off_t) -> c_int, also(posix_fallocate64), when(fds::maybe(fd)) {
        returned(allocate(fd, 0, at, len))
    }
}

hook! {
    /// `posix_fadvise(2)`: returns the error. `POSIX_FADV_WILLNEED` begins to load; other advice changes nothing: sequential reads are noticed, and the cache
    /// evicts what is not used again.
    fn posix_fadvise(fd: c_int, at: off_t, len: off_t, advice: c_int) -> c_int, also(posix_fadvise64), when(fds::maybe(fd)) {
        let (fs, id) = fds::open_file(fd)?;
        if fs.open_flags(id) & libc::O_PATH != 0 {
            return Ok(libc::EBADF);
        }
        if len < 0 || !(libc::POSIX_FADV_NORMAL..=libc::POSIX_FADV_NOREUSE).contains(&advice) {
            return Ok(libc::EINVAL);
        }
        let ino = fs.open_ino(id);
        if let Ok(at) = u64::try_from(at)
            && advice == libc::POSIX_FADV_WILLNEED
            && is_regular(fs, ino)?
        {
            fs.will_need(ino, at, len.cast_unsigned());
        }
        Ok(0)
    }
}

hook! {
    /// `readahead(2)`: begins to load, and returns.
    fn readahead(fd: c_int, at: off_t, n: size_t) -> ssize_t, when(fds::maybe(fd)) {
        let (fs, id) = fds::open_file(fd)?;
        let flags = fs.open_flags(id);
        if flags & libc::O_PATH != 0 || flags & libc::O_ACCMODE == libc::O_WRONLY {
            return fail(libc::EBADF);
        }
        let ino = fs.open_ino(id);
        if !is_regular(fs, ino)? {
            return fail(libc::EINVAL);
        }
        if let (Ok(at), 1..) = (u64::try_from(at), n) {
            fs.will_need(ino, at, n as u64);
        }
        Ok(0)
    }
}
