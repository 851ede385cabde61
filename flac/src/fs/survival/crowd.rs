//! Long tests in processes of their own, two at a time: the test runs itself again with a seed, and adds up what each run counts.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Tells a run of the test that it is one of the crowd, and its seed.
const SEED: &str = "FLAC_SURVIVAL_SEED";
/// How long one run may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(240);
/// Begins the line in which a run says how many cases it had.
const CASES: &str = "crowd: ";

/// The seed, if this is one of the crowd.
pub fn seed() -> Option<u64> {
    std::env::var(SEED).ok()?.parse().ok()
}

/// Says how many cases this run had, and what became of them.
pub fn report(cases: usize, what: &str) {
    println!("\n{CASES}{cases} {what}");
}

struct Run {
    seed: u64,
    child: Child,
    since: Instant,
}

/// When one run fails, the others end.
impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the test `name` with one seed after the other, from `FLAC_SEED` on, until they had `wanted` cases.
pub fn gather(name: &str, wanted: usize) {
    let first = std::env::var("FLAC_SEED").map_or(1, |text| text.parse().expect("FLAC_SEED is a number"));
    let mut seeds = first..;
    let mut runs: Vec<Run> = Vec::new();
    let (mut cases, mut lines) = (0, Vec::new());
    while cases < wanted || !runs.is_empty() {
        while runs.len() < 2 && cases < wanted {
            runs.extend(seeds.next().map(|seed| start(name, seed)));
        }
        std::thread::sleep(Duration::from_millis(5));
        let mut i = 0;
        while i < runs.len() {
            match runs[i].child.try_wait().expect("a child of ours") {
                Some(status) => {
                    let line = finish(runs.remove(i), status.success());
                    cases += line.split(' ').next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
                    lines.push(line);
                }
                None if runs[i].since.elapsed() > PATIENCE => {
                    let mut run = runs.remove(i);
                    let _ = run.child.kill();
                    finish(run, false);
                }
                None => i += 1,
            }
        }
    }
    println!("{name}: {cases} cases from FLAC_SEED={first} on; the last: {}", lines.last().map_or("", String::as_str));
}

fn start(name: &str, seed: u64) -> Run {
    let this = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(this);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(SEED, seed.to_string()).env("RUST_BACKTRACE", "0");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("another process");
    Run { seed, child, since: Instant::now() }
}

/// The line of a run that ended well; ends the test if it did not.
fn finish(mut run: Run, well: bool) -> String {
    let (mut out, mut err) = (String::new(), String::new());
    let _ = run.child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut out));
    let _ = run.child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut err));
    let _ = run.child.wait();
    let line = out.lines().find_map(|line| line.strip_prefix(CASES));
    match line {
        Some(line) if well => line.to_owned(),
        _ => panic!("FLAC_SEED={} fails (or takes more than {PATIENCE:?}):\n{}\n{err}", run.seed, tail(&out)),
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
