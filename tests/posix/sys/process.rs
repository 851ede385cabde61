#![expect(unsafe_code, reason = "wraps the libc calls on processes and threads")]
//! Processes: fork, exec, wait, identities and limits.

use super::{Errno, Sys, c_path, call};
use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A child that `fork` made; killed and reaped when dropped without `wait`.
pub struct Child {
    pid: i32,
}

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Exit(i32),
    Signal(i32),
}

/// Runs `body` in a forked child, which exits with its result, or 101 where it panics. No destructor or `atexit`
/// function of the parent runs in it.
pub fn fork_with(body: impl FnOnce() -> i32) -> Child {
    // SAFETY: the calling cases are single-threaded, or only call what is safe after fork.
    match unsafe { libc::fork() } {
        0 => {
            let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: ends this process at once.
            unsafe { libc::_exit(code) }
        }
        -1 => panic!("fork: {:?}", Errno::last()),
        pid => Child { pid },
    }
}

/// `fork_with` for a body that says by panicking that it failed.
pub fn fork(body: impl FnOnce()) -> Child {
    fork_with(|| {
        body();
        0
    })
}

impl Child {
    /// One that was made in another way.
    pub fn of(pid: i32) -> Child {
        Child { pid }
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for the end.
    pub fn wait(self) -> Ended {
        let pid = self.pid;
        std::mem::forget(self);
        reap(pid)
    }

    /// Waits, and panics unless the child exited with 0.
    #[track_caller]
    pub fn succeeds(self) {
        assert_eq!(self.wait(), Ended::Exit(0), "how the child ended");
    }

    /// Makes the child a process group of its own, as a shell does with its jobs.
    pub fn becomes_a_job(&self) {
        // SAFETY: no pointers; the child is ours and not reaped yet.
        unsafe { libc::setpgid(self.pid, self.pid) };
    }

    /// Waits until the child stops; with which signal it did. Panics if it ended.
    #[track_caller]
    pub fn stops(&self) -> i32 {
        let mut status = 0;
        // SAFETY: the status is a valid out pointer.
        assert_eq!(unsafe { libc::waitpid(self.pid, &raw mut status, libc::WUNTRACED) }, self.pid);
        assert!(libc::WIFSTOPPED(status), "stopped, not ended: {status:#x}");
        libc::WSTOPSIG(status)
    }

    pub fn kill(&self, signal: i32) {
        // SAFETY: the child is ours and not reaped yet.
        unsafe { libc::kill(self.pid, signal) };
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill(libc::SIGKILL);
        reap(self.pid);
    }
}

fn reap(pid: i32) -> Ended {
    let mut status = 0;
    // SAFETY: the status is a valid out pointer.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1 {
        assert_eq!(Errno::last(), super::EINTR, "waitpid");
    }
    if libc::WIFSIGNALED(status) { Ended::Signal(libc::WTERMSIG(status)) } else { Ended::Exit(libc::WEXITSTATUS(status)) }
}

/// Replaces this process by this very program in one of its roles. Returns only where that failed.
pub fn exec_role(arguments: &[&str]) -> Errno {
    let program = std::env::current_exe().expect("the path of this program");
    let mut all = vec![c_path(&program), c_path("--role")];
    all.extend(arguments.iter().map(c_path));
    exec(&c_path(&program), &all)
}

/// `execv`. Returns only where that failed.
pub fn exec(program: &CStr, arguments: &[CString]) -> Errno {
    let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|text| text.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: a null-terminated array of C strings.
    unsafe { libc::execv(program.as_ptr(), pointers.as_ptr()) };
    Errno::last()
}

/// `execveat` of a path without arguments. Returns only where that failed.
pub fn execveat(path: impl AsRef<std::ffi::OsStr>, flags: i32) -> Errno {
    let path = c_path(path);
    let arguments = [path.as_ptr(), std::ptr::null()];
    // SAFETY: a path, a null-terminated array of C strings, and one of none.
    unsafe { libc::syscall(libc::SYS_execveat, libc::AT_FDCWD, path.as_ptr(), arguments.as_ptr(), arguments[1..].as_ptr(), flags) };
    Errno::last()
}

