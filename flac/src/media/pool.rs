//! An open pool: reading and writing frames.

use super::Medium;
use super::file::{self, File, PageBuffer};
use super::layout::{self, HEADER, Superblock};
use crate::error::{Error, Result};
use crate::sync::{AtomicU64, Ordering};
use crate::units::{PAGE, PoolFrame};
use rustix::fs::{Access, AtFlags, OFlags};
use rustix::io::{Errno, IoSlice};
use std::path::{Path, PathBuf};

const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
const EXT4: u64 = 0xef53;
const XFS: u64 = 0x5846_5342;

/// Bytes that pass through a bounce buffer at a time.
const BOUNCE: usize = 256 << 10;

/// The superblock and the frames of a pool. Threads share it; a forked child may go on using it.
pub struct Pool {
    dir: PathBuf,
    medium: Medium,
    superblock: Superblock,
    marks: File,
    /// Through the page cache.
    cached: File,
    /// Past the page cache, where the file system can.
    direct: Option<File>,
    /// One flush of the log's file covers the frames written before.
    one_flush: bool,
    /// Bytes of `frames` known to be written once and durable in size: [`layout::encode_grown`].
    grown: AtomicU64,
    /// Bytes of `frames` for which this process knows that the file system has set space aside.
    promised: AtomicU64,
}

/// Space is set aside in steps of this size: a call of the file system for each 64 MiB written costs nothing that can be measured.
const PROMISE: u64 = 64 << 20;

