#![expect(unsafe_code, reason = "declares the routines")]
//! The copy routines of x86-64.
//!
//! In all of them, whenever an instruction can fault: `rcx` is what is left and `rsi`, `rdi` are where it begins; bytes behind that may have been copied, too. A fault in a loop
//! goes on at `flac_copy_rest`, which copies byte by byte up to the bad address, and a fault there at `flac_copy_fault`. Small copies are all or nothing (both ends are loaded
//! before anything is stored), so they need no rest, and `rep movsb` counts `rcx` down.

/// Up to here [`flac_copy`] moves all in registers; the AVX loops need more than this.
pub(super) const SMALL: usize = 128;
/// The least that [`flac_copy_wide`] copies.
pub(super) const WIDE_MIN: usize = 512;

unsafe extern "C" {
    /// Any length, with what every processor has.
    pub(super) fn flac_copy(to: *mut u8, from: *const u8, len: usize) -> usize;
    /// At least 129 bytes, with AVX.
    pub(super) fn flac_copy_avx(to: *mut u8, from: *const u8, len: usize) -> usize;
    /// At least 512 bytes, with AVX-512.
    pub(super) fn flac_copy_wide(to: *mut u8, from: *const u8, len: usize) -> usize;
    /// At least 129 bytes, with AVX, past the cache; ordered before every later store.
    pub(super) fn flac_copy_past(to: *mut u8, from: *const u8, len: usize) -> usize;
    /// The length of a C string; `usize::MAX` if it does not end before a bad address.
    pub(super) fn flac_length(from: *const u8) -> usize;
    /// 0 if both bytes can be written; as they are.
    pub(super) fn flac_touch(first: *mut u8, last: *mut u8) -> usize;
    static flac_length_fault: u8;
    static flac_copy_rest: u8;
    static flac_copy_fault: u8;
    static flac_copy_end: u8;
}

/// See [`super::recover`].
pub(super) fn recover(ip: usize) -> Option<usize> {
    let at = |label: *const u8| label as usize;
    let (rest, fault, end) = (at(&raw const flac_copy_rest), at(&raw const flac_copy_fault), at(&raw const flac_copy_end));
    let endless = at(&raw const flac_length_fault);
    match ip {
        _ if (flac_length as *const () as usize..endless).contains(&ip) => Some(endless),
        _ if ip < flac_copy as *const () as usize || ip >= end => None,
        _ if ip < flac_copy_avx as *const () as usize || ip >= rest => Some(fault),
        _ => Some(rest),
    }
}

macro_rules! routine {
    ($name:literal) => {
        concat!(".p2align 5\n.hidden ", $name, "\n.globl ", $name, "\n.type ", $name, ",@function\n", $name, ":")
    };
}

// The first 64 bytes, after which the target is at the start of a cache line.
macro_rules! head {
    () => {
        "mov rcx, rdx
         vmovdqu ymm0, [rsi]
         vmovdqu ymm1, [rsi + 32]
         vmovdqu [rdi], ymm0
         vmovdqu [rdi + 32], ymm1
         mov rax, rdi
         neg rax
         and eax, 63
         add rdi, rax
         add rsi, rax
         sub rcx, rax
         .p2align 5"
    };
}

// What is left, less than 128 bytes: the last 128 of all, some of them again.
macro_rules! tail {
    () => {
        "3:
         test rcx, rcx
         jz 4f
         vmovdqu ymm0, [rsi + rcx - 128]
         vmovdqu ymm1, [rsi + rcx - 96]
         vmovdqu ymm2, [rsi + rcx - 64]
         vmovdqu ymm3, [rsi + rcx - 32]
         vmovdqu [rdi + rcx - 128], ymm0
         vmovdqu [rdi + rcx - 96], ymm1
         vmovdqu [rdi + rcx - 64], ymm2
         vmovdqu [rdi + rcx - 32], ymm3
         4:
         xor eax, eax
         vzeroupper"
    };
}

