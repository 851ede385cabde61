//! Wide characters on dispatching streams whose descriptor is FLAC's: converted here, one by one, over the stream's bytes.
//!
//! libc has no wide cookie streams. A standard stream that is connected to the kernel's is left to libc, which orients it and reads and writes the
//! descriptor itself. Encodings with shift states are not kept across calls, but of a stream that has a character set of its own ([`charset`]).
#![expect(unsafe_code, reason = "libc's functions on streams and characters")]

use super::charset::{self, MALFORMED, UNFINISHED};
use super::cookie;
use super::file::{Stream, flag, flockfile, funlockfile};
use crate::boundary;
use crate::fds;
use crate::variadic::VaList;
use libc::{c_char, c_int, wchar_t};

/// No character.
pub const WEOF: u32 = u32::MAX;

unsafe extern "C" {
    fn mbrtowc(to: *mut wchar_t, from: *const c_char, n: usize, state: *mut [u32; 2]) -> usize;
    fn wcrtomb(to: *mut c_char, from: wchar_t, state: *mut [u32; 2]) -> usize;
    fn vswprintf(to: *mut wchar_t, n: usize, format: *const wchar_t, args: VaList) -> c_int;
    fn wcslen(s: *const wchar_t) -> usize;
}

/// Whether wide characters of `stream` are converted here.
#[inline]
pub fn is_ours(stream: Stream) -> bool {
    !stream.is_null() && cookie::is_dispatching(stream) && fds::is_flac(stream.fileno())
}

/// Runs `f` with the stream locked.
pub fn locked<R>(stream: Stream, f: impl FnOnce() -> R) -> R {
    // SAFETY: a live stream.
    unsafe { flockfile(stream) };
    let result = f();
    // SAFETY: as above.
    unsafe { funlockfile(stream) };
    result
}

fn malformed(stream: Stream) -> u32 {
    stream.change_flags(flag::ERR_SEEN, 0);
    boundary::set_errno(libc::EILSEQ);
    WEOF
}

/// Whether the stream is one of wide characters, or becomes one now. The caller has its lock.
fn is_wide(stream: Stream) -> bool {
    orientation(stream, 1) > 0
}

/// `fgetwc`.
pub fn get(stream: Stream) -> u32 {
    locked(stream, || {
        if !is_wide(stream) {
            return WEOF;
        }
        let (mut state, mut wide, mut set) = ([0; 2], 0, charset::of(stream));
        if let Some(wide) = set.as_mut().and_then(|set| set.next()) {
            return wide.cast_unsigned();
        }
        for n in 0.. {
            // SAFETY: a live stream.
            let byte = unsafe { libc::fgetc(stream.libc()) };
            if byte == libc::EOF {
                if let Some(set) = &mut set {
                    set.end();
                }
                return if n == 0 || set.is_some() { WEOF } else { malformed(stream) };
            }
            let decoded = match &mut set {
                Some(set) => set.decode(byte as u8, &mut wide),
                // SAFETY: one byte, places of our own.
                None => unsafe { mbrtowc(&mut wide, &(byte as c_char), 1, &mut state) },
            };
            match decoded {
                MALFORMED => return malformed(stream),
                UNFINISHED => {}
                _ => break,
            }
        }
        wide.cast_unsigned()
    })
}

/// `fputwc`.
pub fn put(wide: wchar_t, stream: Stream) -> u32 {
    locked(stream, || {
        if !is_wide(stream) {
            return WEOF;
        }
        let Some((bytes, n)) = encoded(wide, stream) else { return malformed(stream) };
        // SAFETY: `n` bytes of ours.
        let put = unsafe { libc::fwrite(bytes.as_ptr().cast(), 1, n, stream.libc()) };
        if put == n { wide.cast_unsigned() } else { WEOF }
    })
}

fn encoded(wide: wchar_t, stream: Stream) -> Option<([u8; charset::MOST], usize)> {
    if let Some(set) = charset::of(stream) {
        return set.encode(wide);
    }
    let (mut bytes, mut state) = ([0u8; charset::MOST], [0; 2]);
    // SAFETY: MB_LEN_MAX is 16.
    let n = unsafe { wcrtomb(bytes.as_mut_ptr().cast(), wide, &mut state) };
    (n != usize::MAX).then_some((bytes, n))
}

/// `ungetwc`.
pub fn unget(wide: u32, stream: Stream) -> u32 {
    if wide == WEOF {
        return WEOF;
    }
    locked(stream, || {
        let Some((bytes, n)) = encoded(wide.cast_signed(), stream).filter(|_| is_wide(stream)) else { return WEOF };
        for byte in bytes[..n].iter().rev() {
            // SAFETY: a live stream.
            if unsafe { libc::ungetc(c_int::from(*byte), stream.libc()) } == libc::EOF {
                return WEOF;
            }
        }
        wide
    })
}

/// `fgetws`: up to `n - 1` characters, to the end of the line; null at the end of the file.
///
/// # Safety
/// As for `fgetws`.
pub unsafe fn get_line(to: *mut wchar_t, n: c_int, stream: Stream) -> *mut wchar_t {
    let Some(room) = usize::try_from(n).ok().filter(|n| *n > 0) else { return std::ptr::null_mut() };
    locked(stream, || {
        let mut got = 0;
        while got < room - 1 {
            let wide = get(stream);
            if wide == WEOF {
                break;
            }
            // SAFETY: `got` is below what the program vouches for.
            unsafe { to.add(got).write(wide.cast_signed()) };
            got += 1;
            if wide == u32::from(b'\n') {
                break;
            }
        }
        if (got == 0 && room > 1) || stream.flags() & flag::ERR_SEEN != 0 {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { to.add(got).write(0) };
        to
    })
}

/// `fputws`.
///
/// # Safety
/// As for `fputws`.
pub unsafe fn put_string(text: *const wchar_t, stream: Stream) -> c_int {
    locked(stream, || {
        // SAFETY: the program vouches for a string.
        let text = unsafe { std::slice::from_raw_parts(text, wcslen(text)) };
        if is_wide(stream) && text.iter().all(|wide| put(*wide, stream) != WEOF) { 1 } else { -1 }
    })
}

/// `vfwprintf`.
///
/// # Safety
/// As for `vfwprintf`.
pub unsafe fn print(stream: Stream, format: *const wchar_t, args: VaList) -> c_int {
    let mut room = 1 << 10;
    while room <= 1 << 24 {
        let mut text = vec![0 as wchar_t; room];
        // SAFETY: the program vouches for format and arguments, which are copied because they are used up.
        let n = unsafe { vswprintf(text.as_mut_ptr(), room, format, args.copy().list()) };
        if n >= 0 {
            // SAFETY: ended by a NUL.
            let put = unsafe { put_string(text.as_ptr(), stream) };
            return if put < 0 { -1 } else { n };
        }
        if boundary::errno() == libc::EILSEQ {
            break;
        }
        // Too small, which it does not say.
        room *= 8;
    }
    -1
}

/// `fwide`: what is asked is granted, once.
pub fn orientation(stream: Stream, asked: c_int) -> c_int {
    let now = stream.orientation();
    if now != 0 || asked == 0 {
        return now;
    }
    stream.orient(asked > 0);
    asked.signum()
}
