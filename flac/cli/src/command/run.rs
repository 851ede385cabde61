//! `flac run`: sets the environment and becomes the program.

use crate::arguments::Run;
use crate::failure::{Failure, Outcome};
use crate::location;
use flac::fs::admin::Volatile;
use flac::media::Pool;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Component, Path};
use std::process::Command;

const NOT_RUNNABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

pub fn run(pool: &Path, wanted: &Run) -> Outcome {
    let library = location::library()?;
    let root = wanted.root.clone().unwrap_or_else(location::root);
    let plain = root.is_absolute() && root.components().count() > 1 && !root.components().any(|part| part == Component::ParentDir);
    if !plain {
        return Err(Failure::new(format!("the root {} must be an absolute path below /, without `..`", root.display())).with_status(2));
    }
    location::dram()?;
    if wanted.create && !pool.join("superblock").exists() {
        super::mkfs::make(pool)?;
    }
    // A bad pool is told now, once, not by every process of the program.
    Volatile::of(pool).and_then(|_| Pool::open(pool))?;
    let mut preload = OsString::from(library);
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(":");
        preload.push(others);
    }
    let (program, arguments) = wanted.program.split_first().ok_or_else(|| Failure::new("no program to run").with_status(2))?;
    let mut command = if Path::new(program).starts_with(&root) {
        // The program lies in the pool: only a process that runs under the library can start it.
        let mut command = Command::new("env");
        command.arg("--").arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments).env("LD_PRELOAD", preload).env("FLAC_ROOT", &root).env("FLAC_POOL", pool);
    let error = command.exec();
    let status = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE };
    Err(Failure::new(format!("{}: {error}", program.display())).with_status(status))
}
