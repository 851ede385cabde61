//! Dirty marks: where in a page table the dirty entries are, so that a flush costs what is dirty and not what the file is big.
//!
//! A node has one bit for each of its words: the entry, or something below it, may be dirty. **The bits on the way to a dirty entry are all set**; a set bit
//! promises nothing. They change under the inode's lock, are set before the entry becomes dirty and cleared after it has ceased to be: whoever dies in
//! between leaves bits too many. Cutting leaves them too. The few entries in the inode slot have no bits.
//!
//! An entry that a flush is writing has no bits: if the flusher dies, whoever comes next searches the whole table for it, once.

use super::{Entry, FAN, Table};
use crate::region::{Marks, Node};
use crate::sync::{AtomicU64, Ordering::*};
use crate::units::PageNo;

/// What makes an entry dirty wants one of these: the page was marked ([`Table::mark`]) before.
#[derive(Clone, Copy)]
pub struct Marked(());

impl Table {
    /// Marks `count` pages of one leaf from `page` on; the leaf exists. Needs the inode's lock.
    #[inline]
    pub(crate) fn mark(&self, page: PageNo, count: usize) -> Marked {
        let (root, height) = self.tree();
        if height > 0 {
            self.mark_below(root, height, page.get(), count as u64);
        }
        Marked(())
    }

    fn mark_below(&self, mut index: u32, height: u32, page: u64, count: u64) {
        for level in (0..height).rev() {
            let Some((node, marks)) = self.marked_node(index) else { return };
            let at = page >> (9 * level) & (FAN - 1);
            set(marks, at, if level == 0 { count } else { 1 });
            index = node.0[at as usize].load(Relaxed) as u32;
        }
    }

    /// Calls `f` with each entry that is marked, in order, and takes the marks of those away of which it says that they are not dirty (any more); whether all were. Needs the
    /// inode's lock.
    pub(crate) fn take_marked(&self, f: &mut dyn FnMut(PageNo, &'static AtomicU64) -> bool) -> bool {
        match self.tree() {
            (_, 0) => {
                let mut all = true;
                self.for_each(PageNo::new(0), PageNo::new(u64::MAX), &mut |page, cell| all &= f(page, cell));
                all
            }
            (root, height) => self.take_below(root, height - 1, 0, f),
        }
    }

    fn take_below(&self, index: u32, level: u32, base: u64, f: &mut dyn FnMut(PageNo, &'static AtomicU64) -> bool) -> bool {
        let Some((node, marks)) = self.marked_node(index) else { return true };
        let mut all = true;
        for (word, w) in marks.0.iter().zip(0..) {
            let (mut bits, mut kept) = (word.load(Relaxed), 0);
            if bits == 0 {
                continue;
            }
            while bits != 0 {
                let bit = bits.trailing_zeros();
                let i = w * 64 + u64::from(bit);
                let (cell, at) = (&node.0[i as usize], base + (i << (9 * level)));
                let taken = match level {
                    0 => f(PageNo::new(at), cell),
                    // Absent: cut off since it was marked.
                    _ => self.take_below(cell.load(Relaxed) as u32, level - 1, at, f),
                };
                kept |= u64::from(!taken) << bit;
                bits &= bits - 1;
            }
            word.store(kept, Release);
            all &= kept == 0;
        }
        all
    }

    /// Calls `f` with each entry that is marked, without a lock: entries may change meanwhile, and some be missed.
    pub(crate) fn look_at_marked(&self, f: &mut dyn FnMut(&'static AtomicU64)) {
        match self.tree() {
            (_, 0) => {}
            (root, height) => self.look_below(root, height - 1, f),
        }
    }

    fn look_below(&self, index: u32, level: u32, f: &mut dyn FnMut(&'static AtomicU64)) {
        let Some((node, marks)) = self.marked_node(index) else { return };
        for (word, cells) in marks.0.iter().zip(node.0.chunks(64)) {
            let bits = word.load(Relaxed);
            for (cell, _) in cells.iter().zip(0..).filter(|(_, bit)| bits >> bit & 1 == 1) {
                match level {
                    0 => f(cell),
                    _ => self.look_below(cell.load(Relaxed) as u32, level - 1, f),
                }
            }
        }
    }

    /// Dirty entries that a flush would miss: none. For tests and for the census.
    pub(crate) fn count_unmarked(&self) -> u64 {
        match self.tree() {
            (_, 0) => 0,
            (root, height) => self.unmarked_below(root, height - 1, true),
        }
    }

    fn unmarked_below(&self, index: u32, level: u32, reached: bool) -> u64 {
        let Some((node, marks)) = self.marked_node(index) else { return 0 };
        let missed = |i: u64| {
            let reached = reached && is_set(marks, i);
            match node.0[i as usize].load(Relaxed) {
                raw if level == 0 => (!reached && Entry::from_raw(raw).is_dirty()) as u64,
                child => self.unmarked_below(child as u32, level - 1, reached),
            }
        };
        (0..FAN).map(missed).sum()
    }

    /// Marks the first `count` words of a node that is not in the tree yet.
    pub(super) fn mark_first(&self, index: u32, count: u64) {
        if let Some((_, marks)) = self.marked_node(index) {
            set(marks, 0, count);
        }
    }

    fn marked_node(&self, index: u32) -> Option<(&'static Node, &'static Marks)> {
        let node = self.node(index)?;
        self.control.marks().get(index as usize - 1).map(|marks| (node, marks))
    }
}

/// Sets `count` bits from bit `at` on, as far as there are bits.
fn set(marks: &Marks, at: u64, count: u64) {
    let end = (at + count).min(FAN);
    for (word, w) in marks.0.iter().zip(0..) {
        let (from, to) = (at.clamp(w * 64, w * 64 + 64) - w * 64, end.clamp(w * 64, w * 64 + 64) - w * 64);
        if from < to {
            let bits = (!0 >> (64 - (to - from))) << from;
            let before = word.load(Relaxed);
            if before & bits != bits {
                word.store(before | bits, Release);
            }
        }
    }
}

fn is_set(marks: &Marks, at: u64) -> bool {
    marks.0[at as usize / 64].load(Relaxed) >> (at % 64) & 1 == 1
}
