//! One application on all systems, a round on each in turn.

use crate::app::{App, Durable, Proof};
use crate::inputs::{Input, Inputs};
use crate::options::Options;
use crate::place::Place;
use crate::run::{Run, run};
use flac_harness::{Arena, Entry, Limit, Sample, System, median};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// Measures one row. What the next one does not `keep` of its inputs is removed.
pub fn race(arena: &Arena, inputs: &Inputs, options: &Options, app: &App, keep: &[Input]) -> Entry {
    let mut entry = Entry {
        group: "apps".to_owned(),
        row: app.name.clone(),
        frames: arena.frames().name().to_owned(),
        unit: "s".to_owned(),
        bytes: None,
        parameters: BTreeMap::new(),
        date: String::new(),
        commit: String::new(),
        systems: BTreeMap::new(),
        targets: app.targets.clone(),
        limit: None,
        skipped: BTreeMap::new(),
        errors: Vec::new(),
    };
    let python = python(options);
    if let Some(missing) = app.needs.iter().find(|program| !is_there(program, &python)) {
        let reason = format!("{missing} is not installed");
        System::FILES.iter().for_each(|system| drop(entry.skipped.insert(*system, reason.clone())));
        return entry;
    }
    let places = places(arena, options, app, &python, &mut entry);
    let mut lanes: Vec<Lane> = places.into_iter().map(|place| Lane { place, runs: Vec::new(), proofs: Vec::new() }).collect();
    lanes.retain(|lane| retained(lane, app.inputs.iter().try_for_each(|input| inputs.place(*input, &lane.place)), &mut entry));
    let rounds = options.timed();
    for round in 0..=rounds {
        let careful = round == 0 || round == rounds;
        lanes.retain_mut(|lane| {
            let outcome = lane.round(arena, app, careful, round > 0);
            retained(lane, outcome, &mut entry)
        });
    }
    // What does not take long is timed more often: the median of three is as often as not a moment at which the host was busy.
    let quick = || lanes.iter().filter(|lane| !lane.place.system.is_durable()).flat_map(|lane| &lane.runs);
    for _ in rounds..options.most(quick().map(|run| run.wall).sum()) {
        lanes.retain_mut(|lane| {
            let outcome = if lane.place.system.is_durable() { Ok(()) } else { lane.round(arena, app, false, true) };
            retained(lane, outcome, &mut entry)
        });
    }
    compare(&lanes, &mut entry);
    for lane in &lanes {
        let tidied = lane.clear(app).and_then(|()| {
            let unused = app.inputs.iter().filter(|input| !keep.contains(input));
            unused.copied().try_for_each(|input| inputs.remove(input, &lane.place))
        });
        retained(lane, tidied, &mut entry);
        entry.systems.insert(lane.place.system, lane.sample());
    }
    app.inputs.iter().filter(|input| !keep.contains(input)).for_each(|input| inputs.forget(*input));
    entry.limit = match app.said {
        None => limit(arena, &entry, app.steps.len()),
        Some(said) => idle_limit(arena, app, said),
    };
    entry
}

struct Lane {
    place: Place,
    runs: Vec<Run>,
    proofs: Vec<String>,
}

fn retained(lane: &Lane, outcome: Result<(), String>, entry: &mut Entry) -> bool {
    if let Err(message) = &outcome {
        entry.errors.push(format!("{} on {}: {message}", entry.row, lane.place.system.name()));
    }
    outcome.is_ok()
}

impl Lane {
    fn round(&mut self, arena: &Arena, app: &App, careful: bool, counts: bool) -> Result<(), String> {
        self.clear(app)?;
        if !self.place.system.is_flac() {
            settle(arena)?;
        } else if app.cold {
            arena.reboot()?;
        }
        let durable = if self.place.system.is_durable() { sync_of(app) } else { None };
        let mut done = run(&self.place, &app.steps, app.output, durable.as_deref(), arena.scratch(), careful)?;
        if let Some(said) = app.said {
            done.wall = said(&done.printed).ok_or("it does not say what it took")?;
            done.printed.clear();
        }
        if careful {
            self.proofs.push(prove(&self.place, &app.proof, &done.printed)?);
        }
        if counts {
            self.runs.push(done);
        }
        Ok(())
    }

    /// What is not timed before a round, and leaves no output.
    fn clear(&self, app: &App) -> Result<(), String> {
        app.before.iter().try_for_each(|words| self.place.run(words).map(drop))
    }

    fn sample(&self) -> Sample {
        let all = |of: fn(&Run) -> f64| self.runs.iter().map(of).collect::<Vec<f64>>();
        let cpu = (median(&all(|run| run.user)), median(&all(|run| run.kernel)));
        Sample { cpu: Some(cpu), ..Sample::of(all(|run| run.wall)) }
    }
}

