//! The region: the control segment and the DRAM tier, mapped. Owns the mappings and the layout of the control segment;
//! knows no inode, no name, no record.
//!
//! Both mappings stay until the process ends (a forked child inherits them), so what they hand out is `'static`. All of the control segment is atomics:
//! any process may change any word at any time.

pub mod copy;
mod dram;
mod layout;
mod map;
mod node;
mod place;

pub use dram::{Dram, read_frames, write_frames};
pub use layout::{
    ALONE, BY_DESCRIPTOR, Control, Counters, Geometry, HoldWord, IDLE, INLINE, InodeSlot, LEDGER, LedgerEntry, MAX_HOLDS, OpenSlot, PROCS,
    PROGRAMS, ProcSlot, RUNNING, TAKEN, TimeCell,
};
pub use map::{map_anonymous, map_file, map_fixed, protect, reserve, unmap_range};
pub use node::{Marks, Node};
pub use place::{HUGE_DIR, Place, RunDir, RunLock, SHM_DIR, close_inherited_lock, find_huge, out_of_the_way};

#[cfg(test)]
pub(crate) use dram::tests::{POPULATING, UNWRITABLE};

use crate::config::Config;
use crate::cpu;
use crate::error::Result;
use crate::media::Pool;
use std::sync::Arc;

/// The mapped region of one pool.
pub struct Region {
    /// The control segment.
    pub control: Control,
    /// The frames.
    pub dram: Arc<Dram>,
    /// Where the volatile state lives.
    pub run: RunDir,
}

impl Region {
    /// Joins the pool's region, creating it if there is none. The caller holds the run directory's lock, and needs `beside` bytes of address space more.
    pub fn open(config: &Config, pool: &Pool, run: RunDir, beside: usize) -> Result<Region> {
        let control = Control::open(&run, pool, config.dram, beside)?;
        learn_features(control.counters());
        let dram = Arc::new(Dram::open(&run, control.geometry(), control.address())?);
        Ok(Region { control, dram, run })
    }
}

/// What the processor has: asked by the first process of a boot, known to the others.
fn learn_features(counters: &Counters) {
    use crate::sync::Ordering::Relaxed;
    if counters.features.load(Relaxed) == 0 {
        counters.features.store(cpu::ask(), Relaxed);
    }
    cpu::set(counters.features.load(Relaxed));
}
