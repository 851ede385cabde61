//! Frames for pages that are written to while they are flushed: those that the last such writes gave up.
//!
//! A page that is being flushed can't be written where it is, so its writer takes another frame, and the flush frees the old one when it is over. The old one is the better choice for the next
//! such write than any that the allocator has: it has memory, which this process has mapped, so that its first store is no fault and no call of the kernel (28 us for the 64 KiB that are made ready
//! at a time); and a file that is flushed again and again stays where it is, instead of moving to the end from which single frames are taken.
//!
//! What lies here are notes of this process. Whether a frame is free is told by taking it ([`Frames::claim`]).

use crate::frame::Frames;
use crate::sync::{AtomicU32, Ordering::*};
use crate::units::FrameNo;

/// As many notes as there are pages in 64 MiB: with fewer than are written to during one flush, all are of frames that are not free yet.
const NOTES: u32 = 1 << 14;
/// Memory that a process has only when it uses it, which few do.
#[expect(unsafe_code, reason = "a section by name")]
#[unsafe(link_section = ".sbss.large")]
static MEMORY: [AtomicU32; NOTES as usize] = [const { AtomicU32::new(0) }; NOTES as usize];
/// A note: the frame + 1 (28 bits), and how often it was found in use.
const FRAME: u32 = (1 << 28) - 1;
const TRY: u32 = 1 << 28;
/// Whose frame is in use so often is dropped: somebody else has it.
const TRIES: u32 = 8;
/// How many notes are looked at for one frame.
const LOOKS: u32 = 2;

/// Notes of frames, the oldest first. Threads that use it at once may lose notes, or have one twice.
pub(super) struct Stock {
    notes: &'static [AtomicU32],
    /// Where the next note goes, and where the oldest is.
    put: AtomicU32,
    take: AtomicU32,
}

impl Default for Stock {
    fn default() -> Self {
        // Where one process has several pools open, notes of one get into the hands of the others, and are as good as any. Tests want their own.
        let notes = if cfg!(test) { (0..NOTES).map(|_| AtomicU32::new(0)).collect::<Vec<_>>().leak() } else { &MEMORY[..] };
        Self { notes, put: AtomicU32::new(0), take: AtomicU32::new(0) }
    }
}

impl Stock {
    /// Notes a frame that will be free when a flush is over.
    pub(super) fn note(&self, frame: FrameNo) {
        self.push(frame.get() + 1);
    }

    fn push(&self, note: u32) {
        let at = self.put.fetch_add(1, Relaxed);
        self.notes[(at % NOTES) as usize].store(note, Relaxed);
    }

    /// One of the noted frames, if one is free: it has one reference then, and its content is undefined.
    pub(super) fn take(&self, frames: &Frames) -> Option<FrameNo> {
        for _ in 0..LOOKS {
            let (put, take) = (self.put.load(Relaxed), self.take.load(Relaxed));
            match put.wrapping_sub(take) {
                0 => return None,
                n if n <= NOTES => self.take.store(take.wrapping_add(1), Relaxed),
                // Notes were written over, or two threads took the last one.
                n => self.take.store(if n > u32::MAX / 2 { put } else { put.wrapping_sub(NOTES) }, Relaxed),
            }
            let note = self.notes[(take % NOTES) as usize].swap(0, Relaxed);
            let Some(frame) = (note & FRAME).checked_sub(1).map(FrameNo::new) else { continue };
            if frame.get() < frames.total() && frames.claim(frame) {
                return Some(frame);
            }
            if note / TRY < TRIES - 1 {
                self.push(note + TRY);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::survival::{open, place_with_pool};
    use crate::media::sim::tape::Lower;

    #[test]
    fn noted_frames_are_taken_when_they_are_free() {
        let (_dir, pool) = place_with_pool(Lower::Ext4);
        let fs = open(&pool).expect("the pool opens");
        let stock = Stock::default();
        let [a, b, c] = [0; 3].map(|_| fs.frames.alloc().expect("a frame"));
        [a, b, c].into_iter().for_each(|frame| stock.note(frame));
        assert_eq!(stock.take(&fs.frames), None);
        [a, b].into_iter().for_each(|frame| assert!(fs.frames.put(frame)));
        let free = fs.frames.free();
        let mut taken: Vec<FrameNo> = [0; 4].into_iter().filter_map(|_| stock.take(&fs.frames)).collect();
        taken.sort();
        let mut both = [a, b];
        both.sort();
        assert_eq!(taken, both);
        assert_eq!(fs.frames.free(), free - 2);
        assert_eq!([0; 64].into_iter().find_map(|_| stock.take(&fs.frames)), None);
        [a, b, c].into_iter().for_each(|frame| assert!(fs.frames.put(frame)));
    }

    #[test]
    fn of_more_notes_than_there_is_room_for_the_newest_stay() {
        let (_dir, pool) = place_with_pool(Lower::Ext4);
        let fs = open(&pool).expect("the pool opens");
        let stock = Stock::default();
        let frame = fs.frames.alloc().expect("a frame");
        assert!(fs.frames.put(frame));
        let used = fs.frames.alloc_block().expect("a block") * crate::units::BLOCK_FRAMES as u32;
        (0..3 * NOTES).for_each(|i| stock.note(FrameNo::new(used + i % 512)));
        stock.note(frame);
        assert!((0..TRIES * NOTES).any(|_| stock.take(&fs.frames) == Some(frame)));
    }
}
