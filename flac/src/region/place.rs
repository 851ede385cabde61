#![expect(unsafe_code, reason = "closes descriptors by their numbers, forks")]
//! Where the volatile state lives: the run directory on a tmpfs, and the DRAM tier's file on a tmpfs with huge pages where there is one.

use crate::error::{Error, Result};
use crate::media::Pool;
use crate::media::fd::{lends, open_lasting};
use crate::media::owner::Owner;
use crate::media::tmpfs;
use crate::units::{BLOCK, BLOCK_FRAMES, MOST_FRAMES, PAGE};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, Stat};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// Where `flac setup` mounts its huge-page tmpfs.
pub const HUGE_DIR: &str = "/run/flac";
/// Where every Linux has a tmpfs.
pub const SHM_DIR: &str = "/dev/shm";

/// What the control segment and the index of a small pool take, beside the images of the log: with less than this the cache would start and then fail at once.
const OTHERS: u64 = 16 << 20;

/// The smallest tier, in bytes.
const SMALLEST: u64 = 4 * BLOCK as u64;

/// Which tmpfs the DRAM tier is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A tmpfs mounted with `huge=`: the directory.
    Huge(PathBuf),
    /// The run directory itself, in 4 KiB pages.
    Plain,
}

/// The run directory of a pool, locked while it is being opened.
#[derive(Clone)]
pub struct RunDir {
    dir: PathBuf,
    mode: u32,
    owner: Owner,
    uuid: String,
}

/// While this lives no other process opens or removes the run directory. One that was made just now goes with it, unless [`RunLock::keep`] is called: a pool that
/// can't be opened leaves nothing behind.
///
/// A child that is forked meanwhile, by another thread, has the lock's open file, too: the lock is given back before the file is closed, and the child closes its own
/// ([`close_inherited_lock`]), or it would hold the lock if this process dies.
pub struct RunLock {
    file: OwnedFd,
    made: Option<RunDir>,
}

/// The descriptor of the lock that this process holds, or waits for; -1 is none.
static LOCK: AtomicI32 = AtomicI32::new(-1);

/// In a child that was forked while another thread was opening a pool.
pub fn close_inherited_lock() {
    // SAFETY: the thread whose it was is not in this process, and nobody else knows the number.
    let close = |fd| unsafe { rustix::io::close(fd) };
    match LOCK.swap(-1, Relaxed) {
        // That thread may have opened the file and not said so yet.
        -1 => open_locks().into_iter().for_each(close),
        fd => close(fd),
    }
}

/// The numbers of this process's descriptors of locks of run directories, as far as the kernel tells.
fn open_locks() -> Vec<i32> {
    let is_lock = |fd: &i32| {
        let path = rustix::fs::readlink(format!("/proc/self/fd/{fd}"), Vec::new()).unwrap_or_default();
        let name = path.to_bytes().strip_prefix(format!("{SHM_DIR}/flac-").as_bytes()).unwrap_or_default();
        // That of a directory which is gone counts, too.
        name.split(|byte| *byte == b'/').nth(1).is_some_and(|name| name == b"lock" || name.starts_with(b"lock "))
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(mut dir) = rustix::fs::open("/proc/self/fd", flags, Mode::empty()).and_then(rustix::fs::Dir::new) else { return Vec::new() };
    let numbers = std::iter::from_fn(|| dir.read()).map_while(|entry| entry.ok());
    numbers.filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok()).filter(is_lock).collect()
}

impl RunLock {
    /// The pool is open: the run directory stays.
    pub fn keep(&mut self) {
        self.made = None;
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        if let Some(run) = self.made.take() {
            let _ = run.remove();
        }
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        let _ = LOCK.compare_exchange(self.file.as_raw_fd(), -1, Relaxed, Relaxed);
    }
}

