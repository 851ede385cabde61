//! What does a miss of 2 MiB cost when the pages are shown where they lie in the pool, against loading them into DRAM first? Microseconds, medians of interleaved rounds,
//! with the cost of an Intel Optane DC module injected (see `media::Model`).
//!
//! Bound: at 6.6 GB/s the device reads 2 MiB in 318 us; a load adds a checksum (some 100 us) and 512 stores to DRAM. Showing the pages costs one `mmap` (2 us) and 512 counts. The
//! program then pays for what it touches: its own faults are real here, the device's time for the bytes touched is added by [`Model::charge_read`].
#![expect(unsafe_code, reason = "read takes raw buffers")]

use flac::fs::attr::Creds;
use flac::fs::names::Name;
use flac::fs::open::OpenId;
use flac::media::{Model, Pool, PoolOptions};
use flac::units::Ino;
use flac::{Config, Fs};
use std::time::Instant;

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
const PIECE: usize = 2 << 20;
const DEVICE: Model = Model::OptaneDcPmm;

/// What the program does with the data.
#[derive(Clone, Copy)]
enum Touch {
    Nothing,
    BytePerPage,
    All,
}

struct Place {
    fs: Fs,
    dir: tempfile::TempDir,
    ino: Ino,
}

impl Place {
    fn new(pieces: usize) -> Place {
        let dir = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
        let size = (pieces * PIECE * 3 / 2) as u64;
        Pool::create(dir.path(), &PoolOptions { size: size * 2, medium: None, model: Some(DEVICE) }).expect("a pool");
        let fs = open(dir.path(), size);
        let name = Name::new(b"a").expect("a name");
        let ino = fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
        let id = fs.open_file(ino, libc::O_RDWR, 0).expect("it opens");
        let piece: Vec<u8> = (0..PIECE).map(|i| (i / 4096 + i) as u8).collect();
        (0..pieces).for_each(|i| fs.write_bytes(id, &piece, (i * PIECE) as u64).expect("a write"));
        fs.sync(ino).expect("it is durable");
        Place { fs, dir, ino }
    }

    /// Only the pool has the file then.
    fn cool(mut self) -> Place {
        self.leave();
        let fs = open(self.dir.path(), self.fs.dram_bytes().0);
        std::mem::forget(std::mem::replace(&mut self.fs, fs));
        // The DRAM tier has been used before, as it has in a machine at work: otherwise a load pays for the kernel's allocation of its pages.
        let name = Name::new(b"warm").expect("a name");
        let ino = self.fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
        let id = self.fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
        let piece = vec![1; PIECE];
        let pieces = self.fs.dram_bytes().0 as usize / PIECE - 2;
        (0..pieces).for_each(|i| self.fs.write_bytes(id, &piece, (i * PIECE) as u64).expect("a write"));
        self.fs.truncate(ino, 0).expect("it is cut");
        self
    }

    fn leave(&self) {
        self.fs.exit();
        if let Ok(dram) = std::fs::read_link(self.fs.run_dir().join("dram")) {
            let _ = std::fs::remove_file(dram);
        }
        std::fs::remove_dir_all(self.fs.run_dir()).expect("the run directory goes");
    }
}

fn open(dir: &std::path::Path, dram: u64) -> Fs {
    Fs::open(&Config { dram: Some(dram), ..Config::new(dir) }).expect("it opens")
}

/// Fresh memory, 2 MiB-aligned.
fn fresh() -> *mut u8 {
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping where the kernel chooses.
    let map = unsafe { libc::mmap(std::ptr::null_mut(), 2 * PIECE, prot, flags, -1, 0) };
    assert_ne!(map, libc::MAP_FAILED);
    map.map_addr(|a| a.next_multiple_of(PIECE)).cast()
}

/// One miss, in microseconds: until the read returned, and until the program had touched its data.
fn miss(place: &Place, id: OpenId, at: u64, load: bool, touch: Touch) -> [f64; 2] {
    let to = fresh();
    let start = Instant::now();
    if load {
        assert_eq!(place.fs.load(place.ino, at, PIECE as u64), Ok(512));
    }
    let iov = [libc::iovec { iov_base: to.cast(), iov_len: PIECE }];
    // SAFETY: fresh memory of that length.
    assert_eq!(unsafe { place.fs.read(id, &iov, Some(at)) }, Ok(PIECE));
    let returned = start.elapsed();
    let touching = Instant::now();
    // SAFETY: as above, filled by the read.
    let bytes = unsafe { std::slice::from_raw_parts(to, PIECE) };
    let (step, moved) = match touch {
        Touch::Nothing => (PIECE, 0),
        Touch::BytePerPage => (4096, 512 * 64),
        Touch::All => (64, PIECE),
    };
    let sum: u64 = bytes.iter().step_by(step).map(|b| *b as u64).sum();
    std::hint::black_box(sum);
    if !load && moved > 0 {
        // The device's time for what was touched, which ordinary memory did not take: a line of 64 bytes at random, or all in a row.
        match touch {
            Touch::All => DEVICE.charge_read(touching, PIECE),
            _ => (0..512).for_each(|_| DEVICE.charge_read(Instant::now(), 64)),
        }
    }
    let touched = start.elapsed();
    place.fs.unmapped(to.addr(), PIECE);
    // SAFETY: the mapping made by `fresh` lies around it; nothing refers to it any more. What is below or above it stays until the end.
    unsafe { libc::munmap(to.cast(), PIECE) };
    [returned, touched].map(|t| t.as_secs_f64() * 1e6)
}

fn main() {
    let pieces = if std::env::args().any(|a| a == "--test") { 4 } else { 64 };
    let touches = [("nothing", Touch::Nothing), ("one byte a page", Touch::BytePerPage), ("all bytes", Touch::All)];
    println!("{:<18}{:>22}{:>22}", "2 MiB, touched:", "shown in place", "loaded first");
    for (name, touch) in touches {
        let place = Place::new(pieces).cool();
        let id = place.fs.open_file(place.ino, libc::O_RDONLY, 0).expect("it opens");
        let mut times = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
        for i in 0..pieces {
            // Each piece is missed once: even ones one way, odd ones the other.
            let load = i % 2;
            let [returned, touched] = miss(&place, id, (i * PIECE) as u64, load == 1, touch);
            times[load][0].push(returned);
            times[load][1].push(touched);
        }
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let [mut shown, mut loaded] = times.map(|mut kind| [median(&mut kind[0]), median(&mut kind[1])]);
        let show = |t: &mut [f64; 2]| format!("{:.0} ({:.0} returned)", t[1], t[0]);
        println!("{name:<18}{:>22}{:>22}", show(&mut shown), show(&mut loaded));
        place.leave();
    }
}
