//! A character set of its own for a stream's wide characters (`,ccs=` in the mode of `fopen`), by libc's `iconv`.
//!
//! As libc has it: `fdopen` ignores it; `freopen` looks only whether there is such a set; what a set has no character for is written as something like it; no mark of the byte order is written, but one is looked for; a character that the file's end cuts off is not there.
#![expect(unsafe_code, reason = "libc's functions for character sets")]

use super::file::{NO_WIDE, Stream};
use crate::boundary;
use libc::{c_char, c_int, iconv_t, wchar_t};
use std::ffi::CString;
use std::ptr::null_mut;

/// Bytes of a character in any set, and of what is written in its place.
pub const MOST: usize = 32;

/// As `mbrtowc` says them: the bytes so far are no character; they are the beginning of one.
pub const MALFORMED: usize = usize::MAX;
pub const UNFINISHED: usize = usize::MAX - 1;

/// The set of one stream.
pub struct Charset {
    /// As the mode has it.
    pub name: CString,
    from: iconv_t,
    to: iconv_t,
    begun: [u8; MOST],
    n: usize,
    /// Some bytes are several characters: how many of these are yet to come, in turn.
    several: [wchar_t; 4],
    left: usize,
}

impl Drop for Charset {
    fn drop(&mut self) {
        for converter in [self.from, self.to].into_iter().filter(|converter| !is_none(*converter)) {
            // SAFETY: opened here, and used no more.
            unsafe { libc::iconv_close(converter) };
        }
    }
}

fn is_none(converter: iconv_t) -> bool {
    converter.addr() == usize::MAX
}

/// The set that a mode names.
pub fn named(mode: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b",ccs=";
    let at = mode.windows(MARK.len()).position(|part| part == MARK)?;
    mode[at + MARK.len()..].split(|b| *b == b',').next()
}

impl Charset {
    /// `None`: there is no such set. errno is as before.
    pub fn open(name: &[u8]) -> Option<Box<Charset>> {
        let errno = boundary::errno();
        let both = (CString::new(name).ok()?, CString::new([name, b"//TRANSLIT"].concat()).ok()?);
        // SAFETY: C strings.
        let (from, to) =
            unsafe { (libc::iconv_open(c"WCHAR_T".as_ptr(), both.0.as_ptr()), libc::iconv_open(both.1.as_ptr(), c"WCHAR_T".as_ptr())) };
        let mut set = Box::new(Charset { name: both.0, from, to, begun: [0; MOST], n: 0, several: [0; 4], left: 0 });
        let known = !name.is_empty() && !is_none(from) && !is_none(to);
        if known {
            // The first character has the mark of the byte order before it.
            set.encode(wchar_t::from(b'a'));
        }
        boundary::set_errno(errno);
        known.then_some(set)
    }

    /// A character of those that the last bytes were.
    pub fn next(&mut self) -> Option<wchar_t> {
        let first = self.several[0];
        self.left = self.left.checked_sub(1)?;
        self.several.rotate_left(1);
        Some(first)
    }

    /// Takes one byte more; `wide` is a character if it is neither [`MALFORMED`] nor [`UNFINISHED`].
    pub fn decode(&mut self, byte: u8, wide: &mut wchar_t) -> usize {
        let errno = boundary::errno();
        self.begun[self.n] = byte;
        self.n += 1;
        let (mut in_left, mut out_left) = (self.n, size_of_val(&self.several));
        let (mut from, mut to) = (self.begun.as_mut_ptr().cast::<c_char>(), self.several.as_mut_ptr().cast::<c_char>());
        // SAFETY: so many bytes here and there.
        let failed = unsafe { libc::iconv(self.from, &mut from, &mut in_left, &mut to, &mut out_left) } == usize::MAX;
        let why = boundary::errno();
        boundary::set_errno(errno);
        self.begun.copy_within(self.n - in_left..self.n, 0);
        self.n = in_left;
        self.left = self.several.len() - out_left / size_of::<wchar_t>();
        if let Some(first) = self.next() {
            *wide = first;
            return 1;
        }
        if failed && why != libc::EINVAL || self.n == MOST {
            self.n = 0;
            return MALFORMED;
        }
        UNFINISHED
    }

    /// The bytes of a character that was begun are forgotten.
    pub fn end(&mut self) {
        self.n = 0;
    }

    /// The bytes of a character.
    pub fn encode(&mut self, mut wide: wchar_t) -> Option<([u8; MOST], usize)> {
        let errno = boundary::errno();
        let (mut bytes, mut in_left, mut out_left) = ([0; MOST], size_of::<wchar_t>(), MOST);
        let (mut from, mut to) = ((&raw mut wide).cast::<c_char>(), bytes.as_mut_ptr().cast::<c_char>());
        // SAFETY: so many bytes here and there.
        let failed = unsafe { libc::iconv(self.to, &mut from, &mut in_left, &mut to, &mut out_left) } == usize::MAX;
        boundary::set_errno(errno);
        (!failed).then_some((bytes, MOST - out_left))
    }
}

/// The set of a dispatching stream. The standard streams have none, for libc's own conversion is there.
pub fn of(stream: Stream) -> Option<&'static mut Charset> {
    if stream.wide_data() != NO_WIDE {
        return None;
    }
    // SAFETY: null, or made by `set`; the caller has the stream's lock, and keeps it no longer.
    unsafe { stream.charset().cast::<Charset>().as_mut() }
}

/// Gives `stream`, whose wide characters it has from now on, a set, or takes it away.
pub fn set(stream: Stream, set: Option<Box<Charset>>) {
    if let Some(old) = of(stream) {
        stream.set_charset(null_mut());
        // SAFETY: made here, and nobody has it any more.
        drop(unsafe { Box::from_raw(old) });
    }
    if let Some(set) = set.filter(|_| stream.wide_data() == NO_WIDE) {
        stream.set_charset(Box::into_raw(set).cast());
        stream.orient(true);
    }
}

/// How libc is to open a copy of what `stream` reads, if it has a set.
pub fn mode_of(stream: Stream) -> Option<CString> {
    of(stream).and_then(|set| CString::new([b"r,ccs=", set.name.as_bytes()].concat()).ok())
}

/// `EINVAL` where a mode names a set that is not there.
pub fn wanted(mode: &[u8]) -> Result<Option<Box<Charset>>, c_int> {
    named(mode).map(|name| Charset::open(name).ok_or(libc::EINVAL)).transpose()
}
