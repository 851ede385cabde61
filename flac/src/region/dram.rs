#![expect(unsafe_code, reason = "a file that calls mmap and madvise")]
//! The DRAM tier: its file, in one linear mapping, and the memory behind its frames.

use super::layout::Geometry;
use super::place::RunDir;
use crate::error::{Error, Result};
use crate::media::tmpfs;
use crate::units::{BLOCK, BLOCK_FRAMES, FrameNo, PAGE};
use rustix::fd::{AsFd, OwnedFd};
use rustix::mm::{MapFlags, ProtFlags};

/// Frames of 4 KiB that are given memory at a time: 64 KiB.
const CHUNK: u32 = 16;

/// So much of a tmpfs that the tier shares with the control segment, the index and the log is left to them. They take it in steps of at most 256 KiB.
const MARGIN: u64 = 12 << 20;

/// The DRAM tier: all frames in one linear mapping.
pub struct Dram {
    base: *mut u8,
    frames: u32,
    file: OwnedFd,
    inode: u64,
    dev: (u32, u32),
    huge: bool,
    warm: Bits,
    seen: Bits,
}

type Bits = &'static [crate::sync::AtomicU64];

// SAFETY: the mapping is shared memory that stays until the process ends; access to it goes through raw pointers whose
// users hold the frame (see `frame`).
unsafe impl Send for Dram {}
// SAFETY: as above.
unsafe impl Sync for Dram {}

impl Dram {
    /// Maps the tier's file, `below` an address that was given out last, if there is room.
    pub(super) fn open(run: &RunDir, Geometry { frames, huge, .. }: Geometry, below: usize) -> Result<Dram> {
        Dram::of(run.open_dram(u64::from(frames) * PAGE as u64, huge)?, frames, huge, below)
    }

    fn of(file: OwnedFd, frames: u32, huge: bool, below: usize) -> Result<Dram> {
        let len = frames as usize * PAGE;
        let base = aligned(&file, len, below)?;
        let stat = rustix::fs::fstat(&file).map_err(Error::io("look at the DRAM tier"))?;
        let dev = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        let (warm, seen) = bits(frames)?;
        Ok(Dram { base, frames, file, inode: stat.st_ino, dev, huge, warm, seen })
    }

    /// Inode number of the tier's file, to tell its mappings from others.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Device (major and minor number) that the tier's file lies on.
    pub fn dev(&self) -> (u32, u32) {
        self.dev
    }

    /// Whether an address lies in the linear mapping.
    pub fn contains(&self, addr: usize) -> bool {
        addr.wrapping_sub(self.base as usize) < self.frames as usize * PAGE
    }

    /// Number of frames.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Where frame `frame` lies in this process: valid for [`PAGE`] bytes and all frames behind it. A number read without a
    /// lock may be stale: out of range gives frame 0, whose content the caller's sequence check then rejects.
    #[inline]
    pub fn at(&self, frame: FrameNo) -> *mut u8 {
        let frame = if frame.get() < self.frames { frame.get() } else { 0 };
        // SAFETY: `frame` < self.frames, so the address lies inside the mapping.
        unsafe { self.base.add(frame as usize * PAGE) }
    }

    /// The tier's file, to map frames elsewhere or to read and write them by system call.
    pub fn file(&self) -> rustix::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether this process has touched the frame through the linear mapping before (then it faults no more).
    #[inline]
    pub fn is_warm(&self, frame: FrameNo) -> bool {
        let word = self.warm.get(frame.get() as usize / 64);
        word.is_some_and(|w| w.load(crate::sync::Ordering::Relaxed) >> (frame.get() % 64) & 1 == 1)
    }

    /// Whether this process has asked for the run before; if so it counts as warm from now on.
    pub fn second_touch(&self, first: FrameNo, pages: u32) -> bool {
        use crate::sync::Ordering::Relaxed;
        let bit = 1 << (first.get() % 64);
        let again = self.seen[first.get() as usize / 64].load(Relaxed) & bit != 0;
        if again {
            return self.warm_up(first, pages).is_ok();
        } else {
            self.seen[first.get() as usize / 64].fetch_or(bit, Relaxed);
        }
        again
    }

