//! From (dirfd, path) to a place in FLAC or one of the kernel's.
//!
//! Most paths of most programs are the kernel's, and cost one comparison with `FLAC_ROOT`. Detours into FLAC that this does not see (a symbolic
//! link outside that points into `FLAC_ROOT`, `/etc/../flac`, `flac/x` relative to `/`) end where the kernel has nothing: it answers ENOENT,
//! ENOTDIR or ELOOP, and [`boundary::cross`](crate::boundary::cross) asks again with `by_hand` set; then [`outside`] walks them.

use crate::abi::CPath;
use crate::boundary::{self, Answer, Escape};
use crate::config::{self, Covered};
use crate::{cwd, fds, space};
use flac::Fs;
use flac::fs::attr::Attr;
use flac::fs::names::{Last, Resolved};
use flac::units::Ino;
use libc::c_int;
use std::borrow::Cow;
use std::ffi::CString;

pub mod outside;
pub mod special;

/// Links and border crossings until ELOOP, as in the kernel.
const MOST_LINKS: usize = 40;

/// Where a path leads before any name in FLAC is looked up.
pub enum Place<'a> {
    /// Into FLAC: from this inode on.
    Flac(&'static Fs, Ino, Cow<'a, [u8]>),
    /// The kernel's, as it is.
    Theirs,
}

/// Where a path leads.
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one call; a box would cost an allocation a call")]
pub enum Walked {
    /// To a name in FLAC, which exists or not ([`Resolved::Found`] or [`Resolved::Missing`], never `Outside`).
    Flac(&'static Fs, Resolved),
    /// Through FLAC and out again: to this absolute path of the kernel's.
    Kernel(CString),
}

/// Walks a path to an inode and its attributes; `ENOENT`.
pub fn walk_attr(dirfd: c_int, path: CPath, last: Last) -> Answer<WalkedAttr> {
    let path = path.bytes()?;
    if path.is_empty() {
        return Err(Escape::NotOurs);
    }
    let Place::Flac(fs, base, rest) = place(dirfd, path, last)? else { return Err(Escape::NotOurs) };
    let who = crate::creds::now();
    let (fs, at, attr) = match fs.resolve_attr(base, &rest, last, &who.creds())? {
        (Resolved::Outside(path), _) => match leave(fs, Resolved::Outside(path), last)? {
            Walked::Kernel(path) => return Ok(WalkedAttr::Kernel(path)),
            Walked::Flac(fs, at) => (fs, at, None),
        },
        (at, attr) => (fs, at, attr),
    };
    match at {
        Resolved::Found { kind, slash: true, .. } if kind != libc::S_IFDIR => Err(Escape::Fail(libc::ENOTDIR)),
        Resolved::Found { ino, .. } => Ok(WalkedAttr::Flac(fs, attr.map_or_else(|| fs.attr(ino), Ok)?)),
        _ => Err(Escape::Fail(libc::ENOENT)),
    }
}

/// Where a path leads, for those who want no more than attributes.
pub enum WalkedAttr {
    /// To an inode with these.
    Flac(&'static Fs, Attr),
    /// As in [`Walked`].
    Kernel(CString),
}

/// Walks a path. `NotOurs`: the kernel's from beginning to end. An empty path is `ENOENT`, or the kernel's.
pub fn walk(dirfd: c_int, path: CPath, last: Last) -> Answer<Walked> {
    let path = path.bytes()?;
    if path.is_empty() {
        return Err(Escape::NotOurs);
    }
    walk_bytes(dirfd, path, last)
}

/// As [`walk`], for bytes; an empty path is `dirfd` itself.
pub fn walk_bytes(dirfd: c_int, path: &[u8], last: Last) -> Answer<Walked> {
    match place(dirfd, path, last)? {
        Place::Theirs => Err(Escape::NotOurs),
        Place::Flac(fs, base, rest) => descend(fs, base, &rest, last),
    }
}

/// As [`walk`] for calls with two paths: `None` is the kernel's.
pub fn look(dirfd: c_int, path: CPath, last: Last) -> Answer<Option<Walked>> {
    match walk(dirfd, path, last) {
        Ok(walked) => Ok(Some(walked)),
        Err(Escape::NotOurs) => Ok(None),
        Err(e) => Err(e),
    }
}

#[inline]
fn descend(fs: &'static Fs, base: Ino, rest: &[u8], last: Last) -> Answer<Walked> {
    let who = crate::creds::now();
    match fs.resolve(base, rest, last, &who.creds()) {
        Ok(Resolved::Outside(path)) => leave(fs, Resolved::Outside(path), last),
        Ok(found) => Ok(Walked::Flac(fs, found)),
        Err(flac::Error::Os(libc::ENOENT)) => {
            // A removed working directory still has the parent that it had.
            let (parent, rest) = cwd::way_up(fs, base, rest).ok_or(Escape::Fail(libc::ENOENT))?;
            leave(fs, fs.resolve(parent, rest, last, &who.creds())?, last)
        }
        Err(e) => Err(e.into()),
    }
}

/// Goes on outside as long as the walk leads there.
pub fn leave(fs: &'static Fs, mut found: Resolved, last: Last) -> Answer<Walked> {
    let who = crate::creds::now();
    for _ in 0..MOST_LINKS {
        let Resolved::Outside(path) = found else { return Ok(Walked::Flac(fs, found)) };
        let path = match path.strip_prefix(b"..") {
            // What follows begins with a slash, or is nothing.
            Some(up) => [parent_of_root(), if up.is_empty() { b"/" } else { up }].concat(),
            None => path,
        };
        match outside::walk(&path, last)? {
            Place::Theirs => return CString::new(path).map(Walked::Kernel).map_err(|_| Escape::Fail(libc::ENOENT)),
            Place::Flac(_, base, rest) => found = fs.resolve(base, &rest, last, &who.creds())?,
        }
    }
    Err(Escape::Fail(libc::ELOOP))
}

/// The absolute path of an inode, as `/proc/self/fd` shows it: one of its names; `#<number> (deleted)` if it has none. For a file the tree
/// is searched: nothing knows its name, and hardly anybody asks.
pub fn name_of(fs: &Fs, ino: Ino) -> Answer<Vec<u8>> {
    let attr = fs.attr(ino)?;
    if attr.mode & libc::S_IFMT == libc::S_IFDIR {
        if let Ok(path) = cwd::path(fs, ino) {
            return Ok(path);
        }
    } else if attr.nlink > 0 {
        let mut dirs = vec![Ino::ROOT];
        while let Some(dir) = dirs.pop() {
            // Removed meanwhile.
            let Ok(list) = fs.list_dir(dir) else { continue };
            for (entry, kind, name) in list.iter().skip(2) {
                if entry == ino {
                    return Ok([&cwd::path(fs, dir)?, &b"/"[..], name].concat());
                }
                if kind == libc::DT_DIR {
                    dirs.push(entry);
                }
            }
        }
    }
    Ok([config::root(), format!("/#{} (deleted)", ino.get()).as_bytes()].concat())
}

/// The directory in which `FLAC_ROOT` appears, without a slash at its end.
fn parent_of_root() -> &'static [u8] {
    let root = config::root();
    &root[..root.iter().rposition(|b| *b == b'/').unwrap_or(0)]
}

/// Where a path leads before any name in FLAC is looked up. Too long ones are the kernel's to refuse.
pub fn place(dirfd: c_int, path: &[u8], last: Last) -> Answer<Place<'_>> {
    if path.len() >= libc::PATH_MAX as usize {
        return Ok(Place::Theirs);
    }
    if path.first() == Some(&b'/') {
        if let Some(rest) = below(config::root(), path) {
            return Ok(Place::Flac(space::fs()?, Ino::ROOT, Cow::Borrowed(rest)));
        }
        if matches!(path.get(1), Some(b'd' | b'p'))
            && let Some(special) = special::parse(path)
            && let Some(place) = special::place(&special, last)?
        {
            return Ok(place);
        }
    } else {
        let base = if dirfd == libc::AT_FDCWD {
            cwd::inode()
        } else if fds::maybe(dirfd) {
            fds::inode(dirfd)
        } else {
            Err(Escape::NotOurs)
        };
        match base {
            Ok((fs, ino)) => return Ok(Place::Flac(fs, ino, Cow::Borrowed(path))),
            Err(Escape::NotOurs) => {}
            Err(e) => return Err(e),
        }
    }
    let walks = match config::covered() {
        // What is to be made of this name might be made in the very place where FLAC appears.
        Covered::Nothing => ends_as_root(path),
        Covered::Empty { .. } => !boundary::is_kernel_first(),
        Covered::Files => true,
    };
    if boundary::by_hand() || walks {
        return Ok(match outside::absolute(dirfd, path) {
            Some(whole) if outside::is_plain(dirfd, path, &whole, last) => Place::Theirs,
            Some(path) => match outside::walk(&path, last)? {
                Place::Flac(fs, ino, rest) => Place::Flac(fs, ino, Cow::Owned(rest.into_owned())),
                Place::Theirs => Place::Theirs,
            },
            None => Place::Theirs,
        });
    }
    boundary::asked_kernel();
    Ok(Place::Theirs)
}

