//! Functions with `...`, which stable Rust can't define: a few instructions that store the argument registers as `va_start` does and call a function
//! with a `va_list`.
#![expect(unsafe_code, reason = "the C calling convention")]

use std::marker::PhantomData;

/// A C `va_list` as a function argument: on x86-64 and aarch64 a pointer to the list.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct VaList(*mut List);

/// What a `va_list` consists of.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
#[repr(C)]
struct List {
    general: u32,
    floating: u32,
    stack: *mut u64,
    registers: *mut u8,
}

/// What a `va_list` consists of.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy)]
#[repr(C)]
struct List {
    stack: *mut u64,
    general_top: *mut u8,
    floating_top: *mut u8,
    general: i32,
    floating: i32,
}

/// A copy of a list, for a function that uses it up.
pub struct Copied<'a> {
    list: List,
    of: PhantomData<&'a ()>,
}

impl Copied<'_> {
    /// The list, while `self` lives.
    pub fn list(&mut self) -> VaList {
        VaList(&raw mut self.list)
    }
}

impl VaList {
    /// As `va_copy`.
    pub fn copy(&self) -> Copied<'_> {
        // SAFETY: only C makes a VaList, and it stays during the call.
        Copied { list: unsafe { *self.0 }, of: PhantomData }
    }

    /// As `va_arg` for a pointer.
    ///
    /// # Safety
    /// The next argument is a pointer.
    pub unsafe fn next_pointer<T>(&mut self) -> *mut T {
        // SAFETY: the caller vouches for one more argument; the steps are the ABI's.
        unsafe {
            let list = &mut *self.0;
            #[cfg(target_arch = "x86_64")]
            let from_register = (list.general < 48).then(|| {
                list.general += 8;
                list.registers.add(list.general as usize - 8)
            });
            #[cfg(target_arch = "aarch64")]
            let from_register = (list.general < 0).then(|| {
                list.general += 8;
                list.general_top.offset(list.general as isize - 8)
            });
            let at = from_register.unwrap_or_else(|| {
                list.stack = list.stack.add(1);
                list.stack.sub(1).cast::<u8>()
            });
            at.cast::<*mut T>().read()
        }
    }
}

