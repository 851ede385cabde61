#![expect(unsafe_code, reason = "page-aligned memory straight from the kernel")]
//! The program's buffers.

use crate::row::{Source, Touch};
use std::ops::{Deref, DerefMut};

const HUGE: usize = 2 << 20;
const PAGE: usize = 4096;

/// Private anonymous memory that starts at a multiple of 2 MiB.
pub struct Buffer {
    mapping: *mut libc::c_void,
    mapped: usize,
    start: *mut u8,
    length: usize,
}

// SAFETY: the memory belongs to this object alone.
unsafe impl Send for Buffer {}

impl Buffer {
    /// Memory that nobody touched yet.
    pub fn fresh(length: usize) -> Buffer {
        let mapped = length.next_multiple_of(PAGE) + HUGE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: the kernel chooses the address.
        let mapping = unsafe { libc::mmap(std::ptr::null_mut(), mapped, protection, flags, -1, 0) };
        assert!(mapping != libc::MAP_FAILED, "mmap of {mapped} bytes");
        let skip = mapping.addr().next_multiple_of(HUGE) - mapping.addr();
        // SAFETY: `skip` < HUGE, so `length` bytes after it lie inside the mapping.
        let start = unsafe { mapping.cast::<u8>().add(skip) };
        Buffer { mapping, mapped, start, length }
    }

    /// Memory that was written before.
    pub fn warm(length: usize) -> Buffer {
        let mut buffer = Buffer::fresh(length);
        buffer.fill(1);
        buffer
    }
}

/// Reads what `touch` says.
pub fn look(bytes: &[u8], touch: Touch) {
    let sum = match touch {
        Touch::None => 0,
        Touch::Page => bytes.iter().step_by(PAGE).fold(0_u64, |sum, byte| sum.wrapping_add(u64::from(*byte))),
        Touch::All => {
            let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("8 bytes"));
            bytes.chunks_exact(8).fold(0_u64, |sum, bytes| sum.wrapping_add(word(bytes)))
        }
    };
    std::hint::black_box(sum);
}

/// Changes what `touch` says.
pub fn change(bytes: &mut [u8], touch: Touch, value: u8) {
    match touch {
        Touch::None => {}
        Touch::Page => bytes.iter_mut().step_by(PAGE).for_each(|byte| *byte = value),
        Touch::All => bytes.fill(value),
    }
    std::hint::black_box(bytes);
}

/// The buffers of one thread, used in turn.
pub struct Memory {
    source: Source,
    size: usize,
    all: Buffer,
    stride: usize,
    slots: usize,
    slot: usize,
}

/// What cold buffers are in all: more than a processor's caches hold.
const COLD: usize = 256 << 20;

impl Memory {
    /// Buffers of `size` bytes.
    pub fn new(source: Source, size: usize, small: bool) -> Memory {
        let stride = size.next_multiple_of(if size < HUGE { PAGE } else { HUGE });
        let slots = if source == Source::Cold { (if small { 4 } else { COLD / stride }).max(2) } else { 1 };
        Memory { source, size, all: Buffer::warm(stride * slots), stride, slots, slot: 0 }
    }

    /// Before an operation: new memory, or the next buffer.
    pub fn turn(&mut self) {
        match self.source {
            Source::Warm => {}
            Source::Fresh => self.all = Buffer::fresh(self.size),
            Source::Cold => self.slot = (self.slot + 1) % self.slots,
        }
    }

    /// Gives back what the next operation would not use.
    pub fn rest(&mut self) {
        if self.source == Source::Fresh {
            self.all = Buffer::fresh(self.size);
        }
    }

    /// The buffer.
    pub fn now(&self) -> &[u8] {
        &self.all[self.slot * self.stride..][..self.size]
    }

    /// The buffer, to be filled.
    pub fn now_mut(&mut self) -> &mut [u8] {
        &mut self.all[self.slot * self.stride..][..self.size]
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` bytes from `start` are ours; anonymous memory is initialised to zeros.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the object is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing points into it any more.
        unsafe { libc::munmap(self.mapping, self.mapped) };
    }
}
