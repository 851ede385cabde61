//! Opening a metalog: joining a live KV, or rebuilding it.

use super::early::Early;
use super::lock::ProcessLock;
use super::logs::{Logs, random};
use super::record::{Builder, Part, advance};
use super::scratch::Spare;
use super::tail::Tail;
use super::{LogShared, Meta, PLACE_KEY, POSITION_KEY, checkpoint, closed, position_in, recover};
use crate::error::{Error, Result};
use crate::kv::Kv;
use crate::media::Pool;
use crate::media::file;
use crate::media::layout::{self, Position};
use crate::media::owner::Owner;
use crate::sync::{Liveness, Ordering};
use crate::units::{BLOCK, PAGE};
use rustix::fs::Mode;
use rustix::io::Errno;
use std::path::Path;
use std::sync::Arc;

impl Meta {
    /// Joins the live KV in `run_dir/kv`, or makes it: newest sound checkpoint, then the log. Processes that come at once wait for each other.
    ///
    /// # Errors
    /// `Corrupt` if no state can be rebuilt that holds everything durable; `Unusable` if the run directory belongs to another state of the pool.
    /// In both cases nothing in the pool was changed.
    pub fn open(pool: &Pool, run_dir: &Path, shared: &'static LogShared, who: Arc<dyn Liveness + Send + Sync>) -> Result<Meta> {
        let dir = run_dir.join("kv");
        // The directory appears whole, by a rename: who finds it needs no lock.
        let missing = || !Meta::lives_in(run_dir);
        if missing() {
            let building = ProcessLock::new(run_dir.join("kv.lock"));
            let _turn = building.lock()?;
            if missing() {
                build(pool, run_dir, shared)?;
            }
        }
        // Whoever closed the log may have died before the KV was gone.
        closed::clear(pool)?;
        let Tail { memtable, images } = Tail::open(pool, &dir)?;
        let logs = Logs::open(pool, images)?;
        let kv = Kv::open(&dir, map_size(pool))?;
        kv.clear_dead_readers();
        let stale = || {
            Error::Unusable(format!(
                "{} belongs to another state of the pool {} (was it copied or restored, or used with another /dev/shm?): end all programs that use it, then remove {}",
                run_dir.display(),
                pool.dir().display(),
                run_dir.display()
            ))
        };
        let snapshot = kv.read()?;
        let position = position_in(snapshot.get(POSITION_KEY)?)?;
        if snapshot.get(PLACE_KEY)? != Some(&place(pool)?[..]) || !logs.holds(position.generation) {
            return Err(stale());
        }
        drop(snapshot);
        let (volatile, immediate) = (pool.is_volatile(), pool.is_immediate());
        let frames = (!volatile && !immediate).then(|| pool.frames_file());
        frames.iter().for_each(|frames| frames.keep_failure_in(&shared.frames_lost));
        let meta = Meta {
            kv,
            memtable,
            logs,
            shared,
            spare: Spare::default(),
            early: Early::default(),
            pool_dir: pool.dir().to_owned(),
            uuid: pool.uuid(),
            who,
            frames,
            one_flush: pool.one_flush(),
            volatile,
            immediate,
        };
        shared.used.store(meta.position()?.tail, Ordering::Relaxed);
        Ok(meta)
    }
}

impl Meta {
    /// Whether there is a live KV in `run_dir`.
    pub(crate) fn lives_in(run_dir: &Path) -> bool {
        !matches!(rustix::fs::stat(run_dir.join("kv")), Err(Errno::NOENT))
    }
}

/// No process's token: who makes the volatile state is alone with the pool.
const NOBODY: u32 = 0;

/// Address space for the KV: more metadata than data is unheard of.
pub(super) fn map_size(pool: &Pool) -> usize {
    (pool.frames() as usize * PAGE).clamp(1 << 30, 64 << 30)
}

impl Meta {
    /// Makes the log durable, and opening the pool again quick. Nobody else uses it, and the volatile state goes.
    pub fn close(&self, pool: &Pool) -> Result<()> {
        let end = self.position()?;
        self.sync(end.seq)?;
        closed::mark(pool, &end)
    }

