#![expect(unsafe_code, reason = "wraps the libc calls on memory mappings")]
//! Mappings. Bytes go in and out by copy, so that no Rust reference points into memory that others change.

use super::{Errno, Raw, Sys, call};

/// The page size of the machine.
pub fn page() -> usize {
    // SAFETY: no pointers.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a page size")
}

/// A mapped range, unmapped when dropped. Parts of it may be unmapped or protected by a case; touching those kills it.
#[derive(Debug)]
pub struct Map {
    address: usize,
    length: usize,
}

fn mapped(address: *mut libc::c_void, length: usize) -> Sys<Map> {
    if address == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    Ok(Map { address: address.expose_provenance(), length })
}

/// `mmap` of a descriptor.
pub fn mmap(fd: impl Raw, length: usize, protection: i32, flags: i32, offset: i64) -> Sys<Map> {
    // SAFETY: the kernel chooses the address, so nothing that exists is replaced.
    mapped(unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, fd.raw(), offset) }, length)
}

/// `mmap` of anonymous memory, private or shared by `flags`, readable and writable.
pub fn anonymous(length: usize, flags: i32) -> Sys<Map> {
    mmap(-1, length, libc::PROT_READ | libc::PROT_WRITE, flags | libc::MAP_ANONYMOUS, 0)
}

impl Map {
    pub fn address(&self) -> usize {
        self.address
    }

    pub fn len(&self) -> usize {
        self.length
    }

    fn at(&self, offset: usize, length: usize) -> *mut u8 {
        assert!(offset + length <= self.length, "inside the mapping");
        std::ptr::with_exposed_provenance_mut(self.address + offset)
    }

    /// Copies bytes out of the mapping.
    pub fn get(&self, offset: usize, length: usize) -> Vec<u8> {
        let mut bytes = vec![0_u8; length];
        // SAFETY: the range lies inside the mapping; a case that unmapped it expects to be killed here.
        unsafe { std::ptr::copy_nonoverlapping(self.at(offset, length), bytes.as_mut_ptr(), length) };
        // A caller who only wants the touch drops the bytes: the copy must happen all the same.
        std::hint::black_box(bytes)
    }

    /// Copies bytes into the mapping.
    pub fn put(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: as for `get`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(offset, bytes.len()), bytes.len()) };
    }

    /// `munmap` of a part.
    pub fn unmap_part(&self, offset: usize, length: usize) -> Sys<()> {
        call!(libc::munmap(self.at(offset, length).cast(), length)).map(drop)
    }

    /// `mprotect` of a part.
    pub fn protect(&self, offset: usize, length: usize, protection: i32) -> Sys<()> {
        call!(libc::mprotect(self.at(offset, length).cast(), length, protection)).map(drop)
    }

    /// Anonymous memory in the place of a part.
    pub fn replace_part(&self, offset: usize, length: usize) -> Sys<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let rw = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a part of this mapping, to which nobody keeps a reference.
        let at = unsafe { libc::mmap(self.at(offset, length).cast(), length, rw, flags, -1, 0) };
        if at == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
    }

    pub fn msync(&self, flags: i32) -> Sys<()> {
        call!(libc::msync(self.at(0, self.length).cast(), self.length, flags)).map(drop)
    }

    /// `remap_file_pages(2)`: the pages of the file from `page` on, at `offset` in the mapping.
    pub fn remap(&self, offset: usize, length: usize, page: usize) -> Sys<()> {
        call!(libc::syscall(libc::SYS_remap_file_pages, self.at(offset, length), length, 0, page, 0)).map(drop)
    }

    pub fn advise(&self, offset: usize, length: usize, advice: i32) -> Sys<()> {
        call!(libc::madvise(self.at(offset, length).cast(), length, advice)).map(drop)
    }

    /// `process_madvise` of two parts, on this process. How many bytes were advised.
    pub fn advise_by_process(&self, parts: [(usize, usize); 2], advice: i32) -> Sys<i64> {
        let process = super::pidfd_open(std::process::id() as i32)?;
        let parts = parts.map(|(offset, length)| libc::iovec { iov_base: self.at(offset, length).cast(), iov_len: length });
        call!(libc::syscall(libc::SYS_process_madvise, super::Raw::raw(&process), parts.as_ptr(), parts.len(), advice, 0))
    }

    pub fn lock(&self) -> Sys<()> {
        call!(libc::mlock(self.at(0, self.length).cast_const().cast(), self.length)).map(drop)
    }

    /// How many of its pages are in memory (`mincore`).
    pub fn resident(&self) -> Sys<usize> {
        let mut pages = vec![0u8; self.length.div_ceil(4096)];
        call!(libc::mincore(self.at(0, self.length).cast(), self.length, pages.as_mut_ptr()))?;
        Ok(pages.iter().filter(|page| **page & 1 != 0).count())
    }

    /// `mremap` to another length, where the kernel may move it.
    pub fn resize(self, length: usize) -> Sys<Map> {
        let old = self.at(0, self.length).cast();
        // SAFETY: this object owns the range, and is forgotten where the call took it.
        let moved = mapped(unsafe { libc::mremap(old, self.length, length, libc::MREMAP_MAYMOVE) }, length)?;
        std::mem::forget(self);
        Ok(moved)
    }

    /// `mremap` from no length: the same, mapped once more.
    pub fn again(&self) -> Sys<Map> {
        // SAFETY: a new range; this one stays.
        mapped(unsafe { libc::mremap(self.at(0, 0).cast(), 0, self.length, libc::MREMAP_MAYMOVE) }, self.length)
    }

    /// `mmap(MAP_FIXED)` of a descriptor over a part of this mapping.
    pub fn replace(&self, offset: usize, length: usize, protection: i32, flags: i32, fd: impl Raw) -> Sys<()> {
        let at = self.at(offset, length).cast();
        // SAFETY: the range belongs to this mapping.
        let placed = unsafe { libc::mmap(at, length, protection, flags | libc::MAP_FIXED, fd.raw(), 0) };
        if placed == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this object owns the range.
        unsafe { libc::munmap(self.at(0, self.length).cast(), self.length) };
    }
}

