#![expect(unsafe_code, reason = "the processor's instructions that write cache lines back")]
//! Making stores to mapped persistent memory durable without a system call: which instruction this processor has for writing a cache line back, the
//! fence behind it, and a copy past the cache.
//!
//! Durable is what [`persist`] or [`copy_past_cache`] was called for *by the same thread* before its [`fence`]; others' stores are covered if they
//! were visible before [`persist`] began (the instruction reaches every cache of the machine).
//!
//! Measured (test machine, ordinary memory, 256 MiB in order, each page with a fence; nanoseconds, best of three): a page by non-temporal stores 317, by memcpy
//! and clwb of each line 585, clflushopt 483, clflush 514 (memcpy alone 202); 256 bytes by non-temporal stores 154, by memcpy and clwb 288. So whole lines go
//! past the cache, the ragged ends through it.

use crate::sync::{AtomicU32, Ordering::Relaxed};

/// Bytes of a cache line.
const LINE: usize = 64;
/// From this length on a copy has a whole line for certain.
const PAST_CACHE: usize = 2 * LINE;

/// How cache lines are written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteBack {
    /// `clwb`: the line stays in the cache.
    Clwb,
    /// `clflushopt`: the line goes; several at a time.
    ClflushOpt,
    /// `clflush`: the line goes; one after the other.
    Clflush,
    /// aarch64: `dc cvap`.
    DcCvap,
}

/// What [`WriteBack::known`] has found: its number + 1.
static KNOWN: AtomicU32 = AtomicU32::new(0);

impl WriteBack {
    /// Whether a program can write lines back to persistent memory at all.
    pub fn exists() -> bool {
        // Each x86-64 has `clflush`: nothing to be asked.
        cfg!(target_arch = "x86_64") || Self::detect().is_some()
    }

    /// [`WriteBack::detect`], which takes some 30 us in a virtual machine: done when the first line is written back, once in a process.
    #[inline]
    fn known() -> WriteBack {
        const ALL: [WriteBack; 4] = [WriteBack::Clwb, WriteBack::ClflushOpt, WriteBack::Clflush, WriteBack::DcCvap];
        match KNOWN.load(Relaxed) {
            0 => {
                let found = Self::detect().unwrap_or(WriteBack::Clflush);
                KNOWN.store(found as u32 + 1, Relaxed);
                found
            }
            known => ALL[known as usize - 1],
        }
    }

    /// The best that this processor has; `None` if there is nothing.
    pub fn detect() -> Option<WriteBack> {
        #[cfg(target_arch = "x86_64")]
        {
            // Leaf 7: bit 23 of EBX is clflushopt, bit 24 clwb. `clflush` came with SSE2, which x86-64 includes.
            let most = std::arch::x86_64::__cpuid(0).eax;
            let ebx = if most >= 7 { std::arch::x86_64::__cpuid_count(7, 0).ebx } else { 0 };
            Some(match (ebx >> 24 & 1, ebx >> 23 & 1) {
                (1, _) => WriteBack::Clwb,
                (_, 1) => WriteBack::ClflushOpt,
                _ => WriteBack::Clflush,
            })
        }
        #[cfg(target_arch = "aarch64")]
        {
            std::arch::is_aarch64_feature_detected!("dpb").then_some(WriteBack::DcCvap)
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        None
    }

    /// The instruction's name.
    pub fn name(self) -> &'static str {
        match self {
            WriteBack::Clwb => "clwb",
            WriteBack::ClflushOpt => "clflushopt",
            WriteBack::Clflush => "clflush",
            WriteBack::DcCvap => "dc cvap",
        }
    }
}

/// Begins to write back every line that [`at`, `at + len`) touches; a [`fence`] ends it.
///
/// # Safety
/// The range is mapped. Nothing in memory changes.
pub(super) unsafe fn persist(at: *const u8, len: usize) {
    let how = WriteBack::known();
    let mut line = at as usize & !(LINE - 1);
    let end = at as usize + len;
    while line < end {
        // SAFETY: the line holds a byte of the mapped range, so it lies on a mapped page; `known` found the instruction.
        unsafe { write_back(how, line) };
        line += LINE;
    }
}

