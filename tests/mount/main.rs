//! `flac mount`: programs that can't be preloaded (a static busybox) and preloaded ones work on the same files at the same time and see each other's
//! changes at once; permissions, locks, a killed server, users that are not root.
//!
//! Where FUSE can't be used (no /dev/fuse, no right to mount), this is said and nothing is tested.

mod coherent;
mod life;
mod root;
#[path = "../programs/shim.rs"]
mod shim;

use shim::Shim;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
/// A user that is not root (`nobody`: fusermount3 wants one with a name), and a group that is not its own.
const OTHER: u32 = 65534;
const GROUP: u32 = 54322;

/// A pool, mounted, with its surroundings. Dropping it unmounts and removes everything.
pub struct Site {
    dir: TempDir,
    shim: Shim,
}

fn built() -> Shim {
    static SHIM: OnceLock<Shim> = OnceLock::new();
    SHIM.get_or_init(shim::build).clone()
}

/// The static busybox, and whether mounting works here at all.
fn usable() -> Result<PathBuf, String> {
    static USABLE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    USABLE.get_or_init(find_out).clone()
}

fn find_out() -> Result<PathBuf, String> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().map(PathBuf::from).find(|path| path.exists());
    let busybox = busybox.ok_or("there is no busybox (package busybox-static)")?;
    // Without /dev/fuse a device node may still be allowed.
    if !Path::new("/dev/fuse").exists() {
        let _ = Command::new("mknod").args(["-m", "666", "/dev/fuse", "c", "10", "229"]).output();
    }
    let site = Site::unmounted();
    let output = site.flac(&["mount", site.mnt_str()]);
    if output.status.success() { Ok(busybox) } else { Err(said(&output)) }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}: {}", output.status, said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A mounted pool, or `None` (said why) where FUSE can't be used.
fn mounted() -> Option<Site> {
    match usable() {
        Err(why) => {
            println!("skipped: {}", why.trim_end());
            None
        }
        Ok(_) => {
            let site = Site::unmounted();
            site.mount();
            Some(site)
        }
    }
}

impl Site {
    fn unmounted() -> Site {
        let dir = tempfile::Builder::new().prefix("test-of-flac-").tempdir().expect("a temporary directory");
        run(Command::new("chmod").arg("755").arg(dir.path()));
        let site = Site { dir, shim: built() };
        std::fs::create_dir(site.mnt()).expect("a directory");
        site.shim.make_pool(&site.pool());
        site
    }

    fn mount(&self) {
        let output = self.flac(&["mount", self.mnt_str()]);
        assert!(output.status.success(), "{}", said(&output));
    }

    fn pool(&self) -> PathBuf {
        self.dir.path().join("pool")
    }

    fn mnt(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    fn mnt_str(&self) -> &'static str {
        // A test leaks a few bytes for the sake of short calls.
        Box::leak(self.mnt().to_str().expect("a plain path").to_owned().into_boxed_str())
    }

    fn flac(&self, words: &[&str]) -> Output {
        self.shim.command(words, &self.pool()).expect("flac is built")
    }

    /// A shell command by the static busybox, in the mounted pool.
    fn static_shell(&self, script: &str) -> Command {
        let mut command = Command::new(usable().expect("asked before"));
        command.args(["sh", "-c", script]).current_dir(self.mnt());
        command
    }

    /// A shell command by preloaded programs, in the same directory of the pool.
    fn preloaded_shell(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("cd /flac && {script}")]);
        self.preload(&mut command);
        command
    }

    fn preload(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim.library).env("FLAC_ROOT", "/flac").env("FLAC_POOL", self.pool());
    }

    fn in_static(&self, script: &str) -> String {
        run(&mut self.static_shell(script))
    }

    fn in_preloaded(&self, script: &str) -> String {
        run(&mut self.preloaded_shell(script))
    }

    fn is_mounted(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("procfs");
        mounts.lines().any(|line| line.split(' ').nth(1) == self.mnt().to_str())
    }

    /// The server's process.
    fn server(&self) -> u32 {
        let wanted = format!("mount\0--background\0{}", self.mnt().display());
        let pids = std::fs::read_dir("/proc").expect("procfs").flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        let found =
            |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&wanted));
        pids.into_iter().find(found).expect("a server runs")
    }

    fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < PATIENCE, "still not so: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.is_mounted() {
            let _ = self.flac(&["mount", "--unmount", self.mnt_str()]);
            let _ = Command::new("umount").arg("-l").arg(self.mnt()).output();
        }
        let _ = self.flac(&["stop", "--discard", "--force"]);
    }
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

/// `command` as a user without rights and without supplementary groups but `groups`.
fn as_other(command: &Command, groups: &str) -> Command {
    let mut other = Command::new("setpriv");
    other.args(["--reuid", &OTHER.to_string(), "--regid", &OTHER.to_string()]);
    if groups.is_empty() {
        other.arg("--clear-groups");
    } else {
        other.args(["--groups", groups]);
    }
    other.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        other.current_dir(dir);
    }
    other
}
