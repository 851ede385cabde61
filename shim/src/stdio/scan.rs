//! Scanning wide characters (`fwscanf`) on streams whose descriptor is FLAC's: libc does it, on a stream of its own over a copy of what comes next, and says how far it got.
//!
//! What was pushed back before is not seen. What an `m` in the format has allocated is allocated again where the first copy was too short.
#![expect(unsafe_code, reason = "libc's functions on streams")]

use super::charset;
use super::file::{Stream, flag};
use super::wide::{locked, orientation};
use crate::real::Symbol;
use crate::variadic::VaList;
use libc::{c_int, wchar_t};
use rustix::fs::MemfdFlags;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

/// Bytes of the first copy, and of the largest.
const FIRST: usize = 4 << 10;
const LARGEST: usize = 1 << 30;

/// How numbers and the like are written, which libc has a function for each.
#[derive(Clone, Copy)]
pub struct Kind(pub &'static Symbol, pub &'static CStr);

/// What scanning came to: the result, how many bytes were taken, whether the copy's end was met, and whether what is there are no characters.
struct Scanned {
    result: c_int,
    taken: i64,
    ended: bool,
    malformed: bool,
}

/// `vfwscanf`.
///
/// # Safety
/// As for `vfwscanf`.
pub unsafe fn scan(stream: Stream, format: *const wchar_t, args: &VaList, kind: Kind) -> c_int {
    locked(stream, || {
        if orientation(stream, 1) <= 0 {
            return libc::EOF;
        }
        let mode = charset::mode_of(stream);
        // SAFETY: a live stream. What it has yet to write is written first; the position is that of the program, whatever the stream has read ahead.
        let at = unsafe {
            if stream.flags() & flag::CURRENTLY_PUTTING != 0 && libc::fflush(stream.libc()) != 0 {
                return libc::EOF;
            }
            libc::ftello64(stream.libc())
        };
        if at < 0 || stream.flags() & flag::NO_READS != 0 {
            stream.change_flags(flag::ERR_SEEN, 0);
            return libc::EOF;
        }
        let mut room = FIRST;
        loop {
            let mut bytes = vec![0u8; room];
            // SAFETY: so much room. `pread` is our hook.
            let Ok(n) = usize::try_from(unsafe { libc::pread64(stream.fileno(), bytes.as_mut_ptr().cast(), room, at) }) else {
                stream.change_flags(flag::ERR_SEEN, 0);
                return libc::EOF;
            };
            // SAFETY: the program's format and arguments.
            let Some(scanned) = copy_of(&bytes[..n]).and_then(|copy| unsafe { on_copy(copy, mode.as_deref(), format, args, kind) }) else {
                stream.change_flags(flag::ERR_SEEN, 0);
                return libc::EOF;
            };
            if scanned.ended && n == room && room < LARGEST {
                room *= 16;
                continue;
            }
            // SAFETY: a live stream.
            unsafe { libc::fseeko64(stream.libc(), at + scanned.taken, libc::SEEK_SET) };
            let seen = if scanned.ended { flag::EOF_SEEN } else { 0 } | if scanned.malformed { flag::ERR_SEEN } else { 0 };
            stream.change_flags(seen, 0);
            return scanned.result;
        }
    })
}

fn copy_of(mut bytes: &[u8]) -> Option<OwnedFd> {
    let copy = rustix::fs::memfd_create("scan", MemfdFlags::CLOEXEC).ok()?;
    while !bytes.is_empty() {
        bytes = &bytes[flac::media::lifted(|| rustix::io::write(&copy, bytes)).ok()?..];
    }
    rustix::fs::seek(&copy, rustix::fs::SeekFrom::Start(0)).ok()?;
    Some(copy)
}

/// Scans the copy by libc's function.
///
/// # Safety
/// As for `vfwscanf`.
unsafe fn on_copy(copy: OwnedFd, mode: Option<&CStr>, format: *const wchar_t, args: &VaList, Kind(symbol, name): Kind) -> Option<Scanned> {
    type Function = unsafe extern "C-unwind" fn(*mut libc::FILE, *const wchar_t, VaList) -> c_int;
    let function = symbol.get(name);
    if function.is_null() {
        return None;
    }
    let path = CString::new(format!("/proc/self/fd/{}", copy.as_raw_fd())).ok()?;
    // SAFETY: a file of our own, whose descriptor a stream takes over; libc's function of that name has this type, and uses up a copy of the arguments.
    unsafe {
        let file = match mode {
            Some(mode) => libc::fopen(path.as_ptr(), mode.as_ptr()),
            None => libc::fdopen(copy.into_raw_fd(), c"r".as_ptr()),
        };
        if file.is_null() {
            return None;
        }
        let result = std::mem::transmute::<*mut libc::c_void, Function>(function)(file, format, args.copy().list());
        let errno = crate::boundary::errno();
        let scanned = Scanned { result, taken: libc::ftello64(file), ended: libc::feof(file) != 0, malformed: libc::ferror(file) != 0 };
        libc::fclose(file);
        crate::boundary::set_errno(errno);
        Some(scanned).filter(|scanned| scanned.taken >= 0)
    }
}
