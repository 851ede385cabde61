//! The command line.

use crate::row::{Io, Pattern, Row, Source, Touch};
use clap::{Args, Parser, Subcommand, ValueEnum};
use flac_harness::ArenaOptions;
use std::path::PathBuf;

/// Times file operations on FLAC, tmpfs and a disk, in interleaved rounds, and prints medians and ratios.
#[derive(Parser)]
#[command(version)]
pub struct Options {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Measure a fixed set of rows with their targets instead of the product of the options below.
    #[arg(long)]
    pub preset: Option<Preset>,
    /// Only rows whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Operations to measure.
    #[arg(long, value_delimiter = ',', default_value = "read")]
    pub io: Vec<Io>,
    /// Sizes of one operation in bytes; K, M and G are powers of 1024.
    #[arg(long, value_delimiter = ',', value_parser = size, default_value = "64,1K,4K,16K,64K,256K,2M,8M,64M")]
    pub sizes: Vec<usize>,
    /// The order of the offsets.
    #[arg(long, value_delimiter = ',', default_value = "sequential")]
    pub pattern: Vec<Pattern>,
    /// Whether the program uses one warm buffer, new memory each time, or many buffers in turn.
    #[arg(long, value_delimiter = ',', default_value = "warm")]
    pub buffer: Vec<Source>,
    /// What the program looks at after a read, or changes before a write.
    #[arg(long, value_delimiter = ',', default_value = "none")]
    pub touch: Vec<Touch>,
    /// Threads, each on a file of its own.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub threads: Vec<usize>,
    /// Processes, each with so many threads.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub processes: Vec<usize>,
    /// Let another thread of the process compute all the time.
    #[arg(long)]
    pub busy: bool,
    /// Call fsync after each write.
    #[arg(long)]
    pub fsync: bool,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 7)]
    pub rounds: usize,
    /// Time of one round of one system, in milliseconds.
    #[arg(long, default_value_t = 60)]
    pub budget: u64,
    /// Verify every kind of row with short runs, in less than 10 s.
    #[arg(long)]
    pub test: bool,
    /// Add the rows to results.json and results.csv in this directory.
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub arena: ArenaOptions,
}

/// Fixed sets of rows.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// What FLAC promises.
    Targets,
    /// Programs that do what attaching is worst at: nothing may be slower than on a tmpfs with huge pages.
    Adversary,
    /// Sizes, patterns, buffers and threads, for the charts.
    Matrix,
}

/// Ways to move bytes without a file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Without {
    /// Copy between the buffer and a warm mapping.
    Copy,
    /// Map over the buffer.
    Show,
    /// Make a descriptor and close it.
    Descriptor,
    /// Write past the page cache, and flush the device.
    Flush,
}

/// What this program does when it executes itself.
#[derive(Subcommand)]
pub enum Command {
    /// Times one row on one system, a round for each line on its standard input.
    #[command(hide = true)]
    Worker(Task),
}

/// What a worker is told.
#[derive(Args, Clone)]
pub struct Task {
    #[command(flatten)]
    pub row: Row,
    /// An empty directory to work in.
    #[arg(long)]
    pub dir: PathBuf,
    /// Time of one round in milliseconds.
    #[arg(long)]
    pub budget: u64,
    /// Keep files small, because only the results matter.
    #[arg(long)]
    pub small: bool,
    /// Move the bytes without a file system, to see what that must cost.
    #[arg(long)]
    pub limit: Option<Without>,
    /// Device and inode of the directory as the kernel sees it; refuse to work where they are what we see.
    #[arg(long)]
    pub kernel: Option<String>,
    /// Variables for the programs that the worker starts.
    #[arg(long)]
    pub child_env: Vec<String>,
}

fn size(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.to_ascii_uppercase().strip_suffix(['K', 'M', 'G']) {
        Some(digits) => (digits.to_owned(), text.to_ascii_uppercase().pop()),
        None => (text.to_owned(), None),
    };
    let shift = match shift {
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        _ => 0,
    };
    let number: usize = digits.parse().map_err(|_| format!("not a size: {text}"))?;
    match number.checked_mul(1 << shift) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(format!("not a size: {text}")),
    }
}
