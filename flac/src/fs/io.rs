//! File data through open files: read, write, seek.

use super::Fs;
use super::attr::Attr;
use super::names::Change;
use super::open::OpenId;
use super::stats::Stats;
use super::write::{At, MAX_SIZE};
use crate::error::{Error, Result};
use crate::inode::{flag, now, touch};
use crate::region::{InodeSlot, OpenSlot};
use crate::sync::{Guard, Ordering::*, is_single_threaded};
use crate::units::{Ino, PAGE};

/// The caller's memory: address and length, exactly as the program gave it. It may be invalid (`EFAULT`), and other threads may change it.
pub type IoVec = libc::iovec;

/// The most that one call moves, as Linux has it.
const MAX_RW: usize = 0x7fff_f000;

/// Seconds.
const DAY: i64 = 24 * 3600;

/// Whether `relatime` leaves atime as it is: it is newer than mtime and ctime, and not a day old.
fn is_recent(attr: &Attr) -> bool {
    attr.atime > attr.mtime.max(attr.ctime) && now().sec - attr.atime.sec <= DAY
}

impl Fs {
    /// Reads at `at`, or at the open file's offset, which then advances. 0 at the end. `EBADF` if not open for reading, `EISDIR`.
    ///
    /// # Safety
    /// Every vector describes memory of the caller that may be written to, or memory that is not mapped (which then may fault).
    #[expect(unsafe_code, reason = "the caller vouches for its buffers")]
    pub unsafe fn read(&self, id: OpenId, to: &[IoVec], at: Option<u64>) -> Result<usize> {
        let open = self.open_slot(id);
        let flags = open.flags.load(Acquire) as i32;
        if flags & libc::O_ACCMODE == libc::O_WRONLY || flags & libc::O_PATH != 0 {
            return Err(Error::Os(libc::EBADF));
        }
        self.check_regular(open)?;
        Stats::add(&self.stats.reads, 1);
        // A result that is moved as a whole is read in wider pieces than it was written in, for which the processor waits: 4 of 50 ns.
        let n = match at {
            // SAFETY: the caller's vectors.
            Some(at) => unsafe { self.read_vectors(open, to, at, flags)? },
            None => {
                let _position = self.lock_position(open);
                let offset = open.offset.load(Relaxed);
                // SAFETY: as above.
                let n = unsafe { self.read_vectors(open, to, offset, flags)? };
                open.offset.store(offset + n as u64, Relaxed);
                n
            }
        };
        if self.is_watching() && n > 0 {
            self.tell_accessed(self.open_ino(id));
        }
        Ok(n)
    }

