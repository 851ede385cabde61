//! The program on all systems, a round on each in turn.

use crate::Options;
use crate::model::{Model, Shape};
use crate::program::{CHANGED, name};
use flac_harness::{Arena, Entry, Limit, Results, Sample, System, Target, commit, median, today};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Values of one kind, by system.
type Values = BTreeMap<System, Vec<f64>>;

/// All that is measured for one way to choose tensors.
#[derive(Default)]
struct Measured {
    stall: Values,
    step: Values,
    /// A step and its save: what sharing saves the one must not cost the other.
    both: Values,
    memory: Values,
    disk: Values,
    load: Values,
    scan: Values,
    /// What was loaded.
    sums: BTreeMap<System, Vec<String>>,
}

/// Measures and reports.
///
/// # Errors
/// What failed, and results that differ.
pub fn drive(options: &Options) -> Result<(), String> {
    let shape = if options.test { Shape { hidden: 128, layers: 2, vocabulary: 500 } } else { options.shape };
    let megabytes = shape.bytes() as f64 / 1e6;
    let arena = Arena::prepare(&options.arena, (shape.bytes() as u64 * (options.steps + 3)).max(256 << 20) * 2)?;
    let mut results = options.out.as_deref().map_or(Ok(Results::default()), Results::open)?;
    println!("a model of {megabytes:.0} MB, FLAC with {} frames; ratios: rival / FLAC", arena.frames().name());
    for any in [false, true] {
        let mut measured = Measured::default();
        for _ in 0..if options.test { 1 } else { options.rounds.max(1) } {
            for system in System::FILES {
                if arena.directory(system).is_ok() && !(system.is_durable() && options.no_fsync) {
                    round(&arena, options, shape, system, any, &mut measured).map_err(|message| format!("{}: {message}", system.name()))?;
                }
            }
        }
        let tensors = if any { "any tensors" } else { "the same tensors" };
        let expected = measured.sums.values().next().cloned();
        if measured.sums.values().any(|sums| Some(sums) != expected.as_ref()) {
            return Err(format!("what was saved differs between systems: {:?}", measured.sums));
        }
        for entry in entries(
            &arena,
            options,
            measured,
            &format!("{megabytes:.0} MB, 20 % of it changed: {tensors}"),
            any,
            differing(options, shape, any),
        ) {
            print!("{}", line(&entry));
            results.add(entry);
        }
    }
    arena.check()?;
    options.out.as_deref().map_or(Ok(()), |directory| results.write(directory))
}

fn round(arena: &Arena, options: &Options, shape: Shape, system: System, any: bool, measured: &mut Measured) -> Result<(), String> {
    let directory = arena.directory(system)?.join("checkpoints");
    let run = |words: &[&str]| said_by(Command::new(words[0]).args(&words[1..]).arg(&directory).envs(arena.variables(system)));
    run(&["rm", "-rf"])?;
    run(&["mkdir"])?;
    let program = |mode: &str| {
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command.arg(mode).args(shape.arguments()).envs(arena.variables(system));
        command
    };
    said_by(program("begin").arg("--dir").arg(&directory))?;
    let (before, disk_before) = (held(arena, system)?, on_disk(arena, system)?);
    let mut command = program("train");
    command.arg("--dir").arg(&directory).arg(format!("--steps={}", options.steps));
    command.args(any.then_some("--any")).args(system.is_durable().then_some("--fsync"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let (mut anonymous, mut stepped) = (0.0, 0.0);
    for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
        let line = line.map_err(|error| error.to_string())?;
        let (word, value) = line.split_once(' ').unwrap_or((&line, "0"));
        let value: f64 = value.parse().map_err(|_| line.clone())?;
        match word {
            "stall" => {
                measured.stall.entry(system).or_default().push(value);
                measured.both.entry(system).or_default().push(stepped + value);
            }
            "step" => {
                measured.step.entry(system).or_default().push(value);
                stepped = value;
            }
            "anonymous" => anonymous = value * 1024.0,
            _ => break,
        }
    }
    let after = held(arena, system)?;
    // What the kernel caches of a disk's files is nobody's.
    if !matches!(system, System::Disk | System::DiskSync) {
        measured.memory.entry(system).or_default().push((anonymous + after - before) / 1e6);
    }
    if system.is_durable() {
        measured.disk.entry(system).or_default().push((on_disk(arena, system)? - disk_before) / 1e6);
    }
    drop(child.stdin.take());
    if !child.wait().is_ok_and(|status| status.success()) {
        return Err("the training program failed".to_owned());
    }
    loads(options, &program, &directory, system, measured)?;
    run(&["rm", "-rf"]).map(drop)
}

/// Every checkpoint is loaded; the newest one's times count.
fn loads(
    options: &Options,
    program: &dyn Fn(&str) -> Command,
    directory: &std::path::Path,
    system: System,
    measured: &mut Measured,
) -> Result<(), String> {
    let mut sums = Vec::new();
    for step in 0..=options.steps {
        let text = said_by(program("load").arg(directory.join(name(step))))?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        sums.push(field("sum "));
        if step == options.steps {
            let seconds = |name: &str| field(name).parse::<f64>().map_err(|_| text.clone());
            measured.load.entry(system).or_default().push(seconds("load ")?);
            measured.scan.entry(system).or_default().push(seconds("scan ")?);
        }
    }
    measured.sums.insert(system, sums);
    Ok(())
}

/// Bytes of memory that a system's files hold, or of the disk.
fn held(arena: &Arena, system: System) -> Result<f64, String> {
    if system.is_flac() {
        let info = arena.info()?;
        let field = |name: &str| info[name].as_f64().ok_or(format!("flac info has no {name}"));
        return Ok(field("cache_bytes")? - field("cache_bytes_free")?);
    }
    if matches!(system, System::Disk | System::DiskSync) {
        return Ok(0.0);
    }
    let found = rustix::fs::statvfs(&arena.directory(system)?).map_err(|error| format!("statvfs: {error}"))?;
    Ok((found.f_blocks - found.f_bfree) as f64 * found.f_frsize as f64)
}

/// Bytes of the disk that the checkpoints take.
fn on_disk(arena: &Arena, system: System) -> Result<f64, String> {
    let directory: PathBuf = arena.directory(system)?.join("checkpoints");
    if system.is_flac() {
        let info = arena.info()?;
        let field = |name: &str| info[name].as_f64().ok_or(format!("flac info has no {name}"));
        return Ok(field("bytes")? - field("bytes_free")?);
    }
    let text = said_by(Command::new("du").args(["-s", "-B1"]).arg(&directory))?;
    text.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).ok_or(text)
}

