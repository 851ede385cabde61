//! The exec family. All of it ends in one system call, made here, with an environment by which the new image finds its process slot.
#![expect(unsafe_code, reason = "C arrays of strings, execve")]

use super::environment::{self, NewEnvironment};
use super::libraries::{self, Ready, VARIABLE};
use super::{image, needed, preload};
use crate::abi::{CPath, fail};
use crate::boundary::{Answer, CReturn, Escape};
use crate::paths::{self, Walked};
use crate::real::system_call;
use crate::variadic::VaList;
use crate::{boundary, cwd, fds, space};
use flac::fs::names::{Last, Resolved};
use flac::fs::running::Program;
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, c_char, c_int};
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};

/// An array of C strings, ended by null: `argv`, `envp`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Strings(pub *const *const c_char);

impl CReturn for Strings {
    const FAILED: Self = Strings(std::ptr::null());
}

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

impl Strings {
    /// The environment of this process.
    pub fn environment() -> Self {
        // SAFETY: libc's variable; a program that changes it meanwhile breaks libc's own exec too.
        Self(unsafe { environ })
    }
    /// The strings without the null at the end.
    pub fn list(self) -> Vec<*const c_char> {
        let mut list = Vec::new();
        if self.0.is_null() {
            return list;
        }
        for i in 0.. {
            // SAFETY: the program vouches for an array that ends with null.
            let s = unsafe { *self.0.add(i) };
            if s.is_null() {
                break;
            }
            list.push(s);
        }
        list
    }
}

/// What a new image gets.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Its arguments.
    pub argv: Strings,
    /// Its environment.
    pub envp: Strings,
    /// The script that it interprets, after whose file the process is named.
    pub script: Option<&'a [u8]>,
    /// How many interpreters of scripts led to it.
    pub depth: u32,
    /// The program's file, if it is FLAC's: its directory (0: not known) and itself.
    pub exe: Option<(u64, u64)>,
}

impl Call<'_> {
    fn new(argv: Strings, envp: Strings) -> Self {
        Self { argv, envp, script: None, depth: 0, exe: None }
    }
    /// The value of `LD_LIBRARY_PATH` in the new environment.
    pub fn library_path(&self) -> Vec<u8> {
        self.value(VARIABLE)
    }
    /// The value of `LD_PRELOAD` in the new environment.
    pub fn preload(&self) -> Vec<u8> {
        self.value(environment::PRELOAD)
    }
    fn value(&self, name: &[u8]) -> Vec<u8> {
        // SAFETY: the program vouches for its strings.
        let entries = self.envp.list().into_iter().map(|s| unsafe { CStr::from_ptr(s) }.to_bytes());
        entries.filter_map(|e| e.strip_prefix(name)).next().unwrap_or_default().to_vec()
    }
}

/// The kernel's exec of a path, or of the descriptor `fd` if the path is empty, which is a copy of `program`. Returns the errno.
pub fn kernel(fd: c_int, path: &CStr, flags: c_int, call: &Call<'_>, libraries: Option<&Ready>, program: Option<Program>) -> Escape {
    let ours = space::opened().filter(|fs| fs.is_this_process());
    let before = match ours.map(|fs| fs.execute(program)).transpose() {
        Ok(before) => before.flatten(),
        Err(e) => return e.into(),
    };
    let idle = ours.is_some_and(|fs| fs.leaves_nothing(cwd::held()));
    let shown = (cwd::seems_ours() && image::is_static(fd, path)).then(cwd::show_to_kernel).flatten();
    let failed = by_kernel(fd, path, flags, call, libraries, idle);
    drop(shown);
    if let Some(fs) = ours {
        fs.stays();
        fs.go_on(before);
    }
    failed
}

fn by_kernel(fd: c_int, path: &CStr, flags: c_int, call: &Call<'_>, libraries: Option<&Ready>, idle: bool) -> Escape {
    // What fails here is known all the same to an image of ours, by its process slot.
    let _ = fds::identify_for_exec();
    fds::leave_for_exec(true);
    let new = NewEnvironment::of(call, libraries, idle);
    let (argv, envp) = (call.argv.0, new.as_ref().map_or(call.envp.0, NewEnvironment::pointer));
    // A signal that waits for this thread to leave our code must not be carried, blocked, into the new image.
    boundary::call_out(|| {
        crate::signals::deliver();
        let (path, argv, envp) = (path.as_ptr() as usize, argv as usize, envp as usize);
        // SAFETY: C strings and arrays that end with null.
        unsafe {
            if fd == AT_FDCWD && flags == 0 {
                system_call(libc::SYS_execve, [path, argv, envp, 0, 0, 0]);
            } else {
                system_call(libc::SYS_execveat, [fd as usize, path, argv, envp, flags as usize, 0]);
            }
        }
    });
    let failed = Escape::Fail(boundary::errno());
    fds::leave_for_exec(false);
    failed
}

