//! Kernel descriptors that stand for FLAC's open files.
//!
//! Such a descriptor is a *stub*: a real one on `<run dir>/stub`, opened with access mode 3, so that `read` and `write` that bypass us
//! fail with EBADF (or with `O_PATH`, where the program has asked for that). Numbers, `dup`, `fork`, `exec` and `SCM_RIGHTS` are thus the kernel's business. One that another process may come to hold has the number of
//! the open-file slot as its offset, so that it is known from the descriptor alone; before that it is a duplicate, see [`stubs`].
//!
//! `KINDS` remembers for each number what it is. KERNEL may stay when a descriptor is closed behind our back (inside libc): it is wrong only once
//! the number is a stub, and whatever makes stubs (open, dup, `SCM_RIGHTS`, inheritance) sets the kind anew.

use crate::boundary::{Answer, Escape};
use crate::{config, space, stubs, uses};
use flac::Fs;
use flac::fs::open::OpenId;
use flac::units::Ino;
use libc::c_int;
use rustix::fs::SeekFrom;
use rustix::io::FdFlags;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

/// Descriptors from this number on are never FLAC's: `flac` holds no more.
const LIMIT: usize = 1 << 16;

/// Whether `fd` is beyond the numbers that a FLAC file can have.
pub fn is_beyond(fd: c_int) -> bool {
    usize::try_from(fd).is_ok_and(|fd| fd >= LIMIT)
}

const UNKNOWN: u8 = 0;
const KERNEL: u8 = 1;
/// A stub with a description of its own.
const FLAC: u8 = 2;
/// A stub that is a duplicate of the template. The numbers from [`FLAC`] on are FLAC's.
const DUPLICATE: u8 = 3;

#[expect(unsafe_code, reason = "a section by name")]
#[unsafe(link_section = ".sbss.large")]
static KINDS: [AtomicU8; LIMIT] = [const { AtomicU8::new(UNKNOWN) }; LIMIT];

fn kind(fd: c_int) -> Option<&'static AtomicU8> {
    KINDS.get(usize::try_from(fd).ok()?)
}

/// Whether `fd` could be FLAC's: the test of every hook on descriptors, a load and two compares for one that is known not to be.
#[inline(always)]
pub fn maybe(fd: c_int) -> bool {
    // A negative number wraps to one beyond the table.
    match KINDS.get(fd as u32 as usize) {
        Some(kind) => config::on() && kind.load(Ordering::Relaxed) != KERNEL,
        None => false,
    }
}

/// The kernel has made `fd`, or it is known not to be FLAC's.
pub fn note_kernel(fd: c_int) {
    if let Some(kind) = kind(fd) {
        kind.store(KERNEL, Ordering::Relaxed);
    }
}

