//! Huge pages or small ones, in fresh memory that a copy is about to fill.
//!
//! A huge page takes one fault where small ones take 512, and a program walks through it faster: on the test machine 2 MiB take 0.3 ms instead of 1.4. But where a virtual machine's
//! host hears which large pieces of memory are free, and takes them, each has to be got back at its first touch: 4 to 9 ms, while small pages mostly come from pieces that nobody has given away.
//! Which of the two it is changes from second to second. So the copy measures as it goes: small pages first, then huge ones for as long as these together take no longer than small ones would.

use super::Habit;
use crate::sync::{AtomicU32, Ordering::Relaxed};
use crate::units::BLOCK;

/// Blocks that are filled with small pages to see what these take; the faster one counts.
const SAMPLES: u32 = 2;
/// Nanoseconds; 512 faults of 4 us each. What takes longer was disturbed, or had to be loaded first.
const SMALL_MOST: u64 = 2_000_000;
/// So many huge pages say that they are to be had.
const ENOUGH: u32 = 8;
/// The highest level of the habit: one fill of 64 tries.
const WORST: u32 = 3;

/// The least that is worth measuring: less would be filled before it is known.
pub const FILL_MIN: usize = 8 * BLOCK;

/// A copy into fresh memory, block by block.
#[derive(Default)]
pub struct Filling {
    /// When the block began that is being filled, and whether it is huge.
    block: Option<(u64, bool)>,
    /// Blocks of small pages that were filled, and nanoseconds of the fastest one.
    small: (u32, u64),
    /// Huge ones that were.
    huge: u32,
    /// Nanoseconds that they have taken less than small ones would have.
    gained: i64,
}

impl Filling {
    /// Whether fills may try huge pages just now; counts this one as one of those that wait.
    pub fn begin(record: &AtomicU32) -> Option<Filling> {
        let mut seen = Habit::unpack(record.load(Relaxed));
        if seen.wait == 0 {
            return Some(Filling::default());
        }
        seen.wait -= 1;
        record.store(seen.pack(), Relaxed);
        None
    }

    /// Nanoseconds that the block takes which ends at `now`, if there is one that was not disturbed.
    pub fn took(&self, now: u64) -> Option<u64> {
        self.block.map(|(began, _)| now.saturating_sub(began)).filter(|took| *took <= SMALL_MOST)
    }

    /// The next block begins at `now` (nanoseconds), and the one before has ended; whether it is to be huge. `None`: it and all others are not. `record` hears how it went.
    pub fn next(&mut self, now: u64, record: &AtomicU32) -> Option<bool> {
        if let Some((began, huge)) = self.block {
            self.ended(now.saturating_sub(began), huge);
        }
        let huge = self.small.0 == SAMPLES;
        if huge && (self.gained < 0 || self.huge == ENOUGH) {
            let mut seen = Habit::unpack(record.load(Relaxed));
            if self.gained < 0 {
                seen.level = (seen.level + 1).min(WORST);
                seen.wait = 1 << (2 * seen.level);
            } else {
                seen.went_well();
            }
            record.store(seen.pack(), Relaxed);
        }
        if self.gained < 0 {
            return None;
        }
        self.block = Some((now, huge));
        Some(huge)
    }

    fn ended(&mut self, took: u64, huge: bool) {
        if huge {
            self.huge += 1;
            self.gained += self.small.1.cast_signed() - took.cast_signed();
        } else {
            let fastest = if self.small.0 == 0 { SMALL_MOST } else { self.small.1 };
            self.small = (self.small.0 + 1, fastest.min(took));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: u64 = 1_400_000;

    /// Fills so many blocks, of which the `n`th huge one takes `huge(n)`: how many were huge, and what all of them took.
    fn fill(record: &AtomicU32, blocks: usize, small: u64, huge: impl Fn(u32) -> u64) -> (u32, u64) {
        let (mut now, mut filling, mut count) = (0, Filling::begin(record), 0);
        for _ in 0..blocks {
            match filling.as_mut().and_then(|filling| filling.next(now, record)) {
                Some(true) => {
                    now += huge(count);
                    count += 1;
                }
                Some(false) => now += small,
                None => {
                    filling = None;
                    now += small;
                }
            }
        }
        (count, now)
    }

    #[test]
    fn where_huge_pages_are_at_hand_all_but_the_samples_are_huge() {
        let record = AtomicU32::default();
        for _ in 0..100 {
            assert_eq!(fill(&record, 256, SMALL, |_| 300_000).0, 254);
        }
    }

    #[test]
    fn where_they_must_be_fetched_one_is_tried_in_ever_more_fills() {
        let record = AtomicU32::default();
        let small = 1000 * 256 * SMALL;
        let runs: Vec<_> = (0..1000).map(|_| fill(&record, 256, SMALL, |_| 8_000_000)).collect();
        assert!(runs.iter().all(|(huge, _)| *huge <= 1));
        assert!(runs.iter().map(|(huge, _)| huge).sum::<u32>() <= 3 + 1000 / 64);
        assert!(runs.iter().map(|(_, took)| took).sum::<u64>() < small + small / 1000);
    }

    #[test]
    fn a_fill_that_runs_out_of_them_in_its_middle_takes_no_longer_than_small_pages() {
        let took = fill(&AtomicU32::default(), 256, SMALL, |n| if n < 40 { 300_000 } else { 8_000_000 }).1;
        assert!(took <= 256 * SMALL + 8_000_000, "{took}");
    }

    #[test]
    fn one_that_was_disturbed_is_forgiven() {
        assert_eq!(fill(&AtomicU32::default(), 256, SMALL, |n| if n == 20 { 10_000_000 } else { 300_000 }).0, 254);
    }

    #[test]
    fn samples_that_were_disturbed_do_not_count_for_what_they_took() {
        let record = AtomicU32::default();
        assert_eq!(fill(&record, 256, 50_000_000, |_| 8_000_000).0, 1);
    }

    #[test]
    fn who_finds_them_again_uses_them_again() {
        let record = AtomicU32::default();
        (0..1000).for_each(|_| _ = fill(&record, 16, SMALL, |_| 8_000_000));
        let huge = (0..1000).filter(|_| fill(&record, 16, SMALL, |_| 300_000).0 > 0).count();
        assert!(huge > 900, "{huge}");
    }
}
