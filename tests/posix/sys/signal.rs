#![expect(unsafe_code, reason = "wraps the libc calls on signals")]
//! Signals: ignoring them, and a timer whose handler writes to a file.

use super::{Sys, call};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// Ignores a signal.
pub fn ignore(signal: i32) {
    // SAFETY: installs no handler of ours.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

static TARGET: AtomicI32 = AtomicI32::new(-1);
static WRITES: AtomicU32 = AtomicU32::new(0);
static FAILURES: AtomicU32 = AtomicU32::new(0);

/// The byte that the handler writes.
pub const HANDLER_BYTE: u8 = b'!';

extern "C" fn on_alarm(_: i32) {
    // SAFETY: `write` is safe in a signal handler; errno is put back as a handler must.
    unsafe {
        let saved = *libc::__errno_location();
        let written = libc::write(TARGET.load(Ordering::Relaxed), [HANDLER_BYTE].as_ptr().cast(), 1);
        let counter = if written == 1 { &WRITES } else { &FAILURES };
        counter.fetch_add(1, Ordering::Relaxed);
        *libc::__errno_location() = saved;
    }
}

/// Makes SIGALRM write one byte to `fd` every `microseconds`.
pub fn write_on_alarm(fd: i32, microseconds: i64) -> Sys<()> {
    TARGET.store(fd, Ordering::Relaxed);
    // SAFETY: the handler only does what is safe in one; the structs are plain C data.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = (on_alarm as extern "C" fn(i32)) as usize;
        action.sa_flags = libc::SA_RESTART;
        if libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) == -1 {
            return Err(super::Errno::last());
        }
    }
    set_timer(microseconds)
}

/// Stops the timer: (writes that the handler made, writes that failed).
pub fn stop_alarm() -> Sys<(u32, u32)> {
    set_timer(0)?;
    Ok((WRITES.load(Ordering::Relaxed), FAILURES.load(Ordering::Relaxed)))
}

extern "C" fn on_one_alarm(_: i32) {}

/// Ignores SIGUSR1, or handles it (and does nothing).
pub fn ignore_user_signal(ignored: bool) -> Sys<()> {
    // SAFETY: plain C data.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = if ignored { libc::SIG_IGN } else { (on_one_alarm as extern "C" fn(i32)) as usize };
    call!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut())).map(drop)
}

/// Sends SIGUSR1 to this thread.
pub fn raise_user_signal() -> Sys<()> {
    call!(libc::raise(libc::SIGUSR1)).map(drop)
}

/// Interrupts this process after so many microseconds, and again every 20 ms (a call that starts late is interrupted, too), without SA_RESTART.
pub fn one_alarm(microseconds: i64) -> Sys<()> {
    // SAFETY: the handler does nothing; the structs are plain C data.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = (on_one_alarm as extern "C" fn(i32)) as usize;
        if libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) == -1 {
            return Err(super::Errno::last());
        }
    }
    let first = libc::timeval { tv_sec: 0, tv_usec: microseconds };
    let again = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
    let timer = libc::itimerval { it_interval: again, it_value: first };
    call!(libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut())).map(drop)
}

fn set_timer(microseconds: i64) -> Sys<()> {
    let interval = libc::timeval { tv_sec: 0, tv_usec: microseconds };
    let timer = libc::itimerval { it_interval: interval, it_value: interval };
    call!(libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut())).map(drop)
}

/// Kills the processes of a group.
pub fn kill_group(leader: u32) {
    let leader = i32::try_from(leader).expect("a process id");
    // SAFETY: no pointers.
    unsafe { libc::kill(-leader, libc::SIGKILL) };
}

/// What `sigset` is told to block a signal.
pub const SIG_HOLD: libc::sighandler_t = 2;

unsafe extern "C" {
    #[link_name = "sigset"]
    fn c_sigset(signal: i32, action: libc::sighandler_t) -> libc::sighandler_t;
    #[link_name = "sigignore"]
    fn c_sigignore(signal: i32) -> i32;
    #[link_name = "siginterrupt"]
    fn c_siginterrupt(signal: i32, interrupts: i32) -> i32;
}

static HANDLED: AtomicI32 = AtomicI32::new(0);

extern "C" fn first_handler(_: i32) {
    HANDLED.store(1, Ordering::Relaxed);
}

extern "C" fn second_handler(_: i32) {
    HANDLED.store(2, Ordering::Relaxed);
}

/// A handler that leaves its number, 1 or 2, for [`handled`].
pub fn handler(number: i32) -> libc::sighandler_t {
    if number == 1 { first_handler as extern "C" fn(i32) as usize } else { second_handler as extern "C" fn(i32) as usize }
}

/// Which of the two ran last.
pub fn handled() -> i32 {
    HANDLED.load(Ordering::Relaxed)
}

/// The action of a signal, and its flags that programs set.
pub fn action(signal: i32) -> Sys<(libc::sighandler_t, i32)> {
    // SAFETY: plain C data.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    call!(libc::sigaction(signal, std::ptr::null(), &raw mut action))?;
    // libc adds this one.
    Ok((action.sa_sigaction, action.sa_flags & !0x0400_0000))
}

fn previous(action: libc::sighandler_t) -> Sys<libc::sighandler_t> {
    if action == libc::SIG_ERR { Err(super::Errno::last()) } else { Ok(action) }
}

pub fn sigset(signal: i32, action: libc::sighandler_t) -> Sys<libc::sighandler_t> {
    // SAFETY: an action of libc's, or a handler that does what is safe in one.
    previous(unsafe { c_sigset(signal, action) })
}

pub fn signal(signal: i32, action: libc::sighandler_t) -> Sys<libc::sighandler_t> {
    // SAFETY: as above.
    previous(unsafe { libc::signal(signal, action) })
}

pub fn sigignore(signal: i32) -> Sys<()> {
    call!(c_sigignore(signal)).map(drop)
}

pub fn siginterrupt(signal: i32, interrupts: bool) -> Sys<()> {
    call!(c_siginterrupt(signal, interrupts.into())).map(drop)
}

pub fn raise(signal: i32) {
    // SAFETY: a signal to this thread.
    unsafe { libc::raise(signal) };
}