/// `fd` is closed, or came from somewhere else (`SCM_RIGHTS`): look when it is used.
pub fn note_unknown(fd: c_int) {
    if let Some(kind) = kind(fd) {
        kind.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// `fd` is a stub that is held.
fn note_flac(fd: c_int, is_duplicate: bool) {
    if let Some(kind) = kind(fd) {
        kind.store(if is_duplicate { DUPLICATE } else { FLAC }, Ordering::Relaxed);
    }
}

fn is_duplicate(fd: c_int) -> bool {
    kind(fd).is_some_and(|kind| kind.load(Ordering::Relaxed) == DUPLICATE)
}

/// The open file behind `fd`; `NotOurs` if it is not FLAC's.
#[inline]
pub fn open_file(fd: c_int) -> Answer<(&'static Fs, OpenId)> {
    let kind = kind(fd).ok_or(Escape::NotOurs)?;
    if kind.load(Ordering::Relaxed) >= FLAC
        && let Some(fs) = space::opened()
        && let Some(id) = fs.held(fd as usize)
        && uses::begin(fs, fd as usize, id)
    {
        return Ok((fs, id));
    }
    look(fd)
}

/// The `Fs`, if `fd` is known to be FLAC's.
#[inline(always)]
pub fn known(fd: c_int) -> Option<&'static Fs> {
    let kind = KINDS.get(fd as u32 as usize)?;
    if kind.load(Ordering::Relaxed) >= FLAC { space::opened() } else { None }
}

/// The inode behind `fd`; `NotOurs` if it is not FLAC's.
pub fn inode(fd: c_int) -> Answer<(&'static Fs, Ino)> {
    let (fs, id) = open_file(fd)?;
    Ok((fs, fs.open_ino(id)))
}

/// Whether `fd` is FLAC's; asks the kernel if it isn't known. False if FLAC can't be opened.
pub fn is_flac(fd: c_int) -> bool {
    maybe(fd) && open_file(fd).is_ok()
}

/// The kernel's descriptor, borrowed for one raw call.
#[expect(unsafe_code, reason = "a number from the program")]
pub fn borrow(fd: c_int) -> Answer<BorrowedFd<'static>> {
    if fd < 0 {
        return Err(Escape::Fail(libc::EBADF));
    }
    // SAFETY: not -1; the kernel answers EBADF if the program has closed it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Asks the kernel what `fd` is, and remembers it.
#[cold]
#[inline(never)]
fn look(fd: c_int) -> Answer<(&'static Fs, OpenId)> {
    let stub = borrow(fd)?;
    // Closed: libc says EBADF.
    let flags = rustix::fs::fcntl_getfl(stub).map_err(|_| Escape::NotOurs)?;
    if !is_opened_as_stub(flags) || !is_stub(fd)? {
        note_kernel(fd);
        return Err(Escape::NotOurs);
    }
    let was_open = space::opened().is_some();
    let fs = space::fs()?;
    // It may be another pool's.
    if !was_open && !is_stub(fd)? {
        note_kernel(fd);
        return Err(Escape::NotOurs);
    }
    let slot = stubs::slot(fd, flags)?;
    let (id, held) = (OpenId::from_raw(slot), fs.held(fd as usize));
    let is_duplicate = slot == stubs::NO_SLOT && held.is_some();
    if !is_duplicate && held != Some(id) {
        fs.adopt(id, fd as usize)?;
    }
    note_flac(fd, is_duplicate);
    let id = held.filter(|_| is_duplicate).unwrap_or(id);
    if uses::begin(fs, fd as usize, id) { Ok((fs, id)) } else { Err(Escape::Fail(libc::EBADF)) }
}

/// Whether a descriptor with these flags may be a stub.
fn is_opened_as_stub(flags: rustix::fs::OFlags) -> bool {
    let flags = flags.bits() as c_int;
    flags & libc::O_PATH != 0
        || flags & libc::O_ACCMODE == libc::O_ACCMODE
        || flags & (libc::O_ACCMODE | libc::O_APPEND) == stubs::WATCHED_WRITER
}

/// Whether the file behind `fd` is a stub in the run directory; of any pool, if ours is not open yet.
fn is_stub(fd: c_int) -> Answer<bool> {
    name_of(fd, |target| match space::opened() {
        Some(fs) => {
            use std::os::unix::ffi::OsStrExt;
            let rest = target.strip_prefix(fs.run_dir().as_os_str().as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
            rest.is_some_and(|rest| rest == b"stub" || rest.starts_with(stubs::NAMED) || rest.starts_with(b"w/"))
        }
        None => looks_like_a_stub(target),
    })
}

/// Calls `f` with the name of what the kernel has open at `fd`.
pub fn name_of<R>(fd: c_int, f: impl FnOnce(&[u8]) -> R) -> Answer<R> {
    let mut path = [0u8; 32];
    let link = format_into(&mut path, fd);
    let mut place = [const { std::mem::MaybeUninit::uninit() }; 256];
    // Another thread has closed it.
    let closed = |e| if e == rustix::io::Errno::NOENT { rustix::io::Errno::BADF } else { e };
    let (target, _) = rustix::fs::readlinkat_raw(rustix::fs::CWD, link, &mut place).map_err(closed)?;
    Ok(f(target))
}

/// Whether `path` is in the run directory of some pool, and there a stub or a shadow.
fn looks_like_a_stub(path: &[u8]) -> bool {
    let is_run_dir = |part: &[u8]| part.strip_prefix(b"flac-").is_some_and(|id| id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit));
    let mut parts = path.split(|c| *c == b'/').skip_while(|part| !is_run_dir(part)).skip(1);
    match (parts.next(), parts.next()) {
        (Some(name), None) => name == b"stub" || name.starts_with(stubs::NAMED),
        (first, _) => first == Some(b"w"),
    }
}

/// `/proc/self/fd/N`, without allocating.
fn format_into(to: &mut [u8; 32], fd: c_int) -> &[u8] {
    use std::io::Write;
    let mut rest = &mut to[..];
    let _ = write!(rest, "/proc/self/fd/{fd}");
    let left = rest.len();
    &to[..to.len() - left]
}

/// The process that the kernel's descriptor `process` stands for, as this process's namespace numbers it.
pub fn process_behind(process: c_int) -> Option<c_int> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{process}")).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok()).filter(|pid| *pid > 0)
}

