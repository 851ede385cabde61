//! syscall(2): file calls made by number go to the same hooks as those made by name.
#![expect(unsafe_code, reason = "a function of words")]

use super::process::exec::{self, Strings};
use super::process::{clone, fork, leave};
use super::{
    access, close, copy, directory, dirs, durability, entries, fsinfo, handles, io, map, names, open, openat2, position, resize, socket,
    stat, times, watch, xattr,
};
use crate::abi::{CPath, In, Out, OutBytes};
use crate::boundary::{self, CReturn, Mapped};
use crate::thread::{Numbered, flags};
use crate::{config, creds};
use libc::{c_int, c_long, c_void};

/// What `syscall` gets besides the number.
pub type Words = [usize; 6];

/// What a register's word means as an argument.
trait Word {
    fn of(word: usize) -> Self;
}

macro_rules! numbers {
    ($($ty:ty),*) => {$(
        impl Word for $ty {
            fn of(word: usize) -> Self {
                // The upper half of a register is garbage where C passes an int.
                word as $ty
            }
        }
    )*};
}
numbers!(c_int, u32, i64, u64, usize, isize);

impl<T> Word for *mut T {
    fn of(word: usize) -> Self {
        std::ptr::with_exposed_provenance_mut(word)
    }
}
impl<T> Word for *const T {
    fn of(word: usize) -> Self {
        std::ptr::with_exposed_provenance(word)
    }
}
impl Word for Strings {
    fn of(word: usize) -> Self {
        Strings(std::ptr::with_exposed_provenance(word))
    }
}
impl Word for CPath {
    fn of(word: usize) -> Self {
        // SAFETY: CPath is a pointer in all but type, and any word is one.
        unsafe { std::mem::transmute(word) }
    }
}
impl Word for OutBytes {
    fn of(word: usize) -> Self {
        OutBytes::at(Word::of(word))
    }
}
impl Word for crate::abi::InBytes {
    fn of(word: usize) -> Self {
        crate::abi::InBytes::at(<*mut c_void>::of(word))
    }
}
impl<T: Copy> Word for In<T> {
    fn of(word: usize) -> Self {
        In::at(<*mut c_void>::of(word))
    }
}
impl<T: Copy> Word for Out<T> {
    fn of(word: usize) -> Self {
        Out::at(Word::of(word))
    }
}

/// What comes back in a register.
trait Back {
    fn word(self) -> c_long;
}
impl Back for c_int {
    fn word(self) -> c_long {
        self.into()
    }
}
impl Back for u32 {
    fn word(self) -> c_long {
        self.into()
    }
}
impl Back for c_long {
    fn word(self) -> c_long {
        self
    }
}
impl Back for isize {
    fn word(self) -> c_long {
        self as c_long
    }
}
impl Back for () {
    fn word(self) -> c_long {
        0
    }
}
impl Back for Mapped {
    fn word(self) -> c_long {
        self.0.expose_provenance() as c_long
    }
}

/// Calls a hook with as many words as it has arguments.
trait Call<A> {
    fn call(self, words: &Words) -> c_long;
}

macro_rules! calls {
    ($($abi:literal: $($arg:ident $i:literal),*;)*) => {$(
        impl<R: Back, $($arg: Word),*> Call<($($arg,)*)> for unsafe extern $abi fn($($arg),*) -> R {
            fn call(self, words: &Words) -> c_long {
                let _ = words;
                // SAFETY: the program's arguments, which it vouches for as it does to the kernel.
                unsafe { self($($arg::of(words[$i])),*) }.word()
            }
        }
    )*};
}
calls! {
    "C-unwind": ;
    "C-unwind": A 0;
    "C-unwind": A 0, B 1;
    "C-unwind": A 0, B 1, C 2;
    "C-unwind": A 0, B 1, C 2, D 3;
    "C-unwind": A 0, B 1, C 2, D 3, E 4;
    "C-unwind": A 0, B 1, C 2, D 3, E 4, F 5;
    "C": A 0;
    "C": A 0, B 1;
    "C": A 0, B 1, C 2;
}

