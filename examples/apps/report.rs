//! The table on the screen.

use flac_harness::{Entry, Frames, System};
use std::fmt::Write as _;

/// Its head.
pub fn heading(frames: Frames) -> String {
    let mut text = format!("seconds, FLAC with {} frames; ratios: rival / FLAC\n{:<34}", frames.name(), "");
    for system in System::FILES {
        let _ = write!(text, "{:>11}", system.name());
    }
    text + "   tmpfs    huge    disk   fsync    limit"
}

/// One row.
pub fn line(entry: &Entry) -> String {
    let mut text = format!("{:<34}", entry.row);
    for system in System::FILES {
        let time = entry.systems.get(&system).map_or("-".to_owned(), |sample| format!("{:.4}", sample.median));
        let _ = write!(text, "{time:>11}");
    }
    for system in [System::Tmpfs, System::Huge, System::Disk, System::DiskSync] {
        let ratio = entry.ratio(system).map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"));
        let _ = write!(text, "{ratio:>8}");
    }
    let limit = entry.limit.as_ref().map_or("-".to_owned(), |limit| format!("{:.4}", limit.value));
    let _ = write!(text, "{limit:>9}");
    for target in &entry.targets {
        if let Some(met) = entry.meets(target) {
            let met = if met { "ok" } else { "MISSED" };
            let _ = write!(text, "  {met} {} x {}", target.times, target.system.name());
        }
    }
    for (system, why) in &entry.skipped {
        let _ = write!(text, "\n    {} left out: {why}", system.name());
    }
    text + "\n"
}
