#![expect(unsafe_code, reason = "copies the program's memory to frames")]
//! Writing: the program's memory to frames, in place where nobody else can see the frame, else to a fresh one.

use super::Fs;
use super::memory::Stop;
use super::pristine::{Ahead, SHARE_MIN, Search};
use super::stats::Stats;
use crate::error::{Error, Result};
use crate::inode::{SlotNo, flag, touch};
use crate::region::copy::{self, Way};
use crate::sync::{AtomicU64, Ordering::*};
use crate::table::Entry;
use crate::units::{BLOCK, BLOCK_FRAMES, FrameNo, PAGE, PageNo};

/// From this size on (of the file, or of one write) frames are taken in whole blocks.
const BLOCK_FROM: u64 = 1 << 20;
const BLOCK_WRITE: usize = 256 << 10;
/// Copies from this size on learn how to copy.
const LARGE_IN: usize = 64 << 10;
/// These learn apart: they push everything else out of the cache.
const HUGE_IN: usize = 512 << 10;
pub(super) const WAYS_IN: [Way; 2] = [Way::Past, Way::Usual];
/// The largest offset that a file can have.
pub(super) const MAX_SIZE: u64 = i64::MAX as u64;

/// The part of a write that falls into one leaf: where each of its pages goes.
struct Plan {
    first: PageNo,
    pages: usize,
    /// Target frames; `fresh` bits tell which of them are not in the table yet.
    frames: [u32; BLOCK_FRAMES],
    fresh: [u64; BLOCK_FRAMES / 64],
    /// How many pages become dirty by this.
    reserved: u64,
}

impl Plan {
    fn is_fresh(&self, i: usize) -> bool {
        self.fresh[i / 64] >> (i % 64) & 1 == 1
    }
    fn frame(&self, i: usize) -> FrameNo {
        FrameNo::new(self.frames[i])
    }
}

/// Where a write goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// To this offset.
    Offset(u64),
    /// To the end, whatever it is by then.
    End,
}

impl Fs {
    /// Writes `len` bytes; returns how many, and the offset behind them. Fewer only if memory, the pool or the size limit ends.
    ///
    /// # Safety
    /// [`from`, `from + len`) is the program's buffer: readable, or faults.
    pub(super) unsafe fn write_at(&self, slot: SlotNo, from: *const u8, len: usize, at: At) -> Result<(usize, u64)> {
        /// So often frames are mapped without the lock; then somebody takes them faster than they are mapped.
        const STOPS: u32 = 3;
        // SAFETY: as the caller vouches.
        if let Some(end) = unsafe { self.write_in_page(slot, from, len, at) } {
            return Ok((len, end));
        }
        let (mut done, mut at, mut stops) = (0, at, 0);
        loop {
            // SAFETY: done <= len.
            let (n, end, stopped) = unsafe { self.write_locked(slot, from.add(done), len - done, at, stops < STOPS)? };
            done += n;
            // What appends goes to the end, wherever that is when the lock is had again.
            if at != At::End {
                at = At::Offset(end);
            }
            let go_on = match stopped {
                None => return Ok((done, end)),
                Some(Stop::Cold(first, count)) => {
                    stops += 1;
                    self.warm(first, count).or_else(|_| self.reclaim().map(drop))
                }
                Some(Stop::Failed(Error::NoFrames)) => self.reclaim().map(drop),
                // Space that waits for the log: make the log durable, then it is ours.
                Some(Stop::Failed(Error::NoSpace)) if self.space.has_pending() => self.settle_space(),
                // Space that the dead hold: open files without names, views of the pool.
                Some(Stop::Failed(Error::NoSpace)) if self.frees_by_reaping() => Ok(()),
                Some(Stop::Failed(e)) => Err(e),
            };
            if let Err(e) = go_on {
                return if done > 0 { Ok((done, end)) } else { Err(e) };
            }
        }
    }

