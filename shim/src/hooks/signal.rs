//! sigaction, signal and their kin: the program's handlers go into [`signals`](crate::signals)' table.
#![expect(unsafe_code, reason = "the program's sigaction structures")]

use crate::boundary::set_errno;
use crate::signals;
use libc::{c_int, sigaction as Action, sighandler_t};
use std::sync::atomic::{AtomicU64, Ordering};

/// What `siginterrupt` has said: a bit for each signal whose handlers end calls.
static INTERRUPTING: AtomicU64 = AtomicU64::new(0);

/// What `sigset` is told to block a signal.
const SIG_HOLD: sighandler_t = 2;

hook! {
    /// `sigaction(2)`.
    fn sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int, also(__sigaction), real(real) {
        let before = signals::get(signal);
        // SAFETY: the program's structures, or null.
        let (new, mut to) = unsafe { (new.as_ref(), old.as_mut()) };
        let result = match new {
            Some(new) if (1..=64).contains(&signal) => {
                let known = before.is_some();
                let (new, mut was) = (*new, signals::no_action());
                // The kernel checks first: nothing is noted of what it refuses (SIGKILL, SIGSTOP).
                let refused = real(signal, std::ptr::null(), &mut was);
                if refused != 0 || matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
                    return crate::boundary::checked(real(signal, &new, old));
                }
                let given = signals::set(signal, &new);
                let result = real(signal, &given, std::ptr::null_mut());
                if let (false, Some(to)) = (known, &mut to) {
                    **to = was;
                }
                result
            }
            _ => real(signal, new.map_or(std::ptr::null(), std::ptr::from_ref), old),
        };
        if let (0, Some(before), Some(to)) = (result, before, to) {
            *to = before;
        }
        crate::boundary::checked(result)
    }
}

/// What `signal` does, in terms of sigaction.
fn install(signal: c_int, handler: sighandler_t, flags: c_int) -> sighandler_t {
    let mut new = signals::no_action();
    let mut old = signals::no_action();
    new.sa_sigaction = handler;
    new.sa_flags = flags;
    // SAFETY: both structures are ours.
    match unsafe { sigaction(signal, &new, &mut old) } {
        0 => old.sa_sigaction,
        _ => libc::SIG_ERR,
    }
}

export! {
    /// `signal(2)` as BSD has it: the handler stays, calls are restarted.
    fn signal(number: c_int, handler: sighandler_t) -> sighandler_t, also(bsd_signal, ssignal), when(crate::config::on()) {
        if handler == libc::SIG_ERR {
            set_errno(libc::EINVAL);
            return libc::SIG_ERR;
        }
        let interrupts = INTERRUPTING.load(Ordering::Relaxed) & bit(number) != 0;
        install(number, handler, if interrupts { 0 } else { libc::SA_RESTART })
    }
}

export! {
    /// `signal(2)` as System V has it: the handler is reset when it runs.
    fn sysv_signal(number: c_int, handler: sighandler_t) -> sighandler_t, also(__sysv_signal), when(crate::config::on()) {
        install(number, handler, libc::SA_RESETHAND | libc::SA_NODEFER)
    }
}

/// The signal's bit in a mask of 64.
fn bit(signal: c_int) -> u64 {
    if (1..=64).contains(&signal) { 1 << (signal - 1) } else { 0 }
}

/// Blocks a signal for this thread, or no longer; whether it was blocked before. `None`: there is no such signal.
fn block(signal: c_int, how: c_int) -> Option<bool> {
    // SAFETY: both sets are ours, and filled by libc.
    unsafe {
        let (mut set, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&mut set);
        let done = libc::sigaddset(&mut set, signal) == 0 && libc::sigprocmask(how, &set, &mut before) == 0;
        done.then(|| libc::sigismember(&before, signal) == 1)
    }
}

export! {
    /// `sigset(3)`.
    fn sigset(number: c_int, handler: sighandler_t) -> sighandler_t, when(crate::config::on()) {
        if handler == SIG_HOLD {
            let mut old = signals::no_action();
            return match block(number, libc::SIG_BLOCK) {
                None => libc::SIG_ERR,
                Some(true) => SIG_HOLD,
                // SAFETY: asks only.
                Some(false) if unsafe { sigaction(number, std::ptr::null(), &mut old) } == 0 => old.sa_sigaction,
                Some(false) => libc::SIG_ERR,
            };
        }
        if handler == libc::SIG_ERR {
            set_errno(libc::EINVAL);
            return libc::SIG_ERR;
        }
        let before = install(number, handler, 0);
        if before == libc::SIG_ERR {
            return libc::SIG_ERR;
        }
        match block(number, libc::SIG_UNBLOCK) {
            None => libc::SIG_ERR,
            Some(true) => SIG_HOLD,
            Some(false) => before,
        }
    }
}

export! {
    /// `sigignore(3)`.
    fn sigignore(number: c_int) -> c_int, when(crate::config::on()) {
        if install(number, libc::SIG_IGN, 0) == libc::SIG_ERR { -1 } else { 0 }
    }
}

export! {
    /// `siginterrupt(3)`.
    fn siginterrupt(number: c_int, interrupts: c_int) -> c_int, when(crate::config::on()) {
        let mut action = signals::no_action();
        // SAFETY: the structure is ours.
        if unsafe { sigaction(number, std::ptr::null(), &mut action) } != 0 {
            return -1;
        }
        if interrupts != 0 {
            INTERRUPTING.fetch_or(bit(number), Ordering::Relaxed);
            action.sa_flags &= !libc::SA_RESTART;
        } else {
            INTERRUPTING.fetch_and(!bit(number), Ordering::Relaxed);
            action.sa_flags |= libc::SA_RESTART;
        }
        // SAFETY: as above.
        unsafe { sigaction(number, &action, std::ptr::null_mut()) }
    }
}
