#![expect(unsafe_code, reason = "asks the kernel about this process's address space by ioctl")]
//! Questions about this process's own memory: what is mapped at an address, and which of its pages have been touched.

use crate::region::out_of_the_way;
use crate::sync::{AtomicI64, Ordering::*};
use crate::units::PAGE;
use rustix::fs::{Mode, OFlags};
use std::ffi::c_void;
use std::ops::Range;
use std::os::fd::IntoRawFd;

/// What is mapped around an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vma {
    /// Start.
    pub start: usize,
    /// One past the end.
    pub end: usize,
    /// Readable, writable, and not shared.
    pub private_rw: bool,
    /// What the process may do there: `PROT_READ`, `PROT_WRITE`, `PROT_EXEC`, or nothing.
    pub prot: i32,
    /// Readable, and not shared.
    pub private_readable: bool,
    /// Bytes of a page there.
    pub page_size: u64,
    /// Inode number of the file; 0 is anonymous memory.
    pub inode: u64,
    /// Device of the file, major and minor number.
    pub dev: (u32, u32),
    /// Offset in the file of `start`.
    pub offset: u64,
}

/// How the pages of a range stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Touched {
    /// Pages that are the file's (read through an attached view).
    pub read: usize,
    /// Pages of the process's own (written, or swapped out).
    pub own: usize,
}

/// Descriptors on this process's own procfs files. A forked child must open its own: the parent's describe the parent.
pub struct Memory {
    maps: AtomicI64,
    pagemap: AtomicI64,
}

const UNOPENED: i64 = -1;
const UNAVAILABLE: i64 = -2;

#[repr(C)]
#[derive(Default)]
struct ProcmapQuery {
    size: u64,
    query_flags: u64,
    query_addr: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}
const _: () = assert!(size_of::<ProcmapQuery>() == 104);

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct ScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}
const _: () = assert!(size_of::<ScanArg>() == 96);

/// `_IOWR(kind, number, a struct of this size)`.
pub(super) const fn iowr(kind: u8, number: u32, size: usize) -> u32 {
    3 << 30 | (size as u32) << 16 | (kind as u32) << 8 | number
}
const PROCMAP_QUERY: u32 = iowr(b'f', 17, size_of::<ProcmapQuery>());
const PAGEMAP_SCAN: u32 = iowr(b'f', 16, size_of::<ScanArg>());
// The kernel names a mapping's flags as `mmap` does.
const _: () = assert!(libc::PROT_READ == 1 && libc::PROT_WRITE == 2 && libc::PROT_EXEC == 4);
const IS_WRITTEN: u64 = 1 << 1;
const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
/// `PM_SCAN_CHECK_WPASYNC`.
const ONLY_PROTECTABLE: u64 = 1 << 1;

/// An ioctl whose argument is a struct that the kernel reads and writes; the result is the call's.
pub(super) struct Ask<T, const OP: u32>(pub(super) T);

// SAFETY: OP is made by `iowr` from the size of T, so the kernel touches exactly the struct.
unsafe impl<T, const OP: u32> rustix::ioctl::Ioctl for Ask<T, OP> {
    type Output = (i32, T);
    const IS_MUTATING: bool = true;
    fn opcode(&self) -> rustix::ioctl::Opcode {
        OP as rustix::ioctl::Opcode
    }
    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }
    unsafe fn output_from_ptr(out: rustix::ioctl::IoctlOutput, ptr: *mut c_void) -> rustix::io::Result<Self::Output> {
        // SAFETY: `ptr` is what `as_ptr` returned; the kernel left a valid struct of integers.
        Ok((out, unsafe { ptr.cast::<T>().read() }))
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory { maps: AtomicI64::new(UNOPENED), pagemap: AtomicI64::new(UNOPENED) }
    }
}

