//! Descriptors as such: dup, fcntl, locks, and their way through sockets. `poll`, `select`, `isatty` and `ttyname` are the kernel's: it answers for a stub what it
//! would for the file itself (always ready, no terminal), and `epoll_ctl` (in `watch`) refuses both with `EPERM`.

mod locks;
mod passing;

use crate::abi::{In, Out, fail};
use crate::boundary::{Answer, Escape, checked};
use crate::stdio::{reopen, standard};
use crate::{creds, fds, log};
use flac::Fs;
use flac::fs::open::OpenId;
use libc::{c_int, c_long, c_uint, c_ulong, c_void};

/// After something new is at number `fd` that the program chose: streams on that number follow.
fn moved(fd: c_int) {
    standard::descriptor_changed(fd);
    reopen::follow(fd);
}

hook! {
    /// `dup(2)`.
    fn dup(fd: c_int) -> c_int, when(fds::maybe(fd) || fds::is_own(fd)), real(theirs) {
        if fds::is_own(fd) {
            return fail(libc::EBADF);
        }
        duplicate(fd, || theirs(fd))
    }
}

/// Duplicates by `theirs` to a number that the kernel chooses.
fn duplicate(fd: c_int, theirs: impl FnOnce() -> c_int) -> Answer<c_int> {
    fds::open_file(fd)?;
    let to = checked(theirs())?;
    if let Err(e) = fds::duplicated(fd, to) {
        // The program is not told of it.
        let _ = fds::close(to);
        return Err(e);
    }
    Ok(to)
}

/// Whether `dup2(from, to)` may have anything to do with FLAC, or with the standard streams.
fn concerns(from: c_int, to: c_int) -> bool {
    crate::config::on() && (to <= 2 || fds::maybe(from) || fds::maybe(to) || fds::is_own(from) || fds::is_own(to))
}

/// Duplicates by `theirs` to the number `to`.
fn duplicate_to(from: c_int, to: c_int, theirs: impl FnOnce() -> c_int) -> Answer<c_int> {
    if fds::is_own(from) {
        return fail(libc::EBADF);
    }
    if from == to || to < 0 {
        return Err(Escape::NotOurs);
    }
    // What this process inherited must be held before a number of it is taken away.
    match fds::open_file(from) {
        // As beyond the limit on open files: what is open there stays.
        Ok(_) if fds::is_beyond(to) => return fail(libc::EBADF),
        Ok(_) | Err(Escape::NotOurs) => {}
        Err(e) => return Err(e),
    }
    fds::make_way(to);
    let made = checked(theirs())?;
    fds::duplicated(from, to)?;
    moved(to);
    Ok(made)
}

hook! {
    /// `dup2(2)`.
    fn dup2(from: c_int, to: c_int) -> c_int, also(__dup2), when(concerns(from, to)), real(theirs) {
        duplicate_to(from, to, || theirs(from, to))
    }
}

hook! {
    /// `dup3(2)`.
    fn dup3(from: c_int, to: c_int, flags: c_int) -> c_int, when(concerns(from, to)), real(theirs) {
        duplicate_to(from, to, || theirs(from, to, flags))
    }
}

hook! {
    /// `fcntl(2)`. The third argument is a number or a pointer, as the command says.
    fn fcntl(fd: c_int, command: c_int, argument: c_ulong) -> c_int,
    also(fcntl64, __fcntl), when(cancels_waits(command) && (fds::maybe(fd) || fds::is_own(fd))), real(theirs) {
        if fds::is_own(fd) {
            return fail(libc::EBADF);
        }
        control(fd, command, argument, || theirs(fd, command, argument))
    }
}

/// A command that waits for a lock is a cancellation point of threads. Always true.
fn cancels_waits(command: c_int) -> bool {
    if matches!(command, libc::F_SETLKW | libc::F_OFD_SETLKW) && crate::config::on() {
        crate::boundary::may_cancel();
    }
    true
}

/// Hints on how long what is written will live, which mean nothing here but are kept; `F_GET_FILE_RW_HINT` and `F_SET_FILE_RW_HINT`, which the kernel does not know any more.
const F_GET_RW_HINT: c_int = 1035;
const F_SET_RW_HINT: c_int = 1036;
const OLD_RW_HINTS: std::ops::RangeInclusive<c_int> = 1037..=1038;

/// Commands of which libc's crate knows nothing.
const F_SETSIG: c_int = 10;
const F_GETSIG: c_int = 11;
const F_SETOWN_EX: c_int = 15;
const F_GETOWN_EX: c_int = 16;
const DN_MULTISHOT: c_ulong = 0x8000_0000;

/// `F_DUPFD_QUERY` and `F_CREATED_QUERY`, which libc does not know.
const F_DUPFD_QUERY: c_int = 1027;
const F_CREATED_QUERY: c_int = 1028;

/// `O_LARGEFILE` as the kernel has it; to 64-bit programs libc's is 0.
pub const LARGE_FILE: c_int = if cfg!(target_arch = "aarch64") { 0o400_000 } else { 0o100_000 };

fn is_dir(fs: &Fs, id: OpenId) -> Answer<bool> {
    Ok(fs.attr(fs.open_ino(id))?.is_dir())
}

