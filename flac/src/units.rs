//! Units. A type for each, fields private: an inode number does not fit where a frame number goes.

/// Bytes in a page and in a frame.
pub const PAGE: usize = 4096;
/// Bytes in a 2 MiB block of frames, the unit that the kernel can map with one entry.
pub const BLOCK: usize = 2 << 20;
/// Frames in a block, and entries in a page-table node.
pub const BLOCK_FRAMES: usize = BLOCK / PAGE;
/// Frames of the largest DRAM tier: an entry of a page table has 28 bits for one. 1 TiB, but for a block.
pub const MOST_FRAMES: u32 = (1 << 28) - BLOCK_FRAMES as u32;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name($int);
        impl $name {
            /// Wraps a raw number.
            pub const fn new(raw: $int) -> Self { Self(raw) }
            /// The raw number.
            pub const fn get(self) -> $int { self.0 }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

unit!(
    /// An inode number. The root directory is [`Ino::ROOT`]; 0 is none.
    Ino(u64)
);
unit!(
    /// A frame of the DRAM tier: its byte offset in the tier file divided by [`PAGE`].
    FrameNo(u32)
);
unit!(
    /// A frame of the pool: its byte offset in the pool's `frames` file divided by [`PAGE`].
    PoolFrame(u32)
);
unit!(
    /// A page of a file: byte offset divided by [`PAGE`].
    PageNo(u64)
);
unit!(
    /// The sequence number of a metalog record; 0 is before the first.
    Seq(u64)
);

impl Ino {
    /// The root directory of the file system.
    pub const ROOT: Ino = Ino(1);
    /// The FLAC space (see [`crate::space`]): an inode without a name. Files get numbers below it.
    pub const SPACE: Ino = Ino(1 << 56);
}

impl FrameNo {
    /// The `n`-th frame after this one.
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0 + n)
    }
    /// The 2 MiB block this frame lies in.
    pub const fn block(self) -> u32 {
        self.0 / BLOCK_FRAMES as u32
    }
}

impl PoolFrame {
    /// The `n`-th frame after this one.
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0 + n)
    }
    /// The 2 MiB block this frame lies in.
    pub const fn block(self) -> u32 {
        self.0 / BLOCK_FRAMES as u32
    }
}

impl PageNo {
    /// The page that holds byte `offset`.
    pub const fn of(offset: u64) -> Self {
        Self(offset / PAGE as u64)
    }
    /// The byte offset of this page's first byte.
    pub const fn start(self) -> u64 {
        self.0 * PAGE as u64
    }
    /// The `n`-th page after this one.
    pub const fn plus(self, n: u64) -> Self {
        Self(self.0 + n)
    }
}
