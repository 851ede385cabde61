//! Reading and writing for hooks: limits on counts and vectors as the kernel has them, then `flac`.
#![expect(unsafe_code, reason = "passes the program's buffers to flac")]

use crate::abi::fail;
use crate::boundary::Answer;
use crate::stats::{self, Counter};
use flac::Fs;
use flac::fs::io::IoVec;
use flac::fs::open::OpenId;

/// The most that one call moves, as in the kernel.
pub const MOST: usize = 0x7fff_f000;
/// The most vectors in a call (`UIO_MAXIOV`).
pub const MOST_VECTORS: usize = 1024;

/// Reads at `at`, or at the open file's offset.
pub fn read(fs: &Fs, id: OpenId, to: &[IoVec], at: Option<u64>) -> Answer<usize> {
    let n = within_limit(to, |to| {
        // SAFETY: the buffers are the program's, as it gave them to the call that we answer, or this crate's own.
        Ok(unsafe { fs.read(id, to, at) }?)
    })?;
    stats::add(Counter::Reads, 1);
    stats::add(Counter::BytesRead, n as u64);
    Ok(n)
}

/// Writes at `at`, or at the open file's offset or end. With `O_SYNC` or `O_DSYNC` it is durable afterwards.
pub fn write(fs: &Fs, id: OpenId, from: &[IoVec], at: Option<u64>) -> Answer<usize> {
    let n = within_limit(from, |from| {
        // SAFETY: as for `read`.
        Ok(unsafe { fs.write(id, from, at) }?)
    })?;
    stats::add(Counter::Writes, 1);
    stats::add(Counter::BytesWritten, n as u64);
    if fs.open_flags(id) & libc::O_DSYNC != 0 {
        sync(fs, id)?;
    }
    Ok(n)
}

/// Makes the file behind `id` durable.
pub fn sync(fs: &Fs, id: OpenId) -> Answer<()> {
    stats::add(Counter::Syncs, 1);
    Ok(fs.sync(fs.open_ino(id))?)
}

/// Calls `f` with the vectors cut to [`MOST`] bytes. `EINVAL` if there are too many, or more bytes than an `ssize_t` counts.
fn within_limit(vectors: &[IoVec], f: impl Fn(&[IoVec]) -> Answer<usize>) -> Answer<usize> {
    if vectors.len() > MOST_VECTORS {
        return fail(libc::EINVAL);
    }
    let mut total = 0usize;
    for v in vectors {
        total = match total.checked_add(v.iov_len) {
            // One vector is cut, several are refused: so does the kernel.
            Some(t) if vectors.len() == 1 || t <= isize::MAX as usize => t,
            _ => return fail(libc::EINVAL),
        };
    }
    if total <= MOST {
        return f(vectors);
    }
    let mut room = MOST;
    let cut: Vec<IoVec> = vectors
        .iter()
        .map(|v| {
            let len = v.iov_len.min(room);
            room -= len;
            IoVec { iov_base: v.iov_base, iov_len: len }
        })
        .collect();
    f(&cut)
}

/// Memory of our own to pass data through, whose addresses never agree with file offsets within a page, so that it is copied
/// into and never attached: its pages may be given away.
pub struct Bounce {
    start: *mut libc::c_void,
    skip: usize,
}

impl Bounce {
    /// Bytes it holds.
    pub const SIZE: usize = 256 << 10;
    const MAPPED: usize = Self::SIZE + 2 * flac::units::PAGE;

    /// Fresh memory for transfers that begin at file offset `at`.
    pub fn new(at: u64) -> Answer<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        // SAFETY: a new mapping anywhere.
        let start = unsafe {
            mmap_anonymous(std::ptr::null_mut(), Self::MAPPED, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }?;
        Ok(Self { start, skip: (at as usize + 64) % flac::units::PAGE })
    }
    /// Its first `len` bytes, at most [`Bounce::SIZE`].
    pub fn vec(&self, len: usize) -> IoVec {
        assert!(len <= Self::SIZE);
        // SAFETY: skip < PAGE, so this stays inside the mapping.
        IoVec { iov_base: unsafe { self.start.byte_add(self.skip) }, iov_len: len }
    }
    /// Its first `len` bytes. Nobody else knows the memory.
    pub fn bytes(&mut self, len: usize) -> &mut [u8] {
        let v = self.vec(len);
        // SAFETY: inside the mapping (`vec` checks), and exclusively borrowed.
        unsafe { std::slice::from_raw_parts_mut(v.iov_base.cast(), len) }
    }
    /// Puts its first `len` bytes into a pipe by reference; returns how many found room. They must not change until they were read, so this is
    /// the end of the buffer: whoever reads the pipe has the memory.
    pub fn give(self, pipe: rustix::fd::BorrowedFd<'_>, len: usize, flags: rustix::pipe::SpliceFlags) -> Answer<usize> {
        let v = self.vec(len);
        let range = rustix::pipe::IoSliceRaw::from_slice(
            // SAFETY: inside the mapping, which stays until the call returns.
            unsafe { std::slice::from_raw_parts(v.iov_base.cast::<u8>(), len) },
        );
        // SAFETY: the pages are never written again: `self` ends here.
        Ok(unsafe { rustix::pipe::vmsplice(pipe, &[range], flags) }?)
    }
}

impl Drop for Bounce {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody uses any more.
        let _ = unsafe { rustix::mm::munmap(self.start, Self::MAPPED) };
    }
}
