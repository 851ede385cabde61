//! Which rows to measure, and the targets that go with them.

use crate::measure::Outcome;
use crate::options::{Options, Preset};
use crate::row::{Io, Pattern, Row, Source, Touch};
use crate::system::System;

/// What a row must reach.
#[derive(Clone, Copy)]
pub enum Target {
    /// FLAC is so many times as fast as the other one.
    Times(f64, System),
    /// Starting a program costs at most so many nanoseconds more on FLAC than without it.
    AddsAtMost(f64),
    /// The preload library alone makes starting a program at most so many times as long.
    PreloadWithin(f64),
}

impl Target {
    /// Whether it is met; `None` where something was not measured.
    pub fn is_met_by(self, outcome: &Outcome) -> Option<bool> {
        Some(match self {
            Target::Times(factor, other) => outcome.speedup(other)? >= factor,
            Target::AddsAtMost(nanoseconds) => outcome.median(System::Flac)? - outcome.median(System::Tmpfs)? <= nanoseconds,
            Target::PreloadWithin(factor) => outcome.median(System::Preload)? <= factor * outcome.median(System::Tmpfs)?,
        })
    }

    /// Its text in tables.
    pub fn name(self) -> String {
        match self {
            Target::Times(factor, other) => format!(">= {factor}x {}", other.name()),
            Target::AddsAtMost(nanoseconds) => format!("adds <= {} ms", nanoseconds / 1e6),
            Target::PreloadWithin(factor) => format!("preload <= {factor}x"),
        }
    }
}

type Plan = Vec<(Row, Option<Target>)>;

/// The rows of this run.
pub fn plan(options: &Options) -> Plan {
    match options.preset {
        _ if options.test => trial(),
        Some(Preset::Issue2) => issue2(),
        None => product(options),
    }
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn issue2() -> Plan {
    let tmpfs = |factor| Some(Target::Times(factor, System::Tmpfs));
    let touching = |touch| Row { touch, ..Row::new(Io::Read, 2 * MIB) };
    let mut rows = vec![
        (Row::new(Io::Read, 64), tmpfs(5.0)),
        (Row::new(Io::Read, 4 * KIB), tmpfs(2.0)),
        (touching(Touch::None), tmpfs(0.95)),
        (touching(Touch::Page), tmpfs(4.0)),
        (touching(Touch::All), tmpfs(0.95)),
        (Row::new(Io::Cp, 500 * MIB), tmpfs(20.0)),
    ];
    for io in [Io::Overwrite, Io::Append] {
        rows.push((Row::new(io, 64), None));
        rows.push((Row::new(io, 4 * KIB), tmpfs(1.5)));
        rows.push((Row::new(io, 2 * MIB), tmpfs(1.5)));
    }
    rows.push((Row::new(Io::True, 1), Some(Target::PreloadWithin(1.02))));
    rows.push((Row::new(Io::True, 1), Some(Target::AddsAtMost(300_000.0))));
    let durable = Row { fsync: true, ..Row::new(Io::Append, 4 * KIB) };
    rows.push((durable, Some(Target::Times(1.0, System::Disk))));
    rows.extend([Io::Open, Io::Stat, Io::Create, Io::Unlink].map(|io| (Row::new(io, 1), None)));
    rows
}

/// Each kind of operation once, and each parameter off its usual value once.
fn trial() -> Plan {
    let mut rows = Vec::new();
    for io in [Io::Read, Io::Overwrite, Io::Append, Io::Rw] {
        rows.extend([64, 4 * KIB, 2 * MIB].map(|size| Row::new(io, size)));
        let page = Touch::Page;
        rows.push(Row { pattern: Pattern::Random, touch: page, ..Row::new(io, 64 * KIB) });
        rows.push(Row { buffer: Source::Fresh, touch: Touch::All, ..Row::new(io, 2 * MIB) });
        rows.push(Row { threads: 2, ..Row::new(io, 4 * KIB) });
    }
    rows.push(Row { fsync: true, ..Row::new(Io::Append, 4 * KIB) });
    let others = [Io::Open, Io::Stat, Io::Create, Io::Unlink, Io::True];
    rows.extend(others.map(|io| Row::new(io, 1)));
    rows.push(Row::new(Io::Cp, 4 * MIB));
    rows.into_iter().map(|row| (row, None)).collect()
}

fn product(options: &Options) -> Plan {
    let mut rows = Vec::new();
    for &io in &options.io {
        for &size in &options.sizes {
            for &pattern in &options.pattern {
                for &buffer in &options.buffer {
                    for &touch in &options.touch {
                        for &threads in &options.threads {
                            let fsync = options.fsync;
                            rows.push(Row { io, size, pattern, buffer, touch, threads, fsync });
                        }
                    }
                }
            }
        }
    }
    rows.into_iter().map(|row| (row, None)).collect()
}