impl Memory {
    /// In a forked child.
    pub fn after_fork_child(&self) {
        for fd in [&self.maps, &self.pagemap] {
            if let Ok(raw) = i32::try_from(fd.swap(UNOPENED, AcqRel))
                && raw >= 0
            {
                // SAFETY: the number was ours in the parent, and the child has it from there; nobody else closes it.
                unsafe { rustix::io::close(raw) };
            }
        }
    }

    fn ask<T, const OP: u32>(&self, cache: &AtomicI64, path: &str, arg: T) -> Option<(i32, T)> {
        let mut fd = cache.load(Acquire);
        if fd == UNOPENED {
            let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            // Without it buffers are copied; a program with few descriptors is not to miss one for that.
            fd = match opened.ok().and_then(out_of_the_way) {
                Some(file) => file.into_raw_fd() as i64,
                None => UNAVAILABLE,
            };
            cache.store(fd, Release);
        }
        if fd < 0 {
            return None;
        }
        // SAFETY: the descriptor is open: only `after_fork_child` closes it, before the child uses it.
        let file = unsafe { rustix::fd::BorrowedFd::borrow_raw(fd as i32) };
        // SAFETY: `Ask` describes the ioctl's argument exactly.
        match unsafe { rustix::ioctl::ioctl(file, Ask::<T, OP>(arg)) } {
            Ok(answer) => Some(answer),
            Err(rustix::io::Errno::NOTTY | rustix::io::Errno::INVAL) => {
                cache.store(UNAVAILABLE, Release);
                None
            }
            Err(_) => None,
        }
    }

    /// What is mapped at `addr`: `None` if nothing is, or if the kernel (before 6.11) can't answer cheaply.
    pub fn vma(&self, addr: usize) -> Option<Vma> {
        let query = ProcmapQuery { size: size_of::<ProcmapQuery>() as u64, query_addr: addr as u64, ..Default::default() };
        let (_, a) = self.ask::<_, PROCMAP_QUERY>(&self.maps, "/proc/self/maps", query)?;
        Some(Vma {
            start: a.vma_start as usize,
            end: a.vma_end as usize,
            private_rw: a.vma_flags & 0b1011 == 0b0011,
            prot: (a.vma_flags & 0b111) as i32,
            private_readable: a.vma_flags & 0b1001 == 0b0001,
            page_size: a.vma_page_size,
            inode: a.inode,
            dev: (a.dev_major, a.dev_minor),
            offset: a.vma_offset,
        })
    }

    /// Whether the page at `addr`, a multiple of [`PAGE`], is in memory. A tenth of what the questions below cost; `false` if nothing is mapped there.
    pub fn is_resident(&self, addr: usize) -> bool {
        let mut has = 0;
        // SAFETY: only asks; the answer's one byte is ours.
        let rc = unsafe { libc::mincore(std::ptr::without_provenance_mut(addr), PAGE, &mut has) };
        rc == 0 && has & 1 == 1
    }

    /// Which pages of [addr, addr + len) have been touched. `None`: the kernel (before 6.7) can't say.
    pub fn touched(&self, addr: usize, len: usize) -> Option<Touched> {
        let mut total = Touched::default();
        let (mut at, end) = (addr as u64, (addr + len) as u64);
        while at < end {
            let mut regions = [[0u64; 3]; 64];
            let arg = ScanArg {
                size: size_of::<ScanArg>() as u64,
                start: at,
                end,
                vec: regions.as_mut_ptr() as u64,
                vec_len: regions.len() as u64,
                category_anyof_mask: IS_PRESENT | IS_SWAPPED,
                return_mask: IS_PRESENT | IS_SWAPPED | IS_FILE,
                ..Default::default()
            };
            let (count, arg) = self.ask::<_, PAGEMAP_SCAN>(&self.pagemap, "/proc/self/pagemap", arg)?;
            for [start, end, kind] in &regions[..count as usize] {
                let pages = (end - start) as usize / crate::units::PAGE;
                if kind & IS_FILE != 0 { total.read += pages } else { total.own += pages }
            }
            if count == 0 || arg.walk_end <= at {
                break;
            }
            at = arg.walk_end;
        }
        Some(total)
    }

