//! Large blocks of memory, placed so that reads into them can be attached.
//!
//! A page can be attached only where address and file offset agree modulo 4 KiB, and 512 of them by one entry only where they agree modulo 2 MiB. libc puts a large block 16 bytes behind
//! the start of a mapping: nothing that is read into it ever fits. So blocks of [`LARGE`] bytes and more are mapped here, each by itself, so that the *place the program reads to*, a fixed distance
//! into its block ([`Skew`]), lies at a multiple of 2 MiB. The distance is learned from each large read that goes to such a block; a wrong one costs nothing but the attach.
//!
//! *Why not smaller blocks.* From this size on libc, too, maps each block by itself and unmaps it when it is freed (its threshold grows up to here and no further), so serving them costs
//! nothing; smaller ones it keeps warm for the next use. *What is kept.* A table of fixed size, without locks: a signal handler or a child of fork finds it whole at any moment, and a
//! death leaves nothing. *Limits.* Memory use is libc's, but for a page or two a block; when the table is full, libc serves.
#![expect(unsafe_code, reason = "maps memory and hands it out")]

use flac::Fs;
use flac::units::PAGE;
use libc::{c_char, c_void};
use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap_fixed, munmap};
use std::ptr::{null_mut, with_exposed_provenance_mut};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};

/// Blocks from this size on are ours: the most that glibc's threshold for mapping a block by itself (`DEFAULT_MMAP_THRESHOLD_MAX`) ever is.
pub const LARGE: usize = 32 << 20;
/// A read of less teaches nothing.
const TEACHES: usize = 1 << 20;
const HUGE: usize = 2 << 20;
/// As `malloc` promises.
const ALIGN: usize = 16;
/// Blocks at once; libc serves those beyond.
const MOST: usize = 64;

/// How far into its blocks of one [kind](kind) the program reads, modulo 2 MiB. [`UNKNOWN`] until it is first needed.
struct Skew(AtomicUsize);
const UNKNOWN: usize = usize::MAX;
static SKEWS: [Skew; 2] = [const { Skew(AtomicUsize::new(UNKNOWN)) }; 2];

/// Blocks of whole words (1), into whose start one reads, and others (0), which often have a head: numpy's arrays and python's bytes come from the same program. (A file that python reads whole is a block
/// of its size and 34 bytes, which is a multiple of eight for one size in eight.)
fn kind(size: usize) -> usize {
    usize::from(size.is_multiple_of(8))
}

/// A block. `at` is what the program knows; 0 is a free entry, [`TAKEN`] one that is being filled or emptied.
struct Entry {
    at: AtomicUsize,
    kind: AtomicUsize,
    /// The mapping: page-aligned.
    start: AtomicUsize,
    end: AtomicUsize,
}
const TAKEN: usize = 1;

static BLOCKS: [Entry; MOST] =
    [const { Entry { at: AtomicUsize::new(0), kind: AtomicUsize::new(0), start: AtomicUsize::new(0), end: AtomicUsize::new(0) } }; MOST];
/// Entries that were ever used.
static USED: AtomicUsize = AtomicUsize::new(0);
/// One bit for each [`key`] that a block ever had: all that `free` looks at, nearly always. Blocks lie alike, so few bits are ever set.
static KEYS: AtomicU64 = AtomicU64::new(0);

fn key(at: usize) -> u64 {
    1 << (at / ALIGN % 64)
}

fn skew(kind: usize) -> usize {
    match SKEWS[kind].0.load(Relaxed) {
        UNKNOWN => {
            let first = if kind == 0 { first_skew() } else { 0 };
            SKEWS[kind].0.store(first, Relaxed);
            first
        }
        skew => skew,
    }
}

