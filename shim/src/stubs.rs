//! Stubs: the kernel descriptors that stand for FLAC's open files, see [`crate::fds`].
//!
//! Opening one costs as much as opening any file (2.1 us with its close, of which the kernel's walk is most); duplicating one that is open costs 0.46 us. So the
//! process keeps a *template*, and a file that it opens gets a duplicate. Duplicates share the template's description, and with it the offset 0, which names no
//! open-file slot: only the process's holds know what they stand for. Before such a descriptor leaves the process, by exec or in a message, it gets a
//! description of its own, whose offset names the slot.
//!
//! The stub of what was opened with `O_PATH` is opened so, too, and the kernel refuses all that it refuses then (`read`, `poll`, `select`, `epoll`). It has another template; and as there is no
//! offset, the description of its own has a name of its own, `stub.<slot in hex>`, which `/proc/self/fd` goes on telling when it is removed, right after the opening.

use crate::boundary::Answer;
use crate::fds;
use flac::Fs;
use flac::fs::open::OpenId;
use libc::c_int;
use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

/// The offset of the template.
pub const NO_SLOT: u64 = 0;

static TEMPLATE: AtomicI32 = AtomicI32::new(-1);
static PATH_TEMPLATE: AtomicI32 = AtomicI32::new(-1);

/// The template of stubs that are opened as `how` says, `O_PATH` or access mode 3.
fn template_of(how: c_int) -> &'static AtomicI32 {
    if how == libc::O_PATH { &PATH_TEMPLATE } else { &TEMPLATE }
}

/// A new descriptor on the run directory's stub, with the lowest free number.
fn open(fs: &Fs, how: c_int, cloexec: bool) -> rustix::io::Result<OwnedFd> {
    open_at(&fs.run_dir().join("stub"), how, cloexec)
}

fn open_at(path: &Path, how: c_int, cloexec: bool) -> rustix::io::Result<OwnedFd> {
    let mut how = OFlags::from_bits_retain(how as u32);
    how.set(OFlags::CLOEXEC, cloexec);
    rustix::fs::open(path, how, Mode::empty())
}

/// How the stub of a watched file that is open for writing is opened, so that the kernel tells of its closing as such. It has the largest size there is: what is
/// appended to it past our hooks is `EFBIG`.
pub const WATCHED_WRITER: c_int = libc::O_WRONLY | libc::O_APPEND;

/// A stub for what is opened with `flags`, with the lowest free number, and whether it is a duplicate (which says nothing about its slot) or has a description of its own.
pub fn make(fs: &Fs, flags: c_int) -> rustix::io::Result<(OwnedFd, bool)> {
    let cloexec = flags & libc::O_CLOEXEC != 0;
    let how = if flags & libc::O_PATH != 0 { libc::O_PATH } else { libc::O_ACCMODE };
    loop {
        let template = template_of(how).load(Ordering::Acquire);
        let Ok(borrowed) = fds::borrow(template) else {
            if make_template(fs, how)? {
                continue;
            }
            return open(fs, libc::O_ACCMODE, cloexec).map(|stub| (stub, false));
        };
        let made = match cloexec {
            true => rustix::io::fcntl_dupfd_cloexec(borrowed, 0),
            false => rustix::io::dup(borrowed),
        };
        match made {
            // Somebody has closed it past our hooks.
            Err(Errno::BADF) => forget(template),
            made => return made.map(|stub| (stub, true)),
        }
    }
}

/// Opens the templates before the process gives up to open files.
pub fn prepare(fs: &Fs) {
    for how in [libc::O_ACCMODE, libc::O_PATH] {
        if template_of(how).load(Ordering::Acquire) < 0 {
            let _ = make_template(fs, how);
        }
    }
}

/// False: the limit on open files leaves no number that is out of the program's way.
#[cold]
fn make_template(fs: &Fs, how: c_int) -> rustix::io::Result<bool> {
    let low = open(fs, how, true)?;
    let Ok(high) = fds::above_floors(low.as_fd()) else { return Ok(false) };
    let high = high.into_raw_fd();
    fds::note_own(high);
    if template_of(how).compare_exchange(-1, high, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        // Another thread was faster.
        fds::discard_own(high);
    }
    Ok(true)
}

