#![expect(unsafe_code, reason = "C calls in, with raw pointers")]
//! The FLAC space for programs in C: `libflac.so`, `libflac.a` and `flac.h`, which is made from this file.
//!
//! Thin: each call checks its pointers and calls `flac::space`. What is here is the one space of the process, and what `fork` and `exit` need.

mod process;

use flac_space::space::{Change, FlushHandle, PMode, SpaceOptions};
use flac_space::{Error, Result};
use process::call;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An address in the FLAC space, in bytes: 0 to FLAC_SPAN - 1.
#[allow(non_camel_case_types, reason = "a name for C")]
pub type flac_addr = u64;

/// Bytes of addresses in the FLAC space.
pub const FLAC_SPAN: u64 = 70368744177664;
/// Bytes of a page: what pflush_add, pfree and flac_attach work on.
pub const FLAC_PAGE: usize = 4096;
/// The longest key of a metalog record, in bytes.
pub const FLAC_KEY_MAX: usize = 255;
/// The longest value of a metalog record, in bytes.
pub const FLAC_VALUE_MAX: usize = 65536;

/// flac_attach: for reading only.
pub const FLAC_READ: c_int = 1;
/// flac_attach: for reading and writing; a page that is written becomes the program's own copy.
pub const FLAC_COPY_ON_WRITE: c_int = 3;

const _: () = assert!(FLAC_SPAN == flac_space::space::SPAN && FLAC_PAGE == flac_space::units::PAGE);
const _: () = assert!(FLAC_KEY_MAX == flac_space::space::KEY_MAX && FLAC_VALUE_MAX == flac_space::space::VALUE_MAX);

/// What init_flac calls with each metalog record; the memory is valid during the call only. It may call everything but init_flac and exit_flac.
#[allow(non_camel_case_types, reason = "a name for C")]
pub type flac_recover =
    Option<unsafe extern "C" fn(context: *mut c_void, key: *const c_void, key_size: usize, value: *const c_void, value_size: usize)>;

/// How a space is opened. All zero is what init_flac takes for NULL.
#[repr(C)]
#[allow(non_camel_case_types, reason = "a name for C")]
pub struct flac_options {
    /// Bytes that a pool made by this call can hold; 0: half of what is free there.
    pub pool_size: u64,
    /// Bytes of the cache in memory, if this process is the first to open the pool; 0: half of the memory.
    pub dram_size: u64,
    /// Gets the records, in ascending order of the keys; NULL: nobody does.
    pub recover: flac_recover,
    /// Handed to recover.
    pub context: *mut c_void,
}

/// A change of one metalog record.
#[repr(C)]
#[allow(non_camel_case_types, reason = "a name for C")]
pub struct flac_change {
    /// The key, and its bytes: 1 to FLAC_KEY_MAX.
    pub key: *const c_void,
    /// Bytes of the key.
    pub key_size: usize,
    /// The value; NULL: the record is deleted.
    pub value: *const c_void,
    /// Bytes of the value, at most FLAC_VALUE_MAX.
    pub value_size: usize,
}

/// Changes of metalog records, made in this order. NULL in place of a pointer to it: none.
#[repr(C)]
#[allow(non_camel_case_types, reason = "a name for C")]
pub struct flac_metalog {
    /// The changes.
    pub changes: *const flac_change,
    /// How many.
    pub count: usize,
}