macro_rules! avx_loop {
    ($store:literal) => {
        concat!(
            "2:
             cmp rcx, 128
             jb 3f
             vmovdqu ymm0, [rsi]
             vmovdqu ymm1, [rsi + 32]
             vmovdqu ymm2, [rsi + 64]
             vmovdqu ymm3, [rsi + 96]
            ",
            $store,
            " [rdi], ymm0\n",
            $store,
            " [rdi + 32], ymm1\n",
            $store,
            " [rdi + 64], ymm2\n",
            $store,
            " [rdi + 96], ymm3
             add rsi, 128
             add rdi, 128
             sub rcx, 128
             jmp 2b"
        )
    };
}

std::arch::global_asm!(
    ".text",
    routine!("flac_copy"),
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
    "jb 5f",
    "mov r8, [rsi]",
    "mov r9, [rsi + rdx - 8]",
    "mov [rdi], r8",
    "mov [rdi + rdx - 8], r9",
    "xor eax, eax",
    "ret",
    "5:",
    "rep movsb",
    "mov rax, rcx",
    "ret",
    ".size flac_copy, . - flac_copy",
    // From here on to `flac_copy_rest`: loops whose faults go there.
    routine!("flac_copy_avx"),
    head!(),
    avx_loop!("vmovdqa"),
    tail!(),
    "ret",
    ".size flac_copy_avx, . - flac_copy_avx",
    routine!("flac_copy_past"),
    head!(),
    avx_loop!("vmovntdq"),
    tail!(),
    "sfence",
    "ret",
    ".size flac_copy_past, . - flac_copy_past",
    routine!("flac_copy_wide"),
    head!(),
    "2:",
    "cmp rcx, 256",
    "jb 5f",
    "vmovdqu64 zmm0, [rsi]",
    "vmovdqu64 zmm1, [rsi + 64]",
    "vmovdqu64 zmm2, [rsi + 128]",
    "vmovdqu64 zmm3, [rsi + 192]",
    "vmovdqa64 [rdi], zmm0",
    "vmovdqa64 [rdi + 64], zmm1",
    "vmovdqa64 [rdi + 128], zmm2",
    "vmovdqa64 [rdi + 192], zmm3",
    "add rsi, 256",
    "add rdi, 256",
    "sub rcx, 256",
    "jmp 2b",
    "5:",
    avx_loop!("vmovdqa"),
    tail!(),
    "ret",
    ".size flac_copy_wide, . - flac_copy_wide",
    routine!("flac_copy_rest"),
    "vzeroupper",
    "rep movsb",
    "sfence",
    "mov rax, rcx",
    "ret",
    ".hidden flac_copy_fault",
    ".globl flac_copy_fault",
    "flac_copy_fault:",
    "sfence",
    "mov rax, rcx",
    "ret",
    ".hidden flac_copy_end",
    ".globl flac_copy_end",
    "flac_copy_end:",
    // Aligned loads: what they read beyond the string lies in its last page.
    routine!("flac_length"),
    "mov rdx, rdi",
    "and rdx, -16",
    "mov ecx, edi",
    "and ecx, 15",
    "pxor xmm0, xmm0",
    "movdqa xmm1, [rdx]",
    "pcmpeqb xmm1, xmm0",
    "pmovmskb eax, xmm1",
    "shr eax, cl",
    "test eax, eax",
    "jnz 3f",
    "2:",
    "add rdx, 16",
    "movdqa xmm1, [rdx]",
    "pcmpeqb xmm1, xmm0",
    "pmovmskb eax, xmm1",
    "test eax, eax",
    "jz 2b",
    "bsf eax, eax",
    "sub rdx, rdi",
    "add rax, rdx",
    "ret",
    "3:",
    "bsf eax, eax",
    "ret",
    ".size flac_length, . - flac_length",
    routine!("flac_touch"),
    "mov al, [rdi]",
    "mov [rdi], al",
    "mov al, [rsi]",
    "mov [rsi], al",
    "xor eax, eax",
    "ret",
    ".size flac_touch, . - flac_touch",
    ".hidden flac_length_fault",
    ".globl flac_length_fault",
    "flac_length_fault:",
    "mov rax, -1",
    "ret",
);
