//! The file that every benchmark adds its rows to, so that a long run can be made in slices.

use crate::{Machine, System};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What one system did in one row.
#[derive(Clone, Serialize, Deserialize, Default)]
pub struct Sample {
    /// The median of the rounds.
    pub median: f64,
    /// All rounds in their order.
    pub rounds: Vec<f64>,
    /// Seconds of processor time in user mode and in the kernel, medians, where programs were run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu: Option<(f64, f64)>,
}

impl Sample {
    /// The sample of these rounds.
    #[must_use]
    pub fn of(rounds: Vec<f64>) -> Sample {
        Sample { median: median(&rounds), rounds, cpu: None }
    }
}

/// The middle; 0 of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

/// FLAC shall be so many times as good as `system`.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Target {
    /// The least ratio.
    pub times: f64,
    /// To whom.
    pub system: System,
}

/// What no file system can get below on this machine.
#[derive(Clone, Serialize, Deserialize)]
pub struct Limit {
    /// In the unit of the row.
    pub value: f64,
    /// Where it comes from.
    pub why: String,
}

/// One row: less is better.
#[derive(Clone, Serialize, Deserialize)]
pub struct Entry {
    /// `micro`, `apps` or `checkpoint`.
    pub group: String,
    /// What was done.
    pub row: String,
    /// `huge` or `plain`: what FLAC's cache had.
    pub frames: String,
    /// `ns` of one operation, `s` of a program, `MB` of memory.
    pub unit: String,
    /// Bytes of one operation, where bytes are moved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
    /// What the row is made of, by name, for charts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub parameters: BTreeMap<String, String>,
    /// The day of the run.
    pub date: String,
    /// What was measured.
    pub commit: String,
    /// What each system took.
    pub systems: BTreeMap<System, Sample>,
    /// What FLAC should reach.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// What nobody can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<Limit>,
    /// Why a system is missing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub skipped: BTreeMap<System, String>,
    /// What failed or was computed wrongly.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<String>,
}

impl Entry {
    /// How many times better FLAC is than `system`. A durable rival is compared with the durable FLAC.
    #[must_use]
    pub fn ratio(&self, system: System) -> Option<f64> {
        let ours = if system.is_durable() { System::FlacSync } else { System::Flac };
        let (ours, theirs) = (self.systems.get(&ours)?, self.systems.get(&system)?);
        (ours.median > 0.0).then(|| theirs.median / ours.median)
    }

    /// Whether FLAC is as many times better as `target` says, to two digits behind the point, as ratios are printed: who does the same work as another is faster in every second run.
    #[must_use]
    pub fn meets(&self, target: &Target) -> Option<bool> {
        self.ratio(target.system).map(|ratio| (ratio * 100.0).round() >= (target.times * 100.0).round())
    }

    /// Whether all targets are met; `None` where there is none to be judged.
    #[must_use]
    pub fn passed(&self) -> Option<bool> {
        let judged: Vec<bool> = self.targets.iter().filter_map(|target| self.meets(target)).collect();
        (!judged.is_empty()).then(|| judged.iter().all(|met| *met))
    }
}

/// All rows of a machine.
#[derive(Serialize, Deserialize, Default)]
pub struct Results {
    /// The machine.
    pub machine: Machine,
    /// Its rows; of each the newest.
    pub rows: Vec<Entry>,
}

impl Results {
    /// Those of earlier slices, or none.
    ///
    /// # Errors
    /// A file that is there and no file of results.
    pub fn open(directory: &Path) -> Result<Results, String> {
        let path = directory.join("results.json");
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display())),
            Err(_) => Ok(Results::default()),
        }
    }

    /// Replaces the row of the same name, or adds one.
    pub fn add(&mut self, entry: Entry) {
        let same = |row: &Entry| row.group == entry.group && row.row == entry.row && row.frames == entry.frames;
        match self.rows.iter_mut().find(|row| same(row)) {
            Some(row) => *row = entry,
            None => self.rows.push(entry),
        }
    }

    /// Writes `results.json` and `results.csv` as those of this machine.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&mut self, directory: &Path) -> Result<(), String> {
        self.machine = Machine::here();
        let text = serde_json::to_string_pretty(&self).expect("plain data");
        let written = std::fs::create_dir_all(directory)
            .and_then(|()| std::fs::write(directory.join("results.json"), text + "\n"))
            .and_then(|()| std::fs::write(directory.join("results.csv"), self.csv()));
        written.map_err(|error| format!("{}: {error}", directory.display()))
    }

    fn csv(&self) -> String {
        let mut text = "group,row,frames,system,median,unit,mb_per_s,flac_is_times_faster,limit,date,commit\n".to_owned();
        for entry in &self.rows {
            for (system, sample) in &entry.systems {
                let rate = entry.bytes.filter(|_| entry.unit == "ns" && sample.median > 0.0);
                let rate = rate.map_or(String::new(), |bytes| format!("{:.1}", bytes as f64 * 1e3 / sample.median));
                let ratio = entry.ratio(*system).map_or(String::new(), |ratio| format!("{ratio:.3}"));
                let limit = entry.limit.as_ref().map_or(String::new(), |limit| format!("{:.4}", limit.value));
                let (median, name, Entry { group, row, frames, unit, date, commit, .. }) = (sample.median, system.name(), entry);
                let row = row.replace(',', ";");
                let _ = writeln!(text, "{group},{row},{frames},{name},{median:.6},{unit},{rate},{ratio},{limit},{date},{commit}");
            }
        }
        text
    }
}
