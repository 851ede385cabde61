//! Memory behind frames. The tier's file is sparse: a frame that was never used has none yet, and if the tmpfs is full by then, a store to it would be a SIGBUS.
//!
//! So frames are made ready before they are written ([`Fs::ready`]). If that fails, every free frame without memory is set aside, and the cache goes on with those that have
//! some, as if it were smaller; what is set aside comes back when all is counted anew (`rebuild`) or with the next region.

use super::Fs;
use crate::error::{Error, Result};
use crate::inode::SlotNo;
use crate::sync::Ordering::Relaxed;
use crate::units::FrameNo;

/// Why a write under the inode's lock stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Before it had changed anything: this process has not mapped these frames yet ([`Fs::warm`]).
    Cold(FrameNo, u32),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Stop::Failed(e)
    }
}

impl Fs {
    /// `count` frames from `first` on can be written through the linear mapping: there is memory behind them.
    ///
    /// # Errors
    /// `NoFrames` if the tmpfs is full. The caller gives the frames back as ever.
    #[inline]
    pub(super) fn ready(&self, first: FrameNo, count: u32) -> Result<()> {
        self.region.dram.warm_up(first, count).map_err(|_| self.out_of_memory(first, count))
    }

    /// As [`Fs::ready`] under the lock of the inode in `slot`, for whoever can let go of it (`may_stop`): to have frames mapped, or given memory, takes the kernel up to 30 us, for which readers
    /// and writers of the file would wait. Who maps the file shared may have had frames cut off from it, whose memory must not come back but under the lock.
    ///
    /// # Errors
    /// `Cold`, for [`Fs::warm`] without the lock; `NoFrames`.
    #[inline]
    pub(super) fn ready_or_stop(&self, slot: SlotNo, first: FrameNo, count: u32, may_stop: bool) -> Result<(), Stop> {
        if may_stop && !self.region.dram.all_warm(first, count) && self.inodes.slot(slot).shared_maps.load(Relaxed) == 0 {
            return Err(Stop::Cold(first, count));
        }
        Ok(self.ready(first, count)?)
    }

    /// Maps frames that nobody needs to have yet: a file's, or free ones.
    ///
    /// # Errors
    /// `NoFrames` if there is no memory for them.
    #[cold]
    pub(super) fn warm(&self, first: FrameNo, count: u32) -> Result<()> {
        self.region.dram.warm_up(first, count).map_err(|_| self.out_of_memory(first, 0))
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

#[cfg(test)]
mod tests {
    use crate::Fs;
    use crate::fs::survival::{make_file, open, place_with_pool};
    use crate::media::sim::tape::Lower;
    use crate::region::POPULATING;
    use crate::units::{Ino, PAGE};
    use std::cell::Cell;
    use std::rc::Rc;

    const PAGES: usize = 64;
    const LEN: u64 = (PAGES * PAGE) as u64;

    /// A file in a cache that the pool's second user has not looked at yet.
    fn cold() -> (tempfile::TempDir, impl std::ops::Deref<Target = Fs>, Rc<Fs>, Ino) {
        let (dir, pool) = place_with_pool(Lower::Ext4);
        let fs = open(&pool).expect("the pool opens");
        let ino = make_file(&fs, b"file");
        let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
        fs.write_bytes(id, &[1; PAGES * PAGE], 0).expect("a write");
        fs.sync(ino).expect("a sync");
        fs.write_bytes(id, &[2; PAGES / 2 * PAGE], 0).expect("a write");
        fs.release(1);
        let other = Fs::open(&crate::Config::new(&pool)).expect("it opens again");
        (dir, fs, Rc::new(other), ino)
    }

    #[test]
    fn regression_a_write_of_a_process_that_is_new_to_a_file_does_not_hold_up_its_readers() {
        // Into a dirty page, a clean one, a hole, and a hole in part.
        for (page, len) in [(0, 100), (PAGES as u64 - 16, 100), (PAGES as u64, PAGE), (PAGES as u64, 100)] {
            let (_dir, _first, fs, ino) = cold();
            let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
            let slot = fs.hold_inode(ino).expect("cached");
            let lock = &fs.inodes.slot(slot).lock;
            let locked = Rc::new(Cell::new(None));
            let found = locked.clone();
            POPULATING.set(Some(Box::new(move || found.set(Some(lock.is_locked())))));
            fs.write_bytes(id, &vec![3; len], page * PAGE as u64).expect("a write");
            assert_eq!(locked.get(), Some(false), "page {page}");
            let mut back = vec![0; len];
            assert_eq!(fs.read_bytes(id, &mut back, page * PAGE as u64), Ok(len));
            assert!(back == vec![3; len]);
            fs.unhold_inode(slot);
            fs.release(1);
            assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
        }
    }

    #[test]
    fn what_is_appended_while_another_append_waits_for_memory_stays() {
        let (_dir, _first, fs, ino) = cold();
        let ids = [1, 2].map(|hold| fs.open_file(ino, libc::O_RDWR | libc::O_APPEND, hold).expect("it opens"));
        fs.truncate(ino, LEN - 1).expect("shorter");
        let other = fs.clone();
        POPULATING.set(Some(Box::new(move || assert_eq!(other.write_bytes(ids[1], &[4; 10], 0), Ok(())))));
        assert_eq!(fs.write_bytes(ids[0], &[5; 10], 0), Ok(()));
        let mut back = [0; 20];
        assert_eq!(fs.read_bytes(ids[0], &mut back, LEN - 1), Ok(20));
        assert_eq!(back, [[4; 10], [5; 10]].concat()[..]);
        [1, 2].into_iter().for_each(|hold| fs.release(hold));
    }
}