/// Ends the process without flushing streams.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: no pointers.
    unsafe { libc::_exit(code) }
}

/// Ends the process as `exit(3)` does, flushing streams.
pub fn exit_flushing(code: i32) -> ! {
    // SAFETY: no pointers.
    unsafe { libc::exit(code) }
}

pub fn is_root() -> bool {
    // SAFETY: no pointers.
    unsafe { libc::geteuid() == 0 }
}

/// The effective user and group of this process.
pub fn identity() -> (u32, u32) {
    // SAFETY: no pointers.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Becomes user and group `id` for good, without supplementary groups.
pub fn become_user(id: u32) -> Sys<()> {
    become_user_with(id, &[])
}

/// Becomes user and group `id` for good, with these supplementary groups.
pub fn become_user_with(id: u32, groups: &[u32]) -> Sys<()> {
    call!(libc::setgroups(groups.len(), groups.as_ptr()))?;
    call!(libc::setresgid(id, id, id))?;
    call!(libc::setresuid(id, id, id)).map(drop)
}

/// Becomes effective user `id`, keeping the real and the saved one.
pub fn set_effective_user(id: u32) -> Sys<()> {
    call!(libc::seteuid(id)).map(drop)
}

pub fn umask(mask: u32) -> u32 {
    // SAFETY: no pointers.
    unsafe { libc::umask(mask) }
}

/// Sets the soft limit of a resource.
pub fn limit(resource: libc::__rlimit_resource_t, soft: u64) -> Sys<()> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    call!(libc::getrlimit(resource, &raw mut limits))?;
    limits.rlim_cur = soft;
    call!(libc::setrlimit(resource, &raw const limits)).map(drop)
}

/// The soft limit of a resource.
pub fn limit_of(resource: libc::__rlimit_resource_t) -> Sys<u64> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    call!(libc::getrlimit(resource, &raw mut limits))?;
    Ok(limits.rlim_cur)
}

/// As [`limit`], and it can't be raised again.
pub fn limit_for_good(resource: libc::__rlimit_resource_t, limit: u64) -> Sys<()> {
    let limits = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    call!(libc::setrlimit(resource, &raw const limits)).map(drop)
}

/// Runs `body` in a pthread and cancels it after `milliseconds`; true when it ended by the cancellation.
pub fn cancelled_thread(body: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void, argument: i32, milliseconds: u64) -> bool {
    let argument = std::ptr::without_provenance_mut(usize::try_from(argument).expect("a descriptor"));
    let cancelled = std::ptr::without_provenance_mut::<libc::c_void>(usize::MAX);
    // SAFETY: the thread is joined here; its body takes a number as its argument.
    unsafe {
        let mut thread: libc::pthread_t = std::mem::zeroed();
        assert_eq!(libc::pthread_create(&raw mut thread, std::ptr::null(), body, argument), 0);
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        assert_eq!(libc::pthread_cancel(thread), 0);
        let mut result = std::ptr::null_mut();
        let mut limit: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut limit);
        limit.tv_sec += 20;
        libc::pthread_timedjoin_np(thread, &raw mut result, &raw const limit) == 0 && result == cancelled
    }
}

/// The body of a thread that waits, by call `which`, for what does not come: the other end of the FIFO `p`, a lock on `f`, room in the full pipe that is descriptor `which / 8`
/// or bytes in it. It holds nothing that would need a destructor.
pub extern "C" fn wait_for_ever(which: *mut libc::c_void) -> *mut libc::c_void {
    let pipe = i32::try_from(which.addr() / 8).unwrap_or(-1);
    // SAFETY: static names, and memory of this frame.
    unsafe {
        let mut range: libc::flock = std::mem::zeroed();
        range.l_type = libc::F_WRLCK as i16;
        match which.addr() % 8 {
            0 => drop(libc::open(c"p".as_ptr(), libc::O_RDONLY)),
            1 => drop(libc::openat(libc::AT_FDCWD, c"p".as_ptr(), libc::O_WRONLY)),
            2 => drop(libc::fcntl(libc::open(c"f".as_ptr(), libc::O_RDWR), libc::F_SETLKW, &raw mut range)),
            3 => drop(libc::fcntl(libc::open(c"f".as_ptr(), libc::O_RDWR), libc::F_OFD_SETLKW, &raw mut range)),
            7 => drop(libc::fopen(c"p".as_ptr(), if pipe == 0 { c"r".as_ptr() } else { c"w".as_ptr() })),
            4 => drop(libc::lockf(libc::open(c"f".as_ptr(), libc::O_RDWR), libc::F_LOCK, 0)),
            5 => drop(libc::splice(libc::open(c"f".as_ptr(), libc::O_RDWR), std::ptr::null_mut(), pipe, std::ptr::null_mut(), 4096, 0)),
            _ => drop(libc::splice(pipe, std::ptr::null_mut(), libc::open(c"f".as_ptr(), libc::O_RDWR), std::ptr::null_mut(), 4096, 0)),
        }
    }
    std::ptr::null_mut()
}

