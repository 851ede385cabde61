//! The tables in Markdown.

use flac_harness::{Entry, Results, System};
use std::fmt::Write as _;

const BEGIN: &str = "<!-- figures -->";
const END: &str = "<!-- end of figures -->";

/// The page with all rows and charts.
pub fn page(results: &Results, drawn: &[(String, String)]) -> String {
    let mut text = format!("# Figures\n\nMade by `ci/bench.sh`. {}\n", state(results));
    for (group, title, unit) in [
        ("apps", "Applications", "Seconds of a program from its start to its end."),
        ("checkpoint", "Checkpoints", "Seconds, or megabytes of memory."),
        ("micro", "Operations", "Microseconds of one operation."),
    ] {
        for frames in ["huge", "plain"] {
            let rows: Vec<&Entry> = results.rows.iter().filter(|row| row.group == group && row.frames == frames).collect();
            if !rows.is_empty() {
                let _ = write!(text, "\n## {title}, FLAC with {frames} frames\n\n{unit}\n\n{}", table(&rows));
            }
        }
    }
    text += "\n## Charts\n";
    for (file, title) in drawn {
        let _ = write!(text, "\n![{title}]({file})\n");
    }
    text
}

/// `readme` with the table of the rows that have a target in place of the one between the marks.
///
/// # Errors
/// The marks are missing.
pub fn replace(readme: &str, results: &Results) -> Result<String, String> {
    let (before, rest) = readme.split_once(BEGIN).ok_or(format!("no {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or(format!("no {END}"))?;
    let rows: Vec<&Entry> = results.rows.iter().filter(|row| row.frames == "huge" && !row.targets.is_empty()).collect();
    Ok(format!("{before}{BEGIN}\n{}\n\n{}{END}{after}", state(results), table(&rows)))
}

/// Which machine, when.
fn state(results: &Results) -> String {
    let machine = &results.machine;
    let dates: Vec<&str> = results.rows.iter().map(|row| row.date.as_str()).collect();
    let (first, last) = (dates.iter().min().unwrap_or(&""), dates.iter().max().unwrap_or(&""));
    let period = if first == last { (*first).to_owned() } else { format!("{first} to {last}") };
    let kind = if machine.virtual_machine { "a virtual machine with " } else { "" };
    format!(
        "Medians of interleaved rounds on {kind}{} cores of {}, {} GiB, Linux {}, {period}; ratios are rival / FLAC, above 1 FLAC is better. Rows in bold miss a target.",
        machine.cores, machine.processor, machine.memory_gib, machine.kernel
    )
}

const SYSTEMS: [System; 6] = [System::Flac, System::Tmpfs, System::Huge, System::Disk, System::FlacSync, System::DiskSync];
const RATIOS: [System; 4] = [System::Tmpfs, System::Huge, System::Disk, System::DiskSync];

fn table(rows: &[&Entry]) -> String {
    let used = |system: &System| rows.iter().any(|row| row.systems.contains_key(system));
    let (systems, ratios): (Vec<System>, Vec<System>) =
        (SYSTEMS.into_iter().filter(used).collect(), RATIOS.into_iter().filter(used).collect());
    let mut text = "| |".to_owned();
    text.extend(systems.iter().map(|system| format!(" {} |", system.name())));
    text.extend(ratios.iter().map(|system| format!(" to {} |", system.name())));
    text += " target | limit |\n|---|";
    text += &"---|".repeat(systems.len() + ratios.len() + 2);
    text += "\n";
    for entry in rows.iter().filter(|entry| !entry.systems.is_empty()) {
        text += &row(entry, &systems, &ratios);
    }
    text
}

fn row(entry: &Entry, systems: &[System], ratios: &[System]) -> String {
    let scale = if entry.unit == "ns" { 1e-3 } else { 1.0 };
    let mut text = if entry.passed() == Some(false) { format!("| **{}** |", entry.row) } else { format!("| {} |", entry.row) };
    for system in systems {
        let _ = write!(text, " {} |", entry.systems.get(system).map_or(String::new(), |sample| digits(sample.median * scale)));
    }
    for system in ratios {
        let _ = write!(text, " {} |", entry.ratio(*system).map_or(String::new(), digits));
    }
    let targets: Vec<String> = entry.targets.iter().map(|target| format!("{} {}", target.times, target.system.name())).collect();
    let limit = entry.limit.as_ref().map_or(String::new(), |limit| digits(limit.value * scale));
    text + &format!(" {} | {limit} |\n", targets.join(", "))
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        0.1.. => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}
