#![expect(unsafe_code, reason = "bytes moved by hand: mmap and memory that is shared with a file")]
//! What the bytes themselves must cost on this machine: they are moved with nothing around it.

use super::Work;
use super::buffer::{Memory, change, look};
use super::data;
use crate::options::{Task, Without};
use crate::row::{Io, Pattern, Row};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// A file of a tmpfs with huge pages, mapped whole and touched, for each thread.
pub struct Moves {
    lanes: Vec<Lane>,
}

struct Lane {
    row: Row,
    way: Without,
    file: File,
    mapping: *mut u8,
    length: usize,
    next: usize,
    memory: Memory,
    state: usize,
}

// SAFETY: the mapping belongs to this object alone.
unsafe impl Send for Lane {}

impl Moves {
    /// Makes and touches everything.
    pub fn new(task: &Task) -> Result<Moves, String> {
        let lanes = (0..task.row.threads.max(1)).map(|number| Lane::new(task, number)).collect::<std::io::Result<_>>();
        Ok(Moves { lanes: lanes.map_err(|error| error.to_string())? })
    }
}

impl Work for Moves {
    fn round(&mut self, budget: Duration) -> Result<f64, String> {
        let (mut operations, mut longest) = (0, Duration::ZERO);
        let results: Vec<(u64, Duration)> = std::thread::scope(|scope| {
            let threads: Vec<_> = self.lanes.iter_mut().map(|lane| scope.spawn(move || lane.round(budget))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic in a lane")).collect()
        });
        for (count, time) in results {
            operations += count;
            longest = longest.max(time);
        }
        Ok(longest.as_nanos() as f64 / operations as f64)
    }

    fn verify(&mut self) -> Result<(), String> {
        self.lanes.iter_mut().try_for_each(Lane::verify)
    }
}

impl Lane {
    fn new(task: &Task, number: usize) -> std::io::Result<Lane> {
        let row = task.row.clone();
        let (least, operations) = if task.small { (1 << 20, 4) } else { (64 << 20, 8) };
        let length = (row.size * operations).clamp(least, least.max(256 << 20)).max(row.size).next_multiple_of(row.size);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(task.dir.join(format!("data-{number}")))?;
        file.set_len(length as u64)?;
        let (protection, null) = (libc::PROT_READ | libc::PROT_WRITE, std::ptr::null_mut());
        // SAFETY: the kernel chooses the address.
        let mapping = unsafe { libc::mmap(null, length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if mapping == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        let memory = Memory::new(row.buffer, row.size, task.small);
        let way = task.limit.unwrap_or(Without::Copy);
        let lane = Lane { row, way, file, mapping: mapping.cast(), length, next: 0, memory, state: 88_172_645_463_325_252 };
        let mut chunk = vec![0; 1 << 20];
        for offset in (0..length).step_by(1 << 20) {
            let part = (length - offset).min(1 << 20);
            data::fill(&mut chunk[..part], offset as u64, 0);
            // SAFETY: `part` bytes from `offset` lie in the mapping, and `chunk` is as long.
            unsafe { std::ptr::copy_nonoverlapping(chunk.as_ptr(), lane.mapping.add(offset), part) };
        }
        Ok(lane)
    }

    fn round(&mut self, budget: Duration) -> (u64, Duration) {
        let batch = (16_384 / self.row.size as u64).clamp(1, 64);
        let (start, mut operations) = (Instant::now(), 0);
        loop {
            for _ in 0..batch {
                let place = self.place();
                self.operate(place, operations as u8);
                operations += 1;
            }
            let elapsed = start.elapsed();
            if elapsed >= budget {
                self.memory.rest();
                return (operations, elapsed);
            }
        }
    }

    fn place(&mut self) -> usize {
        if self.row.pattern == Pattern::Random {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            return self.state % (self.length / self.row.size) * self.row.size;
        }
        let place = if self.next + self.row.size > self.length { 0 } else { self.next };
        self.next = place + self.row.size;
        place
    }

    fn operate(&mut self, place: usize, value: u8) {
        let touch = self.row.touch;
        self.memory.turn();
        match (self.row.io, self.way) {
            (Io::Read, _) => {
                self.read(place);
                look(self.memory.now(), touch);
            }
            (Io::Rw, _) => {
                self.read(place);
                change(self.memory.now_mut(), touch, value);
                self.write(place);
            }
            _ => {
                change(self.memory.now_mut(), touch, value);
                self.write(place);
            }
        }
    }

    fn read(&mut self, place: usize) {
        let (buffer, size) = (self.memory.now_mut().as_mut_ptr(), self.row.size);
        if self.way == Without::Copy {
            // SAFETY: `size` bytes from `place` lie in the mapping, and the buffer, which is other memory, has as many.
            return unsafe { std::ptr::copy_nonoverlapping(self.mapping.add(place), buffer, size) };
        }
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_FIXED);
        // SAFETY: the pages of the buffer are ours alone, `size` is a multiple of theirs, and nobody holds a reference into it.
        let mapped = unsafe { libc::mmap(buffer.cast(), size, protection, flags, self.file.as_raw_fd(), place as libc::off_t) };
        assert!(mapped != libc::MAP_FAILED, "mmap over the buffer");
    }

    fn write(&mut self, place: usize) {
        // SAFETY: as in `read`.
        unsafe { std::ptr::copy_nonoverlapping(self.memory.now().as_ptr(), self.mapping.add(place), self.row.size) };
    }

    fn verify(&mut self) -> Result<(), String> {
        self.memory.turn();
        self.read(0);
        // Writes of earlier rounds have changed the file.
        if self.row.io == Io::Read { data::check(self.memory.now(), 0, 0) } else { Ok(()) }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing points into it any more.
        unsafe { libc::munmap(self.mapping.cast(), self.length) };
    }
}
