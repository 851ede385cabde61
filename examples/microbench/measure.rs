//! One row on all its systems: worker processes each, a round each in turn.

use crate::options::Options;
use crate::row::{Io, Row, Source};
use flac_harness::{Arena, Entry, Limit, Sample, System, Target};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How a worker does its row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// By system calls on this system.
    Files(System),
    /// No file system: copying between the buffer and a warm mapping.
    Copy,
    /// No file system: mapping over the buffer.
    Show,
    /// No file system: a descriptor and its end.
    Descriptor,
    /// Of a file system on the disk only what makes bytes durable: a write past the page cache and a flush of the device.
    Flush,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Files(system) => system.name(),
            Way::Copy => "copy",
            Way::Show => "show",
            Way::Descriptor => "descriptor",
            Way::Flush => "flush",
        }
    }
}

/// The workers of a row on one system, one for each process.
struct Lane {
    way: Way,
    workers: Vec<Worker>,
    rounds: Vec<f64>,
}

struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Measures one row.
pub fn measure(arena: &Arena, options: &Options, row: &Row, targets: Vec<Target>) -> Entry {
    let mut entry = empty(arena, row, targets);
    let mut lanes = Vec::new();
    for way in ways(arena, row, &mut entry) {
        let started: Result<Vec<Worker>, String> = (0..row.processes.max(1)).map(|_| start(arena, options, row, way)).collect();
        match started {
            Ok(workers) => lanes.push(Lane { way, workers, rounds: Vec::new() }),
            Err(message) => entry.errors.push(fault(row, way, &message)),
        }
    }
    let rounds = if options.test { 1 } else { options.rounds.max(1) };
    for _ in 0..rounds {
        lanes.retain_mut(|lane| match lane.round() {
            Ok(()) => true,
            Err(message) => {
                entry.errors.push(fault(row, lane.way, &message));
                lane.workers.iter_mut().for_each(|worker| drop(worker.end()));
                false
            }
        });
    }
    let mut limits = Vec::new();
    for mut lane in lanes {
        match lane.workers.iter_mut().try_for_each(Worker::finish) {
            Ok(()) => match lane.way {
                Way::Files(system) => drop(entry.systems.insert(system, Sample::of(lane.rounds))),
                way => limits.push((Sample::of(lane.rounds).median, way)),
            },
            Err(message) => entry.errors.push(fault(row, lane.way, &message)),
        }
    }
    limits.sort_by(|one, other| one.0.total_cmp(&other.0));
    entry.limit = limits.first().map(|(value, way)| limit(*value, *way));
    entry
}

fn empty(arena: &Arena, row: &Row, targets: Vec<Target>) -> Entry {
    Entry {
        group: "micro".to_owned(),
        row: row.name(),
        frames: arena.frames().name().to_owned(),
        unit: "ns".to_owned(),
        bytes: row.moves_bytes().then_some(row.size as u64),
        parameters: row.parameters(),
        date: String::new(),
        commit: String::new(),
        systems: BTreeMap::new(),
        targets,
        limit: None,
        skipped: BTreeMap::new(),
        errors: Vec::new(),
    }
}

fn limit(value: f64, way: Way) -> Limit {
    let why = match way {
        Way::Descriptor => "making a descriptor and closing it, with no file system around it",
        Way::Flush => "one write of as many whole pages past the page cache, to space that was written before, and one flush of the device",
        Way::Show => "mapping the pages over the buffer and touching them, with no file system around it",
        _ => "copying between the buffer and a warm mapping of 2 MiB pages, with no file system around it",
    };
    Limit { value, why: why.to_owned() }
}

