//! What does a metadata change cost, volatile and durable, against ext4 append + fsync?
//!
//! Bound: a read is a B-tree walk of three levels in the cache (~0.3 us). A change of three keys is a record (~0.1 us), three entries in the memtable, and its share of a fold: three
//! changes of the B-tree in key order (~0.1 us each). A sync is one write and one flush of the device, as ext4's fdatasync of overwritten blocks; an append to a file needs a journal commit too.
//!
//! Run: `cargo bench --bench metalog` (the pool lies in the directory `FLAC_BENCH_DIR`, default the temporary one); `-- --test` checks results quickly.

use flac::media::{Pool, PoolOptions};
use flac::metalog::{LogShared, Meta};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Runs `f` `n` times in five rounds; prints and gives the median round's microseconds per call.
fn measure(what: &str, n: usize, mut f: impl FnMut(usize)) -> f64 {
    let mut rounds: Vec<f64> = (0..5)
        .map(|round| {
            let begun = Instant::now();
            (0..n).for_each(|i| f(round * n + i));
            begun.elapsed().as_secs_f64() * 1e6 / n as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{what:<58} {:>10.2} us", rounds[2]);
    rounds[2]
}

fn change(meta: &Meta, i: usize) -> flac::units::Seq {
    let mut txn = meta.begin().expect("a transaction");
    let ino = (i as u64).to_be_bytes();
    txn.put(&[&b"i"[..], &ino].concat(), &[1; 80]).expect("a put");
    txn.put(&[&b"d"[..], &[0; 8], format!("name{i}").as_bytes()].concat(), &ino).expect("a put");
    txn.put(b"parent", &ino).expect("a put");
    let seq = txn.commit().expect("a commit");
    if meta.checkpoint_due() {
        meta.checkpoint().expect("a checkpoint");
    }
    seq
}

fn open(pool: &Path, run: &Path) -> Meta {
    let shared: &'static LogShared = Box::leak(Box::default());
    Meta::open(&Pool::open(pool).expect("a pool"), run, shared, Arc::new(flac::sync::ByPid)).expect("a metalog")
}

fn main() {
    let scale = if std::env::args().any(|a| a == "--test") { 100 } else { 1 };
    let base = std::env::var_os("FLAC_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let disk = tempfile::tempdir_in(base).expect("a directory on the disk");
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory in memory");
    let (pool, run) = (disk.path().join("pool"), memory.path().join("run"));
    std::fs::create_dir(&run).expect("a run directory");
    Pool::create(&pool, &PoolOptions { size: 1 << 30, ..Default::default() }).expect("a pool");
    let meta = open(&pool, &run);
    let changes = 20_000 / scale;

    measure("begin + 3 puts + commit", changes, |i| {
        black_box(change(&meta, i));
    });
    let reads = 200_000 / scale;
    measure("snapshot + get", reads, |i| {
        let ino = (i % (5 * changes)) as u64;
        let key = [&b"i"[..], &ino.to_be_bytes()].concat();
        assert!(meta.view(|view| Ok(black_box(view.get(&key)?).is_some())).expect("a get"));
    });
    measure("snapshot + get of the same key", reads, |_| {
        assert!(meta.view(|view| Ok(black_box(view.get(b"parent")?).is_some())).expect("a get"));
    });
    measure("last_seq", reads, |_| {
        black_box(meta.last_seq());
    });

    let mut appended = std::fs::File::create(disk.path().join("appended")).expect("a file");
    let overwritten = overwritten(&disk.path().join("overwritten"));
    let [durable, fsync, fdatasync] = interleave(
        400 / scale.min(40),
        [
            &mut |i| meta.sync(change(&meta, 1_000_000 + i)).expect("a sync"),
            &mut |_| {
                appended.write_all(&[7; 256]).expect("a write");
                appended.sync_all().expect("a sync");
            },
            &mut |i| {
                std::os::unix::fs::FileExt::write_all_at(&overwritten, &[7; 256], (i * 256) as u64 % (4 << 20)).expect("a write");
                overwritten.sync_data().expect("a sync");
            },
        ],
    );
    println!("{:<58} {durable:>10.2} us", "begin + 3 puts + commit + sync");
    println!("{:<58} {fsync:>10.2} us", "append of 256 bytes to a file + fsync");
    println!("{:<58} {fdatasync:>10.2} us", "overwrite of 256 bytes + fdatasync");
    println!("{:<58} {:>10.1} x", "durable change against append + fsync", fsync / durable);

    let begun = Instant::now();
    meta.checkpoint().expect("a checkpoint");
    println!("{:<58} {:>10.0} us", format!("checkpoint of {} keys", changes * 10), begun.elapsed().as_secs_f64() * 1e6);
    let last = meta.last_seq();
    drop(meta);
    let begun = Instant::now();
    let meta = open(&pool, &run);
    println!("{:<58} {:>10.0} us", "joining a live metalog", begun.elapsed().as_secs_f64() * 1e6);
    assert_eq!(meta.last_seq(), last);
    drop(meta);
    std::fs::remove_dir_all(&run).and_then(|()| std::fs::create_dir(&run)).expect("an empty run directory");
    let begun = Instant::now();
    let meta = open(&pool, &run);
    println!("{:<58} {:>10.0} us", "recovery after a reboot", begun.elapsed().as_secs_f64() * 1e6);
    assert!(meta.view(|view| Ok(view.get(b"parent")?.is_some())).expect("a get"));
}

/// Runs the three in turn `n` times, because a disk has moods; the median microseconds of each.
fn interleave(n: usize, mut fs: [&mut dyn FnMut(usize); 3]) -> [f64; 3] {
    let mut times = [const { Vec::new() }; 3];
    for i in 0..n {
        for (f, times) in fs.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            f(i);
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
    }
    times.map(|mut t| {
        t.sort_by(f64::total_cmp);
        t[n / 2]
    })
}

fn overwritten(path: &Path) -> std::fs::File {
    std::fs::write(path, vec![0; 4 << 20]).expect("a file");
    let file = std::fs::File::options().write(true).open(path).expect("a file");
    file.sync_all().expect("a sync");
    file
}
