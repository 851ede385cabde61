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

impl Found {
    /// Nothing found yet.
    pub fn none() -> Self {
        let none = std::ptr::null();
        Self {
            count: 0,
            paths: std::ptr::null_mut(),
            offset: 0,
            flags: 0,
            closedir: none,
            readdir: none,
            opendir: none,
            lstat: none,
            stat: none,
        }
    }
    /// What `glob` has found, if it was told of no offset.
    #[allow(unsafe_code, reason = "the list that glob has made")]
    pub fn paths(&self) -> &[*mut c_char] {
        if self.paths.is_null() {
            return &[];
        }
        // SAFETY: only `glob` fills it in.
        unsafe { std::slice::from_raw_parts(self.paths, self.count) }
    }
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
