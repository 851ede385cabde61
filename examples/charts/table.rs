//! The tables in Markdown.

use flac_harness::{Entry, Results, System};
use std::fmt::Write as _;

const BEGIN: &str = "<!-- figures -->";
const END: &str = "<!-- end of figures -->";

const GROUPS: [(&str, &str, &str); 3] = [
    ("micro", "Operations", "Microseconds of one operation."),
    ("apps", "Programs", "Seconds of a program from its start to its end."),
    ("checkpoint", "Checkpoints", "Seconds, or megabytes."),
];

/// The page with all rows and charts.
pub fn page(results: &Results, drawn: &[(String, String)]) -> String {
    let mut text = format!("# Figures\n\nMade by `ci/bench.sh`. {}\n", state(results));
    for (group, title, unit) in GROUPS {
        for frames in ["huge", "plain"] {
            let rows: Vec<&Entry> = results.rows.iter().filter(|row| row.group == group && row.frames == frames).collect();
            if !rows.is_empty() {
                let _ = write!(text, "\n## {title}, FLAC with {frames} frames\n\n{unit}\n\n{}{}", table(&rows, &SYSTEMS), notes(&rows));
            }
        }
    }
    text += "\n## Charts\n";
    for (file, title) in drawn {
        let _ = write!(text, "\n![{title}]({file})\n");
    }
    text
}

/// What is missing and why, and where limits come from.
fn notes(rows: &[&Entry]) -> String {
    let skipped =
        rows.iter().flat_map(|row| row.skipped.iter().map(|(system, why)| format!("* {} on {}: {why}\n", row.row, system.name())));
    let limits = rows.iter().filter_map(|row| row.limit.as_ref().map(|limit| format!("* Limit of {}: {}\n", row.row, limit.why)));
    let notes: String = skipped.chain(limits).collect();
    if notes.is_empty() { notes } else { format!("\n{notes}") }
}

/// `readme` with the rows that promise more than not to lose in place of those between the marks, and all those that lose.
///
/// # Errors
/// The marks are missing.
pub fn replace(readme: &str, results: &Results) -> Result<String, String> {
    let (before, rest) = readme.split_once(BEGIN).ok_or(format!("no {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or(format!("no {END}"))?;
    let mut text = format!("{before}{BEGIN}\n{}\n", state(results));
    for (group, title, unit) in GROUPS {
        let promises = |row: &&Entry| row.group == group && row.frames == "huge" && row.targets.iter().any(|target| target.times > 0.95);
        let rows: Vec<&Entry> = results.rows.iter().filter(promises).collect();
        if !rows.is_empty() {
            let _ = write!(text, "\n**{title}.** {unit}\n\n{}", table(&rows, &SYSTEMS[..4]));
        }
    }
    Ok(format!("{text}\n{}{END}{after}", losing(results)))
}

/// The rows that are slower than a rival in memory.
fn losing(results: &Results) -> String {
    let lost = |row: &Entry| {
        let ratio = |system| row.ratio(system).filter(|ratio| *ratio < 0.95).map(|ratio| format!("{} of {}", digits(ratio), system.name()));
        // On 4 KiB frames a tmpfs with huge pages is no rival.
        let (rivals, frames) = if row.frames == "plain" { (1, ", plain frames") } else { (2, "") };
        let to: Vec<String> = [System::Tmpfs, System::Huge].into_iter().take(rivals).filter_map(ratio).collect();
        (!to.is_empty()).then(|| format!("{}{frames} ({})", row.row, to.join(", ")))
    };
    let rows: Vec<String> = results.rows.iter().filter_map(lost).collect();
    if rows.is_empty() { String::new() } else { format!("Below 0.95 of a rival in memory: {}.\n", rows.join("; ")) }
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

fn table(rows: &[&Entry], among: &[System]) -> String {
    let used = |system: &System| among.contains(system) && rows.iter().any(|row| row.systems.contains_key(system));
    let (systems, ratios): (Vec<System>, Vec<System>) =
        (SYSTEMS.into_iter().filter(used).collect(), RATIOS.into_iter().filter(used).collect());
    let mut text = "| |".to_owned();
    text.extend(systems.iter().map(|system| format!(" {} |", system.name())));
    text.extend(ratios.iter().map(|system| format!(" to {} |", system.name())));
    text += " target | limit |\n|---|";
    text += &"---|".repeat(systems.len() + ratios.len() + 2);
    text += "\n";
    for entry in rows.iter().filter(|entry| !entry.systems.is_empty()) {
        text += &row(entry, &systems, &ratios, !among.contains(&System::FlacSync));
    }
    text
}

/// `briefly`: where only the systems that fsync took part, they stand in the columns of those that don't.
fn row(entry: &Entry, systems: &[System], ratios: &[System], briefly: bool) -> String {
    let shown = |system: System| match system {
        System::Flac if briefly && !entry.systems.contains_key(&system) => System::FlacSync,
        System::Disk if briefly && !entry.systems.contains_key(&system) => System::DiskSync,
        _ => system,
    };
    let scale = if entry.unit == "ns" { 1e-3 } else { 1.0 };
    let mut text = if entry.passed() == Some(false) { format!("| **{}** |", entry.row) } else { format!("| {} |", entry.row) };
    for system in systems {
        let _ = write!(text, " {} |", entry.systems.get(&shown(*system)).map_or(String::new(), |sample| digits(sample.median * scale)));
    }
    for system in ratios {
        let _ = write!(text, " {} |", entry.ratio(shown(*system)).map_or(String::new(), digits));
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
