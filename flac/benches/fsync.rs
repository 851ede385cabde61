//! What do appends and overwrites with fsync cost against ext4's own and against the floor of the disk, and appends from eight processes?
//!
//! Bound: one durable write, that is one write and one flush of the device (or one write through its cache), past the page cache, to space that
//! was written before. On the test machine's virtual disk that alone is 0.4 of ext4's append + fsync, and the write without the flush 0.25.
//!
//! Run: `cargo bench --bench fsync` (in the directory `FLAC_BENCH_DIR`, default the temporary one); `-- --test` checks results quickly.

use flac::fs::attr::Creds;
use flac::fs::names::Name;
use flac::fs::open::OpenId;
use flac::media::{Pool, PoolOptions};
use flac::units::Ino;
use flac::{Config, Fs};
use std::io::{BufRead, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
const CHUNK: usize = 4096;
const BLOCK: usize = 64 << 10;
/// Bytes of a file that is overwritten.
const SPAN: usize = 4 << 20;
const KINDS: usize = 10;

#[repr(align(4096))]
struct Block([u8; BLOCK]);

/// A file of the pool, open for appending.
struct Appender<'f> {
    fs: &'f Fs,
    ino: Ino,
    id: OpenId,
    at: u64,
}

fn open(pool: &Path) -> Fs {
    let mut config = Config::new(pool);
    config.dram = Some(1 << 30);
    Fs::open(&config).expect("the pool opens")
}

