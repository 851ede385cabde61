//! Making a pool.

use super::file::{self, File};
use super::layout::{self, LOG_START, LogHeader, Position, Superblock};
use super::{Medium, Model, Pool, PoolOptions, pool, probe};
use crate::error::{Error, Result};
use crate::units::{PAGE, Seq};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;

/// What a pool's files are like; [`Geometry::of`] chooses for a size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    /// Bytes of file data.
    pub size: u64,
    /// Bytes in each of the two log files.
    pub log_bytes: u64,
    /// Bytes by which `frames` grows.
    pub grow_bytes: u64,
    /// The medium that is asked for.
    pub medium: Option<Medium>,
    /// Whose cost is injected.
    pub model: Option<Model>,
}

impl Geometry {
    /// Logs of 32 MiB (a sixteenth of small pools, but at least 1 MiB); growth by 8 MiB.
    pub(crate) fn of(size: u64) -> Self {
        let log_bytes = (size / 16).clamp(1 << 20, 32 << 20).next_multiple_of(PAGE as u64);
        Self { size, log_bytes, grow_bytes: 8 << 20, medium: None, model: None }
    }
}

impl Pool {
    /// Makes a pool in the directory `dir`, which is created if missing. A second log generation and checkpoints come later.
    ///
    /// # Errors
    /// `Unusable` if the directory holds a pool or files named like a pool's, can't be written, or `size` is out of range.
    /// Whatever fails, no file that was there before is changed, and none is left behind.
    pub fn create(dir: &Path, options: &PoolOptions) -> Result<()> {
        Self::create_with(dir, &Geometry { medium: options.medium, model: options.model, ..Geometry::of(options.size) })
    }

    /// As [`Pool::create`], with everything chosen by the caller.
    pub(crate) fn create_with(dir: &Path, geometry: &Geometry) -> Result<()> {
        let frames = u32::try_from(geometry.size / PAGE as u64)
            .map_err(|_| Error::Unusable("a pool holds less than 16 TiB: choose a smaller --size".into()))?;
        if frames < layout::MIN_FRAMES {
            return Err(Error::Unusable("a pool holds at least 64 KiB: choose a larger --size".into()));
        }
        make_dirs(dir).map_err(|e| file::unusable(dir, e))?;
        refuse_occupied(dir)?;
        let mut uuid = [0; 16];
        rustix::rand::getrandom(&mut uuid, rustix::rand::GetRandomFlags::empty()).map_err(Error::io("getrandom"))?;
        let mut made = Made { dir, names: Vec::new() };
        let in_memory = probe::check_wanted(dir, geometry.medium)?;
        if geometry.model.is_some() && !in_memory && geometry.medium != Some(Medium::DaxEmulated) {
            return Err(Error::Unusable(
                "only a pool in memory can be slowed: choose a directory on a tmpfs, or --medium dax-emulated".into(),
            ));
        }
        let superblock = Superblock {
            version: layout::VERSION,
            features: 0,
            uuid,
            frames,
            medium: probe::encode(geometry.medium),
            log_bytes: geometry.log_bytes,
            // What is stored to directly must be there before: a store can't answer "no space".
            grow_bytes: if in_memory && geometry.medium != Some(Medium::DaxEmulated) { 0 } else { geometry.grow_bytes },
            model: Model::encode(geometry.model),
        };
        let files = fill(&mut made, &superblock);
        if files.is_ok() && geometry.medium == Some(Medium::Dax) {
            let probed = probe::probe(dir, &pool::MAPPED_FILES, superblock.medium)?;
            if let Some(why) = probed.not_dax {
                let _ = file::remove(&dir.join("superblock"));
                return Err(Error::Unusable(format!("{} has no DAX: {why}; leave --medium away", dir.display())));
            }
        }
        files.map_err(|e| match e {
            Errno::NOSPC | Errno::DQUOT => Error::Unusable(format!("no room for a pool in {}: free some space", dir.display())),
            e => file::unusable(dir, e),
        })?;
        made.names.clear();
        Ok(())
    }
}

