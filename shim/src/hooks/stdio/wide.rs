//! The wide-character functions, for streams whose descriptor is FLAC's; see [`crate::stdio::wide`].
#![allow(unsafe_code, reason = "pointers to wide characters, which the program vouches for")]

use crate::stdio::file::{Stream, stdin, stdout};
use crate::stdio::wide::{self, is_ours};
use crate::variadic::VaList;
use libc::{c_int, size_t, wchar_t};

fn standard_in() -> Stream {
    // SAFETY: libc's variable; programs that assign to it do so while nobody else reads it.
    unsafe { stdin }
}

fn standard_out() -> Stream {
    // SAFETY: as above.
    unsafe { stdout }
}

macro_rules! on_streams {
    ($([$($name:ident),+] $args:tt -> $ret:ty, on $stream:expr, $body:expr;)+) => {
        $(on_streams!(@each [$($name),+] $args $ret, $stream, $body);)+
    };
    // Each name is a function of its own in libc, and they differ on streams of bytes: one refuses, another writes a byte.
    (@each [$($name:ident),+] $args:tt $ret:ty, $stream:expr, $body:expr) => {
        $(on_streams!(@one $name $args $ret, $stream, $body);)+
    };
    (@one $name:ident $args:tt $ret:ty, $stream:expr, $body:expr) => {
        export! {
            #[doc = concat!("`", stringify!($name), "(3)`.")]
            fn $name $args -> $ret, when(is_ours($stream)) { $body }
        }
    };
}

on_streams! {
    [fgetwc, getwc, fgetwc_unlocked, getwc_unlocked](stream: Stream) -> u32, on stream, wide::get(stream);
    [getwchar, getwchar_unlocked]() -> u32, on standard_in(), wide::get(standard_in());
    [fputwc, putwc, fputwc_unlocked, putwc_unlocked](c: wchar_t, stream: Stream) -> u32, on stream, wide::put(c, stream);
    [putwchar, putwchar_unlocked](c: wchar_t) -> u32, on standard_out(), wide::put(c, standard_out());
    [fgetws, fgetws_unlocked](to: *mut wchar_t, n: c_int, stream: Stream) -> *mut wchar_t, on stream,
        // SAFETY: the program's own buffer.
        unsafe { wide::get_line(to, n, stream) };
    [fputws, fputws_unlocked](text: *const wchar_t, stream: Stream) -> c_int, on stream,
        // SAFETY: the program's own string.
        unsafe { wide::put_string(text, stream) };
}

export! {
    /// `ungetwc(3)`.
    fn ungetwc(c: u32, stream: Stream) -> u32, when(is_ours(stream)) {
        wide::unget(c, stream)
    }
}

export! {
    /// `fgetws` as compiled with `_FORTIFY_SOURCE`; libc reports the overflow.
    fn __fgetws_chk(to: *mut wchar_t, room: size_t, n: c_int, stream: Stream) -> *mut wchar_t, also(__fgetws_unlocked_chk),
    when(is_ours(stream) && usize::try_from(n).is_ok_and(|n| n <= room)) {
        // SAFETY: the program's own buffer.
        unsafe { wide::get_line(to, n, stream) }
    }
}

export! {
    /// `fwide(3)`.
    fn fwide(stream: Stream, mode: c_int) -> c_int, when(is_ours(stream)) {
        wide::orientation(stream, mode)
    }
}

export! {
    /// `vfwprintf(3)`.
    fn vfwprintf(stream: Stream, format: *const wchar_t, args: VaList) -> c_int, when(is_ours(stream)) {
        // SAFETY: the program's own format and arguments.
        unsafe { wide::print(stream, format, args) }
    }
}

export! {
    /// `vwprintf(3)`.
    fn vwprintf(format: *const wchar_t, args: VaList) -> c_int, when(is_ours(standard_out())) {
        // SAFETY: the program's own format and arguments.
        unsafe { wide::print(standard_out(), format, args) }
    }
}

export! {
    /// `vfwprintf` as compiled with `_FORTIFY_SOURCE`.
    fn __vfwprintf_chk(stream: Stream, flag: c_int, format: *const wchar_t, args: VaList) -> c_int, when(is_ours(stream)) {
        // SAFETY: the program's own format and arguments.
        unsafe { wide::print(stream, format, args) }
    }
}

export! {
    /// `vwprintf` as compiled with `_FORTIFY_SOURCE`.
    fn __vwprintf_chk(flag: c_int, format: *const wchar_t, args: VaList) -> c_int, when(is_ours(standard_out())) {
        // SAFETY: the program's own format and arguments.
        unsafe { wide::print(standard_out(), format, args) }
    }
}

variadic! {
    /// `fwprintf(3)`.
    fn fwprintf(2) => vfwprintf
}

variadic! {
    /// `wprintf(3)`.
    fn wprintf(1) => vwprintf
}

variadic! {
    /// `fwprintf` as compiled with `_FORTIFY_SOURCE`.
    fn __fwprintf_chk(3) => __vfwprintf_chk
}

variadic! {
    /// `wprintf` as compiled with `_FORTIFY_SOURCE`.
    fn __wprintf_chk(2) => __vwprintf_chk
}