/// Whether the path's last name is that of the root in its own directory.
fn ends_as_root(path: &[u8]) -> bool {
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |last| last + 1);
    let (root, name) = (config::root(), parent_of_root().len() + 1);
    let Some(before) = path[..end].strip_suffix(&root[name..]) else { return false };
    matches!(before.last(), None | Some(b'/'))
}

/// What follows `root` in `path` (both absolute); `None` if `path` does not begin with it, component by component, doubled slashes and
/// `.` apart. A `..` before the end of `root` is `None`: only the kernel knows where it leads.
pub fn below<'a>(root: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if let Some(rest) = path.strip_prefix(root) {
        match rest.first() {
            None => return Some(rest),
            Some(b'/') => return Some(&rest[1..]),
            _ => {}
        }
    }
    let mut rest = path;
    for wanted in root.split(|b| *b == b'/').skip(1) {
        loop {
            while let Some(b'/') = rest.first() {
                rest = &rest[1..];
            }
            let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
            let part = &rest[..end];
            rest = &rest[end..];
            if part == b"." {
                continue;
            }
            if part != wanted {
                return None;
            }
            break;
        }
    }
    Some(rest.strip_prefix(b"/").unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn the_root_ends_at_a_component_border() {
        let rest = |p: &'static str| below(b"/mnt/flac", p.as_bytes()).map(|r| std::str::from_utf8(r).unwrap());
        assert_eq!(rest("/mnt/flac"), Some(""));
        assert_eq!(rest("/mnt/flac/"), Some(""));
        assert_eq!(rest("/mnt/flac/a/b"), Some("a/b"));
        assert_eq!(rest("//mnt/.//flac/./a"), Some("./a"));
        assert_eq!(rest("/./mnt/flac//a/"), Some("/a/"));
        assert_eq!(rest("/mnt/flac/../x"), Some("../x"));
        for other in ["/mnt/flacs", "/mnt", "/", "/mnt/fla", "/mnt/x/../flac", "/x/mnt/flac", "/mnt/flac.d/a"] {
            assert_eq!(rest(other), None, "{other}");
        }
    }
}
