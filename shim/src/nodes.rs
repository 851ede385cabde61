//! FIFOs and devices inside FLAC. FLAC stores the node; what flows through it is the kernel's: a FIFO is opened through one in
//! `<run dir>/fifo`, a device through a node of the same number there.
#![expect(unsafe_code, reason = "a call of libc's function")]

use crate::boundary::{self, Answer, Escape, Wait};
use crate::real::Symbol;
use crate::{fds, signals, space};
use flac::Fs;
use flac::units::Ino;
use libc::{c_char, c_int};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::cell::Cell;
use std::io::Write as _;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Room for the path of a FIFO that is waited for.
const PATH: usize = 512;

/// A FIFO's inode, and how it is to be opened.
type ToOpen = (u64, c_int);

thread_local! {
    static TO_OPEN: Cell<ToOpen> = const { Cell::new((0, 0)) };
}

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
            rustix::fs::mknodat(CWD, &stub, FileType::from_raw_mode(kind), Mode::from_raw_mode(0o600), rdev).map_err(|e| match e {
                Errno::EXIST | Errno::NOENT => e,
                _ => Errno::ACCESS,
            })
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
    let how = flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC);
    let waits = kind == libc::S_IFIFO && flags & libc::O_NONBLOCK == 0 && flags & libc::O_ACCMODE != libc::O_RDWR;
    if waits && stub.as_os_str().len() < PATH {
        TO_OPEN.set((ino.get(), how));
        return Err(Escape::Outside(Wait::Open));
    }
    let fd = rustix::fs::open(&stub, OFlags::from_bits_retain(how.cast_unsigned()), Mode::empty())?;
    fds::note_kernel(fd.as_raw_fd());
    OPENED.store(true, Ordering::Relaxed);
    Ok(fd.into_raw_fd())
}

/// What [`open`] has left to [`open_outside`]. To be asked inside: afterwards a handler's own call may have put something else there.
pub fn to_open() -> ToOpen {
    TO_OPEN.get()
}

/// The end of an [`open`] that waits for the other end of a FIFO, as libc's own: handlers run, the thread may be cancelled, and there is nothing to drop in this frame. Sets errno. A
/// signal that came before it is one that came in the midst of it.
pub fn open_outside((ino, how): ToOpen) -> c_int {
    type Function = unsafe extern "C-unwind" fn(*const c_char, c_int, libc::mode_t) -> c_int;
    static REAL: Symbol = Symbol::new();
    let interrupted = signals::is_waiting() && !signals::restarts();
    signals::deliver();
    if interrupted {
        boundary::set_errno(libc::EINTR);
        return -1;
    }
    let mut path = [0; PATH];
    if let Some(fs) = space::opened() {
        let _ = write!(&mut path[..PATH - 1], "{}/fifo/{ino:x}", fs.run_dir().display());
    }
    // SAFETY: libc's function has this type; the path ends with a NUL.
    let fd = unsafe { std::mem::transmute::<*mut libc::c_void, Function>(REAL.get(c"open"))(path.as_ptr().cast(), how, 0) };
    if fd >= 0 {
        fds::note_kernel(fd);
        OPENED.store(true, Ordering::Relaxed);
    }
    fd
}

/// Ends the call inside where it can't be ended outside: the program's handlers run meanwhile, but the thread is not cancelled.
pub fn wait_here(opened: Answer<c_int>) -> Answer<c_int> {
    match opened {
        Err(Escape::Outside(Wait::Open)) => {
            let what = to_open();
            boundary::checked(boundary::call_out(|| boundary::sheltered(|| open_outside(what))))
        }
        other => other,
    }
}
