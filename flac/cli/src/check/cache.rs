//! The loader's cache of library names, `/etc/ld.so.cache`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// glibc's format since 2.2; before 2.32 it stands behind an older one in the file.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// The files that the cache names for the library `name`, best first.
pub fn find(cache: &[u8], name: &[u8]) -> Vec<PathBuf> {
    let Some(start) = cache.windows(MAGIC.len()).position(|window| window == MAGIC) else { return Vec::new() };
    let cache = &cache[start..];
    let word = |at: usize| cache.get(at..at + 4).map(|bytes| u32::from_ne_bytes(bytes.try_into().expect("four bytes")) as usize);
    let text = |at: usize| cache.get(at..)?.split(|b| *b == 0).next();
    let entries = word(MAGIC.len()).unwrap_or(0);
    let entry = |n: usize| {
        let at = HEADER + n * ENTRY;
        (text(word(at + 4)?)? == name).then_some(())?;
        Some(PathBuf::from(OsStr::from_bytes(text(word(at + 8)?)?)))
    };
    (0..entries.min(cache.len() / ENTRY)).filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_files_and_damage_to_none() {
        let mut cache = MAGIC.to_vec();
        cache.extend(1u32.to_ne_bytes());
        cache.resize(HEADER, 0);
        let strings = (HEADER + ENTRY) as u32;
        for value in [0x0303, strings, strings + 5, 0, 0, 0] {
            cache.extend(value.to_ne_bytes());
        }
        cache.extend(b"libc\0/lib/libc\0");
        assert_eq!(find(&cache, b"libc"), [PathBuf::from("/lib/libc")]);
        assert!(find(&cache, b"lib").is_empty());
        for end in 0..cache.len() - 9 {
            assert!(find(&cache[..end], b"libc").iter().all(|path| path.as_os_str().len() < 9), "cut at {end}");
        }
    }
}
