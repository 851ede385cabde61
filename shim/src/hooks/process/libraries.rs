//! Libraries in FLAC for programs that are started. The loader opens them before any code of ours runs, so they are made ready before exec: in memfds, with links to
//! these in a directory that comes first in `LD_LIBRARY_PATH`. The new image closes and removes all that, and takes its variable back.

use super::needed::{self, Needed};
use super::{image, preload};
use crate::abi::CPath;
use crate::boundary::{Answer, Escape};
use crate::paths::{self, Place, Walked};
use flac::Fs;
use flac::fs::names::{Last, Resolved};
use flac::units::Ino;
use libc::AT_FDCWD;
use rustix::fs::Mode;
use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where the links of a process stand, below the run directory.
const DIR: &str = "lib";
/// Descriptors from here on are taken for the memfds, which must survive exec.
const HIGH: i32 = 500;

/// Libraries that were made ready. Dropped, when exec has failed, it takes them back.
pub struct Ready {
    dir: PathBuf,
    memfds: Vec<OwnedFd>,
    preloaded: Vec<Vec<u8>>,
}

impl Ready {
    /// The variable for the new image: our directory before those that `before` (the value so far) has.
    pub fn variable(&self, before: &[u8]) -> Vec<u8> {
        let colon: &[u8] = if before.is_empty() { b"" } else { b":" };
        [VARIABLE, self.dir.as_os_str().as_bytes(), colon, before].concat()
    }
    /// What the loader shall be told of a library in `LD_PRELOAD`: of one in FLAC its name alone, which it looks for in our directory.
    pub fn preloaded<'a>(&self, library: &'a [u8]) -> &'a [u8] {
        if self.preloaded.iter().any(|p| p == library) { preload::file_name(library) } else { library }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        remove(&self.dir);
    }
}

/// Removes a directory of links; where each led.
fn remove(dir: &Path) -> Vec<CString> {
    use rustix::fs::{AtFlags, Dir, Mode, OFlags, open, readlinkat, rmdir, unlinkat};
    let mut targets = Vec::new();
    if let Ok(opened) = open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        for entry in Dir::read_from(&opened).into_iter().flatten().flatten() {
            targets.extend(readlinkat(&opened, entry.file_name(), Vec::new()));
            let _ = unlinkat(&opened, entry.file_name(), AtFlags::empty());
        }
    }
    let _ = rmdir(dir);
    targets
}

/// The variable, with the `=`.
pub const VARIABLE: &[u8] = b"LD_LIBRARY_PATH=";

/// Finds the libraries in FLAC that a program needs, and makes them ready. `path` is the program's, `needed` what it says itself, `more` the value of
/// `LD_LIBRARY_PATH`, `preloaded` that of `LD_PRELOAD`. `None`: there are none.
pub fn ready(path: &[u8], needed: &Needed, more: &[u8], preloaded: &[u8]) -> Option<Ready> {
    let mut search = Search { more: needed::directories(more, b""), seen: HashSet::new(), found: Vec::new() };
    let preloaded: Vec<_> = preload::entries(preloaded).filter(|l| search.preload(l)).map(<[u8]>::to_vec).collect();
    search.all(path, needed);
    let (fs, ..) = search.found.first()?;
    let pid = rustix::process::getpid().as_raw_nonzero();
    let parent = fs.run_dir().join(DIR);
    let dir = parent.join(format!("exec-{pid}"));
    remove(&dir);
    // Shared by all users of the pool, as /tmp is.
    if rustix::fs::mkdir(&parent, Mode::RWXU).is_ok() {
        rustix::fs::chmod(&parent, Mode::from_raw_mode(0o1777)).ok()?;
    }
    rustix::fs::mkdir(&dir, Mode::RWXU).ok()?;
    rustix::fs::chmod(&dir, Mode::RWXU).ok()?;
    let mut ready = Ready { dir, memfds: Vec::new(), preloaded };
    for (fs, ino, name) in &search.found {
        let memfd = image::library(fs, *ino, name).ok()?;
        let kept = rustix::io::fcntl_dupfd_cloexec(&memfd, HIGH).ok()?;
        rustix::io::fcntl_setfd(&kept, rustix::io::FdFlags::empty()).ok()?;
        let link = ready.dir.join(std::ffi::OsStr::from_bytes(name));
        rustix::fs::symlink(format!("/proc/self/fd/{}", kept.as_raw_fd()), &link).ok()?;
        ready.memfds.push(kept);
    }
    Some(ready)
}

