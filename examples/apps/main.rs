//! Whole programs on FLAC, tmpfs, a tmpfs with huge pages and a disk, in interleaved rounds. Their results are compared.
//!
//! `cargo run --release --example apps -- --out target/bench`
//! `cargo run --release --example apps -- --only cp,tar --rounds 7`
//! `cargo run --release --example apps -- --test`

mod app;
mod catalogue;
mod inputs;
mod options;
mod place;
mod race;
mod report;
mod run;

use clap::Parser;
use flac_harness::{Arena, Results, commit, today};
use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    match drive(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("apps: {message}");
            ExitCode::from(2)
        }
    }
}

/// Runs what was asked for; false where a result was wrong.
fn drive(options: &Options) -> Result<bool, String> {
    let apps = catalogue::chosen(options);
    if options.list {
        apps.iter().for_each(|app| println!("{}", app.name));
        return Ok(true);
    }
    let arena = Arena::prepare(&options.arena, options.pool_size())?;
    let mut results = options.out.as_deref().map_or(Ok(Results::default()), Results::open)?;
    let (date, commit) = (today(), commit());
    let inputs = inputs::Inputs::new(&arena, options.scale())?;
    println!("{}", report::heading(arena.frames()));
    let mut wrong = 0;
    for (number, app) in apps.iter().enumerate() {
        let keep = apps.get(number + 1).map_or(&[][..], |next| next.inputs);
        let mut entry = race::race(&arena, &inputs, options, app, keep);
        (entry.date, entry.commit) = (date.clone(), commit.clone());
        print!("{}", report::line(&entry));
        entry.errors.iter().for_each(|error| println!("    error: {error}"));
        wrong += entry.errors.len();
        results.add(entry);
        if let Some(directory) = &options.out {
            results.write(directory)?;
        }
    }
    arena.check()?;
    println!("{} rows, {wrong} errors", apps.len());
    Ok(wrong == 0)
}
