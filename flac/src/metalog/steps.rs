//! Checkpoints, made in small steps by whoever changes something, and changing to the next log.
//!
//! A checkpoint is *fuzzy*: its pieces are of different moments, each as the KV was when it was written. It names the place in the log where it was begun; from
//! there a recovery applies every record, so that what a piece was too old for comes to it, and what it has already is put again. For that the
//! history must reach the moment of the last piece, which the checkpoint names too. So no snapshot is held, in which case LMDB could use no freed page
//! again, nobody ever waits for a whole checkpoint, and any process can go on with what another has begun.

use super::Meta;
use super::checkpoint::{self, Stage, WRITING, Work};
use crate::error::{Error, Result};
use crate::media::aside::{Full, with_room};
use crate::media::file::File;
use crate::media::layout::Position;
use crate::sync::Ordering;
use crate::units::PAGE;
use std::time::{Duration, Instant};

/// No step takes much longer. Tests, which have little to write, take many steps of a pair or two.
const STEP: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(3) };
/// No change waits longer for a checkpoint that another thread is at.
pub(super) const PATIENCE: Duration = Duration::from_millis(3);
/// Bytes of a piece; between two pieces the snapshot is renewed.
const PIECE: usize = if cfg!(test) { 64 } else { 128 << 10 };
/// The kernel is told to write out the frames that lie in its cache each time that so many bytes of the checkpoint more are there, so that little is left for the end.
const WRITE_OUT: u64 = 4 << 20;
/// The log is flushed when so much of it is not durable, even if nobody asks: whoever does then has little to wait for.
const FLUSH: u64 = 4 << 20;
/// As much as may be neither durable nor on its way to the device.
const BEHIND: u64 = if cfg!(test) { PAGE as u64 } else { 1 << 20 };

impl Meta {
    /// Writes the piece of a checkpoint that is due, if one is. Called when no lock of readers is held; what fails is tried again later.
    pub(super) fn step(&self) {
        let (making, used, len) = (&self.shared.making, self.shared.used.load(Ordering::Relaxed), self.logs.len());
        self.flush_ahead(used);
        let under_way = making.is_under_way();
        let lag = if under_way { making.lag(used, len) } else { u64::from(making.is_due(used, len)) };
        // Who has the lock is about to do it. Whether he lives is asked only if much is left undone: it costs a look at /proc.
        let late = || making.is_late(used, len);
        if lag == 0 || making.lock.is_locked() && !late() {
            return;
        }
        let Some(_turn) = making.lock.try_lock(&*self.who) else {
            self.wait_while(&late);
            return;
        };
        let begun = Instant::now();
        let result = match making.load() {
            None => self.start(),
            Some(work) => self.advance(work, &|| begun.elapsed() < STEP && making.lag(used, len) > 0),
        };
        if result.is_err() {
            self.give_up();
            making.postpone(used + len / 16);
        }
    }

    /// Sees to it that whoever asks for durability has little to wait for, when `used` bytes of the log are in use.
    fn flush_ahead(&self, used: u64) {
        if self.immediate || self.volatile {
            return;
        }
        let unflushed = self.unflushed(used);
        if unflushed > FLUSH || unflushed > BEHIND && self.early.is_due(used, BEHIND) && !self.write_back() {
            // Its failure is told to those who ask for it.
            let _ = self.sync_all();
        }
    }

    /// A writer must not fill the log while somebody is at the checkpoint, or it would have to wait for all of what is left then. So it waits a little with each change.
    fn wait_while(&self, late: &dyn Fn() -> bool) {
        let begun = Instant::now();
        while late() && self.shared.making.lock.is_locked() && begun.elapsed() < PATIENCE {
            let _ = rustix::thread::nanosleep(&rustix::thread::Timespec { tv_sec: 0, tv_nsec: 100_000 });
        }
    }

    /// Writes a checkpoint. If another process is at it, waits for that one instead, or takes part.
    pub fn checkpoint(&self) -> Result<()> {
        let before = self.position()?.generation;
        let _turn = self.shared.making.lock.lock(&*self.who);
        let position = self.position()?;
        if position.generation > before && self.has_checkpoint(position.generation)? {
            return Ok(());
        }
        let work = self.shared.making.load().map_or_else(|| self.start().map(|()| self.shared.making.load()), |work| Ok(Some(work)))?;
        work.map_or(Ok(()), |work| self.advance(work, &|| true)).inspect_err(|_| self.give_up())
    }

    /// How many checkpoints were begun in steps, by any process since the pool was opened first.
    pub fn checkpoints(&self) -> u64 {
        self.shared.making.count.load(Ordering::Relaxed)
    }

    /// For a writer who finds the log nearly full: changes to the next one, for which the checkpoint of this one must be there.
    pub(super) fn ensure_room(&self) -> Result<()> {
        let _turn = self.shared.making.lock.lock(&*self.who);
        while self.logs.room(&self.position()?) < self.logs.len() / 8 {
            match self.shared.making.load() {
                None => self.start(),
                Some(work) => self.advance(work, &|| true),
            }
            .inspect_err(|_| self.give_up())?;
        }
        Ok(())
    }

