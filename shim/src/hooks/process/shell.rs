//! `system`, and the shell of `popen`.
#![expect(unsafe_code, reason = "libc's functions on processes and signals")]

use crate::abi::CPath;
use crate::boundary;
use libc::{c_int, pid_t, sigaction, sigset_t};
use std::mem::zeroed;

/// Starts `sh -c command`, with descriptor `redirect.0` as its `redirect.1`, and `closed` closed. The child's pid, or -1 and errno.
pub fn start(command: CPath, redirect: Option<(c_int, c_int)>, closed: &[c_int]) -> pid_t {
    // SAFETY: our hooks.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            closed.iter().for_each(|fd| {
                libc::close(*fd);
            });
            if let Some((from, to)) = redirect {
                if from == to {
                    libc::fcntl(from, libc::F_SETFD, 0);
                } else {
                    libc::dup2(from, to);
                }
            }
            exec(command);
        }
        pid
    }
}

/// Becomes the shell; 127 if there is none.
fn exec(command: CPath) -> ! {
    let argv = [c"sh".as_ptr(), c"-c".as_ptr(), command.ptr(), std::ptr::null()];
    // SAFETY: an array that ends with null; our hook.
    unsafe {
        libc::execv(c"/bin/sh".as_ptr(), argv.as_ptr());
        libc::_exit(127)
    }
}

export! {
    /// `system(3)`: libc's makes its child past our hooks, so once FLAC is in use it is our own.
    fn system(command: CPath) -> c_int, when(!command.is_null() && crate::space::opened().is_some()) {
        run(command)
    }
}

fn run(command: CPath) -> c_int {
    // SAFETY: plain data of libc's; all calls get places of our own.
    unsafe {
        let mut ignore: sigaction = zeroed();
        ignore.sa_sigaction = libc::SIG_IGN;
        let (mut interrupt, mut quit): (sigaction, sigaction) = (zeroed(), zeroed());
        let (mut child, mut before): (sigset_t, sigset_t) = (zeroed(), zeroed());
        libc::sigaction(libc::SIGINT, &ignore, &mut interrupt);
        libc::sigaction(libc::SIGQUIT, &ignore, &mut quit);
        libc::sigemptyset(&mut child);
        libc::sigaddset(&mut child, libc::SIGCHLD);
        libc::pthread_sigmask(libc::SIG_BLOCK, &child, &mut before);
        let pid = libc::fork();
        if pid == 0 {
            libc::sigaction(libc::SIGINT, &interrupt, std::ptr::null_mut());
            libc::sigaction(libc::SIGQUIT, &quit, std::ptr::null_mut());
            libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
            exec(command);
        }
        let mut status = -1;
        if pid > 0 {
            while libc::waitpid(pid, &mut status, 0) < 0 {
                if boundary::errno() != libc::EINTR {
                    status = -1;
                    break;
                }
            }
        }
        let errno = boundary::errno();
        libc::sigaction(libc::SIGINT, &interrupt, std::ptr::null_mut());
        libc::sigaction(libc::SIGQUIT, &quit, std::ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        boundary::set_errno(errno);
        status
    }
}