    /// A small write into a frame that is ours alone, dirty and mapped: nothing to plan, and no result that is more than a word (moving those took 10 of 70 ns). Returns the offset behind it;
    /// `None`: not one of these, or its memory ended in the midst of it.
    ///
    /// # Safety
    /// As for [`Fs::write_at`].
    #[inline(always)]
    pub(super) unsafe fn write_in_page(&self, slot: SlotNo, from: *const u8, len: usize, at: At) -> Option<u64> {
        if len > PAGE || len == 0 {
            return None;
        }
        let _write = self.inodes.lock(slot);
        let start = match at {
            At::Offset(offset) => offset,
            At::End => self.inodes.slot(slot).size.load(Relaxed),
        };
        let within = start as usize % PAGE;
        if within + len > PAGE || start > MAX_SIZE - len as u64 {
            return None;
        }
        let entry = Entry::from_raw(self.inodes.table(slot).cell(PageNo::of(start))?.load(Relaxed));
        let frame = entry.dram().filter(|_| entry.is_dirty())?;
        if !self.writable_in_place(slot, frame) || !self.region.dram.is_warm(frame) {
            return None;
        }
        self.clock.used_one(frame);
        // SAFETY: the target lies in the frame, which only this inode's lock holder writes; the source is the program's.
        let left = unsafe { copy::copy(self.region.dram.at(frame).add(within), from, len) };
        let end = start + len as u64;
        if left > 0 {
            // Behind the file's end there are zeros and nothing else, also if less can be read at the second attempt.
            let beyond = self.inodes.slot(slot).size.load(Relaxed).clamp(start, end);
            // SAFETY: the same part of the frame, from where the file ends.
            unsafe { self.region.dram.at(frame).add(within + (beyond - start) as usize).write_bytes(0, (end - beyond) as usize) };
            return None;
        }
        Stats::add(&self.stats.copied_in, len);
        self.has_written(slot, end);
        Some(end)
    }

    /// After a write that ended at `end`: the size, the times, and that there is something to flush. Needs the inode's lock.
    #[inline]
    fn has_written(&self, slot: SlotNo, end: u64) {
        let s = self.inodes.slot(slot);
        if end > s.size.load(Relaxed) {
            self.refill(slot, end);
            s.size.store(end, Release);
        }
        touch(&[&s.mtime, &s.ctime]);
        if s.flags.load(Relaxed) & flag::DIRTY == 0 {
            s.flags.fetch_or(flag::DIRTY, AcqRel);
        }
    }

    /// One go under the inode's lock: how many bytes, the offset behind them, and why not all. Before it has written anything it may stop ([`Fs::ready_or_stop`]).
    #[inline]
    unsafe fn write_locked(&self, slot: SlotNo, from: *const u8, len: usize, at: At, may_stop: bool) -> Result<(usize, u64, Option<Stop>)> {
        let write = self.inodes.lock(slot);
        let start = match at {
            At::Offset(offset) => offset,
            At::End => self.inodes.slot(slot).size.load(Relaxed),
        };
        let len = len.min((MAX_SIZE - start.min(MAX_SIZE)) as usize);
        if len == 0 {
            return Err(Error::Os(libc::EFBIG));
        }
        let (done, stopped) = match len < SHARE_MIN {
            // SAFETY: the program's buffer.
            true => unsafe { self.write_copying(slot, from, len, start, may_stop) },
            // SAFETY: as above.
            false => unsafe { self.write_sharing(slot, from, len, start, may_stop) },
        };
        let end = start + done as u64;
        if done > 0 {
            self.has_written(slot, end);
        }
        drop(write);
        Ok((done, end, stopped))
    }

    /// Shares what is still an attached view, copies the rest. Returns how many bytes, and why not all.
    unsafe fn write_sharing(&self, slot: SlotNo, from: *const u8, len: usize, start: u64, may_stop: bool) -> (usize, Option<Stop>) {
        let mut search = Search::new(len);
        let mut done = 0;
        let mut stopped = None;
        while done < len && stopped.is_none() {
            let at = start + done as u64;
            let mut copy = match self.look_ahead(&mut search, slot, from.addr() + done, len - done, at) {
                Ahead::Copy(n) => n,
                Ahead::Pristine(part) => {
                    let (n, result) = self.share_part(slot, &part, PageNo::of(at));
                    done += n;
                    stopped = result.err().map(Stop::Failed);
                    // What could not be shared is copied.
                    if n == part.pages as usize * PAGE || stopped.is_some() { 0 } else { BLOCK }
                }
            };
            copy = copy.min(len - done);
            if copy > 0 {
                // SAFETY: done + copy <= len.
                let (n, why) = unsafe { self.write_copying(slot, from.add(done), copy, start + done as u64, may_stop && done == 0) };
                done += n;
                stopped = why;
            }
        }
        self.searched(&search);
        (done, stopped)
    }

