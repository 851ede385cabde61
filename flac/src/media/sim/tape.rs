//! Recording: what `media::tap` hears about the files of one directory, in order.

use super::super::fd::FileId;
use super::super::file;
use rustix::io::{Errno, IoSlice};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The file system below the pool, as far as it matters for what a flush covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lower {
    /// ext4: a flush of any file also makes the device keep what was written past the page cache.
    Ext4,
    /// One that writes to fresh space (btrfs): each file needs a flush of its own.
    Other,
    /// Persistent memory (emulated on a tmpfs: the medium must be asked for): what was written back is durable after a fence.
    Dax,
}

/// One step in the life of the pool's files. Files are numbered in the order in which the tape met them.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A name for a new, empty file.
    Created { name: String, file: usize },
    /// Bytes changed; `direct`: past the page cache.
    Wrote { file: usize, at: u64, bytes: Arc<[u8]>, direct: bool },
    /// The size was set.
    Resized { file: usize, len: u64 },
    /// A range is durable; up to `u64::MAX`: all, and the size.
    Flushed { file: usize, from: u64, to: u64 },
    /// The lines of a range are being written back.
    WrittenBack { file: usize, from: u64, to: u64 },
    /// What was being written back is durable.
    Fenced,
    /// A name moved.
    Renamed { from: String, to: String },
    /// A name went.
    Removed { name: String },
    /// The names are durable.
    DirSynced,
    /// The test says something about what it did so far.
    Note(u64),
}

impl Event {
    /// In a line, without content.
    pub(crate) fn brief(&self) -> String {
        match self {
            Event::Wrote { file, at, bytes, direct } => format!("{} bytes to file {file} at {at}, direct: {direct}", bytes.len()),
            other => format!("{other:?}"),
        }
    }
}

/// A recording in progress; ends when dropped.
pub(crate) struct Tape(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    lower: Lower,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    numbers: HashMap<FileId, usize>,
    files: usize,
    events: Vec<Event>,
    /// Bytes that the file system still has; `None`: enough.
    room: Option<u64>,
    /// The file whose next flush fails.
    failing: Option<String>,
}

static TAPES: Mutex<Vec<Arc<Inner>>> = Mutex::new(Vec::new());

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tape {
    /// Records from here on what happens to the files in `dir`, which now seems to lie on `lower`.
    pub(crate) fn start(dir: &Path, lower: Lower) -> Tape {
        let inner = Inner { dir: dir.to_owned(), lower, state: Mutex::default() };
        for name in super::disk::names(dir) {
            let stat = rustix::fs::stat(dir.join(&name)).expect("a file of the pool");
            open(&inner.state).meet((stat.st_dev, stat.st_ino));
        }
        let inner = Arc::new(inner);
        open(&TAPES).push(inner.clone());
        Tape(inner)
    }

    /// Notes something of the test's own.
    pub(crate) fn note(&self, what: u64) {
        open(&self.0.state).events.push(Event::Note(what));
    }

    /// From now on the file system has room for so many more bytes; `None`: for any number.
    pub(crate) fn limit(&self, room: Option<u64>) {
        open(&self.0.state).room = room;
    }

    /// The next flush of the file fails, and as the kernel has it, that is the only one.
    pub(crate) fn fail_flush(&self, name: &str) {
        open(&self.0.state).failing = Some(name.to_owned());
    }

    /// What was recorded since the start or the last time.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut open(&self.0.state).events)
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        open(&TAPES).retain(|tape| !Arc::ptr_eq(tape, &self.0));
    }
}

impl State {
    fn meet(&mut self, id: FileId) -> usize {
        let number = self.files;
        self.files += 1;
        self.numbers.insert(id, number);
        number
    }
}

/// The tape of `dir`.
fn tape_of(dir: &Path) -> Option<Arc<Inner>> {
    open(&TAPES).iter().find(|tape| tape.dir == dir).cloned()
}

fn on_name(path: &Path, f: impl FnOnce(&mut State, String)) {
    if let (Some(dir), Some(name)) = (path.parent(), path.file_name())
        && let Some(tape) = tape_of(dir)
    {
        f(&mut open(&tape.state), name.to_string_lossy().into_owned());
    }
}

fn on_file(id: FileId, event: impl FnOnce(usize) -> Event) {
    for tape in open(&TAPES).iter() {
        let mut state = open(&tape.state);
        if let Some(file) = state.numbers.get(&id).copied() {
            state.events.push(event(file));
            return;
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub(crate) fn created(path: &Path, id: FileId) {
    on_name(path, |state, name| {
        let file = state.meet(id);
        state.events.push(Event::Created { name, file });
    });
}

pub(crate) fn wrote(id: FileId, at: u64, from: &[IoSlice<'_>], direct: bool) {
    on_file(id, |file| Event::Wrote { file, at, bytes: from.iter().flat_map(|s| s.iter().copied()).collect(), direct });
}

pub(crate) fn appended(id: FileId, end: u64, from: &[u8], direct: bool) {
    wrote(id, end - from.len() as u64, &[IoSlice::new(from)], direct);
}

pub(crate) fn resized(id: FileId, len: u64) {
    on_file(id, |file| Event::Resized { file, len });
}

pub(crate) fn flushed(id: FileId, from: u64, to: u64) {
    on_file(id, |file| Event::Flushed { file, from, to });
}

pub(crate) fn written_back(id: FileId, from: u64, to: u64) {
    on_file(id, |file| Event::WrittenBack { file, from, to });
}

pub(crate) fn fenced(id: FileId) {
    on_file(id, |_| Event::Fenced);
}

pub(crate) fn renamed(from: &Path, to: &Path) {
    on_name(from, |state, from| state.events.push(Event::Renamed { from, to: name_of(to) }));
}

pub(crate) fn removed(path: &Path) {
    on_name(path, |state, name| state.events.push(Event::Removed { name }));
}

pub(crate) fn dir_synced(dir: &Path) {
    if let Some(tape) = tape_of(dir) {
        open(&tape.state).events.push(Event::DirSynced);
    }
}

pub(crate) fn taking(path: &Path, bytes: u64) -> rustix::io::Result<()> {
    let Some(tape) = path.parent().and_then(tape_of) else { return Ok(()) };
    let mut state = open(&tape.state);
    match &mut state.room {
        Some(room) if *room < bytes.max(1) => Err(Errno::NOSPC),
        Some(room) => {
            *room -= bytes.max(1);
            Ok(())
        }
        None => Ok(()),
    }
}

pub(crate) fn flushing(path: &Path) -> rustix::io::Result<()> {
    let Some(tape) = path.parent().and_then(tape_of) else { return Ok(()) };
    let mut state = open(&tape.state);
    let fails = state.failing.as_deref().is_some_and(|name| path.ends_with(name));
    if fails {
        state.failing = None;
        return Err(Errno::IO);
    }
    Ok(())
}

pub(crate) fn fs_type(dir: &Path) -> Option<u64> {
    const EXT4: u64 = 0xef53;
    const BTRFS: u64 = 0x9123_683e;
    match tape_of(dir)?.lower {
        Lower::Ext4 => Some(EXT4),
        Lower::Other => Some(BTRFS),
        Lower::Dax => None,
    }
}

/// The names in the directory, sorted.
pub(crate) fn sorted_names(dir: &Path) -> Vec<String> {
    let names = file::names_in(dir).expect("a directory");
    let mut names: Vec<String> = names.into_iter().map(|name| String::from_utf8_lossy(&name).into_owned()).collect();
    names.sort();
    names
}
