//! What must happen after libc's last flush of all streams.
//!
//! `exit` runs the handlers of `atexit` and the destructors of libraries, then flushes the streams, and then ends the process, with no symbol in
//! between. But the flush asks each stream that has read ahead to seek back. So there is a *sentinel* stream: linked before the standard
//! ones, hence visited after them and after all later ones, with one byte read ahead once our destructor has run. Its seek is our moment.
#![expect(unsafe_code, reason = "called by libc, calls libc")]

use super::file::{CookieFunctions, File, Stream, fopencookie};
use libc::{c_char, c_int, c_void};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

static SENTINEL: AtomicPtr<File> = AtomicPtr::new(std::ptr::null_mut());
static EXITING: AtomicBool = AtomicBool::new(false);

struct Buffer(UnsafeCell<[u8; 16]>);
// SAFETY: belongs to the sentinel, which libc locks.
unsafe impl Sync for Buffer {}
static BUFFER: Buffer = Buffer(UnsafeCell::new([0; 16]));

unsafe extern "C-unwind" fn two_bytes(_: *mut c_void, to: *mut c_char, len: usize) -> isize {
    let n = len.min(2);
    // SAFETY: libc gives `len` bytes.
    unsafe { std::ptr::write_bytes(to, 0, n) };
    n.cast_signed()
}

unsafe extern "C-unwind" fn seek(_: *mut c_void, _: *mut i64, _: c_int) -> c_int {
    if EXITING.load(Ordering::Relaxed) {
        crate::hooks::process::leave::end();
    }
    0
}

/// Makes the sentinel; before any other stream is made.
pub fn post() {
    let functions = CookieFunctions { read: Some(two_bytes), write: None, seek: Some(seek), close: None };
    // SAFETY: a C string and functions of the right types; the buffer is the stream's for ever.
    unsafe {
        let stream: Stream = fopencookie(std::ptr::null_mut(), c"r".as_ptr(), functions);
        if !stream.is_null() {
            libc::setvbuf(stream.libc(), BUFFER.0.get().cast(), libc::_IOFBF, 16);
            SENTINEL.store(stream.0, Ordering::Relaxed);
        }
    }
}

/// `exit` has come to our destructor: the next flush of all streams is the last.
pub fn exiting() {
    EXITING.store(true, Ordering::Relaxed);
    let stream = Stream(SENTINEL.load(Ordering::Relaxed));
    if !stream.is_null() {
        // SAFETY: made by us, never closed.
        unsafe { libc::fgetc(stream.libc()) };
    }
}
