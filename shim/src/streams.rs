//! Directory streams (`DIR *`) on FLAC directories: objects of our own, told from libc's by their first word, which in libc's is a descriptor
//! and a lock, never negative.
//!
//! A stream shows the directory as it was at the first `readdir` after opening or rewinding, as POSIX allows: so `rm -r` and `mv` while reading
//! neither miss nor repeat an entry.
#![expect(unsafe_code, reason = "records handed to C as pointers")]

use crate::abi::{CPath, fail};
use crate::boundary::{Answer, Escape, checked};
use crate::{fds, files};
use flac::Fs;
use flac::fs::names::Listed;
use flac::units::Ino;
use libc::{DIR, c_int, c_long, dirent64};
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

const MAGIC: u64 = 0xf1ac_d112_f1ac_d112;
/// A record's fields before its name.
const HEAD: usize = std::mem::offset_of!(dirent64, d_name);

/// The stream.
#[repr(C)]
pub struct Stream {
    magic: u64,
    fd: c_int,
    reading: Mutex<Reading>,
}

/// How far a stream is. Threads that share one take turns, as libc's do.
#[derive(Default)]
struct Reading {
    /// Where in `records` the next one begins.
    at: usize,
    records: Option<Records>,
}

/// `dirent64` records, one behind the other.
pub struct Records {
    // Words, so that records are aligned.
    words: Vec<u64>,
    len: usize,
}

impl Records {
    /// All entries of `dir`.
    pub fn of(fs: &Fs, dir: Ino) -> Answer<Self> {
        let entries = fs.list_dir(dir)?;
        let mut words: Vec<u64> = Vec::with_capacity(entries.len() * 5 + size_of::<dirent64>() / 8 + 1);
        for entry in entries.iter() {
            let next = words.len() * 8 + length(entry.2);
            push(&mut words, entry, next as u64);
        }
        let len = words.len() * 8;
        // A program may copy a whole `struct dirent` from the last record.
        words.resize(words.len() + size_of::<dirent64>() / 8 + 1, 0);
        Ok(Self { words, len })
    }
    /// The record at `at`, if one begins there, and where the next begins.
    fn get(&self, at: usize) -> Option<(*const dirent64, usize)> {
        (at < self.len && at.is_multiple_of(8)).then(|| {
            let record = (&raw const self.words[at / 8]).cast::<dirent64>();
            // SAFETY: `at` is where a record begins (a caller's invalid cookie gives garbage, inside `words`).
            let len = unsafe { (&raw const (*record).d_reclen).read() };
            (record, at + usize::from(len).max(8))
        })
    }
}

/// Bytes of the record of an entry with this name.
fn length(name: &[u8]) -> usize {
    (HEAD + name.len() + 1).next_multiple_of(8)
}

/// Appends an entry's record; `next` is where its reader goes on.
fn push(words: &mut Vec<u64>, (ino, kind, name): Listed<'_>, next: u64) {
    let len = length(name);
    let mut record = [0u8; size_of::<dirent64>() + 8];
    record[..8].copy_from_slice(&ino.get().to_ne_bytes());
    record[8..16].copy_from_slice(&next.to_ne_bytes());
    record[16..18].copy_from_slice(&(len as u16).to_ne_bytes());
    record[18] = kind;
    record[HEAD..HEAD + name.len()].copy_from_slice(name);
    words.extend(record[..len].chunks_exact(8).map(|w| u64::from_ne_bytes(w.try_into().expect("8 bytes"))));
}

/// The place of a name for those who read a directory through its descriptor, a part at a time: a hash, which stays whatever else comes and goes. `.` and `..` come first.
fn place(nth: usize, name: &[u8]) -> u64 {
    if nth < 2 {
        return nth as u64 + 1;
    }
    let mut hash = DefaultHasher::new();
    hash.write(name);
    (hash.finish() >> 2).max(3)
}

