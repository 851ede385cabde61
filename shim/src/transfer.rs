//! Reading and writing for hooks: limits on counts and vectors as the kernel has them, then `flac`.
#![expect(unsafe_code, reason = "passes the program's buffers to flac")]

use crate::abi::fail;
use crate::boundary::{Answer, Escape};
use crate::ranges::UNATTACHABLE;
use crate::stats::{self, Counter};
use crate::{creds, fds, limits, space};
use flac::Fs;
use flac::fs::io::IoVec;
use flac::fs::open::OpenId;
use flac::units::Ino;
use libc::c_int;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The most that one call moves, as in the kernel.
pub const MOST: usize = 0x7fff_f000;
/// The most vectors in a call (`UIO_MAXIOV`).
pub const MOST_VECTORS: usize = 1024;

/// Where no program has memory, with the largest page tables that there are.
const NOWHERE: usize = if cfg!(target_arch = "x86_64") { (1 << 56) - flac::units::PAGE } else { 1 << 52 };

/// Whether one of the vectors names memory that no program can have: the kernel says `EFAULT` whether it would touch it or not.
#[inline(always)]
pub fn leads_nowhere(vectors: &[IoVec]) -> bool {
    vectors.iter().any(|v| v.iov_base.addr().checked_add(v.iov_len).is_none_or(|end| end > NOWHERE))
}

/// Whether the open file may be read, or written; `EBADF`.
pub fn check(fs: &Fs, id: OpenId, wants_write: bool) -> Answer<()> {
    let flags = fs.open_flags(id);
    let wrong = if wants_write { libc::O_RDONLY } else { libc::O_WRONLY };
    let mode = flags & libc::O_ACCMODE;
    if flags & libc::O_PATH != 0 || mode == wrong || mode == libc::O_ACCMODE { fail(libc::EBADF) } else { Ok(()) }
}

/// Reads at `at`, or at the open file's offset.
pub fn read(fs: &Fs, id: OpenId, to: &[IoVec], at: Option<u64>) -> Answer<usize> {
    if fs.open_flags(id) & libc::O_ACCMODE == libc::O_ACCMODE {
        return fail(libc::EBADF);
    }
    if leads_nowhere(to) {
        check(fs, id, false)?;
        return fail(libc::EFAULT);
    }
    if !UNATTACHABLE.is_empty() && to.iter().any(|v| UNATTACHABLE.meets(v.iov_base.addr(), v.iov_len)) {
        return read_by_copy(fs, id, to, at);
    }
    read_as_may_be(fs, id, to, at)
}

/// As [`read`], whatever the program has told the kernel about its memory.
fn read_as_may_be(fs: &Fs, id: OpenId, to: &[IoVec], at: Option<u64>) -> Answer<usize> {
    show(fs, to);
    let n = within_limit(to, |to| {
        // SAFETY: the buffers are the program's, as it gave them to the call that we answer, or this crate's own.
        Ok(unsafe { fs.read(id, to, at) }?)
    })?;
    stats::add(Counter::BytesRead, n as u64);
    if let [one] = to {
        crate::pipes::read_to(one.iov_base.addr(), n);
        crate::blocks::learn(one.iov_base.addr(), n, || match at {
            Some(at) => Some(at),
            None => fs.seek(id, 0, libc::SEEK_CUR).ok()?.checked_sub(n as u64),
        });
    }
    Ok(n)
}

/// As [`read`], by way of a buffer that is never attached. `EFAULT` if the program's memory can't be written to.
fn read_by_copy(fs: &Fs, id: OpenId, to: &[IoVec], at: Option<u64>) -> Answer<usize> {
    let mut bounce = Bounce::new(at.unwrap_or(0))?;
    let mut done = 0;
    for v in to {
        let mut here = 0;
        while here < v.iov_len.min(MOST - done) {
            let step = (v.iov_len - here).min(Bounce::SIZE).min(MOST - done);
            let got = read_as_may_be(fs, id, &[bounce.vec(step)], at.map(|at| at + done as u64))?;
            // SAFETY: the program's buffer, as it gave it; `here + got` is within it.
            unsafe { crate::abi::transfer(v.iov_base.cast::<u8>().wrapping_add(here), bounce.bytes(got).as_ptr(), got) }?;
            (here, done) = (here + got, done + got);
            if got < step {
                return Ok(done);
            }
        }
    }
    Ok(done)
}

