//! Memory of a tmpfs for a file that is mapped: taken before it is touched, since where the tmpfs is full a touch is a SIGBUS.

use rustix::fd::BorrowedFd;
use rustix::fs::{FallocateFlags, StatVfs};
use rustix::io::{Errno, Result};
use std::ops::Range;

/// Bytes that are free; all there could be where a tmpfs has no limit (`size=0`: then it tells of no blocks at all).
pub(crate) fn free(fs: &StatVfs) -> u64 {
    if fs.f_blocks == 0 { u64::MAX / 2 } else { fs.f_bavail * fs.f_frsize }
}

/// Takes memory for these bytes of `file`, which has some from its start on, if `left` bytes of the tmpfs are left then to those who need them more.
///
/// # Errors
/// `NOSPC`; `OPNOTSUPP` where there is nothing to be had in advance.
pub(crate) fn take(file: BorrowedFd<'_>, bytes: Range<u64>, left: u64) -> Result<()> {
    let room = rustix::fs::fstatvfs(file)?;
    let short = |len: u64| free(&room) < len + left;
    if short(bytes.end - bytes.start) {
        // Others may have taken it before. (Not by SEEK_HOLE: to that, memory that nobody has touched is none.)
        let has = rustix::fs::fstat(file)?.st_blocks as u64 * 512;
        if has >= bytes.end {
            return Ok(());
        }
        if short(bytes.end - has.max(bytes.start)) {
            return Err(Errno::NOSPC);
        }
    }
    rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, bytes.start, bytes.end - bytes.start)
}

/// As [`take`], of a file that does not have its memory from the start on: what others have taken before is asked for once more.
///
/// # Errors
/// As of [`take`].
pub(crate) fn take_more(file: BorrowedFd<'_>, bytes: Range<u64>, left: u64) -> Result<()> {
    if free(&rustix::fs::fstatvfs(file)?) < bytes.end - bytes.start + left {
        return Err(Errno::NOSPC);
    }
    rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, bytes.start, bytes.end - bytes.start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;

    #[test]
    fn what_has_memory_needs_none_and_the_rest_leaves_some() {
        let file = tempfile::tempfile_in("/dev/shm").expect("a file");
        file.set_len(1 << 20).expect("its size");
        let fd = file.as_fd();
        assert_eq!(take(fd, 0..8192, u64::MAX / 2), Err(Errno::NOSPC));
        assert_eq!(take(fd, 0..8192, 0), Ok(()));
        assert_eq!(take(fd, 0..8192, u64::MAX / 2), Ok(()));
        assert_eq!(take(fd, 4096..12288, u64::MAX / 2), Err(Errno::NOSPC));
        assert_eq!(rustix::fs::fstat(fd).expect("what it has").st_blocks, 16);
    }
}
