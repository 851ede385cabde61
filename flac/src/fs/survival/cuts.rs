//! A power cut at any step of random work leaves a state that was true at some moment not older than what was last acknowledged: names, attributes and
//! content of one and the same moment, every byte of it readable, and a pool on which work can go on.

use super::crowd;
use super::look::{Sight, WHO, adopt, fits, look};
use super::model::{Step, Tree};
use super::work::{Work, open};
use crate::Fs;
use crate::fs::names::Name;
use crate::media::create::Geometry;
use crate::media::sim::Random;
use crate::media::sim::disk::{Disk, Image, write_image};
use crate::media::sim::tape::{Event, Lower, Tape};
use crate::media::{Medium, Pool};
use crate::units::Ino;
use std::path::{Path, PathBuf};

/// Where pools lie: the medium is simulated, so the faster the better.
pub fn place() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("flac-survival-").tempdir_in("/dev/shm").expect("a directory in /dev/shm")
}

/// One life of the pool: from a recovery to the next power cut.
struct Round {
    /// What happened to the files, with notes: how many steps there were, and the oldest of them that may be left.
    events: Vec<Event>,
    steps: Vec<Step>,
    story: Vec<String>,
    /// The disk before.
    disk: Disk,
}

fn note(work: &Work) -> u64 {
    (work.steps.len() as u64) << 32 | work.floor as u64
}

impl Round {
    fn run(pool: &Path, lower: Lower, tree: Tree, tight: bool, random: &mut Random) -> (Round, usize) {
        let disk = Disk::new(pool, lower);
        let tape = Tape::start(pool, lower);
        let mut work = Work::start(pool, tree, random.next());
        work.tight = tight;
        tape.note(note(&work));
        for _ in 0..10 + random.below(60) {
            work.act();
            tape.note(note(&work));
        }
        work.compare();
        let full = work.full;
        let (steps, story) = work.end();
        (Round { events: tape.take(), steps, story, disk }, full)
    }

    /// What was done until shortly before `step`.
    fn story(&self, step: usize) -> String {
        let number = |line: &String| line.split([' ', ':']).nth(1).and_then(|n| n.parse::<usize>().ok());
        let end = self.story.iter().position(|line| number(line).is_some_and(|n| n > step)).unwrap_or(self.story.len());
        self.story[end.saturating_sub(30)..end].join("\n")
    }

    /// The steps that may be left if the power fails before event `at`.
    fn allowed(&self, at: usize) -> std::ops::Range<usize> {
        let noted = |event: &Event| if let Event::Note(n) = event { Some(*n) } else { None };
        let floor = self.events[..at].iter().rev().find_map(noted).map_or(0, |n| (n & 0xffff_ffff) as usize);
        let end = self.events[at..].iter().find_map(noted).map_or(self.steps.len(), |n| (n >> 32) as usize);
        floor..end
    }
}

/// What became of the cuts of a run.
#[derive(Default)]
struct Tally {
    points: usize,
    /// The state was that of the last acknowledged step, or of a later one.
    floor: usize,
    later: usize,
    /// Calls that found no space.
    full: usize,
    checkpoints: u64,
}

struct Cutter {
    copy: PathBuf,
    random: Random,
    tally: Tally,
    /// What to go on from: an image and the tree in it.
    next: Option<(Image, Sight)>,
}

impl Cutter {
    /// Cuts the power at every flush of the round, before it and after it, and now and then in between.
    fn round(&mut self, round: &Round, what: &str) {
        let mut disk = round.disk.clone();
        for at in 0..=round.events.len() {
            let is_flush = |event: Option<&Event>| matches!(event, Some(Event::Flushed { .. } | Event::DirSynced | Event::Fenced));
            let now = round.events.get(at);
            let flush = is_flush(now) || is_flush(at.checked_sub(1).and_then(|before| round.events.get(before)));
            let note = matches!(now, Some(Event::Note(_)));
            if flush || !note && self.random.once_in(6) {
                for _ in 0..if disk.is_settled() { 1 } else { 2 } {
                    self.cut(&disk, round, at, what);
                }
            }
            now.into_iter().for_each(|event| disk.apply(event));
        }
    }

