//! Two ways to do the same, and what each has cost lately.
//!
//! Which is the better one depends on the machine and on what the caches hold (see [`super`]), so both are timed in use: the first few times in turn, then the better one, with
//! a rare try of the other. Lies in shared memory, so a short-lived process begins with what others learned; updates may get lost.

use super::Way;
use crate::sync::{AtomicU32, Ordering::Relaxed};

/// So many times in the beginning the ways take turns.
const TRIALS: u32 = 8;
/// Later each 64th time tries the other one: if that takes twice as long, 1.6 % are lost.
const RETRY: u32 = 64;
/// Later each 8th time is timed.
const TIMED: u32 = 8;

/// What is known of two ways. Valid when zero.
#[derive(Default)]
#[repr(C)]
pub struct Rivals {
    /// Picoseconds for a byte, averaged; 0 is unknown.
    cost: [AtomicU32; 2],
    turn: AtomicU32,
}

impl Rivals {
    /// Which of the two to take now, and whether to time it.
    #[inline]
    fn pick(&self) -> (usize, bool) {
        let turn = self.turn.load(Relaxed);
        self.turn.store(turn.wrapping_add(1), Relaxed);
        if turn < TRIALS {
            return ((turn % 2) as usize, true);
        }
        let better = (self.cost[1].load(Relaxed) < self.cost[0].load(Relaxed)) as usize;
        match turn % RETRY {
            0 => (1 - better, true),
            n => (better, n % TIMED == 0),
        }
    }

    fn took(&self, which: usize, nanoseconds: u64, bytes: usize) {
        let now = (nanoseconds * 1000 / bytes.max(1) as u64).clamp(1, 1 << 20) as u32;
        let cost = &self.cost[which];
        let before = cost.load(Relaxed);
        // One that took very long was interrupted: it counts as a little slower than usual.
        let new = if before == 0 { now } else { (before * 3 + now.min(before * 2)).div_ceil(4) };
        cost.store(new, Relaxed);
    }

    /// Copies `len` bytes in the better of two `ways` by `copy`, which returns how many bytes are left.
    #[inline]
    pub fn race(&self, ways: [Way; 2], len: usize, copy: impl FnOnce(Way) -> usize) -> usize {
        let (which, timed) = self.pick();
        if !timed {
            return copy(ways[which]);
        }
        let start = now();
        let left = copy(ways[which]);
        if left == 0 {
            self.took(which, now().saturating_sub(start), len);
        }
        left
    }

    /// Picoseconds for a byte in each way; 0 is unknown.
    pub fn costs(&self) -> [u32; 2] {
        [self.cost[0].load(Relaxed), self.cost[1].load(Relaxed)]
    }
}

fn now() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `rounds` copies where the ways take `cost[0]` and `cost[1]` picoseconds for a byte; how often the second was taken.
    fn play(rivals: &Rivals, rounds: usize, cost: [u64; 2]) -> usize {
        let mut second = 0;
        for _ in 0..rounds {
            let (which, timed) = rivals.pick();
            second += which;
            if timed {
                rivals.took(which, cost[which] * 1000, 1_000_000);
            }
        }
        second
    }

    #[test]
    fn the_cheaper_way_is_taken_and_the_other_rarely_tried() {
        let rivals = Rivals::default();
        assert!(play(&rivals, 1000, [40, 80]) <= 20);
        let rivals = Rivals::default();
        assert!(play(&rivals, 1000, [80, 40]) >= 980);
    }

    #[test]
    fn a_change_is_noticed() {
        let rivals = Rivals::default();
        play(&rivals, 1000, [40, 80]);
        play(&rivals, 1000, [160, 80]);
        assert!(play(&rivals, 1000, [160, 80]) >= 980);
    }

    #[test]
    fn one_interrupted_copy_changes_nothing() {
        let rivals = Rivals::default();
        play(&rivals, 1000, [40, 100]);
        rivals.took(0, 1_000_000_000, 1_000_000);
        assert_eq!(rivals.pick().0, 0);
    }
}
