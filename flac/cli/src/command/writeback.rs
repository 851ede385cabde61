//! `flac writeback`: writes back what is dirty while nobody asks for it, and moves pages that are read often from persistent memory to DRAM. It makes less be lost at a
//! reboot, a stop be short and reads be fast; nothing depends on it.

use crate::failure::{Failure, Outcome};
use flac::fs::admin::Volatile;
use flac::{Config, Fs};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Flock, FlockType, Pid, Signal};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const LOCK: &str = "writeback.lock";
const EVERY: Duration = Duration::from_secs(5);
/// How soon hot pages move.
const TICK: Duration = Duration::from_millis(250);
const IDLE: Duration = Duration::from_secs(10);

pub fn run(pool: &Path) -> Outcome {
    let Some(state) = Volatile::of(pool)? else { return Ok(ExitCode::SUCCESS) };
    let path = state.dir().join(LOCK);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).map_err(|e| Failure::on(&path, e))?;
    if rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        // Another one is at work.
        return Ok(ExitCode::SUCCESS);
    }
    let fs = ManuallyDrop::new(Fs::open(&Config { attach: false, ..Config::new(pool) })?);
    // For the planners of all processes; without it they go on by what is assumed.
    let _ = fs.calibrate();
    let mut synced = None;
    let mut idle_since = Instant::now();
    loop {
        let tick = Instant::now();
        while tick.elapsed() < EVERY {
            std::thread::sleep(TICK);
            // A damaged page is the reader's to hear of; it stays where it is.
            let _ = fs.move_hot();
        }
        let last = fs.log_state()?.last;
        if fs.is_dirty() || synced != Some(last) {
            fs.sync_all()?;
            // A change between the two is found next time.
            synced = Some(last);
            idle_since = Instant::now();
        }
        if !fs.other_users().is_empty() {
            idle_since = Instant::now();
        } else if idle_since.elapsed() >= IDLE {
            break;
        }
    }
    fs.exit();
    Ok(ExitCode::SUCCESS)
}

/// The pid of the process that writes back, if one does.
pub fn pid(state: &Volatile) -> Option<u32> {
    let file = std::fs::File::options().read(true).write(true).open(state.dir().join(LOCK)).ok()?;
    let holder = rustix::process::fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()??;
    holder.pid.map(|pid| pid.as_raw_nonzero().get() as u32)
}

/// Ends the process that writes back. Whatever it was at is a state that the next flush goes on from.
pub fn end(state: &Volatile) {
    let start = Instant::now();
    while let Some(raw) = pid(state).and_then(|pid| Pid::from_raw(pid as i32)) {
        if start.elapsed() > Duration::from_secs(20) || rustix::process::kill_process(raw, Signal::TERM).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
