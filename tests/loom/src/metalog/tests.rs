//! The memtable: readers without a lock, and the one writer. What a reader found counts if the tables still have it afterwards.

use crate::media::layout::Position;
use crate::metalog::logs::Logs;
use crate::metalog::memtable::{Item, Memtable, Note, STEPS, tables};
use crate::units::Seq;
use loom::sync::Arc;
use loom::thread;

/// Keys whose entries are in one chain, and one in another.
const KEY: u8 = 1;
const SAME_CHAIN: u8 = 1 + 32;
const OTHER_CHAIN: u8 = 2;

fn explore(threads: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.max_branches = 100_000;
    model.check(threads);
}

/// A position that tells of each of its parts whether it belongs to the others.
fn position(n: u64) -> Position {
    Position { generation: 1, tail: n * 64, seq: Seq::new(n), salt: n + 1, known: Seq::new(n) }
}

struct Shared {
    tables: Memtable,
    logs: Logs,
}

/// Tables of which the first that counts is empty.
fn start() -> (Arc<Shared>, Note) {
    let shared = Shared { tables: tables(), logs: Logs::new() };
    let note = shared.tables.begin(0, position(0));
    (Arc::new(shared), note)
}

impl Shared {
    /// Appends a record that puts `key`, and enters it.
    fn put(&self, note: &Note, at: u64, key: u8) -> Note {
        self.logs.append(at, key);
        let item = Item { hash: key.into(), at, key_len: 1, value_len: 0, put: true, prefix: key.into() };
        self.tables.enter(note, &[item], 0, position(note.position.seq.get() + 1))
    }

    /// Where the newest entry of `key` lies that `note` counts; `None`: there is none. The other `None`: the tables no longer have what was seen.
    fn find(&self, note: &Note, key: u8) -> Option<Option<u64>> {
        let seen = self.tables.seen(note);
        let found = self.tables.find(&seen, &self.logs, &[key], key.into(), |_, behind, _| Some(behind - 1));
        self.tables.has(&seen).then(|| found.expect("sound").flatten())
    }
}

/// The notes are more than there is room for.
#[test]
fn a_note_is_of_one_moment() {
    explore(|| {
        let (shared, mut note) = start();
        let reader = shared.clone();
        let reader = thread::spawn(move || {
            let note = reader.tables.note();
            assert_eq!(note.position, position(note.entries as u64));
            assert_eq!(note.bytes, note.entries as u64);
        });
        (1..=4).for_each(|at| note = shared.put(&note, at, KEY));
        reader.join().expect("the reader");
    });
}

#[test]
fn what_a_note_counts_is_found_and_nothing_else() {
    explore(|| {
        let (shared, note) = start();
        let note = shared.put(&note, 1, KEY);
        let reader = shared.clone();
        let reader = thread::spawn(move || {
            let note = reader.tables.note();
            let newest = if note.entries == 3 { 3 } else { 1 };
            assert_eq!(reader.find(&note, KEY), Some(Some(newest)));
            assert_eq!(reader.find(&note, SAME_CHAIN), Some((note.entries > 1).then_some(2)));
        });
        let note = shared.put(&note, 2, SAME_CHAIN);
        shared.put(&note, 3, KEY);
        reader.join().expect("the reader");
    });
}

/// The table that a reader looks at is used again.
#[test]
fn a_reader_of_a_table_that_is_used_again_is_told() {
    explore(|| {
        let (shared, note) = start();
        let old = shared.put(&note, 1, KEY);
        (1..3).for_each(|base| _ = shared.tables.begin(base, position(1)));
        let writer = shared.clone();
        let writer = thread::spawn(move || {
            writer.tables.begin(3, position(1));
            let note = writer.tables.begin(4, position(1));
            writer.put(&note, 2, KEY);
        });
        assert!(matches!(shared.find(&old, KEY), None | Some(Some(1))));
        writer.join().expect("the writer");
    });
}

/// A writer died when it had entered a key in the chain that a reader follows; the entry becomes one of another chain.
#[test]
fn a_reader_of_a_chain_that_is_mended_is_told() {
    explore(|| {
        let (shared, note) = start();
        let note = shared.put(&note, 1, KEY);
        STEPS.set(2);
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shared.put(&note, 2, SAME_CHAIN)));
        assert!(died.is_err());
        let writer = shared.clone();
        let writer = thread::spawn(move || {
            writer.tables.mend(&note).expect("mended");
            writer.put(&note, 3, OTHER_CHAIN);
        });
        assert!(matches!(shared.find(&note, KEY), None | Some(Some(1))));
        writer.join().expect("the writer");
    });
}
