//! A pool of so many files of three pages each, in directories of 1000, made without writing their data; the first opening writes zeros for them.

use flac::fs::admin::Volatile;
use flac::fs::attr::Attr;
use flac::fs::record::{Dirent, Extent, Inode, NameKey, encode_extents, extent_key, inode_key};
use flac::media::{Pool, PoolOptions};
use flac::metalog::{LogShared, Meta};
use flac::units::{Ino, PageNo, PoolFrame};
use flac::{Config, Fs};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Files in a directory, and pages in a file: together 10.4 GB in a million.
const IN_DIR: u64 = 1000;
const PAGES: u64 = 3;

/// Opens the pool with a small cache.
pub fn open(pool: &Path) -> Fs {
    let mut config = Config::new(pool);
    config.dram = Some(256 << 20);
    Fs::open(&config).expect("the pool opens")
}

/// Removes what a power cut would.
pub fn cut(pool: &Path) {
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
    let snapshot = meta.settled().expect("a snapshot");
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

/// Makes the pool.
pub fn make(pool: &Path, files: u64) {
    Pool::create(pool, &PoolOptions { size: 12 << 30, ..Default::default() }).expect("a pool");
    let fs = open(pool);
    fs.sync_all().expect("a sync");
    fs.exit();
    drop(fs);
    cut(pool);
    let run = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    let begun = Instant::now();
    fill(pool, run.path(), files);
    println!("made {files} files in {:.1} s", begun.elapsed().as_secs_f64());
}