/// A walk over what is needed.
struct Search {
    more: Vec<Vec<u8>>,
    seen: HashSet<Vec<u8>>,
    found: Vec<(&'static Fs, Ino, Vec<u8>)>,
}

impl Search {
    /// A library in `LD_PRELOAD`, and what it needs. Whether it is in FLAC.
    fn preload(&mut self, path: &[u8]) -> bool {
        let Ok(c_path) = CString::new(path) else { return false };
        if !path.contains(&b'/') || !leads_into_flac(path) {
            return false;
        }
        let Ok(Walked::Flac(fs, Resolved::Found { ino, kind: libc::S_IFREG, .. })) =
            paths::walk(AT_FDCWD, CPath::of(&c_path), Last::Follow)
        else {
            return false;
        };
        self.found.push((fs, ino, preload::file_name(path).to_vec()));
        if let Some(needed) = image::needed(fs, ino) {
            self.all(path, &needed);
        }
        true
    }

    fn all(&mut self, path: &[u8], needed: &Needed) {
        let origin = directory_of(path);
        let mut dirs = self.more.clone();
        dirs.extend(needed::directories(&needed.path, &origin));
        if !dirs.iter().any(|dir| leads_into_flac(dir)) {
            return;
        }
        for name in &needed.names {
            if name.contains(&b'/') || !self.seen.insert(name.clone()) {
                continue;
            }
            let Some((fs, ino, path)) = first_in(&dirs, name) else { continue };
            self.found.push((fs, ino, name.clone()));
            if let Some(needed) = image::needed(fs, ino) {
                self.all(&path, &needed);
            }
        }
    }
}

/// The library `name` in the first of `dirs` that has it, if that is in FLAC.
pub fn first_in(dirs: &[Vec<u8>], name: &[u8]) -> Option<(&'static Fs, Ino, Vec<u8>)> {
    for dir in dirs {
        let path = [&dir[..], b"/", name].concat();
        let c_path = CString::new(&path[..]).ok()?;
        match paths::walk(AT_FDCWD, CPath::of(&c_path), Last::Follow) {
            Ok(Walked::Flac(fs, Resolved::Found { ino, kind: libc::S_IFREG, .. })) => return Some((fs, ino, path)),
            Err(Escape::NotOurs) if rustix::fs::stat(&c_path).is_ok() => return None,
            _ => {}
        }
    }
    None
}

/// Whether a directory is FLAC's, by its name alone.
pub fn leads_into_flac(dir: &[u8]) -> bool {
    matches!(paths::place(AT_FDCWD, dir, Last::Follow), Ok(Place::Flac(..)))
}

/// The absolute directory of a program: what the loader calls `$ORIGIN`.
pub fn directory_of(path: &[u8]) -> Vec<u8> {
    let dir = match path.iter().rposition(|b| *b == b'/') {
        Some(0) => b"/".to_vec(),
        Some(end) => path[..end].to_vec(),
        None => b".".to_vec(),
    };
    if dir.starts_with(b"/") {
        return dir;
    }
    let here: Answer<Vec<u8>> = crate::cwd::inode().and_then(|(fs, ino)| crate::cwd::path(fs, ino));
    here.map_or_else(|_| dir.clone(), |here| [&here[..], b"/", &dir].concat())
}

/// In a new image: takes back what was made ready for its start, given the value of its `LD_LIBRARY_PATH`. How many bytes at the value's start are ours.
pub fn clean_up(value: &[u8]) -> usize {
    let first = value.split(|b| *b == b':').next().unwrap_or_default();
    let ours = format!("/{DIR}/exec-{}", rustix::process::getpid().as_raw_nonzero());
    if !first.ends_with(ours.as_bytes()) {
        return 0;
    }
    for target in remove(Path::new(std::ffi::OsStr::from_bytes(first))) {
        let number = target.to_str().ok().and_then(|t| t.rsplit('/').next()?.parse::<i32>().ok());
        if let Some(fd) = number.filter(|fd| *fd >= HIGH) {
            close_memfd(fd);
        }
    }
    (first.len() + 1).min(value.len())
}

#[allow(unsafe_code, reason = "close")]
fn close_memfd(fd: i32) {
    // SAFETY: opened for the loader alone by the image before; the program does not know it.
    unsafe { crate::real::system_call(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) };
}
