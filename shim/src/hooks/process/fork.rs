//! fork, vfork, _Fork, daemon, forkpty, login_tty.
//!
//! A child gets a process slot of its own, with a copy of its parent's holds made before it runs. In the child, our handler of `pthread_atfork` is the first
//! to run (registered at start-up, before any other).
//!
//! `vfork` is served by `fork`: a vfork child uses its parent's memory, our tables included, while its descriptors are its own. As after
//! a real one, the parent goes on when the child has called exec or is gone.
#![expect(unsafe_code, reason = "libc's fork and the kernel's pipes")]

use crate::boundary::{self, Escape, Inside};
use crate::real::{Symbol, system_call};
use crate::{fds, memory, space};
use libc::{c_char, c_int, c_void};
use std::cell::Cell;
use std::sync::atomic::{AtomicI32, Ordering};

/// What `fork` is about to do on this thread: nothing, or hand this token to the child.
type Pending = Option<Option<u32>>;

thread_local! {
    static PENDING: Cell<Pending> = const { Cell::new(None) };
}

/// In a child of `vfork`: the write end of the pipe whose end its parent awaits.
static AWAITED: AtomicI32 = AtomicI32::new(-1);

/// Registers our handlers; before any other library can, so that they are the last before the fork and the first after it.
pub fn register() {
    unsafe extern "C" {
        fn pthread_atfork(prepare: Option<extern "C" fn()>, parent: Option<extern "C" fn()>, child: Option<extern "C" fn()>) -> c_int;
    }
    // SAFETY: functions that live as long as the library, which is never unloaded.
    unsafe { pthread_atfork(Some(memory::before_fork), Some(memory::after_fork), Some(begin_child)) };
}

extern "C" fn begin_child() {
    memory::after_fork();
    in_child();
}

fn in_child() {
    if let Some(token) = PENDING.take() {
        let _guard = Inside::enter();
        space::after_fork_child(token);
    }
    forget_awaited();
}

/// A child of a `vfork` child is not waited for.
fn forget_awaited() {
    let fd = AWAITED.swap(-1, Ordering::Relaxed);
    if fd >= 0 {
        fds::forget_own(fd);
        close_raw(fd);
    }
}

fn close_raw(fd: c_int) {
    // SAFETY: a descriptor of our own.
    unsafe { system_call(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) };
}

/// Does what `fork` does around libc's `fork`.
pub fn forking(theirs: impl FnOnce() -> c_int) -> c_int {
    let token = match before() {
        Ok(token) => token,
        Err(e) => {
            boundary::set_errno(e);
            return -1;
        }
    };
    PENDING.set(Some(token));
    let pid = theirs();
    if pid == 0 {
        // `_Fork` runs no handlers.
        in_child();
    } else {
        PENDING.set(None);
        let errno = boundary::errno();
        let guard = Inside::enter();
        space::after_fork_parent(token, (pid > 0).then_some(pid));
        drop(guard);
        boundary::set_errno(errno);
    }
    pid
}

fn before() -> Result<Option<u32>, c_int> {
    let _guard = Inside::enter();
    crate::real::find_for_children();
    match space::before_fork() {
        Ok(token) => Ok(token),
        Err(Escape::Fail(e)) => {
            crate::log::error(format_args!("fork fails: no process slot for the child ({e})"));
            Err(libc::EAGAIN)
        }
        Err(Escape::NotOurs | Escape::Outside(_)) => Ok(None),
    }
}

export! {
    /// `fork(2)`.
    fn fork() -> c_int, also(__fork), real(theirs) {
        forking(theirs)
    }
}

export! {
    /// `_Fork(3)`.
    fn _Fork() -> c_int, real(theirs) {
        forking(|| {
            memory::before_fork();
            let pid = theirs();
            memory::after_fork();
            pid
        })
    }
}

jump! {
    /// `vfork(2)`: see above. Without `FLAC_ROOT` it is libc's.
    fn vfork => vfork_target
}

