//! A log file in memory.

use crate::error::{Error, Result};
use crate::media::file::File;
use crate::media::mapped::Mapped;
use std::path::Path;

/// A log file, mapped whole and shared.
///
/// The page cache must hold it in single pages: a store dirties a whole folio, and a sync then writes it. Measured on ext4: with the folios
/// that large writes or readahead leave behind, each sync of a small record wrote 1 MiB and took 270 to 780 us; with single
/// pages 4 KiB and 117 us, as after pwrite, whose 900 ns an append by copy (20 to 195 ns) spares. So nothing here reads ahead, and mkfs drops the
/// pages it wrote.
/// Bytes go in and out by copy only: other processes write to it, each under the writer lock.
pub(crate) struct LogMap {
    map: Mapped,
    /// A write is durable when it returns.
    immediate: bool,
}

impl LogMap {
    /// Maps `len` bytes of the file at `path`; `sync`: with `MAP_SYNC`; `immediate`: each write writes its cache lines back.
    ///
    /// # Errors
    /// `Corrupt` if the file is missing or shorter.
    pub(crate) fn open(path: &Path, len: u64, sync: bool, immediate: bool) -> Result<LogMap> {
        let file = open_log(path, len)?;
        let map = Mapped::open(&file, len as usize, sync).map_err(Error::io("mapping the log"))?;
        map.advise_random();
        Ok(LogMap { map, immediate })
    }

    /// Bytes in the log.
    pub(crate) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Copies bytes out. Panics if they lie outside.
    pub(crate) fn read(&self, at: u64, to: &mut [u8]) {
        self.map.read(at as usize, to);
    }

    /// Copies bytes in. Panics if they would lie outside.
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

    /// Copies bytes in that need not be durable.
    pub(crate) fn write_lazily(&self, at: u64, from: &[u8]) {
        self.map.write_lazily(at as usize, from);
    }

    /// Where writes are durable at once: makes so what a killed writer left in its processor's cache.
    pub(crate) fn adopt(&self, at: u64, len: usize) {
        if self.immediate {
            self.map.persist(at as usize, len);
            self.map.fence();
        }
    }

    /// Makes the bytes from `from` to `to` durable, and, the file system allowing, all that the device was given before.
    pub(crate) fn flush(&self, from: u64, to: u64) -> rustix::io::Result<()> {
        if self.immediate {
            return Ok(());
        }
        let from = from / 4096 * 4096;
        let to = to.next_multiple_of(4096).min(self.len() / 4096 * 4096);
        self.map.msync(from as usize, (to - from) as usize)
    }
}

/// Opens a log file, which has at least `len` bytes.
pub(crate) fn open_log(path: &Path, len: u64) -> Result<File> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file = File::open_briefly(path, rustix::fs::OFlags::RDWR).map_err(|e| crate::media::pool::damaged_or(dir, &name, e))?;
    // For speed only, see `LogMap`.
    let _ = file.with(|fd| rustix::fs::fadvise(fd, 0, None, rustix::fs::Advice::Random));
    let have = file.len().map_err(Error::io("opening the log"))?;
    if have < len {
        return Err(Error::Corrupt(format!("{} was cut from {len} to {have} bytes: restore the pool from a copy", path.display())));
    }
    Ok(file)
}
