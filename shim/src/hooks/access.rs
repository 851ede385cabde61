//! access, chmod, chown, umask, and the identities that permissions are checked against.

use crate::abi::{CPath, fail};
use crate::boundary::{self, Answer, Escape, checked};
use crate::paths::{self, Walked};
use crate::{creds, cwd, fds, space};
use flac::Fs;
use flac::fs::attr::SetAttr;
use flac::fs::names::{Last, Resolved};
use flac::units::Ino;
use libc::{AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, c_int, gid_t, mode_t, size_t, uid_t};
use std::ffi::CString;

/// An existing inode that a call names.
pub enum Named {
    /// FLAC's, and the type bits of its mode.
    Flac(&'static Fs, Ino, u32),
    /// The kernel's, by this path.
    Kernel(CString),
}

/// The existing inode at a path, with `AT_SYMLINK_NOFOLLOW` and `AT_EMPTY_PATH` as in `flags`; `ENOENT`.
pub fn named(dirfd: c_int, path: CPath, flags: c_int) -> Answer<Named> {
    let last = if flags & AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
    if flags & AT_EMPTY_PATH != 0 && path.is_null_or_empty() {
        let (fs, ino) = if dirfd == AT_FDCWD { cwd::inode()? } else { fds::inode(dirfd)? };
        return Ok(Named::Flac(fs, ino, fs.attr(ino)?.mode & libc::S_IFMT));
    }
    match paths::walk(dirfd, path, last)? {
        Walked::Kernel(path) => Ok(Named::Kernel(path)),
        Walked::Flac(_, Resolved::Found { kind, slash: true, .. }) if kind != libc::S_IFDIR => fail(libc::ENOTDIR),
        Walked::Flac(fs, Resolved::Found { ino, kind, .. }) => Ok(Named::Flac(fs, ino, kind)),
        Walked::Flac(..) => fail(libc::ENOENT),
    }
}

/// The inode behind a descriptor that may be changed through: not opened with `O_PATH` (`EBADF`).
pub fn changeable(fd: c_int) -> Answer<(&'static Fs, Ino)> {
    let (fs, id) = fds::open_file(fd)?;
    if fs.open_flags(id) & libc::O_PATH != 0 {
        return fail(libc::EBADF);
    }
    Ok((fs, fs.open_ino(id)))
}

fn check(dirfd: c_int, path: CPath, want: c_int, flags: c_int, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    if want == libc::F_OK {
        boundary::kernel_first();
    }
    // Refused before the path is looked at.
    let known = AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
    if want & !(libc::R_OK | libc::W_OK | libc::X_OK) != 0 || flags & !known != 0 {
        return fail(libc::EINVAL);
    }
    match named(dirfd, path, flags)? {
        Named::Kernel(path) => checked(theirs(CPath::of(&path))),
        Named::Flac(fs, ino, _) => {
            let who = creds::now();
            fs.access(ino, want, &if flags & AT_EACCESS != 0 { who.creds() } else { who.real() })?;
            Ok(0)
        }
    }
}

hook! {
    /// `access(2)`, with real ids.
    fn access(path: CPath, want: c_int) -> c_int, real(theirs) {
        check(AT_FDCWD, path, want, 0, |path| theirs(path, want))
    }
}

hook! {
    /// `euidaccess(3)`, with effective ids.
    fn euidaccess(path: CPath, want: c_int) -> c_int, also(eaccess), real(theirs) {
        check(AT_FDCWD, path, want, AT_EACCESS, |path| theirs(path, want))
    }
}

hook! {
    /// `faccessat(2)`.
    fn faccessat(dirfd: c_int, path: CPath, want: c_int, flags: c_int) -> c_int, real(theirs) {
        check(dirfd, path, want, flags, |path| theirs(AT_FDCWD, path, want, flags))
    }
}

fn change_mode(fs: &Fs, ino: Ino, mode: mode_t) -> Answer<c_int> {
    let change = SetAttr { mode: Some(mode & 0o7777), ..SetAttr::default() };
    fs.set_attr(ino, &change, &creds::now().creds())?;
    Ok(0)
}

fn chmod_at(dirfd: c_int, path: CPath, mode: mode_t, flags: c_int, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Escape::NotOurs);
    }
    match named(dirfd, path, flags)? {
        Named::Kernel(path) => checked(theirs(CPath::of(&path))),
        Named::Flac(_, _, libc::S_IFLNK) => fail(libc::EOPNOTSUPP),
        Named::Flac(fs, ino, _) => change_mode(fs, ino, mode),
    }
}

hook! {
    /// `chmod(2)`.
    fn chmod(path: CPath, mode: mode_t) -> c_int, real(theirs) {
        chmod_at(AT_FDCWD, path, mode, 0, |path| theirs(path, mode))
    }
}

hook! {
    /// `lchmod(3)`: a link has no mode of its own.
    fn lchmod(path: CPath, mode: mode_t) -> c_int, real(theirs) {
        chmod_at(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW, |path| theirs(path, mode))
    }
}

hook! {
    /// `fchmodat(3)`.
    fn fchmodat(dirfd: c_int, path: CPath, mode: mode_t, flags: c_int) -> c_int, real(theirs) {
        chmod_at(dirfd, path, mode, flags, |path| theirs(AT_FDCWD, path, mode, flags))
    }
}