/// Pages on their way into the pool. Made by the first pflush_add, gone with pflush_commit or pflush_cancel.
#[allow(non_camel_case_types, reason = "a name for C")]
pub struct pflush_handle(FlushHandle<'static>);

/// Makes the pool in the directory `pm_path` (with the directory) if there is none, opens its FLAC space, and hands every metalog record to
/// options->recover. After a crash the space is as the last durable commit left it; while other processes have it open, it is as they see it. What was
/// uncommitted when the last process left it is gone.
///
/// A process has one space. Called again with the same path this only hands over the records again, as they are by then, those of other
/// processes included. `options` may be NULL.
///
/// Returns 0, or: -EINVAL: pm_path is NULL; -EBUSY: this process has a space of another path; -ENFILE: too many processes use the pool; -EIO: the pool can't be
/// made or used as it is, or is damaged (flac_error() says more); the errno of a failed system call.
///
/// Threads: one at a time. Processes: any number may open a pool; who dies leaves nothing that others wait for. A process that has the preload
/// library on the same pool must not call this.
///
/// # Safety
/// The pointers are valid, pm_path ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_flac(pm_path: *const c_char, options: *const flac_options) -> c_int {
    if pm_path.is_null() {
        return -libc::EINVAL;
    }
    // SAFETY: not null, and the caller says that it is a string.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(pm_path) }.to_bytes()));
    // SAFETY: null, or the caller's structure.
    let options = unsafe { options.as_ref() };
    let sizes = options.map_or(SpaceOptions::default(), |o| SpaceOptions { pool_size: o.pool_size, dram_size: o.dram_size });
    let (recover, context) = options.map_or((None, std::ptr::null_mut()), |o| (o.recover, o.context));
    let mut hand_over = |key: &[u8], value: &[u8]| {
        if let Some(recover) = recover {
            // SAFETY: the caller's function, called as it was declared.
            unsafe { recover(context, key.as_ptr().cast(), key.len(), value.as_ptr().cast(), value.len()) };
        }
    };
    status(process::open(path, &sizes).and_then(|()| call(|space| space.recover(&mut hand_over))))
}

/// Moves `size` bytes (any number) from the address `from_addr` of the space to `to_addr`. Whole pages are mapped instead of copied (copy-on-write on both
/// sides) where to_addr and from_addr agree modulo 4096, there are 64 KiB or more in private memory, and mapping is faster. What was never
/// moved in, or was freed, reads as zeros. Later changes of the space do not change what was read. Before memory that received pages is unmapped
/// nothing has to be done.
///
/// Returns 0, or: -EINVAL: beyond FLAC_SPAN; -ENOMEM: the cache is full of uncommitted pages; -EIO: a page could not be read or fails its
/// checksum; -ENXIO: no init_flac. After an error a part may have been moved. Memory that is not the caller's faults, as with memcpy.
///
/// Durability: changes nothing. Threads and processes: any number at a time; a transfer of up to one page sees each page before or after
/// a simultaneous zcopy_to_flac, never a mix.
///
/// # Safety
/// `size` bytes at to_addr are the caller's to write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zcopy_from_flac(to_addr: *mut c_void, from_addr: flac_addr, size: usize) -> c_int {
    // SAFETY: the caller's buffer.
    status(call(|space| unsafe { space.zcopy_from_flac(to_addr.cast(), from_addr, size) }))
}

/// Moves `size` bytes (any number) from `from_addr` to the address `to_addr` of the space. All processes see them at once. They are
/// uncommitted: a crash, or the end of the last process that has the space open, undoes them unless their pages are committed. Nobody else's
/// flush commits them.
///
/// Returns 0, or: -EINVAL: beyond FLAC_SPAN; -ENOSPC: the pool has no room for the pages, with what is to be committed already; -ENOMEM: the cache is full
/// of uncommitted pages; -EIO; -ENXIO: no init_flac. After an error a part may have been moved. Memory that is not the caller's faults, as with memcpy.
///
/// Durability: none. Threads and processes: any number at a time; of two simultaneous transfers to the same page either may be the last.
///
/// # Safety
/// `size` bytes at from_addr are the caller's to read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zcopy_to_flac(to_addr: flac_addr, from_addr: *const c_void, size: usize) -> c_int {
    // SAFETY: the caller's buffer.
    status(call(|space| unsafe { space.zcopy_to_flac(to_addr, from_addr.cast(), size) }))
}