/// Calls `$hook`, given as `path(_, _)` with a placeholder for each argument.
macro_rules! call {
    ($words:expr, $hook:path, $($x:tt)*) => {
        Some(Call::call($hook as unsafe extern "C-unwind" fn($(call!(@ $x)),*) -> _, $words))
    };
    (@ _) => { _ };
}

/// By number, those that all architectures have. `None`: not a file call.
fn by_number(n: c_long, w: &Words) -> Option<c_long> {
    match n {
        libc::SYS_read => call!(w, io::read, _ _ _),
        libc::SYS_write => call!(w, io::write, _ _ _),
        libc::SYS_pread64 => call!(w, io::pread, _ _ _ _),
        libc::SYS_pwrite64 => call!(w, io::pwrite, _ _ _ _),
        libc::SYS_readv => call!(w, io::readv, _ _ _),
        libc::SYS_writev => call!(w, io::writev, _ _ _),
        libc::SYS_preadv => call!(w, io::preadv, _ _ _ _),
        libc::SYS_pwritev => call!(w, io::pwritev, _ _ _ _),
        // The offset is in two halves, the upper one unused.
        libc::SYS_preadv2 => call!(&[w[0], w[1], w[2], w[3], w[5], 0], io::preadv2, _ _ _ _ _),
        libc::SYS_pwritev2 => call!(&[w[0], w[1], w[2], w[3], w[5], 0], io::pwritev2, _ _ _ _ _),
        libc::SYS_openat => call!(w, open::openat, _ _ _ _),
        libc::SYS_openat2 => call!(w, openat2::openat2, _ _ _ _),
        libc::SYS_close => call!(w, close::close, _),
        libc::SYS_close_range => call!(w, close::close_range, _ _ _),
        libc::SYS_lseek => call!(w, position::lseek, _ _ _),
        libc::SYS_truncate => call!(w, resize::truncate, _ _),
        libc::SYS_ftruncate => call!(w, resize::ftruncate, _ _),
        libc::SYS_fallocate => call!(w, resize::fallocate, _ _ _ _),
        libc::SYS_readahead => call!(w, resize::readahead, _ _ _),
        libc::SYS_fsync => call!(w, durability::fsync, _),
        libc::SYS_fdatasync => call!(w, durability::fdatasync, _),
        libc::SYS_sync => call!(w, durability::sync,),
        libc::SYS_syncfs => call!(w, durability::syncfs, _),
        libc::SYS_sync_file_range => call!(w, durability::sync_file_range, _ _ _ _),
        libc::SYS_msync => call!(w, durability::msync, _ _ _),
        libc::SYS_sendfile => call!(w, copy::sendfile, _ _ _ _),
        libc::SYS_copy_file_range => call!(w, copy::copy_file_range, _ _ _ _ _ _),
        libc::SYS_splice => call!(w, copy::splice, _ _ _ _ _ _),
        libc::SYS_tee => call!(w, copy::tee, _ _ _ _),
        libc::SYS_vmsplice => call!(w, copy::vmsplice, _ _ _ _),
        libc::SYS_ioctl => call!(w, copy::ioctl, _ _ _),
        libc::SYS_mmap => call!(w, map::mmap, _ _ _ _ _ _),
        libc::SYS_munmap => call!(w, map::munmap, _ _),
        libc::SYS_mremap => call!(w, map::mremap, _ _ _ _ _),
        libc::SYS_remap_file_pages => call!(w, map::remap_file_pages, _ _ _ _ _),
        libc::SYS_madvise => call!(w, map::madvise, _ _ _),
        libc::SYS_process_madvise => call!(w, map::process_madvise, _ _ _ _ _),
        libc::SYS_pidfd_getfd => call!(w, super::descriptor::pidfd_getfd, _ _ _),
        libc::SYS_mprotect => call!(w, map::mprotect, _ _ _),
        libc::SYS_pkey_mprotect => call!(w, map::pkey_mprotect, _ _ _ _),
        libc::SYS_dup => Some((libc::dup as unsafe extern "C" fn(_) -> _).call(w)),
        libc::SYS_dup3 => Some((libc::dup3 as unsafe extern "C" fn(_, _, _) -> _).call(w)),
        libc::SYS_flock => Some((libc::flock as unsafe extern "C" fn(_, _) -> _).call(w)),
        // SAFETY: the program's arguments; a third one that the command does not use is ignored.
        libc::SYS_fcntl => Some(unsafe { libc::fcntl(w[0] as c_int, w[1] as c_int, w[2]) }.into()),
        _ => by_path(n, w)
            .or_else(|| by_address(n, w))
            .or_else(|| super::rings::by_number(n))
            .or_else(|| super::filter::by_number(n, w))
            .or_else(|| super::descriptor::by_number(n, w)),
    }
}

