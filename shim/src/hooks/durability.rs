//! fsync and its kin.

use crate::abi::fail;
use crate::boundary::{Answer, Escape, checked, may_cancel};
use crate::{fds, space, transfer};
use libc::{c_int, c_uint, c_void, off_t, size_t};

fn sync_file(fd: c_int) -> Answer<c_int> {
    let (fs, id) = fds::open_file(fd)?;
    if fs.open_flags(id) & libc::O_PATH != 0 {
        return fail(libc::EBADF);
    }
    transfer::sync(fs, id)?;
    Ok(0)
}

hook! {
    /// `fsync(2)`.
    fn fsync(fd: c_int) -> c_int, when(fds::maybe(fd)), cancels(may_cancel) {
        sync_file(fd)
    }
}

hook! {
    /// `fdatasync(2)`: data and attributes are one record, so it is `fsync`.
    fn fdatasync(fd: c_int) -> c_int, when(fds::maybe(fd)), cancels(may_cancel) {
        sync_file(fd)
    }
}

hook! {
    /// `sync(2)`: FLAC, then the kernel. A process that has not used FLAC has nothing there to make durable but what others may have.
    fn sync() -> () {
        if let Some(fs) = space::used() {
            fs.sync_all()?;
        }
        Err(Escape::NotOurs)
    }
}

hook! {
    /// `syncfs(2)`.
    fn syncfs(fd: c_int) -> c_int, when(fds::maybe(fd)) {
        let (fs, id) = fds::open_file(fd)?;
        if fs.open_flags(id) & libc::O_PATH != 0 {
            return fail(libc::EBADF);
        }
        fs.sync_all()?;
        Ok(0)
    }
}

hook! {
    /// `sync_file_range(2)`: with `SYNC_FILE_RANGE_WAIT_AFTER` the whole file is made durable, else nothing: write-back has no order that could be begun early.
    fn sync_file_range(fd: c_int, at: off_t, n: off_t, flags: c_uint) -> c_int, when(fds::maybe(fd)), cancels(may_cancel) {
        let (fs, id) = fds::open_file(fd)?;
        if fs.open_flags(id) & libc::O_PATH != 0 {
            return fail(libc::EBADF);
        }
        let known = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        if flags & !known != 0 || at < 0 || n < 0 {
            return fail(libc::EINVAL);
        }
        if flags & libc::SYNC_FILE_RANGE_WAIT_AFTER != 0 { sync_file(fd) } else { Ok(0) }
    }
}

hook! {
    /// `msync(2)`: shared mappings of FLAC files in the range are made durable with `MS_SYNC`, and with `MS_ASYNC` their files' times say what was stored; the rest is the kernel's.
    fn msync(at: *mut c_void, n: size_t, flags: c_int) -> c_int, when(space::opened().is_some() && flags & (libc::MS_SYNC | libc::MS_ASYNC) != 0), cancels(may_cancel), real(theirs) {
        // It knows what is mapped and which flags go together.
        checked(theirs(at, n, flags))?;
        match space::opened() {
            Some(fs) if flags & libc::MS_SYNC != 0 => drop(fs.sync_mapped(at.addr(), n)?),
            Some(fs) => fs.note_stores(at.addr(), n),
            None => {}
        }
        Ok(0)
    }
}
