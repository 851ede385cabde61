//! Signals and our code.
//!
//! * A handler of the program that comes while this thread is inside our code must not run there: it might call us again, and
//!   wait for a lock that its own thread holds. It is put off: the thread goes on with every signal blocked, and when it leaves our code
//!   the signal is sent to it again. A call that waits is interrupted by it all the same.
//! * Control-Z is put off in the same way where nothing handles it: a thread that is stopped while it holds a lock would hold up every other process. (`SIGSTOP` can't be, nor
//!   what stops this thread because another one was outside.)
//! * A fault on the program's memory in the middle of a copy ends the copy: the call answers EFAULT, as the kernel's does.
//!
//! So the program's handlers are kept in a table here, and the kernel is given [`arrive`] for each of them.
#![expect(unsafe_code, reason = "signal handlers and the machine context")]

use crate::boundary;
use crate::thread::{ALTERNATE, SMALL};
use libc::{c_int, c_void, sigaction, siginfo_t};
use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// One more than the highest signal number.
const SIGNALS: usize = 65;

/// What the program asked for, for each signal. Two copies: a handler may read one while the other is written.
/// In this order and on pages of its own: what every process that joins a pool writes to (for `SIGBUS`, `SIGSEGV` and `SIGTSTP`) is on two of them.
#[repr(C, align(4096))]
struct Table {
    /// 0: the program asked for nothing; else which copy counts, plus one.
    current: [AtomicU8; SIGNALS],
    copies: [[UnsafeCell<MaybeUninit<sigaction>>; 2]; SIGNALS],
}

// SAFETY: a copy is written only while `current` names the other one, and only by `set` (programs do not set the action of one signal
// in two threads at once with a meaning; either wins).
unsafe impl Sync for Table {}

#[unsafe(link_section = ".sbss.large")]
static TABLE: Table = Table {
    copies: [const { [const { UnsafeCell::new(MaybeUninit::uninit()) }; 2] }; SIGNALS],
    current: [const { AtomicU8::new(0) }; SIGNALS],
};

/// The program's action for `signal`, if it has set one.
pub fn get(signal: c_int) -> Option<sigaction> {
    let index = usize::try_from(signal).ok()?;
    let current = TABLE.current.get(index)?.load(Ordering::Acquire);
    // SAFETY: `current` names a copy that was written before.
    (current != 0).then(|| unsafe { (*TABLE.copies[index][current as usize - 1].get()).assume_init() })
}

/// Notes the program's action for `signal`, and returns what the kernel is to be given for it.
pub fn set(signal: c_int, action: &sigaction) -> sigaction {
    let index = signal as usize;
    let current = TABLE.current[index].load(Ordering::Acquire);
    let next = if current == 1 { 2 } else { 1 };
    // SAFETY: nobody reads the copy that `current` does not name.
    unsafe { (*TABLE.copies[index][next - 1].get()).write(*action) };
    TABLE.current[index].store(next as u8, Ordering::Release);
    let mut given = *action;
    let is_fault = matches!(signal, libc::SIGSEGV | libc::SIGBUS);
    let stops = is_stop(signal, action);
    if is_handler(action) || is_fault || stops {
        given.sa_sigaction = arrive as *const () as usize;
        // RESETHAND is ours to do: a signal that is put off arrives twice.
        given.sa_flags = (action.sa_flags | libc::SA_SIGINFO) & !libc::SA_RESETHAND;
    }
    if stops {
        // A call that is stopped goes on afterwards.
        given.sa_flags |= libc::SA_RESTART | libc::SA_ONSTACK;
    }
    given
}

/// Whether the signal with this action stops the process, and can be put off.
fn is_stop(signal: c_int, action: &sigaction) -> bool {
    signal == libc::SIGTSTP && action.sa_sigaction == libc::SIG_DFL
}

/// Whether the action is a function, not SIG_DFL or SIG_IGN.
fn is_handler(action: &sigaction) -> bool {
    // What libc itself saved and puts back may be ours: it stands for what the program had asked for before.
    !matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) && action.sa_sigaction != arrive as *const () as usize
}

/// Makes faults on the program's memory end copies instead of the program, and Control-Z wait until a call is over. Called when the `Fs` is opened, under the guard.
pub fn take_over() {
    catch_faults();
    let mut action = no_action();
    // SAFETY: asks only.
    unsafe { libc::sigaction(libc::SIGTSTP, std::ptr::null(), &mut action) };
    if is_stop(libc::SIGTSTP, &action) {
        set_kernel(libc::SIGTSTP, &set(libc::SIGTSTP, &action));
    }
}