/// By number, those with socket addresses.
fn by_address(n: c_long, w: &Words) -> Option<c_long> {
    match n {
        libc::SYS_bind => call!(w, socket::bind, _ _ _),
        libc::SYS_connect => call!(w, socket::connect, _ _ _),
        libc::SYS_accept => call!(w, socket::accept, _ _ _),
        libc::SYS_accept4 => call!(w, socket::accept4, _ _ _ _),
        libc::SYS_getsockname => call!(w, socket::getsockname, _ _ _),
        libc::SYS_getpeername => call!(w, socket::getpeername, _ _ _),
        libc::SYS_sendto => call!(w, socket::sendto, _ _ _ _ _ _),
        libc::SYS_recvfrom => call!(w, socket::recvfrom, _ _ _ _ _ _),
        libc::SYS_sendmsg => Some((libc::sendmsg as unsafe extern "C" fn(_, _, _) -> _).call(w)),
        libc::SYS_recvmsg => Some((libc::recvmsg as unsafe extern "C" fn(_, _, _) -> _).call(w)),
        _ => None,
    }
}

/// By number, those with paths.
fn by_path(n: c_long, w: &Words) -> Option<c_long> {
    match n {
        libc::SYS_newfstatat => call!(w, stat::fstatat, _ _ _ _),
        libc::SYS_fstat => call!(w, stat::fstat, _ _),
        libc::SYS_statx => call!(w, stat::statx, _ _ _ _ _),
        libc::SYS_faccessat => call!(&[w[0], w[1], w[2], 0, 0, 0], access::faccessat, _ _ _ _),
        libc::SYS_faccessat2 => call!(w, access::faccessat, _ _ _ _),
        libc::SYS_fchmodat => call!(&[w[0], w[1], w[2], 0, 0, 0], access::fchmodat, _ _ _ _),
        libc::SYS_fchmodat2 => call!(w, access::fchmodat, _ _ _ _),
        libc::SYS_fchmod => call!(w, access::fchmod, _ _),
        libc::SYS_fchownat => call!(w, access::fchownat, _ _ _ _ _),
        libc::SYS_fchown => call!(w, access::fchown, _ _ _),
        libc::SYS_umask => call!(w, access::umask, _),
        // Without a path it is about the descriptor; libc's function refuses that.
        libc::SYS_utimensat if w[1] == 0 && w[3] == 0 => call!(&[w[0], w[2], 0, 0, 0, 0], times::futimens, _ _),
        libc::SYS_utimensat => call!(w, times::utimensat, _ _ _ _),
        libc::SYS_statfs => call!(w, fsinfo::statfs, _ _),
        libc::SYS_fstatfs => call!(w, fsinfo::fstatfs, _ _),
        libc::SYS_linkat => call!(w, names::linkat, _ _ _ _ _),
        libc::SYS_unlinkat => call!(w, entries::unlinkat, _ _ _),
        libc::SYS_renameat2 => call!(w, names::renameat2, _ _ _ _ _),
        libc::SYS_renameat => call!(w, names::renameat, _ _ _ _),
        libc::SYS_symlinkat => call!(w, entries::symlinkat, _ _ _),
        libc::SYS_readlinkat => call!(w, entries::readlinkat, _ _ _ _),
        libc::SYS_mkdirat => call!(w, entries::mkdirat, _ _ _),
        libc::SYS_mknodat => call!(w, entries::mknodat, _ _ _ _),
        libc::SYS_getdents64 => call!(w, dirs::getdents64, _ _ _),
        libc::SYS_chdir => call!(w, directory::chdir, _),
        libc::SYS_fchdir => call!(w, directory::fchdir, _),
        libc::SYS_chroot => call!(w, directory::chroot, _),
        libc::SYS_getcwd => Some(getcwd(w)),
        libc::SYS_getxattr => call!(w, xattr::getxattr, _ _ _ _),
        libc::SYS_lgetxattr => call!(w, xattr::lgetxattr, _ _ _ _),
        libc::SYS_fgetxattr => call!(w, xattr::fgetxattr, _ _ _ _),
        libc::SYS_listxattr => call!(w, xattr::listxattr, _ _ _),
        libc::SYS_llistxattr => call!(w, xattr::llistxattr, _ _ _),
        libc::SYS_flistxattr => call!(w, xattr::flistxattr, _ _ _),
        libc::SYS_setxattr => call!(w, xattr::setxattr, _ _ _ _ _),
        libc::SYS_lsetxattr => call!(w, xattr::lsetxattr, _ _ _ _ _),
        libc::SYS_fsetxattr => call!(w, xattr::fsetxattr, _ _ _ _ _),
        libc::SYS_removexattr => call!(w, xattr::removexattr, _ _),
        libc::SYS_lremovexattr => call!(w, xattr::lremovexattr, _ _),
        libc::SYS_fremovexattr => call!(w, xattr::fremovexattr, _ _),
        libc::SYS_inotify_add_watch => call!(w, watch::inotify_add_watch, _ _ _),
        libc::SYS_name_to_handle_at => call!(w, handles::name_to_handle_at, _ _ _ _ _),
        libc::SYS_open_by_handle_at => call!(w, handles::open_by_handle_at, _ _ _),
        libc::SYS_execve => call!(w, exec::execve, _ _ _),
        libc::SYS_execveat => call!(w, exec::execveat, _ _ _ _ _),
        libc::SYS_exit_group => {
            leave::end();
            None
        }
        // As `fork` does it.
        libc::SYS_clone if w[0] == libc::SIGCHLD as usize && w[1] == 0 => call!(w, fork::_Fork,),
        libc::SYS_clone => clone::by_number(w),
        libc::SYS_clone3 => clone::third_by_number(w),
        _ => by_old_number(n, w),
    }
}