/// Adds the pages of `size` bytes from `addr` on, both multiples of 4096, to the handle `*handle`, with the content that they have now: what is moved there
/// later is not in the commit, unless they are added again. If *handle is NULL a handle is made. Takes microseconds; writes nothing.
///
/// Returns 0, or: -EINVAL: handle is NULL, not aligned, size 0, beyond FLAC_SPAN, or a handle from before fork(); -EBUSY: one of the pages is in another handle, of
/// any process, that is not committed; -ENOLCK, -ENFILE, -EMFILE: too many ranges or handles; -ENOSPC; -ENXIO: no init_flac. The handle keeps what it had.
///
/// Durability: none. Threads: a handle is for one at a time; different handles are independent. Processes: a handle belongs to its process, and its pages are free
/// again when that ends. A forked child has no handles.
///
/// # Safety
/// `handle` is valid, and *handle NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pflush_add(handle: *mut *mut pflush_handle, addr: flac_addr, size: usize) -> c_int {
    // SAFETY: null, or the caller's variable.
    let Some(handle) = (unsafe { handle.as_mut() }) else { return -libc::EINVAL };
    // SAFETY: null, or made below and not yet given back.
    if let Some(known) = unsafe { handle.as_mut() } {
        return status(call(|_| known.0.pflush_add(addr, size as u64)));
    }
    let made = call(|space| {
        let mut made = FlushHandle::new(space)?;
        made.pflush_add(addr, size as u64)?;
        Ok(made)
    });
    status(made.map(|made| *handle = Box::into_raw(Box::new(pflush_handle(made)))))
}

/// Makes the handle's pages and the changes of the metalog durable, in one step: after a crash either all of it is there or nothing. *handle becomes NULL, in any
/// case. With *handle NULL the changes alone are made. fs_metalog may be NULL.
///
/// Returns 0, or: -EINVAL: handle is NULL, an empty key, a handle from before fork(); -E2BIG: a key or a value is too long; -EFBIG: more than the pool's log takes at once
/// (some thousand pages in a small pool; add fewer); -ENOSPC, -EIO: the medium failed; -ENXIO: no init_flac. Nothing was committed then, and the pages are uncommitted as
/// before; only if the very last step, the flush of the log, failed, others see the commit already and a crash decides.
///
/// Durability: when this returns 0, pages and records survive a power cut. Commits survive in the order in which they were made: a later one is never
/// there without an earlier one. Threads and processes: any number at a time; those that wait for the medium at the same time share one flush.
///
/// # Safety
/// `handle` is valid, *handle NULL or a handle; the metalog's pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pflush_commit(handle: *mut *mut pflush_handle, fs_metalog: *const flac_metalog) -> c_int {
    // SAFETY: null, or the caller's variable.
    let Some(handle) = (unsafe { handle.as_mut() }) else { return -libc::EINVAL };
    let taken = std::mem::replace(handle, std::ptr::null_mut());
    // SAFETY: made by `pflush_add`, and given back here once.
    let taken = (!taken.is_null()).then(|| unsafe { Box::from_raw(taken) }.0);
    status(call(|space| {
        let handle = taken.map_or_else(|| FlushHandle::new(space), Ok)?;
        // SAFETY: the caller's metalog.
        handle.pflush_commit(&unsafe { changes(fs_metalog) }?)
    }))
}

/// Gives the handle's pages back: they are uncommitted as before. *handle becomes NULL. NULL is ignored.
///
/// # Safety
/// `handle` is NULL or valid, *handle NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pflush_cancel(handle: *mut *mut pflush_handle) {
    // SAFETY: null, or the caller's variable.
    if let Some(handle) = unsafe { handle.as_mut() } {
        let taken = std::mem::replace(handle, std::ptr::null_mut());
        if !taken.is_null() {
            // SAFETY: made by `pflush_add`, and given back here once.
            let taken = unsafe { Box::from_raw(taken) };
            let _ = call(|_| {
                drop(taken);
                Ok(())
            });
        }
    }
}

