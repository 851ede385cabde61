//! Space in the pool: which frames are used, promised, or freed but not yet reusable. Knows no inode.
//!
//! The bitmap is volatile: whoever opens the pool first rebuilds it from the extents. Every dirty page has a promise (`pool_reserved`), so that a
//! flush never finds the pool full. A freed frame waits in `pending` until the record that freed it is durable: before that a power cut would bring
//! back a file that still needs it.
//!
//! On mapped media a view may show pool frames. Views count on the 2 MiB blocks they touch, as *pins*; a frame freed in a pinned block goes to *limbo*: still
//! counted as used, so that no promise is made of it, until the last pin of its block is gone. A frame that is free when a pin comes is shown by nobody, and may be given out.

use crate::metalog::Meta;
use crate::procs::Procs;
use crate::region::Control;
use crate::sync::Ordering::*;
use crate::units::{BLOCK_FRAMES, PoolFrame, Seq};

const WORDS: usize = BLOCK_FRAMES / 64;

/// A run of so many frames is worth a write of its own. 256 KiB at a time take 1.3 times as long as 1 MiB at a time, single frames many times as long.
const RUN: u32 = 64;
/// So many frames are looked at for one, 4 GiB of the pool, 16,384 words. The next search goes on from there.
const LOOK: u64 = 1 << 20;

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

    /// Turns up to `want` promises into a run of frames: (first, count), count >= 1. The lowest free ones, so that the pool's file stays as short as its content allows; with
    /// `together` the lowest that are a run worth a write of its own, if there is one in the space that was set aside. `None` only if the promises were not covered.
    pub fn alloc(&self, want: u32, together: bool, procs: &Procs) -> Option<(PoolFrame, u32)> {
        let c = self.0.counters();
        let _lock = c.pool_lock.lock(procs);
        let total = self.0.geometry().pool_frames;
        let hint = c.pool_hint.load(Acquire);
        let set_aside = (total as u64).min(c.promised.load(Relaxed)) as u32;
        let run = if together { self.find_run(want.min(RUN), set_aside) } else { None };
        let lowest = || self.find_free(hint as u32, total).or_else(|| self.find_free(0, hint as u32));
        let first = run.or_else(lowest)?;
        let end = if run.is_some() { set_aside } else { total };
        let count = self.free_from(first, want.min(end - first));
        // Before they are used: who dies in between leaves too little space, never too much.
        c.pool_free.fetch_sub(count as u64, AcqRel);
        (first..first + count).for_each(|frame| self.take(frame));
        if run.is_none() {
            // Unless a frame below was freed meanwhile.
            let _ = c.pool_hint.compare_exchange(hint, (first + count) as u64, AcqRel, Relaxed);
        }
        c.pool_reserved.fetch_sub(count as u64, AcqRel);
        Some((PoolFrame::new(first), count))
    }

    /// The lowest run of `want` free frames below `to`, or a shorter one that is the longest of those looked at. Needs the pool lock.
    fn find_run(&self, want: u32, to: u32) -> Option<u32> {
        let c = self.0.counters();
        let hint = c.pool_run_hint.load(Acquire);
        let from = hint.max(c.pool_hint.load(Acquire));
        let (mut at, stop) = (from as u32, (from + LOOK).min(to as u64) as u32);
        let mut best = None;
        while let Some(first) = self.find_free(at, stop) {
            let count = self.free_from(first, want.min(to - first));
            at = first + count;
            if best.is_none_or(|(_, most)| count > most) {
                best = Some((first, count));
            }
            if count >= want {
                break;
            }
        }
        let passed = if best.is_some_and(|(_, most)| most >= want) { at } else { stop };
        // Unless a frame below was freed meanwhile.
        let _ = c.pool_run_hint.compare_exchange(hint, passed as u64, AcqRel, Relaxed);
        best.map(|(first, _)| first)
    }

    /// How many frames from `first` on are free, up to `most`.
    fn free_from(&self, first: u32, most: u32) -> u32 {
        let bits = self.0.pool_bits();
        let mut count = 0;
        while count < most {
            let at = first + count;
            let free = (bits[at as usize / 64].load(Relaxed) >> (at % 64)).trailing_zeros().min(64 - at % 64);
            count += free;
            if free < 64 - at % 64 {
                break;
            }
        }
        count.min(most)
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

    fn take(&self, frame: u32) {
        self.0.pool_bits()[frame as usize / 64].fetch_or(1 << (frame % 64), AcqRel);
    }

    /// What is used is what extents name (a bit for each frame), and what waits for the log. Nobody else is alive, and there is no view.
    pub fn recount(&self, named: &[u64], procs: &Procs) {
        let c = self.0.counters();
        let _lock = c.pool_lock.lock(procs);
        self.0.limbo().iter().for_each(|bits| bits.store(0, Release));
        c.pool_limbo.store(0, Release);
        let waiting = self.waiting();
        let mut used = 0;
        for ((to, named), waiting) in self.0.pool_bits().iter().zip(named).zip(waiting) {
            to.store(named | waiting, Release);
            used += (named | waiting).count_ones() as u64;
        }
        c.pool_free.store(self.0.geometry().pool_frames as u64 - used, Release);
        c.pool_hint.store(0, Release);
        c.pool_run_hint.store(0, Release);
    }

    /// Frees a run at once: nothing durable refers to it.
    pub fn free_now(&self, first: PoolFrame, count: u32, procs: &Procs) {
        let _lock = self.0.counters().pool_lock.lock(procs);
        self.release(first, count);
    }

    /// Frees a run, or what of it no view may show. Needs the pool lock: a pin that comes later can't be one for these frames, and one that goes meanwhile sweeps
    /// afterwards.
    fn release(&self, first: PoolFrame, count: u32) {
        let c = self.0.counters();
        let (mut freed, mut kept) = (0, None);
        for frame in (0..count).map(|i| first.plus(i)) {
            let (word, bit) = (frame.get() as usize / 64, 1u64 << (frame.get() % 64));
            if self.0.pool_pins()[frame.block() as usize].load(SeqCst) == 0 {
                freed += (self.0.pool_bits()[word].fetch_and(!bit, AcqRel) & bit != 0) as u64;
            } else if self.0.pool_bits()[word].load(Relaxed) & bit != 0 && self.0.limbo()[word].fetch_or(bit, SeqCst) & bit == 0 {
                c.pool_limbo.fetch_add(1, SeqCst);
                kept = Some(frame.block());
            }
        }
        c.pool_free.fetch_add(freed, AcqRel);
        self.freed_from(first.get() as u64);
        if kept.is_some() {
            // The last view may have gone between the two looks, and found nothing to sweep.
            (first.block()..=first.plus(count - 1).block()).for_each(|block| self.sweep(block));
        }
    }

    fn freed_from(&self, frame: u64) {
        let c = self.0.counters();
        c.pool_hint.fetch_min(frame, AcqRel);
        // Free frames before it may make a run with it.
        c.pool_run_hint.fetch_min(frame.saturating_sub(RUN as u64), AcqRel);
    }

    /// Frees what waits in a block that no view touches any more. Needs the pool lock. Who dies in between leaks the frames until a reboot.
    fn sweep(&self, block: u32) {
        if self.0.pool_pins()[block as usize].load(SeqCst) != 0 {
            return;
        }
        let c = self.0.counters();
        let mut freed = 0;
        for word in block as usize * WORDS..(block as usize + 1) * WORDS {
            let bits = self.0.limbo()[word].swap(0, AcqRel);
            self.0.pool_bits()[word].fetch_and(!bits, AcqRel);
            freed += bits.count_ones() as u64;
        }
        if freed > 0 {
            c.pool_limbo.fetch_sub(freed, SeqCst);
            c.pool_free.fetch_add(freed, AcqRel);
            self.freed_from(block as u64 * BLOCK_FRAMES as u64);
        }
    }

    /// Counts a view of a run that some extent uses: until [`PoolSpace::unpin_run`] none of its frames is given out again. Called while nobody can free the run (under
    /// the lock of its inode).
    pub fn pin_run(&self, first: PoolFrame, pages: u32) {
        for block in touched(first, pages) {
            self.0.pool_pins()[block as usize].fetch_add(1, SeqCst);
        }
    }

    /// Drops a view of a run.
    pub fn unpin_run(&self, first: PoolFrame, pages: u32, procs: &Procs) {
        let c = self.0.counters();
        for block in touched(first, pages) {
            let before = self.0.pool_pins()[block as usize].fetch_sub(1, SeqCst);
            assert!(before != 0, "block {block} of the pool was unpinned twice");
            if before == 1 && c.pool_limbo.load(SeqCst) != 0 {
                let _lock = c.pool_lock.lock(procs);
                self.sweep(block);
            }
        }
    }

    /// How many views touch a block of the pool.
    pub fn pins(&self, block: u32) -> u32 {
        self.0.pool_pins()[block as usize].load(Acquire)
    }

    /// Frames that only views keep.
    pub fn limbo(&self) -> u64 {
        self.0.counters().pool_limbo.load(Acquire)
    }

    /// As [`PoolSpace::limbo`], counted anew.
    pub fn count_limbo(&self) -> u64 {
        self.0.limbo().iter().map(|w| w.load(Relaxed).count_ones() as u64).sum()
    }

    /// There is no view at all (nobody else is alive): frees what waited for one.
    pub fn forget_pins(&self, procs: &Procs) {
        let _lock = self.0.counters().pool_lock.lock(procs);
        self.0.pool_pins().iter().for_each(|pins| pins.store(0, SeqCst));
        if self.0.counters().pool_limbo.load(SeqCst) != 0 {
            (0..self.0.pool_pins().len() as u32).for_each(|block| self.sweep(block));
        }
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
            // Never in the list once it is free, nor twice: the next who goes through it would free what somebody uses by then. Who dies in between loses it.
            if count == 0 || seq <= durable.get() {
                list[i].count.store(0, Release);
                self.release(PoolFrame::new(first), count);
                continue;
            }
            if kept < i {
                list[i].count.store(0, Release);
                list[kept].seq.store(seq, Release);
                list[kept].first.store(first, Release);
                list[kept].count.store(count, Release);
            }
            kept += 1;
        }
        c.pending.store(kept as u32, Release);
    }

    /// One bit for each frame that is used.
    pub fn bits(&self) -> Vec<u64> {
        let words = (self.0.geometry().pool_frames as usize).div_ceil(64);
        self.0.pool_bits()[..words].iter().map(|word| word.load(Relaxed)).collect()
    }

    /// One bit for each frame that waits for the log, or for the views of it.
    pub fn waiting(&self) -> Vec<u64> {
        let words = (self.0.geometry().pool_frames as usize).div_ceil(64);
        let mut waiting: Vec<u64> = self.0.limbo()[..words].iter().map(|word| word.load(Relaxed)).collect();
        for entry in &self.0.pending()[..self.0.counters().pending.load(Relaxed) as usize] {
            let first = entry.first.load(Relaxed);
            (first..first + entry.count.load(Relaxed)).for_each(|frame| waiting[frame as usize / 64] |= 1 << (frame % 64));
        }
        waiting
    }

    /// Whether frames wait for the log.
    pub fn has_pending(&self) -> bool {
        self.0.counters().pending.load(Relaxed) != 0
    }
}

