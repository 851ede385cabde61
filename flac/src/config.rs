//! What a user may choose, as plain data. Who reads the environment fills it in.

use std::path::PathBuf;

/// How a process uses a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The pool's directory.
    pub pool: PathBuf,
    /// The absolute path under which programs see the tree, without a trailing slash; absolute symbolic links that
    /// begin with it stay inside. `None` when the tree appears nowhere (tools).
    pub root: Option<PathBuf>,
    /// Size of the DRAM tier in bytes, used by whoever creates it. Default: half of the memory, at most what the tmpfs holds.
    pub dram: Option<u64>,
    /// Whether pages may be attached to the caller's buffers.
    pub attach: bool,
}

impl Config {
    /// The default configuration for the pool in `pool`.
    pub fn new(pool: impl Into<PathBuf>) -> Self {
        Self { pool: pool.into(), root: None, dram: None, attach: true }
    }
}
