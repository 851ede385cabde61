//! Scanning wide characters, on streams whose descriptor is FLAC's; see [`crate::stdio::scan`].
#![allow(unsafe_code, reason = "the program's formats and places")]

use crate::real::Symbol;
use crate::stdio::file::{Stream, stdin};
use crate::stdio::scan::{self, Kind};
use crate::stdio::wide::is_ours;
use crate::variadic::VaList;
use libc::{c_int, wchar_t};

fn standard_in() -> Stream {
    // SAFETY: libc's variable; programs that assign to it do so while nobody else reads it.
    unsafe { stdin }
}

/// The four functions of one kind: on a stream and on the standard one, with a list of arguments and with variable ones.
macro_rules! scans {
    ($($on:ident, $on_standard:ident, $stream:ident, $standard:ident, $name:literal;)+) => {$(
        export! {
            #[doc = concat!("`", stringify!($on), "(3)`.")]
            fn $on(stream: Stream, format: *const wchar_t, args: VaList) -> c_int, when(is_ours(stream)) {
                static THEIRS: Symbol = Symbol::new();
                // SAFETY: the program's own format and arguments.
                unsafe { scan::scan(stream, format, &args, Kind(&THEIRS, $name)) }
            }
        }
        export! {
            #[doc = concat!("`", stringify!($on_standard), "(3)`.")]
            fn $on_standard(format: *const wchar_t, args: VaList) -> c_int, when(is_ours(standard_in())) {
                static THEIRS: Symbol = Symbol::new();
                // SAFETY: the program's own format and arguments.
                unsafe { scan::scan(standard_in(), format, &args, Kind(&THEIRS, $name)) }
            }
        }
        variadic! {
            #[doc = concat!("`", stringify!($stream), "(3)`.")]
            fn $stream(2) => $on
        }
        variadic! {
            #[doc = concat!("`", stringify!($standard), "(3)`.")]
            fn $standard(1) => $on_standard
        }
    )+};
}

scans! {
    vfwscanf, vwscanf, fwscanf, wscanf, c"vfwscanf";
    __isoc99_vfwscanf, __isoc99_vwscanf, __isoc99_fwscanf, __isoc99_wscanf, c"__isoc99_vfwscanf";
    __isoc23_vfwscanf, __isoc23_vwscanf, __isoc23_fwscanf, __isoc23_wscanf, c"__isoc23_vfwscanf";
}
