#![expect(unsafe_code, reason = "the file that calls mmap")]
//! Mapping shared files, and frames of the DRAM tier, where somebody wants them.

use super::dram::Dram;
use crate::error::{Error, Result};
use crate::units::{FrameNo, PAGE};
use rustix::fd::OwnedFd;
use rustix::mm::{MapFlags, ProtFlags};

/// A mapping that stays until the process ends, unless [`unmap`] takes it back.
pub(super) struct Mapping {
    pub base: *const u8,
    len: usize,
}

/// Bytes in `file`.
pub(super) fn size(file: &OwnedFd) -> Result<usize> {
    Ok(rustix::fs::fstat(file).map_err(Error::io("look at the control segment"))?.st_size as usize)
}

/// Whether this process has a limit on its address space.
pub(super) fn is_address_space_limited() -> bool {
    rustix::process::getrlimit(rustix::process::Resource::As).current.is_some()
}

/// Maps the first `len` bytes of `file`, growing the file to that size.
pub(super) fn shared(file: &OwnedFd, len: usize) -> Result<Mapping> {
    if size(file)? < len {
        rustix::fs::ftruncate(file, len as u64).map_err(Error::io("grow a shared-memory file"))?;
    }
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address the kernel chooses; nothing else is touched.
    let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED | MapFlags::NORESERVE, file, 0) }
        .map_err(Error::io("map shared memory"))?;
    Ok(Mapping { base: base.cast(), len })
}

/// Sees to it that a limit on address space leaves room for `bytes`, before any of it is taken: what was mapped until the room is at its end would be missing to a program that
/// goes on without us.
///
/// # Errors
/// `Io` with `ENOMEM`.
pub(super) fn ensure_address_space(bytes: usize) -> Result<()> {
    if !is_address_space_limited() {
        return Ok(());
    }
    let what = "the limit on address space (ulimit -v) leaves no room for the cache and the index, which are mapped whole";
    // SAFETY: reserves fresh address space, which goes back at once.
    unsafe {
        let space = rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)
            .map_err(Error::io(what))?;
        rustix::mm::munmap(space, bytes).map_err(Error::io(what))
    }
}

/// Takes a mapping back; nothing may refer to it any more.
pub(super) fn unmap(mapping: Mapping) {
    // SAFETY: the mapping is ours, and its only user (the caller's header reference) is not used after this call.
    let _ = unsafe { rustix::mm::munmap(mapping.base.cast_mut().cast(), mapping.len) };
}

/// Maps `pages` frames from `first` on at `addr`, replacing what was there.
///
/// # Safety
/// The caller may replace [addr, addr + pages * PAGE): nobody relies on what is mapped there.
pub unsafe fn map_fixed(dram: &Dram, addr: usize, first: FrameNo, pages: u32, prot: i32, shared: bool) -> Result<()> {
    let share = if shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
    let prot = ProtFlags::from_bits_retain(prot as u32);
    // SAFETY: the caller vouches for the address range; the offset lies inside the tier's file.
    unsafe {
        rustix::mm::mmap(
            addr as *mut _,
            pages as usize * PAGE,
            prot,
            share | MapFlags::FIXED | MapFlags::NORESERVE,
            dram.file(),
            first.get() as u64 * PAGE as u64,
        )
    }
    .map_err(Error::io("map frames"))?;
    Ok(())
}

/// Puts fresh anonymous memory at [addr, addr + len).
///
/// # Safety
/// As for [`map_fixed`].
pub unsafe fn map_anonymous(addr: usize, len: usize) -> Result<()> {
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the caller vouches for the address range.
    unsafe { rustix::mm::mmap_anonymous(addr as *mut _, len, prot, MapFlags::PRIVATE | MapFlags::FIXED) }
        .map_err(Error::io("map anonymous memory"))?;
    Ok(())
}

/// Reserves `len` bytes of address space as `mmap` with `flags` would choose it (`MAP_FIXED`, `MAP_FIXED_NOREPLACE`, or a hint), such that the address is `within` mod
/// `align` where the choice is ours.
///
/// # Safety
/// With `MAP_FIXED` the caller may replace the range.
pub unsafe fn reserve(addr: usize, len: usize, flags: i32, align: usize, within: usize) -> Result<usize> {
    let fixed = flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) != 0;
    let keep = MapFlags::PRIVATE
        | MapFlags::NORESERVE
        | MapFlags::from_bits_retain((flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE | libc::MAP_32BIT)) as u32);
    let slack = if fixed || align <= PAGE { 0 } else { align };
    // SAFETY: the caller vouches for a fixed range; otherwise the kernel chooses.
    let base = unsafe { rustix::mm::mmap_anonymous(addr as *mut _, len + slack, ProtFlags::empty(), keep) }? as usize;
    if slack == 0 {
        return Ok(base);
    }
    let start = (base + align - 1 - within) / align * align + within;
    // The slack on both sides goes back.
    for (from, to) in [(base, start), (start + len, base + len + slack)] {
        if to > from {
            // SAFETY: part of what was just reserved.
            unsafe { unmap_range(from, to - from) };
        }
    }
    Ok(start)
}

/// Unmaps a range.
///
/// # Safety
/// The range is the caller's.
pub unsafe fn unmap_range(addr: usize, len: usize) {
    // SAFETY: the caller vouches for the range.
    let _ = unsafe { rustix::mm::munmap(addr as *mut _, len) };
}

/// Sets the protection of a range.
///
/// # Safety
/// The range is the caller's.
pub unsafe fn protect(addr: usize, len: usize, prot: i32) -> Result<()> {
    let prot = rustix::mm::MprotectFlags::from_bits_retain(prot as u32);
    // SAFETY: the caller vouches for the range.
    unsafe { rustix::mm::mprotect(addr as *mut _, len, prot) }.map_err(Error::io("protect a mapping"))
}

/// Maps `file` from `offset` on over a range.
///
/// # Safety
/// The range is the caller's.
pub unsafe fn map_file(file: &OwnedFd, addr: usize, len: usize, prot: i32, shared: bool, offset: u64) -> Result<()> {
    let share = if shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
    // SAFETY: the caller vouches for the range.
    unsafe { rustix::mm::mmap(addr as *mut _, len, ProtFlags::from_bits_retain(prot as u32), share | MapFlags::FIXED, file, offset) }
        .map_err(Error::io("map a file"))?;
    Ok(())
}
