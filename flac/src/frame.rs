//! Frames of the DRAM tier: who uses each, and how many can see it.
//!
//! A frame is used while its reference count is above 0: one for each page-table entry that names it and each flush that reads it. Attached views
//! count on the 2 MiB blocks they touch, as *pins*: a frame freed in a pinned block may still be seen, and is not given out again before the last
//! pin is gone. A frame is written in place only while nobody else can see it ([`Frames::is_exclusive`]).

use crate::region::Control;
use crate::sync::Ordering::*;
use crate::units::{BLOCK_FRAMES, FrameNo};

const WORDS: usize = BLOCK_FRAMES / 64;
/// A block's pin word: how many views touch it now (low half), and how often one came (high half, wraps around).
const PIN_COUNT: u64 = u32::MAX as u64;
/// What a new view adds to the pin word.
const PIN: u64 = 1 << 32 | 1;

/// The frame allocator and the reference counts. All state is in the control segment; every step is one atomic operation, and a process
/// that dies between two leaks at most the frames it was about to use.
#[derive(Clone, Copy)]
pub struct Frames(Control);

impl Frames {
    /// The frames of the region.
    pub fn new(control: Control) -> Self {
        Frames(control)
    }

    /// How many frames there are.
    pub fn total(&self) -> u32 {
        self.0.geometry().frames
    }

    /// How many frames are free (a hint: others allocate at the same time).
    pub fn free(&self) -> u64 {
        self.0.counters().dram_free.load(Relaxed)
    }

    /// One frame with reference count 1, its content undefined. Single frames come from the high end, blocks from the low one: what was freed
    /// last there is taken first, so that frames stay warm.
    pub fn alloc(&self) -> Option<FrameNo> {
        let blocks = self.total() / BLOCK_FRAMES as u32;
        let hint = self.0.counters().page_hint.load(Relaxed).min(blocks - 1);
        for block in (0..=hint).rev().chain((hint + 1..blocks).rev()) {
            if let Some(frame) = self.alloc_in(block) {
                if block != hint {
                    self.0.counters().page_hint.store(block, Relaxed);
                }
                return Some(frame);
            }
        }
        None
    }

    fn alloc_in(&self, block: u32) -> Option<FrameNo> {
        if self.is_pinned(block) {
            return None;
        }
        let bits = self.words(block);
        for (w, word) in bits.iter().enumerate() {
            let mut seen = word.load(Relaxed);
            while seen != !0 {
                let bit = (!seen).trailing_zeros();
                match word.compare_exchange_weak(seen, seen | 1 << bit, AcqRel, Relaxed) {
                    Ok(_) if self.is_pinned(block) => {
                        // Pinned and freed between the look above and the claim: a view still shows it.
                        word.fetch_and(!(1 << bit), AcqRel);
                        return None;
                    }
                    Ok(_) => {
                        let frame = block * BLOCK_FRAMES as u32 + w as u32 * 64 + bit;
                        self.0.counters().dram_free.fetch_sub(1, Relaxed);
                        self.0.refs()[frame as usize].store(1, Release);
                        return Some(FrameNo::new(frame));
                    }
                    Err(now) => seen = now,
                }
            }
        }
        None
    }

    /// A whole free block: its 512 frames have reference count 1 each.
    pub fn alloc_block(&self) -> Option<u32> {
        let blocks = self.total() / BLOCK_FRAMES as u32;
        let c = self.0.counters();
        if c.dram_free.load(Relaxed) < BLOCK_FRAMES as u64 {
            return None;
        }
        let hint = c.block_hint.load(Relaxed).min(blocks - 1);
        // The hint may be ahead of a block freed a moment ago: a second round from the start finds it.
        for block in (hint..blocks).chain(0..hint) {
            if self.claim_block(block) {
                c.block_hint.store(block + 1, Relaxed);
                c.dram_free.fetch_sub(BLOCK_FRAMES as u64, Relaxed);
                for refs in &self.0.refs()[block as usize * BLOCK_FRAMES..][..BLOCK_FRAMES] {
                    refs.store(1, Relaxed);
                }
                return Some(block);
            }
        }
        None
    }

