//! opendir, readdir and their kin; getdents64; scandir.

use crate::abi::{CPath, Out, OutBytes, count, fail};
use crate::boundary::{self, Answer, Escape};
use crate::fds;
use crate::streams;
use libc::{AT_FDCWD, DIR, c_int, c_long, dirent64, size_t, ssize_t};

hook! {
    /// `opendir(3)`.
    fn opendir(path: CPath) -> *mut DIR, lands(streams::was_covered), real(theirs) {
        if path.bytes()?.is_empty() {
            return Err(Escape::NotOurs);
        }
        boundary::kernel_first();
        streams::open(AT_FDCWD, path, theirs)
    }
}

hook! {
    /// `fdopendir(3)`.
    fn fdopendir(fd: c_int) -> *mut DIR, when(fds::maybe(fd)) {
        streams::adopt(fd)
    }
}

hook! {
    /// `readdir(3)`.
    fn readdir(stream: *mut DIR) -> *mut dirent64, also(readdir64), when(streams::is_ours(stream)) {
        streams::next(stream)
    }
}

hook! {
    /// `readdir_r(3)`: returns the error.
    fn readdir_r(stream: *mut DIR, entry: OutBytes, result: Out<*mut dirent64>) -> c_int, also(readdir64_r), when(streams::is_ours(stream)) {
        let read = streams::next_for(stream, |next| {
            if next.is_null() {
                return result.put(std::ptr::null_mut());
            }
            entry.fill(record(next))?;
            result.put(entry.ptr().cast())
        });
        match read {
            Err(Escape::Fail(e)) => Ok(e),
            read => read.map(|()| 0),
        }
    }
}

/// The bytes of a record that `streams::next` gave.
#[allow(unsafe_code, reason = "a record of our own")]
fn record<'a>(record: *const dirent64) -> &'a [u8] {
    // SAFETY: not null, and `d_reclen` bytes long.
    unsafe { std::slice::from_raw_parts(record.cast::<u8>(), (&raw const (*record).d_reclen).read().into()) }
}

hook! {
    /// `closedir(3)`.
    fn closedir(stream: *mut DIR) -> c_int, when(streams::is_ours(stream)) {
        let fd = streams::dissolve(stream)?;
        fds::close(fd)?;
        Ok(0)
    }
}

hook! {
    /// `rewinddir(3)`.
    fn rewinddir(stream: *mut DIR) -> (), when(streams::is_ours(stream)) {
        streams::rewind(stream)
    }
}

hook! {
    /// `telldir(3)`.
    fn telldir(stream: *mut DIR) -> c_long, when(streams::is_ours(stream)) {
        streams::tell(stream)
    }
}

hook! {
    /// `seekdir(3)`.
    fn seekdir(stream: *mut DIR, to: c_long) -> (), when(streams::is_ours(stream)) {
        streams::seek(stream, to)
    }
}

hook! {
    /// `dirfd(3)`.
    fn dirfd(stream: *mut DIR) -> c_int, when(streams::is_ours(stream)) {
        streams::fd(stream)
    }
}

hook! {
    /// `getdents64(2)`. The open file's offset is the place of the last name that was read.
    fn getdents64(fd: c_int, to: OutBytes, room: size_t) -> ssize_t, also(getdents), when(fds::maybe(fd)) {
        entries(fd, to, room, |_| {}).map(|(_, length)| length)
    }
}

hook! {
    /// `getdirentries(3)`: `getdents64` that says where it began.
    fn getdirentries64(fd: c_int, to: OutBytes, room: size_t, base: Out<i64>) -> ssize_t, also(getdirentries), when(fds::maybe(fd)) {
        let (at, length) = entries(fd, to, room, |_| {})?;
        base.put(at.cast_signed())?;
        Ok(length)
    }
}

/// The older `getdents(2)`, for which libc has no function.
///
/// # Safety
/// As for the system call.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "a system call")]
pub unsafe extern "C-unwind" fn old_getdents(fd: c_int, to: OutBytes, room: libc::c_uint) -> ssize_t {
    boundary::cross(
        || {
            if !fds::maybe(fd) {
                return Err(Escape::NotOurs);
            }
            entries(fd, to, room as size_t, with_type_last).map(|(_, length)| length)
        },
        || {
            let words = [fd as usize, to.ptr().expose_provenance(), room as usize, 0, 0, 0];
            // SAFETY: the program's arguments.
            unsafe { crate::real::system_call(libc::SYS_getdents, words) as ssize_t }
        },
        |_| false,
    )
}