fn said_by(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))) }
}

fn entries(arena: &Arena, options: &Options, measured: Measured, model: &str, any: bool, differing: usize) -> Vec<Entry> {
    let (date, commit) = (today(), commit());
    let entry = |row: String, unit: &str, values: Values, times: &[(f64, System)]| Entry {
        group: "checkpoint".to_owned(),
        row,
        frames: arena.frames().name().to_owned(),
        unit: unit.to_owned(),
        bytes: None,
        parameters: BTreeMap::from([("any".to_owned(), any.to_string())]),
        date: date.clone(),
        commit: commit.clone(),
        systems: values.into_iter().map(|(system, values)| (system, Sample::of(values))).collect(),
        targets: times.iter().map(|(times, system)| Target { times: *times, system: *system }).collect(),
        limit: None,
        skipped: BTreeMap::new(),
        errors: Vec::new(),
    };
    let kept = options.steps;
    let both = |times: f64| [(times, System::Tmpfs), (0.95, System::Huge)];
    let stall = entry(format!("stall of a save ({model})"), "s", measured.stall, &both(5.0));
    vec![
        Entry { limit: Some(copying(differing)), ..stall },
        entry(format!("a step ({model})"), "s", measured.step, &[]),
        entry(format!("a step and its save ({model})"), "s", measured.both, &both(0.95)),
        entry(
            format!("memory of the program and {kept} checkpoints ({model})"),
            "MB",
            measured.memory,
            &both(if any { 0.95 } else { 3.0 }),
        ),
        entry(format!("disk for {kept} checkpoints ({model})"), "MB", measured.disk, &[]),
        entry(format!("load ({model})"), "s", measured.load, &both(0.95)),
        entry(format!("load and read all ({model})"), "s", measured.scan, &both(0.95)),
    ]
}

/// Bytes that are not what was loaded when the median save begins: what the program has once overwritten is its own, page by page, and can't be shared any more.
fn differing(options: &Options, shape: Shape, any: bool) -> usize {
    let model = Model::fresh(shape);
    let changed: BTreeSet<usize> = (1..=options.steps.div_ceil(2)).flat_map(|step| model.chosen(CHANGED, step, any)).collect();
    changed.iter().map(|number| model.tensors[*number].length).sum()
}

/// It must be copied at least: the program goes on to write where it is.
fn copying(bytes: usize) -> Limit {
    let (from, mut to) = (vec![1_u8; bytes], vec![2_u8; bytes]);
    let times: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            to.copy_from_slice(std::hint::black_box(&from));
            std::hint::black_box(&mut to);
            start.elapsed().as_secs_f64()
        })
        .collect();
    Limit {
        value: median(&times),
        why: format!("copying the {} MB that are no longer what was loaded, between warm buffers", bytes / 1_000_000),
    }
}

fn line(entry: &Entry) -> String {
    let mut text = format!("{:<80}", entry.row);
    for system in System::FILES {
        let sample =
            entry.systems.get(&system).map_or(String::new(), |sample| format!("{} {:.4} {}", system.name(), sample.median, entry.unit));
        let ratio = entry.ratio(system).filter(|_| !system.is_flac()).map_or(String::new(), |ratio| format!(" ({ratio:.2}x)"));
        if !sample.is_empty() {
            text += &format!("  {sample}{ratio}");
        }
    }
    text + "\n"
}