/// Python reads behind the head of a bytes object, which is as long as what is read, its head, and a zero; who is not known reads to the start of a block.
fn first_skew() -> usize {
    unsafe extern "C" {
        static program_invocation_short_name: *const c_char;
    }
    // SAFETY: libc's own variable, a C string from its first constructor on; null before.
    let name = unsafe { program_invocation_short_name };
    // SAFETY: as above.
    let is_python = !name.is_null() && unsafe { std::ffi::CStr::from_ptr(name) }.to_bytes().starts_with(b"python");
    if is_python { 32 } else { 0 }
}

/// Whether `block` may be one of ours: no call, for `free`, which nearly always is about libc's.
#[inline(always)]
pub fn maybe(block: *mut c_void) -> bool {
    KEYS.load(Relaxed) & key(block.addr()) != 0 && find(block.addr()).is_some()
}

fn find(at: usize) -> Option<&'static Entry> {
    let used = USED.load(Acquire);
    BLOCKS[..used].iter().find(|e| e.at.load(Relaxed) == at && at > TAKEN)
}

/// The block in which `at` lies.
fn around(at: usize) -> Option<&'static Entry> {
    let used = USED.load(Acquire);
    let holds = |e: &&Entry| e.at.load(Acquire) > TAKEN && e.at.load(Relaxed) <= at && at < e.end.load(Relaxed);
    BLOCKS[..used].iter().find(holds)
}

/// A new block of `size` bytes, all zero, at a multiple of `align` (a power of two); `None`: let libc do it.
pub fn allocate(size: usize, align: usize) -> Option<*mut c_void> {
    if !(LARGE..1 << 46).contains(&size) || align > HUGE {
        return None;
    }
    let entry = take_entry()?;
    let kind = kind(size);
    let skew = Some(skew(kind)).filter(|skew| skew.is_multiple_of(align.max(ALIGN))).unwrap_or(0);
    let Some((at, start, end)) = map(size, skew) else {
        entry.at.store(0, Release);
        return None;
    };
    publish(entry, at, kind, start, end);
    Some(with_exposed_provenance_mut(at))
}

fn take_entry() -> Option<&'static Entry> {
    let entry = BLOCKS.iter().position(|e| e.at.load(Relaxed) == 0 && e.at.compare_exchange(0, TAKEN, Acquire, Relaxed).is_ok())?;
    USED.fetch_max(entry + 1, AcqRel);
    Some(&BLOCKS[entry])
}

fn publish(entry: &Entry, at: usize, kind: usize, start: usize, end: usize) {
    entry.kind.store(kind, Relaxed);
    entry.start.store(start, Relaxed);
    entry.end.store(end, Relaxed);
    KEYS.fetch_or(key(at), AcqRel);
    entry.at.store(at, Release);
}

