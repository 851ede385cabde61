//! `posix_spawn`: libc's runs the child's part inside itself, past our hooks. Once FLAC is in use, or a path leads there, the child is forked here and does its
//! part through our hooks.
#![expect(unsafe_code, reason = "libc's spawn objects, processes and signals")]

use super::exec::Strings;
use crate::abi::CPath;
use crate::boundary::{self, Inside};
use crate::paths::{self, Place};
use crate::real::system_call;
use crate::{fds, space};
use flac::fs::names::Last;
use libc::{AT_FDCWD, c_char, c_int, c_short, mode_t, pid_t, posix_spawnattr_t, sigset_t};
use std::mem::zeroed;

/// `posix_spawn_file_actions_t`, as glibc has had it since 2.1.
#[repr(C)]
pub struct Actions {
    allocated: c_int,
    used: c_int,
    list: *const Action,
}

/// glibc's record of one action; later versions have added kinds at the end.
#[repr(C)]
struct Action {
    kind: c_int,
    what: What,
}

#[derive(Clone, Copy)]
#[repr(C)]
union What {
    fds: [c_int; 2],
    open: OpenAction,
    path: *const c_char,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct OpenAction {
    fd: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
}

const CLOSE: c_int = 0;
const DUP2: c_int = 1;
const OPEN: c_int = 2;
const CHDIR: c_int = 3;
const FCHDIR: c_int = 4;
const CLOSEFROM: c_int = 5;
const TCSETPGRP: c_int = 6;

/// `POSIX_SPAWN_SETSID`, of glibc.
const SETSID: c_short = 0x80;

/// What the program asked for.
struct Request {
    path: CPath,
    searches: bool,
    actions: *const Actions,
    attributes: *const posix_spawnattr_t,
    argv: Strings,
    envp: Strings,
}

impl Request {
    fn actions(&self) -> &[Action] {
        // SAFETY: null, or an object that the program initialised with libc's functions.
        match unsafe { self.actions.as_ref() } {
            // SAFETY: libc keeps `used` records there.
            Some(a) if !a.list.is_null() && a.used > 0 => unsafe { std::slice::from_raw_parts(a.list, a.used as usize) },
            _ => &[],
        }
    }

    fn flags(&self) -> c_int {
        let mut flags: c_short = 0;
        if !self.attributes.is_null() {
            // SAFETY: not null: an object that the program initialised.
            unsafe { libc::posix_spawnattr_getflags(self.attributes, &mut flags) };
        }
        c_int::from(flags)
    }