hook! {
    /// `fchmod(2)`.
    fn fchmod(fd: c_int, mode: mode_t) -> c_int, when(fds::maybe(fd)) {
        let (fs, ino) = changeable(fd)?;
        change_mode(fs, ino, mode)
    }
}

fn change_owner(fs: &Fs, ino: Ino, uid: uid_t, gid: gid_t) -> Answer<c_int> {
    let id = |id: u32| (id != u32::MAX).then_some(id);
    fs.chown(ino, id(uid), id(gid), &creds::now().creds())?;
    Ok(0)
}

fn chown_at(dirfd: c_int, path: CPath, ids: (uid_t, gid_t), flags: c_int, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Escape::NotOurs);
    }
    match named(dirfd, path, flags)? {
        Named::Kernel(path) => checked(theirs(CPath::of(&path))),
        Named::Flac(fs, ino, _) => change_owner(fs, ino, ids.0, ids.1),
    }
}

hook! {
    /// `chown(2)`.
    fn chown(path: CPath, uid: uid_t, gid: gid_t) -> c_int, real(theirs) {
        chown_at(AT_FDCWD, path, (uid, gid), 0, |path| theirs(path, uid, gid))
    }
}

hook! {
    /// `lchown(2)`.
    fn lchown(path: CPath, uid: uid_t, gid: gid_t) -> c_int, real(theirs) {
        chown_at(AT_FDCWD, path, (uid, gid), AT_SYMLINK_NOFOLLOW, |path| theirs(path, uid, gid))
    }
}

hook! {
    /// `fchownat(2)`.
    fn fchownat(dirfd: c_int, path: CPath, uid: uid_t, gid: gid_t, flags: c_int) -> c_int, real(theirs) {
        chown_at(dirfd, path, (uid, gid), flags, |path| theirs(AT_FDCWD, path, uid, gid, flags))
    }
}

hook! {
    /// `fchown(2)`.
    fn fchown(fd: c_int, uid: uid_t, gid: gid_t) -> c_int, when(fds::maybe(fd)) {
        let (fs, ino) = changeable(fd)?;
        change_owner(fs, ino, uid, gid)
    }
}

hook! {
    /// `umask(2)`: the kernel's is set, too; ours is a copy of it.
    fn umask(mask: mode_t) -> mode_t, real(theirs) {
        let old = theirs(mask);
        creds::set_umask(mask);
        Ok(old)
    }
}

/// An identity is about to change: what a fork or an exec has left to be opened is opened while the pool may be.
pub fn changing() {
    if let Some(fs) = space::used() {
        fds::noting_own(|| fs.reopen());
    }
}

/// Libc's call that changes an identity has returned.
fn changed(result: c_int) -> c_int {
    creds::changed();
    result
}

/// As [`changed`], of this thread.
fn changed_apart(result: c_int) -> c_int {
    creds::changed_apart();
    result
}

macro_rules! identity {
    ($after:ident: $($name:ident($($arg:ident: $ty:ty),*);)+) => {$(
        hook! {
            /// Changes who this process is; FLAC asks again.
            fn $name($($arg: $ty),*) -> c_int, map($after) {
                changing();
                Err(Escape::NotOurs)
            }
        }
    )+};
}

identity! {
    changed:
    setuid(uid: uid_t);
    setgid(gid: gid_t);
    seteuid(uid: uid_t);
    setegid(gid: gid_t);
    setreuid(real: uid_t, effective: uid_t);
    setregid(real: gid_t, effective: gid_t);
    setresuid(real: uid_t, effective: uid_t, saved: uid_t);
    setresgid(real: gid_t, effective: gid_t, saved: gid_t);
    setgroups(n: size_t, groups: crate::abi::In<gid_t>);
    initgroups(user: CPath, group: gid_t);
}

identity! {
    changed_apart:
    setfsuid(uid: uid_t);
    setfsgid(gid: gid_t);
}

/// Libc's call that changes limits has returned.
fn limited(result: c_int) -> c_int {
    crate::limits::changed();
    result
}

/// Libc's call is about to change a limit of this process.
fn limiting(which: c_int, limit: crate::abi::In<libc::rlimit>) {
    if which.cast_unsigned() == libc::RLIMIT_NOFILE
        && let Ok(Some(limit)) = limit.get()
    {
        crate::limits::lowering_open_files(limit.rlim_cur);
    }
}

hook! {
    /// `setrlimit(2)`: `RLIMIT_FSIZE` is FLAC's to heed; before `RLIMIT_NOFILE` is lowered FLAC opens what it needs.
    fn setrlimit(which: c_int, limit: crate::abi::In<libc::rlimit>) -> c_int, also(setrlimit64), map(limited) {
        limiting(which, limit);
        Err(Escape::NotOurs)
    }
}

hook! {
    /// `prlimit(2)`.
    fn prlimit(pid: libc::pid_t, which: c_int, new: crate::abi::In<libc::rlimit>, old: crate::abi::Out<libc::rlimit>) -> c_int,
    also(prlimit64), map(limited) {
        if pid == 0 || pid == rustix::process::getpid().as_raw_nonzero().get() {
            limiting(which, new);
        }
        Err(Escape::NotOurs)
    }
}