    /// From now on this process can write `pages` frames through the linear mapping, without a fault: memory is behind them, and mapped. It is taken and mapped in chunks,
    /// which costs a fraction of the faults that it saves.
    ///
    /// # Errors
    /// `NoFrames` if the tmpfs is full: a store to a frame that was never used would be a SIGBUS.
    #[inline]
    pub fn warm_up(&self, first: FrameNo, pages: u32) -> Result<()> {
        if self.all_warm(first, pages) { Ok(()) } else { self.populate(first, pages) }
    }

    /// Whether all of these frames are [`Dram::is_warm`].
    #[inline]
    pub fn all_warm(&self, first: FrameNo, pages: u32) -> bool {
        (first.get()..first.get() + pages).all(|frame| self.is_warm(FrameNo::new(frame)))
    }

    /// Whether the frames are a whole huge page that nobody has used yet: the kernel fills it by `pwrite` without clearing it first.
    pub fn is_untouched_block(&self, first: FrameNo, pages: usize) -> bool {
        let mut has = [1];
        self.huge && pages == BLOCK_FRAMES && !self.is_warm(first) && self.residency(first, &mut has).is_ok() && has[0] & 1 == 0
    }

    #[cold]
    fn populate(&self, first: FrameNo, pages: u32) -> Result<()> {
        #[cfg(test)]
        tests::populating();
        let end = (first.get() + pages).min(self.frames);
        if self.huge {
            return self.populate_chunks(first.get(), end, BLOCK_FRAMES as u32);
        }
        let mut from = first.get();
        while from < end {
            let to = (from / CHUNK * CHUNK + CHUNK).min(end);
            if !self.map_around(from) {
                self.populate_chunks(from, to, CHUNK)?;
            }
            from = to;
        }
        Ok(())
    }

    /// Has the kernel map the chunk around `frame` here, if there is memory behind all of it. For a page that is only read, and there, it maps those around it in the same fault, and lets
    /// them be written, since nobody wants to hear of that in a tmpfs: 0.2 us a page, where [`Dram::touch`] takes 0.7.
    fn map_around(&self, frame: u32) -> bool {
        let chunk = frame / CHUNK * CHUNK;
        let there = |first: u32, has: &mut [u8]| self.residency(FrameNo::new(first), has).is_ok() && has.iter().all(|page| page & 1 == 1);
        // Memory that is not there would be taken.
        let whole = chunk + CHUNK <= self.frames && there(frame, &mut [0]);
        // SAFETY: the frame lies in the linear mapping; what is in it does not change.
        let mapped = whole
            && unsafe {
                let start = self.base.add(frame as usize * PAGE).cast();
                rustix::mm::madvise(start, PAGE, rustix::mm::Advice::LinuxPopulateRead).is_ok()
            };
        let mapped = mapped && there(chunk, &mut [0; CHUNK as usize]);
        if mapped {
            self.note_warm(chunk, chunk + CHUNK);
        }
        mapped
    }

    fn populate_chunks(&self, first: u32, end: u32, chunk: u32) -> Result<()> {
        let (mut from, mut to) = (first / chunk * chunk, end.next_multiple_of(chunk).min(self.frames));
        if from < first && !self.is_even(from, chunk) {
            from = first;
        }
        if to > end && !self.is_even(end / chunk * chunk, chunk) {
            to = end;
        }
        // Where there is no memory for all of a chunk, there may be some for what was asked for.
        for (from, to) in [(from, to), (first, end)] {
            if !self.has_room(FrameNo::new(from), to - from) {
                continue;
            }
            if self.touch(from, to - from) {
                self.note_warm(from, to);
                return Ok(());
            }
        }
        Err(Error::NoFrames)
    }

