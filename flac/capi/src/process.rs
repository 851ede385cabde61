#![expect(unsafe_code, reason = "registers functions with libc")]
//! The one space of this process, and what happens to it when the process forks or exits.

use flac_space::space::{Space, SpaceOptions};
use flac_space::{Error, Result};
use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

struct Opened {
    space: Space,
    path: PathBuf,
}

static SPACE: OnceLock<Opened> = OnceLock::new();
static OPENING: Mutex<()> = Mutex::new(());
static LEFT: AtomicBool = AtomicBool::new(false);
/// Threads in a call.
static INSIDE: AtomicU32 = AtomicU32::new(0);
/// How long an exit waits for them.
const PATIENCE: Duration = Duration::from_secs(1);
/// The slot of a child that is about to be forked, + 1; forks exclude each other (libc's lock).
static CHILD: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static SAID: RefCell<CString> = RefCell::default();
}

/// Calls `f` with the open space: `ENXIO` if there is none.
pub fn call<T>(f: impl FnOnce(&'static Space) -> Result<T>) -> Result<T> {
    let _inside = Inside::enter();
    match SPACE.get() {
        Some(opened) if !LEFT.load(SeqCst) => f(&opened.space),
        _ => Err(Error::Os(libc::ENXIO)),
    }
}

/// A thread in a call.
struct Inside;

impl Inside {
    fn enter() -> Self {
        INSIDE.fetch_add(1, SeqCst);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, SeqCst);
    }
}

/// Opens the space, unless it is open: `EBUSY` if another one is.
pub fn open(path: &Path, options: &SpaceOptions) -> Result<()> {
    let _one = OPENING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let path = std::path::absolute(path).map_err(|e| Error::Io("the path of the pool", e.raw_os_error().unwrap_or(libc::EINVAL)))?;
    if SPACE.get().is_none() {
        let space = Space::init_flac(&path, options, &mut |_, _| {})?;
        // SAFETY: functions of the right type, in a library that is not unloaded: it has thread-local data.
        unsafe {
            libc::pthread_atfork(Some(before_fork), None, Some(after_fork_child));
            libc::atexit(at_exit);
        }
        let _ = SPACE.set(Opened { space, path: path.clone() });
    }
    match SPACE.get() {
        Some(opened) if opened.path == path && !LEFT.load(SeqCst) => Ok(()),
        _ => Err(Error::Os(libc::EBUSY)),
    }
}

/// Leaves the space for good.
pub fn leave() -> Result<()> {
    call(|_| Ok(()))?;
    if LEFT.swap(true, SeqCst) {
        return Err(Error::Os(libc::ENXIO));
    }
    // A thread in the middle of a call may hold locks: they must stay those of a living process. If it does not come out, our death will do.
    let start = Instant::now();
    while INSIDE.load(SeqCst) > 0 {
        if start.elapsed() > PATIENCE {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if let Some(opened) = SPACE.get() {
        opened.space.leave();
    }
    Ok(())
}

extern "C" fn at_exit() {
    let _ = leave();
}

extern "C" fn before_fork() {
    // Without a slot the child has no space: its calls fail.
    let token = call(Space::before_fork).map_or(0, |token| token + 1);
    CHILD.store(token, Relaxed);
}

extern "C" fn after_fork_child() {
    INSIDE.store(0, SeqCst);
    match (SPACE.get(), CHILD.load(Relaxed).checked_sub(1)) {
        (Some(opened), Some(token)) => opened.space.after_fork_child(token),
        (opened, _) => {
            LEFT.store(true, SeqCst);
            // The handles that it was left are the parent's.
            opened.inspect(|opened| opened.space.after_fork_child_without_slot());
        }
    }
}

/// Keeps what `error` says for this thread's `flac_error`.
pub fn say(error: &Error) {
    let said = CString::new(error.to_string()).unwrap_or_default();
    // While the thread ends there is nobody to tell.
    let _ = SAID.try_with(|kept| *kept.borrow_mut() = said);
}

/// Calls `f` with what was said.
pub fn with_said<T>(f: impl FnOnce(&CStr) -> T) -> T {
    SAID.with(|kept| f(&kept.borrow()))
}
