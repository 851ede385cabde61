//! A limit on address space that leaves no room for the cache.

use super::Space;
use flac::{Config, Fs};

/// Address space of this process, in bytes.
fn mapped() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    statm.split(' ').next().and_then(|pages| pages.parse().ok()).map_or(0, |pages: usize| pages * 4096)
}

#[test]
fn without_room_for_the_cache_nothing_is_mapped() {
    let space = Space::new();
    let config = Config::new(space.dir.path());
    // SAFETY: the child opens the pool and exits.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let before = mapped();
        // The cache would fit, the index does not.
        let limit = (before + (600 << 20)) as u64;
        let limits = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: a valid structure.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limits) };
        let refused = Fs::open(&config).err();
        let says = refused.as_ref().is_some_and(|e| e.errno() == libc::ENOMEM && e.to_string().contains("ulimit -v"));
        let code = if !says {
            1
        } else if mapped() > before + (16 << 20) {
            2
        } else {
            0
        };
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for the child.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(libc::WEXITSTATUS(status), 0, "1: another error, 2: still mapped");
}
