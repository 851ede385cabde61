//! `glob`: libc's, told to use our functions for directories (`GLOB_ALTDIRFUNC`).

use crate::abi::CPath;
use libc::{c_char, c_int, c_void, size_t};

/// `GLOB_ALTDIRFUNC`, of glibc.
const ALTDIRFUNC: c_int = 1 << 9;

/// `glob_t`.
#[repr(C)]
pub struct Found {
    count: size_t,
    paths: *mut *mut c_char,
    offset: size_t,
    flags: c_int,
    closedir: *const c_void,
    readdir: *const c_void,
    opendir: *const c_void,
    lstat: *const c_void,
    stat: *const c_void,
}

export! {
    /// `glob(3)`.
    fn glob(pattern: CPath, flags: c_int, on_error: *const c_void, found: *mut Found) -> c_int,
    also(glob64), when(flags & ALTDIRFUNC == 0 && !found.is_null()), real(theirs) {
        // SAFETY: the program's own; libc reads these fields only with the flag. All five functions are our hooks, of the types that libc wants.
        unsafe {
            let place = &raw mut *found;
            (*place).closedir = libc::closedir as *const c_void;
            (*place).readdir = libc::readdir as *const c_void;
            (*place).opendir = libc::opendir as *const c_void;
            (*place).lstat = libc::lstat as *const c_void;
            (*place).stat = libc::stat as *const c_void;
            let result = theirs(pattern, flags | ALTDIRFUNC, on_error, found);
            (*place).flags &= !ALTDIRFUNC;
            result
        }
    }
}
