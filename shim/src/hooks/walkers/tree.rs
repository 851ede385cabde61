//! `ftw` and `nftw`.
#![expect(unsafe_code, reason = "calls the program's function, walks libc's directory streams")]

use crate::abi::CPath;
use crate::boundary;
use libc::{c_char, c_int, dev_t, ino_t, stat};
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::mem::zeroed;

const FTW_F: c_int = 0;
const FTW_D: c_int = 1;
const FTW_DNR: c_int = 2;
const FTW_NS: c_int = 3;
const FTW_SL: c_int = 4;
const FTW_DP: c_int = 5;
const FTW_SLN: c_int = 6;

const PHYS: c_int = 1;
const MOUNT: c_int = 2;
const CHDIR: c_int = 4;
const DEPTH: c_int = 8;
const ACTIONRETVAL: c_int = 16;

const NAME_MAX: usize = 255;

const SKIP_SUBTREE: c_int = 2;
const SKIP_SIBLINGS: c_int = 3;

/// `struct FTW`.
#[repr(C)]
pub struct Place {
    base: c_int,
    level: c_int,
}

type Visitor = unsafe extern "C-unwind" fn(*const c_char, *const stat, c_int, *mut Place) -> c_int;

/// One walk.
struct Walk {
    visit: Visitor,
    flags: c_int,
    /// `ftw`, which knows fewer kinds.
    is_old: bool,
    device: dev_t,
    seen: HashSet<(dev_t, ino_t)>,
    /// The directory that paths are reached from, and how many bytes of them lead there: those of a deep tree are longer than a path may be.
    from: (c_int, usize),
}

/// What a visit came to, if the walk does not simply go on.
enum Stop {
    /// The whole walk ends with this result.
    With(c_int),
    /// The rest of this directory is left out.
    Siblings,
}

type Step = Result<(), Stop>;

impl Walk {
    fn call(&self, path: &CStr, stat: &stat, kind: c_int, level: c_int) -> c_int {
        let bytes = path.to_bytes();
        let base = bytes.iter().rposition(|b| *b == b'/').filter(|i| i + 1 < bytes.len()).map_or(0, |i| i + 1);
        let mut place = Place { base: base as c_int, level };
        let kind = if self.is_old && kind == FTW_SLN { FTW_NS } else { kind };
        // SAFETY: the program's function, with what POSIX says.
        unsafe { (self.visit)(path.as_ptr(), stat, kind, &mut place) }
    }

    /// Turns the program's answer into what to do. `SKIP_SUBTREE` is for the caller that has a subtree.
    fn answer(&self, result: c_int) -> Result<bool, Stop> {
        match result {
            0 => Ok(false),
            SKIP_SUBTREE if self.flags & ACTIONRETVAL != 0 => Ok(true),
            SKIP_SIBLINGS if self.flags & ACTIONRETVAL != 0 => Err(Stop::Siblings),
            other => Err(Stop::With(other)),
        }
    }

    /// The path as it is reached from `from`; with `FTW_CHDIR`, from the directory it is in.
    fn reach<'a>(&self, path: &'a CStr, level: c_int) -> &'a CStr {
        let bytes = path.to_bytes_with_nul();
        let start = match self.flags & CHDIR == 0 || level == 0 {
            true => self.from.1,
            false => bytes.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1),
        };
        CStr::from_bytes_with_nul(&bytes[start..]).unwrap_or(path)
    }

    fn look(&self, path: &CStr) -> (c_int, stat) {
        // SAFETY: plain data; our hooks with a C string and a place of our own.
        unsafe {
            let mut st: stat = zeroed();
            let mut stat = |flags| libc::fstatat(self.from.0, path.as_ptr(), &mut st, flags) == 0;
            if self.flags & PHYS != 0 {
                let found = stat(libc::AT_SYMLINK_NOFOLLOW);
                return (if found { kind_of(&st) } else { FTW_NS }, st);
            }
            if stat(0) {
                return (kind_of(&st), st);
            }
            let dangling = stat(libc::AT_SYMLINK_NOFOLLOW) && st.st_mode & libc::S_IFMT == libc::S_IFLNK;
            (if dangling { FTW_SLN } else { FTW_NS }, st)
        }
    }

    fn visit(&mut self, path: &CStr, level: c_int) -> Step {
        let reach = self.reach(path, level);
        let (kind, st) = self.look(reach);
        if level == 0 {
            if kind == FTW_NS {
                return Err(Stop::With(-1));
            }
            self.device = st.st_dev;
        } else if kind == FTW_NS && !matches!(boundary::errno(), libc::EACCES | libc::ENOENT) {
            return Err(Stop::With(-1));
        }
        if self.flags & MOUNT != 0 && kind != FTW_NS && st.st_dev != self.device {
            return Ok(());
        }
        if kind != FTW_D {
            return self.answer(self.call(path, &st, kind, level)).map(|_| ());
        }
        // Links may lead in circles.
        if self.flags & PHYS == 0 && !self.seen.insert((st.st_dev, st.st_ino)) {
            return Ok(());
        }
        self.directory(path, reach, &st, level)
    }

    fn directory(&mut self, path: &CStr, reach: &CStr, st: &stat, level: c_int) -> Step {
        let Some(names) = names_in(self.from.0, reach) else {
            return if boundary::errno() == libc::EACCES {
                self.answer(self.call(path, st, FTW_DNR, level)).map(|_| ())
            } else {
                Err(Stop::With(-1))
            };
        };
        let after = self.flags & DEPTH != 0;
        if !after && self.answer(self.call(path, st, FTW_D, level))? {
            return Ok(());
        }
        // SAFETY: our hook.
        if self.flags & CHDIR != 0 && unsafe { libc::chdir(reach.as_ptr()) } != 0 {
            return Err(Stop::With(-1));
        }
        let dir = path.to_bytes();
        let slash: &[u8] = if dir.ends_with(b"/") { b"" } else { b"/" };
        let before = self.from;
        if self.flags & CHDIR == 0 && dir.len() - before.1 + NAME_MAX + 2 > libc::PATH_MAX as usize {
            self.go_on_from(reach, dir.len() + slash.len());
        }
        let inside = names.iter().try_for_each(|name| {
            let child = CString::new([dir, slash, name].concat()).unwrap_or_default();
            self.visit(&child, level + 1)
        });
        if self.from != before {
            // SAFETY: our hook, on a descriptor of this walk's.
            unsafe { libc::close(self.from.0) };
            self.from = before;
        }
        match inside {
            Err(Stop::With(result)) => return Err(Stop::With(result)),
            Err(Stop::Siblings) | Ok(()) => {}
        }
        // As in libc, the function sees a directory's end from inside.
        let end = if after { self.answer(self.call(path, st, FTW_DP, level)).map(|_| ()) } else { Ok(()) };
        // SAFETY: our hook.
        if self.flags & CHDIR != 0 && level > 0 && unsafe { libc::chdir(c"..".as_ptr()) } != 0 {
            return Err(Stop::With(-1));
        }
        end
    }
}

