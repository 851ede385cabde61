//! Memory for our own tables, from a heap of our own.
//!
//! The program's `malloc` may not be asked from where a hook runs: it may be what called the hook (jemalloc reads a link when it begins), with a lock of its own held; a signal handler
//! that uses a file may have interrupted it; and it may not be there yet. So what Rust allocates in this library comes from the kernel, by way of dlmalloc. What LMDB takes for itself
//! comes from here, too (`flac::kv`); what a program is given to free does not (`abi`).
#![expect(unsafe_code, reason = "an allocator")]

use crate::thread;
use dlmalloc::{Allocator, Dlmalloc};
use flac::sync::Backoff;
use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap, munmap};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What there is before the kernel is asked: enough for a process that opens a pool and little more, as pages that cost nothing until they are used.
const FIRST: usize = 256 << 10;
/// For a signal handler that came while its thread was in here, outside of our other code (such handlers are not put off), and for when the kernel has no more: no mapping beyond its
/// 65,530, no address space. Enough for the buffer of a flush, and for a copy of it that grows. Costs nothing until it is used; used again when all of it was given back.
const RESERVE: usize = 3 << 20;

/// From this size on a block is a mapping of its own: zeros without our writing them, and so no memory before it is used (LMDB takes 2 MiB and a little more than 1 MiB, and uses little of
/// them). Smaller ones, like the 1 MiB that a flush writes from, are better used again.
const OWN_MAPPING: usize = (1 << 20) + 1;

#[global_allocator]
static HEAP: Heap = Heap { owner: AtomicUsize::new(0), heap: UnsafeCell::new(Dlmalloc::new_with_allocator(Pages)) };

struct Heap {
    /// Which thread is in it, by the address of its flags; 0: none.
    owner: AtomicUsize,
    heap: UnsafeCell<Dlmalloc<Pages>>,
}

// SAFETY: `heap` is reached with `owner` held only.
unsafe impl Sync for Heap {}

/// Memory that is there from the start, and costs nothing until it is used. Not aligned to pages: else all our variables were, and began on a page that nothing else has touched.
#[repr(align(16))]
struct Given<const SIZE: usize>(UnsafeCell<[u8; SIZE]>);

/// The parts of [`RESERVE_USED`].
const ONE_BLOCK: u64 = 1 << 32;
const BYTES_USED: u64 = ONE_BLOCK - 1;

// SAFETY: bytes are touched only by whom they were given to.
unsafe impl<const SIZE: usize> Sync for Given<SIZE> {}

#[unsafe(link_section = ".sbss.large")]
static RESERVED: Given<RESERVE> = Given(UnsafeCell::new([0; RESERVE]));
/// Blocks of the reserve that are in use (upper half), and bytes taken.
static RESERVE_USED: AtomicU64 = AtomicU64::new(0);
#[unsafe(link_section = ".sbss.large")]
static FIRST_PAGES: Given<FIRST> = Given(UnsafeCell::new([0; FIRST]));
static FIRST_TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether a `fork` under way took the heap for itself.
static FORKING: AtomicBool = AtomicBool::new(false);

impl Heap {
    /// Runs `f` alone; `None` if this thread is in here already.
    fn with<R>(&self, f: impl FnOnce(&mut Dlmalloc<Pages>) -> R) -> Option<R> {
        self.enter().then(|| {
            // SAFETY: `owner` is ours.
            let result = f(unsafe { &mut *self.heap.get() });
            self.leave();
            result
        })
    }

    fn enter(&self) -> bool {
        let me = ptr::from_ref(thread::flags()).addr();
        let mut backoff = Backoff::default();
        while let Err(owner) = self.owner.compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed) {
            if owner == me {
                return false;
            }
            backoff.wait();
        }
        true
    }

    fn leave(&self) {
        self.owner.store(0, Ordering::Release);
    }
}

fn from_reserve(layout: Layout) -> *mut u8 {
    let size = (layout.size().saturating_add(layout.align())).saturating_add(15) & !15;
    let taken = RESERVE_USED.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
        let fits = used & BYTES_USED <= (RESERVE as u64).checked_sub(size as u64)?;
        fits.then(|| used + ONE_BLOCK + size as u64)
    });
    let Ok(used) = taken else { return ptr::null_mut() };
    let base = RESERVED.0.get().cast::<u8>();
    let at = base.with_addr((base.addr() + (used & BYTES_USED) as usize).next_multiple_of(layout.align()));
    // SAFETY: as many bytes were taken, and they may have been used before.
    unsafe { at.write_bytes(0, layout.size()) };
    at
}

fn back_to_reserve() {
    let given_back = |used: u64| Some(if used >> 32 == 1 { 0 } else { used - ONE_BLOCK });
    let _ = RESERVE_USED.fetch_update(Ordering::AcqRel, Ordering::Relaxed, given_back);
}

