//! Making records durable, changing to the next log, checkpoints.

use super::{Meta, POSITION_KEY, checkpoint, position_in};
use crate::error::{Error, Result};
use crate::media::layout::Position;
use crate::sync::Ordering;
use crate::units::Seq;

impl Meta {
    /// Makes every record up to `upto` durable, and the data frames written before; in fact all records there are. Who comes while another
    /// process flushes waits, and then usually finds the work done.
    ///
    /// # Durability
    /// When this returns `Ok`, the records survive a power cut.
    pub fn sync(&self, upto: Seq) -> Result<()> {
        let done = || self.shared.durable.load(Ordering::Acquire) >= upto.get();
        if done() {
            return Ok(());
        }
        if self.immediate {
            // What is committed is durable; only the note is missing, of a writer that was killed before it.
            self.note_durable(&self.position()?);
            return Ok(());
        }
        let _turn = self.syncing.lock()?;
        if done() {
            return Ok(());
        }
        self.flush_to(&self.position()?)
    }

    /// Makes every record durable and lets [`Meta::durable_seq`] reach the last one: for an allocator that waits for freed frames.
    pub fn settle(&self) -> Result<Seq> {
        let last = self.last_seq();
        self.sync(last)?;
        if self.durable_seq() < last {
            let marker = self.begin()?.commit_record()?;
            self.sync(marker)?;
        }
        Ok(self.durable_seq())
    }

    /// Makes the log durable up to `position`, a committed one, with all data written before.
    ///
    /// msync of the range and fdatasync of the file do the same work in the kernel (`vfs_fsync_range` with datasync), msync without a
    /// descriptor and for less than the whole file. Both end with a flush of the device's cache, also where no page was dirty.
    fn flush_to(&self, position: &Position) -> Result<()> {
        if !self.volatile {
            self.flush_data()?;
            let header = self.shared.header.load(Ordering::Acquire) != position.generation;
            self.logs.flush(position, header)?;
            self.shared.header.store(position.generation, Ordering::Release);
        }
        self.note_durable(position);
        self.logs.hint(position.generation, position.seq);
        Ok(())
    }

    /// Tells all processes that the log is durable up to `position`.
    pub(super) fn note_durable(&self, position: &Position) {
        self.shared.durable.fetch_max(position.seq.get(), Ordering::AcqRel);
        self.shared.settled.fetch_max(position.known.get(), Ordering::AcqRel);
    }

    fn flush_data(&self) -> Result<()> {
        self.frames.as_ref().map_or(Ok(()), |frames| frames.sync_data().map_err(Error::io("flushing the pool")))
    }

    /// Starts a new log and writes a checkpoint. If another process is at it, waits for that one instead.
    ///
    /// The switch is short; the checkpoint is written from a snapshot while others go on.
    pub fn checkpoint(&self) -> Result<()> {
        let before = self.position()?.generation;
        let _turn = self.checkpointing.lock()?;
        let mut position = self.position()?;
        if position.generation > before && self.has_checkpoint(position.generation)? {
            return Ok(());
        }
        if self.has_checkpoint(position.generation)? {
            // Most of the log is flushed before the writer lock is taken, so that little is left to do under it.
            self.sync(position.seq)?;
            let (mut kv, committed) = self.catch_up()?;
            let next = self.switch(&committed)?;
            kv.put(POSITION_KEY, &next.encode())?;
            kv.commit()?;
            position = next;
            self.shared.used.store(position.tail, Ordering::Relaxed);
        }
        self.write_checkpoint()?;
        checkpoint::remove_older(&self.pool_dir, position.generation.saturating_sub(1));
        Ok(())
    }

    /// Makes a log with room current, for the writer whose record does not fit behind `position`; the caller commits the result. Called under
    /// the writer lock, so without the checkpoint lock, whose holder may be waiting for the writer: two checkpoints may then be written at once, either will do.
    pub(super) fn make_room(&self, position: &Position) -> Result<Position> {
        if !self.has_checkpoint(position.generation)? {
            self.write_checkpoint()?;
        }
        self.switch(position)
    }

    /// Ends the current generation at `position` and begins the next, under the writer lock. Everything up to `position` is durable afterwards.
    fn switch(&self, position: &Position) -> Result<Position> {
        self.flush_to(position)?;
        self.logs.begin_generation(position)
    }

    /// Whether the state can be rebuilt without the generations before `generation`.
    fn has_checkpoint(&self, generation: u64) -> Result<bool> {
        Ok(generation == 1 || checkpoint::list(&self.pool_dir)?.last().is_some_and(|&newest| newest >= generation))
    }

    /// Writes the committed state as checkpoint of its generation.
    fn write_checkpoint(&self) -> Result<()> {
        let snapshot = self.kv.read()?;
        let position = position_in(snapshot.get(POSITION_KEY)?)?;
        // The log first: recovery relies on a checkpoint's generation having begun durably.
        checkpoint::write(&self.pool_dir, &self.uuid, &snapshot, &position, || self.flush_to(&position))
    }
}
