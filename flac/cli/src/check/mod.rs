//! What becomes of a program's calls under the preload library, found out before it runs: `flac check`.
//!
//! The program, its interpreters if it is a script, and the libraries that the loader would load are read (not run); what they import from libc is
//! looked up in the tables of `symbols`. Knows no pool.

mod cache;
mod elf;
mod loader;
mod machine;
mod raw;
mod report;
mod script;
mod symbols;

pub use machine::{Machine, walk};
pub use report::{Program, Verdict};

use elf::Binary;
use std::path::{Path, PathBuf};

/// Reads `program` (a path, or a name that `PATH` finds) and everything that it would load.
///
/// # Errors
/// A line that says why it can't be: not found, not readable, neither ELF nor script.
pub fn program(program: &Path) -> Result<Program, String> {
    let file = find(program).ok_or_else(|| format!("{}: not found", program.display()))?;
    let mut scripts = Vec::new();
    let mut current = file.clone();
    // The kernel follows four interpreters that are scripts themselves.
    while let Some(line) = script::interpreter(&current).map_err(|error| format!("{}: {error}", current.display()))? {
        scripts.push(std::mem::replace(
            &mut current,
            find(&line).ok_or_else(|| format!("{}: its interpreter {} is not found", file.display(), line.display()))?,
        ));
        if scripts.len() > 5 {
            return Err(format!("{}: its interpreters are scripts without end", file.display()));
        }
    }
    let main = Binary::read(&current, true).map_err(|error| format!("{}: {error}", current.display()))?;
    let libraries = loader::libraries(&main);
    Ok(Program::new(scripts, main, libraries))
}

/// As a shell finds a command.
fn find(program: &Path) -> Option<PathBuf> {
    if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        return program.is_file().then(|| program.to_owned());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|file| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file())
}
