//! File data: read, write, seek, truncate, allocate, copy between files, make durable.

use super::Fs;
use super::open::OpenId;
use crate::error::{Error, Result};
use crate::units::Ino;

const TODO_ERR: Error = Error::Os(libc::ENOSYS);

/// The caller's memory: address and length, exactly as the program gave it. It may be invalid (`EFAULT`), and other threads may change it.
pub type IoVec = libc::iovec;

impl Fs {
    /// Reads at `at`, or at the open file's offset, which then advances. 0 at the end. `EBADF` if not open for reading, `EISDIR`.
    ///
    /// # Safety
    /// Every vector describes memory of the caller that may be written to, or memory that is not mapped (which then may fault).
    #[expect(unsafe_code, reason = "the caller vouches for its buffers")]
    pub unsafe fn read(&self, _id: OpenId, _to: &[IoVec], _at: Option<u64>) -> Result<usize> {
        Err(TODO_ERR)
    }
    /// Writes at `at`, or at the open file's offset, which then advances; an `O_APPEND` file at its end. `ENOSPC`, `EFBIG`, `EBADF`.
    ///
    /// # Safety
    /// As for [`Fs::read`], for reading.
    #[expect(unsafe_code, reason = "the caller vouches for its buffers")]
    pub unsafe fn write(&self, _id: OpenId, _from: &[IoVec], _at: Option<u64>) -> Result<usize> {
        Err(TODO_ERR)
    }
    /// `lseek`, with `SEEK_SET`, `SEEK_CUR`, `SEEK_END`, `SEEK_DATA`, `SEEK_HOLE`.
    pub fn seek(&self, _id: OpenId, _offset: i64, _whence: i32) -> Result<u64> {
        Err(TODO_ERR)
    }
    /// Sets the size (of a regular file; the caller has checked permission).
    pub fn truncate(&self, _ino: Ino, _size: u64) -> Result<()> {
        Err(TODO_ERR)
    }
    /// `fallocate` with its `mode` bits.
    pub fn allocate(&self, _ino: Ino, _mode: i32, _offset: u64, _len: u64) -> Result<()> {
        Err(TODO_ERR)
    }
    /// Moves up to `len` bytes from one file to another: shares whole pages where offsets agree, copies the rest. Returns how many.
    pub fn copy_range(&self, _from: Ino, _from_at: u64, _to: Ino, _to_at: u64, _len: u64) -> Result<u64> {
        Err(TODO_ERR)
    }
    /// Makes the inode's data and attributes durable.
    ///
    /// # Durability
    /// When this returns `Ok`, content and attributes as of the call survive a power cut, and so does every metadata change made before.
    pub fn sync(&self, _ino: Ino) -> Result<()> {
        Err(TODO_ERR)
    }
    /// Makes every change by any process durable.
    pub fn sync_all(&self) -> Result<()> {
        Err(TODO_ERR)
    }
    /// Maps file pages into this process as `mmap` does: `addr`, `prot` and `flags` (`MAP_SHARED`, `MAP_PRIVATE`, `MAP_FIXED`, ...) as given.
    /// Returns the address. The access mode was checked by the caller.
    ///
    /// # Safety
    /// As for `mmap`.
    #[expect(unsafe_code, reason = "as mmap")]
    pub unsafe fn map(&self, _ino: Ino, _addr: usize, _len: usize, _prot: i32, _flags: i32, _offset: u64) -> Result<usize> {
        Err(TODO_ERR)
    }
    /// The program is about to change this range of its address space (munmap, mmap over it, mremap): the ledger forgets it.
    pub fn unmapped(&self, _addr: usize, _len: usize) {}
    /// Makes changes through shared mappings in this range durable (`msync(MS_SYNC)`). `Ok(false)`: no FLAC file is mapped there.
    pub fn sync_mapped(&self, _addr: usize, _len: usize) -> Result<bool> {
        Err(TODO_ERR)
    }
}
