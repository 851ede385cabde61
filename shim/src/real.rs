//! The functions of libc behind ours: the next definition of each symbol, found when it is first needed.
//!
//! Works before any constructor has run, and takes no lock of our own (no `Once`: it would survive a fork locked).
//! Nothing is allocated, so an allocator that is just starting may come through here (`dlsym`, which is asked for what is not found otherwise, allocates nothing when it succeeds, glibc >= 2.34).
#![expect(unsafe_code, reason = "dlsym")]

use crate::next;
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
        if let Some(at) = next::address(name).filter(|at| !at.is_null()) {
            self.at.store(at, Ordering::Relaxed);
            return at;
        }
        // `dlsym` frees the message of an earlier one that failed. Where `free` itself is still to be found, that asks for it again: whoever asked first frees the message.
        let looking = &crate::thread::flags().looking;
        let outer = looking.replace(self);
        if std::ptr::eq(outer, self) {
            return null_mut();
        }
        let errno = crate::boundary::errno();
        // SAFETY: the name is a C string; RTLD_NEXT is valid in a shared library.
        let at = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
        self.at.store(at, Ordering::Relaxed);
        crate::boundary::set_errno(errno);
        looking.set(outer);
        at
    }
}

/// `dlsym` as the crates call it that are linked in (`build.rs` has the linker turn their calls to this one): what they look for anywhere, libc's functions that not every libc has, is looked
/// for behind us.
///
/// # Safety
/// As for `dlsym`.
#[cfg(not(test))]
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_dlsym(handle: *mut c_void, name: *const libc::c_char) -> *mut c_void {
    unsafe extern "C" {
        fn __real_dlsym(handle: *mut c_void, name: *const libc::c_char) -> *mut c_void;
    }
    // SAFETY: the caller's C string.
    match next::address(unsafe { CStr::from_ptr(name) }) {
        Some(at) if handle == libc::RTLD_DEFAULT => at,
        // SAFETY: as the caller says.
        _ => unsafe { __real_dlsym(handle, name) },
    }
}

// For ourselves only.
#[cfg(not(test))]
std::arch::global_asm!(".hidden __wrap_dlsym");

/// Whether the next definition of this symbol lies in a library whose file name begins with `library`.
pub fn is_of(name: &'static CStr, library: &[u8]) -> bool {
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: a C string; RTLD_NEXT is valid in a shared library; a place for what is known of the address.
    let (known, found) =
        unsafe { (libc::dladdr(libc::dlsym(libc::RTLD_NEXT, name.as_ptr()), found.as_mut_ptr()) != 0, found.assume_init()) };
    if !known || found.dli_fname.is_null() {
        return false;
    }
    // SAFETY: the loader's name of the library.
    let path = unsafe { CStr::from_ptr(found.dli_fname) }.to_bytes();
    path.rsplit(|byte| *byte == b'/').next().is_some_and(|file| file.starts_with(library))
}

static SYSTEM_CALL: Symbol = Symbol::new();
static EXIT: Symbol = Symbol::new();

/// Finds what a child needs to execute a program or to end: found in each of a shell's children, they would take 30 us of it, for the pages of the loader that it touches.
pub fn find_for_children() {
    SYSTEM_CALL.get(c"syscall");
    EXIT.get(c"_exit");
}

/// Libc's `_exit`.
pub fn exit(status: libc::c_int) -> ! {
    // SAFETY: every libc has it.
    let function = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn(libc::c_int) -> !>(EXIT.get(c"_exit")) };
    // SAFETY: the program's argument.
    unsafe { function(status) }
}

/// Libc's `syscall`, which is not hooked: a system call by number. Sets errno.
///
/// # Safety
/// As for the system call.
pub unsafe fn system_call(n: libc::c_long, words: [usize; 6]) -> libc::c_long {
    type Function = unsafe extern "C-unwind" fn(libc::c_long, usize, usize, usize, usize, usize, usize) -> libc::c_long;
    // SAFETY: every libc has it, with words for arguments.
    let function = unsafe { std::mem::transmute::<*mut c_void, Function>(SYSTEM_CALL.get(c"syscall")) };
    let [a, b, c, d, e, f] = words;
    // SAFETY: as the caller says.
    unsafe { function(n, a, b, c, d, e, f) }
}
