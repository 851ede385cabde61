//! Replaying: what is durable after each event, and what a power cut may leave of the rest.
//!
//! What may happen, and nothing else: of everything written to a sector since it was made durable, the first so many writes are there (none to all); the last
//! of them may be torn at any multiple of 8 bytes, if it went through the page cache (a page may be written back while it is stored to). Sectors are independent
//! of each other. A size that was not made durable is the old or the new one. Changes of names that were not made durable happened or not,
//! each by itself, but those of one name in order.

use super::Random;
use super::tape::{Event, Lower};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub(crate) use super::tape::sorted_names as names;

/// What survives in one piece on a disk, and in persistent memory.
const SECTOR: u64 = 512;
const LINE: u64 = 64;

/// A directory's files by name.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// The device below a pool.
#[derive(Clone)]
pub(crate) struct Disk {
    lower: Lower,
    files: Vec<Content>,
    /// The names that are durable, and the changes since.
    names: BTreeMap<String, usize>,
    changes: Vec<Change>,
    /// Ranges that the next fence makes durable.
    written_back: Vec<(usize, u64, u64)>,
}

#[derive(Clone, Default)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// The size, and those it had since the last flush of all.
    len: u64,
    lens: Vec<u64>,
}

#[derive(Clone)]
struct Pending {
    at: u64,
    bytes: Arc<[u8]>,
    /// The part of `bytes` that is meant.
    from: usize,
    to: usize,
    direct: bool,
}

impl Pending {
    fn start(&self) -> u64 {
        self.at + self.from as u64
    }
    fn end(&self) -> u64 {
        self.at + self.to as u64
    }
    /// The part within [from, to), if there is one.
    fn part(&self, from: u64, to: u64) -> Option<Pending> {
        let (from, to) = (from.max(self.start()), to.min(self.end()));
        (from < to).then(|| Pending { from: (from - self.at) as usize, to: (to - self.at) as usize, ..self.clone() })
    }
    fn put(&self, to: &mut Vec<u8>) {
        if (to.len() as u64) < self.end() {
            to.resize(self.end() as usize, 0);
        }
        to[self.start() as usize..self.end() as usize].copy_from_slice(&self.bytes[self.from..self.to]);
    }
}

#[derive(Clone)]
enum Change {
    Add(String, usize),
    Move(String, String),
    Remove(String),
}

/// How a power cut treats what was not flushed.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Nothing,
    Everything,
    /// All of one file, nothing of the others.
    Only(usize),
    /// Nothing of one file, all of the others.
    Without(usize),
    /// Each sector by itself: one in so many loses something.
    Some(usize),
    /// Each sector by itself: one in so many keeps something.
    Few(usize),
}

impl Disk {
    /// The disk on which `dir` lies, everything in it durable.
    pub(crate) fn new(dir: &Path, lower: Lower) -> Disk {
        let mut disk = Disk { lower, files: Vec::new(), names: BTreeMap::new(), changes: Vec::new(), written_back: Vec::new() };
        for name in names(dir) {
            let durable = std::fs::read(dir.join(&name)).expect("a file of the pool");
            disk.names.insert(name, disk.files.len());
            disk.files.push(Content { len: durable.len() as u64, durable, ..Content::default() });
        }
        disk
    }

    /// Something happened.
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Created { name, file } => {
                assert_eq!(*file, self.files.len(), "files are numbered in order");
                self.files.push(Content::default());
                self.changes.push(Change::Add(name.clone(), *file));
            }
            Event::Wrote { file, at, bytes, direct } => self.files[*file].write(*at, bytes.clone(), *direct),
            Event::Resized { file, len } => self.files[*file].resize(*len),
            Event::Flushed { file, from, to } => {
                self.files[*file].flush(*from, *to);
                if self.lower == Lower::Ext4 {
                    self.files.iter_mut().for_each(Content::flush_direct);
                }
            }
            Event::WrittenBack { file, from, to } => {
                let (from, to) = (from / LINE * LINE, to.next_multiple_of(LINE));
                self.written_back.push((*file, from, to));
            }
            Event::Fenced => {
                for (file, from, to) in std::mem::take(&mut self.written_back) {
                    // Elsewhere the lines reach the page cache only.
                    if self.lower == Lower::Dax {
                        self.files[file].flush(from, to);
                    }
                }
            }
            Event::Renamed { from, to } => self.changes.push(Change::Move(from.clone(), to.clone())),
            Event::Removed { name } => self.changes.push(Change::Remove(name.clone())),
            Event::DirSynced => {
                for change in std::mem::take(&mut self.changes) {
                    change.make(&mut self.names);
                }
            }
            Event::Note(_) => {}
        }
    }

    /// Whether something is pending that a power cut could lose.
    pub(crate) fn is_settled(&self) -> bool {
        self.changes.is_empty() && self.files.iter().all(|f| f.pending.is_empty() && f.lens.is_empty())
    }

    /// What a power cut leaves.
    pub(crate) fn cut(&self, random: &mut Random) -> Image {
        let mood = match random.below(8) {
            0 => Mood::Nothing,
            1 => Mood::Everything,
            2 => Mood::Only(random.below(self.files.len())),
            3 => Mood::Without(random.below(self.files.len())),
            4 | 5 => Mood::Some(1 + random.below(12)),
            _ => Mood::Few(1 + random.below(12)),
        };
        self.cut_in(mood, random)
    }

    /// As if everything written had become durable.
    pub(crate) fn live(&self) -> Image {
        self.cut_in(Mood::Everything, &mut Random(0))
    }

    fn unit(&self) -> u64 {
        if self.lower == Lower::Dax { LINE } else { SECTOR }
    }

    fn cut_in(&self, mood: Mood, random: &mut Random) -> Image {
        let mut names = self.names.clone();
        let mut undone: Vec<&str> = Vec::new();
        for change in &self.changes {
            let happens = match mood {
                Mood::Nothing => false,
                Mood::Everything | Mood::Only(_) | Mood::Without(_) => true,
                Mood::Some(_) | Mood::Few(_) => random.once_in(2),
            };
            if happens && !change.names().iter().any(|name| undone.contains(name)) {
                change.make(&mut names);
            } else {
                undone.extend(change.names());
            }
        }
        names.into_iter().map(|(name, file)| (name, self.files[file].survives(file, self.unit(), mood, random))).collect()
    }
}