/// Frees the pages of `size` bytes from `addr` on, both multiples of 4096, committed or not, and makes the changes of the metalog, durably and in one step. The range
/// reads as zeros; memory that its pages were attached to keeps them. fs_metalog may be NULL.
///
/// Returns 0, or the errors of pflush_add and pflush_commit; nothing was freed then. Needs no room in the pool. Threads and processes: any number at a time.
///
/// # Safety
/// The metalog's pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfree(addr: flac_addr, size: usize, fs_metalog: *const flac_metalog) -> c_int {
    // SAFETY: the caller's metalog.
    status(call(|space| space.pfree(addr, size as u64, &unsafe { changes(fs_metalog) }?)))
}

/// Maps the pages of `size` bytes from the address `from_addr` of the space on at `to_addr`, in place of what is mapped there; all three are multiples of 4096. Copy-on-write
/// on both sides. Short runs of pages (below 64 KiB) are copied. `pmode`: FLAC_READ or FLAC_COPY_ON_WRITE. munmap() ends it.
///
/// Returns 0, or: -EINVAL: not aligned, size 0, beyond FLAC_SPAN, another pmode; -ENOMEM: too many mappings, or the cache is full of uncommitted pages; -EIO; -ENXIO:
/// no init_flac. After an error nothing is mapped at to_addr. Durability: changes nothing. Threads and processes: as zcopy_from_flac.
///
/// # Safety
/// `size` bytes at to_addr are the caller's to replace, as for mmap() with MAP_FIXED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flac_attach(to_addr: *mut c_void, from_addr: flac_addr, size: usize, pmode: c_int) -> c_int {
    let mode = match pmode {
        FLAC_READ => PMode::Read,
        FLAC_COPY_ON_WRITE => PMode::CopyOnWrite,
        _ => return -libc::EINVAL,
    };
    // SAFETY: the caller's range.
    status(call(|space| unsafe { space.attach(to_addr.cast(), from_addr, size, mode) }))
}

/// Leaves the space: what is uncommitted goes if nobody else has it open. exit() does the same. No handle may be left, and no other thread may be in
/// a call. The process can't open a space again. Returns 0, or -ENXIO: no init_flac.
#[unsafe(no_mangle)]
pub extern "C" fn exit_flac() -> c_int {
    status(process::leave())
}

/// What went wrong in the last call of this thread that failed with -EIO, for people; an empty string if none did. Valid until this thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn flac_error() -> *const c_char {
    process::with_said(|said| said.as_ptr())
}

/// # Safety
/// The pointers are valid.
unsafe fn changes<'a>(metalog: *const flac_metalog) -> Result<Vec<Change<'a>>> {
    // SAFETY: null, or the caller's structure.
    let Some(metalog) = (unsafe { metalog.as_ref() }) else { return Ok(Vec::new()) };
    let bytes = |at: *const c_void, size: usize| match size {
        0 => &[][..],
        // SAFETY: the caller says that there are so many bytes.
        _ => unsafe { std::slice::from_raw_parts(at.cast::<u8>(), size) },
    };
    let list = match metalog.count {
        0 => &[][..],
        _ if metalog.changes.is_null() => return Err(Error::Os(libc::EINVAL)),
        // SAFETY: as above.
        count => unsafe { std::slice::from_raw_parts(metalog.changes, count) },
    };
    list.iter()
        .map(|c| match c.key.is_null() {
            true => Err(Error::Os(libc::EINVAL)),
            false => Ok(Change { key: bytes(c.key, c.key_size), value: (!c.value.is_null()).then(|| bytes(c.value, c.value_size)) }),
        })
        .collect()
}

fn status(result: Result<()>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(e) => {
            process::say(&e);
            -e.errno()
        }
    }
}
