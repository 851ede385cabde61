//! How long does a checkpoint of a million files stop a writer who creates files, and one who appends and fsyncs?
//!
//! Bound: a checkpoint is written in steps of at most 3 ms by those who change something, as many as the log needs to have room. Beginning one costs a few
//! flushes of the disk, and so does making it durable; a flush is 0.1 to 1 ms on an idle disk. So the longest pause should be well below 10 ms.
//!
//! The control is the disk alone: a page past the page cache and a flush, on a file that is not the pool's. What is longer there is not the checkpoint's. Another thread does the same all the while, once a
//! millisecond: of the pauses above 10 ms are counted those that were, for the most part, not one of its own. (What it waits for may be writes of ours that the disk has before it, too.)
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

type Span = (Instant, Instant);

/// Writes a page and flushes the device once a millisecond; what took longer than 4 ms.
fn meanwhile(dir: &Path, over: &AtomicBool) -> Vec<Span> {
    let file = own(dir, "meanwhile");
    let page = Page([1; 4096]);
    let mut long = Vec::new();
    for i in (0u64..).take_while(|_| !over.load(Ordering::Relaxed)) {
        let begun = Instant::now();
        file.write_all_at(&page.0, i * 4096 % SPAN).and_then(|()| file.sync_data()).expect("a write");
        if begun.elapsed() > Duration::from_millis(4) {
            long.push((begun, Instant::now()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    long
}

/// Whether the disk had none of its own for at least half of a pause.
fn is_ours(&(from, to): &Span, disk: &[Span]) -> bool {
    let common: Duration = disk.iter().map(|(a, b)| (*b).min(to).saturating_duration_since((*a).max(from))).sum();
    common < (to - from) / 2
}

/// Does `work` until told to stop; how long each took.
fn pauses(what: &str, dir: &Path, mut work: impl FnMut(u64), until: impl Fn(u64) -> bool) {
    let (mut times, mut long, stop) = (Vec::new(), Vec::new(), AtomicBool::new(false));
    let begun = Instant::now();
    let disk = std::thread::scope(|scope| {
        let disk = scope.spawn(|| meanwhile(dir, &stop));
        while !until(times.len() as u64) {
            let begun = Instant::now();
            work(times.len() as u64);
            times.push(begun.elapsed());
            if begun.elapsed() > Duration::from_millis(10) {
                long.push((begun, Instant::now()));
            }
        }
        stop.store(true, Ordering::Relaxed);
        disk.join().expect("no panic")
    });
    let all = begun.elapsed();
    times.sort();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last()).map_or(0.0, |t| t.as_secs_f64() * 1e3);
    println!(
        "{what:<34} {:>7} in {:>5.2} s, ms: median {:.3}, 99 % {:.3}, 99.9 % {:.3}, longest {:>6.2}; {} above 10, {} of them not the disk's; the disk meanwhile: {} above 4, longest {:.1}",
        times.len(),
        all.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        long.len(),
        long.iter().filter(|pause| is_ours(pause, &disk)).count(),
        disk.len(),
        disk.iter().map(|(a, b)| (*b - *a).as_secs_f64() * 1e3).fold(0.0, f64::max)
    );
}

/// The three cases. `few`: so many calls need no checkpoint; `many`: so many need several.
fn cases(fs: &Fs, dir: &Path, what: &str, few: u64, many: u64, mut work: impl FnMut(u64) + Copy) {
    fs.checkpoint().expect("a checkpoint");
    pauses(&format!("{what}, no checkpoint"), dir, work, |count| count == few);
    let before = fs.checkpoints();
    pauses(&format!("{what}, its own checkpoints"), dir, work, |count| count == many);
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
        pauses(&format!("{what}, during it"), dir, &mut work, |_| done.load(Ordering::Acquire));
    });
}

/// A file of the disk's, not the pool's, past the page cache.
fn own(dir: &Path, name: &str) -> std::fs::File {
    let path = dir.join(name);
    if !path.exists() {
        std::fs::write(&path, vec![1; SPAN as usize]).and_then(|()| std::fs::File::open(&path)?.sync_all()).expect("a file");
    }
    std::fs::File::options().write(true).custom_flags(libc::O_DIRECT).open(&path).expect("it opens")
}

/// What the disk takes by itself.
fn alone(dir: &Path, count: u64) {
    let (file, page) = (own(dir, "alone"), Page([1; 4096]));
    let write = |i| file.write_all_at(&page.0, i * 4096 % SPAN).and_then(|()| file.sync_data()).expect("a write");
    pauses("the disk alone", dir, write, |done| done == count);
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
    cases(&fs, disk.path(), "create", 20_000 / scale, 200_000 / scale, create);
    let ino = fs.create(Ino::ROOT, &Name::new(b"appended").expect("a name"), libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    let append = |i| {
        fs.write_bytes(id, &[7; 4096], i * 4096).expect("a write");
        fs.sync(ino).expect("a sync");
    };
    alone(disk.path(), 4000 / scale);
    cases(&fs, disk.path(), "append + fsync", 1500 / scale, 20_000 / scale, append);
    alone(disk.path(), 4000 / scale);
    fs.exit();
    drop(fs);
    million::cut(&pool);
}