impl RunDir {
    /// The run directory of `pool`, made if missing, and its lock.
    pub fn open(pool: &Pool) -> Result<(RunDir, RunLock)> {
        let uuid = pool.uuid_hex();
        let dir = Path::new(SHM_DIR).join(format!("flac-{uuid}"));
        // Whoever may write the pool may use its shared memory.
        let (mode, owner) = shared_mode(pool.dir())?;
        let run = RunDir { dir, mode, owner, uuid };
        let mut made = false;
        loop {
            let dir_mode = Mode::from_raw_mode(mode | (mode & 0o444) >> 2);
            match rustix::fs::mkdir(&run.dir, dir_mode) {
                Ok(()) => {
                    made = true;
                    owner.give_dir(&run.dir);
                    rustix::fs::chmod(&run.dir, dir_mode).map_err(Error::io("chmod the run directory"))?;
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(e) => return Err(Error::Io("make the run directory in /dev/shm", e.raw_os_error())),
            }
            let mut lock = RunLock { file: run.open_file("lock")?, made: None };
            LOCK.store(lock.file.as_raw_fd(), Relaxed);
            rustix::fs::flock(&lock.file, FlockOperation::LockExclusive).map_err(Error::io("lock the run directory"))?;
            // `flac stop` may have removed it while we waited.
            if rustix::fs::fstat(&lock.file).map_err(Error::io("look at the run lock"))?.st_nlink > 0 {
                // Another process may have been faster, and found it empty.
                lock.made = (made && !run.dir.join("control").exists()).then(|| run.clone());
                return Ok((run, lock));
            }
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens (or makes) a file of the run directory for reading and writing.
    pub fn open_file(&self, name: &str) -> Result<OwnedFd> {
        open_shared(&self.dir.join(name), self.mode, self.owner, true)
    }

    /// As [`RunDir::open_file`], for a moment, at whatever number is free.
    pub(super) fn open_briefly(&self, name: &str) -> Result<OwnedFd> {
        open_shared(&self.dir.join(name), self.mode, self.owner, false)
    }

    /// Makes a directory in the run directory, if it is missing, for all who may use the pool.
    pub fn make_dir(&self, name: &str) -> Result<()> {
        let mode = Mode::from_raw_mode(self.mode | (self.mode & 0o444) >> 2);
        match rustix::fs::mkdir(self.dir.join(name), mode) {
            Ok(()) => {
                self.owner.give_dir(&self.dir.join(name));
                rustix::fs::chmod(self.dir.join(name), mode).map_err(Error::io("chmod a run directory"))
            }
            Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(e) => Err(Error::Io("make a run directory", e.raw_os_error())),
        }
    }

    /// Makes the DRAM tier's file.
    pub(super) fn make_dram(&self) -> Result<OwnedFd> {
        open_shared(&self.dram_path(), self.mode, self.owner, true)
    }

    /// Opens the DRAM tier's file, which has `len` bytes and is [`huge`](RunDir::huge) or not.
    ///
    /// # Errors
    /// `Unusable` if it is not there any more: the control segment names frames in it, and with another file in its place all of them would be zeros.
    pub(super) fn open_dram(&self, len: u64, huge: bool) -> Result<OwnedFd> {
        let path = if huge { self.dram_path() } else { self.dir.join("dram") };
        let gone = || {
            let dir = path.parent().unwrap_or(&self.dir).display();
            Error::Unusable(format!(
                "the cache of this pool is gone from {dir} (was it unmounted?), and with it what was not synced: end all programs that use the pool, then `flac stop --discard`"
            ))
        };
        let fd = match open_lasting(&path, OFlags::RDWR, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Err(gone()),
            fd => fd.map_err(Error::io("open a shared-memory file"))?,
        };
        if (rustix::fs::fstat(&fd).map_err(Error::io("look at the DRAM tier"))?.st_size as u64) < len {
            return Err(gone());
        }
        high_fd(fd).inspect(|fd| lends(fd.as_raw_fd()))
    }

    /// The path of the DRAM tier's file.
    pub fn dram_path(&self) -> PathBuf {
        match std::fs::read_link(self.dir.join("dram")) {
            Ok(target) => target,
            Err(_) => self.dir.join("dram"),
        }
    }

    /// Whether the DRAM tier is on a tmpfs with huge pages; decided by whoever creates it, kept as a symbolic link.
    pub fn huge(&self) -> bool {
        std::fs::symlink_metadata(self.dir.join("dram")).is_ok_and(|m| m.file_type().is_symlink())
    }

    /// Decides where the tier goes, and its size in frames: `wanted` bytes, or half the machine's memory, at most what the tmpfs can hold beside the images of two logs of
    /// `log_bytes` and what else lies in the run directory.
    pub(super) fn dram_frames(&self, wanted: Option<u64>, log_bytes: u64) -> Result<u32> {
        let beside = self.room_beside(log_bytes)?;
        let _ = std::fs::remove_file(self.dir.join("dram"));
        let place = find_huge();
        let on = match &place {
            Place::Huge(dir) => {
                let target = dir.join(format!("flac-{}.dram", self.uuid));
                let _ = std::fs::remove_file(&target);
                rustix::fs::symlink(&target, self.dir.join("dram")).map_err(Error::io("link the DRAM tier"))?;
                dir.as_path()
            }
            Place::Plain => &self.dir,
        };
        let free = if place == Place::Plain { beside } else { room(on)? };
        let info = rustix::system::sysinfo();
        let memory = info.totalram as u64 * info.mem_unit as u64;
        let bytes = wanted.unwrap_or(memory / 2).min((free / 10 * 9).max(SMALLEST));
        let frames = frames_in(bytes);
        if u64::from(frames) * (PAGE as u64) < SMALLEST {
            return Err(Error::Unusable(format!(
                "the DRAM cache would have only {bytes} bytes: set FLAC_DRAM to at least 8M and make room in /dev/shm"
            )));
        }
        Ok(frames)
    }

    /// How many bytes of the tmpfs are free beside what the rest of the volatile state takes.
    ///
    /// # Errors
    /// `Unusable`, with what would help, if a tier has no room there.
    pub(super) fn room_beside(&self, log_bytes: u64) -> Result<u64> {
        let (others, free) = (2 * log_bytes + OTHERS, room(&self.dir)?);
        if free < others + SMALLEST {
            return Err(Error::Unusable(format!(
                "{SHM_DIR} has only {} MiB free, and this pool needs {}: make room there, or make it larger (`mount -o remount,size=1G {SHM_DIR}`; for a container, its \
                 option --shm-size)",
                free >> 20,
                (others + SMALLEST) >> 20
            )));
        }
        Ok(free - others)
    }

    /// Removes everything volatile. The caller holds the lock and knows that nobody uses it.
    pub fn remove(&self) -> Result<()> {
        if self.huge() {
            let _ = std::fs::remove_file(self.dram_path());
        }
        std::fs::remove_dir_all(&self.dir).map_err(|e| Error::Io("remove the run directory", e.raw_os_error().unwrap_or(libc::EIO)))
    }
}

/// Free bytes of the tmpfs that `dir` is on.
fn room(dir: &Path) -> Result<u64> {
    rustix::fs::statvfs(dir).map(|fs| tmpfs::free(&fs)).map_err(Error::io("look at the tmpfs"))
}

/// Frames of a tier of so many bytes: whole blocks, and no more than there can be.
fn frames_in(bytes: u64) -> u32 {
    let frames = bytes / PAGE as u64 / BLOCK_FRAMES as u64 * BLOCK_FRAMES as u64;
    u32::try_from(frames).unwrap_or(u32::MAX).min(MOST_FRAMES)
}

fn open_shared(path: &Path, mode: u32, owner: Owner, stays: bool) -> Result<OwnedFd> {
    let wanted = Mode::from_raw_mode(mode);
    let open = |how: OFlags| open_lasting(path, OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | how, wanted);
    // What is there already belongs to whom it should, or is no file of ours.
    let made = owner.is_another().then(|| open(OFlags::EXCL).inspect(|fd| owner.give(fd))).and_then(std::result::Result::ok);
    let fd = made.map_or_else(|| open(OFlags::empty()), Ok).map_err(Error::io("open a shared-memory file"))?;
    let stat = look_at(&fd)?;
    // The umask of whoever comes first must not lock the others out; not ours to change if another user made it.
    if Mode::from_raw_mode(stat.st_mode) != wanted {
        let _ = rustix::fs::fchmod(&fd, wanted);
    }
    Ok(if stays { high(fd, &stat) } else { fd })
}

/// Looks for a writable tmpfs with huge pages: `/run/flac` first, then any other.
pub fn find_huge() -> Place {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return Place::Plain };
    let huge = mounts.lines().filter_map(huge_mount);
    let usable = |dir: &str| rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok();
    let mut found: Vec<&str> = huge.filter(|dir| usable(dir)).collect();
    found.sort_by_key(|dir| *dir != HUGE_DIR);
    found.first().map_or(Place::Plain, |dir| Place::Huge(dir.into()))
}

/// The mount point of a mountinfo line, if it is a tmpfs that gives huge pages without being asked.
fn huge_mount(line: &str) -> Option<&str> {
    let (front, back) = line.split_once(" - ")?;
    let mut back = back.split(' ');
    let is_tmpfs = back.next()? == "tmpfs";
    let options = back.nth(1)?;
    let huge = options.split(',').any(|o| o == "huge=always" || o == "huge=within_size");
    let dir = front.split(' ').nth(4)?;
    (is_tmpfs && huge && !dir.contains('\\')).then_some(dir)
}

/// Permission bits for files that everyone who may write the pool directory must be able to open, and whose they are.
fn shared_mode(pool: &Path) -> Result<(u32, Owner)> {
    let dir = rustix::fs::stat(pool).map_err(Error::io("look at the pool directory"))?;
    let others = [(0o020, 0o060), (0o002, 0o006)].iter().filter(|(may, _)| dir.st_mode & may != 0).map(|(_, bits)| bits).sum::<u32>();
    Ok((0o600 | others, Owner::of(&dir)))
}

/// Moves a descriptor of ours out of the way of the program's, if the limit on open files allows.
fn high_fd(fd: OwnedFd) -> Result<OwnedFd> {
    let stat = look_at(&fd)?;
    Ok(high(fd, &stat))
}

fn look_at(fd: &OwnedFd) -> Result<Stat> {
    rustix::fs::fstat(fd).map_err(Error::io("look at a file of ours"))
}

fn high(fd: OwnedFd, stat: &Stat) -> OwnedFd {
    crate::media::fd::duplicate_high(&fd, (stat.st_dev, stat.st_ino)).map_or(fd, crate::media::fd::own)
}

/// As [`high_fd`], but closed where the limit allows no such number.
pub fn out_of_the_way(fd: OwnedFd) -> Option<OwnedFd> {
    high_fd(fd).ok().filter(crate::media::fd::is_high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::survival::{make_pool, place};
    use crate::media::create::Geometry;
    use crate::media::sim::tape::Lower;
    use crate::table::Entry;
    use crate::units::{FrameNo, PoolFrame};

    /// A run directory that is locked. The first is the pool's place.
    fn locked() -> (tempfile::TempDir, RunDir, RunLock) {
        let dir = place();
        let pool = dir.path().join("pool");
        make_pool(&pool, &Geometry::of(64 << 20), Lower::Ext4);
        let pool = Pool::open(&pool).expect("the pool opens");
        let (run, mut lock) = RunDir::open(&pool).expect("a run directory");
        lock.keep();
        (dir, run, lock)
    }

    #[test]
    fn regression_a_child_closes_a_lock_that_its_parent_has_opened_and_not_named_yet() {
        let (_dir, run, lock) = locked();
        // SAFETY: the child calls what needs no other thread, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            LOCK.store(-1, Relaxed);
            close_inherited_lock();
            let closed = rustix::io::fcntl_getfd(&lock.file) == Err(rustix::io::Errno::BADF);
            // SAFETY: as above.
            unsafe { libc::_exit(i32::from(!closed)) };
        }
        let mut status = 0;
        // SAFETY: our child, and room for a number.
        assert_eq!((unsafe { libc::waitpid(child, &mut status, 0) }, status), (child, 0));
        drop(lock);
        run.remove().expect("it goes");
    }

    #[test]
    fn regression_a_copy_of_the_lock_that_a_fork_made_does_not_hold_it() {
        let (_dir, run, lock) = locked();
        let copy = rustix::io::dup(&lock.file).expect("a copy");
        let again = run.open_file("lock").expect("it opens");
        let try_lock = || rustix::fs::flock(&again, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(try_lock(), Err(rustix::io::Errno::WOULDBLOCK));
        drop(lock);
        assert_eq!(try_lock(), Ok(()));
        run.remove().expect("it goes");
        drop(copy);
    }

    /// On a machine with 2 TiB of memory the last frames of the tier had no room in an entry, and were taken for frames of the pool.
    #[test]
    fn regression_the_last_frame_of_the_largest_tier_has_room_in_an_entry() {
        let last = FrameNo::new(frames_in(4 << 40) - 1);
        let entry = Entry::pooled(PoolFrame::new(7)).loaded(last);
        assert_eq!((entry.dram(), entry.pool()), (Some(last), Some(PoolFrame::new(7))));
        assert_eq!(frames_in((1 << 30) + 5), 1 << 18);
    }
}
