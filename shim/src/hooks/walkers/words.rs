//! `wordexp`: libc's does all but find the files that patterns in the text match, which is done by [`glob`]: the characters that make a pattern go through libc as
//! others that nobody writes.

use super::glob::{Found, glob};
use crate::abi::CPath;
use crate::patterns::{is_marked, marked, pattern, plain};
use libc::{c_char, c_int, c_void, size_t};
use std::ffi::CStr;

/// `WRDE_NOSPACE`.
const NO_SPACE: c_int = 1;

/// `wordexp_t`.
#[repr(C)]
pub struct Words {
    count: size_t,
    words: *mut *mut c_char,
    offset: size_t,
}

/// The names that a word with marks stands for, or the word without; `None` if memory is short.
#[allow(unsafe_code, reason = "calls glob and hands its names on")]
fn names(word: &[u8]) -> Option<Vec<*mut c_char>> {
    let copy = |name: &[u8]| crate::abi::allocated(&[name, b"\0"].concat()).ok().map(<*mut c_void>::cast);
    let pattern = pattern(word)?;
    let mut found = Found::none();
    // SAFETY: a pattern and a place for what it matches.
    match unsafe { glob(CPath::of(&pattern), 0, std::ptr::null(), &mut found) } {
        0 => {
            // SAFETY: glob's names.
            let result = found.paths().iter().map(|path| copy(unsafe { CStr::from_ptr(*path) }.to_bytes())).collect();
            // SAFETY: nobody has the names but we.
            unsafe { libc::globfree((&raw mut found).cast()) };
            result
        }
        libc::GLOB_NOSPACE => None,
        _ => copy(&plain(word)).map(|name| vec![name]),
    }
}

/// Replaces the words that have marks by what they match.
#[allow(unsafe_code, reason = "libc's list of words, which the program frees")]
fn expand(to: &mut Words) -> c_int {
    // SAFETY: libc has just made it: `count` words behind `offset` null pointers.
    let words = unsafe { std::slice::from_raw_parts(to.words.add(to.offset), to.count) };
    let mut list = Vec::with_capacity(words.len());
    for word in words {
        // SAFETY: a word of libc's.
        let bytes = unsafe { CStr::from_ptr(*word) }.to_bytes();
        if !is_marked(bytes) {
            list.push(*word);
            continue;
        }
        let Some(names) = names(bytes) else { return NO_SPACE };
        list.extend(names);
        // SAFETY: from malloc, and not in the new list.
        unsafe { libc::free(word.cast()) };
    }
    let room = (to.offset + list.len() + 1) * size_of::<usize>();
    // SAFETY: from malloc, as is each word; filled in up to its end.
    unsafe {
        let grown: *mut *mut c_char = libc::realloc(to.words.cast(), room).cast();
        if grown.is_null() {
            return NO_SPACE;
        }
        std::ptr::copy_nonoverlapping(list.as_ptr(), grown.add(to.offset), list.len());
        grown.add(to.offset + list.len()).write(std::ptr::null_mut());
        to.words = grown;
    }
    to.count = list.len();
    0
}

export! {
    /// `wordexp(3)`.
    fn wordexp(text: CPath, to: *mut Words, flags: c_int) -> c_int, when(crate::config::on() && !to.is_null()), real(theirs) {
        let Some(marked) = text.bytes().ok().and_then(marked) else { return theirs(text, to, flags) };
        match theirs(CPath::of(&marked), to, flags) {
            #[allow(unsafe_code, reason = "wordexp's own contract")]
            // SAFETY: the program's, filled in by libc.
            0 => expand(unsafe { &mut *to }),
            error => error,
        }
    }
}
