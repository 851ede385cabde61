//! An open pool: what it is, and room for its frames (`frames` reads and writes them).

use super::device::Device;
use super::file::{self, File, PageBuffer};
use super::layout::{self, HEADER, Superblock};
use super::mapped::Mapped;
use super::probe::{self, Probed};
use super::{Medium, Model};
use crate::error::{Error, Result};
use crate::sync::{AtomicU64, Ordering};
use crate::units::{PAGE, PoolFrame};
use rustix::fs::{Access, AtFlags, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files that are mapped on DAX.
pub(super) const MAPPED_FILES: [&str; 3] = ["frames", "log.0", "log.1"];

/// The superblock and the frames of a pool. Threads share it; a forked child may go on using it.
pub struct Pool {
    pub(super) dir: PathBuf,
    probed: Probed,
    superblock: Superblock,
    pub(super) model: Option<Model>,
    marks: Arc<File>,
    /// Through the page cache.
    pub(super) cached: Arc<File>,
    /// Past the page cache, where the file system can.
    pub(super) direct: Option<File>,
    /// The frames file in memory, on media where a load reaches it. Long as the pool may grow.
    pub(super) map: Option<Mapped>,
    /// Bytes of `frames` that this process has seen to be there.
    pub(super) seen: AtomicU64,
    /// One flush of the log's file covers the frames written before.
    one_flush: bool,
    /// Bytes of `frames` known to be written once and durable in size: [`layout::encode_grown`].
    grown: AtomicU64,
    /// Bytes of `frames` for which this process knows that the file system has set space aside.
    promised: AtomicU64,
}

/// Space is set aside in steps of this size: a call of the file system for each 64 MiB written costs nothing that can be measured.
const PROMISE: u64 = 64 << 20;

/// The frames file grows by no more for the sake of a few frames: whoever waits for them waits for the zeros, too, 2 ms for these. In steps of 2 MiB it is 6, in steps of 256 KiB 1.4 twice as often; the mean of
/// 2,000 appends of 64 KiB with fsync is the same, 640 us. (Written past the page cache the zeros took twice as long, and 790.)
const SMALL: u64 = 512 << 10;
const FEW: usize = 64;

impl Pool {
    /// Opens the pool in `dir`.
    ///
    /// # Errors
    /// `Unusable` if there is no pool, it is of another version, or it can't be written; `Corrupt` if both copies of the superblock
    /// are damaged or `frames` is shorter than it was. Nothing is written.
    pub fn open(dir: &Path) -> Result<Pool> {
        let writable = rustix::fs::accessat(rustix::fs::CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
        writable.map_err(|e| file::unusable(dir, e))?;
        let open = |name: &str, flags| File::open(&dir.join(name), OFlags::RDWR | flags).map(Arc::new);
        let marks = open("superblock", OFlags::empty()).map_err(|e| match e {
            Errno::NOENT => {
                Error::Unusable(format!("{} is not a pool (it has no file superblock): make one with `flac mkfs`", dir.display()))
            }
            e => file::unusable(&dir.join("superblock"), e),
        })?;
        let (superblock, _) = read_superblock(dir, &marks)?;
        let cached = open("frames", OFlags::empty()).map_err(|e| damaged_or(dir, "frames", e))?;
        let probed = probe::probe(dir, &MAPPED_FILES, superblock.medium)?;
        let direct = match probed.medium {
            Medium::Block => File::open(&dir.join("frames"), OFlags::RDWR | OFlags::DIRECT).ok(),
            _ => None,
        };
        // What is read through the page cache was asked for before: the kernel must not guess.
        if direct.is_some() {
            let _ = cached.with(|fd| rustix::fs::fadvise(fd, 0, None, rustix::fs::Advice::Random));
        }
        let bytes = u64::from(superblock.frames) * PAGE as u64;
        let map = match probed.medium {
            Medium::Block => None,
            medium => Some(Mapped::open(&cached, bytes as usize, medium == Medium::Dax).map_err(Error::io("mapping the pool"))?),
        };
        // ext4 and XFS overwrite in place: once the size is durable (`grown`), frames need no metadata of the file system, and a
        // flush of the log's file makes the device empty its cache of everything written before, O_DIRECT data included.
        // Elsewhere (btrfs writes to fresh space) the frames need an fdatasync of their own.
        let one_flush = direct.is_some() && matches!(probed.fs_type, probe::EXT4 | probe::XFS);
        let grown = AtomicU64::new(read_grown(&marks).map_err(Error::io("reading the superblock"))?);
        let model = Model::decode(superblock.model).filter(|_| map.is_some());
        let (dir, promised, seen) = (dir.to_owned(), AtomicU64::new(0), AtomicU64::new(0));
        let pool = Pool { dir, probed, superblock, model, marks, cached, direct, map, seen, one_flush, grown, promised };
        let len = pool.cached.len().map_err(Error::io("reading the pool's frames file"))?;
        let expected = if superblock.grow_bytes == 0 { pool.capacity() } else { pool.grown.load(Ordering::Relaxed) };
        if len < expected {
            return Err(Error::Corrupt(format!(
                "{} was cut from {expected} to {len} bytes: restore the pool from a copy",
                pool.dir.join("frames").display()
            )));
        }
        pool.seen.store(len, Ordering::Relaxed);
        Ok(pool)
    }

    /// The pool's identity.
    pub fn uuid(&self) -> [u8; 16] {
        self.superblock.uuid
    }
    /// The pool's identity in 32 hexadecimal digits.
    pub fn uuid_hex(&self) -> String {
        self.superblock.uuid.iter().map(|b| format!("{b:02x}")).collect()
    }
    /// What the pool lies on.
    pub fn medium(&self) -> Medium {
        self.probed.medium
    }
    /// Why the pool is not on DAX; `None` if it is.
    pub fn not_dax(&self) -> Option<&str> {
        self.probed.not_dax.as_deref()
    }
    /// Whose cost is injected.
    pub fn model(&self) -> Option<Model> {
        self.model
    }
    /// Whether the pool is gone after a reboot.
    pub(crate) fn is_volatile(&self) -> bool {
        probe::is_volatile(self.probed.fs_type)
    }
    /// Whether a write is as durable as it will be when it returns: on DAX, and where DAX is emulated in memory.
    pub(crate) fn is_immediate(&self) -> bool {
        match self.probed.medium {
            Medium::Dax => true,
            Medium::DaxEmulated => self.is_volatile(),
            Medium::Block | Medium::Memory => false,
        }
    }
    /// How many frames the pool can hold.
    pub fn frames(&self) -> u32 {
        self.superblock.frames
    }
    /// The pool's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
    /// Whether the pool can't be written. Never: [`Pool::open`] refuses such a pool.
    pub fn read_only(&self) -> bool {
        false
    }
    /// Bytes in each log file.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.superblock.log_bytes
    }
    /// Whether a flush of the log's file also covers all frames written before.
    pub(crate) fn one_flush(&self) -> bool {
        self.one_flush
    }
    /// Which pool this is on this machine, copies of its directory told apart.
    pub(crate) fn place(&self) -> (u64, u64) {
        self.marks.id()
    }

    /// Whether a frame is slower to read than DRAM, so that one read often is worth a copy there.
    pub(crate) fn is_slower_than_dram(&self) -> bool {
        self.medium() == Medium::Dax || self.model.is_some()
    }

    pub(super) fn capacity(&self) -> u64 {
        u64::from(self.superblock.frames) * PAGE as u64
    }

    pub(super) fn span(&self, first: PoolFrame, frames: usize) -> (u64, u64) {
        let start = u64::from(first.get()) * PAGE as u64;
        let end = start + (frames * PAGE) as u64;
        assert!(end <= self.capacity(), "frames {first:?} + {frames} lie outside the pool of {} frames", self.frames());
        (start, end)
    }

    /// The device below the log.
    pub(crate) fn device(&self) -> Device {
        match self.probed.medium {
            Medium::Block => Device::below(&self.dir, self.probed.fs_type == probe::EXT4 && self.one_flush),
            _ => Device::default(),
        }
    }

    /// Says that this process uses the pool, and those that it forks, until they have closed its files. `first`: nobody else does yet, and whoever comes waits until it is said again without. Those
    /// who share the volatile state know of each other; this is for others, to whom it is not visible.
    ///
    /// # Errors
    /// `Unusable` if it is used already.
    pub(crate) fn begin_use(&self, first: bool) -> Result<()> {
        self.cached.lock_for_all(Some(first)).map_err(|_| {
            Error::Unusable(format!(
                "{} is used by programs with another /dev/shm (another container, or from before `flac stop`): end them first",
                self.dir.display()
            ))
        })
    }

    /// This process uses it no more, nor does any that it has forked.
    pub(crate) fn end_use(&self) {
        let _ = self.cached.lock_for_all(None);
    }

    /// The file with the superblock and the notes behind it.
    pub(crate) fn marks(&self) -> Arc<File> {
        self.marks.clone()
    }

    /// The file of the frames, through the page cache.
    pub(crate) fn frames_file(&self) -> Arc<File> {
        self.cached.clone()
    }

    /// Makes every frame written before durable.
    pub fn flush_data(&self) -> Result<()> {
        match self.probed.medium {
            // `write` has done it, where it can be done.
            Medium::Dax | Medium::Memory => Ok(()),
            Medium::DaxEmulated | Medium::Block => self.cached.sync_data().map_err(self.cached.failed("flushing the pool")),
        }
    }

    /// Backs the first `frames` frames with space of the underlying file system, so that writing them can't fail for lack of it. Few of them are `wanted` now: no more is done than what
    /// a program that waits for them should wait for.
    ///
    /// # Errors
    /// `Io` with `ENOSPC` when the underlying file system is full.
    pub fn ensure(&self, frames: u32, wanted: usize) -> Result<()> {
        let need = u64::from(frames) * PAGE as u64;
        if self.superblock.grow_bytes == 0 || need <= self.grown.load(Ordering::Acquire) {
            return Ok(());
        }
        let what = "growing the pool";
        // The lock spares double work only. Growth appends, so two that grow at once can't wipe each other's frames; and each
        // publishes only what its own fdatasync has made durable.
        self.marks.lock().map_err(Error::io(what))?;
        let step = if wanted <= FEW { SMALL } else { u64::MAX }.min(self.superblock.grow_bytes);
        let grown = self.grow(need, step).map_err(self.cached.failed(what));
        self.marks.unlock();
        self.grown.fetch_max(grown?, Ordering::AcqRel);
        Ok(())
    }

    /// Sets space aside for the first `frames` frames at least, so that a later flush does not find the disk full. For how many.
    ///
    /// # Errors
    /// `NoSpace` when the underlying file system is full.
    pub fn promise(&self, frames: u64) -> Result<u64> {
        let need = (frames * PAGE as u64).min(self.capacity());
        let known = self.promised.load(Ordering::Relaxed);
        // On a tmpfs setting aside is allocating: memory for what may never be flushed.
        if need <= known || self.is_volatile() {
            return Ok(need.max(known) / PAGE as u64);
        }
        let to = need.next_multiple_of(PROMISE).min(self.capacity());
        match self.cached.set_aside(known, to - known) {
            // Not every file system can; then a full disk shows at the flush.
            Ok(()) | Err(Errno::OPNOTSUPP) => {
                self.promised.fetch_max(to, Ordering::Relaxed);
                Ok(to / PAGE as u64)
            }
            Err(Errno::NOSPC | Errno::DQUOT) => Err(Error::NoSpace),
            Err(e) => Err(Error::io("setting space aside for the pool")(e)),
        }
    }

    /// Lets the file reach byte `start`, so that a write there leaves no hole: what [`Pool::settle`] makes durable has no gap. Nothing is durable yet.
    ///
    /// # Errors
    /// `Io` with `ENOSPC` when the underlying file system is full.
    pub(super) fn reach(&self, start: u64) -> Result<()> {
        let what = "growing the pool";
        if start > self.seen.load(Ordering::Relaxed) {
            let len = self.cached.len().map_err(Error::io(what))?;
            if len < start {
                append_zeros(&self.cached, start).map_err(Error::io(what))?;
            }
            self.seen.fetch_max(start.max(len), Ordering::Relaxed);
        }
        Ok(())
    }

    /// As [`Pool::reach`], through the page cache and some pages further: that a file became longer costs a write through it more than the zeros do.
    pub(super) fn reach_cached(&self, end: u64) -> Result<()> {
        const FURTHER: u64 = 64 << 10;
        if end > self.seen.load(Ordering::Relaxed) {
            let target = end.next_multiple_of(FURTHER).min(self.capacity());
            append_zeros(&self.cached, target).map_err(Error::io("growing the pool"))?;
            self.reached(target);
        }
        Ok(())
    }

    /// The bytes before `end` were written.
    pub(super) fn reached(&self, end: u64) {
        self.seen.fetch_max(end, Ordering::Relaxed);
    }

    /// Whether writes before byte `end` change nothing of what the file system knows of the file.
    pub(super) fn has_grown(&self, end: u64) -> bool {
        self.superblock.grow_bytes == 0 || end <= self.grown.load(Ordering::Acquire)
    }

    /// Makes durable what was written behind the end of the file, or where others did so, and that the file is so long.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn settle(&self) -> Result<()> {
        let what = "growing the pool";
        self.marks.lock().map_err(Error::io(what))?;
        let grown = self.publish().map_err(self.cached.failed(what));
        self.marks.unlock();
        self.grown.fetch_max(grown?, Ordering::AcqRel);
        Ok(())
    }

    /// For whoever opens the pool first, before anything is written: what was never written of the file is written now. A power cut may leave such parts behind the mark, a sparse copy anywhere; but all
    /// before the mark counts as written once, so that a write past the page cache changes nothing that only the file system knows, and nobody would make durable.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn fill_holes(&self) -> Result<()> {
        let io = || Error::io("growing the pool");
        let (marked, len) = (read_grown(&self.marks).map_err(io())?, self.cached.len().map_err(io())?);
        if self.map.is_some() || self.superblock.grow_bytes == 0 {
            return Ok(());
        }
        if len > marked {
            // For whoever asks for holes, what is in the page cache only is none.
            self.cached.sync_data().map_err(io())?;
            let _ = self.cached.with(|fd| rustix::fs::fadvise(fd, 0, None, rustix::fs::Advice::DontNeed));
        }
        let (mut at, mut zeros) = (0, PageBuffer::new(0));
        while let Some(hole) = self.cached.next_hole(at, len).map_err(io())? {
            if zeros.as_slice().is_empty() {
                zeros = PageBuffer::new(1 << 20);
            }
            at = hole.start;
            while at < hole.end {
                let piece = (hole.end - at).min(zeros.as_slice().len() as u64);
                self.cached.write_at(&zeros.as_slice()[..piece as usize], at).map_err(io())?;
                at += piece;
            }
        }
        if at > 0 || len > marked { self.settle() } else { Ok(()) }
    }

    /// Lets the file reach `need` bytes, and the next multiple of `step`, durably. How long it is then.
    fn grow(&self, need: u64, step: u64) -> rustix::io::Result<u64> {
        let marked = read_grown(&self.marks)?;
        if marked >= need {
            return Ok(marked);
        }
        append_zeros(&self.cached, need.next_multiple_of(step).min(self.capacity()))?;
        let grown = self.publish()?;
        let _ = self.cached.with(|fd| rustix::fs::fadvise(fd, marked, None, rustix::fs::Advice::DontNeed));
        Ok(grown)
    }

    /// Makes the file durable as it is, and notes how long that is.
    fn publish(&self) -> rustix::io::Result<u64> {
        // No byte before the end is one that was never written: who writes behind it first lets the file reach his place.
        let len = self.cached.len()?;
        self.cached.sync_data()?;
        if len > read_grown(&self.marks)? {
            self.marks.write_at(&layout::encode_grown(len), layout::GROWN_AT)?;
        }
        Ok(len)
    }
}

