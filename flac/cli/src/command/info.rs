//! `flac info`.

use crate::advice::{self, Advice};
use crate::arguments::Info;
use crate::failure::{Failure, Outcome};
use crate::human::{self, json, size};
use crate::session::Session;
use flac::fs::admin::{LogState, Volatile};
use flac::media::{Medium, Model, WriteBack};
use flac::units::PAGE;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What there is to tell.
struct Facts {
    pool: PathBuf,
    uuid: String,
    medium: Medium,
    not_dax: Option<String>,
    injected: Option<Model>,
    total: u64,
    free: u64,
    cache: Cache,
    advice: Advice,
    users: Vec<u32>,
    writeback: Option<u32>,
    log: LogState,
    dirty: bool,
    /// What movers cost, in nanoseconds; whether that was measured.
    costs: (Vec<(&'static str, usize)>, bool),
    /// See [`flac::Fs::copies`].
    copies: [[u32; 2]; 3],
}

/// The names of [`Facts::copies`].
const COPIES: [&str; 3] = ["to programs", "from programs, 64 KiB and more", "from programs, 512 KiB and more"];

/// The volatile state, as it was before we looked.
struct Cache {
    dir: Option<PathBuf>,
    total: u64,
    free: u64,
}

pub fn run(pool: &Path, wanted: &Info) -> Outcome {
    if let Some(file) = &wanted.map {
        return super::map::run(pool, file, wanted.json);
    }
    let facts = collect(pool)?;
    human::to_stdout(&if wanted.json { as_json(&facts) } else { as_text(&facts) });
    Ok(ExitCode::SUCCESS)
}

fn collect(pool: &Path) -> Result<Facts, Failure> {
    let session = Session::open(pool)?;
    let fs = session.fs();
    let (frames, (cache_total, cache_free)) = (fs.stat_fs(), fs.dram_bytes());
    if !session.is_first() {
        // Without a free block they stay assumed, and that is said.
        let _ = fs.calibrate();
    }
    let writeback = Volatile::of(pool)?.and_then(|state| super::writeback::pid(&state));
    let users = fs.other_users().into_iter().filter(|pid| Some(*pid) != writeback).collect();
    let facts = Facts {
        pool: pool.to_owned(),
        uuid: fs.uuid_hex(),
        medium: fs.medium(),
        not_dax: fs.not_dax().map(str::to_owned),
        injected: fs.injected(),
        total: frames.total * PAGE as u64,
        free: frames.free * PAGE as u64,
        cache: Cache { dir: (!session.is_first()).then(|| fs.run_dir().to_owned()), total: cache_total, free: cache_free },
        advice: advice::frames((!session.is_first()).then(|| fs.has_huge_frames())),
        users,
        writeback,
        log: fs.log_state()?,
        dirty: fs.is_dirty(),
        costs: (fs.costs().list().to_vec(), fs.costs().are_measured()),
        copies: fs.copies(),
    };
    session.close()?;
    Ok(facts)
}

fn as_text(facts: &Facts) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    let medium = match facts.medium {
        Medium::Dax => format!("persistent memory (DAX), written back with {}", WriteBack::detect().map_or("nothing", WriteBack::name)),
        Medium::DaxEmulated => "emulated DAX: for tests".into(),
        Medium::Block => "a file system on a disk".into(),
        Medium::Memory => "memory: gone after a reboot".into(),
    };
    line("pool", format!("{} ({})", facts.pool.display(), facts.uuid));
    line("medium", medium);
    if let Some(why) = &facts.not_dax {
        line("", format!("not DAX: {why}"));
    }
    if let Some(device) = facts.injected {
        line("", format!("each access takes as long as on the device `{}`", device.name()));
    }
    line("space", format!("{}, {} free", size(facts.total), size(facts.free)));
    match &facts.cache.dir {
        Some(dir) => line("cache", format!("{}, {} free, in {}", size(facts.cache.total), size(facts.cache.free), dir.display())),
        None => line("cache", format!("not in use; would have {}", size(facts.cache.total))),
    }
    let frames = if facts.advice.huge { "2 MiB" } else { "4 KiB" };
    line("frames", format!("{frames}: {}", facts.advice.why));
    if let Some(cure) = facts.advice.cure {
        line("", format!("huge frames make large reads several times faster: `{cure}`"));
    }
    let users: Vec<String> = facts.users.iter().map(|pid| super::stop::describe(*pid)).collect();
    line("users", if users.is_empty() { "none".into() } else { users.join(", ") });
    if let Some(pid) = facts.writeback {
        line("write-back", format!("process {pid}"));
    }
    let state = if facts.dirty { "changes wait for a sync" } else { "nothing waits for a sync" };
    line("log", format!("{} records, {}; {state}", facts.log.last, size(facts.log.log_bytes)));
    line(
        "checkpoints",
        match facts.log.checkpoints.last() {
            Some((generation, bytes)) => format!("newest: {generation}, {}", size(*bytes)),
            None => "none yet".into(),
        },
    );
    let (costs, measured) = &facts.costs;
    line(
        "costs",
        format!("nanoseconds, {}", if *measured { "measured since the boot" } else { "assumed: measured when the cache is in use" }),
    );
    for some in costs.chunks(4) {
        line("", some.iter().map(|(name, cost)| format!("{name} {cost}")).collect::<Vec<_>>().join(", "));
    }
    for (name, [usual, other]) in COPIES.iter().zip(&facts.copies) {
        let known = |cost: &u32| if *cost == 0 { "not known yet".into() } else { format!("{cost}") };
        line("", format!("copying {name}, ps a byte, learned in use: {} and {}", known(usual), known(other)));
    }
    text
}

fn as_json(facts: &Facts) -> String {
    let users: Vec<String> = facts.users.iter().map(u32::to_string).collect();
    let optional = |text: Option<String>| text.map_or("null".into(), |text| json(&text));
    let fields = [
        ("pool", json(&facts.pool.to_string_lossy())),
        ("uuid", json(&facts.uuid)),
        ("medium", json(facts.medium.name())),
        ("not_dax_why", optional(facts.not_dax.clone())),
        ("injected", optional(facts.injected.map(|device| device.name().to_owned()))),
        ("bytes", facts.total.to_string()),
        ("bytes_free", facts.free.to_string()),
        ("run_dir", optional(facts.cache.dir.as_ref().map(|dir| dir.to_string_lossy().into_owned()))),
        ("cache_bytes", facts.cache.total.to_string()),
        ("cache_bytes_free", facts.cache.free.to_string()),
        ("huge_frames", facts.advice.huge.to_string()),
        ("huge_frames_why", json(&facts.advice.why)),
        ("huge_frames_cure", optional(facts.advice.cure.map(str::to_owned))),
        ("users", format!("[{}]", users.join(", "))),
        ("writeback", facts.writeback.map_or("null".into(), |pid| pid.to_string())),
        ("records", facts.log.last.to_string()),
        ("records_durable", facts.log.durable.to_string()),
        ("log_bytes", facts.log.log_bytes.to_string()),
        ("checkpoints", facts.log.checkpoints.len().to_string()),
        ("dirty", facts.dirty.to_string()),
        ("costs_measured", facts.costs.1.to_string()),
        (
            "costs",
            format!("{{{}}}", facts.costs.0.iter().map(|(name, cost)| format!("{}: {cost}", json(name))).collect::<Vec<_>>().join(", ")),
        ),
        ("copies", format!("[{}]", facts.copies.map(|[usual, other]| format!("[{usual}, {other}]")).join(", "))),
    ];
    let lines: Vec<String> = fields.iter().map(|(name, value)| format!("  {}: {value}", json(name))).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}
