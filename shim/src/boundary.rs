//! The one function that crosses from C into our code and back.
//!
//! * A thread that is already inside (LMDB, std, a panic hook call libc) goes straight to libc.
//! * errno is the program's: it stays as it was unless the call fails, and is never 0.
//! * A panic does not unwind into C: the call fails with EIO, and a line on stderr says so.
//! * No guard is held while libc's function runs, so a thread may be cancelled in it and its signal handlers may call us.
//!
//! Hot hooks decide by `when` before they come here whether the call is about FLAC.
#![expect(unsafe_code, reason = "errno")]

use crate::stack::Work;
use crate::thread;
use libc::{c_int, c_void};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a hook's body gives no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// The call is about something that is not FLAC's: libc's function gets it, untouched.
    NotOurs,
    /// The call fails with this errno.
    Fail(i32),
    /// What is left of the call is a wait, in which the thread may be cancelled: it happens outside.
    Outside(Wait),
}

/// How a call goes on that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It has waited for a while, and begins again.
    Again,
    /// By [`nodes::open_outside`](crate::nodes::open_outside).
    Open,
}

/// What a hook's body returns.
pub type Answer<T> = Result<T, Escape>;

/// Whether this process has said that the device failed.
static TOLD: AtomicBool = AtomicBool::new(false);

impl From<flac::Error> for Escape {
    fn from(e: flac::Error) -> Self {
        match e {
            flac::Error::Os(_) => {}
            // Whoever hears only the errno does not know what to do about it.
            flac::Error::Lost(_) if !TOLD.swap(true, Ordering::Relaxed) => crate::log::fatal(format_args!("{e}")),
            _ => crate::log::error(format_args!("{e}")),
        }
        Escape::Fail(e.errno())
    }
}

impl From<rustix::io::Errno> for Escape {
    fn from(e: rustix::io::Errno) -> Self {
        Escape::Fail(e.raw_os_error())
    }
}

/// A C return type, and its value that says that errno is set.
pub trait CReturn: Copy + PartialEq {
    /// The value that says so.
    const FAILED: Self;
    /// A descriptor as such a value, for calls that open.
    fn descriptor(_: c_int) -> Self {
        Self::FAILED
    }
}

impl CReturn for c_int {
    const FAILED: Self = -1;
    fn descriptor(fd: c_int) -> Self {
        fd
    }
}
impl CReturn for i64 {
    const FAILED: Self = -1;
}
impl CReturn for isize {
    const FAILED: Self = -1;
}
impl CReturn for u32 {
    const FAILED: Self = u32::MAX;
}
/// A signal handler: `SIG_ERR`.
impl CReturn for usize {
    const FAILED: Self = usize::MAX;
}
impl CReturn for () {
    const FAILED: Self = ();
}
impl<T> CReturn for *mut T {
    const FAILED: Self = std::ptr::null_mut();
}
impl<T> CReturn for *const T {
    const FAILED: Self = std::ptr::null();
}
/// What `mmap` returns: an address, or `MAP_FAILED`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Mapped(pub *mut c_void);
impl CReturn for Mapped {
    const FAILED: Self = Mapped(libc::MAP_FAILED);
}

const INSIDE: u8 = 1;
const BY_HAND: u8 = 2;
const ASKED: u8 = 4;
const FIRST: u8 = 8;

/// This thread's state.
#[inline(always)]
fn state() -> &'static Cell<u8> {
    &thread::flags().state
}

/// Held while our code runs on this thread.
pub struct Inside(());

impl Inside {
    /// Enters; `None` if this thread is inside already.
    #[inline]
    pub fn enter() -> Option<Inside> {
        let state = state();
        (state.get() & INSIDE == 0).then(|| {
            state.set(INSIDE);
            // A signal after this finds us inside.
            std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
            Inside(())
        })
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        crate::uses::end();
        state().set(0);
        // A signal after this finds us outside; one before it is waiting.
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        crate::signals::deliver();
    }
}

