//! The process that times one row on one system.

mod buffer;
mod busy;
mod calls;
mod data;
mod limit;
mod metadata;
mod programs;
mod transfer;
mod tree;

use crate::options::{Task, Without};
use crate::row::Io;
use std::io::{BufRead, Write};
use std::time::Duration;

/// What a worker does over and over.
trait Work {
    /// Works for about `budget`: nanoseconds per operation.
    fn round(&mut self, budget: Duration) -> Result<f64, String>;

    /// Checks that the operations do what they should, byte by byte.
    fn verify(&mut self) -> Result<(), String>;
}

/// Prepares and verifies, prints `ready`; prints the time of a round for each line it reads; at the end of its input
/// verifies again, prints `verified`, and removes its files.
///
/// # Errors
/// The message is printed as a line too, so that the driver sees it.
pub fn run(task: &Task) -> Result<(), String> {
    let outcome = serve(task);
    let _ = std::fs::remove_dir_all(&task.dir);
    if let Err(message) = &outcome {
        println!("{}", message.replace('\n', " "));
    }
    outcome
}

fn serve(task: &Task) -> Result<(), String> {
    let seen = task.dir.parent().map(flac_harness::identity);
    if task.kernel.is_some() && task.kernel == seen {
        return Err("the shim does not serve FLAC_ROOT".to_owned());
    }
    std::fs::create_dir(&task.dir).map_err(|error| format!("mkdir: {error}"))?;
    let mut work = work(task)?;
    work.verify()?;
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        line.map_err(|error| error.to_string())?;
        let budget = Duration::from_millis(task.budget);
        let time = if task.row.busy { busy::beside(|| work.round(budget))? } else { work.round(budget)? };
        say(&format!("{time}"))?;
    }
    work.verify()?;
    drop(work);
    let _ = std::fs::remove_dir_all(&task.dir);
    say("verified")
}

fn work(task: &Task) -> Result<Box<dyn Work>, String> {
    Ok(match task.row.io {
        _ if matches!(task.limit, Some(Without::Descriptor | Without::Flush)) => Box::new(calls::Calls::new(task)?),
        _ if task.limit.is_some() => Box::new(limit::Moves::new(task)?),
        Io::Read | Io::Overwrite | Io::Pristine | Io::Store | Io::Append | Io::Rw => Box::new(transfer::Transfers::new(task)?),
        Io::Open | Io::Stat | Io::Create | Io::Unlink | Io::Rename => Box::new(metadata::Names::new(task)?),
        Io::Readdir | Io::StatTree | Io::RemoveTree => Box::new(tree::Tree::new(task)?),
        Io::Cp | Io::True => Box::new(programs::Programs::new(task)?),
    })
}

fn say(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}
