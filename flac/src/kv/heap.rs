//! LMDB's memory: what it would have from `malloc` it has from Rust's allocator.
//!
//! In the preload library that is one of its own, because a program's `malloc` may not be called where a file call may: in a signal handler, for one, which may have interrupted it.
//! `.cargo/config.toml` has LMDB compiled so that it calls these; compiled otherwise it calls `malloc`, and all works but that.
#![expect(unsafe_code, reason = "the functions of malloc's kind, for C")]

use std::alloc::Layout;
use std::ffi::{c_char, c_void};
use std::ptr;

// For LMDB only: not among what a library exports.
std::arch::global_asm!(
    ".hidden flac_kv_malloc",
    ".hidden flac_kv_calloc",
    ".hidden flac_kv_realloc",
    ".hidden flac_kv_free",
    ".hidden flac_kv_strdup",
);

/// Before each block lies its size, in as many bytes as C's blocks are aligned to.
const HEAD: usize = 16;

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(HEAD)?, HEAD).ok()
}

/// A block by `alloc`.
fn allocate(size: usize, alloc: unsafe fn(Layout) -> *mut u8) -> *mut c_void {
    let Some(layout) = layout(size) else { return ptr::null_mut() };
    // SAFETY: a layout that has a size; the head lies in it, aligned.
    unsafe {
        let head = alloc(layout);
        if head.is_null() {
            return ptr::null_mut();
        }
        head.cast::<usize>().write(size);
        head.add(HEAD).cast()
    }
}

/// # Safety
/// `block` came from [`allocate`].
unsafe fn size_of_block(block: *mut c_void) -> usize {
    // SAFETY: the head lies before it.
    unsafe { block.byte_sub(HEAD).cast::<usize>().read() }
}

#[unsafe(no_mangle)]
extern "C" fn flac_kv_malloc(size: usize) -> *mut c_void {
    allocate(size, std::alloc::alloc)
}

#[unsafe(no_mangle)]
extern "C" fn flac_kv_calloc(count: usize, size: usize) -> *mut c_void {
    count.checked_mul(size).map_or(ptr::null_mut(), |size| allocate(size, std::alloc::alloc_zeroed))
}

/// As `free`.
#[unsafe(no_mangle)]
unsafe extern "C" fn flac_kv_free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: C's caller gives up a block of ours, of that layout.
    unsafe {
        if let Some(layout) = layout(size_of_block(block)) {
            std::alloc::dealloc(block.byte_sub(HEAD).cast(), layout);
        }
    }
}

/// As `realloc`.
#[unsafe(no_mangle)]
unsafe extern "C" fn flac_kv_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return allocate(size, std::alloc::alloc);
    }
    let Some(new) = layout(size) else { return ptr::null_mut() };
    // SAFETY: C's caller gives up a block of ours, of that layout, if it gets another.
    unsafe {
        let Some(old) = layout(size_of_block(block)) else { return ptr::null_mut() };
        let head = std::alloc::realloc(block.byte_sub(HEAD).cast(), old, new.size());
        if head.is_null() {
            return ptr::null_mut();
        }
        head.cast::<usize>().write(size);
        head.add(HEAD).cast()
    }
}

/// As `strdup`.
#[unsafe(no_mangle)]
unsafe extern "C" fn flac_kv_strdup(text: *const c_char) -> *mut c_char {
    // SAFETY: C's caller passes a string; the block is as long.
    unsafe {
        let bytes = std::ffi::CStr::from_ptr(text).to_bytes_with_nul();
        let to = allocate(bytes.len(), std::alloc::alloc).cast::<u8>();
        if !to.is_null() {
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        to.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_content() {
        // SAFETY: blocks of ours, within their sizes.
        unsafe {
            let zeros = flac_kv_calloc(100, 3).cast::<u8>();
            assert!((0..300).all(|i| zeros.add(i).read() == 0));
            zeros.write_bytes(7, 300);
            let grown = flac_kv_realloc(zeros.cast(), 100_000).cast::<u8>();
            assert!(grown.addr() % 16 == 0 && (0..300).all(|i| grown.add(i).read() == 7));
            let shrunk = flac_kv_realloc(grown.cast(), 10).cast::<u8>();
            assert!((0..10).all(|i| shrunk.add(i).read() == 7));
            flac_kv_free(shrunk.cast());
            let text = flac_kv_strdup(c"a path".as_ptr());
            assert_eq!(std::ffi::CStr::from_ptr(text), c"a path");
            flac_kv_free(text.cast());
            flac_kv_free(ptr::null_mut());
            assert!(flac_kv_calloc(usize::MAX, 2).is_null() && flac_kv_malloc(usize::MAX).is_null());
            flac_kv_free(flac_kv_malloc(0));
        }
    }
}
