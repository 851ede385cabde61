//! `/dev/stdin`, `/dev/fd/N`, `/proc/self/fd/N`, `/proc/self/cwd`, `/proc/self/exe`: links by which the kernel leads a process to what it has open.

use super::Place;
use crate::boundary::{Answer, Escape};
use crate::{config, cwd, fds, space};
use flac::Fs;
use flac::fs::names::Last;
use flac::units::Ino;
use libc::c_int;
use std::borrow::Cow;

/// What such a path names.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum What {
    /// A descriptor.
    Fd(c_int),
    /// The working directory.
    Cwd,
    /// The program.
    Exe,
}

/// Such a path, and what follows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Special<'a> {
    /// What it names.
    pub what: What,
    /// What follows; `None` if nothing does, not even a slash.
    pub rest: Option<&'a [u8]>,
}

/// Recognises such a path.
pub fn parse(path: &[u8]) -> Option<Special<'_>> {
    let (what, rest) = if let Some(dev) = path.strip_prefix(b"/dev/") {
        let (name, rest) = split(dev);
        match name {
            b"stdin" => (What::Fd(0), rest),
            b"stdout" => (What::Fd(1), rest),
            b"stderr" => (What::Fd(2), rest),
            b"fd" => {
                let (number, rest) = split(rest?);
                (What::Fd(digits(number)?), rest)
            }
            _ => return None,
        }
    } else {
        let (process, rest) = split(path.strip_prefix(b"/proc/")?);
        if process != b"self" && process != b"thread-self" && !is_this_process(process) {
            return None;
        }
        let (name, rest) = split(rest?);
        match name {
            b"cwd" => (What::Cwd, rest),
            b"exe" => (What::Exe, rest),
            b"fd" => {
                let (number, rest) = split(rest?);
                (What::Fd(digits(number)?), rest)
            }
            _ => return None,
        }
    };
    Some(Special { what, rest })
}

fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|b| *b == b'/') {
        Some(i) => (&path[..i], Some(&path[i + 1..])),
        None => (path, None),
    }
}

fn digits(text: &[u8]) -> Option<c_int> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn is_this_process(text: &[u8]) -> bool {
    digits(text) == Some(rustix::process::getpid().as_raw_nonzero().get())
}

/// The inode behind it, if it is FLAC's.
pub fn file(special: &Special<'_>) -> Answer<Option<(&'static Fs, Ino)>> {
    let found = match special.what {
        What::Fd(fd) if fds::maybe(fd) => fds::inode(fd),
        What::Cwd => cwd::inode(),
        What::Exe => exe(),
        What::Fd(_) => return Ok(None),
    };
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Escape::NotOurs) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The program's file, if this image was made from FLAC.
fn exe() -> Answer<(&'static Fs, Ino)> {
    let (_, ino) = config::settings().and_then(|s| s.exec()).map(|exec| exec.exe).filter(|exe| exe.1 != 0).ok_or(Escape::NotOurs)?;
    Ok((space::fs()?, Ino::new(ino)))
}

/// Its path, as `readlink` gives it.
pub fn name(special: &Special<'_>, fs: &Fs, ino: Ino) -> Answer<Vec<u8>> {
    // A program's directory is known: where it lies is looked at every day.
    let dir = config::settings().and_then(|s| s.exec()).map(|exec| exec.exe.0).filter(|dir| *dir != 0 && special.what == What::Exe);
    let entries = dir.and_then(|dir| Some((Ino::new(dir), fs.list_dir(Ino::new(dir)).ok()?)));
    let found = entries.and_then(|(dir, list)| {
        let name = list.iter().skip(2).find(|(entry, ..)| *entry == ino)?.2.to_vec();
        Some([&cwd::path(fs, dir).ok()?, &b"/"[..], &name].concat())
    });
    found.map_or_else(|| super::name_of(fs, ino), Ok)
}

/// Where it leads; `None` if not into FLAC. The link itself (not [`Last::Follow`], nothing behind it) is the kernel's.
pub fn place<'a>(special: &Special<'a>, last: Last) -> Answer<Option<Place<'a>>> {
    if special.rest.is_none() && last != Last::Follow {
        return Ok(None);
    }
    let rest = special.rest.unwrap_or_default();
    Ok(file(special)?.map(|(fs, ino)| Place::Flac(fs, ino, Cow::Borrowed(rest))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_open_files_are_recognised() {
        let fd = |p: &'static [u8]| parse(p).map(|s| (s.what, s.rest));
        assert_eq!(fd(b"/dev/stdin"), Some((What::Fd(0), None)));
        assert_eq!(fd(b"/dev/fd/12"), Some((What::Fd(12), None)));
        assert_eq!(fd(b"/proc/self/fd/3/a/b"), Some((What::Fd(3), Some(&b"a/b"[..]))));
        assert_eq!(fd(b"/proc/self/cwd/x"), Some((What::Cwd, Some(&b"x"[..]))));
        for other in [&b"/dev/null"[..], b"/dev/fd", b"/dev/fd/x", b"/proc/1/fd/3", b"/proc/self/maps", b"/proc/self", b"/etc/passwd"] {
            assert_eq!(parse(other), None);
        }
    }
}
