//! Thin wrappers of libc calls: paths and buffers in, `Result<_, Errno>` out. The only folder of this test with
//! unsafe code. Every function is the call of its name; what it does is what its manual page says.

mod clone;
mod dir;
mod errno;
mod fcntl;
mod handle;
mod inotify;
mod io;
mod meta;
mod mm;
mod path;
mod process;
mod signal;
mod socket;
mod stdio;
mod stream;

pub use clone::*;
pub use dir::*;
pub use errno::*;
pub use fcntl::*;
pub use handle::*;
pub use inotify::*;
pub use io::*;
pub use meta::*;
pub use mm::*;
pub use path::*;
pub use process::*;
pub use signal::*;
pub use socket::*;
pub use stdio::*;
pub use stream::*;

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

/// What every call here returns.
pub type Sys<T> = Result<T, Errno>;

/// Makes one libc call; -1 becomes the errno.
macro_rules! call {
    ($e:expr) => {{
        // SAFETY: the pointers a wrapper hands over come from Rust references or C strings that outlive the call;
        // where a case passes a bad address on purpose, it is the callee's duty to answer EFAULT.
        let result = unsafe { $e };
        if result == -1 { Err($crate::sys::Errno::last()) } else { Ok(result) }
    }};
}
pub(crate) use call;

/// A path as C wants it. The cases never put a NUL into one.
pub fn c_path(path: impl AsRef<OsStr>) -> CString {
    CString::new(path.as_ref().as_bytes()).expect("a path has no NUL")
}

/// Anything that names a descriptor.
pub trait Raw {
    /// Its number.
    fn raw(&self) -> i32;
}

impl Raw for i32 {
    fn raw(&self) -> i32 {
        *self
    }
}

/// A descriptor that is closed when dropped.
#[derive(Debug)]
pub struct Fd(i32);

impl Fd {
    /// Takes over the number `fd`.
    pub fn own(fd: i32) -> Fd {
        Fd(fd)
    }

    /// Closes it now and says how that went.
    pub fn close(self) -> Sys<()> {
        close(self.leak())
    }

    /// Gives the number away; nothing closes it any more.
    pub fn leak(self) -> i32 {
        let fd = self.0;
        std::mem::forget(self);
        fd
    }
}

impl Raw for Fd {
    fn raw(&self) -> i32 {
        self.0
    }
}

impl Raw for &Fd {
    fn raw(&self) -> i32 {
        self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        let _ = close(self.0);
    }
}
