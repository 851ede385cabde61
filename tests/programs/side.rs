//! Where a run takes place: the directories, the environment, and their removal.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::case::{Case, folder};
use crate::process::{Outcome, run};
use crate::shim::Shim;

/// All roots have names of this length, so that nothing in an output depends on which one it was.
const ROOT_LENGTH: usize = 48;

/// Whether FLAC_ROOT exists in the kernel, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// It does not: everything about it comes from the shim.
    Missing,
    /// It is an empty directory.
    Present,
}

/// One of the file systems a case can run on.
#[derive(Debug, Clone)]
pub enum Side {
    /// A directory on a tmpfs: what FLAC is compared with.
    Tmpfs,
    /// A directory in the temporary directory, without the shim.
    Kernel,
    /// A fresh FLAC pool, under the shim.
    Flac(Shim, Root),
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tmpfs => "tmpfs",
            Self::Kernel => "kernel",
            Self::Flac(_, Root::Missing) => "flac",
            Self::Flac(_, Root::Present) => "flac, root exists",
        })
    }
}

/// The directories of one run; dropping it removes them, and what FLAC keeps in shared memory for the pool.
pub struct Stage {
    /// The directory under test, `$ROOT`.
    pub root: PathBuf,
    /// A directory on a kernel file system other than the root's, `$OUT`.
    pub out: PathBuf,
    side: Side,
    pool: Option<PathBuf>,
    start: std::time::SystemTime,
    dirs: Vec<TempDir>,
}

/// Where tmpfs is: `/dev/shm`, unless programs can't be run from there (as in some containers); then the temporary directory.
fn tmpfs() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let noexec = mounts.lines().any(|line| line.contains(" /dev/shm ") && line.contains("noexec"));
    if noexec { std::env::temp_dir() } else { PathBuf::from("/dev/shm") }
}

fn temp_dir(parent: &Path, length: usize) -> TempDir {
    const RANDOM: usize = 8;
    let prefix = "test-of-flac-";
    let used = parent.as_os_str().len() + 1 + prefix.len() + RANDOM;
    let padding = "x".repeat(length.saturating_sub(used));
    let made = tempfile::Builder::new().prefix(prefix).suffix(&padding).rand_bytes(RANDOM).tempdir_in(parent);
    made.unwrap_or_else(|error| panic!("{}: {error}", parent.display()))
}

impl Stage {
    /// Fresh directories for one run on `side`.
    pub fn new(side: &Side) -> Self {
        let shm = tmpfs();
        let tmp = std::env::temp_dir();
        let mut dirs = Vec::new();
        let mut make = |parent: &Path| {
            dirs.push(temp_dir(parent, ROOT_LENGTH));
            dirs.last().expect("just pushed").path().to_owned()
        };
        let (root, out) = match side {
            Side::Tmpfs => (make(&shm), make(&tmp)),
            Side::Kernel => (make(&tmp), make(&shm)),
            Side::Flac(_, Root::Present) => (make(&tmp), make(&tmp)),
            Side::Flac(_, Root::Missing) => {
                let out = make(&tmp);
                let mut name = format!("/{}", out.file_name().expect("a name").to_string_lossy());
                name.extend(std::iter::repeat_n('x', ROOT_LENGTH.saturating_sub(name.len())));
                (PathBuf::from(name), out)
            }
        };
        let pool = match side {
            Side::Flac(shim, _) => Some(make(&tmp)).inspect(|pool| shim.make_pool(pool)),
            Side::Tmpfs | Side::Kernel => None,
        };
        Self { root, out, side: side.clone(), pool, start: std::time::SystemTime::now(), dirs }
    }

