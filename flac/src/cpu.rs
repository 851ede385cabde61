//! What the processor has that not every one of its kind has. Asking it is a trap in a virtual machine (4 to 17 us a question on the test machine, and the standard library asks nine before it
//! answers one): so the first process of a boot asks, and tells the others in the control segment. Owns the answer as this process knows it.
//!
//! And what it is told beforehand: where a change of the namespace will write next. On the test machine a line that is in no cache of its own takes 180 to 200 ns (2 MiB are
//! kept, at 20 ns, then come those of the neighbours), and a creation writes to a dozen lines that were last touched hundreds of creations ago, or never.
#![expect(unsafe_code, reason = "the instruction that fetches a cache line")]

use crate::sync::{AtomicU32, Ordering::Relaxed};

/// An answer of [`ask`]; 0 until [`set`].
static FEATURES: AtomicU32 = AtomicU32::new(0);

/// Asked: so that no answer is 0.
pub(crate) const ASKED: u32 = 1;
/// x86-64: vectors of 32 bytes, which the kernel saves.
pub(crate) const AVX: u32 = 2;
/// x86-64: vectors of 64 bytes, which the kernel saves.
pub(crate) const AVX512: u32 = 4;
/// x86-64: an instruction for CRC32C.
pub(crate) const CRC32C: u32 = 8;

/// Asks the processor, for [`set`] in this process and others.
pub(crate) fn ask() -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        let avx = if is_x86_feature_detected!("avx") { AVX } else { 0 };
        let avx512 = if avx != 0 && is_x86_feature_detected!("avx512f") { AVX512 } else { 0 };
        let crc32c = if is_x86_feature_detected!("sse4.2") { CRC32C } else { 0 };
        ASKED | avx | avx512 | crc32c
    }
    #[cfg(not(target_arch = "x86_64"))]
    ASKED
}

/// From now on this process uses what [`ask`] found.
pub(crate) fn set(asked: u32) {
    FEATURES.store(asked, Relaxed);
}

/// What was found, as the constants above; 0 before [`set`]: then everything works, some of it slower.
#[inline]
pub(crate) fn features() -> u32 {
    FEATURES.load(Relaxed)
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// The lines of `len` bytes from `at` on will be written to soon. Only speed depends on it; any address will do.
#[inline]
pub(crate) fn expect_writes<T>(at: *const T, len: usize) {
    let first = at.addr() & !(LINE - 1);
    for line in (first..at.addr() + len).step_by(LINE) {
        // SAFETY: neither register nor memory changes, and an address that is not mapped is no fault.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            std::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            std::arch::asm!("prfm pstl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = line;
    }
}
