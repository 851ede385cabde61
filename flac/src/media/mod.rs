//! The pool's files: superblock and data frames on a block or memory medium. Knows no file, no inode, no record.
//!
//! `layout` holds every on-media structure (the metalog's too), `file` and `fd` are the file operations that the pool, the
//! metalog and the KV share, `create` and `pool` are the pool itself.

pub(crate) mod create;
pub(crate) mod fd;
pub(crate) mod file;
pub(crate) mod layout;
pub(crate) mod pool;
#[cfg(test)]
mod tests;

pub use fd::HIGH_FD;
pub use pool::Pool;

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