    /// The whole environment of a run, nothing inherited but PATH.
    fn environment(&self, case: &Case) -> Vec<(&'static str, OsString)> {
        let since_epoch = self.start.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let mut env: Vec<(&'static str, OsString)> = vec![
            ("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into())),
            ("LC_ALL", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("TERM", "dumb".into()),
            ("HOME", self.root.join("home").into()),
            ("TMPDIR", self.root.join("tmp").into()),
            ("ROOT", self.root.clone().into()),
            ("OUT", self.out.clone().into()),
            ("LIB", folder().join("lib").into()),
            ("CASE", case.path.clone().into()),
            ("CASE_START", since_epoch.as_secs().to_string().into()),
            ("DIGEST_SKIP", case.digest_skip.clone().into()),
            ("SIDE", if matches!(self.side, Side::Tmpfs) { "a" } else { "b" }.into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            ("PERL_HASH_SEED", "0".into()),
        ];
        if let (Side::Flac(shim, _), Some(pool)) = (&self.side, &self.pool) {
            env.push(("LD_PRELOAD", shim.library.clone().into()));
            env.push(("FLAC_ROOT", self.root.clone().into()));
            env.push(("FLAC_POOL", pool.clone().into()));
            for name in ["FLAC_LOG", "FLAC_ATTACH", "FLAC_DRAM", "FLAC_STRICT", "FLAC_STATS"] {
                if let Some(value) = std::env::var_os(name) {
                    env.push((name, value));
                }
            }
        }
        env
    }

    fn bash(&self, case: &Case, script: &str) -> Command {
        // The shim comes with bash, not with setsid: a library that can't even start must not look like a failing setsid.
        let mut command = Command::new("setsid");
        command.args(["env", "-i"]);
        for (name, value) in self.environment(case) {
            let mut pair = OsString::from(name);
            pair.push("=");
            pair.push(value);
            command.arg(pair);
        }
        command.args(["bash", "-c", script]);
        command.current_dir("/");
        command
    }

    /// Runs the case itself.
    pub fn run_case(&self, case: &Case) -> Outcome {
        run(self.bash(case, &script(case)), case.limit)
    }

    /// Lists the tree that the case left, in a process of its own.
    pub fn run_digest(&self, case: &Case) -> Outcome {
        let digest = format!("exec python3 {}", quote(&folder().join("lib/digest.py")));
        run(self.bash(case, &digest), case.limit)
    }

    /// A line for a shell that does what `run_case` did, in fresh directories.
    pub fn by_hand(&self, case: &Case) -> String {
        let mut line = String::new();
        if let Side::Flac(Shim { flac: Some(flac), .. }, _) = &self.side {
            line = format!("P=$(mktemp -d) && {} mkfs --size 2G --pool \"$P\" && ", quote(flac));
        }
        line.push_str("env -i");
        for (name, value) in self.environment(case) {
            let value = if name == "FLAC_POOL" { "\"$P\"".to_owned() } else { quote(Path::new(&value)) };
            line.push_str(&format!(" {name}={value}"));
        }
        let script = format!("mkdir -p \"$ROOT\" \"$OUT\"; {}", script(case));
        format!("{line} bash -c {}", quote(Path::new(&script)))
    }

    /// The names that differ between two runs of the same case, and what the comparison calls them.
    pub fn names(&self) -> [(&Path, &'static str); 2] {
        [(&self.root, "$ROOT"), (&self.out, "$OUT")]
    }
}

fn script(case: &Case) -> String {
    let run = match case.path.extension() {
        Some(ext) if ext == "py" => "exec python3 \"$CASE\"",
        _ if std::env::var_os("FLAC_TEST_TRACE").is_some() => "exec 19>&1; BASH_XTRACEFD=19; PS4='+ line $LINENO: '; set -x; . \"$CASE\"",
        _ => ". \"$CASE\"",
    };
    format!("umask 022; mkdir -p \"$ROOT/case\" \"$HOME\" \"$TMPDIR\" && cd \"$ROOT/case\" && {{ {run}; }}")
}

fn quote(text: &Path) -> String {
    format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"))
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let (Side::Flac(shim, _), Some(pool)) = (&self.side, &self.pool) {
            match shim.command(&["stop", "--discard"], pool) {
                Some(output) if !output.status.success() => {
                    eprintln!("flac stop: {}", String::from_utf8_lossy(&output.stderr).trim_end());
                }
                _ => {}
            }
        }
        let keep = std::env::var_os("FLAC_TEST_KEEP").is_some();
        for dir in self.dirs.drain(..) {
            if keep {
                println!("kept {}", dir.keep().display());
                continue;
            }
            // A case may leave directories that their owner can't enter.
            drop(Command::new("chmod").args(["-Rf", "u+rwx"]).arg(dir.path()).output());
            if let Err(error) = dir.close() {
                eprintln!("not removed: {error}");
            }
        }
    }
}
