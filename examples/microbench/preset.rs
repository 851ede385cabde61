//! Which rows to measure, and the targets that go with them.

use crate::options::{Options, Preset};
use crate::row::{Io, Pattern, Row, Source, Touch};
use flac_harness::{System, Target};

type Plan = Vec<(Row, Vec<Target>)>;

/// The rows of this run.
pub fn plan(options: &Options) -> Plan {
    let mut rows = match options.preset {
        _ if options.test => trial(),
        Some(Preset::Targets) => targets(),
        Some(Preset::Adversary) => adversary(),
        Some(Preset::Matrix) => matrix(),
        None => product(options),
    };
    rows.retain(|(row, _)| options.only.is_empty() || options.only.iter().any(|part| row.name().contains(part.as_str())));
    rows
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const SIZES: [usize; 9] = [64, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 2 * MIB, 8 * MIB, 64 * MIB];

/// So many times as fast as tmpfs, and never slower than either.
fn tmpfs(times: f64) -> Vec<Target> {
    vec![Target { times, system: System::Tmpfs }, Target { times: 0.95, system: System::Huge }]
}

fn huge(mut targets: Vec<Target>, times: f64) -> Vec<Target> {
    targets[1].times = times;
    targets
}

/// What FLAC promises.
fn targets() -> Plan {
    let read = |size, touch| Row { touch, ..Row::new(Io::Read, size) };
    let mut rows = vec![
        (read(64, Touch::None), tmpfs(10.0)),
        (read(4 * KIB, Touch::None), tmpfs(2.5)),
        (read(64 * KIB, Touch::None), tmpfs(1.4)),
        (read(64 * KIB, Touch::All), tmpfs(0.95)),
        (read(96 * KIB, Touch::All), tmpfs(0.95)),
        (read(2 * MIB, Touch::None), tmpfs(20.0)),
        (read(2 * MIB, Touch::Page), huge(tmpfs(6.0), 4.0)),
        (read(2 * MIB, Touch::All), tmpfs(1.3)),
        (Row { buffer: Source::Fresh, ..read(1024 * MIB, Touch::All) }, huge(tmpfs(10.0), 8.0)),
        (Row::new(Io::Overwrite, 64), tmpfs(10.0)),
        (Row::new(Io::Overwrite, 4 * KIB), tmpfs(2.5)),
        (Row::new(Io::Overwrite, 64 * KIB), tmpfs(1.4)),
        (Row::new(Io::Overwrite, 2 * MIB), tmpfs(1.8)),
        (Row::new(Io::Pristine, 2 * MIB), tmpfs(20.0)),
    ];
    rows.extend([64, 4 * KIB, 64 * KIB, 2 * MIB].map(|size| (Row::new(Io::Append, size), tmpfs(0.95))));
    rows.extend([4 * KIB, 2 * MIB].map(|size| (Row { touch: Touch::Page, ..Row::new(Io::Rw, size) }, tmpfs(0.95))));
    rows.push((Row::new(Io::Store, 64 * KIB), tmpfs(0.95)));
    rows.extend(beside_others());
    let durable = |row, times| (Row { fsync: true, ..row }, vec![Target { times, system: System::Disk }]);
    rows.push(durable(Row::new(Io::Append, 4 * KIB), 10.0));
    rows.extend([Row::new(Io::Append, 64 * KIB), Row::new(Io::Overwrite, 4 * KIB)].map(|row| durable(row, 1.0)));
    let store = |pattern| Row { pattern, ..Row::new(Io::Store, 4 * KIB) };
    rows.extend([Pattern::Sequential, Pattern::Random].map(|pattern| durable(store(pattern), 1.0)));
    rows.push(durable(Row { processes: 2, ..Row::new(Io::Append, 4 * KIB) }, 1.0));
    rows.extend([Io::Create, Io::Stat, Io::Unlink].map(|io| (Row::new(io, 1), tmpfs(2.0))));
    let others = [Io::Open, Io::Rename, Io::Readdir, Io::StatTree, Io::RemoveTree];
    rows.extend(others.map(|io| (Row::new(io, 1), tmpfs(1.0))));
    rows.push((Row::new(Io::True, 1), Vec::new()));
    rows
}

/// Threads, processes, and a second busy thread: an attach must then tell the other core.
fn beside_others() -> Plan {
    let mut rows = Vec::new();
    for (io, touch) in [(Io::Read, Touch::None), (Io::Read, Touch::Page), (Io::Overwrite, Touch::None)] {
        let row = |size| Row { touch, ..Row::new(io, size) };
        rows.push(Row { busy: true, ..row(2 * MIB) });
        rows.push(Row { threads: 2, ..row(2 * MIB) });
        rows.push(Row { processes: 2, ..row(2 * MIB) });
    }
    rows.push(Row { busy: true, ..Row::new(Io::Read, 64 * KIB) });
    rows.push(Row { processes: 2, ..Row::new(Io::Read, 4 * KIB) });
    rows.push(Row { processes: 2, ..Row::new(Io::Overwrite, 4 * KIB) });
    rows.into_iter().map(|row| (row, tmpfs(0.95))).collect()
}

/// What the charts show: sizes and threads.
fn matrix() -> Plan {
    let mut rows = Vec::new();
    for size in SIZES {
        rows.extend([Touch::None, Touch::Page, Touch::All].map(|touch| Row { touch, ..Row::new(Io::Read, size) }));
        rows.extend([Io::Overwrite, Io::Append].map(|io| Row::new(io, size)));
        rows.push(Row { pattern: Pattern::Random, ..Row::new(Io::Read, size) });
        rows.push(Row { pattern: Pattern::Random, ..Row::new(Io::Overwrite, size) });
        rows.extend([Source::Fresh, Source::Cold].map(|buffer| Row { buffer, touch: Touch::All, ..Row::new(Io::Read, size) }));
        rows.push(Row { buffer: Source::Cold, ..Row::new(Io::Overwrite, size) });
        rows.push(Row { touch: Touch::Page, ..Row::new(Io::Rw, size) });
    }
    for io in [Io::Read, Io::Overwrite] {
        rows.extend([2, 4, 8].map(|threads| Row { threads, ..Row::new(io, 4 * KIB) }));
        rows.extend([2, 4].map(|threads| Row { threads, touch: Touch::Page, ..Row::new(io, 2 * MIB) }));
        rows.extend([2, 4].map(|processes| Row { processes, ..Row::new(io, 4 * KIB) }));
    }
    rows.into_iter().map(|row| (row, tmpfs(0.95))).collect()
}

/// Buffers that are overwritten wholly or a byte a page after each read, fresh each time or the same, sizes that are no multiple of a page's or a block's, any order, and a busy
/// thread that makes each change of the address space dear.
fn adversary() -> Plan {
    let row = |io, size, pattern, buffer, touch, busy| Row { pattern, buffer, touch, busy, ..Row::new(io, size) };
    let (sequential, random) = (Pattern::Sequential, Pattern::Random);
    let rows = [
        row(Io::Rw, 64 * KIB, random, Source::Warm, Touch::Page, false),
        row(Io::Rw, 2 * MIB, sequential, Source::Warm, Touch::Page, false),
        row(Io::Rw, 2 * MIB, random, Source::Warm, Touch::All, false),
        row(Io::Rw, 2 * MIB, sequential, Source::Fresh, Touch::All, false),
        row(Io::Rw, 96 * KIB, random, Source::Fresh, Touch::Page, false),
        row(Io::Read, 96 * KIB, sequential, Source::Warm, Touch::Page, false),
        row(Io::Read, 100_000, random, Source::Warm, Touch::All, false),
        row(Io::Read, 64 * KIB, random, Source::Warm, Touch::None, true),
        row(Io::Read, 96 * KIB, random, Source::Fresh, Touch::All, true),
        row(Io::Read, 2 * MIB, random, Source::Warm, Touch::Page, true),
        row(Io::Rw, 2 * MIB, sequential, Source::Warm, Touch::All, true),
    ];
    rows.into_iter().map(|row| (row, vec![Target { times: 0.95, system: System::Huge }])).collect()
}

/// Each kind of operation once, and each parameter off its usual value once.
fn trial() -> Plan {
    let mut rows = Vec::new();
    for io in [Io::Read, Io::Overwrite, Io::Append, Io::Rw] {
        rows.extend([64, 4 * KIB, 2 * MIB].map(|size| Row::new(io, size)));
        let page = Touch::Page;
        rows.push(Row { pattern: Pattern::Random, touch: page, ..Row::new(io, 64 * KIB) });
        rows.push(Row { buffer: Source::Fresh, touch: Touch::All, ..Row::new(io, 2 * MIB) });
        rows.push(Row { buffer: Source::Cold, busy: true, ..Row::new(io, 256 * KIB) });
        rows.push(Row { threads: 2, processes: 2, ..Row::new(io, 4 * KIB) });
    }
    rows.push(Row::new(Io::Pristine, 2 * MIB));
    rows.extend([Io::Append, Io::Store].map(|io| Row { fsync: true, ..Row::new(io, 4 * KIB) }));
    let others = [Io::Open, Io::Stat, Io::Create, Io::Unlink, Io::Rename, Io::Readdir, Io::StatTree, Io::RemoveTree, Io::True];
    rows.extend(others.map(|io| Row::new(io, 1)));
    rows.push(Row::new(Io::Cp, 4 * MIB));
    rows.into_iter().map(|row| (row, Vec::new())).collect()
}

fn product(options: &Options) -> Plan {
    let mut rows = Vec::new();
    for &io in &options.io {
        for &size in &options.sizes {
            for &pattern in &options.pattern {
                for &buffer in &options.buffer {
                    for &touch in &options.touch {
                        for (&threads, &processes) in options.threads.iter().flat_map(|t| options.processes.iter().map(move |p| (t, p))) {
                            let (fsync, busy) = (options.fsync, options.busy);
                            rows.push(Row { io, size, pattern, buffer, touch, threads, processes, busy, fsync });
                        }
                    }
                }
            }
        }
    }
    rows.into_iter().map(|row| (row, Vec::new())).collect()
}
