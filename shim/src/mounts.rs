//! The table of mounts as this process sees it: the kernel's, and in it FLAC's root. `df`, `findmnt`, `stat -c %m` and whoever else asks where a file's device is mounted look there.
//!
//! The table is a file in memory of the moment it was opened: one who waits for changes of it by `poll` hears of none. Who waits by `epoll` gets the kernel's table in its place.

use crate::boundary::Answer;
use crate::config::Settings;
use crate::{attributes, config, space};
use flac::Fs;
use libc::{O_ACCMODE, O_CLOEXEC, O_RDONLY, c_int};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use std::io::Write;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

/// How the table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As `mountinfo`.
    Info,
    /// As `mounts`, and of old `/etc/mtab`.
    Mounts,
}

impl Form {
    /// What the file in memory is called.
    fn name(self) -> &'static str {
        match self {
            Form::Info => "flac-mountinfo",
            Form::Mounts => "flac-mounts",
        }
    }
}

/// Puts the kernel's table in the place of ours at `fd`: changes of it can be waited for, but FLAC is not in it. False: there is none of ours.
pub fn let_wait(fd: c_int) -> bool {
    let Ok(link) = rustix::fs::readlink(format!("/proc/self/fd/{fd}"), Vec::new()) else { return false };
    let is = |form: Form| {
        link.to_bytes().strip_prefix(b"/memfd:").and_then(|rest| rest.strip_suffix(b" (deleted)")) == Some(form.name().as_bytes())
    };
    let path = match () {
        () if is(Form::Info) => "/proc/self/mountinfo",
        () if is(Form::Mounts) => "/proc/self/mounts",
        () => return false,
    };
    let replaced = || {
        let table = crate::fds::borrow(fd).ok()?;
        let (flags, at) = (rustix::io::fcntl_getfd(table).ok()?, rustix::fs::tell(table).ok()?);
        let kernels = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        rustix::fs::seek(&kernels, rustix::fs::SeekFrom::Start(at)).ok()?;
        crate::stubs::replace(kernels.as_raw_fd(), fd, flags.contains(rustix::io::FdFlags::CLOEXEC)).ok()
    };
    replaced().is_some()
}

/// Recognises a path of the table.
fn form(path: &[u8]) -> Option<Form> {
    match path {
        b"/proc/mounts" | b"/etc/mtab" => return Some(Form::Mounts),
        _ => {}
    }
    let rest = path.strip_prefix(b"/proc/")?;
    match rest.strip_prefix(b"self/").or_else(|| rest.strip_prefix(b"thread-self/"))? {
        b"mountinfo" => Some(Form::Info),
        b"mounts" => Some(Form::Mounts),
        _ => None,
    }
}

/// Opens the table, if `path` is one that is to be read. `None`: not a matter of FLAC's, or there is none.
#[inline]
pub fn open(path: &[u8], flags: c_int) -> Answer<Option<c_int>> {
    // All of them begin so, and no path of FLAC's that programs open often does.
    if !(path.starts_with(b"/proc/") || path.starts_with(b"/etc/m")) || flags & O_ACCMODE != O_RDONLY || flags & libc::O_PATH != 0 {
        return Ok(None);
    }
    form(path).map_or(Ok(None), |form| open_form(path, form, flags))
}

#[cold]
fn open_form(path: &[u8], form: Form, flags: c_int) -> Answer<Option<c_int>> {
    let (Some(settings), Some(fs)) = (config::settings().filter(|_| !config::bad()), space::used()) else { return Ok(None) };
    let Ok(mut table) = read(path) else { return Ok(None) };
    let line = line(form, &table, fs, settings.root(), settings.pool());
    table.extend_from_slice(&line);
    let file = rustix::fs::memfd_create(form.name(), MemfdFlags::CLOEXEC)?;
    let mut rest = &table[..];
    while !rest.is_empty() {
        rest = &rest[flac::media::lifted(|| rustix::io::write(&file, rest))?..];
    }
    // To be read from its beginning, and only to be read.
    let how = OFlags::RDONLY | if flags & O_CLOEXEC != 0 { OFlags::CLOEXEC } else { OFlags::empty() };
    let read = rustix::fs::open(format!("/proc/self/fd/{}", file.as_raw_fd()), how, Mode::empty())?;
    lowest(file, read).map(Some)
}

/// `read` at the number of `file`, which was the lowest free one.
fn lowest(file: OwnedFd, read: OwnedFd) -> Answer<c_int> {
    drop(file);
    let flags = rustix::io::fcntl_getfd(&read)?;
    let low = match flags.contains(rustix::io::FdFlags::CLOEXEC) {
        true => rustix::io::fcntl_dupfd_cloexec(&read, 0),
        false => rustix::io::dup(&read),
    }?;
    Ok(low.into_raw_fd())
}

