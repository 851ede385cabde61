//! A training program's checkpoints: how long a save stalls it, what retained checkpoints cost in memory when a fifth of the tensors changes between them, and
//! how long loading one takes; on FLAC, tmpfs, a tmpfs with huge pages and a disk, in interleaved rounds. What was saved is compared.
//!
//! `cargo run --release --example checkpoint -- --out target/bench`
//! `cargo run --release --example checkpoint -- --hidden 1024 --layers 24 --vocabulary 50432 --rounds 1`

mod bench;
mod model;
mod program;

use clap::{Parser, Subcommand};
use flac_harness::ArenaOptions;
use model::Shape;
use program::Training;
use std::path::PathBuf;
use std::process::ExitCode;

/// Times a training program's checkpoints on FLAC, tmpfs and a disk.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    shape: Shape,
    /// Rounds; the median of all saves counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Checkpoints that are saved, and kept, beside the first.
    #[arg(long, default_value_t = 5)]
    steps: u64,
    /// Leave out what is durable.
    #[arg(long)]
    no_fsync: bool,
    /// A small model, once: compare only.
    #[arg(long)]
    test: bool,
    /// Add the rows to results.json and results.csv in this directory.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    arena: ArenaOptions,
}

/// What this program does on each system.
#[derive(Subcommand)]
enum Command {
    /// Makes the checkpoint to start from.
    Begin(Training),
    /// Trains, saves after each step, and waits.
    Train(Training),
    /// Loads one.
    Load {
        #[command(flatten)]
        shape: Shape,
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let text = |error: std::io::Error| error.to_string();
    let outcome = match &options.command {
        Some(Command::Begin(training)) => program::begin(training).map_err(text),
        Some(Command::Train(training)) => program::train(training).map_err(text),
        Some(Command::Load { shape, file }) => program::load(*shape, file).map_err(text),
        None => bench::drive(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("checkpoint: {message}");
            ExitCode::FAILURE
        }
    }
}
