//! The file systems that are compared, and how a worker gets onto each.

use crate::options::Options;
use crate::row::{Io, Row};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// One of the competitors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// A fresh pool under the shim.
    Flac,
    /// `/dev/shm` as it is mounted.
    Tmpfs,
    /// A tmpfs mounted with `huge=always`.
    HugeTmpfs,
    /// Whatever the disk directory is on.
    Disk,
    /// No file system: a process with the shim but without `FLAC_ROOT`.
    Preload,
}

impl System {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            System::Flac => "flac",
            System::Tmpfs => "tmpfs",
            System::HugeTmpfs => "huge",
            System::Disk => "disk",
            System::Preload => "preload",
        }
    }
}

/// Everything that a run needs; removed when dropped.
pub struct Bench {
    disk: TempDir,
    memory: TempDir,
    huge: Option<Huge>,
    shim: PathBuf,
    root: PathBuf,
    pool: PathBuf,
}

enum Huge {
    Directory(TempDir),
    MountByWorker(TempDir),
}

impl Bench {
    /// # Errors
    /// What could not be made, and why.
    pub fn prepare(options: &Options) -> Result<Bench, String> {
        let disk = options.disk.clone().unwrap_or_else(|| target_directory().join("tmp"));
        std::fs::create_dir_all(&disk).map_err(|error| format!("{}: {error}", disk.display()))?;
        let (disk, memory) = (temporary_in(&disk)?, temporary_in(Path::new("/dev/shm"))?);
        let huge = match &options.huge {
            _ if options.no_huge => None,
            Some(directory) => Some(Huge::Directory(temporary_in(directory)?)),
            None if crate::worker::may_mount() => Some(Huge::MountByWorker(temporary_in(memory.path())?)),
            None => None,
        };
        let (root, pool) = (disk.path().join("flac"), disk.path().join("pool"));
        std::fs::create_dir(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        let size = if options.test { 512 << 20 } else { 8 << 30 };
        flac::media::Pool::create(&pool, &flac::media::PoolOptions { size, ..Default::default() }).map_err(|error| error.to_string())?;
        let shim = options.shim.clone().map_or_else(build_shim, Ok)?;
        Ok(Bench { disk, memory, huge, shim, root, pool })
    }

    /// The competitors of a row, FLAC first.
    pub fn systems(&self, row: &Row) -> Vec<System> {
        if row.io == Io::True {
            return vec![System::Flac, System::Preload, System::Tmpfs];
        }
        let mut systems = vec![System::Flac, System::Tmpfs];
        if self.huge.is_some() {
            systems.push(System::HugeTmpfs);
        }
        systems.push(System::Disk);
        systems
    }

    /// A worker for `row` on `system`, not started yet.
    pub fn worker(&self, system: System, row: &Row, number: usize) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command.arg("worker").args(row.arguments());
        let starts_programs_only = row.io == Io::True;
        let parent = match system {
            _ if starts_programs_only => self.memory.path(),
            System::Flac => &self.root,
            System::Tmpfs | System::Preload => self.memory.path(),
            System::Disk => self.disk.path(),
            System::HugeTmpfs => match &self.huge {
                Some(Huge::Directory(directory)) => directory.path(),
                Some(Huge::MountByWorker(directory)) => {
                    command.arg("--mount-huge");
                    directory.path()
                }
                None => self.memory.path(),
            },
        };
        command.arg("--dir").arg(parent.join(format!("row-{number}-{}", system.name())));
        let variables = self.variables(system);
        if starts_programs_only {
            command.args(variables.iter().map(|(name, value)| format!("--child-env={name}={value}")));
        } else {
            command.envs(variables);
            if system == System::Flac {
                command.arg("--kernel").arg(identity(&self.root));
            }
        }
        command
    }

    fn variables(&self, system: System) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut variables = Vec::new();
        if matches!(system, System::Flac | System::Preload) {
            variables.push(("LD_PRELOAD", text(&self.shim)));
        }
        if system == System::Flac {
            variables.push(("FLAC_ROOT", text(&self.root)));
            variables.push(("FLAC_POOL", text(&self.pool)));
        }
        variables
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let mut stop = Command::new(profile_directory().join("flac"));
        let stopped = stop.args(["stop", "--discard", "--pool"]).arg(&self.pool).output();
        if !stopped.is_ok_and(|output| output.status.success()) {
            eprintln!("microbench: `flac stop` failed: the cache stays in memory");
        }
    }
}

/// Device and inode of a directory.
pub fn identity(path: &Path) -> String {
    path.metadata().map_or_else(|error| error.to_string(), |found| format!("{}:{}", found.dev(), found.ino()))
}

fn temporary_in(parent: &Path) -> Result<TempDir, String> {
    let made = tempfile::Builder::new().prefix("flac-microbench-").tempdir_in(parent);
    made.map_err(|error| format!("{}: {error}", parent.display()))
}

/// `target/release` or `target/debug`: two levels above this program, which is in `examples`.
fn profile_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    program.ancestors().nth(2).expect("a target directory").to_owned()
}

fn target_directory() -> PathBuf {
    profile_directory().parent().map_or_else(std::env::temp_dir, Path::to_owned)
}

fn build_shim() -> Result<PathBuf, String> {
    let directory = profile_directory();
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "-q", "-p", "flac-shim", "-p", "flac-cli", "--profile", profile]);
    let output = build.output().map_err(|error| format!("cargo build: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo build -p flac-shim failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(directory.join("libflacshim.so"))
}
