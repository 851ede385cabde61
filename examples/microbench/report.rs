//! The table on the screen.

use flac_harness::{Entry, Frames, System};
use std::fmt::Write as _;

const SHOWN: [System; 4] = [System::Flac, System::Tmpfs, System::Huge, System::Disk];

/// Its head.
pub fn heading(frames: Frames) -> String {
    let mut text = format!("us per op (MB/s), FLAC with {} frames; ratios: rival / FLAC\n{:<44}", frames.name(), "");
    for system in SHOWN {
        let _ = write!(text, "{:>20}", system.name());
    }
    text + "   tmpfs    huge    disk       limit"
}

/// One row.
pub fn line(entry: &Entry) -> String {
    let mut text = format!("{:<44}", entry.row);
    for system in SHOWN {
        let _ = write!(text, "{:>20}", time(entry, system));
    }
    for system in [System::Tmpfs, System::Huge, System::Disk] {
        let ratio = entry.ratio(system).map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"));
        let _ = write!(text, "{ratio:>8}");
    }
    let limit = entry.limit.as_ref().map_or("-".to_owned(), |limit| format!("{:.3}", limit.value / 1e3));
    let _ = write!(text, "{limit:>12}");
    for target in &entry.targets {
        if let Some(met) = entry.meets(target) {
            let met = if met { "ok" } else { "MISSED" };
            let _ = write!(text, "  {met} {} x {}", target.times, target.system.name());
        }
    }
    if let Some(preload) = entry.systems.get(&System::Preload) {
        let _ = write!(text, "  preload alone {:.3}", preload.median / 1e3);
    }
    text + "\n"
}

fn time(entry: &Entry, system: System) -> String {
    let Some(sample) = entry.systems.get(&system) else {
        return "-".to_owned();
    };
    let micros = format!("{:.3}", sample.median / 1e3);
    match entry.bytes {
        Some(bytes) => format!("{micros} ({:.0})", bytes as f64 * 1e3 / sample.median),
        None => micros,
    }
}
