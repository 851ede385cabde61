//! FLAC: a flat cache over DRAM and persistent memory, and the FlacFS file system on it.
//!
//! Two ways in, one per process and pool: [`Fs`] for files, [`Space`] for programs that keep their data by address.
//! `ARCHITECTURE.md` draws the modules below and says who may call whom.

pub mod config;
pub mod error;
pub mod fs;

mod attach;
mod checksum;
mod clock;
mod cpu;
mod frame;
mod inode;
pub mod kv;
pub mod media;
pub mod metalog;
mod namespace;
mod planner;
mod pool_space;
mod procs;
pub mod region;
pub mod space;
pub mod sync;
mod table;
pub mod units;

pub use config::Config;
pub use error::{Error, Result};
pub use fs::Fs;
pub use planner::{Cost, Costs, explain_to as explain_planner_to};
pub use space::Space;
