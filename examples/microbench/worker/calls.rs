//! What of an operation the kernel has to do whatever serves it: the calls that are left, with nothing around them.

use super::Work;
use crate::options::{Task, Without};
use memmap2::MmapMut;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::{Duration, Instant};

/// The least that a write past the page cache may be.
const PAGE: usize = 4096;
/// Bytes of the file that is written to.
const LENGTH: u64 = 16 << 20;

/// Calls on one file.
pub struct Calls {
    way: Without,
    file: File,
    /// What is written, aligned as the kernel wants it.
    bytes: MmapMut,
    next: u64,
}

impl Calls {
    /// Makes the file, written once, so that no later write gives it blocks.
    pub fn new(task: &Task) -> Result<Calls, String> {
        let text = |error: std::io::Error| error.to_string();
        let path = task.dir.join("calls");
        std::fs::write(&path, vec![0; LENGTH as usize]).and_then(|()| File::open(&path)?.sync_all()).map_err(text)?;
        let way = task.limit.unwrap_or(Without::Flush);
        let past = if way == Without::Flush { libc::O_DIRECT } else { 0 };
        let file = OpenOptions::new().read(true).write(true).custom_flags(past).open(&path).map_err(text)?;
        let bytes = MmapMut::map_anon(task.row.size.max(1).next_multiple_of(PAGE)).map_err(text)?;
        Ok(Calls { way, file, bytes, next: 0 })
    }

    fn operate(&mut self) -> std::io::Result<()> {
        if self.way == Without::Descriptor {
            return self.file.try_clone().map(drop);
        }
        let place = if self.next + self.bytes.len() as u64 > LENGTH { 0 } else { self.next };
        self.next = place + self.bytes.len() as u64;
        self.file.write_all_at(&self.bytes, place)?;
        self.file.sync_data()
    }
}

impl Work for Calls {
    fn round(&mut self, budget: Duration) -> Result<f64, String> {
        let (start, mut operations) = (Instant::now(), 0);
        while start.elapsed() < budget {
            for _ in 0..8 {
                self.operate().map_err(|error| error.to_string())?;
            }
            operations += 8;
        }
        Ok(start.elapsed().as_nanos() as f64 / f64::from(operations))
    }

    fn verify(&mut self) -> Result<(), String> {
        if self.way == Without::Descriptor {
            return Ok(());
        }
        let value = self.bytes[0].wrapping_add(1);
        self.bytes.fill(value);
        self.operate().map_err(|error| error.to_string())?;
        let mut found = MmapMut::map_anon(self.bytes.len()).map_err(|error| error.to_string())?;
        self.file.read_exact_at(&mut found, self.next - self.bytes.len() as u64).map_err(|error| error.to_string())?;
        if found[..] == self.bytes[..] { Ok(()) } else { Err("what was written is not there".to_owned()) }
    }
}
