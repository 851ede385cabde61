//! How long does a pool of a million files and 10 GB take to open after a power cut, and how long does a checkpoint of it stop a writer?
//!
//! Bound: the checkpoint (200 MB) is read and checked (0.1 s) and put into LMDB in order (3 million pairs at 0.2 us), whose pages must be had from the kernel
//! (80,000 faults at 1 us); no data is read. A checkpoint is the same backwards; it is written from a snapshot, and stops nobody but who writes it.
//!
//! Run: `cargo bench --bench recovery` (in the directory `FLAC_BENCH_DIR`, default the temporary one; needs 12 GB there); `-- --test` with few files.

use flac::fs::admin::Volatile;
use flac::fs::attr::{Attr, Creds};
use flac::fs::names::Name;
use flac::fs::record::{Dirent, Extent, Inode, NameKey, encode_extents, extent_key, inode_key};
use flac::media::{Pool, PoolOptions};
use flac::metalog::{LogShared, Meta};
use flac::units::{Ino, PageNo, PoolFrame};
use flac::{Config, Fs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
/// Files in a directory, and pages in a file: together 10.4 GB in a million.
const IN_DIR: u64 = 1000;
const PAGES: u64 = 3;

fn open(pool: &Path) -> Fs {
    let mut config = Config::new(pool);
    config.dram = Some(256 << 20);
    Fs::open(&config).expect("the pool opens")
}

/// Removes what a power cut would.
fn cut(pool: &Path) {
    let state = Volatile::of(pool).expect("a pool").expect("its state");
    state.remove(state.lock().expect("the lock")).expect("removed");
}

/// Adds so many files to the pool, whose frames are backed but never written.
fn fill(pool: &Path, run: &Path, files: u64) {
    let opened = Pool::open(pool).expect("a pool");
    let frames = std::fs::File::options().write(true).open(pool.join("frames")).expect("the frames");
    rustix::fs::fallocate(&frames, rustix::fs::FallocateFlags::empty(), 0, (files * PAGES + 1) * 4096).expect("space");
    let shared: &'static LogShared = Box::leak(Box::default());
    let meta = Meta::open(&opened, run, shared, Arc::new(flac::sync::ByPid)).expect("a metalog");
    let snapshot = meta.read().expect("a snapshot");
    let root = Inode::load(&snapshot, Ino::ROOT).expect("a root").expect("a root");
    drop(snapshot);
    let first = 1000;
    let zeros = crc32c::crc32c(&[0; 4096]);
    for dir in 0..files.div_ceil(IN_DIR) {
        let mut txn = meta.begin().expect("a transaction");
        let ino = Ino::new(first + dir * (IN_DIR + 1));
        let name = format!("dir{dir}");
        txn.put(&inode_key(ino), &Inode { attr: Attr { ino, ..root.attr }, flags: 0 }.encode()).expect("a put");
        txn.put(NameKey::dirent(Ino::ROOT, name.as_bytes()).bytes(), &Dirent::new(ino, libc::S_IFDIR).encode()).expect("a put");
        txn.put(&flac::fs::record::place_key(ino), &flac::fs::record::encode_place(Ino::ROOT, name.as_bytes())).expect("a put");
        for i in 0..IN_DIR.min(files - dir * IN_DIR) {
            let file = Ino::new(ino.get() + 1 + i);
            let attr = Attr { ino: file, mode: libc::S_IFREG | 0o644, nlink: 1, size: PAGES * 4096, pages: PAGES, ..root.attr };
            txn.put(&inode_key(file), &Inode { attr, flags: 0 }.encode()).expect("a put");
            let key = NameKey::dirent(ino, format!("a file of the benchmark {i}").as_bytes());
            txn.put(key.bytes(), &Dirent::new(file, libc::S_IFREG).encode()).expect("a put");
            let frame = ((dir * IN_DIR + i) * PAGES) as u32;
            let extents: Vec<_> = (0..PAGES as u32).map(|p| Some(Extent { frame: PoolFrame::new(frame + p), crc: zeros })).collect();
            txn.put(&extent_key(file, PageNo::new(0)), &encode_extents(&extents)).expect("a put");
        }
        txn.commit().expect("a commit");
        if meta.checkpoint_due() {
            meta.checkpoint().expect("a checkpoint");
        }
    }
    meta.checkpoint().expect("a checkpoint");
}

/// Creates files until told to stop; how long one took.
fn longest(fs: &Fs, prefix: &str, until: impl Fn(u64) -> bool) -> String {
    let mut times = Vec::new();
    while !until(times.len() as u64) {
        let name = Name::new(format!("{prefix}{}", times.len()).as_bytes()).expect("a name");
        let begun = Instant::now();
        fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
        times.push(begun.elapsed());
    }
    times.sort();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last()).map_or(0.0, |t| t.as_secs_f64() * 1e3);
    let over = times.iter().filter(|t| **t > Duration::from_millis(10)).count();
    format!("{} files made, ms: median {:.3}, 99.9 % {:.3}, longest {:.2}; {over} above 10", times.len(), at(0.5), at(0.999), at(1.0))
}

fn main() {
    let files = if std::env::args().any(|a| a == "--test") { 3000 } else { 1_000_000 };
    let base = std::env::var_os("FLAC_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let disk = tempfile::tempdir_in(base).expect("a directory on the disk");
    let pool = disk.path().join("pool");
    Pool::create(&pool, &PoolOptions { size: 12 << 30, ..Default::default() }).expect("a pool");
    let fs = open(&pool);
    fs.sync_all().expect("a sync");
    fs.exit();
    drop(fs);
    cut(&pool);
    let run = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    let begun = Instant::now();
    fill(&pool, run.path(), files);
    println!("made {files} files in {:.1} s", begun.elapsed().as_secs_f64());
    drop(run);
    for round in 0..3 {
        let begun = Instant::now();
        let fs = open(&pool);
        println!("open after a power cut: {:.2} s", begun.elapsed().as_secs_f64());
        if round < 2 {
            fs.exit();
            drop(fs);
            cut(&pool);
            continue;
        }
        // Few enough for the log to have room.
        let idle = longest(&fs, "idle", |count| count == 20_000.min(files));
        println!("no checkpoint: {idle}");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let begun = Instant::now();
                fs.checkpoint().expect("a checkpoint");
                println!("a checkpoint: {:.2} s", begun.elapsed().as_secs_f64());
                done.store(true, Ordering::Release);
            });
            println!("during it: {}", longest(&fs, "busy", |_| done.load(Ordering::Acquire)));
        });
        fs.exit();
        drop(fs);
        cut(&pool);
    }
}