/// `fd` is a duplicate of what `process`, the kernel's descriptor of a process, has open at `number`: a stub that does not say what it stands for is held as there.
pub fn fetched(fd: c_int, process: c_int, number: c_int) -> Answer<()> {
    note_unknown(fd);
    let stub = borrow(fd)?;
    let flags = rustix::fs::fcntl_getfl(stub)?;
    if !is_opened_as_stub(flags) || !is_stub(fd)? || stubs::slot(fd, flags)? != stubs::NO_SLOT {
        return Ok(());
    }
    let fs = space::fs()?;
    // It may be another pool's.
    if !is_stub(fd)? {
        return Ok(());
    }
    let id = process_behind(process).and_then(|pid| fs.held_by(pid as u32, number as usize)).ok_or(Escape::Fail(libc::EBADF))?;
    fs.adopt(id, fd as usize)?;
    note_flac(fd, true);
    // Where there is no descriptor left for that it stays as it is.
    let _ = identify(fd);
    Ok(())
}

/// Opens a file with `open_at`, which holds it at the number that it is given, and returns the descriptor: the lowest free number.
pub fn open(fs: &'static Fs, flags: c_int, open_at: impl FnOnce(usize) -> flac::Result<OpenId>) -> Answer<c_int> {
    let (stub, is_duplicate) = stubs::make(fs, flags)?;
    let fd = stub.as_raw_fd();
    if fd as usize >= LIMIT {
        return Err(Escape::Fail(libc::EMFILE));
    }
    let id = open_at(fd as usize)?;
    if !is_duplicate && let Err(e) = rustix::fs::seek(&stub, SeekFrom::Start(id.to_raw())) {
        fs.release(fd as usize);
        return Err(e.into());
    }
    note_flac(fd, is_duplicate);
    show_opening(fs, fd, id, flags);
    Ok(stub.into_raw_fd())
}

/// If the file is watched, its stub is its shadow: the kernel tells of its being opened now, and closed by whoever closes it last.
#[inline]
fn show_opening(fs: &Fs, fd: c_int, id: OpenId, flags: c_int) {
    if fs.is_watching()
        && flags & libc::O_PATH == 0
        && let Some(shadow) = fs.shadow_to_open(fs.open_ino(id))
    {
        let how = if flags & libc::O_ACCMODE == libc::O_RDONLY { libc::O_ACCMODE } else { stubs::WATCHED_WRITER };
        if stubs::separate_at(&shadow, how, fd, id).is_ok() {
            note_flac(fd, false);
        }
    }
}

/// Makes sure that another process that gets `fd`, which is FLAC's, knows what it stands for.
pub fn identify(fd: c_int) -> Answer<()> {
    if is_duplicate(fd) {
        let (fs, id) = open_file(fd)?;
        stubs::separate(fs, fd, id)?;
        note_flac(fd, false);
    }
    Ok(())
}

/// As [`identify`], with the same description for all of this process's descriptors of that open file: what the kernel keeps with a description is theirs together.
pub fn give_own_stub(fd: c_int) -> Answer<()> {
    identify(fd)?;
    let (fs, id) = open_file(fd)?;
    for (hold, other) in fs.holds() {
        let number = hold as c_int;
        if other == id && is_duplicate(number) {
            stubs::share(fd, number)?;
            note_flac(number, false);
        }
    }
    Ok(())
}

