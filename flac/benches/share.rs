//! What does a `read` + `write` pair cost when the pages are attached and shared, against copying both ways? Nanoseconds per pair, medians, interleaved.
//!
//! Bound: two system calls to the kernel for the question (0.6 + 1 us) and one `mmap` (2 us) for any size; by page, two reference counts and two table
//! entries (some 20 ns), where a copy moves 4 KiB twice (280 ns).
#![expect(unsafe_code, reason = "read and write take raw buffers")]

use flac::fs::attr::Creds;
use flac::fs::names::Name;
use flac::fs::open::OpenId;
use flac::media::{Pool, PoolOptions};
use flac::units::Ino;
use flac::{Config, Fs};
use std::time::Instant;

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
const FILE: u64 = 64 << 20;

struct Side {
    fs: Fs,
    _dir: tempfile::TempDir,
    from: OpenId,
    to: OpenId,
    buffer: *mut u8,
}

impl Side {
    fn new(attach: bool) -> Side {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Pool::create(dir.path(), &PoolOptions { size: 4 << 30, ..Default::default() }).expect("a pool");
        let mut config = Config::new(dir.path());
        config.dram = Some(512 << 20);
        config.attach = attach;
        let fs = Fs::open(&config).expect("it opens");
        let file = |name: &str, hold| {
            let name = Name::new(name.as_bytes()).expect("a name");
            let ino = fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
            fs.open_file(ino, libc::O_RDWR, hold).expect("it opens")
        };
        let (from, to) = (file("a", 0), file("b", 1));
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping where the kernel chooses.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), 6 << 20, prot, flags, -1, 0) };
        let buffer = map.map_addr(|a| a.next_multiple_of(2 << 20)).cast();
        let side = Side { fs, _dir: dir, from, to, buffer };
        (0..FILE >> 21).for_each(|i| side.write(side.from, 2 << 20, i << 21));
        (0..FILE >> 21).for_each(|i| side.write(side.to, 2 << 20, i << 21));
        // SAFETY: inside the mapping; as fresh as at first.
        unsafe { libc::madvise(side.buffer.cast(), 4 << 20, libc::MADV_DONTNEED) };
        side
    }

    fn write(&self, id: OpenId, len: usize, at: u64) {
        let iov = [libc::iovec { iov_base: self.buffer.cast(), iov_len: len }];
        // SAFETY: the vector lies in the buffer.
        assert_eq!(unsafe { self.fs.write(id, &iov, Some(at)) }, Ok(len));
    }

    fn read(&self, len: usize, at: u64) {
        let iov = [libc::iovec { iov_base: self.buffer.cast(), iov_len: len }];
        // SAFETY: as above.
        assert_eq!(unsafe { self.fs.read(self.from, &iov, Some(at)) }, Ok(len));
    }

    /// Nanoseconds of a pass over the file in pairs of `len`: the reads, the writes.
    fn pass(&self, len: usize) -> (f64, f64) {
        let (mut reads, mut writes) = (0, 0);
        let count = FILE / len as u64;
        for at in (0..count).map(|i| i * len as u64) {
            let start = Instant::now();
            self.read(len, at);
            let between = Instant::now();
            self.write(self.to, len, at);
            (reads, writes) = (reads + (between - start).as_nanos(), writes + between.elapsed().as_nanos());
        }
        (reads as f64 / count as f64, writes as f64 / count as f64)
    }
}

fn main() {
    let sides = [Side::new(true), Side::new(false)];
    println!("huge frames: {}", sides[0].fs.has_huge_frames());
    println!("{:>8} {:>10} {:>10} | {:>10} {:>10}   ns", "bytes", "attach", "share", "copy out", "copy in");
    for len in [64 << 10, 128 << 10, 256 << 10, 1 << 20, 2 << 20] {
        let mut all: Vec<Vec<f64>> = vec![Vec::new(); 4];
        for _ in 0..15 {
            for (i, side) in sides.iter().enumerate() {
                let (r, w) = side.pass(len);
                all[2 * i].push(r);
                all[2 * i + 1].push(w);
            }
        }
        all.iter_mut().for_each(|v| v.sort_by(f64::total_cmp));
        let m: Vec<f64> = all.iter().map(|v| v[v.len() / 2]).collect();
        println!("{len:>8} {:>10.0} {:>10.0} | {:>10.0} {:>10.0}", m[0], m[1], m[2], m[3]);
    }
    for side in &sides {
        side.fs.exit();
        if let Ok(dram) = std::fs::read_link(side.fs.run_dir().join("dram")) {
            let _ = std::fs::remove_file(dram);
        }
        let _ = std::fs::remove_dir_all(side.fs.run_dir());
    }
}