    /// Begins a checkpoint, in a log of its own if this one has its checkpoint.
    fn start(&self) -> Result<()> {
        let mut position = self.position()?;
        if self.has_checkpoint(position.generation)? {
            // Most is flushed before the writer lock is taken, so that little is left to do under it.
            self.prepare(position.generation + 1)?;
            self.sync(position.seq)?;
            let mut writer = self.catch_up()?;
            let committed = writer.note.position;
            // If a writer has changed the log meanwhile, the new one has no checkpoint yet and can't be left.
            if committed.generation == position.generation {
                // What the memtable refers to must be in the KV before the log changes.
                writer.apply()?;
                position = self.switch(&committed)?;
                writer.end(&position)?;
                self.shared.used.store(position.tail, Ordering::Relaxed);
            }
        }
        // The pieces come from the KV, which may lag behind the log; what it lacks, recovery applies.
        let position = self.position_of_kv()?;
        let work = Work::begin(&self.pool_dir, &position, self.who.token(), false)?;
        self.shared.making.begin(&work, self.kv.read()?.pairs());
        Ok(())
    }

    /// Writes pieces as long as `go_on` says so, then finishes if that was all.
    fn advance(&self, mut work: Work, go_on: &dyn Fn() -> bool) -> Result<()> {
        with_room(|| self.write_pieces(&mut work, go_on))
    }

    fn write_pieces(&self, work: &mut Work, go_on: &dyn Fn() -> bool) -> Result<()> {
        let file = match work.open(&self.pool_dir) {
            Ok(file) => file,
            Err(e) if e.is_full() => return Err(Error::io(WRITING)(e)),
            // Whoever finished it died before he said so; or it is not there for another reason, and then the next one is due soon.
            Err(_) => {
                self.shared.making.end();
                return Ok(());
            }
        };
        if self.position()?.generation > work.position.generation + 1 {
            // Writers of huge records have changed the log twice, and made checkpoints for it.
            self.give_up();
            return Ok(());
        }
        loop {
            if self.next(work, &file)? {
                self.shared.making.end();
                checkpoint::remove_older(&self.pool_dir, work.position.generation.saturating_sub(1), &*self.who);
                return Ok(());
            }
            self.shared.making.note(work);
            if !go_on() {
                return Ok(());
            }
        }
    }

    /// Does what comes next for a checkpoint; whether that was all.
    fn next(&self, work: &mut Work, file: &File) -> Result<bool> {
        work.stage = match work.stage {
            Stage::Write => {
                let before = work.at;
                let all = work.add(file, &self.kv.read()?, PIECE)?;
                if before / WRITE_OUT != work.at / WRITE_OUT {
                    self.frames.iter().for_each(|frames| frames.write_out(0, 0));
                }
                if all {
                    work.close(file)?;
                    Stage::Log(self.position()?.seq)
                } else {
                    Stage::Write
                }
            }
            // Recovery relies on a checkpoint's generation having begun durably, and on the records up to its last piece.
            Stage::Log(whole) => {
                self.flush_to(&self.position()?)?;
                Stage::Frames(whole)
            }
            // The records that carry their data may be overwritten afterwards.
            Stage::Frames(whole) => {
                self.flush_frames()?;
                Stage::Name(whole)
            }
            Stage::Name(whole) => {
                work.seal(&self.pool_dir, &self.uuid, file, whole)?;
                return Ok(true);
            }
        };
        Ok(false)
    }

    /// Bytes of the current log that are not durable.
    fn unflushed(&self, used: u64) -> u64 {
        let (_, flushed) = self.shared.flushed();
        // Past what there is: it is said of the log before, and nothing of this one is.
        used.checked_sub(flushed).unwrap_or(used)
    }

    fn give_up(&self) {
        if let Some(work) = self.shared.making.load() {
            work.discard(&self.pool_dir);
        }
        self.shared.making.end();
    }

    /// Makes a log with room current, for the writer whose record does not fit behind `position`; the caller commits the result. Called under
    /// the writer lock, so without that of the checkpoint in the making, whose holder may be waiting for the writer: two checkpoints may then be written at once, either will do.
    pub(super) fn make_room(&self, position: &Position) -> Result<Position> {
        if !self.has_checkpoint(position.generation)? {
            self.write_checkpoint()?;
        }
        self.prepare(position.generation + 1)?;
        self.switch(position)
    }

    /// Writes the committed state as checkpoint of its generation, by itself and in one go.
    fn write_checkpoint(&self) -> Result<()> {
        let position = self.position_of_kv()?;
        let mut work = Work::begin(&self.pool_dir, &position, self.who.token(), true)?;
        let write = || {
            let file = work.open(&self.pool_dir).map_err(Error::io(WRITING))?;
            while !self.next(&mut work, &file)? {}
            Ok(())
        };
        with_room(write).inspect_err(|_| work.discard(&self.pool_dir))
    }

    /// See [`Logs::prepare`](super::logs::Logs::prepare); as every write of the log, one at a time.
    fn prepare(&self, generation: u64) -> Result<()> {
        let _turn = self.shared.flushing.lock(&*self.who);
        self.logs.prepare(generation)
    }

    /// Ends the current generation at `position` and begins the next, which was prepared, under the writer lock. Everything up to `position` is durable afterwards.
    fn switch(&self, position: &Position) -> Result<Position> {
        self.flush_to(position)?;
        self.logs.begin_generation(position)
    }

    /// Whether the state can be rebuilt without the generations before `generation`.
    fn has_checkpoint(&self, generation: u64) -> Result<bool> {
        Ok(generation == 1 || checkpoint::list(&self.pool_dir)?.last().is_some_and(|&newest| newest >= generation))
    }
}
