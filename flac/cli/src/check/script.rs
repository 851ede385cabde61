//! Scripts: the `#!` line.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the kernel reads of a `#!` line.
const LINE: u64 = 256;

/// The program that a script names; `None` if `file` is no script. Of `env`, that which it would start.
pub fn interpreter(file: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut start = Vec::new();
    File::open(file)?.take(LINE).read_to_end(&mut start)?;
    Ok(of_line(&start))
}

fn of_line(start: &[u8]) -> Option<PathBuf> {
    let line = start.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let mut words = line.split(|b| matches!(b, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
    let program = words.next()?;
    if program.rsplit(|b| *b == b'/').next() == Some(b"env") {
        // Options and settings of `env`, then the program.
        if let Some(started) = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'=')) {
            return Some(PathBuf::from(OsStr::from_bytes(started)));
        }
    }
    Some(PathBuf::from(OsStr::from_bytes(program)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_the_interpreter() {
        let of = |line: &str| of_line(line.as_bytes()).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(of("#!/bin/sh -e\nexit").as_deref(), Some("/bin/sh"));
        assert_eq!(of("#! /usr/bin/python3\n").as_deref(), Some("/usr/bin/python3"));
        assert_eq!(of("#!/usr/bin/env -S A=1 perl -w\n").as_deref(), Some("perl"));
        assert_eq!(of("#!/usr/bin/env\n").as_deref(), Some("/usr/bin/env"));
        assert_eq!(of("#!\n"), None);
        assert_eq!(of("\x7fELF"), None);
    }
}
