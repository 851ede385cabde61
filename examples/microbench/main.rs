//! FLAC against tmpfs and disk, one operation at a time, in interleaved rounds.
//!
//! `cargo run --release --example microbench -- --preset targets --out target/bench`
//! `cargo run --release --example microbench -- --io read --sizes 4K,2M --touch none,page,all`
//! `cargo run --release --example microbench -- --test`

mod measure;
mod options;
mod preset;
mod report;
mod row;
mod worker;

use clap::Parser;
use flac_harness::{Arena, Results, commit, today};
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

/// Measures what was asked for; false where a result was wrong.
fn drive(options: &Options) -> Result<bool, String> {
    let plan = preset::plan(options);
    let arena = Arena::prepare(&options.arena, if options.test { 512 << 20 } else { 8 << 30 })?;
    let mut results = options.out.as_deref().map_or(Ok(Results::default()), Results::open)?;
    let (date, commit) = (today(), commit());
    let (mut met, mut missed, mut errors) = (0, 0, 0);
    println!("{}", report::heading(arena.frames()));
    for (row, targets) in plan {
        let mut entry = measure::measure(&arena, options, &row, targets);
        (entry.date, entry.commit) = (date.clone(), commit.clone());
        print!("{}", report::line(&entry));
        entry.errors.iter().for_each(|error| println!("    error: {error}"));
        errors += entry.errors.len();
        match entry.passed() {
            Some(true) => met += 1,
            Some(false) => missed += 1,
            None => {}
        }
        results.add(entry);
        if let Some(directory) = &options.out {
            results.write(directory)?;
        }
    }
    println!("{met} rows met their targets, {missed} missed one, {errors} errors");
    Ok(errors == 0)
}
