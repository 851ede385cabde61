//! realloc: libc moves a large block by an mremap of its own, which our hook does not see. Attached pages in it become ordinary memory first.
#![expect(unsafe_code, reason = "asks malloc for the size of a block")]

use crate::boundary::{Answer, Escape};
use crate::space;
use libc::{c_void, size_t};

/// From this size on glibc gives a block a mapping of its own.
const MAPPED: usize = 128 << 10;

fn settle<T>(block: *mut c_void) -> Answer<T> {
    if let Some(fs) = space::opened()
        && !block.is_null()
    {
        // SAFETY: a block of malloc's, as the program says by its call.
        let size = unsafe { libc::malloc_usable_size(block) };
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

hook! {
    /// `realloc(3)`.
    fn realloc(block: *mut c_void, size: size_t) -> *mut c_void, when(in_use()) {
        settle(block)
    }
}

hook! {
    /// `reallocarray(3)`.
    fn reallocarray(block: *mut c_void, count: size_t, size: size_t) -> *mut c_void, when(in_use()) {
        settle(block)
    }
}
