//! Descriptors that keep out of the program's way: close-on-exec, with numbers that programs do not use, and never
//! mistaken for a descriptor of the program that got the same number.
//!
//! A process whose limit on open files is low may have no numbers left, let alone high ones. But a descriptor beyond the limit stays what it is, over fork and exec,
//! if it was opened before the limit was lowered. So such descriptors are *left open* for whoever comes next (a new image, a forked child's new environment): that
//! they are not close-on-exec says that they are free to be [taken over](taken_over).
#![expect(unsafe_code, reason = "the one owner of raw descriptor numbers: std's closes through libc, whose symbols we interpose")]

use crate::sync::is_single_threaded;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::{Errno, FdFlags, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Descriptor numbers from here on are ours, where the limit on open files allows.
pub const HIGH_FD: RawFd = 900;
/// Where our numbers begin, the first that the limit allows.
const FLOORS: [RawFd; 2] = [HIGH_FD, 200];
/// How many numbers from each of these on are looked at for descriptors left open.
const SPAN: RawFd = 24;

/// Who keeps a list of our numbers, if anybody does.
static TOLD: std::sync::OnceLock<fn(RawFd, bool)> = std::sync::OnceLock::new();

/// Has `told` called with each number that is ours from now on (`true`) or is not any more, by whichever thread or forked child opens or closes. Called once, before anything is opened.
pub fn tell_numbers(told: fn(RawFd, bool)) {
    let _ = TOLD.set(told);
}

fn tell(raw: RawFd, is_ours: bool) {
    if let Some(told) = TOLD.get()
        && raw >= FLOORS[1]
    {
        told(raw, is_ours);
    }
}

/// The number is ours from now on, and kept by somebody else's code.
pub(crate) fn lends(raw: RawFd) {
    tell(raw, true);
}

/// Such a number is about to be closed by that code.
pub(crate) fn takes_back(raw: RawFd) {
    tell(raw, false);
}

/// Set while a process without other threads joins a pool: see [`trusting`].
static TRUSTED: AtomicBool = AtomicBool::new(false);

/// Runs `f`, in which this process's only thread opens files, without asking again and again whether the program has closed them: it does nothing meanwhile. Where there are other threads, `f` runs
/// as ever.
pub(crate) fn trusting<R>(f: impl FnOnce() -> R) -> R {
    /// An unwinding thread ends it, too.
    struct Trust;
    impl Drop for Trust {
        fn drop(&mut self) {
            TRUSTED.store(false, Ordering::Relaxed);
        }
    }
    TRUSTED.store(is_single_threaded(), Ordering::Relaxed);
    let _trust = Trust;
    f()
}

/// Whether what was opened is certain to be what it was, see [`trusting`].
pub(crate) fn is_trusted() -> bool {
    TRUSTED.load(Ordering::Relaxed)
}

/// There is another table of descriptors: each one is looked at again from now on.
pub(super) fn distrust() {
    TRUSTED.store(false, Ordering::Relaxed);
}

/// Which file a descriptor refers to: device and inode.
pub(crate) type FileId = (u64, u64);

/// An open descriptor. Dropping closes it, unless the program has closed it before us and the number means another file.
#[derive(Debug)]
pub(crate) struct Fd {
    raw: RawFd,
    id: FileId,
}

impl Fd {
    /// Opens `path` at a high descriptor number.
    pub(crate) fn open(path: &Path, flags: OFlags, mode: Mode) -> Result<Fd> {
        let low = match rustix::fs::open(path, flags | OFlags::CLOEXEC, mode) {
            Err(Errno::MFILE) => match Fd::left_open_at(path, flags) {
                Some(fd) => return Ok(fd),
                None => open_lasting(path, flags, mode)?,
            },
            low => low?,
        };
        Fd::moved_high(low)
    }

    /// Gives what was just opened a high number.
    pub(crate) fn moved_high(low: OwnedFd) -> Result<Fd> {
        let stat = rustix::fs::fstat(&low);
        let low_raw = low.into_raw_fd();
        let low = Fd { raw: low_raw, id: (0, 0) };
        let id = stat.map(|stat| (stat.st_dev, stat.st_ino))?;
        let raw = duplicate_high(&low, id).unwrap_or(low_raw);
        std::mem::forget(low);
        if raw != low_raw {
            // SAFETY: the caller handed the number over, and nobody else knows it.
            unsafe { rustix::io::close(low_raw) };
        }
        tell(raw, true);
        Ok(Fd { raw, id })
    }

    /// What was left open of `path`.
    fn left_open_at(path: &Path, flags: OFlags) -> Option<Fd> {
        let stat = rustix::fs::stat(path).ok()?;
        let id = (stat.st_dev, stat.st_ino);
        taken_over(id, flags).inspect(|raw| tell(*raw, true)).map(|raw| Fd { raw, id })
    }

    /// As [`leave_open`]; if it answers true, the caller forgets the value.
    pub(crate) fn leave_open(&self) -> bool {
        leave_open(self.raw, self.id)
    }

    /// Opens `path` for a moment, at whatever number is free.
    pub(crate) fn open_briefly(path: &Path, flags: OFlags) -> Result<Fd> {
        let fd = rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?;
        let mut fd = Fd { raw: fd.into_raw_fd(), id: (0, 0) };
        let stat = rustix::fs::fstat(&fd)?;
        fd.id = (stat.st_dev, stat.st_ino);
        Ok(fd)
    }

    /// Which file was opened.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// The number.
    pub(crate) fn raw(&self) -> RawFd {
        self.raw
    }

    /// Whether programs do not use the number.
    pub(crate) fn is_high(&self) -> bool {
        is_high(&self.as_fd())
    }

    /// Whether the number still means the file that was opened: a program may close all descriptors, ours included.
    pub(crate) fn is_ours(&self) -> bool {
        is_trusted() || refers_to(self.raw, self.id)
    }
}

/// Opens a file that is kept open, beyond the limit on open files if there is no other way.
pub(crate) fn open_lasting(path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let open = || rustix::fs::open(path, flags | OFlags::CLOEXEC, mode);
    match open() {
        Err(Errno::MFILE) => beyond_the_limit(open),
        opened => opened,
    }
}

/// Opens with a limit on open files that is raised for the moment by a few numbers, where this process may raise it; `EMFILE` elsewhere. What was opened stays open
/// beyond the limit. Another thread may get such a number in this moment, instead of `EMFILE`.
pub(crate) fn beyond_the_limit<T, E: From<Errno>>(open: impl FnOnce() -> std::result::Result<T, E>) -> std::result::Result<T, E> {
    const FEW: u64 = 16;
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.ok_or(Errno::MFILE)?;
    let soft = Some(current.saturating_add(FEW));
    let within = Rlimit { current: soft, maximum: limit.maximum };
    let raised = match setrlimit(Resource::Nofile, within) {
        Ok(()) => within,
        Err(_) => Rlimit { current: soft, maximum: soft },
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| Errno::MFILE)?;
    let opened = open();
    // Unless the program has set another one meanwhile.
    if getrlimit(Resource::Nofile).current == soft {
        let _ = setrlimit(Resource::Nofile, limit);
    }
    opened
}

/// Whether descriptor `raw` is open and refers to the file `id`.
pub(crate) fn refers_to(raw: RawFd, id: FileId) -> bool {
    if raw < 0 {
        return false;
    }
    // SAFETY: the number is only handed to `statx` and `fstat`, which answer EBADF if it is closed.
    let fd = unsafe { BorrowedFd::borrow_raw(raw) };
    // Not of the times: who has asked for them is promised that the next write changes them, so that each write of ours would have the kernel encode the inode anew (1 us, on ext4).
    match rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::INO) {
        Ok(stat) => (rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino) == id,
        Err(Errno::BADF) => false,
        // A program may have forbidden itself this call.
        Err(_) => rustix::fs::fstat(fd).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == id),
    }
}

