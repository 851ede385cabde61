//! The harness notices: every scenario in `selftest/` does something else on its second run, in one respect, and must be
//! reported; `same.sh` does the same and must not be.

use std::time::Duration;

use crate::case::scenarios;
use crate::compare::judge;
use crate::report::Verdict;
use crate::side::Side;

/// Runs them all and returns the number that was judged wrongly.
pub fn run() -> usize {
    let mut wrong = 0;
    for mut case in scenarios("selftest") {
        case.limit = Duration::from_secs(2);
        let noticed = match judge(&case, &Side::Tmpfs, &Side::Kernel) {
            Verdict::Same { .. } => false,
            Verdict::Failed(how) => how.contains(&case.expect),
            Verdict::Known(why) | Verdict::Skipped(why) => panic!("selftest {}: {why}", case.name),
        };
        let right = noticed != case.name.starts_with("same");
        println!("test selftest {} ... {}", case.name, if right { "ok" } else { "FAILED" });
        wrong += usize::from(!right);
    }
    wrong
}
