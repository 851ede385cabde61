//! sigaction and signal: the program's handlers go into [`signals`](crate::signals)' table.
#![expect(unsafe_code, reason = "the program's sigaction structures")]

use crate::signals;
use libc::{c_int, sigaction as Action, sighandler_t};

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
        install(number, handler, libc::SA_RESTART)
    }
}

export! {
    /// `signal(2)` as System V has it: the handler is reset when it runs.
    fn sysv_signal(number: c_int, handler: sighandler_t) -> sighandler_t, also(__sysv_signal), when(crate::config::on()) {
        install(number, handler, libc::SA_RESETHAND | libc::SA_NODEFER)
    }
}