/// Executes a path. Comes back only when that fails.
pub fn run(dirfd: c_int, path: CPath, flags: c_int, call: &Call<'_>) -> Escape {
    let last = if flags & AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
    match paths::walk(dirfd, path, last) {
        Err(Escape::NotOurs) if path.is_null() => Escape::Fail(libc::EFAULT),
        Err(Escape::NotOurs) => {
            // SAFETY: not null, the program's string.
            let path = unsafe { CStr::from_ptr(path.ptr()) };
            kernel_or_script(dirfd, path, flags, call)
        }
        Err(e) => e,
        Ok(Walked::Kernel(path)) => kernel_or_script(AT_FDCWD, &path, 0, call),
        Ok(Walked::Flac(_, Resolved::Found { kind: libc::S_IFLNK, .. })) => Escape::Fail(libc::ELOOP),
        Ok(Walked::Flac(fs, Resolved::Found { parent, ino, .. })) => {
            let bytes = path.bytes().unwrap_or_default();
            let call = Call { exe: Some((parent.get(), ino.get())), ..*call };
            image::run(fs, ino, bytes, &call).err().unwrap_or(Escape::Fail(libc::ENOEXEC))
        }
        Ok(Walked::Flac(..)) => Escape::Fail(libc::ENOENT),
    }
}

/// A program of the kernel's, perhaps the interpreter of a script of ours. It says ENOENT for a script whose interpreter is in FLAC, too.
fn kernel_or_script(dirfd: c_int, path: &CStr, flags: c_int, call: &Call<'_>) -> Escape {
    let call = &Call { exe: None, ..*call };
    let more = call.library_path();
    let preloaded = call.preload();
    let concerned = !more.is_empty() && needed::directories(&more, b"").iter().any(|dir| libraries::leads_into_flac(dir))
        || preload::entries(&preloaded).any(libraries::leads_into_flac);
    let needed = concerned.then(|| image::needed_by_kernel_file(path)).flatten();
    let ready = needed.and_then(|n| libraries::ready(path.to_bytes(), &n, &more, &preloaded));
    let failed = kernel(dirfd, path, flags, call, ready.as_ref(), None);
    drop(ready);
    if failed == Escape::Fail(libc::ENOENT)
        && dirfd == AT_FDCWD
        && let Some(line) = image::first_line_of_kernel_file(path)
    {
        return image::run_script(&line, path.to_bytes(), call);
    }
    match failed {
        // Asking libc, too, brings us back here for a walk by hand, which might find the path; see `paths`.
        Escape::Fail(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) if !boundary::by_hand() => Escape::NotOurs,
        failed => failed,
    }
}

/// Executes `file`, looked for in `PATH` if it has no slash; what is no program is given to the shell.
pub fn search(file: CPath, argv: Strings, envp: Strings) -> Escape {
    let name = match file.bytes() {
        Ok(b"") => return Escape::Fail(libc::ENOENT),
        Ok(name) => name,
        Err(_) => return Escape::Fail(libc::EFAULT),
    };
    if name.contains(&b'/') {
        return run_or_shell(file, argv, envp);
    }
    if name.len() > 255 {
        return Escape::Fail(libc::ENAMETOOLONG);
    }
    // SAFETY: the program changes its environment in no other thread now (as for libc's execvp).
    let path = unsafe { libc::getenv(c"PATH".as_ptr()) };
    // SAFETY: not null: a C string.
    let path = if path.is_null() { b"/bin:/usr/bin".as_slice() } else { unsafe { CStr::from_ptr(path) }.to_bytes() };
    let mut result = Escape::Fail(libc::ENOENT);
    for dir in path.split(|b| *b == b':') {
        let slash: &[u8] = if dir.is_empty() { b"" } else { b"/" };
        let Ok(whole) = CString::new([dir, slash, name].concat()) else { continue };
        match run_or_shell(CPath::of(&whole), argv, envp) {
            Escape::Fail(libc::EACCES) => result = Escape::Fail(libc::EACCES),
            Escape::NotOurs if result == Escape::Fail(libc::ENOENT) => result = Escape::NotOurs,
            Escape::NotOurs => {}
            Escape::Fail(libc::ENOENT | libc::ESTALE | libc::ENOTDIR | libc::ENODEV | libc::ETIMEDOUT) => {}
            other => return other,
        }
    }
    result
}

/// In a child of `posix_spawnp`, which gives nothing to the shell, this is set.
pub static PROGRAMS_ALONE: AtomicBool = AtomicBool::new(false);