/// As [`identify`], for every descriptor that a new image would get.
pub fn identify_for_exec() -> Answer<()> {
    let Some(fs) = space::opened() else { return Ok(()) };
    for (hold, _) in fs.holds() {
        let fd = hold as c_int;
        if is_duplicate(fd) && !rustix::io::fcntl_getfd(borrow(fd)?)?.contains(FdFlags::CLOEXEC) {
            identify(fd)?;
        }
    }
    Ok(())
}

/// Before the kernel closes `fd`, or puts something else there: gives up the hold.
pub fn release(fd: c_int) {
    if let Some(kind) = kind(fd)
        && kind.swap(UNKNOWN, Ordering::Relaxed) >= FLAC
        && let Some(fs) = space::opened()
    {
        uses::end();
        fs.release(fd as usize);
    }
}

/// Closes `fd`, which is FLAC's: gives up the hold, then the number.
pub fn close(fd: c_int) -> Answer<()> {
    release(fd);
    drop(take(borrow(fd)?.as_raw_fd()));
    Ok(())
}

/// After the kernel has duplicated `from` to `to` (which it closed first if it was open).
pub fn duplicated(from: c_int, to: c_int) -> Answer<()> {
    match open_file(from) {
        Ok((fs, _)) => {
            uses::end();
            fs.dup_hold(from as usize, to as usize)?;
            note_flac(to, is_duplicate(from));
            Ok(())
        }
        Err(Escape::NotOurs) => {
            release(to);
            note_kernel(to);
            Ok(())
        }
        Err(e) => Err(e),
    }
}

/// After `Fs::open`: descriptors that the old image of this process held and exec closed are given up, the rest are known.
pub fn reconcile(fs: &Fs) {
    for (hold, id) in fs.holds() {
        let fd = hold as c_int;
        let slot = borrow(fd).ok().and_then(|stub| {
            let flags = rustix::fs::fcntl_getfl(stub).ok()?;
            is_opened_as_stub(flags).then_some(())?;
            stubs::slot(fd, flags).ok()
        });
        match slot {
            Some(stubs::NO_SLOT) => note_flac(fd, true),
            Some(slot) if slot == id.to_raw() => note_flac(fd, false),
            _ => fs.release(hold),
        }
    }
}

// ---- descriptors of our own: pool, tier, LMDB

const OWN: usize = 64;
static OWN_FDS: [AtomicI32; OWN] = [const { AtomicI32::new(-1) }; OWN];
static LOWEST_OWN: AtomicI32 = AtomicI32::new(c_int::MAX);

/// Whether `fd` is one of ours, which the program has not opened: to it, it is closed.
#[inline]
pub fn is_own(fd: c_int) -> bool {
    fd >= LOWEST_OWN.load(Ordering::Relaxed) && OWN_FDS.iter().any(|own| own.load(Ordering::Relaxed) == fd)
}

/// All of ours, in no order.
pub fn own() -> impl Iterator<Item = c_int> {
    OWN_FDS.iter().map(|own| own.load(Ordering::Relaxed)).filter(|fd| *fd >= 0)
}

/// Remembers `fd` as one of ours.
pub fn note_own(fd: c_int) {
    if OWN_FDS.iter().any(|own| own.load(Ordering::Relaxed) == fd) {
        return;
    }
    for own in &OWN_FDS {
        if own.compare_exchange(-1, fd, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            LOWEST_OWN.fetch_min(fd, Ordering::Relaxed);
            return;
        }
    }
}

