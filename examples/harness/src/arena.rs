//! A directory on each file system that takes part, and a fresh pool. All of it is gone when the arena is dropped, and of what is in memory
//! nothing outlives the process where it may have mounts of its own.

use crate::System;
use crate::build::{build_shim, profile_directory, target_directory};
use crate::mounts;
use clap::{Args, ValueEnum};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Where the comparison takes place.
#[derive(Args, Clone)]
pub struct ArenaOptions {
    /// A directory on the disk to compare with; the pool is made here too. Default: the target directory.
    #[arg(long)]
    pub disk: Option<PathBuf>,
    /// A directory on a tmpfs with huge pages to compare with. Default: as root, one is mounted privately.
    #[arg(long)]
    pub huge: Option<PathBuf>,
    /// Leave the tmpfs with huge pages out.
    #[arg(long)]
    pub no_huge: bool,
    /// What FLAC's cache has; as another user than root one gets what `flac setup` left.
    #[arg(long, default_value = "huge")]
    pub frames: Frames,
    /// The size of FLAC's cache.
    #[arg(long, default_value = "4G")]
    pub dram: String,
    /// The preload library. Default: build the one of this profile.
    #[arg(long)]
    pub shim: Option<PathBuf>,
}

/// Kinds of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Frames {
    /// 2 MiB.
    Huge,
    /// 4 KiB.
    Plain,
}

impl Frames {
    /// Its name in tables and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Frames::Huge => "huge",
            Frames::Plain => "plain",
        }
    }
}

/// The competitors' places.
pub struct Arena {
    disk: TempDir,
    memory: TempDir,
    huge: Result<TempDir, String>,
    shim: PathBuf,
    root: PathBuf,
    pool: PathBuf,
    dram: String,
    frames: Frames,
}

impl Arena {
    /// A fresh pool for `size` bytes, opened once, and empty directories. Call it before any thread is started.
    ///
    /// # Errors
    /// What could not be made, and why.
    pub fn prepare(options: &ArenaOptions, size: u64) -> Result<Arena, String> {
        let shim = options.shim.clone().map_or_else(build_shim, Ok)?;
        let disk = options.disk.clone().unwrap_or_else(|| target_directory().join("tmp"));
        std::fs::create_dir_all(&disk).map_err(|error| format!("{}: {error}", disk.display()))?;
        remove_those_of_the_dead(&disk);
        remove_those_of_the_dead(Path::new("/dev/shm"));
        let private = mounts::may_mount();
        if private {
            mounts::isolate()?;
        }
        let (disk, memory) = (temporary_in(&disk)?, temporary_in(Path::new("/dev/shm"))?);
        if private && options.frames == Frames::Huge {
            mounts::tmpfs(&made(memory.path().join("cache"))?, "huge=always,size=95%,mode=1777")?;
        }
        let shim = installed(&shim, disk.path())?;
        let (root, pool) = (made(disk.path().join("flac"))?, disk.path().join("pool"));
        flac::media::Pool::create(&pool, &flac::media::PoolOptions { size, ..Default::default() }).map_err(|error| error.to_string())?;
        let huge = Err("not mounted yet".to_owned());
        let mut arena = Arena { disk, memory, huge, shim, root, pool, dram: options.dram.clone(), frames: options.frames };
        // The cache takes the huge pages that it finds when the pool is opened first: before there are others.
        arena.frames = arena.open()?;
        arena.huge = arena.mount_rival(options, private);
        Ok(arena)
    }

    fn mount_rival(&self, options: &ArenaOptions, private: bool) -> Result<TempDir, String> {
        match &options.huge {
            _ if options.no_huge => Err("left out by --no-huge".to_owned()),
            Some(directory) => temporary_in(directory),
            None if private => {
                let directory = temporary_in(self.memory.path())?;
                mounts::tmpfs(directory.path(), "huge=always,size=95%,mode=1777")?;
                Ok(directory)
            }
            None => Err("only root can mount one; --huge names one that is there".to_owned()),
        }
    }

