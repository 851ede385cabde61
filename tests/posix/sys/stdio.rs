#![expect(unsafe_code, reason = "wraps the standard streams and formatted output of libc")]
//! The standard streams of libc (not of Rust), and formatted output.

use super::{Stream, Sys, c_path};

// SAFETY: these are the objects of <stdio.h>.
unsafe extern "C" {
    #[link_name = "stdout"]
    static STDOUT: *mut libc::FILE;
    #[link_name = "stdin"]
    static STDIN: *mut libc::FILE;
}

/// `fprintf(stream, "%s %d\n", text, number)`: the characters written.
pub fn fprintf(stream: &mut Stream, text: &str, number: i32) -> i32 {
    let text = c_path(text);
    // SAFETY: the format matches its arguments.
    unsafe { libc::fprintf(stream.pointer(), c"%s %d\n".as_ptr(), text.as_ptr(), number) }
}

/// `printf("%s %d\n", text, number)`, to libc's standard output.
pub fn printf(text: &str, number: i32) -> i32 {
    let text = c_path(text);
    // SAFETY: the format matches its arguments.
    unsafe { libc::printf(c"%s %d\n".as_ptr(), text.as_ptr(), number) }
}

/// `puts`.
pub fn puts(text: &str) -> i32 {
    let text = c_path(text);
    // SAFETY: a C string.
    unsafe { libc::puts(text.as_ptr()) }
}

/// `fflush(stdout)`.
pub fn flush_stdout() -> Sys<()> {
    // SAFETY: libc's own stream.
    let result = unsafe { libc::fflush(STDOUT) };
    if result == 0 { Ok(()) } else { Err(super::Errno::last()) }
}

/// `fflush(NULL)`.
pub fn flush_all() {
    // SAFETY: null means all streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// `fgetc(stdin)`.
pub fn getc_stdin() -> Option<u8> {
    // SAFETY: libc's own stream.
    u8::try_from(unsafe { libc::fgetc(STDIN) }).ok()
}

/// `fflush(stdin)`: gives read-ahead bytes back to the descriptor.
pub fn flush_stdin() {
    // SAFETY: libc's own stream.
    unsafe { libc::fflush(STDIN) };
}
