//! link and rename: calls about two names, which may lie on both sides of the border.

use super::entries::missing;
use crate::abi::{CPath, fail};
use crate::boundary::{Answer, Escape, checked};
use crate::paths::{self, Walked};
use crate::{creds, fds};
use flac::Fs;
use flac::fs::names::{Last, Name, Resolved};
use flac::units::Ino;
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, c_int, c_uint};

/// One of two paths: FLAC's, or the kernel's as given or by another name.
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one call")]
enum Side {
    Flac(&'static Fs, Resolved),
    Kernel(Option<std::ffi::CString>),
}

fn side(dirfd: c_int, path: CPath, last: Last) -> Answer<Side> {
    Ok(match paths::look(dirfd, path, last)? {
        None => Side::Kernel(None),
        Some(Walked::Kernel(path)) => Side::Kernel(Some(path)),
        Some(Walked::Flac(fs, at)) => Side::Flac(fs, at),
    })
}

/// The errno of a call whose paths are on both sides of the border: what is wrong with one of them, else `EXDEV`.
fn across(from: &Side, (old_fd, old): (c_int, CPath), (new_fd, new): (c_int, CPath)) -> Escape {
    let wrong = match from {
        Side::Flac(_, Resolved::Missing { .. }) => Some(libc::ENOENT),
        Side::Flac(..) => kernel_error(new_fd, new, true),
        Side::Kernel(Some(_)) => None,
        Side::Kernel(None) => kernel_error(old_fd, old, false),
    };
    Escape::Fail(wrong.unwrap_or(libc::EXDEV))
}

/// What the kernel finds wrong with a path; `new` need not exist itself, but its directory must.
fn kernel_error(fd: c_int, path: CPath, new: bool) -> Option<c_int> {
    let Ok(path) = path.bytes() else { return Some(libc::EFAULT) };
    if path.is_empty() {
        return Some(libc::ENOENT);
    }
    let look = |path: &[u8]| {
        let found = match fds::borrow(fd) {
            Ok(fd) => rustix::fs::statat(fd, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW),
            Err(_) if fd == AT_FDCWD => rustix::fs::lstat(path),
            Err(_) => Err(rustix::io::Errno::BADF),
        };
        found.err().map(rustix::io::Errno::raw_os_error)
    };
    match look(path) {
        Some(libc::ENOENT) if new => {
            let end = path.iter().rposition(|b| *b != b'/').map_or(0, |i| i + 1);
            match path[..end].iter().rposition(|b| *b == b'/') {
                Some(slash) => look(&path[..=slash]),
                None => None,
            }
        }
        error => error,
    }
}

/// The kernel's function with those paths that have another name replaced.
fn both_theirs(
    (old_fd, old, old_other): (c_int, CPath, Option<std::ffi::CString>),
    (new_fd, new, new_other): (c_int, CPath, Option<std::ffi::CString>),
    theirs: impl Fn(c_int, CPath, c_int, CPath) -> c_int,
) -> Answer<c_int> {
    if old_other.is_none() && new_other.is_none() {
        return Err(Escape::NotOurs);
    }
    let (old_fd, old) = old_other.as_ref().map_or((old_fd, old), |p| (AT_FDCWD, CPath::of(p)));
    let (new_fd, new) = new_other.as_ref().map_or((new_fd, new), |p| (AT_FDCWD, CPath::of(p)));
    checked(theirs(old_fd, old, new_fd, new))
}

fn link_at(
    (old_fd, old): (c_int, CPath),
    (new_fd, new): (c_int, CPath),
    flags: c_int,
    theirs: impl Fn(c_int, CPath, c_int, CPath) -> c_int,
) -> Answer<c_int> {
    let is_known = flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) == 0;
    let last = if flags & AT_SYMLINK_FOLLOW != 0 { Last::Follow } else { Last::Keep };
    let from = if flags & AT_EMPTY_PATH != 0 && old.bytes()?.is_empty() && fds::is_flac(old_fd) {
        let (fs, ino) = fds::inode(old_fd)?;
        Side::Flac(fs, fs.resolve(ino, b"", Last::Keep, &creds::now().creds())?)
    } else {
        side(old_fd, old, last)?
    };
    // What is wrong with the old path is said before the new one is looked at.
    match &from {
        Side::Flac(..) if !is_known => return fail(libc::EINVAL),
        Side::Flac(_, Resolved::Missing { .. }) => return fail(libc::ENOENT),
        Side::Flac(_, Resolved::Found { slash: true, kind, .. }) if *kind != libc::S_IFDIR => return fail(libc::ENOTDIR),
        _ => {}
    }
    let to = side(new_fd, new, Last::Entry).map_err(|wrong| match from {
        Side::Kernel(None) => kernel_error(old_fd, old, false).map_or(wrong, Escape::Fail),
        _ => wrong,
    })?;
    match (from, to) {
        (Side::Kernel(a), Side::Kernel(b)) => both_theirs((old_fd, old, a), (new_fd, new, b), theirs),
        (Side::Flac(fs, Resolved::Found { ino, .. }), Side::Flac(_, to)) => {
            let (parent, name, slash) = missing(to)?;
            if slash {
                return fail(libc::ENOENT);
            }
            fs.link(ino, parent, &name, &creds::now().creds())?;
            Ok(0)
        }
        (Side::Flac(..), Side::Flac(..)) => fail(libc::ENOENT),
        (from, _) => Err(across(&from, (old_fd, old), (new_fd, new))),
    }
}

