#![expect(unsafe_code, reason = "a file that is mapped")]
//! Reads and writes.

use super::Work;
use super::buffer::{Memory, change, look};
use super::data;
use crate::options::Task;
use crate::row::{Io, Pattern, Row, Source};
use memmap2::MmapMut;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One thread's file and buffer.
struct Lane {
    row: Row,
    path: PathBuf,
    file: File,
    /// The file, where it is stored to.
    mapping: Option<MmapMut>,
    /// Bytes of the file.
    length: u64,
    /// Where the next operation goes.
    next: u64,
    memory: Memory,
    state: u64,
}

/// All threads of a row.
pub struct Transfers {
    lanes: Vec<Lane>,
}

impl Transfers {
    /// Makes the files and warms everything.
    pub fn new(task: &Task) -> Result<Transfers, String> {
        let lane = |number| Lane::new(task, number);
        let lanes = (0..task.row.threads.max(1)).map(lane).collect::<Result<_, _>>();
        Ok(Transfers { lanes: lanes? })
    }
}

impl Work for Transfers {
    fn round(&mut self, budget: Duration) -> Result<f64, String> {
        let start = Instant::now();
        let results: Vec<Result<(u64, Duration), String>> = std::thread::scope(|scope| {
            let (first, others) = self.lanes.split_first_mut().expect("at least one lane");
            let others: Vec<_> = others.iter_mut().map(|lane| scope.spawn(move || lane.round(start, budget))).collect();
            let mut results = vec![first.round(start, budget)];
            results.extend(others.into_iter().map(|thread| thread.join().expect("no panic in a lane")));
            results
        });
        let (mut operations, mut longest) = (0, Duration::ZERO);
        for result in results {
            let (count, time) = result?;
            operations += count;
            longest = longest.max(time);
        }
        Ok(longest.as_nanos() as f64 / operations as f64)
    }

    fn verify(&mut self) -> Result<(), String> {
        self.lanes.iter_mut().try_for_each(|lane| lane.verify().map_err(|message| format!("{}: {message}", lane.path.display())))
    }
}

impl Lane {
    fn new(task: &Task, number: usize) -> Result<Lane, String> {
        let row = task.row.clone();
        let size = row.size as u64;
        let (least, operations) = if task.small { (1 << 20, 4) } else { (64 << 20, 8) };
        let length = (size * operations).clamp(least, least.max(256 << 20)).max(size).next_multiple_of(size);
        let path = task.dir.join(format!("data-{number}"));
        let text = |error: std::io::Error| error.to_string();
        let file = OpenOptions::new()
            .read(true)
            .write(row.io != Io::Append)
            .append(row.io == Io::Append)
            .create(true)
            .open(&path)
            .map_err(text)?;
        let memory = Memory::new(row.buffer, row.size, task.small);
        let mut lane = Lane { memory, row, path, file, mapping: None, length, next: 0, state: 88_172_645_463_325_252 };
        lane.write_content().map_err(text)?;
        if lane.row.io == Io::Store {
            // SAFETY: nobody cuts the file off.
            lane.mapping = Some(unsafe { MmapMut::map_mut(&lane.file) }.map_err(text)?);
        }
        if lane.row.io == Io::Pristine {
            lane.borrow(&task.dir.join(format!("source-{number}"))).map_err(text)?;
        }
        lane.pass().map_err(text)?;
        Ok(lane)
    }

    fn write_content(&mut self) -> std::io::Result<()> {
        let mut chunk = vec![0; 1 << 20];
        let mut offset = 0;
        while self.row.io != Io::Append && offset < self.length {
            let length = usize::try_from((self.length - offset).min(1 << 20)).expect("at most 1 MiB");
            data::fill(&mut chunk[..length], offset, 0);
            self.file.write_all_at(&chunk[..length], offset)?;
            offset += length as u64;
        }
        Ok(())
    }

    /// Fills the buffer by a read from another file.
    fn borrow(&mut self, path: &Path) -> std::io::Result<()> {
        data::fill(self.memory.now_mut(), 0, 2);
        std::fs::write(path, self.memory.now())?;
        File::open(path)?.read_exact_at(self.memory.now_mut(), 0)
    }

    /// One untimed operation on each part of the file, at most 64, so that nothing is done for the first time later.
    fn pass(&mut self) -> std::io::Result<()> {
        let operations = (self.length / self.row.size as u64).min(64);
        (0..operations).try_for_each(|count| self.operate(count as u8))?;
        self.rewind()
    }

