//! Copies "in the kernel" with FLAC on one side or on both: sendfile, copy_file_range, splice, clone.
//!
//! Within FLAC pages are shared. Across the border data passes through a buffer; what was read and could not be written is read again next time,
//! so no byte is lost where the source can be read twice.

use crate::abi::{Out, fail};
use crate::boundary::{Answer, Escape, Wait, wait_out};
use crate::transfer::{self, Bounce};
use crate::{fds, signals};
use flac::Fs;
use flac::fs::open::OpenId;
use libc::{c_int, off_t};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::BorrowedFd;

/// One end of a copy.
#[derive(Clone, Copy)]
pub enum End {
    /// An open file of FLAC.
    Flac(&'static Fs, OpenId),
    /// A descriptor of the kernel's.
    Kernel(BorrowedFd<'static>),
}

impl End {
    /// What `fd` is; `EBADF` if it was opened with `O_PATH`.
    pub fn of(fd: c_int) -> Answer<End> {
        match if fds::maybe(fd) { fds::open_file(fd) } else { Err(Escape::NotOurs) } {
            Ok((fs, id)) if fs.open_flags(id) & libc::O_PATH != 0 => fail(libc::EBADF),
            Ok((fs, id)) => Ok(End::Flac(fs, id)),
            Err(Escape::NotOurs) => Ok(End::Kernel(fds::borrow(fd)?)),
            Err(e) => Err(e),
        }
    }
}

/// Whether the inode is a regular file; `EISDIR`, else `EINVAL`.
pub fn check_regular(fs: &Fs, id: OpenId) -> Answer<()> {
    match fs.attr(fs.open_ino(id))?.mode & libc::S_IFMT {
        libc::S_IFREG => Ok(()),
        libc::S_IFDIR => fail(libc::EISDIR),
        _ => fail(libc::EINVAL),
    }
}

/// Whether `copy_file_range` may use these ends: regular files (`EISDIR`, `EINVAL`), open for it and not for appending (`EBADF`).
pub fn check_range_ends(from: End, to: End) -> Answer<()> {
    use rustix::fs::{FileType, OFlags};
    let kind = |end| match end {
        End::Flac(fs, id) => Ok::<_, Escape>(FileType::from_raw_mode(fs.attr(fs.open_ino(id))?.mode)),
        End::Kernel(fd) => Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode)),
    };
    let kinds = [kind(from)?, kind(to)?];
    if kinds.contains(&FileType::Directory) {
        return fail(libc::EISDIR);
    }
    if kinds != [FileType::RegularFile; 2] {
        return fail(libc::EINVAL);
    }
    if let End::Flac(fs, id) = from {
        transfer::check(fs, id, false)?;
    }
    let appends = match to {
        End::Flac(fs, id) => {
            transfer::check(fs, id, true)?;
            fs.open_flags(id) & libc::O_APPEND != 0
        }
        End::Kernel(fd) => rustix::fs::fcntl_getfl(fd)?.contains(OFlags::APPEND),
    };
    if appends { fail(libc::EBADF) } else { Ok(()) }
}

/// A position of a copy: the caller's variable, or the open file's offset.
#[derive(Clone, Copy)]
pub struct Position {
    variable: Out<off_t>,
}

impl Position {
    /// In `variable`, or the file's own if it is null.
    pub fn of(variable: Out<off_t>) -> Self {
        Self { variable }
    }
    /// Where it is. `None` for a descriptor that has no offset (a pipe).
    fn get(self, end: End) -> Answer<Option<u64>> {
        match (self.variable.get()?, end) {
            (Some(at), _) => crate::abi::offset(at).map(Some),
            (None, End::Flac(fs, id)) => Ok(Some(fs.seek(id, 0, libc::SEEK_CUR)?)),
            (None, End::Kernel(fd)) => Ok(rustix::fs::tell(fd).ok()),
        }
    }
    /// Moves it to `to`.
    fn set(self, end: End, to: u64) -> Answer<()> {
        let to = to.cast_signed();
        if !self.variable.is_null() {
            return self.variable.put(to);
        }
        match end {
            End::Flac(fs, id) => fs.seek(id, to, libc::SEEK_SET).map(|_| ())?,
            End::Kernel(fd) => rustix::fs::seek(fd, rustix::fs::SeekFrom::Start(to.cast_unsigned())).map(|_| ())?,
        }
        Ok(())
    }
}

