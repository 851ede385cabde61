//! Access times of symbolic links, which following and reading them change as `relatime` has it.
//!
//! A link has no slot that could keep its times: they are in its record, and to look there as well would make each link of a walk a third dearer. So the control segment has *notes* of links for which nothing is
//! due, one for all inode numbers that are alike in their last bits, good for an hour: a walk loads it. Who changes a link takes its note away when that is done; a death before leaves a time as it is for an hour.

use crate::fs::Fs;
use crate::inode::now;
use crate::sync::{AtomicU64, Ordering::*};
use crate::units::Ino;
use std::cell::Cell;

/// Links that one walk gives a time; others wait for the next one.
const MOST: usize = 4;

/// The links that a walk has followed and that have no note.
pub(super) struct Followed<'f> {
    notes: &'f [AtomicU64],
    without: [Cell<u64>; MOST],
    n: Cell<usize>,
}

impl<'f> Followed<'f> {
    pub(super) fn new(fs: &'f Fs) -> Self {
        Self { notes: fs.notes(), without: [const { Cell::new(0) }; MOST], n: Cell::new(0) }
    }

    #[inline]
    pub(super) fn add(&self, link: Ino) {
        if note(self.notes, link).load(Relaxed) != word(link)
            && let Some(place) = self.without.get(self.n.get())
        {
            place.set(link.get());
            self.n.set(self.n.get() + 1);
        }
    }

    /// Behind the walk, whatever it came to.
    #[inline]
    pub(super) fn finish(&self, fs: &Fs) {
        if self.n.get() > 0 {
            self.without[..self.n.get()].iter().for_each(|link| fs.followed(Ino::new(link.get())));
        }
    }
}

/// The note's place of a link.
fn note(notes: &[AtomicU64], link: Ino) -> &AtomicU64 {
    &notes[link.get() as usize % notes.len()]
}

/// Its note of this hour.
fn word(link: Ino) -> u64 {
    (now().sec.cast_unsigned() / 3600) << 40 ^ link.get()
}

impl Fs {
    fn notes(&self) -> &[AtomicU64] {
        &self.region.control.counters().links
    }

    /// A link was followed or read and has no note: it gets its time, or a note. Who can't write a record leaves the time.
    #[cold]
    fn followed(&self, link: Ino) {
        // First the note: whoever changes the link behind the look takes it away.
        note(self.notes(), link).store(word(link), SeqCst);
        if !self.access_by_record(link).unwrap_or(true) {
            self.forget_link(link);
        }
    }

    /// As behind a walk that has followed it.
    pub(super) fn link_was_read(&self, link: Ino) {
        let followed = Followed::new(self);
        followed.add(link);
        followed.finish(self);
    }

    /// A link has changed.
    pub(super) fn forget_link(&self, link: Ino) {
        let note = note(self.notes(), link);
        note.store(0, SeqCst);
    }
}
