//! `openat2(2)`, which has no function in libc: `syscall` comes here.
#![expect(unsafe_code, reason = "a system call, the program's structure")]

use crate::abi::{CPath, In, fail};
use crate::boundary::{self, Answer, Escape};
use crate::paths::{self, Place, Walked, outside, special};
use crate::{config, creds, cwd, fds, files, nodes};
use flac::Fs;
use flac::fs::names::{Last, Rules};
use flac::units::{Ino, PAGE};
use libc::{c_int, c_void};

/// `struct open_how`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// All that there are: with `openat2`, others are errors.
const FLAGS: c_int = libc::O_ACCMODE
    | libc::O_APPEND
    | libc::O_ASYNC
    | libc::O_CLOEXEC
    | libc::O_CREAT
    | libc::O_DIRECT
    | libc::O_DIRECTORY
    | libc::O_EXCL
    | libc::O_LARGEFILE
    | super::descriptor::LARGE_FILE
    | libc::O_NOATIME
    | libc::O_NOCTTY
    | libc::O_NOFOLLOW
    | libc::O_NONBLOCK
    | libc::O_PATH
    | libc::O_SYNC
    | libc::O_TMPFILE
    | libc::O_TRUNC;

impl How {
    /// What the program asks for, checked as the kernel does.
    fn read(how: In<How>, size: usize) -> Answer<How> {
        if size < size_of::<How>() {
            return fail(libc::EINVAL);
        }
        if size > PAGE {
            return fail(libc::E2BIG);
        }
        let more = In::<u8>::at(std::ptr::with_exposed_provenance::<c_void>(how.addr())).array(size)?;
        if more[size_of::<How>()..].iter().any(|byte| *byte != 0) {
            return fail(libc::E2BIG);
        }
        let how = how.needed()?;
        let asks = |flags: c_int| how.flags & flags as u64 == flags as u64;
        let unnamed = libc::O_TMPFILE & !libc::O_DIRECTORY;
        let makes = asks(libc::O_CREAT) || asks(unnamed);
        let only_path = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        if how.flags & !(FLAGS as u64) != 0
            || how.resolve & !KNOWN != 0
            || how.mode & !(if makes { 0o7777 } else { 0 }) != 0
            || how.scope() == libc::RESOLVE_BENEATH | libc::RESOLVE_IN_ROOT
            || asks(libc::O_PATH) && how.flags & !(only_path as u64) != 0
            || asks(unnamed) && (!asks(libc::O_TMPFILE) || asks(libc::O_CREAT) || how.flags & libc::O_ACCMODE as u64 == 0)
        {
            return fail(libc::EINVAL);
        }
        if how.has(libc::RESOLVE_CACHED) && (makes || asks(libc::O_TRUNC)) {
            return fail(libc::EAGAIN);
        }
        Ok(how)
    }
    fn has(&self, resolve: u64) -> bool {
        self.resolve & resolve != 0
    }
    fn scope(&self) -> u64 {
        self.resolve & (libc::RESOLVE_BENEATH | libc::RESOLVE_IN_ROOT)
    }
}

/// The ways of resolving that there are.
const KNOWN: u64 = libc::RESOLVE_NO_XDEV
    | libc::RESOLVE_NO_MAGICLINKS
    | libc::RESOLVE_NO_SYMLINKS
    | libc::RESOLVE_BENEATH
    | libc::RESOLVE_IN_ROOT
    | libc::RESOLVE_CACHED;

/// The directory in FLAC that `dirfd` is.
fn base(dirfd: c_int) -> Answer<(&'static Fs, Ino)> {
    match dirfd {
        libc::AT_FDCWD => cwd::inode(),
        _ if fds::maybe(dirfd) => fds::inode(dirfd),
        _ => Err(Escape::NotOurs),
    }
}

/// Goes to `path` by the rules of `resolve`. `NotOurs`: the kernel has the answer.
fn walk(dirfd: c_int, path: &[u8], how: &How, last: Last) -> Answer<Walked> {
    let absolute = path.first() == Some(&b'/');
    let mut rules = Rules {
        no_links: how.has(libc::RESOLVE_NO_SYMLINKS),
        no_leaving: how.has(libc::RESOLVE_NO_XDEV),
        is_root: how.has(libc::RESOLVE_IN_ROOT),
        top: None,
    };
    let who = creds::now();
    if how.scope() != 0 {
        let Ok((fs, top)) = base(dirfd) else {
            // From a directory outside, only the kernel knows what is beneath, and of FLAC it knows nothing.
            return match paths::place(dirfd, path, last)? {
                Place::Flac(..) if !absolute => super::refuse("openat2 from a directory outside into FLAC", libc::ENOSYS),
                _ => Err(Escape::NotOurs),
            };
        };
        if absolute && !rules.is_root {
            return fail(libc::EXDEV);
        }
        rules.top = Some(top);
        return Ok(Walked::Flac(fs, fs.resolve_within(top, path, last, &who.creds(), rules)?));
    }
    // What leads there is a link of the kernel's, or another file system's.
    let is_special = absolute && special::parse(path).is_some();
    if is_special && how.has(libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV) {
        return Err(Escape::NotOurs);
    }
    let Place::Flac(fs, from, rest) = paths::place(dirfd, path, last)? else { return Err(Escape::NotOurs) };
    let is_inside = !absolute && base(dirfd).is_ok();
    if rules.no_leaving && !is_inside {
        return fail(libc::EXDEV);
    }
    if rules.no_links && !is_inside {
        // By a link, or by the directories that are there: then the path says so.
        let whole = outside::absolute(dirfd, path).filter(|whole| !whole.windows(3).any(|three| three == b"/.."));
        if whole.and_then(|whole| paths::below(config::root(), &whole).map(drop)).is_none() {
            return Err(Escape::NotOurs);
        }
    }
    if rules.no_links || rules.no_leaving {
        let found = fs.resolve_within(from, &rest, last, &who.creds(), rules)?;
        return paths::leave(fs, found, last);
    }
    paths::walk_bytes(dirfd, path, last)
}

/// `openat2(2)`.
///
/// # Safety
/// As for the system call.
pub unsafe extern "C-unwind" fn openat2(dirfd: c_int, path: CPath, how: In<How>, size: usize) -> c_int {
    let kernel = |dirfd: c_int, path: CPath| {
        // SAFETY: the program's arguments.
        unsafe {
            crate::real::system_call(libc::SYS_openat2, [dirfd as usize, path.ptr().expose_provenance(), how.addr(), size, 0, 0]) as c_int
        }
    };
    boundary::cross(
        || -> Answer<c_int> {
            let text = path.bytes()?;
            if text.is_empty()
                || matches!(base(dirfd), Err(Escape::NotOurs)) && matches!(paths::place(dirfd, text, Last::Follow)?, Place::Theirs)
            {
                return Err(Escape::NotOurs);
            }
            let how = How::read(how, size)?;
            let (flags, mode) = (how.flags as c_int, how.mode as u32);
            let opened =
                files::open_by(|last| walk(dirfd, text, &how, last), dirfd, path, flags, mode, |path| kernel(libc::AT_FDCWD, path));
            nodes::wait_here(opened)
        },
        || kernel(dirfd, path),
        |_| false,
    )
}