/// By number, those that only x86-64 still has.
#[cfg(target_arch = "x86_64")]
fn by_old_number(n: c_long, w: &Words) -> Option<c_long> {
    match n {
        libc::SYS_fork => call!(w, fork::_Fork,),
        // SAFETY: no arguments.
        libc::SYS_vfork => Some(fork::awaiting(|| unsafe { fork::_Fork() }).into()),
        libc::SYS_open => call!(w, open::open, _ _ _),
        libc::SYS_creat => call!(w, open::creat, _ _),
        libc::SYS_dup2 => Some((libc::dup2 as unsafe extern "C" fn(_, _) -> _).call(w)),
        libc::SYS_stat => call!(w, stat::stat, _ _),
        libc::SYS_lstat => call!(w, stat::lstat, _ _),
        libc::SYS_access => call!(w, access::access, _ _),
        libc::SYS_chmod => call!(w, access::chmod, _ _),
        libc::SYS_chown => call!(w, access::chown, _ _ _),
        libc::SYS_lchown => call!(w, access::lchown, _ _ _),
        libc::SYS_utime => call!(w, times::utime, _ _),
        libc::SYS_utimes => call!(w, times::utimes, _ _),
        libc::SYS_futimesat => call!(w, times::futimesat, _ _ _),
        libc::SYS_link => call!(w, names::link, _ _),
        libc::SYS_unlink => call!(w, entries::unlink, _),
        libc::SYS_rename => call!(w, names::rename, _ _),
        libc::SYS_symlink => call!(w, entries::symlink, _ _),
        libc::SYS_readlink => call!(w, entries::readlink, _ _ _),
        libc::SYS_mkdir => call!(w, entries::mkdir, _ _),
        libc::SYS_getdents => call!(w, dirs::old_getdents, _ _ _),
        libc::SYS_rmdir => call!(w, entries::rmdir, _),
        libc::SYS_mknod => call!(w, entries::mknod, _ _ _),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn by_old_number(_: c_long, _: &Words) -> Option<c_long> {
    None
}

/// The system call returns the length, the function the buffer.
fn getcwd(w: &Words) -> c_long {
    let (to, room) = (OutBytes::of(w[0]), w[1]);
    // The function makes room where there is none.
    if to.is_null() || room == 0 {
        let mut path = [0u8; libc::PATH_MAX as usize];
        // SAFETY: so much room.
        let got = unsafe { directory::getcwd(OutBytes::at(path.as_mut_ptr().cast()), path.len()) };
        if got != OutBytes::FAILED {
            // SAFETY: just filled with a C string.
            let fits = unsafe { libc::strlen(path.as_ptr().cast()) } < room;
            crate::boundary::set_errno(if fits { libc::EFAULT } else { libc::ERANGE });
        }
        return -1;
    }
    // SAFETY: the program vouches for its buffer.
    let got = unsafe { directory::getcwd(to, w[1]) };
    if got == OutBytes::FAILED {
        return -1;
    }
    // SAFETY: just filled with a C string.
    unsafe { libc::strlen(got.ptr().cast()) as c_long + 1 }
}

/// Calls that change who we are, for one thread only.
fn is_identity(n: c_long) -> bool {
    matches!(
        n,
        libc::SYS_setuid
            | libc::SYS_setgid
            | libc::SYS_setreuid
            | libc::SYS_setregid
            | libc::SYS_setresuid
            | libc::SYS_setresgid
            | libc::SYS_setfsuid
            | libc::SYS_setfsgid
            | libc::SYS_setgroups
    )
}

/// One `syscall` that is served as a call of the function of that name. What is not FLAC's goes on to the next library's function, and that may be made of `syscall` itself (tcmalloc's `mmap`,
/// or another library to preload): round and round, until here the kernel is asked.
struct Level {
    outer: Numbered,
}

/// What a handler asks for in the middle of the same call is served, too.
const LEVELS: usize = 4;

impl Level {
    /// `None` if there are too many. One that a `longjmp` has left does not count: what runs now is not deeper on the stack.
    fn enter(number: c_long, first: usize) -> Option<Level> {
        let numbered = &flags().numbered;
        let outer = numbered.get();
        let (number, stack) = (number as usize, (&raw const outer).addr());
        let again = stack < outer.stack && (number, first) == (outer.number, outer.first);
        let level = if again { outer.level + 1 } else { 1 };
        (level <= LEVELS).then(|| {
            numbered.set(Numbered { number, first, stack, level });
            Level { outer }
        })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        flags().numbered.set(self.outer);
    }
}

/// `syscall(2)`. It has variable arguments, but always as words in the registers and the place on the stack where a seventh argument is: reading those that the
/// program did not give reads garbage, which nobody looks at.
///
/// # Safety
/// As for libc's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn syscall(n: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    let words = [a, b, c, d, e, f];
    if config::on()
        && !boundary::inside()
        && let Some(result) = served(n, &words)
    {
        return result;
    }
    // SAFETY: the program's arguments.
    unsafe { crate::real::system_call(n, words) }
}

/// What is FLAC's to answer. Out of line: it takes some KiB of stack, which what ends up at the kernel may not have (a handler on 8 KiB).
#[inline(never)]
fn served(n: c_long, words: &Words) -> Option<c_long> {
    let _level = Level::enter(n, words[0])?;
    if let Some(result) = by_number(n, words) {
        return Some(result);
    }
    if !is_identity(n) {
        return None;
    }
    super::access::changing();
    // SAFETY: the program's arguments.
    let result = unsafe { crate::real::system_call(n, *words) };
    creds::changed_apart();
    Some(result)
}
