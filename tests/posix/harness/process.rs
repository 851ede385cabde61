//! One case in one process: its output, its end, its time limit.

use crate::case::{NOT_SERVED, SKIPPED};
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than any case needs.
const LIMIT: Duration = Duration::from_secs(120);

/// What became of a case.
pub enum Verdict {
    /// The claim holds.
    Passed,
    /// It does not, and what the case printed.
    Failed(String),
    /// It can't be judged here, and why.
    Skipped(String),
    /// A FLAC case met the kernel's directory.
    NotServed,
}

/// Runs the command with its output in the file `log`, in a process group of its own which does not outlive the call.
pub fn run(mut command: Command, log: &Path) -> Verdict {
    let started = File::create(log).and_then(|output| {
        let errors = output.try_clone()?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).spawn()
    });
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Verdict::Failed(format!("the case did not start: {error}")),
    };
    let ended = wait(&mut child);
    // Whatever the case left running must not disturb the others.
    crate::sys::kill_group(child.id());
    let _ = child.wait();
    let output = std::fs::read(log).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    match ended {
        Some(status) => verdict(status, output),
        None => Verdict::Failed(format!("{output}no end after {} s", LIMIT.as_secs())),
    }
}

fn verdict(status: ExitStatus, output: String) -> Verdict {
    match status.code() {
        Some(0) => Verdict::Passed,
        Some(code) if code == i32::from(NOT_SERVED) => Verdict::NotServed,
        Some(code) if code == i32::from(SKIPPED) => {
            let reason = output.lines().rev().find_map(|line| line.strip_prefix("skipped: "));
            Verdict::Skipped(reason.unwrap_or("no reason given").to_owned())
        }
        Some(code) => Verdict::Failed(format!("{output}exit code {code}")),
        None => Verdict::Failed(format!("{output}killed by signal {}", status.signal().unwrap_or(0))),
    }
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    while start.elapsed() < LIMIT {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    None
}
