//! FLAC against tmpfs and disk, one operation at a time, in interleaved rounds.
//!
//! `cargo run --release --example microbench -- --preset issue2 --out results`
//! `cargo run --release --example microbench -- --io read --sizes 4K,2M --touch none,page,all`
//! `cargo run --release --example microbench -- --test`

mod measure;
mod options;
mod preset;
mod report;
mod row;
mod system;
mod worker;

use clap::Parser;
use options::{Command, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.command {
        Some(Command::Worker(task)) => worker::run(task).map(|()| true),
        None => drive(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("microbench: {message}");
            ExitCode::from(2)
        }
    }
}

/// Measures what was asked for; false where a target was missed or a result was wrong.
fn drive(options: &Options) -> Result<bool, String> {
    let plan = preset::plan(options);
    let bench = system::Bench::prepare(options)?;
    let mut results = Vec::new();
    println!("{}", report::heading());
    for (row, target) in plan {
        let result = measure::measure(&bench, options, row, target);
        print!("{}", report::line(&result));
        results.push(result);
    }
    if let Some(directory) = &options.out {
        report::write(directory, &results).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let passed = results.iter().filter(|result| result.passed() == Some(true)).count();
    let failed = results.iter().filter(|result| result.passed() == Some(false)).count();
    let broken: Vec<&String> = results.iter().flat_map(|result| &result.errors).collect();
    broken.iter().for_each(|error| println!("error: {error}"));
    println!("{passed} targets met, {failed} missed, {} errors", broken.len());
    Ok(failed == 0 && broken.is_empty())
}
