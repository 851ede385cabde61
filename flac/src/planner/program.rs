//! What the planner knows of a program before its first large read: what became of attaching when it ran before.
//!
//! One process tells little: `sort` reads a file into memory, ends each line there with a zero, and has overwritten every page before it reads again, if it ever does. But the
//! next `sort` does the same. So where a large attach has turned out badly, the next processes of the program copy their first large reads; after 4 (16, 64) processes one tries
//! again. Known by its name, as the kernel has it (a script's is the script's): two programs of one name, or with one place in the table, are taken for one, which costs them
//! attaching, never bytes. Lies in shared memory, without locks: a lost update is one process more or less that waits.

use super::{Habit, explain};
use crate::region::PROGRAMS;
use crate::sync::{AtomicU32, Ordering::Relaxed};
use std::hash::Hasher;

/// The highest level of a program.
const WORST: u32 = 3;
/// So many large reads are copied by a process whose program's record is bad: it may live long, and have changed its ways.
const COPIES: u32 = 16;

const GOOD: u32 = 1;
const BAD: u32 = 2;

/// This process as a run of its program.
#[derive(Default)]
pub struct Program {
    /// Its program's place in the table plus one; 0 until the first large read.
    place: AtomicU32,
    /// Large reads that are still to be copied.
    copies: AtomicU32,
    /// What the record has heard of this run: nothing, [`GOOD`] or [`BAD`].
    told: AtomicU32,
}

impl Program {
    /// Whether to copy a large read because of earlier runs. `table` is the pool's.
    pub fn copies(&self, table: &[AtomicU32; PROGRAMS]) -> bool {
        if self.place.load(Relaxed) == 0 {
            self.begin(table, place_of(&rustix::thread::name().unwrap_or_default().into_bytes()));
        }
        let left = self.copies.load(Relaxed);
        if left > 0 {
            self.copies.store(left - 1, Relaxed);
            explain(format_args!("earlier runs of this program have overwritten what they read"));
        }
        left > 0
    }

    fn begin(&self, table: &[AtomicU32; PROGRAMS], place: u32) {
        self.place.store(place + 1, Relaxed);
        let record = &table[place as usize];
        let mut seen = Habit::unpack(record.load(Relaxed));
        if seen.wait > 0 {
            seen.wait -= 1;
            record.store(seen.pack(), Relaxed);
            self.copies.store(COPIES, Relaxed);
        }
    }

    /// What a large attach turned out to be; the first bad one of a process counts, and the first good one if it comes before.
    pub fn turned_out(&self, table: &[AtomicU32; PROGRAMS], badly: bool) {
        let Some(place) = self.place.load(Relaxed).checked_sub(1) else { return };
        let tells = if badly { BAD } else { GOOD };
        if self.told.fetch_max(tells, Relaxed) >= tells {
            return;
        }
        let record = &table[place as usize];
        let mut seen = Habit::unpack(record.load(Relaxed));
        if badly {
            seen.level = (seen.level + 1).min(WORST);
            seen.good = 0;
            seen.wait = 1 << (2 * seen.level);
        } else {
            seen.went_well();
        }
        record.store(seen.pack(), Relaxed);
    }
}

/// A record of the table that belongs to no program (but for one that shares its place): fresh memory has it ([`super::Filling`]).
pub fn of_no_program(table: &[AtomicU32; PROGRAMS]) -> &AtomicU32 {
    &table[place_of(b"") as usize]
}

fn place_of(name: &[u8]) -> u32 {
    // Without a key of its own, so the same in all processes.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(name);
    (hasher.finish() % PROGRAMS as u64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process of the program `name` does so many large reads, each of which turns out like that if it is attached; how many were.
    fn run(table: &[AtomicU32; PROGRAMS], name: &str, reads: usize, badly: bool) -> usize {
        let process = Program::default();
        process.begin(table, place_of(name.as_bytes()));
        (0..reads).filter(|_| !process.copies(table)).inspect(|_| process.turned_out(table, badly)).count()
    }

    fn table() -> [AtomicU32; PROGRAMS] {
        [const { AtomicU32::new(0) }; PROGRAMS]
    }

    #[test]
    fn who_overwrites_what_it_reads_in_each_run_is_copied_to_in_nearly_all() {
        let table = table();
        let attached: usize = (0..1000).map(|_| run(&table, "sort", 2, true)).sum();
        assert!(attached <= 2 * (3 + 1000 / 64), "{attached}");
    }

    #[test]
    fn other_programs_do_not_feel_it() {
        let table = table();
        (0..10).for_each(|_| _ = run(&table, "sort", 2, true));
        assert_ne!(place_of(b"sort"), place_of(b"cat"));
        assert_eq!(run(&table, "cat", 100, false), 100);
    }

    #[test]
    fn who_has_changed_its_ways_is_attached_to_again() {
        let table = table();
        (0..100).for_each(|_| _ = run(&table, "python3", 2, true));
        let runs = (0..100).filter(|_| run(&table, "python3", 5, false) == 5).count();
        assert!(runs >= 30, "{runs}");
    }

    #[test]
    fn a_process_that_copies_at_first_finds_out_that_it_need_not() {
        let table = table();
        run(&table, "p", 1, true);
        assert_eq!(run(&table, "p", 100, false), 84);
    }

    #[test]
    fn one_run_counts_once() {
        let table = table();
        run(&table, "p", 100, true);
        assert_eq!(Habit::unpack(table[place_of(b"p") as usize].load(Relaxed)).level, 1);
    }
}