/// Nothing written to the disk earlier is written back while others are timed.
fn settle(arena: &Arena) -> Result<(), String> {
    let directory = arena.directory(System::Disk)?;
    let opened = std::fs::File::open(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    rustix::fs::syncfs(opened).map_err(|error| format!("syncfs: {error}"))
}

/// The command that ends when what an application wrote is durable.
fn sync_of(app: &App) -> Option<Vec<String>> {
    let words: &[&str] = match app.durable {
        Durable::Nothing | Durable::Itself => return None,
        Durable::File(name) => &["sync", &format!("@{name}")],
        Durable::Everything => &["sync", "-f", "@"],
    };
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

fn prove(place: &Place, proof: &Proof, printed: &str) -> Result<String, String> {
    let made = match proof {
        Proof::Printed => String::new(),
        Proof::Lines => return Ok(sorted(&printed.replace(&*place.directory.to_string_lossy(), "@"))),
        Proof::File(name) => place.script(&format!("sha256sum <'{name}'"))?,
        Proof::Tree(name) => place.script(&format!(
            "cd '{name}'; find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum; find . ! -type d -printf '%p %y %m %s %n %l %T@\\n' | sort | sha256sum; find . -type d -printf '%p %m\\n' | sort"
        ))?,
        Proof::Said(words) => place.run(words)?,
        Proof::Gone(name) => place.script(&format!("test ! -e '{name}'; echo gone"))?,
    };
    Ok(printed.replace(&*place.directory.to_string_lossy(), "@") + &made)
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Everybody must have made the same, each time.
fn compare(lanes: &[Lane], entry: &mut Entry) {
    let Some(expected) = lanes.iter().find(|lane| !lane.place.system.is_flac()).and_then(|lane| lane.proofs.first()) else { return };
    for lane in lanes.iter().filter(|lane| lane.proofs.iter().any(|proof| proof != expected)) {
        let found = lane.proofs.iter().find(|proof| *proof != expected).expect("filtered");
        let (found, expected) = (first_difference(found, expected), first_difference(expected, found));
        entry.errors.push(format!("{} on {}: {found:?} instead of {expected:?}", entry.row, lane.place.system.name()));
    }
}

fn first_difference<'a>(one: &'a str, other: &str) -> &'a str {
    one.lines().zip(other.lines()).find(|(a, b)| a != b).map_or_else(|| one.lines().last().unwrap_or_default(), |(a, _)| a)
}

/// The systems that take part, with their places; why others do not goes into the entry.
fn places(arena: &Arena, options: &Options, app: &App, python: &Option<PathBuf>, entry: &mut Entry) -> Vec<Place> {
    let mut places = Vec::new();
    for system in System::FILES {
        if if system.is_durable() { options.no_fsync || app.durable == Durable::Nothing } else { app.durable == Durable::Itself } {
            continue;
        }
        let fits = if system == System::Huge { room_for(app.files) } else { Ok(()) };
        match fits.and_then(|()| arena.directory(system)) {
            Ok(directory) => {
                let (python, variables) = (python.clone().unwrap_or_default(), arena.variables(system));
                places.push(Place { system, directory, variables, python });
            }
            Err(reason) => drop(entry.skipped.insert(system, reason)),
        }
    }
    places
}

/// Whether a tmpfs that spends 2 MiB on each file has the memory for so many.
fn room_for(files: u64) -> Result<(), String> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: u64 = available.and_then(|rest| rest.trim().split(' ').next()?.parse().ok()).unwrap_or(0);
    let needed = files << 11;
    if needed > kib / 2 { Err(format!("{files} files take {} GiB there", needed >> 20)) } else { Ok(()) }
}

fn is_there(program: &str, python: &Option<PathBuf>) -> bool {
    match program {
        "python3" => python.is_some(),
        "numpy" => python
            .as_ref()
            .is_some_and(|python| Command::new(python).args(["-c", "import numpy"]).output().is_ok_and(|output| output.status.success())),
        _ => Command::new("which").arg(program).output().is_ok_and(|output| output.status.success()),
    }
}

/// The interpreter itself, not a script that looks for one.
fn python(options: &Options) -> Option<PathBuf> {
    let named = options.python.clone().unwrap_or_else(|| "python3".into());
    let output = Command::new(named).args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    path.is_file().then_some(path)
}

/// What the program itself computes, shared evenly by as many processors as it kept busy, and its start.
fn limit(arena: &Arena, entry: &Entry, steps: usize) -> Option<Limit> {
    let tmpfs = entry.systems.get(&System::Tmpfs)?;
    let (user, _) = tmpfs.cpu?;
    let processors = (user / tmpfs.median).ceil().max(1.0);
    let start = start(arena)? * steps as f64;
    let why = format!(
        "the program's own {:.1} ms in user mode on tmpfs, on {processors} processors, and {:.1} ms to start it on FLAC",
        user * 1e3,
        start * 1e3
    );
    Some(Limit { value: user / processors + start, why })
}

/// What fio says that it took where it asks for everything and nothing is moved.
fn idle_limit(arena: &Arena, app: &App, said: fn(&str) -> Option<f64>) -> Option<Limit> {
    let step = app.steps.first()?.iter().map(|word| word.replace("--ioengine=psync", "--ioengine=null").replace('@', ""));
    let words: Vec<String> = step.collect();
    let directory = arena.directory(System::Tmpfs).ok()?;
    let times: Vec<f64> = (0..3)
        .map_while(|_| {
            let output = Command::new(&words[0]).args(&words[1..]).current_dir(&directory).output().ok()?;
            said(&String::from_utf8_lossy(&output.stdout))
        })
        .collect();
    (!times.is_empty()).then(|| Limit { value: median(&times), why: "the same with fio's engine `null`, which moves nothing".to_owned() })
}

/// Seconds that starting `true` on FLAC takes.
fn start(arena: &Arena) -> Option<f64> {
    let times: Vec<f64> = (0..7)
        .map_while(|_| {
            let begin = std::time::Instant::now();
            let ended = Command::new("true").envs(arena.variables(System::Flac)).status().ok()?;
            ended.success().then(|| begin.elapsed().as_secs_f64())
        })
        .collect();
    (!times.is_empty()).then(|| median(&times))
}
