//! `catopen`: libc opens message catalogues inside itself, so of those that are FLAC's it gets a copy in memory, by the name of its descriptor.

use super::process::image;
use crate::abi::{CPath, fail};
use crate::boundary::{Answer, CReturn, Escape, checked};
use crate::paths::{self, Walked};
use flac::fs::names::{Last, Resolved};
use libc::{AT_FDCWD, c_char, c_int};
use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;

/// `nl_catd`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Catalogue(isize);

impl CReturn for Catalogue {
    const FAILED: Self = Catalogue(-1);
}

/// `NL_CAT_LOCALE`: the language is that of the messages' locale, not of `LANG`.
const BY_LOCALE: c_int = 1;

hook! {
    /// `catopen(3)`: the first that can be opened, as in libc.
    fn catopen(name: CPath, flag: c_int) -> Catalogue, real(theirs) {
        for path in candidates(name.bytes()?, flag) {
            match paths::walk(AT_FDCWD, CPath::of(&path), Last::Follow) {
                Ok(Walked::Flac(fs, Resolved::Found { ino, kind: libc::S_IFREG, .. })) => {
                    if let Ok(copy) = image::library(fs, ino, path.to_bytes()) {
                        return named(&format!("/proc/self/fd/{}", copy.as_raw_fd()), |path| theirs(path, flag));
                    }
                }
                // The first that can be opened is no file.
                Ok(Walked::Flac(_, Resolved::Found { .. })) => return fail(libc::EINVAL),
                Ok(Walked::Kernel(path)) if is_readable(&path) => return checked(theirs(CPath::of(&path), flag)),
                Err(Escape::NotOurs) if is_readable(&path) => break,
                _ => {}
            }
        }
        Err(Escape::NotOurs)
    }
}

fn named(path: &str, open: impl Fn(CPath) -> Catalogue) -> Answer<Catalogue> {
    checked(open(CPath::of(&CString::new(path).unwrap_or_default())))
}

fn is_readable(path: &CStr) -> bool {
    rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok()
}

/// The paths where libc looks for the catalogue `name`, but for its own directories.
fn candidates(name: &[u8], flag: c_int) -> Vec<CString> {
    if name.contains(&b'/') {
        return CString::new(name).into_iter().collect();
    }
    let locale = if flag == BY_LOCALE { locale_of_messages() } else { variable(c"LANG") };
    let locale = locale.filter(|l| !l.is_empty()).unwrap_or(b"C");
    let places = variable(c"NLSPATH").filter(|places| !places.is_empty());
    let elements = places.into_iter().flat_map(|places| places.split(|b| *b == b':'));
    elements.filter_map(|element| CString::new(expanded(element, name, locale)?).ok()).collect()
}

#[allow(unsafe_code, reason = "the environment and the locale as libc has them")]
fn variable<'a>(name: &CStr) -> Option<&'a [u8]> {
    // SAFETY: a C string; the program changes its environment in no other thread now, as for libc's catopen.
    string(unsafe { libc::getenv(name.as_ptr()) })
}

#[allow(unsafe_code, reason = "the environment and the locale as libc has them")]
fn locale_of_messages<'a>() -> Option<&'a [u8]> {
    // SAFETY: asks, and sets nothing; the name stays until the program sets another.
    string(unsafe { libc::setlocale(libc::LC_MESSAGES, std::ptr::null()) })
}

#[allow(unsafe_code, reason = "libc's strings")]
fn string<'a>(s: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: null, or a string of libc's.
    (!s.is_null()).then(|| unsafe { CStr::from_ptr(s) }.to_bytes())
}

/// One element of `NLSPATH` with what stands for name and locale (`language_territory.codeset`) put in; `None` if it has anything else of the kind.
fn expanded(element: &[u8], name: &[u8], locale: &[u8]) -> Option<Vec<u8>> {
    if element.is_empty() {
        return Some(name.to_vec());
    }
    let until = |text: &'_ [u8], ends: &[u8]| text.iter().position(|b| ends.contains(b)).unwrap_or(text.len());
    let (language, rest) = locale.split_at(until(locale, b"_."));
    let (territory, codeset) = rest.split_at(until(rest, b"."));
    let (mut path, mut bytes) = (Vec::new(), element.iter());
    while let Some(byte) = bytes.next() {
        match (byte, if *byte == b'%' { bytes.next() } else { None }) {
            (b'%', Some(b'N')) => path.extend_from_slice(name),
            (b'%', Some(b'L')) => path.extend_from_slice(locale),
            (b'%', Some(b'l')) => path.extend_from_slice(language),
            (b'%', Some(b't')) => path.extend_from_slice(territory.get(1..).unwrap_or_default()),
            (b'%', Some(b'c')) => path.extend_from_slice(codeset.get(1..).unwrap_or_default()),
            (b'%', Some(b'%')) => path.push(b'%'),
            (b'%', _) => return None,
            (byte, _) => path.push(*byte),
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::expanded;

    #[test]
    fn an_element_takes_what_the_locale_is_made_of() {
        let path =
            |element: &str, locale: &str| expanded(element.as_bytes(), b"m", locale.as_bytes()).map(|p| String::from_utf8(p).unwrap());
        assert_eq!(path("", "C").as_deref(), Some("m"));
        assert_eq!(path("/a/%L/%N.cat", "de_AT.UTF-8").as_deref(), Some("/a/de_AT.UTF-8/m.cat"));
        assert_eq!(path("%l-%t-%c%%", "de_AT.UTF-8").as_deref(), Some("de-AT-UTF-8%"));
        assert_eq!(path("%l-%t-%c", "de.UTF-8").as_deref(), Some("de--UTF-8"));
        assert_eq!(path("%l-%t-%c", "C").as_deref(), Some("C--"));
        assert_eq!(path("a%x", "C"), None);
        assert_eq!(path("a%", "C"), None);
    }
}
