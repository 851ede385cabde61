//! How long does a checkpoint of a million files stop a writer who creates files, and one who appends and fsyncs?
//!
//! Bound: a checkpoint is written in steps of at most 3 ms by those who change something, as many as the log needs to have room. Beginning one costs a few
//! flushes of the disk, and so does making it durable; a flush is 0.1 to 1 ms on an idle disk. So the longest pause should be well below 10 ms.
//!
//! The control is the disk alone: a page past the page cache and a flush. What is longer there is not the checkpoint's.
//!
//! Three cases: no checkpoint; the checkpoints that the writer's own records make necessary; and one that another thread writes at once, as fast as it can.
//!
//! Run: `cargo bench --bench pauses` (in the directory `FLAC_BENCH_DIR`, default the temporary one; needs 12 GB there); `-- --test` with few files.

mod million;

use flac::Fs;
use flac::fs::attr::Creds;
use flac::fs::names::Name;
use flac::units::Ino;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };

const SPAN: u64 = 4 << 20;

#[repr(align(4096))]
struct Page([u8; 4096]);

/// Does `work` until told to stop; how long each took.
fn pauses(what: &str, mut work: impl FnMut(u64), until: impl Fn(u64) -> bool) {
    let mut times = Vec::new();
    let begun = Instant::now();
    while !until(times.len() as u64) {
        let begun = Instant::now();
        work(times.len() as u64);
        times.push(begun.elapsed());
    }
    let all = begun.elapsed();
    times.sort();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last()).map_or(0.0, |t| t.as_secs_f64() * 1e3);
    let over = times.iter().filter(|t| **t > Duration::from_millis(10)).count();
    println!(
        "{what:<34} {:>7} in {:>5.2} s, ms: median {:.3}, 99 % {:.3}, 99.9 % {:.3}, longest {:>6.2}; {over} above 10",
        times.len(),
        all.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// The three cases. `few`: so many calls need no checkpoint; `many`: so many need several.
fn cases(fs: &Fs, what: &str, few: u64, many: u64, mut work: impl FnMut(u64) + Copy) {
    fs.checkpoint().expect("a checkpoint");
    pauses(&format!("{what}, no checkpoint"), work, |count| count == few);
    let before = fs.checkpoints();
    pauses(&format!("{what}, its own checkpoints"), work, |count| count == many);
    println!("{:<34} {} begun", "", fs.checkpoints() - before);
    fs.checkpoint().expect("a checkpoint");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            fs.checkpoint().expect("a checkpoint");
            println!("a checkpoint in one go: {:.2} s", begun.elapsed().as_secs_f64());
            done.store(true, Ordering::Release);
        });
        pauses(&format!("{what}, during it"), &mut work, |_| done.load(Ordering::Acquire));
    });
}

/// What the disk takes by itself.
fn alone(dir: &Path, count: u64) {
    let path = dir.join("alone");
    if !path.exists() {
        std::fs::write(&path, vec![1; SPAN as usize]).and_then(|()| std::fs::File::open(&path)?.sync_all()).expect("a file");
    }
    let file = std::fs::File::options().write(true).custom_flags(libc::O_DIRECT).open(&path).expect("it opens");
    let page = Page([1; 4096]);
    let write = |i| file.write_all_at(&page.0, i * 4096 % SPAN).and_then(|()| file.sync_data()).expect("a write");
    pauses("the disk alone", write, |done| done == count);
}

fn main() {
    let test = std::env::args().any(|a| a == "--test");
    let (files, scale) = if test { (3000, 100) } else { (1_000_000, 1) };
    let base = std::env::var_os("FLAC_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let disk = tempfile::tempdir_in(base).expect("a directory on the disk");
    let pool = disk.path().join("pool");
    million::make(&pool, files);
    let fs = million::open(&pool);
    alone(disk.path(), 4000 / scale);
    let names = std::cell::Cell::new(0);
    let create = |_| {
        let name = Name::new(format!("made{}", names.replace(names.get() + 1)).as_bytes()).expect("a name");
        fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
    };
    cases(&fs, "create", 20_000 / scale, 200_000 / scale, create);
    let ino = fs.create(Ino::ROOT, &Name::new(b"appended").expect("a name"), libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    let append = |i| {
        fs.write_bytes(id, &[7; 4096], i * 4096).expect("a write");
        fs.sync(ino).expect("a sync");
    };
    alone(disk.path(), 4000 / scale);
    cases(&fs, "append + fsync", 1500 / scale, 20_000 / scale, append);
    alone(disk.path(), 4000 / scale);
    fs.exit();
    drop(fs);
    million::cut(&pool);
}