/// Makes faults on the program's memory end copies instead of the program.
#[inline]
pub fn catch_faults() {
    static CAUGHT: AtomicBool = AtomicBool::new(false);
    if !CAUGHT.load(Ordering::Relaxed) {
        catch_them();
        CAUGHT.store(true, Ordering::Relaxed);
    }
}

#[cold]
fn catch_them() {
    let _guard = boundary::Inside::enter();
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        if get(signal).is_some() {
            continue;
        }
        // SAFETY: plain data, for which zero is valid; libc's sigaction fills it.
        let mut before: sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: asks only.
        unsafe { libc::sigaction(signal, std::ptr::null(), &mut before) };
        let mut given = set(signal, &before);
        given.sa_flags |= libc::SA_ONSTACK;
        // SAFETY: `arrive` has the type that SA_SIGINFO asks for.
        unsafe { libc::sigaction(signal, &given, std::ptr::null_mut()) };
    }
}

thread_local! {
    /// The signal that was put off (if [`pending`] says so), and the mask to return to.
    static SAVED: UnsafeCell<MaybeUninit<(c_int, siginfo_t, u64)>> = const { UnsafeCell::new(MaybeUninit::uninit()) };
}

/// Whether a signal was put off.
#[inline(always)]
fn pending() -> &'static Cell<bool> {
    &crate::thread::flags().pending
}

/// Whether it is a fault of this very instruction: a code above 0 is the kernel's own.
fn is_fault(signal: c_int, code: c_int) -> bool {
    matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP) && code > 0
}

/// What the kernel calls.
unsafe extern "C" fn arrive(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo and context.
    unsafe {
        let is_fault = is_fault(signal, (*info).si_code);
        if is_fault && (recover(context) || signal == libc::SIGBUS && file_grew(info)) {
            return;
        }
        if !is_fault && boundary::inside() {
            put_off(signal, info, context);
            return;
        }
        let errno = boundary::errno();
        run(signal, info, context);
        boundary::set_errno(errno);
    }
}

/// If the fault is behind the end of a mapped FLAC file that has grown since, lets the program see what is there now.
unsafe fn file_grew(info: *mut siginfo_t) -> bool {
    // SAFETY: the kernel's siginfo of a SIGBUS.
    let addr = unsafe { (*info).si_addr() }.addr();
    let Some(_guard) = boundary::Inside::enter() else { return false };
    let errno = boundary::errno();
    let grew = crate::space::opened().is_some_and(|fs| crate::stack::with_room(|| fs.fault(addr)));
    boundary::set_errno(errno);
    grew
}

/// If the fault is one of a copy from or to the program's memory, lets the copy end.
unsafe fn recover(context: *mut c_void) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: the kernel's machine context.
        let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
        let ip = &mut registers[libc::REG_RIP as usize];
        if let Some(out) = flac::region::copy::recover(*ip as usize) {
            *ip = out as i64;
            return true;
        }
    }
    let _ = context;
    false
}

/// Keeps the signal for when this thread leaves our code; until then every other signal is blocked.
unsafe fn put_off(signal: c_int, info: *const siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's context; its mask is what the thread goes on with. The kernel's mask is the first 64 bits.
    unsafe {
        let mask: *mut u64 = (&raw mut (*context.cast::<libc::ucontext_t>()).uc_sigmask).cast();
        if pending().get() {
            // Two came in one moment: the kernel had begun with this one when it let the other interrupt it. This one waits in the kernel, where all are blocked until the other has
            // arrived; the mask to return to is that of what both interrupted.
            let errno = boundary::errno();
            send(signal, info);
            boundary::set_errno(errno);
            SAVED.with(|s| (*s.get()).assume_init_mut().2 = *mask);
        } else {
            SAVED.with(|s| (*s.get()).write((signal, *info, *mask)));
        }
        let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];
        *mask = faults.iter().fold(!0u64, |mask, s| mask & !(1 << (s - 1)));
    }
    pending().set(true);
}

/// When a thread has left our code: lets a signal arrive that came meanwhile.
#[inline]
pub fn deliver() {
    if pending().get() {
        send_again();
    }
}

/// Whether a signal was put off until this thread leaves our code.
pub fn is_waiting() -> bool {
    pending().get()
}

/// After a wait was interrupted: whether the signal's action says that the call goes on, as the kernel does for locks. Its handler has run then.
pub fn restarts() -> bool {
    let restarts = pending().get() && {
        // SAFETY: `pending` was set after SAVED was written.
        let (signal, ..) = unsafe { SAVED.with(|s| (*s.get()).assume_init()) };
        get(signal).is_some_and(|action| is_stop(signal, &action) || action.sa_flags & libc::SA_RESTART != 0)
    };
    if restarts {
        boundary::call_out(send_again);
    }
    restarts
}

