#![expect(unsafe_code, reason = "copies frames to the program's memory")]
//! Reading: frames to the program's memory, by copy or by attaching.

use super::Fs;
use super::share::Attached;
use super::sparse::leaf_end;
use super::stats::Stats;
use crate::error::{Error, Result};
use crate::inode::{ReadGuard, SlotNo, flag};
use crate::region::OpenSlot;
use crate::region::copy::{self, Way};
use crate::sync::Ordering::*;
use crate::table::{Entry, Lookup};
use crate::units::{BLOCK, BLOCK_FRAMES, FrameNo, PAGE, PageNo};

/// Bytes copied under one look at the sequence counter: a writer in between costs at most this much again.
const PIECE: usize = 1 << 20;
/// From this many cold pages on, one system call on the tier's file is cheaper than the faults of a first touch.
const COLD_PAGES: usize = 4;

/// Copies of this size learn how to copy. Not past the cache: the program will look at what it reads.
const LARGE_OUT: usize = 32 << 10;
pub(super) const WAYS_OUT: [Way; 2] = [Way::Usual, Way::Wide];

/// Who copies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mover {
    /// Whoever is faster, by how warm our own mapping is.
    Best,
    /// The kernel, because the program's memory has no pages yet.
    Kernel,
}

/// How a piece of a copy went.
enum Piece {
    /// All of it is copied, or the end of the file was reached: how many bytes.
    Done(usize),
    /// After so many bytes a page has to be loaded first.
    Load(PageNo, usize),
    /// The program's memory ended after so many bytes.
    Fault(usize),
}

/// Pages from `page` to the one before byte `end`.
fn pages_of(page: PageNo, end: u64) -> u64 {
    end.div_ceil(PAGE as u64).saturating_sub(page.get())
}

/// Puts `n` bytes of a hole behind the `done` bytes of a read of `len`. What the read returns, if that was all.
///
/// # Safety
/// [`to`, `to + len`) may be written, or faults; `done + n` is not beyond it.
unsafe fn zero_hole(to: *mut u8, done: &mut usize, len: usize, n: usize) -> Option<Result<usize>> {
    // SAFETY: as the caller vouches.
    let left = unsafe { copy::zero(to.add(*done), n) };
    *done += n - left;
    match () {
        () if left > 0 && *done == 0 => Some(Err(Error::Os(libc::EFAULT))),
        () if left > 0 || n == 0 || *done == len => Some(Ok(*done)),
        () => None,
    }
}

impl Fs {
    /// Reads up to `len` bytes from `offset` on into `to`. Fewer only at the end of the file or where memory ends; `EFAULT` if that is at once.
    ///
    /// # Safety
    /// [`to`, `to + len`) is the program's buffer: it may be written, or faults.
    pub(super) unsafe fn read_at(&self, slot: SlotNo, open: Option<&OpenSlot>, to: *mut u8, len: usize, offset: u64) -> Result<usize> {
        // SAFETY: the program's buffer.
        if let Some(n) = unsafe { self.read_in_page(slot, to, len, offset) } {
            return Ok(n);
        }
        let mut done = 0;
        let (mut mover, mut asks, mut filling) = (Mover::Best, true, None);
        while done < len {
            // SAFETY: done < len, so the rest lies in the program's buffer.
            let (to, rest, at) = (unsafe { to.add(done) }, len - done, offset + done as u64);
            if asks
                && rest >= super::share::ATTACH_MIN
                && let Some(open) = open
            {
                // SAFETY: the rest of the program's buffer.
                mover = match unsafe { self.try_attach(slot, open, to, rest, at)? } {
                    Attached::Done(n) => {
                        done += n;
                        continue;
                    }
                    Attached::Copy { fresh, all } => {
                        asks = !all;
                        if fresh && all {
                            filling = self.begin_fill(slot, to.addr(), rest, at);
                        }
                        if fresh { Mover::Kernel } else { Mover::Best }
                    }
                };
            }
            let mut want = rest.min(PIECE);
            if filling.is_some() {
                self.fill_on(&mut filling, to.addr());
                want = want.min(BLOCK - to.addr() % BLOCK);
            }
            // SAFETY: the rest of the program's buffer.
            match unsafe { self.read_piece(slot, to, want, at, mover) } {
                Ok(n) => done += n,
                Err(_) if done > 0 => return Ok(done),
                Err(e) => return Err(e),
            }
            if offset + (done as u64) < at + want as u64 {
                break;
            }
        }
        Ok(done)
    }

    /// The bytes of frames that were just taken for pages not yet in any table: nobody else knows them.
    ///
    /// # Errors
    /// `NoFrames` if there is no memory behind them and none to be had.
    #[allow(clippy::mut_from_ref, reason = "the bytes are the frames', not a part of `self`")]
    pub(super) fn fresh_bytes(&self, first: FrameNo, count: usize) -> Result<&mut [u8]> {
        debug_assert!(first.get() as usize + count <= self.frames.total() as usize);
        self.ready(first, count as u32)?;
        // SAFETY: the frames lie in the tier and were handed out by the allocator to this caller alone.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.region.dram.at(first), count * PAGE) })
    }