    /// Whether all frames of a chunk have memory, or none. Of one that has some in between some may be cut off, and have none so that who touches them hears of it ([`Dram::punch`]).
    fn is_even(&self, first: u32, chunk: u32) -> bool {
        let mut has = [0; BLOCK_FRAMES];
        let has = &mut has[..chunk.min(self.frames - first) as usize];
        // Not by SEEK_HOLE: that walks through all the memory that the tier has to find one.
        self.residency(FrameNo::new(first), has).is_ok() && has.iter().all(|page| page & 1 == has[0] & 1)
    }

    /// Has the kernel put memory behind frames, and map it here. `false`: the tmpfs is full.
    fn touch(&self, first: u32, pages: u32) -> bool {
        // SAFETY: the range lies in the linear mapping (callers see to it); what is in it does not change.
        let done = unsafe {
            let start = self.base.add(first as usize * PAGE).cast();
            rustix::mm::madvise(start, pages as usize * PAGE, rustix::mm::Advice::LinuxPopulateWrite)
        };
        // Linux before 5.14 can't say: there, as ever, the first touch tells.
        matches!(done, Ok(()) | Err(rustix::io::Errno::INVAL))
    }

    /// Whether frames can get memory, or have it: what the other files of the run directory need to grow is not taken for frames.
    pub fn has_room(&self, first: FrameNo, pages: u32) -> bool {
        let room = || rustix::fs::fstatvfs(&self.file).map_or(u64::MAX, |fs| tmpfs::free(&fs));
        if self.huge || room() >= MARGIN {
            return true;
        }
        let mut has = vec![0; pages as usize];
        self.residency(first, &mut has).is_ok_and(|()| has.iter().all(|has| has & 1 == 1))
    }

    /// Takes the memory away from frames: they are zeros from then on, and whoever maps them elsewhere has no page there. `false`: the file system can't.
    pub fn punch(&self, first: FrameNo, pages: u32) -> bool {
        use rustix::fs::FallocateFlags;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&self.file, flags, first.get() as u64 * PAGE as u64, pages as u64 * PAGE as u64).is_ok()
    }

    /// Zeroes the bytes from `from` up to `to`, counted from the first one of `first`. The frames are the caller's to change; whoever sees them sees it.
    pub fn zero(&self, first: FrameNo, from: usize, to: usize) {
        assert!(from <= to && first.get() as usize * PAGE + to <= self.frames as usize * PAGE, "frames behind {first:?} lie in the tier");
        // SAFETY: they lie in the mapping; nobody has a reference to what others may change.
        unsafe { self.at(first).add(from).write_bytes(0, to - from) };
    }

    /// Whether [`write_frames`] may write all of these: to the process's limit on the size of files the tier is a file like any other.
    pub fn is_writable_by_call(&self, first: FrameNo, pages: u32) -> bool {
        !crate::media::forbids((u64::from(first.get()) + u64::from(pages)) * PAGE as u64)
    }

    /// Gives frames memory again that [`Dram::punch`] took from them, whichever process did. `false`: the tmpfs is full.
    pub fn refill(&self, first: FrameNo, pages: u32) -> bool {
        // Only these: others around them may be without memory for a reason.
        first.get().saturating_add(pages) <= self.frames && self.has_room(first, pages) && self.touch(first.get(), pages)
    }

    fn note_warm(&self, from: u32, to: u32) {
        for frame in from..to {
            self.warm[frame as usize / 64].fetch_or(1 << (frame % 64), crate::sync::Ordering::Relaxed);
        }
    }

    /// For each frame from `first` on, whether there is memory behind it (a hint: more may have some by now).
    ///
    /// # Errors
    /// `Io`.
    pub fn residency(&self, first: FrameNo, has: &mut [u8]) -> Result<()> {
        let count = has.len().min(self.frames.saturating_sub(first.get()) as usize);
        // SAFETY: the range lies in the linear mapping, and `has` has a byte for each of its pages.
        let rc = unsafe { libc::mincore(self.base.add(first.get() as usize * PAGE).cast(), count * PAGE, has.as_mut_ptr()) };
        if rc == 0 {
            Ok(())
        } else {
            Err(Error::Io("look at the DRAM tier", std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)))
        }
    }
}

