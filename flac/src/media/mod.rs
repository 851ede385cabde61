//! The pool's files: superblock and data frames on a block or memory medium. Knows no file, no inode, no record.

use crate::error::{Error, Result};
use crate::units::PoolFrame;
use std::path::Path;

const UNFINISHED: Error = Error::Os(libc::ENOSYS);

/// What the pool lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A file system on a disk: flushes reach the device.
    Block,
    /// A tmpfs: gone after a reboot.
    Memory,
}

/// How a pool is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// Bytes of file data that it can hold.
    pub size: u64,
}

/// The superblock and the frames of a pool. Threads share it; a forked child may go on using it.
pub struct Pool {}

impl Pool {
    /// Makes a pool in the directory `dir`, which is created if missing.
    pub fn create(_dir: &Path, _options: &PoolOptions) -> Result<()> {
        Err(UNFINISHED)
    }
    /// Opens the pool in `dir`.
    pub fn open(_dir: &Path) -> Result<Pool> {
        Err(UNFINISHED)
    }
    /// The pool's identity.
    pub fn uuid(&self) -> [u8; 16] {
        [0; 16]
    }
    /// The pool's identity in 32 hexadecimal digits.
    pub fn uuid_hex(&self) -> String {
        String::new()
    }
    /// What the pool lies on.
    pub fn medium(&self) -> Medium {
        Medium::Block
    }
    /// How many frames the pool can hold.
    pub fn frames(&self) -> u32 {
        0
    }
    /// The pool's directory.
    pub fn dir(&self) -> &Path {
        Path::new("")
    }
    /// Reads `to.len() / 4096` frames from `first` on.
    pub fn read(&self, _first: PoolFrame, _to: &mut [u8]) -> Result<()> {
        Err(UNFINISHED)
    }
    /// Writes contiguous frames from scattered memory: one page of 4096 bytes, page-aligned, for each.
    pub fn write(&self, _first: PoolFrame, _pages: &[&[u8]]) -> Result<()> {
        Err(UNFINISHED)
    }
    /// Makes every frame written before durable.
    pub fn flush_data(&self) -> Result<()> {
        Err(UNFINISHED)
    }
    /// Whether the pool can't be written.
    pub fn read_only(&self) -> bool {
        false
    }
}
