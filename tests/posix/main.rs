//! POSIX semantics, judged by the kernel: every case runs on tmpfs first, then, in the same binary, on FLAC under the
//! shim. A case asserts what the manual pages promise, so it must pass on both.
//!
//! `cargo test --test posix -- [--list] [--only tmpfs|disk|flac|mount] [--disk] [--isolate] [--exact] [FILTER ...]`

mod case;
mod cases;
mod harness;
mod roles;
mod sys;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == "--case" => case::run(rest),
        Some((first, rest)) if first == "--role" => roles::run(rest),
        _ => harness::run(&arguments),
    }
}