/// Whether `len` bytes would reach beyond all numbers. A negative position is taken for a large one.
pub fn wraps(end: End, at: Position, len: usize) -> Answer<bool> {
    let at = match at.variable.get()? {
        Some(at) => Some(at.cast_unsigned()),
        None => at.get(end)?,
    };
    Ok(at.is_some_and(|at| at.checked_add(len as u64).is_none()))
}

/// Whether `len` bytes from `at` on lie where a file may have bytes; `EINVAL`.
pub fn check_reach(end: End, at: Position, len: usize) -> Answer<()> {
    match at.get(end)? {
        Some(at) if at.checked_add(len as u64).is_none_or(|end| end > i64::MAX as u64) => fail(libc::EINVAL),
        _ => Ok(()),
    }
}

/// Whether copying `len` bytes would write to what it reads from.
pub fn overlaps(from: End, from_at: Position, to: End, to_at: Position, len: usize) -> Answer<bool> {
    let (End::Flac(fs, a), End::Flac(_, b)) = (from, to) else { return Ok(false) };
    let (Some(x), Some(y)) = (from_at.get(from)?, to_at.get(to)?) else { return fail(libc::EINVAL) };
    if fs.open_ino(a) != fs.open_ino(b) {
        return Ok(false);
    }
    // What there is to copy counts, not what was asked for.
    let len = left(fs, a, x).min(len as u64);
    Ok(x < y.saturating_add(len) && y < x.saturating_add(len))
}

/// Bytes of the file from `at` to its end.
fn left(fs: &Fs, id: OpenId, at: u64) -> u64 {
    fs.attr(fs.open_ino(id)).map_or(0, |attr| attr.size.saturating_sub(at))
}

/// Copies up to `len` bytes; returns how many. Stops early at the end of the source and where the target takes no more; fails only if nothing was copied.
pub fn copy(from: End, from_at: Position, to: End, to_at: Position, len: usize) -> Answer<usize> {
    let mut len = len.min(transfer::MOST);
    if let (End::Flac(fs, a), End::Flac(_, b)) = (from, to)
        && !overlaps(from, from_at, to, to_at, len)?
    {
        let (Some(x), Some(y)) = (from_at.get(from)?, to_at.get(to)?) else { return fail(libc::EINVAL) };
        if fs.open_ino(a) == fs.open_ino(b) {
            // Not what the copy itself puts behind the end.
            len = left(fs, a, x).min(len as u64) as usize;
        }
        crate::limits::check(y.saturating_add(1))?;
        if y >= transfer::LARGEST {
            return fail(libc::EFBIG);
        }
        let room = crate::limits::file_size().map_or(u64::MAX, |limit| limit - y);
        let n = fs.copy_range(fs.open_ino(a), x, fs.open_ino(b), y, room.min(len as u64))?;
        if n > 0 {
            transfer::drop_set_ids(fs, fs.open_ino(b))?;
        }
        from_at.set(from, x + n)?;
        to_at.set(to, y + n)?;
        return Ok(n as usize);
    }
    // A descriptor of the kernel's is read on from where it is: its offset moves by itself, and goes back by what could not be written.
    let runs = matches!(from, End::Kernel(_)) && from_at.variable.is_null();
    let start = if runs { None } else { from_at.get(from)? };
    let target = to_at.get(to)?;
    let mut bounce = Bounce::new(start.unwrap_or(0))?;
    let mut done = 0;
    while done < len {
        let step = (len - done).min(Bounce::SIZE);
        let moved = read(from, &mut bounce, step, start.map(|s| s + done as u64)).and_then(|got| {
            let put = if got == 0 { Ok(0) } else { write(to, &mut bounce, got, target.map(|t| t + done as u64)) };
            let left = got - *put.as_ref().unwrap_or(&0);
            if let End::Kernel(fd) = from
                && runs
                && left > 0
            {
                // What can't be read twice stays read.
                let _ = rustix::fs::seek(fd, rustix::fs::SeekFrom::Current(-(left as i64)));
            }
            Ok((got, put?))
        });
        let (got, put) = match moved {
            Ok(moved) => moved,
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        };
        done += put;
        if put < got || got < step {
            break;
        }
    }
    if let Some(start) = start {
        from_at.set(from, start + done as u64)?;
    }
    if let Some(target) = target {
        to_at.set(to, target + done as u64)?;
    }
    Ok(done)
}

