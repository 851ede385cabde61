//! chdir, fchdir, getcwd, chroot, realpath.

use crate::abi::{CPath, OutBytes, allocated, fail};
use crate::boundary::{self, Answer, Escape, checked};
use crate::paths::{self, Walked};
use crate::{creds, cwd, fds};
use flac::Fs;
use flac::fs::names::{Last, Resolved};
use flac::units::Ino;
use libc::{AT_FDCWD, c_char, c_int, size_t};

/// Libc's `chdir` has returned.
fn moved(result: c_int) -> c_int {
    if result == 0 {
        cwd::left();
    }
    result
}

fn enter(fs: &Fs, ino: Ino, kind: u32) -> Answer<c_int> {
    if kind != libc::S_IFDIR {
        return fail(libc::ENOTDIR);
    }
    fs.access(ino, libc::X_OK, &creds::now().creds())?;
    cwd::enter(fs, ino)?;
    Ok(0)
}

hook! {
    /// `chdir(2)`.
    fn chdir(path: CPath) -> c_int, map(moved), real(theirs) {
        match paths::walk(AT_FDCWD, path, Last::Follow)? {
            Walked::Kernel(path) => checked(moved(theirs(CPath::of(&path)))),
            Walked::Flac(fs, Resolved::Found { ino, kind, .. }) => enter(fs, ino, kind),
            Walked::Flac(..) => fail(libc::ENOENT),
        }
    }
}

hook! {
    /// `fchdir(2)`.
    fn fchdir(fd: c_int) -> c_int, map(moved) {
        let (fs, ino) = if fds::maybe(fd) { fds::inode(fd)? } else { return Err(Escape::NotOurs) };
        enter(fs, ino, fs.attr(ino)?.mode & libc::S_IFMT)
    }
}

hook! {
    /// `chroot(2)`: what is below a new root can't be told apart by path, so a root inside FLAC is refused.
    fn chroot(path: CPath) -> c_int, real(theirs) {
        match paths::walk(AT_FDCWD, path, Last::Follow)? {
            Walked::Kernel(path) => checked(theirs(CPath::of(&path))),
            Walked::Flac(fs, Resolved::Found { ino, kind, .. }) => {
                if kind != libc::S_IFDIR {
                    return fail(libc::ENOTDIR);
                }
                let who = creds::now().creds();
                fs.access(ino, libc::X_OK, &who)?;
                if who.uid != 0 { fail(libc::EPERM) } else { super::refuse("chroot into FLAC", libc::ENOSYS) }
            }
            Walked::Flac(..) => fail(libc::ENOENT),
        }
    }
}

/// The path of the working directory in FLAC, with its NUL.
fn current() -> Answer<Vec<u8>> {
    let (fs, ino) = cwd::inode()?;
    let mut path = cwd::path(fs, ino)?;
    path.push(0);
    Ok(path)
}

fn get_cwd(to: OutBytes, room: size_t) -> Answer<OutBytes> {
    let path = current()?;
    if to.is_null() {
        if room != 0 && room < path.len() {
            return fail(libc::ERANGE);
        }
        let mut path = path;
        let more = room.saturating_sub(path.len());
        path.try_reserve_exact(more).map_err(|_| Escape::Fail(libc::ENOMEM))?;
        path.resize(path.len() + more, 0);
        return allocated(&path).map(OutBytes::at);
    }
    if room == 0 {
        return fail(libc::EINVAL);
    }
    if room < path.len() {
        return fail(libc::ERANGE);
    }
    to.fill(&path)?;
    Ok(to)
}

hook! {
    /// `getcwd(3)`.
    fn getcwd(to: OutBytes, room: size_t) -> OutBytes, when(crate::config::on() && cwd::maybe()) {
        get_cwd(to, room)
    }
}

hook! {
    /// `getcwd` as compiled with `_FORTIFY_SOURCE`.
    fn __getcwd_chk(to: OutBytes, room: size_t, size: size_t) -> OutBytes, when(crate::config::on() && cwd::maybe() && room <= size) {
        get_cwd(to, room)
    }
}

hook! {
    /// `getwd(3)`.
    fn getwd(to: OutBytes) -> OutBytes, when(crate::config::on() && cwd::maybe()) {
        if to.is_null() {
            return fail(libc::EINVAL);
        }
        get_cwd(to, libc::PATH_MAX as size_t)
    }
}

hook! {
    /// `get_current_dir_name(3)`.
    fn get_current_dir_name() -> *mut c_char, when(crate::config::on() && cwd::maybe()) {
        allocated(&current()?).map(<*mut libc::c_void>::cast)
    }
}

/// The absolute path without links of something in FLAC, with a NUL.
fn canonical(fs: &Fs, at: Resolved) -> Answer<Vec<u8>> {
    let mut path = match at {
        Resolved::Found { ino, kind: libc::S_IFDIR, .. } => cwd::path(fs, ino)?,
        Resolved::Found { slash: true, .. } => return fail(libc::ENOTDIR),
        Resolved::Found { ino, name, .. } if name.as_bytes().is_empty() => paths::name_of(fs, ino)?,
        Resolved::Found { parent, name, .. } => {
            let mut path = cwd::path(fs, parent)?;
            path.push(b'/');
            path.extend_from_slice(name.as_bytes());
            path
        }
        _ => return fail(libc::ENOENT),
    };
    path.push(0);
    Ok(path)
}

fn real_path(path: CPath, to: OutBytes, theirs: impl Fn(CPath) -> OutBytes) -> Answer<OutBytes> {
    match paths::walk(AT_FDCWD, path, Last::Follow)? {
        Walked::Kernel(path) => boundary::checked(theirs(CPath::of(&path))),
        Walked::Flac(fs, at) => {
            // The last component followed ends at another name: `parent` and `name` are those of the end.
            let path = canonical(fs, at)?;
            if to.is_null() {
                return allocated(&path).map(OutBytes::at);
            }
            if path.len() > libc::PATH_MAX as usize {
                return fail(libc::ENAMETOOLONG);
            }
            to.fill(&path)?;
            Ok(to)
        }
    }
}

hook! {
    /// `realpath(3)`.
    fn realpath(path: CPath, to: OutBytes) -> OutBytes, real(theirs) {
        real_path(path, to, |path| theirs(path, to))
    }
}

hook! {
    /// `realpath` as compiled with `_FORTIFY_SOURCE`.
    fn __realpath_chk(path: CPath, to: OutBytes, size: size_t) -> OutBytes, when(crate::config::on() && size >= libc::PATH_MAX as size_t), real(theirs) {
        real_path(path, to, |path| theirs(path, to, size))
    }
}

hook! {
    /// `canonicalize_file_name(3)`.
    fn canonicalize_file_name(path: CPath) -> OutBytes, real(theirs) {
        real_path(path, OutBytes::at(std::ptr::null_mut()), theirs)
    }
}
