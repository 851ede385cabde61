//! What an access to a persistent-memory device costs, injected where the pool lies in ordinary memory.
//!
//! Only accesses by FLAC itself can be slowed. Pages that are attached to a program's buffer are read by the program, at the speed of ordinary memory;
//! a benchmark that wants the device's cost there charges it with [`Model::charge_read`].

use std::time::{Duration, Instant};

/// A published device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// One Intel Optane DC persistent memory module (first generation): a random load of an idle module takes 305 ns, a store that was written back 94 ns; the most
    /// that one module reads is 6.6 GB/s, that it writes 2.3 GB/s. From: Izraelevitz et al., "Basic Performance Measurements of the Intel Optane DC
    /// Persistent Memory Module", arXiv:1903.05714 (2019), and Yang et al., "An Empirical Guide to the Behavior and Use of Scalable
    /// Persistent Memory", FAST 2020.
    OptaneDcPmm,
}

impl Model {
    /// Its name, as `flac mkfs --inject` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Model::OptaneDcPmm => "optane",
        }
    }

    /// What reading `bytes` in one go takes.
    pub fn read_time(self, bytes: usize) -> Duration {
        let Model::OptaneDcPmm = self;
        Duration::from_nanos(305 + (bytes as f64 / 6.6) as u64)
    }

    /// What writing `bytes` in one go takes, until they are durable.
    pub fn write_time(self, bytes: usize) -> Duration {
        let Model::OptaneDcPmm = self;
        Duration::from_nanos(94 + (bytes as f64 / 2.3) as u64)
    }

    /// Waits (spinning: these are microseconds) until a read of `bytes` that began at `start` would be over.
    pub fn charge_read(self, start: Instant, bytes: usize) {
        wait(start, self.read_time(bytes));
    }

    /// As [`Model::charge_read`], for a write.
    pub fn charge_write(self, start: Instant, bytes: usize) {
        wait(start, self.write_time(bytes));
    }

    /// As the superblock has it; 0 is none.
    pub(super) fn encode(model: Option<Model>) -> u32 {
        model.map_or(0, |Model::OptaneDcPmm| 1)
    }

    /// From the superblock. What is not known costs nothing.
    pub(super) fn decode(number: u32) -> Option<Model> {
        (number == 1).then_some(Model::OptaneDcPmm)
    }
}

fn wait(start: Instant, cost: Duration) {
    while start.elapsed() < cost {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charged_access_takes_as_long_as_the_device_would() {
        let start = Instant::now();
        Model::OptaneDcPmm.charge_read(start, 2 << 20);
        // 2 MiB at 6.6 GB/s.
        assert!(start.elapsed() >= Duration::from_micros(317));
        assert!(Model::OptaneDcPmm.write_time(4096) > Model::OptaneDcPmm.read_time(4096));
    }
}