    #[expect(unsafe_code, reason = "the caller vouches for its buffers")]
    #[inline]
    unsafe fn read_vectors(&self, open: &OpenSlot, to: &[IoVec], at: u64, flags: i32) -> Result<usize> {
        check_range(to, at)?;
        let slot = open.inode.load(Relaxed);
        let mut done = 0;
        for v in to {
            let len = v.iov_len.min(MAX_RW - done);
            // SAFETY: one of the caller's vectors.
            match unsafe { self.read_at(slot, Some(open), v.iov_base.cast(), len, at + done as u64) } {
                Ok(n) => done += n,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
            if done < len {
                break;
            }
        }
        if done > 0 && flags & libc::O_NOATIME == 0 {
            self.accessed(self.inodes.slot(slot), open, at > 0 && done < PAGE);
        }
        Ok(done)
    }

    /// An open file was mapped: the access counts as a read does.
    pub fn was_mapped(&self, id: OpenId) {
        let open = self.open_slot(id);
        if open.flags.load(Relaxed) as i32 & libc::O_NOATIME == 0 {
            self.accessed(self.inodes.slot(open.inode.load(Relaxed)), open, false);
        }
    }

    /// An open directory was read: its atime changes as that of a file that is read, but as its other attributes do, by a record. Who can't write one leaves it.
    pub fn was_listed(&self, id: OpenId) {
        if self.open_flags(id) & libc::O_NOATIME == 0 {
            let _ = self.access_by_record(self.open_ino(id));
        }
    }

    /// Of what has no slot for its times. False: it will be due again when the clock has moved.
    pub(super) fn access_by_record(&self, ino: Ino) -> Result<bool> {
        let attr = self.attr(ino)?;
        if is_recent(&attr) || attr.atime == now() {
            return Ok(is_recent(&attr));
        }
        let mut op = Change::begin(self)?;
        let mut inode = op.inode(ino)?;
        inode.attr.atime = now();
        op.put(&inode)?;
        op.commit()?;
        Ok(is_recent(&inode.attr))
    }

    /// Updates atime as `relatime` does: only if it is not newer than mtime and ctime, or a day old. Of `small` reads, which do not begin the file, only some ask what day it is: that takes
    /// 5 of 50 ns.
    #[inline]
    pub(super) fn accessed(&self, s: &InodeSlot, open: &OpenSlot, small: bool) {
        const SAME_DAY: u32 = 64;
        let (atime, mtime, ctime) = (&s.atime, &s.mtime, &s.ctime);
        let at = (atime.sec.load(Relaxed), atime.nsec.load(Relaxed));
        let newer = |t: &crate::region::TimeCell| (t.sec.load(Relaxed), t.nsec.load(Relaxed)) >= at;
        let is_day_old = || {
            let left = open.same_day.load(Relaxed);
            let asks = !small || left == 0;
            open.same_day.store(if asks { SAME_DAY } else { left - 1 }, Relaxed);
            asks && now().sec - at.0 > DAY
        };
        if newer(mtime) || newer(ctime) || is_day_old() {
            touch(&[atime]);
            s.flags.fetch_or(flag::ATTR, AcqRel);
        }
    }

    /// Makes what follows one step with the offset of `open`. A lock and its release are two of the dearest instructions of a small write (7 of 73 ns), and nobody needs them where this process
    /// alone has the open file, once, and has one thread. Who else might come to have it must get it from here: by a fork, a duplicate, a message.
    #[inline]
    fn lock_position<'a>(&'a self, open: &'a OpenSlot) -> Option<Guard<'a>> {
        let alone = open.refs.load(Relaxed) == 1 && is_single_threaded();
        (!alone).then(|| open.lock.lock(&*self.procs))
    }

    fn check_regular(&self, open: &OpenSlot) -> Result<()> {
        let mode = self.inodes.slot(open.inode.load(Relaxed)).mode.load(Relaxed);
        match mode & libc::S_IFMT {
            libc::S_IFREG => Ok(()),
            libc::S_IFDIR => Err(Error::Os(libc::EISDIR)),
            _ => Err(Error::Os(libc::EINVAL)),
        }
    }

    /// Writes at `at`, or at the open file's offset, which then advances; an `O_APPEND` file at its end. `ENOSPC`, `EFBIG`, `EBADF`.
    ///
    /// # Safety
    /// As for [`Fs::read`], for reading.
    #[expect(unsafe_code, reason = "the caller vouches for its buffers")]
    pub unsafe fn write(&self, id: OpenId, from: &[IoVec], at: Option<u64>) -> Result<usize> {
        // SAFETY: the caller's vectors.
        unsafe { self.write_placed(id, from, at, self.open_slot(id).flags.load(Acquire) as i32 & libc::O_APPEND != 0) }
    }

    /// As [`Fs::write`], at the file's end if `append` says so, whatever the open file's flags.
    ///
    /// # Safety
    /// As for [`Fs::write`].
    #[expect(unsafe_code, reason = "the caller vouches for its buffers")]
    pub unsafe fn write_placed(&self, id: OpenId, from: &[IoVec], at: Option<u64>, append: bool) -> Result<usize> {
        let open = self.open_slot(id);
        let flags = open.flags.load(Acquire) as i32;
        if flags & libc::O_ACCMODE == libc::O_RDONLY || flags & libc::O_PATH != 0 {
            return Err(Error::Os(libc::EBADF));
        }
        self.check_regular(open)?;
        Stats::add(&self.stats.writes, 1);
        let n = match at {
            Some(at) => {
                // Linux appends even in pwrite when the file is open for appending.
                let at = if append { At::End } else { At::Offset(at) };
                // SAFETY: the caller's vectors.
                unsafe { self.write_vectors(open, from, at)?.0 }
            }
            None => {
                let _position = self.lock_position(open);
                let at = if append { At::End } else { At::Offset(open.offset.load(Relaxed)) };
                // SAFETY: as above.
                let (n, end) = unsafe { self.write_vectors(open, from, at)? };
                if n > 0 {
                    open.offset.store(end, Relaxed);
                }
                n
            }
        };
        if n > 0 && self.is_watching() {
            self.tell_modified(self.open_ino(id));
        }
        if n > 0 && flags & (libc::O_SYNC | libc::O_DSYNC) != 0 {
            self.sync(self.open_ino(id))?;
        }
        Ok(n)
    }

    #[expect(unsafe_code, reason = "the caller vouches for its buffers")]
    #[inline]
    unsafe fn write_vectors(&self, open: &OpenSlot, from: &[IoVec], at: At) -> Result<(usize, u64)> {
        if let At::Offset(at) = at {
            check_range(from, at)?;
        }
        let slot = open.inode.load(Relaxed);
        // Several vectors that append must land together: they are gathered.
        if at == At::End && from.iter().filter(|v| v.iov_len > 0).count() > 1 {
            // SAFETY: the caller's vectors.
            return unsafe { self.append_gathered(slot, from) };
        }
        let mut done = 0;
        let mut at = at;
        for v in from.iter().filter(|v| v.iov_len > 0) {
            let len = v.iov_len.min(MAX_RW - done);
            self.judge_attach(open, v.iov_base.addr(), len);
            // SAFETY: one of the caller's vectors.
            match unsafe { self.write_at(slot, v.iov_base.cast(), len, at) } {
                Ok((n, end)) => {
                    done += n;
                    at = At::Offset(end);
                    if n < len {
                        return Ok((done, end));
                    }
                }
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        let end = if let At::Offset(end) = at { end } else { 0 };
        Ok((done, end))
    }

    #[expect(unsafe_code, reason = "the caller vouches for its buffers")]
    unsafe fn append_gathered(&self, slot: u32, from: &[IoVec]) -> Result<(usize, u64)> {
        let mut bytes = Vec::new();
        for v in from {
            let start = bytes.len();
            bytes.resize(start + v.iov_len.min(MAX_RW - start), 0u8);
            let len = bytes.len() - start;
            // SAFETY: the target was just made `len` bytes long; the source is the caller's vector.
            let left = unsafe { crate::region::copy::copy(bytes[start..].as_mut_ptr(), v.iov_base.cast(), len) };
            if left > 0 {
                bytes.truncate(start + len - left);
                break;
            }
        }
        if bytes.is_empty() {
            return Err(Error::Os(libc::EFAULT));
        }
        // SAFETY: our own buffer.
        unsafe { self.write_at(slot, bytes.as_ptr(), bytes.len(), At::End) }
    }

    /// `lseek`, with `SEEK_SET`, `SEEK_CUR`, `SEEK_END`, `SEEK_DATA`, `SEEK_HOLE`. A directory has no end: `EINVAL`.
    pub fn seek(&self, id: OpenId, offset: i64, whence: i32) -> Result<u64> {
        let open = self.open_slot(id);
        if open.flags.load(Acquire) as i32 & libc::O_PATH != 0 {
            return Err(Error::Os(libc::EBADF));
        }
        let slot = open.inode.load(Relaxed);
        let _position = self.lock_position(open);
        let base = match whence {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => open.offset.load(Relaxed) as i64,
            _ if self.inodes.slot(slot).mode.load(Relaxed) & libc::S_IFMT == libc::S_IFDIR => return Err(Error::Os(libc::EINVAL)),
            libc::SEEK_END => self.inodes.slot(slot).size.load(Acquire) as i64,
            libc::SEEK_DATA | libc::SEEK_HOLE => {
                let from = u64::try_from(offset).map_err(|_| Error::Os(libc::ENXIO))?;
                let found = self.seek_content(slot, from, whence == libc::SEEK_DATA)?;
                open.offset.store(found, Relaxed);
                return Ok(found);
            }
            _ => return Err(Error::Os(libc::EINVAL)),
        };
        let target = base.checked_add(offset).ok_or(Error::Os(libc::EINVAL))?;
        let target = u64::try_from(target).map_err(|_| Error::Os(libc::EINVAL))?;
        open.offset.store(target, Relaxed);
        Ok(target)
    }
}

/// `EINVAL` if the vectors reach beyond the largest offset, as the kernel has it.
#[inline]
fn check_range(vectors: &[IoVec], at: u64) -> Result<()> {
    let len = vectors.iter().fold(0u64, |sum, v| sum.saturating_add(v.iov_len as u64));
    match at.checked_add(len) {
        Some(end) if end <= MAX_SIZE => Ok(()),
        _ => Err(Error::Os(libc::EINVAL)),
    }
}
