#![expect(unsafe_code, reason = "wraps the calls that make processes in unusual ways")]
//! Children made by other calls than `fork`. They run a plain function: a closure's values could be half moved when a child has its parent's memory.

use super::{Child, Sys, call};
use libc::{SIGCHLD, c_int, c_void};

/// What a child does; its exit code.
pub type Body = extern "C" fn(*mut c_void) -> c_int;

fn run(pid: i64, body: Body) -> Child {
    if pid == 0 {
        let code = body(std::ptr::null_mut());
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(code) }
    }
    Child::of(i32::try_from(pid).expect("a pid"))
}

/// By the system call `clone`, without a stack.
pub fn clone_by_number(flags: c_int, body: Body) -> Sys<Child> {
    call!(libc::syscall(libc::SYS_clone, flags | SIGCHLD, 0, 0, 0, 0)).map(|pid| run(pid, body))
}

/// By the system call `clone3`, without a stack.
pub fn clone3_by_number(flags: c_int, body: Body) -> Sys<Child> {
    let mut args = [0_u64; 8];
    args[0] = u64::from(flags.cast_unsigned());
    args[4] = SIGCHLD as u64;
    call!(libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args))).map(|pid| run(pid, body))
}

/// By libc's `clone`, on a stack of its own, which stays.
pub fn clone_on_stack(flags: c_int, body: Body) -> Sys<Child> {
    const SIZE: usize = 1 << 20;
    let stack = Vec::<u128>::leak(vec![0; SIZE / size_of::<u128>()]);
    let top = stack.as_mut_ptr_range().end.cast();
    call!(libc::clone(body, top, flags | SIGCHLD, std::ptr::null_mut::<c_void>())).map(Child::of)
}

/// Who this thread is to file systems, by the bare system call or by libc's function.
pub fn set_file_system_user(id: u32, by_number: bool) {
    // SAFETY: plain numbers; neither says whether it succeeded.
    unsafe {
        match by_number {
            true => drop(libc::syscall(libc::SYS_setfsuid, id)),
            false => drop(libc::setfsuid(id)),
        }
    }
}

/// Changes the effective user of this thread alone.
pub fn set_thread_user(id: u32) -> Sys<()> {
    call!(libc::syscall(libc::SYS_setresuid, -1, id, -1)).map(drop)
}