/// Twice a bit for each frame, all 0. Memory of the kernel's, so that a short-lived process faults in no page that it does not use: no allocator promises that.
fn bits(frames: u32) -> Result<(Bits, Bits)> {
    let words = (frames as usize).div_ceil(64);
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address the kernel chooses; nothing else is touched.
    let base = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), words.max(1) * 2 * 8, prot, MapFlags::PRIVATE) }
        .map_err(Error::io("map anonymous memory"))?;
    // SAFETY: so many words of zeros, aligned to a page, that stay until the process ends, like the tier's mapping.
    Ok(unsafe { std::slice::from_raw_parts::<crate::sync::AtomicU64>(base.cast(), 2 * words) }.split_at(words))
}

/// Maps `file` at an address that agrees with its offsets mod 2 MiB, so that the kernel can use huge entries, and what it maps around a page is a chunk.
///
/// The kernel gives addresses out from above, so there is room `below` the last one as a rule: one call. To reserve more than is needed and to replace a part of it takes five times as long.
fn aligned(file: &OwnedFd, len: usize, below: usize) -> Result<*mut u8> {
    let (prot, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::NORESERVE);
    let wanted = below.saturating_sub(len) / BLOCK * BLOCK;
    if wanted > 0 {
        // SAFETY: replaces nothing.
        let at = unsafe { rustix::mm::mmap(wanted as *mut _, len, prot, kind | MapFlags::FIXED_NOREPLACE, file, 0) };
        match at {
            Ok(at) if at as usize == wanted => return Ok(at.cast()),
            // Linux before 4.17 takes the address for a wish.
            // SAFETY: mapped just now, and nobody knows of it.
            Ok(at) => drop(unsafe { rustix::mm::munmap(at, len) }),
            Err(_) => {}
        }
    }
    // SAFETY: reserves fresh address space at an address the kernel chooses.
    let space = unsafe {
        rustix::mm::mmap_anonymous(std::ptr::null_mut(), len + BLOCK, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)
    }
    .map_err(Error::io("reserve address space for the DRAM tier"))?;
    let base = (space as usize).next_multiple_of(BLOCK);
    // SAFETY: [base, base + len) lies inside the space reserved above, which nobody else knows.
    unsafe { rustix::mm::mmap(base as *mut _, len, prot, kind | MapFlags::FIXED, file, 0) }.map_err(Error::io("map the DRAM tier"))?;
    Ok(base as *mut u8)
}

/// Reads `len` bytes at `offset` of the tier's file into the program's memory by system call; returns how many.
///
/// # Safety
/// [`to`, `to + len`) is memory of the program, or faults (the kernel then answers EFAULT).
pub unsafe fn read_frames(dram: &Dram, to: *mut u8, len: usize, offset: u64) -> Result<usize> {
    // SAFETY: only the kernel looks at the slice, and it checks the address itself.
    let buffer = unsafe { std::slice::from_raw_parts_mut(to.cast::<std::mem::MaybeUninit<u8>>(), len) };
    match rustix::io::pread(&dram.file, buffer, offset) {
        Ok((read, _)) => Ok(read.len()),
        Err(rustix::io::Errno::FAULT) => Ok(0),
        Err(e) => Err(Error::Io("read the DRAM tier", e.raw_os_error())),
    }
}

