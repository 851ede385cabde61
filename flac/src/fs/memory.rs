//! Memory behind frames. The tier's file is sparse: a frame that was never used has none yet, and if the tmpfs is full by then, a store to it would be a SIGBUS.
//!
//! So frames are made ready before they are written ([`Fs::ready`]). If that fails, every free frame without memory is set aside, and the cache goes on with those that have
//! some, as if it were smaller; what is set aside comes back when all is counted anew (`rebuild`) or with the next region.

use super::Fs;
use crate::error::{Error, Result};
use crate::units::FrameNo;

impl Fs {
    /// `count` frames from `first` on can be written through the linear mapping: there is memory behind them.
    ///
    /// # Errors
    /// `NoFrames` if the tmpfs is full. The caller gives the frames back as ever.
    #[inline]
    pub(super) fn ready(&self, first: FrameNo, count: u32) -> Result<()> {
        self.region.dram.warm_up(first, count).map_err(|_| self.out_of_memory(first, count))
    }

    /// The tmpfs is full, and some of these frames of the caller's have no memory. Returns what to fail with.
    #[cold]
    pub(super) fn out_of_memory(&self, first: FrameNo, count: u32) -> Error {
        let mut has = vec![0; self.frames.total() as usize];
        if let Err(e) = self.region.dram.residency(FrameNo::new(0), &mut has) {
            return e;
        }
        let lacks = |frame: FrameNo| has[frame.get() as usize] & 1 == 0;
        // A reference that nobody drops keeps those of the caller's from being given out again.
        (0..count).map(|i| first.plus(i)).filter(|frame| lacks(*frame)).for_each(|frame| self.frames.get(frame));
        self.frames.set_aside(lacks);
        Error::NoFrames
    }
}
