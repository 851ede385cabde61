//! Lines for people, on stderr: formatted into a buffer on the stack, written by one raw system call, errno untouched.
//!
//! Error: data may be lost or a call failed for a reason of our own. Warn: a call that FLAC refuses. Info: what was decided.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};

/// What `FLAC_LOG` asks for; a level includes those above it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Level {
    /// Nothing but errors of the configuration.
    Off,
    /// Data may be lost, or the pool can't be used.
    Error,
    /// Refused calls.
    Warn,
    /// Decisions.
    Info,
    /// How each large transfer is moved, and why.
    Planner,
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Off as u8);

/// Sets what is written.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// What is written now, as `FLAC_LOG` names it.
pub fn level_name() -> &'static str {
    match LEVEL.load(Ordering::Relaxed) {
        0 => "off",
        1 => "error",
        2 => "warn",
        3 => "info",
        _ => "planner",
    }
}

struct Line {
    len: usize,
    bytes: [u8; 512],
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.bytes.len() - 1 - self.len;
        let n = s.len().min(room);
        self.bytes[self.len..self.len + n].copy_from_slice(&s.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}

fn line(what: fmt::Arguments<'_>) {
    let mut line = Line { len: 0, bytes: [0; 512] };
    let _ = write!(line, "flac: {what}");
    line.bytes[line.len] = b'\n';
    // Nobody can be told that stderr is closed.
    let _ = rustix::io::write(rustix::stdio::stderr(), &line.bytes[..line.len + 1]);
}

/// Writes whatever the level: the one line that says why FLAC can't be used.
pub fn fatal(what: fmt::Arguments<'_>) {
    line(what);
}

/// Writes an error.
pub fn error(what: fmt::Arguments<'_>) {
    at(Level::Error, what);
}

/// Writes a warning: a call was refused.
pub fn warn(what: fmt::Arguments<'_>) {
    at(Level::Warn, what);
}

/// Writes a decision.
pub fn info(what: fmt::Arguments<'_>) {
    at(Level::Info, what);
}

fn at(level: Level, what: fmt::Arguments<'_>) {
    if LEVEL.load(Ordering::Relaxed) >= level as u8 {
        line(what);
    }
}

/// A decision of the planner.
pub fn planner(what: fmt::Arguments<'_>) {
    line(what);
}

/// Whether the planner shall explain itself.
pub fn explains() -> bool {
    LEVEL.load(Ordering::Relaxed) >= Level::Planner as u8
}