fn is_reserve(at: *mut u8) -> bool {
    at.addr().wrapping_sub(RESERVED.0.get().addr()) < RESERVE
}

fn has_own_mapping(layout: Layout) -> bool {
    layout.size() >= OWN_MAPPING && layout.align() <= flac::units::PAGE
}

// SAFETY: blocks are dlmalloc's, handed out under a lock, mappings, or parts of the reserve, each handed out once.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = match has_own_mapping(layout) {
            true => Some(Pages.alloc(layout.size()).0),
            // SAFETY: the caller's layout has a size.
            false => self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) }),
        };
        block.filter(|block| !block.is_null()).unwrap_or_else(|| from_reserve(layout))
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let block = match has_own_mapping(layout) {
            true => Some(Pages.alloc(layout.size()).0),
            // SAFETY: as above. What is from the reserve is zeros in any case.
            false => self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) }),
        };
        block.filter(|block| !block.is_null()).unwrap_or_else(|| from_reserve(layout))
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if is_reserve(at) {
            back_to_reserve();
        } else if has_own_mapping(layout) {
            Pages.free(at, layout.size());
        } else {
            // SAFETY: the caller's block, of that layout. What can't be given back now stays taken.
            let _ = self.with(|heap| unsafe { heap.free(at, layout.size(), layout.align()) });
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        // SAFETY: the caller's layout, with the size that it promises to be fit for it.
        let (old_mapped, new_mapped) =
            (has_own_mapping(layout), has_own_mapping(unsafe { Layout::from_size_align_unchecked(new, layout.align()) }));
        if !is_reserve(at) && old_mapped == new_mapped {
            let moved = match new_mapped {
                true => Some(Pages.remap(at, layout.size(), new, true)),
                // SAFETY: the caller's block, of that layout.
                false => self.with(|heap| unsafe { heap.realloc(at, layout.size(), layout.align(), new) }),
            };
            if let Some(moved) = moved.filter(|moved| !moved.is_null()) {
                return moved;
            }
        }
        // SAFETY: the caller's promises about `layout` and `new` are those of `alloc`, the blocks do not overlap, and the old one holds its size.
        unsafe {
            let to = self.alloc(Layout::from_size_align_unchecked(new, layout.align()));
            if !to.is_null() {
                ptr::copy_nonoverlapping(at, to, layout.size().min(new));
                self.dealloc(at, layout);
            }
            to
        }
    }
}

/// Before `fork`, as the last to be called: no other thread is in the heap when the child gets its copy. (This thread may be, if a signal handler forks: it goes on in both.)
pub extern "C" fn before_fork() {
    if HEAP.enter() {
        FORKING.store(true, Ordering::Relaxed);
    }
}

/// After `fork`, in parent and child, as the first to be called.
pub extern "C" fn after_fork() {
    if FORKING.swap(false, Ordering::Relaxed) {
        HEAP.leave();
    }
}

/// Where dlmalloc gets its memory.
struct Pages;

/// The flag of dlmalloc's segments that are not the kernel's to take back.
const STATIC: u32 = 1;

