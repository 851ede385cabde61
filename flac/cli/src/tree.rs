//! What copying trees in and out has in common: who copies, paths in the pool, the progress bar, failures that do not end the work.

use crate::failure::{Failure, Outcome};
use crate::{human, location};
use flac::fs::attr::{Creds, Time};
use flac::fs::names::{Last, Resolved};
use flac::units::Ino;
use flac::{Error, Fs};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::process;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Bytes copied at a time.
pub const CHUNK: usize = 1 << 20;

/// The user who runs this program.
pub struct User {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl User {
    /// Now.
    pub fn current() -> Self {
        let groups = process::getgroups().unwrap_or_default().into_iter().map(|gid| gid.as_raw()).collect();
        Self { uid: process::geteuid().as_raw(), gid: process::getegid().as_raw(), groups }
    }

    /// As the file system wants it. Modes are given as they are meant: no umask.
    pub fn creds(&self) -> Creds<'_> {
        Creds { uid: self.uid, gid: self.gid, groups: &self.groups, umask: 0 }
    }

    /// Whether owners can be kept.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// What a copy has done so far.
pub struct Report {
    bar: ProgressBar,
    files: u64,
    bytes: u64,
    failures: u64,
}

impl Report {
    /// With a progress bar if standard error is a terminal; `total` is only asked for then.
    pub fn new(total: impl FnOnce() -> u64) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}").expect("a valid template");
            ProgressBar::with_draw_target(Some(total()), ProgressDrawTarget::stderr()).with_style(style)
        } else {
            ProgressBar::hidden()
        };
        Self { bar, files: 0, bytes: 0, failures: 0 }
    }

    /// One more thing with a name is there.
    pub fn file(&mut self) {
        self.files += 1;
    }

    /// `bytes` more are copied.
    pub fn copied(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.bar.inc(bytes);
    }

    /// Says what went wrong with `path` and goes on.
    pub fn failed(&mut self, path: &Path, error: impl std::fmt::Display) {
        self.failures += 1;
        let failure = Failure::on(path, error);
        self.bar.suspend(|| human::to_stderr(&format!("flac: {failure}\n")));
    }

    /// The last line, and the exit status.
    pub fn finish(self, did: &str) -> Outcome {
        self.bar.finish_and_clear();
        human::to_stdout(&format!("{did} {}, {}\n", human::count(self.files, "name"), human::size(self.bytes)));
        if self.failures > 0 {
            return Err(Failure::new(format!("{} not copied", human::count(self.failures, "name"))));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether an extended attribute goes with a file from one file system to another.
pub fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_")
}

/// Whether it is of no use to go on with the next file.
pub fn is_fatal(error: &Error) -> bool {
    match error {
        Error::NoSpace | Error::Unusable(_) | Error::Lost(_) => true,
        Error::Io(_, errno) | Error::Os(errno) => *errno == libc::ENOSPC,
        Error::Corrupt(_) | Error::NoFrames => false,
    }
}

/// `path` from the root of the tree, without a slash in front; it may be given as programs see it, below `FLAC_ROOT`.
pub fn inside(path: &Path) -> PathBuf {
    let below = path.strip_prefix(location::root()).unwrap_or(path);
    below.strip_prefix("/").unwrap_or(below).to_owned()
}

/// What `path` (from the root of the tree) means, a symbolic link at its end followed.
pub fn find(fs: &Fs, path: &Path, user: &User) -> Result<Ino, Failure> {
    let shown = Path::new("/").join(path);
    match fs.resolve(Ino::ROOT, path.as_os_str().as_bytes(), Last::Follow, &user.creds()) {
        Ok(Resolved::Found { ino, .. }) => Ok(ino),
        Ok(Resolved::Missing { .. }) => Err(Failure::on(&shown, "is not in the pool")),
        Ok(Resolved::Outside(_)) => Err(Failure::on(&shown, "leads out of the pool")),
        Err(e) => Err(Failure::on(&shown, e)),
    }
}

/// To the pool's notion of time.
pub fn time(sec: i64, nsec: i64) -> Time {
    Time { sec, nsec: nsec as u32 }
}
