#![expect(unsafe_code, reason = "reads a variable of libc's")]
//! Whether this process has a single thread: then what nobody outside of it can reach needs no lock.

use std::ffi::c_char;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

static FLAG: AtomicPtr<c_char> = AtomicPtr::new(null_mut());

/// Says where libc notes that there is one thread: its `__libc_single_threaded`, which is not 0 while it knows of no second one. Until this is called a process counts as one
/// with many threads.
///
/// # Safety
/// `flag` may be read as long as the process lives, and is changed only by a thread that knows itself to be alone.
pub unsafe fn single_thread_flag(flag: *const c_char) {
    FLAG.store(flag.cast_mut(), Relaxed);
}

/// Whether the calling thread is the only one. It stays so until it makes another itself.
#[inline]
pub fn is_single_threaded() -> bool {
    let flag = FLAG.load(Relaxed);
    // SAFETY: as `single_thread_flag` was promised.
    !flag.is_null() && unsafe { flag.read() } != 0
}
