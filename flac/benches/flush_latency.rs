//! How long do reads and writes of a program take while another process fsyncs all the time?
//!
//! Bound: as on an idle machine. A flush holds the file's lock while it notes the dirty pages (some 10 ns each) and again when they are clean; in between, while it writes,
//! it holds nothing that a reader or writer needs. A write to a page that is being flushed goes to a fresh frame: one more copy of 4 KiB.
//!
//! The neighbour changes one page a time and fsyncs: of the same file, which has whatever the measured program made dirty, or of another one. The control is a neighbour that
//! only computes, and one that writes and flushes a file of the disk without FLAC: what these cost is the machine's, not the flush's. The program makes a call every 100 us.
//! Measured program and neighbour have a processor each; the neighbour that which serves the disk's interrupts, of 20 to 50 us here, which are the disk's and not the flush's.
//! The last columns tell what was in its way: in how many of the calls it went to sleep by itself (for a lock), in how many it lost its processor to somebody else, and what the 99 % are of those
//! in which it did not. It has a real-time priority meanwhile, if it may (each stretch takes half a second): what else runs on the machine is not the flush's either.
//!
//! Run: `cargo bench --bench flush_latency` (the pool lies in the directory `FLAC_BENCH_DIR`, default the temporary one); `-- --test` checks results quickly.

#![expect(unsafe_code, reason = "getrusage, sched_setscheduler and sched_setaffinity")]

use flac::fs::attr::Creds;
use flac::fs::names::{Last, Name, Resolved};
use flac::fs::open::OpenId;
use flac::media::{Pool, PoolOptions};
use flac::units::Ino;
use flac::{Config, Fs};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
const FILE: u64 = 64 << 20;
/// Rounds that are not counted: in the first the frames for copies come from the kernel, 2 MiB at a time; in the second the flushes get as long as the disk makes them (10 ms and more),
/// and there are as many frames for copies as pages are written meanwhile: most of the file's.
const WARM: usize = 2;
const PACE: Duration = Duration::from_micros(100);
#[repr(align(4096))]
struct Page([u8; 4096]);

/// What the other process does.
const NEIGHBOURS: [&str; 5] = ["none", "computes", "fsyncs, without FLAC", "fsyncs the same file", "fsyncs another file"];

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

/// A neighbour, until nobody listens. One that is killed would leave the pages that it was flushing as they are, to be copied by whoever writes to them next.
fn neighbour(what: &str, pool: &Path) {
    static OVER: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        OVER.store(true, Ordering::Relaxed);
    });
    let go_on = |_: &u64| !OVER.load(Ordering::Relaxed);
    let ready = || std::io::stdout().write_all(b".").and_then(|()| std::io::stdout().flush()).expect("a pipe");
    if what == NEIGHBOURS[1] {
        ready();
        (0..).take_while(go_on).for_each(|_| std::hint::spin_loop());
        return;
    }
    if what == NEIGHBOURS[2] {
        let path = pool.with_file_name("beside");
        std::fs::write(&path, vec![1; FILE as usize]).and_then(|()| std::fs::File::open(&path)?.sync_all()).expect("a file");
        let file = std::fs::File::options().write(true).custom_flags(libc::O_DIRECT).open(&path).expect("it opens");
        let page = Page([1; 4096]);
        ready();
        for i in (0u64..).take_while(go_on) {
            file.write_all_at(&page.0, i * 7919 * 4096 % FILE).and_then(|()| file.sync_data()).expect("a write");
        }
        return;
    }
    let fs = open(pool);
    let (ino, id) = file(&fs, if what == NEIGHBOURS[3] { "measured" } else { "another" });
    ready();
    for i in (0u64..).take_while(go_on) {
        fs.write_bytes(id, &[i as u8; 4096], i * 7919 * 4096 % FILE).expect("a write");
        fs.sync(ino).expect("a sync");
    }
    fs.exit();
}

/// How many interrupts of devices each processor has served.
fn interrupts() -> Vec<u64> {
    let table = std::fs::read_to_string("/proc/interrupts").unwrap_or_default();
    let processors = table.lines().next().map_or(0, |line| line.split_whitespace().count());
    let mut sums = vec![0; processors];
    for line in table.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())) {
        line.split_whitespace().skip(1).zip(&mut sums).for_each(|(count, sum)| *sum += count.parse().unwrap_or(0));
    }
    sums
}

/// The processor that serves the disk's interrupts, and one that does not.
fn processors(dir: &Path) -> (usize, usize) {
    let file = std::fs::File::options().write(true).create(true).truncate(true).open(dir.join("asked")).expect("a file");
    let before = interrupts();
    (0..200).for_each(|i| file.write_all_at(&[1; 4096], i * 4096).and_then(|()| file.sync_data()).expect("a write"));
    let served: Vec<u64> = interrupts().iter().zip(&before).map(|(now, then)| now - then).collect();
    let by = |most: bool| (0..served.len()).max_by_key(|&i| if most { served[i] as i64 } else { -(served[i] as i64) }).unwrap_or(0);
    (by(true), by(false))
}

