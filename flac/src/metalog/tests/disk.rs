//! A power cut: keeps what the device was told to flush, and at the cut lets an arbitrary part of the rest survive.

use super::copy_dir;
use crate::units::{PAGE, PoolFrame};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What survives a power cut in one piece.
const SECTOR: usize = 512;

/// A moment at which power may fail.
pub(super) enum Event {
    /// A record was appended, and the KV not committed.
    Append,
    /// A range of a log file is about to become durable, with the data frames that were written directly.
    Flush { slot: usize, from: u64, to: u64 },
    /// All data frames are about to become durable.
    FlushData,
    /// Between two calls.
    Idle,
}

/// The device below a pool directory.
struct Disk {
    pool: PathBuf,
    /// What is durable of `log.0`, `log.1` and `frames`.
    durable: [Vec<u8>; 3],
    /// Frames that lie in the page cache.
    cached: BTreeSet<u32>,
    /// Events until the power fails.
    left: u32,
    crash_to: PathBuf,
    crashed: bool,
    random: u64,
}

const FILES: [&str; 3] = ["log.0", "log.1", "frames"];

thread_local!(static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) });

fn content(dir: &Path, name: &str) -> Vec<u8> {
    std::fs::read(dir.join(name)).expect("a file of the pool")
}

/// From here on the power fails after `left` events of this thread, and the directory `crash_to` then holds what survived.
pub(super) fn watch(pool: &Path, left: u32, crash_to: &Path, seed: u64) {
    let durable = FILES.map(|name| content(pool, name));
    let cached = BTreeSet::new();
    let disk = Disk { pool: pool.to_owned(), durable, cached, left, crash_to: crash_to.to_owned(), crashed: false, random: seed };
    DISK.set(Some(disk));
}

/// Whether this thread's disk is simulated.
pub(super) fn watching() -> bool {
    DISK.with_borrow(Option::is_some)
}

/// Whether the power has failed.
pub(super) fn crashed() -> bool {
    DISK.with_borrow(|disk| disk.as_ref().is_some_and(|d| d.crashed))
}

/// Frames were written: through the page cache, or directly.
pub(super) fn written(first: PoolFrame, count: usize, cached: bool) {
    DISK.with_borrow_mut(|disk| {
        let Some(disk) = disk else { return };
        for frame in first.get()..first.get() + count as u32 {
            if cached {
                disk.cached.insert(frame)
            } else {
                disk.cached.remove(&frame)
            };
        }
    });
}

/// Something happens.
pub(super) fn event(event: Event) {
    DISK.with_borrow_mut(|disk| {
        let Some(disk) = disk.as_mut().filter(|d| !d.crashed) else {
            return;
        };
        if disk.left == 0 {
            disk.crash();
            return;
        }
        disk.left -= 1;
        match event {
            Event::Flush { slot, from, to } => {
                let now = content(&disk.pool, FILES[slot]);
                let (from, to) = (from as usize, (to as usize).min(now.len()));
                disk.durable[slot][from..to].copy_from_slice(&now[from..to]);
                let mut frames = content(&disk.pool, "frames");
                let old = &mut disk.durable[2];
                old.resize(frames.len(), 0);
                for &frame in &disk.cached {
                    let at = frame as usize * PAGE..(frame as usize + 1) * PAGE;
                    frames[at.clone()].copy_from_slice(&old[at]);
                }
                *old = frames;
            }
            Event::FlushData => {
                disk.durable[2] = content(&disk.pool, "frames");
                disk.cached.clear();
            }
            Event::Append | Event::Idle => {}
        }
    });
}

impl Disk {
    /// A number below `n` (splitmix64).
    fn below(&mut self, n: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn crash(&mut self) {
        copy_dir(&self.pool, &self.crash_to);
        for (i, name) in FILES.into_iter().enumerate() {
            let mut survived = content(&self.pool, name);
            // Growth is durable at once (it ends with an fdatasync), in zeros.
            let mut old = self.durable[i].clone();
            old.resize(survived.len(), 0);
            // How much of what was not flushed is lost varies from crash to crash.
            let lost = self.below(5);
            for (new, old) in survived.chunks_mut(SECTOR).zip(old.chunks(SECTOR)) {
                if new != old && self.below(4) < lost {
                    new.copy_from_slice(old);
                }
            }
            std::fs::write(self.crash_to.join(name), survived).expect("a file of the crashed pool");
        }
        self.crashed = true;
    }
}
