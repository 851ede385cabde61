//! What C hands us, wrapped in types that only C can make: they have the layout of the pointers they are, so they stand in the
//! signatures of hooks. The program vouches for its pointers as it does to the kernel: null is looked for, and what turns out bad is `EFAULT`.
#![expect(unsafe_code, reason = "the one place that follows C's pointers")]

use crate::boundary::{Answer, CReturn, Escape};
use flac::fs::io::IoVec;
use flac::region::copy;
use flac::units::PAGE;
use libc::{c_char, c_int, c_void, size_t};
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// A path, or any other C string; may be null.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct CPath(*const c_char);

impl CPath {
    /// A string of our own.
    pub fn of(path: &CStr) -> Self {
        Self(path.as_ptr())
    }
    /// The bytes before the NUL. A null pointer is left to libc; what can't be read is `EFAULT`. The string lives as long as the call it came with.
    #[inline]
    pub fn bytes<'a>(self) -> Answer<&'a [u8]> {
        /// The kernel maps nothing below (`vm.mmap_min_addr`), nor for programs above.
        const PLAUSIBLE: std::ops::Range<usize> = 0x1_0000..0x7fff_ffff_f000;
        if self.0.is_null() {
            return Err(Escape::NotOurs);
        }
        if !PLAUSIBLE.contains(&self.0.addr()) {
            return Err(Escape::Fail(libc::EFAULT));
        }
        crate::signals::catch_faults();
        // SAFETY: the program's string, which is read up to its NUL or a bad address.
        let Some(len) = (unsafe { copy::length(self.0.cast()) }) else { return Err(self.unreadable()) };
        // SAFETY: these bytes were just read; the program vouches that they stay during the call.
        Ok(unsafe { std::slice::from_raw_parts(self.0.cast(), len) })
    }
    /// Why a string has no end: the kernel reads no more of a path than the longest one has, and what lies behind does not matter.
    #[cold]
    fn unreadable(self) -> Escape {
        let mut most = [0u8; libc::PATH_MAX as usize];
        // SAFETY: the program's string, read up to a bad address; room of ours.
        let left = unsafe { copy::copy(most.as_mut_ptr(), self.0.cast(), most.len()) };
        Escape::Fail(if left == 0 { libc::ENAMETOOLONG } else { libc::EFAULT })
    }
    /// Whether there is no string.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
    /// Whether there is no string, or one of no bytes.
    pub fn is_null_or_empty(self) -> bool {
        self.0.is_null() || self.bytes().is_ok_and(<[u8]>::is_empty)
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
    /// Copies `bytes` to its start. The caller has checked that they fit. `EFAULT` if they can't be put there.
    pub fn fill(self, bytes: &[u8]) -> Answer<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: the program's memory, of the size it named, which the caller compared with `bytes`.
        unsafe { transfer(self.0.cast(), bytes.as_ptr(), bytes.len()) }
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
    /// What lies `n` bytes behind its start.
    pub fn skip(self, n: size_t) -> Self {
        Self(self.0.wrapping_byte_add(n))
    }
    /// A copy of its first `len` bytes; `EFAULT` if they can't be read.
    pub fn copy(self, len: size_t) -> Answer<Vec<u8>> {
        if len == 0 {
            return Ok(Vec::new());
        }
        let mut to = vec![0; len];
        // SAFETY: the program's memory; `len` bytes of ours.
        unsafe { transfer(to.as_mut_ptr(), self.0.cast(), len) }?;
        Ok(to)
    }
}

/// Copies `len` bytes; `EFAULT` if not all can be read, or put there.
///
/// # Safety
/// As for [`copy::copy`].
#[inline]
pub unsafe fn transfer(to: *mut u8, from: *const u8, len: usize) -> Answer<()> {
    crate::signals::catch_faults();
    // SAFETY: as the caller vouches.
    let left = unsafe { copy::copy(to, from, len) };
    if left == 0 { Ok(()) } else { Err(Escape::Fail(libc::EFAULT)) }
}

/// The value at `from`; `None` if that is null.
#[inline]
fn value<T: Copy>(from: *const T) -> Answer<Option<T>> {
    if from.is_null() {
        return Ok(None);
    }
    let mut to = MaybeUninit::<T>::uninit();
    // SAFETY: the program's memory; a place for it.
    unsafe { transfer(to.as_mut_ptr().cast(), from.cast(), size_of::<T>()) }?;
    // SAFETY: all its bytes have come; the types that C hands us are numbers and addresses.
    Ok(Some(unsafe { to.assume_init() }))
}

/// A value that we read, or null.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct In<T>(*const T);

impl<T: Copy> In<T> {
    /// The value; `None` if null.
    pub fn get(self) -> Answer<Option<T>> {
        value(self.0)
    }
    /// The value; `EFAULT` if null.
    pub fn needed(self) -> Answer<T> {
        self.get()?.ok_or(Escape::Fail(libc::EFAULT))
    }
    /// The first `n` values of an array; `EFAULT` if they can't be read.
    pub fn array<'a>(self, n: usize) -> Answer<&'a [T]> {
        if n == 0 {
            return Ok(&[]);
        }
        if self.0.is_null() || !self.0.is_aligned() {
            return Err(Escape::Fail(libc::EFAULT));
        }
        let (start, len) = (self.0.cast::<u8>(), n * size_of::<T>());
        let (mut word, mut at) = (0u64, 0);
        while at < len {
            let (from, n) = if len < 8 { (0, len) } else { (at.min(len - 8), 8) };
            // SAFETY: the program's memory; a word of ours.
            unsafe { transfer((&raw mut word).cast(), start.wrapping_add(from), n) }?;
            at += PAGE - start.wrapping_add(at).addr() % PAGE;
        }
        // SAFETY: not null, aligned; each page of it can be read, and the program vouches that the values stay during the call.
        Ok(unsafe { std::slice::from_raw_parts(self.0, n) })
    }
    /// Copies the first values of an array, wherever it lies, until `to` is full; `EFAULT` if they can't be read.
    pub fn copy(self, to: &mut [T]) -> Answer<()> {
        if to.is_empty() {
            return Ok(());
        }
        // SAFETY: the program's memory; room of ours. The types that C hands us are numbers and addresses.
        unsafe { transfer(to.as_mut_ptr().cast(), self.0.cast(), size_of_val(to)) }
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
    /// Writes the value; `EFAULT` if that can't be.
    pub fn put(self, value: T) -> Answer<()> {
        crate::signals::catch_faults();
        // SAFETY: the program's memory, which is to be written; no value is larger than a page.
        if size_of::<T>() > PAGE || !unsafe { copy::is_writable(self.0.cast(), size_of::<T>()) } {
            return Err(Escape::Fail(libc::EFAULT));
        }
        // SAFETY: written a moment ago, at both ends.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }
    /// The value that the program has put there; `None` if null.
    pub fn get(self) -> Answer<Option<T>> {
        value(self.0)
    }
    /// The value that the program has put there; `EFAULT` if null.
    pub fn needed(self) -> Answer<T> {
        self.get()?.ok_or(Escape::Fail(libc::EFAULT))
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