impl Change {
    fn make(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Change::Add(name, file) => drop(names.insert(name.clone(), *file)),
            Change::Move(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Change::Remove(name) => drop(names.remove(name)),
        }
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Change::Add(name, _) | Change::Remove(name) => vec![name],
            Change::Move(from, to) => vec![from, to],
        }
    }
}

impl Content {
    fn write(&mut self, at: u64, bytes: Arc<[u8]>, direct: bool) {
        let to = bytes.len();
        if direct {
            self.write_back(at, at + to as u64);
        }
        self.pending.push(Pending { at, bytes, from: 0, to, direct });
        if at + to as u64 > self.len {
            self.resize(at + to as u64);
        }
    }

    /// Before a write past the page cache the kernel gives the device what the page cache has of the range, and waits: it can't come after that write.
    fn write_back(&mut self, from: u64, to: u64) {
        for write in std::mem::take(&mut self.pending) {
            if write.direct {
                self.pending.push(write);
                continue;
            }
            self.pending.extend(write.part(0, from));
            self.pending.extend(write.part(from, to).map(|part| Pending { direct: true, ..part }));
            self.pending.extend(write.part(to, u64::MAX));
        }
    }

    fn resize(&mut self, len: u64) {
        self.len = len;
        self.lens.push(len);
    }

    fn flush(&mut self, from: u64, to: u64) {
        for write in std::mem::take(&mut self.pending) {
            if write.direct {
                self.pending.push(write);
                continue;
            }
            if let Some(part) = write.part(from, to) {
                part.put(&mut self.durable);
            }
            self.pending.extend(write.part(0, from));
            self.pending.extend(write.part(to, u64::MAX));
        }
        if to == u64::MAX {
            // The size first: what was written directly may have made the file longer.
            self.durable.resize(self.len as usize, 0);
            self.lens.clear();
            self.flush_direct();
        }
    }

    /// The device keeps what it was given past the page cache, below the durable size.
    fn flush_direct(&mut self) {
        let end = self.durable.len() as u64;
        for write in std::mem::take(&mut self.pending) {
            if write.direct && write.end() <= end {
                write.put(&mut self.durable);
            } else {
                self.pending.push(write);
            }
        }
    }

    fn survives(&self, file: usize, unit: u64, mood: Mood, random: &mut Random) -> Vec<u8> {
        let all = match mood {
            Mood::Nothing => return self.durable.clone(),
            Mood::Everything => true,
            Mood::Only(only) if only == file => true,
            Mood::Only(_) => return self.durable.clone(),
            Mood::Without(without) if without == file => return self.durable.clone(),
            Mood::Without(_) => true,
            Mood::Some(_) | Mood::Few(_) => false,
        };
        let mut bytes = self.durable.clone();
        if all {
            self.pending.iter().for_each(|write| write.put(&mut bytes));
            bytes.resize(self.len as usize, 0);
            return bytes;
        }
        let mut sectors: BTreeMap<u64, Vec<Pending>> = BTreeMap::new();
        for write in &self.pending {
            for sector in write.start() / unit..write.end().div_ceil(unit) {
                sectors.entry(sector).or_default().extend(write.part(sector * unit, (sector + 1) * unit));
            }
        }
        for writes in sectors.values() {
            let touched = match mood {
                Mood::Some(n) => !random.once_in(n),
                Mood::Few(n) => random.once_in(n),
                _ => true,
            };
            // Where the mood is to keep all (or nothing), mostly that; else a prefix of what was written.
            let kept = match (mood, touched) {
                (Mood::Some(_), true) => writes.len(),
                (Mood::Few(_), false) => 0,
                _ => random.below(writes.len() + 1),
            };
            writes[..kept].iter().for_each(|write| write.put(&mut bytes));
            if let Some(torn) = writes.get(kept).filter(|w| !w.direct)
                && random.once_in(4)
            {
                let middle = torn.start() + random.below((torn.end() - torn.start()) as usize) as u64 / 8 * 8;
                torn.part(torn.start(), middle).iter().for_each(|part| part.put(&mut bytes));
            }
        }
        let lens = self.lens.len();
        let len = if lens > 0 && random.once_in(2) { self.lens[random.below(lens)] } else { self.durable.len() as u64 };
        bytes.resize(len as usize, 0);
        bytes
    }
}

/// Puts an image into the directory `dir`, in place of all that was there.
pub(crate) fn write_image(image: &Image, dir: &Path) {
    std::fs::create_dir_all(dir).expect("a directory");
    for name in names(dir) {
        if !image.contains_key(&name) {
            std::fs::remove_file(dir.join(name)).expect("removed");
        }
    }
    for (name, bytes) in image {
        std::fs::write(dir.join(name), bytes).expect("a file of the image");
    }
}