/// Forgets `fd`: our own code closes it.
pub fn forget_own(fd: c_int) {
    for own in &OWN_FDS {
        let _ = own.compare_exchange(fd, -1, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Where numbers of our own begin, the first that the limit on open files allows; `flac` does the same. Low enough for small tables (the kernel's, and
/// the holds that a fork copies), high enough to be out of the way of programs that expect the lowest free number.
const FLOORS: [c_int; 2] = [900, 200];
/// How many numbers from each floor on are looked at.
const SPAN: usize = 24;
/// A limit on open files from which on `flac`'s numbers can be had.
pub const ENOUGH: u64 = FLOORS[1] as u64 + SPAN as u64;

/// Runs `f`, and remembers the descriptors that it opens at the numbers where `flac` keeps its own, and those left open for it (see [`leave_for_exec`]) that it takes.
pub fn noting_own<R>(f: impl FnOnce() -> R) -> R {
    let before = own_above_floors();
    let result = f();
    let after = own_above_floors();
    for (i, (before, after)) in before.into_iter().zip(after).enumerate() {
        if after && !before {
            note_own(number(i));
        }
    }
    result
}

/// The `i`th number that is looked at.
fn number(i: usize) -> c_int {
    FLOORS[i / SPAN] + (i % SPAN) as c_int
}

/// Which of those numbers are open, without those left open that nobody has taken: these are not close-on-exec.
fn own_above_floors() -> [bool; 2 * SPAN] {
    let mut open = open_above_floors();
    for (i, open) in open.iter_mut().enumerate().filter(|(_, open)| **open) {
        *open = borrow(number(i)).is_ok_and(|fd| rustix::io::fcntl_getfd(fd).is_ok_and(|flags| flags.contains(FdFlags::CLOEXEC)));
    }
    open
}

/// Before exec, where the limit on open files is so low that a new image could not open the files of the pool at such numbers as they have here: it shall
/// inherit them, and `flac` takes over what it finds. `false` in `leave` is after an exec that failed.
pub fn leave_for_exec(leave: bool) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    for fd in own().filter(|fd| *fd as u64 >= limit) {
        let Ok(fd) = borrow(fd) else { continue };
        let is_file = rustix::fs::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG);
        // Stubs, and the pipe that says that exec has happened, are not for it.
        let is_written = rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| flags.bits() as c_int & libc::O_ACCMODE == libc::O_RDWR);
        if is_file && is_written {
            let _ = rustix::io::fcntl_setfd(fd, if leave { FdFlags::empty() } else { FdFlags::CLOEXEC });
        }
    }
}

/// Which of those numbers may be open: one system call for all, unless the limit on open files is below their count.
fn open_above_floors() -> [bool; 2 * SPAN] {
    let mut all: [libc::pollfd; 2 * SPAN] = std::array::from_fn(|i| libc::pollfd { fd: number(i), events: 0, revents: 0 });
    #[expect(unsafe_code, reason = "poll takes numbers that are not open")]
    // SAFETY: an array of that length.
    let polled = crate::boundary::sheltered(|| unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, 0) });
    all.map(|p| polled < 0 || p.revents & libc::POLLNVAL == 0)
}

/// Forgets `fd` and closes it.
pub fn discard_own(fd: c_int) {
    forget_own(fd);
    drop(borrow(fd).map(|fd| take(fd.as_raw_fd())));
}

/// Whether a descriptor of the kernel's is on the directory that FLAC covers.
pub fn is_covered(fd: c_int) -> bool {
    config::covered() != config::Covered::Nothing
        && borrow(fd).is_ok_and(|fd| rustix::fs::fstat(fd).is_ok_and(|at| config::is_covered(at.st_dev, at.st_ino)))
}

/// Closes a descriptor that the program has not been told of, if [`is_covered`].
pub fn was_covered(fd: c_int) -> bool {
    let covered = is_covered(fd);
    if covered {
        drop(take(fd));
    }
    covered
}

/// What a function of libc that makes descriptors returned to code of our own: moved to a high number and remembered.
pub fn claim(fd: c_int) -> c_int {
    let Ok(low) = borrow(fd) else { return fd };
    match above_floors(low) {
        Ok(high) => {
            drop(take(fd));
            note_own(high.as_raw_fd());
            high.into_raw_fd()
        }
        Err(_) => {
            note_own(fd);
            fd
        }
    }
}

/// A duplicate with a number of our own.
pub fn above_floors(fd: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd, FLOORS[0]).or_else(|_| rustix::io::fcntl_dupfd_cloexec(fd, FLOORS[1]))
}

/// Owns a descriptor that C gave away.
#[expect(unsafe_code, reason = "a number becomes an owner")]
fn take(fd: c_int) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: the caller was given `fd` by the kernel and hands it over.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The program puts something of its own at `fd` (`dup2`). If that was ours, `flac` notices before it uses the number, and does without.
pub fn make_way(fd: c_int) {
    if is_own(fd) {
        stubs::forget(fd);
        forget_own(fd);
        crate::log::warn(format_args!("the program takes descriptor {fd}, which FLAC uses"));
    }
}
