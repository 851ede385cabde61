//! Shared mappings whose frames another process takes the memory away from. What a process cuts off a file, it punches out of the tier; no process can change
//! another's mappings, but the kernel then takes the pages out of all of them, and here it is told what the next touch is to be: SIGBUS, not a fresh page of zeros.
//! The same descriptor has the kernel keep account of which pages are written to.
#![expect(unsafe_code, reason = "userfaultfd's ioctls")]

use super::memory::{Ask, Memory, iowr};
use crate::media::OwnFd;
use crate::media::aside::Full;
use crate::media::fd::beyond_the_limit;
use crate::region::{reserve, unmap_range};
use crate::sync::Spin;
use crate::units::BLOCK;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::mm::UserfaultfdFlags;
use std::ops::Range;

/// Of linux/userfaultfd.h: `uffdio_api`.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `uffdio_register`.
#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// `uffdio_range`.
#[repr(C)]
struct Part {
    start: u64,
    len: u64,
}

/// `uffdio_writeprotect`.
#[repr(C)]
struct WriteProtect {
    start: u64,
    len: u64,
    mode: u64,
}

const UFFD_API: u64 = 0xAA;
const UFFDIO_API: u32 = iowr(0xAA, 0x3F, size_of::<Api>());
const UFFDIO_REGISTER: u32 = iowr(0xAA, 0x00, size_of::<Register>());
/// `_IOR`, whatever it reads.
const UFFDIO_UNREGISTER: u32 = iowr(0xAA, 0x01, size_of::<Part>()) & !(1 << 30);
const UFFDIO_WRITEPROTECT: u32 = iowr(0xAA, 0x06, size_of::<WriteProtect>());
const MISSING: u64 = 1;
const WP: u64 = 2;
/// `UFFDIO_WRITEPROTECT_MODE_WP`.
const WRITE_PROTECT: u64 = 1;
const FEATURE_MISSING_SHMEM: u64 = 1 << 5;
const FEATURE_SIGBUS: u64 = 1 << 7;
const FEATURE_WP_SHMEM: u64 = 1 << 12;
const FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
const FEATURE_WP_ASYNC: u64 = 1 << 15;
const FEATURES: u64 = FEATURE_SIGBUS | FEATURE_MISSING_SHMEM;
const FEATURES_OF_PROTECTION: u64 = FEATURE_WP_SHMEM | FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC;

/// Which of this process's mappings are told of. Where the kernel has no such thing, or forbids it (containers do), nothing is: touches then give zeros.
pub struct Cuts(Spin<State>);

enum State {
    Unasked,
    Unavailable,
    /// With what [`Cuts::tells_of_holes`] has found.
    Open(OwnFd, Option<bool>),
}

impl Cuts {
    /// Asks the kernel for it when it is first wanted.
    pub fn new() -> Cuts {
        Cuts(Spin::new(State::Unasked))
    }

    /// From now on a touch of a page in [addr, addr + len) whose frame has no memory is SIGBUS (`EFAULT` where the kernel touches it). All of the range shows the tier.
    pub fn watch(&self, addr: usize, len: usize) {
        self.0.with(|state| {
            if let State::Unasked = state {
                *state = open().map_or(State::Unavailable, |fd| State::Open(fd, None));
            }
            if let State::Open(fd, _) = state {
                let range = Register { start: addr as u64, len: len as u64, mode: MISSING, ioctls: 0 };
                // If it fails the range stays as it is.
                let _ = ask::<_, UFFDIO_REGISTER>(fd.as_fd(), range);
            }
        });
    }