/// As [`Inside`], for what notes no open file (see [`crate::uses`]) and needs little of the stack.
pub struct Briefly(&'static thread::Flags);

impl Briefly {
    /// Enters; `None` if this thread is inside already, or on a stack that may have no room.
    #[inline(always)]
    pub fn enter() -> Option<Briefly> {
        let flags = thread::flags();
        (flags.state.get() & INSIDE == 0 && flags.tight.get() == 0).then(|| {
            flags.state.set(INSIDE);
            // A signal after this finds us inside.
            std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
            Briefly(flags)
        })
    }
}

impl Drop for Briefly {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.state.set(0);
        // As of `Inside`.
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        crate::signals::deliver();
    }
}

/// Calls back into the program from a hook's body: what it calls of libc may be a hook again.
pub fn call_out<R>(f: impl FnOnce() -> R) -> R {
    crate::uses::end();
    let before = state().replace(0);
    let result = f();
    state().set(before);
    result
}

/// As [`call_out`], for what waits. A signal that was put off arrives first: until it has, every other is blocked, and nothing would end the wait.
pub fn wait_out<R>(f: impl FnOnce() -> R) -> R {
    call_out(|| {
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        crate::signals::deliver();
        f()
    })
}

/// Whether this thread is inside our code.
pub fn inside() -> bool {
    state().get() & INSIDE != 0
}

/// Whether symbolic links outside are to be walked by hand, because the kernel did not find the path. See [`crate::paths`].
pub fn by_hand() -> bool {
    state().get() & BY_HAND != 0
}

/// From here on this call walks symbolic links outside by hand.
pub fn walk_by_hand() {
    state().set(state().get() | BY_HAND);
}

/// Notes that a path was given to the kernel which might lead into FLAC by ways that only the kernel's answer shows.
pub fn asked_kernel() {
    state().set(state().get() | ASKED);
}

/// Notes that this call of the kernel's makes nothing, and that it shows if it ends at the directory that FLAC covers: if nothing is in there, the kernel may be asked before it is known whether the
/// path leads into FLAC.
pub fn kernel_first() {
    state().set(state().get() | FIRST);
}

/// Whether [`kernel_first`] was called for this call.
pub fn is_kernel_first() -> bool {
    state().get() & FIRST != 0
}

/// The errno of this thread.
pub fn errno() -> i32 {
    // SAFETY: always valid, and this thread's own.
    unsafe { *libc::__errno_location() }
}

/// Sets the errno of this thread.
pub fn set_errno(e: i32) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = e };
}

/// A cancellation point: a thread that was asked to end does so here, where it holds nothing of ours.
#[inline]
pub fn may_cancel() {
    unsafe extern "C-unwind" {
        fn pthread_testcancel();
    }
    if !inside() {
        // SAFETY: no precondition; if it unwinds, then through frames that have nothing to drop.
        unsafe { pthread_testcancel() }
    }
}

/// Calls libc from the midst of our code, where this thread must not end: what was asked of it waits until it has left. Libc's own calls would end it there and then.
pub fn sheltered<R>(f: impl FnOnce() -> R) -> R {
    const DISABLE: c_int = 1;
    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
    }
    let mut before = DISABLE;
    // SAFETY: a place for the state, and then that state again.
    unsafe { pthread_setcancelstate(DISABLE, &mut before) };
    let result = f();
    // SAFETY: as above.
    unsafe { pthread_setcancelstate(before, std::ptr::null_mut()) };
    result
}

/// Turns libc's result into an answer.
pub fn checked<R: CReturn>(r: R) -> Answer<R> {
    if r == R::FAILED { Err(Escape::Fail(errno())) } else { Ok(r) }
}