/// A pipe or socket may make the call wait: the program's handlers run meanwhile, as in the kernel's own copies.
fn read(from: End, bounce: &mut Bounce, len: usize, at: Option<u64>) -> Answer<usize> {
    match from {
        End::Flac(fs, id) => transfer::read(fs, id, &[bounce.vec(len)], at),
        End::Kernel(fd) => {
            let to = bounce.bytes(len);
            Ok(match at {
                Some(at) => rustix::io::pread(fd, to, at)?,
                None => wait_out(|| rustix::io::read(fd, to))?,
            })
        }
    }
}

fn write(to: End, bounce: &mut Bounce, len: usize, at: Option<u64>) -> Answer<usize> {
    match to {
        End::Flac(fs, id) => transfer::write(fs, id, &[bounce.vec(len)], at),
        End::Kernel(fd) => {
            let from = bounce.bytes(len);
            Ok(match at {
                Some(at) => rustix::io::pwrite(fd, from, at)?,
                None => wait_out(|| rustix::io::write(fd, from))?,
            })
        }
    }
}

/// How long a thread waits before it leaves our code, where it may be cancelled.
const PATIENCE: rustix::time::Timespec = rustix::time::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Waits, if the pipe is one that blocks, until it has bytes or room. Handlers run as in the kernel's own `splice`.
fn become_ready(pipe: BorrowedFd<'_>, for_what: PollFlags) -> Answer<()> {
    if rustix::fs::fcntl_getfl(pipe)?.contains(rustix::fs::OFlags::NONBLOCK) {
        return Ok(());
    }
    loop {
        if signals::is_waiting() && !signals::restarts() {
            return fail(libc::EINTR);
        }
        match poll(&mut [PollFd::new(&pipe, for_what)], Some(&PATIENCE)) {
            Ok(0) => return Err(Escape::Outside(Wait::Again)),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// `splice` from a FLAC file into a pipe: the bytes are copied into memory that is then given to the pipe, which blocks or not as the flags say
/// and takes what it has room for.
pub fn into_pipe(fs: &'static Fs, id: OpenId, at: Position, pipe: BorrowedFd<'_>, len: usize, nonblocking: bool) -> Answer<usize> {
    let end = End::Flac(fs, id);
    let Some(start) = at.get(end)? else { return fail(libc::EINVAL) };
    if !nonblocking {
        become_ready(pipe, PollFlags::OUT)?;
    }
    let mut bounce = Bounce::new(start)?;
    let got = read(end, &mut bounce, len.min(Bounce::SIZE), Some(start))?;
    if got == 0 {
        return Ok(0);
    }
    let flags = if nonblocking { rustix::pipe::SpliceFlags::NONBLOCK } else { rustix::pipe::SpliceFlags::empty() };
    let put = bounce.give(pipe, got, flags)?;
    at.set(end, start + put as u64)?;
    Ok(put)
}

/// `splice` from a pipe into a FLAC file. What was taken out of the pipe can't go back: it is written, or the call fails.
pub fn out_of_pipe(pipe: BorrowedFd<'static>, fs: &'static Fs, id: OpenId, at: Position, len: usize, nonblocking: bool) -> Answer<usize> {
    let end = End::Flac(fs, id);
    let Some(start) = at.get(end)? else { return fail(libc::EINVAL) };
    if nonblocking {
        let mut ready = [PollFd::new(&pipe, PollFlags::IN)];
        if poll(&mut ready, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
            return fail(libc::EAGAIN);
        }
    } else {
        become_ready(pipe, PollFlags::IN)?;
    }
    crate::limits::check(start.saturating_add(1))?;
    let room = crate::limits::file_size().map_or(u64::MAX, |limit| limit - start);
    let mut bounce = Bounce::new(start)?;
    let got = read(End::Kernel(pipe), &mut bounce, len.min(Bounce::SIZE).min(usize::try_from(room).unwrap_or(usize::MAX)), None)?;
    let mut put = 0;
    while put < got {
        let rest = bounce.part(put, got);
        put += transfer::write(fs, id, &[rest], Some(start + put as u64))?;
    }
    at.set(end, start + put as u64)?;
    Ok(put)
}
