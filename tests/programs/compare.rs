//! Runs a case on two sides and says how the results differ.

use std::path::{Path, PathBuf};

use crate::case::Case;
use crate::process::{End, Outcome};
use crate::report::Verdict;
use crate::shim::profile_dir;
use crate::side::{Side, Stage};

/// What a case left behind on one side, with the names of directories replaced.
struct Trace {
    end: End,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    tree: Vec<u8>,
    by_hand: String,
    took: std::time::Duration,
}

fn perform(case: &Case, side: &Side) -> Trace {
    let stage = Stage::new(side);
    let done = stage.run_case(case);
    let tree = if matches!(done.end, End::TimedOut | End::OutOfMemory) { Vec::new() } else { tree_of(&stage.run_digest(case)) };
    Trace {
        end: done.end,
        stdout: normal(done.stdout, &stage),
        stderr: normal(done.stderr, &stage),
        tree: normal(tree, &stage),
        by_hand: stage.by_hand(case),
        took: done.took,
    }
}

fn tree_of(digest: &Outcome) -> Vec<u8> {
    let mut tree = digest.stdout.clone();
    if digest.end != End::Exit(0) || !digest.stderr.is_empty() {
        tree.extend_from_slice(format!("the digest failed: {}\n", digest.end).as_bytes());
        tree.extend_from_slice(&digest.stderr);
    }
    tree
}

/// `bytes` with the directories of the run called by fixed names.
fn normal(bytes: Vec<u8>, stage: &Stage) -> Vec<u8> {
    stage.names().iter().fold(bytes, |bytes, (path, name)| replace(&bytes, path.as_os_str().as_encoded_bytes(), name.as_bytes()))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Runs `case` on `reference` and on `subject` and compares.
pub fn judge(case: &Case, reference: &Side, subject: &Side) -> Verdict {
    if let Some(program) = case.missing_program() {
        return Verdict::Skipped(format!("{program} is not installed"));
    }
    if let (Some(reason), Side::Kernel) = (&case.tmpfs_only, subject) {
        return Verdict::Skipped(reason.clone());
    }
    let expected = perform(case, reference);
    if matches!(expected.end, End::TimedOut | End::OutOfMemory) {
        return Verdict::Failed(format!("{reference}: {}\n{}", expected.end, expected.by_hand));
    }
    if contains(&expected.stderr, b"Traceback (most recent call last)") {
        let why = String::from_utf8_lossy(&expected.stderr);
        return Verdict::Failed(format!("the case itself breaks off on {reference}\n{}\n{why}", expected.by_hand));
    }
    let found = perform(case, subject);
    let mut differences = String::new();
    if expected.end != found.end {
        differences.push_str(&format!("  ended: {reference}: {}; {subject}: {}\n", expected.end, found.end));
    }
    for (what, want, have) in
        [("stdout", &expected.stdout, &found.stdout), ("stderr", &expected.stderr, &found.stderr), ("tree", &expected.tree, &found.tree)]
    {
        differences.push_str(&first_difference(what, want, have).unwrap_or_default());
    }
    if differences.is_empty() {
        return Verdict::Same { reference: expected.took, subject: found.took };
    }
    let kept = keep(case, [("expected", &expected), ("found", &found)]);
    Verdict::Failed(format!(
        "  promise: {}\n{differences}  all of it: {}/{}.*\n  by hand, {reference}: {}\n  by hand, {subject}: {}\n",
        case.promise,
        kept.display(),
        case.name,
        expected.by_hand,
        found.by_hand
    ))
}

/// The first line in which `want` and `have` differ, with its number; `None` when they are the same.
fn first_difference(what: &str, want: &[u8], have: &[u8]) -> Option<String> {
    if want == have {
        return None;
    }
    let mut wanted = want.split_inclusive(|byte| *byte == b'\n');
    let mut found = have.split_inclusive(|byte| *byte == b'\n');
    let mut number = 1;
    loop {
        let (left, right) = (wanted.next(), found.next());
        if left != right {
            return Some(format!("  {what}, line {number}:\n    expected {}\n    found    {}\n", show(left), show(right)));
        }
        number += 1;
    }
}

fn show(line: Option<&[u8]>) -> String {
    const LONGEST: usize = 300;
    let Some(line) = line else { return "(nothing more)".to_owned() };
    let cut = &line[..line.len().min(LONGEST)];
    format!("{:?}{}", String::from_utf8_lossy(cut), if line.len() > LONGEST { " ..." } else { "" })
}

/// Writes both results whole into `target/PROFILE/programs`.
fn keep(case: &Case, results: [(&str, &Trace); 2]) -> PathBuf {
    let dir = profile_dir().join("programs");
    std::fs::create_dir_all(&dir).expect("the target directory is ours");
    for (name, result) in results {
        for (what, bytes) in [("stdout", &result.stdout), ("stderr", &result.stderr), ("tree", &result.tree)] {
            let path: &Path = &dir.join(format!("{}.{what}.{name}", case.name));
            std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    dir
}
