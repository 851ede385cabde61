//! How long do reads and writes of a program take while another process fsyncs all the time?
//!
//! Bound: as on an idle machine. A flush holds the file's lock while it notes the dirty pages (some 10 ns each) and again when they are clean; in between, while it writes,
//! it holds nothing that a reader or writer needs. A write to a page that is being flushed goes to a fresh frame: one more copy of 4 KiB.
//!
//! The neighbour changes one page a time and fsyncs: of the same file, which has whatever the measured program made dirty, or of another one. The control is a neighbour that
//! only computes: what it costs is the machine's, not the flush's. The program makes a call every 100 us.
//!
//! Run: `cargo bench --bench flush_latency` (the pool lies in the directory `FLAC_BENCH_DIR`, default the temporary one); `-- --test` checks results quickly.

use flac::fs::attr::Creds;
use flac::fs::names::{Last, Name, Resolved};
use flac::fs::open::OpenId;
use flac::media::{Pool, PoolOptions};
use flac::units::Ino;
use flac::{Config, Fs};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
const FILE: u64 = 64 << 20;
const PACE: Duration = Duration::from_micros(100);
/// What the other process does.
const NEIGHBOURS: [&str; 4] = ["none", "computes", "fsyncs the same file", "fsyncs another file"];

fn open(pool: &Path) -> Fs {
    let mut config = Config::new(pool);
    config.dram = Some(1 << 30);
    Fs::open(&config).expect("the pool opens")
}

/// Opens the file `name`, which is made and filled if it is missing.
fn file(fs: &Fs, name: &str) -> (Ino, OpenId) {
    let made = fs.create(Ino::ROOT, &Name::new(name.as_bytes()).expect("a name"), libc::S_IFREG | 0o644, 0, &WHO);
    let ino = match (&made, fs.resolve(Ino::ROOT, name.as_bytes(), Last::Follow, &WHO)) {
        (Ok(ino), _) => *ino,
        (Err(_), Ok(Resolved::Found { ino, .. })) => ino,
        other => panic!("{other:?}"),
    };
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    if made.is_ok() {
        let block = vec![1; 1 << 20];
        (0..FILE).step_by(block.len()).for_each(|at| fs.write_bytes(id, &block, at).expect("a write"));
        fs.sync(ino).expect("a sync");
    }
    (ino, id)
}

/// A neighbour, until the end of time.
fn neighbour(what: &str, pool: &Path) {
    let ready = || std::io::stdout().write_all(b".").and_then(|()| std::io::stdout().flush()).expect("a pipe");
    if what == NEIGHBOURS[1] {
        ready();
        loop {
            std::hint::spin_loop();
        }
    }
    let fs = open(pool);
    let (ino, id) = file(&fs, if what == NEIGHBOURS[2] { "measured" } else { "another" });
    ready();
    for i in 0u64.. {
        fs.write_bytes(id, &[i as u8; 4096], i * 7919 * 4096 % FILE).expect("a write");
        fs.sync(ino).expect("a sync");
    }
}

struct Running(Child);

impl Running {
    fn start(what: &str, pool: &Path) -> Option<Running> {
        if what == NEIGHBOURS[0] {
            return None;
        }
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        let mut child = command.args(["--neighbour", what]).arg(pool).stdout(Stdio::piped()).spawn().expect("a child");
        child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("it is ready");
        Some(Running(child))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Microseconds of each call: reads or writes of `size` bytes here and there.
fn measure(fs: &Fs, id: OpenId, writes: bool, size: usize, n: usize) -> Vec<f64> {
    let mut buffer = vec![1; size];
    let mut next = Instant::now();
    (0..n as u64)
        .map(|i| {
            while Instant::now() < next {
                std::hint::spin_loop();
            }
            let at = i * 104_729 * 4096 % (FILE - size as u64) / 4096 * 4096;
            let begun = Instant::now();
            let done = if writes { fs.write_bytes(id, &buffer, at).map(|()| size) } else { fs.read_bytes(id, &mut buffer, at) };
            let took = begun.elapsed();
            assert_eq!(done.expect("it works"), size);
            next = begun.max(next) + PACE;
            took.as_secs_f64() * 1e6
        })
        .collect()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--neighbour") {
        return neighbour(&args[at + 1], Path::new(&args[at + 2]));
    }
    let (rounds, n) = if args.iter().any(|a| a == "--test") { (1, 200) } else { (4, 5000) };
    let base = std::env::var_os("FLAC_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let disk = tempfile::tempdir_in(base).expect("a directory on the disk");
    let pool = disk.path().join("pool");
    Pool::create(&pool, &PoolOptions { size: 1 << 30, ..Default::default() }).expect("a pool");
    let fs = open(&pool);
    let (_, id) = file(&fs, "measured");
    let kinds =
        [(false, 4096, "read 4 KiB"), (false, 64 << 10, "read 64 KiB"), (true, 4096, "write 4 KiB"), (true, 64 << 10, "write 64 KiB")];
    let mut times = vec![vec![Vec::new(); NEIGHBOURS.len()]; kinds.len()];
    for round in 0..=rounds {
        for (who, what) in NEIGHBOURS.iter().enumerate() {
            let _running = Running::start(what, &pool);
            for ((writes, size, _), times) in kinds.iter().zip(&mut times) {
                let measured = measure(&fs, id, *writes, *size, n);
                // The first round has the frames for copies from the kernel, 2 MiB at a time.
                times[who].extend(measured.into_iter().filter(|_| round > 0));
            }
        }
    }
    println!("{:<13} {:<22} {:>9} {:>9} {:>9} {:>9}  99 % against none", "microseconds", "neighbour", "50 %", "99 %", "99.9 %", "longest");
    for ((_, _, kind), mut times) in kinds.iter().zip(times) {
        times.iter_mut().for_each(|t| t.sort_by(f64::total_cmp));
        let at = |who: usize, share: f64| times[who][((times[who].len() - 1) as f64 * share) as usize];
        for (who, what) in NEIGHBOURS.iter().enumerate() {
            let [half, most, nearly, all] = [0.5, 0.99, 0.999, 1.0].map(|share| at(who, share));
            println!("{kind:<13} {what:<22} {half:>9.2} {most:>9.2} {nearly:>9.2} {all:>9.1}  {:.2}", most / at(0, 0.99));
        }
    }
    fs.exit();
    let state = flac::fs::admin::Volatile::of(&pool).expect("a pool").expect("its state");
    state.remove(state.lock().expect("the lock")).expect("removed");
}
