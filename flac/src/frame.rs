//! Frames of the DRAM tier: who uses each, and how many can see it.
//!
//! A frame is used while its reference count is above 0: one for each page-table entry that names it and each flush that reads it. Views (attached buffers and shared
//! mappings) are counted apart: on the block where they show all 512 frames of it, which makes attaching megabytes cheap, else on each frame. A frame freed
//! while a view shows it is not given out again before the view is gone. A frame is written in place only while nobody else can see it
//! ([`Frames::is_exclusive`]). `flac/docs/frames.md` has the states, and `tests/loom` checks this file.

use crate::region::Control;
use crate::sync::Ordering::*;
use crate::units::{BLOCK_FRAMES, FrameNo};

const WORDS: usize = BLOCK_FRAMES / 64;
/// The views of a block or frame: how many there are (low half), and how often one came (high half, wraps around).
const VIEWS: u64 = u32::MAX as u64;
/// What a new view adds to that word.
const VIEW: u64 = 1 << 32 | 1;

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
        for (w, word) in self.words(block).iter().enumerate() {
            // Free, but shown by a view.
            let mut shown = 0u64;
            let mut seen = word.load(Relaxed);
            while seen | shown != !0 {
                let bit = (!(seen | shown)).trailing_zeros();
                match word.compare_exchange_weak(seen, seen | 1 << bit, AcqRel, Relaxed) {
                    Ok(_) => {
                        let frame = FrameNo::new(block * BLOCK_FRAMES as u32 + w as u32 * 64 + bit);
                        // Only now is it known that nobody makes a view of it; one may have stayed from before it was freed.
                        if self.is_viewed(frame) {
                            shown |= 1 << bit;
                            seen = word.fetch_and(!(1 << bit), AcqRel) & !(1 << bit);
                            continue;
                        }
                        self.0.counters().dram_free.fetch_sub(1, Relaxed);
                        self.0.refs()[frame.get() as usize].store(1, Release);
                        return Some(frame);
                    }
                    Err(now) => seen = now,
                }
            }
        }
        None
    }

    /// This frame, with reference count 1, if it is free and no view shows it.
    pub fn claim(&self, frame: FrameNo) -> bool {
        if self.is_pinned(frame.block()) {
            return false;
        }
        let index = frame.get() as usize;
        let (word, bit) = (&self.0.frame_bits()[index / 64], 1 << (index % 64));
        if word.fetch_or(bit, AcqRel) & bit != 0 {
            return false;
        }
        // As in `alloc_in`.
        if self.is_viewed(frame) {
            word.fetch_and(!bit, AcqRel);
            return false;
        }
        self.0.counters().dram_free.fetch_sub(1, Relaxed);
        self.0.refs()[index].store(1, Release);
        true
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
        let first = block * BLOCK_FRAMES as u32;
        if (first..first + BLOCK_FRAMES as u32).any(|frame| self.is_viewed(FrameNo::new(frame))) {
            bits.iter().for_each(|w| w.store(0, Release));
            return false;
        }
        true
    }

    /// Whether some view shows all of the block.
    #[inline]
    fn is_pinned(&self, block: u32) -> bool {
        self.pins(block) != 0
    }

    /// Whether some view shows the frame. The block comes first: a view that is cut counts its frames before it gives up the block.
    #[inline]
    pub fn is_viewed(&self, frame: FrameNo) -> bool {
        self.is_pinned(frame.block()) || self.views(frame) != 0
    }

    fn words(&self, block: u32) -> &'static [crate::sync::AtomicU64] {
        &self.0.frame_bits()[block as usize * WORDS..][..WORDS]
    }

    /// One more reference.
    #[inline]
    pub fn get(&self, frame: FrameNo) {
        self.0.refs()[frame.get() as usize].fetch_add(1, AcqRel);
    }

    /// Has the processor fetch the count of a frame to write to it, and changes nothing: a [`Frames::get`] soon after does not wait for another processor.
    pub fn fetch(&self, frame: FrameNo) {
        if let Some(refs) = self.0.refs().get(frame.get() as usize) {
            let _ = refs.compare_exchange(u32::MAX, u32::MAX, Relaxed, Relaxed);
        }
    }

    /// One more reference to a frame that the caller's view shows; `false` if no table names it any more (it is free, only pinned).
    pub fn get_used(&self, frame: FrameNo) -> bool {
        self.0.refs()[frame.get() as usize].fetch_update(AcqRel, Acquire, |n| (n != 0).then_some(n + 1)).is_ok()
    }

    /// One reference less; the last one frees the frame: `true`.
    #[inline]
    pub fn put(&self, frame: FrameNo) -> bool {
        let refs = &self.0.refs()[frame.get() as usize];
        let before = refs.fetch_sub(1, AcqRel);
        assert!(before != 0, "frame {frame:?} was freed twice");
        if before == 1 {
            self.free_bit(frame);
        }
        before == 1
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
    /// after). So neither order of two looks is enough: it must have had one reference at a moment at which there was no view. The words of views count
    /// every view that ever was, so that they tell whether one came and went between two looks.
    #[inline]
    pub fn is_exclusive(&self, frame: FrameNo) -> bool {
        let pins = &self.0.pins()[frame.block() as usize];
        let views = &self.0.views()[frame.get() as usize];
        let before = (pins.load(Acquire), views.load(Acquire));
        before.0 & VIEWS == 0
            && before.1 & VIEWS == 0
            && self.0.refs()[frame.get() as usize].load(Acquire) == 1
            && (views.load(Acquire), pins.load(Acquire)) == (before.1, before.0)
    }

    /// How many views show all of the block.
    pub fn pins(&self, block: u32) -> u32 {
        (self.0.pins()[block as usize].load(Acquire) & VIEWS) as u32
    }

    /// How many views show the frame without showing its whole block.
    pub fn views(&self, frame: FrameNo) -> u32 {
        (self.0.views()[frame.get() as usize].load(Acquire) & VIEWS) as u32
    }

    /// How many pages of a run views may show before they show more than half of all frames. Such frames can't be evicted: the other half is what keeps
    /// reads and writes possible, however many views there are. A hint: who asks at the same time may get the same answer.
    pub fn viewable(&self, pages: u32) -> u32 {
        let c = self.0.counters();
        pages.min((self.total().saturating_sub(c.aside.load(Relaxed)) / 2).saturating_sub(c.viewed.load(Relaxed)))
    }

    /// Takes the free frames of which `lacks` says that they have no memory out of circulation, until all is counted anew. How many.
    #[cold]
    pub fn set_aside(&self, lacks: impl Fn(FrameNo) -> bool) -> u32 {
        let mut count = 0;
        for (w, word) in self.0.frame_bits().iter().enumerate() {
            let mut free = !word.load(Relaxed);
            while free != 0 {
                let bit = free.trailing_zeros();
                free &= free - 1;
                let frame = FrameNo::new(w as u32 * 64 + bit);
                if lacks(frame) && word.fetch_or(1 << bit, AcqRel) >> bit & 1 == 0 {
                    count += 1;
                }
            }
        }
        let c = self.0.counters();
        c.dram_free.fetch_sub(count as u64, Relaxed);
        c.aside.fetch_add(count, Relaxed);
        count
    }

    /// Counts a view of a run. So a view can be split into parts that each count for themselves, also when the file has long given up the frames.
    pub fn get_run(&self, first: FrameNo, pages: u32) {
        let mut new = 0;
        for part in parts(first, pages) {
            match part {
                Part::Block(block) => {
                    let before = self.0.pins()[block as usize].fetch_add(VIEW, AcqRel) & VIEWS;
                    new += if before == 0 { BLOCK_FRAMES as u32 } else { 0 };
                }
                Part::Frames(from, to) => {
                    let words = &self.0.views()[from as usize..to as usize];
                    new += words.iter().filter(|word| word.fetch_add(VIEW, AcqRel) & VIEWS == 0).count() as u32;
                }
            }
        }
        self.0.counters().viewed.fetch_add(new, Relaxed);
    }

    /// Drops a view of a run.
    pub fn put_run(&self, first: FrameNo, pages: u32) {
        let mut gone = 0;
        let last = |before: u64| {
            assert!(before & VIEWS != 0, "a view of frames from {first:?} on was dropped twice");
            before & VIEWS == 1
        };
        for part in parts(first, pages) {
            match part {
                Part::Block(block) => {
                    if last(self.0.pins()[block as usize].fetch_sub(1, AcqRel)) {
                        gone += BLOCK_FRAMES as u32;
                        self.hint(block);
                    }
                }
                Part::Frames(from, to) => {
                    let words = &self.0.views()[from as usize..to as usize];
                    let count = words.iter().filter(|word| last(word.fetch_sub(1, AcqRel))).count() as u32;
                    gone += count;
                    if count > 0 {
                        self.hint(from / BLOCK_FRAMES as u32);
                    }
                }
            }
        }
        self.0.counters().viewed.fetch_sub(gone, Relaxed);
    }
}

/// A part of a run, as views are counted.
enum Part {
    /// A whole block.
    Block(u32),
    /// Frames [from, to) of one block.
    Frames(u32, u32),
}

/// The parts of a run of frames.
fn parts(first: FrameNo, pages: u32) -> impl Iterator<Item = Part> {
    let fan = BLOCK_FRAMES as u32;
    let (mut at, end) = (first.get(), first.get() + pages);
    std::iter::from_fn(move || {
        let from = at;
        at = ((from / fan + 1) * fan).min(end);
        match at - from {
            0 => None,
            n if n == fan => Some(Part::Block(from / fan)),
            _ => Some(Part::Frames(from, at)),
        }
    })
}
