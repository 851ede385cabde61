//! The first line of a script.

use crate::abi::fail;
use crate::boundary::Answer;

/// How much of a file the kernel looks at to tell what it is.
pub const HEAD: usize = 256;

/// What stands after `#!`.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// The interpreter's path.
    pub interpreter: Vec<u8>,
    /// Its argument before the script's path.
    pub argument: Option<Vec<u8>>,
}

/// Reads the first line of a script by the kernel's rules: an interpreter, and at most one argument, which may hold blanks. `None`: no script.
pub fn script_line(head: &[u8]) -> Option<Answer<Line>> {
    let rest = head.strip_prefix(b"#!")?;
    let blank = |b: &u8| matches!(*b, b' ' | b'\t');
    let end = rest.iter().position(|b| matches!(*b, b'\n' | 0));
    let line = &rest[..end.unwrap_or(rest.len())];
    let start = line.iter().position(|b| !blank(b)).unwrap_or(line.len());
    let line = &line[start..];
    let line = &line[..line.iter().rposition(|b| !blank(b)).map_or(0, |i| i + 1)];
    let split = line.iter().position(blank);
    let interpreter = line[..split.unwrap_or(line.len())].to_vec();
    // A line that goes on behind what the kernel reads may cut an argument, but not the interpreter.
    let cut = end.is_none() && head.len() == HEAD && split.is_none();
    if interpreter.is_empty() || cut {
        return Some(fail(libc::ENOEXEC));
    }
    let argument = split.map(|at| {
        let rest = &line[at..];
        rest[rest.iter().position(|b| !blank(b)).unwrap_or(0)..].to_vec()
    });
    Some(Ok(Line { interpreter, argument }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(head: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        script_line(head).map(|l| l.map_or((Vec::new(), None), |l| (l.interpreter, l.argument)))
    }

    #[test]
    fn a_script_has_an_interpreter_and_at_most_one_argument() {
        let found = |i: &[u8], a: Option<&[u8]>| Some((i.to_vec(), a.map(<[u8]>::to_vec)));
        assert_eq!(line(b"#!/bin/sh\necho"), found(b"/bin/sh", None));
        assert_eq!(line(b"#! /usr/bin/env  python3 -u \nx"), found(b"/usr/bin/env", Some(b"python3 -u")));
        assert_eq!(line(b"#!/bin/sh"), found(b"/bin/sh", None));
        assert_eq!(line(b"#!\n"), found(b"", None));
        assert_eq!(line(b"\x7fELF"), None);
    }
}