fn run_or_shell(path: CPath, argv: Strings, envp: Strings) -> Escape {
    match run(AT_FDCWD, path, 0, &Call::new(argv, envp)) {
        Escape::Fail(libc::ENOEXEC) if !PROGRAMS_ALONE.load(Ordering::Relaxed) => {
            let shell = c"/bin/sh";
            let mut list = vec![shell.as_ptr(), path.ptr()];
            list.extend(argv.list().iter().skip(1));
            list.push(std::ptr::null());
            run(AT_FDCWD, CPath::of(shell), 0, &Call::new(Strings(list.as_ptr()), envp))
        }
        e => e,
    }
}

hook! {
    /// `execve(2)`.
    fn execve(path: CPath, argv: Strings, envp: Strings) -> c_int {
        Err(run(AT_FDCWD, path, 0, &Call::new(argv, envp)))
    }
}

hook! {
    /// `execv(3)`.
    fn execv(path: CPath, argv: Strings) -> c_int {
        Err(run(AT_FDCWD, path, 0, &Call::new(argv, Strings::environment())))
    }
}

hook! {
    /// `execvp(3)`.
    fn execvp(file: CPath, argv: Strings) -> c_int {
        Err(search(file, argv, Strings::environment()))
    }
}

hook! {
    /// `execvpe(3)`.
    fn execvpe(file: CPath, argv: Strings, envp: Strings) -> c_int {
        Err(search(file, argv, envp))
    }
}

hook! {
    /// `execveat(2)`.
    fn execveat(dirfd: c_int, path: CPath, argv: Strings, envp: Strings, flags: c_int) -> c_int {
        if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
            return Err(Escape::NotOurs);
        }
        if path.bytes()?.is_empty() && flags & AT_EMPTY_PATH != 0 {
            return by_descriptor(dirfd, &Call::new(argv, envp));
        }
        Err(run(dirfd, path, flags, &Call::new(argv, envp)))
    }
}

hook! {
    /// `fexecve(3)`.
    fn fexecve(fd: c_int, argv: Strings, envp: Strings) -> c_int {
        if fd < 0 || argv.0.is_null() || envp.0.is_null() {
            return fail(libc::EINVAL);
        }
        by_descriptor(fd, &Call::new(argv, envp))
    }
}

fn by_descriptor(fd: c_int, call: &Call<'_>) -> Answer<c_int> {
    match fds::inode(fd) {
        Ok((fs, ino)) => {
            let name = format!("/dev/fd/{fd}");
            // The interpreter of a script opens it by this name: it must not be closed by exec.
            let closed = rustix::io::fcntl_getfd(fds::borrow(fd)?)?.contains(rustix::io::FdFlags::CLOEXEC);
            if closed && image::is_script(fs, ino)? {
                return fail(libc::ENOENT);
            }
            image::run(fs, ino, name.as_bytes(), &Call { exe: Some((0, ino.get())), ..*call })
        }
        Err(Escape::NotOurs) => Err(kernel(fd, c"", AT_EMPTY_PATH, call, None, None)),
        Err(e) => Err(e),
    }
}

/// The arguments after the fixed ones, as an array with `first` in front. What follows the null is left in the list.
fn collected(first: *const c_char, args: &mut VaList) -> Vec<*const c_char> {
    let mut list = vec![first];
    if first.is_null() {
        return list;
    }
    loop {
        // SAFETY: the program's arguments are pointers, the last one null.
        let next = unsafe { args.next_pointer::<c_char>() }.cast_const();
        list.push(next);
        if next.is_null() {
            return list;
        }
    }
}

extern "C-unwind" fn execl_list(path: CPath, first: *const c_char, mut args: VaList) -> c_int {
    let list = collected(first, &mut args);
    // SAFETY: our hook, with an array that ends with null.
    unsafe { execv(path, Strings(list.as_ptr())) }
}

extern "C-unwind" fn execlp_list(file: CPath, first: *const c_char, mut args: VaList) -> c_int {
    let list = collected(first, &mut args);
    // SAFETY: as above.
    unsafe { execvp(file, Strings(list.as_ptr())) }
}

extern "C-unwind" fn execle_list(path: CPath, first: *const c_char, mut args: VaList) -> c_int {
    let list = collected(first, &mut args);
    // SAFETY: the environment follows the null.
    let envp = unsafe { args.next_pointer::<*const c_char>() };
    // SAFETY: as above.
    unsafe { execve(path, Strings(list.as_ptr()), Strings(envp)) }
}

variadic! {
    /// `execl(3)`.
    fn execl(2) => execl_list
}

variadic! {
    /// `execlp(3)`.
    fn execlp(2) => execlp_list
}

variadic! {
    /// `execle(3)`.
    fn execle(2) => execle_list
}
