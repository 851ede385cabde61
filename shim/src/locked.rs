//! `mlockall`: the program's memory is locked, and of FLAC's nothing. The cache, the index and the log are mapped whole, sparse files of many GB: locked, all of them would be given memory.
#![expect(unsafe_code, reason = "locks what the program has mapped")]

use crate::boundary::{Answer, Escape};
use crate::space;
use flac::Fs;
use libc::{MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, c_int};
use std::ops::Range;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// The process that has told the kernel to lock what will be mapped, and the flags it said so with. A child has not.
static LOCKING: AtomicU32 = AtomicU32::new(0);
static FLAGS: AtomicI32 = AtomicI32::new(0);

fn me() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get() as u32
}

/// `mlockall(2)`, where `theirs` is libc's.
pub fn all(flags: c_int, theirs: impl Fn(c_int) -> Answer<c_int>) -> Answer<()> {
    match space::opened() {
        // What is locked when it is touched takes no memory before.
        Some(fs) if flags & MCL_CURRENT != 0 && flags & !(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0 => {
            match theirs(flags | MCL_ONFAULT) {
                Ok(_) => mappings(fs).iter().filter(|mapping| mapping.is_own).for_each(|mapping| unlock(&mapping.range)),
                // A limit counts what is mapped; ours is not the program's.
                Err(Escape::Fail(libc::ENOMEM)) if fits(fs) => {}
                Err(e) => return Err(e),
            }
            mappings(fs).iter().filter(|mapping| !mapping.is_own).for_each(|mapping| lock(fs, &mapping.range, flags));
            if flags & MCL_FUTURE != 0 {
                theirs(flags & !MCL_CURRENT)?;
            }
        }
        _ => drop(theirs(flags)?),
    }
    FLAGS.store(flags & !MCL_CURRENT, Ordering::Relaxed);
    LOCKING.store(if flags & MCL_FUTURE != 0 { me() } else { 0 }, Ordering::Relaxed);
    Ok(())
}

/// `munlockall(2)` was called.
pub fn none() {
    LOCKING.store(0, Ordering::Relaxed);
}

/// Runs what maps our files, where the program may have asked for all that is mapped from now on to be locked.
pub fn but_not<T>(open: impl FnOnce() -> T, fs: impl FnOnce(&T) -> Option<&Fs>) -> T {
    let pid = LOCKING.load(Ordering::Relaxed);
    if pid == 0 || pid != me() {
        return open();
    }
    // SAFETY: what is mapped stays as it is.
    unsafe { libc::mlockall(MCL_FUTURE | MCL_ONFAULT) };
    let opened = open();
    if let Some(fs) = fs(&opened) {
        mappings(fs).iter().filter(|mapping| mapping.is_own).for_each(|mapping| unlock(&mapping.range));
    }
    // SAFETY: as above.
    unsafe { libc::mlockall(FLAGS.load(Ordering::Relaxed)) };
    opened
}

/// What the program has mapped is no more than it may lock.
fn fits(fs: &Fs) -> bool {
    let program: usize = mappings(fs).iter().filter(|mapping| !mapping.is_own).map(|mapping| mapping.range.len()).sum();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    limit.is_none_or(|limit| program as u64 <= limit)
}

fn lock(fs: &Fs, range: &Range<usize>, flags: c_int) {
    if fs.is_lazy() {
        fs.show_all(range.start, range.len());
    }
    let how = if flags & MCL_ONFAULT != 0 { rustix::mm::MlockFlags::ONFAULT } else { rustix::mm::MlockFlags::empty() };
    // SAFETY: changes no content. As with `mlockall`, what has no memory behind it (no access, behind the end of a file) has none afterwards.
    let _ = unsafe { rustix::mm::mlock_with(std::ptr::without_provenance_mut(range.start), range.len(), how) };
}

fn unlock(range: &Range<usize>) {
    // SAFETY: changes no content.
    let _ = unsafe { rustix::mm::munlock(std::ptr::without_provenance_mut(range.start), range.len()) };
}

struct Mapping {
    range: Range<usize>,
    is_own: bool,
}

/// All mappings of this process.
fn mappings(fs: &Fs) -> Vec<Mapping> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter_map(|line| mapping(line, |from, path| fs.is_own_mapping(from, path))).collect()
}

/// Reads a line of `/proc/self/maps`; `is_own` says of a shared mapping whether it is ours.
fn mapping(line: &str, is_own: impl Fn(usize, &[u8]) -> bool) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (from, to) = words.next()?.split_once('-')?;
    let (from, to) = (usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?);
    let shared = words.next()?.ends_with('s');
    let path = words.nth(3).unwrap_or_default().trim_start();
    // The kernel's own page lies beyond what programs may name.
    (from <= isize::MAX as usize).then(|| Mapping { range: from..to, is_own: shared && is_own(from, path.as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_read_from_the_kernels_lines() {
        let own = |from, path: &[u8]| from == 0x7fd405efe000 && path == b"/dev/shm/flac 1/kv/data.mdb";
        let read = |line: &str| mapping(line, own).map(|m| (m.range, m.is_own));
        let path = "/dev/shm/flac 1/kv/data.mdb";
        assert_eq!(
            read(&format!("7fd405efe000-7fd405eff000 rw-s 00000000 00:1b 34322109                   {path}")),
            Some((0x7fd405efe000..0x7fd405eff000, true))
        );
        assert_eq!(read(&format!("7fd405efe000-7fd405eff000 rw-p 00000000 00:1b 9 {path}")), Some((0x7fd405efe000..0x7fd405eff000, false)));
        assert_eq!(read("7fd405efe000-7fd405eff000 rw-s 00000000 00:00 0 "), Some((0x7fd405efe000..0x7fd405eff000, false)));
        assert_eq!(read("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]"), None);
        assert_eq!(read(""), None);
    }
}
