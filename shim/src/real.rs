//! The functions of libc behind ours: the next definition of each symbol (of `malloc` and its kin the program's own), found when it is first needed.
//!
//! Works before any constructor has run, and takes no lock of our own (no `Once`: it would survive a fork locked).
//! `dlsym` allocates nothing when it succeeds (glibc >= 2.34), so an allocator that is just starting may come through here.
#![expect(unsafe_code, reason = "dlsym")]

use libc::c_void;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// One symbol of libc. Its name comes with each question instead of lying beside the address: a pointer to it would be for the loader to set, in every program, in five pages
/// that would else be zeros that nobody touches.
pub struct Symbol {
    at: AtomicPtr<c_void>,
}

impl Symbol {
    /// A symbol that was not looked up yet.
    pub const fn new() -> Self {
        Self { at: AtomicPtr::new(null_mut()) }
    }

    /// Its address; null if this libc has no such function. `name` is the same each time.
    #[inline(always)]
    pub fn get(&self, name: &'static CStr) -> *mut c_void {
        let at = self.at.load(Ordering::Relaxed);
        if at.is_null() { self.look_up(name) } else { at }
    }

    #[cold]
    #[inline(never)]
    fn look_up(&self, name: &'static CStr) -> *mut c_void {
        // SAFETY: the name is a C string; RTLD_NEXT is valid in a shared library.
        let at = of_the_program(name).unwrap_or_else(|| unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) });
        self.at.store(at, Ordering::Relaxed);
        at
    }
}

/// The program's own function, if this is one of `malloc`'s kin and the program has it: then libc takes its memory from there, too, and what libc gave must be freed there. Our own
/// code gets here by its calls of `malloc` and `free`, which are bound to this library's.
fn of_the_program(name: &CStr) -> Option<*mut c_void> {
    const HEAP: [&CStr; 11] = [
        c"malloc",
        c"calloc",
        c"realloc",
        c"reallocarray",
        c"free",
        c"memalign",
        c"aligned_alloc",
        c"posix_memalign",
        c"valloc",
        c"pvalloc",
        c"malloc_usable_size",
    ];
    if !HEAP.contains(&name) {
        return None;
    }
    // SAFETY: the name is a C string.
    let first = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    let (library, defined) = place_of(first)?;
    (defined && library != place_of(of_the_program as *mut c_void)?.0).then_some(first)
}

/// Where the library begins that `at` lies in, and whether the symbol there is defined in it. (A program at a fixed address that takes the address of a function has an entry for it that
/// leads to wherever it is defined: to ours.)
fn place_of(at: *mut c_void) -> Option<(*mut c_void, bool)> {
    const WITH_SYMBOL: libc::c_int = 1;
    unsafe extern "C" {
        fn dladdr1(at: *const c_void, info: *mut libc::Dl_info, symbol: *mut *const libc::Elf64_Sym, what: libc::c_int) -> libc::c_int;
    }
    // SAFETY: plain pointers, for which null is valid.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    let mut symbol = std::ptr::null();
    // SAFETY: out-pointers; the address is only looked up.
    let found = unsafe { dladdr1(at, &mut info, &mut symbol, WITH_SYMBOL) } != 0;
    // SAFETY: a symbol of a library that is never unloaded, or null.
    found.then(|| (info.dli_fbase, unsafe { symbol.as_ref() }.is_some_and(|symbol| symbol.st_shndx != 0)))
}

/// Libc's `syscall`, which is not hooked: a system call by number. Sets errno.
///
/// # Safety
/// As for the system call.
pub unsafe fn system_call(n: libc::c_long, words: [usize; 6]) -> libc::c_long {
    type Function = unsafe extern "C-unwind" fn(libc::c_long, usize, usize, usize, usize, usize, usize) -> libc::c_long;
    static REAL: Symbol = Symbol::new();
    // SAFETY: every libc has it, with words for arguments.
    let function = unsafe { std::mem::transmute::<*mut c_void, Function>(REAL.get(c"syscall")) };
    let [a, b, c, d, e, f] = words;
    // SAFETY: as the caller says.
    unsafe { function(n, a, b, c, d, e, f) }
}
