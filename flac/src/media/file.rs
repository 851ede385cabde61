//! Files of the pool and of the run directory: whole reads and writes at offsets, permissions taken from the directory,
//! locks between processes.

use super::aside::with_room;
use super::ceiling;
use super::fd::{Fd, FileId};
use super::owner::Owner;
use super::tap;
use crate::error::Error;
use crate::sync::AtomicU32;
use crate::units::PAGE;
use rustix::fd::BorrowedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::{Errno, IoSlice, IoSliceMut, ReadWriteFlags};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Release};

/// An open file. Survives a program that closes our descriptor: then each use opens the file again.
#[derive(Debug)]
pub(crate) struct File {
    fd: Fd,
    path: PathBuf,
    flags: OFlags,
    /// See [`File::keep_failure_in`].
    failure: OnceLock<&'static AtomicU32>,
}

impl File {
    fn new(fd: Fd, path: &Path, flags: OFlags) -> File {
        File { fd, path: path.to_owned(), flags, failure: OnceLock::new() }
    }

    /// Opens an existing file.
    pub(crate) fn open(path: &Path, flags: OFlags) -> rustix::io::Result<File> {
        let fd = Fd::open(path, flags, Mode::empty())?;
        Ok(File::new(fd, path, flags))
    }

    /// Opens an existing file for a moment. Where a process that may open no more files must do this, it does it [with room](with_room).
    pub(crate) fn open_briefly(path: &Path, flags: OFlags) -> rustix::io::Result<File> {
        let fd = Fd::open_briefly(path, flags)?;
        Ok(File::new(fd, path, flags))
    }

    /// Makes a file that did not exist, with the permissions its directory suggests.
    pub(crate) fn create_new(path: &Path) -> rustix::io::Result<File> {
        tap::taking(path, 0)?;
        let fd = Fd::open(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR)?;
        inherit_permissions(path, &fd)?;
        tap::created(path, fd.id());
        Ok(File::new(fd, path, OFlags::RDWR))
    }

    /// Opens a file that holds no data of value (a lock) for a moment, making it if it is missing.
    pub(crate) fn open_or_create(path: &Path) -> rustix::io::Result<File> {
        loop {
            match File::open_briefly(path, OFlags::RDWR) {
                Err(Errno::NOENT) => match File::create_new(path) {
                    Err(Errno::EXIST) => continue,
                    other => return other,
                },
                other => return other,
            }
        }
    }

    /// The same file, through the page cache.
    pub(crate) fn cached(&self) -> rustix::io::Result<File> {
        let file = File::open(&self.path, self.flags - OFlags::DIRECT)?;
        if file.id() == self.id() { Ok(file) } else { Err(Errno::STALE) }
    }

    /// Whether the program has left our descriptor open.
    pub(crate) fn is_ours(&self) -> bool {
        self.fd.is_ours()
    }

    /// Whether its descriptor has a number that programs do not use.
    pub(crate) fn is_out_of_the_way(&self) -> bool {
        self.fd.is_high()
    }

    /// Which file this is.
    pub(crate) fn id(&self) -> FileId {
        self.fd.id()
    }

