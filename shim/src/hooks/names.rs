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
use std::ffi::{CStr, CString};

/// One of two paths: FLAC's, or the kernel's as given or by another name.
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one call")]
enum Side {
    Flac(&'static Fs, Resolved),
    Kernel(Option<CString>),
}

fn side(dirfd: c_int, path: CPath, last: Last) -> Answer<Side> {
    Ok(match paths::look(dirfd, path, last)? {
        None => Side::Kernel(None),
        Some(Walked::Kernel(path)) => Side::Kernel(Some(path)),
        Some(Walked::Flac(fs, at)) => Side::Flac(fs, at),
    })
}

/// A path as a program gives it.
type Given = (c_int, CPath);

/// The new path's side. What is `wrong` with an old path of the kernel's comes before what is wrong with a new one of FLAC's.
fn new_side(from: &Side, old: Given, new: Given, wrong: fn(c_int, &[u8]) -> Option<c_int>) -> Answer<Side> {
    let to = side(new.0, new.1, Last::Entry);
    match from {
        Side::Kernel(other) if !matches!(to, Ok(Side::Kernel(_))) => theirs_but(old, other.as_deref(), wrong)?,
        _ => {}
    }
    to
}

/// Fails with what is `wrong` with a path of the kernel's, given or by another name.
fn theirs_but((fd, path): Given, other: Option<&CStr>, wrong: fn(c_int, &[u8]) -> Option<c_int>) -> Answer<()> {
    let error = match other {
        Some(path) => wrong(AT_FDCWD, path.to_bytes()),
        None => wrong(fd, path.bytes()?),
    };
    error.map_or(Ok(()), fail)
}

/// Why the kernel does not find a path, whose last part it does not follow.
fn not_found(fd: c_int, path: &[u8]) -> Option<c_int> {
    if path.is_empty() {
        return Some(libc::ENOENT);
    }
    let found = match fds::borrow(fd) {
        Ok(fd) => rustix::fs::statat(fd, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW),
        Err(_) if fd == AT_FDCWD || path.starts_with(b"/") => rustix::fs::lstat(path),
        Err(_) => Err(rustix::io::Errno::BADF),
    };
    found.err().map(rustix::io::Errno::raw_os_error)
}

/// A path of the kernel's: all but its last part, and the end of that, behind which there are slashes.
fn parted(path: &[u8]) -> (&[u8], usize) {
    let end = path.iter().rposition(|b| *b != b'/').map_or(path.len().min(1), |i| i + 1);
    let start = path[..end].iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
    (&path[..start], end)
}

/// Why the kernel does not find the directory of a path's last part.
fn not_reached(fd: c_int, path: &[u8]) -> Option<c_int> {
    if path.is_empty() { Some(libc::ENOENT) } else { not_found(fd, &[parted(path).0, b"."].concat()) }
}

/// Why the kernel makes no name of a path.
fn not_made(fd: c_int, path: &[u8]) -> Option<c_int> {
    let (_, end) = parted(path);
    not_reached(fd, path).or_else(|| match not_found(fd, &path[..end]) {
        None => Some(libc::EEXIST),
        Some(libc::ENOENT) if end == path.len() => None,
        other => other,
    })
}

/// The kernel's function with those paths that have another name replaced.
fn both_theirs(
    (old_fd, old, old_other): (c_int, CPath, Option<CString>),
    (new_fd, new, new_other): (c_int, CPath, Option<CString>),
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
    let to = new_side(&from, (old_fd, old), (new_fd, new), not_found)?;
    match (from, to) {
        (Side::Kernel(a), Side::Kernel(b)) => both_theirs((old_fd, old, a), (new_fd, new, b), theirs),
        (Side::Flac(..), Side::Kernel(other)) => {
            theirs_but((new_fd, new), other.as_deref(), not_made)?;
            fail(libc::EXDEV)
        }
        (from, Side::Flac(fs, to)) => {
            let (parent, name, slash) = missing(to)?;
            match from {
                Side::Flac(_, Resolved::Found { ino, .. }) if !slash => {
                    fs.link(ino, parent, &name, &creds::now().creds())?;
                    Ok(0)
                }
                Side::Kernel(_) if !slash => fail(libc::EXDEV),
                _ => fail(libc::ENOENT),
            }
        }
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
    let from = side(old_fd, old, Last::Entry);
    let both = from.and_then(|from| new_side(&from, (old_fd, old), (new_fd, new), not_reached).map(|to| (from, to)));
    let (keep, swap) = (flags & libc::RENAME_NOREPLACE != 0, flags & libc::RENAME_EXCHANGE != 0);
    let is_known = flags & !(libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE | libc::RENAME_WHITEOUT) == 0;
    match both {
        Ok((Side::Kernel(a), Side::Kernel(b))) => both_theirs((old_fd, old, a), (new_fd, new, b), theirs),
        _ if !is_known || swap && flags.count_ones() > 1 => fail(libc::EINVAL),
        Ok((Side::Flac(fs, from), Side::Flac(_, to))) => {
            let source = renamable(&from)?;
            let target = renamable(&to).map_err(|e| if keep { Escape::Fail(libc::EEXIST) } else { e })?;
            let Resolved::Found { kind, slash, .. } = from else { return fail(libc::ENOENT) };
            match to {
                Resolved::Found { .. } if keep => return fail(libc::EEXIST),
                Resolved::Missing { .. } if swap => return fail(libc::ENOENT),
                _ => {}
            }
            // What is named with a slash is a directory, or becomes one.
            let to_slash = match to {
                Resolved::Found { slash, kind, .. } if swap => slash && kind != libc::S_IFDIR,
                Resolved::Found { slash, .. } | Resolved::Missing { slash, .. } => slash && kind != libc::S_IFDIR,
                Resolved::Outside(_) => false,
            };
            if to_slash || slash && kind != libc::S_IFDIR {
                return fail(libc::ENOTDIR);
            }
            fs.rename(source, target, flags, &creds::now().creds())?;
            Ok(0)
        }
        Ok((Side::Flac(..), Side::Kernel(other))) => {
            theirs_but((new_fd, new), other.as_deref(), not_reached)?;
            fail(libc::EXDEV)
        }
        Ok((Side::Kernel(_), Side::Flac(..))) => fail(libc::EXDEV),
        Err(e) => Err(e),
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
