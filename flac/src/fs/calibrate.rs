#![expect(unsafe_code, reason = "maps and copies memory of its own to see what that takes")]
//! Measures what the movers cost here, with a block of the tier that nobody uses and a buffer of our own.

use super::Fs;
use crate::planner::{Cost, Costs};
use crate::region::copy::{self, Way};
use crate::region::{map_anonymous, map_fixed, read_frames, reserve, unmap_range, write_frames};
use crate::units::{BLOCK, BLOCK_FRAMES, FrameNo, PAGE};
use std::time::Instant;

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;
/// The best of so many counts: what disturbs a measurement only ever makes it longer.
const TRIES: usize = 4;
/// Pages that are written for [`Cost::OwnPage`].
const OWN: usize = 32;

/// The best time of `f`, which leaves out what it does before it calls its argument, divided by `parts`; `NoFrames` if it never does.
fn best(parts: usize, mut f: impl FnMut(&mut dyn FnMut(&mut dyn FnMut()))) -> crate::Result<u64> {
    let mut best = u64::MAX;
    for _ in 0..TRIES {
        f(&mut |timed| {
            let start = Instant::now();
            timed();
            best = best.min(start.elapsed().as_nanos() as u64);
        });
    }
    if best < u64::MAX { Ok(best.div_ceil(parts as u64)) } else { Err(crate::Error::NoFrames) }
}

impl Fs {
    /// What moving bytes costs.
    pub fn costs(&self) -> &'static Costs {
        &self.region.control.counters().costs
    }

    /// How to copy much, as learned in use: picoseconds for a byte of the usual loop and of the other one, to programs and from them (from 64 KiB on, from 512 KiB on); 0 is not known yet.
    pub fn copies(&self) -> [[u32; 2]; 3] {
        let c = self.region.control.counters();
        [c.copies_out.costs(), c.copies_in[0].costs(), c.copies_in[1].costs()]
    }

    /// Measures the costs if nobody has since the boot: 3 ms, where the tier has a free block.
    ///
    /// # Errors
    /// `NoFrames`, `EFBIG` where a limit forbids this process to write the tier, or what can't be mapped: they stay assumed.
    pub fn calibrate(&self) -> crate::Result<()> {
        if self.costs().are_measured() {
            return Ok(());
        }
        let block = self.frames.alloc_block().ok_or(crate::Error::NoFrames)?;
        let first = FrameNo::new(block * BLOCK_FRAMES as u32);
        let may_write =
            || if self.region.dram.is_writable_by_call(first, BLOCK_FRAMES as u32) { Ok(()) } else { Err(crate::Error::Os(libc::EFBIG)) };
        // SAFETY: fresh address space where the kernel chooses.
        let result = may_write()
            .and_then(|()| self.ready(first, BLOCK_FRAMES as u32))
            .and_then(|()| unsafe { reserve(0, 2 * BLOCK, 0, BLOCK, 0) })
            .and_then(|buffer| {
                let result = self.measure(first, buffer);
                // SAFETY: reserved above, and known to nobody else.
                unsafe { unmap_range(buffer, 2 * BLOCK) };
                result
            });
        (0..BLOCK_FRAMES as u32).for_each(|i| _ = self.frames.put(first.plus(i)));
        result
    }

    /// With the frames of a whole block, which are ours, and two blocks of address space.
    fn measure(&self, first: FrameNo, buffer: usize) -> crate::Result<()> {
        let (costs, dram) = (self.costs(), &self.region.dram);
        let frames = dram.at(first);
        let bytes = std::ptr::with_exposed_provenance_mut::<u8>(buffer);
        // SAFETY: the buffer's address space is this function's alone, as are the frames of the block.
        let fresh = || unsafe { map_anonymous(buffer, BLOCK) };
        // SAFETY: as above.
        let show = |at: usize, pages: u32| unsafe { map_fixed(dram, at, first, pages, READ_WRITE, false) };
        let touch = |at: usize, pages: usize| {
            (0..pages).for_each(|i| {
                // SAFETY: a mapped page of the buffer.
                std::hint::black_box(unsafe { std::ptr::with_exposed_provenance::<u8>(at + i * PAGE).read_volatile() });
            });
        };
        fresh()?;
        // SAFETY: as above; both sides have a block.
        unsafe {
            copy::copy(bytes, frames, BLOCK);
            costs.measured(Cost::PageOut, best(BLOCK_FRAMES, |time| time(&mut || _ = copy::copy(bytes, frames, BLOCK)))?);
            let way = |way| best(BLOCK_FRAMES, |time| time(&mut || _ = copy::copy_by(way, frames, bytes, BLOCK)));
            costs.measured(Cost::PageIn, way(Way::Usual)?.min(way(Way::Past)?));
            let small = || (0..BLOCK_FRAMES).for_each(|_| _ = copy::copy(bytes, frames, PAGE));
            costs.measured(Cost::SmallCopy, best(BLOCK_FRAMES, |time| time(&mut || small()))?);
        }
        let offset = u64::from(first.get()) * PAGE as u64;
        // SAFETY: as above.
        let call =
            |write: bool| unsafe { if write { write_frames(dram, bytes, BLOCK, offset) } else { read_frames(dram, bytes, BLOCK, offset) } };
        call(false)?;
        costs.measured(Cost::PageRead, best(BLOCK_FRAMES, |time| time(&mut || _ = call(false)))?);
        costs.measured(Cost::PageWritten, best(BLOCK_FRAMES, |time| time(&mut || _ = call(true)))?);

        let filled = best(BLOCK_FRAMES, |time| {
            if fresh().is_ok() {
                time(&mut || _ = call(false));
            }
        });
        costs.measured(Cost::FreshPage, filled?);

        costs.measured(Cost::Map, best(1, |time| time(&mut || _ = show(buffer, BLOCK_FRAMES as u32)))?);
        let shown = |at: usize, pages: usize, parts: usize| {
            best(parts, |time| {
                if fresh().and_then(|()| show(at, pages as u32)).is_ok() {
                    time(&mut || touch(at, pages));
                }
            })
        };
        costs.measured(Cost::TouchHuge, shown(buffer, BLOCK_FRAMES, 1)?);
        // Not congruent mod 2 MiB: small entries.
        costs.measured(Cost::TouchPage, shown(buffer + PAGE, BLOCK_FRAMES / 4, BLOCK_FRAMES / 4)?);
        let own = best(OWN, |time| {
            if fresh().and_then(|()| show(buffer, BLOCK_FRAMES as u32)).is_ok() {
                touch(buffer, BLOCK_FRAMES);
                // SAFETY: a copy-on-write view of frames that are ours: what is written are pages of this process.
                time(&mut || (0..OWN).for_each(|i| unsafe { bytes.add(i * PAGE).write_volatile(1) }));
            }
        });
        costs.measured(Cost::OwnPage, own?);
        let ask = || _ = (self.memory.vma(buffer), self.memory.first_own(buffer + OWN * PAGE, buffer + BLOCK));
        ask();
        costs.measured(Cost::Ask, best(16, |time| time(&mut || (0..16).for_each(|_| ask())))?);
        let share = || (0..BLOCK_FRAMES as u32).for_each(|i| _ = (self.frames.get_used(first.plus(i)), self.frames.put(first.plus(i))));
        costs.measured(Cost::SharePage, best(BLOCK_FRAMES, |time| time(&mut || share()))?);
        Ok(())
    }
}
