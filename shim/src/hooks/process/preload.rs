//! Whether this library stays when a program changes what the loader preloads, as a mount would.

/// What becomes of this library in a new environment.
#[derive(Debug, PartialEq, Eq)]
pub enum Stay<'a> {
    /// The program took it out: it is not loaded.
    Out,
    /// The environment was cleared: everything is added.
    Cleared,
    /// The program preloads these, this library among them or not.
    With(&'a [u8]),
}

/// What to do, given the value of `LD_PRELOAD` and whether `FLAC_ROOT` is set.
pub fn stay(preload: Option<&[u8]>, has_root: bool) -> Stay<'_> {
    match (preload, has_root) {
        (None, false) => Stay::Cleared,
        (Some(list), true) if !list.is_empty() => Stay::With(list),
        _ => Stay::Out,
    }
}

/// The libraries in a value of `LD_PRELOAD`.
pub fn entries(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| matches!(*b, b':' | b' ')).filter(|l| !l.is_empty())
}

/// The part of a path behind its last slash.
pub fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// The value for a program that preloads `list`: this library, `own`, comes last, since what a program preloads wants to stand before the file system.
/// `name` says what the loader shall be told of the others.
pub fn last<'a>(list: &'a [u8], own: &'a [u8], name: impl Fn(&'a [u8]) -> &'a [u8]) -> Vec<u8> {
    let is_own = |l: &&[u8]| file_name(l) == file_name(own);
    let own = entries(list).find(is_own).unwrap_or(own);
    let names: Vec<&[u8]> = entries(list).filter(|l| !is_own(l)).map(name).chain([own]).collect();
    names.join(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_environment_and_another_preload_keep_the_library() {
        assert_eq!(stay(None, false), Stay::Cleared);
        assert_eq!(stay(Some(b"./k.so"), true), Stay::With(b"./k.so"));
        for (preload, root) in [(None, true), (Some(&b""[..]), true), (Some(b""), false), (Some(b"./k.so"), false)] {
            assert_eq!(stay(preload, root), Stay::Out, "{preload:?}");
        }
    }

    #[test]
    fn what_a_program_preloads_comes_first() {
        let last = |list: &'static [u8]| last(list, b"/lib/flac.so", |l| if l == b"/flac/k.so" { b"k.so" } else { l });
        assert_eq!(last(b"/flac/k.so"), b"k.so:/lib/flac.so");
        assert_eq!(last(b"/my/flac.so:./k.so"), b"./k.so:/my/flac.so");
        assert_eq!(last(b"a b: /lib/flac.so"), b"a:b:/lib/flac.so");
        assert_eq!(last(b"/lib/flac.so"), b"/lib/flac.so");
    }
}
