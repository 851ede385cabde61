//! What do the movers cost through the API, without shim and system calls? Nanoseconds per operation, median of rounds.
//!
//! Bounds on the test machine: a 64-byte copy 2 ns, 4 KiB from L2 100 ns, 2 MiB from memory 70 us, `mmap` 2 us.
#![expect(unsafe_code, reason = "read and write take raw buffers")]

use flac::fs::attr::Creds;
use flac::fs::names::Name;
use flac::media::{Pool, PoolOptions};
use flac::units::Ino;
use flac::{Config, Fs};
use std::time::Instant;

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };

fn median(label: &str, mut f: impl FnMut(), per_round: u32) {
    let mut rounds: Vec<f64> = (0..15)
        .map(|_| {
            let start = Instant::now();
            (0..per_round).for_each(|_| f());
            start.elapsed().as_nanos() as f64 / per_round as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{label:<28} {:>10.1} ns", rounds[rounds.len() / 2]);
}

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    Pool::create(dir.path(), &PoolOptions { size: 4 << 30, ..Default::default() }).expect("a pool");
    let mut config = Config::new(dir.path());
    config.dram = Some(1 << 30);
    let fs = Fs::open(&config).expect("it opens");
    println!("huge frames: {}", fs.has_huge_frames());
    let name = Name::new(b"f").expect("a name");
    let ino = fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
    let id = fs.open_file(ino, libc::O_RDWR, 0).expect("it opens");
    let layout = std::alloc::Layout::from_size_align(4 << 20, 2 << 20).expect("a layout");
    // SAFETY: the layout has a size; the memory is used as bytes.
    let buffer = unsafe { std::alloc::alloc_zeroed(layout) };
    let iov = |len: usize| [libc::iovec { iov_base: buffer.cast(), iov_len: len }];
    // SAFETY: the vectors lie in the 4 MiB buffer.
    let write = |len: usize, at: u64| assert_eq!(unsafe { fs.write(id, &iov(len), Some(at)) }, Ok(len));
    // SAFETY: as above.
    let read = |len: usize, at: u64| assert_eq!(unsafe { fs.read(id, &iov(len), Some(at)) }, Ok(len));
    let mut at = 0;
    let first = Instant::now();
    (0..64u64).for_each(|i| write(2 << 20, i << 21));
    println!("first write of 2 MiB         {:>10.0} ns", first.elapsed().as_nanos() as f64 / 64.0);
    for (label, len, count) in [("64 B", 64, 100_000), ("4 KiB", 4096, 20_000), ("60 KiB", 60 << 10, 2000), ("2 MiB", 2 << 20, 30)] {
        let mut next = || {
            at = (at + len as u64) % (64 << 20);
            at / len as u64 * len as u64
        };
        median(&format!("overwrite {label}"), || write(len, next()), count);
        median(&format!("read {label}"), || read(len, next()), count);
    }
    let touch = |step: usize| {
        // SAFETY: inside the buffer.
        std::hint::black_box((0..2 << 20).step_by(step).map(|i| unsafe { buffer.add(i).read_volatile() } as u64).sum::<u64>());
    };
    let pair = |step| {
        read(2 << 20, 4 << 20);
        touch(step);
    };
    median("read 2 MiB, a byte a page", || pair(4096), 30);
    median("stat by number", || drop(std::hint::black_box(fs.attr(ino))), 10_000);
    let reopen = || {
        fs.open_file(ino, libc::O_RDONLY, 5).expect("it opens");
        fs.release(5);
    };
    median("open + release", reopen, 10_000);
    median("resolve", || drop(fs.resolve(Ino::ROOT, b"f", flac::fs::names::Last::Follow, &WHO)), 10_000);
    let create = || {
        let name = Name::new(b"g").expect("a name");
        fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
        fs.unlink(Ino::ROOT, &name, &WHO).expect("it goes");
    };
    median("create + unlink", create, 2_000);
    fs.exit();
    if let Ok(dram) = std::fs::read_link(fs.run_dir().join("dram")) {
        let _ = std::fs::remove_file(dram);
    }
    let _ = std::fs::remove_dir_all(fs.run_dir());
}
