//! `flac fsck`: exit status 0 clean, 4 findings, 8 could not check.

use crate::arguments::Fsck;
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::session::Session;
use flac::Error;
use flac::fs::admin::{self, Volatile};
use std::path::Path;
use std::process::ExitCode;

const FINDINGS: u8 = 4;
const NOT_CHECKED: u8 = 8;

pub fn run(pool: &Path, wanted: &Fsck) -> Outcome {
    let findings = check(pool, wanted.data).map_err(|failure| failure.with_status(NOT_CHECKED))?;
    if findings.is_empty() {
        human::to_stdout(&format!("{}: clean\n", pool.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    human::to_stdout(&format!("{lines}{}: {}\n", pool.display(), human::count(findings.len() as u64, "finding")));
    Ok(ExitCode::from(FINDINGS))
}

fn check(pool: &Path, data: bool) -> Result<Vec<String>, Failure> {
    // While somebody writes, the end of the log moves under the check of the files.
    let at_rest = Volatile::of(pool)?.is_none_or(|state| state.mapped_by().is_empty());
    let mut findings = if at_rest { admin::verify(pool)? } else { Vec::new() };
    let session = match Session::open(pool) {
        Err(failure) if failure.damaged => {
            if findings.is_empty() {
                findings.push(failure.message);
            }
            return Ok(findings);
        }
        other => other?,
    };
    match session.fs().check(data) {
        Ok(more) => findings.extend(more),
        Err(e @ Error::Corrupt(_)) => findings.push(e.to_string()),
        Err(e) => return Err(e.into()),
    }
    session.close()?;
    Ok(findings)
}
