//! What the tools need beyond the calls of programs: safe reads and writes, the state of the log, checking, and taking the volatile state down.
#![expect(unsafe_code, reason = "Fs::read and Fs::write take raw buffers; here they get slices")]

use super::Fs;
use super::files::OpenId;
use super::io::IoVec;
use crate::error::{Error, Result};
use crate::media::file::{self, File};
use crate::media::layout::{self, HEADER, Superblock};
use crate::media::{Medium, Model, Pool};
use crate::metalog::Meta;
use crate::region::{HUGE_DIR, SHM_DIR};
use crate::sync::{Liveness, Ordering::Acquire};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an opener may keep the run directory locked.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of the log and the checkpoints.
#[derive(Debug, Clone)]
pub struct LogState {
    /// The last record.
    pub last: u64,
    /// The last record that recovery would know to be durable.
    pub durable: u64,
    /// Bytes that the log files take.
    pub log_bytes: u64,
    /// Generation and bytes of each checkpoint, oldest first.
    pub checkpoints: Vec<(u64, u64)>,
}

impl Fs {
    /// What the pool lies on.
    pub fn medium(&self) -> Medium {
        self.pool.medium()
    }

    /// Why the pool is not on DAX; `None` if it is.
    pub fn not_dax(&self) -> Option<&str> {
        self.pool.not_dax()
    }

    /// Whose cost is injected into each access to the pool.
    pub fn injected(&self) -> Option<Model> {
        self.pool.model()
    }

    /// Writes all of `bytes` at `at` (an `O_APPEND` file: at its end).
    ///
    /// # Errors
    /// As of [`Fs::write`]; some of the bytes may be written.
    pub fn write_bytes(&self, id: OpenId, bytes: &[u8], at: u64) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            // SAFETY: the vector describes `rest`, which is only read.
            done += unsafe { self.write(id, &[vector(rest.as_ptr(), rest.len())], Some(at + done as u64)) }?;
        }
        Ok(())
    }

    /// Reads at `at` until `to` is full or the file ends; how much was read.
    pub fn read_bytes(&self, id: OpenId, to: &mut [u8], at: u64) -> Result<usize> {
        let mut done = 0;
        while done < to.len() {
            let rest = &mut to[done..];
            // SAFETY: the vector describes `rest`, which is ours to write to.
            match unsafe { self.read(id, &[vector(rest.as_mut_ptr(), rest.len())], Some(at + done as u64)) }? {
                0 => break,
                n => done += n,
            }
        }
        Ok(done)
    }

    /// The state of the log.
    pub fn log_state(&self) -> Result<LogState> {
        let dir = self.pool.dir();
        let size = |name: &str| std::fs::metadata(dir.join(name)).map_or(0, |m| m.len());
        let names = file::names_in(dir).map_err(|e| file::unusable(dir, e))?;
        let generation = |name: &Vec<u8>| std::str::from_utf8(name).ok()?.strip_prefix("checkpoint.")?.parse().ok();
        let mut checkpoints: Vec<(u64, u64)> =
            names.iter().filter_map(generation).map(|g: u64| (g, size(&format!("checkpoint.{g}")))).collect();
        checkpoints.sort_unstable();
        Ok(LogState {
            last: self.meta.last_seq().get(),
            durable: self.meta.durable_seq().get(),
            log_bytes: size("log.0") + size("log.1"),
            checkpoints,
        })
    }

    /// Checks the metadata, with `data` also every page against its checksum; one line a finding.
    pub fn check(&self, data: bool) -> Result<Vec<String>> {
        super::fsck::check(self, data)
    }

    /// Pids of the other processes that use the pool, after cleaning up after the dead ones.
    pub fn other_users(&self) -> Vec<u32> {
        self.reap_all();
        let (me, procs) = (rustix::process::getpid().as_raw_nonzero().get() as u32, self.region.control.procs());
        // A slot with our own pid but not ours is left from before an exec of this process.
        let pids = self.procs.others().map(|slot| procs[slot as usize].pid.load(Acquire));
        let mut pids: Vec<u32> = pids.filter(|pid| *pid != me).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Makes everything durable, then removes the volatile state; this process uses the pool no more.
    /// If others use it (and `regardless` is false) nothing is removed: their pids.
    ///
    /// # Errors
    /// Those of [`Fs::sync_all`]: nothing was removed.
    pub fn take_down(&self, state: &Volatile, regardless: bool) -> Result<Vec<u32>> {
        debug_assert!(self.procs.alive(self.procs.me()));
        self.sync_all()?;
        let lock = state.lock()?;
        let others = self.other_users();
        if !others.is_empty() && !regardless {
            return Ok(others);
        }
        // What was written while we waited for the lock.
        self.sync_all()?;
        if others.is_empty() {
            self.meta.close(&self.pool)?;
        }
        self.exit();
        state.remove(lock)?;
        Ok(Vec::new())
    }
}

/// Checks superblock, checkpoints and log of the pool in `dir` without opening it; one line a finding. Meant for a pool without volatile state.
pub fn verify(dir: &Path) -> Result<Vec<String>> {
    Meta::verify(dir)
}

