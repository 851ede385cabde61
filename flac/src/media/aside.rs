//! Work that needs a descriptor for a moment, in a process that has used up its own.
//!
//! A program that has as many files open as it may is refused another one, but `stat`, `fsync` or `rename` must not be. So where a file can't be opened for that reason, the work
//! is done by a thread that shares all with its maker but the table of descriptors: it has a copy, in which it closes some. What it maps stays mapped; its maker waits for it.
#![expect(unsafe_code, reason = "makes a thread with a descriptor table of its own")]

use crate::error::Error;
use rustix::fd::{BorrowedFd, RawFd};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use std::ffi::{c_int, c_void};
use std::mem::zeroed;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

const STACK: usize = 256 << 10;
/// How many files may be open at once.
const ROOM: usize = 4;

/// What a full table is to an error type.
pub(crate) trait Full {
    /// Whether it says that the process may open no more files.
    fn is_full(&self) -> bool;
}

impl Full for Errno {
    fn is_full(&self) -> bool {
        *self == Errno::MFILE
    }
}

impl Full for Error {
    fn is_full(&self) -> bool {
        self.errno() == libc::EMFILE
    }
}

/// Runs `work`, which opens files for no longer than it runs; once more, by a thread with room for them, if it finds that the process may open no more.
/// It leaves nothing half done then, and neither locks nor unlocks files for its process: these locks belong to a descriptor table.
pub(crate) fn with_room<T, E: Full>(mut work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    match work() {
        Err(e) if e.is_full() => aside(&mut work).unwrap_or(Err(e)),
        done => done,
    }
}

struct Task<'w, T> {
    work: &'w mut dyn FnMut() -> T,
    done: Option<T>,
}

/// `None`: no thread was to be had, or no room, or the work panicked.
fn aside<T>(work: &mut dyn FnMut() -> T) -> Option<T> {
    let mut task = Task { work, done: None };
    super::fd::distrust();
    // SAFETY: fresh memory.
    let stack =
        unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), STACK, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }.ok()?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_FS | libc::CLONE_SYSVSEM;
    without_signals(|| {
        // SAFETY: the thread has a stack; it uses this thread's thread-locals, while this one waits for its end.
        unsafe { libc::clone(begin::<T>, stack.byte_add(STACK), flags, (&raw mut task).cast()) };
    });
    // SAFETY: mapped above, and nobody is on it.
    let _ = unsafe { rustix::mm::munmap(stack, STACK) };
    task.done
}

extern "C" fn begin<T>(task: *mut c_void) -> c_int {
    // SAFETY: what `aside` passed, who waits.
    let task = unsafe { &mut *task.cast::<Task<'_, T>>() };
    let open = (0..i32::from(u16::MAX)).filter(|fd| is_open(*fd)).take(ROOM);
    // SAFETY: they stay open in the table of those who use them.
    if open.map(|fd| unsafe { rustix::io::close(fd) }).count() > 0 {
        task.done = catch_unwind(AssertUnwindSafe(|| (task.work)())).ok();
    }
    0
}

fn is_open(fd: RawFd) -> bool {
    // SAFETY: the number is only asked about.
    rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(fd) }).is_ok()
}

/// Runs `f` with all signals blocked: the program's handlers would run in a thread that it knows nothing of.
pub(super) fn without_signals(f: impl FnOnce()) {
    // SAFETY: signal sets are plain numbers, valid when zero.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { (zeroed(), zeroed()) };
    // SAFETY: valid sets.
    unsafe {
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
    }
    f();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use rustix::process::{Resource, getrlimit, setrlimit};

    #[test]
    fn a_full_table_has_room_aside() {
        // The limit is the process's, whose other tests need theirs: a child has its own.
        // SAFETY: the child makes system calls only, and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let mut limit = getrlimit(Resource::Nofile);
            (limit.current, limit.maximum) = (Some(40), Some(40));
            let _ = setrlimit(Resource::Nofile, limit);
            let open = || rustix::fs::open("/", OFlags::PATH, Mode::empty());
            while open().map(std::mem::forget).is_ok() {}
            let seen = with_room(|| open().and_then(rustix::fs::fstat)).is_ok_and(|stat| stat.st_ino != 0);
            // The table is as it was.
            let full = open().is_err() && rustix::fs::fstat(rustix::stdio::stdin()).is_ok();
            // SAFETY: ends the child.
            unsafe { libc::_exit(if seen && full { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
    }
}