/// The number `fd` is about to be the program's, or is closed: if it was a template, there is none.
pub fn forget(fd: c_int) {
    for template in [&TEMPLATE, &PATH_TEMPLATE] {
        if fd >= 0 && template.compare_exchange(fd, -1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            fds::forget_own(fd);
        }
    }
}

/// The open-file slot that the description of the stub at `fd`, opened with `flags`, names; [`NO_SLOT`] if it is a duplicate of a template.
pub fn slot(fd: c_int, flags: OFlags) -> Answer<u64> {
    if !flags.contains(OFlags::PATH) {
        return Ok(rustix::fs::tell(fds::borrow(fd)?)?);
    }
    fds::name_of(fd, |name| {
        let digits =
            name.rsplit(|b| *b == b'/').next().and_then(|last| last.strip_prefix(NAMED)).and_then(|id| id.split(|b| *b == b' ').next());
        digits.and_then(|id| u64::from_str_radix(std::str::from_utf8(id).ok()?, 16).ok()).unwrap_or(NO_SLOT)
    })
}

/// How the name of a stub begins that has one of its own.
pub const NAMED: &[u8] = b"stub.";

/// As [`separate`], for what was opened with `O_PATH`.
fn separate_path(fs: &Fs, fd: c_int, id: OpenId) -> Answer<()> {
    let flags = rustix::io::fcntl_getfd(fds::borrow(fd)?)?;
    let name = fs.run_dir().join(format!("stub.{:x}", id.to_raw()));
    let own = loop {
        match rustix::fs::link(fs.run_dir().join("stub"), &name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        match open_at(&name, libc::O_PATH, true) {
            // Another process does the same, and was faster.
            Err(Errno::NOENT) => {}
            made => break made,
        }
    };
    let _ = rustix::fs::unlink(&name);
    Ok(replace(own?.as_raw_fd(), fd, flags.contains(rustix::io::FdFlags::CLOEXEC))?)
}

/// Gives the duplicate at `fd`, held as `id`, a description of its own. The number never stands for anything else meanwhile.
///
/// # Errors
/// `EMFILE`, `ENFILE`: it stays a duplicate.
pub fn separate(fs: &Fs, fd: c_int, id: OpenId) -> Answer<()> {
    // Where it can't have a name it is a stub like the others.
    if fs.open_flags(id) & libc::O_PATH != 0 && separate_path(fs, fd, id).is_ok() {
        return Ok(());
    }
    separate_at(&fs.run_dir().join("stub"), libc::O_ACCMODE, fd, id)
}

/// As [`separate`], with a stub at `path`, opened as `how` says.
pub fn separate_at(path: &Path, how: c_int, fd: c_int, id: OpenId) -> Answer<()> {
    let old = fds::borrow(fd)?;
    let flags = rustix::io::fcntl_getfd(old)?;
    let own = open_at(path, how, true).or_else(|e| {
        let template = TEMPLATE.load(Ordering::Acquire);
        if e != Errno::MFILE || TEMPLATE.compare_exchange(template, -1, Ordering::AcqRel, Ordering::Relaxed).is_err() || template < 0 {
            return Err(e);
        }
        // Its number is the one that is missing.
        fds::discard_own(template);
        open_at(path, how, true)
    })?;
    rustix::fs::seek(&own, SeekFrom::Start(id.to_raw()))?;
    replace(own.as_raw_fd(), fd, flags.contains(rustix::io::FdFlags::CLOEXEC))?;
    Ok(())
}

/// Gives the duplicate at `to` the description that `from`, of the same open file, has.
pub fn share(from: c_int, to: c_int) -> Answer<()> {
    let flags = rustix::io::fcntl_getfd(fds::borrow(to)?)?;
    Ok(replace(fds::borrow(from)?.as_raw_fd(), to, flags.contains(rustix::io::FdFlags::CLOEXEC))?)
}

/// `dup3` over a number of the program's.
#[expect(unsafe_code, reason = "a number of the program's is replaced, not owned")]
pub fn replace(from: c_int, to: c_int, cloexec: bool) -> rustix::io::Result<()> {
    let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
    // SAFETY: plain numbers; `to` is a stub before and after.
    let made = unsafe { crate::real::system_call(libc::SYS_dup3, [from as usize, to as usize, flags as usize, 0, 0, 0]) };
    if made < 0 { Err(Errno::from_raw_os_error(crate::boundary::errno())) } else { Ok(()) }
}