/// Writes at `at`, or at the open file's offset or end. With `O_SYNC` or `O_DSYNC` it is durable afterwards.
pub fn write(fs: &Fs, id: OpenId, from: &[IoVec], at: Option<u64>) -> Answer<usize> {
    write_placed(fs, id, from, at, fs.open_flags(id) & libc::O_APPEND != 0)
}

/// As [`write`], at the file's end if `append` says so, whatever the file's flags.
pub fn write_placed(fs: &Fs, id: OpenId, from: &[IoVec], at: Option<u64>, append: bool) -> Answer<usize> {
    let flags = fs.open_flags(id);
    check(fs, id, true)?;
    if leads_nowhere(from) {
        return fail(libc::EFAULT);
    }
    let end = |at: u64| from.iter().try_fold(at, |end, v| end.checked_add(v.iov_len as u64));
    if at.is_some_and(|at| end(at).is_none_or(|end| end > i64::MAX as u64)) {
        return fail(libc::EINVAL);
    }
    let n = match limits::file_size() {
        None if at.is_none_or(|at| at < LARGEST) => write_now(fs, id, from, at, append)?,
        limit => write_below(fs, id, from, at, append, limit.unwrap_or(LARGEST))?,
    };
    stats::add(Counter::BytesWritten, n as u64);
    if flags & libc::O_DSYNC != 0 {
        sync(fs, id)?;
    }
    if n > 0 {
        drop_set_ids(fs, fs.open_ino(id))?;
    }
    Ok(n)
}

/// The content of `ino` changes: its set-id bits go, unless it is root who changes it.
#[inline]
pub fn drop_set_ids(fs: &Fs, ino: Ino) -> Answer<()> {
    let who = creds::now().creds();
    if who.uid != 0 && fs.attr(ino)?.mode & (libc::S_ISUID | libc::S_ISGID) != 0 {
        fs.drop_set_ids(ino, &who)?;
    }
    Ok(())
}

/// The open file behind `fd`. If it is the kernel's, what the program has mapped at `memory` is brought in for it.
#[inline(always)]
pub fn file(fd: c_int, memory: &IoVec) -> Answer<(&'static Fs, OpenId)> {
    let ours = if fds::maybe(fd) { fds::open_file(fd) } else { Err(Escape::NotOurs) };
    if let (Err(Escape::NotOurs), Some(fs)) = (&ours, space::opened()) {
        show(fs, std::slice::from_ref(memory));
    }
    ours
}

/// Brings in what the program has mapped there and not touched yet: neither we nor the kernel would find it.
#[inline(always)]
pub fn show(fs: &Fs, memory: &[IoVec]) {
    if fs.is_lazy() {
        memory.iter().for_each(|v| fs.show_all(v.iov_base.addr(), v.iov_len));
    }
}

#[inline(always)]
fn write_now(fs: &Fs, id: OpenId, from: &[IoVec], at: Option<u64>, append: bool) -> Answer<usize> {
    show(fs, from);
    within_limit(from, |from| {
        // SAFETY: as for `read`.
        Ok(unsafe { fs.write_placed(id, from, at, append) }?)
    })
}

/// The end of the largest file, as tmpfs has it.
pub const LARGEST: u64 = i64::MAX as u64 & !(flac::units::PAGE as u64 - 1);

/// Writes what fits below `limit`; `EFBIG` if nothing does, with SIGXFSZ if it is the process's own limit.
fn write_below(fs: &Fs, id: OpenId, from: &[IoVec], at: Option<u64>, append: bool, limit: u64) -> Answer<usize> {
    let start = match at {
        _ if append => fs.attr(fs.open_ino(id))?.size,
        Some(at) => at,
        None => fs.seek(id, 0, libc::SEEK_CUR)?,
    };
    if start >= limit && from.iter().any(|v| v.iov_len > 0) {
        return if limit == LARGEST { fail(libc::EFBIG) } else { Err(limits::exceeded()) };
    }
    write_now(fs, id, &cut(from, usize::try_from(limit - start).unwrap_or(MOST)), at, append)
}

