//! How large a pool is made if nobody says.

use super::file;
use crate::error::{Error, Result};
use std::path::Path;

/// No pool is larger unless asked for.
const MOST: u64 = 1 << 40;
/// Less is not worth a pool.
const LEAST: u64 = 64 << 20;

/// Half of what is free where the pool `dir` goes, in bytes, and at most 1 TiB.
///
/// # Errors
/// `Unusable`: less than 64 MiB, or nobody can tell.
pub fn default_size(dir: &Path) -> Result<u64> {
    let mut place = dir;
    let stat = loop {
        match (rustix::fs::statvfs(place), place.parent()) {
            (Ok(stat), _) => break stat,
            (Err(rustix::io::Errno::NOENT), Some(parent)) => place = parent,
            (Err(e), _) => return Err(file::unusable(place, e)),
        }
    };
    let half = stat.f_bavail * stat.f_frsize / 2;
    let size = half.min(MOST) >> 20 << 20;
    if size < LEAST {
        let free = (half * 2) >> 20;
        return Err(Error::Unusable(format!("{} has {free} MiB free: make room, or choose a size with --size", place.display())));
    }
    Ok(size)
}