// SAFETY: what is handed out is mapped, nobody else's, and stays until it is given back.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size <= FIRST && !FIRST_TAKEN.swap(true, Ordering::Relaxed) {
            return (FIRST_PAGES.0.get().cast(), FIRST, STATIC);
        }
        // SAFETY: fresh memory, where the kernel likes.
        match unsafe { mmap_anonymous(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) } {
            Ok(at) => (at.cast(), size, 0),
            Err(_) => (ptr::null_mut(), 0, 0),
        }
    }

    fn remap(&self, at: *mut u8, old: usize, new: usize, can_move: bool) -> *mut u8 {
        let flags = if can_move { MremapFlags::MAYMOVE } else { MremapFlags::empty() };
        // SAFETY: a block of `alloc`'s that dlmalloc gives up for the new one.
        unsafe { mremap(at.cast(), old, new, flags) }.map_or(ptr::null_mut(), <*mut _>::cast)
    }

    fn free_part(&self, at: *mut u8, old: usize, new: usize) -> bool {
        // SAFETY: the end of a block of `alloc`'s, which dlmalloc gives up.
        unsafe { munmap(at.add(new).cast(), old - new) }.is_ok()
    }

    fn free(&self, at: *mut u8, size: usize) -> bool {
        // SAFETY: a block of `alloc`'s that dlmalloc gives up.
        unsafe { munmap(at.cast(), size) }.is_ok()
    }

    fn can_release_part(&self, flags: u32) -> bool {
        flags & STATIC == 0
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        flac::units::PAGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, PoisonError};

    /// Held by the tests that count on the reserve being unused.
    static RESERVE_IS_MINE: Mutex<()> = Mutex::new(());

    #[test]
    fn whoever_comes_again_on_the_same_thread_gets_memory_all_the_same() {
        let _mine = RESERVE_IS_MINE.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(HEAP.enter());
        let layout = Layout::from_size_align(100, 64).expect("a layout");
        // SAFETY: a layout with a size; the block is written and given back.
        unsafe {
            let (one, two) = (HEAP.alloc(layout), HEAP.alloc_zeroed(layout));
            assert!(is_reserve(one) && is_reserve(two) && one.addr() % 64 == 0);
            one.write_bytes(7, 100);
            assert!(two.addr().abs_diff(one.addr()) >= 100 && two.read() == 0);
            HEAP.dealloc(one, layout);
            // A handler that forks: the interrupted allocation still has the heap.
            before_fork();
            after_fork();
            assert!(!HEAP.enter());
            HEAP.leave();
            let moved = HEAP.realloc(two, layout, 1000);
            assert!(!is_reserve(moved));
            HEAP.dealloc(moved, Layout::from_size_align(1000, 64).expect("a layout"));
        }
    }

    #[test]
    fn the_reserve_can_be_used_again() {
        let _mine = RESERVE_IS_MINE.lock().unwrap_or_else(PoisonError::into_inner);
        let layout = Layout::from_size_align(1000, 16).expect("a layout");
        // More than it has, in all.
        for _ in 0..RESERVE / 500 {
            assert!(HEAP.enter());
            // SAFETY: a layout with a size; the block is written and given back.
            unsafe {
                let block = HEAP.alloc_zeroed(layout);
                assert!(is_reserve(block) && (0..1000).all(|i| block.add(i).read() == 0));
                block.write_bytes(7, 1000);
                HEAP.leave();
                HEAP.dealloc(block, layout);
            }
        }
    }

    #[test]
    fn regression_where_the_kernel_has_no_more_there_is_the_reserve() {
        let _mine = RESERVE_IS_MINE.lock().unwrap_or_else(PoisonError::into_inner);
        let layouts = [300 << 10, 2 * OWN_MAPPING - (1 << 20)].map(|size| Layout::from_size_align(size, 16).expect("a layout"));
        // SAFETY: a child, forked while no other thread is in the heap, that asks for blocks, writes within them, and ends.
        unsafe {
            before_fork();
            let child = libc::fork();
            after_fork();
            if child == 0 {
                // No mapping more.
                libc::setrlimit(libc::RLIMIT_AS, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
                for _ in 0..20 {
                    for layout in layouts {
                        let block = HEAP.alloc(layout);
                        if block.is_null() {
                            libc::_exit(1);
                        }
                        block.write_bytes(7, layout.size());
                        let grown = HEAP.realloc(block, layout, layout.size() + 100);
                        if grown.is_null() || grown.add(layout.size() - 1).read() != 7 {
                            libc::_exit(2);
                        }
                        HEAP.dealloc(grown, Layout::from_size_align_unchecked(layout.size() + 100, 16));
                    }
                }
                libc::_exit(0);
            }
            let mut status = -1;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            assert_eq!(status, 0);
        }
    }

    #[test]
    fn regression_zeros_take_no_memory_before_they_are_used() {
        let layout = Layout::from_size_align(2 * OWN_MAPPING, 16).expect("a layout");
        // SAFETY: layouts with sizes; blocks are written within them, and given back.
        unsafe {
            let block = HEAP.alloc_zeroed(layout);
            let mut there = vec![0u8; layout.size() / 4096];
            assert_eq!(libc::mincore(block.cast(), layout.size(), there.as_mut_ptr()), 0);
            assert!(there.iter().all(|page| page & 1 == 0));
            block.write_bytes(7, 1000);
            let grown = HEAP.realloc(block, layout, 10 * OWN_MAPPING);
            assert!((0..1000).all(|i| grown.add(i).read() == 7) && grown.add(10 * OWN_MAPPING - 1).read() == 0);
            let small = HEAP.realloc(grown, Layout::from_size_align(10 * OWN_MAPPING, 16).expect("a layout"), 1000);
            assert!((0..1000).all(|i| small.add(i).read() == 7));
            let large = HEAP.realloc(small, Layout::from_size_align(1000, 16).expect("a layout"), OWN_MAPPING);
            assert!((0..1000).all(|i| large.add(i).read() == 7));
            HEAP.dealloc(large, Layout::from_size_align(OWN_MAPPING, 16).expect("a layout"));
        }
    }

    #[test]
    fn many_threads_and_sizes() {
        std::thread::scope(|scope| {
            for seed in 0..4_usize {
                scope.spawn(move || {
                    let mut kept: Vec<Vec<u8>> = Vec::new();
                    for i in 0..20_000 {
                        let size = (i * 7919 + seed * 31) % if i % 100 == 0 { 600_000 } else { 3_000 };
                        kept.push(vec![seed as u8; size]);
                        if kept.len() > 50 {
                            let gone = kept.swap_remove(i % 50);
                            assert!(gone.iter().all(|byte| *byte == seed as u8));
                        }
                    }
                });
            }
        });
    }
}
