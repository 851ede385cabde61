#![expect(unsafe_code, reason = "wait4, which says what a child cost")]
//! One timed run.

use crate::app::Output;
use crate::place::Place;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

/// What a run took and printed.
#[derive(Default)]
pub struct Run {
    /// Seconds on the clock.
    pub wall: f64,
    /// Seconds of the processor in user mode.
    pub user: f64,
    /// Seconds of the processor in the kernel.
    pub kernel: f64,
    /// What it printed, or what came out of the pipe.
    pub printed: String,
}

/// Runs the steps; `durable` are words of a command that ends when their result is.
///
/// # Errors
/// What failed and what it said.
pub fn run(
    place: &Place,
    steps: &[Vec<String>],
    output: Output,
    durable: Option<&[String]>,
    scratch: &Path,
    careful: bool,
) -> Result<Run, String> {
    let mut sum = Run::default();
    for words in steps.iter().map(Vec::as_slice).chain(durable) {
        let one = step(place, words, output, scratch, careful)?;
        sum.wall += one.wall;
        sum.user += one.user;
        sum.kernel += one.kernel;
        sum.printed += &one.printed;
    }
    Ok(sum)
}

fn step(place: &Place, words: &[String], output: Output, scratch: &Path, careful: bool) -> Result<Run, String> {
    let (printed, complaints) = (scratch.join("stdout"), scratch.join("stderr"));
    let make = |path: &Path| File::create(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut command = place.command(words);
    command.stderr(make(&complaints)?);
    match output {
        Output::Memory => command.stdout(make(&printed)?),
        Output::Pipe => command.stdout(Stdio::piped()),
    };
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", words[0]))?;
    let drained = child.stdout.take().map(|pipe| drain(pipe, careful)).transpose().map_err(|error| error.to_string())?;
    let mut one = reap(&child)?.map_err(|status| {
        let said = std::fs::read_to_string(&complaints).unwrap_or_default();
        format!("{}: status {status}: {}", words.join(" "), said.trim().replace('\n', "; "))
    })?;
    one.wall = start.elapsed().as_secs_f64();
    one.printed = match drained {
        Some(text) => text,
        None => std::fs::read_to_string(&printed).map_err(|error| error.to_string())?,
    };
    Ok(one)
}

/// Reads to the end: how many bytes, and, if `careful`, a sum that depends on their order.
fn drain(mut pipe: impl Read, careful: bool) -> std::io::Result<String> {
    let mut chunk = vec![0; 1 << 20];
    let (mut length, mut sum) = (0_u64, 0_u64);
    loop {
        let got = pipe.read(&mut chunk)?;
        if got == 0 {
            return Ok(if careful { format!("{length} bytes, {sum:x}") } else { format!("{length} bytes") });
        }
        length += got as u64;
        if careful {
            sum = chunk[..got].iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        }
    }
}

/// Waits for a child: what it cost, or its wait status.
fn reap(child: &Child) -> Result<Result<Run, i32>, String> {
    let pid = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    // SAFETY: all zeros is a value of this plain structure.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: both pointers are to objects of ours that live through the call; nobody else waits for this child.
    while unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } < 0 {
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(format!("wait4: {error}"));
        }
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let run = Run { user: seconds(usage.ru_utime), kernel: seconds(usage.ru_stime), ..Run::default() };
    Ok(if status == 0 { Ok(run) } else { Err(status) })
}