/// Lets `file` reach `target` bytes.
fn append_zeros(file: &File, target: u64) -> rustix::io::Result<()> {
    const MOST: u64 = 1 << 20;
    let mut zeros = PageBuffer::new(0);
    loop {
        let len = file.len()?;
        if len >= target {
            return Ok(());
        }
        let n = (MOST - len % MOST).min(target - len) as usize;
        if zeros.as_slice().len() < n {
            zeros = PageBuffer::new((target - len).min(MOST) as usize);
        }
        match file.append(&zeros.as_slice()[..n]) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
}

/// The superblock of the pool in `dir`, and whether one of its two copies is damaged.
pub(crate) fn read_superblock(dir: &Path, file: &File) -> Result<(Superblock, bool)> {
    let mut copies = [[0; HEADER]; 2];
    for (copy, at) in copies.iter_mut().zip([0, layout::SUPERBLOCK_COPY]) {
        file.read_at(copy, at).map_err(Error::io("reading the superblock"))?;
    }
    let sound: Vec<_> = copies.iter().filter_map(|c| Superblock::decode(c)).collect();
    let path = dir.join("superblock");
    let Some(superblock) = sound.first().copied() else {
        return Err(if copies.iter().any(|c| Superblock::resembles(c)) {
            Error::Corrupt(format!("both copies in {} fail their checksum: restore the file from a copy of the pool", path.display()))
        } else {
            Error::Unusable(format!("{} is not a pool's superblock: set FLAC_POOL to a pool, or make one with `flac mkfs`", path.display()))
        });
    };
    if superblock.version != layout::VERSION || superblock.features != 0 {
        return Err(Error::Unusable(format!(
            "{} has format version {} (features {:#x}), this program knows version {}: use the flac that made the pool to `flac export` it",
            dir.display(),
            superblock.version,
            superblock.features,
            layout::VERSION
        )));
    }
    if !superblock.makes_sense() {
        return Err(Error::Corrupt(format!("{} makes no sense: restore the file from a copy of the pool", path.display())));
    }
    Ok((superblock, sound.len() < 2 || sound[0] != sound[1]))
}

fn read_grown(marks: &File) -> rustix::io::Result<u64> {
    let mut bytes = [0; HEADER];
    marks.read_at(&mut bytes, layout::GROWN_AT)?;
    Ok(layout::decode_grown(&bytes))
}

/// An error for a file that a pool must have.
pub(crate) fn damaged_or(dir: &Path, name: &str, e: Errno) -> Error {
    match e {
        Errno::NOENT => Error::Corrupt(format!("{} has no file {name}: restore it from a copy of the pool", dir.display())),
        e => file::unusable(&dir.join(name), e),
    }
}
