//! The file `tail`, beside the KV: what the metalog shares in memory, in one file and one mapping, for every program that joins a pool opens it.
//!
//! First the memtable; behind it, on a medium where the log is not mapped itself, the images of both logs.

use super::memtable::{LEN, Memtable, damaged};
use crate::error::{Error, Result};
use crate::media::file::File;
use crate::media::mapped::Mapped;
use crate::media::{Medium, Pool};
use crate::units::PAGE;
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Bytes of the memtable, and of the two words behind it: how much of each image has memory.
const TABLE: usize = (LEN + 2 * WORD).next_multiple_of(PAGE);
const WORD: usize = size_of::<u64>();

/// The file, mapped.
pub(super) struct Tail {
    pub memtable: Memtable,
    pub images: Option<[ImageMap; 2]>,
}

/// Where an image lies.
pub(super) struct ImageMap {
    pub map: Mapped,
    /// The file, and where in it the image begins.
    pub path: PathBuf,
    pub at: u64,
    /// The word that says how many bytes of it have memory. (The file's blocks do not: they are both images'.)
    pub backed: Mapped,
}

impl Tail {
    /// Makes the file, with memory behind the memtable; all zero it is a table for no transaction of the KV, so the first writer begins another. An image has memory when it is given some.
    pub(super) fn make(pool: &Pool, kv_dir: &Path) -> Result<()> {
        let what = || Error::io("making the memtable and the images of the log");
        let file = File::create_new(&path(kv_dir)).map_err(what())?;
        file.set_len(len(pool) as u64).map_err(what())?;
        match file.with(|fd| rustix::fs::fallocate(fd, FallocateFlags::KEEP_SIZE, 0, TABLE as u64)) {
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(e) => Err(what()(e)),
        }
    }

    /// Maps the file.
    pub(super) fn open(pool: &Pool, kv_dir: &Path) -> Result<Tail> {
        let what = || Error::io("opening the memtable and the images of the log");
        let path = path(kv_dir);
        let file = File::open_briefly(&path, OFlags::RDWR).map_err(what())?;
        if file.len().map_err(what())? < len(pool) as u64 {
            return Err(damaged());
        }
        let whole = Mapped::open_anywhere(&file, len(pool), false).map_err(what())?;
        let image = |nth| {
            let at = TABLE + nth * image_len(pool);
            let backed = whole.part(TABLE - (nth + 1) * WORD, WORD);
            ImageMap { map: whole.part(at, image_len(pool)), path: path.clone(), at: at as u64, backed }
        };
        let images = (pool.medium() == Medium::Block).then(|| [image(0), image(1)]);
        Ok(Tail { memtable: Memtable::of(whole.part(0, TABLE)), images })
    }
}

fn path(kv_dir: &Path) -> PathBuf {
    kv_dir.join("tail")
}

fn image_len(pool: &Pool) -> usize {
    (pool.log_bytes() as usize).next_multiple_of(PAGE)
}

/// Bytes in the file.
fn len(pool: &Pool) -> usize {
    TABLE + if pool.medium() == Medium::Block { 2 * image_len(pool) } else { 0 }
}
