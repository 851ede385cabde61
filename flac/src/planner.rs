//! The planner: copy or attach? Knows what moving costs and what became of the last attach; moves nothing itself.
//!
//! Attaching is a gamble on what the program does with the buffer next (figures of the test machine, for 2 MiB: attach 2.3 us; one byte a page 12 us with huge
//! frames, 240 without; every page overwritten 1,060; a copy 72). So: fresh memory is attached, as its first touch would fault anyway; a warm buffer is attached where
//! one huge entry serves 2 MiB; and who overwrites the buffer is copied to from then on, with rare tries to see whether that changed.

use crate::attach::Touched;
use crate::region::OpenSlot;
use crate::sync::Ordering::Relaxed;
use crate::units::{BLOCK, PAGE};

/// What the planner knows about a transfer.
pub struct Transfer {
    /// Bytes that could be attached.
    pub bytes: usize,
    /// Whether whole 2 MiB pieces can be mapped by one entry each.
    pub huge: bool,
    /// How the buffer's pages stand; `None` if unknown.
    pub buffer: Option<Touched>,
    /// Whether the buffer is (part of) what the last read of this open file attached.
    pub again: bool,
}

/// The planner's memory in `OpenSlot::habit`: low 8 bits how often attaching turned out badly, above them how many transfers to copy before trying again.
const BAD: u32 = 0xff;

/// Whether to attach. Updates the open file's habit.
pub fn attach_pays(open: &OpenSlot, t: &Transfer) -> bool {
    let mut habit = open.habit.load(Relaxed);
    if t.again
        && let Some(b) = t.buffer
        && turned_out_badly(t, b)
    {
        let bad = (habit & BAD).min(7) + 1;
        habit = bad | (8 << bad) << 8;
    }
    let wait = habit >> 8;
    if wait > 0 {
        open.habit.store(habit - (1 << 8), Relaxed);
        return false;
    }
    open.habit.store(habit, Relaxed);
    if t.huge && t.bytes >= BLOCK {
        return true;
    }
    match t.buffer {
        // Fresh, or still the untouched view of last time.
        Some(b) => (b.own + b.read) * 16 <= t.bytes / PAGE,
        None => false,
    }
}

/// Whether the last attach cost more than a copy would have.
fn turned_out_badly(t: &Transfer, b: Touched) -> bool {
    let pages = t.bytes / PAGE;
    // An overwritten page costs a fault with a copy, 2 us; a page read through a 4 KiB entry half a microsecond; a copied page 0.14 us.
    let cost = b.own * 14 + if t.huge { 0 } else { b.read * 3 };
    cost > pages
}