    /// Copies, leaf by leaf. Returns how many bytes, and why not all.
    #[inline]
    unsafe fn write_copying(&self, slot: SlotNo, from: *const u8, len: usize, start: u64, may_stop: bool) -> (usize, Option<Stop>) {
        let mut done = 0;
        while done < len {
            // SAFETY: done < len.
            match unsafe { self.write_leaf(slot, from.add(done), len - done, start + done as u64, may_stop && done == 0) } {
                Ok((n, None)) => done += n,
                Ok((n, stopped)) => return (done + n, stopped),
                Err(e) => return (done, Some(e)),
            }
        }
        (done, None)
    }

    /// The part of a write within one leaf. Returns how many bytes, and why not all of the part. An error: none.
    #[inline]
    unsafe fn write_leaf(
        &self,
        slot: SlotNo,
        from: *const u8,
        len: usize,
        offset: u64,
        may_stop: bool,
    ) -> Result<(usize, Option<Stop>), Stop> {
        let leaf_end = (offset / BLOCK as u64 + 1) * BLOCK as u64;
        let len = len.min((leaf_end - offset) as usize);
        // SAFETY: as the caller vouches.
        unsafe { self.write_planned(slot, from, len, offset, may_stop) }
    }

    /// As [`Fs::write_leaf`], where pages need frames. Out of line: a plan is a large thing to have on the stack.
    #[inline(never)]
    unsafe fn write_planned(
        &self,
        slot: SlotNo,
        from: *const u8,
        len: usize,
        offset: u64,
        may_stop: bool,
    ) -> Result<(usize, Option<Stop>), Stop> {
        let within = offset as usize % PAGE;
        let plan = self.plan_write(slot, offset, len, may_stop)?;
        // Fewer pages than asked for if there were no more frames: the rest gets its turn after some were freed.
        let len = len.min(plan.pages * PAGE - within);
        // SAFETY: the program's buffer.
        let (copied, stopped) = unsafe { self.copy_in(slot, &plan, from, within, len, may_stop)? };
        // A page whose copy stopped in the middle of a fresh, unfilled frame counts as not reached.
        let torn = (within + copied) / PAGE;
        let torn = copied < len && plan.is_fresh(torn) && offset <= plan.first.plus(torn as u64).start();
        let copied = if torn { ((within + copied) / PAGE * PAGE).saturating_sub(within) } else { copied };
        self.publish(slot, &plan, within, copied);
        Ok((copied, stopped))
    }

    /// Whether the frame of a page may be changed where it is.
    #[inline]
    pub(super) fn writable_in_place(&self, slot: SlotNo, frame: FrameNo) -> bool {
        self.frames.is_exclusive(frame) || self.inodes.slot(slot).shared_maps.load(Relaxed) != 0
    }

    /// Decides the frame of each page, takes fresh ones, fills those parts of them that the write does not cover, and reserves pool space. If frames run short,
    /// for the first pages only, at least one.
    fn plan_write(&self, slot: SlotNo, offset: u64, len: usize, may_stop: bool) -> Result<Plan, Stop> {
        let s = self.inodes.slot(slot);
        let first = PageNo::of(offset);
        let last = PageNo::of(offset + len as u64 - 1);
        let pages = (last.get() - first.get() + 1) as usize;
        let mut plan = Plan { first, pages, frames: [0; BLOCK_FRAMES], fresh: [0; BLOCK_FRAMES / 64], reserved: 0 };
        let blocks = len >= BLOCK_WRITE || s.size.load(Relaxed).max(offset + len as u64) >= BLOCK_FROM;
        let mut result = Ok(());
        for i in 0..pages {
            let page = first.plus(i as u64);
            let step = (|| {
                let entry = Entry::from_raw(self.cell(slot, page)?.load(Relaxed));
                let promise = !(entry.is_dirty() && entry.dram().is_some()) as u64;
                match entry.dram() {
                    Some(frame) if self.writable_in_place(slot, frame) => plan.frames[i] = frame.get(),
                    _ => {
                        // Copying single pages on write is no reason to take a whole block.
                        let blocks = blocks && (entry.is_hole() || pages >= BLOCK_FRAMES / 4);
                        let noted = if entry.is_flushing() && !blocks { self.stock.take(&self.frames) } else { None };
                        plan.frames[i] = noted.map_or_else(|| self.frame_for(slot, page, blocks), Ok)?.get();
                        plan.fresh[i / 64] |= 1 << (i % 64);
                    }
                }
                let start = page.start();
                let covered = offset <= start && offset + len as u64 >= start + PAGE as u64;
                if plan.is_fresh(i) && !covered {
                    self.ready_or_stop(slot, plan.frame(i), 1, may_stop)?;
                    self.fill_old(slot, page, plan.frame(i))?;
                }
                Ok::<_, Stop>(promise)
            })();
            match step {
                Ok(promise) => plan.reserved += promise,
                Err(Stop::Failed(Error::NoFrames)) if i > 0 => {
                    if plan.is_fresh(i) {
                        self.frames.put(plan.frame(i));
                    }
                    plan.pages = i;
                    break;
                }
                Err(e) => {
                    plan.pages = i + 1;
                    result = Err(e);
                    break;
                }
            }
        }
        if result.is_ok() && plan.reserved > 0 && !self.reserve(plan.reserved) {
            plan.reserved = 0;
            result = Err(Error::NoSpace.into());
        } else if result.is_err() {
            plan.reserved = 0;
        }
        result.inspect_err(|why| self.abandon(slot, &plan, why))?;
        self.dirty_in_place(slot, &mut plan);
        Ok(plan)
    }

