//! The working directory. In FLAC, the kernel's is `<run dir>/d/<inode number in hex>`, so it survives fork and exec, and everything
//! relative that the program does behind our back fails instead of hitting another directory.

use crate::boundary::{Answer, Escape};
use crate::{config, fds, space};
use flac::Fs;
use flac::fs::names::{Last, Resolved};
use flac::units::Ino;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// Not looked at yet, or it changed behind our back.
const UNKNOWN: u64 = u64::MAX;
/// The kernel's.
const KERNEL: u64 = 0;

static CWD: AtomicU64 = AtomicU64::new(UNKNOWN);
/// The parent of the working directory when it was entered; 0 is none.
static PARENT: AtomicU64 = AtomicU64::new(0);

/// The working directory's inode; `NotOurs` if it is not in FLAC.
#[inline]
pub fn inode() -> Answer<(&'static Fs, Ino)> {
    match CWD.load(Ordering::Relaxed) {
        KERNEL => Err(Escape::NotOurs),
        UNKNOWN => look(),
        ino => Ok((space::fs()?, Ino::new(ino))),
    }
}

/// Whether the working directory might be in FLAC; false is certain.
#[inline]
pub fn maybe() -> bool {
    CWD.load(Ordering::Relaxed) != KERNEL
}

/// Whether it looks like FLAC's; joins no pool to know it.
pub fn seems_ours() -> bool {
    match CWD.load(Ordering::Relaxed) {
        KERNEL => false,
        UNKNOWN => rustix::process::getcwd(Vec::with_capacity(256)).is_ok_and(|path| stub_directory(path.to_bytes()).is_some()),
        _ => true,
    }
}

#[cold]
#[inline(never)]
fn look() -> Answer<(&'static Fs, Ino)> {
    let theirs = || {
        CWD.store(KERNEL, Ordering::Relaxed);
        Err(Escape::NotOurs)
    };
    // Unreachable or removed: not ours.
    let Ok(path) = rustix::process::getcwd(Vec::with_capacity(256)) else { return theirs() };
    let Some((run, ino)) = stub_directory(path.to_bytes()) else { return theirs() };
    let fs = space::fs()?;
    if run != fs.run_dir().as_os_str().as_bytes() {
        return theirs();
    }
    CWD.store(ino.get(), Ordering::Relaxed);
    hold(fs, ino);
    Ok((fs, ino))
}

/// Splits `<run dir>/d/<hex>`; `None` if `path` does not look so.
fn stub_directory(path: &[u8]) -> Option<(&[u8], Ino)> {
    let slash = path.iter().rposition(|b| *b == b'/')?;
    let run = path[..slash].strip_suffix(b"/d")?;
    let name = run.windows(5).any(|w| w == b"/flac").then_some(&path[slash + 1..])?;
    let ino = u64::from_str_radix(std::str::from_utf8(name).ok()?, 16).ok()?;
    (ino != KERNEL && ino != UNKNOWN).then(|| (run, Ino::new(ino)))
}

/// The FLAC directory that a link of the kernel's leads to, if it leads to one: `/proc/N/cwd` of another process.
pub fn behind(link: &[u8]) -> Option<Vec<u8>> {
    let target = rustix::fs::readlink(link, Vec::new()).ok()?;
    let (run, ino) = stub_directory(target.to_bytes())?;
    let fs = space::fs().ok().filter(|fs| fs.run_dir().as_os_str().as_bytes() == run)?;
    path(fs, ino).ok()
}

/// The kernel directory that stands for `ino` as working directory.
fn stub_path(fs: &Fs, ino: Ino) -> PathBuf {
    fs.run_dir().join("d").join(format!("{:x}", ino.get()))
}

/// Makes the directory `ino` the working directory. It is one, and may be searched: the caller has checked.
pub fn enter(fs: &Fs, ino: Ino) -> Answer<()> {
    let stub = stub_path(fs, ino);
    match rustix::process::chdir(&stub) {
        Err(rustix::io::Errno::NOENT) => {
            // Nothing is made in it: not by what does not see FLAC, nor by the kernel (core dumps), which root's processes may all the same.
            let mode = rustix::fs::Mode::from_raw_mode(0o555);
            match rustix::fs::mkdir(&stub, mode) {
                // The program's umask is for its own files.
                Ok(()) => drop(rustix::fs::chmod(&stub, mode)),
                Err(rustix::io::Errno::EXIST) => {}
                Err(e) => return Err(e.into()),
            }
            rustix::process::chdir(&stub)?;
        }
        other => other?,
    }
    CWD.store(ino.get(), Ordering::Relaxed);
    hold(fs, ino);
    let parent = match fs.resolve(ino, b"..", Last::Follow, &crate::creds::now().creds()) {
        Ok(Resolved::Found { ino, .. }) => ino.get(),
        _ => 0,
    };
    PARENT.store(parent, Ordering::Relaxed);
    Ok(())
}

