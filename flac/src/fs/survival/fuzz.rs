//! A pool with wrong bytes anywhere ends in an error that says what is wrong, or in a state that was true once, with every byte that can be read right.
//!
//! *Raw* damage (flipped, zeroed, cut, copied, swapped, shuffled, stale bytes) is held to that. *Sealed* damage has its checksum made right again, as
//! only an attacker or a bug does: nothing can tell it from truth, but it must not end in a panic, a hang or a wild access. No more is asked of a
//! mapped medium, where data that is read in place is not compared with its checksum.

use super::crowd;
use super::cuts::{geometry_on, make_pool, place};
use super::look::{WHO, fits, look};
use super::model::{Step, Tree};
use super::work::{Work, open};
use crate::checksum;
use crate::error::{Error, Result};
use crate::fs::names::Name;
use crate::media::Pool;
use crate::media::create::Geometry;
use crate::media::layout::{self, BLOCK_HEADER, HEADER, LOG_HEADER_COPY, LOG_START, RecordHeader, SUPERBLOCK_COPY};
use crate::media::sim::Random;
use crate::media::sim::disk::{Image, names, write_image};
use crate::media::sim::tape::{Lower, Tape};
use crate::units::Ino;
use std::path::Path;
use std::time::{Duration, Instant};

/// Damaged pools in one run.
const CASES: usize = 250;
/// No case may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn image_of(dir: &Path) -> Image {
    names(dir).into_iter().map(|name| (name.clone(), std::fs::read(dir.join(name)).expect("a file"))).collect()
}

/// A used pool: its files now and somewhat earlier, and all its states.
fn used_pool(dir: &Path, lower: Lower, random: &mut Random) -> (Image, Image, Vec<Step>, Vec<String>) {
    let pool = dir.join("pool");
    let geometry = Geometry { size: 200 << 12, log_bytes: 24 << 10, grow_bytes: 64 << 10, ..geometry_on(lower) };
    make_pool(&pool, &geometry, lower);
    let _seems_a_disk = Tape::start(&pool, lower);
    let mut work = Work::start(&pool, Tree::default(), random.next());
    let mut earlier = image_of(&pool);
    let acts = 20 + random.below(80);
    for act in 0..acts {
        work.act();
        if act == acts / 2 {
            earlier = image_of(&pool);
        }
    }
    let (steps, story) = work.end();
    (image_of(&pool), earlier, steps, story)
}

/// A place in a file, mostly where there is something.
fn spot(bytes: &[u8], random: &mut Random) -> usize {
    for _ in 0..8 {
        let at = random.below(bytes.len().max(1));
        if bytes.get(at).is_some_and(|b| *b != 0) {
            return at;
        }
    }
    random.below(bytes.len().max(1))
}

/// Raw damage. What was done.
fn damage(image: &mut Image, earlier: &Image, random: &mut Random) -> String {
    let files: Vec<String> = image.keys().cloned().collect();
    let name = random.pick(&files).clone();
    let unit = *random.pick(&[1, 8, 64, 512, 4096]);
    let other = earlier.get(random.pick(&files)).cloned();
    let bytes = image.get_mut(&name).expect("listed");
    if bytes.is_empty() {
        return format!("{name} is empty");
    }
    let (a, b) = (spot(bytes, random) / unit * unit, spot(bytes, random) / unit * unit);
    let len = unit.min(bytes.len() - a.max(b));
    let kind = random.below(12);
    match kind {
        0..=2 => bytes[a] ^= 1 << random.below(8),
        3 => bytes[a..a + len].fill(*random.pick(&[0, 0xff])),
        4 => (a..a + len).for_each(|i| bytes[i] = random.next() as u8),
        5 => bytes.copy_within(a..a + len, b),
        6 => (0..len).for_each(|i| bytes.swap(a + i, b + i)),
        7 => bytes.truncate(a),
        8 => {
            // Blocks in another order.
            let mut blocks: Vec<Vec<u8>> = bytes.chunks(unit.max(64)).map(<[u8]>::to_vec).collect();
            for _ in 0..3 {
                let (i, j) = (random.below(blocks.len()), random.below(blocks.len()));
                blocks.swap(i, j);
            }
            *bytes = blocks.concat();
        }
        9 => drop(image.remove(&name)),
        10 => {
            let stale = earlier.get(&name).cloned();
            stale.into_iter().for_each(|stale| *bytes = stale);
        }
        _ => other.into_iter().for_each(|other| *bytes = other),
    }
    format!("{name}: kind {kind}, unit {unit}, at {a} and {b}")
}

