//! Paths outside FLAC whose symbolic links may lead into it, walked component by component as the kernel would.

use super::{MOST_LINKS, Place, special};
use crate::boundary::{Answer, Escape};
use crate::{config, space};
use flac::fs::names::Last;
use flac::units::Ino;
use libc::c_int;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::borrow::Cow;

/// `path` made absolute: relative ones are relative to `dirfd`. `None` if the kernel doesn't say where that is.
pub fn absolute(dirfd: c_int, path: &[u8]) -> Option<Vec<u8>> {
    if path.first() == Some(&b'/') {
        return Some(path.to_vec());
    }
    let mut whole = if dirfd == libc::AT_FDCWD {
        rustix::process::getcwd(Vec::new()).ok()?.into_bytes()
    } else {
        rustix::fs::readlinkat(CWD, format!("/proc/self/fd/{dirfd}"), Vec::new()).ok()?.into_bytes()
    };
    // "(unreachable)/...", "pipe:[...]".
    if whole.first() != Some(&b'/') {
        return None;
    }
    whole.push(b'/');
    whole.extend_from_slice(path);
    Some(whole)
}

/// Whether the path (`whole` when made absolute) can't lead into FLAC, by the kernel's word: no `..`, and no symbolic link on the way. One
/// system call instead of one a component: programs look for many files that do not exist. Valgrind does not know it.
pub fn is_plain(dirfd: c_int, path: &[u8], whole: &[u8], last: Last) -> bool {
    if config::settings().is_some_and(|s| s.valgrind)
        || whole.windows(3).any(|w| w == b"/..")
        || super::below(config::root(), whole).is_some()
    {
        return false;
    }
    // What is no directory is walked to and not opened: half the time, and nothing to close.
    let mut how = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
    how.set(OFlags::NOFOLLOW, last != Last::Follow);
    let dir = if dirfd == libc::AT_FDCWD { Ok(CWD) } else { crate::fds::borrow(dirfd) };
    let met = dir.map(|dir| rustix::fs::openat2(dir, path, how, Mode::empty(), ResolveFlags::NO_SYMLINKS));
    // ELOOP: there is a link. ENOSYS and the like: an old kernel does not tell.
    matches!(met, Ok(Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS)))
}

/// Walks the absolute `path` until it enters FLAC. `Theirs`: it never does, or ends in something the kernel does not find.
pub fn walk(path: &[u8], last: Last) -> Answer<Place<'static>> {
    // Components still to come, in reverse.
    let mut todo: Vec<Vec<u8>> = components(path);
    // A dot at the end follows a link before it, as a slash does.
    let mut slash = path.ends_with(b"/") || path.ends_with(b"/.");
    let mut here: Vec<u8> = Vec::new();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == b".." {
            let parent = here.iter().rposition(|b| *b == b'/').unwrap_or(0);
            here.truncate(parent);
            continue;
        }
        let parent = here.len();
        here.push(b'/');
        here.extend_from_slice(&part);
        if here == config::root() {
            let mut rest = todo.iter().rev().fold(Vec::new(), |mut rest, part| {
                rest.extend_from_slice(part);
                rest.push(b'/');
                rest
            });
            if !slash {
                rest.pop();
            }
            return Ok(Place::Flac(space::fs()?, Ino::ROOT, Cow::Owned(rest)));
        }
        if todo.is_empty() && (last == Last::Entry || last == Last::Keep && !slash) {
            break;
        }
        if let Some(found) = special::parse(&here).and_then(|s| special::file(&s).transpose()) {
            let (fs, ino) = found?;
            let rest = todo.iter().rev().fold(Vec::new(), |rest, part| [&rest[..], part, b"/"].concat());
            return Ok(Place::Flac(fs, ino, Cow::Owned(rest)));
        }
        match rustix::fs::readlinkat(CWD, &here[..], Vec::new()) {
            Ok(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Escape::Fail(libc::ELOOP));
                }
                let target = target.into_bytes();
                slash |= todo.is_empty() && target.ends_with(b"/");
                here.truncate(if target.first() == Some(&b'/') { 0 } else { parent });
                todo.append(&mut components(&target));
            }
            // Not a link.
            Err(Errno::INVAL) => {}
            Err(_) => break,
        }
    }
    Ok(Place::Theirs)
}

/// The components in reverse, without empty ones and `.`.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.rsplit(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").map(<[u8]>::to_vec).collect()
}
