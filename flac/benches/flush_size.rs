//! What does fsync of one changed page cost in a file of 1 MB, and what in one of 10 GB?
//!
//! Bound: the same. A flush looks at what is dirty: some 10 words on the way from the root of the page table to the page. Without marks it looked at every entry that
//! is loaded: at 10 GB 2.6 million, 20 MB of memory.
//!
//! Run: `cargo bench --bench flush_size` (the disk is that of `FLAC_BENCH_DIR`, default the temporary one); `-- --test` checks results quickly.

use flac::fs::attr::Creds;
use flac::fs::names::Name;
use flac::fs::open::OpenId;
use flac::media::{Medium, Pool, PoolOptions};
use flac::units::Ino;
use flac::{Config, Fs};
use std::path::{Path, PathBuf};
use std::time::Instant;

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
const SIZES: [(&str, u64); 4] = [("1 MB", 1 << 20), ("100 MB", 100 << 20), ("1 GB", 1 << 30), ("10 GB", 10 << 30)];
/// One page in each of these is there, so that every leaf of the page table is.
const LEAF: u64 = 2 << 20;

fn main() {
    let rounds = if std::env::args().any(|a| a == "--test") { 20 } else { 1000 };
    let base = std::env::var_os("FLAC_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    for (what, dir, medium) in [("memory", Path::new("/dev/shm"), Some(Medium::Memory)), ("disk", &base, None)] {
        let dir = tempfile::tempdir_in(dir).expect("a directory");
        let pool = dir.path().join("pool");
        Pool::create(&pool, &PoolOptions { size: 256 << 20, medium, ..Default::default() }).expect("a pool");
        let mut config = Config::new(&pool);
        config.dram = Some(256 << 20);
        let fs = Fs::open(&config).expect("the pool opens");
        measure(&fs, what, rounds);
        fs.exit();
        let state = flac::fs::admin::Volatile::of(&pool).expect("a pool").expect("its state");
        state.remove(state.lock().expect("the lock")).expect("removed");
    }
}

/// A file of `size` bytes, every leaf of its table loaded and clean.
fn file(fs: &Fs, name: &str, size: u64, hold: usize) -> (Ino, OpenId) {
    let name = Name::new(name.as_bytes()).expect("a name");
    let ino = fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
    let id = fs.open_file(ino, libc::O_RDWR, hold).expect("it opens");
    fs.truncate(ino, size).expect("a size");
    for at in (0..size).step_by(LEAF as usize) {
        fs.write_bytes(id, &[1; 4096], at).expect("a write");
    }
    fs.sync(ino).expect("a sync");
    (ino, id)
}

fn measure(fs: &Fs, what: &str, rounds: usize) {
    let files: Vec<_> = SIZES.iter().zip(1..).map(|((name, size), hold)| file(fs, name, *size, hold)).collect();
    let mut times = SIZES.map(|_| Vec::with_capacity(rounds));
    for round in 0..rounds as u64 {
        for (((_, size), (ino, id)), times) in SIZES.iter().zip(&files).zip(&mut times) {
            // Here and there, by steps that have no divisor with the number of leaves.
            let at = round * 7919 % (size / LEAF).max(1) * LEAF;
            fs.write_bytes(*id, &[round as u8; 4096], at).expect("a write");
            let begun = Instant::now();
            fs.sync(*ino).expect("a sync");
            times.push(begun.elapsed().as_secs_f64() * 1e6);
            let mut back = [0; 4096];
            assert_eq!(fs.read_bytes(*id, &mut back, at), Ok(4096));
            assert_eq!(back, [round as u8; 4096]);
        }
    }
    for ((name, _), mut times) in SIZES.iter().zip(times) {
        times.sort_by(f64::total_cmp);
        println!(
            "fsync of one page, pool in {what:<6}, file of {name:>6}: {:>9.1} us median, {:>9.1} us 99 %",
            times[rounds / 2],
            times[rounds * 99 / 100]
        );
    }
}
