//! What a page table says about one page: a word.

use super::Marked;
use crate::units::{FrameNo, MOST_FRAMES, PoolFrame};

/// One page's entry: DRAM frame + 1 (28 bits), pool frame + 1 (32 bits), state bits.
///
/// Zero is a hole. The two highest bits count reads of a page that only the pool has; a reader may change them without a lock. DIRTY: the DRAM half (or the hole) is newer than the log. FLUSHING: a flush is writing the DRAM half; the frame has one more reference.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry(u64);

const DRAM_BITS: u64 = (1 << 28) - 1;
const _: () = assert!(MOST_FRAMES as u64 <= DRAM_BITS);
const POOL_SHIFT: u32 = 28;
const POOL_BITS: u64 = ((1 << 32) - 1) << POOL_SHIFT;

impl Entry {
    /// A hole that the log knows as one.
    pub const HOLE: Entry = Entry(0);
    const DIRTY: u64 = 1 << 60;
    const FLUSHING: u64 = 1 << 61;
    const TOUCH: u64 = 1 << 62;
    const TOUCHES: u64 = 3 << 62;

    /// From its word.
    pub fn from_raw(raw: u64) -> Self {
        Entry(raw)
    }
    /// Its word.
    pub fn raw(self) -> u64 {
        self.0
    }
    /// A page that only the pool has.
    pub fn pooled(frame: PoolFrame) -> Self {
        Entry((frame.get() as u64 + 1) << POOL_SHIFT)
    }
    /// The DRAM frame.
    #[inline]
    pub fn dram(self) -> Option<FrameNo> {
        let n = (self.0 & DRAM_BITS) as u32;
        (n != 0).then(|| FrameNo::new(n - 1))
    }
    /// The pool frame; not valid while the entry is dirty.
    #[inline]
    pub fn pool(self) -> Option<PoolFrame> {
        let n = (self.0 & POOL_BITS) >> POOL_SHIFT;
        (n != 0).then(|| PoolFrame::new((n - 1) as u32))
    }
    /// The log does not know the current content.
    #[inline]
    pub fn is_dirty(self) -> bool {
        self.0 & Self::DIRTY != 0
    }
    /// A flush is writing it.
    #[inline]
    pub fn is_flushing(self) -> bool {
        self.0 & Self::FLUSHING != 0
    }
    /// Nothing is stored: reads give zeros.
    #[inline]
    pub fn is_hole(self) -> bool {
        self.0 & (DRAM_BITS | POOL_BITS) == 0
    }
    /// With `frame` as DRAM half, newer than the log.
    pub fn written(frame: FrameNo, _: Marked) -> Self {
        Entry((frame.get() as u64 + 1) | Self::DIRTY)
    }
    /// A hole newer than the log.
    pub fn punched(_: Marked) -> Self {
        Entry(Self::DIRTY)
    }
    /// How often it was read since only the pool has it: 0 to 3, and no further.
    #[inline]
    pub fn touches(self) -> u64 {
        self.0 / Self::TOUCH
    }
    /// Read once more.
    #[inline]
    pub fn touched(self) -> Self {
        Entry(self.0.checked_add(Self::TOUCH).unwrap_or(self.0))
    }
    /// As if never read.
    pub fn cooled(self) -> Self {
        Entry(self.0 & !Self::TOUCHES)
    }
    /// With `frame` loaded from the pool.
    pub fn loaded(self, frame: FrameNo) -> Self {
        Entry(self.cooled().0 & !DRAM_BITS | (frame.get() as u64 + 1))
    }
    /// Without its DRAM half (only for clean entries).
    pub fn evicted(self) -> Self {
        Entry(self.cooled().0 & !DRAM_BITS)
    }
    /// Marked dirty, the pool half forgotten.
    pub fn dirtied(self, _: Marked) -> Self {
        Entry(self.cooled().0 & !POOL_BITS & !Self::FLUSHING | Self::DIRTY)
    }
    /// Marked as being flushed, no longer dirty.
    pub fn flushing(self) -> Self {
        Entry(self.0 & !Self::DIRTY | Self::FLUSHING)
    }
    /// Clean, with the pool half `frame` (or a known hole).
    pub fn flushed(self, frame: Option<PoolFrame>) -> Self {
        let pool = frame.map_or(0, |f| (f.get() as u64 + 1) << POOL_SHIFT);
        Entry(self.0 & DRAM_BITS | pool)
    }
}
