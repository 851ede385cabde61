//! The tree that the workers work on, their records, and the programs that are run there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::shim::{self, Shim};

/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happened before a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Processes were killed.
    Kill,
    /// They were, and then everything in memory was lost.
    Reboot,
}

/// A root with three workers' directories, and its surroundings. Dropping it stops the pool and removes everything.
pub struct Site {
    root: PathBuf,
    records: TempDir,
    tools: TempDir,
    /// The shim and a pool directory; `None` on tmpfs.
    flac: Option<(Shim, TempDir)>,
    _kernel_root: Option<TempDir>,
}

fn temp(parent: Option<&str>) -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("test-of-flac-");
    parent.map_or_else(|| builder.tempdir(), |dir| builder.tempdir_in(dir)).expect("a temporary directory")
}

fn built() -> Shim {
    static SHIM: OnceLock<Shim> = OnceLock::new();
    SHIM.get_or_init(shim::build).clone()
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kill").join(name)
}

impl Site {
    /// A fresh pool under the shim, or what `FLAC_TEST_SELF` says.
    pub fn new() -> Self {
        if std::env::var("FLAC_TEST_SELF").as_deref() == Ok("kernel") {
            return Self::on_tmpfs();
        }
        let (shim, pool) = (built(), temp(None));
        shim.make_pool(pool.path());
        let root = Path::new("/").join(pool.path().file_name().expect("a name"));
        Self::prepare(root, Some((shim, pool)), None)
    }

    /// A directory on tmpfs, without the shim.
    pub fn on_tmpfs() -> Self {
        let dir = temp(Some("/dev/shm"));
        Self::prepare(dir.path().to_owned(), None, Some(dir))
    }

    fn prepare(root: PathBuf, flac: Option<(Shim, TempDir)>, kernel_root: Option<TempDir>) -> Self {
        let site = Self { root, records: temp(None), tools: temp(None), flac, _kernel_root: kernel_root };
        let compiled = Command::new("gcc").args(["-O1", "-o"]).arg(site.worker()).arg(source("worker.c")).status();
        assert!(compiled.is_ok_and(|status| status.success()), "worker.c needs gcc (ci/setup.sh installs it)");
        site.python("setup").unwrap_or_else(|why| panic!("setting up: {why}"));
        site
    }

    fn worker(&self) -> PathBuf {
        self.tools.path().join("worker")
    }

    fn record(&self, id: usize) -> PathBuf {
        self.records.path().join(id.to_string())
    }

    /// `program`, to be run where the tree is.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null());
        if let Some((shim, pool)) = &self.flac {
            command.env("LD_PRELOAD", &shim.library).env("FLAC_ROOT", &self.root).env("FLAC_POOL", pool.path());
        }
        command
    }

    /// Three workers, each already at work.
    pub fn start_workers(&self, mut seed: impl FnMut() -> u64) -> [Worker; 3] {
        let mut workers = [0, 1, 2].map(|id| {
            let mut command = self.command(self.worker());
            command.arg(id.to_string()).arg(seed().to_string()).arg(&self.root).arg(self.record(id));
            let child = command.spawn().unwrap_or_else(|error| panic!("worker {id}: {error}"));
            Worker { id, child, record: self.record(id) }
        });
        workers.iter_mut().for_each(Worker::must_make_progress);
        workers
    }

    fn python(&self, mode: &str) -> Result<String, String> {
        let mut command = self.command("timeout");
        command.args(["-k", "1", "30", "python3"]).arg(source("verify.py")).arg(mode).arg(&self.root).arg(self.records.path());
        let output = command.output().map_err(|error| format!("python3: {error}"))?;
        if output.status.success() { Ok(text(&output)) } else { Err(format!("{}: {}", output.status, text(&output))) }
    }

    /// Compares the tree with the records, in a new process.
    pub fn verify(&self, crash: Crash) -> Result<String, String> {
        self.python(match (crash, &self.flac) {
            (Crash::Reboot, _) => "reboot",
            (Crash::Kill, Some(_)) => "kill",
            (Crash::Kill, None) => "kernel",
        })
    }

    /// The next process finds everything right, and so does `flac fsck`.
    pub fn check(&self, crash: Crash, round: u32) {
        let found = self.verify(crash);
        println!("round {round}: {}", found.as_deref().unwrap_or_else(|why| why).trim_end());
        found.unwrap_or_else(|why| panic!("round {round}, after {crash:?}: {why}"));
        self.flac(&["fsck"]);
    }

    /// Drops everything that FLAC keeps in memory for the pool, writing nothing back, as a reboot would. On tmpfs nothing happens but
    /// the kill before it.
    pub fn lose_memory(&self) -> Crash {
        if self.flac.is_some() {
            self.python("mark").unwrap_or_else(|why| panic!("writing after the workers died: {why}"));
        }
        self.flac(&["stop", "--discard"]);
        if self.flac.is_some() { Crash::Reboot } else { Crash::Kill }
    }

    fn flac(&self, args: &[&str]) {
        let Some((shim, pool)) = &self.flac else { return };
        let output = shim.command(args, pool.path()).expect("the package flac builds the command flac");
        assert!(output.status.success(), "flac {} {}: {}", args.join(" "), output.status, text(&output));
    }

    /// Runs a shell command in the tree.
    pub fn damage(&self, command: &str) {
        let status = self.command("bash").args(["-c", command]).current_dir(&self.root).status();
        assert!(status.is_ok(), "bash");
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some((shim, pool)) = &self.flac {
            drop(shim.command(&["stop", "--discard"], pool.path()));
        }
    }
}

/// A running `worker.c`; dropping it kills it.
pub struct Worker {
    id: usize,
    child: Child,
    record: PathBuf,
}

impl Worker {
    /// Kills it where it stands.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        let status = self.child.wait().expect("a child of ours");
        assert!(status.code().is_none(), "worker {} had ended by itself: {status}", self.id);
    }

    /// Lets it finish what it does and end.
    pub fn stop(&mut self) {
        let told = Command::new("bash").args(["-c", "kill $1", "kill", &self.child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "worker {} is not there", self.id);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().expect("a child of ours") {
                Some(status) => return assert!(status.success(), "worker {}: {status}", self.id),
                None => assert!(Instant::now() < deadline, "worker {} hangs: it does not finish its change", self.id),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns when it has finished some changes after this call.
    pub fn must_make_progress(&mut self) {
        const SOME_CHANGES: u64 = 200;
        let length = || std::fs::metadata(&self.record).expect("the record is there").len();
        let (before, deadline) = (length(), Instant::now() + PATIENCE);
        while length() < before + SOME_CHANGES {
            let ended = self.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "worker {} ended: {ended:?}", self.id);
            assert!(Instant::now() < deadline, "worker {} hangs", self.id);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