    /// Opens the pool by the preload library, out of sight of huge pages that are not for it: what the cache got.
    fn open(&self) -> Result<Frames, String> {
        let mut command = match &self.huge {
            Ok(rival) if mounts::may_mount() => {
                let mut command = Command::new("unshare");
                let script = r#"umount -l "$1"; shift; exec "$@""#;
                command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(rival.path()).arg("stat");
                command
            }
            _ => Command::new("stat"),
        };
        command.args(["-c", "%d:%i"]).arg(&self.root).envs(self.variables(System::Flac));
        let output = command.output().map_err(|error| format!("stat: {error}"))?;
        if String::from_utf8_lossy(&output.stdout).trim() == identity(&self.root) || !output.status.success() {
            return Err(format!("the preload library does not serve its root: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let found = if self.info()?["huge_frames"] == true { Frames::Huge } else { Frames::Plain };
        if found != self.frames && mounts::may_mount() {
            return Err(format!("FLAC's cache has {} frames", found.name()));
        }
        Ok(found)
    }

    /// What `flac info --json` says.
    ///
    /// # Errors
    /// What it says instead.
    pub fn info(&self) -> Result<serde_json::Value, String> {
        let output = self.flac(&["info", "--json"])?;
        serde_json::from_slice(&output).map_err(|error| format!("flac info: {error}"))
    }

    /// The pool as after a reboot, but for what was not synced, which is there too.
    ///
    /// # Errors
    /// Why it can't be stopped or opened.
    pub fn reboot(&self) -> Result<(), String> {
        self.flac(&["stop"])?;
        self.open().map(drop)
    }

    /// `flac fsck`.
    ///
    /// # Errors
    /// What it found.
    pub fn check(&self) -> Result<(), String> {
        self.flac(&["fsck"]).map(drop)
    }

    fn flac(&self, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let mut command = Command::new(profile_directory().join("flac"));
        let output = command.args(arguments).arg("--pool").arg(&self.pool).output().map_err(|error| format!("flac: {error}"))?;
        let text = || {
            format!("flac {}: {}{}", arguments.join(" "), String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        };
        if output.status.success() { Ok(output.stdout) } else { Err(text()) }
    }

    /// What FLAC's cache got.
    #[must_use]
    pub fn frames(&self) -> Frames {
        self.frames
    }

    /// Memory for scratch files that belong to nobody.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.memory.path()
    }

    /// Where a system's files go.
    ///
    /// # Errors
    /// Why it does not take part.
    pub fn directory(&self, system: System) -> Result<PathBuf, String> {
        Ok(match system {
            System::Flac | System::FlacSync => self.root.clone(),
            System::Tmpfs | System::Preload | System::Limit => self.memory.path().to_owned(),
            System::Huge => self.huge.as_ref().map(|directory| directory.path().to_owned()).map_err(String::clone)?,
            System::Disk | System::DiskSync => self.disk.path().to_owned(),
        })
    }

    /// Device and inode of FLAC's root as the kernel sees it: who sees it so is not served.
    #[must_use]
    pub fn kernel_root(&self) -> String {
        identity(&self.root)
    }

    /// What a program's environment needs on a system.
    #[must_use]
    pub fn variables(&self, system: System) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut variables = Vec::new();
        if system.is_flac() || system == System::Preload {
            variables.push(("LD_PRELOAD", text(&self.shim)));
        }
        if system.is_flac() {
            variables.push(("FLAC_ROOT", text(&self.root)));
            variables.push(("FLAC_POOL", text(&self.pool)));
            variables.push(("FLAC_DRAM", self.dram.clone()));
        }
        variables
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if let Err(message) = self.flac(&["stop", "--discard"]) {
            eprintln!("{message}\nthe cache stays in memory");
        }
    }
}

/// Device and inode of a directory.
#[must_use]
pub fn identity(path: &Path) -> String {
    path.metadata().map_or_else(|error| error.to_string(), |found| format!("{}:{}", found.dev(), found.ino()))
}

const PREFIX: &str = "flac-bench-";

/// The library as an installation puts it somewhere: what was copied, or read from the disk after a boot, lies in large pieces of the page cache, what a linker has just written in pages; a program that
/// loads that starts 50 us later.
fn installed(library: &Path, directory: &Path) -> Result<PathBuf, String> {
    let copy = directory.join("libflacshim.so");
    std::fs::copy(library, &copy).map_err(|error| format!("{}: {error}", library.display()))?;
    Ok(copy)
}

fn temporary_in(parent: &Path) -> Result<TempDir, String> {
    let made = tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir_in(parent);
    made.map_err(|error| format!("{}: {error}", parent.display()))
}

/// What a benchmark that was killed left on the disk.
fn remove_those_of_the_dead(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let stop = ["stop", "--discard", "--pool"];
            let _ = Command::new(profile_directory().join("flac")).args(stop).arg(entry.path().join("pool")).output();
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn made(path: PathBuf) -> Result<PathBuf, String> {
    std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}