/// Records of what comes behind the place `from` in `dir`, as many as have room, and the place of the last one. `EINVAL` if the first has none.
pub fn behind(fs: &Fs, dir: Ino, from: u64, room: usize) -> Answer<(Vec<u64>, u64)> {
    let list = fs.list_dir(dir)?;
    let placed = list.iter().enumerate().map(|(nth, entry)| (place(nth, entry.2), entry));
    let mut entries: Vec<(u64, Listed<'_>)> = placed.filter(|(place, _)| *place > from).collect();
    // No more than these have room.
    let most = room / length(b"") + 1;
    if most < entries.len() {
        entries.select_nth_unstable_by_key(most, |(place, _)| *place);
        entries.truncate(most);
    }
    entries.sort_unstable_by_key(|(place, _)| *place);
    let (mut words, mut end) = (Vec::new(), from);
    for (place, entry) in &entries {
        if words.len() * 8 + length(entry.2) > room {
            break;
        }
        push(&mut words, *entry, *place);
        end = *place;
    }
    if words.is_empty() && !entries.is_empty() { fail(libc::EINVAL) } else { Ok((words, end)) }
}

/// The stream behind C's pointer; `NotOurs` if it is libc's, or null.
fn ours<'a>(stream: *mut DIR) -> Answer<&'a Stream> {
    let stream = stream.cast::<Stream>();
    // SAFETY: libc's DIR is larger than the first word; the program vouches that it is one or the other, and open.
    if stream.is_null() || unsafe { (*stream).magic } != MAGIC {
        return Err(Escape::NotOurs);
    }
    // SAFETY: as above.
    Ok(unsafe { &*stream })
}

impl Stream {
    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `stream` is ours: the test of the hooks.
pub fn is_ours(stream: *mut DIR) -> bool {
    ours(stream).is_ok()
}

/// `opendir`, `opendirat`; `theirs` opens a directory of the kernel's.
pub fn open(dirfd: c_int, path: CPath, theirs: impl Fn(CPath) -> *mut DIR) -> Answer<*mut DIR> {
    let kernel = std::cell::Cell::new(std::ptr::null_mut());
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let fd = files::open(dirfd, path, flags, 0, |path| {
        kernel.set(theirs(path));
        if kernel.get().is_null() { -1 } else { c_int::MAX }
    })?;
    if fd == c_int::MAX { checked(kernel.get()) } else { Ok(made(fd)) }
}

/// Closes a directory of the kernel's that the program has not been told of, if FLAC covers it.
pub fn was_covered(dir: *mut DIR) -> bool {
    // SAFETY: libc's own, just opened.
    unsafe { fds::is_covered(libc::dirfd(dir)) && libc::closedir(dir) == 0 }
}

fn made(fd: c_int) -> *mut DIR {
    Box::into_raw(Box::new(Stream { magic: MAGIC, fd, reading: Mutex::default() })).cast()
}

/// `fdopendir`.
pub fn adopt(fd: c_int) -> Answer<*mut DIR> {
    let (fs, id) = fds::open_file(fd)?;
    if fs.open_flags(id) & libc::O_PATH != 0 {
        return fail(libc::EBADF);
    }
    if fs.attr(fs.open_ino(id))?.mode & libc::S_IFMT != libc::S_IFDIR {
        return fail(libc::ENOTDIR);
    }
    Ok(made(fd))
}

/// `readdir`: the next record, or null at the end. It stays where it is until the stream is rewound or closed.
pub fn next(stream: *mut DIR) -> Answer<*mut dirent64> {
    next_for(stream, |record| Ok(record.cast_mut()))
}

/// Gives the next record, or null, to `take` before another thread may wind the stream back.
pub fn next_for<T>(stream: *mut DIR, take: impl FnOnce(*const dirent64) -> Answer<T>) -> Answer<T> {
    let stream = ours(stream)?;
    let mut reading = stream.reading();
    if reading.records.is_none() {
        let (fs, id) = fds::open_file(stream.fd).map_err(|_| Escape::Fail(libc::EBADF))?;
        match Records::of(fs, fs.open_ino(id)) {
            Ok(records) => {
                reading.records = Some(records);
                fs.was_listed(id);
            }
            // Removed while open: empty, as in the kernel.
            Err(Escape::Fail(libc::ENOENT)) => {}
            Err(e) => return Err(e),
        }
    }
    let found = reading.records.as_ref().and_then(|records| records.get(reading.at));
    let (record, next) = found.unwrap_or((std::ptr::null(), reading.at));
    let taken = take(record)?;
    reading.at = next;
    Ok(taken)
}

/// `rewinddir`.
pub fn rewind(stream: *mut DIR) -> Answer<()> {
    *ours(stream)?.reading() = Reading::default();
    Ok(())
}

/// `telldir`.
pub fn tell(stream: *mut DIR) -> Answer<c_long> {
    Ok(ours(stream)?.reading().at as c_long)
}

/// `seekdir`, to where `tell` was.
pub fn seek(stream: *mut DIR, to: c_long) -> Answer<()> {
    ours(stream)?.reading().at = usize::try_from(to).unwrap_or(0);
    Ok(())
}

/// `dirfd`.
pub fn fd(stream: *mut DIR) -> Answer<c_int> {
    Ok(ours(stream)?.fd)
}

/// The first half of `closedir`: the stream is gone, its descriptor is to be closed.
pub fn dissolve(stream: *mut DIR) -> Answer<c_int> {
    ours(stream)?;
    let stream = stream.cast::<Stream>();
    // SAFETY: made by `made` from a Box; the program does not use it again. Its magic goes first, in case it does.
    let stream = unsafe {
        (*stream).magic = 0;
        Box::from_raw(stream)
    };
    Ok(stream.fd)
}