impl Walk {
    /// From now on paths are reached from `dir`, if there is a descriptor for it.
    fn go_on_from(&mut self, dir: &CStr, length: usize) {
        // SAFETY: our hook, with a C string.
        let fd = unsafe { libc::openat(self.from.0, dir.as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) };
        if fd >= 0 {
            self.from = (fd, length);
        }
    }
}

fn kind_of(st: &stat) -> c_int {
    match st.st_mode & libc::S_IFMT {
        libc::S_IFDIR => FTW_D,
        libc::S_IFLNK => FTW_SL,
        _ => FTW_F,
    }
}

/// All names but `.` and `..`; `None` and errno if the directory can't be read. No descriptor stays open, so none of the program's limit matters.
pub fn names_in(at: c_int, path: &CStr) -> Option<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    // SAFETY: our hooks; an entry stays until the next call.
    unsafe {
        let fd = libc::openat(at, path.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NONBLOCK);
        let dir = if fd < 0 { std::ptr::null_mut() } else { libc::fdopendir(fd) };
        if dir.is_null() {
            return None;
        }
        loop {
            let entry = libc::readdir(dir);
            if entry.is_null() {
                break;
            }
            let name = CStr::from_ptr((*entry).d_name.as_ptr()).to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        libc::closedir(dir);
    }
    Some(names)
}

/// The working directory, to come back to it.
fn open_home() -> c_int {
    // SAFETY: our hook, with a C string.
    unsafe { libc::open(c".".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) }
}

fn walk(path: CPath, visit: Visitor, flags: c_int, is_old: bool) -> c_int {
    // SAFETY: the program's string; copied, since the program's function may change it.
    let mut top = unsafe { CStr::from_ptr(path.ptr()) }.to_bytes().to_vec();
    if top.is_empty() {
        boundary::set_errno(libc::ENOENT);
        return -1;
    }
    while top.len() > 1 && top.ends_with(b"/") {
        top.pop();
    }
    let top = CString::new(top).unwrap_or_default();
    let home = if flags & CHDIR != 0 { open_home() } else { -1 };
    let mut walk = Walk { visit, flags, is_old, device: 0, seen: HashSet::new(), from: (libc::AT_FDCWD, 0) };
    let result = match walk.visit(&top, 0) {
        Ok(()) | Err(Stop::Siblings) => 0,
        Err(Stop::With(result)) => result,
    };
    if home >= 0 {
        let errno = boundary::errno();
        // SAFETY: our hooks, on our own descriptor.
        unsafe {
            libc::fchdir(home);
            libc::close(home);
        }
        boundary::set_errno(errno);
    }
    result
}

export! {
    /// `nftw(3)`.
    fn nftw(path: CPath, visit: Option<Visitor>, descriptors: c_int, flags: c_int) -> c_int, also(nftw64),
    when(!path.is_null() && visit.is_some() && flags & !(PHYS | MOUNT | CHDIR | DEPTH | ACTIONRETVAL) == 0) {
        let Some(visit) = visit else { return -1 };
        walk(path, visit, flags, false)
    }
}

export! {
    /// `ftw(3)`: follows links; its function takes three arguments, and the fourth does no harm.
    fn ftw(path: CPath, visit: Option<Visitor>, descriptors: c_int) -> c_int, also(ftw64), when(!path.is_null() && visit.is_some()) {
        let Some(visit) = visit else { return -1 };
        walk(path, visit, 0, true)
    }
}
