//! The command line.

use clap::Parser;
use flac_harness::ArenaOptions;
use std::path::PathBuf;

/// Times whole programs on FLAC, tmpfs and a disk, in interleaved rounds, compares what they made, and prints medians and ratios.
#[derive(Parser)]
#[command(version)]
pub struct Options {
    /// Only programs whose row contains one of these.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Say which rows there are.
    #[arg(long)]
    pub list: bool,
    /// Timed rounds, after one that is not timed; the median counts. Short programs get three times as many, but for those with fsync.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Size of the inputs, in percent.
    #[arg(long, default_value_t = 100)]
    pub percent: u64,
    /// Leave out what is durable: the rows of fsync.
    #[arg(long)]
    pub no_fsync: bool,
    /// The python to use; one that has numpy gives its rows. Default: `python3`.
    #[arg(long)]
    pub python: Option<PathBuf>,
    /// Run every program once on small inputs, and compare results only.
    #[arg(long)]
    pub test: bool,
    /// Add the rows to results.json and results.csv in this directory.
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub arena: ArenaOptions,
}

impl Options {
    /// Percent of the full size.
    pub fn scale(&self) -> u64 {
        if self.test { 2 } else { self.percent.max(1) }
    }

    /// Timed rounds.
    pub fn timed(&self) -> usize {
        if self.test { 1 } else { self.rounds.max(1) }
    }

    /// Timed rounds of a row whose programs took so many seconds in the first ones.
    pub fn most(&self, took: f64) -> usize {
        const SHORT: f64 = 20.0;
        if self.test || took > SHORT { self.timed() } else { 3 * self.timed() }
    }

    /// Bytes of the pool.
    pub fn pool_size(&self) -> u64 {
        if self.test { 1 << 30 } else { 12 << 30 }
    }
}
