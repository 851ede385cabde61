//! Which frames were used lately: what the clock hand of eviction asks. Knows no table and no inode.
//!
//! Two bits a frame. A frame that was just filled is *fresh*; its first use takes that away, the next one makes it *hot*. The hand evicts what is not
//! hot, and cools what is. So a scan of data that is used once evicts itself and not what is used again and again, which plain CLOCK (one bit, set by
//! the first use) does not give; and a hit costs one load where LRU lists would cost a lock.

use crate::region::Control;
use crate::sync::{AtomicU64, Ordering::*};
use crate::units::FrameNo;

/// The use bits; hints only, so nothing here is ordered.
#[derive(Clone, Copy)]
pub struct Clock(Control);

impl Clock {
    /// The bits of the region's frames.
    pub fn new(control: Control) -> Self {
        Clock(control)
    }

    /// The frames were filled with new content.
    pub fn filled(&self, first: FrameNo, count: u32) {
        self.by_word(first, count, |word, mask| {
            clear(&self.0.hot()[word], mask);
            set(&self.0.fresh()[word], mask);
        });
    }

    /// The frames were read or overwritten. A number that was read without a lock may be stale: beyond the tier it is ignored.
    #[inline]
    pub fn used(&self, first: FrameNo, count: u32) {
        self.by_word(first, count, |word, mask| {
            if self.0.hot().get(word).is_some_and(|hot| hot.load(Relaxed) & mask != mask) {
                self.warm_up(word, mask);
            }
        });
    }

    /// As [`Clock::used`], of one frame: a load, if it is hot already.
    #[inline(always)]
    pub fn used_one(&self, frame: FrameNo) {
        let (word, mask) = (frame.get() as usize / 64, 1 << (frame.get() % 64));
        if self.0.hot().get(word).is_some_and(|hot| hot.load(Relaxed) & mask == 0) {
            self.warm_up(word, mask);
        }
    }

    /// Those that are fresh are so no longer; the others are hot.
    #[inline(never)]
    fn warm_up(&self, word: usize, mask: u64) {
        let (Some(hot), Some(fresh)) = (self.0.hot().get(word), self.0.fresh().get(word)) else { return };
        let new = fresh.load(Relaxed) & mask;
        clear(fresh, new);
        set(hot, mask & !new);
    }

    /// Whether the frame is hot; it is not afterwards.
    pub fn cool(&self, frame: FrameNo) -> bool {
        let (word, mask) = (&self.0.hot()[frame.get() as usize / 64], 1 << (frame.get() % 64));
        let was = word.load(Relaxed) & mask != 0;
        clear(word, if was { mask } else { 0 });
        was
    }

    #[inline]
    fn by_word(&self, first: FrameNo, count: u32, f: impl Fn(usize, u64)) {
        let (mut at, end) = (first.get() as u64, first.get() as u64 + count as u64);
        while at < end {
            let n = (64 - at % 64).min(end - at);
            f((at / 64) as usize, (!0 >> (64 - n)) << (at % 64));
            at += n;
        }
    }
}

#[inline]
fn set(word: &AtomicU64, mask: u64) {
    if mask != 0 {
        word.fetch_or(mask, Relaxed);
    }
}

#[inline]
fn clear(word: &AtomicU64, mask: u64) {
    if mask != 0 {
        word.fetch_and(!mask, Relaxed);
    }
}
