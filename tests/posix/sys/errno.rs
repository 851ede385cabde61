//! Error numbers by name.

use std::fmt;

/// An error number, printed by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

macro_rules! names {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            pub const $name: Errno = Errno(libc::$name);
        )*

        impl fmt::Debug for Errno {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $($name => out.write_str(stringify!($name)),)*
                    Errno(other) => write!(out, "errno {other}"),
                }
            }
        }
    };
}

names! {
    E2BIG EACCES EADDRINUSE EAGAIN EBADF EBUSY ECONNREFUSED EDEADLK EEXIST EFAULT EFBIG EINTR EINVAL EIO EISDIR ELOOP EMFILE EMLINK ENAMETOOLONG ENFILE
    ENODATA ENODEV ENOENT ENOEXEC ENOMEM ENOSPC ENOSYS ENOTDIR ENOTEMPTY ENOTTY ENXIO EOPNOTSUPP EOVERFLOW EPERM EPIPE EPROTOTYPE
    ERANGE EROFS ESPIPE ESRCH ESTALE ETXTBSY EXDEV
}

impl Errno {
    /// The errno of the call that failed just now in this thread.
    pub fn last() -> Errno {
        Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}
