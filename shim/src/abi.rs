//! What C hands us, wrapped in types that only C can make: they have the layout of the pointers they are, so they stand in the
//! signatures of hooks. The program vouches for its pointers as it does to libc; null is looked for.
#![expect(unsafe_code, reason = "the one place that follows C's pointers")]

use crate::boundary::{Answer, CReturn, Escape};
use flac::fs::io::IoVec;
use libc::{c_char, c_int, c_void, size_t};
use std::ffi::CStr;

/// A path, or any other C string; may be null.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct CPath(*const c_char);

impl CPath {
    /// A string of our own.
    pub fn of(path: &CStr) -> Self {
        Self(path.as_ptr())
    }
    /// The bytes before the NUL. Null, and what can't be an address, is left to libc, which answers EFAULT. The string lives as long as the
    /// call it came with.
    pub fn bytes<'a>(self) -> Answer<&'a [u8]> {
        /// The kernel maps nothing below (`vm.mmap_min_addr`), nor for programs above.
        const PLAUSIBLE: std::ops::Range<usize> = 0x1_0000..0x7fff_ffff_f000;
        if !PLAUSIBLE.contains(&self.0.addr()) {
            return Err(Escape::NotOurs);
        }
        // SAFETY: not null; the program vouches for a C string that stays during the call.
        Ok(unsafe { CStr::from_ptr(self.0) }.to_bytes())
    }
    /// Whether there is no string.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
    /// Whether there is no string, or one of no bytes.
    pub fn is_null_or_empty(self) -> bool {
        // SAFETY: not null; the program vouches for a C string, which has a first byte.
        self.0.is_null() || unsafe { *self.0 == 0 }
    }
    /// The pointer.
    pub fn ptr(self) -> *const c_char {
        self.0
    }
}

impl CReturn for CPath {
    const FAILED: Self = CPath(std::ptr::null());
}

/// A buffer that we fill: `read`, `getcwd`, `readlink`. May be null.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct OutBytes(*mut c_void);

impl OutBytes {
    /// As a vector of `len` bytes.
    pub fn vec(self, len: size_t) -> IoVec {
        IoVec { iov_base: self.0, iov_len: len }
    }
    /// Copies `bytes` to its start. The caller has checked that they fit. `EFAULT` if it is null.
    pub fn fill(self, bytes: &[u8]) -> Answer<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.0.is_null() {
            return Err(Escape::Fail(libc::EFAULT));
        }
        // SAFETY: the program vouches for the size it named, which the caller compared with `bytes`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.cast::<u8>(), bytes.len()) };
        Ok(())
    }
    /// Whether there is no buffer.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
    /// The pointer.
    pub fn ptr(self) -> *mut c_void {
        self.0
    }
    /// A buffer of our own making, to hand to C.
    pub fn at(ptr: *mut c_void) -> Self {
        Self(ptr)
    }
}

impl CReturn for OutBytes {
    const FAILED: Self = OutBytes(std::ptr::null_mut());
}

/// A buffer that we read: `write`, `setxattr`. May be null.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct InBytes(*const c_void);

impl InBytes {
    /// What an untyped argument points to.
    pub fn at(pointer: *const c_void) -> Self {
        Self(pointer)
    }
    /// As a vector of `len` bytes.
    pub fn vec(self, len: size_t) -> IoVec {
        IoVec { iov_base: self.0.cast_mut(), iov_len: len }
    }
    /// A copy of its first `len` bytes; `EFAULT` if it is null.
    pub fn copy(self, len: size_t) -> Answer<Vec<u8>> {
        if len == 0 {
            return Ok(Vec::new());
        }
        if self.0.is_null() {
            return Err(Escape::Fail(libc::EFAULT));
        }
        let mut to = vec![0; len];
        // SAFETY: the program vouches for `len` bytes there.
        unsafe { std::ptr::copy_nonoverlapping(self.0.cast::<u8>(), to.as_mut_ptr(), len) };
        Ok(to)
    }
}

/// A value that we read, or null.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct In<T>(*const T);

impl<T: Copy> In<T> {
    /// The value; `None` if null.
    pub fn get(self) -> Option<T> {
        // SAFETY: not null; the program vouches for the value.
        (!self.0.is_null()).then(|| unsafe { self.0.read_unaligned() })
    }
    /// The first `n` values of an array; `EFAULT` if null.
    pub fn array<'a>(self, n: usize) -> Answer<&'a [T]> {
        if n == 0 {
            return Ok(&[]);
        }
        if self.0.is_null() || !self.0.is_aligned() {
            return Err(Escape::Fail(libc::EFAULT));
        }
        // SAFETY: not null, aligned; the program vouches for `n` values that stay during the call.
        Ok(unsafe { std::slice::from_raw_parts(self.0, n) })
    }
    /// What an untyped argument points to.
    pub fn at(pointer: *const c_void) -> Self {
        Self(pointer.cast())
    }
    /// The pointer, as a word for a system call.
    pub fn addr(self) -> usize {
        self.0.expose_provenance()
    }
}

/// A place for a value that we write, or null.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// Writes the value; `EFAULT` if null.
    pub fn put(self, value: T) -> Answer<()> {
        if self.0.is_null() {
            return Err(Escape::Fail(libc::EFAULT));
        }
        // SAFETY: not null; the program vouches for the place.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }
    /// The value there; `None` if null.
    pub fn get(self) -> Option<T> {
        // SAFETY: as above; the program has put a value there, which the calls that use this prescribe.
        (!self.0.is_null()).then(|| unsafe { self.0.read_unaligned() })
    }
    /// What an untyped argument points to.
    pub fn at(pointer: *mut c_void) -> Self {
        Self(pointer.cast())
    }
    /// None.
    pub fn null() -> Self {
        Self(std::ptr::null_mut())
    }
    /// Whether there is none.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
}

impl<T> CReturn for Out<T>
where
    Out<T>: Copy + PartialEq,
{
    const FAILED: Self = Out(std::ptr::null_mut());
}

/// A buffer from `malloc`, for calls whose result the program frees; `ENOMEM`.
pub fn allocated(bytes: &[u8]) -> Answer<*mut c_void> {
    // SAFETY: malloc has no precondition.
    let to = unsafe { libc::malloc(bytes.len().max(1)) };
    if to.is_null() {
        return Err(Escape::Fail(libc::ENOMEM));
    }
    // SAFETY: just allocated with this size.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast::<u8>(), bytes.len()) };
    Ok(to)
}

/// A byte count as C has it.
pub fn count(n: usize) -> isize {
    n.cast_signed()
}

/// An offset given by C: `EINVAL` if negative.
pub fn offset(at: i64) -> Answer<u64> {
    u64::try_from(at).map_err(|_| Escape::Fail(libc::EINVAL))
}

/// A failed answer.
pub fn fail<T>(errno: c_int) -> Answer<T> {
    Err(Escape::Fail(errno))
}
