#![expect(unsafe_code, reason = "asks for memory behind a part of the mapped control segment")]
//! Memory behind the control segment. It is a sparse file of a tmpfs: where that is full, the first touch of a page is a SIGBUS, so memory is asked for before.
//!
//! What is small has it from the start ([`Control::back_fixed`]). What grows with the number of files (inode slots, their hash table, nodes) gets it piece by piece from whoever takes a piece
//! first; if there is none, there is no free slot or node, and the caller makes one free or fails. The last [`LEFT`] bytes of the tmpfs are not for more files: reading, deleting and writing back,
//! by processes that come later, too, has to go on. What a process has asked for it notes for itself.

use super::super::place::SHM_DIR;
use super::*;
use crate::media::tmpfs;
use crate::sync::Ordering::Relaxed;
use rustix::mm::Advice;

/// So much of the tmpfs is left when new files, and inode slots for more of them at once, are refused: for the index, which needs it to write those back that are there (some 50 bytes a file).
const LEFT: u64 = 4 << 20;
/// Inode slots that get memory together.
const SLOTS: usize = 64;
/// Up to here what belongs to the frames of a tier has memory from the start: 1 GiB. Of a larger one it would take more than some programs ever use.
const SMALL_TIER: u32 = 1 << 18;
/// Bytes of open-file slots that have memory from the start: 1,024.
const OPENS_BACKED: usize = 1024 * size_of::<OpenSlot>();
/// As [`SMALL_TIER`], for what belongs to a pool's frames: 64 GiB.
const SMALL_POOL: u32 = 1 << 24;

/// What this process knows to have memory: one bit for each piece of inode slots, page of chain heads, and node.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pieces: &'static [AtomicU64],
    heads: &'static [AtomicU64],
    nodes: &'static [AtomicU64],
}
const PIECES: usize = INODES / SLOTS / 64;
const HEADS: usize = INODES * 4 / PAGE / 64;

impl Known {
    /// For a segment that was just mapped. Nearly every process maps one.
    pub(super) fn of_new() -> Known {
        const WORDS: usize = PIECES + HEADS + NODES / 64;
        #[unsafe(link_section = ".sbss.large")]
        static FIRST: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        let own = || &*(0..WORDS).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak();
        let words = if TAKEN.swap(1, Relaxed) == 0 { &FIRST[..] } else { own() };
        let (pieces, rest) = words.split_at(PIECES);
        let (heads, nodes) = rest.split_at(HEADS);
        Known { pieces, heads, nodes }
    }
}

/// Whether thing `i` is known; if not, but `back` says that it has memory now, it is from now on.
#[inline]
fn ask(known: &[AtomicU64], i: usize, back: impl FnOnce() -> bool) -> bool {
    let (word, bit) = (&known[i / 64], 1 << (i % 64));
    if word.load(Relaxed) & bit != 0 {
        return true;
    }
    let done = back();
    if done {
        word.fetch_or(bit, Relaxed);
    }
    done
}

impl Control {
    /// Gives what is small memory. Its cost is below a millisecond, once after a boot.
    ///
    /// # Errors
    /// `NoSpace` if the tmpfs is full.
    pub(super) fn back_fixed(&self) -> Result<()> {
        let (at, g) = (&self.at, self.geometry);
        let mut parts =
            vec![(0, at.holds), (at.opens, OPENS_BACKED), (at.node_bits, at.nodes - at.node_bits), (at.watch, at.end - at.watch)];
        if g.frames <= SMALL_TIER {
            parts.push((at.refs, at.pool_bits - at.refs));
        }
        if g.pool_frames <= SMALL_POOL {
            parts.push((at.pool_bits, at.watch - at.pool_bits));
        }
        if parts.into_iter().all(|(from, len)| self.back(from, len)) { Ok(()) } else { Err(Error::NoSpace) }
    }

    /// Gives what a new process uses first memory.
    pub fn back_process(&self, proc: u32) -> bool {
        let (holds, ledger) = (MAX_HOLDS * 4, LEDGER * size_of::<LedgerEntry>());
        self.back(self.at.holds + proc as usize * holds, PAGE) && self.back(self.at.ledger + proc as usize * ledger, PAGE)
    }

    /// Whether an inode slot that was never used has memory, which it is given if there is enough.
    pub fn back_inode(&self, slot: u32) -> bool {
        let piece = slot as usize / SLOTS;
        let bytes = SLOTS * size_of::<InodeSlot>();
        // Of a piece that was begun the others have memory already.
        let begun = !(slot as usize).is_multiple_of(SLOTS);
        ask(self.known.pieces, piece, || (begun || self.room_beyond(|| 0)) && self.back(self.at.inodes + piece * bytes, bytes))
    }

    /// The head of a chain of inode slots; `None`: it has no memory, and there is none, so the chain is empty.
    #[inline]
    pub fn bucket(&self, index: usize) -> Option<&'static AtomicU32> {
        let page = index * 4 / PAGE;
        ask(self.known.heads, page, || self.back(self.at.buckets + page * PAGE, PAGE)).then(|| &self.buckets()[index])
    }

    /// Whether a node and its marks have memory, which they are given if there is some: together with those behind it, where this process has taken the one before.
    pub fn back_node(&self, index: usize) -> bool {
        const TOGETHER: usize = 16;
        let known = |index: usize| self.known.nodes[index / 64].load(Relaxed) & 1 << (index % 64) != 0;
        let back = |count| {
            self.back(self.at.nodes + index * PAGE, count * PAGE)
                && self.back(self.at.marks + index * size_of::<Marks>(), count * size_of::<Marks>())
        };
        ask(self.known.nodes, index, || {
            let count = TOGETHER - index % TOGETHER;
            if index > 0 && known(index - 1) && back(count) {
                let word = &self.known.nodes[index / 64];
                word.fetch_or((!0 >> (64 - count)) << (index % 64), Relaxed);
                return true;
            }
            back(1)
        })
    }

    /// Whether the tmpfs and `spare` bytes that the index has of it have so much left that more files can be made.
    pub fn room_beyond(&self, spare: impl FnOnce() -> u64) -> bool {
        rustix::fs::statvfs(SHM_DIR).map_or(true, |fs| {
            let free = tmpfs::free(&fs);
            free > LEFT || free + spare() > LEFT
        })
    }

    /// Has the kernel put memory behind a part of the segment, and map it here; `false`: the tmpfs is full.
    fn back(&self, from: usize, len: usize) -> bool {
        let (start, end) = (from / PAGE * PAGE, (from + len).next_multiple_of(PAGE).min(self.at.end));
        // SAFETY: the range lies in the mapping, which stays; what is in it does not change.
        let done = unsafe { rustix::mm::madvise(self.base.cast_mut().add(start).cast(), end - start, Advice::LinuxPopulateWrite) };
        match done {
            // Linux before 5.14 can't say: there the first touch tells.
            Ok(()) | Err(rustix::io::Errno::INVAL) => true,
            Err(_) => self.has_memory(start, end - start),
        }
    }

    /// Whether there is memory behind all of a part. What could not be mapped for another reason than a full tmpfs may have some.
    fn has_memory(&self, start: usize, len: usize) -> bool {
        let mut has = vec![0u8; len / PAGE];
        // SAFETY: the range lies in the mapping, and `has` has a byte for each of its pages.
        let rc = unsafe { libc::mincore(self.base.cast_mut().add(start).cast(), len, has.as_mut_ptr()) };
        rc == 0 && has.iter().all(|page| page & 1 == 1)
    }
}