hook! {
    /// `link(2)`.
    fn link(old: CPath, new: CPath) -> c_int, real(theirs) {
        link_at((AT_FDCWD, old), (AT_FDCWD, new), 0, |_, old, _, new| theirs(old, new))
    }
}

hook! {
    /// `linkat(2)`; names an `O_TMPFILE` by `/proc/self/fd/N` and `AT_SYMLINK_FOLLOW`, or by `AT_EMPTY_PATH`.
    fn linkat(old_fd: c_int, old: CPath, new_fd: c_int, new: CPath, flags: c_int) -> c_int, real(theirs) {
        link_at((old_fd, old), (new_fd, new), flags, |a, old, b, new| theirs(a, old, b, new, flags))
    }
}

/// Either end of a rename: `EBUSY` for the root, `.` and `..`.
fn renamable(at: &Resolved) -> Answer<(Ino, &Name)> {
    match at {
        Resolved::Found { dot: 1.., .. } => fail(libc::EBUSY),
        Resolved::Found { name, .. } if name.as_bytes().is_empty() => fail(libc::EBUSY),
        Resolved::Found { parent, name, .. } | Resolved::Missing { parent, name, .. } => Ok((*parent, name)),
        Resolved::Outside(_) => fail(libc::EXDEV),
    }
}

fn rename_at(
    (old_fd, old): (c_int, CPath),
    (new_fd, new): (c_int, CPath),
    flags: c_uint,
    theirs: impl Fn(c_int, CPath, c_int, CPath) -> c_int,
) -> Answer<c_int> {
    let known = libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE | libc::RENAME_WHITEOUT;
    if flags & !known != 0 || flags & libc::RENAME_EXCHANGE != 0 && flags.count_ones() > 1 {
        return fail(libc::EINVAL);
    }
    match (side(old_fd, old, Last::Entry)?, side(new_fd, new, Last::Entry)?) {
        (Side::Kernel(a), Side::Kernel(b)) => both_theirs((old_fd, old, a), (new_fd, new, b), theirs),
        (Side::Flac(fs, from), Side::Flac(_, to)) => {
            let source = renamable(&from)?;
            let target = match renamable(&to) {
                Err(_) if flags & libc::RENAME_NOREPLACE != 0 => return fail(libc::EEXIST),
                target => target?,
            };
            let Resolved::Found { kind, slash, .. } = from else { return fail(libc::ENOENT) };
            if flags & libc::RENAME_NOREPLACE != 0 && matches!(to, Resolved::Found { .. }) {
                return fail(libc::EEXIST);
            }
            // What is named with a slash is a directory, or becomes one.
            let to_slash = match to {
                Resolved::Found { slash, kind, .. } if flags & libc::RENAME_EXCHANGE != 0 => slash && kind != libc::S_IFDIR,
                Resolved::Found { slash, .. } | Resolved::Missing { slash, .. } => slash && kind != libc::S_IFDIR,
                Resolved::Outside(_) => false,
            };
            if to_slash || slash && kind != libc::S_IFDIR {
                return fail(libc::ENOTDIR);
            }
            fs.rename(source, target, flags, &creds::now().creds())?;
            Ok(0)
        }
        (from, _) => Err(across(&from, (old_fd, old), (new_fd, new))),
    }
}

hook! {
    /// `rename(2)`.
    fn rename(old: CPath, new: CPath) -> c_int, real(theirs) {
        rename_at((AT_FDCWD, old), (AT_FDCWD, new), 0, |_, old, _, new| theirs(old, new))
    }
}

hook! {
    /// `renameat(2)`.
    fn renameat(old_fd: c_int, old: CPath, new_fd: c_int, new: CPath) -> c_int, real(theirs) {
        rename_at((old_fd, old), (new_fd, new), 0, theirs)
    }
}

hook! {
    /// `renameat2(2)`.
    fn renameat2(old_fd: c_int, old: CPath, new_fd: c_int, new: CPath, flags: c_uint) -> c_int, real(theirs) {
        rename_at((old_fd, old), (new_fd, new), flags, |a, old, b, new| theirs(a, old, b, new, flags))
    }
}