/// The blocks in which a run of frames lies.
fn touched(first: PoolFrame, pages: u32) -> std::ops::RangeInclusive<u32> {
    first.block()..=first.plus(pages - 1).block()
}

#[cfg(test)]
mod tests {
    use crate::fs::survival::{geometry_on, make_pool, open, place};
    use crate::media::create::Geometry;
    use crate::media::sim::tape::{Lower, Tape};
    use crate::sync::Ordering::Relaxed;

    /// What a database leaves of a pool: each second frame is free.
    #[test]
    fn regression_a_large_flush_finds_a_run_of_frames_in_a_pool_full_of_holes() {
        let dir = place();
        let pool = dir.path().join("pool");
        make_pool(&pool, &Geometry { size: 16 << 20, ..geometry_on(Lower::Ext4) }, Lower::Ext4);
        let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
        let fs = open(&pool).expect("the pool opens");
        let (space, procs) = (fs.space, &*fs.procs);
        assert!(fs.set_aside(2000) && space.reserve(1000));
        let (first, count) = space.alloc(600, true, procs).expect("promised");
        assert_eq!((first.get(), count), (0, 600), "an empty pool is filled from its start");
        (0..600).step_by(2).for_each(|i| space.free_now(first.plus(i), 1, procs));
        let (run, count) = space.alloc(100, true, procs).expect("promised");
        assert_eq!((run.get(), count), (600, 100));
        // What is not worth a write of its own goes into the holes.
        assert_eq!(space.alloc(1, false, procs).map(|(frame, count)| (frame.get(), count)), Some((0, 1)));
        // A run that comes to be below is found; from its start, part of which was free before.
        (101..201).step_by(2).for_each(|i| space.free_now(first.plus(i), 1, procs));
        assert_eq!(space.alloc(90, true, procs).map(|(frame, count)| (frame.get(), count)), Some((100, 90)));
        // Behind what was set aside nothing is taken while there is a hole before it.
        fs.region.control.counters().promised.store(1000, Relaxed);
        let mut holes: u64 = 1000 - (300 + 100 + 1 - 50 + 90);
        assert!(space.reserve(holes));
        while holes > 0 {
            let (frame, count) = space.alloc(256.min(holes as u32), true, procs).expect("promised");
            assert!(frame.get() + count <= 1000, "{count} frames from {}", frame.get());
            holes -= count as u64;
        }
    }
}