/// A close-on-exec descriptor of the file `id`, which `fd` is, with a high number: a duplicate, or what was left open. `None` where the limit on open files
/// allows none and there is none.
pub(crate) fn duplicate_high(fd: impl AsFd, id: FileId) -> Option<RawFd> {
    let duplicate = |floor| rustix::io::fcntl_dupfd_cloexec(&fd, floor).ok().map(IntoRawFd::into_raw_fd);
    FLOORS.into_iter().find_map(duplicate).or_else(|| taken_over(id, rustix::fs::fcntl_getfl(&fd).ok()?))
}

/// A descriptor of the file `id`, opened as `flags` say, that was left open. It is the caller's from now on.
pub(crate) fn taken_over(id: FileId, flags: OFlags) -> Option<RawFd> {
    let how = OFlags::RDWR | OFlags::WRONLY | OFlags::DIRECT | OFlags::APPEND;
    let numbers = FLOORS.into_iter().flat_map(|floor| floor..floor + SPAN);
    numbers.filter(|raw| refers_to(*raw, id)).find(|raw| {
        // SAFETY: open, seen just now; both calls only look at it and at its flags.
        let fd = unsafe { BorrowedFd::borrow_raw(*raw) };
        rustix::io::fcntl_getfd(fd).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
            && rustix::fs::fcntl_getfl(fd).is_ok_and(|has| has & how == flags & how)
            && rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC).is_ok()
    })
}

