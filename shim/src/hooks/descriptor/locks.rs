//! flock, lockf, and the locks of fcntl.

use crate::abi::{Out, fail};
use crate::boundary::{Answer, Escape, Wait};
use crate::{fds, signals, uses};
use libc::{c_int, c_short, c_ulong, flock as Range, off_t};

/// The lock that a command of fcntl points at.
fn range_at(argument: c_ulong) -> Answer<(Out<Range>, Range)> {
    #[allow(unsafe_code, reason = "fcntl's third argument is a pointer with these commands")]
    // SAFETY: an address from the program as the pointer it is; `Out` has a pointer's layout and looks for null.
    let place = unsafe { std::mem::transmute::<usize, Out<Range>>(argument as usize) };
    Ok((place, place.needed()?))
}

/// Takes a lock, going on after signals whose handlers were installed with `SA_RESTART`; leaves our code from time to time: a thread may be cancelled while it waits.
fn waiting(mut lock: impl FnMut() -> flac::Result<()>) -> Answer<()> {
    uses::end();
    loop {
        match lock() {
            Err(flac::Error::Os(libc::EINTR)) if !signals::is_waiting() => return Err(Escape::Outside(Wait::Again)),
            Err(flac::Error::Os(libc::EINTR)) if signals::restarts() => {}
            result => return Ok(result?),
        }
    }
}

/// `F_GETLK`, `F_SETLK`, `F_SETLKW`.
pub fn posix(fd: c_int, command: c_int, argument: c_ulong) -> Answer<c_int> {
    let (fs, id) = fds::open_file(fd)?;
    let (place, mut range) = range_at(argument)?;
    waiting(|| fs.lock_posix(id, command, &mut range))?;
    if command == libc::F_GETLK {
        place.put(range)?;
    }
    Ok(0)
}

/// `F_OFD_GETLK`, `F_OFD_SETLK`, `F_OFD_SETLKW`.
pub fn of_open_file(fd: c_int, command: c_int, argument: c_ulong) -> Answer<c_int> {
    let (fs, id) = fds::open_file(fd)?;
    let (place, mut range) = range_at(argument)?;
    waiting(|| fs.lock_ofd(id, command, &mut range))?;
    if command == libc::F_OFD_GETLK {
        place.put(range)?;
    }
    Ok(0)
}

hook! {
    /// `flock(2)`.
    fn flock(fd: c_int, operation: c_int) -> c_int, when(fds::maybe(fd)) {
        /// The mandatory locks of old, of which the kernel makes nothing.
        const LOCK_MAND: c_int = 32;
        let (fs, id) = fds::open_file(fd)?;
        if operation & LOCK_MAND != 0 {
            return Ok(0);
        }
        // No cancellation point.
        loop {
            match waiting(|| fs.flock(id, operation)) {
                Err(Escape::Outside(Wait::Again)) => {}
                result => return result.map(|()| 0),
            }
        }
    }
}

hook! {
    /// `lockf(3)`: POSIX locks from the file's offset on.
    fn lockf(fd: c_int, command: c_int, len: off_t) -> c_int, also(lockf64), when(fds::maybe(fd)) {
        let (fs, id) = fds::open_file(fd)?;
        let lock = |kind: c_int| Range {
            l_type: kind as c_short,
            l_whence: libc::SEEK_CUR as c_short,
            l_start: 0,
            l_len: len,
            l_pid: 0,
        };
        let (command, mut range) = match command {
            libc::F_LOCK => (libc::F_SETLKW, lock(libc::F_WRLCK)),
            libc::F_TLOCK => (libc::F_SETLK, lock(libc::F_WRLCK)),
            libc::F_ULOCK => (libc::F_SETLK, lock(libc::F_UNLCK)),
            libc::F_TEST => (libc::F_GETLK, lock(libc::F_RDLCK)),
            _ => return fail(libc::EINVAL),
        };
        waiting(|| fs.lock_posix(id, command, &mut range))?;
        if command == libc::F_GETLK && range.l_type != libc::F_UNLCK as c_short {
            return fail(libc::EACCES);
        }
        Ok(0)
    }
}