    /// Runs `f` on a descriptor that is this file for certain.
    pub(crate) fn with<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<R>) -> rustix::io::Result<R> {
        use rustix::fd::AsFd;
        if self.fd.is_ours() {
            return f(self.fd.as_fd());
        }
        let mut f = Some(f);
        with_room(|| {
            let again = Fd::open_briefly(&self.path, self.flags)?;
            if again.id() != self.fd.id() {
                return Err(Errno::STALE);
            }
            f.take().map_or(Err(Errno::MFILE), |f| f(again.as_fd()))
        })
    }

    /// Bytes in the file.
    pub(crate) fn len(&self) -> rustix::io::Result<u64> {
        self.with(|fd| Ok(rustix::fs::fstat(fd)?.st_size as u64))
    }

    /// The first part of [`from`, `end`) that was never written, if there is one.
    pub(crate) fn next_hole(&self, from: u64, end: u64) -> rustix::io::Result<Option<std::ops::Range<u64>>> {
        use rustix::fs::{SeekFrom, seek};
        if from >= end {
            return Ok(None);
        }
        let start = self.with(|fd| seek(fd, SeekFrom::Hole(from)))?;
        match self.with(|fd| seek(fd, SeekFrom::Data(start))) {
            _ if start >= end => Ok(None),
            Ok(data) => Ok(Some(start..data.min(end))),
            Err(Errno::NXIO) => Ok(Some(start..end)),
            Err(e) => Err(e),
        }
    }

    /// Sets space aside for [`offset`, `offset + len`) without changing the file's size.
    pub(crate) fn set_aside(&self, offset: u64, len: u64) -> rustix::io::Result<()> {
        tap::taking(&self.path, len)?;
        let set_aside = || self.with(|fd| rustix::fs::fallocate(fd, rustix::fs::FallocateFlags::KEEP_SIZE, offset, len));
        // A tmpfs asks for the limit here, too.
        if ceiling::forbids(offset + len) { ceiling::lifted(set_aside) } else { set_aside() }
    }

    /// Sets the size.
    pub(crate) fn set_len(&self, len: u64) -> rustix::io::Result<()> {
        let set_len = || self.with(|fd| rustix::fs::ftruncate(fd, len));
        if ceiling::forbids(len) { ceiling::lifted(set_len) } else { set_len() }?;
        tap::resized(self.id(), len);
        Ok(())
    }

    /// Writes some of `from` to the end of the file; how much.
    pub(crate) fn append(&self, from: &[u8]) -> rustix::io::Result<usize> {
        tap::taking(&self.path, from.len() as u64)?;
        let append = || self.with(|fd| rustix::io::pwritev2(fd, &[IoSlice::new(from)], 0, ReadWriteFlags::APPEND));
        // Where the end is, others may change.
        let n = ceiling::lifted(append)?;
        if cfg!(test) {
            tap::appended(self.id(), self.len()?, &from[..n], self.flags.contains(OFlags::DIRECT));
        }
        Ok(n)
    }

    /// Reads until `to` is full or the file ends; how much was read.
    pub(crate) fn read_at(&self, to: &mut [u8], offset: u64) -> rustix::io::Result<usize> {
        self.with(|fd| {
            let mut done = 0;
            while done < to.len() {
                match rustix::io::pread(fd, &mut to[done..], offset + done as u64) {
                    Ok(0) => break,
                    Ok(n) => done += n,
                    Err(Errno::INTR) => {}
                    Err(e) => return Err(e),
                }
            }
            Ok(done)
        })
    }

    /// As [`File::read_at`], into scattered memory.
    pub(crate) fn read_vectored_at(&self, to: &mut [&mut [u8]], offset: u64) -> rustix::io::Result<usize> {
        let total: usize = to.iter().map(|part| part.len()).sum();
        if let [one] = to {
            return self.read_at(one, offset);
        }
        let mut slices: Vec<IoSliceMut<'_>> = to.iter_mut().map(|part| IoSliceMut::new(part)).collect();
        match self.with(|fd| rustix::io::preadv(fd, &mut slices, offset)) {
            Ok(n) if n == total => return Ok(n),
            // A short read is rare: part by part.
            Ok(_) | Err(Errno::INTR | Errno::INVAL) => {}
            Err(e) => return Err(e),
        }
        let mut done = 0;
        for part in to {
            let n = self.read_at(part, offset + done as u64)?;
            done += n;
            if n < part.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Writes all of `from`.
    pub(crate) fn write_at(&self, from: &[u8], offset: u64) -> rustix::io::Result<()> {
        self.write_vectored_at(&[IoSlice::new(from)], offset)
    }

    /// Writes all of `from` in order.
    pub(crate) fn write_vectored_at(&self, from: &[IoSlice<'_>], offset: u64) -> rustix::io::Result<()> {
        tap::taking(&self.path, 0)?;
        self.put_all(from, offset, false)?;
        tap::wrote(self.id(), offset, from, self.flags.contains(OFlags::DIRECT));
        Ok(())
    }

    /// Writes all of `from` by system calls alone, which take no memory and open nothing; whether that could be done.
    pub(super) fn write_simply(&self, from: &[IoSlice<'_>], offset: u64) -> bool {
        use rustix::fd::AsFd;
        let total: usize = from.iter().map(|slice| slice.len()).sum();
        self.fd.is_ours() && !ceiling::forbids(offset + total as u64) && rustix::io::pwritev(self.fd.as_fd(), from, offset) == Ok(total)
    }

    fn put_all(&self, from: &[IoSlice<'_>], offset: u64, through: bool) -> rustix::io::Result<()> {
        let end = offset + from.iter().map(|slice| slice.len() as u64).sum::<u64>();
        match ceiling::forbids(end) {
            false => self.put(from, offset, through),
            true if end <= self.len()? => self.with(|fd| ceiling::store(fd, from, offset)),
            true => ceiling::lifted(|| self.put(from, offset, through)),
        }
    }

    fn put(&self, from: &[IoSlice<'_>], mut offset: u64, through: bool) -> rustix::io::Result<()> {
        const IOV_MAX: usize = 1024;
        let put = |fd: BorrowedFd<'_>, slices: &[IoSlice<'_>], at| match through {
            true => rustix::io::pwritev2(fd, slices, at, ReadWriteFlags::DSYNC),
            false => rustix::io::pwritev(fd, slices, at),
        };
        self.with(|fd| {
            for batch in from.chunks(IOV_MAX) {
                let total: usize = batch.iter().map(|s| s.len()).sum();
                let mut done = match put(fd, batch, offset) {
                    Ok(n) => n,
                    Err(Errno::INTR) => 0,
                    Err(e) => return Err(e),
                };
                // A short write is rare: go on slice by slice.
                let mut start = 0;
                for slice in batch {
                    while done < start + slice.len() {
                        let rest = &slice[done.saturating_sub(start)..];
                        match put(fd, &[IoSlice::new(rest)], offset + done as u64) {
                            Ok(0) => return Err(Errno::NOSPC),
                            Ok(n) => done += n,
                            Err(Errno::INTR) => {}
                            Err(e) => return Err(e),
                        }
                    }
                    start += slice.len();
                }
                offset += total as u64;
            }
            Ok(())
        })
    }

    /// Writes all of `from`, durably once this returns; nothing is said about what was written before.
    pub(crate) fn write_through_at(&self, from: &[IoSlice<'_>], offset: u64) -> rustix::io::Result<()> {
        self.put_all(from, offset, true)?;
        tap::wrote(self.id(), offset, from, self.flags.contains(OFlags::DIRECT));
        tap::flushed(self.id(), offset, offset + from.iter().map(|slice| slice.len() as u64).sum::<u64>());
        Ok(())
    }

    /// Tells the kernel to begin writing out what lies in the page cache of these bytes (0 bytes: all to the end). Promises nothing.
    pub(crate) fn write_out(&self, offset: u64, len: u64) {
        let _ = self.with(|fd| super::fd::write_out(fd, offset, len));
    }

    /// Has the kernel drop what is in the page cache of the file and on the device.
    pub(crate) fn forget(&self) {
        let _ = self.with(|fd| rustix::fs::fadvise(fd, 0, None, rustix::fs::Advice::DontNeed));
    }

    /// Makes content and size durable.
    pub(crate) fn sync_data(&self) -> rustix::io::Result<()> {
        let failure = self.failure.get();
        match self.kept_failure() {
            0 => {}
            errno => return Err(Errno::from_raw_os_error(errno.cast_signed())),
        }
        let flushed = self.with(|fd| tap::flushing(&self.path).and_then(|()| rustix::fs::fdatasync(fd)));
        if let (Some(failure), Err(e @ (Errno::IO | Errno::NOSPC | Errno::DQUOT))) = (failure, flushed) {
            failure.store(e.raw_os_error().cast_unsigned(), Release);
        }
        flushed?;
        tap::flushed(self.id(), 0, u64::MAX);
        Ok(())
    }

    /// When the kernel could not write what was in its page cache, it says so once and takes it for written. From now on such an answer is kept in the word, which all who use the file share, and is
    /// the answer to each flush after it.
    pub(crate) fn keep_failure_in(&self, word: &'static AtomicU32) {
        let _ = self.failure.set(word);
    }

    fn kept_failure(&self) -> u32 {
        self.failure.get().map_or(0, |failure| failure.load(Acquire))
    }

    /// An error for a failed system call on this file, of which `what` names the attempt: `Lost` once there was such an answer.
    pub(crate) fn failed(&self, what: &'static str) -> impl Fn(Errno) -> Error {
        move |e| if self.kept_failure() != 0 { Error::Lost(e.raw_os_error()) } else { Error::io(what)(e) }
    }

    /// Locks the file against other processes until any descriptor of it is closed, or [`File::unlock`]. The lock is the process's, so the kernel
    /// releases it at death and a forked child has no part in it; threads of one process must exclude each other by other means.
    pub(crate) fn lock(&self) -> rustix::io::Result<()> {
        loop {
            match self.with(|fd| rustix::fs::fcntl_lock(fd, FlockOperation::LockExclusive)) {
                // The kernel takes all threads of a process for one owner and sees a circle where there is none.
                Err(Errno::DEADLK) => pause(),
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Releases the lock.
    pub(crate) fn unlock(&self) {
        let _ = self.with(|fd| rustix::fs::fcntl_lock(fd, FlockOperation::Unlock));
    }

    /// As [`lock_open_file`](super::fd::lock_open_file); waits for a second.
    pub(crate) fn lock_for_all(&self, alone: Option<bool>) -> rustix::io::Result<()> {
        const TRIES: u32 = 1000;
        let lock = || self.with(|fd| super::fd::lock_open_file(fd, alone));
        (1..TRIES).find_map(|_| lock().inspect_err(|_| pause()).ok()).map_or_else(lock, Ok)
    }
}

/// Sleeps a millisecond.
pub(crate) fn pause() {
    let _ = rustix::thread::nanosleep(&rustix::thread::Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
}

/// Gives a new file to the [owner](super::owner), with read and write permission for those who have it on the directory, so that several users can share a pool.
fn inherit_permissions(path: &Path, fd: &Fd) -> rustix::io::Result<()> {
    let dir = rustix::fs::stat(path.parent().unwrap_or(Path::new(".")))?;
    let mode = Mode::from_raw_mode(dir.st_mode & 0o666 | 0o600);
    Owner::of(&dir).give(fd);
    rustix::fs::fchmod(fd, mode)
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> rustix::io::Result<()> {
    with_room(|| Fd::open_briefly(dir, OFlags::RDONLY | OFlags::DIRECTORY).and_then(rustix::fs::fsync))?;
    tap::dir_synced(dir);
    Ok(())
}

/// Renames a file of the pool; what was at `to` is replaced.
pub(crate) fn rename(from: &Path, to: &Path) -> rustix::io::Result<()> {
    rustix::fs::rename(from, to)?;
    tap::renamed(from, to);
    Ok(())
}

/// Unlinks a file of the pool.
pub(crate) fn remove(path: &Path) -> rustix::io::Result<()> {
    rustix::fs::unlink(path)?;
    tap::removed(path);
    Ok(())
}

/// The names in `dir`, without `.` and `..`.
pub(crate) fn names_in(dir: &Path) -> rustix::io::Result<Vec<Vec<u8>>> {
    with_room(|| names(&Fd::open_briefly(dir, OFlags::RDONLY | OFlags::DIRECTORY)?))
}

fn names(dir: &Fd) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut buffer = Vec::with_capacity(8192);
    let mut names = Vec::new();
    let mut raw = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = raw.next() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes a file, or a directory with all that is in it; nothing if there is none. (`std::fs` opens directories through libc, which takes memory from the program's `malloc` for it.)
pub(crate) fn remove_tree(path: &Path) -> rustix::io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    match rustix::fs::unlink(path) {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {
            names_in(path)?.iter().try_for_each(|name| remove_tree(&path.join(std::ffi::OsStr::from_bytes(name))))?;
            rustix::fs::rmdir(path)
        }
        done => done,
    }
}

/// Memory that O_DIRECT accepts: page-aligned, zeroed.
pub(crate) struct PageBuffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl PageBuffer {
    /// `len` zero bytes.
    pub(crate) fn new(len: usize) -> Self {
        let bytes = vec![0; len + PAGE];
        let start = bytes.as_ptr().align_offset(PAGE);
        Self { bytes, start, len }
    }
    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
    /// The bytes, to be filled.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

/// An error about `path` for a failed system call, as a sentence that says what would help.
pub(crate) fn unusable(path: &Path, e: Errno) -> Error {
    let path = path.display();
    Error::Unusable(match e {
        Errno::NOENT => format!("{path} does not exist: make a pool with `flac mkfs`, or set FLAC_POOL to where it is"),
        Errno::ROFS => {
            format!("{path} is not writable (read-only file system): mount it read-write")
        }
        Errno::ACCESS | Errno::PERM => {
            format!("{path} is not writable for this user: change its permissions")
        }
        Errno::NOTDIR => format!("{path} is not a directory: set FLAC_POOL to a pool's directory"),
        e => format!("{path}: {e}"),
    })
}