/// A block of `malloc` or `posix_memalign`, freed when dropped.
pub struct Block {
    address: *mut u8,
    length: usize,
}

impl Block {
    /// `malloc`, all bytes set to `fill`.
    pub fn malloc(length: usize, fill: u8) -> Block {
        // SAFETY: a null result is refused, the block has `length` bytes.
        unsafe {
            let address = libc::malloc(length).cast::<u8>();
            assert!(!address.is_null());
            address.write_bytes(fill, length);
            Block { address, length }
        }
    }

    /// `posix_memalign`, not touched.
    pub fn aligned(alignment: usize, length: usize) -> Block {
        let mut address = std::ptr::null_mut();
        // SAFETY: the out pointer is valid.
        let error = unsafe { libc::posix_memalign(&raw mut address, alignment, length) };
        assert_eq!(error, 0);
        Block { address: address.cast(), length }
    }

    pub fn address(&self) -> usize {
        self.address.expose_provenance()
    }

    /// `realloc`.
    pub fn realloc(self, length: usize) -> Block {
        // SAFETY: the block came from malloc, and is forgotten here.
        let address = unsafe { libc::realloc(self.address.cast(), length) }.cast::<u8>();
        assert!(!address.is_null());
        std::mem::forget(self);
        Block { address, length }
    }

    /// Copies bytes out.
    pub fn get(&self, offset: usize, length: usize) -> Vec<u8> {
        assert!(offset + length <= self.length);
        let mut bytes = vec![0_u8; length];
        // SAFETY: the range lies inside the block, whose pages the kernel or `malloc` filled.
        unsafe { std::ptr::copy_nonoverlapping(self.address.add(offset), bytes.as_mut_ptr(), length) };
        bytes
    }

    /// Copies bytes in.
    pub fn put(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.length);
        // SAFETY: the range lies inside the block.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.address.add(offset), bytes.len()) };
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the block came from malloc.
        unsafe { libc::free(self.address.cast()) };
    }
}

/// Grows the program break by whole pages: the address of the new memory. It is never given back.
pub fn sbrk(length: usize) -> Sys<usize> {
    let length = libc::intptr_t::try_from(length).expect("small");
    // SAFETY: the new memory belongs to nobody else; malloc copes with a moved break.
    let old = unsafe { libc::sbrk(length) };
    if old.addr() == usize::MAX { Err(Errno::last()) } else { Ok(old.expose_provenance()) }
}

/// Copies `length` bytes out of memory that a case knows to be mapped.
pub fn peek(address: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; length];
    let from = std::ptr::with_exposed_provenance::<u8>(address);
    // SAFETY: the case vouches for the range.
    unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), length) };
    bytes
}

/// Whether the kernel tells a process of its own missing pages.
pub fn has_userfaultfd() -> bool {
    const USER_MODE_ONLY: i32 = 1;
    // SAFETY: no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | USER_MODE_ONLY) };
    // SAFETY: opened just now, and nobody else's.
    fd >= 0 && unsafe { libc::close(fd as i32) } == 0
}

/// `mlockall` of what is mapped, and of what will be.
pub fn lock_all(later: bool) -> Sys<()> {
    call!(libc::mlockall(libc::MCL_CURRENT | if later { libc::MCL_FUTURE } else { 0 })).map(drop)
}

pub fn unlock_all() -> Sys<()> {
    call!(libc::munlockall()).map(drop)
}

/// How much of the process's address space is locked.
pub fn locked_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}