    /// Whether a page of [addr, end) has been touched, or the kernel (before 6.7) can't say.
    pub fn is_any_touched(&self, addr: usize, end: usize) -> bool {
        let arg = ScanArg { max_pages: 1, category_anyof_mask: IS_PRESENT | IS_SWAPPED, return_mask: IS_PRESENT, ..Default::default() };
        self.first(addr, end, arg).is_some()
    }

    /// The pages of [addr, end) that [`Cuts::protect`](super::Cuts::protect) has protected and nobody has written to since, in order. None of them where the kernel (before 6.7) can't say.
    pub fn protected(&self, addr: usize, end: usize) -> Vec<Range<usize>> {
        let arg = ScanArg {
            category_inverted: IS_WRITTEN,
            category_mask: IS_WRITTEN,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_PRESENT,
            ..Default::default()
        };
        self.protectable(addr, end, arg).unwrap_or_default()
    }

    /// The others, asked for themselves: with these masks the kernel looks at nothing but the bit, in a tenth of the time. It must be one that [tells of holes](super::Cuts::tells_of_holes).
    /// `None` where a part can't be protected, or is not mapped any more.
    pub fn written(&self, addr: usize, end: usize) -> Option<Vec<Range<usize>>> {
        // Of what is not mapped it says nothing.
        let mut at = addr;
        while at < end {
            at = self.vma(at)?.end;
        }
        self.unprotected(addr, end)
    }

    /// The same, of memory that is mapped.
    pub(super) fn unprotected(&self, addr: usize, end: usize) -> Option<Vec<Range<usize>>> {
        self.protectable(addr, end, ScanArg { category_mask: IS_WRITTEN, return_mask: IS_WRITTEN, ..Default::default() })
    }

    /// The pages of [addr, end) for which the masks of `arg` hold, in order; `None` where a part of the range can't be protected.
    fn protectable(&self, addr: usize, end: usize, arg: ScanArg) -> Option<Vec<Range<usize>>> {
        let (mut at, end, mut all) = (addr as u64, end as u64, Vec::new());
        while at < end {
            let mut regions = [[0u64; 3]; 64];
            let (vec, vec_len) = (regions.as_mut_ptr() as u64, regions.len() as u64);
            let arg = ScanArg { size: size_of::<ScanArg>() as u64, flags: ONLY_PROTECTABLE, start: at, end, vec, vec_len, ..arg };
            let (count, arg) = self.ask::<_, PAGEMAP_SCAN>(&self.pagemap, "/proc/self/pagemap", arg)?;
            all.extend(regions[..count as usize].iter().map(|[from, to, _]| *from as usize..*to as usize));
            if arg.walk_end <= at {
                return None;
            }
            at = arg.walk_end;
        }
        Some(all)
    }

    /// The first range of pages in [addr, end) that are the process's own: written, or swapped out. `None` if there is none; (addr, end) if the kernel
    /// (before 6.7) can't say.
    pub fn first_own(&self, addr: usize, end: usize) -> Option<(usize, usize)> {
        let arg = ScanArg {
            category_inverted: IS_FILE,
            category_mask: IS_FILE,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_PRESENT | IS_SWAPPED,
            ..Default::default()
        };
        self.first(addr, end, arg)
    }

    /// The first range of pages in [addr, end) for which the masks of `arg` hold; (addr, end) if the kernel can't say.
    fn first(&self, addr: usize, end: usize, arg: ScanArg) -> Option<(usize, usize)> {
        let mut region = [0u64; 3];
        let (vec, size) = (region.as_mut_ptr() as u64, size_of::<ScanArg>() as u64);
        let arg = ScanArg { size, start: addr as u64, end: end as u64, vec, vec_len: 1, ..arg };
        match self.ask::<_, PAGEMAP_SCAN>(&self.pagemap, "/proc/self/pagemap", arg) {
            Some((0, _)) => None,
            Some(_) => Some((region[0] as usize, region[1] as usize)),
            None => Some((addr, end)),
        }
    }
}
