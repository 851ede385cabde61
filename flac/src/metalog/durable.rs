//! Making records durable.

use super::Meta;
use crate::error::Result;
use crate::media::layout::{Position, RECORD_ALIGN};
use crate::sync::{Guard, Ordering};
use crate::units::Seq;
use rustix::io::Errno;
use rustix::thread::{Timespec, futex};

/// Nanoseconds since some moment.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// [`super::LogShared`]'s `flushed` for a log that is durable up to `position`.
pub(super) fn flushed_to(position: &Position) -> u64 {
    (position.generation << 32) | (position.tail / RECORD_ALIGN as u64)
}

impl Meta {
    /// Makes every record up to `upto` durable, and the data frames written before; in fact all records there are. Who comes while somebody
    /// flushes waits, and then usually finds the work done.
    ///
    /// # Durability
    /// When this returns `Ok`, the records survive a power cut.
    pub fn sync(&self, upto: Seq) -> Result<()> {
        /// How long to wait for somebody's flush before asking whether he lives.
        const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let shared = self.shared;
        let done = || shared.durable.load(Ordering::Acquire) >= upto.get();
        if done() {
            return Ok(());
        }
        if self.immediate {
            // What is committed is durable; only the note is missing, of a writer that was killed before it.
            self.note_durable(&self.position()?);
            return Ok(());
        }
        shared.syncs.fetch_add(1, Ordering::Relaxed);
        loop {
            let seen = shared.flushes.load(Ordering::Acquire);
            if done() {
                return Ok(());
            }
            let turn = if shared.flushing.is_locked() { None } else { shared.flushing.try_lock(&*self.who) };
            let turn = match turn {
                Some(turn) => turn,
                None => {
                    shared.sleepers.store(1, Ordering::Release);
                    match futex::wait(&shared.flushes, futex::Flags::empty(), seen, Some(&PATIENCE)) {
                        Err(Errno::TIMEDOUT) => shared.flushing.lock(&*self.who),
                        _ => continue,
                    }
                }
            };
            return if done() { Ok(()) } else { self.flush_in_turn(None, turn) };
        }
    }

    /// Makes every record that there is durable.
    ///
    /// # Errors
    /// Also if the KV can't say which is the last: nothing is acknowledged then.
    pub fn sync_all(&self) -> Result<()> {
        self.sync(self.position()?.seq)
    }

    /// Gives those who were served by the last flush and come again at once the time to join this one: else they and whoever came during it
    /// take turns, each half with a flush of its own. Nobody waits who came alone, and nobody longer than half a flush.
    fn let_others_join(&self) {
        let shared = self.shared;
        let begun = now();
        let most = u64::from(shared.flush_time.load(Ordering::Relaxed) / 2).min(500_000);
        let before = shared.joined.load(Ordering::Relaxed);
        let expected = u64::from(shared.crowd.load(Ordering::Relaxed));
        while shared.syncs.load(Ordering::Relaxed).wrapping_sub(before) < expected && now() - begun < most {
            rustix::thread::sched_yield();
        }
        let joined = shared.syncs.load(Ordering::Relaxed);
        shared.crowd.store(joined.wrapping_sub(before) as u32, Ordering::Relaxed);
        shared.joined.store(joined, Ordering::Relaxed);
    }

    /// How many calls of [`Meta::sync`] by any process had to wait for a flush, and how many flushes there were.
    pub fn syncs_and_flushes(&self) -> (u64, u64) {
        (self.shared.syncs.load(Ordering::Relaxed), self.shared.flushes.load(Ordering::Relaxed).into())
    }

    /// Makes every record durable and lets [`Meta::durable_seq`] reach the last one: for an allocator that waits for freed frames.
    pub fn settle(&self) -> Result<Seq> {
        let last = self.position()?.seq;
        self.sync(last)?;
        if self.durable_seq() < last {
            let marker = self.begin()?.commit_record()?;
            self.sync(marker)?;
        }
        Ok(self.durable_seq())
    }

    /// Makes the log durable up to `position`, a committed one, with all data that its records rely on.
    pub(super) fn flush_to(&self, position: &Position) -> Result<()> {
        self.flush_in_turn(Some(position), self.shared.flushing.lock(&*self.who))
    }

    /// As [`Meta::flush_to`], without `position` for all there is and all who come. Two flushes at once could write the same page in the wrong
    /// order, hence the lock.
    fn flush_in_turn(&self, position: Option<&Position>, turn: Guard<'_>) -> Result<()> {
        let shared = self.shared;
        let result = self.flush_now(position);
        shared.flushes.fetch_add(1, Ordering::AcqRel);
        drop(turn);
        // After the lock is free: who is not served by this flush wants to be next.
        if shared.sleepers.swap(0, Ordering::AcqRel) != 0 {
            let _ = futex::wake(&shared.flushes, futex::Flags::empty(), i32::MAX as u32);
        }
        result
    }

    fn flush_now(&self, position: Option<&Position>) -> Result<()> {
        let shared = self.shared;
        let position = match position {
            Some(position) => *position,
            None => {
                self.let_others_join();
                self.position()?
            }
        };
        if !self.volatile {
            let begun = now();
            self.write_log(&position)?;
            shared.flush_time.store(u32::try_from(now() - begun).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
        self.note_durable(&position);
        self.logs.hint(position.generation, position.seq);
        Ok(())
    }

    /// Tells all processes that the log is durable up to `position`.
    pub(super) fn note_durable(&self, position: &Position) {
        self.shared.durable.fetch_max(position.seq.get(), Ordering::AcqRel);
        self.shared.settled.fetch_max(position.known.get(), Ordering::AcqRel);
    }

    fn write_log(&self, position: &Position) -> Result<()> {
        let shared = self.shared;
        let (generation, from) = shared.flushed();
        // A switch flushes the generation it ends; then there is nothing left to do.
        if generation > position.generation || generation == position.generation && from >= position.tail {
            return Ok(());
        }
        let fresh = generation != position.generation;
        let guarded = fresh || shared.guarded.load(Ordering::Acquire) > shared.durable.load(Ordering::Acquire);
        if guarded && !self.one_flush {
            self.flush_frames()?;
        }
        // Not before it is durable can anybody count on it again: if this fails, or is killed, the next one writes all.
        let early = self.early.take(position.generation, from);
        self.logs.flush(position, if fresh { 0 } else { from }, guarded, early.as_ref().map(|(given, upto)| (&given.file, *upto)))?;
        shared.flushed.fetch_max(flushed_to(position), Ordering::AcqRel);
        Ok(())
    }

    /// Makes all frames durable, also those that are still in the page cache.
    pub(super) fn flush_frames(&self) -> Result<()> {
        #[cfg(test)]
        super::tests::before_data_flush();
        self.frames.as_ref().map_or(Ok(()), |frames| frames.sync_data().map_err(frames.failed("flushing the pool")))
    }
}
