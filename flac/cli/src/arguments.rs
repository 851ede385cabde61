//! The command line.

use crate::human::parse_size;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// FLAC: files that programs share without copying, in a pool that survives.
///
/// Programs that nobody changed use a pool through a preload library: `flac run -- PROGRAM`. A pool is a directory; what is cached lies in
/// shared memory until `flac stop` or a reboot.
#[derive(Parser, Debug)]
#[command(name = "flac", version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 done, 1 failed, 2 wrong usage; `fsck`: 4 findings, 8 not checked; `check`: 3 served in part, 4 not at all; `run`: the program's."
)]
pub struct Arguments {
    /// The pool's directory [default: $FLAC_POOL, or $XDG_DATA_HOME/flac, or ~/.local/share/flac]
    #[arg(long, global = true, value_name = "DIR")]
    pub pool: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a pool
    Mkfs(Mkfs),
    /// Show space, medium, cache, frame size, users and log
    Info(Info),
    /// Copy the content of a directory into the pool
    Import(Import),
    /// Copy from the pool into a directory
    Export(Export),
    /// Make everything durable
    Sync,
    /// Check a pool; changes nothing
    Fsck(Fsck),
    /// Write everything back and free the shared memory
    Stop(Stop),
    /// Run a program on the pool
    Run(Run),
    /// Say what of a program the preload library serves, without running it
    Check(Check),
    /// Show the pool as a directory to programs that can't be preloaded, through FUSE
    Mount(Mount),
    /// Mount memory with huge pages for the cache (root, once after each boot)
    Setup(Setup),
    /// Write back what is dirty, every 5 seconds, until the pool has been clean and unused for 10
    #[command(hide = true)]
    Writeback,
}

#[derive(Args, Debug)]
pub struct Mkfs {
    /// How much data it can hold, as in 512M or 40G [default: half of what the file system has free, 1T at most]
    #[arg(long, value_parser = parse_size)]
    pub size: Option<u64>,
    /// Destroy the pool that is there
    #[arg(long)]
    pub force: bool,
    /// What the pool lies on [default: what probing finds, each time]. dax: refuse anything else. block: do not map, even on DAX. dax-emulated: the code for
    /// DAX on any file system, for tests; slower and no safer than the default
    #[arg(long, value_enum)]
    pub medium: Option<Medium>,
    /// Experiments: let each access to a pool in memory take as long as on a published device
    #[arg(long, value_enum)]
    pub inject: Option<Device>,
}

/// Names of media.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Dax,
    Block,
    Memory,
    DaxEmulated,
}

/// Names of devices whose cost is known.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// One Intel Optane DC persistent memory module
    Optane,
}

#[derive(Args, Debug)]
pub struct Info {
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// Show where the pages of a file lie instead: a path in the pool
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Import {
    /// The directory to copy
    pub dir: PathBuf,
    /// The directory in the pool that gets its content; made if missing
    #[arg(default_value = "/")]
    pub dest: PathBuf,
}

#[derive(Args, Debug)]
#[command(override_usage = "flac export [OPTIONS] [SRC] DIR")]
pub struct Export {
    /// SRC: what to copy, a path in the pool [default: /]. DIR: the directory that gets its content; made if missing
    #[arg(required = true, num_args = 1..=2, value_names = ["SRC", "DIR"])]
    pub paths: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Fsck {
    /// Read all data, too, and compare it with its checksums
    #[arg(long)]
    pub data: bool,
    /// Whether to repair: nothing can be yet
    #[arg(long, value_parser = ["no"], default_value = "no", hide_possible_values = true)]
    pub repair: String,
}

#[derive(Args, Debug)]
pub struct Stop {
    /// Write nothing back: what was not synced is lost, as by a reboot
    #[arg(long)]
    pub discard: bool,
    /// Kill the processes that use the pool first
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Debug)]
pub struct Run {
    /// Make the pool if there is none
    #[arg(long)]
    pub create: bool,
    /// Where the program sees the pool [default: $FLAC_ROOT, or /flac]
    #[arg(long, value_name = "PATH")]
    pub root: Option<PathBuf>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

#[derive(Args, Debug)]
pub struct Check {
    /// A program or script: a path, or a name that PATH finds
    #[arg(required_unless_present = "machine")]
    pub program: Option<PathBuf>,
    /// All programs and libraries of this machine: which symbols of libc they import that FLAC does not know
    #[arg(long, conflicts_with = "program")]
    pub machine: bool,
    /// Name every symbol
    #[arg(long)]
    pub all: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Mount {
    /// Where: an existing directory
    pub dir: PathBuf,
    /// Serve in this process, until it is ended or unmounted
    #[arg(long)]
    pub foreground: bool,
    /// Let other users in, too; permissions in the pool bind them [default: if this user is root]
    #[arg(long)]
    pub allow_other: bool,
    /// Unmount what `flac mount` mounted there
    #[arg(long, conflicts_with_all = ["foreground", "allow_other"])]
    pub unmount: bool,
    /// Serve in a session of its own, and say on standard output when the directory can be used
    #[arg(long, hide = true)]
    pub background: bool,
}

#[derive(Args, Debug)]
pub struct Setup {
    /// Unmount what `flac setup` mounted, if nobody uses it
    #[arg(long)]
    pub undo: bool,
    /// How much memory it may take [default: three quarters of the machine's]
    #[arg(long, value_parser = parse_size)]
    pub size: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn everything_behind_run_belongs_to_the_program() {
        let arguments = Arguments::try_parse_from(["flac", "run", "--create", "--", "ls", "-l", "--pool"]).expect("it parses");
        let Command::Run(run) = arguments.command else { panic!("not run") };
        assert!(run.create && run.program == ["ls", "-l", "--pool"] && arguments.pool.is_none());
    }
}
