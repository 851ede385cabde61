//! `flac stop`: the volatile state goes.

use crate::arguments::Stop;
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::location;
use flac::fs::admin::Volatile;
use flac::{Config, Fs};
use rustix::process::{Pid, Signal};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a killed process may take to go.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn run(pool: &Path, wanted: &Stop) -> Outcome {
    let Some(state) = Volatile::of(pool)? else {
        human::to_stdout("nothing to stop\n");
        return Ok(ExitCode::SUCCESS);
    };
    super::writeback::end(&state);
    if wanted.force {
        kill(&state)?;
    }
    if wanted.discard {
        let lock = state.lock()?;
        let users = state.mapped_by();
        if !users.is_empty() {
            return Err(in_use(pool, &users));
        }
        state.remove(lock)?;
        human::to_stdout("stopped; what was not synced is dropped\n");
    } else {
        write_back(pool, &state, wanted.force)?;
        human::to_stdout("stopped; everything is written back\n");
    }
    Ok(ExitCode::SUCCESS)
}

fn write_back(pool: &Path, state: &Volatile, force: bool) -> Result<(), Failure> {
    let config = Config { dram: location::dram()?, attach: false, ..Config::new(pool) };
    let failed = |e: flac::Error| Failure::new(format!("can't write back: {e}; `flac stop --discard` drops what was not synced"));
    let fs = ManuallyDrop::new(Fs::open(&config).map_err(failed)?);
    match fs.take_down(state, force) {
        Ok(others) if others.is_empty() => Ok(()),
        Ok(others) => {
            fs.exit();
            Err(in_use(pool, &others))
        }
        Err(e) => {
            fs.exit();
            Err(failed(e))
        }
    }
}

/// Refuses because of `users`.
pub fn in_use(pool: &Path, users: &[u32]) -> Failure {
    const SHOWN: usize = 8;
    let mut list: Vec<String> = users.iter().take(SHOWN).map(|pid| describe(*pid)).collect();
    if users.len() > SHOWN {
        list.push(format!("{} more", users.len() - SHOWN));
    }
    Failure::new(format!("{} is in use by {}; end them, or use `flac stop --force`", pool.display(), list.join(", ")))
}

/// `123 (bash)`.
pub fn describe(pid: u32) -> String {
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{pid} ({})", name.trim_end()),
        Err(_) => pid.to_string(),
    }
}

/// Kills every process that has the state mapped, and waits until they are gone. Data that they wrote is in the state and stays.
fn kill(state: &Volatile) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let users = state.mapped_by();
        if users.is_empty() {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(Failure::new(format!("{} does not end although it was killed", describe(users[0]))));
        }
        for pid in users {
            let Some(raw) = Pid::from_raw(pid as i32) else { continue };
            match rustix::process::kill_process(raw, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(e) => return Err(Failure::new(format!("can't kill {}: {e}; run as its user or as root", describe(pid)))),
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
