//! lseek.

use crate::fds;
use libc::{c_int, off_t};

hook! {
    /// `lseek(2)`. The kernel's offset of a stub holds the open file's number and never moves.
    fn lseek(fd: c_int, offset: off_t, whence: c_int) -> off_t, also(lseek64, llseek, __lseek), when(fds::maybe(fd)) {
        let (fs, id) = fds::open_file(fd)?;
        if fs.open_flags(id) & libc::O_PATH != 0 {
            return crate::abi::fail(libc::EBADF);
        }
        Ok(fs.seek(id, offset, whence)?.cast_signed())
    }
}
