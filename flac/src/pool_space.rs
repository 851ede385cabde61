//! Space in the pool: which frames are used, promised, or freed but not yet reusable. Knows no inode.
//!
//! The bitmap is volatile: whoever opens the pool first rebuilds it from the extents. Every dirty page has a promise (`pool_reserved`), so that a
//! flush never finds the pool full. A freed frame waits in `pending` until the record that freed it is durable: before that a power cut would bring
//! back a file that still needs it.

use crate::metalog::Meta;
use crate::procs::Procs;
use crate::region::Control;
use crate::sync::Ordering::*;
use crate::units::{PoolFrame, Seq};

/// The pool's free space.
#[derive(Clone, Copy)]
pub struct PoolSpace(Control);

impl PoolSpace {
    /// The space of the region's pool.
    pub fn new(control: Control) -> Self {
        PoolSpace(control)
    }

    /// Frames in all, and frames neither used nor promised; what waits for the log counts as free: a write that needs it makes it so.
    pub fn total_and_free(&self) -> (u64, u64) {
        let c = self.0.counters();
        let waiting = &self.0.pending()[..c.pending.load(Relaxed) as usize];
        let waiting: u64 = waiting.iter().map(|p| p.count.load(Relaxed) as u64).sum();
        let free = (c.pool_free.load(Relaxed) + waiting).saturating_sub(c.pool_reserved.load(Relaxed));
        (self.0.geometry().pool_frames as u64, free)
    }

    /// Promises `count` frames to dirty pages; `false` if there are not as many.
    #[inline]
    pub fn reserve(&self, count: u64) -> bool {
        let c = self.0.counters();
        let promised = c.pool_reserved.fetch_add(count, AcqRel) + count;
        if promised > c.pool_free.load(Acquire) {
            c.pool_reserved.fetch_sub(count, AcqRel);
            return false;
        }
        true
    }

    /// Frames that are used or promised.
    #[inline]
    pub fn needed(&self) -> u64 {
        let c = self.0.counters();
        let used = (self.0.geometry().pool_frames as u64).saturating_sub(c.pool_free.load(Relaxed));
        used + c.pool_reserved.load(Relaxed)
    }

    /// Takes promises back.
    pub fn unreserve(&self, count: u64) {
        self.0.counters().pool_reserved.fetch_sub(count, AcqRel);
    }

    /// Turns up to `want` promises into a run of frames: (first, count), count >= 1. `None` only if the promises were not covered.
    pub fn alloc(&self, want: u32, procs: &Procs) -> Option<(PoolFrame, u32)> {
        let c = self.0.counters();
        let _lock = c.pool_lock.lock(procs);
        let total = self.0.geometry().pool_frames;
        // The lowest free frames first: the pool's file stays as short as its content allows.
        let hint = c.pool_hint.load(Acquire);
        let first = self.find_free(hint as u32, total).or_else(|| self.find_free(0, hint as u32))?;
        let mut count = 0;
        while count < want && first + count < total && self.take(first + count) {
            count += 1;
        }
        // Unless a frame below was freed meanwhile.
        let _ = c.pool_hint.compare_exchange(hint, (first + count) as u64, AcqRel, Relaxed);
        c.pool_free.fetch_sub(count as u64, AcqRel);
        c.pool_reserved.fetch_sub(count as u64, AcqRel);
        Some((PoolFrame::new(first), count))
    }

    fn find_free(&self, from: u32, to: u32) -> Option<u32> {
        let bits = self.0.pool_bits();
        let mut at = from;
        while at < to {
            let free = !bits[at as usize / 64].load(Relaxed) >> (at % 64);
            if free == 0 {
                at = (at / 64 + 1) * 64;
                continue;
            }
            at += free.trailing_zeros();
            return (at < to).then_some(at);
        }
        None
    }

    fn take(&self, frame: u32) -> bool {
        let bit = 1u64 << (frame % 64);
        self.0.pool_bits()[frame as usize / 64].fetch_or(bit, AcqRel) & bit == 0
    }

    /// Marks a frame as used by an extent (while rebuilding). `false` if it was already, or lies outside the pool.
    pub fn mark_used(&self, frame: PoolFrame) -> bool {
        if frame.get() >= self.0.geometry().pool_frames || !self.take(frame.get()) {
            return false;
        }
        self.0.counters().pool_free.fetch_sub(1, AcqRel);
        true
    }

    /// Frees a run at once: nothing durable refers to it.
    pub fn free_now(&self, first: PoolFrame, count: u32) {
        let mut freed = 0;
        for f in first.get()..first.get() + count {
            let bit = 1u64 << (f % 64);
            freed += (self.0.pool_bits()[f as usize / 64].fetch_and(!bit, AcqRel) & bit != 0) as u64;
        }
        self.0.counters().pool_free.fetch_add(freed, AcqRel);
        self.0.counters().pool_hint.fetch_min(first.get() as u64, AcqRel);
    }

    /// Frees a run once the log is durable up to `seq`. `false` if the waiting list is full: sync the log and call [`PoolSpace::settle`], then again.
    pub fn free_after(&self, first: PoolFrame, count: u32, seq: Seq, procs: &Procs) -> bool {
        let c = self.0.counters();
        let _lock = c.pool_lock.lock(procs);
        let used = c.pending.load(Relaxed) as usize;
        let Some(entry) = self.0.pending().get(used) else { return false };
        entry.seq.store(seq.get(), Relaxed);
        entry.first.store(first.get(), Relaxed);
        entry.count.store(count, Relaxed);
        c.pending.store(used as u32 + 1, Release);
        true
    }

    /// Frees what waited for records that are durable by now.
    pub fn settle(&self, meta: &Meta, procs: &Procs) {
        let c = self.0.counters();
        if c.pending.load(Relaxed) == 0 {
            return;
        }
        let durable = meta.durable_seq();
        let _lock = c.pool_lock.lock(procs);
        let list = self.0.pending();
        let used = c.pending.load(Relaxed) as usize;
        let mut kept = 0;
        for i in 0..used {
            let (seq, first, count) = (list[i].seq.load(Relaxed), list[i].first.load(Relaxed), list[i].count.load(Relaxed));
            if seq <= durable.get() {
                self.free_now(PoolFrame::new(first), count);
            } else {
                list[kept].seq.store(seq, Relaxed);
                list[kept].first.store(first, Relaxed);
                list[kept].count.store(count, Relaxed);
                kept += 1;
            }
        }
        c.pending.store(kept as u32, Release);
    }

    /// Whether frames wait for the log.
    pub fn has_pending(&self) -> bool {
        self.0.counters().pending.load(Relaxed) != 0
    }
}