    fn claim_block(&self, block: u32) -> bool {
        let bits = self.words(block);
        if self.is_pinned(block) || bits.iter().any(|w| w.load(Relaxed) != 0) {
            return false;
        }
        for (i, word) in bits.iter().enumerate() {
            if word.compare_exchange(0, !0, AcqRel, Relaxed).is_err() {
                bits[..i].iter().for_each(|w| w.store(0, Release));
                return false;
            }
        }
        if self.is_pinned(block) {
            bits.iter().for_each(|w| w.store(0, Release));
            return false;
        }
        true
    }

    /// Whether some attached view touches the block.
    #[inline]
    fn is_pinned(&self, block: u32) -> bool {
        self.pins(block) != 0
    }

    fn words(&self, block: u32) -> &'static [crate::sync::AtomicU64] {
        &self.0.frame_bits()[block as usize * WORDS..][..WORDS]
    }

    /// One more reference.
    #[inline]
    pub fn get(&self, frame: FrameNo) {
        self.0.refs()[frame.get() as usize].fetch_add(1, AcqRel);
    }

    /// One more reference to a frame that the caller's view shows; `false` if no table names it any more (it is free, only pinned).
    pub fn get_used(&self, frame: FrameNo) -> bool {
        self.0.refs()[frame.get() as usize].fetch_update(AcqRel, Acquire, |n| (n != 0).then_some(n + 1)).is_ok()
    }

    /// One reference less; the last one frees the frame.
    #[inline]
    pub fn put(&self, frame: FrameNo) {
        let refs = &self.0.refs()[frame.get() as usize];
        let before = refs.fetch_sub(1, AcqRel);
        assert!(before != 0, "frame {frame:?} was freed twice");
        if before == 1 {
            self.free_bit(frame);
        }
    }

    fn free_bit(&self, frame: FrameNo) {
        let index = frame.get() as usize;
        self.0.frame_bits()[index / 64].fetch_and(!(1 << (index % 64)), AcqRel);
        let c = self.0.counters();
        c.dram_free.fetch_add(1, Relaxed);
        self.hint(frame.block());
    }

    fn hint(&self, block: u32) {
        let c = self.0.counters();
        if c.block_hint.load(Relaxed) > block {
            c.block_hint.fetch_min(block, Relaxed);
        }
        if c.page_hint.load(Relaxed) < block {
            c.page_hint.fetch_max(block, Relaxed);
        }
    }

    /// Whether only one page-table entry can see the frame. Stable under the lock of the inode that owns that entry.
    ///
    /// A second reference comes from another entry (whose inode may make a view, then drop the entry) or from a view (which may go right
    /// after). So neither order of two looks is enough: it must have had one reference at a moment at which there was no view. The pin word counts
    /// every pin that ever was, so that it tells whether one came and went between two looks at it.
    #[inline]
    pub fn is_exclusive(&self, frame: FrameNo) -> bool {
        let pins = &self.0.pins()[frame.block() as usize];
        let before = pins.load(Acquire);
        before & PIN_COUNT == 0 && self.0.refs()[frame.get() as usize].load(Acquire) == 1 && pins.load(Acquire) == before
    }

    /// How many views touch the block.
    pub fn pins(&self, block: u32) -> u32 {
        (self.0.pins()[block as usize].load(Acquire) & PIN_COUNT) as u32
    }

    /// One more attached view of the whole block.
    pub fn pin(&self, block: u32) {
        self.0.pins()[block as usize].fetch_add(PIN, AcqRel);
    }

    /// One view of the block less.
    pub fn unpin(&self, block: u32) {
        let before = self.0.pins()[block as usize].fetch_sub(1, AcqRel) & PIN_COUNT;
        assert!(before != 0, "block {block} was unpinned twice");
        if before == 1 {
            self.hint(block);
        }
    }

    /// Counts an attached view of a run: a pin on every block it touches, whole or in part. So a view can be split into parts that each pin
    /// their own blocks, also when the file has long given up the frames.
    pub fn get_run(&self, first: FrameNo, pages: u32) {
        touched(first, pages).for_each(|block| self.pin(block));
    }

    /// Drops an attached view of a run.
    pub fn put_run(&self, first: FrameNo, pages: u32) {
        touched(first, pages).for_each(|block| self.unpin(block));
    }
}

/// The blocks in which a run of frames lies.
fn touched(first: FrameNo, pages: u32) -> std::ops::RangeInclusive<u32> {
    first.block()..=first.plus(pages - 1).block()
}
