#![expect(unsafe_code, reason = "a thread-local variable at a fixed offset from the thread pointer")]
//! What each thread of the program has of ours: a few flags, in one place, found without a call.
//!
//! `thread_local!` in a library costs a call of `__tls_get_addr` for each access, 1.5 ns each, six of them in every hook that is served. A library that is loaded with the program
//! may have its variables at a fixed distance from the thread pointer instead ("initial exec"); stable Rust has no word for that, so it is said in assembly.

use crate::real::Symbol;
use std::cell::Cell;
use std::num::NonZeroU64;

/// A handler of the program runs on its alternate stack.
pub const ALTERNATE: u8 = 1;
/// The thread was made with a small stack, or a handler runs on one that the kernel does not take for the alternate one.
pub const SMALL: u8 = 2;

/// So many open files a call is about at most.
pub const USES: usize = 3;

/// A `syscall` under way.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Numbered {
    /// Its number.
    pub number: usize,
    /// Its first argument.
    pub first: usize,
    /// Where on the stack it was made.
    pub stack: usize,
    /// How many there are with this number and argument, each made while the one before it was served.
    pub level: usize,
}

/// Zero when a thread begins.
#[repr(C)]
pub struct Flags {
    /// See `boundary`.
    pub state: Cell<u8>,
    /// A signal was put off, see `signals`.
    pub pending: Cell<bool>,
    /// Why its stack may be too small for us ([`ALTERNATE`], [`SMALL`]), see `stack`.
    pub tight: Cell<u8>,
    /// How many handlers of the program have run.
    pub handled: Cell<u32>,
    /// The function of libc that is being looked up, see `real`.
    pub looking: Cell<*const Symbol>,
    /// The innermost `syscall` that is served as a function's call, see `hooks::syscall`.
    pub numbered: Cell<Numbered>,
    /// The open files that the call under way is about, see `uses`.
    pub uses: [Cell<Option<NonZeroU64>>; USES],
}

const _: () = assert!(size_of::<Flags>() == 72);

#[cfg(all(target_arch = "x86_64", not(test)))]
std::arch::global_asm!(
    ".section .tbss.flac_thread_flags,\"awT\",@nobits",
    ".hidden flac_thread_flags",
    ".globl flac_thread_flags",
    ".type flac_thread_flags,@object",
    ".size flac_thread_flags, 72",
    ".p2align 3",
    "flac_thread_flags:",
    ".zero 72",
    ".text",
);

/// This thread's flags.
#[cfg(all(target_arch = "x86_64", not(test)))]
#[inline(always)]
pub fn flags() -> &'static Flags {
    let at: *const Flags;
    // SAFETY: reads the thread pointer and the variable's distance from it; changes nothing but the register and the arithmetic flags.
    unsafe {
        std::arch::asm!(
            "mov {at}, qword ptr fs:[0]",
            "add {at}, qword ptr [rip + flac_thread_flags@GOTTPOFF]",
            at = out(reg) at,
            options(pure, readonly, nostack),
        );
    }
    // SAFETY: seventy-two aligned bytes, zero at first (valid for `Flags`), this thread's own, and there for as long as it runs. Not `Sync`, so it stays with the thread.
    unsafe { &*at }
}

/// This thread's flags.
#[cfg(not(all(target_arch = "x86_64", not(test))))]
pub fn flags() -> &'static Flags {
    thread_local! {
        static FLAGS: Flags = const { Flags { state: Cell::new(0), pending: Cell::new(false), tight: Cell::new(0), handled: Cell::new(0), looking: Cell::new(std::ptr::null()), numbered: Cell::new(Numbered { number: 0, first: 0, stack: 0, level: 0 }), uses: [const { Cell::new(None) }; USES] } };
    }
    // SAFETY: without a destructor it is there for as long as the thread runs; not `Sync`, so it stays with the thread.
    FLAGS.with(|flags| unsafe { &*std::ptr::from_ref(flags) })
}