/// Makes `struct linux_dirent` of each record: of the same length, the type being its last byte, not that before the name.
#[cfg(target_arch = "x86_64")]
fn with_type_last(mut records: &mut [u8]) {
    const LENGTH: usize = std::mem::offset_of!(dirent64, d_reclen);
    const TYPE: usize = std::mem::offset_of!(dirent64, d_type);
    while let Some(length) = records.get(LENGTH..TYPE) {
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
        let (record, rest) = records.split_at_mut(length);
        record[TYPE..].rotate_left(1);
        records = rest;
    }
}

/// Reads records of a FLAC directory, in the form that `arrange` gives them; where they began, and their length.
fn entries(fd: c_int, to: OutBytes, room: size_t, arrange: impl Fn(&mut [u8])) -> Answer<(u64, ssize_t)> {
    let (fs, id) = fds::open_file(fd)?;
    if fs.open_flags(id) & libc::O_PATH != 0 {
        return fail(libc::EBADF);
    }
    let ino = fs.open_ino(id);
    if fs.attr(ino)?.mode & libc::S_IFMT != libc::S_IFDIR {
        return fail(libc::ENOTDIR);
    }
    let at = fs.seek(id, 0, libc::SEEK_CUR)?;
    let (records, end) = streams::behind(fs, ino, at, room)?;
    let mut bytes: Vec<u8> = records.iter().flat_map(|word| word.to_ne_bytes()).collect();
    arrange(&mut bytes);
    to.fill(&bytes)?;
    fs.seek(id, end.cast_signed(), libc::SEEK_SET)?;
    fs.was_listed(id);
    Ok((at, count(bytes.len())))
}

type Filter = Option<unsafe extern "C-unwind" fn(*const dirent64) -> c_int>;
type Compare = Option<unsafe extern "C" fn(*const libc::c_void, *const libc::c_void) -> c_int>;

/// Reads a FLAC directory into an array of records from `malloc`.
#[allow(unsafe_code, reason = "the program's functions, and memory that it frees")]
fn scan(
    dirfd: c_int,
    path: CPath,
    list: Out<*mut libc::c_void>,
    filter: Filter,
    compare: Compare,
    theirs: impl Fn(CPath) -> c_int,
) -> Answer<c_int> {
    let kernel = std::cell::Cell::new(0);
    let stream = streams::open(dirfd, path, |path| {
        kernel.set(theirs(path));
        // Not a stream: it only says that the path was the kernel's.
        if kernel.get() < 0 { std::ptr::null_mut() } else { std::ptr::dangling_mut() }
    })?;
    if stream == std::ptr::dangling_mut() {
        return Ok(kernel.get());
    }
    let mut found: Vec<*mut libc::c_void> = Vec::new();
    let read = loop {
        match streams::next(stream) {
            Ok(next) if next.is_null() => break Ok(()),
            Ok(next) => {
                // SAFETY: the program's function, with a record as it expects one.
                let wanted = filter.is_none_or(|f| crate::boundary::call_out(|| unsafe { f(next) }) != 0);
                match wanted.then(|| crate::abi::allocated(record(next))).transpose() {
                    Ok(copy) => found.extend(copy),
                    Err(e) => break Err(e),
                }
            }
            Err(e) => break Err(e),
        }
    };
    fds::close(streams::dissolve(stream)?)?;
    if let Some(compare) = compare {
        // SAFETY: an array of pointers to records, and the program's comparison of such.
        crate::boundary::call_out(|| unsafe { libc::qsort(found.as_mut_ptr().cast(), found.len(), size_of::<usize>(), Some(compare)) });
    }
    let bytes: Vec<u8> = found.iter().flat_map(|p| p.addr().to_ne_bytes()).collect();
    let done = read.and_then(|()| crate::abi::allocated(&bytes)).and_then(|array| list.put(array));
    if let Err(e) = done {
        // SAFETY: each from malloc, known to nobody else.
        found.iter().for_each(|p| unsafe { libc::free(*p) });
        return Err(e);
    }
    Ok(found.len() as c_int)
}

hook! {
    /// `scandir(3)`.
    fn scandir(path: CPath, list: Out<*mut libc::c_void>, filter: Filter, compare: Compare) -> c_int, also(scandir64), real(theirs) {
        scan(AT_FDCWD, path, list, filter, compare, |path| theirs(path, list, filter, compare))
    }
}

hook! {
    /// `scandirat(3)`.
    fn scandirat(dirfd: c_int, path: CPath, list: Out<*mut libc::c_void>, filter: Filter, compare: Compare) -> c_int, also(scandirat64), real(theirs) {
        scan(dirfd, path, list, filter, compare, |path| theirs(AT_FDCWD, path, list, filter, compare))
    }
}