fn control(fd: c_int, command: c_int, argument: c_ulong, theirs: impl FnOnce() -> c_int) -> Answer<c_int> {
    let (fs, id) = fds::open_file(fd)?;
    let of_any = matches!(
        command,
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC | libc::F_GETFD | libc::F_SETFD | libc::F_GETFL | F_DUPFD_QUERY | F_CREATED_QUERY
    );
    if !of_any && fs.open_flags(id) & libc::O_PATH != 0 {
        return fail(libc::EBADF);
    }
    match command {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => duplicate(fd, theirs),
        libc::F_GETFL => {
            let flags = fs.open_flags(id);
            // The kernel adds this to what 64-bit programs open.
            Ok(if flags & libc::O_PATH == 0 { flags | LARGE_FILE } else { flags })
        }
        F_CREATED_QUERY => Ok(c_int::from(fs.has_created(id))),
        // Descriptors of different open files may be duplicates of one stub.
        F_DUPFD_QUERY => {
            let other = argument as c_int;
            rustix::io::fcntl_getfd(fds::borrow(other)?)?;
            Ok(c_int::from(fds::open_file(other).is_ok_and(|(_, other)| other == id)))
        }
        libc::F_SETFL => {
            let asks = argument as c_int & !fs.open_flags(id);
            if asks & libc::O_NOATIME != 0 && !fs.attr(fs.open_ino(id))?.owned_by(&creds::now().creds()) {
                return fail(libc::EPERM);
            }
            if argument as c_int & libc::O_DIRECT != 0 && is_dir(fs, id)? {
                return fail(libc::EINVAL);
            }
            fs.set_open_flags(id, argument as c_int);
            Ok(0)
        }
        libc::F_GETLK | libc::F_SETLK | libc::F_SETLKW => locks::posix(fd, command, argument),
        libc::F_OFD_GETLK | libc::F_OFD_SETLK | libc::F_OFD_SETLKW => locks::of_open_file(fd, command, argument),
        libc::F_GETLEASE => Ok(libc::F_UNLCK),
        libc::F_SETLEASE => match (argument as c_int, is_dir(fs, id)?) {
            // As if somebody else had it open.
            (libc::F_RDLCK | libc::F_WRLCK, false) | (libc::F_UNLCK, _) => fail(libc::EAGAIN),
            _ => fail(libc::EINVAL),
        },
        // To be told of nothing is granted to all.
        libc::F_NOTIFY if argument & !DN_MULTISHOT == 0 => Ok(0),
        libc::F_NOTIFY if !is_dir(fs, id)? => fail(libc::ENOTDIR),
        // A file of a tmpfs that is no memory file can't be sealed, and says so.
        libc::F_GET_SEALS if !is_dir(fs, id)? => Ok(libc::F_SEAL_SEAL),
        libc::F_ADD_SEALS => fail(libc::EPERM),
        libc::F_NOTIFY | libc::F_GET_SEALS => {
            crate::stats::add(crate::stats::Counter::Refused, 1);
            log::warn(format_args!("fcntl command {command} is refused on a FLAC file"));
            fail(libc::EINVAL)
        }
        F_GET_RW_HINT => Out::<u64>::at(argument as *mut c_void).put(fs.life_hint(id)).map(|()| 0),
        F_SET_RW_HINT => {
            let hint = In::<u64>::at(argument as *const c_void).needed()?;
            if !fs.attr(fs.open_ino(id))?.owned_by(&creds::now().creds()) {
                return fail(libc::EPERM);
            }
            Ok(fs.set_life_hint(id, hint).map(|()| 0)?)
        }
        command if OLD_RW_HINTS.contains(&command) => fail(libc::EINVAL),
        // Whom the kernel tells of what happens to an open file: it keeps that for the stub, which must be this file's alone.
        libc::F_SETOWN | libc::F_GETOWN | F_SETOWN_EX | F_GETOWN_EX | F_SETSIG | F_GETSIG => {
            fds::give_own_stub(fd)?;
            Err(Escape::NotOurs)
        }
        // The descriptor's own flags, pipes: the kernel's answer for the stub is right.
        _ => Err(Escape::NotOurs),
    }
}

hook! {
    /// `pidfd_getfd(2)`: of FLAC's descriptors most say what they are only with what their process has noted.
    fn pidfd_getfd(process: c_int, number: c_int, flags: c_uint) -> c_int, real(theirs) {
        let fd = checked(theirs(process, number, flags))?;
        if let Err(e) = fds::fetched(fd, process, number) {
            let _ = fds::close(fd);
            return Err(e);
        }
        Ok(fd)
    }
}

/// `kcmp` by number, which libc has no function for: of two descriptors of this process the kernel is to see whether they are one open file.
pub fn by_number(n: c_long, words: &[usize; 6]) -> Option<c_long> {
    const KCMP_FILE: c_int = 0;
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let [first, second, kind] = [words[0] as c_int, words[1] as c_int, words[2] as c_int];
    if n == libc::SYS_kcmp && kind == KCMP_FILE && (first, second) == (own, own) {
        let _guard = crate::boundary::Inside::enter();
        for fd in [words[3] as c_int, words[4] as c_int].into_iter().filter(|fd| fds::is_flac(*fd)) {
            let _ = fds::give_own_stub(fd);
        }
    }
    None
}
