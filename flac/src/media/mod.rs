//! The pool's files: superblock and data frames on a DAX, block or memory medium. Knows no file, no inode, no record.
//!
//! `layout` holds every on-media structure (the metalog's too), `file` and `fd` are the file operations that the pool, the
//! metalog and the KV share, `aside` is where they are done when the process may open no more files, `ceiling` sees to it that its limit on the size of files does not concern them, `create`, `pool` and `frames` are the pool itself, `beside` writes its frames while its maker does something else. `probe` tells the medium, `mapped` is a file whose bytes are stored to and
//! loaded from directly, `lines` the processor's way to make stores durable, `model` the cost of a device that is not there. `tap` is where tests hear
//! of every change, `sim` simulates power cuts with it.

pub(crate) mod aside;
mod beside;
mod ceiling;
pub(crate) mod create;
pub(crate) mod device;
pub(crate) mod fd;
pub(crate) mod file;
mod frames;
pub(crate) mod layout;
mod lines;
pub(crate) mod mapped;
mod model;
pub(crate) mod owner;
pub(crate) mod pool;
mod probe;
#[cfg(test)]
pub(crate) mod sim;
mod size;
pub(crate) mod tap;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tmpfs;

pub(crate) use beside::Writer;
pub use beside::{work_alone, works_alone};
pub(crate) use ceiling::forbids;
pub use ceiling::{file_size_limit, lifted, restore_after_fork};
pub(crate) use fd::Fd as OwnFd;
pub use fd::{HIGH_FD, tell_numbers};
pub use frames::Way;
pub use lines::WriteBack;
pub use model::Model;
pub use pool::Pool;
pub use size::default_size;

/// What the pool lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Persistent memory behind a DAX file system, mapped with `MAP_SYNC`: a store whose cache line was written back is durable.
    Dax,
    /// The same code on a file system without DAX, mapped without `MAP_SYNC`, for tests: stores reach the page cache. **Cache lines
    /// written back are not durable there**: on a disk a sync also flushes both files as on a block medium; on a tmpfs nothing is durable.
    DaxEmulated,
    /// A file system on a disk: flushes reach the device.
    Block,
    /// A tmpfs: gone after a reboot.
    Memory,
}

impl Medium {
    /// Its name, as `flac mkfs --medium` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Medium::Dax => "dax",
            Medium::DaxEmulated => "dax-emulated",
            Medium::Block => "block",
            Medium::Memory => "memory",
        }
    }

    /// Whether the frames are mapped, so that they are loaded from (and shown to programs) without reading them into DRAM first.
    pub fn is_mapped(self) -> bool {
        self != Medium::Block
    }
}

/// How a pool is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolOptions {
    /// Bytes of file data that it can hold.
    pub size: u64,
    /// The medium; `None`: what probing finds, each time the pool is opened.
    pub medium: Option<Medium>,
    /// Whose cost is added to each access, for experiments; not for [`Medium::Dax`] and [`Medium::Block`].
    pub model: Option<Model>,
}
