//! Mode strings: `"r+e"` and the like, read as glibc reads them.

use libc::c_int;
use std::ffi::CStr;

/// What a mode string asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Flags for `open`.
    pub flags: c_int,
    /// No point where a thread is cancelled.
    pub is_calm: bool,
}

impl Mode {
    /// Reads a mode string; `None` (`EINVAL`) unless it begins with r, w or a. Unknown letters are ignored; `,ccs=` is looked for elsewhere ([`super::charset`]).
    pub fn parse(mode: &[u8]) -> Option<Mode> {
        let mut flags = match mode.first()? {
            b'r' => libc::O_RDONLY,
            b'w' => libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
            b'a' => libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND,
            _ => return None,
        };
        let mut is_calm = false;
        for letter in mode[1..].iter().take(6).take_while(|b| **b != b',') {
            match letter {
                b'+' => flags = flags & !libc::O_ACCMODE | libc::O_RDWR,
                b'x' => flags |= libc::O_EXCL,
                b'c' => is_calm = true,
                b'e' => flags |= libc::O_CLOEXEC,
                _ => {}
            }
        }
        Some(Mode { flags, is_calm })
    }

    /// Whether the stream may be read.
    pub fn reads(self) -> bool {
        self.flags & libc::O_ACCMODE != libc::O_WRONLY
    }

    /// Whether the stream may be written.
    pub fn writes(self) -> bool {
        self.flags & libc::O_ACCMODE != libc::O_RDONLY
    }

    /// Whether every write goes to the end.
    pub fn appends(self) -> bool {
        self.flags & libc::O_APPEND != 0
    }

    /// Whether the stream starts at the end of the file, as glibc's does with "a" (but not with "a+").
    pub fn starts_at_end(self) -> bool {
        self.appends() && !self.reads()
    }

    /// The same mode in its shortest spelling, without what only `open` needs.
    pub fn plain(self) -> &'static CStr {
        match (self.appends(), self.reads(), self.writes()) {
            (true, true, _) => c"a+",
            (true, false, _) => c"a",
            (false, true, true) if self.flags & libc::O_TRUNC != 0 => c"w+",
            (false, true, true) => c"r+",
            (false, true, false) => c"r",
            (false, false, _) => c"w",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_glibc_reads_them() {
        let flags = |m: &str| Mode::parse(m.as_bytes()).map(|m| m.flags);
        assert_eq!(flags("r"), Some(libc::O_RDONLY));
        assert_eq!(flags("rb+"), Some(libc::O_RDWR));
        assert_eq!(flags("w+xe"), Some(libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_EXCL | libc::O_CLOEXEC));
        assert_eq!(flags("a"), Some(libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND));
        assert_eq!(flags("r,ccs=UTF-8+"), Some(libc::O_RDONLY), "letters after the comma are the character set's");
        assert_eq!(flags(""), None);
        assert_eq!(flags("q"), None);
    }

    #[test]
    fn the_plain_spelling_means_the_same_access() {
        for m in ["r", "r+", "w", "w+", "a", "a+"] {
            let mode = Mode::parse(m.as_bytes()).expect(m);
            assert_eq!(mode.plain().to_bytes(), m.as_bytes());
        }
    }
}
