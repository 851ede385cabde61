//! Whole programs, and checkpoints: how many times better than on tmpfs.

use crate::bars::{self, Bars};
use flac_harness::{Entry, Results, System};
use std::path::Path;

/// Draws `apps-FRAMES.svg` and `checkpoint-FRAMES.svg` for the frames that were measured: the files, with what they show.
///
/// # Errors
/// Those of the file system.
pub fn draw(results: &Results, out: &Path) -> Result<Vec<(String, String)>, String> {
    let mut drawn = Vec::new();
    for (group, what, frames) in [
        ("apps", "Applications", "huge"),
        ("apps", "Applications", "plain"),
        ("checkpoint", "Checkpoints", "huge"),
        ("checkpoint", "Checkpoints", "plain"),
    ] {
        let rows = results.rows.iter().filter(|row| row.group == group && row.frames == frames);
        let mut groups: Vec<_> = rows.filter_map(relative).collect();
        groups.sort_by(|(_, one), (_, other)| other[0].1.total_cmp(&one[0].1));
        if groups.is_empty() {
            continue;
        }
        let (title, file) = (format!("{what}, FLAC with {frames} frames"), format!("{group}-{frames}.svg"));
        let axis = if group == "apps" { "times as fast as on tmpfs" } else { "times as fast, or as small, as on tmpfs" }.to_owned();
        bars::draw(&Bars { title: title.clone(), axis, groups, origin: 1.0 }, &out.join(&file))?;
        drawn.push((file, title));
    }
    Ok(drawn)
}

/// FLAC first; tmpfs itself is the line at 1.
fn relative(entry: &Entry) -> Option<(String, Vec<(System, f64)>)> {
    let base = entry.systems.get(&System::Tmpfs)?.median;
    let speed = |system: System| Some((system, base / entry.systems.get(&system)?.median));
    let values: Vec<_> = [System::Flac, System::Huge, System::Disk].into_iter().filter_map(speed).collect();
    let name = entry.row.split(" (").next().unwrap_or_default();
    let name = match entry.parameters.get("any").map(String::as_str) {
        Some("true") => format!("{name}, any tensors change"),
        Some(_) => format!("{name}, the same change"),
        None => entry.row.clone(),
    };
    (values.first()?.0 == System::Flac).then_some((name, values))
}
