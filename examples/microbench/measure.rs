//! One row on all its systems: a worker process each, a round each in turn.

use crate::options::Options;
use crate::preset::Target;
use crate::row::Row;
use crate::system::{Bench, System};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What came out for one row.
pub struct Outcome {
    pub row: Row,
    pub target: Option<Target>,
    /// Nanoseconds per operation, round by round.
    pub times: Vec<(System, Vec<f64>)>,
    /// Workers that failed or computed something wrong.
    pub errors: Vec<String>,
}

impl Outcome {
    /// The median of a system, in nanoseconds per operation.
    pub fn median(&self, system: System) -> Option<f64> {
        let (_, rounds) = self.times.iter().find(|(known, _)| *known == system)?;
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(sorted[odd / 2]),
            even => Some(f64::midpoint(sorted[even / 2 - 1], sorted[even / 2])),
        }
    }

    /// How many times faster FLAC is than `system`.
    pub fn speedup(&self, system: System) -> Option<f64> {
        Some(self.median(system)? / self.median(System::Flac)?)
    }

    /// Whether the target is met; `None` where there is none. A row without a FLAC time misses its target.
    pub fn passed(&self) -> Option<bool> {
        self.target.map(|target| target.is_met_by(self).unwrap_or(false))
    }
}

struct Worker {
    system: System,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    rounds: Vec<f64>,
}

/// Measures one row.
pub fn measure(bench: &Bench, options: &Options, row: Row, target: Option<Target>) -> Outcome {
    let mut outcome = Outcome { row, target, times: Vec::new(), errors: Vec::new() };
    let mut workers = Vec::new();
    for system in bench.systems(&outcome.row) {
        match start(bench, options, &outcome.row, system) {
            Ok(worker) => workers.push(worker),
            Err(message) => outcome.errors.push(fault(&outcome.row, system, &message)),
        }
    }
    let rounds = if options.test { 1 } else { options.rounds.max(1) };
    for _ in 0..rounds {
        workers.retain_mut(|worker| match worker.round() {
            Ok(()) => true,
            Err(message) => {
                outcome.errors.push(fault(&outcome.row, worker.system, &message));
                worker.end();
                false
            }
        });
    }
    for mut worker in workers {
        match worker.finish() {
            Ok(()) => outcome.times.push((worker.system, worker.rounds)),
            Err(message) => outcome.errors.push(fault(&outcome.row, worker.system, &message)),
        }
    }
    outcome
}

fn fault(row: &Row, system: System, message: &str) -> String {
    format!("{} on {}: {message}", row.name(), system.name())
}

/// Starts a worker and waits until it has made and verified its files.
fn start(bench: &Bench, options: &Options, row: &Row, system: System) -> Result<Worker, String> {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let mut command = bench.worker(system, row, number);
    let budget = if options.test { 2 } else { options.budget };
    command.arg(format!("--budget={budget}"));
    if options.test {
        command.arg("--small");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let orders = child.stdin.take();
    let answers = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut worker = Worker { system, child, orders, answers, rounds: Vec::new() };
    match worker.answer() {
        Ok(line) if line == "ready" => Ok(worker),
        Ok(line) => {
            worker.end();
            Err(line)
        }
        Err(message) => Err(message),
    }
}

impl Worker {
    fn round(&mut self) -> Result<(), String> {
        let orders = self.orders.as_mut().ok_or("no input")?;
        orders.write_all(b"go\n").map_err(|error| error.to_string())?;
        let line = self.answer()?;
        self.rounds.push(line.parse().map_err(|_| line)?);
        Ok(())
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
