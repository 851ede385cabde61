//! Runs the cases: each in a process of its own, with a time limit, in each place that was asked for.

mod options;
mod place;
mod process;

use crate::cases;
use options::Options;
use place::{Kind, Place};
use process::Verdict;
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;

/// Runs what the arguments ask for. The last line printed is `N passed, N failed, N skipped`.
pub fn run(arguments: &[String]) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let mut tally = Tally::default();
    for kind in options.kinds() {
        let names: Vec<String> = cases::all().into_iter().map(|(name, _)| name).filter(|name| options.wants(kind, name)).collect();
        if options.list {
            names.iter().for_each(|name| println!("{kind}::{name}: test"));
        } else if !names.is_empty() {
            run_in(kind, names, &options, &mut tally);
        }
    }
    if options.list {
        return ExitCode::SUCCESS;
    }
    tally.print();
    if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Tally {
    passed: usize,
    skipped: usize,
    failures: Vec<(String, String)>,
    not_served: usize,
}

impl Tally {
    fn add(&mut self, name: String, verdict: Verdict) {
        match verdict {
            Verdict::Passed => {
                println!("test {name} ... ok");
                self.passed += 1;
            }
            Verdict::Skipped(reason) => {
                println!("test {name} ... skipped: {reason}");
                self.skipped += 1;
            }
            Verdict::NotServed => {
                self.not_served += 1;
                self.skipped += 1;
            }
            Verdict::Failed(output) => {
                println!("test {name} ... FAILED");
                self.failures.push((name, output));
            }
        }
    }

    fn print(&mut self) {
        if self.not_served > 0 {
            let reason = format!("{} cases skipped: the shim does not serve FLAC_ROOT", self.not_served);
            self.failures.push(("flac::shim_serves_the_root".to_owned(), reason));
        }
        for (name, output) in &self.failures {
            println!("\n---- {name}\n{}", output.trim_end());
        }
        println!("\n{} passed, {} failed, {} skipped", self.passed, self.failures.len(), self.skipped);
    }
}

fn run_in(kind: Kind, names: Vec<String>, options: &Options, tally: &mut Tally) {
    let shared = match Place::prepare(kind) {
        Ok(place) => place,
        Err(message) => {
            return tally.add(format!("{kind}::place_is_prepared"), Verdict::Failed(message));
        }
    };
    let queue = Mutex::new(VecDeque::from(names));
    let done = Mutex::new(tally);
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                loop {
                    let Some(name) = queue.lock().expect("the queue").pop_front() else {
                        return;
                    };
                    let verdict = if options.isolate { isolated(kind, &name) } else { shared.run(&name) };
                    done.lock().expect("the tally").add(format!("{kind}::{name}"), verdict);
                }
            });
        }
    });
}

fn isolated(kind: Kind, name: &str) -> Verdict {
    match Place::prepare(kind) {
        Ok(place) => place.run(name),
        Err(message) => Verdict::Failed(message),
    }
}
