//! The command `flac`. Each subcommand is a file in `command/`; this one reads the arguments, and turns failures into one line and an exit status.

mod advice;
mod arguments;
mod check;
mod command;
mod failure;
mod human;
mod location;
mod mount;
mod session;
mod tree;

use arguments::{Arguments, Command};
use clap::Parser;
use failure::{Failure, Outcome};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

/// The preload library's file name.
pub(crate) const LIBRARY: &str = "libflacshim.so";

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map_or(String::new(), |l| format!(" ({}:{})", l.file(), l.line()));
        let what = info.payload_as_str().unwrap_or("no message");
        human::to_stderr(&format!("flac: internal error{at}: {what}; please report it\n"));
    }));
    let arguments = Arguments::parse();
    let outcome = if matches!(arguments.command, Command::Run(_)) { Ok(()) } else { leave_the_shim() };
    match outcome.and_then(|()| dispatch(&arguments)) {
        Ok(code) => code,
        Err(failure) => {
            human::to_stderr(&format!("flac: {failure}\n"));
            ExitCode::from(failure.status)
        }
    }
}

fn dispatch(arguments: &Arguments) -> Outcome {
    let pool = location::pool(arguments.pool.as_deref())?;
    match &arguments.command {
        Command::Mkfs(wanted) => command::mkfs::run(&pool, wanted),
        Command::Info(wanted) => command::info::run(&pool, wanted),
        Command::Import(wanted) => command::import::run(&pool, wanted),
        Command::Export(wanted) => command::export::run(&pool, wanted),
        Command::Sync => command::sync::run(&pool),
        Command::Fsck(wanted) => command::fsck::run(&pool, wanted),
        Command::Stop(wanted) => command::stop::run(&pool, wanted),
        Command::Run(wanted) => command::run::run(&pool, wanted),
        Command::Check(wanted) => command::check::run(wanted),
        Command::Mount(wanted) => command::mount::run(&pool, wanted),
        Command::Setup(wanted) => command::setup::run(wanted),
        Command::Writeback => command::writeback::run(&pool),
    }
}

/// Starts this program anew without the preload library, if it was started with it: a process has one view of a pool, not two.
fn leave_the_shim() -> Result<(), Failure> {
    let Some(loaded) = std::env::var_os("LD_PRELOAD") else { return Ok(()) };
    let parts = loaded.as_bytes().split(|b| matches!(b, b' ' | b':')).filter(|part| !part.is_empty());
    let kept: Vec<&[u8]> = parts.clone().filter(|part| !part.ends_with(LIBRARY.as_bytes())).collect();
    if kept.len() == parts.count() {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|e| Failure::new(format!("can't find this program's file: {e}")))?;
    let mut again = std::process::Command::new(program);
    again.args(std::env::args_os().skip(1));
    match OsString::from_vec(kept.join(&b':')) {
        none if none.is_empty() => again.env_remove("LD_PRELOAD"),
        kept => again.env("LD_PRELOAD", kept),
    };
    Err(Failure::new(format!("can't start again without {}: {}", OsStr::new(LIBRARY).display(), again.exec())))
}
