//! FIFOs and devices inside FLAC. FLAC stores the node; what flows through it is the kernel's: a FIFO is opened through one in
//! `<run dir>/fifo`, a device through a node of the same number there.

use crate::boundary::{Answer, Escape};
use crate::{fds, signals, space};
use flac::Fs;
use flac::units::Ino;
use libc::c_int;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this process has opened one.
static OPENED: AtomicBool = AtomicBool::new(false);

/// Whether a descriptor of the kernel's might be one of these; false is certain only for what this process opened itself, not the image before.
#[inline]
pub fn opened() -> bool {
    OPENED.load(Ordering::Relaxed)
}

/// The node behind a descriptor of the kernel's.
pub fn behind(fd: c_int) -> Answer<(&'static Fs, Ino)> {
    let fs = space::opened().filter(|_| opened()).ok_or(Escape::NotOurs)?;
    let path = rustix::fs::readlink(format!("/proc/self/fd/{fd}"), Vec::new()).map_err(|_| Escape::NotOurs)?;
    let rest = path.to_bytes().strip_prefix(fs.run_dir().as_os_str().as_bytes()).and_then(|rest| rest.strip_prefix(b"/fifo/"));
    let ino = rest.and_then(|name| u64::from_str_radix(std::str::from_utf8(name).ok()?, 16).ok());
    Ok((fs, Ino::new(ino.ok_or(Escape::NotOurs)?)))
}

/// Gives the kernel's FIFO the owner and mode that `fstat` is to show, where we may; else anyone may open it: permission was checked against FLAC's.
fn look_like(fs: &Fs, ino: Ino, stub: &std::path::Path) {
    let me = rustix::process::geteuid();
    let Ok(attr) = fs.attr(ino) else { return };
    if me.is_root() {
        let _ = rustix::fs::chown(stub, Some(rustix::fs::Uid::from_raw(attr.uid)), Some(rustix::fs::Gid::from_raw(attr.gid)));
    }
    let mode = if me.is_root() || me.as_raw() == attr.uid { attr.mode & 0o777 } else { 0o666 };
    let _ = rustix::fs::chmod(stub, Mode::from_raw_mode(mode));
}

/// Makes a directory for nodes of every user's.
pub fn make_directory(dir: &std::path::Path) {
    let _ = rustix::fs::mkdir(dir, Mode::from_raw_mode(0o777));
    let _ = rustix::fs::chmod(dir, Mode::from_raw_mode(0o1777));
}

/// Opens the node `ino`; permission was checked. Devices: `EACCES` unless the process may make nodes (and so may open any device).
pub fn open(fs: &Fs, ino: Ino, kind: u32, flags: c_int) -> Answer<c_int> {
    // A whiteout: there is no such device.
    if kind == libc::S_IFCHR && fs.attr(ino)?.rdev == 0 {
        return Err(Escape::Fail(libc::ENXIO));
    }
    let dir = fs.run_dir().join("fifo");
    let stub = dir.join(format!("{:x}", ino.get()));
    let make = || match kind {
        libc::S_IFIFO => rustix::fs::mknodat(CWD, &stub, FileType::Fifo, Mode::from_raw_mode(0o666), 0),
        _ => {
            let rdev = fs.attr(ino).map_err(|_| Errno::IO)?.rdev;
            rustix::fs::mknodat(CWD, &stub, FileType::from_raw_mode(kind), Mode::from_raw_mode(0o600), rdev).map_err(|_| Errno::ACCESS)
        }
    };
    match make() {
        Err(Errno::NOENT) => {
            make_directory(&dir);
            make()
        }
        other => other,
    }
    .or_else(|e| if e == Errno::EXIST { Ok(()) } else { Err(e) })?;
    if kind == libc::S_IFIFO {
        look_like(fs, ino, &stub);
    }
    let how = OFlags::from_bits_retain((flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC)).cast_unsigned());
    // This waits for the other end: handlers run as in any call that waits, and none of our locks is held. A signal that came before it is one that came in the midst of it.
    let waits = kind == libc::S_IFIFO && flags & libc::O_NONBLOCK == 0 && flags & libc::O_ACCMODE != libc::O_RDWR;
    let fd = crate::boundary::call_out(|| match waits && signals::is_waiting() && !signals::restarts() {
        true => Err(Errno::INTR),
        false => crate::boundary::wait_out(|| rustix::fs::open(&stub, how, Mode::empty())),
    })?;
    fds::note_kernel(fd.as_raw_fd());
    OPENED.store(true, Ordering::Relaxed);
    Ok(fd.into_raw_fd())
}
