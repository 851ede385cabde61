#![expect(unsafe_code, reason = "wraps the directory stream and tree walk functions of libc")]
//! Directory streams, and the libc functions that walk directories.

use super::{Errno, Fd, Raw, Sys, c_path};
use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

/// One entry of a directory stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: OsString,
    pub inode: u64,
    pub kind: u8,
    pub offset: i64,
}

/// A directory stream, closed when dropped.
pub struct DirStream(*mut libc::DIR);

fn stream(opened: *mut libc::DIR) -> Sys<DirStream> {
    if opened.is_null() { Err(Errno::last()) } else { Ok(DirStream(opened)) }
}

pub fn opendir(path: impl AsRef<OsStr>) -> Sys<DirStream> {
    let path = c_path(path);
    // SAFETY: the path is a C string.
    stream(unsafe { libc::opendir(path.as_ptr()) })
}

/// `fdopendir`; the stream owns the descriptor where the call succeeds.
pub fn fdopendir(fd: Fd) -> Sys<DirStream> {
    // SAFETY: no pointers.
    let opened = stream(unsafe { libc::fdopendir(fd.raw()) })?;
    fd.leak();
    Ok(opened)
}

unsafe extern "C" {
    fn getdirentries64(fd: libc::c_int, to: *mut libc::c_char, room: libc::size_t, base: *mut i64) -> libc::ssize_t;
}

/// `getdirentries`: how many bytes, and where in the directory they began.
pub fn getdirentries(fd: &Fd, to: &mut [u8]) -> Sys<(usize, i64)> {
    let mut base = -1;
    // SAFETY: room for as many bytes as said, and for the offset.
    let length = unsafe { getdirentries64(fd.raw(), to.as_mut_ptr().cast(), to.len(), &raw mut base) };
    if length < 0 { Err(Errno::last()) } else { Ok((length as usize, base)) }
}

/// The older `getdents`, by number: how many bytes.
#[cfg(target_arch = "x86_64")]
pub fn old_getdents(fd: impl Raw, to: &mut [u8]) -> Sys<usize> {
    // SAFETY: room for as many bytes as said.
    let length = unsafe { libc::syscall(libc::SYS_getdents, fd.raw(), to.as_mut_ptr(), to.len()) };
    if length < 0 { Err(Errno::last()) } else { Ok(length as usize) }
}

/// All names of a directory, read by `threads` threads from one stream, each by `readdir_r`.
pub fn names_read_together(path: impl AsRef<OsStr>, threads: usize) -> Sys<Vec<OsString>> {
    let stream = opendir(path)?;
    let address = stream.0.expose_provenance();
    let read = || {
        let mut names = Vec::new();
        loop {
            let (mut entry, mut next) = (std::mem::MaybeUninit::<libc::dirent>::uninit(), std::ptr::null_mut());
            // SAFETY: the stream is open until all threads have ended; places of our own.
            let error = unsafe { libc::readdir_r(std::ptr::with_exposed_provenance_mut(address), entry.as_mut_ptr(), &raw mut next) };
            if error != 0 || next.is_null() {
                return names;
            }
            // SAFETY: just filled, its name ending with a NUL.
            let name = unsafe { CStr::from_ptr((&raw const (*next).d_name).cast()) };
            names.push(OsString::from_vec(name.to_bytes().to_vec()));
        }
    };
    Ok(std::thread::scope(|scope| {
        let readers: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        readers.into_iter().flat_map(|reader| reader.join().expect("a thread")).collect()
    }))
}

impl DirStream {
    /// `readdir`; `None` at the end.
    pub fn next(&mut self) -> Sys<Option<Entry>> {
        // SAFETY: the stream is open; the entry stays valid until the next call on it, and is copied before.
        unsafe {
            *libc::__errno_location() = 0;
            let entry = libc::readdir(self.0);
            if entry.is_null() {
                return if *libc::__errno_location() == 0 { Ok(None) } else { Err(Errno::last()) };
            }
            let name = CStr::from_ptr((&raw const (*entry).d_name).cast());
            Ok(Some(Entry {
                name: OsString::from_vec(name.to_bytes().to_vec()),
                inode: (*entry).d_ino,
                kind: (*entry).d_type,
                offset: (*entry).d_off,
            }))
        }
    }

    /// All entries from here to the end.
    pub fn rest(&mut self) -> Sys<Vec<Entry>> {
        let mut entries = Vec::new();
        while let Some(entry) = self.next()? {
            entries.push(entry);
        }
        Ok(entries)
    }

    pub fn rewind(&mut self) {
        // SAFETY: the stream is open.
        unsafe { libc::rewinddir(self.0) }
    }

    pub fn tell(&self) -> i64 {
        // SAFETY: the stream is open.
        unsafe { libc::telldir(self.0) }
    }

    pub fn seek(&mut self, position: i64) {
        // SAFETY: the stream is open, the position came from `tell`.
        unsafe { libc::seekdir(self.0, position) }
    }

