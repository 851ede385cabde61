//! The planner: copy or attach? Knows what moving costs and what became of the last attach; moves nothing itself.
//!
//! Attaching is a gamble on what the program does with the buffer next (figures of the test machine, for 2 MiB: attach 2.3 us; one byte a page 12 us with huge
//! frames, 240 without; every page overwritten 1,060; a copy 72). So: fresh memory is attached, as its first touch would fault anyway; a warm buffer is attached where
//! one huge entry serves 2 MiB; and who overwrites the buffer is copied to from then on, with rare tries to see whether that changed. What moving costs here is in [`costs`].

mod costs;
mod filling;
mod program;

pub use costs::{Cost, Costs};
pub use filling::{FILL_MIN, Filling};
pub use program::{Program, of_no_program};

use crate::attach::Touched;
use crate::region::OpenSlot;
use crate::sync::{AtomicU32, Ordering::Relaxed};
use crate::units::{BLOCK, PAGE};
use std::fmt::Arguments;
use std::sync::OnceLock;

/// Who hears the explanations, if anybody.
static LISTENER: OnceLock<fn(Arguments<'_>)> = OnceLock::new();

/// From now on each decision about a large transfer is told to `listener`, with its reason.
pub fn explain_to(listener: fn(Arguments<'_>)) {
    // A second listener comes too late.
    let _ = LISTENER.set(listener);
}

/// Tells a decision, if somebody listens.
#[inline]
pub fn explain(what: Arguments<'_>) {
    if let Some(listener) = LISTENER.get() {
        listener(what);
    }
}

/// What the planner knows about a transfer.
pub struct Transfer {
    /// Bytes that could be attached.
    pub bytes: usize,
    /// Whether whole 2 MiB pieces can be mapped by one entry each.
    pub huge: bool,
    /// Whether the pages would have to be copied from a device slower than DRAM: 320 us for 2 MiB of it, so that showing them where they lie pays in any buffer.
    pub slow: bool,
    /// How the buffer's pages stand; `None` if unknown.
    pub buffer: Option<Touched>,
    /// Whether the buffer is (part of) what the last read of this open file attached.
    pub again: bool,
    /// Whether it had no pages when that was attached: a copy would have made them.
    pub fresh: bool,
    /// Nanoseconds of copying that its pages have spared since, because writes to files could share them.
    pub spared: usize,
}

/// The planner's memory of an open file, packed into `OpenSlot::habit`: how bad attaching is here (0 to 5), how many attaches in a row went well, and how many transfers
/// to copy before attaching is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Habit {
    level: u32,
    good: u32,
    wait: u32,
}

/// After 4^level copies a bad habit is tried again: at the highest level a bad attach (1,060 us) among 1,024 copies (72 us) costs 1.4 %.
const WORST: u32 = 5;
/// So many attaches that went well (60 us gained by each) forgive one level.
const FORGIVE: u32 = 8;

impl Habit {
    fn unpack(word: u32) -> Self {
        Habit { level: word & 0xf, good: word >> 4 & 0xff, wait: word >> 12 }
    }
    fn pack(self) -> u32 {
        self.level | self.good << 4 | self.wait << 12
    }
    fn went_badly(&mut self) {
        self.level = (self.level + 1).min(WORST);
        self.good = 0;
        self.wait = 1 << (2 * self.level);
    }
    fn went_well(&mut self) {
        self.good += 1;
        if self.good >= FORGIVE {
            self.good = 0;
            self.level = self.level.saturating_sub(1);
        }
    }
}

/// Asking the kernel about a buffer costs 3 us, as much as copying 64 KiB: an answer counts for so many reads into the same buffer.
const ASK_AGAIN: u64 = 31;

/// Whether the read is to be copied without asking: the last one went to the same buffer, and was copied because its pages were in use.
#[inline]
pub fn is_known_warm(open: &OpenSlot, addr: usize) -> bool {
    let word = open.copied_to.load(Relaxed);
    let left = word % PAGE as u64;
    let known = left > 0 && word - left == addr as u64;
    if known {
        open.copied_to.store(word - 1, Relaxed);
    }
    known
}

/// A read was copied to `addr` (0: it was not) because its pages were in use.
#[inline]
pub fn note_warm(open: &OpenSlot, addr: usize) {
    open.copied_to.store(if addr == 0 { 0 } else { addr as u64 + ASK_AGAIN }, Relaxed);
}

/// Whether a bad habit says to copy, whatever the buffer is: counts this transfer as one of those to wait for. An open file of which nothing is known has the habit of its
/// process, once that has turned out badly twice: a program that opens file after file is not to pay for each anew.
#[inline]
pub fn waits(open: &OpenSlot, process: &AtomicU32) -> bool {
    let own = Habit::unpack(open.habit.load(Relaxed));
    let (place, mut habit) = match own {
        Habit { level: 0, good: 0, wait: 0 } => (process, Habit::unpack(process.load(Relaxed))),
        _ => (&open.habit, own),
    };
    let waits = habit.wait > 0 && (habit.level > 1 || std::ptr::eq(place, &open.habit));
    if waits {
        habit.wait -= 1;
        place.store(habit.pack(), Relaxed);
    }
    waits
}

/// Whether the next transfers will have to wait.
pub fn is_waiting(open: &OpenSlot) -> bool {
    Habit::unpack(open.habit.load(Relaxed)).wait > 0
}

/// Learns from what became of the last attach, if `t` is about the buffer that it was made to.
///
/// Returns whether it was bad; `None` if nothing was learned.
pub fn judge(open: &OpenSlot, t: &Transfer, process: &AtomicU32, costs: &Costs) -> Option<bool> {
    let (true, Some(b)) = (t.again, t.buffer) else { return None };
    let badly = turned_out_badly(t, b, costs);
    for place in [&open.habit, process] {
        let mut habit = Habit::unpack(place.load(Relaxed));
        match habit.wait {
            _ if badly => habit.went_badly(),
            0 => habit.went_well(),
            // Other open files of the process do not wait.
            wait if std::ptr::eq(place, process) => habit.wait = wait - 1,
            _ => {}
        }
        place.store(habit.pack(), Relaxed);
    }
    Some(badly)
}

/// Whether to attach, where nothing says to wait.
pub fn attach_pays(t: &Transfer, costs: &Costs) -> bool {
    // The half of it, for programs that do not look at all they read.
    let shown = costs.of(Cost::Map) + costs.of(Cost::TouchHuge) / 2;
    if t.slow || t.huge && t.bytes >= BLOCK && shown < BLOCK / PAGE * costs.of(Cost::PageOut) {
        return true;
    }
    match t.buffer {
        // Fresh, or still the untouched view of last time.
        Some(b) => (b.own + b.read) * 16 <= t.bytes / PAGE,
        None => false,
    }
}

/// The buffer shows what was attached before, and this read can't be attached like that: its offset does not fit. Going back and forth costs fresh memory each time (2.5 us a page), so
/// from here on the program is copied to.
pub fn does_not_fit(open: &OpenSlot) {
    open.habit.store(Habit { level: WORST, good: 0, wait: 1 << (2 * WORST) }.pack(), Relaxed);
}

/// Whether to ask the kernel if the pages of a write are still attached views. `habit` is the process's memory of how that turned out; the answer is told by [`share_was`].
pub fn share_may_pay(habit: &AtomicU32) -> bool {
    let mut h = Habit::unpack(habit.load(Relaxed));
    let waiting = h.wait > 0;
    if waiting {
        h.wait -= 1;
        habit.store(h.pack(), Relaxed);
    }
    !waiting
}

/// Whether asking paid. It costs 2 us, as much as copying 64 KiB: who always changes what was attached is asked ever more rarely.
pub fn share_was(habit: &AtomicU32, good: bool) {
    let mut h = Habit::unpack(habit.load(Relaxed));
    if good {
        h.went_well()
    } else {
        h.went_badly()
    }
    habit.store(h.pack(), Relaxed);
}

/// Whether the last attach cost more than a copy would have.
fn turned_out_badly(t: &Transfer, b: Touched, costs: &Costs) -> bool {
    let touched = if t.huge || t.slow { 0 } else { b.read * costs.of(Cost::TouchPage) };
    // Of what a page takes to be made and copied to, a quarter is left out: a program that overwrites all of a fresh buffer gains nothing by an attach, and its copy has larger pages perhaps.
    let made = costs.of(Cost::FreshPage).min(costs.of(Cost::OwnPage) / 4 * 5);
    let copied = if t.fresh { made / 4 * 3 } else { costs.of(Cost::PageOut) };
    b.own * costs.of(Cost::OwnPage) + touched > t.bytes / PAGE * copied + t.spared
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As for a read: what became of the last attach, then whether to attach.
    fn pays(open: &OpenSlot, t: &Transfer, process: &AtomicU32, costs: &Costs) -> bool {
        judge(open, t, process, costs);
        !is_waiting(open) && attach_pays(t, costs)
    }

    fn reads(open: &OpenSlot, count: usize, after_attach: Touched) -> usize {
        let process = AtomicU32::default();
        let mut attached = false;
        let mut attaches = 0;
        for _ in 0..count {
            // The last transfer's buffer counts as attached until a copy replaced it.
            let t =
                Transfer { bytes: BLOCK, huge: true, slow: false, buffer: Some(after_attach), again: attached, fresh: false, spared: 0 };
            attached = !waits(open, &process) && pays(open, &t, &process, &Costs::default());
            attaches += attached as usize;
        }
        attaches
    }

    fn open() -> OpenSlot {
        OpenSlot::default()
    }

    #[test]
    fn who_overwrites_the_buffer_is_copied_to() {
        let overwritten = Touched { read: 0, own: BLOCK / PAGE };
        assert!(reads(&open(), 5_000, overwritten) <= 10);
    }

    #[test]
    fn who_only_reads_gets_every_transfer_attached() {
        assert_eq!(reads(&open(), 1000, Touched { read: BLOCK / PAGE, own: 0 }), 1000);
    }

    /// So many open files, each read once to fresh memory that then becomes `then`; how many of the reads were attached.
    fn files(process: &AtomicU32, count: usize, then: Touched) -> usize {
        let attached = |open: &OpenSlot| {
            let fresh = Transfer { bytes: BLOCK, huge: true, slow: false, buffer: None, again: false, fresh: false, spared: 0 };
            let attached = !waits(open, process) && pays(open, &fresh, process, &Costs::default());
            if attached {
                judge(open, &Transfer { buffer: Some(then), again: true, ..fresh }, process, &Costs::default());
            }
            attached
        };
        (0..count).filter(|_| attached(&open())).count()
    }

    #[test]
    fn who_overwrites_what_it_reads_of_file_after_file_is_copied_to() {
        let process = AtomicU32::default();
        let overwritten = Touched { read: 0, own: BLOCK / PAGE };
        assert!(files(&process, 1000, overwritten) <= 6);
        // And who then only reads is attached to again: each try that goes well brings the next ones nearer.
        files(&process, 20_000, Touched::default());
        assert_eq!(files(&process, 100, Touched::default()), 100);
        // Good and bad in turn: as if all were bad.
        let process = AtomicU32::default();
        let bad = |turn: usize| Touched { read: 0, own: if turn.is_multiple_of(2) { BLOCK / PAGE } else { 0 } };
        assert!((0..1000).filter(|turn| files(&process, 1, bad(*turn)) == 1).count() <= 20);
    }

    #[test]
    fn one_file_that_is_overwritten_does_not_keep_others_from_being_attached() {
        let process = AtomicU32::default();
        assert_eq!(files(&process, 1, Touched { read: 0, own: BLOCK / PAGE }), 1);
        assert_eq!(files(&process, 100, Touched::default()), 100);
    }

    #[test]
    fn who_overwrites_fresh_memory_each_time_is_copied_to_once_that_is_seen() {
        let (open, process) = (open(), AtomicU32::default());
        let mut attaches = 0;
        for _ in 0..1000 {
            // Never the buffer of last time: only the write that follows tells.
            let fresh = Transfer { bytes: BLOCK, huge: true, slow: false, buffer: None, again: false, fresh: false, spared: 0 };
            if !waits(&open, &process) && pays(&open, &fresh, &process, &Costs::default()) {
                attaches += 1;
                judge(
                    &open,
                    &Transfer { buffer: Some(Touched { read: 0, own: BLOCK / PAGE }), again: true, ..fresh },
                    &process,
                    &Costs::default(),
                );
            }
        }
        assert!(attaches <= 6, "{attaches}");
    }

    #[test]
    fn a_warm_buffer_is_asked_about_rarely_and_another_one_at_once() {
        let open = open();
        note_warm(&open, 0x10000);
        assert_eq!((0..100).take_while(|_| is_known_warm(&open, 0x10000)).count() as u64, ASK_AGAIN);
        note_warm(&open, 0x10000);
        assert!(!is_known_warm(&open, 0x20000));
        note_warm(&open, 0);
        assert!(!is_known_warm(&open, 0x10000));
    }

    #[test]
    fn where_a_huge_entry_costs_more_than_a_copy_warm_buffers_are_copied_to() {
        let (process, costs) = (AtomicU32::default(), Costs::default());
        let warm = Transfer {
            bytes: BLOCK,
            huge: true,
            slow: false,
            buffer: Some(Touched { read: 0, own: BLOCK / PAGE }),
            again: false,
            fresh: false,
            spared: 0,
        };
        assert!(pays(&open(), &warm, &process, &costs));
        costs.measured(Cost::Map, 20_000);
        costs.measured(Cost::TouchHuge, 120_000);
        assert!(!pays(&open(), &warm, &process, &costs));
        assert!(pays(&open(), &Transfer { buffer: Some(Touched::default()), ..warm }, &process, &costs), "fresh memory");
    }

    #[test]
    fn what_a_fault_costs_decides_what_was_bad() {
        let (process, costs) = (AtomicU32::default(), Costs::default());
        let some = Transfer {
            bytes: BLOCK,
            huge: true,
            slow: false,
            buffer: Some(Touched { read: 0, own: 50 }),
            again: true,
            fresh: false,
            spared: 0,
        };
        let open = open();
        judge(&open, &some, &process, &costs);
        assert!(is_waiting(&open), "50 faults of 2 us against 512 pages of 0.14");
        costs.measured(Cost::OwnPage, 500);
        let open = OpenSlot::default();
        judge(&open, &some, &process, &costs);
        assert!(!is_waiting(&open));
    }

    /// A training program changes half of the model that it has loaded: its copies were taken for what attaching had cost, and the next runs copied all of it.
    #[test]
    fn regression_half_of_a_fresh_buffer_overwritten_is_no_loss_and_all_of_it_is() {
        let (process, costs) = (AtomicU32::default(), Costs::default());
        let spared = std::cell::Cell::new(0);
        let judged = |own: usize, fresh: bool| {
            let buffer = Some(Touched { read: 0, own });
            let t = Transfer { bytes: BLOCK, huge: true, slow: false, buffer, again: true, fresh, spared: spared.get() };
            judge(&open(), &t, &process, &costs)
        };
        assert_eq!([BLOCK / PAGE / 2, BLOCK / PAGE].map(|own| judged(own, true)), [Some(false), Some(true)]);
        assert_eq!(judged(BLOCK / PAGE / 2, false), Some(true));
        costs.measured(Cost::FreshPage, 20_000);
        assert_eq!(judged(BLOCK / PAGE, true), Some(true), "whatever was measured");
        // Where fresh pages are cheap (huge ones are at hand), so is the copy.
        costs.measured(Cost::FreshPage, 600);
        assert_eq!(judged(BLOCK / PAGE / 2, true), Some(true));
        // Half of it was shared by five saves.
        spared.set(5 * BLOCK / PAGE / 2 * 400);
        assert_eq!(judged(BLOCK / PAGE / 2, true), Some(false));
    }

    #[test]
    fn one_slip_is_forgiven() {
        let open = open();
        for _ in 0..20 {
            reads(&open, 2, Touched { read: 0, own: BLOCK / PAGE });
            assert!(reads(&open, 60, Touched::default()) >= 30);
        }
    }
}
