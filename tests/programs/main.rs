//! Real, unmodified programs on FLAC: every case runs once on tmpfs and once under the shim, and exit status, output and
//! the tree it leaves must be the same.
//!
//! `cargo test --test programs -- [PART OF A NAME]...` runs the cases whose names contain one of the parts.
//!
//! | variable | meaning |
//! |---|---|
//! | `FLAC_TEST_SELF=kernel` | the second run uses a plain directory instead of the shim: this checks the cases themselves |
//! | `FLAC_TEST_KEEP=1` | directories and pools stay for a look |
//! | `FLAC_TEST_TRACE=1` | bash prints each line it runs: the first difference then says where |
//! | `FLAC_TEST_JOBS=N` | so many cases at once; 2 unless said |
//! | `FLAC_TEST_REPEAT=N` | every case so many times; 1 unless said |

mod case;
mod compare;
mod process;
mod report;
mod selftest;
mod shim;
mod side;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use case::Case;
use report::Report;
use side::{Root, Side};

/// What the command line asks for; options of libtest that make no difference here are accepted and ignored.
struct Options {
    parts: Vec<String>,
    list: bool,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { parts: Vec::new(), list: false };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => options.list = true,
                "--test-threads" | "--format" | "--color" | "--skip" | "-Z" => drop(args.next()),
                _ if arg.starts_with('-') => {}
                _ => options.parts.push(arg),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| name.contains(part.as_str()))
    }
}

fn number_from_env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Every run to make: a case, and where its second half takes place.
fn plan(cases: &[Case], shim: Option<&shim::Shim>) -> Vec<(Case, Side)> {
    let mut runs = Vec::new();
    for case in cases {
        let Some(shim) = shim else {
            runs.push((case.clone(), Side::Kernel));
            continue;
        };
        runs.push((case.clone(), Side::Flac(shim.clone(), Root::Missing)));
        if case.both_roots {
            runs.push((case.clone(), Side::Flac(shim.clone(), Root::Present)));
        }
    }
    runs
}

/// Runs everything planned, `jobs` at a time, and prints each verdict as it comes.
fn run_all(runs: &[(Case, Side)], jobs: usize) -> Report {
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((case, side)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut verdict = compare::judge(case, &Side::Tmpfs, side);
                    if let (Some(reason), Side::Flac(..)) = (&case.differs, side) {
                        verdict = verdict.expected_to_differ(reason);
                    }
                    report.lock().expect("no other job panicked").add(&case.name, side, verdict);
                }
            });
        }
    });
    report.into_inner().expect("no job panicked")
}

fn main() -> ExitCode {
    let options = Options::read();
    let mut cases: Vec<Case> = case::all();
    cases.retain(|case| options.wants(&case.name));
    if options.list {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let mut failures = 0;
    if options.wants("selftest") {
        failures += selftest::run();
    }
    let shim = match std::env::var("FLAC_TEST_SELF").as_deref() {
        Ok("kernel") => None,
        Ok(other) => panic!("FLAC_TEST_SELF={other}: only `kernel` has a meaning"),
        Err(_) => Some(shim::build()),
    };
    let repeat = number_from_env("FLAC_TEST_REPEAT", 1);
    let once = plan(&cases, shim.as_ref());
    let runs: Vec<_> = std::iter::repeat_n(once, repeat).flatten().collect();
    let report = run_all(&runs, number_from_env("FLAC_TEST_JOBS", 2));
    failures += report.summary(start.elapsed());
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