/// This thread and what it starts run there from now on, if they may.
fn run_on(processor: usize) {
    // SAFETY: plain data, for which zero is valid; the call looks at the set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

struct Running(Child);

impl Running {
    fn start(what: &str, pool: &Path, processor: usize) -> Option<Running> {
        if what == NEIGHBOURS[0] {
            return None;
        }
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        let mut child = command
            .args(["--neighbour", what, &processor.to_string()])
            .arg(pool)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("it is ready");
        Some(Running(child))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// How often this thread has gone to sleep, and has lost its processor.
fn switches() -> [i64; 2] {
    // SAFETY: plain data, for which zero is valid; the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage
    };
    [usage.ru_nvcsw, usage.ru_nivcsw]
}

/// Gives this thread a real-time priority, if it may have one, or takes it away.
fn real_time(on: bool) {
    let (policy, sched_priority) = if on { (libc::SCHED_FIFO, 20) } else { (libc::SCHED_OTHER, 0) };
    // SAFETY: the call looks at the number.
    unsafe { libc::sched_setscheduler(0, policy, &libc::sched_param { sched_priority }) };
}

/// A call.
struct Call {
    microseconds: f64,
    slept: bool,
    lost: bool,
}

/// Reads or writes `size` bytes here and there.
fn measure(fs: &Fs, id: OpenId, writes: bool, size: usize, n: usize) -> Vec<Call> {
    let mut buffer = vec![1; size];
    real_time(true);
    let mut next = Instant::now();
    let calls = (0..n as u64)
        .map(|i| {
            while Instant::now() < next {
                std::hint::spin_loop();
            }
            let at = i * 104_729 * 4096 % (FILE - size as u64) / 4096 * 4096;
            let before = switches();
            let begun = Instant::now();
            let done = if writes { fs.write_bytes(id, &buffer, at).map(|()| size) } else { fs.read_bytes(id, &mut buffer, at) };
            let took = begun.elapsed();
            assert_eq!(done.expect("it works"), size);
            next = begun.max(next) + PACE;
            let [slept, lost] = switches();
            Call { microseconds: took.as_secs_f64() * 1e6, slept: slept > before[0], lost: lost > before[1] }
        })
        .collect();
    real_time(false);
    calls
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--neighbour") {
        run_on(args[at + 2].parse().expect("a number"));
        return neighbour(&args[at + 1], Path::new(&args[at + 3]));
    }
    let (rounds, n) = if args.iter().any(|a| a == "--test") { (1, 200) } else { (4, 5000) };
    let base = std::env::var_os("FLAC_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let disk = tempfile::tempdir_in(base).expect("a directory on the disk");
    let pool = disk.path().join("pool");
    Pool::create(&pool, &PoolOptions { size: 1 << 30, ..Default::default() }).expect("a pool");
    let (disks, ours) = processors(disk.path());
    run_on(ours);
    let fs = open(&pool);
    let (_, id) = file(&fs, "measured");
    let kinds =
        [(false, 4096, "read 4 KiB"), (false, 64 << 10, "read 64 KiB"), (true, 4096, "write 4 KiB"), (true, 64 << 10, "write 64 KiB")];
    let mut times: Vec<[Vec<Call>; NEIGHBOURS.len()]> = kinds.iter().map(|_| Default::default()).collect();
    for round in 0..WARM + rounds {
        for (who, what) in NEIGHBOURS.iter().enumerate() {
            let _running = Running::start(what, &pool, disks);
            for ((writes, size, _), times) in kinds.iter().zip(&mut times) {
                let measured = measure(&fs, id, *writes, *size, n);
                times[who].extend(measured.into_iter().filter(|_| round >= WARM));
            }
        }
    }
    println!(
        "{:<13} {:<22} {:>9} {:>9} {:>9} {:>9}  99 % against none  slept   lost  99 % if not lost",
        "microseconds", "neighbour", "50 %", "99 %", "99.9 %", "longest"
    );
    for ((_, _, kind), mut times) in kinds.iter().zip(times) {
        times.iter_mut().for_each(|t| t.sort_by(|a, b| a.microseconds.total_cmp(&b.microseconds)));
        let at = |who: usize, share: f64| times[who][((times[who].len() - 1) as f64 * share) as usize].microseconds;
        for (who, what) in NEIGHBOURS.iter().enumerate() {
            let [half, most, nearly, all] = [0.5, 0.99, 0.999, 1.0].map(|share| at(who, share));
            let [slept, lost] = [|call: &&Call| call.slept, |call: &&Call| call.lost].map(|f| times[who].iter().filter(f).count());
            let against = most / at(0, 0.99);
            let undisturbed = |who: usize| {
                let kept: Vec<f64> = times[who].iter().filter(|call| !call.lost).map(|call| call.microseconds).collect();
                kept.get(kept.len() * 99 / 100).copied().unwrap_or(0.0)
            };
            let kept = undisturbed(who);
            println!(
                "{kind:<13} {what:<22} {half:>9.2} {most:>9.2} {nearly:>9.2} {all:>9.1}  {against:>17.2} {slept:>6} {lost:>6} {kept:>8.2} = {:.2}",
                kept / undisturbed(0)
            );
        }
    }
    fs.exit();
    let state = flac::fs::admin::Volatile::of(&pool).expect("a pool").expect("its state");
    state.remove(state.lock().expect("the lock")).expect("removed");
}