    /// `dirfd`.
    pub fn fd(&self) -> i32 {
        // SAFETY: the stream is open.
        unsafe { libc::dirfd(self.0) }
    }
}

impl Drop for DirStream {
    fn drop(&mut self) {
        // SAFETY: the stream is open and not used afterwards.
        unsafe { libc::closedir(self.0) };
    }
}

/// The names in a directory but for "." and "..", sorted.
pub fn names_in(path: impl AsRef<OsStr>) -> Sys<Vec<OsString>> {
    let mut names: Vec<OsString> = opendir(path)?.rest()?.into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name != "." && name != "..");
    names.sort();
    Ok(names)
}

/// `scandir` with `alphasort` and no filter.
pub fn scandir(path: impl AsRef<OsStr>) -> Sys<Vec<OsString>> {
    let path = c_path(path);
    let mut list: *mut *mut libc::dirent = std::ptr::null_mut();
    // SAFETY: libc allocates the list and its entries; each is read once, then freed.
    unsafe {
        let count = scandir_of_libc(path.as_ptr(), &raw mut list, None, Some(alphasort));
        let count = usize::try_from(count).map_err(|_| Errno::last())?;
        let mut names = Vec::new();
        for index in 0..count {
            let entry = *list.add(index);
            let name = CStr::from_ptr((&raw const (*entry).d_name).cast());
            names.push(OsString::from_vec(name.to_bytes().to_vec()));
            libc::free(entry.cast());
        }
        libc::free(list.cast());
        Ok(names)
    }
}

type Compare = unsafe extern "C" fn(*mut *const libc::dirent, *mut *const libc::dirent) -> i32;

// SAFETY: these are the prototypes of <dirent.h>.
unsafe extern "C" {
    #[link_name = "scandir"]
    fn scandir_of_libc(
        path: *const libc::c_char,
        list: *mut *mut *mut libc::dirent,
        filter: Option<unsafe extern "C" fn(*const libc::dirent) -> i32>,
        compare: Option<Compare>,
    ) -> i32;
    fn alphasort(left: *mut *const libc::dirent, right: *mut *const libc::dirent) -> i32;
}

/// `glob`: the matches, sorted as libc sorts them; no match is an empty list.
pub fn glob(pattern: impl AsRef<OsStr>) -> Sys<Vec<OsString>> {
    let pattern = c_path(pattern);
    // SAFETY: `found` is zeroed as glob wants it, and freed after its strings were copied.
    unsafe {
        let mut found: libc::glob_t = std::mem::zeroed();
        let names = match libc::glob(pattern.as_ptr(), 0, None, &raw mut found) {
            0 => (0..found.gl_pathc)
                .map(|index| CStr::from_ptr(*found.gl_pathv.add(index)).to_bytes().to_vec())
                .map(OsString::from_vec)
                .collect(),
            libc::GLOB_NOMATCH => Vec::new(),
            _ => return Err(Errno::last()),
        };
        libc::globfree(&raw mut found);
        Ok(names)
    }
}

thread_local! {
    static WALKED: std::cell::RefCell<Vec<(OsString, i32)>> = const { std::cell::RefCell::new(Vec::new()) };
}

extern "C" fn walked(path: *const libc::c_char, _: *const libc::stat, kind: i32, _: *mut Ftw) -> i32 {
    // SAFETY: nftw hands over a C string.
    let path = unsafe { CStr::from_ptr(path) };
    WALKED.with_borrow_mut(|list| list.push((OsString::from_vec(path.to_bytes().to_vec()), kind)));
    0
}

/// `struct FTW` of <ftw.h>.
#[repr(C)]
struct Ftw {
    base: i32,
    level: i32,
}

// SAFETY: this is the prototype of <ftw.h>.
unsafe extern "C" {
    #[link_name = "nftw"]
    fn nftw_of_libc(
        path: *const libc::c_char,
        visit: extern "C" fn(*const libc::c_char, *const libc::stat, i32, *mut Ftw) -> i32,
        descriptors: i32,
        flags: i32,
    ) -> i32;
}

/// `FTW_PHYS` of <ftw.h>: do not follow symbolic links.
pub const FTW_PHYS: i32 = 1;
/// `FTW_DEPTH` of <ftw.h>: a directory after its contents.
pub const FTW_DEPTH: i32 = 8;

/// `nftw`: (path, type flag) in the order of the visits.
pub fn nftw(path: impl AsRef<OsStr>, flags: i32) -> Sys<Vec<(OsString, i32)>> {
    let path = c_path(path);
    WALKED.with_borrow_mut(Vec::clear);
    // SAFETY: the path is a C string, the callback has the prototype of <ftw.h>.
    if unsafe { nftw_of_libc(path.as_ptr(), walked, 8, flags) } == -1 {
        return Err(Errno::last());
    }
    Ok(WALKED.with_borrow_mut(std::mem::take))
}