/// # Safety
/// `line` is mapped, and the processor has the instruction.
#[inline]
unsafe fn write_back(how: WriteBack, line: usize) {
    // SAFETY: the caller's promise; the instructions change no register and no memory.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        match how {
            WriteBack::Clwb => std::arch::asm!("clwb [{}]", in(reg) line, options(nostack, preserves_flags)),
            WriteBack::ClflushOpt => std::arch::asm!("clflushopt [{}]", in(reg) line, options(nostack, preserves_flags)),
            _ => std::arch::asm!("clflush [{}]", in(reg) line, options(nostack, preserves_flags)),
        }
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        let _ = how;
        // `dc cvap` by its number, for assemblers that take it for an extension.
        std::arch::asm!("sys #3, c7, c12, #1, {}", in(reg) line, options(nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (how, line);
}

/// What this thread wrote back or copied past the cache is durable when this returns.
pub(super) fn fence() {
    // SAFETY: fences have no operands.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("sfence", options(nostack, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("dsb sy", options(nostack, preserves_flags));
    }
}

/// Copies past the cache where the processor can, else through it with the lines written back; a [`fence`] makes it durable.
///
/// # Safety
/// Both ranges are mapped and do not overlap; nobody else reads or writes the target meanwhile.
pub(super) unsafe fn copy_past_cache(to: *mut u8, from: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if len >= PAST_CACHE {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        // Whole lines of the target only: a line written in part goes out in pieces.
        let head = to.align_offset(LINE);
        let body = (len - head) / LINE * LINE;
        // SAFETY: head + body <= len, so all accesses lie in the ranges; the streamed target is aligned to 64 bytes.
        unsafe {
            copy_through(to, from, head);
            let mut at = head;
            while at < head + body {
                for i in 0..LINE / 16 {
                    let value = _mm_loadu_si128(from.add(at + i * 16).cast::<__m128i>());
                    _mm_stream_si128(to.add(at + i * 16).cast::<__m128i>(), value);
                }
                at += LINE;
            }
            copy_through(to.add(at), from.add(at), len - at);
        }
        return;
    }
    // SAFETY: the caller's ranges.
    unsafe { copy_through(to, from, len) };
}

/// # Safety
/// As for [`copy_past_cache`].
unsafe fn copy_through(to: *mut u8, from: *const u8, len: usize) {
    if len == 0 {
        return;
    }
    // SAFETY: the caller's ranges.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, len);
        persist(to, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_past_the_cache_copies_exactly() {
        let from: Vec<u8> = (0..20_000u32).map(|i| (i * 13 + i / 251) as u8).collect();
        for len in [0, 1, 63, 64, 65, 1023, 1024, 1025, 4096, 4097, 12_345] {
            for shift in [0, 1, 8, 63, 64] {
                let mut to = vec![0xEE; 20_000];
                // SAFETY: shift + len < 20,000 on both sides.
                unsafe { copy_past_cache(to.as_mut_ptr().add(shift), from.as_ptr().add(shift / 2), len) };
                fence();
                assert_eq!(&to[shift..shift + len], &from[shift / 2..shift / 2 + len], "length {len}");
                assert!(to[..shift].iter().chain(&to[shift + len..]).all(|b| *b == 0xEE), "length {len} wrote outside");
            }
        }
    }

    /// The processor accepts each instruction that it claims to have, also at the ends of a mapping.
    #[test]
    fn lines_are_written_back_to_the_last_byte_of_a_page() {
        let page = vec![1u8; 8192];
        let start = page.as_ptr().align_offset(4096);
        // SAFETY: inside the vector.
        unsafe { persist(page.as_ptr().add(start), 4096) };
        // SAFETY: as above.
        unsafe { persist(page.as_ptr().add(start + 4095), 1) };
        fence();
        assert!(page.iter().all(|b| *b == 1));
    }
}
