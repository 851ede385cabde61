//! A log in memory, as all processes see it, and how it gets from there to the medium.

use super::tail::ImageMap;
use crate::cpu;
use crate::error::{Error, Result};
use crate::media::aside::with_room;
use crate::media::device::Device;
use crate::media::file::{File, PageBuffer};
use crate::media::mapped::Mapped;
use crate::media::{tap, tmpfs};
use crate::sync::{AtomicU64, Ordering};
use crate::units::PAGE;
use rustix::fs::OFlags;
use rustix::io::{Errno, IoSlice};
use std::path::{Path, PathBuf};

/// Memory for an image is taken in steps of this many bytes: a writer waits for it.
const STEP: u64 = 256 << 10;

/// So much of the tmpfs a log leaves to others: it can go on in the memory that it has.
const LEFT: u64 = 512 << 10;

/// A log, mapped whole and shared.
///
/// On a disk the mapping is an *image* of the log file, on the tmpfs of the run directory: appending is a copy, and what it holds survives the
/// death of every process. [`LogMap::flush`] writes a range of it past the page cache. Measured on ext4, microseconds: msync of a mapping of the log
/// file itself 159, pwrite through the page cache and fdatasync 107, O_DIRECT pwrite from the image and a flush of the device 75; the flush alone
/// takes 30 and the write alone 42. The image is at every moment what the file should be, so any range may be written at any time; but two writes
/// of one page must not be under way at once, or the older may land last.
///
/// On the other media the mapping is the file.
/// Bytes go in and out by copy only: other processes write to it, each under the writer lock.
pub(crate) struct LogMap {
    map: Mapped,
    /// A write is durable when it returns.
    immediate: bool,
    image: Option<Image>,
}

struct Image {
    /// The file that the image lies in, and where in it.
    path: PathBuf,
    at: u64,
    /// A word: bytes from the start that have memory behind them.
    backed: Mapped,
    /// As far as this process knows.
    known: AtomicU64,
    /// The log file, past the page cache where the file system can.
    file: File,
}

impl LogMap {
    /// Maps `len` bytes of the log at `path` itself; `sync`: with `MAP_SYNC`; `immediate`: each write writes its cache lines back.
    ///
    /// # Errors
    /// `Corrupt` if the file is missing or shorter.
    pub(crate) fn open(path: &Path, len: u64, sync: bool, immediate: bool) -> Result<LogMap> {
        let file = open_log(path, len)?;
        let map = Mapped::open(&file, len as usize, sync).map_err(Error::io("mapping the log"))?;
        map.advise_random();
        Ok(LogMap { map, immediate, image: None })
    }

    /// `image`, the image of the log at `path`.
    ///
    /// # Errors
    /// `Corrupt` if the log is missing or shorter.
    pub(super) fn of_image(path: &Path, image: ImageMap) -> Result<LogMap> {
        let len = image.map.len() as u64;
        let file = checked(path, len, |flags| File::open(path, flags | OFlags::DIRECT).or_else(|_| File::open(path, flags)))?;
        let ImageMap { map, path, at, backed } = image;
        Ok(LogMap { map, immediate: false, image: Some(Image { path, at, backed, known: AtomicU64::new(0), file }) })
    }

    /// Bytes in the log.
    pub(crate) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Copies bytes out. Panics if they lie outside.
    pub(crate) fn read(&self, at: u64, to: &mut [u8]) {
        self.map.read(at as usize, to);
    }

    /// As [`Mapped::bytes`].
    pub(crate) fn bytes(&self, at: u64, len: usize) -> &[u8] {
        self.map.bytes(at as usize, len)
    }

    /// As [`cpu::expect_writes`], of what there is of these bytes.
    pub(crate) fn expect_writes(&self, at: u64, len: u64) {
        if let Some(left) = self.len().checked_sub(at) {
            let len = len.min(left) as usize;
            cpu::expect_writes(self.map.at(at as usize, len), len);
        }
    }

