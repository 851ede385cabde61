//! Tests of the metalog: `disk` simulates power cuts, the others say what they claim.

mod bad_input;
mod checkpoints;
mod closed;
mod crash;
mod disk;
mod early;
mod flushes;
mod immediate;
mod processes;
mod records;

use super::map::LogMap;
use super::{LogShared, Meta};
use crate::media::Pool;
use crate::media::create::Geometry;
use crate::sync::ByPid;
use crate::units::{PoolFrame, Seq};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

thread_local! {
    /// The process kills itself when this record is appended but not yet applied.
    static DIE_AFTER: Cell<u64> = const { Cell::new(u64::MAX) };
    /// What others do when this thread is about to make the frames durable the next time.
    static MEANWHILE: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
}

/// Called by a commit between the append to the log and the commit of the KV.
pub(super) fn after_append(seq: Seq) {
    disk::event(disk::Event::Append);
    if DIE_AFTER.get() == seq.get() {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Called by the log before a range of a generation becomes durable: the simulated disk has got it by now, and may lose any part of it.
pub(super) fn before_flush(log: &LogMap, generation: u64, from: u64, to: u64) {
    if disk::watching() {
        log.flush(from, to, false, None, &Default::default()).expect("a write");
        disk::event(disk::Event::Flush { slot: (generation % 2) as usize, from: from / 4096 * 4096, to: to.next_multiple_of(4096) });
    }
}

/// Called before all frames become durable, those in the page cache, too.
pub(super) fn before_data_flush() {
    MEANWHILE.take().into_iter().for_each(|work| work());
    disk::event(disk::Event::FlushData);
}

/// Called when frames are written through the page cache.
pub(super) fn written_home(first: PoolFrame, count: usize) {
    disk::written(first, count, true);
}

/// A pool with a tiny log and a run directory, both gone at the end.
pub(super) struct Place {
    _root: tempfile::TempDir,
    pool: PathBuf,
    run: PathBuf,
}

const LOG_BYTES: u64 = 16 << 10;
const FRAMES: u32 = 64;

impl Place {
    pub(super) fn new() -> Place {
        Place::in_dir(&std::env::temp_dir(), None)
    }

    fn in_dir(dir: &Path, medium: Option<crate::media::Medium>) -> Place {
        let place = Place::without_pool_in(dir);
        place.make_pool(LOG_BYTES, medium);
        place
    }

    fn make_pool(&self, log_bytes: u64, medium: Option<crate::media::Medium>) {
        let size = u64::from(FRAMES) * 4096;
        let geometry = Geometry { size, log_bytes, grow_bytes: 64 << 10, medium, ..Geometry::of(0) };
        Pool::create_with(&self.pool, &geometry).expect("a pool is made");
    }

    fn without_pool() -> Place {
        Place::without_pool_in(&std::env::temp_dir())
    }

    fn without_pool_in(dir: &Path) -> Place {
        let root = tempfile::tempdir_in(dir).expect("a temporary directory");
        let (pool, run) = (root.path().join("pool"), root.path().join("run"));
        std::fs::create_dir(&run).expect("a run directory");
        Place { _root: root, pool, run }
    }

    pub(super) fn open(&self) -> (Pool, Meta) {
        self.try_open().expect("the pool opens")
    }

    fn try_open(&self) -> crate::Result<(Pool, Meta)> {
        self.open_with(shared())
    }

    /// As one more process that shares `shared` with those before.
    fn open_with(&self, shared: &'static LogShared) -> crate::Result<(Pool, Meta)> {
        let pool = Pool::open(&self.pool)?;
        let meta = Meta::open(&pool, &self.run, shared, Arc::new(ByPid))?;
        Ok((pool, meta))
    }

    /// Loses the run directory, as a reboot does.
    pub(super) fn reboot(&self) {
        std::fs::remove_dir_all(&self.run).and_then(|()| std::fs::create_dir(&self.run)).expect("the run directory is emptied");
    }
}

fn shared() -> &'static LogShared {
    Box::leak(Box::default())
}

pub(super) type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// All pairs.
pub(super) fn state(meta: &Meta) -> State {
    meta.view(|view| view.scan(b"", b"\x01")?.map(|pair| pair.map(|(k, v)| (k.to_vec(), v.to_vec()))).collect()).expect("a view")
}

pub(super) fn put(meta: &Meta, key: &[u8], value: &[u8]) -> Seq {
    let mut txn = meta.begin().expect("a transaction");
    txn.put(key, value).expect("a put");
    txn.commit().expect("a commit")
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}
