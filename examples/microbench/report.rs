//! Tables: on the screen, as CSV and as JSON.

use crate::measure::Outcome;
use crate::system::System;
use std::fmt::Write as _;
use std::path::Path;

const SHOWN: [System; 4] = [System::Flac, System::Tmpfs, System::HugeTmpfs, System::Disk];

/// The head of the table.
pub fn heading() -> String {
    let mut text = format!("{:<36}", "us per op (MB/s)");
    for system in SHOWN {
        let _ = write!(text, "{:>20}", system.name());
    }
    text + "   flac/tmpfs  flac/huge  flac/disk  target"
}

/// One row of it. The ratios say how many times faster FLAC is.
pub fn line(outcome: &Outcome) -> String {
    let mut text = format!("{:<36}", outcome.row.name());
    for system in SHOWN {
        let _ = write!(text, "{:>20}", time(outcome, system));
    }
    for (system, width) in [(System::Tmpfs, 13), (System::HugeTmpfs, 11), (System::Disk, 11)] {
        let ratio = outcome.speedup(system).map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"));
        let _ = write!(text, "{ratio:>width$}");
    }
    if let (Some(target), Some(passed)) = (outcome.target, outcome.passed()) {
        let _ = write!(text, "  {} {}", if passed { "PASS" } else { "FAIL" }, target.name());
    }
    if let Some(preload) = outcome.median(System::Preload) {
        let _ = write!(text, " (preload alone: {:.3} us)", preload / 1e3);
    }
    text + "\n"
}

fn time(outcome: &Outcome, system: System) -> String {
    let Some(nanoseconds) = outcome.median(system) else {
        return "-".to_owned();
    };
    let micros = format!("{:.3}", nanoseconds / 1e3);
    match rate(outcome, nanoseconds) {
        Some(rate) => format!("{micros} ({rate:.0})"),
        None => micros,
    }
}

/// Megabytes (10^6) a second.
fn rate(outcome: &Outcome, nanoseconds: f64) -> Option<f64> {
    outcome.row.moves_bytes().then(|| outcome.row.size as f64 * 1e3 / nanoseconds)
}

/// Writes `results.csv` and `results.json`.
///
/// # Errors
/// Those of the file system.
pub fn write(directory: &Path, outcomes: &[Outcome]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("results.csv"), csv(outcomes))?;
    std::fs::write(directory.join("results.json"), json(outcomes))
}

fn csv(outcomes: &[Outcome]) -> String {
    let mut text = "row,system,median_us,mb_per_s,speedup_of_flac,target,passed\n".to_owned();
    for outcome in outcomes {
        let target = outcome.target.map_or(String::new(), |target| target.name());
        let passed = outcome.passed().map_or(String::new(), |passed| passed.to_string());
        for (system, _) in &outcome.times {
            let Some(median) = outcome.median(*system) else {
                continue;
            };
            let rate = rate(outcome, median).map_or(String::new(), |rate| format!("{rate:.1}"));
            let ratio = outcome.speedup(*system).map_or(String::new(), |ratio| format!("{ratio:.3}"));
            let (row, name, micros) = (outcome.row.name(), system.name(), median / 1e3);
            let _ = writeln!(text, "{row},{name},{micros:.4},{rate},{ratio},{target},{passed}");
        }
    }
    text
}

/// Names of rows, systems and targets are plain ASCII without quotes, so nothing needs escaping but error texts.
fn json(outcomes: &[Outcome]) -> String {
    let rows: Vec<String> = outcomes.iter().map(json_row).collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

fn json_row(outcome: &Outcome) -> String {
    let systems: Vec<String> = outcome
        .times
        .iter()
        .map(|(system, rounds)| {
            let rounds: Vec<String> = rounds.iter().map(|round| format!("{round:.1}")).collect();
            let median = outcome.median(*system).unwrap_or(0.0);
            let (name, rounds) = (system.name(), rounds.join(", "));
            format!(r#"    "{name}": {{"median_ns": {median:.1}, "rounds_ns": [{rounds}]}}"#)
        })
        .collect();
    let target = outcome.target.map_or("null".to_owned(), |target| format!(r#""{}""#, target.name()));
    let passed = outcome.passed().map_or("null".to_owned(), |passed| passed.to_string());
    let errors: Vec<String> = outcome.errors.iter().map(|error| format!("{error:?}")).collect();
    format!(
        "  {{\"row\": \"{}\", \"bytes\": {}, \"target\": {target}, \"passed\": {passed}, \"errors\": [{}], \"systems\": {{\n{}\n  }}}}",
        outcome.row.name(),
        outcome.row.size,
        errors.join(", "),
        systems.join(",\n"),
    )
}
