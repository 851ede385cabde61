#![expect(unsafe_code, reason = "the one routine that touches the program's memory")]
//! Copying between frames and the program's memory, which may be unmapped or protected at any time.
//!
//! On x86-64 the copy is one of a few small loops, and [`recover`] tells a SIGSEGV or SIGBUS handler how to leave them: the caller
//! then gets the number of bytes that were not copied, and answers EFAULT as the kernel does. Without such a handler a bad
//! address kills the program. On other machines the address range is probed first.
//!
//! Which loop is fastest depends on the machine and on what lies in its caches. Microseconds, test machine (AMD Zen 4), from a warm buffer into 64 MiB of frames in
//! turn (in brackets: into 8 MiB, which stay in the cache), glibc's memcpy and the kernel's `pwrite` beside them:
//!
//! | bytes | `rep movsb` | AVX | AVX-512 | past the cache | glibc | kernel |
//! |---|---|---|---|---|---|---|
//! | 4 KiB | 0.15 | 0.05 | 0.14 | 0.44 | 0.06 | 0.88 |
//! | 64 KiB | 5.0 (2.1) | 4.6 (1.4) | 5.2 (3.4) | 2.6 (2.6) | 5.0 (1.4) | 6.5 (4.7) |
//! | 2 MiB | 121 (45) | 116 (44) | 130 (71) | 82 (78) | 126 (47) | 123 (76) |
//!
//! So small copies take AVX, and large ones learn on the way: see [`rivals`].

pub mod rivals;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use rivals::Rivals;

/// A way to copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// What suits small copies.
    Usual,
    /// Whole cache lines at a time.
    Wide,
    /// Past the cache: the target is not read first, and is not in the cache afterwards.
    Past,
}

/// Copies `len` bytes; returns how many were *not* copied because an address turned out bad (0: all are).
///
/// # Safety
/// Each address is either valid for its access, or memory of the program that may fault; the ranges do not overlap.
#[inline]
pub unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> usize {
    // SAFETY: as the caller vouches.
    unsafe { copy_by(Way::Usual, to, from, len) }
}

/// As [`copy`], in a way that suits a large copy. Where the processor does not know it, in another.
///
/// # Safety
/// As for [`copy`].
#[inline]
pub unsafe fn copy_by(way: Way, to: *mut u8, from: *const u8, len: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        let features = crate::cpu::features();
        // SAFETY: the routines follow the C ABI and touch [to, to+len) and [from, from+len) only; the caller vouches for them. Those with a least length get it, and only
        // instructions that `features` has are used.
        unsafe {
            match way {
                _ if len <= x86_64::SMALL || features & crate::cpu::AVX == 0 => x86_64::flac_copy(to, from, len),
                Way::Wide if features & crate::cpu::AVX512 != 0 && len >= x86_64::WIDE_MIN => x86_64::flac_copy_wide(to, from, len),
                Way::Past => x86_64::flac_copy_past(to, from, len),
                _ => x86_64::flac_copy_avx(to, from, len),
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller vouches for the addresses.
    unsafe {
        let _ = way;
        std::ptr::copy_nonoverlapping(from, to, len);
        0
    }
}

/// Fills `len` bytes with zeros; returns how many were not.
///
/// # Safety
/// As for [`copy`].
pub unsafe fn zero(to: *mut u8, len: usize) -> usize {
    static ZEROS: [u8; 4096] = [0; 4096];
    let mut done = 0;
    while done < len {
        let n = (len - done).min(ZEROS.len());
        // SAFETY: [to + done, to + done + n) lies in the range the caller vouches for.
        let left = unsafe { copy(to.add(done), ZEROS.as_ptr(), n) };
        if left > 0 {
            return len - done - n + left;
        }
        done += n;
    }
    0
}

/// The length of the C string at `from`; `None` if it runs into a bad address.
///
/// # Safety
/// As for [`copy`], up to the first NUL.
#[inline]
pub unsafe fn length(from: *const u8) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: the routine follows the C ABI, and reads what the caller vouches for, and what lies beside it in an aligned group of 16 bytes.
        let n = unsafe { x86_64::flac_length(from) };
        (n != usize::MAX).then_some(n)
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: as the caller vouches.
    unsafe {
        Some(libc::strlen(from.cast()))
    }
}

/// Whether the `len` bytes at `to`, a page at the most and at least one, can be written.
///
/// # Safety
/// As for [`copy`]; the bytes are about to be written: what another thread puts there meanwhile may be lost.
#[inline]
pub unsafe fn is_writable(to: *mut u8, len: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: the routine follows the C ABI, and touches two bytes that the caller vouches for.
        unsafe { x86_64::flac_touch(to, to.wrapping_add(len - 1)) == 0 }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = len;
        !to.is_null()
    }
}

/// If `ip` lies in a copy routine, the address at which execution should go on so that the copy returns what is left.
pub fn recover(ip: usize) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    {
        x86_64::recover(ip)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = ip;
        None
    }
}

#[cfg(test)]
mod tests;
