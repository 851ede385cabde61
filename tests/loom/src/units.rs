//! As flac's, but a block has 64 frames: one word of the bitmap.

pub const BLOCK_FRAMES: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameNo(u32);

impl FrameNo {
    pub const fn new(raw: u32) -> Self {
        Self(raw)
    }
    pub const fn get(self) -> u32 {
        self.0
    }
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0 + n)
    }
    pub const fn block(self) -> u32 {
        self.0 / BLOCK_FRAMES as u32
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seq(u64);

impl Seq {
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }
    pub const fn get(self) -> u64 {
        self.0
    }
}