/// The volatile state of a pool, found without opening either: both may be damaged, or of another version.
#[derive(Debug, Clone)]
pub struct Volatile {
    dir: PathBuf,
    tier: String,
}

/// While this lives, nobody opens the pool.
pub struct VolatileLock(#[expect(dead_code, reason = "held for its lock")] OwnedFd);

impl Volatile {
    /// The volatile state of the pool in `pool`, if there is any.
    ///
    /// # Errors
    /// `Unusable` if there is no pool.
    pub fn of(pool: &Path) -> Result<Option<Volatile>> {
        let uuid: String = uuid_of(pool)?.iter().map(|b| format!("{b:02x}")).collect();
        let state = Volatile { dir: Path::new(SHM_DIR).join(format!("flac-{uuid}")), tier: format!("flac-{uuid}.dram") };
        let there = std::fs::symlink_metadata(&state.dir).is_ok() || Path::new(HUGE_DIR).join(&state.tier).exists();
        Ok(there.then_some(state))
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps others from opening the pool.
    ///
    /// # Errors
    /// `Io` with `ETIMEDOUT` if somebody has been opening the pool for half a minute.
    pub fn lock(&self) -> Result<Option<VolatileLock>> {
        let what = "lock the run directory";
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = match rustix::fs::open(self.dir.join("lock"), flags, Mode::from_raw_mode(0o600)) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            other => other.map_err(Error::io(what))?,
        };
        let start = Instant::now();
        while let Err(e) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            match e {
                rustix::io::Errno::WOULDBLOCK if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
                rustix::io::Errno::WOULDBLOCK => return Err(Error::Io(what, libc::ETIMEDOUT)),
                e => return Err(Error::io(what)(e)),
            }
        }
        Ok(Some(VolatileLock(file)))
    }

    /// Pids of the processes that have the control segment mapped, as far as this user may see; this process is not among them.
    pub fn mapped_by(&self) -> Vec<u32> {
        let Ok(control) = std::fs::metadata(self.dir.join("control")) else { return Vec::new() };
        let (major, minor) = (rustix::fs::major(control.dev()), rustix::fs::minor(control.dev()));
        let wanted = format!(" {major:02x}:{minor:02x} {} ", control.ino());
        let me = std::process::id();
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| *pid != me);
        pids.filter(|pid| std::fs::read(format!("/proc/{pid}/maps")).is_ok_and(|maps| contains(&maps, wanted.as_bytes()))).collect()
    }

    /// Removes it. What was not made durable is lost.
    pub fn remove(&self, _lock: Option<VolatileLock>) -> Result<()> {
        let gone = |e: std::io::Error| match e.raw_os_error() {
            // Where nothing can be written, nothing of ours is.
            Some(libc::ENOENT | libc::EROFS) => Ok(()),
            e => Err(Error::Io("remove the volatile state", e.unwrap_or(libc::EIO))),
        };
        // The link may have been made by somebody else than us: only a file of the right name is ours.
        let linked = std::fs::read_link(self.dir.join("dram")).ok().filter(|to| to.file_name() == Some(self.tier.as_ref()));
        for tier in linked.into_iter().chain([Path::new(HUGE_DIR).join(&self.tier)]) {
            std::fs::remove_file(tier).or_else(gone)?;
        }
        std::fs::remove_dir_all(&self.dir).or_else(gone)
    }
}

fn vector(base: *const u8, len: usize) -> IoVec {
    IoVec { iov_base: base.cast_mut().cast(), iov_len: len }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

/// The identity of the pool in `dir`, also where the superblock is damaged or of another version.
fn uuid_of(dir: &Path) -> Result<layout::Uuid> {
    std::fs::read_dir(dir).map_err(|e| unusable(dir, &e))?;
    let path = dir.join("superblock");
    let file = File::open(&path, OFlags::RDONLY).map_err(|e| match e {
        rustix::io::Errno::NOENT => match Pool::open(dir) {
            Err(e) => e,
            Ok(_) => Error::Os(libc::ENOENT),
        },
        e => file::unusable(&path, e),
    })?;
    let mut copies = [[0; HEADER]; 2];
    for (copy, at) in copies.iter_mut().zip([0, layout::SUPERBLOCK_COPY]) {
        file.read_at(copy, at).map_err(Error::io("reading the superblock"))?;
    }
    let sound = copies.iter().find_map(|copy| Superblock::decode(copy)).map(|s| s.uuid);
    // Behind magic, version and features, whatever the checksum says.
    let raw = || copies.iter().find(|copy| Superblock::resembles(*copy)).and_then(|copy| copy[16..32].try_into().ok());
    sound.or_else(raw).ok_or_else(|| {
        Error::Unusable(format!("{} is not a pool's superblock: set FLAC_POOL to a pool, or make one with `flac mkfs`", path.display()))
    })
}

fn unusable(path: &Path, e: &std::io::Error) -> Error {
    file::unusable(path, rustix::io::Errno::from_raw_os_error(e.raw_os_error().unwrap_or(libc::EIO)))
}