    /// Address space that [`Meta::open`] needs.
    pub fn address_space(pool: &Pool) -> usize {
        map_size(pool) + 2 * (pool.log_bytes() as usize + BLOCK)
    }
}

/// Which pool this is on this machine, and which volatile state was made of it last: another may have been, where this one could not be seen.
fn place(pool: &Pool) -> Result<[u8; 24]> {
    let (device, inode) = pool.place();
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&device.to_le_bytes());
    bytes[8..16].copy_from_slice(&inode.to_le_bytes());
    pool.marks().read_at(&mut bytes[16..], layout::STATE_AT).map_err(Error::io("reading the superblock"))?;
    Ok(bytes)
}

/// Rebuilds the KV under another name and renames it: a directory `kv` is a whole KV.
fn build(pool: &Pool, run_dir: &Path, shared: &LogShared) -> Result<()> {
    let new = run_dir.join("kv.new");
    let making = || Error::io("making the metadata KV in the run directory");
    let fresh = || {
        file::remove_tree(&new).map_err(making())?;
        rustix::fs::mkdir(&new, Mode::from_raw_mode(0o700)).map_err(making())?;
        let parent = rustix::fs::stat(run_dir).map_err(making())?;
        Owner::of(&parent).give_dir(&new);
        rustix::fs::chmod(&new, Mode::from_raw_mode(parent.st_mode & 0o7777 | 0o700)).map_err(making())?;
        Kv::open(&new, map_size(pool))
    };
    let (kv, end) = recover::rebuild(pool, fresh)?;
    Tail::make(pool, &new)?;
    let logs = Logs::make(pool, Tail::open(pool, &new)?.images, &end)?;
    pool.marks().write_at(&random()?.to_le_bytes(), layout::STATE_AT).map_err(Error::io("writing the superblock"))?;
    let position = begin_epoch(pool, &logs, &kv, &end)?;
    let mut txn = kv.write()?;
    txn.put(POSITION_KEY, &position.encode())?;
    txn.put(PLACE_KEY, &place(pool)?)?;
    txn.commit()?;
    drop(kv);
    rustix::fs::rename(&new, run_dir.join("kv")).map_err(making())?;
    shared.durable.store(position.seq.get(), Ordering::Release);
    shared.settled.store(position.known.get(), Ordering::Release);
    shared.flushed.store(super::durable::flushed_to(&position), Ordering::Release);
    Ok(())
}

/// Makes what was recovered durable, and tells the future apart from records behind `end` that recovery did not take: they stay in the
/// log, sound perhaps, and must not follow a record that is written now. The result is durable.
fn begin_epoch(pool: &Pool, logs: &Logs, kv: &Kv, end: &Position) -> Result<Position> {
    let flush = |position: &Position| {
        #[cfg(test)]
        super::tests::before_data_flush();
        pool.flush_data()?;
        logs.flush(position, 0, true, None)
    };
    // What was read may have been in the page cache only, or in that of the processor on which a writer was killed; what was restored is.
    logs.adopt_all(end);
    flush(end)?;
    closed::clear(pool)?;
    let mut record = Builder::new();
    record.add(Part::Epoch(random()?));
    let header = record.header(end, end.seq);
    let position = if end.tail + header.space() <= logs.len() {
        logs.ensure(end, header.space())?;
        logs.append(end, record.seal(&header));
        advance(end, &header, record.payload())
    } else {
        // No room: then the next generation, with a salt of its own, takes up where this one ends.
        let mut work = checkpoint::Work::begin(pool.dir(), end, NOBODY, true)?;
        let file = work.open(pool.dir()).map_err(Error::io("writing a checkpoint"))?;
        while !work.add(&file, &kv.read()?, 256 << 10)? {}
        work.close(&file)?;
        work.seal(pool.dir(), &pool.uuid(), &file, end.seq)?;
        logs.prepare(end.generation + 1)?;
        logs.begin_generation(end)?
    };
    flush(&position)?;
    Ok(position)
}