    /// Pages that are written where they are, are dirty before that: whoever dies in between has left what the next flush writes, and no eviction forgets.
    fn dirty_in_place(&self, slot: SlotNo, plan: &mut Plan) {
        for i in 0..plan.pages {
            if plan.is_fresh(i) {
                continue;
            }
            let page = plan.first.plus(i as u64);
            // The leaf exists: planning made it.
            let Ok(cell) = self.cell(slot, page) else { continue };
            let entry = Entry::from_raw(cell.load(Relaxed));
            if !entry.is_dirty() {
                cell.store(entry.dirtied(self.inodes.mark(slot, page, 1)).raw(), Release);
                plan.reserved -= 1;
            }
        }
    }

    fn abandon(&self, slot: SlotNo, plan: &Plan, why: &Stop) {
        // The page on which planning stopped may have no frame: its bit is clear then.
        for i in (0..plan.pages).filter(|i| plan.is_fresh(*i)) {
            match why {
                // Soon the same again.
                Stop::Cold(..) => self.return_frame(slot, plan.first.plus(i as u64), plan.frame(i)),
                Stop::Failed(_) => _ = self.frames.put(plan.frame(i)),
            }
        }
    }

    /// Gives frames and space of a plan back that comes to nothing.
    fn give_up(&self, slot: SlotNo, plan: &Plan, why: &Stop) {
        self.abandon(slot, plan, why);
        self.space.unreserve(plan.reserved);
    }

    /// Fills a fresh frame with the page's old content.
    fn fill_old(&self, slot: SlotNo, page: PageNo, frame: FrameNo) -> Result<()> {
        let old = Entry::from_raw(self.cell(slot, page)?.load(Relaxed));
        if let (None, Some(pool), true) = (old.dram(), old.pool(), self.pool.medium().is_mapped()) {
            return self.load_frames(slot, page, pool, &[frame], crate::media::Way::Past);
        }
        let old = self.resident(slot, page, 1)?;
        self.ready(frame, 1)?;
        let to = self.region.dram.at(frame);
        match old.dram() {
            // SAFETY: both frames lie in the tier; the fresh one is ours alone, the old one is not written while we hold the lock.
            Some(from) => unsafe { std::ptr::copy_nonoverlapping(self.region.dram.at(from), to, PAGE) },
            // SAFETY: the fresh frame is ours alone.
            None => unsafe { std::ptr::write_bytes(to, 0, PAGE) },
        }
        Ok(())
    }