/// Before the exec of a program that nothing can be preloaded into: where the pool is mounted at FLAC's root, the kernel's working directory
/// becomes the mount's, so that the program finds by its own system calls what lies there.
pub fn show_to_kernel() -> Option<Shown> {
    let (fs, ino) = inode().ok()?;
    if !config::settings().is_some_and(crate::mounts::is_mounted) {
        return None;
    }
    rustix::process::chdir(path(fs, ino).ok()?).ok()?;
    Some(Shown { stub: stub_path(fs, ino) })
}

/// Ends, as the exec has failed, with the working directory that was the kernel's before.
pub struct Shown {
    stub: PathBuf,
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = rustix::process::chdir(&self.stub);
    }
}

/// Where `rest` leads from `base`, if that is the working directory, removed meanwhile, and `rest` steps up from it: (its former parent, what follows).
pub fn way_up<'a>(fs: &Fs, base: Ino, rest: &'a [u8]) -> Option<(Ino, &'a [u8])> {
    let after = rest.strip_prefix(b"..").filter(|after| matches!(after.first(), None | Some(b'/')))?;
    let parent = PARENT.load(Ordering::Relaxed);
    let is_removed = CWD.load(Ordering::Relaxed) == base.get() && parent != 0 && fs.attr(base).is_ok_and(|a| a.nlink == 0);
    is_removed.then_some((Ino::new(parent), after))
}

/// The kernel has changed the working directory to one of its own.
pub fn left() {
    CWD.store(KERNEL, Ordering::Relaxed);
    let held = HOLD.load(Ordering::Relaxed);
    if let (Some(fs), Ok(hold)) = (space::opened(), usize::try_from(held)) {
        fs.release(hold);
    }
}

/// A descriptor of our own whose number is the hold on the working directory, so that it lives on when it is removed; -1 is none yet.
static HOLD: AtomicI32 = AtomicI32::new(-1);

/// The hold on the working directory.
pub fn held() -> Option<usize> {
    usize::try_from(HOLD.load(Ordering::Relaxed)).ok()
}

/// Holds `ino` as the working directory, instead of the one before. Without it all is well, too, until the directory is removed.
fn hold(fs: &Fs, ino: Ino) {
    let mut fd = HOLD.load(Ordering::Relaxed);
    if fd < 0 || !fds::is_own(fd) {
        let Ok(stub) = rustix::fs::open(fs.run_dir().join("stub"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { return };
        // Where the limit on open files is low, the number is worth more to the program.
        let Ok(high) = fds::above_floors(stub.as_fd()) else { return };
        fd = high.into_raw_fd();
        fds::note_own(fd);
        HOLD.store(fd, Ordering::Relaxed);
    }
    // Fails if the directory is removed already: then nothing is held.
    let _ = fs.open_file(ino, libc::O_PATH | libc::O_DIRECTORY, fd as usize);
}

/// The path that `getcwd` gives; `ENOENT` if the directory is removed.
pub fn path(fs: &Fs, ino: Ino) -> Answer<Vec<u8>> {
    let mut path = config::root().to_vec();
    path.extend_from_slice(&fs.path_of(ino)?);
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_directory_is_recognised_by_its_path() {
        let found = |p: &'static [u8]| stub_directory(p).map(|(run, ino)| (run, ino.get()));
        assert_eq!(found(b"/dev/shm/flac-1b/d/2f"), Some((&b"/dev/shm/flac-1b"[..], 0x2f)));
        assert_eq!(found(b"/run/flac/1b/d/1"), Some((&b"/run/flac/1b"[..], 1)));
        for other in [&b"/"[..], b"/home/d/1", b"/run/flac/1b/d", b"/run/flac/1b/d/x", b"/run/flac/1b/d/0", b"/run/flac/1b/e/1"] {
            assert_eq!(found(other), None);
        }
    }
}