/// Exports a variadic C function: `variadic! { /// doc  fn NAME(2) => TARGET }` passes the 2 fixed arguments and then a `va_list` to `TARGET`.
#[cfg(target_arch = "x86_64")]
macro_rules! variadic {
    ($(#[$doc:meta])* fn $name:ident(1) => $target:path) => { variadic!(@ $(#[$doc])* $name, "8", "rsi", $target); };
    ($(#[$doc:meta])* fn $name:ident(2) => $target:path) => { variadic!(@ $(#[$doc])* $name, "16", "rdx", $target); };
    ($(#[$doc:meta])* fn $name:ident(3) => $target:path) => { variadic!(@ $(#[$doc])* $name, "24", "rcx", $target); };
    (@ $(#[$doc:meta])* $name:ident, $used:literal, $list:literal, $target:path) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As for libc's function of this name.
        #[allow(unsafe_code, reason = "the C calling convention")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C-unwind" fn $name() {
            // 0: va_list; 32: six general registers; 80: eight vector registers; 216: return address; 224: arguments on the stack.
            core::arch::naked_asm!(
                ".cfi_startproc",
                "sub rsp, 216",
                ".cfi_adjust_cfa_offset 216",
                "mov [rsp + 32], rdi",
                "mov [rsp + 40], rsi",
                "mov [rsp + 48], rdx",
                "mov [rsp + 56], rcx",
                "mov [rsp + 64], r8",
                "mov [rsp + 72], r9",
                "test al, al",
                "je 2f",
                "movaps [rsp + 80], xmm0",
                "movaps [rsp + 96], xmm1",
                "movaps [rsp + 112], xmm2",
                "movaps [rsp + 128], xmm3",
                "movaps [rsp + 144], xmm4",
                "movaps [rsp + 160], xmm5",
                "movaps [rsp + 176], xmm6",
                "movaps [rsp + 192], xmm7",
                "2:",
                concat!("mov dword ptr [rsp], ", $used),
                "mov dword ptr [rsp + 4], 48",
                "lea rax, [rsp + 224]",
                "mov [rsp + 8], rax",
                "lea rax, [rsp + 32]",
                "mov [rsp + 16], rax",
                concat!("mov ", $list, ", rsp"),
                "call {target}",
                "add rsp, 216",
                ".cfi_adjust_cfa_offset -216",
                "ret",
                ".cfi_endproc",
                target = sym $target,
            )
        }
    };
}

/// Exports a variadic C function: `variadic! { /// doc  fn NAME(2) => TARGET }` passes the 2 fixed arguments and then a `va_list` to `TARGET`.
#[cfg(target_arch = "aarch64")]
macro_rules! variadic {
    ($(#[$doc:meta])* fn $name:ident(1) => $target:path) => { variadic!(@ $(#[$doc])* $name, "-56", "x1", $target); };
    ($(#[$doc:meta])* fn $name:ident(2) => $target:path) => { variadic!(@ $(#[$doc])* $name, "-48", "x2", $target); };
    ($(#[$doc:meta])* fn $name:ident(3) => $target:path) => { variadic!(@ $(#[$doc])* $name, "-40", "x3", $target); };
    (@ $(#[$doc:meta])* $name:ident, $used:literal, $list:literal, $target:path) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As for libc's function of this name.
        #[allow(unsafe_code, reason = "the C calling convention")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C-unwind" fn $name() {
            // 0: frame and return address; 16: va_list; 48: eight general registers; 112: eight vector registers; 240: arguments on the stack.
            core::arch::naked_asm!(
                ".cfi_startproc",
                "stp x29, x30, [sp, #-240]!",
                ".cfi_adjust_cfa_offset 240",
                ".cfi_rel_offset x29, 0",
                ".cfi_rel_offset x30, 8",
                "mov x29, sp",
                "stp x0, x1, [sp, #48]",
                "stp x2, x3, [sp, #64]",
                "stp x4, x5, [sp, #80]",
                "stp x6, x7, [sp, #96]",
                "stp q0, q1, [sp, #112]",
                "stp q2, q3, [sp, #144]",
                "stp q4, q5, [sp, #176]",
                "stp q6, q7, [sp, #208]",
                "add x9, sp, #240",
                "str x9, [sp, #16]",
                "str x9, [sp, #32]",
                "add x9, sp, #112",
                "str x9, [sp, #24]",
                concat!("mov w9, #", $used),
                "str w9, [sp, #40]",
                "mov w9, #-128",
                "str w9, [sp, #44]",
                concat!("add ", $list, ", sp, #16"),
                "bl {target}",
                "ldp x29, x30, [sp], #240",
                ".cfi_adjust_cfa_offset -240",
                "ret",
                ".cfi_endproc",
                target = sym $target,
            )
        }
    };
}

/// Exports a function that asks `DECIDE` (called with the same first two arguments) for an address and jumps there with the arguments and the caller it was
/// called with: for functions of libc that look at their caller (`dlopen`) or return twice (`vfork`). A third argument is where the second one is kept meanwhile: it may be changed there.
#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    ($(#[$doc:meta])* fn $name:ident => $decide:path) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As for libc's function of this name.
        #[allow(unsafe_code, reason = "the C calling convention")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C-unwind" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                "push rdi",
                "push rsi",
                "sub rsp, 8",
                ".cfi_adjust_cfa_offset 24",
                "lea rdx, [rsp + 8]",
                "call {decide}",
                "add rsp, 8",
                "pop rsi",
                "pop rdi",
                ".cfi_adjust_cfa_offset -24",
                "jmp rax",
                ".cfi_endproc",
                decide = sym $decide,
            )
        }
    };
}

/// Exports a function that asks `DECIDE` (called with the same first two arguments) for an address and jumps there with the arguments and the caller it was
/// called with: for functions of libc that look at their caller (`dlopen`) or return twice (`vfork`). A third argument is where the second one is kept meanwhile: it may be changed there.
#[cfg(target_arch = "aarch64")]
macro_rules! jump {
    ($(#[$doc:meta])* fn $name:ident => $decide:path) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As for libc's function of this name.
        #[allow(unsafe_code, reason = "the C calling convention")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C-unwind" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                "stp x29, x30, [sp, #-32]!",
                ".cfi_adjust_cfa_offset 32",
                "stp x0, x1, [sp, #16]",
                "add x2, sp, #24",
                "bl {decide}",
                "mov x16, x0",
                "ldp x0, x1, [sp, #16]",
                "ldp x29, x30, [sp], #32",
                ".cfi_adjust_cfa_offset -32",
                "br x16",
                ".cfi_endproc",
                decide = sym $decide,
            )
        }
    };
}