/// The body of a thread that writes a byte at offset 0 of the descriptor until it is cancelled. It holds nothing that
/// would need a destructor.
pub extern "C" fn write_for_ever(fd: *mut libc::c_void) -> *mut libc::c_void {
    let fd = i32::try_from(fd.addr()).unwrap_or(-1);
    loop {
        // SAFETY: one byte of static memory.
        unsafe { libc::pwrite(fd, b"x".as_ptr().cast(), 1, 0) };
    }
}

/// What a child of a threaded process may do: makes the file `path` with ten bytes, and writes `child` at offset 10,000
/// of `fd`. Allocates nothing. The exit code 0 means that all went well.
pub fn write_in_child(path: &CStr, fd: &super::Fd) -> i32 {
    // SAFETY: a C string, and bytes that outlive the calls.
    let done = unsafe {
        let own = libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o600);
        own >= 0
            && libc::write(own, [1_u8; 10].as_ptr().cast(), 10) == 10
            && libc::pwrite(super::Raw::raw(fd), b"child".as_ptr().cast(), 5, 10_000) == 5
    };
    i32::from(!done)
}

/// The body of a thread that does the calls of group `which` on the file `f` and names beside it until it is cancelled. It holds nothing that would need a destructor.
pub extern "C" fn work_for_ever(which: *mut libc::c_void) -> *mut libc::c_void {
    let name = |name: &'static CStr| name.as_ptr();
    loop {
        // SAFETY: static names, memory of this frame, and what the calls themselves return.
        unsafe {
            match which.addr() {
                0 => drop(libc::close(libc::open(name(c"new"), libc::O_CREAT | libc::O_RDWR, 0o600))),
                1 => {
                    let dir = libc::opendir(name(c"."));
                    while !libc::readdir(dir).is_null() {}
                    libc::closedir(dir);
                }
                2 => {
                    let stream = libc::fopen(name(c"stream"), name(c"w"));
                    libc::fputs(name(c"text"), stream);
                    libc::fclose(stream);
                }
                3 => {
                    let fd = libc::open(name(c"f"), libc::O_RDWR);
                    let map = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
                    libc::msync(map, 4096, libc::MS_SYNC);
                    libc::munmap(map, 4096);
                    libc::fsync(fd);
                    libc::close(fd);
                }
                4 => {
                    let fd = libc::open(name(c"f"), libc::O_RDWR);
                    let mut range: libc::flock = std::mem::zeroed();
                    for kind in [libc::F_WRLCK, libc::F_UNLCK] {
                        range.l_type = kind as i16;
                        libc::fcntl(fd, libc::F_SETLKW, &raw mut range);
                    }
                    libc::close(fd);
                }
                6 => {
                    static BYTES: [u8; 60_000] = [5; 60_000];
                    let fd = libc::open(name(c"f"), libc::O_RDWR);
                    libc::pwrite(fd, BYTES.as_ptr().cast(), BYTES.len(), 0);
                    libc::fsync(fd);
                    libc::close(fd);
                }
                _ => {
                    libc::rename(name(c"new"), name(c"newer"));
                    libc::rename(name(c"newer"), name(c"new"));
                    let mut stat: libc::stat = std::mem::zeroed();
                    libc::stat(name(c"new"), &raw mut stat);
                }
            }
            // What listing and renaming are not: a cancellation point.
            libc::usleep(1);
        }
    }
}
