//! Random operations on files and on the memory that shows them, by one and several processes under the shim; afterwards every count of frames,
//! pins, nodes and holders equals a census.
//!
//! `worker.c` reads, writes, maps, unmaps, moves, discards, forks, executes itself, starts threads and is killed, and compares all content with copies of its own.
//! `FLAC_LEDGER_OPERATIONS=N` sets how many operations (30,000 in all unless said), `FLAC_SEED=N` which.

#[path = "../programs/shim.rs"]
mod shim;

use flac::{Config, Fs};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A pool, its cache much smaller than what the workers use, and a process (this one) that stays and so keeps everybody from recounting.
struct Site {
    shim: shim::Shim,
    pool: TempDir,
    tools: TempDir,
    root: PathBuf,
    fs: Option<Fs>,
}

const DRAM: u64 = 16 << 20;

impl Site {
    fn new() -> Self {
        Self::with("worker.c")
    }

    fn with(worker: &str) -> Self {
        let temp = || tempfile::Builder::new().prefix("test-of-flac-").tempdir().expect("a temporary directory");
        let (shim, pool, tools) = (shim::build(), temp(), temp());
        shim.make_pool(pool.path());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ledger").join(worker);
        let compiled = Command::new("gcc").args(["-O1", "-pthread", "-o"]).arg(tools.path().join("worker")).arg(source).status();
        assert!(compiled.is_ok_and(|status| status.success()), "{worker} needs gcc (ci/setup.sh installs it)");
        let root = Path::new("/").join(pool.path().file_name().expect("a name"));
        let fs = Some(Self::open(pool.path()));
        Site { shim, pool, tools, root, fs }
    }

    fn open(pool: &Path) -> Fs {
        let mut config = Config::new(pool);
        config.dram = Some(DRAM);
        Fs::open(&config).expect("the pool opens")
    }

    fn start(&self, seed: u64, operations: u64) -> Child {
        self.command(seed, operations).spawn().expect("the worker starts")
    }

    /// A worker without an end, which with all its children is a process group.
    fn start_group(&self, seed: u64) -> Child {
        self.command(seed, u64::MAX).process_group(0).spawn().expect("the worker starts")
    }

    fn command(&self, seed: u64, operations: u64) -> Command {
        let mut command = Command::new(self.tools.path().join("worker"));
        command.arg(seed.to_string()).arg(operations.to_string()).arg(&self.root);
        command.env("LD_PRELOAD", &self.shim.library).env("FLAC_ROOT", &self.root).env("FLAC_POOL", self.pool.path());
        command.env_remove("FLAC_LEDGER_OPERATIONS");
        command
    }

    fn fs(&self) -> &Fs {
        self.fs.as_ref().expect("open")
    }

    /// All workers are gone: nothing of them is left.
    fn must_be_exact(&self) {
        self.fs().reap_all();
        assert_eq!(self.fs().check_counts(), [], "differences from the census");
        assert!(self.fs().stat_fs().free > 0);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Site {
    /// This process leaves the pool, and all that is only in memory goes.
    fn leave(&mut self) {
        let Some(fs) = self.fs.take() else { return };
        fs.exit();
        // `flac stop` would wait for this process, whose mappings stay.
        let run = fs.run_dir().to_owned();
        let _ = std::fs::read_link(run.join("dram")).map(std::fs::remove_file);
        let _ = std::fs::remove_dir_all(run);
    }
}

/// Kills a worker and its children, and waits until the last of them is gone.
fn end_group(worker: &mut Child) {
    let group = format!("-{}", worker.id());
    let signal = |signal: &str| Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    assert!(signal("-KILL"), "a child of ours");
    worker.wait().expect("a child of ours");
    while signal("-0") {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn seed() -> u64 {
    let seed = number("FLAC_SEED", 1);
    println!("FLAC_SEED={seed}");
    seed
}

fn operations() -> u64 {
    number("FLAC_LEDGER_OPERATIONS", 30_000)
}

#[test]
fn counts_are_exact_after_random_operations_of_one_process() {
    let site = Site::new();
    let status = site.start(seed(), operations() / 3).wait().expect("a child of ours");
    assert!(status.success(), "the worker: {status}");
    site.must_be_exact();
}

#[test]
fn counts_are_exact_after_random_operations_of_several_processes() {
    let site = Site::new();
    let mut workers: Vec<Child> = (1..=3).map(|i| site.start(seed() + i, operations() / 4)).collect();
    for worker in &mut workers {
        let status = worker.wait().expect("a child of ours");
        assert!(status.success(), "a worker: {status}");
    }
    site.must_be_exact();
}

#[test]
fn a_kill_at_any_moment_leaves_no_count_too_low_and_the_next_process_mends_the_rest() {
    let mut site = Site::new();
    for round in 0..5 {
        let mut workers: Vec<Child> = (0..2).map(|i| site.start_group(seed() + round * 2 + i)).collect();
        std::thread::sleep(Duration::from_millis(100 + 37 * (round + seed()) % 200));
        for worker in &mut workers {
            end_group(worker);
        }
        site.fs().reap_all();
        let wrong = site.fs().check_counts();
        let too_low: Vec<_> =
            wrong.iter().filter(|d| if d.what.starts_with("free ") { d.is > d.should } else { d.is < d.should }).collect();
        assert!(too_low.is_empty(), "round {round}: {too_low:?}");
        site.fs.take().expect("open").exit();
        site.fs = Some(Site::open(site.pool.path()));
        site.must_be_exact();
    }
}

/// A page that nobody knows to have changed is not flushed, and then lost.
#[test]
fn what_is_stored_in_a_mapping_reaches_the_pool_however_that_became_writable() {
    let mut site = Site::with("writable.c");
    let ways = ["mprotect", "pkey_mprotect", "syscall", "mremap", "fork"];
    for way in ways {
        let mut command = Command::new(site.tools.path().join("worker"));
        command.arg(site.root.join(way)).arg(way);
        command.env("LD_PRELOAD", &site.shim.library).env("FLAC_ROOT", &site.root).env("FLAC_POOL", site.pool.path());
        let status = command.status().expect("the worker starts");
        assert!(status.success(), "{way}: {status}");
    }
    site.fs().reap_all();
    site.fs().sync_all().expect("a flush");
    // What is in memory alone goes.
    site.leave();
    for way in ways {
        let out = site.tools.path().join("out");
        let path = format!("/{way}");
        let output = site.shim.command(&["export", &path, out.to_str().expect("UTF-8")], site.pool.path()).expect("the command");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(out.join(way)).expect("exported");
        std::fs::remove_dir_all(&out).expect("ours");
        assert_eq!((bytes.len(), bytes[99_999], bytes[100_000]), (256 << 10, 1, 9), "{way}");
    }
    site.shim.command(&["stop", "--discard"], site.pool.path());
}