/// Changes a byte of something that has a checksum, and makes the checksum right.
fn sealed_damage(image: &mut Image, random: &mut Random) -> String {
    let files: Vec<String> = image.keys().filter(|n| *n != "frames").cloned().collect();
    let name = random.pick(&files).clone();
    let bytes = image.get_mut(&name).expect("listed");
    let value = *random.pick(&[0, 1, 0x7f, 0x80, 0xff, random.clone().next() as u8]);
    let within = random.below(1 << 20);
    match name.as_str() {
        "superblock" => {
            let at = within % (HEADER - 4);
            for copy in [0, SUPERBLOCK_COPY as usize, layout::GROWN_AT as usize] {
                seal_header(bytes, copy, at, value);
            }
        }
        "log.0" | "log.1" if random.once_in(4) => {
            for copy in [0, LOG_HEADER_COPY as usize] {
                seal_header(bytes, copy, within % (HEADER - 4), value);
            }
        }
        "log.0" | "log.1" => seal_record(bytes, within, value, random),
        _ => seal_block(bytes, within, value),
    }
    format!("{name}: sealed, byte {within} is {value}")
}

fn seal_header(bytes: &mut [u8], start: usize, at: usize, value: u8) {
    if let Some(header) = bytes.get_mut(start..start + HEADER) {
        header[at] = value;
        let crc = checksum::of(&header[..HEADER - 4]);
        header[HEADER - 4..].copy_from_slice(&crc.to_le_bytes());
    }
}

fn seal_record(bytes: &mut [u8], within: usize, value: u8, random: &mut Random) {
    let starts: Vec<usize> =
        (LOG_START as usize..bytes.len()).step_by(8).filter(|at| RecordHeader::decode(&bytes[*at..]).is_some()).collect();
    if starts.is_empty() {
        return;
    }
    let start = *random.pick(&starts);
    let Some((header, payload)) = RecordHeader::decode(&bytes[start..]) else { return };
    let end = start + layout::RECORD_HEADER + payload.len();
    let record = &mut bytes[start..end];
    if within.is_multiple_of(3) {
        let at = 8 + within % (layout::RECORD_HEADER - 8);
        record[at] = value;
        let crc = checksum::of(&record[8..]);
        record[4..8].copy_from_slice(&crc.to_le_bytes());
    } else if header.len > 0 {
        record[layout::RECORD_HEADER + within % header.len as usize] = value;
        header.seal(record);
    }
}

fn seal_block(bytes: &mut [u8], within: usize, value: u8) {
    if within.is_multiple_of(4) {
        return seal_header(bytes, 0, within % (HEADER - 4), value);
    }
    let Some(head) = bytes.get(HEADER..HEADER + BLOCK_HEADER).and_then(|b| <&[u8; BLOCK_HEADER]>::try_from(b).ok()) else { return };
    let (len, pairs, _) = layout::peek_block(head);
    if let Some(block) = bytes.get_mut(HEADER..HEADER + BLOCK_HEADER + len as usize)
        && len > 0
    {
        block[BLOCK_HEADER + within % len as usize] = value;
        layout::seal_block(block, pairs);
    }
}

