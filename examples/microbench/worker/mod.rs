//! The process that times one row on one system.

mod buffer;
mod data;
mod metadata;
mod mount;
mod programs;
mod transfer;

pub use mount::may_mount;

use crate::options::Task;
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
    let seen = task.dir.parent().map(crate::system::identity);
    if task.kernel.is_some() && task.kernel == seen {
        return Err("the shim does not serve FLAC_ROOT".to_owned());
    }
    std::fs::create_dir(&task.dir).map_err(|error| format!("mkdir: {error}"))?;
    if task.mount_huge {
        mount::huge_tmpfs(&task.dir)?;
    }
    let mut work: Box<dyn Work> = match task.row.io {
        Io::Read | Io::Overwrite | Io::Append | Io::Rw => Box::new(transfer::Transfers::new(task)?),
        Io::Open | Io::Stat | Io::Create | Io::Unlink => Box::new(metadata::Names::new(task)?),
        Io::Cp | Io::True => Box::new(programs::Programs::new(task)?),
    };
    work.verify()?;
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        line.map_err(|error| error.to_string())?;
        let time = work.round(Duration::from_millis(task.budget))?;
        say(&format!("{time}"))?;
    }
    work.verify()?;
    drop(work);
    let _ = std::fs::remove_dir_all(&task.dir);
    say("verified")
}

fn say(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}
