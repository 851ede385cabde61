//! clone, clone3: processes made by them are made as `fork` makes them, with a process slot and holds of their own.
//!
//! What is a thread to the kernel (`CLONE_THREAD`), and what shares its parent's memory and runs beside it, uses its parent's slot and is left to libc. A child that shares its
//! memory while its parent waits (`CLONE_VFORK`) gets a copy, as of `vfork`. May call `fork`, `leave`; knows no file.
#![expect(unsafe_code, reason = "system calls that make processes, and a function on the program's stack")]

use super::{fork, leave};
use crate::abi::In;
use crate::memory;
use crate::real::system_call;
use libc::{CLONE_SETTLS, CLONE_SIGHAND, CLONE_THREAD, CLONE_VFORK, CLONE_VM, c_int, c_long, c_void, pid_t};

/// What a child begins with.
type Body = unsafe extern "C" fn(*mut c_void) -> c_int;

/// What is not asked of the kernel: the memory, and the parent's wait, which is ours.
const OURS: u64 = (CLONE_VM | CLONE_SIGHAND | CLONE_VFORK) as u64;

/// Whether what is made so is a process for us to look after.
fn is_process(flags: u64) -> bool {
    let asks = |flag: c_int| flags & flag as u64 != 0;
    !asks(CLONE_THREAD) && !asks(CLONE_SETTLS) && (!asks(CLONE_VM) || asks(CLONE_VFORK))
}

/// What libc and the kernel know of the thread that forks by its number. `fork` sees to it; the bare system call leaves the child with its parent's, by which it would own no lock that others
/// are to take over when it dies.
struct Known {
    tid: *mut pid_t,
    robust: (usize, usize),
}

impl Known {
    fn of_this_thread() -> Self {
        const PR_GET_TID_ADDRESS: usize = 40;
        let mut known = Self { tid: std::ptr::null_mut(), robust: (0, 0) };
        // SAFETY: places for an address and for two words. Where the kernel does not tell, they stay null.
        unsafe {
            system_call(libc::SYS_prctl, [PR_GET_TID_ADDRESS, &raw mut known.tid as usize, 0, 0, 0, 0]);
            let (head, len) = (&raw mut known.robust.0 as usize, &raw mut known.robust.1 as usize);
            system_call(libc::SYS_get_robust_list, [0, head, len, 0, 0, 0]);
        }
        known
    }
    /// In the child; `clears`: the program has said itself what is cleared at its end.
    fn renew(self, clears: bool) {
        // SAFETY: libc's own places in this thread's descriptor, which the child has a copy of.
        unsafe {
            if !self.tid.is_null() {
                self.tid.write(rustix::thread::gettid().as_raw_nonzero().get());
                if !clears {
                    system_call(libc::SYS_set_tid_address, [self.tid as usize, 0, 0, 0, 0, 0]);
                }
            }
            system_call(libc::SYS_set_robust_list, [self.robust.0, self.robust.1, 0, 0, 0, 0]);
        }
    }
}

/// Makes a process by `make`, which gets the flags that are the kernel's.
fn process(flags: u64, make: impl FnOnce(u64) -> c_long) -> c_int {
    let forked = || {
        fork::forking(|| {
            let known = Known::of_this_thread();
            memory::before_fork();
            let pid = make(flags & !OURS) as c_int;
            if pid == 0 {
                known.renew(flags & libc::CLONE_CHILD_CLEARTID as u64 != 0);
            }
            memory::after_fork();
            pid
        })
    };
    if flags & CLONE_VFORK as u64 != 0 { fork::awaiting(forked) } else { forked() }
}

/// The system call `clone`, its words in this machine's order.
fn by_words(flags: u64, words: [usize; 3]) -> c_int {
    // SAFETY: the program's places; no stack: the child goes on with a copy of this one.
    process(flags, |flags| unsafe { system_call(libc::SYS_clone, [flags as usize, 0, words[0], words[1], words[2], 0]) })
}

/// `clone` by number: `None` where it is the kernel's.
pub fn by_number(words: &[usize; 6]) -> Option<c_long> {
    let flags = words[0] as u64;
    (words[1] == 0 && is_process(flags)).then(|| by_words(flags, [words[2], words[3], words[4]]).into())
}

/// `clone3` by number: `None` where it is the kernel's.
pub fn third_by_number(words: &[usize; 6]) -> Option<c_long> {
    /// Where flags and stack lie in `struct clone_args`, of which there may be more than we know of.
    const FLAGS: usize = 0;
    const STACK: usize = 5;
    const KNOWN: usize = 32;
    let n = words[1] / size_of::<u64>();
    let mut args = [0u64; KNOWN];
    if n <= STACK || n > KNOWN || !words[1].is_multiple_of(size_of::<u64>()) {
        return None;
    }
    In::<u64>::at(std::ptr::with_exposed_provenance(words[0])).copy(&mut args[..n]).ok()?;
    let flags = args[FLAGS];
    if args[STACK] != 0 || !is_process(flags) {
        return None;
    }
    let made = process(flags, |flags| {
        args[FLAGS] = flags;
        // SAFETY: the program's description, with other flags.
        unsafe { system_call(libc::SYS_clone3, [args.as_ptr() as usize, words[1], 0, 0, 0, 0]) }
    });
    Some(made.into())
}

/// The child's function, on its stack.
struct Task {
    body: Body,
    arg: *mut c_void,
    status: c_int,
}

unsafe extern "C" fn run(task: *mut c_void) {
    // SAFETY: what `clone` passed, who waits.
    let task = unsafe { &mut *task.cast::<Task>() };
    // SAFETY: the program's function and argument.
    task.status = unsafe { (task.body)(task.arg) };
}

export! {
    /// `clone(2)` as libc has it. It has variable arguments, but in the places where these are: those that the flags do not ask for are not looked at.
    fn clone(body: Option<Body>, stack: *mut c_void, flags: c_int, arg: *mut c_void, parent_tid: usize, tls: usize, child_tid: usize) -> c_int,
    also(__clone), when(body.is_some() && !stack.is_null() && is_process(flags as u32 as u64)), real(theirs) {
        let Some(body) = body else { return theirs(body, stack, flags, arg, parent_tid, tls, child_tid) };
        let words = if cfg!(target_arch = "aarch64") { [parent_tid, tls, child_tid] } else { [parent_tid, child_tid, tls] };
        let pid = by_words(flags as u32 as u64, words);
        if pid == 0 {
            let mut task = Task { body, arg, status: 0 };
            // SAFETY: the end of the program's memory for a stack, aligned as it has to be; a copy, which nobody else is on.
            unsafe { crate::stack::call_on(stack.map_addr(|at| at & !15), run, (&raw mut task).cast()) };
            leave::end();
            // SAFETY: ends this thread, the only one of the child.
            unsafe { system_call(libc::SYS_exit, [task.status as usize, 0, 0, 0, 0, 0]) };
        }
        pid
    }
}