impl<'f> Appender<'f> {
    fn new(fs: &'f Fs, name: &str, hold: usize) -> Self {
        let name = Name::new(name.as_bytes()).expect("a name");
        let ino = fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
        let id = fs.open_file(ino, libc::O_RDWR, hold).expect("it opens");
        Self { fs, ino, id, at: 0 }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.fs.write_bytes(self.id, bytes, self.at).expect("a write");
        self.at += bytes.len() as u64;
        self.fs.sync(self.ino).expect("a sync");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--child") {
        return child(&args[at + 1], Path::new(&args[at + 2]), &args[at + 3], args[at + 4].parse().expect("a number"));
    }
    let n = if args.iter().any(|a| a == "--test") { 20 } else { 400 };
    let base = std::env::var_os("FLAC_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let disk = tempfile::tempdir_in(base).expect("a directory on the disk");
    let pool = disk.path().join("pool");
    Pool::create(&pool, &PoolOptions { size: 1 << 30, ..Default::default() }).expect("a pool");
    let fs = open(&pool);
    one(&fs, disk.path(), n);
    many(&fs, disk.path(), &pool, n);
    fs.exit();
    let state = flac::fs::admin::Volatile::of(&pool).expect("a pool").expect("its state");
    state.remove(state.lock().expect("the lock")).expect("removed");
}

/// Prints the spread of each kind of durable write, made in turn.
fn one(fs: &Fs, dir: &Path, n: usize) {
    let block = Box::new(Block([7; BLOCK]));
    let [page, block] = [&block.0[..CHUNK], &block.0[..]];
    let filled = |name: &str| {
        let path = dir.join(name);
        std::fs::write(&path, vec![0; SPAN]).and_then(|()| std::fs::File::open(&path)?.sync_all()).expect("a file");
        path
    };
    let (path, theirs) = (filled("overwritten"), filled("theirs"));
    let direct = |flags| std::fs::File::options().write(true).custom_flags(libc::O_DIRECT | flags).open(&path).expect("a file");
    let (direct, durable) = (direct(0), direct(libc::O_DSYNC));
    // The fdatasync of a regular file that does not change is a flush of the device and nothing else.
    let bystander = std::fs::File::create(dir.join("bystander")).and_then(|file| file.sync_all().map(|()| file)).expect("a file");
    let at = |i: usize, size: usize| (i * size % SPAN) as u64;
    let theirs = std::fs::File::options().write(true).open(theirs).expect("a file");
    let mut appended = ["small", "large"].map(|name| std::fs::File::create(dir.join(name)).expect("a file"));
    let [small, large] = &mut appended;
    let [mut ours, mut more, mut over] = [("ours", 1), ("more", 2), ("over", 3)].map(|(name, hold)| Appender::new(fs, name, hold));
    (0..SPAN / BLOCK).for_each(|_| over.append(block));
    let mut kinds: [(&str, &mut dyn FnMut(usize)); KINDS] = [
        ("overwrite 4 KiB, O_DIRECT, not durable", &mut |i| direct.write_all_at(page, at(i, CHUNK)).expect("a write")),
        ("overwrite 4 KiB, O_DIRECT and O_DSYNC", &mut |i| durable.write_all_at(page, at(i, CHUNK)).expect("a write")),
        ("overwrite 4 KiB, O_DIRECT, flush of the device", &mut |i| {
            direct.write_all_at(page, at(i, CHUNK)).and_then(|()| bystander.sync_data()).expect("a write")
        }),
        ("overwrite 4 KiB + fsync, the file system below", &mut |i| {
            theirs.write_all_at(page, at(i, CHUNK)).and_then(|()| theirs.sync_all()).expect("a write")
        }),
        ("overwrite 4 KiB + fsync, FLAC", &mut |i| {
            over.at = at(i, CHUNK);
            over.append(page);
        }),
        ("append 4 KiB + fsync, the file system below", &mut |_| small.write_all(page).and_then(|()| small.sync_all()).expect("a write")),
        ("append 4 KiB + fsync, FLAC", &mut |_| ours.append(page)),
        ("overwrite 64 KiB, O_DIRECT, flush of the device", &mut |i| {
            direct.write_all_at(block, at(i, BLOCK)).and_then(|()| bystander.sync_data()).expect("a write")
        }),
        ("append 64 KiB + fsync, the file system below", &mut |_| large.write_all(block).and_then(|()| large.sync_all()).expect("a write")),
        ("append 64 KiB + fsync, FLAC", &mut |_| more.append(block)),
    ];
    let mut times = [const { Vec::new() }; KINDS];
    for i in 0..n {
        for ((_, f), times) in kinds.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            f(i);
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
    }
    println!("{:<48} {:>10} {:>10} {:>10} {:>10}", "microseconds", "10 %", "median", "90 %", "mean");
    let spread = times.map(|mut t| {
        t.sort_by(f64::total_cmp);
        [t[n / 10], t[n / 2], t[n * 9 / 10], t.iter().sum::<f64>() / n as f64]
    });
    for ((name, _), [low, median, high, mean]) in kinds.iter().zip(spread) {
        println!("{name:<48} {low:>10.1} {median:>10.1} {high:>10.1} {mean:>10.1}");
    }
    for (what, floor, below) in [("overwrite 4 KiB", 2, 3), ("append 4 KiB", 2, 5), ("append 64 KiB", 7, 8)] {
        for (name, i) in [("10 %", 0), ("median", 1), ("mean", 3)] {
            let [floor, below, ours] = [floor, below, below + 1].map(|kind| spread[kind][i]);
            println!("{what}, {name}: {:.2} x the file system below; the floor is {:.2} x it", below / ours, below / floor);
        }
    }
    for (file, size) in [(&ours, CHUNK * n), (&more, BLOCK * n)] {
        let mut back = vec![0; size];
        assert_eq!(fs.read_bytes(file.id, &mut back, 0), Ok(back.len()));
        assert!(back.iter().all(|b| *b == 7));
    }
}

/// Prints the throughput of one and of eight processes, and how many fsyncs shared a flush.
fn many(fs: &Fs, dir: &Path, pool: &Path, n: usize) {
    for (kind, at) in [("ext4", dir), ("flac", pool)] {
        for count in [1, 8] {
            let before = fs.syncs_and_flushes();
            let rate = run(kind, at, count, n);
            let after = fs.syncs_and_flushes();
            print!("{kind}, {count} processes: {rate:>8.0} fsyncs a second");
            if kind == "flac" {
                print!(", {:.2} to a flush", (after.0 - before.0) as f64 / (after.1 - before.1) as f64);
            }
            println!();
        }
    }
}

/// Lets `count` processes append and sync `n` times each; how many syncs a second.
fn run(kind: &str, at: &Path, count: usize, n: usize) -> f64 {
    let mut children: Vec<_> = (0..count)
        .map(|i| {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.args(["--child", kind]).arg(at).arg(format!("{kind}{count}-{i}")).arg(n.to_string());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child")
        })
        .collect();
    for child in &mut children {
        child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("it is ready");
    }
    let begun = Instant::now();
    for child in &mut children {
        child.stdin.take().expect("a pipe").write_all(b"\n").expect("it may begin");
    }
    for child in &mut children {
        assert!(child.wait().expect("an end").success());
    }
    (count * n) as f64 / begun.elapsed().as_secs_f64()
}

fn child(kind: &str, at: &Path, name: &str, n: usize) {
    let page = [7; CHUNK];
    let ready = || {
        std::io::stdout().write_all(b".").and_then(|()| std::io::stdout().flush()).expect("a pipe");
        std::io::stdin().lock().read_line(&mut String::new()).expect("a line");
    };
    if kind == "ext4" {
        let mut file = std::fs::File::create(at.join(name)).expect("a file");
        ready();
        (0..n).for_each(|_| file.write_all(&page).and_then(|()| file.sync_all()).expect("a write"));
    } else {
        let fs = open(at);
        let mut file = Appender::new(&fs, name, 1);
        ready();
        (0..n).for_each(|_| file.append(&page));
        fs.exit();
    }
}