/// Runs `body` as the answer to a call from C; `real` is libc's function with the same arguments.
///
/// When libc does not find a path that `body` left to it, or what it found is FLAC's (`lands`, which gives that back), `body` runs once more with [`by_hand`] set.
#[inline]
pub fn cross<R: CReturn>(body: impl Fn() -> Answer<R>, real: impl Fn() -> R, lands: impl Fn(R) -> bool) -> R {
    let (answer, before, asked) = loop {
        let Some(guard) = Inside::enter() else { return sheltered(real) };
        let before = errno();
        let answer = run(&body);
        if let Err(Escape::Outside(wait)) = answer {
            set_errno(before);
            match outside(guard, wait) {
                Some(fd) => return R::descriptor(fd),
                None => continue,
            }
        }
        let asked = state().get() & ASKED != 0;
        drop(guard);
        break (answer, before, asked);
    };
    match answer {
        Ok(r) => {
            set_errno(before);
            return r;
        }
        Err(Escape::Fail(e)) => {
            set_errno(e);
            return R::FAILED;
        }
        Err(Escape::NotOurs | Escape::Outside(_)) => set_errno(before),
    }
    let r = real();
    if !asked {
        return r;
    }
    if r == R::FAILED {
        return second_try(&body, before).unwrap_or(r);
    }
    if lands(r) {
        set_errno(libc::ENOENT);
        return second_try(&body, before).unwrap_or(R::FAILED);
    }
    r
}

/// A wait: the descriptor that it ends with, or `None` if the call is to begin again. A thread may be cancelled here: no frame below has anything to drop.
#[cold]
#[inline(never)]
fn outside(guard: Inside, wait: Wait) -> Option<c_int> {
    match wait {
        Wait::Open => {
            // Before a handler can run that opens another one.
            let what = crate::nodes::to_open();
            // A signal that was put off is for that function to see before it arrives.
            std::mem::forget(guard);
            crate::uses::end();
            state().set(0);
            Some(crate::nodes::open_outside(what))
        }
        Wait::Again => {
            drop(guard);
            may_cancel();
            None
        }
    }
}

#[cold]
fn second_try<R: CReturn>(body: &impl Fn() -> Answer<R>, before: i32) -> Option<R> {
    let failed = errno();
    if !matches!(failed, libc::ENOENT | libc::ENOTDIR | libc::ELOOP) {
        return None;
    }
    let guard = Inside::enter()?;
    state().set(INSIDE | BY_HAND);
    let (errno, result) = match run(body) {
        Ok(r) => (before, Some(r)),
        Err(Escape::Fail(e)) => (e, Some(R::FAILED)),
        Err(Escape::NotOurs) => (failed, None),
        Err(Escape::Outside(wait)) => {
            set_errno(before);
            return outside(guard, wait).map(R::descriptor);
        }
    };
    set_errno(errno);
    result
}

#[inline]
fn run<R>(body: &impl Fn() -> Answer<R>) -> Answer<R> {
    if thread::flags().tight.get() != 0 { crate::stack::with_room_if_tight(&Work::of(&|| run_here(body))) } else { run_here(body) }
}

fn run_here<R>(body: &impl Fn() -> Answer<R>) -> Answer<R> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(broken()))
}

/// Runs a hook's quick answer, which does not cross but enters [`Briefly`].
#[inline(always)]
pub fn quickly<R: CReturn>(quick: impl FnOnce() -> Option<R>) -> Option<R> {
    catch_unwind(AssertUnwindSafe(quick)).unwrap_or_else(|_| {
        if let Escape::Fail(e) = broken() {
            set_errno(e);
        }
        Some(R::FAILED)
    })
}

#[cold]
#[inline(never)]
fn broken() -> Escape {
    crate::log::fatal(format_args!("a broken invariant (above); this call fails with EIO. Please report it"));
    Escape::Fail(libc::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const CHILD: &str = "FLAC_TEST_DEVICE_FAILS";

    #[test]
    fn that_the_device_has_failed_is_said_once() {
        if std::env::var_os(CHILD).is_some() {
            for _ in 0..3 {
                assert_eq!(Escape::from(flac::Error::Lost(libc::EIO)), Escape::Fail(libc::EIO));
            }
            return;
        }
        let this = std::env::current_exe().expect("this program");
        let test = ["--exact", "boundary::tests::that_the_device_has_failed_is_said_once", "--nocapture"];
        let child = Command::new(this).args(test).env(CHILD, "1").output().expect("it runs");
        let said = String::from_utf8_lossy(&child.stderr).into_owned();
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("flac: ")).collect();
        assert!(child.status.success() && lines.len() == 1 && lines[0].contains("`flac stop --discard`"), "{said}");
    }
}
