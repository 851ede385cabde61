//! Watching by inotify; and calls about paths that FLAC has no answer to, refused where the path is FLAC's, so that nobody waits for what never comes.

use super::refuse;
use crate::abi::{CPath, fail};
use crate::boundary::{self, Answer, Escape, checked};
use crate::paths::{self, Walked};
use crate::{creds, fds};
use flac::fs::names::{Last, Resolved};
use libc::{AT_FDCWD, c_int, c_uint, c_void};
use std::ffi::CString;

/// Refuses if the path is FLAC's.
fn refused(what: &str, errno: c_int, dirfd: c_int, path: CPath, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    match paths::walk(dirfd, path, Last::Follow)? {
        Walked::Kernel(path) => checked(theirs(CPath::of(&path))),
        Walked::Flac(..) => refuse(what, errno),
    }
}

hook! {
    /// `inotify_add_watch(2)`: what is watched is the inode's shadow, to which every process does what it does to the inode.
    fn inotify_add_watch(fd: c_int, path: CPath, mask: u32) -> c_int, real(theirs) {
        let last = if mask & libc::IN_DONT_FOLLOW != 0 { Last::Keep } else { Last::Follow };
        match paths::walk(AT_FDCWD, path, last)? {
            Walked::Kernel(path) => checked(theirs(fd, CPath::of(&path), mask)),
            Walked::Flac(fs, Resolved::Found { ino, kind, slash, .. }) => {
                if kind != libc::S_IFDIR && (mask & libc::IN_ONLYDIR != 0 || slash) {
                    return fail(libc::ENOTDIR);
                }
                fs.access(ino, libc::R_OK, &creds::now().creds())?;
                let shadow = fds::noting_own(|| fs.watch(ino))?;
                let shadow = CString::new(shadow.into_os_string().into_encoded_bytes()).map_err(|_| Escape::Fail(libc::ENOENT))?;
                checked(theirs(fd, CPath::of(&shadow), mask & !libc::IN_DONT_FOLLOW))
            }
            Walked::Flac(..) => fail(libc::ENOENT),
        }
    }
}

hook! {
    /// `fanotify_mark(2)`: the kernel asks for the files themselves, which only FLAC has.
    fn fanotify_mark(fd: c_int, flags: c_uint, mask: u64, dirfd: c_int, path: CPath) -> c_int, real(theirs) {
        refused("fanotify_mark on a FLAC path", libc::ENOSYS, dirfd, path, |path| theirs(fd, flags, mask, AT_FDCWD, path))
    }
}

/// After the kernel has refused to wait for `fd` as for a regular file: whether it is to be asked again; `EBADF` for what was opened as a path.
fn may_wait(fd: c_int) -> Answer<bool> {
    match fds::open_file(fd) {
        Ok((fs, id)) if fs.open_flags(id) & libc::O_PATH != 0 => fail(libc::EBADF),
        Ok(_) => Ok(false),
        Err(Escape::NotOurs) => Ok(crate::mounts::let_wait(fd)),
        Err(e) => Err(e),
    }
}

export! {
    /// `epoll_ctl(2)`: the kernel refuses our stubs as it does regular files.
    fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut c_void) -> c_int, real(theirs) {
        let before = boundary::errno();
        let done = theirs(epoll, operation, fd, event);
        if done == 0 || boundary::errno() != libc::EPERM {
            return done;
        }
        let guard = boundary::Inside::enter();
        let answer = may_wait(fd);
        drop(guard);
        boundary::set_errno(match answer {
            Ok(true) => before,
            Err(Escape::Fail(errno)) => errno,
            _ => libc::EPERM,
        });
        if answer == Ok(true) { theirs(epoll, operation, fd, event) } else { -1 }
    }
}