    /// Whether the child has anything to do with FLAC.
    fn concerns_flac(&self) -> bool {
        if space::opened().is_some() {
            return true;
        }
        let Some(_guard) = Inside::enter() else { return false };
        let leads_there = |path: CPath| {
            let place = path.bytes().and_then(|p| paths::place(AT_FDCWD, p, Last::Follow));
            matches!(place, Ok(Place::Flac(..)))
        };
        leads_there(self.path)
            || self.actions().iter().any(|a| match a.kind {
                // SAFETY: libc keeps a C string in these kinds.
                OPEN => leads_there(unsafe { path_of(a.what.open.path) }),
                // SAFETY: as above.
                CHDIR => leads_there(unsafe { path_of(a.what.path) }),
                _ => false,
            })
    }
}

/// A string that libc keeps, as a hook's argument.
///
/// # Safety
/// `path` is a C string.
unsafe fn path_of(path: *const c_char) -> CPath {
    // SAFETY: the caller's promise.
    CPath::of(unsafe { std::ffi::CStr::from_ptr(path) })
}

export! {
    /// `posix_spawn(3)`.
    fn posix_spawn(
        pid: *mut pid_t, path: CPath, actions: *const Actions, attributes: *const posix_spawnattr_t, argv: Strings, envp: Strings
    ) -> c_int, when(!path.is_null()), real(theirs) {
        let request = Request { path, searches: false, actions, attributes, argv, envp };
        if request.concerns_flac() { spawn(pid, &request) } else { theirs(pid, path, actions, attributes, argv, envp) }
    }
}

export! {
    /// `posix_spawnp(3)`.
    fn posix_spawnp(
        pid: *mut pid_t, file: CPath, actions: *const Actions, attributes: *const posix_spawnattr_t, argv: Strings, envp: Strings
    ) -> c_int, when(!file.is_null()), real(theirs) {
        let request = Request { path: file, searches: true, actions, attributes, argv, envp };
        if request.concerns_flac() { spawn(pid, &request) } else { theirs(pid, file, actions, attributes, argv, envp) }
    }
}

/// Forks, and learns through a pipe that exec closes whether the child got there. The errno, or 0.
fn spawn(pid: *mut pid_t, request: &Request) -> c_int {
    let mut ends = [-1; 2];
    // SAFETY: room for two; all calls below get places of our own. Signals wait until the child has its own handlers and mask.
    unsafe {
        if system_call(libc::SYS_pipe2, [ends.as_mut_ptr() as usize, libc::O_CLOEXEC as usize, 0, 0, 0, 0]) != 0 {
            return boundary::errno();
        }
        let (mut all, mut before): (sigset_t, sigset_t) = (zeroed(), zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
        let child = libc::fork();
        if child == 0 {
            system_call(libc::SYS_close, [ends[0] as usize, 0, 0, 0, 0, 0]);
            let report = fds::claim(ends[1]);
            let errno = become_it(request, &before);
            system_call(libc::SYS_write, [report as usize, &raw const errno as usize, size_of::<c_int>(), 0, 0, 0]);
            libc::_exit(127);
        }
        let mut errno = boundary::errno();
        system_call(libc::SYS_close, [ends[1] as usize, 0, 0, 0, 0, 0]);
        if child > 0 {
            errno = 0;
            while system_call(libc::SYS_read, [ends[0] as usize, &raw mut errno as usize, size_of::<c_int>(), 0, 0, 0]) < 0
                && boundary::errno() == libc::EINTR
            {}
            if errno != 0 {
                libc::waitpid(child, std::ptr::null_mut(), 0);
            } else if !pid.is_null() {
                *pid = child;
            }
        }
        system_call(libc::SYS_close, [ends[0] as usize, 0, 0, 0, 0, 0]);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        errno
    }
}

/// The child's part. Comes back only with an errno.
fn become_it(request: &Request, mask: &sigset_t) -> c_int {
    let flags = request.flags();
    let done = attributes(request, flags).and_then(|()| request.actions().iter().try_for_each(act));
    if let Err(errno) = done {
        return errno;
    }
    let mut wanted = *mask;
    // SAFETY: the program's attributes; our hooks with the program's arguments.
    unsafe {
        if flags & libc::POSIX_SPAWN_SETSIGMASK != 0 {
            libc::posix_spawnattr_getsigmask(request.attributes, &mut wanted);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &wanted, std::ptr::null_mut());
        if request.searches {
            super::exec::PROGRAMS_ALONE.store(true, std::sync::atomic::Ordering::Relaxed);
            super::exec::execvpe(request.path, request.argv, request.envp);
        } else {
            super::exec::execve(request.path, request.argv, request.envp);
        }
    }
    boundary::errno()
}

fn checked(result: c_int) -> Result<(), c_int> {
    if result < 0 { Err(boundary::errno()) } else { Ok(()) }
}

fn attributes(request: &Request, flags: c_int) -> Result<(), c_int> {
    let attributes = request.attributes;
    // SAFETY: the program's attributes, not null where a flag is set; places of our own.
    unsafe {
        if flags & libc::POSIX_SPAWN_SETSIGDEF != 0 {
            let mut set: sigset_t = zeroed();
            libc::posix_spawnattr_getsigdefault(attributes, &mut set);
            for signal in (1..=64).filter(|s| libc::sigismember(&set, *s) == 1) {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        scheduling(attributes, flags)?;
        if flags & c_int::from(SETSID) != 0 {
            checked(libc::setsid())?;
        }
        if flags & libc::POSIX_SPAWN_SETPGROUP != 0 {
            let mut group = 0;
            libc::posix_spawnattr_getpgroup(attributes, &mut group);
            checked(libc::setpgid(0, group))?;
        }
        if flags & libc::POSIX_SPAWN_RESETIDS != 0 {
            checked(libc::seteuid(libc::getuid()))?;
            checked(libc::setegid(libc::getgid()))?;
        }
    }
    Ok(())
}

fn scheduling(attributes: *const posix_spawnattr_t, flags: c_int) -> Result<(), c_int> {
    const ANY: c_int = libc::POSIX_SPAWN_SETSCHEDULER | libc::POSIX_SPAWN_SETSCHEDPARAM;
    if flags & ANY == 0 {
        return Ok(());
    }
    // SAFETY: as above.
    unsafe {
        let (mut policy, mut parameters): (c_int, libc::sched_param) = (0, zeroed());
        libc::posix_spawnattr_getschedparam(attributes, &mut parameters);
        if flags & libc::POSIX_SPAWN_SETSCHEDULER != 0 {
            libc::posix_spawnattr_getschedpolicy(attributes, &mut policy);
            checked(libc::sched_setscheduler(0, policy, &parameters))
        } else {
            checked(libc::sched_setparam(0, &parameters))
        }
    }
}

fn act(action: &Action) -> Result<(), c_int> {
    // SAFETY: libc keeps in each kind what it says; our hooks.
    unsafe {
        let [fd, other] = if action.kind == OPEN { [action.what.open.fd, 0] } else { action.what.fds };
        match action.kind {
            CLOSE => {
                // Closing what is not open is no error, unless it can't be a descriptor at all.
                libc::close(fd);
                Ok(())
            }
            DUP2 if fd == other => {
                let flags = libc::fcntl(fd, libc::F_GETFD);
                checked(flags)?;
                checked(libc::fcntl(fd, libc::F_SETFD, flags & !libc::FD_CLOEXEC))
            }
            DUP2 => checked(libc::dup2(fd, other)),
            OPEN => {
                let open = action.what.open;
                libc::close(fd);
                let made = libc::open(open.path, open.flags, open.mode);
                checked(made)?;
                if made != fd {
                    checked(libc::dup2(made, fd))?;
                    checked(libc::close(made))?;
                }
                Ok(())
            }
            CHDIR => checked(libc::chdir(action.what.path)),
            FCHDIR => checked(libc::fchdir(fd)),
            CLOSEFROM => {
                super::super::close::closefrom(fd);
                Ok(())
            }
            TCSETPGRP => checked(libc::tcsetpgrp(fd, libc::getpgrp())),
            _ => Err(libc::ENOSYS),
        }
    }
}
