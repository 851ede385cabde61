//! `flac info --map FILE`: where the pages of a file lie.

use crate::failure::{Failure, Outcome};
use crate::human::{self, size};
use crate::session::Session;
use crate::tree::{self, User};
use flac::fs::places::{Place, Run};
use flac::units::PAGE;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

pub fn run(pool: &Path, file: &Path, as_json: bool) -> Outcome {
    let session = Session::open(pool)?;
    let file = tree::inside(file);
    let ino = tree::find(session.fs(), &file, &User::current())?;
    if !session.fs().attr(ino)?.is_file() {
        return Err(Failure::on(&file, "is no regular file"));
    }
    let runs = session.fs().places(ino)?;
    session.close()?;
    human::to_stdout(&if as_json { json(&runs) } else { text(&runs) });
    Ok(ExitCode::SUCCESS)
}

fn name(place: &Place) -> String {
    let frame = if place.huge { "DRAM (huge)" } else { "DRAM" };
    let lies = match (place.dram, place.pool) {
        (false, false) => "hole",
        (true, false) => frame,
        (false, true) => "pool",
        (true, true) => return format!("{frame} and pool"),
    };
    if place.dirty { format!("{lies}, dirty") } else { lies.into() }
}

fn text(runs: &[Run]) -> String {
    let mut text = format!("{:<23} {:>10}  where\n", "pages", "size");
    let mut line = |pages: &str, count: u64, place: &str| {
        let _ = writeln!(text, "{pages:<23} {:>10}  {place}", size(count * PAGE as u64));
    };
    for run in runs {
        let last = run.first + run.pages - 1;
        let pages = if run.pages == 1 { run.first.to_string() } else { format!("{}-{last}", run.first) };
        line(&pages, run.pages, &name(&run.place));
    }
    let sum = |wanted: fn(&Place) -> bool| runs.iter().filter(|run| wanted(&run.place)).map(|run| run.pages).sum();
    line("all", sum(|_| true), "");
    line("", sum(|place| place.dram), "in DRAM");
    line("", sum(|place| place.pool), "in the pool");
    line("", sum(|place| place.dirty), "dirty");
    text
}

fn json(runs: &[Run]) -> String {
    let one = |run: &Run| {
        let Place { dram, huge, pool, dirty } = run.place;
        let (first, pages) = (run.first, run.pages);
        format!("  {{\"first\": {first}, \"pages\": {pages}, \"dram\": {dram}, \"huge\": {huge}, \"pool\": {pool}, \"dirty\": {dirty}}}")
    };
    format!("[\n{}\n]\n", runs.iter().map(one).collect::<Vec<_>>().join(",\n"))
}
