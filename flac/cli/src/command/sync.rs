//! `flac sync`.

use crate::failure::Outcome;
use crate::session::Session;
use flac::fs::admin::Volatile;
use std::path::Path;
use std::process::ExitCode;

pub fn run(pool: &Path) -> Outcome {
    if Volatile::of(pool)?.is_none() {
        // Nobody has it open: all of it is in the pool.
        return Ok(ExitCode::SUCCESS);
    }
    let session = Session::open(pool)?;
    session.fs().sync_all()?;
    session.close()?;
    Ok(ExitCode::SUCCESS)
}
