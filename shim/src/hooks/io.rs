//! read, write and their kin.

use crate::abi::{In, InBytes, OutBytes, count, fail, offset};
use crate::boundary::{Answer, may_cancel};
use crate::vectors::Vectors;
use crate::{fds, pipes, quick, space, transfer};
use libc::{c_int, iovec, off_t, size_t, ssize_t};

hook! {
    /// `read(2)`.
    fn read(fd: c_int, to: OutBytes, n: size_t) -> ssize_t, also(__read), when(fds::maybe(fd) || space::is_lazy()), cancels(may_cancel),
    quick(quick::read(fd, &to.vec(n), None)) {
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
    fn pread(fd: c_int, to: OutBytes, n: size_t, at: off_t) -> ssize_t, also(pread64, __pread64), when(fds::maybe(fd) || space::is_lazy()), cancels(may_cancel),
    quick(quick::read(fd, &to.vec(n), Some(at))) {
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
    fn write(fd: c_int, from: InBytes, n: size_t) -> ssize_t, also(__write), when(fds::maybe(fd) || space::is_lazy() || pipes::maybe(from, n)),
    through(pipes::write), cancels(may_cancel), quick(quick::write(fd, &from.vec(n), None)) {
        let (fs, id) = transfer::file(fd, &from.vec(n))?;
        transfer::write(fs, id, &[from.vec(n)], None).map(count)
    }
}

hook! {
    /// `pwrite(2)`.
    fn pwrite(fd: c_int, from: InBytes, n: size_t, at: off_t) -> ssize_t, also(pwrite64, __pwrite64), when(fds::maybe(fd) || space::is_lazy()), cancels(may_cancel),
    quick(quick::write(fd, &from.vec(n), Some(at))) {
        let (fs, id) = transfer::file(fd, &from.vec(n))?;
        transfer::write(fs, id, &[from.vec(n)], Some(offset(at)?)).map(count)
    }
}

/// Reads into the vectors, in the kernel's order of refusals: the descriptor, the vectors, what the flags ask, then the file. Of no bytes nothing more is asked.
fn read_vectors(fd: c_int, to: In<iovec>, n: c_int, at: Option<u64>, flags: c_int) -> Answer<ssize_t> {
    let (fs, id) = fds::open_file(fd)?;
    transfer::check(fs, id, false)?;
    let to = Vectors::take(to, n)?;
    if to.is_nothing() {
        return Ok(0);
    }
    check_flags(flags)?;
    transfer::read(fs, id, &to, at).map(count)
}

/// As [`read_vectors`].
fn write_vectors(fd: c_int, from: In<iovec>, n: c_int, at: Option<u64>, flags: c_int) -> Answer<ssize_t> {
    let (fs, id) = fds::open_file(fd)?;
    transfer::check(fs, id, true)?;
    let from = Vectors::take(from, n)?;
    if from.is_nothing() {
        return Ok(0);
    }
    check_flags(flags)?;
    let append = match (flags & libc::RWF_APPEND != 0, flags & RWF_NOAPPEND != 0) {
        (false, false) => fs.open_flags(id) & libc::O_APPEND != 0,
        (append, _) => append,
    };
    let written = transfer::write_placed(fs, id, &from, at, append)?;
    if flags & (libc::RWF_DSYNC | libc::RWF_SYNC) != 0 {
        transfer::sync(fs, id)?;
    }
    Ok(count(written))
}

hook! {
    /// `readv(2)`.
    fn readv(fd: c_int, to: In<iovec>, n: c_int) -> ssize_t, when(fds::maybe(fd)), cancels(may_cancel) {
        read_vectors(fd, to, n, None, 0)
    }
}

hook! {
    /// `writev(2)`.
    fn writev(fd: c_int, from: In<iovec>, n: c_int) -> ssize_t, when(fds::maybe(fd)), cancels(may_cancel) {
        write_vectors(fd, from, n, None, 0)
    }
}

hook! {
    /// `preadv(2)`.
    fn preadv(fd: c_int, to: In<iovec>, n: c_int, at: off_t) -> ssize_t, also(preadv64), when(fds::maybe(fd)), cancels(may_cancel) {
        fds::open_file(fd)?;
        read_vectors(fd, to, n, Some(offset(at)?), 0)
    }
}

hook! {
    /// `pwritev(2)`.
    fn pwritev(fd: c_int, from: In<iovec>, n: c_int, at: off_t) -> ssize_t, also(pwritev64), when(fds::maybe(fd)), cancels(may_cancel) {
        fds::open_file(fd)?;
        write_vectors(fd, from, n, Some(offset(at)?), 0)
    }
}

/// Where a call of the `v2` kind begins: -1 is the file's offset.
fn start(at: off_t) -> Answer<Option<u64>> {
    if at == -1 { Ok(None) } else { offset(at).map(Some) }
}

/// `RWF_NOAPPEND` and `RWF_NOSIGNAL`, which libc does not know.
const RWF_NOAPPEND: c_int = 0x20;
const RWF_NOSIGNAL: c_int = 0x100;

/// What may be asked; of a read all about writing means nothing. `RWF_NOWAIT` is refused, as by tmpfs and by every file system without it.
const KNOWN_FLAGS: c_int = libc::RWF_HIPRI | libc::RWF_DSYNC | libc::RWF_SYNC | libc::RWF_APPEND | RWF_NOAPPEND | RWF_NOSIGNAL;

fn check_flags(flags: c_int) -> Answer<()> {
    const CONTRARY: c_int = libc::RWF_APPEND | RWF_NOAPPEND;
    match flags {
        _ if flags & !KNOWN_FLAGS != 0 => fail(libc::EOPNOTSUPP),
        _ if flags & CONTRARY == CONTRARY => fail(libc::EINVAL),
        _ => Ok(()),
    }
}

hook! {
    /// `preadv2(2)`.
    fn preadv2(fd: c_int, to: In<iovec>, n: c_int, at: off_t, flags: c_int) -> ssize_t, also(preadv64v2), when(fds::maybe(fd)), cancels(may_cancel) {
        fds::open_file(fd)?;
        read_vectors(fd, to, n, start(at)?, flags)
    }
}

hook! {
    /// `pwritev2(2)`. `RWF_DSYNC` and `RWF_SYNC` make durable; `RWF_APPEND` and `RWF_NOAPPEND` go before what the open file does.
    fn pwritev2(fd: c_int, from: In<iovec>, n: c_int, at: off_t, flags: c_int) -> ssize_t, also(pwritev64v2), when(fds::maybe(fd)), cancels(may_cancel) {
        fds::open_file(fd)?;
        write_vectors(fd, from, n, start(at)?, flags)
    }
}
