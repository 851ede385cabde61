//! Whole programs: how many times faster than on tmpfs.

use crate::bars::{self, Bars};
use flac_harness::{Entry, Results, System};
use std::path::Path;

/// Draws `apps-FRAMES.svg` for the frames that were measured: the files, with what they show.
///
/// # Errors
/// Those of the file system.
pub fn draw(results: &Results, out: &Path) -> Result<Vec<(String, String)>, String> {
    let mut drawn = Vec::new();
    for frames in ["huge", "plain"] {
        let rows = results.rows.iter().filter(|row| row.group == "apps" && row.frames == frames);
        let mut groups: Vec<_> = rows.filter_map(relative).collect();
        groups.sort_by(|(_, one), (_, other)| other[0].1.total_cmp(&one[0].1));
        if groups.is_empty() {
            continue;
        }
        let (title, file) = (format!("Applications, FLAC with {frames} frames"), format!("apps-{frames}.svg"));
        let axis = "times as fast as on tmpfs".to_owned();
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
    (values.first()?.0 == System::Flac).then(|| (entry.row.clone(), values))
}