/// The names made so far; what is still listed when this is dropped is removed again.
struct Made<'d> {
    dir: &'d Path,
    names: Vec<&'static str>,
}

impl Made<'_> {
    fn file(&mut self, name: &'static str) -> rustix::io::Result<File> {
        let file = File::create_new(&self.dir.join(name))?;
        self.names.push(name);
        Ok(file)
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = file::remove(&self.dir.join(name));
        }
    }
}

/// Writes all files; the superblock comes last and under another name first, so that a directory with a superblock is a whole pool.
fn fill(made: &mut Made<'_>, superblock: &Superblock) -> rustix::io::Result<()> {
    let frames = made.file("frames")?;
    if superblock.grow_bytes == 0 {
        frames.set_len(u64::from(superblock.frames) * PAGE as u64)?;
    }
    let mut salt = [0; 8];
    rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::empty())?;
    for (generation, name) in [(0, "log.0"), (1, "log.1")] {
        let header = LogHeader { generation, base: Seq::new(0), salt: u64::from_le_bytes(salt), uuid: superblock.uuid };
        let log = made.file(name)?;
        write_zeros(&log, superblock.log_bytes)?;
        log.write_at(&header.encode(), 0)?;
        log.write_at(&header.encode(), layout::LOG_HEADER_COPY)?;
        log.sync_data()?;
        // Out of the page cache again, see `metalog::map`.
        log.with(|fd| rustix::fs::fadvise(fd, 0, None, rustix::fs::Advice::DontNeed))?;
    }
    let file = made.file("superblock.new")?;
    write_zeros(&file, layout::SUPERBLOCK_FILE)?;
    file.write_at(&superblock.encode(), 0)?;
    file.write_at(&superblock.encode(), layout::SUPERBLOCK_COPY)?;
    let empty = Position { generation: 1, tail: LOG_START, seq: Seq::new(0), salt: u64::from_le_bytes(salt), known: Seq::new(0) };
    file.write_at(&layout::encode_closed(&empty), layout::CLOSED_AT)?;
    file.sync_data()?;
    file::rename(&made.dir.join("superblock.new"), &made.dir.join("superblock"))?;
    file::sync_dir(made.dir)
}

/// Writes zeros: space that was written once is overwritten later without a journal commit.
fn write_zeros(file: &File, len: u64) -> rustix::io::Result<()> {
    let zeros = vec![0; (1 << 20).min(len as usize)];
    let mut at = 0;
    while at < len {
        let n = zeros.len().min((len - at) as usize);
        file.write_at(&zeros[..n], at)?;
        at += n as u64;
    }
    Ok(())
}

fn make_dirs(dir: &Path) -> rustix::io::Result<()> {
    match rustix::fs::mkdir(dir, Mode::from_raw_mode(0o777)) {
        Err(Errno::NOENT) => {
            let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) else {
                return Err(Errno::NOENT);
            };
            make_dirs(parent)?;
            make_dirs(dir)
        }
        Err(Errno::EXIST) => rustix::fs::open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(drop),
        other => other,
    }
}

fn refuse_occupied(dir: &Path) -> Result<()> {
    for name in file::names_in(dir).map_err(|e| file::unusable(dir, e))? {
        let name = String::from_utf8_lossy(&name);
        if name == "superblock" {
            return Err(Error::Unusable(format!(
                "{} already holds a pool: choose another directory, or remove the pool first",
                dir.display()
            )));
        }
        if name == "frames" || name == "superblock.new" || name.starts_with("log.") || name.starts_with("checkpoint.") {
            return Err(Error::Unusable(format!(
                "{} holds a file {name} but no pool: choose another directory, or remove the file",
                dir.display()
            )));
        }
    }
    Ok(())
}