    /// Sees to it that the first `bytes` bytes can be written to.
    ///
    /// # Errors
    /// `Io` with `ENOSPC` if the file system of the run directory is full.
    pub(crate) fn ensure(&self, bytes: u64) -> Result<()> {
        let Some(image) = &self.image else { return Ok(()) };
        let known = image.known.load(Ordering::Relaxed);
        let bytes = bytes.next_multiple_of(PAGE as u64).min(self.len());
        if bytes <= known {
            return Ok(());
        }
        let map = |from: u64, upto: u64| self.map.populate(from as usize, (upto - from) as usize);
        let take = |upto: u64| {
            let backed = &image.backed.words()[0];
            let have = backed.load(Ordering::Relaxed);
            if have < upto {
                match File::open_briefly(&image.path, OFlags::RDWR) {
                    // The program has given up its privileges. The mapping serves, too, but slower.
                    Err(Errno::ACCESS) => map(have, upto)?,
                    file => match file?.with(|fd| tmpfs::take_more(fd, image.at + have..image.at + upto, LEFT)) {
                        // Without fallocate there is nothing to be had in advance.
                        Ok(()) | Err(Errno::OPNOTSUPP) => {}
                        Err(e) => return Err(e),
                    },
                }
                // Whoever dies before it is said has taken memory that the next one finds there.
                backed.fetch_max(upto, Ordering::Relaxed);
            }
            // A process that writes so much will write more: mapped at once, it takes a third of what a fault for each page does.
            if known > 0 {
                let _ = map(known, upto);
            }
            Ok(upto)
        };
        let backed = with_room(|| take(bytes.next_multiple_of(STEP).min(self.len())).or_else(|_| take(bytes)));
        let what = "taking memory for the log (is the file system of the run directory full?)";
        image.known.fetch_max(backed.map_err(Error::io(what))?, Ordering::Relaxed);
        Ok(())
    }

    /// Copies bytes in. Panics if they would lie outside. They have been [`LogMap::ensure`]d.
    ///
    /// # Durability
    /// On persistent memory at once, and with it whatever this thread wrote back before; elsewhere after [`LogMap::flush`].
    pub(crate) fn write(&self, at: u64, from: &[u8]) {
        if !self.immediate {
            return self.map.write_lazily(at as usize, from);
        }
        self.map.write(at as usize, from);
        self.map.fence();
    }

    /// Where writes are durable at once: makes so what a killed writer left in its processor's cache.
    pub(crate) fn adopt(&self, at: u64, len: usize) {
        if self.immediate {
            self.map.persist(at as usize, len);
            self.map.fence();
        }
    }

    /// Gives whole pages of an image to the device, which may keep them from the next flush on.
    pub(crate) fn give(&self, from: u64, to: u64) -> rustix::io::Result<()> {
        let write = |image: &Image| image.file.write_at(self.map.bytes(from as usize, (to - from) as usize), from);
        self.image.as_ref().map_or(Ok(()), write)
    }

    /// The log file of an image, through the page cache; `None` where it can't be opened.
    pub(super) fn cached(&self) -> Option<File> {
        self.image.as_ref().and_then(|image| image.file.cached().ok())
    }

    /// Has the kernel write whole pages of an image to the device by and by, through `cached`. One caller at a time, and none of [`LogMap::flush`].
    pub(super) fn write_back(&self, from: u64, to: u64, cached: &File) -> rustix::io::Result<()> {
        cached.write_at(self.map.bytes(from as usize, (to - from) as usize), from)?;
        cached.write_out(from, to - from);
        Ok(())
    }

    /// Makes the bytes from `from` to `to` durable. With `all`, and the file system allowing, also all that the device was given before. `early`: what was [written back](LogMap::write_back) of them,
    /// through which file and from `from` up to where. One caller at a time.
    pub(crate) fn flush(&self, from: u64, to: u64, all: bool, early: Option<(&File, u64)>, device: &Device) -> rustix::io::Result<()> {
        if self.immediate {
            return Ok(());
        }
        let to = to.next_multiple_of(PAGE as u64).min(self.len() / PAGE as u64 * PAGE as u64);
        let from = early.map_or(from, |(_, upto)| upto.min(to)) / PAGE as u64 * PAGE as u64;
        let (at, len) = (from as usize, (to - from) as usize);
        let Some(image) = &self.image else { return self.map.msync(at, len) };
        let mut last = PageBuffer::new(PAGE);
        let pages = self.pages(at, len, &mut last);
        if let Some((cached, _)) = early {
            image.file.write_vectored_at(&pages, from)?;
            cached.sync_data()?;
            cached.forget();
            return Ok(());
        }
        match device.bystander() {
            // The kernel writes through the device's cache.
            _ if device.fua() && !all => image.file.write_through_at(&pages, from),
            Some(bystander) => {
                image.file.write_vectored_at(&pages, from)?;
                bystander.sync_data()?;
                tap::flushed(image.file.id(), 0, 0);
                Ok(())
            }
            None => image.file.write_vectored_at(&pages, from).and_then(|()| image.file.sync_data()),
        }
    }

