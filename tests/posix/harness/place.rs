//! The file systems that cases run on, made before and removed after.

use super::process::{self, Verdict};
use crate::case::identity;
use std::fmt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Which file system.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The oracle: `/dev/shm`.
    Tmpfs,
    /// A second oracle: whatever the target directory is on.
    Disk,
    /// A fresh pool, under the shim.
    Flac,
    /// A fresh pool, mounted through FUSE; without the shim.
    Mount,
}

impl Kind {
    /// # Errors
    /// A message for the user.
    pub fn parse(name: &str) -> Result<Kind, String> {
        [Kind::Tmpfs, Kind::Disk, Kind::Flac, Kind::Mount]
            .into_iter()
            .find(|kind| kind.to_string() == name)
            .ok_or(format!("no place is called {name}: tmpfs, disk, flac or mount"))
    }
}

impl Kind {
    fn has_pool(self) -> bool {
        matches!(self, Kind::Flac | Kind::Mount)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Kind::Tmpfs => "tmpfs",
            Kind::Disk => "disk",
            Kind::Flac => "flac",
            Kind::Mount => "mount",
        })
    }
}

/// A place for cases. Dropping it removes everything that was made in it.
pub struct Place {
    kind: Kind,
    /// Temporary directories of this run, removed at the end.
    made: Vec<tempfile::TempDir>,
    /// The root of the file system under test.
    root: PathBuf,
    /// The directory in it where the cases get theirs.
    base: PathBuf,
    outside: PathBuf,
    pool: PathBuf,
    kernel_root: Option<String>,
}

impl Place {
    /// # Errors
    /// What could not be made, and why.
    pub fn prepare(kind: Kind) -> Result<Place, String> {
        let disk = temporary_in(&disk_directory())?;
        let memory = temporary_in(Path::new("/dev/shm"))?;
        let (inside, outside) = match kind {
            Kind::Tmpfs => (memory.path(), disk.path()),
            Kind::Disk | Kind::Flac | Kind::Mount => (disk.path(), memory.path()),
        };
        let base = if kind.has_pool() { inside.join("flac") } else { inside.to_owned() };
        let root = if kind.has_pool() { base.clone() } else { mount_point(inside) };
        let pool = inside.join("pool");
        let outside = outside.to_owned();
        let mut place = Place { kind, made: Vec::new(), root, base, outside, pool, kernel_root: None };
        if kind.has_pool() {
            shim()?;
            open_directory(&place.base)?;
            open_directory(&place.pool)?;
            make_pool(&place.pool)?;
            if kind == Kind::Flac {
                place.kernel_root = Some(identity(&place.base));
            } else {
                tool(&["mount"], &place.pool, Some(&place.base))?;
                open_to_all(&place.base, 0o777)?;
            }
        }
        place.made = vec![disk, memory];
        Ok(place)
    }

    /// Runs one case here, in a process of its own.
    pub fn run(&self, name: &str) -> Verdict {
        let plain = name.replace("::", ".");
        let outside = self.outside.join(&plain);
        let log = self.made[0].path().join(format!("{plain}.log"));
        if let Err(error) = std::fs::create_dir(&outside) {
            return Verdict::Failed(format!("{}: {error}", outside.display()));
        }
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command.arg("--case").arg(name).arg(self.base.join(&plain)).arg(&self.root).arg(&outside);
        command.args(&self.kernel_root);
        self.set_environment(&mut command);
        let verdict = process::run(command, &log);
        if self.kind.has_pool() {
            self.empty(&self.base.join(&plain), &log);
        }
        verdict
    }

    /// Removes what a case left in the pool, which all cases share.
    fn empty(&self, directory: &Path, log: &Path) {
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command.args(["--role", "remove-tree"]).arg(directory);
        self.set_environment(&mut command);
        process::run(command, log);
    }

    /// What a case has killed may hold the mount for a moment; its server must not be ended before.
    fn unmount(&self) -> Result<(), String> {
        let mut tries = 0;
        loop {
            match tool(&["mount", "--unmount"], &self.pool, Some(&self.base)) {
                Err(_) if tries < 50 => std::thread::sleep(std::time::Duration::from_millis(100)),
                done => return done,
            }
            tries += 1;
        }
    }

    fn set_environment(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FLAC_") && name != "FLAC_LOG" && name != "FLAC_ATTACH" {
                command.env_remove(name);
            }
        }
        if self.kind == Kind::Flac {
            let shim = shim().expect("built when the place was prepared");
            command.env("LD_PRELOAD", shim).env("FLAC_ROOT", &self.root).env("FLAC_POOL", &self.pool);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.kind == Kind::Mount
            && let Err(error) = self.unmount()
        {
            eprintln!("{error}");
        }
        if self.kind.has_pool()
            && profile_directory().join("flac").exists()
            && let Err(error) = tool(&["stop", "--discard", "--force"], &self.pool, None)
        {
            eprintln!("{error}");
        }
        for made in &self.made {
            make_removable(made.path());
        }
    }
}

/// Builds the shim once, in the profile of this program: its path.
fn shim() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build_shim).clone()
}

fn build_shim() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("FLAC_SHIM") {
        return Ok(given.into());
    }
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

/// A pool that is soon made: its logs are a sixteenth of it.
fn make_pool(directory: &Path) -> Result<(), String> {
    tool(&["mkfs", "--size", "512M"], directory, None)
}

/// Runs `flac WORDS --pool POOL [LAST]`.
fn tool(words: &[&str], pool: &Path, last: Option<&Path>) -> Result<(), String> {
    let mut command = Command::new(profile_directory().join("flac"));
    let output = command.args(words).arg("--pool").arg(pool).args(last).output().map_err(|error| format!("flac {words:?}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()) }
}

/// `target/debug` or `target/release`: two levels above this program, which is in `deps`.
fn profile_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    program.ancestors().nth(2).expect("a target directory").to_owned()
}

/// A directory on disk: in the target directory where that can be written, else the usual one for large temporary files. Root's cases become other users, who must get there: a clone may lie in
/// root's home, which is root's alone.
fn disk_directory() -> PathBuf {
    let inside_target = profile_directory().parent().map(|target| target.join("tmp"));
    let is_root = crate::sys::is_root();
    let reached = |path: &Path| !is_root || path.ancestors().all(|part| part.metadata().is_ok_and(|m| m.mode() & 0o001 != 0));
    let usable = |path: &PathBuf| std::fs::create_dir_all(path).is_ok() && temporary_in(path).is_ok() && reached(path);
    inside_target.into_iter().chain([PathBuf::from("/var/tmp")]).find(usable).unwrap_or_else(std::env::temp_dir)
}

fn temporary_in(parent: &Path) -> Result<tempfile::TempDir, String> {
    let made = tempfile::Builder::new().prefix("flac-posix-").tempdir_in(parent);
    let made = made.map_err(|error| format!("{}: {error}", parent.display()))?;
    open_to_all(made.path(), 0o755)?;
    Ok(made)
}

/// A directory that other users may work in, because cases change their user.
fn open_directory(path: &Path) -> Result<(), String> {
    std::fs::create_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    open_to_all(path, 0o777)
}

fn open_to_all(path: &Path, mode: u32) -> Result<(), String> {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).map_err(|error| format!("{}: {error}", path.display()))
}

/// The directory where the file system of `path` is mounted.
fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    let same = |candidate: &&Path| device(candidate) == device(path);
    path.ancestors().take_while(same).last().unwrap_or(path).to_owned()
}

/// Lets a plain user remove directories that a case left without permissions.
fn make_removable(path: &Path) {
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
    let Ok(entries) = std::fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_removable(&entry.path());
        }
    }
}