/// What is seen of a damaged pool: the number of the state (`None`: it is refused), or why it is wrong.
fn outcome(dir: &Path, steps: &[Step], sealed: bool) -> std::result::Result<Option<usize>, String> {
    let line = |e: Error| if e.to_string().contains('\n') { Err(format!("not one line: {e}")) } else { Ok(None) };
    let _ = crate::metalog::Meta::verify(dir);
    let fs = match open(dir) {
        Ok(fs) => fs,
        Err(e) => {
            let run = Pool::open(dir).map(|pool| Path::new("/dev/shm").join(format!("flac-{}", pool.uuid_hex())));
            return if run.is_ok_and(|run| run.exists()) { Err("a refused pool leaves a run directory".into()) } else { line(e) };
        }
    };
    let sight = match look(&fs) {
        Ok(sight) => sight,
        Err(e) => return line(e),
    };
    let found = steps.iter().rposition(|step| fits(&sight, step, true).is_ok());
    let _ = fs.check(true);
    // It can be worked on, or says that it can't.
    let _: Result<()> = (|| {
        let ino = fs.create(Ino::ROOT, &Name::new(b"after")?, libc::S_IFREG | 0o600, 0, &WHO)?;
        let id = fs.open_file(ino, libc::O_RDWR, 1)?;
        fs.write_bytes(id, &[7; 9000], 0)?;
        fs.sync_all()?;
        fs.meta.checkpoint()?;
        fs.unlink(Ino::ROOT, &Name::new(b"after")?, &WHO)
    })();
    match found {
        None if !sealed => {
            let alike = steps.iter().rposition(|step| step.names.keys().eq(sight.keys()));
            let why = fits(&sight, &steps[alike.unwrap_or(steps.len() - 1)], true).expect_err("no step fits");
            Err(format!("a state that never was, like step {alike:?} of {}: {why}", steps.len()))
        }
        found => Ok(Some(found.unwrap_or(0))),
    }
}

fn run(seed: u64) {
    let mut random = Random(seed ^ 0xF022);
    let dir = place();
    let lower = if seed.is_multiple_of(4) { Lower::Dax } else { Lower::Ext4 };
    let (image, earlier, steps, story) = used_pool(dir.path(), lower, &mut random);
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).expect("a directory");
    let _seems_a_disk = Tape::start(&copy, Lower::Ext4);
    let (mut refused, mut older, mut newest) = (0, 0, 0);
    for case in 0..CASES {
        let mut damaged = image.clone();
        let sealed = random.once_in(4);
        let count = 1 + random.below(3);
        let what: Vec<String> = (0..count)
            .map(|_| if sealed { sealed_damage(&mut damaged, &mut random) } else { damage(&mut damaged, &earlier, &mut random) })
            .collect();
        write_image(&damaged, &copy);
        let start = Instant::now();
        let seen =
            std::panic::catch_unwind(|| outcome(&copy, &steps, sealed || lower == Lower::Dax)).unwrap_or_else(|_| Err("a panic".into()));
        assert!(start.elapsed() < PATIENCE, "seed {seed}, case {case}: {what:?}: {:?}", start.elapsed());
        match seen {
            Ok(None) => refused += 1,
            Ok(Some(step)) if step + 1 < steps.len() => older += 1,
            Ok(Some(_)) => newest += 1,
            Err(why) => panic!("{}\nseed {seed}, case {case}: {what:?}: {why}", story.join("\n")),
        }
    }
    crowd::report(CASES, &format!("{refused} refused, {older} in an older state, {newest} in the newest"));
}

/// `FLAC_FUZZ` says how many.
#[test]
fn wrong_bytes_end_in_an_error_or_in_a_state_that_was_true() {
    match crowd::seed() {
        Some(seed) => run(seed),
        None => {
            let wanted = std::env::var("FLAC_FUZZ").map_or(500, |text| text.parse().expect("FLAC_FUZZ is a number"));
            crowd::gather("fs::survival::fuzz::wrong_bytes_end_in_an_error_or_in_a_state_that_was_true", wanted);
        }
    }
}