jump! {
    /// Another name of [`vfork`].
    fn __vfork => vfork_target
}

/// Where `vfork` goes on.
extern "C" fn vfork_target() -> *const c_void {
    static REAL: Symbol = Symbol::new();
    if crate::config::on() { by_fork as *const c_void } else { REAL.get(c"vfork") }
}

/// `vfork` by `fork`.
extern "C" fn by_fork() -> c_int {
    // SAFETY: our hook.
    awaiting(|| unsafe { libc::fork() })
}

/// Makes a child by `make`, and waits until it has called exec or is gone.
pub fn awaiting(make: impl FnOnce() -> c_int) -> c_int {
    let mut ends = [-1; 2];
    // SAFETY: room for two. Without the pipe the parent does not wait, which no program can rely on seeing.
    let waits = unsafe { system_call(libc::SYS_pipe2, [ends.as_mut_ptr() as usize, libc::O_CLOEXEC as usize, 0, 0, 0, 0]) } == 0;
    let pid = make();
    if !waits {
        return pid;
    }
    if pid == 0 {
        close_raw(ends[0]);
        AWAITED.store(fds::claim(ends[1]), Ordering::Relaxed);
        return 0;
    }
    let errno = boundary::errno();
    close_raw(ends[1]);
    if pid > 0 {
        let mut byte = 0u8;
        // SAFETY: room for one byte, which never comes.
        while unsafe { system_call(libc::SYS_read, [ends[0] as usize, &raw mut byte as usize, 1, 0, 0, 0]) } < 0
            && boundary::errno() == libc::EINTR
        {}
    }
    close_raw(ends[0]);
    boundary::set_errno(errno);
    pid
}

export! {
    /// `daemon(3)`, which forks and moves descriptors inside libc.
    fn daemon(nochdir: c_int, noclose: c_int) -> c_int {
        // SAFETY: our hooks and system calls with valid arguments.
        unsafe {
            match libc::fork() {
                -1 => return -1,
                0 => {}
                _ => libc::_exit(0),
            }
            if libc::setsid() == -1 {
                return -1;
            }
            if nochdir == 0 {
                libc::chdir(c"/".as_ptr());
            }
            if noclose == 0 {
                let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
                if null < 0 {
                    return -1;
                }
                (0..3).for_each(|fd| {
                    libc::dup2(null, fd);
                });
                if null > 2 {
                    libc::close(null);
                }
            }
        }
        0
    }
}

export! {
    /// `login_tty(3)`, which moves descriptors inside libc.
    fn login_tty(fd: c_int) -> c_int {
        // SAFETY: our hooks and system calls with valid arguments.
        unsafe {
            libc::setsid();
            if libc::ioctl(fd, libc::TIOCSCTTY, 0) == -1 {
                return -1;
            }
            for to in 0..3 {
                while libc::dup2(fd, to) == -1 && boundary::errno() == libc::EBUSY {}
            }
            if fd > 2 {
                libc::close(fd);
            }
        }
        0
    }
}

export! {
    /// `forkpty(3)`, which forks inside libc.
    fn forkpty(pty: *mut c_int, name: *mut c_char, modes: *const libc::termios, size: *const libc::winsize) -> c_int {
        let (mut ours, mut childs) = (-1, -1);
        // SAFETY: the program's pointers, as openpty takes them; our hooks.
        unsafe {
            if libc::openpty(&mut ours, &mut childs, name, modes.cast_mut(), size.cast_mut()) == -1 {
                return -1;
            }
            let pid = libc::fork();
            match pid {
                -1 => {
                    libc::close(ours);
                    libc::close(childs);
                }
                0 => {
                    libc::close(ours);
                    if libc::login_tty(childs) != 0 {
                        libc::_exit(1);
                    }
                }
                _ => {
                    *pty = ours;
                    libc::close(childs);
                }
            }
            pid
        }
    }
}
