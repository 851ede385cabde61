//! What a training program does with checkpoints. It knows nothing of FLAC.

use crate::model::{Model, Shape};
use clap::Args;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Percent of its bytes.
pub const CHANGED: usize = 20;

/// A training run.
#[derive(Args, Clone)]
pub struct Training {
    /// Where checkpoints go.
    #[arg(long)]
    pub dir: PathBuf,
    #[command(flatten)]
    pub shape: Shape,
    /// Steps, each with a save.
    #[arg(long, default_value_t = 5)]
    pub steps: u64,
    /// How much of the model a step changes, in percent of its bytes.
    #[arg(long, default_value_t = CHANGED)]
    pub changed: usize,
    /// Change any tensors, others each time, instead of the last ones.
    #[arg(long)]
    pub any: bool,
    /// A save ends when it is durable.
    #[arg(long)]
    pub fsync: bool,
}

/// The checkpoint after a step; 0 is the one to start from.
pub fn name(step: u64) -> String {
    format!("checkpoint-{step}")
}

/// Makes the checkpoint to start from.
///
/// # Errors
/// Those of the file system.
pub fn begin(training: &Training) -> std::io::Result<()> {
    let mut model = Model::fresh(training.shape);
    (0..model.tensors.len()).for_each(|number| model.change(number, 0));
    save(&model, &training.dir.join(name(0)), training.fsync)
}

/// Resumes from the first checkpoint; changes and saves, step by step, and keeps all. Prints what it took, then waits with all its memory until its input ends.
///
/// # Errors
/// Those of the file system.
pub fn train(training: &Training) -> std::io::Result<()> {
    let mut model = Model::fresh(training.shape);
    File::open(training.dir.join(name(0)))?.read_exact(model.bytes_mut())?;
    for step in 1..=training.steps {
        let start = Instant::now();
        for number in model.chosen(training.changed, step, training.any) {
            model.change(number, step);
        }
        println!("step {}", start.elapsed().as_secs_f64());
        let start = Instant::now();
        save(&model, &training.dir.join(name(step)), training.fsync)?;
        println!("stall {}", start.elapsed().as_secs_f64());
    }
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let kib = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")?.trim().strip_suffix(" kB"));
    println!("anonymous {}", kib.unwrap_or("0"));
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

/// One write for each tensor, at its place; the header last; then the name.
fn save(model: &Model, path: &Path, durable: bool) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let file = File::create(&part)?;
    for tensor in &model.tensors {
        file.write_all_at(&model.bytes()[tensor.offset..][..tensor.length], tensor.offset as u64)?;
    }
    file.write_all_at(&header(model), 0)?;
    if durable {
        file.sync_all()?;
    }
    std::fs::rename(part, path)
}

/// What is in the file, in the first page.
fn header(model: &Model) -> Vec<u8> {
    let mut page = Vec::with_capacity(4096);
    let _ = write!(page, "{{\"tensors\": {}, \"bytes\": {}}}", model.tensors.len(), model.bytes().len());
    page.resize(4096, b' ');
    page
}

/// Loads a checkpoint into fresh memory, then reads all of it: prints the seconds until it is there, until all of it was read, and its sum.
///
/// # Errors
/// Those of the file system.
pub fn load(shape: Shape, path: &Path) -> std::io::Result<()> {
    let start = Instant::now();
    let mut model = Model::fresh(shape);
    File::open(path)?.read_exact(model.bytes_mut())?;
    let there = start.elapsed();
    let sum = model.sum();
    println!("load {}\nscan {}\nsum {sum:x}", there.as_secs_f64(), start.elapsed().as_secs_f64());
    Ok(())
}
