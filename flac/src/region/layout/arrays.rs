#![expect(unsafe_code, reason = "hands out references into the mapped control segment")]
//! The arrays of the control segment.

use super::*;

/// The mapped control segment: a word, for it is passed around with every page table.
#[derive(Clone, Copy)]
pub struct Control(pub(super) &'static Segment);

/// Where everything is in it.
pub struct Segment {
    pub(super) geometry: Geometry,
    pub(super) base: *const u8,
    pub(in crate::region) at: Offsets,
    pub(super) known: backed::Known,
}

// SAFETY: the mapping is shared memory of atomics that stays until the process ends.
unsafe impl Send for Segment {}
// SAFETY: as above: every access goes through atomics.
unsafe impl Sync for Segment {}

impl std::ops::Deref for Control {
    type Target = Segment;
    #[inline(always)]
    fn deref(&self) -> &Segment {
        self.0
    }
}

impl Control {
    #[inline]
    pub(in crate::region) fn array<T>(&self, offset: usize, len: usize) -> &'static [T] {
        debug_assert!(offset + len * size_of::<T>() <= self.at.end);
        // SAFETY: `Offsets::new` reserved `len` elements of `T` at the page-aligned `offset` inside the mapping, which
        // stays until the process ends; every `T` here is all atomics, for which any bits are valid.
        unsafe { std::slice::from_raw_parts(self.base.add(offset).cast(), len) }
    }

    /// Where this process has it mapped.
    pub fn address(&self) -> usize {
        self.base as usize
    }

    /// Counters and hints.
    #[inline]
    pub fn counters(&self) -> &'static Counters {
        &self.array::<Counters>(0, 1)[0]
    }
    /// The metalog's shared state.
    pub fn log(&self) -> &'static LogShared {
        &self.array::<LogShared>(self.at.log, 1)[0]
    }
    /// The lock table.
    pub fn locks(&self) -> &'static LocksShared {
        &self.array::<LocksShared>(self.at.locks, 1)[0]
    }
    /// What is known about watching.
    #[inline]
    pub fn watch(&self) -> &'static WatchShared {
        &self.array::<WatchShared>(self.at.watch, 1)[0]
    }
    /// Freed pool frames that wait for the log.
    pub fn pending(&self) -> &'static [PendingFree] {
        self.array(self.at.pending, PENDING)
    }
    /// The process slots.
    #[inline]
    pub fn procs(&self) -> &'static [ProcSlot] {
        self.array(self.at.procs, PROCS)
    }
    /// The holds of process slot `proc`.
    #[inline]
    pub fn holds(&self, proc: u32) -> &'static [HoldWord] {
        self.array(self.at.holds + proc as usize * MAX_HOLDS * 4, MAX_HOLDS)
    }
    /// The ledger of process slot `proc`.
    pub fn ledger(&self, proc: u32) -> &'static [LedgerEntry] {
        self.array(self.at.ledger + proc as usize * LEDGER * size_of::<LedgerEntry>(), LEDGER)
    }
    /// The open-file slots.
    #[inline]
    pub fn opens(&self) -> &'static [OpenSlot] {
        self.array(self.at.opens, OPENS)
    }
    /// Heads of the hash chains of inode slots.
    pub fn buckets(&self) -> &'static [AtomicU32] {
        self.array(self.at.buckets, INODES)
    }
    /// The inode slots.
    #[inline]
    pub fn inodes(&self) -> &'static [InodeSlot] {
        self.array(self.at.inodes, INODES)
    }
    /// Reference counts of the frames.
    #[inline]
    pub fn refs(&self) -> &'static [AtomicU32] {
        self.array(self.at.refs, self.geometry.frames as usize)
    }
    /// One bit for each frame: set while it is used.
    #[inline]
    pub fn frame_bits(&self) -> &'static [AtomicU64] {
        self.array(self.at.frame_bits, self.geometry.frames as usize / 64)
    }
    /// For each frame, how many views show it without showing its whole block (see `frame`).
    #[inline]
    pub fn views(&self) -> &'static [AtomicU64] {
        self.array(self.at.views, self.geometry.frames as usize)
    }
    /// For each block, how many views show all of it (see `frame`).
    #[inline]
    pub fn pins(&self) -> &'static [AtomicU64] {
        self.array(self.at.pins, self.geometry.frames as usize / BLOCK_FRAMES)
    }
    /// One bit for each frame: used more than once since the clock hand passed (see `clock`).
    #[inline]
    pub fn hot(&self) -> &'static [AtomicU64] {
        self.array(self.at.hot, self.geometry.frames as usize / 64)
    }
    /// One bit for each frame: filled, and not used since.
    #[inline]
    pub fn fresh(&self) -> &'static [AtomicU64] {
        self.array(self.at.fresh, self.geometry.frames as usize / 64)
    }
    /// One bit for each pool frame: set while an extent or a flush uses it.
    pub fn pool_bits(&self) -> &'static [AtomicU64] {
        self.array(self.at.pool_bits, pool_blocks(self.geometry) * BLOCK_FRAMES / 64)
    }
    /// One bit for each pool frame: set while it is counted as used for the sake of a view alone.
    pub fn limbo(&self) -> &'static [AtomicU64] {
        self.array(self.at.limbo, pool_blocks(self.geometry) * BLOCK_FRAMES / 64)
    }
    /// For each 2 MiB of the pool, how many attached views touch it.
    pub fn pool_pins(&self) -> &'static [AtomicU32] {
        self.array(self.at.pool_pins, pool_blocks(self.geometry))
    }
}