    fn cut(&mut self, disk: &Disk, round: &Round, at: usize, what: &str) {
        let next = round.events.get(at).map(Event::brief);
        let what = format!("{what}, before event {at} of {}, {next:?}, cut {}", round.events.len(), self.tally.points);
        let image = disk.cut(&mut self.random);
        write_image(&image, &self.copy);
        let allowed = round.allowed(at);
        let story = || round.story(allowed.end);
        let fs = open(&self.copy).unwrap_or_else(|e| panic!("{}\n{what}: {e}", story()));
        let sight = look(&fs).unwrap_or_else(|e| panic!("{}\n{what}: {e}", story()));
        let findings = fs.check(true).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(findings.is_empty(), "{}\n{what}: {findings:?}", story());
        drop(fs);
        let found = allowed.clone().rev().find(|step| fits(&sight, &round.steps[*step], false).is_ok());
        let Some(found) = found else {
            let near: Vec<String> = allowed.clone().filter_map(|s| fits(&sight, &round.steps[s], false).err()).take(6).collect();
            let older = (0..allowed.start).rev().find(|step| fits(&sight, &round.steps[*step], false).is_ok());
            panic!("{}\n{what}: the state is none of steps {allowed:?} ({near:#?}); it is that of step {older:?}", story());
        };
        self.tally.points += 1;
        self.tally.floor += (found == allowed.start) as usize;
        self.tally.later += (found > allowed.start) as usize;
        if self.random.once_in(20) || self.next.is_none() {
            self.next = Some((image, sight));
        }
    }
}

/// What a pool on `lower` has in common with others.
pub fn geometry_on(lower: Lower) -> Geometry {
    Geometry { medium: (lower == Lower::Dax).then_some(Medium::DaxEmulated), ..Geometry::of(1 << 20) }
}

/// Makes a pool that seems to lie on `lower`.
pub fn make_pool(pool: &Path, geometry: &Geometry, lower: Lower) {
    std::fs::create_dir(pool).expect("a directory");
    let _seems_a_disk = Tape::start(pool, lower);
    Pool::create_with(pool, geometry).expect("a pool");
}

/// A place with a small pool on `lower` in it, and the pool's path.
pub fn place_with_pool(lower: Lower) -> (tempfile::TempDir, PathBuf) {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &geometry_on(lower), lower);
    (dir, pool)
}

/// Makes an empty file in the root.
pub fn make_file(fs: &Fs, name: &[u8]) -> Ino {
    fs.create(Ino::ROOT, &Name::new(name).expect("a name"), libc::S_IFREG | 0o644, 0, &WHO).expect("a file")
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let dir = place();
    let pool = dir.path().join("pool");
    // By turns, so that a short run has them all.
    let lower = [Lower::Ext4, Lower::Dax, Lower::Other][(seed % 3) as usize];
    let tight = seed / 3 % 2 == 1;
    let frames = if tight { 16 + random.below(40) as u64 } else { 4096 };
    let geometry = Geometry {
        size: frames * 4096,
        log_bytes: *random.pick(&[16 << 10, 24 << 10, 64 << 10, 256 << 10]),
        grow_bytes: 64 << 10,
        ..geometry_on(lower)
    };
    make_pool(&pool, &geometry, lower);
    let mut tree = Tree::default();
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).expect("a directory");
    // So that recovery takes it for a pool on a disk, too.
    let _seems_a_disk = Tape::start(&copy, lower);
    let mut cutter = Cutter { copy, random: random.clone(), tally: Tally::default(), next: None };
    for number in 0..3 {
        let (round, full) = Round::run(&pool, lower, tree, tight, &mut random);
        cutter.tally.full += full;
        cutter.tally.checkpoints += round.events.iter().filter(|e| matches!(e, Event::Renamed { .. })).count() as u64;
        cutter.round(&round, &format!("seed {seed}, round {number}"));
        let Some((image, sight)) = cutter.next.take() else { break };
        write_image(&image, &pool);
        tree = adopt(&sight);
    }
    let t = cutter.tally;
    crowd::report(
        t.points,
        &format!(
            "{lower:?}, {frames} frames: {} at the last acknowledged step, {} later, {} times full, {} checkpoints",
            t.floor, t.later, t.full, t.checkpoints
        ),
    );
}

/// `FLAC_CUTS` says how many.
#[test]
fn a_power_cut_at_any_step_leaves_what_was_acknowledged_or_a_later_moment() {
    match crowd::seed() {
        Some(seed) => run(seed),
        None => {
            let wanted = std::env::var("FLAC_CUTS").map_or(600, |text| text.parse().expect("FLAC_CUTS is a number"));
            crowd::gather("fs::survival::cuts::a_power_cut_at_any_step_leaves_what_was_acknowledged_or_a_later_moment", wanted);
        }
    }
}
