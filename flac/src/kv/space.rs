//! Memory behind the KV's file: taken before it is touched, so that a full tmpfs is an error and not a SIGBUS.

use crate::error::{Error, Result};
use crate::media::aside::with_room;
use crate::media::file::File;
use crate::media::tmpfs;
use crate::sync::{AtomicU64, Ordering};
use rustix::fd::BorrowedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Memory is taken in steps of this many bytes, where there is enough. Whoever takes it holds the writer lock: 4 MiB stopped writers for 10 to 50 ms
/// on a busy machine, and a checkpoint of a large pool, whose snapshot keeps pages from being used again, needs many steps.
const STEP: u64 = 256 << 10;

/// So much of the tmpfs is left to the control segment, without which nobody can even close or delete.
const LEFT: u64 = 1 << 20;

/// How much of the data file has memory. Asked and changed by whoever holds the writer lock.
pub(super) struct Space {
    dir: PathBuf,
    map_size: u64,
    /// What this process knows; the file `space` has the truth for all.
    known: AtomicU64,
}

impl Space {
    /// For the KV in `dir`; `fresh`: it was just made.
    pub(super) fn open(dir: &Path, map_size: u64, fresh: bool) -> Result<Space> {
        if fresh {
            let file = File::create_new(&dir.join("space")).map_err(Error::io("making the metadata KV"))?;
            file.write_at(&[0; 8], 0).map_err(Error::io("making the metadata KV"))?;
        }
        Ok(Space { dir: dir.to_owned(), map_size, known: AtomicU64::new(0) })
    }

    /// Makes sure that `bytes` from the start of the file have memory, as far as the map reaches.
    /// `data` gives the data file's descriptor, for a program that has given up the privileges to open it.
    pub(super) fn ensure<'e>(&self, bytes: u64, data: impl Fn() -> Option<BorrowedFd<'e>>) -> Result<()> {
        let bytes = bytes.min(self.map_size);
        if bytes <= self.known.load(Ordering::Relaxed) {
            return Ok(());
        }
        with_room(|| self.extend(bytes, &data))
            .map_err(Error::io("taking memory for the metadata KV (is the file system of the run directory full?)"))
    }

    #[cold]
    fn extend<'e>(&self, bytes: u64, data: &dyn Fn() -> Option<BorrowedFd<'e>>) -> rustix::io::Result<()> {
        let mark = match File::open_briefly(&self.dir.join("space"), OFlags::RDWR) {
            Err(Errno::ACCESS) => return self.extend_unseen(bytes, data().ok_or(Errno::ACCESS)?),
            mark => mark?,
        };
        let mut word = [0; 8];
        mark.read_at(&mut word, 0)?;
        let mut have = u64::from_le_bytes(word);
        if have < bytes {
            let data = File::open_briefly(&self.dir.join("data.mdb"), OFlags::RDWR)?;
            let take = |upto: u64| data.with(|fd| tmpfs::take(fd, have..upto, LEFT));
            let generous = bytes.next_multiple_of(STEP).min(self.map_size);
            have = match take(generous) {
                Ok(()) => generous,
                Err(Errno::NOSPC) if take(bytes).is_ok() => bytes,
                // Without fallocate there is nothing to be had in advance.
                Err(Errno::OPNOTSUPP) => u64::MAX,
                Err(e) => return Err(e),
            };
            mark.write_at(&have.to_le_bytes(), 0)?;
        }
        self.known.fetch_max(have, Ordering::Relaxed);
        Ok(())
    }

    /// As [`Space::extend`], without the file that says how far others have come: what has memory keeps it.
    fn extend_unseen(&self, bytes: u64, data: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let have = self.known.load(Ordering::Relaxed);
        let upto = bytes.next_multiple_of(STEP).min(self.map_size);
        match tmpfs::take(data, have..upto, LEFT) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(e) => return Err(e),
        }
        self.known.fetch_max(upto, Ordering::Relaxed);
        Ok(())
    }
}