/// Leaves descriptor `raw`, the caller's own of the file `id`, open for whoever needs one, if its number is beyond the limit on open files, so that it could not be
/// opened again. Otherwise nothing is done, and it is still the caller's.
pub(crate) fn leave_open(raw: RawFd, id: FileId) -> bool {
    let limit = getrlimit(Resource::Nofile).current;
    if limit.is_none_or(|limit| (raw as u64) < limit) || !refers_to(raw, id) {
        return false;
    }
    // SAFETY: open, seen just now.
    let fd = unsafe { BorrowedFd::borrow_raw(raw) };
    rustix::io::fcntl_setfd(fd, FdFlags::empty()).is_ok()
}

/// Whether programs do not use the number.
pub(crate) fn is_high(fd: &impl AsRawFd) -> bool {
    fd.as_raw_fd() >= FLOORS[1]
}

/// An owner for what [`duplicate_high`] returned.
pub(crate) fn own(raw: RawFd) -> OwnedFd {
    // SAFETY: the caller was given the number and hands it over.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Closes descriptor `raw` if it still refers to the file `id`, which is the caller's alone.
pub(crate) fn close_if_ours(raw: RawFd, id: FileId) {
    tell(raw, false);
    if is_trusted() || refers_to(raw, id) {
        // SAFETY: it is the file the caller opened under this number.
        unsafe { rustix::io::close(raw) };
    }
}

/// Locks an open file's first byte against other open files: for all of its copies, those of forked children, too, and until they are closed. `alone`: nobody else may have it locked;
/// `None`: gives the lock up. `EAGAIN` if another has it. Where there are no such locks nothing is locked.
pub(crate) fn lock_open_file(fd: BorrowedFd<'_>, alone: Option<bool>) -> Result<()> {
    // SAFETY: plain numbers, valid when zero.
    let mut region: libc::flock = unsafe { std::mem::zeroed() };
    region.l_type = alone.map_or(libc::F_UNLCK, |alone| if alone { libc::F_WRLCK } else { libc::F_RDLCK }) as _;
    region.l_whence = libc::SEEK_SET as _;
    region.l_len = 1;
    // SAFETY: an open descriptor and a valid structure. (As for the metadata KV's: whoever interposes `fcntl` lets ours pass.)
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &region) } {
        0 => Ok(()),
        _ => match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => Err(Errno::AGAIN),
            _ => Ok(()),
        },
    }
}

/// Begins writing out dirty pages of the range; to the end if `len` is 0.
pub(crate) fn write_out(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: an open descriptor and plain numbers. (rustix does not have this call; whoever interposes it lets ours pass.)
    match unsafe { libc::sync_file_range(fd.as_raw_fd(), offset as i64, len as i64, libc::SYNC_FILE_RANGE_WRITE) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().raw_os_error().map_or(rustix::io::Errno::IO, rustix::io::Errno::from_raw_os_error)),
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: closed by `drop` only; where the program closed it behind our back a system call answers EBADF, and
        // callers that would harm a foreign file ask `is_ours` first.
        unsafe { BorrowedFd::borrow_raw(self.raw) }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        close_if_ours(self.raw, self.id);
    }
}
