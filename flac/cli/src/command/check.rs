//! `flac check`.

use crate::arguments::Check;
use crate::check::{self, Machine, Verdict};
use crate::failure::{Failure, Outcome};
use crate::human::{self, count, json};
use std::fmt::Write;
use std::process::ExitCode;

/// Exit statuses beside 0: something of the program, or all of it, is not served.
const IN_PART: u8 = 3;
const NOT_AT_ALL: u8 = 4;

pub fn run(wanted: &Check) -> Outcome {
    let Some(program) = &wanted.program else { return machine(wanted.json) };
    let program = check::program(program).map_err(Failure::new)?;
    human::to_stdout(&if wanted.json { program.as_json() } else { program.as_text(wanted.all) });
    Ok(ExitCode::from(match program.verdict().0 {
        Verdict::Works => 0,
        Verdict::InPart => IN_PART,
        Verdict::NotAtAll => NOT_AT_ALL,
    }))
}

fn machine(as_json: bool) -> Outcome {
    let machine = check::walk();
    let mut text = String::new();
    let known: usize = machine.symbols.values().map(|names| names.len()).sum::<usize>() - machine.unknown.len();
    if as_json {
        let unknown: Vec<String> = machine.unknown.iter().map(|(name, files)| format!("{}: {}", json(name), files.len())).collect();
        let _ = writeln!(text, "{{\n  \"files\": {},\n  \"known\": {known},\n  \"unknown\": {{{}}}\n}}", machine.files, unknown.join(", "));
    } else {
        let _ = writeln!(text, "{} import {known} symbols of libc that are known", count(machine.files as u64, "file"));
        describe_unknown(&machine, &mut text);
    }
    human::to_stdout(&text);
    Ok(if machine.unknown.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(IN_PART) })
}

fn describe_unknown(machine: &Machine, text: &mut String) {
    for (name, files) in &machine.unknown {
        let _ = writeln!(text, "not known: {name} ({}, as {})", count(files.len() as u64, "file"), files[0].display());
    }
}