    /// Copies the program's bytes into the planned frames. Returns how many, and why not all: what was written where it is can't be taken back. An error: none, and the plan is given up.
    unsafe fn copy_in(
        &self,
        slot: SlotNo,
        plan: &Plan,
        from: *const u8,
        within: usize,
        len: usize,
        may_stop: bool,
    ) -> Result<(usize, Option<Stop>), Stop> {
        let dram = &self.region.dram;
        let mut done = 0;
        while done < len {
            let i = (within + done) / PAGE;
            let start = (within + done) % PAGE;
            let mut n = PAGE - start;
            let mut run = 1;
            while n < len - done && i + run < plan.pages && plan.frames[i + run] == plan.frames[i] + run as u32 {
                n += PAGE;
                run += 1;
            }
            let n = n.min(len - done);
            let frame = plan.frame(i);
            // SAFETY: done < len: the rest of the program's buffer.
            let from = unsafe { from.add(done) };
            let by_kernel = run >= 4
                && (dram.is_untouched_block(frame, run) || !self.is_warm(frame, run))
                && dram.is_writable_by_call(frame, run as u32);
            let copied = if by_kernel {
                // SAFETY: the program's buffer; the target frames are planned for this write alone.
                unsafe { self.copy_by_kernel(frame, run as u32, from, start, n) }
            } else {
                self.ready_or_stop(slot, frame, run as u32, may_stop && done == 0).map(|()| {
                    Stats::add(&self.stats.copied_in, n);
                    // SAFETY: the run begins in the tier.
                    let to = unsafe { dram.at(frame).add(start) };
                    if n < LARGE_IN {
                        // SAFETY: the target lies in the run of frames that this write owns; the source is the program's.
                        n - unsafe { copy::copy(to, from, n) }
                    } else {
                        let rivals = &self.region.control.counters().copies_in[(n >= HUGE_IN) as usize];
                        // SAFETY: as above.
                        n - rivals.race(WAYS_IN, n, |way| unsafe { copy::copy_by(way, to, from, n) })
                    }
                })
            };
            match copied {
                Ok(copied) if copied < n => return Ok((done + copied, Some(Stop::Failed(Error::Os(libc::EFAULT))))),
                Ok(copied) => done += copied,
                Err(why) if done > 0 => return Ok((done, Some(why))),
                Err(why) => {
                    self.give_up(slot, plan, &why);
                    return Err(why);
                }
            }
        }
        Ok((done, None))
    }

    /// Has the kernel copy the program's bytes into a run of frames, from byte `start` of the first on, and put memory behind them.
    ///
    /// # Safety
    /// As for [`Fs::write_at`]; nobody else uses the frames.
    unsafe fn copy_by_kernel(&self, frame: FrameNo, run: u32, from: *const u8, start: usize, len: usize) -> Result<usize, Stop> {
        let dram = &self.region.dram;
        if !dram.has_room(frame, run) {
            return Err(self.out_of_memory(frame, run).into());
        }
        Stats::add(&self.stats.kernel_copied, len);
        // SAFETY: as the caller vouches.
        let copied = unsafe { crate::region::write_frames(dram, from, len, frame.get() as u64 * PAGE as u64 + start as u64) };
        copied.map_err(|e| if e == Error::NoFrames { self.out_of_memory(frame, run) } else { e }.into())
    }

    /// Puts the fresh frames into the table. A page that the copy did not reach stays as it was.
    fn publish(&self, slot: SlotNo, plan: &Plan, within: usize, copied: usize) {
        let s = self.inodes.slot(slot);
        let mut made = 0;
        let marked = self.inodes.mark(slot, plan.first, plan.pages);
        for i in 0..plan.pages {
            let page = plan.first.plus(i as u64);
            // The leaf exists: planning made it.
            let Ok(cell) = self.cell(slot, page) else { continue };
            let old = Entry::from_raw(cell.load(Relaxed));
            let counted = !(old.is_dirty() && old.dram().is_some());
            if copied <= (i * PAGE).saturating_sub(within) {
                if plan.is_fresh(i) {
                    self.frames.put(plan.frame(i));
                }
                self.space.unreserve(counted as u64);
                continue;
            }
            if plan.is_fresh(i) {
                made += old.is_hole() as u64;
                if let Some(frame) = old.dram().filter(|_| old.is_flushing()) {
                    self.stock.note(frame);
                }
                self.clock.filled(plan.frame(i), 1);
                self.replace(cell, old, Entry::written(plan.frame(i), marked));
            } else {
                self.clock.used(plan.frame(i), 1);
                cell.store(old.dirtied(marked).raw(), Release);
            }
        }
        if made > 0 {
            s.pages.store(s.pages.load(Relaxed) + made, Relaxed);
        }
    }

    /// Puts `new` into the table and drops the reference to what was there.
    pub(super) fn replace(&self, cell: &AtomicU64, old: Entry, new: Entry) {
        cell.store(new.raw(), Release);
        if let Some(frame) = old.dram() {
            self.frames.put(frame);
        }
    }
}

#[cfg(test)]
mod tests;