    fn rewind(&mut self) -> std::io::Result<()> {
        self.next = 0;
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    fn round(&mut self, start: Instant, budget: Duration) -> Result<(u64, Duration), String> {
        self.timed(start, budget).map_err(|error| error.to_string())
    }

    /// (operations, time without what only keeps the file in bounds).
    fn timed(&mut self, start: Instant, budget: Duration) -> std::io::Result<(u64, Duration)> {
        // Ask the clock rarely where operations are short.
        let size = self.row.size as u64;
        let batch = (16_384 / size).clamp(1, 64);
        let (mut operations, mut excluded) = (0, Duration::ZERO);
        loop {
            if self.next + size > self.length {
                let pause = Instant::now();
                self.wrap()?;
                excluded += pause.elapsed();
            }
            let count = batch.min((self.length - self.next) / size);
            self.operations(count, operations as u8)?;
            operations += count;
            let elapsed = start.elapsed();
            if elapsed - excluded >= budget {
                self.memory.rest();
                return Ok((operations, elapsed - excluded));
            }
        }
    }

    /// Starts over at the beginning; a file that was appended to is emptied.
    fn wrap(&mut self) -> std::io::Result<()> {
        if self.row.io == Io::Append {
            self.file.set_len(0)?;
        }
        self.rewind()
    }

    /// So many operations that fit into what is left of the file. Those that take some ten nanoseconds are not to be measured with what the choices below cost.
    fn operations(&mut self, count: u64, value: u8) -> std::io::Result<()> {
        let row = &self.row;
        let plain = row.buffer == Source::Warm && row.pattern == Pattern::Sequential && !row.fsync;
        match row.io {
            Io::Read if plain => {
                let bytes = self.memory.now_mut();
                for _ in 0..count {
                    self.file.read_exact(bytes)?;
                    look(bytes, row.touch);
                }
            }
            Io::Overwrite if plain => {
                let bytes = self.memory.now_mut();
                for number in 0..count {
                    change(bytes, row.touch, value.wrapping_add(number as u8));
                    self.file.write_all(bytes)?;
                }
            }
            _ => return (0..count).try_for_each(|number| self.operate(value.wrapping_add(number as u8))),
        }
        self.next += count * row.size as u64;
        Ok(())
    }

    fn operate(&mut self, value: u8) -> std::io::Result<()> {
        self.memory.turn();
        let touch = self.row.touch;
        match self.row.io {
            Io::Read => {
                self.read()?;
                look(self.memory.now(), touch);
            }
            Io::Rw => {
                let place = self.read()?;
                change(self.memory.now_mut(), touch, value);
                self.file.write_all_at(self.memory.now(), place)?;
            }
            Io::Pristine => self.write()?,
            _ => {
                change(self.memory.now_mut(), touch, value);
                self.write()?;
            }
        }
        if self.row.fsync { self.file.sync_all() } else { Ok(()) }
    }

    /// Reads the next place, which it returns.
    fn read(&mut self) -> std::io::Result<u64> {
        match self.row.pattern {
            Pattern::Sequential => {
                let place = self.next;
                self.file.read_exact(self.memory.now_mut())?;
                self.next += self.row.size as u64;
                Ok(place)
            }
            Pattern::Random => {
                let place = self.anywhere();
                self.file.read_exact_at(self.memory.now_mut(), place)?;
                Ok(place)
            }
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        if self.mapping.is_some() {
            let place = match self.row.pattern {
                Pattern::Random => self.anywhere(),
                Pattern::Sequential => self.next,
            };
            self.store(place);
            self.next += self.row.size as u64;
            return Ok(());
        }
        match self.row.pattern {
            Pattern::Random if self.row.io != Io::Append => {
                let place = self.anywhere();
                self.file.write_all_at(self.memory.now(), place)
            }
            _ => {
                self.file.write_all(self.memory.now())?;
                self.next += self.row.size as u64;
                Ok(())
            }
        }
    }

    fn store(&mut self, place: u64) {
        if let Some(mapping) = &mut self.mapping {
            mapping[place as usize..][..self.row.size].copy_from_slice(self.memory.now());
        }
    }

    /// A multiple of the size, anywhere in the file (xorshift).
    fn anywhere(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let size = self.row.size as u64;
        self.state % (self.length / size) * size
    }

    /// The operation itself at the first, a middle and the last place, compared through a descriptor of its own.
    fn verify(&mut self) -> Result<(), String> {
        let size = self.row.size as u64;
        let places = [0, self.length / size / 2 * size, self.length - size];
        for (salt, place) in (7..).zip(places) {
            self.verify_at(place, salt).map_err(|error| error.to_string())??;
        }
        self.wrap().map_err(|error| error.to_string())
    }

    fn verify_at(&mut self, place: u64, salt: u64) -> std::io::Result<Result<(), String>> {
        self.memory.turn();
        let other = OpenOptions::new().read(true).write(true).open(&self.path)?;
        if self.row.io == Io::Read {
            let mut expected = vec![0; self.row.size];
            data::fill(&mut expected, place, 0);
            self.file.seek(SeekFrom::Start(place))?;
            self.file.read_exact(self.memory.now_mut())?;
            // The file must not change with the buffer, nor the buffer with the file.
            let first = data::check(self.memory.now(), place, 0);
            self.memory.now_mut().fill(3);
            self.file.read_exact_at(self.memory.now_mut(), place)?;
            return Ok(first.and(data::check(self.memory.now(), place, 0)));
        }
        let pristine = self.row.io == Io::Pristine;
        if !pristine {
            data::fill(self.memory.now_mut(), place, salt);
        }
        let at = if self.row.io == Io::Append {
            self.file.write_all(self.memory.now())?;
            other.metadata()?.len() - self.row.size as u64
        } else if self.mapping.is_some() {
            self.store(place);
            place
        } else {
            self.file.seek(SeekFrom::Start(place))?;
            self.file.write_all(self.memory.now())?;
            place
        };
        let mut back = vec![0; self.row.size];
        other.read_exact_at(&mut back, at)?;
        if pristine {
            return Ok(data::check(&back, 0, 2));
        }
        self.memory.now_mut().fill(5);
        other.read_exact_at(&mut back, at)?;
        Ok(data::check(&back, place, salt))
    }
}
