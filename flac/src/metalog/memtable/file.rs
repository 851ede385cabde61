//! The file with the tables.

use super::table::{LEN, Memtable, damaged};
use crate::error::{Error, Result};
use crate::media::file::File;
use crate::media::mapped::Mapped;
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;
use std::path::Path;

impl Memtable {
    /// Makes the file, with memory behind it; all zero it is a table for no transaction of the KV, so the first writer begins another.
    pub(in crate::metalog) fn make(path: &Path) -> Result<()> {
        let what = || Error::io("making the index of the log");
        let file = File::create_new(path).map_err(what())?;
        file.set_len(LEN as u64).map_err(what())?;
        match file.with(|fd| rustix::fs::fallocate(fd, FallocateFlags::KEEP_SIZE, 0, LEN as u64)) {
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(e) => Err(what()(e)),
        }
    }

    /// Maps the file.
    pub(in crate::metalog) fn open(path: &Path) -> Result<Memtable> {
        let what = || Error::io("opening the index of the log");
        let file = File::open_briefly(path, OFlags::RDWR).map_err(what())?;
        if file.len().map_err(what())? < LEN as u64 {
            return Err(damaged());
        }
        Ok(Memtable::of(Mapped::open_anywhere(&file, LEN, false).map_err(what())?))
    }
}