/// Writes `len` bytes of the program's memory at `offset` of the tier's file by system call; returns how many.
///
/// # Safety
/// As for [`read_frames`].
pub unsafe fn write_frames(dram: &Dram, from: *const u8, len: usize, offset: u64) -> Result<usize> {
    #[cfg(test)]
    tests::writing()?;
    // SAFETY: only the kernel looks at the slice, and it checks the address itself.
    let buffer = unsafe { std::slice::from_raw_parts(from, len) };
    match rustix::io::pwrite(&dram.file, buffer, offset) {
        Ok(n) => Ok(n),
        Err(rustix::io::Errno::FAULT) => Ok(0),
        Err(rustix::io::Errno::NOSPC) => Err(Error::NoFrames),
        Err(e) => Err(Error::Io("write the DRAM tier", e.raw_os_error())),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const FRAMES: u32 = 3 * CHUNK;

    thread_local! {
        /// What is done where the kernel is asked for memory the next time.
        pub(crate) static POPULATING: std::cell::RefCell<Option<Box<dyn FnOnce()>>> = const { std::cell::RefCell::new(None) };
        /// Whether the kernel can't write the tier.
        pub(crate) static UNWRITABLE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    pub(super) fn populating() {
        POPULATING.take().into_iter().for_each(|what| what());
    }

    pub(super) fn writing() -> Result<()> {
        if UNWRITABLE.get() { Err(Error::Io("write the DRAM tier", libc::EIO)) } else { Ok(()) }
    }

    /// The tier as another process would see it.
    fn tier(path: &std::path::Path) -> Dram {
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CREATE;
        let file = rustix::fs::open(path, flags, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).expect("a file");
        rustix::fs::ftruncate(&file, u64::from(FRAMES) * PAGE as u64).expect("a size");
        Dram::of(file, FRAMES, false, 0).expect("mapped")
    }

    fn has(dram: &Dram) -> Vec<u8> {
        let mut has = vec![0; FRAMES as usize];
        dram.residency(FrameNo::new(0), &mut has).expect("known");
        has.iter().map(|has| has & 1).collect()
    }

    #[test]
    fn regression_frames_that_were_cut_off_get_no_memory_by_what_their_neighbours_need() {
        let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
        let (one, other) = (tier(&dir.path().join("tier")), tier(&dir.path().join("tier")));
        one.warm_up(FrameNo::new(1), 1).expect("room");
        let (with, without) = ([1; CHUNK as usize], [0; CHUNK as usize]);
        assert_eq!(has(&one), [with, without, without].concat(), "a chunk at a time");
        assert!(one.punch(FrameNo::new(3), 1));
        other.warm_up(FrameNo::new(5), 2).expect("room");
        assert!(other.is_warm(FrameNo::new(6)) && !other.is_warm(FrameNo::new(7)));
        let mut cut = with;
        cut[3] = 0;
        assert_eq!(has(&one), [cut, without, without].concat());
        // From a chunk with one that was cut off into a fresh one.
        other.warm_up(FrameNo::new(CHUNK - 2), 4).expect("room");
        assert_eq!(has(&one), [cut, with, without].concat());
        assert!(other.refill(FrameNo::new(3), 1));
        assert_eq!(has(&one), [with, with, without].concat());
    }

    #[test]
    fn what_another_process_gave_memory_is_mapped_to_be_written() {
        let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
        let (one, other) = (tier(&dir.path().join("tier")), tier(&dir.path().join("tier")));
        one.warm_up(FrameNo::new(0), FRAMES).expect("room");
        let faults = || {
            // SAFETY: numbers, which the call fills in.
            let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
            // SAFETY: as above.
            assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0);
            usage.ru_minflt
        };
        for (first, pages) in [(1, 1), (CHUNK - 2, 4)] {
            other.warm_up(FrameNo::new(first), pages).expect("there");
        }
        assert!(other.all_warm(FrameNo::new(0), 2 * CHUNK) && !other.is_warm(FrameNo::new(2 * CHUNK)));
        let before = faults();
        // SAFETY: in the mapping, and nobody else's.
        (0..2 * CHUNK).for_each(|frame| unsafe { other.at(FrameNo::new(frame)).write_volatile(1) });
        assert_eq!(faults(), before);
    }
}
