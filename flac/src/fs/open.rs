//! Joining a pool: the first opener after a reboot recovers it, the others find its region.

use super::Fs;
use super::stats::Stats;
use crate::attach::{Cuts, Ledger, Memory};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::frame::Frames;
use crate::inode::Inodes;
use crate::media::fd::trusting;
use crate::media::owner::Owner;
use crate::media::{Pool, lifted};
use crate::metalog::Meta;
use crate::pool_space::PoolSpace;
use crate::procs::Procs;
use crate::region::{Region, RunDir};
use crate::sync::{Ordering::*, Spin};
use crate::units::Ino;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

pub use super::files::{FsStat, OpenId};

impl Fs {
    /// Opens the pool: creates the volatile state or joins it, recovering what must be recovered. The pool must exist (`flac mkfs`,
    /// or [`crate::media::Pool::create`]).
    pub fn open(config: &Config) -> Result<Fs> {
        lifted(|| trusting(|| Self::join(config, None)))
    }

    /// As [`Fs::open`], taking over the process slot `token` if it is this process's: the holds of the old image are kept; the caller
    /// releases those whose descriptor did not survive.
    pub fn open_after_exec(config: &Config, token: u32) -> Result<Fs> {
        lifted(|| trusting(|| Self::join(config, Some(token))))
    }

    fn join(config: &Config, token: Option<u32>) -> Result<Fs> {
        let pool = Pool::open(&config.pool)?;
        let (run, mut lock) = RunDir::open(&pool)?;
        let first = !Meta::lives_in(run.dir());
        pool.begin_use(first)?;
        let region = Region::open(config, &pool, run, Meta::address_space(&pool))?;
        let control = region.control;
        let procs = Arc::new(match token {
            Some(token) => Procs::rejoin(control, token)?,
            None => Procs::join(control)?,
        });
        let meta = Meta::open(&pool, region.run.dir(), control.log(), procs.clone()).inspect_err(|_| {
            // After an exec the slot has holds, which others release when this process is gone.
            if token.is_none() {
                procs.leave();
            }
        })?;
        let fs = Fs {
            space: PoolSpace::new(control),
            frames: Frames::new(control),
            clock: Clock::new(control),
            inodes: Inodes::new(control, procs.clone(), region.dram.clone()),
            ledger: Ledger::new(control, procs.clone()),
            memory: Memory::default(),
            cuts: Cuts::new(),
            splitting: Spin::new(()),
            tails: Spin::new(Vec::new()),
            faulting: Spin::new((0, 0)),
            lazy: Default::default(),
            watcher: Spin::new(None),
            stats: Stats::default(),
            root: config.root.as_ref().map(|r| r.as_os_str().as_bytes().to_vec()),
            attach: config.attach,
            streams: Default::default(),
            stock: Default::default(),
            share_habit: Default::default(),
            attach_habit: Default::default(),
            program: Default::default(),
            attached: Default::default(),
            forked: Default::default(),
            pool,
            meta,
            region,
            procs,
        };
        if token.is_some() {
            // The old image's attached views went with its address space.
            fs.ledger.raw().iter().for_each(|entry| fs.drop_view(entry));
            fs.ledger.forget_all();
        }
        fs.work_as_before();
        fs.settle_in()?;
        if first {
            fs.pool.begin_use(false)?;
        }
        lock.keep();
        Ok(fs)
    }

    /// What the first opener does for all, and every opener a little of. The run directory is locked.
    fn settle_in(&self) -> Result<()> {
        let c = self.region.control.counters();
        if c.recovered.load(Acquire) == 0 {
            self.make_stubs()?;
            let pool = rustix::fs::stat(self.pool.dir()).map_err(Error::io("look at the pool directory"))?;
            let (uid, gid) = Owner::of(&pool).or_process();
            self.init_root(0o755, uid, gid)?;
            // The frames of orphans are still theirs when they are counted: what is deleted afterwards frees them once.
            self.count_pool()?;
            self.recover_orphans()?;
            self.find_next_ino()?;
            c.recovered.store(1, Release);
        }
        // A close look takes longer than anything else here: one newcomer in eight has one.
        self.reap(8, usize::from(rustix::process::getpid().as_raw_nonzero().get() % 8 == 0));
        if c.unclean.load(Relaxed) != 0 && self.procs.others().next().is_none() {
            self.rebuild()?;
        }
        Ok(())
    }

    fn make_stubs(&self) -> Result<()> {
        self.region.run.open_file("stub")?;
        self.region.run.open_file("empty")?;
        self.region.run.make_dir("d")?;
        self.region.run.make_dir("fifo")
    }

    /// Rebuilds the pool's free space from the extents.
    fn count_pool(&self) -> Result<()> {
        let (named, twice) = self.named_frames()?;
        if let Some(frame) = twice {
            let what = format!("pool frame {} is used twice or lies outside the pool: run `flac fsck`", frame.get());
            return Err(Error::Corrupt(what));
        }
        // Anew: whoever was at it before may have died.
        self.space.recount(&named, &self.procs);
        Ok(())
    }

    fn find_next_ino(&self) -> Result<()> {
        let txn = self.meta.settled()?;
        // Those of files: the FLAC space's number has another first byte.
        let last = match txn.last(b"I\0")? {
            Some((key, _)) => super::record::key_ino(key)?,
            None => Ino::ROOT,
        };
        self.region.control.counters().next_ino.store(last.get() + 1, Relaxed);
        Ok(())
    }

    /// The directory of the volatile state; holds the file `stub` and the directories `d` and `fifo`.
    pub fn run_dir(&self) -> &Path {
        self.region.run.dir()
    }

    /// Whether a shared mapping at `addr` of the file `path`, as the kernel names it, is one of those that every process has of the pool and its volatile state, and not one that the program asked for.
    pub fn is_own_mapping(&self, addr: usize, path: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let lies_in = |dir: &Path| path.strip_prefix(dir.as_os_str().as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
        let is_own = |path: &[u8]| lies_in(self.pool.dir()) || lies_in(self.run_dir()) && !path.ends_with(b"/dram");
        self.region.dram.contains(addr) || is_own(path)
    }

    /// Whether the DRAM tier has huge pages.
    pub fn has_huge_frames(&self) -> bool {
        self.region.control.geometry().huge
    }

    /// The pool's identity in hexadecimal digits.
    pub fn uuid_hex(&self) -> String {
        self.pool.uuid_hex()
    }

    /// Bytes of the DRAM tier: all, free.
    pub fn dram_bytes(&self) -> (u64, u64) {
        let page = crate::units::PAGE as u64;
        (self.frames.total() as u64 * page, self.frames.free() * page)
    }

    /// Pids of the processes that use the pool.
    pub fn users(&self) -> Vec<u32> {
        self.procs.pids()
    }
}

#[cfg(test)]
mod tests;