/// Sends this thread a signal that it got; it arrives when it is not blocked.
///
/// # Safety
/// `info` is the kernel's, of that signal.
unsafe fn send(signal: c_int, info: *const siginfo_t) {
    // SAFETY: as the caller says.
    unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), libc::gettid(), signal, info) };
}

#[cold]
fn send_again() {
    pending().set(false);
    // SAFETY: `pending` was set after SAVED was written; every signal is blocked, so nothing writes it now.
    let (signal, info, mask) = unsafe { SAVED.with(|s| (*s.get()).assume_init()) };
    let errno = boundary::errno();
    // SAFETY: sends this thread the very signal that it got, then returns to its mask: the signal arrives here.
    unsafe {
        send(signal, &info);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0usize, size_of::<u64>());
    }
    boundary::set_errno(errno);
}

/// Does what the program asked for.
unsafe fn run(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let action = get(signal);
    match action {
        Some(action) if is_handler(&action) => {
            if action.sa_flags & libc::SA_RESETHAND != 0 {
                let mut reset = action;
                reset.sa_sigaction = libc::SIG_DFL;
                let given = set(signal, &reset);
                set_kernel(signal, &given);
            }
            let tight = &crate::thread::flags().tight;
            let handled = &crate::thread::flags().handled;
            handled.set(handled.get().wrapping_add(1));
            let before = tight.replace(tight.get() | stack_of(&action, context));
            // SAFETY: the program's own handler, of the type that its flags say.
            unsafe {
                if action.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(action.sa_sigaction);
                    handler(signal, info, context);
                } else {
                    let handler: extern "C" fn(c_int) = std::mem::transmute(action.sa_sigaction);
                    handler(signal);
                }
            }
            tight.set(before);
        }
        Some(action) if is_stop(signal, &action) => stop(info),
        // Another thread has just told us to ignore it, and not the kernel yet. (A fault can't be ignored.)
        // SAFETY: the kernel's siginfo.
        Some(action) if action.sa_sigaction == libc::SIG_IGN && !is_fault(signal, unsafe { (*info).si_code }) => {}
        // A fault that nobody handles, or a signal whose action was reset meanwhile: what the kernel does without us.
        _ => die(signal, info),
    }
}

/// What may be wrong with the stack that a handler runs on.
fn stack_of(action: &sigaction, context: *const c_void) -> u8 {
    /// From the kernel's headers: the alternate stack is none while a handler runs on it.
    const SS_AUTODISARM: c_int = 1 << 31;
    // SAFETY: the kernel's context of the signal.
    let armed = || unsafe { (*context.cast::<libc::ucontext_t>()).uc_stack.ss_flags & SS_AUTODISARM == 0 };
    match action.sa_flags & libc::SA_ONSTACK {
        0 => 0,
        _ if armed() => ALTERNATE,
        _ => SMALL,
    }
}

/// Stops the process; returns when it goes on. (The kernel ignores the signal in a process group that no shell looks after.)
fn stop(info: *const siginfo_t) {
    let default = no_action();
    set_kernel(libc::SIGTSTP, &default);
    let (this, mut mask) = (1u64 << (libc::SIGTSTP - 1), 0u64);
    // SAFETY: the kernel's siginfo, sent to this thread, where it arrives as soon as it is not blocked any more; masks of the kernel's size.
    unsafe {
        send(libc::SIGTSTP, info);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_UNBLOCK, &raw const this, &raw mut mask, size_of::<u64>());
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0usize, size_of::<u64>());
    }
    if get(libc::SIGTSTP).is_some_and(|action| is_stop(libc::SIGTSTP, &action)) {
        set_kernel(libc::SIGTSTP, &set(libc::SIGTSTP, &default));
    }
}

/// The default action: the faulting instruction runs again, or the signal is sent again.
fn die(signal: c_int, info: *const siginfo_t) {
    // SAFETY: plain data, for which zero is valid.
    let mut default: sigaction = unsafe { std::mem::zeroed() };
    default.sa_sigaction = libc::SIG_DFL;
    set_kernel(signal, &default);
    // SAFETY: the kernel's siginfo; sends to this thread.
    unsafe {
        if (*info).si_code <= 0 {
            send(signal, info);
        }
    }
}

/// Gives the kernel an action without asking the table.
fn set_kernel(signal: c_int, action: &sigaction) {
    let _guard = boundary::Inside::enter();
    // SAFETY: a valid action; the guard makes our hook pass it on.
    unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) };
}

/// An action to be filled in: SIG_DFL, no flags, an empty mask.
pub fn no_action() -> sigaction {
    // SAFETY: plain data; all zero is SIG_DFL with an empty mask on Linux.
    unsafe { std::mem::zeroed() }
}
