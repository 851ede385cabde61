//! What do flushes of several files at once gain, each by a thread of its own, against one after the other?
//!
//! Bound: what the device takes. Flushes of different files share nothing while they write. On a disk one stream of large writes is nearly as fast as several; on persistent
//! memory a flush is copies and checksums by the processor, and as many as there are processors should run side by side.
//!
//! The same 64 MiB (`--mb 256`: as many as that) lie in 1, 2, 4 and 8 files. `floor`: one thread writes as many from memory of the same kind past the page cache
//! to space that was written before, 1 MiB at a time (the same mebibyte each time would take two thirds of the time: the machine's host has it in its cache). `below`: the file system's
//! own fsync of one file that was overwritten.
//!
//! Run: `cargo bench --bench flush_files` (the disk is that of `FLAC_BENCH_DIR`, default the temporary one); `-- --test` checks results quickly.

use flac::fs::attr::Creds;
use flac::fs::names::Name;
use flac::media::{Medium, Pool, PoolOptions};
use flac::{Config, Fs};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
const PIECE: usize = 1 << 20;
const COUNTS: [u64; 4] = [1, 2, 4, 8];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rounds = if args.iter().any(|a| a == "--test") { 1 } else { 9 };
    let mb = args.iter().position(|a| a == "--mb").map_or(64, |at| args[at + 1].parse().expect("a number"));
    let bytes = mb << 20;
    let base = std::env::var_os("FLAC_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    for (what, dir, medium) in [("a mapped medium", Path::new("/dev/shm"), Some(Medium::DaxEmulated)), ("disk", &base, None)] {
        let dir = tempfile::tempdir_in(dir).expect("a directory");
        let pool = dir.path().join("pool");
        Pool::create(&pool, &PoolOptions { size: 16 * bytes, medium, ..Default::default() }).expect("a pool");
        let fs = Fs::open(&Config { dram: Some(8 * bytes), ..Config::new(&pool) }).expect("the pool opens");
        let mut rates: Vec<Vec<f64>> = COUNTS.map(|_| Vec::new()).into();
        let (mut floor, mut below) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            for (count, rates) in COUNTS.into_iter().zip(&mut rates) {
                let rate = flush(&fs, bytes, count, round as u8);
                // The first round has frames that were never used.
                rates.extend((round > 0).then_some(rate));
            }
            if medium.is_none() {
                floor.extend((round > 0).then(|| direct(&dir.path().join("beside"), bytes)));
                below.push(cached(&dir.path().join("below"), bytes, round as u8));
            }
        }
        let median = |rates: &mut Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            rates.get(rates.len() / 2).copied().unwrap_or(0.0)
        };
        for (count, rates) in COUNTS.iter().zip(&mut rates) {
            println!("flushes at once, pool on {what}: {count} files {:>7.0} MB/s", median(rates));
        }
        if medium.is_none() {
            println!("floor: {:>7.0} MB/s", median(&mut floor));
            println!("below: {:>7.0} MB/s", median(&mut below));
        }
        fs.exit();
        let state = flac::fs::admin::Volatile::of(&pool).expect("a pool").expect("its state");
        state.remove(state.lock().expect("the lock")).expect("removed");
    }
}

fn rate(begun: Instant, bytes: u64) -> f64 {
    bytes as f64 / begun.elapsed().as_secs_f64() / 1e6
}

/// Changes all of `count` files and flushes them at once; MB/s of the flushes.
fn flush(fs: &Fs, bytes: u64, count: u64, round: u8) -> f64 {
    let root = flac::units::Ino::ROOT;
    let files: Vec<_> = (1..=count as usize)
        .map(|hold| {
            let name = format!("{count}-{hold}-{round}");
            let ino = fs.create(root, &Name::new(name.as_bytes()).expect("a name"), libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
            let id = fs.open_file(ino, libc::O_RDWR, hold).expect("it opens");
            let piece = vec![round; PIECE];
            (0..bytes / count).step_by(PIECE).for_each(|at| fs.write_bytes(id, &piece, at).expect("a write"));
            (name, ino, id, hold)
        })
        .collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        files.iter().for_each(|(_, ino, ..)| _ = scope.spawn(|| fs.sync(*ino).expect("a sync")));
    });
    let rate = rate(begun, bytes);
    for (name, _, id, hold) in &files {
        let mut back = [0; 4096];
        assert_eq!(fs.read_bytes(*id, &mut back, bytes / count - 4096), Ok(4096));
        assert_eq!(back, [round; 4096]);
        fs.release(*hold);
        fs.unlink(root, &Name::new(name.as_bytes()).expect("a name"), &WHO).expect("removed");
    }
    rate
}

/// What the disk takes, MB/s.
fn direct(path: &Path, bytes: u64) -> f64 {
    let memory = vec![1; bytes as usize + 4096];
    let memory = &memory[memory.as_ptr().align_offset(4096)..][..bytes as usize];
    if !path.exists() {
        std::fs::write(path, memory).and_then(|()| std::fs::File::open(path)?.sync_all()).expect("a file");
    }
    let file = std::fs::File::options().write(true).custom_flags(libc::O_DIRECT).open(path).expect("it opens");
    let begun = Instant::now();
    (0..).step_by(PIECE).zip(memory.chunks(PIECE)).for_each(|(at, piece)| file.write_all_at(piece, at).expect("a write"));
    file.sync_data().expect("a flush");
    rate(begun, bytes)
}

/// MB/s of the fsync of a file that was overwritten.
fn cached(path: &Path, bytes: u64, round: u8) -> f64 {
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(path).expect("it opens");
    let piece = vec![round; PIECE];
    (0..bytes).step_by(PIECE).for_each(|at| file.write_all_at(&piece, at).expect("a write"));
    let begun = Instant::now();
    file.sync_all().expect("a sync");
    rate(begun, bytes)
}