/// What takes part in a row, FLAC first.
fn ways(arena: &Arena, row: &Row, entry: &mut Entry) -> Vec<Way> {
    if row.io == Io::True {
        return [System::Flac, System::Preload, System::Tmpfs].map(Way::Files).to_vec();
    }
    let mut ways = Vec::new();
    for system in [System::Flac, System::Tmpfs, System::Huge, System::Disk] {
        match arena.directory(system) {
            // What is only in memory is not durable, whatever is called.
            Ok(_) if row.fsync && matches!(system, System::Tmpfs | System::Huge) => {}
            Ok(_) => ways.push(Way::Files(system)),
            Err(why) => drop(entry.skipped.insert(system, why)),
        }
    }
    // A mapping of another kind of pages would not be the limit of this machine.
    if row.is_transfer() && row.io != Io::Pristine && !row.fsync && arena.directory(System::Huge).is_ok() {
        ways.push(Way::Copy);
        if row.io == Io::Read && row.size.is_multiple_of(4096) && row.buffer != Source::Cold {
            ways.push(Way::Show);
        }
    }
    if matches!(row.io, Io::Open | Io::Create) {
        ways.push(Way::Descriptor);
    }
    // Several share a flush.
    if row.is_transfer() && row.fsync && row.threads * row.processes == 1 && arena.directory(System::Disk).is_ok() {
        ways.push(Way::Flush);
    }
    ways
}

fn fault(row: &Row, way: Way, message: &str) -> String {
    format!("{} on {}: {message}", row.name(), way.name())
}

/// Starts a worker and waits until it has made and verified its files.
fn start(arena: &Arena, options: &Options, row: &Row, way: Way) -> Result<Worker, String> {
    let mut command = command(arena, row, way)?;
    command.arg(format!("--budget={}", if options.test { 2 } else { options.budget }));
    if options.test {
        command.arg("--small");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let orders = child.stdin.take();
    let answers = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut worker = Worker { child, orders, answers };
    match worker.answer() {
        Ok(line) if line == "ready" => Ok(worker),
        Ok(line) => {
            worker.end();
            Err(line)
        }
        Err(message) => Err(message),
    }
}

fn command(arena: &Arena, row: &Row, way: Way) -> Result<Command, String> {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.arg("worker").args(row.arguments());
    let system = match way {
        Way::Files(system) => system,
        Way::Copy | Way::Show => {
            command.arg(format!("--limit={}", way.name()));
            System::Huge
        }
        Way::Descriptor | Way::Flush => {
            command.arg(format!("--limit={}", way.name()));
            if way == Way::Flush { System::Disk } else { System::Tmpfs }
        }
    };
    let variables = arena.variables(system);
    let mut parent = arena.directory(system)?;
    if row.io == Io::True {
        parent = arena.directory(System::Tmpfs)?;
        command.args(variables.iter().map(|(name, value)| format!("--child-env={name}={value}")));
    } else {
        command.envs(variables);
        if system.is_flac() {
            command.arg("--kernel").arg(arena.kernel_root());
        }
    }
    command.arg("--dir").arg(parent.join(format!("row-{number}-{}", way.name())));
    Ok(command)
}

impl Lane {
    /// A round of all processes at once: their rates add up.
    fn round(&mut self) -> Result<(), String> {
        self.workers.iter_mut().try_for_each(Worker::go)?;
        let mut rate = 0.0;
        for worker in &mut self.workers {
            let line = worker.answer()?;
            rate += 1.0 / line.parse::<f64>().map_err(|_| line)?;
        }
        self.rounds.push(1.0 / rate);
        Ok(())
    }
}

impl Worker {
    fn go(&mut self) -> Result<(), String> {
        let orders = self.orders.as_mut().ok_or("no input")?;
        orders.write_all(b"go\n").map_err(|error| error.to_string())
    }

    /// The next line of the worker; its end is an error.
    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err(self.end()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Lets the worker verify its results a last time and end.
    fn finish(&mut self) -> Result<(), String> {
        self.orders = None;
        let line = self.answer()?;
        let ended = self.end();
        if line == "verified" { Ok(()) } else { Err(format!("{line} {ended}")) }
    }

    fn end(&mut self) -> String {
        self.orders = None;
        self.child.wait().map_or_else(|error| error.to_string(), |status| format!("the worker ended: {status}"))
    }
}