    /// Protects `part` against writing until somebody writes there: the kernel then ends the protection of that page, and nobody notices but who asks ([`Memory::protected`](super::Memory::protected)).
    /// `part` lies in `view`, one shared mapping that is watched. Where the kernel can't do this, nothing is protected.
    pub fn protect(&self, view: Range<usize>, part: Range<usize>) {
        self.0.with(|state| {
            let State::Open(fd, _) = state else { return };
            let (start, len) = (part.start as u64, part.len() as u64);
            let protect = || ask::<_, UFFDIO_WRITEPROTECT>(fd.as_fd(), WriteProtect { start, len, mode: WRITE_PROTECT });
            if protect().is_none() {
                // Only now: where this may be done, pages come one by one and not sixteen at a fault.
                let range = Register { start: view.start as u64, len: view.len() as u64, mode: MISSING | WP, ioctls: 0 };
                if ask::<_, UFFDIO_REGISTER>(fd.as_fd(), range).is_some() {
                    let _ = protect();
                }
            }
        });
    }

    /// Ends the protection of a part of a mapping that is watched: its pages count as stored to, and the kernel can be told anything else of them.
    pub fn end_protection(&self, part: Range<usize>) {
        self.0.with(|state| {
            let State::Open(fd, _) = state else { return };
            let (start, len) = (part.start as u64, part.len() as u64);
            let _ = ask::<_, UFFDIO_UNREGISTER>(fd.as_fd(), Part { start, len });
            let _ = ask::<_, UFFDIO_REGISTER>(fd.as_fd(), Register { start, len, mode: MISSING, ioctls: 0 });
        });
    }

    /// Whether this kernel counts a page as written to that has no page table any more. `MADV_DONTNEED` frees one of whose pages none is protected (Linux 6.14), and kernels before the middle of 2026 say nothing of
    /// such a hole when they are asked for what was written to. It is asked once, with a hole.
    pub fn tells_of_holes(&self, memory: &Memory) -> bool {
        self.0.with(|state| match state {
            State::Open(fd, tells) => *tells.get_or_insert_with(|| shows_a_hole(fd.as_fd(), memory)),
            _ => false,
        })
    }

    /// Whether the kernel has been asked: no descriptor will be opened.
    pub fn is_asked(&self) -> bool {
        self.0.with(|state| !matches!(state, State::Unasked))
    }

    /// In a forked child, which has its parent's mappings, but not what the kernel was told of them: the caller tells it again.
    pub fn after_fork_child(&self) {
        self.0.after_fork_child();
        // Dropping closes the descriptor, which is the parent's memory's.
        self.0.with(|state| *state = State::Unasked);
    }
}

fn open() -> Option<OwnFd> {
    // Without privileges only faults of the program's own can be had, which is enough; the kernel's are errors then, as they should be.
    let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::NONBLOCK | UserfaultfdFlags::from_bits_retain(1);
    // SAFETY: what faults is told of are ranges that `watch` is given.
    let make = || unsafe { rustix::mm::userfaultfd(flags) };
    let fd = make().or_else(|e| if e.is_full() { beyond_the_limit(make) } else { Err(e) }).ok()?;
    let has = |features| ask::<_, UFFDIO_API>(fd.as_fd(), Api { api: UFFD_API, features, ioctls: 0 });
    has(FEATURES | FEATURES_OF_PROTECTION).or_else(|| has(FEATURES))?;
    OwnFd::moved_high(fd).ok()
}

/// Asks for what was written to of a page table's worth of memory that has none.
fn shows_a_hole(fd: BorrowedFd<'_>, memory: &Memory) -> bool {
    // SAFETY: a new range, anywhere.
    let Ok(at) = (unsafe { reserve(0, BLOCK, 0, BLOCK, 0) }) else { return false };
    let range = Register { start: at as u64, len: BLOCK as u64, mode: WP, ioctls: 0 };
    let written = ask::<_, UFFDIO_REGISTER>(fd, range).and_then(|_| memory.unprotected(at, at + BLOCK));
    // SAFETY: ours.
    unsafe { unmap_range(at, BLOCK) };
    written.is_some_and(|parts| parts.first() == Some(&(at..at + BLOCK)))
}

fn ask<T, const OP: u32>(fd: BorrowedFd<'_>, arg: T) -> Option<(i32, T)> {
    // SAFETY: `Ask` describes the ioctl's argument exactly.
    unsafe { rustix::ioctl::ioctl(fd, Ask::<T, OP>(arg)) }.ok()
}