    /// Whole pages of the log, of which others may append to the last one: that is copied. What changes while it is written past the page cache fails the checksum that a file system (btrfs before
    /// Linux 6.15) or a device has made of it, and on mirrors it is this here and that there.
    fn pages<'p>(&'p self, at: usize, len: usize, last: &'p mut PageBuffer) -> [IoSlice<'p>; 2] {
        let Some(before) = len.checked_sub(PAGE) else { return [IoSlice::new(&[]), IoSlice::new(&[])] };
        self.map.read(at + before, last.as_mut_slice());
        [IoSlice::new(self.map.bytes(at, before)), IoSlice::new(last.as_slice())]
    }
}

/// Opens a log file, which has at least `len` bytes, for a moment.
pub(crate) fn open_log(path: &Path, len: u64) -> Result<File> {
    let file = checked(path, len, |flags| File::open_briefly(path, flags))?;
    // For speed only: where a mapping of the file is written to, single pages are written back instead of the folios that readahead makes.
    let _ = file.with(|fd| rustix::fs::fadvise(fd, 0, None, rustix::fs::Advice::Random));
    Ok(file)
}

/// The log file at `path`, as `open` opens it, if it has at least `len` bytes.
fn checked(path: &Path, len: u64, open: impl Fn(OFlags) -> rustix::io::Result<File>) -> Result<File> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = open(OFlags::RDWR).map_err(|e| crate::media::pool::damaged_or(dir, &name, e))?;
    let have = file.len().map_err(Error::io("opening the log"))?;
    if have < len {
        return Err(Error::Corrupt(format!("{} was cut from {len} to {have} bytes: restore the pool from a copy", path.display())));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records are appended to the last page while it is written. What the device, or a file system with checksums (btrfs before Linux 6.15), was given must be what it then sees.
    #[test]
    fn regression_what_is_written_of_the_log_does_not_change_meanwhile() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (log, image) = (dir.path().join("log"), dir.path().join("image"));
        std::fs::write(&log, vec![0; 4 * PAGE]).expect("a file");
        std::fs::write(&image, vec![0; 6 * PAGE]).expect("a file");
        let memory = File::open_briefly(&image, OFlags::RDWR).expect("it opens");
        let (whole, at) = (Mapped::open_anywhere(&memory, 6 * PAGE, false).expect("it is mapped"), PAGE);
        let (part, backed) = (whole.part(at, 4 * PAGE), whole.part(0, 8));
        let map = LogMap::of_image(&log, ImageMap { map: part, path: image, at: at as u64, backed }).expect("it opens");
        map.ensure(4 * PAGE as u64).expect("room");
        for pages in 1..4 {
            map.write(0, &vec![1; pages * PAGE - 8]);
            let mut last = PageBuffer::new(PAGE);
            let given = map.pages(0, pages * PAGE, &mut last);
            map.write((pages * PAGE) as u64 - 8, &[2; 8]);
            assert!(given.iter().all(|part| part.as_ptr().align_offset(PAGE) == 0 || part.is_empty()));
            let given = given.map(|part| part.to_vec()).concat();
            assert!(given.len() == pages * PAGE && given[..given.len() - 8].iter().all(|byte| *byte == 1));
            assert!(given[given.len() - 8..].iter().all(|byte| *byte != 2), "{pages} pages");
            map.write(0, &vec![0; pages * PAGE]);
        }
    }
}
