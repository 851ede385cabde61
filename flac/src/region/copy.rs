#![expect(unsafe_code, reason = "the one routine that touches the program's memory")]
//! Copying between frames and the program's memory, which may be unmapped or protected at any time.
//!
//! On x86-64 the copy is one small routine, and [`recover`] tells a SIGSEGV or SIGBUS handler how to leave it: the caller
//! then gets the number of bytes that were not copied, and answers EFAULT as the kernel does. Without such a handler a bad
//! address kills the program. On other machines the address range is probed first.

/// Copies `len` bytes; returns how many were *not* copied because an address turned out bad (0: all are).
///
/// # Safety
/// Each address is either valid for its access, or memory of the program that may fault; the ranges do not overlap.
#[inline]
pub unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the routine follows the C ABI and touches [to, to+len) and [from, from+len) only; the caller vouches for them.
    unsafe {
        flac_copy(to, from, len)
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller vouches for the addresses.
    unsafe {
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

/// If `ip` lies in the copy routine, the address at which execution should go on so that the copy returns what is left.
pub fn recover(ip: usize) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    {
        let start = flac_copy as *const () as usize;
        let end = &raw const flac_copy_end as usize;
        let out = &raw const flac_copy_fault as usize;
        (ip >= start && ip < end).then_some(out)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = ip;
        None
    }
}

// rax holds what is left whenever an instruction can fault: small copies are all or nothing (16 bytes of both ends are loaded
// before any is stored), `rep movsb` counts rcx down.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    ".hidden flac_copy",
    ".globl flac_copy",
    ".type flac_copy,@function",
    "flac_copy:",
    "mov rcx, rdx",
    "cmp rdx, 16",
    "jb 3f",
    "cmp rdx, 32",
    "ja 2f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + rdx - 16]",
    "movups [rdi], xmm0",
    "movups [rdi + rdx - 16], xmm1",
    "xor eax, eax",
    "ret",
    "2:",
    "cmp rdx, 128",
    "ja 5f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + 16]",
    "movups xmm2, [rsi + rdx - 32]",
    "movups xmm3, [rsi + rdx - 16]",
    "cmp rdx, 64",
    "jbe 4f",
    "movups xmm4, [rsi + 32]",
    "movups xmm5, [rsi + 48]",
    "movups xmm6, [rsi + rdx - 64]",
    "movups xmm7, [rsi + rdx - 48]",
    "movups [rdi + 32], xmm4",
    "movups [rdi + 48], xmm5",
    "movups [rdi + rdx - 64], xmm6",
    "movups [rdi + rdx - 48], xmm7",
    "4:",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "movups [rdi + rdx - 32], xmm2",
    "movups [rdi + rdx - 16], xmm3",
    "xor eax, eax",
    "ret",
    // 0 to 15 bytes.
    "3:",
    "cmp rdx, 8",
    "jb 6f",
    "mov r8, [rsi]",
    "mov r9, [rsi + rdx - 8]",
    "mov [rdi], r8",
    "mov [rdi + rdx - 8], r9",
    "xor eax, eax",
    "ret",
    "6:",
    "5:",
    "rep movsb",
    "mov rax, rcx",
    "ret",
    ".hidden flac_copy_fault",
    ".globl flac_copy_fault",
    "flac_copy_fault:",
    "mov rax, rcx",
    "ret",
    ".hidden flac_copy_end",
    ".globl flac_copy_end",
    "flac_copy_end:",
    ".size flac_copy, . - flac_copy",
);

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    fn flac_copy(to: *mut u8, from: *const u8, len: usize) -> usize;
    static flac_copy_fault: u8;
    static flac_copy_end: u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_alignment_is_copied_exactly() {
        let from: Vec<u8> = (0..1000u32).map(|i| (i * 7 + i / 256) as u8).collect();
        for len in (0..300).chain([511, 512, 700]) {
            for shift in 0..17 {
                let mut to = vec![0xEE; 1000];
                // SAFETY: shift + len + 1 < 1000 on both sides.
                let left = unsafe { copy(to.as_mut_ptr().add(shift), from.as_ptr().add(shift / 2), len) };
                assert_eq!(left, 0);
                assert_eq!(&to[shift..shift + len], &from[shift / 2..shift / 2 + len], "length {len}");
                assert!(to[..shift].iter().chain(&to[shift + len..]).all(|b| *b == 0xEE), "length {len} wrote outside");
            }
        }
    }
}
