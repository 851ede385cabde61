//! What does a cold file cost on a disk? MB/s of 300 MB read in a row by a program that works for some microseconds on each 128 KiB, and microseconds for a read of 4 KiB at random; medians of rounds
//! interleaved with the same file on the disk's own file system.
//!
//! Bound: a program that works while the disk does takes the longer of the two times, one that waits their sum. The last columns are these bounds for FLAC, from the disk's own speed in the same
//! round (2 MiB at a time, past the cache) and the work: what is faster than the sum has been read while the program worked. On a disk above 1 GB/s FLAC does not read ahead and comes to the sum at
//! best, see ARCHITECTURE.md; a slower one is had by a cgroup's limit.
//!
//! `cargo bench -p flac --bench cold -- DIRECTORY` looks at the disk below DIRECTORY; else at that of the temporary directory.
#![expect(unsafe_code, reason = "read takes raw buffers")]

use flac::fs::attr::Creds;
use flac::fs::names::Name;
use flac::fs::open::OpenId;
use flac::media::{Pool, PoolOptions};
use flac::units::Ino;
use flac::{Config, Fs};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
const PIECE: usize = 128 << 10;
const RANDOM: u64 = 200;

/// Fills a buffer from an offset on.
type Read<'a> = dyn FnMut(&mut [u8], u64) + 'a;

/// A pool with a file, and the same file beside it.
struct Place {
    dir: tempfile::TempDir,
    size: u64,
    ino: Ino,
}

impl Place {
    fn new(below: &Path, size: u64) -> Place {
        let dir = tempfile::tempdir_in(below).expect("a directory on the disk");
        Pool::create(&dir.path().join("pool"), &PoolOptions { size: size * 2, medium: None, model: None }).expect("a pool");
        let fs = open(dir.path(), size);
        let ino = fs.create(Ino::ROOT, &Name::new(b"a").expect("a name"), libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
        let id = fs.open_file(ino, libc::O_RDWR, 0).expect("it opens");
        let beside = File::create(dir.path().join("beside")).expect("a file");
        let mut x = 1u64;
        for at in (0..size).step_by(PIECE) {
            let piece: Vec<u8> = (0..PIECE / 8)
                .flat_map(|_| {
                    x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    x.to_le_bytes()
                })
                .collect();
            fs.write_bytes(id, &piece, at).expect("a write");
            beside.write_all_at(&piece, at).expect("a write");
        }
        fs.sync(ino).expect("durable");
        beside.sync_all().expect("durable");
        leave(&fs);
        Place { dir, size, ino }
    }

    fn beside(&self) -> PathBuf {
        self.dir.path().join("beside")
    }

    /// Nobody has the files in memory.
    fn cool(&self) {
        for path in [self.beside(), self.dir.path().join("pool/frames")] {
            let file = File::open(path).expect("it opens");
            // SAFETY: advice about an open file.
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        }
    }
}

fn open(dir: &Path, size: u64) -> Fs {
    Fs::open(&Config { dram: Some(size + (64 << 20)), ..Config::new(dir.join("pool")) }).expect("it opens")
}

fn leave(fs: &Fs) {
    fs.exit();
    if let Ok(dram) = std::fs::read_link(fs.run_dir().join("dram")) {
        let _ = std::fs::remove_file(dram);
    }
    std::fs::remove_dir_all(fs.run_dir()).expect("the run directory goes");
}

fn read_flac(fs: &Fs, id: OpenId, to: &mut [u8], at: u64) {
    let iov = [libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() }];
    // SAFETY: the vector describes `to`.
    assert_eq!(unsafe { fs.read(id, &iov, Some(at)) }, Ok(to.len()));
}

fn in_a_row(size: u64, work: Duration, mut read: impl FnMut(&mut [u8], u64)) -> f64 {
    let mut buffer = vec![1; PIECE];
    let start = Instant::now();
    for at in (0..size).step_by(PIECE) {
        read(&mut buffer, at);
        let working = Instant::now();
        while working.elapsed() < work {
            std::hint::spin_loop();
        }
    }
    start.elapsed().as_secs_f64()
}

fn at_random(size: u64, seed: u64, mut read: impl FnMut(&mut [u8], u64)) -> f64 {
    let mut buffer = vec![1; 4096];
    let mut x = seed;
    let start = Instant::now();
    for _ in 0..RANDOM {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        read(&mut buffer, (x >> 33) % (size / 4096) * 4096);
    }
    start.elapsed().as_secs_f64()
}

/// Seconds that the disk itself takes for the file.
fn disk(place: &Place) -> f64 {
    let file = File::options().read(true).custom_flags(libc::O_DIRECT).open(place.beside()).expect("it opens");
    let mut buffer = vec![1u8; (2 << 20) + 4096];
    let skip = buffer.as_ptr().align_offset(4096);
    let start = Instant::now();
    let mut at = 0;
    while at < place.size {
        at += file.read_at(&mut buffer[skip..skip + (2 << 20)], at).expect("a read") as u64;
    }
    start.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let quick = args.iter().any(|a| a == "--test");
    let below = args.iter().find(|a| !a.starts_with("--")).map_or_else(std::env::temp_dir, PathBuf::from);
    let (size, rounds) = if quick { (8 << 20, 1) } else { (300 << 20, 5) };
    let place = Place::new(&below, size);
    let file = || File::open(place.beside()).expect("it opens");
    let through_flac = |measure: &dyn Fn(&mut Read<'_>) -> f64| {
        place.cool();
        let fs = open(place.dir.path(), size);
        let id = fs.open_file(place.ino, libc::O_RDONLY, 0).expect("it opens");
        let time = measure(&mut |to, at| read_flac(&fs, id, to, at));
        leave(&fs);
        time
    };
    println!("{:<34}{:>10}{:>14}{:>16}{:>16}{:>10}", "cold", "FLAC", "file system", "bound, at once", "bound, in turn", "disk");
    for work in [0, 100, 300, 1000] {
        let work = Duration::from_micros(work);
        let mut times = [vec![], vec![], vec![], vec![], vec![]];
        for _ in 0..rounds {
            times[0].push(through_flac(&|read| in_a_row(size, work, read)));
            place.cool();
            let file = file();
            times[1].push(in_a_row(size, work, |to, at| file.read_exact_at(to, at).expect("a read")));
            place.cool();
            let (disk, working) = (disk(&place), work.as_secs_f64() * (size / PIECE as u64) as f64);
            times[2].push(disk.max(working));
            times[3].push(disk + working);
            times[4].push(disk);
        }
        let [flac, rival, at_once, in_turn, disk] = times.map(|t| size as f64 / 1e6 / median(t));
        let name = format!("in a row, work {} us, MB/s", work.as_micros());
        println!("{name:<34}{flac:>10.0}{rival:>14.0}{at_once:>16.0}{in_turn:>16.0}{disk:>10.0}");
    }
    let mut times = [vec![], vec![]];
    for round in 0..rounds {
        times[0].push(through_flac(&|read| at_random(size, round, read)));
        place.cool();
        let file = file();
        times[1].push(at_random(size, round, |to, at| file.read_exact_at(to, at).expect("a read")));
    }
    let [flac, rival] = times.map(|t| median(t) * 1e6 / RANDOM as f64);
    println!("{:<34}{flac:>10.0}{rival:>14.0}", "4 KiB at random, us");
}