    /// The bytes of a frame on which the caller has a reference of its own: nobody writes it, unless a shared mapping shows it.
    pub(super) fn held_bytes(&self, frame: FrameNo) -> &[u8] {
        // SAFETY: the frame lies in the tier; while it is referenced twice, writers take another frame.
        unsafe { std::slice::from_raw_parts(self.region.dram.at(frame), PAGE) }
    }

    /// The shortest way for the commonest read: all of it in one page, before the end of the file, in a frame that is at hand, while nobody writes. `None`: by the long way, which
    /// takes 53 ns for 64 bytes where this takes 43, the call included.
    ///
    /// # Safety
    /// As for [`Fs::read_at`].
    #[inline(always)]
    pub(super) unsafe fn read_in_page(&self, slot: SlotNo, to: *mut u8, len: usize, offset: u64) -> Option<usize> {
        let (page, within) = (PageNo::of(offset), offset as usize % PAGE);
        if len > PAGE - within {
            return None;
        }
        let s = self.inodes.slot(slot);
        let look = ReadGuard::begin(s);
        if offset + len as u64 > s.size.load(Acquire) {
            return None;
        }
        let Lookup::Entry(entry) = self.inodes.table(slot).lookup(page) else { return None };
        let frame = entry.dram()?;
        self.clock.used_one(frame);
        Stats::add(&self.stats.copied_out, len);
        // SAFETY: inside one frame of the tier (`at` sees to it), and the program's buffer.
        let left = unsafe { copy::copy(to, self.region.dram.at(frame).add(within), len) };
        (left == 0 && look.is_valid()).then_some(len)
    }

    /// Up to `len` bytes; fewer only at the end of the file, where memory ends, or in front of what can't be loaded.
    unsafe fn read_piece(&self, slot: SlotNo, to: *mut u8, len: usize, offset: u64, mover: Mover) -> Result<usize> {
        let s = self.inodes.slot(slot);
        let mut done = 0;
        let mut loaded = false;
        let mut tries = 0;
        while tries < 4 {
            let look = ReadGuard::begin(s);
            // SAFETY: done <= len: the rest of the caller's buffer.
            let piece = unsafe { self.copy_out(slot, to.add(done), len - done, offset + done as u64, (!loaded, mover))? };
            let valid = look.is_valid();
            match piece {
                Piece::Load(page, n) => {
                    // What was copied is kept: it need not all be resident at once.
                    let n = if valid { n } else { 0 };
                    (done, tries) = (done + n, if n > 0 { 0 } else { tries + 1 });
                    let load = self.with_frames(|| {
                        let _write = self.inodes.lock(slot);
                        self.bring_or_pass(slot, page, offset + len as u64)
                    });
                    let hole = match load {
                        Err(_) if done > 0 => return Ok(done),
                        result => result?,
                    };
                    if valid && let Some(end) = hole {
                        let n = end.saturating_sub(offset + done as u64) as usize;
                        // SAFETY: the rest of the caller's buffer: the hole ends before it does.
                        if let Some(result) = unsafe { zero_hole(to, &mut done, len, n) } {
                            return result;
                        }
                        tries = 0;
                    }
                    loaded = true;
                }
                Piece::Done(n) if valid => return Ok(done + n),
                Piece::Fault(0) if valid && done == 0 => return Err(Error::Os(libc::EFAULT)),
                Piece::Fault(n) if valid => return Ok(done + n),
                _ => tries += 1,
            }
        }
        // Writers keep coming, or pages keep going: with the lock nothing moves.
        self.with_frames(|| {
            let _write = self.inodes.lock(slot);
            loop {
                // SAFETY: done <= len: the rest of the caller's buffer.
                match unsafe { self.copy_out(slot, to.add(done), len - done, offset + done as u64, (false, mover))? } {
                    Piece::Load(page, n) => {
                        done += n;
                        if let Some(end) = self.bring_or_pass(slot, page, offset + len as u64)? {
                            let n = end.saturating_sub(offset + done as u64) as usize;
                            // SAFETY: as above.
                            if let Some(result) = unsafe { zero_hole(to, &mut done, len, n) } {
                                return result;
                            }
                        }
                    }
                    Piece::Done(n) => return Ok(done + n),
                    Piece::Fault(0) if done == 0 => return Err(Error::Os(libc::EFAULT)),
                    Piece::Fault(n) => return Ok(done + n),
                }
            }
        })
    }

    /// Makes `page` readable for a read that ends at byte `end`. If it lies in a large hole there is nothing to do, and this is the end of it, the read or the file. Needs the inode's lock.
    fn bring_or_pass(&self, slot: SlotNo, page: PageNo, end: u64) -> Result<Option<u64>> {
        if self.bring(slot, page, pages_of(page, end))? {
            return Ok(None);
        }
        Ok(Some(leaf_end(page).start().min(end).min(self.inodes.slot(slot).size.load(Relaxed))))
    }

