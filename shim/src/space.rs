//! The process's one `Fs`: opened at the first FLAC path or inherited FLAC descriptor, by whichever thread gets there first.
//!
//! States only move CLOSED -> OPENING -> OPEN | FAILED, and OPEN -> ENDED. A child forked while another thread of its parent
//! was opening starts at CLOSED again.
#![expect(unsafe_code, reason = "one Fs, published once by pointer")]

use crate::boundary::{Answer, Escape, Inside};
use crate::real::Symbol;
use crate::{config, fds, log, stats};
use flac::Fs;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

const CLOSED: u32 = 0;
const OPENING: u32 = 1;
const OPEN: u32 = 2;
const FAILED: u32 = 3;
const ENDED: u32 = 4;

static STATE: AtomicU32 = AtomicU32::new(CLOSED);
static FS: AtomicPtr<Fs> = AtomicPtr::new(std::ptr::null_mut());
static FAILURE: AtomicI32 = AtomicI32::new(0);

/// The `Fs`, if it is open.
#[inline]
pub fn opened() -> Option<&'static Fs> {
    // SAFETY: stored before OPEN was, and never freed.
    (STATE.load(Ordering::Acquire) == OPEN).then(|| unsafe { &*FS.load(Ordering::Relaxed) })
}

/// The `Fs` of a process that uses FLAC: it is open, or was in the image that executed this one.
pub fn used() -> Option<&'static Fs> {
    opened().or_else(|| config::settings()?.slot().and_then(|_| fs().ok()))
}

/// Whether some of this process's mappings lack pages that their files have, see [`Fs::is_lazy`].
#[inline]
pub fn is_lazy() -> bool {
    opened().is_some_and(Fs::is_lazy)
}

/// The `Fs`, opened if need be. The errno of a failure stays; its reason was one line on stderr.
#[inline]
pub fn fs() -> Answer<&'static Fs> {
    match opened() {
        Some(fs) => Ok(fs),
        None => open(),
    }
}

/// Tells `flac` how libc knows whether there are other threads (glibc 2.32).
fn tell_of_threads() {
    static FLAG: Symbol = Symbol::new();
    // SAFETY: null, or a `char` of libc's that changes to 0 before a second thread runs, and back where there is none. Threads that libc does not know (made by `clone` itself) may not call
    // libc, so not us: its own streams go by this variable, too.
    unsafe { flac::sync::single_thread_flag(FLAG.get(c"__libc_single_threaded").cast_const().cast()) };
}

#[cold]
#[inline(never)]
fn open() -> Answer<&'static Fs> {
    // Some who come here are not inside; what joining calls of libc must not meet our hooks.
    let _guard = Inside::enter();
    loop {
        match STATE.compare_exchange(CLOSED, OPENING, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => break,
            // Rare and short: sleeping needs no lock that a fork could copy.
            Err(OPENING) => crate::boundary::sheltered(|| std::thread::sleep(std::time::Duration::from_micros(50))),
            Err(OPEN) => return opened().ok_or(Escape::Fail(libc::EIO)),
            Err(_) => return Err(Escape::Fail(FAILURE.load(Ordering::Relaxed))),
        }
    }
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let Some(settings) = config::settings().filter(|_| !config::bad()) else { return failed(libc::EINVAL) };
    let wanted = config::flac_config(settings);
    tell_of_threads();
    flac::media::tell_numbers(|fd, is_ours| if is_ours { fds::note_own(fd) } else { fds::forget_own(fd) });
    let open = || match settings.slot() {
        Some(token) => Fs::open_after_exec(&wanted, token).map(Box::new),
        None => Fs::open(&wanted).map(Box::new),
    };
    // Whoever is first may be a thread with a stack of 16 KiB; joining a pool takes 70.
    let open = || crate::locked::but_not(|| crate::limits::with_room(open), |fs| fs.as_deref().ok());
    let result = crate::stack::with_room_unless_main(open);
    match result {
        Ok(fs) => {
            let fs: &'static Fs = Box::leak(fs);
            FS.store(std::ptr::from_ref(fs).cast_mut(), Ordering::Relaxed);
            fs.hold_by_descriptor();
            fds::reconcile(fs);
            crate::signals::take_over();
            // A thread that has slept for a while looks outside whether another has cancelled it.
            flac::fs::locks::interrupted_by(|slept| slept && !flac::sync::is_single_threaded() || crate::signals::is_waiting());
            if log::explains() {
                flac::explain_planner_to(log::planner);
            }
            STATE.store(OPEN, Ordering::Release);
            let frames = if fs.has_huge_frames() { "huge" } else { "small" };
            log::info(format_args!("process {pid} uses {} in {}, {frames} frames", wanted.pool.display(), fs.run_dir().display()));
            Ok(fs)
        }
        Err(e) => {
            if FAILURE.swap(e.errno(), Ordering::Relaxed) != e.errno() {
                log::fatal(format_args!("{e}"));
            }
            failed(e.errno())
        }
    }
}

fn failed(errno: i32) -> Answer<&'static Fs> {
    FAILURE.store(errno, Ordering::Relaxed);
    // When the program has closed some files, it may go.
    let is_final = !matches!(errno, libc::EMFILE | libc::ENFILE);
    STATE.store(if is_final { FAILED } else { CLOSED }, Ordering::Release);
    Err(Escape::Fail(errno))
}

/// Before `fork`: a token for the other two, or `None` if there is nothing to do.
pub fn before_fork() -> Answer<Option<u32>> {
    opened().map(Fs::before_fork).transpose().map_err(Escape::from)
}

/// After `fork`, in the parent; `child` is `None` if it failed.
pub fn after_fork_parent(token: Option<u32>, child: Option<i32>) {
    if let (Some(fs), Some(token)) = (opened(), token) {
        fs.after_fork_parent(token, child);
    }
}

/// After `fork`, in the child, before anything else.
pub fn after_fork_child(token: Option<u32>) {
    match (opened(), token) {
        (Some(fs), Some(token)) => fs.after_fork_child(token),
        _ if STATE.load(Ordering::Relaxed) == OPENING => {
            flac::region::close_inherited_lock();
            flac::media::restore_after_fork();
            STATE.store(CLOSED, Ordering::Release);
        }
        _ => {}
    }
    crate::ranges::after_fork_child();
    crate::requests::after_fork_child();
    stats::restart();
}

/// The process slot for a new image of this process, if the `Fs` is open.
pub fn exec_token() -> Option<u32> {
    opened().map(Fs::exec_token)
}

/// The process ends: statistics, holds, process slot. Later calls on FLAC paths fail with EIO.
pub fn end() {
    // A child that shares our memory ends alone.
    if opened().is_some_and(|fs| !fs.is_this_process()) {
        return;
    }
    stats::report();
    if STATE.compare_exchange(OPEN, ENDED, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        FAILURE.store(libc::EIO, Ordering::Relaxed);
        // SAFETY: it was open a moment ago, and is never freed.
        unsafe { &*FS.load(Ordering::Relaxed) }.exit();
    }
}