impl Pool {
    /// Opens the pool in `dir`.
    ///
    /// # Errors
    /// `Unusable` if there is no pool, it is of another version, or it can't be written; `Corrupt` if both copies of the superblock
    /// are damaged or `frames` is shorter than it was. Nothing is written.
    pub fn open(dir: &Path) -> Result<Pool> {
        let writable = rustix::fs::accessat(rustix::fs::CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
        writable.map_err(|e| file::unusable(dir, e))?;
        let open = |name: &str, flags| File::open(&dir.join(name), OFlags::RDWR | flags);
        let marks = open("superblock", OFlags::empty()).map_err(|e| match e {
            Errno::NOENT => {
                Error::Unusable(format!("{} is not a pool (it has no file superblock): make one with `flac mkfs`", dir.display()))
            }
            e => file::unusable(&dir.join("superblock"), e),
        })?;
        let (superblock, _) = read_superblock(dir, &marks)?;
        let cached = open("frames", OFlags::empty()).map_err(|e| damaged_or(dir, "frames", e))?;
        let fs_type = fs_type(dir)?;
        let medium = medium_for(fs_type);
        let direct = match medium {
            Medium::Block => open("frames", OFlags::DIRECT).ok(),
            Medium::Memory => None,
        };
        // ext4 and XFS overwrite in place: once the size is durable (`grown`), frames need no metadata of the file system, and a
        // flush of the log's file makes the device empty its cache of everything written before, O_DIRECT data included.
        // Elsewhere (btrfs writes to fresh space) the frames need an fdatasync of their own.
        let one_flush = direct.is_some() && matches!(fs_type, EXT4 | XFS);
        let grown = AtomicU64::new(read_grown(&marks).map_err(Error::io("reading the superblock"))?);
        let pool = Pool { dir: dir.to_owned(), medium, superblock, marks, cached, direct, one_flush, grown, promised: AtomicU64::new(0) };
        let len = pool.cached.len().map_err(Error::io("reading the pool's frames file"))?;
        let expected = if superblock.grow_bytes == 0 { pool.capacity() } else { pool.grown.load(Ordering::Relaxed) };
        if len < expected {
            return Err(Error::Corrupt(format!(
                "{} was cut from {expected} to {len} bytes: restore the pool from a copy",
                dir.join("frames").display()
            )));
        }
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
        self.medium
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

    fn capacity(&self) -> u64 {
        u64::from(self.superblock.frames) * PAGE as u64
    }

    fn span(&self, first: PoolFrame, frames: usize) -> (u64, u64) {
        let start = u64::from(first.get()) * PAGE as u64;
        let end = start + (frames * PAGE) as u64;
        assert!(end <= self.capacity(), "frames {first:?} + {frames} lie outside the pool of {} frames", self.frames());
        (start, end)
    }

    /// Reads `to.len() / 4096` frames from `first` on. Panics unless the length is a multiple of 4096 and the frames lie in the pool.
    ///
    /// # Errors
    /// `Corrupt` if frames were never written; `Io`.
    pub fn read(&self, first: PoolFrame, to: &mut [u8]) -> Result<()> {
        assert_eq!(to.len() % PAGE, 0, "whole frames");
        let (start, _) = self.span(first, to.len() / PAGE);
        let read = |file: &File, to: &mut [u8], at| {
            let n = file.read_at(to, at).map_err(Error::io("reading the pool"))?;
            let short = || Error::Corrupt(format!("{} ends before byte {}", self.dir.join("frames").display(), at + to.len() as u64));
            if n < to.len() { Err(short()) } else { Ok(()) }
        };
        match &self.direct {
            None => read(&self.cached, to, start),
            Some(direct) if to.as_ptr().align_offset(PAGE) == 0 => read(direct, to, start),
            Some(direct) => {
                let mut bounce = PageBuffer::new(BOUNCE.min(to.len()));
                for (i, part) in to.chunks_mut(BOUNCE).enumerate() {
                    let bounce = &mut bounce.as_mut_slice()[..part.len()];
                    read(direct, bounce, start + (i * BOUNCE) as u64)?;
                    part.copy_from_slice(bounce);
                }
                Ok(())
            }
        }
    }

    /// Writes contiguous frames from scattered memory: one page of 4096 bytes for each, fastest when page-aligned. The memory must
    /// not change meanwhile. Panics unless the frames lie in the pool.
    ///
    /// # Durability
    /// None by itself: follow with a metalog record and [`crate::metalog::Meta::sync`], or with [`Pool::flush_data`].
    pub fn write(&self, first: PoolFrame, pages: &[&[u8]]) -> Result<()> {
        assert!(pages.iter().all(|p| p.len() == PAGE), "whole frames");
        let (start, _) = self.span(first, pages.len());
        self.ensure(first.get() + pages.len() as u32)?;
        let file = self.direct.as_ref().unwrap_or(&self.cached);
        let what = "writing the pool";
        if self.direct.is_none() || pages.iter().all(|p| p.as_ptr().align_offset(PAGE) == 0) {
            let slices: Vec<IoSlice<'_>> = pages.iter().map(|p| IoSlice::new(p)).collect();
            return file.write_vectored_at(&slices, start).map_err(Error::io(what));
        }
        let per_bounce = BOUNCE / PAGE;
        let mut bounce = PageBuffer::new(BOUNCE.min(pages.len() * PAGE));
        for (i, batch) in pages.chunks(per_bounce).enumerate() {
            let bounce = &mut bounce.as_mut_slice()[..batch.len() * PAGE];
            for (to, page) in bounce.chunks_exact_mut(PAGE).zip(batch) {
                to.copy_from_slice(page);
            }
            file.write_at(bounce, start + (i * BOUNCE) as u64).map_err(Error::io(what))?;
        }
        Ok(())
    }

    /// Makes every frame written before durable.
    pub fn flush_data(&self) -> Result<()> {
        match self.medium {
            Medium::Memory => Ok(()),
            Medium::Block => self.cached.sync_data().map_err(Error::io("flushing the pool")),
        }
    }

    /// Backs the first `frames` frames with space of the underlying file system, so that writing them can't fail for lack of it.
    ///
    /// # Errors
    /// `Io` with `ENOSPC` when the underlying file system is full.
    pub fn ensure(&self, frames: u32) -> Result<()> {
        let need = u64::from(frames) * PAGE as u64;
        if self.superblock.grow_bytes == 0 || need <= self.grown.load(Ordering::Acquire) {
            return Ok(());
        }
        let what = "growing the pool";
        // The lock spares double work only. Growth appends, so two that grow at once can't wipe each other's frames; and each
        // publishes only what its own fdatasync has made durable.
        self.marks.lock().map_err(Error::io(what))?;
        let grown = self.grow(need).map_err(Error::io(what));
        self.marks.unlock();
        self.grown.fetch_max(grown?, Ordering::AcqRel);
        Ok(())
    }

    /// Sets space aside for the first `frames` frames, so that a later flush does not find the disk full.
    ///
    /// # Errors
    /// `NoSpace` when the underlying file system is full.
    pub fn promise(&self, frames: u64) -> Result<()> {
        let need = (frames * PAGE as u64).min(self.capacity());
        let known = self.promised.load(Ordering::Relaxed);
        // On a tmpfs setting aside is allocating: memory for what may never be flushed.
        if need <= known || self.medium == Medium::Memory {
            return Ok(());
        }
        let to = need.next_multiple_of(PROMISE).min(self.capacity());
        match self.cached.set_aside(known, to - known) {
            // Not every file system can; then a full disk shows at the flush.
            Ok(()) | Err(Errno::OPNOTSUPP) => {
                self.promised.fetch_max(to, Ordering::Relaxed);
                Ok(())
            }
            Err(Errno::NOSPC | Errno::DQUOT) => Err(Error::NoSpace),
            Err(e) => Err(Error::io("setting space aside for the pool")(e)),
        }
    }

    /// Lets the file reach `need` bytes, durably. How long it is then.
    fn grow(&self, need: u64) -> rustix::io::Result<u64> {
        let marked = read_grown(&self.marks)?;
        if marked >= need {
            return Ok(marked);
        }
        let target = need.next_multiple_of(self.superblock.grow_bytes).min(self.capacity());
        self.append_zeros(target)?;
        let len = self.cached.len()?;
        self.cached.sync_data()?;
        self.marks.write_at(&layout::encode_grown(len), layout::GROWN_AT)?;
        Ok(len)
    }

    fn append_zeros(&self, target: u64) -> rustix::io::Result<()> {
        let file = File::open(&self.dir.join("frames"), OFlags::WRONLY | OFlags::APPEND)?;
        let zeros = vec![0; 1 << 20];
        loop {
            let len = file.len()?;
            if len >= target {
                break;
            }
            let n = (zeros.len() as u64 - len % zeros.len() as u64).min(target - len) as usize;
            match file.with(|fd| rustix::io::write(fd, &zeros[..n])) {
                Ok(0) => return Err(Errno::NOSPC),
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
        file.sync_data()?;
        file.with(|fd| rustix::fs::fadvise(fd, 0, None, rustix::fs::Advice::DontNeed))
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
    Ok((superblock, sound.len() < 2 || sound[0] != sound[1]))
}

/// What `dir` lies on.
pub(super) fn medium_of(dir: &Path) -> Result<Medium> {
    fs_type(dir).map(medium_for)
}

fn medium_for(fs_type: u64) -> Medium {
    if matches!(fs_type, TMPFS | RAMFS) { Medium::Memory } else { Medium::Block }
}

fn fs_type(dir: &Path) -> Result<u64> {
    let stat = rustix::fs::statfs(dir).map_err(|e| file::unusable(dir, e))?;
    // The field's type differs between architectures; magic numbers have 32 bits.
    Ok(stat.f_type as u64 & 0xffff_ffff)
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
