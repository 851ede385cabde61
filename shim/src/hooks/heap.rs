//! malloc and its kin. Blocks of 32 MiB and more are placed so that reads into them can be attached (`blocks`); the rest is libc's, at the cost of a comparison. Of libc's own blocks
//! only realloc matters: it moves a large one by an mremap that our hook does not see, so attached pages in it become ordinary memory first.
//!
//! A program may have an allocator of its own, which then serves all libraries, this one too: `build.rs` leaves these names to the loader. Such an allocator may be a wrapper that asks for
//! the next function of the name, and that is ours; so what is called here is what comes next, not what the program has.
#![expect(unsafe_code, reason = "asks malloc for the size of a block, copies a block to another")]

use crate::blocks::{self, LARGE};
use crate::boundary::{Answer, Escape, call_out};
use crate::{config, space};
use libc::{c_int, c_void, size_t};

/// From this size on glibc gives a block a mapping of its own.
const MAPPED: usize = 128 << 10;
const ALIGN: usize = 16;

/// Whether a new block is ours.
#[inline(always)]
fn is_large(size: usize) -> bool {
    size >= LARGE && places_blocks()
}

#[cold]
fn places_blocks() -> bool {
    config::on() && config::settings().is_some_and(|s| s.place)
}

fn allocate(size: usize, align: usize) -> Answer<*mut c_void> {
    blocks::allocate(size, align).ok_or(Escape::NotOurs)
}

hook! {
    /// `malloc(3)`.
    fn malloc(size: size_t) -> *mut c_void, when(is_large(size)) {
        allocate(size, ALIGN)
    }
}

hook! {
    /// `calloc(3)`.
    fn calloc(count: size_t, size: size_t) -> *mut c_void, when(is_large(count.saturating_mul(size))) {
        allocate(count.checked_mul(size).ok_or(Escape::NotOurs)?, ALIGN)
    }
}

hook! {
    /// `memalign(3)`.
    fn memalign(align: size_t, size: size_t) -> *mut c_void, also(aligned_alloc), when(is_large(size)) {
        if align.is_power_of_two() { allocate(size, align) } else { Err(Escape::NotOurs) }
    }
}

hook! {
    /// `valloc(3)`.
    fn valloc(size: size_t) -> *mut c_void, also(pvalloc), when(is_large(size)) {
        allocate(size, flac::units::PAGE)
    }
}

hook! {
    /// `posix_memalign(3)`: returns the error.
    fn posix_memalign(to: *mut *mut c_void, align: size_t, size: size_t) -> c_int, when(is_large(size)) {
        if !align.is_power_of_two() || !align.is_multiple_of(size_of::<usize>()) {
            return Err(Escape::NotOurs);
        }
        let block = allocate(size, align)?;
        // SAFETY: the program's place for the result.
        unsafe { to.write(block) };
        Ok(0)
    }
}

hook! {
    /// `free(3)`.
    fn free(block: *mut c_void) -> (), when(blocks::maybe(block)) {
        if blocks::free(space::opened(), block) { Ok(()) } else { Err(Escape::NotOurs) }
    }
}

hook! {
    /// `malloc_usable_size(3)`.
    fn malloc_usable_size(block: *mut c_void) -> size_t, when(blocks::maybe(block)) {
        blocks::size(block).ok_or(Escape::NotOurs)
    }
}

/// The functions behind ours.
mod next {
    use crate::real::Symbol;
    use libc::{c_void, size_t};

    /// # Safety
    /// As for libc's.
    pub(super) unsafe fn malloc(size: size_t) -> *mut c_void {
        static REAL: Symbol = Symbol::new();
        // SAFETY: every libc has it, of this type.
        let function =
            unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn(size_t) -> *mut c_void>(REAL.get(c"malloc")) };
        // SAFETY: as the caller says.
        unsafe { function(size) }
    }

    /// # Safety
    /// As for libc's.
    pub(super) unsafe fn malloc_usable_size(block: *mut c_void) -> size_t {
        static REAL: Symbol = Symbol::new();
        let at = REAL.get(c"malloc_usable_size");
        // SAFETY: glibc has it, of this type.
        let function = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn(*mut c_void) -> size_t>(at) };
        // SAFETY: as the caller says.
        unsafe { function(block) }
    }
}

/// Reallocates a block of ours.
fn resize(block: *mut c_void, size: usize) -> Answer<*mut c_void> {
    let fs = space::opened();
    if let Some(block) = blocks::resize(fs, block, size) {
        return Ok(block);
    }
    let Some(old) = blocks::size(block) else { return Err(Escape::NotOurs) };
    if size == 0 {
        blocks::free(fs, block);
        return Ok(std::ptr::null_mut());
    }
    let new = match blocks::allocate(size, ALIGN) {
        Some(new) => new,
        // SAFETY: libc's allocator, from outside our code.
        None => call_out(|| unsafe { next::malloc(size) }),
    };
    if new.is_null() {
        return Err(Escape::Fail(libc::ENOMEM));
    }
    // SAFETY: two blocks, each as long as that.
    unsafe { std::ptr::copy_nonoverlapping(block.cast::<u8>(), new.cast(), old.min(size)) };
    blocks::free(fs, block);
    Ok(new)
}

fn settle<T>(block: *mut c_void) -> Answer<T> {
    if let Some(fs) = space::opened()
        && !block.is_null()
    {
        // SAFETY: a block of malloc's, as the program says by its call.
        let size = unsafe { next::malloc_usable_size(block) };
        if size >= MAPPED && fs.has_views(block.addr(), size) {
            fs.privatize(block.addr(), size)?;
        }
    }
    Err(Escape::NotOurs)
}

/// Whether something may be attached at all.
fn in_use() -> bool {
    space::opened().is_some_and(flac::Fs::has_any_view)
}

fn reallocate(block: *mut c_void, size: usize) -> Answer<*mut c_void> {
    match block.is_null() {
        true => allocate(size, ALIGN),
        false if blocks::maybe(block) => resize(block, size),
        false => settle(block),
    }
}

hook! {
    /// `realloc(3)`.
    fn realloc(block: *mut c_void, size: size_t) -> *mut c_void,
    when(blocks::maybe(block) || in_use() || (block.is_null() && is_large(size))) {
        reallocate(block, size)
    }
}

hook! {
    /// `reallocarray(3)`.
    fn reallocarray(block: *mut c_void, count: size_t, size: size_t) -> *mut c_void,
    when(blocks::maybe(block) || in_use() || (block.is_null() && is_large(count.saturating_mul(size)))) {
        reallocate(block, count.checked_mul(size).ok_or(Escape::Fail(libc::ENOMEM))?)
    }
}