/// Maps a block of `size` bytes that begins `skew` bytes before a multiple of 2 MiB: (block, start, end).
fn map(size: usize, skew: usize) -> Option<(usize, usize, usize)> {
    let before = skew.next_multiple_of(PAGE);
    let len = (size - skew.min(size)).next_multiple_of(PAGE) + before;
    // SAFETY: a new mapping anywhere.
    let whole =
        unsafe { mmap_anonymous(null_mut(), len + HUGE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }.ok()?.expose_provenance();
    let to = (whole + before).next_multiple_of(HUGE);
    let (start, end) = (to - before, to - before + len);
    for (from, to) in [(whole, start), (end, whole + len + HUGE)] {
        if from < to {
            // SAFETY: part of the mapping just made, which nobody knows.
            let _ = unsafe { munmap(with_exposed_provenance_mut(from), to - from) };
        }
    }
    Some((to - skew, start, end))
}

/// Bytes of `block` that the program may use; `None`: it is not ours.
pub fn size(block: *mut c_void) -> Option<usize> {
    let entry = find(block.addr())?;
    Some(entry.end.load(Relaxed) - block.addr())
}

/// Gives `block` back; `false`: it is not ours.
pub fn free(fs: Option<&Fs>, block: *mut c_void) -> bool {
    let Some((entry, start, end)) = withdraw(block) else { return false };
    unmap(fs, start, end);
    entry.at.store(0, Release);
    true
}

/// Takes a block out of the table: nobody finds it any more, and its entry is the caller's.
fn withdraw(block: *mut c_void) -> Option<(&'static Entry, usize, usize)> {
    let entry = find(block.addr())?;
    entry.at.compare_exchange(block.addr(), TAKEN, AcqRel, Relaxed).ok()?;
    Some((entry, entry.start.load(Relaxed), entry.end.load(Relaxed)))
}

/// Unmaps a part of a block; the ledger hears of it.
fn unmap(fs: Option<&Fs>, start: usize, end: usize) {
    crate::ranges::UNATTACHABLE.remove(start, end - start);
    // SAFETY: the program gave the block, or this part of it, back.
    let replace = || unsafe { munmap(with_exposed_provenance_mut(start), end - start) }.is_ok();
    match fs {
        Some(fs) => fs.replacing(start, end - start, replace),
        None => _ = replace(),
    }
}

/// Makes `block` `size` bytes long, in place or by moving its pages; `None`: it is not ours, or that can't be done (then it is as it was).
pub fn resize(fs: Option<&Fs>, block: *mut c_void, size: usize) -> Option<*mut c_void> {
    let old = self::size(block)?;
    let at = block.addr();
    if size <= old {
        if size == 0 {
            return None;
        }
        let entry = find(at)?;
        let (end, new_end) = (entry.end.load(Relaxed), (at + size).next_multiple_of(PAGE));
        if new_end < end {
            entry.end.store(new_end, Relaxed);
            unmap(fs, new_end, end);
        }
        return Some(block);
    }
    // Views are mappings of their own, which the kernel does not move together.
    if fs.is_some_and(|fs| fs.has_views(at, old)) || crate::ranges::UNATTACHABLE.meets(at, old) {
        return None;
    }
    let (new_at, new_start, new_end) = map(size, at.next_multiple_of(HUGE) - at)?;
    let (new_entry, kind) = (take_entry(), kind(size));
    let moved = new_entry.and_then(|new_entry| {
        let (entry, start, end) = withdraw(block)?;
        let (from, to) = (with_exposed_provenance_mut(start), with_exposed_provenance_mut(new_start));
        // SAFETY: the block is the program's to resize, and out of the table; the target is ours alone.
        match unsafe { mremap_fixed(from, end - start, new_end - new_start, MremapFlags::MAYMOVE, to) } {
            Ok(_) => {
                entry.at.store(0, Release);
                publish(new_entry, new_at, kind, new_start, new_end);
                Some(with_exposed_provenance_mut(new_at))
            }
            Err(_) => {
                publish(entry, at, kind, start, end);
                None
            }
        }
    });
    if moved.is_none() {
        new_entry.inspect(|entry| entry.at.store(0, Release));
        // SAFETY: mapped above, and nobody knows it.
        let _ = unsafe { munmap(with_exposed_provenance_mut(new_start), new_end - new_start) };
    }
    moved
}

/// Learns from a read of `len` bytes to `to`, from file offset `from()` on.
#[inline]
pub fn learn(to: usize, len: usize, from: impl FnOnce() -> Option<u64>) {
    if len < TEACHES || USED.load(Relaxed) == 0 {
        return;
    }
    if let (Some(entry), Some(from)) = (around(to), from()) {
        let skew = (to - entry.at.load(Relaxed)).wrapping_sub(from as usize) % HUGE;
        if skew.is_multiple_of(ALIGN) {
            SKEWS[entry.kind.load(Relaxed)].0.store(skew, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests share the process's table.
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

    fn fill(block: *mut c_void, len: usize) -> &'static mut [u8] {
        // SAFETY: a block of that size, used by this test alone until it frees it.
        let bytes = unsafe { std::slice::from_raw_parts_mut(block.cast::<u8>(), len) };
        bytes.iter_mut().step_by(PAGE).enumerate().for_each(|(i, b)| *b = (i % 251) as u8 + 1);
        bytes[len - 1] = 7;
        bytes
    }

    #[test]
    fn where_the_program_reads_to_lies_at_a_multiple_of_2_mib() {
        let _alone = ALONE.lock();
        for skew in [0, 32, 128, 5008, HUGE - 16] {
            SKEWS[0].0.store(skew, Relaxed);
            let block = allocate(LARGE + 5, 16).expect("a block");
            assert_eq!((block.addr() + skew) % HUGE, 0);
            fill(block, LARGE + 5);
            assert!(maybe(block) && size(block).is_some_and(|n| (LARGE + 5..LARGE + 5 + PAGE).contains(&n)));
            assert!(free(None, block) && !maybe(block) && !free(None, block));
        }
    }

    #[test]
    fn alignment_is_kept_whatever_was_learned() {
        let _alone = ALONE.lock();
        SKEWS[1].0.store(32, Relaxed);
        for align in [16, 32, 64, PAGE, HUGE] {
            let block = allocate(LARGE, align).expect("a block");
            assert!(block.addr().is_multiple_of(align));
            assert!(free(None, block));
        }
        assert!(allocate(LARGE, 2 * HUGE).is_none() && allocate(LARGE - 1, 16).is_none() && allocate(usize::MAX, 16).is_none());
    }

    #[test]
    fn a_block_grows_and_shrinks_with_its_content() {
        let _alone = ALONE.lock();
        SKEWS[1].0.store(32, Relaxed);
        let block = allocate(LARGE, 16).expect("a block");
        fill(block, LARGE);
        let grown = resize(None, block, 3 * LARGE).expect("it grows");
        assert!(!maybe(block) || block == grown);
        assert_eq!((grown.addr() + 32) % HUGE, 0);
        // SAFETY: a block of that size.
        let bytes = unsafe { std::slice::from_raw_parts(grown.cast::<u8>(), 3 * LARGE) };
        assert!((0..LARGE / PAGE).all(|i| bytes[i * PAGE] == (i % 251) as u8 + 1) && bytes[LARGE - 1] == 7);
        let shrunk = resize(None, grown, LARGE + 1).expect("it shrinks");
        assert_eq!(shrunk, grown);
        assert!(size(shrunk).is_some_and(|n| n < LARGE + PAGE + 1));
        assert_eq!(resize(None, shrunk, 100), Some(shrunk), "as libc's do, it stays where it is");
        assert!(resize(None, shrunk, 0).is_none() && free(None, shrunk));
    }

    #[test]
    fn a_read_teaches_where_blocks_of_its_kind_belong() {
        let _alone = ALONE.lock();
        let skews = || [0, 1].map(skew);
        SKEWS.iter().for_each(|skew| skew.0.store(0, Relaxed));
        let block = allocate(LARGE, 16).expect("a block");
        learn(block.addr() + 48, TEACHES, || Some(0));
        assert_eq!(skews(), [0, 48]);
        learn(block.addr() + 48, TEACHES, || Some(3 * HUGE as u64 + 4096));
        assert_eq!(skews(), [0, HUGE + 48 - 4096]);
        learn(block.addr() + 33, TEACHES, || Some(0));
        learn(block.addr() + 64, TEACHES - 1, || Some(0));
        learn(block.addr() - HUGE * 64, TEACHES, || Some(0));
        assert_eq!(skews(), [0, HUGE + 48 - 4096]);
        assert!(free(None, block));
        let bytes = allocate(LARGE + 33, 16).expect("a block");
        learn(bytes.addr() + 32, TEACHES, || Some(0));
        assert_eq!(skews(), [32, HUGE + 48 - 4096]);
        assert!(free(None, bytes));
    }

    #[test]
    fn a_full_table_leaves_blocks_to_libc() {
        let _alone = ALONE.lock();
        let blocks: Vec<_> = std::iter::from_fn(|| allocate(LARGE, 16)).take(MOST + 1).collect();
        assert!(blocks.len() <= MOST && allocate(LARGE, 16).is_none());
        assert!(blocks.into_iter().all(|block| free(None, block)));
    }
}
