//! The life of a process in the region: fork, exec, exit, and cleaning up after those who died.

use super::Fs;
use super::files::open_slot_of;
use crate::error::Result;
use crate::region::{ALONE, IDLE, PROCS};
use crate::sync::Ordering::*;
use crate::units::PAGE;

impl Fs {
    /// Before `fork`: makes a process slot for the child with a copy of this process's holds and ledger. Returns a token.
    pub fn before_fork(&self) -> Result<u32> {
        self.reap_idle();
        self.forked.store(1, Relaxed);
        let child = self.procs.prepare_child()?;
        let control = self.region.control;
        let to = &control.procs()[child as usize];
        let from = self.procs.slot();
        let end = from.holds_end.load(Acquire) as usize;
        let (mine, theirs) = (self.procs.holds(), control.holds(child));
        for (mine, theirs) in mine[..end].iter().zip(theirs) {
            theirs.store(self.copy_hold(mine), Release);
        }
        to.holds_end.store(end as u32, Release);
        to.about.store(from.about.load(Relaxed) & !IDLE, Relaxed);
        self.note_program(child, self.program());
        self.ledger.copy_to(child, |view| self.pin_view(view));
        Ok(child)
    }

    /// After `fork`, in the parent; `child` is the child's pid if it succeeded.
    pub fn after_fork_parent(&self, token: u32, child: Option<i32>) {
        if child.is_none() {
            self.empty_slot(token);
        }
        self.procs.child_is(token, child);
    }

    /// After `fork`, in the child, before anything else is called.
    pub fn after_fork_child(&self, token: u32) {
        crate::media::restore_after_fork();
        self.procs.become_child(token);
        self.forget_uses();
        self.meta.after_fork_child();
        self.ledger.after_fork_child();
        self.memory.after_fork_child();
        self.cuts.after_fork_child();
        self.splitting.after_fork_child();
        self.tails.after_fork_child();
        self.faulting.after_fork_child();
        self.watcher.after_fork_child();
        self.streams.after_fork_child();
        self.watch_cuts();
    }

    /// Has every shared mapping that the parent left watched for what other processes cut off.
    fn watch_cuts(&self) {
        let mut at = 0;
        while let Some(view) = self.ledger.first_in(at, usize::MAX) {
            at = view.end();
            if view.inode != 0 {
                self.cuts.watch(view.addr, view.pages as usize * PAGE);
            }
        }
    }

    /// Opens what a fork has left to be opened at its first use, as far as it can be.
    pub fn reopen(&self) {
        // Any read of the metadata will do. What fails now fails again when it matters, and is said then.
        self.meta.last_seq();
    }

    /// The number by which a new image (after exec, same pid) finds this process's slot again, for [`Fs::open_after_exec`].
    pub fn exec_token(&self) -> u32 {
        use crate::sync::Liveness;
        self.procs.me()
    }

    /// Whether the new image of this process, which is about to execute one, will find nothing to give up: no hold but `cwd`, no mapping, and no other thread that could add one. Then it need
    /// not come back before it has something to do here, or at all: others take its slot when it is gone. (What descriptors that exec closes held must be given up at once, locks above all.)
    pub fn leaves_nothing(&self, cwd: Option<usize>) -> bool {
        let nothing = crate::sync::is_single_threaded() && !self.has_any_view() && self.holds().iter().all(|(hold, _)| Some(*hold) == cwd);
        if nothing {
            self.procs.slot().about.fetch_or(IDLE, AcqRel);
        }
        nothing
    }

    /// The exec has failed.
    pub fn stays(&self) {
        self.procs.slot().about.fetch_and(!IDLE, AcqRel);
    }

    /// That the process works alone (see [`crate::media::work_alone`]) is to be true of its next image, too.
    pub fn note_that_it_works_alone(&self) {
        self.procs.slot().about.fetch_or(ALONE, Relaxed);
    }

    /// At the beginning: as the image before it did.
    pub(super) fn work_as_before(&self) {
        if self.procs.slot().about.load(Relaxed) & ALONE != 0 {
            crate::media::work_alone();
        } else if crate::media::works_alone() {
            self.note_that_it_works_alone();
        }
    }

    /// Whether the calling process is the one that joined the pool, not a child that shares its memory (`CLONE_VM`).
    pub fn is_this_process(&self) -> bool {
        self.procs.is_this_process()
    }

    /// This process ends: releases its holds, ledger and slot. Nothing may be called afterwards.
    pub fn exit(&self) {
        if self.has_any_view() {
            self.note_stores(0, usize::MAX);
            self.judge_last(0..usize::MAX);
        }
        use crate::sync::Liveness;
        self.empty_slot(self.procs.me());
        self.procs.leave();
        if self.forked.load(Relaxed) == 0 {
            self.pool.end_use();
        }
    }

    /// Cleans up after processes that left with nothing and are gone: a shell leaves one with each command.
    fn reap_idle(&self) {
        for slot in self.procs.before_the_first_free() {
            if self.procs.is_idle(slot) && !self.procs.is_number_used(slot) && self.procs.claim_dead(slot) {
                self.empty_slot(slot);
                self.procs.reaped(slot);
            }
        }
    }

    /// Cleans up after dead processes among `most`; looks closely at `closely` of them (a zombie, a number that is used again).
    pub(crate) fn reap(&self, most: usize, closely: usize) {
        let c = self.region.control.counters();
        let start = c.reap_hint.load(Relaxed);
        let mut order: Vec<u32> = self.procs.others().collect();
        order.sort_by_key(|slot| slot.wrapping_sub(start) % PROCS as u32);
        for (nth, slot) in order.into_iter().take(most).enumerate() {
            if nth < closely {
                c.reap_hint.store(slot + 1, Relaxed);
            } else if self.procs.is_number_used(slot) {
                continue;
            }
            let idle = self.procs.is_idle(slot);
            if self.procs.claim_dead(slot) {
                c.unclean.fetch_add(u64::from(!idle) as _, Relaxed);
                self.empty_slot(slot);
                self.procs.reaped(slot);
            }
        }
    }

    /// Cleans up after every dead process.
    pub fn reap_all(&self) {
        self.reap(PROCS, PROCS);
    }

    /// Whether cleaning up after dead processes made room in the pool.
    #[cold]
    pub(super) fn frees_by_reaping(&self) -> bool {
        let before = self.space.total_and_free().1;
        self.reap_all();
        self.space.total_and_free().1 > before
    }

    /// Drops everything that the process in `slot` holds.
    pub(super) fn empty_slot(&self, slot: u32) {
        self.note_program(slot, None);
        let control = self.region.control;
        let end = control.procs()[slot as usize].holds_end.load(Acquire) as usize;
        for hold in &control.holds(slot)[..end] {
            let word = hold.swap(0, AcqRel);
            if word != 0 {
                self.drop_open(open_slot_of(word), slot);
            }
        }
        let end = control.procs()[slot as usize].ledger_end.load(Acquire) as usize;
        for entry in &control.ledger(slot)[..end] {
            self.drop_view(entry);
        }
    }
}
