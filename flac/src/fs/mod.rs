//! FlacFS: names, inodes, permissions, file I/O. Knows no descriptor, no libc symbol, no environment variable.
//!
//! [`Fs`] is one process's view of one pool. Its methods are grouped by file: `open` (joining the pool), `process` (fork, exec, death),
//! `files` (open-file slots and holds), `names` (resolve, create, remove, rename, xattr), `attr`, `acl`, `io` with `quick`, `read`, `write` and `pristine`, `resize`, `sparse`, `share`, `pages`
//! (loading), `ahead` (reading ahead), `evict`, `direct` (reading in place), `flush` with `snapshot`, `taken` and `extents`, `map`, `absent`, `locks`, `watch` (inotify), `fsck`, `calibrate`, `admin` (what the tools need).

mod absent;
mod acl;
pub mod admin;
mod ahead;
pub mod attr;
mod calibrate;
pub mod census;
mod decide;
mod direct;
mod evict;
pub(crate) mod extents;
mod files;
mod filling;
pub(crate) mod flush;
pub mod fsck;
pub mod io;
pub mod locks;
mod map;
mod memory;
pub mod names;
pub mod open;
mod pages;
pub mod places;
mod pristine;
mod process;
mod quick;
mod read;
mod rebuild;
pub mod record;
mod resize;
pub mod running;
mod share;
pub(crate) mod snapshot;
mod sparse;
pub mod stats;
mod stock;
mod stores;
#[cfg(test)]
pub(crate) mod survival;
mod taken;
mod uses;
mod views;
pub mod watch;
mod write;

pub(crate) use share::ATTACH_MIN;

use crate::attach::{Cuts, Ledger, Memory};
use crate::clock::Clock;
use crate::frame::Frames;
use crate::inode::Inodes;
use crate::media::Pool;
use crate::metalog::Meta;
use crate::pool_space::PoolSpace;
use crate::procs::Procs;
use crate::region::Region;
use crate::sync::{Ordering::Relaxed, Spin};
use crate::units::{PoolFrame, Seq};
use std::sync::Arc;

/// One process's view of one pool. Threads share it; after a fork the child calls [`Fs::after_fork_child`].
pub struct Fs {
    pub(crate) pool: Pool,
    pub(crate) meta: Meta,
    pub(crate) region: Region,
    pub(crate) procs: Arc<Procs>,
    pub(crate) frames: Frames,
    pub(crate) clock: Clock,
    pub(crate) inodes: Inodes,
    pub(crate) space: PoolSpace,
    pub(crate) ledger: Ledger,
    pub(crate) memory: Memory,
    /// Shared mappings of this process, which other processes may cut.
    cuts: Cuts,
    /// Held while views are cut to pieces: each is in the ledger, whole or in parts, for who holds it.
    splitting: Spin<()>,
    /// Parts of this process's mappings that show nothing.
    tails: Spin<Vec<absent::Tail>>,
    /// Held while one of them is brought in: the last page that was there already, and how often in a row.
    faulting: Spin<(usize, u32)>,
    /// 1 once a part was left out that the file has.
    lazy: crate::sync::AtomicU32,
    /// Locked while this process watches something.
    watcher: Spin<Option<crate::media::OwnFd>>,
    /// Who reads on and on, to read ahead for.
    streams: ahead::Streams,
    /// Frames that writes to pages being flushed gave up.
    stock: stock::Stock,
    /// What this process did, for statistics.
    pub stats: stats::Stats,
    root: Option<Vec<u8>>,
    attach: bool,
    /// The planner's memory of sharing on write.
    share_habit: crate::sync::AtomicU32,
    /// The planner's memory of attaching, whatever the open file: for those of which it knows nothing yet.
    attach_habit: crate::sync::AtomicU32,
    /// And of what its program did in earlier runs.
    program: crate::planner::Program,
    /// The last large attach, until it has been judged.
    attached: decide::Last,
    /// 1 once it was forked, or is a child itself: others may use its open files.
    forked: crate::sync::AtomicU32,
}

impl Fs {
    /// The absolute path under which programs see the tree.
    pub fn root(&self) -> Option<&[u8]> {
        self.root.as_deref()
    }

    /// Promises pool space to `count` dirty pages, on the underlying file system, too; `false` if there is none.
    #[inline]
    pub(crate) fn reserve(&self, count: u64) -> bool {
        if !self.space.reserve(count) {
            return false;
        }
        if !self.set_aside(self.space.needed()) {
            self.space.unreserve(count);
            return false;
        }
        true
    }

    /// Has the underlying file system set space aside for so many frames of the pool. It makes its caller wait for what is being written to the pool at
    /// the time, so flushes ask for more than they need and writers find it done.
    pub(crate) fn set_aside(&self, frames: u64) -> bool {
        let promised = &self.region.control.counters().promised;
        if frames <= promised.load(Relaxed) {
            return true;
        }
        self.pool.promise(frames).map(|upto| promised.fetch_max(upto, Relaxed)).is_ok()
    }

    /// Gives pool frames back that record `seq` freed.
    pub(crate) fn pool_free(&self, runs: &[(PoolFrame, u32)], seq: Seq) {
        for (first, count) in runs {
            while !self.space.free_after(*first, *count, seq, &self.procs) {
                // The waiting list is full: make the log durable, which empties it. If that fails the frames stay used until the next rebuild.
                if self.meta.settle().is_err() {
                    return;
                }
                self.space.settle(&self.meta, &self.procs);
            }
        }
    }
}