/// Makes the file behind `id` durable.
pub fn sync(fs: &Fs, id: OpenId) -> Answer<()> {
    Ok(fs.sync(fs.open_ino(id))?)
}

/// Calls `f` with the vectors cut to [`MOST`] bytes. `EINVAL` if there are too many, or more bytes than an `ssize_t` counts.
#[inline(always)]
fn within_limit(vectors: &[IoVec], f: impl Fn(&[IoVec]) -> Answer<usize>) -> Answer<usize> {
    match vectors {
        [one] if one.iov_len <= MOST => f(vectors),
        _ => within_limit_all(vectors, &f),
    }
}

#[cold]
#[inline(never)]
fn within_limit_all(vectors: &[IoVec], f: &dyn Fn(&[IoVec]) -> Answer<usize>) -> Answer<usize> {
    if vectors.len() > MOST_VECTORS {
        return fail(libc::EINVAL);
    }
    let mut total = 0usize;
    for v in vectors {
        total = match total.checked_add(v.iov_len) {
            Some(t) if t <= isize::MAX as usize => t,
            _ => return fail(libc::EINVAL),
        };
    }
    if total <= MOST { f(vectors) } else { f(&cut(vectors, MOST)) }
}

/// The first `room` bytes of the vectors.
fn cut(vectors: &[IoVec], mut room: usize) -> Vec<IoVec> {
    let cut = |v: &IoVec| {
        let len = v.iov_len.min(room);
        room -= len;
        IoVec { iov_base: v.iov_base, iov_len: len }
    };
    vectors.iter().map(cut).collect()
}

/// Memory of our own to pass data through, whose addresses never agree with file offsets within a page, so that it is copied
/// into and never attached: its pages may be given away. One that is done with is kept for the next (a copy of many small files would spend more on fresh memory than on copying).
pub struct Bounce {
    start: *mut libc::c_void,
    skip: usize,
}

impl Bounce {
    /// Bytes it holds.
    pub const SIZE: usize = 256 << 10;
    const MAPPED: usize = Self::SIZE + 2 * flac::units::PAGE;

    /// Memory for transfers that begin at file offset `at`.
    pub fn new(at: u64) -> Answer<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let mut start = SPARE.swap(std::ptr::null_mut(), Ordering::Acquire);
        if start.is_null() {
            // SAFETY: a new mapping anywhere.
            start = unsafe { mmap_anonymous(std::ptr::null_mut(), Self::MAPPED, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }?;
        }
        Ok(Self { start, skip: (at as usize + 64) % flac::units::PAGE })
    }
    /// Its first `len` bytes, at most [`Bounce::SIZE`].
    pub fn vec(&self, len: usize) -> IoVec {
        assert!(len <= Self::SIZE);
        // SAFETY: skip < PAGE, so this stays inside the mapping.
        IoVec { iov_base: unsafe { self.start.byte_add(self.skip) }, iov_len: len }
    }
    /// Its bytes from `from` to `to`, as a vector.
    pub fn part(&self, from: usize, to: usize) -> IoVec {
        let all = self.vec(to);
        IoVec { iov_base: all.iov_base.wrapping_byte_add(from), iov_len: to - from }
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
        // SAFETY: the pages are never written again: `self` ends here, and its memory with it.
        let put = crate::boundary::wait_out(|| unsafe { rustix::pipe::vmsplice(pipe, &[range], flags) });
        self.unmap();
        std::mem::forget(self);
        Ok(put?)
    }
    fn unmap(&self) {
        // SAFETY: our own mapping, which nobody uses any more.
        let _ = unsafe { rustix::mm::munmap(self.start, Self::MAPPED) };
    }
}

/// What is kept for the next [`Bounce`].
static SPARE: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());

impl Drop for Bounce {
    fn drop(&mut self) {
        if SPARE.compare_exchange(std::ptr::null_mut(), self.start, Ordering::Release, Ordering::Relaxed).is_err() {
            self.unmap();
        }
    }
}