fn read(path: &[u8]) -> rustix::io::Result<Vec<u8>> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut table = Vec::with_capacity(16 << 10);
    loop {
        table.reserve(4096);
        if rustix::io::read(&file, rustix::buffer::spare_capacity(&mut table))? == 0 {
            return Ok(table);
        }
    }
}

/// The number of FLAC's mount. The kernel counts its own from 1 and uses them again, so it never gets there.
pub fn number(fs: &Fs) -> u32 {
    1 << 30 | attributes::minor(fs)
}

/// The line of FLAC's root. In `mountinfo` it has a number that no other mount has, and lies in the one that covers it.
fn line(form: Form, table: &[u8], fs: &Fs, root: &[u8], pool: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    let (root, pool) = (escaped(root), escaped(pool));
    if form == Form::Info {
        let (own, parent) = (number(fs), parent_of(table, &root));
        let _ = write!(line, "{own} {parent} 0:{} / ", attributes::minor(fs));
        line.extend([&root[..], b" rw,relatime - flac ", &pool, b" rw\n"].concat());
    } else {
        line.extend([&pool[..], b" ", &root, b" flac rw,relatime 0 0\n"].concat());
    }
    line
}

/// Whether `flac mount` shows this pool where FLAC's tree begins, so that the kernel finds there what is in it.
pub fn is_mounted(settings: &Settings) -> bool {
    let name = || {
        let dir = rustix::fs::open(settings.pool(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        rustix::fs::readlink(format!("/proc/self/fd/{}", dir.as_raw_fd()), Vec::new()).ok()
    };
    let Ok(table) = read(b"/proc/self/mountinfo") else { return false };
    // What separates options can't be in a name.
    let option = |pool: &[u8]| pool.iter().map(|b| if *b == b',' { b'_' } else { *b }).collect::<Vec<_>>();
    name().is_some_and(|pool| shows(&table, &escaped(settings.root()), &escaped(&option(pool.to_bytes()))))
}

/// Whether the last mount at `root` is one of `pool` by FUSE.
fn shows(table: &[u8], root: &[u8], pool: &[u8]) -> bool {
    let at_root = |line: &&[u8]| line.split(|b| *b == b' ').nth(4) == Some(root);
    let last = table.split(|b| *b == b'\n').rfind(at_root);
    let mut what = last.into_iter().flat_map(|line| line.split(|b| *b == b' ').skip_while(|field| *field != b"-").skip(1));
    matches!(what.next(), Some(b"fuse" | b"fuse.flac")) && what.next() == Some(pool)
}

/// The number of the mount that a path (as the table writes it) lies in.
fn parent_of(table: &[u8], path: &[u8]) -> u32 {
    let mut parent = (0, 0);
    for line in table.split(|b| *b == b'\n') {
        let mut fields = line.split(|b| *b == b' ');
        let number = |field: Option<&[u8]>| std::str::from_utf8(field?).ok()?.parse::<u32>().ok();
        let Some(own) = number(fields.next()) else { continue };
        let Some(at) = fields.nth(3) else { continue };
        let covers = at == b"/" || path.strip_prefix(at).is_some_and(|rest| rest.first().is_none_or(|b| *b == b'/'));
        if covers && at.len() >= parent.0 {
            parent = (at.len(), own);
        }
    }
    parent.1
}

/// What separates fields and lines, in octal.
fn escaped(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => _ = write!(out, "\\{byte:03o}"),
            other => out.push(*other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_recognised() {
        assert_eq!(form(b"/proc/self/mountinfo"), Some(Form::Info));
        assert_eq!(form(b"/proc/mounts"), Some(Form::Mounts));
        for other in [&b"/proc/1/mounts"[..], b"/proc/self/maps", b"/etc/motd", b"/proc/self/mountinfo/"] {
            assert_eq!(form(other), None);
        }
    }

    #[test]
    fn the_mount_that_covers_the_root_is_its_parent() {
        let table =
            b"21 1 254:0 / / rw - ext4 /dev/vda rw\n40 21 0:27 / /dev/shm rw - tmpfs tmpfs rw\n30 40 0:30 / /dev/shmem rw - tmpfs x rw\n";
        assert_eq!(parent_of(table, b"/dev/shm/a/b"), 40);
        assert_eq!(parent_of(table, b"/flac"), 21);
        assert_eq!(escaped(b"/a b\\c"), b"/a\\040b\\134c");
    }

    #[test]
    fn a_mount_of_the_pool_is_known_by_its_source() {
        let table = b"21 1 254:0 / / rw - ext4 /dev/vda rw\n50 21 0:39 / /flac rw,nosuid shared:4 - fuse.flac /p rw\n";
        assert!(shows(table, b"/flac", b"/p"));
        assert!(!shows(table, b"/flac", b"/q") && !shows(table, b"/fla", b"/p") && !shows(table, b"/", b"/dev/vda"));
        let covered = [table, &b"51 50 0:40 / /flac rw - tmpfs /p rw\n"[..]].concat();
        assert!(!shows(&covered, b"/flac", b"/p"));
    }
}
