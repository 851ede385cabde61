//! open, openat, creat, openat2 and their variants.

use crate::abi::CPath;
use crate::boundary::{self, Answer, may_cancel};
use crate::{fds, files};
use libc::{AT_FDCWD, O_CREAT, O_TMPFILE, c_int, mode_t};

/// The kernel's result, remembered as such.
fn made(fd: c_int) -> c_int {
    fds::note_kernel(fd);
    fd
}

fn open_at(dirfd: c_int, path: CPath, flags: c_int, mode: mode_t, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    if flags & O_CREAT == 0 && flags & O_TMPFILE != O_TMPFILE {
        boundary::kernel_first();
    }
    files::open_or_wait(dirfd, path, flags, mode, theirs)
}

hook! {
    /// `open(2)`; `mode` is read only with O_CREAT or O_TMPFILE.
    fn open(path: CPath, flags: c_int, mode: mode_t) -> c_int, also(open64, __open, __open64), map(made), lands(fds::was_covered), cancels(may_cancel), real(theirs) {
        open_at(AT_FDCWD, path, flags, mode, |path| theirs(path, flags, mode))
    }
}

hook! {
    /// `openat(2)`.
    fn openat(dirfd: c_int, path: CPath, flags: c_int, mode: mode_t) -> c_int, also(openat64), map(made), lands(fds::was_covered), cancels(may_cancel), real(theirs) {
        open_at(dirfd, path, flags, mode, |path| theirs(AT_FDCWD, path, flags, mode))
    }
}

hook! {
    /// `creat(2)`.
    fn creat(path: CPath, mode: mode_t) -> c_int, also(creat64), map(made), lands(fds::was_covered), cancels(may_cancel), real(theirs) {
        open_at(AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode, |path| theirs(path, mode))
    }
}

hook! {
    /// `open` as compiled with `_FORTIFY_SOURCE`.
    fn __open_2(path: CPath, flags: c_int) -> c_int, also(__open64_2), map(made), lands(fds::was_covered), cancels(may_cancel), real(theirs) {
        open_at(AT_FDCWD, path, flags, 0, |path| theirs(path, flags))
    }
}

hook! {
    /// `openat` as compiled with `_FORTIFY_SOURCE`.
    fn __openat_2(dirfd: c_int, path: CPath, flags: c_int) -> c_int, also(__openat64_2), map(made), lands(fds::was_covered), cancels(may_cancel), real(theirs) {
        open_at(dirfd, path, flags, 0, |path| theirs(AT_FDCWD, path, flags))
    }
}
