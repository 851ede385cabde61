//! Patterns in a text that a shell would expand: which characters make them, marked so that they pass through `wordexp` as others that nobody writes.

use std::ffi::CString;

/// What makes a pattern, and what stands for it meanwhile.
const SPECIAL: [u8; 3] = *b"*?[";
const MARKS: [u8; 3] = [1, 2, 3];

fn mark_of(special: u8) -> Option<u8> {
    SPECIAL.iter().position(|s| *s == special).map(|i| MARKS[i])
}

fn special_of(mark: u8) -> Option<u8> {
    MARKS.iter().position(|m| *m == mark).map(|i| SPECIAL[i])
}

/// Whether there are marks in `text`.
pub fn is_marked(text: &[u8]) -> bool {
    text.iter().any(|b| special_of(*b).is_some())
}

/// How many bytes of `text`, which begins with `open`, come before the end of what that opens: up to `close`, quotes and what is nested apart.
fn enclosed(text: &[u8], open: u8, close: u8) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b'\'' if close != b'`' => at += text[at + 1..].iter().position(|b| *b == b'\'').map_or(text.len(), |n| n + 1),
            b if b == close && depth == usize::from(open != close) => return (at + 1).min(text.len()),
            b if b == close => depth -= usize::from(open != close),
            b if b == open => depth += 1,
            _ => {}
        }
        at += 1;
        if open == close {
            depth = 0;
        }
    }
    text.len()
}

/// The text with marks for what makes patterns; `None` if there are none, or a mark is there already.
pub fn marked(text: &[u8]) -> Option<CString> {
    if is_marked(text) {
        return None;
    }
    let (mut out, mut at, mut quoted, mut found) = (Vec::with_capacity(text.len()), 0, false, false);
    while at < text.len() {
        let rest = &text[at..];
        let whole = match (rest[0], rest.get(1)) {
            (b'\\', _) => 2,
            (b'\'', _) if !quoted => rest[1..].iter().position(|b| *b == b'\'').map_or(rest.len(), |n| n + 2),
            (b'$', Some(b'(')) => 1 + enclosed(&rest[1..], b'(', b')'),
            (b'$', Some(b'{')) => 1 + enclosed(&rest[1..], b'{', b'}'),
            (b'$', Some(b'[')) => 1 + enclosed(&rest[1..], b'[', b']'),
            (b'`', _) => 1 + enclosed(&rest[1..], b'`', b'`'),
            _ => 1,
        };
        quoted ^= rest[0] == b'"';
        match mark_of(rest[0]).filter(|_| !quoted) {
            Some(mark) => (found, _) = (true, out.push(mark)),
            None => out.extend_from_slice(&rest[..whole.min(rest.len())]),
        }
        at += whole;
    }
    found.then(|| CString::new(out).ok()).flatten()
}

/// The word as a pattern.
pub fn pattern(word: &[u8]) -> Option<CString> {
    let mut out = Vec::with_capacity(word.len() + 8);
    for byte in word {
        // A backslash stays one that quotes in a pattern, as libc has it.
        if mark_of(*byte).is_some() {
            out.push(b'\\');
        }
        out.push(special_of(*byte).unwrap_or(*byte));
    }
    CString::new(out).ok()
}

/// The word as it was written.
pub fn plain(word: &[u8]) -> Vec<u8> {
    word.iter().map(|b| special_of(*b).unwrap_or(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::{enclosed, marked, pattern};

    fn with_marks(text: &str) -> Option<String> {
        marked(text.as_bytes()).map(|m| m.into_string().unwrap().replace('\x01', "<*>").replace('\x02', "<?>").replace('\x03', "<[>"))
    }

    #[test]
    fn what_is_quoted_or_in_a_command_makes_no_pattern() {
        assert_eq!(with_marks("a* b?[c]").as_deref(), Some("a<*> b<?><[>c]"));
        assert_eq!(with_marks(r#"\* '*' "*" $(ls *) ${x#*} `ls *` plain"#), None);
        assert_eq!(with_marks(r#""a b"* '?'? \[["#).as_deref(), Some(r#""a b"<*> '?'<?> \[<[>"#));
        assert_eq!(with_marks(r"$((2*(3*4))) *").as_deref(), Some(r"$((2*(3*4))) <*>"));
        assert_eq!(with_marks("$[2*[a]] $[1/0] $[5*").as_deref(), None);
        assert_eq!(with_marks("\x01*"), None);
    }

    #[test]
    fn what_is_open_encloses_the_rest() {
        assert_eq!(enclosed(b"(a(b)c)d", b'(', b')'), 7);
        assert_eq!(enclosed(b"(a", b'(', b')'), 2);
        assert_eq!(enclosed(b"ab`c", b'`', b'`'), 3);
        assert_eq!(with_marks("'* *"), None);
        assert_eq!(with_marks("\\"), None);
    }

    #[test]
    fn what_was_no_pattern_is_none_later() {
        assert_eq!(pattern(b"a\x01*\\").unwrap().to_bytes(), b"a*\\*\\");
    }
}