    /// Copies without a lock; the caller checks afterwards whether what was seen holds together. `hit`: what is resident counts as used (not if it was loaded for this very
    /// read).
    #[inline]
    unsafe fn copy_out(&self, slot: SlotNo, to: *mut u8, len: usize, offset: u64, (hit, mover): (bool, Mover)) -> Result<Piece> {
        let s = self.inodes.slot(slot);
        let size = s.size.load(Acquire);
        if offset >= size {
            return Ok(Piece::Done(0));
        }
        let len = len.min((size - offset) as usize);
        let table = self.inodes.table(slot);
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let (page, within) = (PageNo::of(at), at as usize % PAGE);
            let entry = match table.lookup(page) {
                Lookup::Entry(entry) => entry,
                Lookup::Unloaded if s.flags.load(Relaxed) & flag::HAS_POOL == 0 => Entry::HOLE,
                Lookup::Unloaded => return Ok(Piece::Load(page, done)),
            };
            let (n, left) = match (entry.dram(), entry.pool()) {
                (Some(frame), _) => {
                    let n = self.run_len(&table, page, frame, within, len - done);
                    if hit {
                        self.clock.used(frame, (within + n).div_ceil(PAGE) as u32);
                    }
                    // SAFETY: `done + n` <= `len`, the program's buffer; the run lies in the tier.
                    (n, unsafe { self.copy_run_out(to.add(done), frame, within, n, mover)? })
                }
                // SAFETY: as above.
                (None, Some(_)) => match unsafe { self.copy_from_pool(slot, page, within, to.add(done), len - done) } {
                    Some(copied) => copied,
                    None => return Ok(Piece::Load(page, done)),
                },
                (None, None) => {
                    let n = (PAGE - within).min(len - done);
                    // SAFETY: as above.
                    (n, unsafe { copy::zero(to.add(done), n) })
                }
            };
            done += n - left;
            if left > 0 {
                return Ok(Piece::Fault(done));
            }
        }
        Ok(Piece::Done(done))
    }

    /// How many of `len` bytes from `within` the first frame lie in frames that follow each other, within the leaf.
    #[inline]
    fn run_len(&self, table: &crate::table::Table, page: PageNo, frame: FrameNo, within: usize, len: usize) -> usize {
        let mut n = PAGE - within;
        if n >= len {
            return len;
        }
        let Some(leaf) = table.leaf(page) else { return n };
        let start = page.get() as usize % BLOCK_FRAMES;
        for (i, cell) in leaf[start..].iter().enumerate().skip(1) {
            if n >= len || Entry::from_raw(cell.load(Relaxed)).dram() != Some(FrameNo::new(frame.get().wrapping_add(i as u32))) {
                break;
            }
            n += PAGE;
        }
        let n = n.min(len);
        // A torn look may run past the tier: the sequence check rejects it, but the copy must stay inside.
        let inside = frame.get() as u64 + (within + n).div_ceil(PAGE) as u64 <= self.frames.total() as u64;
        if inside { n } else { PAGE - within }
    }

    /// Copies `n` bytes from `within` frame `frame` on; returns what is left when the program's memory faults.
    #[inline]
    unsafe fn copy_run_out(&self, to: *mut u8, frame: FrameNo, within: usize, n: usize, mover: Mover) -> Result<usize> {
        let dram = &self.region.dram;
        if n >= COLD_PAGES * PAGE && (mover == Mover::Kernel || !self.is_warm(frame, n / PAGE)) {
            // SAFETY: the kernel checks the program's buffer.
            let done = unsafe { crate::region::read_frames(dram, to, n, frame.get() as u64 * PAGE as u64 + within as u64)? };
            Stats::add(&self.stats.kernel_copied, done);
            return Ok(n - done);
        }
        Stats::add(&self.stats.copied_out, n);
        // SAFETY: the run begins in the tier.
        let from = unsafe { dram.at(frame).add(within) };
        if n < LARGE_OUT {
            // SAFETY: the source lies in the tier (`run_len` keeps it inside); the target is the program's.
            return Ok(unsafe { copy::copy(to, from, n) });
        }
        let rivals = &self.region.control.counters().copies_out;
        // SAFETY: as above.
        Ok(rivals.race(WAYS_OUT, n, |way| unsafe { copy::copy_by(way, to, from, n) }))
    }

    /// Whether touching the frames through the linear mapping costs no faults worth a system call; notes the touch.
    #[inline]
    pub(super) fn is_warm(&self, first: FrameNo, pages: usize) -> bool {
        let dram = &self.region.dram;
        let last = first.plus(pages as u32 - 1);
        if dram.is_warm(first) && dram.is_warm(last) {
            return true;
        }
        if self.has_huge_frames() {
            // One fault maps 2 MiB.
            return dram.warm_up(first, pages as u32).is_ok();
        }
        // The second time it is touched it pays to have it mapped.
        dram.second_touch(first, pages as u32)
    }
}
