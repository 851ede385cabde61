//! Prints one line a case, and a summary that names what failed and what was skipped.

use std::time::Duration;

use crate::side::Side;

/// What came of a case.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Both sides did the same, in these times.
    Same {
        /// The run that is compared with.
        reference: Duration,
        /// The run under test.
        subject: Duration,
    },
    /// The sides differ: how, and how to see it by hand.
    Failed(String),
    /// The sides differ as the case says they do.
    Known(String),
    /// Not run, and why.
    Skipped(String),
}

impl Verdict {
    /// The verdict on a case that says why FLAC differs.
    pub fn expected_to_differ(self, reason: &str) -> Self {
        match self {
            Self::Same { .. } => Self::Failed("  the same as on tmpfs by now: remove the line `# differs:` from the case".to_owned()),
            Self::Failed(_) => Self::Known(reason.to_owned()),
            other => other,
        }
    }
}

/// All verdicts so far.
#[derive(Debug, Default)]
pub struct Report {
    same: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
    known: Vec<String>,
    times: Vec<(Duration, Duration, String)>,
}

impl Report {
    /// Prints `verdict` and remembers it.
    pub fn add(&mut self, name: &str, side: &Side, verdict: Verdict) {
        let title = format!("{name} ({side})");
        match verdict {
            Verdict::Same { reference, subject } => {
                println!("test {title} ... ok ({} ms, {} ms)", reference.as_millis(), subject.as_millis());
                self.same += 1;
                self.times.push((subject, reference, title));
            }
            Verdict::Failed(why) => {
                println!("test {title} ... FAILED\n{why}");
                self.failed.push(title);
            }
            Verdict::Known(why) => {
                println!("test {title} ... differs: {why}");
                self.known.push(format!("{title}: {why}"));
            }
            Verdict::Skipped(why) => {
                println!("test {title} ... skipped: {why}");
                self.skipped.push(format!("{title}: {why}"));
            }
        }
    }

    /// Prints the totals and returns the number of failures.
    pub fn summary(mut self, took: Duration) -> usize {
        self.times.sort();
        println!("\nslowest:");
        for (subject, reference, title) in self.times.iter().rev().take(5) {
            println!("  {} ms (tmpfs {} ms) {title}", subject.as_millis(), reference.as_millis());
        }
        for (what, names) in [("skipped", &mut self.skipped), ("known differences", &mut self.known), ("failed", &mut self.failed)] {
            if !names.is_empty() {
                names.sort();
                println!("{what}:\n  {}", names.join("\n  "));
            }
        }
        let (failed, skipped) = (self.failed.len(), self.skipped.len());
        println!("programs: {} the same, {failed} failed, {skipped} skipped; {:.1} s", self.same, took.as_secs_f64());
        failed
    }
}
