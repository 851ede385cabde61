//! What the movers cost on this machine: measured once a boot ([`crate::Fs::calibrate`]), assumed until then.
//!
//! Lies in shared memory, so one process measures for all. Which programs do that is their tools' choice: `flac info` and `flac writeback` do, in 3 ms. A program that merely
//! uses files never does: `ls` ends in less. What it decides by the assumed figures is bounded by its habits, and how to copy is learned in use (`region::copy::rivals`).

use crate::sync::{AtomicU32, Ordering::*};

/// The movers, and what follows on them. The unit is a nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Cost {
    /// 4 KiB copied alone, both sides warm.
    SmallCopy,
    /// 4 KiB of 2 MiB copied to a program's buffer.
    PageOut,
    /// 4 KiB of 2 MiB copied from a program's buffer.
    PageIn,
    /// 4 KiB of 2 MiB read by `pread` on the tier's file.
    PageRead,
    /// 4 KiB of 2 MiB written by `pwrite`.
    PageWritten,
    /// Mapping 2 MiB over a buffer.
    Map,
    /// Touching 2 MiB of it through one huge entry, or, where there is none, a byte of each page.
    TouchHuge,
    /// Touching 4 KiB of it through small entries.
    TouchPage,
    /// The first write to a page of it: a fault with a copy.
    OwnPage,
    /// Asking the kernel what a buffer shows and which pages of it were written.
    Ask,
    /// Sharing 4 KiB with a file: its references and its entry.
    SharePage,
    /// 4 KiB of a large copy to memory that has no pages yet; learned by such copies, too.
    FreshPage,
}

const COUNT: usize = 12;
/// In the order of [`Cost`]: name, and what the test machine has for it.
const ASSUMED: [(&str, u32); COUNT] = [
    ("copy_4k", 100),
    ("copy_out_page", 140),
    ("copy_in_page", 160),
    ("pread_page", 210),
    ("pwrite_page", 240),
    ("map_2m", 2_300),
    ("touch_2m", 9_700),
    ("touch_page", 450),
    ("own_page", 2_000),
    ("ask", 2_500),
    ("share_page", 8),
    ("fresh_page", 2_500),
];
/// A figure further off than this was disturbed.
const OFF: u32 = 16;

/// What is known. Valid when zero: nothing.
#[derive(Default)]
#[repr(C)]
pub struct Costs([AtomicU32; COUNT]);

impl Costs {
    /// Nanoseconds.
    #[inline]
    pub fn of(&self, cost: Cost) -> usize {
        match self.0[cost as usize].load(Relaxed) {
            0 => ASSUMED[cost as usize].1 as usize,
            known => known as usize,
        }
    }

    /// Whether they were measured.
    pub fn are_measured(&self) -> bool {
        self.0.iter().all(|cost| cost.load(Acquire) != 0)
    }

    /// Keeps a measured one, unless it can't be true.
    pub fn measured(&self, cost: Cost, nanoseconds: u64) {
        let assumed = ASSUMED[cost as usize].1;
        let kept = u32::try_from(nanoseconds).unwrap_or(u32::MAX).clamp((assumed / OFF).max(1), assumed * OFF);
        self.0[cost as usize].store(kept, Release);
    }

    /// Keeps what one more took: it counts a quarter.
    pub fn learned(&self, cost: Cost, nanoseconds: u64) {
        self.measured(cost, (3 * self.of(cost) as u64 + nanoseconds) / 4);
    }

    /// Names and values, in a fixed order.
    pub fn list(&self) -> [(&'static str, usize); COUNT] {
        std::array::from_fn(|i| match self.0[i].load(Relaxed) {
            0 => (ASSUMED[i].0, ASSUMED[i].1 as usize),
            known => (ASSUMED[i].0, known as usize),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_assumed_and_what_can_not_be_true_is_bounded() {
        let costs = Costs::default();
        assert_eq!(costs.of(Cost::OwnPage), 2_000);
        costs.measured(Cost::OwnPage, 700);
        assert_eq!(costs.of(Cost::OwnPage), 700);
        costs.measured(Cost::OwnPage, 5_000_000_000_000);
        assert_eq!(costs.of(Cost::OwnPage), 32_000);
        costs.measured(Cost::SharePage, 0);
        assert_eq!(costs.of(Cost::SharePage), 1);
        assert!(!costs.are_measured());
        (0..50).for_each(|_| costs.learned(Cost::FreshPage, 600));
        assert!((600..610).contains(&costs.of(Cost::FreshPage)));
    }

    #[test]
    fn names_and_costs_agree() {
        let costs = Costs::default();
        costs.measured(Cost::SharePage, 20);
        costs.measured(Cost::Map, 3_000);
        let list = costs.list();
        assert_eq!((list[Cost::SharePage as usize], list[Cost::Map as usize]), (("share_page", 20), ("map_2m", 3_000)));
    }
}
