//! Single operations: throughput by system, by size, and by threads.

use crate::bars::{self, Bars};
use crate::lines::{self, Lines};
use flac_harness::{Entry, Results, System};
use std::path::Path;

const SYSTEMS: [System; 4] = [System::Flac, System::Tmpfs, System::Huge, System::Disk];

/// Draws what was measured: the files, with what they show.
///
/// # Errors
/// Those of the file system.
pub fn draw(results: &Results, out: &Path) -> Result<Vec<(String, String)>, String> {
    let mut drawn = Vec::new();
    for frames in ["huge", "plain"] {
        let rows: Vec<&Entry> = results.rows.iter().filter(|row| row.group == "micro" && row.frames == frames).collect();
        drawn.extend(throughput(&rows, frames, out)?);
        for (io, touch, what) in [
            ("read", "none", "reads, nothing touched"),
            ("read", "page", "reads, one byte a page touched"),
            ("read", "all", "reads, all bytes used"),
            ("overwrite", "none", "overwrites"),
        ] {
            drawn.extend(sizes(&rows, frames, (io, touch, what), out)?);
        }
        for (io, what) in [("read", "reads"), ("overwrite", "overwrites")] {
            drawn.extend(threads(&rows, frames, (io, what), out)?);
        }
    }
    Ok(drawn)
}

fn is(entry: &Entry, name: &str, value: &str) -> bool {
    entry.parameters.get(name).is_some_and(|known| known == value)
}

/// Whether all parameters but these are the usual ones.
fn is_usual_but_for(entry: &Entry, others: &[&str]) -> bool {
    let usual = [
        ("pattern", "sequential"),
        ("buffer", "warm"),
        ("touch", "none"),
        ("threads", "1"),
        ("processes", "1"),
        ("busy", "false"),
        ("fsync", "false"),
    ];
    usual.iter().all(|(name, value)| others.contains(name) || is(entry, name, value))
}

/// Megabytes a second.
fn rate(entry: &Entry, system: System) -> Option<f64> {
    let median = entry.systems.get(&system)?.median;
    (median > 0.0).then_some(entry.bytes? as f64 * 1e3 / median)
}

fn throughput(rows: &[&Entry], frames: &str, out: &Path) -> Result<Option<(String, String)>, String> {
    let wanted = |entry: &&&Entry| {
        is_usual_but_for(entry, &["touch", "pattern"]) && ["64", "4096", "65536", "2097152"].iter().any(|bytes| is(entry, "bytes", bytes))
    };
    let mut groups = Vec::new();
    for entry in rows.iter().filter(wanted) {
        let values: Vec<_> = SYSTEMS.into_iter().filter_map(|system| Some((system, rate(entry, system)?))).collect();
        groups.push((entry.row.clone(), values));
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let origin = groups.iter().flat_map(|(_, values)| values).map(|(_, value)| *value).fold(f64::MAX, f64::min) / 1.5;
    let (title, file) = (format!("Throughput by system, FLAC with {frames} frames"), format!("throughput-{frames}.svg"));
    bars::draw(&Bars { title: title.clone(), axis: "MB/s".to_owned(), groups, origin }, &out.join(&file))?;
    Ok(Some((file, title)))
}

fn sizes(rows: &[&Entry], frames: &str, (io, touch, what): (&str, &str, &str), out: &Path) -> Result<Option<(String, String)>, String> {
    let wanted = |entry: &&&Entry| is(entry, "io", io) && is(entry, "touch", touch) && is_usual_but_for(entry, &["touch"]);
    let name = |bytes: f64| match bytes {
        ..1024.0 => format!("{bytes:.0} B"),
        ..1_048_576.0 => format!("{:.0} KiB", bytes / 1024.0),
        _ => format!("{:.0} MiB", bytes / 1_048_576.0),
    };
    let (title, file) = (format!("I/O size: {what}, FLAC with {frames} frames"), format!("sizes-{io}-{touch}-{frames}.svg"));
    let lines = series(rows.iter().filter(wanted).copied(), |entry| entry.bytes.unwrap_or(0) as f64);
    drawn(Lines { title, x: "bytes of one operation".to_owned(), y: "MB/s".to_owned(), name, lines }, file, out)
}

fn threads(rows: &[&Entry], frames: &str, (io, what): (&str, &str), out: &Path) -> Result<Option<(String, String)>, String> {
    let wanted = |entry: &&&Entry| is(entry, "io", io) && is(entry, "bytes", "4096") && is_usual_but_for(entry, &["threads"]);
    let number = |entry: &Entry| entry.parameters.get("threads").and_then(|number| number.parse().ok()).unwrap_or(1.0);
    let (title, file) = (format!("Threads: {what} of 4 KiB, FLAC with {frames} frames"), format!("threads-{io}-{frames}.svg"));
    let lines = series(rows.iter().filter(wanted).copied(), number);
    drawn(Lines { title, x: "threads, each on a file of its own".to_owned(), y: "MB/s".to_owned(), name: whole, lines }, file, out)
}

/// Nothing stands at a fraction of a thread.
fn whole(number: f64) -> String {
    if (number - number.round()).abs() < 0.01 { format!("{number:.0}") } else { String::new() }
}

fn series<'a>(rows: impl Iterator<Item = &'a Entry> + Clone, place: impl Fn(&Entry) -> f64) -> Vec<(System, Vec<(f64, f64)>)> {
    let line = |system| {
        let mut points: Vec<_> = rows.clone().filter_map(|entry| Some((place(entry), rate(entry, system)?))).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        (system, points)
    };
    SYSTEMS.into_iter().map(line).filter(|(_, points)| !points.is_empty()).collect()
}

/// A chart of fewer than three points a line says nothing.
fn drawn(lines: Lines, file: String, out: &Path) -> Result<Option<(String, String)>, String> {
    if lines.lines.iter().all(|(_, points)| points.len() < 3) {
        return Ok(None);
    }
    lines::draw(&lines, &out.join(&file))?;
    Ok(Some((file, lines.title)))
}
