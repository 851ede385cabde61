//! read, write and their kin.

use crate::abi::{In, InBytes, OutBytes, count, fail, offset};
use crate::boundary::{Answer, Escape, may_cancel};
use crate::{fds, space, transfer};
use flac::fs::io::IoVec;
use libc::{c_int, iovec, off_t, size_t, ssize_t};

hook! {
    /// `read(2)`.
    fn read(fd: c_int, to: OutBytes, n: size_t) -> ssize_t, also(__read), when(fds::maybe(fd) || space::is_lazy()), cancels(may_cancel) {
        let (fs, id) = transfer::file(fd, &to.vec(n))?;
        transfer::read(fs, id, &[to.vec(n)], None).map(count)
    }
}

hook! {
    /// `read` as compiled with `_FORTIFY_SOURCE`; libc ends the program if the buffer is too small.
    fn __read_chk(fd: c_int, to: OutBytes, n: size_t, room: size_t) -> ssize_t, when(fds::maybe(fd) && n <= room), cancels(may_cancel) {
        let (fs, id) = fds::open_file(fd)?;
        transfer::read(fs, id, &[to.vec(n)], None).map(count)
    }
}

hook! {
    /// `pread(2)`.
    fn pread(fd: c_int, to: OutBytes, n: size_t, at: off_t) -> ssize_t, also(pread64, __pread64), when(fds::maybe(fd) || space::is_lazy()), cancels(may_cancel) {
        let (fs, id) = transfer::file(fd, &to.vec(n))?;
        transfer::read(fs, id, &[to.vec(n)], Some(offset(at)?)).map(count)
    }
}

hook! {
    /// `pread` as compiled with `_FORTIFY_SOURCE`.
    fn __pread_chk(fd: c_int, to: OutBytes, n: size_t, at: off_t, room: size_t) -> ssize_t,
    also(__pread64_chk), when(fds::maybe(fd) && n <= room), cancels(may_cancel) {
        let (fs, id) = fds::open_file(fd)?;
        transfer::read(fs, id, &[to.vec(n)], Some(offset(at)?)).map(count)
    }
}

hook! {
    /// `write(2)`.
    fn write(fd: c_int, from: InBytes, n: size_t) -> ssize_t, also(__write), when(fds::maybe(fd) || space::is_lazy()), cancels(may_cancel) {
        let (fs, id) = transfer::file(fd, &from.vec(n))?;
        transfer::write(fs, id, &[from.vec(n)], None).map(count)
    }
}

hook! {
    /// `pwrite(2)`.
    fn pwrite(fd: c_int, from: InBytes, n: size_t, at: off_t) -> ssize_t, also(pwrite64, __pwrite64), when(fds::maybe(fd) || space::is_lazy()), cancels(may_cancel) {
        let (fs, id) = transfer::file(fd, &from.vec(n))?;
        transfer::write(fs, id, &[from.vec(n)], Some(offset(at)?)).map(count)
    }
}

/// The vectors of a call; `EINVAL` for a count the kernel refuses.
fn vectors<'a>(list: In<iovec>, n: c_int) -> Answer<&'a [IoVec]> {
    match usize::try_from(n) {
        Ok(n) if n <= transfer::MOST_VECTORS => list.array(n),
        _ => fail(libc::EINVAL),
    }
}

hook! {
    /// `readv(2)`.
    fn readv(fd: c_int, to: In<iovec>, n: c_int) -> ssize_t, when(fds::maybe(fd)), cancels(may_cancel) {
        let (fs, id) = fds::open_file(fd)?;
        transfer::read(fs, id, vectors(to, n)?, None).map(count)
    }
}

hook! {
    /// `writev(2)`.
    fn writev(fd: c_int, from: In<iovec>, n: c_int) -> ssize_t, when(fds::maybe(fd)), cancels(may_cancel) {
        let (fs, id) = fds::open_file(fd)?;
        transfer::write(fs, id, vectors(from, n)?, None).map(count)
    }
}

hook! {
    /// `preadv(2)`.
    fn preadv(fd: c_int, to: In<iovec>, n: c_int, at: off_t) -> ssize_t, also(preadv64), when(fds::maybe(fd)), cancels(may_cancel) {
        let (fs, id) = fds::open_file(fd)?;
        transfer::read(fs, id, vectors(to, n)?, Some(offset(at)?)).map(count)
    }
}

hook! {
    /// `pwritev(2)`.
    fn pwritev(fd: c_int, from: In<iovec>, n: c_int, at: off_t) -> ssize_t, also(pwritev64), when(fds::maybe(fd)), cancels(may_cancel) {
        let (fs, id) = fds::open_file(fd)?;
        transfer::write(fs, id, vectors(from, n)?, Some(offset(at)?)).map(count)
    }
}

/// Where a call of the `v2` kind begins: -1 is the file's offset.
fn start(at: off_t) -> Answer<Option<u64>> {
    if at == -1 { Ok(None) } else { offset(at).map(Some) }
}

/// `RWF_NOAPPEND`, which libc does not know.
const RWF_NOAPPEND: c_int = 0x20;

hook! {
    /// `preadv2(2)`. The hints `RWF_HIPRI` and `RWF_NOWAIT` (nothing here waits for a device that could answer later) are taken as given; what is about writing means nothing.
    fn preadv2(fd: c_int, to: In<iovec>, n: c_int, at: off_t, flags: c_int) -> ssize_t, also(preadv64v2), when(fds::maybe(fd)), cancels(may_cancel) {
        let (fs, id) = fds::open_file(fd)?;
        if flags & !(libc::RWF_HIPRI | libc::RWF_NOWAIT | libc::RWF_DSYNC | libc::RWF_SYNC | libc::RWF_APPEND) != 0 {
            return fail(libc::EOPNOTSUPP);
        }
        transfer::read(fs, id, vectors(to, n)?, start(at)?).map(count)
    }
}

hook! {
    /// `pwritev2(2)`. `RWF_DSYNC` and `RWF_SYNC` make durable; `RWF_APPEND` and `RWF_NOAPPEND` go before what the open file does.
    fn pwritev2(fd: c_int, from: In<iovec>, n: c_int, at: off_t, flags: c_int) -> ssize_t, also(pwritev64v2), when(fds::maybe(fd)), cancels(may_cancel) {
        let (fs, id) = fds::open_file(fd)?;
        let durable = libc::RWF_DSYNC | libc::RWF_SYNC;
        if flags & !(libc::RWF_HIPRI | libc::RWF_NOWAIT | libc::RWF_APPEND | RWF_NOAPPEND | durable) != 0 {
            return Err(Escape::Fail(libc::EOPNOTSUPP));
        }
        let (from, at) = (vectors(from, n)?, start(at)?);
        let append = match (flags & libc::RWF_APPEND != 0, flags & RWF_NOAPPEND != 0) {
            (true, true) => return fail(libc::EINVAL),
            (false, false) => fs.open_flags(id) & libc::O_APPEND != 0,
            (append, _) => append,
        };
        let written = transfer::write_placed(fs, id, from, at, append)?;
        if flags & durable != 0 {
            transfer::sync(fs, id)?;
        }
        Ok(count(written))
    }
}
